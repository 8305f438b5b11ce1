defmodule Sippet.Sim.Server do
  # The state of a simulation: its stacks, its time, what is under way. It never waits for anyone: what is to happen it hands
  # to the process that moves the time (Sippet.Sim.Driver), one thing after another.
  @moduledoc false

  use GenServer

  alias Sippet.{Native, Stack}
  alias Sippet.Sim.{Link, Mailbox, Node, Rest, Transmission}

  # What comes to an end takes fewer steps at one instant, and less than a day until nothing is left.
  @most_at_once 50_000
  @longest_ms 86_400_000

  @enforce_keys [:seed, :link, :limit_ms]
  defstruct @enforce_keys ++
              [
                now: 0,
                begun_at: 0,
                at_once: 0,
                serial: 0,
                nodes: %{},
                names: [],
                addresses: %{},
                hosts: %{},
                arrivals: :gb_trees.empty(),
                ready: :queue.new(),
                waiting: %{},
                sent: [],
                drive: nil,
                rest: %Rest{},
                testers: MapSet.new(),
                roots: MapSet.new(),
                roots_version: 0
              ]

  @type sim :: GenServer.server()

  @typedoc "What the driver is to do next, or why it is to stop."
  @type step ::
          {:run, Stack.t(), address :: non_neg_integer, mailbox :: pid | nil}
          | {:wake, reference, runner :: pid | nil}
          | {:deliver, Stack.t(), Sippet.Transport.t(), non_neg_integer, tuple, binary}
          | {:tick, Stack.t()}
          | :look_again
          | {:done, now :: non_neg_integer}
          | {:endless, String.t()}

  ## For Sippet.Sim

  @spec start_link(map, keyword) :: GenServer.on_start()
  def start_link(options, names), do: GenServer.start_link(__MODULE__, options, names)

  @doc "A question or an order of the test's."
  @spec call(sim, term) :: term
  def call(sim, request) do
    case GenServer.call(sim, request, :infinity) do
      {:raise, kind, message} -> raise kind, message
      answer -> answer
    end
  end

  ## For the stacks, in whatever process

  @doc "Something that a stack wants done in another process than the calling one."
  @spec ready(pid, {:run, Stack.t(), non_neg_integer} | {:wake, reference}) :: :ok
  def ready(sim, what), do: tell(sim, {:ready, what, Mailbox.runner?()})

  @doc "The time, in milliseconds."
  @spec now(pid) :: non_neg_integer
  def now(sim), do: GenServer.call(sim, :now, :infinity)

  @doc "The calling process waits for the response to a request, until it is woken: at the latest by its deadline."
  @spec wait(pid, reference, non_neg_integer | :infinity) :: :ok | :expired
  def wait(sim, caller, deadline), do: tell(sim, {:wait, caller, deadline, Mailbox.runner?()})

  @doc "It waits no more."
  @spec forget(pid, reference) :: :ok
  def forget(sim, caller), do: tell(sim, {:forget, caller})

  @doc "Raises in the process of a test, which would wait for itself."
  @spec admit!(pid) :: :ok
  def admit!(sim) do
    if GenServer.call(sim, :tester?, :infinity) do
      raise "Sippet.request/3 was called by a process that moves the time of its simulation: it would wait for ever. Call it in a Task."
    end

    :ok
  end

  @doc "A message of a stack's enters the link."
  @spec transmit(pid, {atom, atom, non_neg_integer, tuple, binary}) :: :ok | {:error, atom}
  def transmit(sim, message) do
    GenServer.call(sim, {:transmit, message, Mailbox.runner?()}, :infinity)
  catch
    :exit, _reason -> {:error, :closed}
  end

  @doc "The address of a host by its name."
  @spec resolve(pid, String.t()) :: {:ok, :inet.ip_address()} | {:error, :nxdomain}
  def resolve(sim, host), do: GenServer.call(sim, {:resolve, host}, :infinity)

  # What a simulation that has ended is not told does no harm.
  defp tell(sim, what) do
    GenServer.call(sim, what, :infinity)
  catch
    :exit, _reason -> :ok
  end

  ## For the driver

  @doc "The calling process drives from now on, and is told by its alias who waits: `{alias, :parked, pid}`."
  @spec begin(sim, reference) :: %{limit_ms: pos_integer, now: non_neg_integer, rest: Rest.t()}
  def begin(sim, alias), do: call(sim, {:begin, alias})

  @doc "It does no more; which processes there are the next one may want to know."
  @spec finish(sim, Rest.t()) :: :ok
  def finish(sim, rest), do: tell(sim, {:finish, rest})

  @doc "What is to be done next, until this time or, with `:ready`, without the time, the link and the timers."
  @spec next(sim, non_neg_integer | :infinity | :ready) :: step
  def next(sim, until), do: GenServer.call(sim, {:next, until}, :infinity)

  @doc "The processes that work may be left to, as names or pids, if that has changed."
  @spec roots(sim, integer) :: :same | {integer, [GenServer.server()]}
  def roots(sim, version), do: GenServer.call(sim, {:roots, version}, :infinity)

  ## The process

  @impl true
  def init(options) do
    # Its stacks are linked to it, and end with it in good order.
    Process.flag(:trap_exit, true)

    {:ok,
     %__MODULE__{
       seed: options.seed,
       link: Link.new(options.seed, options.link),
       limit_ms: options.limit_ms
     }}
  end

  @impl true
  def handle_call({:add_stack, name, options}, {pid, _tag}, state) do
    number = map_size(state.nodes) + 1
    {node, options} = Node.validate!(number, name, options)
    :ok = check_free!(state, node)

    case Node.start(node, options, seed(state, number)) do
      {:ok, node} ->
        :ok = Native.engine_set_time(node.stack.engine, state.now)
        {:reply, :ok, state |> tester(pid) |> add(node)}

      {:error, reason} ->
        refuse(state, ArgumentError, "#{inspect(name)} cannot be started: #{inspect(reason)}")
    end
  rescue
    error in ArgumentError -> refuse(state, ArgumentError, Exception.message(error))
  end

  def handle_call({:link, pairs, what}, {pid, _tag}, state) do
    link =
      Enum.reduce(pairs, state.link, fn {from, to}, link ->
        pair = {fetch!(state, from).number, fetch!(state, to).number}

        case what do
          {:put, options} -> Link.put(link, pair, options)
          {:cut, reason} -> Link.cut(link, pair, reason)
          :heal -> Link.heal(link, pair)
        end
      end)

    {:reply, :ok, tester(%{state | link: link}, pid)}
  rescue
    error in ArgumentError -> refuse(state, ArgumentError, Exception.message(error))
  end

  def handle_call({:track, process}, _from, state), do: {:reply, :ok, root(state, process)}
  def handle_call(:messages, _from, state), do: {:reply, Enum.reverse(state.sent), state}

  def handle_call(:names, _from, state), do: {:reply, state.names, state}
  def handle_call(:now, _from, state), do: {:reply, state.now, state}

  def handle_call({:ready, what, runner}, {pid, _tag}, state),
    do: {:reply, :ok, %{sender(state, pid, runner) | ready: :queue.in(what, state.ready)}}

  def handle_call({:wait, _caller, deadline, _runner}, _from, %{now: now} = state)
      when deadline <= now,
      do: {:reply, :expired, state}

  def handle_call({:wait, caller, deadline, runner}, {pid, _tag}, state) do
    with {_pid, alias, _monitor} <- state.drive, do: send(alias, {alias, :parked, pid})
    state = %{sender(state, pid, runner) | serial: state.serial + 1}
    waiting = Map.put(state.waiting, caller, {pid, deadline, runner, state.serial})
    {:reply, :ok, %{state | waiting: waiting}}
  end

  def handle_call({:forget, caller}, _from, state),
    do: {:reply, :ok, %{state | waiting: Map.delete(state.waiting, caller)}}

  def handle_call(:tester?, {pid, _tag}, state),
    do: {:reply, MapSet.member?(state.testers, pid), state}

  def handle_call({:resolve, host}, _from, state) do
    case state.hosts do
      %{^host => ip} -> {:reply, {:ok, ip}, state}
      _ -> {:reply, resolve_other(state, String.downcase(host)), state}
    end
  end

  def handle_call({:transmit, message, runner}, {pid, _tag}, state) do
    {answer, state} = send_message(sender(state, pid, runner), message)
    {:reply, answer, state}
  end

  def handle_call({:begin, alias}, {pid, _tag}, state) do
    cond do
      state.drive != nil ->
        {driver, _alias, _monitor} = state.drive

        refuse(
          state,
          RuntimeError,
          "the time of this simulation is being moved by #{inspect(driver)}: a callback, or what it calls, cannot move it too"
        )

      true ->
        state = tester(state, pid)
        monitor = Process.monitor(pid)
        answer = %{limit_ms: state.limit_ms, now: state.now, rest: state.rest}
        drive = {pid, alias, monitor}
        {:reply, answer, %{state | drive: drive, begun_at: state.now}}
    end
  end

  def handle_call({:finish, rest}, _from, %{drive: {_pid, _alias, monitor}} = state) do
    Process.demonitor(monitor, [:flush])
    {:reply, :ok, %{state | drive: nil, rest: rest}}
  end

  def handle_call({:roots, version}, _from, %{roots_version: version} = state),
    do: {:reply, :same, state}

  # The dead are told once: their children may live.
  def handle_call({:roots, _version}, _from, state) do
    alive =
      for root <- state.roots, not is_pid(root) or alive?(root), into: MapSet.new(), do: root

    {:reply, {state.roots_version, MapSet.to_list(state.roots)}, %{state | roots: alive}}
  end

  def handle_call({:next, until}, _from, state) do
    {step, state} = take_next(state, until)
    {:reply, step, state}
  end

  @impl true
  def handle_info({:DOWN, monitor, _, _, _}, %{drive: {_pid, _alias, monitor}} = state),
    do: {:noreply, %{state | drive: nil}}

  def handle_info({:EXIT, pid, reason}, state) do
    if Enum.any?(state.nodes, fn {_name, node} -> node.supervisor == pid end),
      do: {:stop, reason, state},
      else: {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state) do
    for {_name, %Node{supervisor: pid}} <- state.nodes, Process.alive?(pid) do
      Supervisor.stop(pid, :shutdown)
    end
  end

  ## Stacks

  defp refuse(state, kind, message), do: {:reply, {:raise, kind, message}, state}

  defp seed(state, number) do
    <<seed::binary-size(16), _rest::binary>> =
      :crypto.hash(:sha256, :erlang.term_to_binary({state.seed, number}))

    seed
  end

  defp check_free!(state, node) do
    if is_map_key(state.nodes, node.name) do
      raise ArgumentError, "there is a stack named #{inspect(node.name)} in this simulation"
    end

    for {protocol, port} <- node.ports, is_map_key(state.addresses, {protocol, node.ip, port}) do
      raise ArgumentError,
            "the address #{:inet.ntoa(node.ip)} port #{port} is taken in this simulation"
    end

    :ok
  end

  defp add(state, node) do
    addresses =
      for {protocol, port} <- node.ports, into: state.addresses do
        {{protocol, node.ip, port}, node.name}
      end

    hosts = for host <- node.hosts, into: state.hosts, do: {host, node.ip}
    state = %{state | addresses: addresses, hosts: hosts}
    nodes = Map.put(state.nodes, node.name, node)
    state = %{state | nodes: nodes, names: state.names ++ [node.name]}
    if node.mailbox, do: root(state, node.mailbox), else: state
  end

  defp fetch!(state, name) do
    case state.nodes do
      %{^name => node} -> node
      _ -> raise ArgumentError, "there is no stack named #{inspect(name)} in this simulation"
    end
  end

  defp resolve_other(state, host) do
    with :error <- Map.fetch(state.hosts, host), do: {:error, :nxdomain}
  end

  defp alive?(pid), do: node(pid) == node() and Process.alive?(pid)

  defp tester(state, pid), do: %{state | testers: MapSet.put(state.testers, pid)}

  # Who sends by a stack is one of those whom the core leaves work to, unless it is a runner or the test.
  defp sender(state, _pid, true), do: state

  defp sender(state, pid, false) do
    if MapSet.member?(state.testers, pid), do: state, else: root(state, pid)
  end

  defp root(%{roots: roots} = state, process) do
    if MapSet.member?(roots, process) do
      state
    else
      %{state | roots: MapSet.put(roots, process), roots_version: state.roots_version + 1}
    end
  end

  ## Messages

  defp send_message(state, {name, protocol, connection, remote, data}) do
    from = fetch!(state, name)
    {to, destination} = destination(state, protocol, connection, remote)

    {fate, link} =
      if to,
        do: travel(state, from, to, protocol),
        else: {:nowhere, state.link}

    transmission = %Transmission{
      sent_at: state.now,
      from: name,
      to: to && to.name,
      protocol: protocol,
      source: from.transports[protocol].address,
      destination: destination,
      fate: fate,
      data: data
    }

    state = %{state | link: link, sent: [transmission | state.sent]}

    case fate do
      {:arrives, times} -> {:ok, Enum.reduce(times, state, &arrive(&2, &1, to, transmission))}
      {:refused, reason} -> {{:error, reason}, state}
      :nowhere when protocol != :udp -> {{:error, :econnrefused}, state}
      _ -> {:ok, state}
    end
  end

  # A connection is known by the number of who is at its other end.
  defp destination(state, protocol, 0, {ip, port}) do
    name = Map.get(state.addresses, {protocol, ip, port})
    {name && state.nodes[name], {ip, port}}
  end

  defp destination(state, protocol, number, _remote) do
    node = state.nodes |> Map.values() |> Enum.find(&(&1.number == number))
    {node, node.transports[protocol].address}
  end

  defp travel(state, from, to, protocol) do
    Link.travel(
      state.link,
      {from.number, to.number},
      protocol,
      from.transports[protocol].reliable,
      state.now
    )
  end

  defp arrive(state, at, to, transmission) do
    serial = state.serial + 1
    arrivals = :gb_trees.insert({at, serial}, {to.name, transmission}, state.arrivals)
    %{state | serial: serial, arrivals: arrivals}
  end

  ## Steps

  # First what is owed now; then what has come by the link; then timers, of the stacks in their order; then those who wait.
  defp take_next(%{at_once: at_once, now: now} = state, _until) when at_once >= @most_at_once,
    do: {{:endless, "there are #{at_once} things to be done at #{now} ms, and no end"}, state}

  defp take_next(%{now: now} = state, :infinity) when now - state.begun_at > @longest_ms,
    do: {{:endless, "after a day there is still something to come, at #{now} ms"}, state}

  defp take_next(state, until) do
    state = %{state | at_once: state.at_once + 1}

    case :queue.out(state.ready) do
      {{:value, what}, ready} -> take_ready(%{state | ready: ready}, what)
      {:empty, _ready} when until == :ready -> {{:done, state.now}, state}
      {:empty, _ready} -> take_event(state, until)
    end
  end

  defp take_ready(state, {:run, stack, address}),
    do: {{:run, stack, address, state.nodes[stack.name].mailbox}, state}

  defp take_ready(state, {:wake, caller}) do
    case state.waiting do
      %{^caller => {pid, _deadline, true, _serial}} -> {{:wake, caller, pid}, state}
      _ -> {{:wake, caller, nil}, state}
    end
  end

  defp take_event(state, until) do
    case outlooks(state) do
      :look_again ->
        {:look_again, state}

      outlooks ->
        arrival = first_arrival(state)
        alarm = first_alarm(state)
        timer = Enum.min_by(outlooks, &elem(&1, 0), fn -> nil end)
        events = Enum.reject([arrival, timer, alarm], &is_nil/1)

        case Enum.min_by(events, &elem(&1, 0), fn -> nil end) do
          # Integers are less than atoms.
          {at, event} when at <= until -> carry_out(move(state, at), event)
          _ when until == :infinity -> {{:done, state.now}, state}
          _ -> {{:done, max(until, state.now)}, move(state, until)}
        end
    end
  end

  # When each stack wants to be looked at, or that one cannot tell yet.
  defp outlooks(state) do
    state.names
    |> Enum.reduce_while([], fn name, found ->
      node = Map.fetch!(state.nodes, name)

      case Native.engine_outlook(node.stack.engine) do
        :nothing -> {:halt, :look_again}
        :wake -> {:cont, [{state.now, {:tick, node}} | found]}
        :infinity -> {:cont, found}
        at -> {:cont, [{max(at, state.now), {:tick, node}} | found]}
      end
    end)
    |> case do
      :look_again -> :look_again
      found -> Enum.reverse(found)
    end
  end

  defp first_arrival(state) do
    unless :gb_trees.is_empty(state.arrivals) do
      {{at, _serial}, _arrival} = :gb_trees.smallest(state.arrivals)
      {at, :arrival}
    end
  end

  defp first_alarm(state) do
    alarms =
      for {caller, {_pid, at, _runner, serial}} <- state.waiting,
          is_integer(at),
          do: {{at, serial}, caller}

    with {{at, _serial}, caller} <- Enum.min(alarms, fn -> nil end), do: {at, {:alarm, caller}}
  end

  defp carry_out(state, :arrival) do
    {_at, {name, transmission}, arrivals} = :gb_trees.take_smallest(state.arrivals)
    node = Map.fetch!(state.nodes, name)
    transport = node.transports[transmission.protocol]
    connection = if transport.reliable, do: state.nodes[transmission.from].number, else: 0

    step = {:deliver, node.stack, transport, connection, transmission.source, transmission.data}

    {step, %{state | arrivals: arrivals}}
  end

  defp carry_out(state, {:tick, node}), do: {{:tick, node.stack}, state}

  # Once: it says how long it waits whenever it waits again.
  defp carry_out(state, {:alarm, caller}) do
    {pid, _deadline, runner, serial} = Map.fetch!(state.waiting, caller)
    waiting = Map.put(state.waiting, caller, {pid, :infinity, runner, serial})
    take_ready(%{state | waiting: waiting}, {:wake, caller})
  end

  defp move(%{now: now} = state, at) when at <= now, do: state

  defp move(state, at) do
    for {_name, node} <- state.nodes, do: :ok = Native.engine_set_time(node.stack.engine, at)
    %{state | now: at, at_once: 0}
  end
end
