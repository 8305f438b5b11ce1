defmodule Sippet.Integration.TraceTest do
  # A trace of each transport. Handlers of telemetry are the whole VM's: not beside others.
  use ExUnit.Case, async: false

  import Sippet.Test.Stack, only: [eventually: 1]
  import Sippet.Test.Wire

  alias Sippet.{Message, Trace}
  alias Sippet.Test.{Certificates, Pcapng, Peer, Stack, StreamPeer}

  @loopback6 {0, 0, 0, 0, 0, 0, 0, 1}

  defp own, do: Keyword.take(Certificates.chains().server, [:cert, :key])

  # The stack's options, and how a peer gets to it: which module, and what it says it is in Via.
  defp transport(:udp), do: {[udp: [[]]], fn _address -> {Peer, Peer.open()} end, "UDP", 3}

  defp transport(:udp6),
    do: {[udp: [[address: "::1"]]], fn _ -> {Peer, Peer.open(@loopback6)} end, "UDP", 3}

  defp transport(:tcp), do: {[udp: [], tcp: [[]]], stream([]), "TCP", 2}

  defp transport(:tcp6),
    do: {[udp: [], tcp: [[address: "::1"]]], stream(from: @loopback6, socket: [:inet6]), "TCP", 2}

  defp transport(:tls), do: {[udp: [], tls: [own()]], stream(tls: []), "TLS", 2}
  defp transport(:ws), do: {[udp: [], ws: [[]]], stream(ws: "/"), "WS", 2}
  defp transport(:wss), do: {[udp: [], wss: [own()]], stream(ws: "/", tls: []), "WSS", 2}

  defp stream(options), do: fn address -> {StreamPeer, StreamPeer.connect(address, options)} end

  for name <- [:udp, :udp6, :tcp, :tcp6, :tls, :ws, :wss] do
    test "#{name}: a request and its answer, both as they were on the wire" do
      name = unquote(name)
      {options, connect, via, port_type} = transport(name)
      stack = Stack.start(options)
      {:ok, trace} = Trace.start(stack)
      address = Stack.address(stack)
      {module, peer} = connect.(address)
      request = request("OPTIONS", peer, protocol: via)

      if module == Peer,
        do: Peer.send(peer, address, request),
        else: StreamPeer.send(peer, request)

      assert_receive {^stack, :request, received, _key}
      :ok = Sippet.send(stack, Message.to_response(received, 200))
      answer = module.expect(peer, "SIP/2.0 200 ")

      eventually(fn -> length(Trace.events(trace)) == 2 end)
      protocol = name |> to_string() |> String.trim_trailing("6") |> String.to_existing_atom()
      remote = {peer.ip, peer.port}

      assert [
               %{
                 direction: :received,
                 data: ^request,
                 protocol: ^protocol,
                 local: ^address,
                 remote: ^remote
               },
               %{
                 direction: :sent,
                 data: ^answer,
                 protocol: ^protocol,
                 local: ^address,
                 remote: ^remote,
                 status_code: 200
               }
             ] = Trace.events(trace)

      assert [there, back] = Pcapng.packets(Trace.to_pcapng(trace))
      assert {there.data, back.data} == {request, answer}
      {source, destination} = if tuple_size(peer.ip) == 8, do: {22, 23}, else: {20, 21}

      for {packet, from, to} <- [{there, remote, address}, {back, address, remote}] do
        {from_ip, from_port} = from
        {to_ip, to_port} = to
        assert packet.tags[source] == bytes(from_ip)
        assert packet.tags[destination] == bytes(to_ip)

        assert {packet.tags[24], packet.tags[25], packet.tags[26]} ==
                 {<<port_type::32>>, <<from_port::32>>, <<to_port::32>>}
      end
    end
  end

  defp bytes({a, b, c, d}), do: <<a, b, c, d>>
  defp bytes(ip), do: for(part <- Tuple.to_list(ip), into: "", do: <<part::16>>)

  test "a response on a connection went to its peer, whatever sent-by in Via says" do
    for {name, via} <- [tcp: "TCP 192.0.2.9:5070", ws: "WS b3f1.invalid"] do
      {options, connect, _via, _port_type} = transport(name)
      stack = Stack.start(options)
      {:ok, trace} = Trace.start(stack)
      {_module, peer} = connect.(Stack.address(stack))
      via = "SIP/2.0/#{via};branch=z9hG4bK#{unique()}"
      StreamPeer.send(peer, request("OPTIONS", peer, via: via))
      assert_receive {^stack, :request, received, _key}
      :ok = Sippet.send(stack, Message.to_response(received, 200))
      StreamPeer.expect(peer, "SIP/2.0 200 ")
      eventually(fn -> length(Trace.events(trace)) == 2 end)
      remote = {peer.ip, peer.port}

      assert [%{direction: :received, remote: ^remote}, %{direction: :sent, remote: ^remote}] =
               Trace.events(trace)
    end
  end

  test "what breaks a stream is there, as far as it came" do
    stack = Stack.start(udp: [], tcp: [[]])
    {:ok, trace} = Trace.start(stack)
    peer = StreamPeer.connect(Stack.address(stack))
    StreamPeer.send(peer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    eventually(fn -> Trace.events(trace) != [] end)

    assert [
             %{
               outcome: {:rejected, :broken},
               protocol: :tcp,
               method: nil,
               data: "GET / HTTP/1.1" <> _
             }
           ] = Trace.events(trace)

    assert Trace.to_text(trace) =~ ~S(no message: "GET / HTTP/1.1\r\nHost: x)
  end

  test "a message longer than what is kept of one" do
    stack = Stack.start(udp: [], tcp: [[]])
    {:ok, trace} = Trace.start(stack)
    peer = StreamPeer.connect(Stack.address(stack))
    request = request("MESSAGE", peer, protocol: "TCP", body: String.duplicate("x", 100_000))
    StreamPeer.send(peer, request)
    assert_receive {^stack, :request, _, _}
    eventually(fn -> Trace.events(trace) != [] end)
    assert [%{truncated: true, bytes: bytes, data: data, method: :message}] = Trace.events(trace)
    assert {bytes, data} == {byte_size(request), binary_part(request, 0, 65_536)}
    assert [%{length: ^bytes}] = Pcapng.packets(Trace.to_pcapng(trace))
  end
end
