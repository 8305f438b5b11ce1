defmodule Sippet.Logger.Budget do
  # How many lines may be written in a second; the rest is counted, and told a second after the first.
  @moduledoc false

  require Logger

  @enforce_keys [:spent, :limit, :level, :what]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          spent: :atomics.atomics_ref(),
          limit: pos_integer,
          level: Logger.level(),
          what: String.t()
        }

  @doc "`what` is what is told, at this level, with the count of lines that there was no room for."
  @spec new(pos_integer, Logger.level(), String.t()) :: t
  def new(limit, level, what) do
    %__MODULE__{
      spent: :atomics.new(1, signed: false),
      limit: limit,
      level: level,
      what: what
    }
  end

  @doc "Writes a line, if there may be one more."
  @spec spend(t, (() -> any)) :: :ok
  def spend(budget, write) do
    spent = :atomics.add_get(budget.spent, 1, 1)
    _pid = if spent == 1, do: spawn(__MODULE__, :tell_missed, [budget])
    _written = if spent <= budget.limit, do: write.()
    :ok
  rescue
    # The VM has no process left to begin the next second: this line is lost, and the next one tries again.
    SystemLimitError -> :atomics.put(budget.spent, 1, 0)
  end

  @doc false
  def tell_missed(budget) do
    Process.sleep(1_000)
    spent = :atomics.exchange(budget.spent, 1, 0)

    if spent > budget.limit,
      do: Logger.log(budget.level, "#{spent - budget.limit} more #{budget.what}")
  end
end
