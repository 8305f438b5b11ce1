defmodule Sippet.Transactions.Client.KeyTest do
  use ExUnit.Case, async: true

  import Sippet.Transactions.Key, only: [sigil_K: 2]

  alias Sippet.Message
  alias Sippet.Transactions.Client.Key

  doctest Sippet.Transactions.Client.Key

  defp with_via(message, parameters) do
    Message.put_header(message, :via, [
      {{2, 0}, :udp, {"pc33.atlanta.com", 5066}, parameters},
      {{2, 0}, :udp, {"other.atlanta.com", 5060}, %{"branch" => "z9hG4bKother"}}
    ])
  end

  test "of a request has its topmost branch and its method (§17.1.3)" do
    request =
      :invite
      |> Message.build_request("sip:bob@biloxi.com")
      |> with_via(%{"branch" => "z9hG4bK87asdks7"})

    assert Key.new(request) == %Key{branch: "z9hG4bK87asdks7", method: :invite}
  end

  test "of a response has the method of its CSeq (§17.1.3)" do
    response =
      Message.build_response(200)
      |> with_via(%{"branch" => "z9hG4bK87asdks7"})
      |> Message.put_header(:cseq, {1, :cancel})

    assert Key.new(response) == %Key{branch: "z9hG4bK87asdks7", method: :cancel}
  end

  test "needs a branch, and a CSeq in a response" do
    request = Message.build_request(:invite, "sip:bob@biloxi.com")

    for message <- [
          request,
          Message.put_header(request, :via, []),
          with_via(request, %{}),
          with_via(request, %{"branch" => ""}),
          with_via(Message.build_response(200), %{"branch" => "z9hG4bK87asdks7"})
        ] do
      assert_raise ArgumentError, fn -> Key.new(message) end
    end
  end

  test "is shown as the sigil reads it" do
    assert inspect(Key.new("z9hG4bK1", :invite)) == "~K[z9hG4bK1|:invite]"
    assert inspect(Key.new("z9hG4bK1", "Foo")) == "~K[z9hG4bK1|\"Foo\"]"
    assert to_string(Key.new("z9hG4bK1", :invite)) == "z9hG4bK1:invite"

    for key <- [Key.new("z9hG4bK1", :invite), Key.new("a]b", "Foo"), Key.new("z9hG4bK1", "a\"b")] do
      {read, _bindings} =
        Code.eval_string("import Sippet.Transactions.Key, only: [sigil_K: 2]; " <> inspect(key))

      assert read == key
    end
  end

  test "is read from the sigil in any case of the method, with and without its colon" do
    expected = %Key{branch: "z9hG4bK1", method: :invite}
    assert ~K[z9hG4bK1|INVITE] == expected
    assert ~K[z9hG4bK1|invite] == expected
    assert ~K[z9hG4bK1|:invite] == expected
    assert ~K[z9hG4bK1|foo] == %Key{branch: "z9hG4bK1", method: "FOO"}
  end

  test "in a malformed sigil raises" do
    for text <- ["", "a", "a|", "a|:", "a|b|c|d"] do
      assert_raise ArgumentError, ~r/expected a transaction key like ~K/, fn ->
        sigil_K(text, [])
      end
    end
  end
end
