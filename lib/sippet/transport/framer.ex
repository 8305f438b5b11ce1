defmodule Sippet.Transport.Framer do
  # Messages out of the bytes of a connection (§18.3), for the process that owns it; RFC 5626 §3.5.1, §4.4.1. Called by the
  # transports over streams:
  #
  #     {frames, deadline} = Framer.push(framer, data)
  #
  # The process keeps the deadline with a timer of `Process.send_after(self(), message, deadline, abs: true)` and closes the
  # connection when the timer fires and the deadline is still the same: it belongs to one message.
  @moduledoc false

  @behaviour Sippet.Transport.Codec

  alias Sippet.{Native, Stack}
  alias Sippet.Transport.Codec

  @type t :: reference

  @typedoc "What a stream brings."
  @type frame :: Codec.frame()

  @doc """
  A stream from its first byte on.

  `limits` are those of the stack, as `Sippet.Stack` has them; nil has their defaults.
  """
  @spec new(Native.stack_limits() | nil) :: t
  def new(limits \\ nil), do: Native.framer_new(limits)

  @doc """
  What the stream brings with these bytes, in its order, and until when the message has to be complete that it is in the
  midst of: milliseconds of `System.monotonic_time/1`, or nil between messages.

  How a stream is cut into pieces makes no difference. A message that is there as a whole is a part of `data`, which it
  keeps from being freed. After `{:broken, ...}` there are no frames.
  """
  @impl true
  @spec push(t, binary, integer) :: {[frame], deadline :: integer | nil}
  def push(framer, data, now \\ System.monotonic_time(:millisecond)),
    do: Native.framer_push(framer, data, now)

  @doc """
  A ping was sent: the next CRLF between messages is its answer. The stream alone does not tell two answers from a ping.
  """
  @spec expect_pong(t) :: :ok
  def expect_pong(framer), do: Native.framer_expect_pong(framer)

  @impl true
  def accept(_socket, %{stack: stack}), do: {:ok, new(stack.limits), ""}

  @impl true
  def connect(_socket, %{stack: stack}), do: {:ok, new(stack.limits), ""}

  # Who connects has something to say.
  @impl true
  def first_message_ms(stack), do: Stack.max_stream_message_ms(stack)

  @impl true
  def encode(_framer, message), do: message

  @impl true
  def ping(framer) do
    :ok = expect_pong(framer)
    "\r\n\r\n"
  end

  @impl true
  def farewell(_framer, _why), do: ""
end
