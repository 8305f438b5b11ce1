defmodule Sippet.Transports.TLS do
  @moduledoc """
  SIP over TLS (RFC 3261 §26.3.1, RFC 5922), on Erlang's own `:ssl`.

      children = [
        {Sippet, name: :my_stack},
        {Sippet.Transports.TLS,
         name: :my_stack, certfile: "/etc/sip/example.com.pem", keyfile: "/etc/sip/example.com.key"}
      ]

  All that `Sippet.Transports.TCP` says of connections and limits holds here too. Requests to `sips` URIs come here, and
  those to `sip` URIs with `transport=tls`; the default port is 5061.

  ## Whom it talks to

  The chain of a peer's certificate is verified, and then that it is for the SIP domain that the request goes to: the host
  of its Route, Request-URI or target. The domains of a certificate are (RFC 5922 §7.1) those of the `sip` URIs among its
  alternative names; if it has none, the DNS names there; if it has no alternative names at all, the common name. They
  are compared whole and in any case; there are no wildcards (§7.2). A host that is an address has to be among the
  addresses there. What does not match is an error of `Sippet.send/2`, `{:wrong_certificate, names}`, and no message is
  sent. A connection is used again for the same address and the same name only, and one that a peer has made for
  requests only as the next section says: nobody knows whom any other leads to.

  `verify_clients: :required` refuses peers that connect without a certificate that can be verified. Which names are in it
  `Sippet.Transport.peer_names/2` tells: whom they let in is the core's to say.

  ## Connections for both directions

  Two servers may do with one connection (RFC 5923). Who makes it has to have a certificate that the other one verifies,
  and `alias` in the Via of its requests, which the option `:alias` puts there. Who accepts it then takes it for requests,
  too: those to the address that the connection came from, the port of sent-by, 5061 where there is none, and a name in
  the certificate. The host of sent-by has to be such a name, else nothing of that, and neither from a peer without a
  certificate. A connection has the first 64 requests with `alias` to say so, and 64 destinations at most.

  ## Which keys and ciphers

  Certificates and keys are read when the transport starts, and again by `reload/1`. `:domains` has one for each name that
  clients may ask for (SNI), all others get the first one. A file holds the certificate and, behind it, the intermediate
  ones. A transport without a certificate can only connect.

  TLS 1.3 and 1.2 are spoken. `profile: :strict` has cipher suites with forward secrecy and authenticated encryption only:
  ECDHE with AES-GCM or ChaCha20-Poly1305. `profile: :compatible` adds what old telephones know: CBC, DHE, and the RSA key
  exchange of TLS_RSA_WITH_AES_128_CBC_SHA, which RFC 3261 §26.2.1 wants everybody to have.
  """

  use Sippet.Transport.ByConnection

  alias Sippet.TransportError
  alias Sippet.Transport.{Connections, Credentials, Listener, Options}

  @schema Listener.options(5061) ++
            Credentials.options() ++
            [
              {:alias, false, :boolean,
               "ask peers to send their requests by the connections that were made to them (RFC 5923); needs a certificate"}
            ]

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
    do: Listener.start_secure_link(__MODULE__, :tls, Options.validate!(options, @schema))

  @doc "What the transport has; as `Sippet.Transports.TCP.info/1`."
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

  @impl Sippet.Transport
  defdelegate transmit(handle, connection, remote, data, transaction), to: Connections

  @impl Sippet.Transport
  def transmit(handle, connection, remote, data),
    do: Connections.transmit(handle, connection, remote, data, nil)
end
