defmodule Sippet.Guides.AuthenticationTest do
  use ExUnit.Case

  alias Sippet.Test.Guide

  test "every Elixir snippet of the guide runs" do
    assert length(Guide.snippets("guides/authentication.md")) == 7
    {_value, bindings} = Guide.run("guides/authentication.md")
    assert bindings[:challenge].start_line.status_code == 401
  end
end
