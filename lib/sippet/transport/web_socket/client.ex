defmodule Sippet.Transport.WebSocket.Client do
  # The client's side of the handshake (RFC 6455 §4.1, RFC 7118 §4.1).
  @moduledoc false

  alias Sippet.Transport.{Codec, HTTP, Socket}
  alias Sippet.Transport.WebSocket.Server

  @doc "Asks for a WebSocket; returns what came behind the answer."
  @spec upgrade(Socket.t(), Codec.context()) :: {:ok, binary} | {:error, term}
  def upgrade(socket, context) do
    key = Base.encode64(:crypto.strong_rand_bytes(16))

    with :ok <- Socket.send(socket, request(key, context)),
         {:ok, 101, headers, rest} <- HTTP.read_response(socket, context.deadline),
         true <- accepted?(headers, key) do
      {:ok, rest}
    else
      refused ->
        Socket.abort(socket)
        {:error, reason(refused)}
    end
  end

  defp request(key, %{shared: shared, host: host, remote: {_ip, port}}) do
    [
      ["GET ", shared.options.client_path, " HTTP/1.1\r\n"],
      ["Host: ", HTTP.authority({host, port}, if(shared.tls, do: 443, else: 80)), "\r\n"],
      "Upgrade: websocket\r\nConnection: Upgrade\r\n",
      ["Sec-WebSocket-Key: ", key, "\r\n"],
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
    ]
  end

  # An extension that nobody asked for is as bad as another sub-protocol (RFC 6455 §4.1).
  defp accepted?(headers, key) do
    HTTP.token?(headers, "upgrade", "websocket") and
      HTTP.token?(headers, "connection", "upgrade") and
      HTTP.values(headers, "sec-websocket-accept") == [Server.accept(key)] and
      HTTP.values(headers, "sec-websocket-protocol") == ["sip"] and
      HTTP.values(headers, "sec-websocket-extensions") == []
  end

  defp reason({:ok, status_code, _headers, _rest}), do: {:websocket_refused, status_code}
  defp reason(false), do: :websocket_handshake
  defp reason({:error, status_code}) when is_integer(status_code), do: :websocket_handshake
  defp reason({:error, :closed}), do: :connection_closed
  defp reason({:error, reason}), do: reason
end
