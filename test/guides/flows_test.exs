defmodule Sippet.Guides.FlowsTest do
  # The snippets of guides/flows.md.
  use ExUnit.Case, async: true

  alias Sippet.Test.Guide

  @tag timeout: 60_000
  test "the snippets of the guide to flows run" do
    assert length(Guide.snippets("guides/flows.md")) == 5
    assert {[], _bindings} = Guide.run("guides/flows.md")
  end
end
