defmodule Sippet.Integration.SentByTest do
  # The port 0 in the topmost Via of a request leaves it to the transport that the request is sent by (RFC 3261 §18.1.1). The peers
  # answer as a server without rport does: over UDP to the port in sent-by (§18.2.2).
  use ExUnit.Case, async: true

  import Sippet.Test.Wire, only: [field: 2, response: 2, response: 3]

  alias Sippet.{Dialog, Message}
  alias Sippet.Resolver.Target
  alias Sippet.Test.{Core, Peer, Stack, StreamPeer, Transport1x}

  @host {127, 0, 0, 1}

  defmodule Fixed do
    # Every name leads to the same targets.
    @behaviour Sippet.Resolver

    @impl true
    def locate(_question, _sippet, targets), do: {:ok, targets}
  end

  defp open(method, remote, options \\ []) do
    {sent_by, options} = Keyword.pop(options, :sent_by, {"127.0.0.1", 0})
    request = Stack.request(method, remote, options)
    [{version, protocol, _sent_by, parameters}] = request.headers.via
    parameters = Map.delete(parameters, "rport")
    Message.put_header(request, :via, [{version, protocol, sent_by, parameters}])
  end

  defp port(stack, protocol) do
    [{_ip, port}] =
      for %{protocol: ^protocol} = it <- Sippet.Transport.list(stack), do: it.address

    port
  end

  defp sent_by(text) do
    [_, sent_by] = Regex.run(~r/^SIP\/2\.0\/\S+ ([^;]+);/, field(text, "Via"))
    sent_by
  end

  # Where a server sends its responses over UDP.
  defp answer(peer, text, status, options \\ []) do
    [_host, port] = String.split(sent_by(text), ":")
    Peer.send(peer, {@host, String.to_integer(port)}, response(text, status, options))
  end

  defp udp, do: {Stack.start(), Peer.open()}
  defp remote(peer), do: {peer.ip, peer.port}

  test "over UDP it is the port of the socket, and the response comes" do
    {stack, peer} = udp()
    request = open(:options, remote(peer))
    assert Sippet.send(stack, request) == :ok
    sent = Peer.expect(peer, "OPTIONS ")
    assert sent_by(sent) == "127.0.0.1:#{port(stack, :udp)}"
    answer(peer, sent, "200 OK")
    key = Sippet.Transactions.Client.Key.new(request)
    assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, ^key}, 10_000
  end

  test "over TCP it is the port that connections are taken at" do
    stack = Stack.start(tcp: [[]])
    listener = StreamPeer.listen()
    target = {:tcp, "127.0.0.1", listener.port}
    request = open(:options, {@host, listener.port}, target: target)
    assert Sippet.send(stack, request) == :ok
    connection = StreamPeer.accept(listener)
    sent = StreamPeer.expect(connection, "OPTIONS ")
    assert field(sent, "Via") =~ ~r"\ASIP/2\.0/TCP 127\.0\.0\.1:#{port(stack, :tcp)};"
    StreamPeer.send(connection, response(sent, "200 OK"))
    assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, _key}, 10_000
  end

  test "by Sippet.request/3 too" do
    {stack, peer} = udp()
    task = Task.async(fn -> Sippet.request(stack, open(:options, remote(peer))) end)
    answer(peer, Peer.expect(peer, "OPTIONS "), "200 OK")
    assert {:ok, %{start_line: %{status_code: 200}}} = Task.await(task, 10_000)
  end

  test "a port that the core has set stays, and so does a host of nobody's without one (RFC 7118 B.1)" do
    {stack, peer} = udp()

    for {sent_by, expected} <- [
          {{"127.0.0.1", 5070}, "127.0.0.1:5070"},
          {{"df7jal23ls0d.invalid", 0}, "df7jal23ls0d.invalid"},
          {{"DF7.Invalid.", 0}, "DF7.Invalid."}
        ] do
      assert Sippet.send(stack, open(:options, remote(peer), sent_by: sent_by)) == :ok
      # Of the requests before this one repetitions may come, too.
      assert_sent_by(peer, expected)
    end
  end

  defp assert_sent_by(peer, expected, tries \\ 50) do
    assert tries > 0

    if sent_by(Peer.receive_bytes(peer)) != expected,
      do: assert_sent_by(peer, expected, tries - 1)
  end

  test "a transport in the manner of 1.x has no address: it gets the default port, as ever" do
    stack = Stack.start(udp: [])
    peer = Peer.open()
    pid = start_supervised!({Transport1x, [name: stack, protocol: :udp, reliable: false]})
    # It is asked after it has registered itself.
    {:ok, _port} = GenServer.call(pid, :port)
    assert Sippet.send(stack, open(:options, remote(peer))) == :ok
    assert sent_by(Peer.expect(peer, "OPTIONS ")) == "127.0.0.1:5060"
  end

  test "CANCEL has the Via of its INVITE, the core's as well as the stack's (§9.1)" do
    {stack, peer} = udp()

    for cancel <- [
          fn invite -> Sippet.send(stack, cancel(invite)) end,
          fn invite -> Sippet.cancel(stack, Sippet.Transactions.Client.Key.new(invite)) end
        ] do
      invite = open(:invite, remote(peer))
      assert Sippet.send(stack, invite) == :ok
      sent = Peer.await(peer, "INVITE ")
      answer(peer, sent, "180 Ringing")
      assert_receive {^stack, :response, %{start_line: %{status_code: 180}}, _key}, 10_000
      assert cancel.(invite) == :ok
      cancelled = Peer.await(peer, "CANCEL ")
      assert field(cancelled, "Via") == field(sent, "Via")
      answer(peer, cancelled, "200 OK")
      answer(peer, sent, "487 Request Terminated")
      # And so has the ACK to what is no 2xx (§17.1.1.3).
      assert field(Peer.await(peer, "ACK "), "Via") == field(sent, "Via")
    end
  end

  defp cancel(invite) do
    %{invite | start_line: %{invite.start_line | method: :cancel}}
    |> Message.put_header(:cseq, {1, :cancel})
  end

  test "the ACK to a 2xx gets it, and is the same when it is sent again (§13.2.2.4)" do
    {stack, peer} = udp()
    invite = open(:invite, remote(peer))
    assert Sippet.send(stack, invite) == :ok
    sent = Peer.expect(peer, "INVITE ")
    contact = "Contact: <sip:peer@127.0.0.1:#{peer.port}>"
    answer(peer, sent, "200 OK", fields: [contact])
    assert_receive {^stack, :response, %{start_line: %{status_code: 200}} = success, _key}, 10_000
    {:ok, dialog} = Dialog.create_uac(invite, success)

    via = [{{2, 0}, :udp, {"127.0.0.1", 0}, %{"branch" => Message.create_branch()}}]
    ack = dialog |> Dialog.build_ack(invite) |> Message.put_header(:via, via)
    assert Sippet.send(stack, ack) == :ok
    first = Peer.await(peer, "ACK ")
    assert sent_by(first) == "127.0.0.1:#{port(stack, :udp)}"
    answer(peer, sent, "200 OK", fields: [contact])
    assert Peer.await(peer, "ACK ") == first
  end

  test "what leaves by TCP for its length has the port of that, and of UDP when TCP is refused" do
    stack = Stack.start(udp: [[]], tcp: [[]])
    listener = StreamPeer.listen()

    long =
      Message.put_header(
        open(:options, {@host, listener.port}),
        "Subject",
        String.duplicate("x", 1400)
      )

    assert Sippet.send(stack, long) == :ok
    connection = StreamPeer.accept(listener)
    assert sent_by(StreamPeer.expect(connection, "OPTIONS ")) == "127.0.0.1:#{port(stack, :tcp)}"

    peer = Peer.open()
    target = {:udp, "127.0.0.1", peer.port}
    branch = Message.create_branch()
    long = open(:options, remote(peer), target: target, branch: branch)

    assert Sippet.send(stack, Message.put_header(long, "Subject", String.duplicate("x", 1400))) ==
             :ok

    assert sent_by(Peer.expect(peer, "OPTIONS ")) == "127.0.0.1:#{port(stack, :udp)}"
  end

  test "each target has the port of the transport that leads there (RFC 3263 §4.3); what the core has set stays" do
    for sent_by <- [{"127.0.0.1", 0}, {"127.0.0.1", 5070}] do
      {listener, peer} = {StreamPeer.listen(), Peer.open()}

      targets = [
        %Target{transport: :tcp, address: @host, port: listener.port},
        %Target{transport: :udp, address: @host, port: peer.port}
      ]

      stack = Stack.start(udp: [[]], tcp: [[]], resolver: {Fixed, targets}, core: nil)
      Core.register(stack, :forward)
      options = [uri: "sip:bob@biloxi.example", sent_by: sent_by]
      invite = %{open(:invite, {@host, 1}, options) | target: nil}
      assert Sippet.send(stack, invite) == :ok
      connection = StreamPeer.accept(listener)
      first = StreamPeer.expect(connection, "INVITE ")
      StreamPeer.close(connection)
      second = Peer.expect(peer, "INVITE ")

      if elem(sent_by, 1) == 0 do
        assert sent_by(first) == "127.0.0.1:#{port(stack, :tcp)}"
        assert sent_by(second) == "127.0.0.1:#{port(stack, :udp)}"
      else
        assert [sent_by(first), sent_by(second)] == ["127.0.0.1:5070", "127.0.0.1:5070"]
      end

      address = {@host, port(stack, :udp)}
      Peer.send(peer, address, response(second, "180 Ringing"))
      assert_receive {^stack, :response, %{start_line: %{status_code: 180}}, _key}, 10_000
      assert Sippet.send(stack, cancel(invite)) == :ok
      assert field(Peer.await(peer, "CANCEL "), "Via") == field(second, "Via")
    end
  end
end
