defmodule Sippet.Message.StatusLineTest do
  use ExUnit.Case, async: true

  alias Sippet.Message.StatusLine

  doctest Sippet.Message.StatusLine

  test "refuses codes that are not of six classes (§7.2)" do
    for code <- [-1, 0, 99, 700, 1000] do
      message = "invalid status code, got: #{code}"
      assert_raise RuntimeError, message, fn -> StatusLine.new(code) end
      assert_raise RuntimeError, message, fn -> StatusLine.new(code, "x") end
    end
  end

  test "needs a phrase where there is no default one" do
    assert_raise ArgumentError, "status code 499 does not have a default reason phrase", fn ->
      StatusLine.new(499)
    end

    assert StatusLine.new(499, "Odd") == %StatusLine{
             status_code: 499,
             reason_phrase: "Odd",
             version: {2, 0}
           }

    assert StatusLine.new(499, "").reason_phrase == ""
  end

  test "has the phrases of IANA" do
    assert StatusLine.default_reason(100) == "Trying"
    assert StatusLine.default_reason(302) == "Moved Temporarily"
    assert StatusLine.default_reason(414) == "Request-URI Too Long"
    assert StatusLine.default_reason(504) == "Server Time-out"
    assert StatusLine.default_reason(606) == "Not Acceptable"
    assert StatusLine.default_reason(99) == nil
    assert StatusLine.default_reason(nil) == nil
  end

  test "tells the class of a code" do
    for {code, class} <- [{100, 1}, {299, 2}, {300, 3}, {699, 6}] do
      assert StatusLine.status_code_class(StatusLine.new(code, "x")) == class
    end
  end

  test "is written with single spaces, the last one also without a phrase (§7.2)" do
    assert to_string(StatusLine.new(180)) == "SIP/2.0 180 Ringing"
    assert to_string(StatusLine.new(180, "")) == "SIP/2.0 180 "
  end
end
