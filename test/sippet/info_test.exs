defmodule Sippet.InfoTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Message
  alias Sippet.Test.{Peer, Stack}

  setup do
    %{stack: Stack.start(), peer: Peer.open()}
  end

  test "info/1 of a stack that nobody has called yet: zeros, and where it listens", context do
    %{stack: stack} = context
    info = Sippet.info(stack)

    assert %{name: ^stack, state: :running, message_bytes: 0} = info
    assert info.deliveries == %{waiting: 0, running: 0}
    assert %{open: 0, pending: 0} = info.transactions

    for kind <- [:invite_client, :client, :invite_server, :server],
        do: assert(info.transactions[kind] |> Map.values() |> Enum.uniq() == [0])

    assert [%{protocol: :udp, reliable: false, module: Sippet.Transports.UDP} = transport] =
             info.transports

    assert transport.address == Stack.address(stack)
    assert Process.alive?(transport.pid)
    assert info.counters == Sippet.Transaction.counters(stack)
    assert info.limits.max_transactions == 1_000_000
    assert info.limits.max_message_bytes == 65_536
  end

  test "the states of §17 and RFC 6026, and what is pending", %{stack: stack, peer: peer} do
    invite = request("INVITE", peer)
    Peer.send(peer, Stack.address(stack), invite)
    assert_receive {^stack, :request, received, _key}

    Stack.eventually(fn -> Sippet.info(stack).deliveries == %{waiting: 0, running: 0} end)
    info = Sippet.info(stack)
    assert info.transactions.invite_server.proceeding == 1
    assert info.transactions.open == 1
    assert info.transactions.pending == 1
    assert info.message_bytes > byte_size(invite)

    # Until its ACK the 2xx is repeated; then only the INVITE might be.
    Sippet.send(stack, Message.to_response(received, 200), until: :ack)
    assert %{invite_server: %{proceeding: 0, accepted: 1}, pending: 1} = transactions(stack)
    ok = Peer.await(peer, "SIP/2.0 200")
    via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bKack;rport"
    ack = follow_up("ACK", invite, to: field(ok, "To"), via: via)
    Peer.send(peer, Stack.address(stack), ack)
    assert_receive {^stack, :request, %{start_line: %{method: :ack}}, nil}
    Stack.eventually(fn -> transactions(stack).pending == 0 end)
    assert transactions(stack).open == 1

    :ok = Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))
    assert %{client: %{trying: 1}, open: 2, pending: 1} = transactions(stack)
  end

  defp transactions(stack), do: Sippet.info(stack).transactions

  test "a callback is running for as long as it is at work, and what comes meanwhile waits" do
    test = self()

    core = fn _callback, request, _key ->
      send(test, {:begun, self(), request})
      receive do: (:go -> :ok)
    end

    stack = Stack.start(core: core)
    peer = Peer.open()
    Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
    assert_receive {:begun, runner, _}
    assert Sippet.info(stack).deliveries == %{waiting: 0, running: 1}
    send(runner, :go)
    Stack.eventually(fn -> Sippet.info(stack).deliveries.running == 0 end)
  end

  test "no byte is counted any more when everything has ended", %{peer: peer} do
    stack = Stack.start(t1: 1, t2: 2, t4: 1)
    address = Stack.address(stack)

    for _ <- 1..100 do
      Peer.send(peer, address, request("OPTIONS", peer, body: String.duplicate("x", 500)))
      assert_receive {^stack, :request, request, _key}
      Sippet.send(stack, Message.to_response(request, 200))
    end

    Stack.eventually(fn ->
      match?(%{message_bytes: 0, transactions: %{open: 0}}, Sippet.info(stack))
    end)
  end

  test "the core, and what there is none of" do
    stack = Stack.start(core: nil, udp: [], max_transactions: 7, limits: [max_fields: 9])
    assert %{core: nil, transports: [], limits: limits} = Sippet.info(stack)
    assert %{max_transactions: 7, max_fields: 9, max_folds: 16} = limits
    Sippet.register_core(stack, __MODULE__)
    assert Sippet.info(stack).core == __MODULE__
    assert_raise ArgumentError, ~r/no stack named/, fn -> Sippet.info(:nobody) end
  end
end
