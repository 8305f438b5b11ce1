defmodule Sippet.Resolver.Selection do
  # The order of SRV records: by priority, and among equals at random by weight (RFC 2782). Used by
  # Sippet.Resolver.Procedure.
  @moduledoc false

  @typedoc "Priority, weight, port, target."
  @type srv :: {0..65_535, 0..65_535, :inet.port_number(), String.t()}

  @doc "The records in the order to try them. `random.(n)` is one of 0 to n - 1."
  @spec order([srv], (pos_integer -> non_neg_integer)) :: [srv]
  def order(records, random) do
    records
    |> Enum.group_by(&elem(&1, 0))
    |> Enum.sort_by(&elem(&1, 0))
    |> Enum.flat_map(fn {_priority, records} ->
      # Those of weight 0 first: they are selected where the number drawn is 0, and else only when the others are gone.
      records |> Enum.sort_by(fn {_, weight, _, _} -> weight > 0 end) |> draw(random)
    end)
  end

  defp draw([], _random), do: []
  defp draw([record], _random), do: [record]

  defp draw(records, random) do
    sum = records |> Enum.map(&elem(&1, 1)) |> Enum.sum()
    record = pick(records, random.(sum + 1), 0)
    [record | draw(List.delete(records, record), random)]
  end

  # The first whose running sum reaches what was drawn.
  defp pick([record], _drawn, _sum), do: record

  defp pick([{_, weight, _, _} = record | _more], drawn, sum) when sum + weight >= drawn,
    do: record

  defp pick([{_, weight, _, _} | more], drawn, sum), do: pick(more, drawn, sum + weight)
end
