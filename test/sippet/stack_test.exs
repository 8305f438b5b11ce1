defmodule Sippet.StackTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Test.{Peer, Stack}

  test "the defaults are those of RFC 3261 (table 4) and of the documentation" do
    options = Sippet.Stack.validate_options!(name: :x)
    assert options[:t1] == 500
    assert options[:t2] == 4_000
    assert options[:t4] == 5_000
    assert options[:timer_d] == 32_000
    assert options[:trying_ms] == 200
    assert options[:max_transactions] == 1_000_000
    assert options[:limits][:max_message_bytes] == 65_536

    for {name, _value} <- options ++ options[:limits],
        do: assert(Sippet.Stack.options_docs() =~ "`:#{name}`")
  end

  test "a stack holds received messages to its limits" do
    stack = Stack.start(limits: [max_fields: 9, max_message_bytes: 1_000])
    peer = Peer.open()
    address = Stack.address(stack)

    Peer.send(peer, address, request("OPTIONS", peer))
    assert_receive {^stack, :request, _, _}

    for extra <- [[fields: ["A: 1", "B: 2"]], [body: String.duplicate("x", 1_000)]] do
      Peer.send(peer, address, request("OPTIONS", peer, extra))
      assert Peer.receive_bytes(peer) =~ ~r/\ASIP\/2\.0 (400|513) /
    end

    refute_received {^stack, :request, _, _}
  end

  test "methods of keys are those of the wire, and an ACK has that of its INVITE (§17.2.3)" do
    alias Sippet.Transactions.{Client, Server}
    assert Sippet.Stack.key_parts(Client.Key.new("z9hG4bKa", :options)) == {"z9hG4bKa", "OPTIONS"}
    assert Sippet.Stack.key_parts(Client.Key.new("z9hG4bKa", "ping")) == {"z9hG4bKa", "ping"}

    assert Sippet.Stack.key_parts(Server.Key.new("z9hG4bKa", :ack, {"h", 5060})) ==
             {"z9hG4bKa", "INVITE", "h", 5060}
  end
end
