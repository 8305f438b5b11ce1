defmodule Sippet.Guides.OperationsTest do
  # guides/operations.md: its snippets, in their order, as one program, and its table of events.
  use ExUnit.Case

  @guide Path.expand("../../guides/operations.md", __DIR__)

  test "every Elixir snippet of the guide runs" do
    snippets =
      ~r/^```elixir\n(.*?)^```$/ms
      |> Regex.scan(File.read!(@guide), capture: :all_but_first)
      |> List.flatten()

    assert length(snippets) == 3
    Process.flag(:trap_exit, true)
    Code.eval_string(Enum.join(snippets, "\n"), [], file: @guide)
  end

  test "the table of events is that of the code" do
    listed =
      for row <- Sippet.Test.Guide.table("operations.md", "Events"), do: Enum.map(row, &words/1)

    described =
      for {name, _when, measurements, metadata} <- Sippet.Telemetry.descriptions() do
        [[inspect(name)], Enum.map(measurements, &to_string/1), Enum.map(metadata, &to_string/1)]
      end

    assert listed == described
  end

  defp words(cell), do: ~r/`([^`]+)`/ |> Regex.scan(cell) |> Enum.map(&List.last/1)

  test "the defaults that it tells are those of the stack" do
    guide = File.read!(@guide)
    options = Sippet.Stack.validate_options!(name: :x)
    assert guide =~ "`:max_start_delay_ms` (#{options[:max_start_delay_ms]})"
  end
end
