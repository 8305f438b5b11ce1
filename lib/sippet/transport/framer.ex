defmodule Sippet.Transport.Framer do
  # Messages out of the bytes of a connection (§18.3), for the process that owns it; RFC 5626 §3.5.1, §4.4.1. Called by the
  # transports over streams:
  #
  #     {frames, deadline} = Framer.push(framer, data)
  #
  # The process keeps the deadline with a timer of `Process.send_after(self(), message, deadline, abs: true)` and closes the
  # connection when the timer fires and the deadline is still the same: it belongs to one message.
  @moduledoc false

  alias Sippet.{Native, ParseError}

  @type t :: reference

  @typedoc """
  What a stream brings.

    * `{:message, bytes}` - a whole message, for `Sippet.Transport.receive_message/4`
    * `{:ping, count}` - so many double CRLFs one after the other, each to be answered by a single one
    * `:pong` - the CRLF that was expected
    * `{:broken, status_code, reason, head}` - nothing more will come, the connection is to be closed;
      `Sippet.Router.reject_message/6` answers the head before, where it is one that can be answered
  """
  @type frame ::
          {:message, binary}
          | {:ping, pos_integer}
          | :pong
          | {:broken, 400..599, ParseError.reason(), binary}

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
  @spec push(t, binary, integer) :: {[frame], deadline :: integer | nil}
  def push(framer, data, now \\ System.monotonic_time(:millisecond)),
    do: Native.framer_push(framer, data, now)

  @doc """
  A ping was sent: the next CRLF between messages is its answer. The stream alone does not tell two answers from a ping.
  """
  @spec expect_pong(t) :: :ok
  def expect_pong(framer), do: Native.framer_expect_pong(framer)
end
