defmodule Sippet.Integration.AckFloodTest do
  # ACKs that acknowledge nothing, a flood of them: none is answered (RFC 3261 §17.1.1.3), each is counted, and who calls meanwhile
  # has its calls through. What becomes of them where they take the processors is in overload_test.exs.
  use ExUnit.Case

  import Sippet.Test.Stack, only: [start: 1, address: 2, eventually: 2]

  alias Sippet.Test.{Attack, Core, Peer, StreamPeer, Wire}

  # Floods, of three ACKs each.
  @count 1_000
  @most_bytes 64_000_000

  # Of no dialog, of one that there is not, and of the time before the magic cookie.
  defp acks(peer, protocol) do
    [
      Wire.request("ACK", peer, protocol: protocol),
      Wire.request("ACK", peer, protocol: protocol, to_tag: Wire.unique()),
      Wire.request("ACK", peer, protocol: protocol, to_tag: Wire.unique(), branch: Wire.unique())
    ]
  end

  # Stacks of UDP and TCP, whose core takes calls, and tells how many ACKs it has been given.
  defp stack do
    stack = start(udp: [[]], tcp: [[]], core: nil)
    taking = stack |> Attack.take_calls() |> :persistent_term.get()
    acks = :counters.new(1, [])

    Core.register(stack, fn callback, first, key ->
      with %{start_line: %{method: :ack}} <- first, do: :counters.add(acks, 1, 1)
      taking.(callback, first, key)
    end)

    {stack, fn -> :counters.get(acks, 1) end}
  end

  defp counters(stack), do: Sippet.Transaction.counters(stack)

  # The flood, beside calls over TCP, of which each has an ACK.
  defp beside_calls(stack, flood) do
    connect = fn -> StreamPeer.connect(address(stack, 1)) end

    {{_result, calls}, grown} =
      Attack.watching_memory(fn -> Attack.while_calling(:tcp, connect, flood) end)

    assert calls > 2
    assert grown < @most_bytes
    calls
  end

  test "by datagrams" do
    {stack, acks} = stack()
    [flooder, peer] = for _ <- 1..2, do: Peer.open()
    to = address(stack, 0)

    calls =
      beside_calls(stack, fn ->
        for _ <- 1..@count do
          for ack <- acks(flooder, "UDP"), do: Peer.send(flooder, to, ack)
          # So that the system's queue has room, and all of them come.
          Peer.send(peer, to, Wire.request("OPTIONS", peer))
          Peer.await(peer, "SIP/2.0 200 ")
        end
      end)

    eventually(20_000, fn -> acks.() == 3 * @count + calls end)
    Peer.refute_any(flooder, 100)
    assert %{stateless_replies: 0, rejected_messages: 0, refused_requests: 0} = counters(stack)
  end

  test "by connections" do
    {stack, acks} = stack()

    calls =
      beside_calls(stack, fn ->
        flooders = for _ <- 1..4, do: StreamPeer.connect(address(stack, 1), from: {127, 0, 0, 2})

        for _ <- 1..div(@count, 4), flooder <- flooders do
          StreamPeer.send(flooder, acks(flooder, "TCP"))
        end

        eventually(20_000, fn -> acks.() >= 3 * @count end)
        for flooder <- flooders, do: StreamPeer.refute_any(flooder, 50)
      end)

    eventually(20_000, fn -> acks.() == 3 * @count + calls end)
    assert %{stateless_replies: 0, rejected_messages: 0, refused_requests: 0} = counters(stack)
  end

  test "more than a core takes in are not kept beyond the limit of all, and counted" do
    stack = start(core: nil, max_transactions: 100)
    test = self()

    Core.register(stack, fn
      :request, %{start_line: %{method: :ack}}, nil ->
        send(test, {:stuck, self()})

        receive do
          :go_on -> :ok
        end

      :request, request, _key ->
        Sippet.send(stack, Sippet.Message.to_response(request, 200))
    end)

    [flooder, peer] = for _ <- 1..2, do: Peer.open()
    to = address(stack, 0)

    for n <- 1..@count do
      for ack <- acks(flooder, "UDP"), do: Peer.send(flooder, to, ack)
      eventually(20_000, fn -> counters(stack).received_requests == 3 * n end)
    end

    assert Sippet.Transaction.count(stack) == 100
    assert counters(stack).refused_requests == 3 * @count - 100

    for _ <- 1..100 do
      assert_receive {:stuck, runner}, 10_000
      send(runner, :go_on)
    end

    eventually(20_000, fn -> Sippet.Transaction.count(stack) == 0 end)
    Peer.refute_any(flooder, 50)
    assert counters(stack).stateless_replies == 0
    Peer.send(peer, to, Wire.request("OPTIONS", peer))
    Peer.await(peer, "SIP/2.0 200 ")
  end
end
