defmodule Sippet.Integration.Transport1xTest do
  # A transport that was written for Sippet 1.x (test/support/transport_1x.ex) carries real traffic, unchanged, both ways. What
  # the stack owes such a process call by call is in custom_transport_test.exs.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.{Message, Transaction}
  alias Sippet.Test.{Core, Peer, Stack, Transport1x}
  alias Sippet.Transactions.{Client, Server}

  # A stack with such a transport alone: unreliable, as UDP is.
  defp start(options \\ []) do
    {transport, options} = Keyword.split(options, [:protocol, :reliable, :port])
    stack = Stack.start([udp: []] ++ options)
    transport = Keyword.merge([name: stack, protocol: :udp, reliable: false], transport)
    pid = start_supervised!({Transport1x, transport})
    {:ok, port} = GenServer.call(pid, :port)
    {stack, Peer.open(), {{127, 0, 0, 1}, port}}
  end

  defp via(peer, protocol), do: "SIP/2.0/#{protocol} #{Peer.authority(peer)};branch=z9hG4bK"

  test "it is registered under its protocol in the stack's Registry, with its reliability" do
    {stack, _peer, _address} = start(reliable: true)
    assert [{pid, true}] = Registry.lookup(stack, {:transport, :udp})
    assert [%{protocol: :udp, reliable: true, pid: ^pid}] = Sippet.Transport.list(stack)
  end

  test "a request comes in, and the core's response goes out where the request came from" do
    {stack, peer, address} = start()
    Peer.send(peer, address, request("OPTIONS", peer, call_id: "in"))
    assert_receive {^stack, :request, %{headers: %{call_id: "in"}} = request, %Server.Key{}}
    # It asked for rport.
    assert {:ok, {:udp, "127.0.0.1", port}} = Message.get_remote(request)
    assert port == peer.port
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    {response, ^address} = Peer.receive_from(peer)
    assert "SIP/2.0 200 OK\r\n" <> _ = response
    assert field(response, "Call-ID") == "in"
  end

  test "a request of RFC 2543, without a branch, is served too" do
    {stack, peer, address} = start()
    via = "SIP/2.0/UDP #{Peer.authority(peer)}"
    options = request("OPTIONS", peer, via: via)
    Peer.send(peer, address, options)
    assert_receive {^stack, :request, request, _key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    assert {"SIP/2.0 200 OK\r\n" <> _, ^address} = Peer.receive_from(peer)

    # One that the stack answers by itself.
    bad = String.replace(request("OPTIONS", peer, via: via), "CSeq: 1 OPTIONS", "CSeq: 1 INFO")
    Peer.send(peer, address, bad)
    assert {"SIP/2.0 400 " <> _, ^address} = Peer.receive_from(peer)
  end

  test "the core's request goes out, to a host by its name, and its response comes in by the client key" do
    {stack, peer, address} = start()
    request = Stack.request(:options, {peer.ip, peer.port})
    key = Client.Key.new(request)
    assert :ok = Sippet.send(stack, %{request | target: {:udp, "localhost", peer.port}})
    {text, ^address} = Peer.receive_from(peer)
    assert "OPTIONS sip:peer@example.com SIP/2.0\r\n" <> _ = text
    Peer.send(peer, address, response(text, "200 OK"))
    assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, ^key}
    assert {:ok, response} = requested(stack, peer, address)
    assert response.start_line.status_code == 202
  end

  defp requested(stack, peer, address) do
    task =
      Task.async(fn -> Sippet.request(stack, Stack.request(:message, {peer.ip, peer.port})) end)

    Peer.send(peer, address, response(Peer.expect(peer, "MESSAGE "), "202 Accepted"))
    Task.await(task)
  end

  test "a call: INVITE, 180, 200 until its ACK, which the core sends from where it had the 200, BYE" do
    {stack, peer, address} = start(core: nil)
    test = self()

    Core.register(stack, fn
      :request, %{start_line: %{method: :invite}} = invite, _key ->
        Sippet.send(stack, Message.to_response(invite, 180))
        Sippet.send(stack, Message.to_response(invite, 200), until: :ack)

      # In 1.x this ran in the transport's process, which could not send then.
      :request, %{start_line: %{method: :ack}}, nil ->
        assert :ok = Sippet.send(stack, Stack.request(:bye, {peer.ip, peer.port}))

      :response, %{headers: %{cseq: {_number, :bye}}} = response, _key ->
        send(test, {:ended, response.start_line.status_code})
    end)

    invite = request("INVITE", peer)
    Peer.send(peer, address, invite)
    Peer.expect(peer, "SIP/2.0 180 ")
    ok = Peer.expect(peer, "SIP/2.0 200 ")
    ack = follow_up("ACK", invite, via: via(peer, "UDP") <> unique(), to: field(ok, "To"))
    Peer.send(peer, address, ack)
    Peer.send(peer, address, response(Peer.expect(peer, "BYE "), "200 OK"))
    assert_receive {:ended, 200}
  end

  test "a refused INVITE is acknowledged by the stack, and the refusal of one repeated until its ACK" do
    {stack, peer, address} = start(t1: 50)
    Sippet.send(stack, Stack.request(:invite, {peer.ip, peer.port}))
    text = Peer.expect(peer, "INVITE ")
    Peer.send(peer, address, response(text, "486 Busy Here"))
    assert field(Peer.expect(peer, "ACK "), "CSeq") == "1 ACK"
    assert_receive {^stack, :response, %{start_line: %{status_code: 486}}, _key}

    invite = request("INVITE", peer)
    Peer.send(peer, address, invite)
    assert_receive {^stack, :request, request, key}
    Sippet.send(stack, Message.to_response(request, 603))
    declined = Peer.expect(peer, "SIP/2.0 603 ")
    assert Peer.receive_bytes(peer) == declined
    Peer.send(peer, address, follow_up("ACK", invite, to: field(declined, "To")))
    Stack.eventually(fn -> Transaction.info(stack, key).state == :confirmed end)
  end

  test "unreliable: a request is repeated, and times out" do
    {stack, peer, _address} = start(t1: 10)
    request = Stack.request(:options, {peer.ip, peer.port})
    key = Client.Key.new(request)
    refute Sippet.reliable?(stack, request)
    Sippet.send(stack, request)
    first = Peer.expect(peer, "OPTIONS ")
    for _ <- 1..3, do: assert(Peer.receive_bytes(peer) == first)
    assert_receive {^stack, :error, :timeout, ^key}
  end

  test "reliable: a request is sent once, and times out" do
    {stack, peer, _address} = start(t1: 10, reliable: true)
    request = Stack.request(:options, {peer.ip, peer.port})
    key = Client.Key.new(request)
    assert Sippet.reliable?(stack, request)
    Sippet.send(stack, request)
    Peer.expect(peer, "OPTIONS ")
    assert_receive {^stack, :error, :timeout, ^key}
    assert Peer.flush(peer) == 0
  end

  test "what it cannot send it tells with the key, while it is called: the core hears the reason" do
    {stack, peer, _address} = start()
    request = Stack.request(:options, {peer.ip, peer.port})
    key = Client.Key.new(request)
    # There are no such names (RFC 6761 §6.4).
    assert :ok = Sippet.send(stack, %{request | target: {:udp, "peer.invalid", 5060}})
    assert_receive {^stack, :error, :nxdomain, ^key}
    assert Transaction.count(stack) == 0
  end

  test "one that has died is started again, registers itself again, and goes on" do
    {stack, peer, _address} = start()
    [{pid, false}] = Registry.lookup(stack, {:transport, :udp})
    Process.exit(pid, :kill)

    Stack.eventually(fn ->
      match?([{new, false}] when new != pid, Registry.lookup(stack, {:transport, :udp})) and
        match?([%{pid: new}] when new != pid, Sippet.Transport.list(stack))
    end)

    Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))
    Peer.expect(peer, "OPTIONS ")
  end

  test "beside the stack's own transports it has its protocol" do
    {stack, peer, address} = start(protocol: :sctp, reliable: true)
    Stack.start_udp(stack)
    sctp = request("OPTIONS", peer, protocol: "SCTP")
    Peer.send(peer, address, sctp)
    assert_receive {^stack, :request, request, _key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    assert {_response, ^address} = Peer.receive_from(peer)

    uri = "sip:peer@127.0.0.1:#{peer.port};transport=sctp"
    request = Stack.request(:options, {peer.ip, peer.port}, uri: uri, target: nil)
    assert :ok = Sippet.send(stack, request)
    {text, ^address} = Peer.receive_from(peer)
    assert hd(fields(text, "Via")) =~ "SIP/2.0/SCTP "
  end

  test "what is no request it may hand in as it is: the stack answers by it, and it lives" do
    {stack, peer, address} = start()
    [{pid, false}] = Registry.lookup(stack, {:transport, :udp})

    for {pattern, replacement, status} <- [
          {~r/From: [^\r]*/, "From: <sip:peer@example.com", "400"},
          {~r/To: [^\r]*/, "To: \"x <sip:service@example.com>", "400"},
          {~r/Call-ID: [^\r]*/, "Call-ID: one two", "400"},
          {~r/CSeq: [^\r]*/, "CSeq: 1", "400"},
          {~r/From: [^\r]*/, "From: <sip:peer@example.com\r\n  >;tag=1 x", "400"},
          {~r/Via: ([^\r]*)/, "Via: \\1, SIP/2.0/UDP", "400"},
          {~r/ SIP\/2.0\r/, " SIP/3.0\r", "505"}
        ] do
      bad = String.replace(request("OPTIONS", peer), pattern, replacement, global: false)
      Peer.send(peer, address, bad)
      answer = Peer.expect(peer, "SIP/2.0 #{status} ")
      assert hd(fields(answer, "Via")) =~ Peer.authority(peer)
      assert fields(answer, "Content-Length") == ["0"]
    end

    # A NUL that is escaped may be read, but not written: no answer.
    nul = String.replace(request("OPTIONS", peer), "From: ", "From: \"a\\" <> <<0>> <> "\" ")
    for junk <- [nul, "", "\r\n\r\n", "x", <<0, 255>>], do: Peer.send(peer, address, junk)
    Peer.send(peer, address, request("OPTIONS", peer))
    assert_receive {^stack, :request, _request, _key}
    # Behind whatever it was called with.
    assert {:ok, _port} = GenServer.call(pid, :port)
    assert [{^pid, false}] = Registry.lookup(stack, {:transport, :udp})
  end
end
