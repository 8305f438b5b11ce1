defmodule Sippet.Guides.SDPTest do
  use ExUnit.Case, async: true

  alias Sippet.Test.Guide

  test "every Elixir snippet of the guide runs" do
    assert length(Guide.snippets("guides/sdp.md")) >= 8
    {_value, bindings} = Guide.run("guides/sdp.md")
    ok = to_string(bindings[:ok])
    assert ok =~ "Content-Type: application/sdp"
    assert ok =~ "m=audio 49172 RTP/AVP 0 101"
    assert bindings[:stream].active?
  end
end
