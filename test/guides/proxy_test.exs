defmodule Sippet.Guides.ProxyTest do
  # The snippets of guides/proxy.md, in their order, as one program; the ladder is what the one before it returns.
  use ExUnit.Case, async: false

  @guide Path.expand("../../guides/proxy.md", __DIR__)

  test "the proxy of the guide forks, cancels and answers as its ladder shows" do
    blocks =
      Regex.scan(~r/^```(elixir)?\n(.*?)^```$/ms, File.read!(@guide), capture: :all_but_first)

    assert for([kind, _code] <- blocks, do: kind) |> Enum.count(&(&1 == "")) == 1

    Enum.reduce(blocks, {nil, []}, fn
      ["elixir", code], {_result, binding} ->
        Code.eval_string(code, binding, file: @guide)

      ["", ladder], {result, binding} ->
        # Branches are sent side by side: which line of 20 ms is the first is open.
        assert lines(result) == lines(ladder)
        {result, binding}
    end)
  end

  defp lines(ladder), do: ladder |> String.split("\n") |> Enum.sort()
end
