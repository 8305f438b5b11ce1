defmodule Sippet.Test.Load.Journal do
  # What a core was called for, in a table of its own: one write at the first instruction of a callback and one at the last,
  # each atomic, so that a kill leaves one of them or both. The table is one with a single lock: what was written is there for all.
  @moduledoc false

  @doc "A new journal, of the calling process."
  def new, do: :ets.new(__MODULE__, [:public, :ordered_set])

  @doc """
  Calls `fun` as the callback `what` of a transaction: `{transaction, what}` tells one from all others.

  Two at a time of a transaction are noted. Who was killed inside a callback was not out of it, and is not at work.
  """
  def callback(journal, transaction, what, fun) do
    number = :erlang.unique_integer([:monotonic])
    :ets.insert(journal, {{:began, transaction, what, number}, now()})
    :ets.insert(journal, {{:runner, self()}, transaction, what})
    enter(journal, transaction, what)

    try do
      fun.()
    after
      :ets.delete(journal, {:inside, transaction})
      :ets.delete(journal, {:runner, self()})
      ended = :erlang.unique_integer([:monotonic])
      :ets.insert(journal, {{:ended, transaction, what, number}, ended})
    end
  end

  defp enter(journal, transaction, what) do
    unless :ets.insert_new(journal, {{:inside, transaction}, self(), what}) do
      case :ets.lookup(journal, {:inside, transaction}) do
        [{_, pid, other}] ->
          if Process.alive?(pid), do: note(journal, :overlap, {transaction, other, what})

        [] ->
          note(journal, :overlap, {transaction, :gone_meanwhile, what})
      end

      :ets.insert(journal, {{:inside, transaction}, self(), what})
    end
  end

  @doc "Keeps something under a name; the same twice is kept twice."
  def note(journal, name, value),
    do: :ets.insert(journal, {{:note, name, :erlang.unique_integer([:monotonic])}, value})

  @doc "All that was kept under a name, in its order."
  def notes(journal, name),
    do: :ets.select(journal, [{{{:note, name, :_}, :"$1"}, [], [:"$1"]}])

  @doc "The callbacks of a transaction in the order of their beginning: `[{what, number, ms}]`."
  def begun(journal, transaction) do
    spec = [{{{:began, transaction, :"$1", :"$2"}, :"$3"}, [], [{{:"$1", :"$2", :"$3"}}]}]
    journal |> :ets.select(spec) |> Enum.sort_by(&elem(&1, 1))
  end

  @doc "When the callback that began with this number ended; nil if it did not."
  def ended(journal, transaction, what, number) do
    case :ets.lookup(journal, {:ended, transaction, what, number}) do
      [{_, ended}] -> ended
      [] -> nil
    end
  end

  @doc "The callback that this process is in."
  def running(journal, pid) do
    case :ets.lookup(journal, {:runner, pid}) do
      [{_, transaction, what}] -> {transaction, what}
      [] -> nil
    end
  end

  def now, do: System.monotonic_time(:millisecond)
end
