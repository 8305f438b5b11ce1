defmodule Sippet.Transport.Handshake do
  # What makes a socket a connection: nothing more for TCP, the handshake and the name of the peer for TLS. Runs in the
  # process of the connection, so that nobody else waits for a peer that takes its time.
  @moduledoc false

  alias Sippet.Transport.{Credentials, Identity, Socket}

  @doc "A connection that was accepted."
  @spec accept(port, map) :: {:ok, Socket.t()} | {:error, term}
  def accept(port, %{tls: false}), do: {:ok, {port, nil}}

  def accept(port, shared) do
    options = Credentials.server_options(shared.table)

    case :ssl.handshake(port, options, shared.options.handshake_timeout) do
      {:ok, tls} -> {:ok, {port, tls}}
      {:error, reason} -> failed(port, reason)
    end
  end

  @doc """
  A connection to a peer, who for TLS has to be `host` (RFC 5922 §7).

  `:connect_timeout` is for all of it.
  """
  @spec connect({:inet.ip_address(), :inet.port_number()}, String.t(), map) ::
          {:ok, Socket.t()} | {:error, term}
  def connect({ip, port}, host, %{options: options} = shared) do
    deadline = System.monotonic_time(:millisecond) + options.connect_timeout

    with {:ok, socket} <-
           :gen_tcp.connect(ip, port, socket_options(shared), options.connect_timeout),
         do: secure(socket, host, deadline, shared)
  end

  # From the address that the transport is bound to, if it is a certain one.
  defp socket_options(%{address: {ip, _port}, options: options}) do
    bound = if ip in [{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}], do: [], else: Socket.bound(ip)
    bound ++ Socket.options(ip, options)
  end

  defp secure(socket, _host, _deadline, %{tls: false}), do: {:ok, {socket, nil}}

  defp secure(socket, host, deadline, shared) do
    name = Identity.normalize(host)
    left = max(deadline - System.monotonic_time(:millisecond), 0)

    with {:ok, options} <- Credentials.client_options(shared.table, name),
         {:ok, tls} <- :ssl.connect(socket, options, left),
         :ok <- verify(tls, name, shared.table) do
      {:ok, {socket, tls}}
    else
      {:error, reason} -> failed(socket, reason)
    end
  end

  # The chain was verified in the handshake. Of its end the name is, before a byte of SIP is sent.
  defp verify(tls, name, table) do
    if Credentials.verify?(table) do
      with {:ok, certificate} <- :ssl.peercert(tls), do: Identity.verify(certificate, name)
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
