defmodule Sippet.Guides.AuthenticationTest do
  # The snippets of guides/authentication.md, in their order, as one program.
  use ExUnit.Case

  @guide Path.expand("../../guides/authentication.md", __DIR__)

  test "every Elixir snippet of the guide runs" do
    snippets =
      ~r/^```elixir\n(.*?)^```$/ms
      |> Regex.scan(File.read!(@guide), capture: :all_but_first)
      |> List.flatten()

    assert length(snippets) == 7
    {_value, bindings} = Code.eval_string(Enum.join(snippets, "\n"), [], file: @guide)
    assert bindings[:challenge].start_line.status_code == 401
  end
end
