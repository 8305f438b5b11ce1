defmodule Sippet.Message.RequestLineTest do
  use ExUnit.Case, async: true

  alias Sippet.Message.RequestLine
  alias Sippet.URI

  doctest Sippet.Message.RequestLine

  test "keeps the method as it is given" do
    assert RequestLine.new(:invite, "sip:a.example").method == :invite
    assert RequestLine.new("invite", "sip:a.example").method == "invite"
  end

  test "takes a URI or the text of one" do
    uri = URI.parse!("sip:alice@atlanta.com")
    assert RequestLine.new(:ack, uri) == RequestLine.new(:ack, "sip:alice@atlanta.com")

    assert RequestLine.new(:ack, uri) == %RequestLine{
             method: :ack,
             request_uri: uri,
             version: {2, 0}
           }

    assert_raise ArgumentError, fn -> RequestLine.new(:ack, "alice") end
  end

  test "is written with single spaces (§7.1)" do
    assert to_string(RequestLine.new(:invite, "sip:alice@atlanta.com;lr")) ==
             "INVITE sip:alice@atlanta.com;lr SIP/2.0"
  end
end
