defmodule Sippet.Logger.Budget do
  # How many lines may be written in a second; the rest is counted, and told a second after the first.
  @moduledoc false

  require Logger

  @enforce_keys [:spent, :limit]
  defstruct @enforce_keys

  @type t :: %__MODULE__{spent: :atomics.atomics_ref(), limit: pos_integer}

  @spec new(pos_integer) :: t
  def new(limit), do: %__MODULE__{spent: :atomics.new(1, signed: false), limit: limit}

  @doc "Writes a line, if there may be one more."
  @spec spend(t, (() -> any)) :: :ok
  def spend(budget, write) do
    spent = :atomics.add_get(budget.spent, 1, 1)
    _pid = if spent == 1, do: spawn(__MODULE__, :tell_missed, [budget])
    _written = if spent <= budget.limit, do: write.()
    :ok
  end

  @doc false
  def tell_missed(budget) do
    Process.sleep(1_000)
    missed = :atomics.exchange(budget.spent, 1, 0) - budget.limit
    if missed > 0, do: Logger.warning("#{missed} more lines of Sippet.Logger in this second")
  end
end
