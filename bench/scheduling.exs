# How long a call holds its scheduler: the worst inputs at 16 KiB, which run on normal schedulers, and at 64 KiB, which run on
# dirty ones. WORST_INPUTS names a folder with them, made by scheduling.sh. Writes to the file that the first argument names.
alias Bench.Record

folder = System.fetch_env!("WORST_INPUTS")
seconds = "SECONDS" |> System.get_env("10") |> Integer.parse() |> elem(0)
# The shortest that the VM tells of, in milliseconds.
long_ms = 1
calls = 4_000

percentile = fn sorted, part ->
  elem(sorted, min(tuple_size(sorted) - 1, floor(tuple_size(sorted) * part)))
end

measure = fn data ->
  times =
    for _ <- 1..calls do
      {us, _} = :timer.tc(fn -> Sippet.Message.parse(data, framing: :datagram) end)
      us
    end

  sorted = times |> Enum.sort() |> List.to_tuple()
  {percentile.(sorted, 0.5), percentile.(sorted, 0.999), percentile.(sorted, 1.0)}
end

inputs =
  for path <- folder |> Path.join("*.16384") |> Path.wildcard() |> Enum.sort() do
    kind = Path.basename(path, ".16384")
    {kind, File.read!(path), File.read!(Path.join(folder, kind <> ".65000"))}
  end

rows =
  for {kind, small, large} <- inputs do
    {median, late, worst} = measure.(small)
    {large_median, large_late, _large_worst} = measure.(large)
    {kind, {median, late, worst, large_median, large_late}}
  end

# Under load: as many processes as twice the schedulers parse all of the small ones, while another one is told of each
# stretch on a normal scheduler that took a millisecond or more.
load = fn inputs ->
  parent = self()

  monitor =
    spawn_link(fn ->
      count = fn count, told ->
        receive do
          {:monitor, pid, :long_schedule, info} -> count.(count, [{pid, info[:timeout]} | told])
          {:stop, from} -> send(from, {:told, told})
        end
      end

      count.(count, [])
    end)

  :erlang.system_monitor(monitor, [{:long_schedule, long_ms}])
  until = System.monotonic_time(:millisecond) + seconds * 1_000

  workers =
    for _ <- 1..(2 * System.schedulers_online()) do
      spawn_link(fn ->
        work = fn work, count ->
          for data <- inputs, do: Sippet.Message.parse(data, framing: :datagram)
          count = count + length(inputs)
          if System.monotonic_time(:millisecond) < until, do: work.(work, count), else: count
        end

        send(parent, {:done, work.(work, 0)})
      end)
    end

  parsed =
    workers
    |> Enum.map(fn _ ->
      receive do
        {:done, count} -> count
      end
    end)
    |> Enum.sum()

  :erlang.system_monitor(:undefined)
  send(monitor, {:stop, self()})

  told =
    receive do
      {:told, told} -> told
    end

  times = for {pid, time} <- told, pid in workers, do: time
  {parsed, times}
end

{parsed, long} = load.(for {_kind, small, _large} <- inputs, do: small)

usual = for path <- Path.wildcard(Path.join(__DIR__, "messages/*.sip")), do: File.read!(path)

{usual_parsed, usual_long} = load.(usual)

longest = fn times -> Enum.max(times, fn -> 0 end) end

text = """
# #{Date.utc_today()}: how long a call holds its scheduler

#{Record.machine()}. #{calls} calls of `Sippet.Message.parse/2` for each input; wall time in µs, with what else the machine did
meanwhile.

| input | 16 KiB: median | p99.9 | longest | 64 KiB, dirty: median | p99.9 |
|---|---:|---:|---:|---:|---:|
#{Enum.map_join(rows, "\n", fn {kind, cells} -> "| #{kind} | #{cells |> Tuple.to_list() |> Enum.join(" | ")} |" end)}

`system_monitor(long_schedule: #{long_ms})`, #{2 * System.schedulers_online()} processes on #{System.schedulers_online()} schedulers for #{seconds} s:

| load | calls | stretches of #{long_ms} ms or more | the longest, ms |
|---|---:|---:|---:|
| the inputs above, 16 KiB | #{parsed} | #{length(long)} | #{longest.(long)} |
| bench/messages | #{usual_parsed} | #{length(usual_long)} | #{longest.(usual_long)} |

The second load has no long call: what it shows is the machine taking a scheduler's thread away.
"""

IO.puts(text)

case System.argv() do
  [file | _] -> File.write!(file, text)
  [] -> :ok
end
