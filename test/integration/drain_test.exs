defmodule Sippet.Integration.DrainTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Message
  alias Sippet.Test.{Peer, Stack}

  setup do
    stack = Stack.start()
    %{stack: stack, peer: Peer.open(), address: Stack.address(stack)}
  end

  defp answer(stack, status_code, options \\ []) do
    assert_receive {^stack, :request, request, _key}
    :ok = Sippet.send(stack, Message.to_response(request, status_code), options)
    request
  end

  test "a stack with nothing under way is drained at once", %{stack: stack} do
    assert Sippet.info(stack).state == :running
    assert Sippet.drain(stack, 0) == :ok
    assert Sippet.info(stack).state == :draining
  end

  test "new calls get 503, and their ACK is absorbed; no To tag changes by that",
       %{stack: stack, peer: peer, address: address} do
    :ok = Sippet.drain(stack, 0)

    for method <- ["INVITE", "OPTIONS", "REGISTER"] do
      Peer.send(peer, address, request(method, peer))
      assert Peer.expect(peer, "SIP/2.0 503 ")
    end

    invite = request("INVITE", peer)
    Peer.send(peer, address, invite)
    first = Peer.expect(peer, "SIP/2.0 503 ")
    Peer.send(peer, address, invite)
    assert to_tag(Peer.expect(peer, "SIP/2.0 503 ")) == to_tag(first)
    Peer.send(peer, address, follow_up("ACK", invite, to: field(first, "To")))
    Peer.refute_any(peer, 50)
    refute_received {^stack, _, _, _}
    assert Sippet.info(stack).transactions.open == 0
    assert Sippet.info(stack).counters.refused_requests == 5
  end

  test "what is under way goes on: an INVITE and its repetition, ACK, a request with a To tag, CANCEL",
       %{stack: stack, peer: peer, address: address} do
    invite = request("INVITE", peer)
    other = request("INVITE", peer)
    Peer.send(peer, address, invite)
    assert_receive {^stack, :request, received, _key}
    Peer.send(peer, address, other)
    assert_receive {^stack, :request, cancelled, _key}

    drain = Task.async(fn -> Sippet.drain(stack, 5_000) end)
    Stack.eventually(fn -> Sippet.info(stack).state == :draining end)

    Peer.send(peer, address, follow_up("CANCEL", other))
    answer(stack, 200)
    Peer.await(peer, "SIP/2.0 200 ")
    :ok = Sippet.send(stack, Message.to_response(cancelled, 487))
    final = Peer.await(peer, "SIP/2.0 487 ")
    Peer.send(peer, address, follow_up("ACK", other, to: field(final, "To")))

    Peer.send(peer, address, invite)
    :ok = Sippet.send(stack, Message.to_response(received, 200), until: :ack)
    ok = Peer.await(peer, "SIP/2.0 200 ")
    via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bK#{unique()};rport"
    Peer.send(peer, address, follow_up("ACK", invite, to: field(ok, "To"), via: via))
    assert Task.await(drain) == :ok

    via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bK#{unique()};rport"
    Peer.send(peer, address, follow_up("BYE", invite, to: field(ok, "To"), via: via, cseq: 2))
    assert_receive {^stack, :request, %{start_line: %{method: :ack}}, nil}
    answer(stack, 200)
    assert Peer.await(peer, "SIP/2.0 200 ") =~ "BYE"
  end

  test "it tells how many are left at its deadline", %{stack: stack, peer: peer, address: address} do
    for _ <- 1..3 do
      Peer.send(peer, address, request("INVITE", peer))
      assert_receive {^stack, :request, _, _}
    end

    assert Sippet.drain(stack, 30) == {:error, {:timeout, 3}}
  end

  test "a core that drains may still send, and is waited for", %{stack: stack, peer: peer} do
    assert Sippet.drain(stack, 0) == :ok
    :ok = Sippet.send(stack, Stack.request(:bye, {peer.ip, peer.port}))
    assert Sippet.drain(stack, 0) == {:error, {:timeout, 1}}
    {bye, from} = Peer.receive_from(peer)
    Peer.send(peer, from, response(bye, "200 OK"))
    assert_receive {^stack, :response, _, _}
    assert Sippet.drain(stack, 1_000) == :ok
  end

  test "a stack that stops meanwhile is told of", %{peer: peer} do
    name = :"drain_#{System.unique_integer([:positive])}"
    {:ok, supervisor} = start_supervised({Sippet, name: name})
    Stack.start_udp(name)
    Sippet.Test.Core.register(name, :forward)
    Peer.send(peer, Stack.address(name), request("INVITE", peer))
    assert_receive {^name, :request, _, _}
    drain = Task.async(fn -> Sippet.drain(name, :infinity) end)
    Stack.eventually(fn -> Sippet.info(name).state == :draining end)
    Supervisor.stop(supervisor, :shutdown)
    assert Task.await(drain) == {:error, :stopped}
  end

  test "bad arguments are the caller's mistake", %{stack: stack} do
    assert_raise FunctionClauseError, fn -> Sippet.drain(stack, -1) end
    assert_raise ArgumentError, ~r/no stack/, fn -> Sippet.drain(:nobody, 0) end
  end

  describe "a drainer" do
    # Stack, transport and drainer as an application has them, under a supervisor of their own.
    defp tree(timeout_ms, options \\ []) do
      name = :"drain_#{System.unique_integer([:positive])}"

      children = [
        {Sippet, name: name},
        {Sippet.Transports.UDP, name: name, port: 0, address: "127.0.0.1"},
        {Sippet.Drainer, [name: name, timeout_ms: timeout_ms] ++ options}
      ]

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)
      Process.unlink(supervisor)
      Sippet.Test.Core.register(name, :forward)
      %{stack: name, supervisor: supervisor, address: Stack.address(name)}
    end

    test "holds up the shutdown of its supervisor until what is under way is done", %{peer: peer} do
      %{stack: stack, supervisor: supervisor, address: address} = tree(5_000)
      Peer.send(peer, address, request("OPTIONS", peer))
      assert_receive {^stack, :request, request, _key}

      stop = Task.async(fn -> Supervisor.stop(supervisor, :shutdown) end)
      Stack.eventually(fn -> Sippet.info(stack).state == :draining end)
      Peer.send(peer, address, request("INVITE", peer))
      Peer.expect(peer, "SIP/2.0 503 ")
      :ok = Sippet.send(stack, Message.to_response(request, 200))
      Peer.expect(peer, "SIP/2.0 200 ")
      assert Task.await(stop) == :ok
    end

    test "waits for the calls that are up, whose requests are served meanwhile", %{peer: peer} do
      calls = :counters.new(1, [])
      :ok = :counters.add(calls, 1, 2)
      test = self()

      count = fn ->
        send(test, :counted)
        :counters.get(calls, 1)
      end

      %{stack: stack, supervisor: supervisor, address: address} = tree(60_000, calls: count)
      stop = Task.async(fn -> Supervisor.stop(supervisor, :shutdown) end)

      for _call <- 1..2 do
        assert_receive :counted, 10_000
        Peer.send(peer, address, request("BYE", peer, to_tag: "1"))
        assert_receive {^stack, :request, request, _key}, 10_000
        assert Task.yield(stop, 0) == nil
        :counters.sub(calls, 1, 1)
        :ok = Sippet.send(stack, Message.to_response(request, 200))
        Peer.expect(peer, "SIP/2.0 200 ")
      end

      assert Task.await(stop, 30_000) == :ok
    end

    test "does not wait for calls beyond its timeout" do
      %{supervisor: supervisor} = tree(50, calls: fn -> 1 end)
      assert Supervisor.stop(supervisor, :shutdown, 10_000) == :ok
    end

    test "gives up at its timeout", %{peer: peer} do
      %{stack: stack, supervisor: supervisor, address: address} = tree(50)
      Peer.send(peer, address, request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}
      assert Supervisor.stop(supervisor, :shutdown, 2_000) == :ok
    end

    test "lets calls in again when it is started again", %{peer: peer} do
      %{stack: stack, supervisor: supervisor, address: address} = tree(0)
      id = {Sippet.Drainer, stack}
      :ok = Supervisor.terminate_child(supervisor, id)
      assert Sippet.info(stack).state == :draining
      {:ok, _} = Supervisor.restart_child(supervisor, id)
      Peer.send(peer, address, request("OPTIONS", peer))
      answer(stack, 200)
      Peer.expect(peer, "SIP/2.0 200 ")
    end

    test "refuses options that it does not know, and times that are none" do
      for options <- [
            [],
            [name: "x"],
            [name: :x, timeout_ms: -1],
            [name: :x, timeout: 1],
            [name: :x, calls: 1]
          ] do
        assert_raise ArgumentError, fn -> Sippet.Drainer.child_spec(options) end
      end
    end
  end
end
