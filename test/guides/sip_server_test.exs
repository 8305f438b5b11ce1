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

  test "what can be set, and its defaults, are those of the server" do
    guide = File.read!(Path.join(@root, "guides/sip-server.md"))
    server = File.read!(Path.join(@root, "examples/sip_server/lib/sip_server.ex"))
    file = File.read!(Path.join(@root, "examples/sip_server/sip_server.exs"))
    [_, defaults] = Regex.run(~r/@defaults \[\n(.*?)^  \]/ms, server)
    rows = Regex.scan(~r/^\| `(\w+)` \| .* \| `([^`]+)` \|$/m, guide, capture: :all_but_first)
    assert length(rows) >= 5

    for [name, default] <- rows,
        do: assert(defaults =~ ~r/^    #{name}: #{Regex.escape(default)},?$/m)

    for [name] <- Regex.scan(~r/^    (\w+):/m, defaults, capture: :all_but_first) do
      assert file =~ ~r/^  #{name}:/m or Enum.any?(rows, &(hd(&1) == name)),
             "neither sip_server.exs nor the guide has #{name}"
    end
  end
end
