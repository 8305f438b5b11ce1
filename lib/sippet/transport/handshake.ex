defmodule Sippet.Transport.Handshake do
  # What makes a socket a connection: for TLS its handshake and the name of the peer, for WebSocket another one above. Runs
  # in the process of the connection, so that nobody else waits for a peer that takes its time.
  @moduledoc false

  alias Sippet.{Stack, Transport}
  alias Sippet.Transport.{Codec, Credentials, Identity, Proxy, Socket}

  @doc """
  A connection that was accepted, its codec, and what has come behind the handshakes.

  `:handshake_timeout` is for all of them.
  """
  @spec accept(port, Transport.remote(), Stack.t(), map) ::
          {:ok, Socket.t(), Codec.t(), binary} | {:error, term}
  def accept(port, remote, stack, shared) do
    deadline = now() + Map.get(shared.options, :handshake_timeout, 0)
    context = context(remote, nil, stack, deadline, shared)

    with {:ok, socket} <- accept(port, left(deadline), shared),
         {:ok, codec, rest} <- shared.codec.accept(socket, context),
         do: {:ok, socket, codec, rest}
  end

  defp context(remote, host, stack, deadline, shared),
    do: %{shared: shared, stack: stack, remote: remote, host: host, deadline: deadline}

  defp accept(port, _timeout, %{tls: false}), do: {:ok, {port, nil}}

  defp accept(port, timeout, shared) do
    options = Credentials.server_options(shared.table)

    case :ssl.handshake(port, options, timeout) do
      {:ok, tls} -> {:ok, {port, tls}}
      {:error, reason} -> failed(port, reason)
    end
  end

  @doc """
  A connection to a peer, who for TLS has to be `host`: by RFC 5922 §7, for WebSocket by the rules of HTTPS (RFC 9110 §4.3.4).

  `:connect_timeout` is for all of it, a proxy's part included.
  """
  @spec connect(Transport.remote(), String.t(), Stack.t(), map) ::
          {:ok, Socket.t(), Codec.t(), binary} | {:error, term}
  def connect(remote, host, stack, %{options: options} = shared) do
    deadline = now() + options.connect_timeout
    context = context(remote, host, stack, deadline, shared)

    with {:ok, port} <- open(remote, deadline, shared),
         {:ok, socket} <- secure(port, host, deadline, shared),
         {:ok, codec, rest} <- shared.codec.connect(socket, context),
         do: {:ok, socket, codec, rest}
  end

  defp now, do: System.monotonic_time(:millisecond)
  defp left(deadline), do: max(deadline - now(), 0)

  defp open({ip, port}, deadline, %{address: {bound, _port}, options: %{proxy: nil} = options}),
    do: :gen_tcp.connect(ip, port, Socket.connect_options(ip, bound, options), left(deadline))

  defp open(remote, deadline, %{address: {bound, _port}, options: %{proxy: proxy} = options}),
    do: Proxy.connect(proxy, remote, bound, options, deadline)

  defp secure(socket, _host, _deadline, %{tls: false}), do: {:ok, {socket, nil}}

  defp secure(socket, host, deadline, shared) do
    name = Identity.normalize(host)

    with {:ok, options} <- Credentials.client_options(shared.table, name),
         {:ok, tls} <- :ssl.connect(socket, options, left(deadline)),
         :ok <- verify(tls, name, shared) do
      {:ok, {socket, tls}}
    else
      {:error, reason} -> failed(socket, reason)
    end
  end

  # The chain was verified in the handshake. Of its end the name is, before a byte of SIP is sent.
  defp verify(tls, name, %{table: table, protocol: protocol}) do
    if Credentials.verify?(table) do
      with {:ok, certificate} <- :ssl.peercert(tls),
           do: Identity.verify(certificate, name, if(protocol == :wss, do: :https, else: :sip))
    else
      :ok
    end
  end

  defp failed(socket, reason) do
    Socket.abort(socket)
    {:error, reason(reason)}
  end

  @doc "The words of :ssl without its prose."
  @spec reason(term) :: term
  def reason({:tls_alert, {name, _text}}), do: {:tls_alert, name}
  def reason(:closed), do: :connection_closed
  def reason(other), do: other
end
