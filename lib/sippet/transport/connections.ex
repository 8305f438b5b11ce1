defmodule Sippet.Transport.Connections do
  # The connections of a transport: a table that everyone reads, and the process that starts them, keeps them to their
  # limits and is told of their ends. The table belongs to the transport's supervisor, so that it outlives this process. In
  # it are
  #
  #     {number, pid, queued bytes, overflows, remote, key, names, aliases}    an open connection; it writes this itself
  #     {{:to, key}, number}                          by which one a request to a destination leaves
  #     {:manager, pid}, {:supervisor, pid}, {:counters, reference}, {:tls, configuration}
  #
  # The names are those in the peer's certificate, aliases the destinations that the connection stands for besides its key
  # (RFC 5923). Numbers are never used again, so that a flow never leads to another peer.
  @moduledoc false

  use GenServer

  alias Sippet.{Flow, Message, Transport, TransportError}
  alias Sippet.Routing.Responses
  alias Sippet.Telemetry.Report
  alias Sippet.Transaction.Delivery
  alias Sippet.Transport.{Attachment, Connection, Identity, Proxy}

  @counters [
    :accepted,
    :connected,
    :refused_connections,
    :refused_by_peer_limit,
    :accept_errors,
    :handshake_failures,
    :connect_failures,
    :broken_streams,
    :message_timeouts,
    :idle_timeouts,
    :keep_alive_failures,
    :slow_readers,
    :pings,
    :http_requests,
    :redirected_responses,
    :aliases
  ]

  # A caller waits a little longer than what it waits for may take.
  @grace_ms 1_000

  # How many may wait for one connection to be made.
  @max_waiting 1_000

  # For how many destinations a connection of a peer's may stand.
  @max_aliases 64

  @typedoc "What a transport's module needs to send: the table, and what its callers must know of the options."
  @type handle ::
          {:ets.tid(), send_queue_bytes :: pos_integer, connect_timeout :: pos_integer,
           verified :: boolean}

  @typedoc "What connections to one destination share: its address, and for TLS the name that was verified."
  @type key :: Transport.remote() | {Transport.remote(), String.t()} | nil

  # connections: by pid, %{number, remote, network, key, waiting}, waiting being :open or who waits for it to be.
  @enforce_keys [:shared, :attachment]
  defstruct @enforce_keys ++ [connections: %{}, connecting: %{}, peers: %{}]

  @doc "The table of a transport, of the calling process."
  @spec new_table() :: :ets.tid()
  def new_table do
    table =
      :ets.new(:sippet_connections, [:public, read_concurrency: true, write_concurrency: true])

    :ets.insert(table, {:counters, :counters.new(length(@counters), [:write_concurrency])})
    table
  end

  @doc "Adds one to a counter."
  @spec count(:ets.tid(), atom) :: :ok
  for {name, index} <- Enum.with_index(@counters, 1) do
    def count(table, unquote(name)),
      do: :counters.add(:ets.lookup_element(table, :counters, 2), unquote(index), 1)
  end

  @doc "All counters."
  @spec counters(:ets.tid()) :: %{atom => non_neg_integer}
  def counters(table) do
    counters = :ets.lookup_element(table, :counters, 2)

    for {name, index} <- Enum.with_index(@counters, 1),
        into: %{},
        do: {name, :counters.get(counters, index)}
  end

  @doc """
  Hands the bytes of one message to the process of a connection. Never blocks.

  A response whose connection is closed goes to `remote` by another one (§18.2.2); nowhere where that is nil.
  """
  @spec transmit(handle, pos_integer, Transport.remote() | nil, binary, Transport.transaction()) ::
          :ok | {:error, term}
  def transmit(handle, connection, remote, data, transaction) do
    case enqueue(handle, connection, {:transmit, remote, data, transaction}) do
      {:error, :connection_closed} -> redirect(handle, remote, data, transaction)
      other -> other
    end
  end

  # The bytes are counted before they are there. What has no remote is not redirected a second time.
  defp enqueue({table, most, _, _}, connection, {:transmit, _remote, data, _} = message) do
    size = byte_size(data)
    queued = :ets.update_counter(table, connection, {3, size})
    pid = :ets.lookup_element(table, connection, 2)

    if queued <= most or queued == size do
      Kernel.send(pid, message)
      :ok
    else
      # However many find it full, its process is told once.
      [_queued, overflows] = :ets.update_counter(table, connection, [{3, -size}, {4, 1}])
      if overflows == 1, do: Kernel.send(pid, :overflow)
      {:error, :send_queue_full}
    end
  rescue
    ArgumentError -> {:error, :connection_closed}
  end

  @doc """
  A message that a connection could not send any more: a response goes by another one, any other has failed. Never blocks.
  """
  @spec redirect(handle, Transport.remote() | nil, binary, Transport.transaction()) ::
          :ok | {:error, term}
  def redirect(_handle, nil, _data, _transaction), do: {:error, :connection_closed}

  def redirect({table, _, _, verified}, remote, <<"SIP/", _::binary>> = data, transaction) do
    case :ets.lookup(table, :manager) do
      [{:manager, manager}] ->
        name = if verified, do: sent_by(data), else: ""
        GenServer.cast(manager, {:redirect, remote, name, data, transaction})

      [] ->
        {:error, :transport_closed}
    end
  rescue
    ArgumentError -> {:error, :transport_closed}
  end

  def redirect(_handle, _remote, _request, _transaction), do: {:error, :connection_closed}

  # Who is to be at the other end of the new connection.
  defp sent_by(data) do
    case Message.parse(data) do
      {:ok, %{headers: %{via: [{_version, _protocol, {host, _port}, _parameters} | _]}}} -> host
      _ -> ""
    end
  end

  @doc "The number of an open connection to a destination, else of a new one. Blocks while that is made."
  @spec connect(handle, Transport.remote(), String.t()) :: {:ok, pos_integer} | {:error, term}
  def connect({table, _, connect_timeout, verified}, remote, host) do
    key = key(remote, host, verified)

    case :ets.lookup(table, {:to, key}) do
      [{_key, number}] ->
        {:ok, number}

      [] ->
        manager = :ets.lookup_element(table, :manager, 2)
        GenServer.call(manager, {:connect, remote, host}, connect_timeout + @grace_ms)
    end
  rescue
    ArgumentError -> {:error, :transport_closed}
  catch
    :exit, {:timeout, _call} -> {:error, :timeout}
    :exit, _reason -> {:error, :transport_closed}
  end

  defp key(remote, _host, false), do: remote
  defp key(remote, host, true), do: {remote, Identity.normalize(host)}

  @doc "Whether a connection is open."
  @spec connected?(handle, pos_integer) :: boolean
  def connected?({table, _, _, _}, connection) do
    :ets.member(table, connection)
  rescue
    ArgumentError -> false
  end

  @doc "Has a connection's process keep it alive, by these options. Never blocks."
  @spec keep_alive(handle, pos_integer, map) :: :ok | {:error, :connection_closed}
  def keep_alive({table, _, _, _}, connection, options) do
    Kernel.send(:ets.lookup_element(table, connection, 2), {:keep_alive, options})
    :ok
  rescue
    ArgumentError -> {:error, :connection_closed}
  end

  @doc "The address of a connection's peer; nil where it is closed."
  @spec peer(handle, pos_integer) :: Transport.remote() | nil
  def peer({table, _, _, _}, connection) do
    :ets.lookup_element(table, connection, 5)
  rescue
    ArgumentError -> nil
  end

  @doc "The verified names of a connection's peer, as text; none where it is closed."
  @spec peer_names(handle, pos_integer) :: [String.t()]
  def peer_names({table, _, _, _}, connection) do
    table |> :ets.lookup_element(connection, 7) |> Enum.map(&Identity.text/1)
  rescue
    ArgumentError -> []
  end

  @doc "Has requests to these destinations take a connection, where they have no other."
  @spec put_aliases(:ets.tid(), pos_integer, [key]) :: :ok
  def put_aliases(table, number, destinations) do
    present = aliases(table, number)
    new = destinations -- present

    if new != [] and length(present) + length(new) <= @max_aliases do
      # In this order, so that none is left behind.
      _ = :ets.update_element(table, number, {8, new ++ present})
      count(table, :aliases)
    end

    # One that had another connection, which is closed by now, has this one.
    for destination <- destinations,
        destination in aliases(table, number),
        do: :ets.insert_new(table, {{:to, destination}, number})

    :ok
  end

  @doc "The destinations that a connection was given besides its key."
  @spec aliases(:ets.tid(), pos_integer) :: [key]
  def aliases(table, number) do
    :ets.lookup_element(table, number, 8)
  rescue
    ArgumentError -> []
  end

  @doc "A process for a connection that was accepted; it waits for `{:socket, socket}`. Waits for one as long as it takes."
  @spec accept(:ets.tid(), Transport.remote()) :: {:ok, pid} | {:error, term}
  def accept(table, remote) do
    # Meanwhile the system keeps those that come after it, up to the transport's backlog.
    GenServer.call(:ets.lookup_element(table, :manager, 2), {:accept, remote}, :infinity)
  catch
    # It is being started again, or the transport stops.
    :exit, _reason ->
      count(table, :accept_errors)
      {:error, :transport_closed}

    :error, :badarg ->
      {:error, :transport_closed}
  end

  @doc "Starts the supervisor of connections."
  @spec start_supervisor(:ets.tid()) :: Supervisor.on_start()
  def start_supervisor(table) do
    with {:ok, pid} <- DynamicSupervisor.start_link(strategy: :one_for_one) do
      :ets.insert(table, {:supervisor, pid})
      {:ok, pid}
    end
  end

  @spec start_link(map) :: GenServer.on_start()
  def start_link(shared), do: GenServer.start_link(__MODULE__, shared)

  @impl true
  def init(shared) do
    # To close the listening socket before the connections.
    Process.flag(:trap_exit, true)
    :ets.insert(shared.table, {:manager, self()})

    state = %__MODULE__{
      shared: shared,
      attachment: Attachment.new(shared.options.name, attributes(shared))
    }

    {:ok, adopt(state)}
  end

  defp attributes(shared) do
    {ip, port} = shared.address
    %{send_queue_bytes: most, connect_timeout: connect_timeout} = shared.options

    [
      module: shared.module,
      handle: {shared.table, most, connect_timeout, shared.tls},
      # Started again, a transport with a fixed address is the same one.
      key:
        if(shared.options.port == 0,
          do: {shared.protocol, shared.pid},
          else: {shared.protocol, ip, port}
        ),
      pid: shared.pid,
      protocol: shared.protocol,
      reliable: true,
      address: shared.address,
      alias: Map.get(shared.options, :alias, false),
      proxy: Proxy.resolve(shared.options.proxy)
    ]
  end

  # After a crash of this process: open connections stay, those on their way have nobody left to tell.
  defp adopt(%{shared: %{table: table}} = state) do
    open =
      for {number, pid, _queued, _overflows, remote, key, _names, _aliases} <-
            :ets.tab2list(table),
          is_integer(number),
          do: {pid, %{number: number, remote: remote, key: key, waiting: :open}}

    supervisor = :ets.lookup_element(table, :supervisor, 2)
    pids = Enum.map(open, &elem(&1, 0))

    for {_id, pid, _type, _modules} <- DynamicSupervisor.which_children(supervisor),
        pid not in pids,
        do: Process.exit(pid, :kill)

    open
    |> Enum.reduce(state, fn {pid, entry}, state -> watch(state, pid, entry) end)
    |> broadcast()
  end

  defp watch(state, pid, entry) do
    Process.monitor(pid)
    network = network(entry.remote)

    %{
      state
      | connections: Map.put(state.connections, pid, Map.put(entry, :network, network)),
        peers: Map.update(state.peers, network, 1, &(&1 + 1))
    }
  end

  @doc "Whom the limit of connections per peer is for: an IPv4 address, the /64 of an IPv6 one, a name."
  @spec network(Transport.remote()) :: tuple
  def network({{a, b, c, d, _, _, _, _}, _port}), do: {a, b, c, d, :"64"}
  def network({ip, _port}), do: ip

  @impl true
  def handle_call({:accept, remote}, _from, state) do
    # With TLS it is a way to a name only when its peer has shown that it has it (Sippet.Transport.Alias).
    key = if state.shared.tls, do: nil, else: remote

    case start(state, :accept, %{remote: remote, key: key, waiting: []}) do
      {:ok, pid, state} -> {:reply, {:ok, pid}, state}
      {:error, reason} -> {:reply, {:error, reason}, state}
    end
  end

  def handle_call({:connect, remote, host}, from, state),
    do: {:noreply, await(state, remote, host, {:call, from})}

  def handle_call(:info, _from, %{shared: shared} = state) do
    info = %{
      address: shared.address,
      connections: map_size(state.connections),
      counters: counters(shared.table)
    }

    {:reply, info, state}
  end

  def handle_call(:shared, _from, state), do: {:reply, state.shared, state}

  @impl true
  def handle_cast({:redirect, remote, name, data, transaction}, %{shared: shared} = state) do
    if Proxy.resolve(shared.options.proxy) == :remote,
      # Behind a name the address is that of the proxy.
      do: {:noreply, report(state, transaction, :connection_closed)},
      else: redirect(state, remote, name, data, transaction)
  end

  defp redirect(state, remote, name, data, transaction) do
    count(state.shared.table, :redirected_responses)
    {:noreply, await(state, remote, name, {:redirect, remote, data, transaction})}
  end

  # Lets somebody wait for a connection to a destination, which is made if nobody else has begun to.
  defp await(%{shared: shared} = state, remote, host, who) do
    key = key(remote, host, shared.tls)

    case {:ets.lookup(shared.table, {:to, key}), state.connecting} do
      {[{_key, number}], _connecting} ->
        done(state, number, who)

      {[], %{^key => pid}} ->
        waiting = state.connections[pid].waiting

        if length(waiting) < @max_waiting,
          do: put_in(state.connections[pid].waiting, [who | waiting]),
          else: failed(state, :send_queue_full, who)

      {[], _connecting} ->
        case start(state, {:connect, host}, %{remote: remote, key: key, waiting: [who]}) do
          {:ok, pid, state} -> put_in(state.connecting[key], pid)
          {:error, reason} -> failed(state, reason, who)
        end
    end
  end

  defp start(%{shared: shared} = state, how, %{remote: remote} = entry) do
    cond do
      map_size(state.connections) >= shared.options.max_connections ->
        count(shared.table, :refused_connections)
        Report.limit(state.attachment.stack, :max_connections)
        {:error, :too_many_connections}

      Map.get(state.peers, network(remote), 0) >= shared.options.max_connections_per_peer ->
        count(shared.table, :refused_by_peer_limit)
        Report.limit(state.attachment.stack, :max_connections_per_peer)
        {:error, :too_many_connections}

      true ->
        entry = Map.put(entry, :number, System.unique_integer([:positive, :monotonic]))
        %{stack: stack, transport: transport} = state.attachment
        connection = {shared, stack, transport, Map.delete(entry, :waiting)}
        supervisor = :ets.lookup_element(shared.table, :supervisor, 2)

        case DynamicSupervisor.start_child(supervisor, {Connection, connection}) do
          {:ok, pid} ->
            state = watch(state, pid, entry)
            # Not before it is watched: a peer may refuse at once.
            Kernel.send(pid, how)
            {:ok, pid, state}

          # The VM has no process left.
          {:error, _system_limit} ->
            count(shared.table, :refused_connections)
            Report.limit(state.attachment.stack, :max_processes)
            {:error, :too_many_connections}
        end
    end
  end

  defp done(state, number, {:call, from}) do
    GenServer.reply(from, {:ok, number})
    state
  end

  defp done(state, number, {:redirect, _remote, data, transaction}) do
    message = {:transmit, nil, data, transaction}

    case enqueue(state.attachment.transport.handle, number, message) do
      :ok -> state
      {:error, reason} -> report(state, transaction, reason)
    end
  end

  defp failed(state, reason, {:call, from}) do
    GenServer.reply(from, {:error, reason})
    state
  end

  # There is one way more (RFC 3263 §5).
  defp failed(state, reason, {:redirect, remote, data, transaction}) do
    %{stack: stack, transport: transport} = state.attachment
    Responses.retry(stack, transport, remote, data, transaction, reason)
    state
  end

  defp report(state, transaction, reason) do
    Connection.report(state.attachment.stack, transaction, reason)
    state
  end

  @impl true
  def handle_info({:open, pid, number, remote}, state) do
    case state.connections do
      %{^pid => %{waiting: waiting, key: key} = entry} when is_list(waiting) ->
        state = put_in(state.connections[pid], %{entry | waiting: :open, remote: remote})
        state = %{state | connecting: Map.delete(state.connecting, key)}
        {:noreply, waiting |> Enum.reverse() |> Enum.reduce(state, &done(&2, number, &1))}

      _ended ->
        {:noreply, state}
    end
  end

  def handle_info({:DOWN, monitor, :process, _, _}, %{attachment: %{monitor: monitor}} = state),
    do: attached(Attachment.lost(state.attachment), state)

  def handle_info({:DOWN, _monitor, :process, pid, reason}, state) do
    case Map.pop(state.connections, pid) do
      {nil, _connections} ->
        {:noreply, state}

      {entry, connections} ->
        {:noreply, ended(%{state | connections: connections}, pid, entry, reason)}
    end
  end

  def handle_info({:await_stack, deadline}, state),
    do: attached(Attachment.renew(state.attachment, deadline), state)

  def handle_info(_other, state), do: {:noreply, state}

  defp ended(%{shared: shared} = state, pid, entry, reason) do
    # It has done so itself unless it was killed.
    _ = Connection.forget(shared.table, entry.number, entry.key)
    %{network: network} = entry

    peers =
      case state.peers do
        %{^network => 1} -> Map.delete(state.peers, network)
        peers -> Map.update!(peers, network, &(&1 - 1))
      end

    connecting =
      if match?(%{key: key} when :erlang.map_get(key, state.connecting) == pid, entry),
        do: Map.delete(state.connecting, entry.key),
        else: state.connecting

    state = %{state | peers: peers, connecting: connecting}

    case {entry.waiting, reason} do
      {:open, {:shutdown, {:unused, _why}}} -> state
      {:open, {:shutdown, {:used, why}}} -> tell_core(state, entry, why)
      # When a transport stops this process is the first to go: connections then tell it themselves.
      {:open, :shutdown} -> state
      {:open, _killed} -> tell_core(state, entry, :killed)
      {waiting, {:shutdown, why}} -> Enum.reduce(waiting, state, &failed(&2, why, &1))
      {waiting, _killed} -> Enum.reduce(waiting, state, &failed(&2, :connection_closed, &1))
    end
  end

  defp tell_core(state, entry, why) do
    %{stack: stack, transport: transport} = state.attachment
    flow = %Flow{transport: transport.id, connection: entry.number, remote: entry.remote}
    Delivery.flow_closed(stack, flow, why)
    state
  end

  defp attached({:ok, attachment}, state),
    do: {:noreply, broadcast(%{state | attachment: attachment})}

  defp attached(:wait, state), do: {:noreply, state}

  defp attached(:gone, %{shared: shared} = state) do
    {ip, port} = shared.address
    error = %TransportError{reason: :no_stack, protocol: shared.protocol, address: ip, port: port}
    {:stop, {:shutdown, error}, state}
  end

  defp broadcast(%{attachment: %{stack: stack, transport: transport}} = state) do
    for {pid, _entry} <- state.connections,
        do: Kernel.send(pid, {:attached, stack, transport})

    state
  end

  # The supervisor stops the connections after this process: from now on there are no new ones.
  @impl true
  def terminate(:shutdown, %{shared: shared}), do: :gen_tcp.close(shared.listener)
  def terminate(_reason, _state), do: :ok
end
