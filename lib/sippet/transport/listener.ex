defmodule Sippet.Transport.Listener do
  # A transport over streams: the supervisor that owns its listening socket and its table of connections, so that both
  # outlive whatever fails below it.
  #
  #     Listener                 the process that the transport is known by
  #     ├─ DynamicSupervisor     a Connection each, temporary
  #     ├─ Connections           limits, the table, the part in the stack; its end for good is the transport's
  #     └─ Acceptor              several
  @moduledoc false

  use Supervisor

  alias Sippet.TransportError

  alias Sippet.Transport.{
    Acceptor,
    Connections,
    Credentials,
    Framer,
    Options,
    Proxy,
    Socket,
    WebSocket
  }

  # What processes of connections are given; keys and certificates stay in the table.
  @shared_options [
    :name,
    :port,
    :max_connections,
    :max_connections_per_peer,
    :idle_timeout,
    :connect_timeout,
    :handshake_timeout,
    :send_timeout,
    :send_queue_bytes,
    :buffer,
    :recbuf,
    :proxy,
    # Of a WebSocket.
    :paths,
    :origins,
    :http,
    :client_path,
    :ping_interval,
    # Of TLS.
    :alias
  ]

  @doc "The options of all transports over streams; `port` is the default one."
  @spec options(:inet.port_number()) :: Options.schema()
  def options(port) do
    Options.common(port) ++
      [
        {:num_acceptors, 10, :count, "processes that accept connections"},
        {:backlog, 1_024, :count, "connections that the system keeps until they are accepted"},
        {:max_connections, 16_384, :count, "connections in all, of both directions"},
        {:max_connections_per_peer, 1_024, :count,
         "connections with one peer network: an IPv4 address, or the /64 of an IPv6 address"},
        {:idle_timeout, 600_000, :patience,
         "how long a connection stays on which nothing comes or goes, not even a keep-alive; milliseconds or `:infinity`"},
        {:connect_timeout, 5_000, :milliseconds,
         "how long making a connection may take, its handshake included; `Sippet.send/2` blocks for it"},
        {:send_timeout, 15_000, :milliseconds,
         "how long a peer may leave unread, or its system unacknowledged, what it was sent"},
        {:send_queue_bytes, 1_048_576, :bytes,
         "bytes that may wait for a peer to read, and as many for its connection's process to write"},
        {:buffer, 16_384, :bytes, "bytes that are read at once"},
        {:recbuf, nil, {:optional, :bytes},
         "bytes of receive buffer of the system; by default what the system finds right"}
      ] ++ Proxy.option()
  end

  @doc """
  Starts a transport of validated options. With `credentials` it is one of TLS.

  Returns `{:error, %Sippet.TransportError{}}` where the socket cannot be opened.
  """
  @spec start_link(module, atom, keyword, Credentials.t() | nil) :: Supervisor.on_start()
  def start_link(module, protocol, options, credentials) do
    case Supervisor.start_link(__MODULE__, {module, protocol, Map.new(options), credentials}) do
      {:error, {:shutdown, %TransportError{} = error}} -> {:error, error}
      other -> other
    end
  end

  @doc "The same with TLS: reads what the options name."
  @spec start_secure_link(module, atom, keyword) :: Supervisor.on_start()
  def start_secure_link(module, protocol, options) do
    case Credentials.load(Map.new(options)) do
      {:ok, credentials} ->
        check_alias!(options, credentials)
        start_link(module, protocol, options, credentials)

      {:error, reason} ->
        {:error, error(reason, protocol, {options[:ip], options[:port]})}
    end
  end

  # RFC 5923 §6: who asks for it has to be somebody.
  defp check_alias!(options, credentials) do
    if options[:alias] == true and not Credentials.certified?(credentials) do
      raise ArgumentError,
            "expected :alias to be false, without a certificate for peers to verify"
    end
  end

  @doc "Reads again what the options of one with TLS name."
  @spec reload(Supervisor.supervisor()) :: :ok | {:error, TransportError.t()}
  def reload(transport) do
    %{table: table, protocol: protocol, address: address} = call(transport, :shared)

    with {:error, reason} <- Credentials.reload(table),
         do: {:error, error(reason, protocol, address)}
  end

  defp error(reason, protocol, {ip, port}),
    do: %TransportError{reason: reason, protocol: protocol, address: ip, port: port}

  @doc "The specification of a transport under a supervisor."
  @spec child_spec(module, keyword) :: Supervisor.child_spec()
  def child_spec(module, options) do
    %{
      id: {module, options[:name], options[:address], options[:port]},
      start: {module, :start_link, [Proxy.conceal_options(options)]},
      type: :supervisor
    }
  end

  @doc "What its connections process answers."
  @spec call(Supervisor.supervisor(), term) :: term
  def call(transport, request) do
    {_id, pid, _type, _modules} =
      transport |> Supervisor.which_children() |> List.keyfind!(Connections, 0)

    GenServer.call(pid, request)
  end

  @impl true
  def init({module, protocol, options, credentials}) do
    case open(options) do
      {:ok, listener} ->
        {:ok, address} = :inet.sockname(listener)
        table = Connections.new_table()
        if credentials, do: Credentials.put(table, credentials, options)

        shared = %{
          table: table,
          module: module,
          protocol: protocol,
          codec: codec(protocol),
          tls: credentials != nil,
          address: address,
          listener: listener,
          pid: self(),
          options: Map.take(options, @shared_options)
        }

        {:ok, {flags(), children(shared, options.num_acceptors)}}

      {:error, reason} ->
        exit({:shutdown, error(reason, protocol, {options.ip, options.port})})
    end
  end

  defp codec(protocol) when protocol in [:ws, :wss], do: WebSocket
  defp codec(_stream), do: Framer

  defp open(options),
    do: :gen_tcp.listen(options.port, Socket.listen_options(options.ip, options))

  # Where the stack stays away for good the connections process ends, and the transport with it.
  defp flags,
    do: %{strategy: :one_for_one, intensity: 10, period: 5, auto_shutdown: :any_significant}

  defp children(shared, acceptors) do
    acceptors =
      for number <- 1..acceptors,
          do:
            Supervisor.child_spec({Acceptor, {shared.listener, shared.table}},
              id: {Acceptor, number}
            )

    [
      %{
        id: DynamicSupervisor,
        start: {Connections, :start_supervisor, [shared.table]},
        type: :supervisor
      },
      %{
        id: Connections,
        start: {Connections, :start_link, [shared]},
        restart: :transient,
        significant: true
      }
    ] ++ acceptors
  end
end
