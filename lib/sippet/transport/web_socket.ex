defmodule Sippet.Transport.WebSocket do
  # The messages of a WebSocket (RFC 7118): one in each, of text or binary. The frames are tungstenite's, in the NIF; see
  # native/sippet_websocket.
  @moduledoc false

  @behaviour Sippet.Transport.Codec

  alias Sippet.Native
  alias Sippet.Transport.WebSocket.{Client, Server}

  # RFC 6455 §7.4.1.
  @going_away 1001

  @impl true
  def accept(socket, context) do
    with {:ok, rest} <- Server.upgrade(socket, context),
         do: {:ok, Native.websocket_new(:server, context.stack.limits), rest}
  end

  @impl true
  def connect(socket, context) do
    with {:ok, rest} <- Client.upgrade(socket, context),
         do: {:ok, Native.websocket_new(:client, context.stack.limits), rest}
  end

  # It has said what it wants by its handshake. A telephone in a page may wait for its user.
  @impl true
  def first_message_ms(_stack), do: nil

  @impl true
  def push(websocket, data, now) do
    {events, output, deadline} = Native.websocket_push(websocket, data, now)
    {frames(events, output, 0), deadline}
  end

  # The output is what answers its pings, and a Close, which is the last event.
  defp frames([], "", _pings), do: []
  defp frames([], output, pings), do: [{:write, output, pings}]
  defp frames([:closed], output, _pings), do: [{:closed, output}]

  defp frames([{:failed, _code} = failed], output, pings),
    do: frames([], output, pings) ++ [failed]

  defp frames([:ping | events], output, pings), do: frames(events, output, pings + 1)
  defp frames([:pong | events], output, pings), do: [:pong | frames(events, output, pings)]

  # RFC 7118 §6: the keep-alive of RFC 5626 §3.5.1 may be used here, too.
  defp frames([{:message, "\r\n\r\n"} | events], output, pings),
    do: [{:ping, 1} | frames(events, output, pings)]

  defp frames([{:message, "\r\n"} | events], output, pings),
    do: [:pong | frames(events, output, pings)]

  defp frames([{:message, _bytes} = message | events], output, pings),
    do: [message | frames(events, output, pings)]

  @impl true
  def encode(websocket, message), do: Native.websocket_message(websocket, message)

  @impl true
  def ping(websocket), do: Native.websocket_ping(websocket)

  @impl true
  def farewell(websocket, {:failed, code}), do: Native.websocket_close(websocket, code)
  def farewell(websocket, _why), do: Native.websocket_close(websocket, @going_away)
end
