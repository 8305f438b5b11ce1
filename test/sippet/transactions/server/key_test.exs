defmodule Sippet.Transactions.Server.KeyTest do
  use ExUnit.Case, async: true

  import Sippet.Transactions.Key, only: [sigil_K: 2]

  alias Sippet.Message
  alias Sippet.Transactions.Server.Key

  doctest Sippet.Transactions.Server.Key

  defp with_via(message, host, parameters),
    do: Message.put_header(message, :via, [{{2, 0}, :udp, {host, 5060}, parameters}])

  test "of a request has branch, method and sent-by of the topmost Via (§17.2.3)" do
    request =
      :invite
      |> Message.build_request("sip:bob@biloxi.com")
      |> with_via("pc33.atlanta.com", %{"branch" => "z9hG4bK776asdhds", "received" => "192.0.2.1"})

    assert Key.new(request) ==
             %Key{branch: "z9hG4bK776asdhds", method: :invite, sentby: {"pc33.atlanta.com", 5060}}
  end

  test "is not normalised: an ACK keeps its method and a host its case" do
    request =
      :ack
      |> Message.build_request("sip:bob@biloxi.com")
      |> with_via("PC33.atlanta.com", %{"branch" => "z9hG4bK1"})

    assert Key.new(request) == %Key{
             branch: "z9hG4bK1",
             method: :ack,
             sentby: {"PC33.atlanta.com", 5060}
           }
  end

  test "of a response has the method of its CSeq" do
    response =
      Message.build_response(200)
      |> with_via("pc33.atlanta.com", %{"branch" => "z9hG4bK1"})
      |> Message.put_header(:cseq, {1, "FOO"})

    assert Key.new(response).method == "FOO"
  end

  test "needs a branch" do
    request = :ack |> Message.build_request("sip:bob@biloxi.com") |> with_via("a.example", %{})
    assert_raise ArgumentError, ~r/branch/, fn -> Key.new(request) end
  end

  test "is shown as the sigil reads it, IPv6 in brackets" do
    key = Key.new("z9hG4bK1", :invite, {"pc33.atlanta.com", 5060})
    assert inspect(key) == "~K[z9hG4bK1|:invite|pc33.atlanta.com:5060]"
    assert to_string(key) == "z9hG4bK1:invite:pc33.atlanta.com:5060"

    key = Key.new("z9hG4bK1", :invite, {"2001:db8::9", 5061})
    assert inspect(key) == "~K(z9hG4bK1|:invite|[2001:db8::9]:5061)"
    assert to_string(key) == "z9hG4bK1:invite:[2001:db8::9]:5061"

    {read, _bindings} =
      Code.eval_string("import Sippet.Transactions.Key, only: [sigil_K: 2]; " <> inspect(key))

    assert read == key
  end

  test "is read from the sigil, IPv6 with and without brackets" do
    assert ~K[z9hG4bK1|INVITE|10.1.1.1:5060] == Key.new("z9hG4bK1", :invite, {"10.1.1.1", 5060})

    expected = Key.new("z9hG4bK1", :invite, {"2001:db8::9", 5061})
    assert ~K(z9hG4bK1|:invite|[2001:db8::9]:5061) == expected
    assert ~K[z9hG4bK1|:invite|2001:db8::9:5061] == expected
  end

  test "in a malformed sigil raises" do
    for text <- [
          "a|invite|",
          "a|invite|host",
          "a|invite|:5060",
          "a|invite|host:port",
          "a|invite|host:65536"
        ] do
      assert_raise ArgumentError, ~r/expected a transaction key like ~K/, fn ->
        sigil_K(text, [])
      end
    end
  end
end
