defmodule Sippet.Sim.Rest do
  # Tells when the processes that a core leaves work to have done it: when all of them wait at one instant. Whoever has a
  # message that it waits for does not wait. They are those that are named, the callbacks, the process that moves the time,
  # and whoever descends from one of these; and whomever they ask: the processes that they monitor.
  #
  # They are looked at twice. One that waits both times and has done nothing between waited all the while: so all did, at
  # any instant between the two looks. What else is to be known is found out then.
  @moduledoc false

  @items [:status, :reductions]

  # What a process spends on telling its monitors. It would need more to ask somebody something.
  @look_reductions 2

  # How often to look without a pause.
  @eager 200

  defstruct family: MapSet.new(), seen: MapSet.new(), names: [], version: -1

  @type t :: %__MODULE__{
          family: MapSet.t(pid),
          seen: MapSet.t(pid),
          names: [GenServer.server()],
          version: integer
        }

  @doc "One process more; the calling one is not waited for itself."
  @spec add(t, pid) :: t
  def add(rest, pid), do: %{rest | family: MapSet.put(rest.family, pid)}

  @doc """
  Waits until all are at rest. `roots` tells who is named, where that has changed since a version.

  Raises if it takes longer than `limit_ms`.
  """
  @spec await(t, (integer -> :same | {integer, [GenServer.server()]}), pos_integer) :: t
  def await(rest, roots, limit_ms) do
    deadline = System.monotonic_time(:millisecond) + limit_ms
    await(rest, roots, {deadline, limit_ms}, 0)
  end

  defp await(rest, roots, {deadline, limit_ms} = limit, tries) do
    rest = renew(rest, roots.(rest.version))

    case look(rest) do
      {:at_rest, rest} ->
        rest

      {:more, rest} ->
        await(rest, roots, limit, tries)

      {:busy, pid} ->
        if System.monotonic_time(:millisecond) > deadline do
          pid = busiest(rest, pid)

          raise "Sippet.Sim: #{inspect(pid)} has not come to rest within #{limit_ms} ms of real time. It is in\n#{stacktrace(pid)}"
        end

        if tries < @eager, do: :erlang.yield(), else: pause()
        await(rest, roots, limit, tries + 1)
    end
  end

  # Any of them may have been looked at while it did something.
  defp busiest(rest, pid) do
    busy =
      for pid <- rest.family,
          pid != self(),
          [status: status, reductions: reductions] <- [Process.info(pid, @items)],
          status != :waiting,
          do: {reductions, pid}

    {_reductions, pid} = Enum.max(busy, fn -> {0, pid} end)
    pid
  end

  defp pause do
    receive do
    after
      1 -> :ok
    end
  end

  @doc "Where a process is."
  @spec stacktrace(pid) :: String.t()
  def stacktrace(pid) do
    case Process.info(pid, :current_stacktrace) do
      {:current_stacktrace, stacktrace} -> Exception.format_stacktrace(stacktrace)
      nil -> "    nothing: it has ended"
    end
  end

  defp renew(rest, :same), do: rest

  defp renew(rest, {version, roots}) do
    {pids, names} = Enum.split_with(roots, &is_pid/1)
    join(%{rest | version: version, names: names}, Enum.filter(pids, &local?/1))
  end

  # Their children may have been passed over.
  defp join(rest, pids) do
    case Enum.reject(pids, &MapSet.member?(rest.family, &1)) do
      [] -> rest
      new -> %{rest | family: MapSet.union(rest.family, MapSet.new(new)), seen: MapSet.new()}
    end
  end

  # A name may be another process's by now.
  defp named(rest) do
    join(rest, for(name <- rest.names, pid = GenServer.whereis(name), local?(pid), do: pid))
  end

  defp local?(pid), do: is_pid(pid) and node(pid) == node()

  # A process has one parent for life, so it is looked at once. Who was dead before has no children left to be found.
  defp discover(rest) do
    rest = named(rest)
    dead = for pid <- rest.family, not Process.alive?(pid), do: pid
    all = Process.list()

    unknown =
      for pid <- all,
          not MapSet.member?(rest.seen, pid),
          not MapSet.member?(rest.family, pid),
          {:parent, parent} <- [Process.info(pid, :parent)],
          do: {pid, parent}

    family = rest.family |> adopt(unknown) |> MapSet.difference(MapSet.new(dead))
    %{rest | family: family, seen: MapSet.new(all)}
  end

  defp adopt(family, unknown) do
    case Enum.split_with(unknown, fn {_pid, parent} -> MapSet.member?(family, parent) end) do
      {[], _others} -> family
      {children, others} -> adopt(for({pid, _} <- children, into: family, do: pid), others)
    end
  end

  defp look(rest) do
    members = for pid <- rest.family, pid != self(), do: pid

    with {:ok, asking} <- all(members, &asking/1),
         {:ok, before} <- all(asking, &unmoved/1),
         {:ok, rest} <- find_more(rest),
         asked = for({_pid, _reductions, servers} <- asking, server <- servers, do: server),
         :ok <- servers(asked, MapSet.new([self() | members])),
         {:ok, _after} <- all(before, &still/1) do
      {:at_rest, rest}
    end
  end

  defp all(processes, look) do
    Enum.reduce_while(processes, {:ok, []}, fn process, {:ok, found} ->
      case look.(process) do
        :dead -> {:cont, {:ok, found}}
        {:busy, pid} -> {:halt, {:busy, pid}}
        known -> {:cont, {:ok, [known | found]}}
      end
    end)
  end

  # It waits, and these are whom it may have asked something.
  defp asking(pid) do
    case Process.info(pid, [:monitors | @items]) do
      nil ->
        :dead

      [monitors: monitors, status: :waiting, reductions: reductions] ->
        {pid, reductions, servers(monitors)}

      _ ->
        {:busy, pid}
    end
  end

  defp unmoved({pid, reductions, _servers}) do
    case Process.info(pid, @items) do
      nil ->
        :dead

      [status: :waiting, reductions: now] = state
      when now - reductions <= @look_reductions ->
        {pid, state}

      _ ->
        {:busy, pid}
    end
  end

  defp still({pid, state}) do
    case Process.info(pid, @items) do
      nil -> :dead
      ^state -> {pid, state}
      _ -> {:busy, pid}
    end
  end

  defp find_more(rest) do
    found = discover(rest)

    if MapSet.subset?(found.family, rest.family), do: {:ok, found}, else: {:more, found}
  end

  # Whom they have asked, and whom those have asked. One that has a question before it does not wait, unless it asks too.
  defp servers([], _known), do: :ok

  defp servers(asked, known) do
    asked = for pid <- asked, not MapSet.member?(known, pid), uniq: true, do: pid

    case all(asked, &idle/1) do
      {:ok, next} -> servers(List.flatten(next), MapSet.union(known, MapSet.new(asked)))
      {:busy, pid} -> {:busy, pid}
    end
  end

  # The code server waits for the file system in a way that is not seen. Only who loads a module monitors it.
  defp idle(pid) do
    case pid != Process.whereis(:code_server) && Process.info(pid, [:monitors, :status]) do
      nil -> :dead
      [monitors: monitors, status: :waiting] -> servers(monitors)
      _ -> {:busy, pid}
    end
  end

  defp servers(monitors) do
    for {:process, server} <- monitors,
        pid = if(is_pid(server), do: server, else: GenServer.whereis(server)),
        local?(pid),
        do: pid
  end
end
