defmodule Bench.Timing do
  @moduledoc """
  Times functions: by Benchee where it is loaded, else by a small loop. Both give the median of a call in microseconds, and
  the bytes that a call leaves on its process's heap.
  """

  # One sample holds as many calls as take about this long: a single one is too short for a clock.
  @sample_us 200

  @type measured :: %{us: float, bytes: number}

  @doc "What measures here, for the record."
  @spec name() :: String.t()
  def name do
    if benchee?(),
      do: "Benchee",
      else: "a loop of this folder's own, since Benchee is not there"
  end

  @doc "Measures functions by name, for `seconds` each."
  @spec measure(%{String.t() => (() -> term)}, number) :: %{String.t() => measured}
  def measure(jobs, seconds) do
    counts = Map.new(jobs, fn {name, job} -> {name, calls(job)} end)
    if benchee?(), do: benchee(jobs, counts, seconds), else: loop(jobs, counts, seconds)
  end

  defp benchee?, do: Code.ensure_loaded?(Benchee)

  defp calls(job) do
    repeat(job, 50)
    {us, _} = :timer.tc(fn -> repeat(job, 50) end)
    max(1, round(@sample_us * 50 / max(us, 1)))
  end

  defp repeat(_job, 0), do: :ok

  defp repeat(job, count) do
    job.()
    repeat(job, count - 1)
  end

  defp benchee(jobs, counts, seconds) do
    suite =
      Benchee
      |> apply(:run, [
        Map.new(jobs, fn {name, job} -> {name, fn -> repeat(job, counts[name]) end} end),
        [
          time: seconds,
          warmup: seconds / 4,
          memory_time: 0.2,
          formatters: [],
          print: [configuration: false, benchmarking: false, fast_warning: false]
        ]
      ])

    Map.new(suite.scenarios, fn scenario ->
      count = counts[scenario.name]
      us = scenario.run_time_data.statistics.median / 1000 / count
      bytes = scenario.memory_usage_data.statistics.median / count
      {scenario.name, %{us: us, bytes: bytes}}
    end)
  end

  # All jobs in turn, again and again: what else the machine does meets them alike.
  defp loop(jobs, counts, seconds) do
    rounds = max(11, round(seconds * 1_000_000 / @sample_us))
    parent = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        samples = for _ <- 1..rounds, {name, job} <- jobs, do: {name, sample(job, counts[name])}
        send(parent, {self(), Enum.group_by(samples, &elem(&1, 0), &elem(&1, 1))})
      end)

    receive do
      {^pid, samples} ->
        Process.demonitor(monitor, [:flush])

        Map.new(samples, fn {name, times} ->
          {name, %{us: median(times), bytes: heap_bytes(jobs[name])}}
        end)

      {:DOWN, ^monitor, :process, ^pid, reason} ->
        exit(reason)
    end
  end

  defp sample(job, count) do
    {us, _} = :timer.tc(fn -> repeat(job, count) end)
    us / count
  end

  # What the collector gives back of many calls, when nothing else runs in this VM.
  defp heap_bytes(job) do
    calls = 1_000
    before = reclaimed_words()
    repeat(job, calls)
    :erlang.garbage_collect()
    (reclaimed_words() - before) * :erlang.system_info(:wordsize) / calls
  end

  defp reclaimed_words do
    :erlang.garbage_collect()
    {_collections, words, 0} = :erlang.statistics(:garbage_collection)
    words
  end

  @doc "The middle one."
  @spec median([number]) :: number
  def median(numbers), do: numbers |> Enum.sort() |> Enum.at(div(length(numbers), 2))
end
