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

  test "what held a transaction of a shard that was lost finds no other in its place" do
    test = self()

    stack =
      Stack.start(
        core: fn :request, request, _key ->
          send(test, {request.headers.call_id, self()})
          receive do: (:go_on -> :ok)
          Sippet.send(:persistent_term.get(test), Sippet.Message.to_response(request, 200))
        end
      )

    :persistent_term.put(test, stack)
    peer = Peer.open()
    %{engine: engine} = Sippet.Stack.fetch!(stack)

    send_one = fn id ->
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer, call_id: id))
    end

    # The same Call-ID, the same shard, the first slot in it each time.
    send_one.("same")
    assert_receive {"same", lost}

    for shard <- 0..(4 * System.schedulers_online() - 1),
        do: catch_error(Native.engine_panic(engine, shard))

    send_one.("same")
    assert_receive {"same", other}
    # The callback of the lost one ends, and with it its runner: the other's is not over by that.
    monitor = Process.monitor(lost)
    send(lost, :go_on)
    assert_receive {:DOWN, ^monitor, _, _, :normal}
    Peer.refute_any(peer, 20)
    assert [%{queued: 0}] = stack |> Sippet.Transaction.list() |> all(stack)

    # It still owes an answer, and is watched.
    Process.exit(other, :kill)
    Peer.expect(peer, "SIP/2.0 500 ")
  end

  defp all({infos, nil}, _stack), do: infos

  defp all({infos, cursor}, stack),
    do: infos ++ all(Sippet.Transaction.list(stack, cursor), stack)
end
