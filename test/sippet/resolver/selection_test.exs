defmodule Sippet.Resolver.SelectionTest do
  use ExUnit.Case, async: true

  alias Sippet.Resolver.Selection

  defp order(records, drawn) do
    {:ok, agent} = Agent.start_link(fn -> drawn end)

    random = fn n ->
      number = Agent.get_and_update(agent, fn [number | more] -> {number, more} end)
      assert number < n
      number
    end

    for {_, _, _, target} <- Selection.order(records, random), do: target
  end

  test "priority comes before weight (RFC 2782)" do
    records = [{20, 9, 1, "c"}, {10, 0, 1, "a"}, {30, 65_535, 1, "d"}]
    assert order(records, []) == ["a", "c", "d"]
  end

  # Weights 0, 3 and 1, in the order in which they are put, have the running sums 0, 3 and 4.
  test "the first whose running sum is not below the number drawn is next (RFC 2782)" do
    records = [{1, 3, 1, "three"}, {1, 0, 1, "zero"}, {1, 1, 1, "one"}]
    assert order(records, [0, 0]) |> hd() == "zero"

    for {drawn, first} <- [{0, "zero"}, {1, "three"}, {2, "three"}, {3, "three"}, {4, "one"}] do
      assert order(records, [drawn, 0]) |> hd() == first
    end

    # Zero and three are left, of sums 0 and 3.
    assert order(records, [4, 0]) == ["one", "zero", "three"]
    assert order(records, [4, 1]) == ["one", "three", "zero"]
    assert order(records, [0, 4]) == ["zero", "one", "three"]
  end

  test "records are chosen as often as their weight says" do
    :rand.seed(:exsss, {1, 2, 3})
    records = [{1, 10, 1, "one"}, {1, 30, 1, "three"}]

    firsts =
      for _ <- 1..4_000 do
        [{_, _, _, target} | _] = Selection.order(records, &(:rand.uniform(&1) - 1))
        target
      end

    # 30 of the 41 numbers: 2 927 expected, with a standard deviation of 28.
    assert Enum.count(firsts, &(&1 == "three")) in 2_780..3_070
  end

  test "records that are equal are all kept" do
    records = [{1, 1, 1, "a"}, {1, 1, 1, "a"}]
    assert Selection.order(records, fn _ -> 0 end) == records
    assert Selection.order([], fn _ -> 0 end) == []
  end

  test "the most that an answer can hold is ordered in bounded time" do
    records = for n <- 1..64, do: {1, 65_535, n, "h"}
    assert length(Selection.order(records, fn n -> n - 1 end)) == 64
  end
end
