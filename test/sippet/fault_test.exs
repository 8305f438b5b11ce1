defmodule Sippet.FaultTest do
  # A panic under the lock of a shard would be a fault of this library. It costs what that shard holds, and is counted.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Native
  alias Sippet.Test.{Peer, Stack}

  test "a panic in a shard costs its transactions; the stack goes on" do
    stack = Stack.start()
    peer = Peer.open()
    address = Stack.address(stack)
    %{engine: engine} = Sippet.Stack.fetch!(stack)

    for _ <- 1..100, do: Peer.send(peer, address, request("OPTIONS", peer))
    for _ <- 1..100, do: assert_receive({^stack, :request, _request, _key})
    before = Sippet.Transaction.count(stack)
    assert before == 100

    assert %ErlangError{original: :nif_panicked} =
             catch_error(Native.engine_panic(engine, 0)) |> then(&Exception.normalize(:error, &1))

    # The next step in that shard finds it empty.
    assert Sippet.Transaction.count(stack) < before
    assert Sippet.Transaction.counters(stack).lost_shards == 1

    for _ <- 1..100 do
      Peer.send(peer, address, request("OPTIONS", peer))
      assert_receive {^stack, :request, request, _key}
      assert :ok = Sippet.send(stack, Sippet.Message.to_response(request, 200))
      Peer.await(peer, "SIP/2.0 200 ")
    end
  end
end
