defmodule Sippet.Guides.AllTest do
  # That no guide has a snippet which nobody runs: one that is new needs a test beside this one.
  use ExUnit.Case, async: true

  alias Sippet.Test.Guide

  @root Path.expand("../..", __DIR__)

  # Its snippets are parts of programs that have tests of their own.
  @quoting ["guides/sip-server.md"]

  test "each guide with snippets has a test that runs them" do
    tests = for file <- Path.wildcard(Path.join(__DIR__, "*_test.exs")), do: File.read!(file)

    guides =
      for file <- Path.wildcard(Path.join(@root, "guides/*.md")),
          do: Path.relative_to(file, @root)

    with_snippets = Enum.filter(guides, &(Guide.snippets(&1) != []))
    assert length(with_snippets) >= 10

    for guide <- with_snippets, guide not in @quoting do
      naming = Enum.filter(tests, &(&1 =~ guide))

      assert Enum.any?(naming, &(&1 =~ ~r/Guide\.run\(|Code\.eval_string\(/)),
             "#{guide} has snippets, and no test that runs them"
    end
  end

  test "all code in them is fenced and says what it is" do
    for file <- Path.wildcard(Path.join(@root, "guides/*.md")) do
      languages =
        for [fence, language] <-
              Regex.scan(~r/^[ \t]*(```+|~~~+)([^\n]*)$/m, File.read!(file),
                capture: :all_but_first
              ),
            do: {fence, language}

      {openings, closings} =
        languages |> Enum.with_index() |> Enum.split_with(&(rem(elem(&1, 1), 2) == 0))

      for {{fence, language}, _} <- openings,
          do: assert({fence, language in ["elixir", ""]} == {"```", true}, file)

      for {closing, _} <- closings, do: assert(closing == {"```", ""}, file)
    end
  end
end
