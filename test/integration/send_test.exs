defmodule Sippet.Integration.SendTest do
  # What Sippet.send/2,3, reply/3, terminate/2 and reliable?/2 do and refuse, before a real peer.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 0, start: 1, address: 1]
  import Sippet.Test.Wire

  alias Sippet.{Message, Transaction, TransportError}
  alias Sippet.Test.{Peer, Stack}
  alias Sippet.Transactions.Client

  defp receive_request(stack, peer, text) do
    Peer.send(peer, address(stack), text)
    assert_receive {^stack, :request, request, key}
    {request, key}
  end

  defp forked(request, fork) do
    request
    |> Message.to_response(200)
    |> Message.update_header(:to, fn {name, uri, parameters} ->
      {name, uri, Map.put(parameters, "tag", "fork#{fork}")}
    end)
  end

  describe "send/2 refuses" do
    test "a request whose transaction exists: :already_started" do
      stack = start()
      peer = Peer.open()
      request = Stack.request(:options, {peer.ip, peer.port})
      assert :ok = Sippet.send(stack, request)
      assert {:error, :already_started} = Sippet.send(stack, request)
      Peer.expect(peer, "OPTIONS ")
      Peer.refute_any(peer, 50)
    end

    test "a topmost Via of another shape: it raises, naming the header field" do
      stack = start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 9})
      parameters = %{"branch" => "z9hG4bK-1"}

      for via <- [
            {{2, 0}, :udp, "host", parameters},
            {{2, 0}, :tcp, nil, parameters},
            {{2, 0}, :udp, {"host", 0, 1}, parameters},
            {{2, 0}, :udp, {"host", 0}, nil},
            {{2, 0}, :udp},
            "SIP/2.0/UDP host;branch=z9hG4bK-1"
          ] do
        assert_raise ArgumentError, ~r/via/, fn ->
          Sippet.send(stack, Message.put_header(request, :via, [via]))
        end
      end
    end

    test "a response that nobody waits for: :no_transaction" do
      stack = start()
      peer = Peer.open()
      {request, key} = receive_request(stack, peer, request("OPTIONS", peer))
      assert :ok = Sippet.terminate(stack, key)
      assert {:error, :no_transaction} = Sippet.send(stack, Message.to_response(request, 200))
      Peer.refute_any(peer, 50)
    end

    test "a second final response: :already_answered" do
      stack = start()
      peer = Peer.open()

      for method <- ["OPTIONS", "INVITE"] do
        {request, _key} = receive_request(stack, peer, request(method, peer))
        assert :ok = Sippet.send(stack, Message.to_response(request, 404))
        Peer.expect(peer, "SIP/2.0 404 ")
        assert {:error, :already_answered} = Sippet.send(stack, Message.to_response(request, 200))
        assert {:error, :already_answered} = Sippet.send(stack, Message.to_response(request, 180))
      end
    end

    test "a provisional response to other methods than INVITE (RFC 4320 §4.1)" do
      stack = start()
      peer = Peer.open()
      {request, _key} = receive_request(stack, peer, request("OPTIONS", peer))
      response = Message.to_response(request, 180)
      assert {:error, :provisional_forbidden} = Sippet.send(stack, response)
      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      Peer.expect(peer, "SIP/2.0 200 ")
    end

    test "a 408 to other methods than INVITE (RFC 4320 §4.2)" do
      stack = start()
      peer = Peer.open()
      {request, _key} = receive_request(stack, peer, request("OPTIONS", peer))
      response = Message.to_response(request, 408)
      assert {:error, :timeout_forbidden} = Sippet.send(stack, response)
      assert :ok = Sippet.send(stack, Message.to_response(request, 504))
      Peer.expect(peer, "SIP/2.0 504 ")
    end

    test "a 2xx of a seventeenth fork until its ACK: :too_many_forks" do
      stack = start()
      peer = Peer.open()
      {request, _key} = receive_request(stack, peer, request("INVITE", peer))

      for fork <- 1..16 do
        assert :ok = Sippet.send(stack, forked(request, fork), until: :ack)
        assert field(Peer.expect(peer, "SIP/2.0 200 "), "To") =~ "tag=fork#{fork}"
      end

      assert {:error, :too_many_forks} = Sippet.send(stack, forked(request, 17), until: :ack)
    end

    test "a request beyond max_transactions: :too_many_transactions" do
      stack = start(max_transactions: 10)
      peer = Peer.open()
      send_one = fn -> Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port})) end
      for _ <- 1..10, do: assert(:ok = send_one.())
      assert {:error, :too_many_transactions} = send_one.()
    end

    test "a request without a host to go to" do
      stack = start()
      request = %{Stack.request(:options, {{127, 0, 0, 1}, 1}, uri: "tel:+1234567") | target: nil}

      assert {:error, %TransportError{reason: :no_destination, address: "tel:+1234567"} = error} =
               Sippet.send(stack, request)

      assert Exception.message(error) == "tel:+1234567: there is no host to send to"
      assert Transaction.count(stack) == 0
    end

    test "a request over a transport that the stack has not" do
      stack = start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 1})

      assert {:error, %TransportError{reason: :no_transport, protocol: :tcp, port: 5070} = error} =
               Sippet.send(stack, %{request | target: {:tcp, "127.0.0.1", 5070}})

      assert Exception.message(error) == "tcp 127.0.0.1:5070: the stack has no such transport"

      for uri <- ["sip:127.0.0.1;transport=tcp", "sip:127.0.0.1;Transport=TCP"] do
        request = Stack.request(:options, {{127, 0, 0, 1}, 1}, uri: uri)

        assert {:error, %TransportError{reason: :no_transport, protocol: :tcp}} =
                 Sippet.send(stack, %{request | target: nil})
      end

      # §26.2.1
      request = Stack.request(:options, {{127, 0, 0, 1}, 1}, uri: "sips:127.0.0.1")

      assert {:error, %TransportError{reason: :no_transport, protocol: :tls, port: 5061}} =
               Sippet.send(stack, %{request | target: nil})
    end

    test "a request to an address of a family that the stack has not" do
      stack = start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 1}, target: {:udp, "::1", 5060})
      assert {:error, %TransportError{reason: :no_transport}} = Sippet.send(stack, request)
    end

    test "a request to a name that does not exist" do
      stack = start()
      # RFC 6761 §6.4: there is nothing under invalid.
      request = Stack.request(:options, {{127, 0, 0, 1}, 1}, target: {:udp, "x.invalid", 5060})

      assert {:error, %TransportError{reason: :nxdomain} = error} = Sippet.send(stack, request)
      assert Exception.message(error) == "udp x.invalid:5060: non-existing domain"
      assert Transaction.count(stack) == 0
    end

    test "what is no valid message, naming the header field" do
      stack = start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 1})

      for {message, expected} <- [
            {Message.delete_header(request, :call_id), ~r/call_id/},
            {Message.delete_header(request, :from), ~r/from/},
            {Message.put_header(request, :cseq, {1, :invite}), ~r/CSeq method/},
            {Message.put_header(request, :subject, "a\r\nVia: b"), ~r/subject/},
            {Message.put_header(request, :max_forwards, -1), ~r/max_forwards/},
            {Message.put_header(request, :via, [{{2, 0}, :udp, {"127.0.0.1", 5060}, %{}}]),
             ~r/branch/},
            {%{request | target: "127.0.0.1"}, ~r/:target/},
            {%{request | target: {:udp, "127.0.0.1", 70_000}}, ~r/:target.*70000/},
            {%{request | target: {:udp, 127, 5060}}, ~r/:target/}
          ] do
        assert_raise ArgumentError, expected, fn -> Sippet.send(stack, message) end
      end

      assert Transaction.count(stack) == 0
    end

    test "options and stacks that it does not know" do
      stack = start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 1})

      for options <- [[until: :bye], [forever: true], [until: :ack, until: :ack]] do
        assert_raise ArgumentError, ~r/expected options to be \[\] or \[until: :ack\]/, fn ->
          Sippet.send(stack, request, options)
        end
      end

      assert_raise ArgumentError, ~r/no stack named :nowhere/, fn ->
        Sippet.send(:nowhere, request)
      end
    end
  end

  test "a request that cannot leave is told to the core, once (§17.1.4)" do
    stack = start()
    peer = Peer.open()
    # A UDP datagram holds 65 507 bytes at most.
    request =
      Stack.request(:message, {peer.ip, peer.port})
      |> Map.put(:body, String.duplicate("x", 65_000))
      |> Message.put_header("X-Filler", [String.duplicate("y", 1_000)])
      |> Message.put_header(:content_length, 65_000)

    assert :ok = Sippet.send(stack, request)
    key = Client.Key.new(request)
    assert_receive {^stack, :error, :emsgsize, ^key}
    Stack.eventually(fn -> Transaction.count(stack) == 0 end)
    refute_received {^stack, :error, _, _}
  end

  test "the response to a CANCEL that cannot leave is told by the key of the CANCEL (§9.2)" do
    stack = start()
    peer = Peer.open()
    invite = request("INVITE", peer)
    {request, key} = receive_request(stack, peer, invite)
    {cancel, ^key} = receive_request(stack, peer, follow_up("CANCEL", invite))
    cancel_key = %{key | method: :cancel}

    too_long =
      cancel
      |> Message.to_response(200)
      |> Message.put_header("X-Filler", for(_ <- 1..9, do: String.duplicate("y", 8_000)))

    assert :ok = Sippet.send(stack, too_long)
    assert_receive {^stack, :error, :emsgsize, ^cancel_key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 487))
    Peer.expect(peer, "SIP/2.0 487 ")
    assert Transaction.info(stack, key).key == key
    assert Transaction.info(stack, cancel_key).key == cancel_key
    refute_received {^stack, :error, _, _}
  end

  describe "until: :ack" do
    test "repeats a 2xx from T1 on until its ACK comes (§13.3.1.4)" do
      stack = start(t1: 40)
      peer = Peer.open()
      invite = request("INVITE", peer)
      {request, _key} = receive_request(stack, peer, invite)
      sent = System.monotonic_time(:millisecond)
      assert :ok = Sippet.send(stack, Message.to_response(request, 200), until: :ack)
      ok = Peer.expect(peer, "SIP/2.0 200 ")
      # At 40, 120 and 280 ms.
      for _ <- 1..3, do: assert(Peer.receive_bytes(peer) == ok)
      assert System.monotonic_time(:millisecond) - sent >= 280

      via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bK#{unique()};rport"
      ack = follow_up("ACK", invite, via: via, to: field(ok, "To"))
      Peer.send(peer, address(stack), ack)
      assert_receive {^stack, :request, %{start_line: %{method: :ack}}, nil}
      Stack.settle(stack)
      Peer.flush(peer)
      # The next was due 320 ms after the last.
      Peer.refute_any(peer, 400)

      # A repeated ACK is absorbed.
      Peer.send(peer, address(stack), ack)
      refute_receive {^stack, :request, _, _}, 50
    end

    test "tells the core :no_ack after 64·T1 (§13.3.1.4)" do
      stack = start(t1: 10, t2: 80)
      peer = Peer.open()
      {request, key} = receive_request(stack, peer, request("INVITE", peer))
      assert :ok = Sippet.send(stack, Message.to_response(request, 200), until: :ack)
      assert_receive {^stack, :error, :no_ack, ^key}

      # At 10, 30, 70, 150 ms and every 80 ms from there, and once before; fewer where they come late.
      assert Peer.flush(peer) in 2..11
      assert Transaction.count(stack) == 0
    end

    test "repeats the 2xx of each fork until its own ACK (§13.3.1.4)" do
      stack = start(t1: 40)
      peer = Peer.open()
      invite = request("INVITE", peer)
      {request, key} = receive_request(stack, peer, invite)
      for fork <- 1..2, do: assert(:ok = Sippet.send(stack, forked(request, fork), until: :ack))
      [one, two] = for _ <- 1..2, do: field(Peer.expect(peer, "SIP/2.0 200 "), "To")

      acknowledge = fn to ->
        via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bK#{unique()};rport"
        Peer.send(peer, address(stack), follow_up("ACK", invite, via: via, to: to))
        assert_receive {^stack, :request, %{start_line: %{method: :ack}}, nil}
      end

      acknowledge.(two)
      Stack.settle(stack)
      Peer.flush(peer)
      again = for _ <- 1..2, do: field(Peer.expect(peer, "SIP/2.0 200 "), "To")
      assert [^one, ^one] = again
      acknowledge.(one)
      refute_receive {^stack, :error, :no_ack, ^key}, 10
    end

    test "without it a 2xx is sent once" do
      stack = start(t1: 5)
      peer = Peer.open()
      {request, _key} = receive_request(stack, peer, request("INVITE", peer))
      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      Peer.expect(peer, "SIP/2.0 200 ")
      Peer.refute_any(peer, 100)
    end
  end

  describe "reply/3" do
    test "answers without a transaction; what repeats the request comes to the core again (§8.2.7)" do
      stack = start()
      peer = Peer.open()
      options = request("OPTIONS", peer)
      {first, _key} = receive_request(stack, peer, options)
      assert :ok = Sippet.reply(stack, first, 403)
      response = Peer.expect(peer, "SIP/2.0 403 Forbidden\r\n")
      assert field(response, "Call-ID") == field(options, "Call-ID")
      assert Transaction.count(stack) == 0

      {again, _key} = receive_request(stack, peer, options)
      assert :ok = Sippet.reply(stack, again, Message.to_response(again, 403))
      assert Peer.receive_bytes(peer) == response
    end

    test "drops the ACK to its answer (§8.2.7)" do
      stack = start()
      peer = Peer.open()
      invite = request("INVITE", peer)
      {request, _key} = receive_request(stack, peer, invite)
      assert :ok = Sippet.reply(stack, request, 302)
      moved = Peer.expect(peer, "SIP/2.0 302 ")
      Peer.send(peer, address(stack), follow_up("ACK", invite, to: field(moved, "To")))
      refute_receive {^stack, :request, _, _}, 50
      # Nor is it repeated as a transaction would.
      Peer.refute_any(peer, 600)
    end

    test "answers a request of RFC 2543, whose Via has no branch" do
      stack = start()
      peer = Peer.open()
      via = "SIP/2.0/UDP #{Peer.authority(peer)}"
      {request, _key} = receive_request(stack, peer, request("OPTIONS", peer, via: via))
      assert :ok = Sippet.reply(stack, request, 200)
      Peer.expect(peer, "SIP/2.0 200 ")
      assert Transaction.count(stack) == 0
    end

    test "goes to maddr, rport or sent-by as other responses do, whatever bytes are there (§18.2.2)" do
      stack = start()
      {peer, other} = {Peer.open(), Peer.open({127, 0, 0, 2})}

      for {via, to} <- [
            {"127.0.0.1:#{other.port};maddr=127.0.0.2", other},
            {"client.invalid:1;rport", peer},
            {"client.invalid:#{peer.port}", peer},
            {"client.invalid:#{peer.port};maddr=\"\xFF\xFE\"", peer}
          ] do
        via = "SIP/2.0/UDP #{via};branch=z9hG4bK#{unique()}"
        {request, _key} = receive_request(stack, peer, request("OPTIONS", peer, via: via))
        assert :ok = Sippet.reply(stack, request, 200)
        Peer.expect(to, "SIP/2.0 200 ")
      end
    end

    test "refuses what was not received, what is no response, and an ACK" do
      stack = start()
      peer = Peer.open()
      mine = Stack.request(:options, {peer.ip, peer.port})

      assert_raise ArgumentError, ~r/:request argument to be a request that was received/, fn ->
        Sippet.reply(stack, mine, 200)
      end

      {request, _key} = receive_request(stack, peer, request("OPTIONS", peer))

      assert_raise ArgumentError, ~r/:response argument to be a status code or a response/, fn ->
        Sippet.reply(stack, request, request)
      end

      # §8.2.7, RFC 4320 §4.2
      for status <- [100, 180, 199, Message.to_response(request, 180)] do
        assert_raise ArgumentError, ~r/:response argument to be a final response/, fn ->
          Sippet.reply(stack, request, status)
        end
      end

      assert_raise ArgumentError, ~r/not to be a 408/, fn -> Sippet.reply(stack, request, 408) end

      {ack, nil} = receive_request(stack, peer, request("ACK", peer, to_tag: "x"))
      assert_raise ArgumentError, ~r/never answered/, fn -> Sippet.reply(stack, ack, 200) end
    end
  end

  describe "terminate/2" do
    test "ends a client transaction: neither its repetitions nor its responses go on" do
      stack = start(t1: 50)
      peer = Peer.open()
      request = Stack.request(:options, {peer.ip, peer.port})
      Sippet.send(stack, request)
      text = Peer.expect(peer, "OPTIONS ")
      assert :ok = Sippet.terminate(stack, Client.Key.new(request))
      assert Transaction.count(stack) == 0
      Stack.settle(stack)
      Peer.flush(peer)
      Peer.refute_any(peer, 120)
      Peer.send(peer, address(stack), response(text, "200 OK"))
      Stack.eventually(fn -> Transaction.counters(stack).stray_responses == 1 end)
      refute_received {^stack, _, _, _}
    end

    test "ignores keys that are nobody's" do
      stack = start()
      assert :ok = Sippet.terminate(stack, Client.Key.new("z9hG4bKnobody", :invite))
    end
  end

  describe "reliable?/2" do
    test "tells it of the transport that the topmost Via names" do
      stack = start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 1})
      refute Sippet.reliable?(stack, request)

      [{version, :udp, sent_by, parameters}] = request.headers.via
      tcp = Message.put_header(request, :via, [{version, :tcp, sent_by, parameters}])

      assert_raise ArgumentError, ~r/protocol not registered: :tcp/, fn ->
        Sippet.reliable?(stack, tcp)
      end
    end
  end

  describe "stray responses" do
    test "are counted and dropped (RFC 6026 §7.3)" do
      stack = start()
      peer = Peer.open()
      Peer.send(peer, address(stack), response(request("INVITE", peer), "200 OK"))
      Stack.eventually(fn -> Transaction.counters(stack).stray_responses == 1 end)
      refute_received {^stack, _, _, _}
    end

    test "reach the core with key nil where the stack wants them (§16.11)" do
      stack = start(stray_responses: :deliver)
      peer = Peer.open()
      Peer.send(peer, address(stack), response(request("INVITE", peer), "200 OK"))
      assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, nil}
      Stack.eventually(fn -> Transaction.count(stack) == 0 end)
    end
  end

  describe "merged requests" do
    test "are answered 482 where the stack wants that (§8.2.2.2)" do
      peer = Peer.open()

      for {option, count} <- [reject: 1, deliver: 2] do
        stack = start(merged_requests: option)
        shared = [from_tag: unique(), call_id: unique()]
        Peer.send(peer, address(stack), request("OPTIONS", peer, shared))
        assert_receive {^stack, :request, _, _}
        Peer.send(peer, address(stack), request("OPTIONS", peer, shared))

        if count == 1,
          do: Peer.expect(peer, "SIP/2.0 482 "),
          else: assert_receive({^stack, :request, _, _})
      end
    end
  end
end
