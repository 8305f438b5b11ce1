defmodule Sippet.Integration.UDPTest do
  # A stack and a hand-made peer over real sockets: what it answers to, where to, and from where.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack,
    only: [start: 0, start: 1, start_udp: 2, address: 1, address: 2, eventually: 1]

  import Sippet.Test.Wire

  alias Sippet.{Message, TransportError}
  alias Sippet.Test.{Peer, Stack}
  alias Sippet.Transactions.{Client, Server}

  defp answer(stack, status),
    do: fn
      :request, request, key when key != nil ->
        :ok = Sippet.send(stack, Message.to_response(request, status))

      _callback, _first, _key ->
        :ok
    end

  defp start_answering(options \\ [], status \\ 200) do
    stack = start([core: nil] ++ options)
    Sippet.Test.Core.register(stack, answer(stack, status))
    stack
  end

  describe "a request that comes in" do
    test "reaches the core as a message, and its response the peer (§17.2)" do
      stack = start()
      peer = Peer.open()

      Peer.send(
        peer,
        address(stack),
        request("OPTIONS", peer, branch: "z9hG4bKin", call_id: "in")
      )

      assert_receive {^stack, :request, request, key}
      assert %Server.Key{branch: "z9hG4bKin", method: :options, sentby: {"127.0.0.1", port}} = key
      assert port == peer.port
      assert request.start_line.method == :options
      assert request.headers.call_id == "in"
      assert request.source.remote == {peer.ip, peer.port}
      assert request.source.transport == hd(Sippet.Transport.list(stack)).id

      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      {response, from} = Peer.receive_from(peer)
      assert from == address(stack)
      assert String.starts_with?(response, "SIP/2.0 200 OK\r\n")
      assert field(response, "Call-ID") == "in"
      assert field(response, "CSeq") == "1 OPTIONS"
      assert to_tag(response)
    end

    test "that comes again is absorbed, and answered as before (§17.2.2)" do
      stack = start()
      peer = Peer.open()
      options = request("OPTIONS", peer)
      Peer.send(peer, address(stack), options)
      assert_receive {^stack, :request, request, _key}
      # Before the answer nothing is to be repeated (§17.2.2, Trying).
      Peer.send(peer, address(stack), options)
      Peer.refute_any(peer, 50)

      Sippet.send(stack, Message.to_response(request, 200))
      first = Peer.expect(peer, "SIP/2.0 200 ")
      for _ <- 1..3, do: Peer.send(peer, address(stack), options)
      for _ <- 1..3, do: assert(Peer.receive_bytes(peer) == first)
      refute_received {^stack, :request, _, _}
      assert Sippet.Transaction.counters(stack).absorbed_messages == 4
    end

    test "and is an INVITE gets 100 after 200 ms of silence, once (§17.2.1)" do
      stack = start()
      peer = Peer.open()
      invite = request("INVITE", peer)
      began = System.monotonic_time(:millisecond)
      Peer.send(peer, address(stack), invite)
      trying = Peer.expect(peer, "SIP/2.0 100 ")
      assert System.monotonic_time(:millisecond) - began >= 200
      # §8.2.6.2: a 100 has no need of a tag of its own.
      assert field(trying, "CSeq") == "1 INVITE"

      assert_receive {^stack, :request, request, _key}
      Sippet.send(stack, Message.to_response(request, 180))
      Peer.expect(peer, "SIP/2.0 180 ")
      Peer.refute_any(peer, 250)
    end

    test "and was answered with a provisional response gets no 100" do
      stack = start_answering([], 180)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("INVITE", peer))

      # What comes after it would be the 100 of 200 ms; before, its core was kept waiting for that long.
      Peer.expect(peer, "SIP/2.0 180 ")
      Peer.refute_any(peer, 300)
    end

    test "without a core is answered 503, and its ACK is absorbed (§8.2.7)" do
      stack = start(core: nil)
      peer = Peer.open()
      invite = request("INVITE", peer)
      Peer.send(peer, address(stack), invite)
      response = Peer.expect(peer, "SIP/2.0 503 ")
      Peer.send(peer, address(stack), invite)
      assert Peer.receive_bytes(peer) == response
      Peer.send(peer, address(stack), follow_up("ACK", invite, to: field(response, "To")))
      Peer.refute_any(peer, 50)
      assert Sippet.Transaction.count(stack) == 0
      # The ACK is that of an answer of the stack's, and no request that was refused.
      counters = Sippet.info(stack).counters
      assert %{received_requests: 3, refused_requests: 2, stateless_replies: 2} = counters
    end

    test "and is an ACK is refused without a core: no answer, but counted (§17)" do
      stack = start(core: nil)
      peer = Peer.open()

      for tag <- [nil, "another"],
          do: Peer.send(peer, address(stack), request("ACK", peer, to_tag: tag))

      eventually(fn -> Sippet.info(stack).counters.received_requests == 2 end)
      assert %{refused_requests: 2, stateless_replies: 0} = Sippet.info(stack).counters
      Peer.refute_any(peer, 50)
    end

    test "whose CSeq has another method is answered 400 without state (§8.2.7)" do
      stack = start()
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer, cseq_method: "INFO"))
      Peer.expect(peer, "SIP/2.0 400 ")
      refute_received {^stack, :request, _, _}
      assert Sippet.Transaction.count(stack) == 0
    end

    test "and is a CANCEL reaches the core with the key of its INVITE (§9.2)" do
      stack = start()
      peer = Peer.open()
      invite = request("INVITE", peer)
      Peer.send(peer, address(stack), invite)
      assert_receive {^stack, :request, _invite, invite_key}
      Peer.send(peer, address(stack), follow_up("CANCEL", invite))
      assert_receive {^stack, :request, cancel, ^invite_key}
      assert cancel.start_line.method == :cancel

      assert :ok = Sippet.send(stack, Message.to_response(cancel, 200))
      assert peer |> Peer.await("SIP/2.0 200 ") |> field("CSeq") == "1 CANCEL"
    end

    test "and is a CANCEL of nothing is answered 481 (§9.2)" do
      stack = start()
      peer = Peer.open()
      Peer.send(peer, address(stack), request("CANCEL", peer))
      Peer.expect(peer, "SIP/2.0 481 ")
      refute_received {^stack, :request, _, _}
    end

    test "and is the ACK to a 2xx reaches the core with key nil (§13.3.1.4)" do
      stack = start_answering()
      peer = Peer.open()
      Sippet.Test.Core.register(stack, :forward)
      invite = request("INVITE", peer)
      Peer.send(peer, address(stack), invite)
      assert_receive {^stack, :request, request, _key}
      Sippet.send(stack, Message.to_response(request, 200))
      ok = Peer.expect(peer, "SIP/2.0 200 ")

      via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bK#{unique()};rport"
      Peer.send(peer, address(stack), follow_up("ACK", invite, via: via, to: field(ok, "To")))
      assert_receive {^stack, :request, ack, nil}
      assert ack.start_line.method == :ack
    end

    test "and is the ACK to another final response is the transaction's (§17.2.1)" do
      stack = start(t1: 50, t4: 100)
      peer = Peer.open()
      invite = request("INVITE", peer)
      Peer.send(peer, address(stack), invite)
      assert_receive {^stack, :request, request, key}
      Sippet.send(stack, Message.to_response(request, 486))
      busy = Peer.expect(peer, "SIP/2.0 486 ")
      # Timer G repeats it.
      assert Peer.receive_bytes(peer) == busy
      Peer.send(peer, address(stack), follow_up("ACK", invite, to: field(busy, "To")))
      Stack.eventually(fn -> Sippet.Transaction.count(stack) == 0 end)
      refute_received {^stack, :request, _, _}
      refute_received {^stack, :error, _, ^key}
    end

    test "and whose final response nobody acknowledges ends in :timeout (§17.2.1, timer H)" do
      stack = start(t1: 5, t2: 40, t4: 50)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("INVITE", peer))
      assert_receive {^stack, :request, request, key}
      Sippet.send(stack, Message.to_response(request, 486))
      assert_receive {^stack, :error, :timeout, ^key}
    end
  end

  describe "the topmost Via" do
    setup do
      %{stack: start(), peer: Peer.open()}
    end

    defp received_via(stack, peer, via) do
      Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))
      assert_receive {^stack, :request, request, _key}
      {hd(request.headers.via), request}
    end

    test "gets received and rport when it asks for them (RFC 3581 §4)", %{
      stack: stack,
      peer: peer
    } do
      {{_, _, _, parameters}, _} =
        received_via(stack, peer, "SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bK#{unique()};rport")

      assert parameters["rport"] == "#{peer.port}"
      assert parameters["received"] == "127.0.0.1"
    end

    test "gets received when sent-by is another address (§18.2.1)", %{stack: stack, peer: peer} do
      {{_, _, {host, _}, parameters}, _} =
        received_via(stack, peer, "SIP/2.0/UDP client.invalid;branch=z9hG4bK#{unique()}")

      assert host == "client.invalid"
      assert parameters["received"] == "127.0.0.1"
      refute is_map_key(parameters, "rport")
    end

    test "gets nothing when sent-by is true and asks for nothing", %{stack: stack, peer: peer} do
      {{_, _, _, parameters}, _} =
        received_via(stack, peer, "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bKtrue")

      assert parameters == %{"branch" => "z9hG4bKtrue"}
    end

    test "loses what the peer says of itself; those below keep theirs", %{
      stack: stack,
      peer: peer
    } do
      {{_, _, _, parameters}, request} =
        received_via(
          stack,
          peer,
          "SIP/2.0/UDP client.invalid;received=10.9.9.9;branch=z9hG4bK#{unique()}, " <>
            "SIP/2.0/UDP below.invalid;received=10.8.8.8;rport=7"
        )

      assert parameters["received"] == "127.0.0.1"
      assert [_, {_, _, _, %{"received" => "10.8.8.8", "rport" => "7"}}] = request.headers.via
    end
  end

  describe "a response goes" do
    test "to the source port with rport, whatever sent-by says (RFC 3581 §4)" do
      stack = start_answering()
      peer = Peer.open()
      via = "SIP/2.0/UDP client.invalid:1;branch=z9hG4bK#{unique()};rport"
      Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))

      assert hd(fields(Peer.expect(peer, "SIP/2.0 200 "), "Via")) =~ ";rport=#{peer.port}"
    end

    test "to the port of sent-by without rport (§18.2.2)" do
      stack = start_answering()
      {peer, other} = {Peer.open(), Peer.open()}
      via = "SIP/2.0/UDP client.invalid:#{other.port};branch=z9hG4bK#{unique()}"
      Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))

      Peer.expect(other, "SIP/2.0 200 ")
      Peer.refute_any(peer, 50)
    end

    test "to maddr at the port of sent-by, rport or not (§18.2.2)" do
      stack = start_answering()
      peer = Peer.open()
      other = Peer.open({127, 0, 0, 2})

      via = "SIP/2.0/UDP 127.0.0.1:#{other.port};maddr=127.0.0.2;branch=z9hG4bK#{unique()};rport"

      Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))
      # The transport is bound to 127.0.0.1 and reaches the other address of the interface.
      Peer.expect(other, "SIP/2.0 200 ")
      Peer.refute_any(peer, 50)
    end

    test "to the source port without rport where the transport has force_rport" do
      stack = start_answering(udp: [[force_rport: true]])
      peer = Peer.open()
      via = "SIP/2.0/UDP client.invalid:1;branch=z9hG4bK#{unique()}"
      Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))
      Peer.expect(peer, "SIP/2.0 200 ")
    end

    test "where the core says: target is a flow or an address" do
      stack = start()
      {peer, other} = {Peer.open(), Peer.open()}

      for target <- [
            %Sippet.Flow{
              transport: hd(Sippet.Transport.list(stack)).id,
              remote: {other.ip, other.port}
            },
            {:udp, "127.0.0.1", other.port}
          ] do
        Peer.send(peer, address(stack), request("OPTIONS", peer))
        assert_receive {^stack, :request, request, _key}
        response = %{Message.to_response(request, 200) | target: target}
        assert :ok = Sippet.send(stack, response)
        Peer.expect(other, "SIP/2.0 200 ")
      end

      Peer.refute_any(peer, 20)
    end
  end

  describe "a request that is sent" do
    test "reaches the peer, and its responses the core with the client key (§17.1.2)" do
      stack = start()
      peer = Peer.open()
      options = Stack.request(:options, {peer.ip, peer.port}, branch: "z9hG4bKout")
      assert :ok = Sippet.send(stack, options)

      {text, from} = Peer.receive_from(peer)
      assert from == address(stack)
      assert String.starts_with?(text, "OPTIONS sip:peer@example.com SIP/2.0\r\n")
      Peer.send(peer, from, response(text, "200 Fine"))

      assert_receive {^stack, :response, response, key}
      assert key == %Client.Key{branch: "z9hG4bKout", method: :options}
      assert response.start_line.status_code == 200
      assert response.start_line.reason_phrase == "Fine"
    end

    test "and whose response has two Via: the core gets both of them (§8.1.3.3)" do
      stack = start()
      peer = Peer.open()
      request = Stack.request(:options, {peer.ip, peer.port})
      assert :ok = Sippet.send(stack, request)
      {text, from} = Peer.receive_from(peer)
      [via] = fields(text, "Via")
      below = "Via: SIP/2.0/UDP below.example.com;branch=z9hG4bKbelow"
      two = text |> response("200 OK") |> String.replace("Via: #{via}", "Via: #{via}\r\n#{below}")
      Peer.send(peer, from, two)
      assert_receive {^stack, :response, %{headers: %{via: [_own, second]}}, key}
      assert key == Client.Key.new(request)
      assert {{2, 0}, :udp, {"below.example.com", 5060}, %{"branch" => "z9hG4bKbelow"}} = second
    end

    test "is repeated until it is answered, and a repeated answer is absorbed (§17.1.2.2)" do
      stack = start(t1: 30, t2: 60, t4: 100)
      peer = Peer.open()
      Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))
      text = Peer.expect(peer, "OPTIONS ")
      for _ <- 1..3, do: assert(Peer.receive_bytes(peer) == text)
      for _ <- 1..3, do: Peer.send(peer, address(stack), response(text, "200 OK"))
      assert_receive {^stack, :response, _, _key}
      Stack.eventually(fn -> Sippet.Transaction.count(stack) == 0 end)
      refute_received {^stack, :response, _, _}
    end

    test "and is not answered ends in :timeout after 64·T1 (§17.1.2.2, timer F)" do
      stack = start(t1: 5, t2: 40)
      peer = Peer.open()
      options = Stack.request(:options, {peer.ip, peer.port})
      key = Client.Key.new(options)
      began = System.monotonic_time(:millisecond)
      Sippet.send(stack, options)
      assert_receive {^stack, :error, :timeout, ^key}
      assert System.monotonic_time(:millisecond) - began >= 64 * 5
      assert Sippet.Transaction.count(stack) == 0
    end

    test "and is an INVITE: a final response other than 2xx is acknowledged by the stack (§17.1.1.3)" do
      stack = start()
      peer = Peer.open()
      Sippet.send(stack, Stack.request(:invite, {peer.ip, peer.port}))
      text = Peer.expect(peer, "INVITE ")
      busy = response(text, "486 Busy Here", to_tag: "busy")
      Peer.send(peer, address(stack), busy)
      ack = Peer.expect(peer, "ACK sip:peer@example.com SIP/2.0")
      assert fields(ack, "Via") == fields(text, "Via")
      assert field(ack, "To") == field(busy, "To")
      assert field(ack, "CSeq") == "1 ACK"
      assert_receive {^stack, :response, %{start_line: %{status_code: 486}}, _key}

      Peer.send(peer, address(stack), busy)
      assert Peer.receive_bytes(peer) == ack
      refute_received {^stack, :response, _, _}
    end

    test "and is an INVITE: the ACK of the core answers each repetition of the 2xx (§13.2.2.4)" do
      stack = start()
      peer = Peer.open()
      invite = Stack.request(:invite, {peer.ip, peer.port})
      Sippet.send(stack, invite)
      text = Peer.expect(peer, "INVITE ")
      ok = response(text, "200 OK", to_tag: "fork1")
      Peer.send(peer, address(stack), ok)
      assert_receive {^stack, :response, response, key}

      ack =
        Stack.request(:ack, {peer.ip, peer.port}, call_id: invite.headers.call_id)
        |> Message.put_header(:from, invite.headers.from)
        |> Message.put_header(:to, response.headers.to)

      assert :ok = Sippet.send(stack, ack)
      sent = Peer.expect(peer, "ACK ")
      Peer.send(peer, address(stack), ok)
      assert Peer.receive_bytes(peer) == sent
      refute_received {^stack, :response, _, _}

      # Another fork answers (§13.2.2.4, RFC 6026 §7.2).
      Peer.send(peer, address(stack), response(text, "200 OK", to_tag: "fork2"))
      assert_receive {^stack, :response, %{headers: %{to: {_, _, %{"tag" => "fork2"}}}}, ^key}
    end

    test "and is a CANCEL waits for a provisional response to its INVITE (§9.1)" do
      stack = start()
      peer = Peer.open()
      invite = Stack.request(:invite, {peer.ip, peer.port}, branch: "z9hG4bKcancelled")
      Sippet.send(stack, invite)
      text = Peer.expect(peer, "INVITE ")

      cancel =
        %{invite | start_line: %{invite.start_line | method: :cancel}}
        |> Message.put_header(:cseq, {1, :cancel})

      assert :ok = Sippet.send(stack, cancel)
      Peer.refute_any(peer, 50)
      Peer.send(peer, address(stack), response(text, "180 Ringing"))
      cancelled = Peer.expect(peer, "CANCEL ")
      assert fields(cancelled, "Via") == fields(text, "Via")
    end

    test "goes to its Route before its Request-URI (§8.1.2)" do
      stack = start()
      peer = Peer.open()

      request =
        %{Stack.request(:options, {peer.ip, peer.port}) | target: nil}
        |> Message.put_header(:route, [
          {"", Sippet.URI.parse!("sip:127.0.0.1:#{peer.port};lr"), %{}}
        ])

      assert :ok = Sippet.send(stack, request)

      assert peer |> Peer.expect("OPTIONS ") |> field("Route") ==
               "<sip:127.0.0.1:#{peer.port};lr>"
    end

    test "goes to its Request-URI without Route and target" do
      stack = start()
      peer = Peer.open()

      request = Stack.request(:options, {peer.ip, peer.port}, uri: "sip:x@127.0.0.1:#{peer.port}")

      assert :ok = Sippet.send(stack, %{request | target: nil})
      Peer.expect(peer, "OPTIONS ")
    end
  end

  describe "several transports" do
    test "of both families answer from where the request came in" do
      stack = start_answering(udp: [[], [address: {"::1", :inet6}]])
      four = Peer.open()
      six = Peer.open({0, 0, 0, 0, 0, 0, 0, 1})

      Peer.send(six, address(stack, 1), request("OPTIONS", six))
      Peer.send(four, address(stack, 0), request("OPTIONS", four))
      assert {"SIP/2.0 200 " <> _, from} = Peer.receive_from(six)
      assert from == address(stack, 1)
      assert {"SIP/2.0 200 " <> _, from} = Peer.receive_from(four)
      assert from == address(stack, 0)
    end

    test "of both families: a request leaves by the one that fits" do
      stack = start(udp: [[], [address: {"::1", :inet6}]])
      six = Peer.open({0, 0, 0, 0, 0, 0, 0, 1})

      request = Stack.request(:options, {six.ip, six.port}, target: {:udp, "::1", six.port})
      assert :ok = Sippet.send(stack, request)
      assert {"OPTIONS " <> _, from} = Peer.receive_from(six)
      assert from == address(stack, 1)
    end

    test "of one family answer from where the request came in, also statelessly" do
      stack = start_answering(udp: [[], []])
      peer = Peer.open()
      assert address(stack, 0) != address(stack, 1)

      for index <- [1, 0], text <- [request("OPTIONS", peer), request("CANCEL", peer)] do
        Peer.send(peer, address(stack, index), text)
        assert {"SIP/2.0 " <> _, from} = Peer.receive_from(peer)
        assert from == address(stack, index)
      end
    end

    test "a flow chooses the socket of a request" do
      stack = start(udp: [[], []])
      peer = Peer.open()
      [_, second] = Sippet.Transport.list(stack)
      flow = %Sippet.Flow{transport: second.id, remote: {peer.ip, peer.port}}

      assert :ok = Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}, target: flow))

      assert {"OPTIONS " <> _, from} = Peer.receive_from(peer)
      assert from == second.address
    end
  end

  describe "a transport" do
    setup do
      Process.flag(:trap_exit, true)
      :ok
    end

    test "on a port that is taken fails with a clear error" do
      stack = start(udp: [])
      peer = Peer.open()

      assert {:error, %TransportError{reason: :eaddrinuse} = error} =
               Sippet.Transports.UDP.start_link(
                 name: stack,
                 port: peer.port,
                 address: "127.0.0.1"
               )

      assert Exception.message(error) == "udp 127.0.0.1:#{peer.port}: address already in use"
      assert Sippet.Transport.list(stack) == []
    end

    test "on port 0 tells the port it got" do
      stack = start()

      assert [%{protocol: :udp, reliable: false, address: {{127, 0, 0, 1}, port}, pid: pid}] =
               Sippet.Transport.list(stack)

      assert port > 0

      assert %{address: {{127, 0, 0, 1}, ^port}, recbuf: recbuf} = Sippet.Transports.UDP.info(pid)

      assert recbuf > 0
    end

    test "that is started again keeps its number, its port and the transactions of the stack" do
      # A port that was free a moment ago.
      probe = Peer.open()
      Peer.close(probe)
      stack = start(udp: [[port: probe.port]])
      peer = Peer.open()
      [before] = Sippet.Transport.list(stack)
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, request, _key}

      Process.exit(before.pid, :kill)

      again =
        Stack.eventually(fn ->
          Enum.find(Sippet.Transport.list(stack), &(&1.pid != before.pid))
        end)

      assert again.id == before.id
      assert again.address == before.address
      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      Peer.expect(peer, "SIP/2.0 200 ")
      Peer.send(peer, again.address, request("OPTIONS", peer))
      assert_receive {^stack, :request, _request, _key}
    end

    test "that has ended is forgotten, and a flow over it leads nowhere" do
      stack = start(udp: [])
      udp = start_udp(stack, port: 0)
      [transport] = Sippet.Transport.list(stack)
      peer = Peer.open()
      flow = %Sippet.Flow{transport: transport.id, remote: {peer.ip, peer.port}}
      GenServer.stop(udp)
      # The supervisor of the test starts it again, on another port: another transport.
      Stack.eventually(fn ->
        match?([%{pid: pid}] when pid != udp, Sippet.Transport.list(stack))
      end)

      assert [%{id: id}] = Sippet.Transport.list(stack)
      assert id != transport.id

      assert {:error, %TransportError{reason: :transport_closed}} =
               Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}, target: flow))
    end

    test "of a stack that is not there is refused by name" do
      assert_raise ArgumentError, ~r/no stack named :nowhere/, fn ->
        Sippet.Transports.UDP.start_link(name: :nowhere, port: 0)
      end
    end

    test "refuses options that it does not know or that are not of their kind" do
      for {options, expected} <- [
            {[port: 0], ~r/expected :name option to be present/},
            {[name: "x"], ~r/expected :name to be an atom, got: "x"/},
            {[name: :x, port: -1], ~r/:port to be an integer between 0 and 65535, got: -1/},
            {[name: :x, port: 65_536], ~r/between 0 and 65535/},
            {[name: :x, port: "5060"], ~r/between 0 and 65535/},
            {[name: :x, prot: 1], ~r/unknown option :prot/},
            {[name: :x, address: 7], ~r/expected :address to be an address/},
            {[name: :x, address: "no host"], ~r/:address contains an invalid IP or DNS name/},
            {[name: :x, address: {"127.0.0.1", :inet6}], ~r/:address contains an invalid IP/},
            {[name: :x, force_rport: 1], ~r/:force_rport to be a boolean/},
            {[name: :x, recbuf: 0], ~r/:recbuf to be a positive number/}
          ] do
        assert_raise ArgumentError, expected, fn ->
          Sippet.Transports.UDP.start_link(options)
        end
      end
    end
  end
end
