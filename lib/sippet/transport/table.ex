defmodule Sippet.Transport.Table do
  # The transports of a stack: a table that everyone reads, and the process that writes it and watches their processes.
  # The table belongs to the stack's supervisor, so that it outlives this process.
  @moduledoc false

  use GenServer

  alias Sippet.{Flow, Stack, Transport}
  alias Sippet.Transaction.Delivery

  @later_ms 1_000

  @spec start_link(Stack.t()) :: GenServer.on_start()
  def start_link(stack), do: GenServer.start_link(__MODULE__, stack, name: name(stack))

  @doc "Adds the calling process's transport."
  @spec register(Stack.t(), keyword) :: {:ok, Transport.t()}
  def register(stack, attributes) do
    attributes = Keyword.put_new(attributes, :pid, self())
    GenServer.call(name(stack), {:register, attributes})
  end

  @doc "Monitors this process."
  @spec monitor(Stack.t()) :: reference
  def monitor(stack), do: Process.monitor(GenServer.whereis(name(stack)))

  @doc "All of them, oldest first."
  @spec all(Stack.t()) :: [Transport.t()]
  def all(stack) do
    case lookup(stack, :all) do
      [{:all, transports}] -> transports
      [] -> []
    end
  end

  @doc "The one of this number."
  @spec fetch(Stack.t(), non_neg_integer) :: {:ok, Transport.t()} | :error
  def fetch(stack, id) do
    case lookup(stack, id) do
      [{_id, transport}] -> {:ok, transport}
      [] -> :error
    end
  end

  @doc """
  Has the core told when the calling process ends, which is that of the flow's transport: however it ends, since it may not come to
  say so itself.
  """
  @spec keep(Stack.t(), Flow.t()) :: :ok
  def keep(stack, flow) do
    :ets.insert(stack.transports, {{:kept, self(), flow}})
    :ok
  rescue
    # The stack has ended; what is kept is told to the next one.
    ArgumentError -> :ok
  end

  @doc "No longer."
  @spec release(Stack.t(), Flow.t()) :: :ok
  def release(stack, flow) do
    :ets.delete(stack.transports, {:kept, self(), flow})
    :ok
  rescue
    ArgumentError -> :ok
  end

  @doc "Has the core told in a while that a flow is closed; and again, until there is a process for it."
  @spec tell_later(Stack.t(), Flow.t(), reason :: term) :: :ok
  def tell_later(stack, flow, reason) do
    _timer =
      with pid when is_pid(pid) <- GenServer.whereis(name(stack)),
           do: Process.send_after(pid, {:flow_closed, flow, reason}, @later_ms)

    :ok
  rescue
    # The stack has ended: there is nobody to tell.
    ArgumentError -> :ok
  end

  defp name(stack), do: {:via, Registry, {stack.name, __MODULE__}}

  # Where the stack has ended there is no table either.
  defp lookup(stack, key) do
    :ets.lookup(stack.transports, key)
  rescue
    ArgumentError -> []
  end

  @impl true
  def init(stack) do
    # Where the Clock was dead when the supervisor gave up, it is this process that closes the stack.
    Process.flag(:trap_exit, true)
    # After a crash of this process the transports are still there.
    for transport <- all(stack), do: Process.monitor(transport.pid)
    {:ok, stack}
  end

  @impl true
  def handle_call({:register, attributes}, _from, stack) do
    protocol = Keyword.fetch!(attributes, :protocol)
    address = Keyword.get(attributes, :address)
    pid = Keyword.fetch!(attributes, :pid)

    module = Keyword.fetch!(attributes, :module)

    transport = %Transport{
      id: id(stack, Keyword.get(attributes, :key, {protocol, address})),
      sippet: stack.name,
      module: module,
      handle: Keyword.fetch!(attributes, :handle),
      protocol: protocol,
      reliable: Keyword.fetch!(attributes, :reliable),
      address: address,
      pid: pid,
      force_rport: Keyword.get(attributes, :force_rport, false),
      alias: Keyword.get(attributes, :alias, false),
      connections: Code.ensure_loaded?(module) and function_exported?(module, :connect, 3),
      proxy: Keyword.get(attributes, :proxy)
    }

    Process.monitor(pid)
    others = Enum.reject(all(stack), &(&1.id == transport.id))
    write(stack, Enum.sort_by([transport | others], & &1.id))
    :ets.insert(stack.transports, {transport.id, transport})
    {:reply, {:ok, transport}, stack}
  end

  @impl true
  def handle_info({:DOWN, _reference, :process, pid, reason}, stack) do
    {gone, left} = Enum.split_with(all(stack), &(&1.pid == pid))
    write(stack, left)

    for transport <- gone do
      :ets.delete(stack.transports, transport.id)
      :ets.delete(stack.transports, {:key, {transport.protocol, pid}})
    end

    _ = tell_core(stack, pid, reason)
    {:noreply, stack}
  end

  def handle_info({:flow_closed, flow, reason}, stack) do
    Delivery.flow_closed(stack, flow, reason)
    {:noreply, stack}
  end

  # The registry has died, and with it the name of this process.
  def handle_info({:EXIT, _registry, reason}, stack), do: {:stop, reason, stack}
  def handle_info(_other, stack), do: {:noreply, stack}

  @impl true
  def terminate(reason, stack), do: Stack.close(stack, reason)

  # Of the flows that somebody relied on.
  defp tell_core(stack, pid, reason) do
    why = if reason == :shutdown or match?({:shutdown, _}, reason), do: :shutdown, else: :killed

    for {{:kept, ^pid, flow} = key} <- :ets.match_object(stack.transports, {{:kept, pid, :_}}) do
      :ets.delete(stack.transports, key)
      Delivery.flow_closed(stack, flow, why)
    end
  end

  defp write(stack, transports), do: :ets.insert(stack.transports, {:all, transports})

  # Numbers are kept for good, but for those of a transport whose key holds its process, which never comes again.
  defp id(stack, key) do
    case :ets.lookup(stack.transports, {:key, key}) do
      [{_key, id}] ->
        id

      [] ->
        id = :ets.update_counter(stack.transports, :last_id, 1, {:last_id, 0})
        :ets.insert(stack.transports, {{:key, key}, id})
        id
    end
  end
end
