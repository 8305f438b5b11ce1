defmodule Sippet.Guides.TransportsTest do
  # The snippets of guides/transports.md. Its table is run by test/integration/response_route_test.exs.
  use ExUnit.Case, async: true

  alias Sippet.Test.Guide

  test "the snippets of the guide to transports run" do
    assert Guide.snippets("guides/transports.md") != []

    assert {[%Sippet.Transport{address: {{127, 0, 0, 1}, _port}}], _bindings} =
             Guide.run("guides/transports.md")
  end
end
