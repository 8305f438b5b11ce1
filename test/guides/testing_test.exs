defmodule Sippet.Guides.TestingTest do
  # The snippets of guides/testing.md, in their order, as one program; the ladders are what the one before them returns.
  use ExUnit.Case, async: true

  @guide Path.expand("../../guides/testing.md", __DIR__)

  test "the core of the guide fails where messages are lost, and the mended one does not" do
    blocks =
      Regex.scan(~r/^```(elixir)?\n(.*?)^```$/ms, File.read!(@guide), capture: :all_but_first)

    assert for([kind, _code] <- blocks, do: kind) |> Enum.count(&(&1 == "")) == 2

    Enum.reduce(blocks, {nil, []}, fn
      ["elixir", code], {_result, binding} ->
        Code.eval_string(code, binding, file: @guide)

      ["", ladder], {result, binding} ->
        assert result == ladder
        {result, binding}
    end)
  end
end
