defmodule Sippet.GuideTest do
  # The snippets of a guide, in their order, as one program: each `=` is an assertion.
  use ExUnit.Case, async: true

  test "every Elixir snippet of guides/sdp.md runs" do
    guide = Path.expand("../guides/sdp.md", __DIR__)

    snippets =
      ~r/^```elixir\n(.*?)^```$/ms
      |> Regex.scan(File.read!(guide), capture: :all_but_first)
      |> List.flatten()

    assert length(snippets) >= 8
    {ok, bindings} = Code.eval_string(Enum.join(snippets, "\n") <> "\nok", [], file: guide)
    assert to_string(ok) =~ "Content-Type: application/sdp"
    assert to_string(ok) =~ "m=audio 49172 RTP/AVP 0 101"
    assert bindings[:stream].active?
  end
end
