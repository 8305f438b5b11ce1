defmodule Sippet.Transports.WS do
  @moduledoc """
  SIP over WebSocket (RFC 7118, RFC 6455); with TLS it is `Sippet.Transports.WSS`.

      children = [
        {Sippet, name: :my_stack},
        {Sippet.Transports.WS, name: :my_stack, port: 8080, paths: ["/sip"], http: {MyApp.Page, :respond}}
      ]

  All that `Sippet.Transports.TCP` says of connections and limits holds here too, but for what follows.

  ## Messages

  Each message is one of the WebSocket, of one frame or many. Text and binary are both taken; what is sent is text where it is
  valid UTF-8, and else binary (§4.2). Content-Length is not needed (§5). What is no SIP is treated as a datagram of that
  kind: it earns a 400 or the like, if enough of a request can be read, and the connection stays. A message beyond
  `:max_stream_message_bytes` of the stack closes it with status code 1009, frames that are not masked, have reserved bits or
  are otherwise against the protocol with 1002, text that is not UTF-8 with 1007: all of them are `broken_streams` of
  `info/1`. `:max_stream_message_ms` is the time from the first byte of a message's first frame to the last of its last one.

  Pings are answered, and so is the keep-alive of RFC 5626 §3.5.1 in a message of its own (§6). A peer that says nothing for
  `:ping_interval` gets a Ping, and is closed when it says nothing for as long again: so connections through proxies and
  NATs stay, and those with peers that have vanished do not.

  ## Where messages go

  A browser takes no connections. Its Via and its Contact have a host like `df7jal23ls0d.invalid`, which nobody ever asks a
  resolver for. Keep `source` of its REGISTER, and make it the `target` of requests to it. A response leaves by the
  connection of its request; if that is closed by then, the transaction fails with `:connection_closed`.

  A request to a URI with `transport=ws`, or with a target `{:ws, host, port}`, opens a connection where there is none,
  with sub-protocol `sip` and the path `:client_path`; the default port is 80. A server that refuses is
  `{:websocket_refused, status_code}`.

  ## Who may connect

  The request for a WebSocket has to be for one of `:paths` (else 404), of version 13 (else 426) and with the
  sub-protocol `sip` (else 400). Any page that a browser shows may ask for one to any host, in the name of who looks at it, and
  tells in Origin what page it is. By default only pages of the same host may, with any port and scheme; a server that
  trusts its users by cookie or by address needs that, one that asks for credentials by SIP may say `origins: :any`.
  Others get 403. A request without Origin is not from a browser, and passes: who is no browser could write whatever it
  likes (RFC 6455 §10.2). A list is needed where the server may be reached under names that others can choose.

      paths: ["/"], origins: ["https://example.com", "https://phone.example.com:8443"]
      paths: %{"/" => :same_host, "/partners" => ["https://example.net"], "/all" => :any}

  ## Other requests

  What is no request for a WebSocket goes to `:http`, a function or `{module, function}`, whatever its path. It is called with
  a map

    * `:method`, `:path`, `:query` - as they stand in the request; `query` without its question mark, or nil
    * `:headers` - a list of `{name, value}`, the names in lower case
    * `:body` - at most 64 KiB
    * `:remote` - `{ip, port}` of the peer

  and returns `{status_code, headers, body}`: 200 to 599, `[{name, value}]`, iodata. Content-Length, Date and Connection are
  written for it. It runs in the process of the connection, where it keeps nobody else waiting. What it raises is logged as of
  a core, and is a 500. Without it the answer is 426 on the paths of WebSockets and 404 elsewhere.

  There is one request on a connection, which is then closed. A head has at most 16 KiB and 100 fields; a body is of
  a Content-Length, and not chunked. Head, body and the handshake of TLS have `:handshake_timeout` in all.
  """

  use Sippet.Transport.ByConnection

  alias Sippet.Transport.{Connections, Listener, Options}
  alias Sippet.Transport.WebSocket.Settings

  @schema Settings.options(80)

  @doc """
  Starts the transport and opens its listening socket. The stack must have been started before.

  ## Options

  #{Options.docs(@schema)}
  Durations are milliseconds. Returns `{:error, %Sippet.TransportError{}}` when the socket cannot be opened, with
  `:eaddrinuse` for a port that is taken. Raises `ArgumentError` for an option that is not known or not of its kind.
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(options) when is_list(options) do
    options = Options.validate!(options, @schema)
    Listener.start_link(__MODULE__, :ws, options, nil)
  end

  @doc """
  What the transport has; as `Sippet.Transports.TCP.info/1`.

  `handshake_failures` are also requests for a WebSocket that were refused, and `http_requests` those that `:http` has answered.
  """
  @spec info(server) :: %{
          address: {:inet.ip_address(), :inet.port_number()},
          connections: non_neg_integer,
          counters: %{atom => non_neg_integer}
        }
  def info(server), do: Listener.call(server, :info)

  # Without an address: nothing goes by another connection, which a browser would not take.
  @impl Sippet.Transport
  def transmit(handle, connection, _remote, data, transaction),
    do: Connections.transmit(handle, connection, nil, data, transaction)

  @impl Sippet.Transport
  def transmit(handle, connection, _remote, data),
    do: Connections.transmit(handle, connection, nil, data, nil)
end
