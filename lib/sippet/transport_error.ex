defmodule Sippet.TransportError do
  @moduledoc """
  A message has nowhere to go, or a transport cannot be started.

    * `reason` - see `t:reason/0`
    * `protocol` - `:udp`, `:tcp` ... or nil where it was not settled
    * `address` - the host, address or URI at issue, or nil
    * `port` - the port at issue, or nil
  """

  @typedoc """
    * `:no_transport` - the stack has no transport of this protocol and address family
    * `:no_destination` - the Request-URI names no host, as with `tel`, and there is neither Route nor target
    * `:transport_closed` - the transport of the flow is gone
    * `:connection_closed` - the connection is closed
    * `:not_supported` - the transport has no way to do this
    * `:send_queue_full` - the peer does not read what it is sent; its connection is closed
    * `:too_many_connections` - the transport, or the peer's network, has as many connections as it may
    * `{:websocket_refused, status_code}` - the server has answered the request for a WebSocket with this status code of HTTP
    * `:websocket_handshake` - what the server has answered opens no WebSocket of SIP (RFC 6455 §4.1, RFC 7118 §4.1)
    * `{:proxy, reason}` - the proxy of the transport has not made the connection, see `t:proxy_error/0`
    * `{:tls_alert, name}` - the handshake failed; the names are those of `:ssl`
    * `{:wrong_certificate, names}` - the peer's certificate is for these SIP domains, and not for the one asked for
      (RFC 5922)
    * `:no_trusted_certificates` - there are none to verify a peer by
    * `t:credentials_error/0` - the files of a transport cannot be used
    * `:no_stack` - the stack of a transport has ended
    * `:not_a_numeric_address` - a response must go to a name
    * `:no_addresses`, `:not_available`, `:bad_name` ... - the resolver found nothing, see `t:Sippet.ResolverError.reason/0`
    * anything else - a reason of the operating system: `:eaddrinuse`, `:nxdomain`, `:emsgsize` ...
  """
  @type reason ::
          :no_transport
          | :no_destination
          | :transport_closed
          | :connection_closed
          | :not_supported
          | :send_queue_full
          | :too_many_connections
          | {:websocket_refused, 100..599}
          | :websocket_handshake
          | {:proxy, proxy_error}
          | {:tls_alert, atom}
          | {:wrong_certificate, [String.t()]}
          | :no_trusted_certificates
          | credentials_error
          | :no_stack
          | :not_a_numeric_address
          | :inet.posix()
          | term

  @typedoc """
  What is wrong with a certificate, a key or the trusted certificates, and the file, if it is one: a reason of
  `File.read/1`, `:not_found` where nothing of that kind is in it, `:malformed`, `:wrong_password`, or
  `:of_another_certificate` for a key that does not belong to its certificate.
  """
  @type credentials_error ::
          {:certificate | :key | :trusted_certificates, file :: Path.t() | nil, reason :: atom}

  @typedoc """
  Why there is no way through a proxy.

    * `:authentication` - it wants credentials and was given none, or others (RFC 1929, RFC 9110 §15.5.8)
    * `{:socks5, reply}` - it has refused, or the peer is out of its reach: 1 to 255, of which RFC 1928 §6 names 1 to 8
    * `{:http, status_code}` - the same in words of HTTP
    * `:malformed` - what it has answered is not of its protocol
    * `:timeout` - it has not answered within `:connect_timeout`
    * `:connection_closed` - it has closed the connection
    * anything else - a reason of the operating system for which it cannot be reached: `:econnrefused`, `:nxdomain` ...
  """
  @type proxy_error ::
          :authentication
          | {:socks5, 1..255}
          | {:http, 100..599}
          | :malformed
          | :timeout
          | :connection_closed
          | :inet.posix()

  @type t :: %__MODULE__{
          reason: reason,
          protocol: atom | nil,
          address: term,
          port: :inet.port_number() | nil
        }

  defexception [:reason, :protocol, :address, :port]

  @impl true
  def message(%__MODULE__{reason: reason} = error) do
    subject =
      case error do
        %{address: nil, protocol: nil} -> "transport"
        %{address: nil, protocol: protocol} -> "transport #{protocol}"
        %{address: address, port: nil} -> where(error.protocol, printable(address))
        %{address: address, port: port} -> where(error.protocol, "#{printable(address)}:#{port}")
      end

    "#{subject}: #{describe(reason)}"
  end

  defp where(nil, address), do: address
  defp where(protocol, address), do: "#{protocol} #{address}"

  defp printable(address) when is_tuple(address) do
    case :inet.ntoa(address) do
      {:error, :einval} -> inspect(address)
      text when tuple_size(address) == 8 -> "[#{text}]"
      text -> List.to_string(text)
    end
  end

  defp printable(address) when is_binary(address), do: address
  defp printable(address), do: inspect(address)

  defp describe(:no_transport), do: "the stack has no such transport"
  defp describe(:no_destination), do: "there is no host to send to"
  defp describe(:transport_closed), do: "the transport is gone"
  defp describe(:connection_closed), do: "the connection is closed"
  defp describe(:not_supported), do: "the transport has no way to do this"
  defp describe(:send_queue_full), do: "the peer does not read what it is sent"
  defp describe(:too_many_connections), do: "there are as many connections as there may be"
  defp describe({:websocket_refused, status_code}), do: "no WebSocket, but HTTP #{status_code}"
  defp describe(:websocket_handshake), do: "the answer opens no WebSocket of SIP"
  defp describe({:proxy, reason}), do: "the proxy: #{describe_proxy(reason)}"
  defp describe({:tls_alert, name}), do: "TLS alert #{name}"
  defp describe(:no_trusted_certificates), do: "there are no trusted certificates"

  defp describe({what, file, reason}) when what in [:certificate, :key, :trusted_certificates],
    do: "#{what} #{if file, do: file <> " "}#{describe_file(reason)}"

  defp describe({:wrong_certificate, names}),
    do:
      "the certificate is for #{if names == [], do: "no SIP domain", else: Enum.join(names, ", ")}"

  defp describe(:no_stack), do: "its stack has ended"
  defp describe(:not_a_numeric_address), do: "a response goes to an address, not to a name"

  defp describe(reason)
       when reason in ~w(no_addresses not_available bad_name server_failure too_many_queries overloaded no_resolver)a,
       do: Exception.message(%Sippet.ResolverError{reason: reason})

  defp describe(reason) when is_atom(reason), do: posix(reason)
  defp describe(reason), do: inspect(reason)

  # RFC 1928 §6.
  @socks5_replies %{
    1 => "general failure",
    2 => "not allowed by its rules",
    3 => "network unreachable",
    4 => "host unreachable",
    5 => "connection refused",
    6 => "TTL expired",
    7 => "command not supported",
    8 => "address type not supported"
  }

  defp describe_proxy(:authentication), do: "it wants other credentials"
  defp describe_proxy(:malformed), do: "its answer is not of its protocol"
  defp describe_proxy({:http, status_code}), do: "it refuses with HTTP #{status_code}"

  defp describe_proxy({:socks5, reply}),
    do: "it refuses with #{reply} (#{Map.get(@socks5_replies, reply, "unassigned")})"

  defp describe_proxy(reason), do: describe(reason)

  defp describe_file(:not_found), do: "is missing"
  defp describe_file(:malformed), do: "cannot be read"
  defp describe_file(:wrong_password), do: "has another password"
  defp describe_file(:of_another_certificate), do: "belongs to another certificate"
  defp describe_file(reason), do: posix(reason)

  defp posix(reason) do
    case :inet.format_error(reason) do
      ~c"unknown POSIX error" ++ _ -> Atom.to_string(reason)
      text -> List.to_string(text)
    end
  end
end
