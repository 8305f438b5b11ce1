defmodule Sippet.Transport.Codec do
  # How messages are cut out of what a connection brings, and put into it: Sippet.Transport.Framer for streams of SIP,
  # Sippet.Transport.WebSocket for frames. Called by the process of the connection alone.
  @moduledoc false

  alias Sippet.{ParseError, Stack}
  alias Sippet.Transport.Socket

  @typedoc "One connection."
  @type t :: term

  @typedoc """
  What a connection brings.

    * `{:message, bytes}` - a whole message, for `Sippet.Transport.receive_message/4`
    * `{:ping, count}` - so many keep-alives one after the other, each to be answered by a CRLF
    * `:pong` - the answer to a keep-alive
    * `{:write, bytes, pings}` - to be sent as it is: answers to so many keep-alives of the protocol's own
    * `{:broken, status_code, reason, head}` - nothing more will come, the connection is to be closed;
      `Sippet.Router.reject_message/6` answers the head before, where it is one that can be answered
    * `{:failed, why}` - nothing more will come, the connection is to be closed with `c:farewell/2`
    * `{:closed, bytes}` - the peer ends the connection; these bytes are to be sent before it is closed
  """
  @type frame ::
          {:message, binary}
          | {:ping, pos_integer}
          | :pong
          | {:write, binary, non_neg_integer}
          | {:broken, 400..599, ParseError.reason(), binary}
          | {:failed, why :: term}
          | {:closed, binary}

  @typedoc "What is known of a connection: what it shares with those of its transport, the stack, the peer."
  @type context :: %{
          shared: map,
          stack: Stack.t(),
          remote: Sippet.Transport.remote(),
          host: String.t() | nil,
          deadline: integer
        }

  @doc """
  Makes an accepted connection one of messages, until the deadline; also what has come of them. It closes the socket
  itself where it does not.
  """
  @callback accept(Socket.t(), context) :: {:ok, t, binary} | {:error, reason :: term}

  @doc "The same for a connection that was made."
  @callback connect(Socket.t(), context) :: {:ok, t, binary} | {:error, reason :: term}

  @doc "How long a peer that has connected may take for its first message, in milliseconds; nil where it may be silent."
  @callback first_message_ms(Stack.t()) :: pos_integer | nil

  @doc """
  What these bytes bring, in its order, and until when the message has to be complete that it is in the midst of:
  milliseconds of `System.monotonic_time/1`, or nil between messages. How the bytes are cut into pieces makes no difference.
  """
  @callback push(t, binary, now :: integer) :: {[frame], deadline :: integer | nil}

  @doc "One message as it is sent."
  @callback encode(t, binary) :: iodata

  @doc "What asks the peer whether it is there."
  @callback ping(t) :: iodata

  @doc "What is sent last, by this reason for the end."
  @callback farewell(t, why :: term) :: iodata
end
