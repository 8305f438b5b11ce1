defmodule Sippet.Transports.TCP do
  @moduledoc """
  SIP over TCP (RFC 3261 §18).

      children = [
        {Sippet, name: :my_stack},
        {Sippet.Transports.TCP, name: :my_stack, port: 5060},
        {Sippet.Transports.TCP, name: :my_stack, port: 5060, address: {"::", :inet6}}
      ]

  A stack may have several. Each takes connections and makes them.

  ## Connections

  A request leaves by a connection that is open to its address and port, whoever made it; where there is none, one is made
  by the process that sends, which blocks for at most `:connect_timeout`. Processes that send to the same destination
  share what one of them has begun. A response leaves by the connection of its request; if that is closed by then, by a
  new one to the address that the request came from at the port of its topmost Via (§18.2.2).

  When a connection is lost, the transactions of requests that were sent by it and have no answer are told so. The core may be
  told too, by `c:Sippet.Core.flow_closed/2`.

  ## Through a proxy

  With `:proxy` the connections to peers are made through a proxy of SOCKS5 (RFC 1928) or of HTTP, by CONNECT
  (RFC 9110 §9.3.6); those that peers make are not affected. The option is a keyword list:

    * `:protocol` - `:socks5` or `:http_connect`
    * `:address`, `:port` - where it is: an address of either family, or a name, which the operating system resolves in the
      family that the transport is bound in
    * `:credentials` - `{username, password}` (RFC 1929; Basic, RFC 7617), or a function that returns them, called when the
      transport starts; default none. No log, no report and no state of a process shows them; SOCKS5 and HTTP send them to the
      proxy as they are
    * `:resolve` - `:local`, the default: a name is located by the resolver of the stack, and the proxy gets an address. With
      `:remote` the proxy gets the name and the port, which is the default one of the protocol where none is written:
      no resolver is asked, so that there are no NAPTR or SRV records either (RFC 3263)

  Addresses may be of either family, whatever the transport is bound to. `:connect_timeout` is for all of it. Whatever goes
  wrong up to the proxy's answer is an error of `Sippet.send/2` with the reason `{:proxy, reason}`, see
  `t:Sippet.TransportError.proxy_error/0`. Messages of a peer that is known by its name alone come from the proxy's address, and
  with `:remote` a response goes by the connection of its request or not at all. What TLS verifies is the peer behind the proxy.

  ## Limits

  A peer has `:max_stream_message_ms` of the stack, ten seconds, from its first byte to the last of a message, and as much
  for its first one; `:idle_timeout` until it says something again, be it the CRLF of RFC 5626 §3.5.1, which is answered;
  and `:send_timeout` to read what it is sent. On Linux a peer that has vanished is noticed after two minutes by TCP's own
  keep-alive. What is no SIP earns a 400 or the like, if enough of a request can be read, and the end of the connection.
  Connections beyond the limits are closed as soon as they are accepted. All of this is counted; see `info/1`.
  """

  use Sippet.Transport.ByConnection

  alias Sippet.Transport.{Connections, Listener, Options}

  @doc """
  Starts the transport and opens its listening socket. The stack must have been started before.

  ## Options

  #{Options.docs(Listener.options(5060))}
  Durations are milliseconds. Returns `{:error, %Sippet.TransportError{}}` when the socket cannot be opened, with
  `:eaddrinuse` for a port that is taken. Raises `ArgumentError` for an option that is not known or not of its kind.
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(options) when is_list(options) do
    options = Options.validate!(options, Listener.options(5060))
    Listener.start_link(__MODULE__, :tcp, options, nil)
  end

  @doc """
  What the transport has: `%{address: {ip, port}, connections: count, counters: counters}`.

  `connections` are those of both directions, also those that are being made. The counters only grow:

    * `accepted`, `connected` - connections that were opened by peers and by this side
    * `refused_connections`, `refused_by_peer_limit` - those beyond the limits, of both directions
    * `accept_errors` - how often the system could give no more sockets, and connections dropped since the transport's own
      process was being started again
    * `handshake_failures`, `connect_failures` - connections that were not completed
    * `broken_streams` - connections closed since what came was no SIP
    * `message_timeouts`, `idle_timeouts` - connections closed since nothing came, or too little of a message
    * `keep_alive_failures` - connections closed since a ping of `Sippet.keep_alive/3` was not answered
    * `slow_readers` - connections closed since the peer did not read
    * `pings` - keep-alives answered, in runs (RFC 5626 §3.5.1)
    * `redirected_responses` - responses whose connection was closed
    * `aliases` - how often requests were given a connection of a peer's to take (RFC 5923); with TLS only
  """
  @spec info(server) :: %{
          address: {:inet.ip_address(), :inet.port_number()},
          connections: non_neg_integer,
          counters: %{atom => non_neg_integer}
        }
  def info(server), do: Listener.call(server, :info)

  @impl Sippet.Transport
  defdelegate transmit(handle, connection, remote, data, transaction), to: Connections

  @impl Sippet.Transport
  def transmit(handle, connection, remote, data),
    do: Connections.transmit(handle, connection, remote, data, nil)
end
