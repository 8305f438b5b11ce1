defmodule Sippet.Integration.KeepAliveTest do
  # Flows that are kept alive, from this side and for peers (RFC 5626 §4.4, §8), and what gets in the way.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack,
    only: [start: 0, start: 1, address: 1, info: 1, eventually: 1, request: 3]

  alias Sippet.{Message, TransportError}
  alias Sippet.Test.{Certificates, Peer, StreamPeer, WebSocket, Wire}
  alias Sippet.Transport.KeepAlive

  @cookie 0x2112A442

  defp now, do: System.monotonic_time(:millisecond)

  describe "the time from one to the next" do
    test "is 80 to 100 percent of the interval, at random (§4.4)" do
      for interval <- [1, 7, 100, 1_000, 120_000] do
        delays = for _ <- 1..2_000, do: KeepAlive.delay(interval, :connection)
        assert Enum.min(delays) * 5 >= interval * 4
        assert Enum.max(delays) <= interval
        if interval >= 1_000, do: assert(length(Enum.uniq(delays)) > 50)
      end
    end

    test "is 95 to 120 s with connections and 24 to 29 s without, where nobody says (§4.4.1, §4.4.2)" do
      for {kind, least, most} <- [{:connection, 95_000, 120_000}, {:datagram, 24_000, 29_000}] do
        delays = for _ <- 1..2_000, do: KeepAlive.delay(nil, kind)
        assert Enum.min(delays) >= least
        assert Enum.max(delays) <= most
        assert Enum.max(delays) - Enum.min(delays) > div(most - least, 2)
      end
    end
  end

  for protocol <- [:tcp, :tls, :ws, :wss] do
    describe "#{protocol}: a connection" do
      setup do
        stack = stack(unquote(protocol))
        peer = connect(stack, unquote(protocol))
        StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: name(unquote(protocol))))
        assert_receive {^stack, :request, request, _key}
        assert :ok = Sippet.send(stack, Message.to_response(request, 200))
        StreamPeer.expect(peer, "SIP/2.0 200 ")
        {:ok, stack: stack, peer: peer, flow: request.source, request: request}
      end

      test "is pinged, and stays as long as the pongs come", context do
        %{stack: stack, peer: peer, flow: flow} = context
        begin = now()
        assert :ok = Sippet.keep_alive(stack, flow, interval: 100)

        for n <- 1..3 do
          take_ping(peer)
          assert now() - begin >= n * 80
          pong(peer)
        end

        assert info(stack).counters.keep_alive_failures == 0
        refute_received {^stack, :flow_closed, _flow, _reason}
      end

      test "is closed when the pong never comes, and the core is told (§4.4.1)", context do
        %{stack: stack, peer: peer, flow: flow} = context
        begin = now()
        assert :ok = Sippet.keep_alive(stack, flow, interval: 50, pong_timeout: 200)
        take_ping(peer)
        assert_receive {^stack, :flow_closed, ^flow, :keep_alive_timeout}
        assert now() - begin >= 240
        StreamPeer.assert_closed(peer)
        assert info(stack).counters.keep_alive_failures == 1

        assert {:error, %TransportError{reason: :connection_closed}} =
                 Sippet.keep_alive(stack, flow)

        assert {:error, %TransportError{reason: :connection_closed}} =
                 Sippet.send(stack, %{request(:options, {{127, 0, 0, 1}, 9}, []) | target: flow})
      end

      test "ends with its transport, and the core is told once", context do
        %{stack: stack, flow: flow} = context
        assert :ok = Sippet.keep_alive(stack, flow)
        [%{pid: pid}] = Sippet.Transport.list(stack)
        Supervisor.stop(pid, :shutdown)
        assert_receive {^stack, :flow_closed, ^flow, :shutdown}
        refute_receive {^stack, :flow_closed, _flow, _reason}, 50
      end
    end
  end

  describe "over TCP a pong" do
    setup do
      stack = stack(:tcp)
      listener = StreamPeer.listen()
      request = request(:register, {listener.ip, listener.port}, protocol: :tcp)
      request = %{request | target: {:tcp, "127.0.0.1", listener.port}}
      task = Task.async(fn -> Sippet.request(stack, request) end)
      peer = StreamPeer.accept(listener)
      sent = StreamPeer.expect(peer, "REGISTER ")
      StreamPeer.send(peer, Wire.response(sent, "200 OK"))
      assert {:ok, response} = Task.await(task)
      {:ok, stack: stack, peer: peer, flow: response.source}
    end

    test "is a CRLF, cut in two as well, and a ping of the peer's is answered meanwhile",
         context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 60, pong_timeout: 10_000)
      take_ping(peer)
      StreamPeer.send(peer, "\r")
      StreamPeer.send(peer, "\n")
      take_ping(peer)
      # The first CRLF is the pong, the other two a ping.
      StreamPeer.send(peer, "\r\n\r\n\r\n")
      assert StreamPeer.read(peer, 2) == "\r\n"
      take_ping(peer)
    end

    test "is not a message: who only talks has to answer, too (§4.4.1)", context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50, pong_timeout: 2_000)
      take_ping(peer)
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: "TCP"))
      assert_receive {^stack, :request, _request, _key}
      assert_receive {^stack, :flow_closed, ^flow, :keep_alive_timeout}
    end

    test "that is late behind a message under way counts, none behind it does not (§4.4.1)",
         context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50, pong_timeout: 1_000)

      for {behind, n} <- [{"\r\n", 1}, {"", 2}] do
        take_ping(peer)
        message = Wire.request("MESSAGE", peer, protocol: "TCP", body: "hello")
        {head, rest} = String.split_at(message, 20)
        begin = now()
        StreamPeer.send(peer, head)
        # Until the pong is late.
        eventually(fn -> now() - begin > 1_200 end)
        refute_received {^stack, :flow_closed, _flow, _reason}
        StreamPeer.send(peer, rest <> behind)
        assert_receive {^stack, :request, %{body: "hello"}, _key}

        if n == 1 do
          refute_received {^stack, :flow_closed, _flow, _reason}
        else
          assert_receive {^stack, :flow_closed, ^flow, :keep_alive_timeout}
        end
      end
    end

    test "is not waited for any more where somebody stops keeping the flow", context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50, pong_timeout: 1_000)
      take_ping(peer)
      assert :ok = Sippet.keep_alive(stack, flow, interval: :infinity)
      StreamPeer.refute_any(peer, 1_200)
      refute_received {^stack, :flow_closed, _flow, _reason}
    end

    test "that comes unasked changes nothing", context do
      %{stack: stack, peer: peer, flow: flow} = context
      StreamPeer.send(peer, "\r\n")
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50, pong_timeout: 1_000)
      StreamPeer.send(peer, "\r\n")
      take_ping(peer)
      assert_receive {^stack, :flow_closed, ^flow, :keep_alive_timeout}
    end
  end

  describe "a flow over UDP" do
    setup do
      stack = start()
      peer = Peer.open()
      Peer.send(peer, address(stack), Wire.request("OPTIONS", peer))
      assert_receive {^stack, :request, request, _key}
      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      Peer.expect(peer, "SIP/2.0 200 ")
      {:ok, stack: stack, peer: peer, flow: request.source}
    end

    test "is kept by Binding requests, the first at once (§4.4.2)", context do
      %{stack: stack, peer: peer, flow: flow} = context
      begin = now()
      assert :ok = Sippet.keep_alive(stack, flow, interval: 100, rto: 5_000)

      ids =
        for n <- 0..2 do
          id = take_binding(peer)
          assert now() - begin >= n * 80
          bind(stack, peer, id)
          id
        end

      assert length(Enum.uniq(ids)) == 3
      eventually(fn -> info(stack).counters.binding_responses == 3 end)
      refute_received {^stack, :flow_closed, _flow, _reason}
    end

    test "has failed when nobody answers: seven requests, one transaction (RFC 8489 §6.2.1)",
         context do
      %{stack: stack, peer: peer, flow: flow} = context
      begin = now()
      assert :ok = Sippet.keep_alive(stack, flow, rto: 5)

      ids =
        for n <- 0..6 do
          id = take_binding(peer)
          # After 1, 3, 7 ... times RTO.
          assert now() - begin >= 5 * (Bitwise.bsl(1, n) - 1)
          id
        end

      assert_receive {^stack, :flow_closed, ^flow, :keep_alive_timeout}
      assert now() - begin >= 5 * 79
      assert length(Enum.uniq(ids)) == 1
      Peer.refute_any(peer, 100)
      assert info(stack).counters.keep_alive_failures == 1
    end

    test "has failed when the peer sees it come from elsewhere (§4.4.2)", context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50, rto: 5_000)
      bind(stack, peer, take_binding(peer), {{192, 0, 2, 1}, 5060})
      bind(stack, peer, take_binding(peer), {{192, 0, 2, 1}, 5060})
      refute_received {^stack, :flow_closed, _flow, _reason}
      bind(stack, peer, take_binding(peer), {{192, 0, 2, 1}, 5061})
      assert_receive {^stack, :flow_closed, ^flow, :mapped_address_changed}
      Peer.refute_any(peer, 100)
    end

    test "has failed when the peer does not want to be asked", context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50)
      id = take_binding(peer)

      Peer.send(
        peer,
        address(stack),
        <<0x0111::16, 8::16, @cookie::32, id::binary, 9::16, 4::16, 0::16, 4, 0>>
      )

      assert_receive {^stack, :flow_closed, ^flow, {:stun_error, 400}}
    end

    test "is not answered for by others, by other transactions or by half an answer", context do
      %{stack: stack, peer: peer, flow: flow} = context
      stranger = Peer.open()
      assert :ok = Sippet.keep_alive(stack, flow, interval: 50, rto: 5)
      id = take_binding(peer)
      bind(stack, stranger, id)
      bind(stack, peer, :crypto.strong_rand_bytes(12))
      Peer.send(peer, address(stack), <<0x0101::16, 0::16, @cookie::32, id::binary>>)
      Peer.send(peer, address(stack), <<0x0101::16, 4::16, @cookie::32, id::binary>>)

      assert_receive {^stack, :flow_closed, ^flow, :keep_alive_timeout}
      # The one without an address is an answer that says nothing.
      eventually(fn -> info(stack).counters.stun_dropped == 4 end)
      assert info(stack).counters.binding_responses == 0
    end

    test "takes the options of the last call, and ends by one", context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow, interval: 100_000, rto: 5_000)
      bind(stack, peer, take_binding(peer))
      eventually(fn -> info(stack).counters.binding_responses == 1 end)
      assert :ok = Sippet.keep_alive(stack, flow, interval: 60, rto: 5_000)
      bind(stack, peer, take_binding(peer))
      bind(stack, peer, take_binding(peer))
      assert :ok = Sippet.keep_alive(stack, flow, interval: :infinity)
      Peer.flush(peer)
      Peer.refute_any(peer, 200)
      # Twice is no mistake.
      assert :ok = Sippet.keep_alive(stack, flow, interval: :infinity)
    end

    test "ends with its transport, and the core is told", context do
      %{stack: stack, peer: peer, flow: flow} = context
      assert :ok = Sippet.keep_alive(stack, flow)
      take_binding(peer)
      [%{pid: pid}] = Sippet.Transport.list(stack)
      GenServer.stop(pid, :shutdown)
      assert_receive {^stack, :flow_closed, ^flow, :shutdown}
    end
  end

  for {how, reason} <- [kill: :killed, shutdown: :shutdown] do
    test "over UDP the core is told of each flow that was kept, once, when the transport ends by #{how}" do
      stack = start()
      peers = for _ <- 1..4, do: Peer.open()
      [%{id: id, pid: pid}] = Sippet.Transport.list(stack)
      flows = for peer <- peers, do: %Sippet.Flow{transport: id, remote: {peer.ip, peer.port}}

      for {flow, peer} <- Enum.zip(flows, peers) do
        assert :ok = Sippet.keep_alive(stack, flow, rto: 5_000)
        # The second time nothing is added.
        assert :ok = Sippet.keep_alive(stack, flow, rto: 5_000)
        take_binding(peer)
      end

      # One that nobody keeps any more, and one that has failed.
      [ended, failed | kept] = flows
      assert :ok = Sippet.keep_alive(stack, ended, interval: :infinity)
      assert :ok = Sippet.keep_alive(stack, failed, rto: 1)
      assert_receive {^stack, :flow_closed, ^failed, :keep_alive_timeout}
      if unquote(how) == :kill, do: Process.exit(pid, :kill), else: GenServer.stop(pid, :shutdown)
      for flow <- kept, do: assert_receive({^stack, :flow_closed, ^flow, unquote(reason)})
      refute_receive {^stack, :flow_closed, _flow, _reason}, 50
    end
  end

  @tag :capture_log
  test "a flow over UDP that is kept is so beyond the end of its stack" do
    stack = start()
    peer = Peer.open()
    [%{id: id, pid: pid}] = Sippet.Transport.list(stack)
    flow = %Sippet.Flow{transport: id, remote: {peer.ip, peer.port}}
    assert :ok = Sippet.keep_alive(stack, flow, interval: 100, rto: 5_000)
    bind(stack, peer, take_binding(peer))
    supervisor = Process.whereis(Sippet.Stack.supervisor(stack))
    monitor = Process.monitor(supervisor)
    Process.exit(supervisor, :kill)
    assert_receive {:DOWN, ^monitor, _, _, _}

    %{id: id} =
      eventually(fn ->
        try do
          List.first(Sippet.Transport.list(stack))
        rescue
          # Not yet there again.
          ArgumentError -> nil
        end
      end)

    Sippet.Test.Core.register(stack, {:forward, self()})
    # To the stack it is a flow of its own transport, as that is numbered now.
    flow = %{flow | transport: id}
    Process.exit(pid, :kill)
    assert_receive {^stack, :flow_closed, ^flow, :killed}
  end

  test "two stacks keep a flow between them alive over UDP" do
    [stack, other] = for _ <- 1..2, do: start()
    {_ip, port} = address(other)
    flow = %Sippet.Flow{transport: 1, remote: {{127, 0, 0, 1}, port}}
    assert [%{id: 1}] = Sippet.Transport.list(stack)
    assert :ok = Sippet.keep_alive(stack, flow, interval: 50)
    eventually(fn -> info(stack).counters.binding_responses >= 3 end)
    assert info(other).counters.binding_requests >= 3
    refute_received {^stack, :flow_closed, _flow, _reason}
  end

  describe "for peers" do
    test "a Binding request is answered with the address that it came from (§8)" do
      for ip <- [{127, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 1}] do
        stack = start(udp: [[address: List.to_string(:inet.ntoa(ip))]])
        peer = Peer.open(ip)
        id = :crypto.strong_rand_bytes(12)
        Peer.send(peer, address(stack), <<1::16, 0::16, @cookie::32, id::binary>>)

        assert <<0x0101::16, length::16, @cookie::32, ^id::binary-size(12), 0x0020::16, size::16,
                 0, family, port::16, address::binary>> = Peer.receive_bytes(peer)

        assert Bitwise.bxor(port, 0x2112) == peer.port
        mask = binary_part(<<@cookie::32, id::binary>>, 0, byte_size(address))
        plain = :crypto.exor(address, mask)

        if tuple_size(ip) == 4,
          do: assert({length, size, family, plain} == {12, 8, 1, <<127, 0, 0, 1>>}),
          else: assert({length, size, family, plain} == {24, 20, 2, <<1::128>>})

        assert info(stack).counters.binding_requests == 1
      end
    end

    test "a FINGERPRINT is checked where there is one, and the answer has one then (RFC 8489 §14.7)" do
      stack = start()
      peer = Peer.open()
      head = <<1::16, 8::16, @cookie::32, 7::96>>
      checksum = Bitwise.bxor(:erlang.crc32(head), 0x5354554E)
      Peer.send(peer, address(stack), head <> <<0x8028::16, 4::16, checksum + 1::32>>)
      Peer.send(peer, address(stack), head <> <<0x8028::16, 4::16, checksum::32>>)
      answer = Peer.receive_bytes(peer)
      assert byte_size(answer) == 40
      <<covered::binary-size(32), 0x8028::16, 4::16, checksum::32>> = answer
      assert checksum == Bitwise.bxor(:erlang.crc32(covered), 0x5354554E)
      Peer.refute_any(peer, 100)
      assert %{binding_requests: 1, stun_dropped: 1} = info(stack).counters
    end

    test "datagrams of line ends or NUL are ignored, and SIP behind line ends is not (§7.5)" do
      stack = start()
      peer = Peer.open()

      for blank <- ["\r\n\r\n", "\r\n", <<0>>, <<0::32>>, ""],
          do: Peer.send(peer, address(stack), blank)

      Peer.send(peer, address(stack), "\r\n\r\n" <> Wire.request("OPTIONS", peer))
      assert_receive {^stack, :request, request, _key}
      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      Peer.expect(peer, "SIP/2.0 200 ")
      Peer.refute_any(peer, 100)
      assert Sippet.Transaction.counters(stack).keep_alives == 5
    end

    test "a flood of STUN and garbage gets an answer for a request, of its size, and SIP goes on" do
      stack = start(core: nil)

      Sippet.Test.Core.register(stack, fn
        :request, request, _key -> Sippet.send(stack, Message.to_response(request, 200))
        _callback, _first, _key -> :ok
      end)

      [flooder, peer] = for _ <- 1..2, do: Peer.open()
      to = address(stack)
      :rand.seed(:exsss, {5626, 8, 1})
      binding = <<1::16, 0::16, @cookie::32, 1::96>>
      unknown = for type <- 1..200, into: <<>>, do: <<type + 0x100::16, 0::16>>

      for n <- 1..5_000 do
        Peer.send(flooder, to, binding)
        Peer.send(flooder, to, garbage(n))
        # So that the system's queue has room, and the answers are counted.
        if rem(n, 50) == 0 do
          Peer.send(peer, to, Wire.request("OPTIONS", peer))
          Peer.await(peer, "SIP/2.0 200 ", 10_000)
        end
      end

      Peer.send(flooder, to, <<1::16, 800::16, @cookie::32, 2::96, unknown::binary>>)
      eventually(fn -> info(stack).counters.stun_dropped > 0 end)
      Peer.send(peer, to, Wire.request("OPTIONS", peer))
      Peer.await(peer, "SIP/2.0 200 ", 10_000)

      # What has come is answers: to each request at most one, none longer than it has to be.
      answers = all(flooder)
      assert length(answers) > 100
      for answer <- answers, do: assert(byte_size(answer) <= 40)
      assert info(stack).counters.binding_requests in length(answers)..5_001
    end
  end

  defp all(peer) do
    socket = peer.socket

    receive do
      {:udp, ^socket, _ip, _port, bytes} -> [bytes | all(peer)]
    after
      500 -> []
    end
  end

  # Cut off, of no kind, of a wrong length, or a response that nobody asked for.
  defp garbage(n) do
    case rem(n, 4) do
      0 -> <<1::16, 8::16, @cookie::32, n::96>>
      1 -> <<0x0101::16, 0::16, @cookie::32, n::96>>
      2 -> <<0::2, 5::14, 12::16, @cookie::32, n::96, :rand.bytes(12)::binary>>
      3 -> <<0::2, :rand.bytes(30)::binary, 0::6>>
    end
  end

  test "what is no flow of the stack's, or no option, is said so" do
    stack = start()
    flow = %Sippet.Flow{transport: 99, remote: {{127, 0, 0, 1}, 5060}}

    assert {:error, %TransportError{reason: :transport_closed}} = Sippet.keep_alive(stack, flow)

    for options <- [[interval: 0], [interval: "1"], [pong_timeout: :infinity], [rto: -1]] do
      assert_raise ArgumentError, ~r/to be a positive number of milliseconds, got:/, fn ->
        Sippet.keep_alive(stack, flow, options)
      end
    end

    assert_raise ArgumentError,
                 ~r/among :interval, :pong_timeout and :rto, got: {:often, 1}/,
                 fn ->
                   Sippet.keep_alive(stack, flow, often: 1)
                 end
  end

  test "a transport that has no way to do it is not made to" do
    stack = start()
    :ok = Sippet.register_transport(stack, :sctp, true)
    %{id: id} = Enum.find(Sippet.Transport.list(stack), &(&1.protocol == :sctp))
    flow = %Sippet.Flow{transport: id, remote: {{127, 0, 0, 1}, 5060}}

    assert {:error, %TransportError{reason: :not_supported} = error} =
             Sippet.keep_alive(stack, flow)

    assert Exception.message(error) == "transport sctp: the transport has no way to do this"
  end

  # A stack of one transport.
  defp stack(protocol) when protocol in [:tcp, :ws], do: start([{protocol, [[]]}])

  defp stack(protocol) do
    %{server: server} = Certificates.chains()
    start([{protocol, [Keyword.take(server, [:cert, :key])]}])
  end

  defp connect(stack, protocol) do
    tls = if protocol in [:tls, :wss], do: [tls: []], else: []
    ws = if protocol in [:ws, :wss], do: [ws: "/"], else: []
    StreamPeer.connect(address(stack), tls ++ ws)
  end

  defp name(protocol), do: protocol |> Atom.to_string() |> String.upcase()

  defp take_ping(%{ws: nil} = peer), do: assert(StreamPeer.read(peer, 4) == "\r\n\r\n")
  defp take_ping(peer), do: assert({1, :ping, _payload} = WebSocket.read_frame(peer))

  defp pong(%{ws: nil} = peer), do: StreamPeer.send(peer, "\r\n")
  defp pong(peer), do: StreamPeer.send_raw(peer, WebSocket.frame(:pong, ""))

  defp take_binding(peer) do
    assert <<1::16, 0::16, @cookie::32, id::binary-size(12)>> = Peer.receive_bytes(peer)
    id
  end

  # The answer to a Binding request, made by hand.
  defp bind(stack, peer, id, {{a, b, c, d}, port} \\ {{192, 0, 2, 7}, 40_000}) do
    <<address::32>> = <<a, b, c, d>>

    Peer.send(
      peer,
      address(stack),
      <<0x0101::16, 12::16, @cookie::32, id::binary, 0x0020::16, 8::16, 0, 1,
        Bitwise.bxor(port, 0x2112)::16, Bitwise.bxor(address, @cookie)::32>>
    )
  end
end
