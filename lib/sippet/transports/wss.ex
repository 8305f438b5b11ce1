defmodule Sippet.Transports.WSS do
  @moduledoc """
  SIP over WebSocket with TLS (RFC 7118): `Sippet.Transports.WS` on the connections of `Sippet.Transports.TLS`.

      children = [
        {Sippet, name: :my_stack},
        {Sippet.Transports.WSS,
         name: :my_stack, certfile: "/etc/sip/example.com.pem", keyfile: "/etc/sip/example.com.key", paths: ["/sip"]}
      ]

  Requests to `sips` URIs with `transport=ws` come here, and those to a target `{:wss, host, port}`; the default port is 443.
  Certificates, keys, ciphers and `reload/1` are as there. What is verified of a server that is connected to is its name by the
  rules of HTTPS, as a browser would, wildcards included (RFC 6455 §3, RFC 9110 §4.3.4), and not by those of RFC 5922.
  """

  use Sippet.Transport.ByConnection

  alias Sippet.TransportError
  alias Sippet.Transport.{Connections, Listener, Options}
  alias Sippet.Transport.WebSocket.Settings

  @schema Settings.secure_options(443)

  @doc """
  Starts the transport and opens its listening socket. The stack must have been started before.

  ## Options

  #{Options.docs(@schema)}
  Durations are milliseconds.

  Returns `{:error, %Sippet.TransportError{}}` when the socket cannot be opened, with `:eaddrinuse` for a port that is taken,
  and when a file cannot be used: its reason is then `t:Sippet.TransportError.credentials_error/0`. Raises `ArgumentError`
  for an option that is not known or not of its kind.
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(options) when is_list(options),
    do: Listener.start_secure_link(__MODULE__, :wss, Options.validate!(options, @schema))

  @doc "What the transport has; as `Sippet.Transports.WS.info/1`."
  @spec info(server) :: %{
          address: {:inet.ip_address(), :inet.port_number()},
          connections: non_neg_integer,
          counters: %{atom => non_neg_integer}
        }
  def info(server), do: Listener.call(server, :info)

  @doc """
  Reads certificates, keys and trusted certificates again.

  Handshakes from now on use the new ones; connections that are open stay. Returns `:ok`, or, if a file cannot be used,
  `{:error, %Sippet.TransportError{}}`, and all stays as it was.
  """
  @spec reload(server) :: :ok | {:error, TransportError.t()}
  def reload(server), do: Listener.reload(server)

  @impl Sippet.Transport
  defdelegate peer_names(handle, connection), to: Connections

  # Without an address: nothing goes by another connection, which a browser would not take.
  @impl Sippet.Transport
  def transmit(handle, connection, _remote, data, transaction),
    do: Connections.transmit(handle, connection, nil, data, transaction)

  @impl Sippet.Transport
  def transmit(handle, connection, _remote, data),
    do: Connections.transmit(handle, connection, nil, data, nil)
end
