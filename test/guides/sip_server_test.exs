defmodule Sippet.Guides.SipServerTest do
  # The snippets of guides/sip-server.md are parts of the files that are named above them, which have tests of their own.
  use ExUnit.Case, async: true

  @root Path.expand("../..", __DIR__)

  test "each snippet of the guide stands in its file, as it is" do
    guide = File.read!(Path.join(@root, "guides/sip-server.md"))
    pattern = ~r/^`([^`\n]+)`:\n\n```elixir\n(.*?)^```$/ms
    snippets = Regex.scan(pattern, guide, capture: :all_but_first)
    assert length(snippets) >= 10
    assert length(snippets) == guide |> String.split("```elixir") |> tl() |> length()

    for [path, snippet] <- snippets do
      assert String.contains?(File.read!(Path.join(@root, path)), snippet),
             "#{path} has no longer:\n#{snippet}"
    end
  end
end
