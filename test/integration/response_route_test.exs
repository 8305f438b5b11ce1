defmodule Sippet.Integration.ResponseRouteTest do
  # Where a response goes (§18.2.2, RFC 3581 §4): a test for each row of the table in guides/transports.md.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 1]
  import Sippet.Test.Wire, only: [request: 3, unique: 0]

  alias Sippet.Message
  alias Sippet.Test.{Certificates, Core, Guide, Peer, StreamPeer}

  @rows for [transport, row, _goes] <- Guide.table("transports.md", "Where a response goes"),
            do: {transport, row}

  # Those that have tests with names of their own.
  @retried [
    "it cannot be sent there, and sent-by is a name",
    "it cannot be sent there, and sent-by says the same",
    "closed, nobody listens, and sent-by is a name",
    "closed, nobody listens, and the name leads nowhere"
  ]

  # Addresses of this run, so that the default ports of no two runs meet.
  @net rem(System.pid() |> String.to_integer(), 250) + 2

  defp via(protocol, sent_by, parameters \\ ""),
    do: "SIP/2.0/#{protocol} #{sent_by};branch=z9hG4bK#{unique()}#{parameters}"

  defp answering(options) do
    stack = start([core: nil] ++ options)

    Core.register(stack, fn
      :request, request, key when key != nil ->
        Sippet.send(stack, Message.to_response(request, 200))

      _callback, _first, _key ->
        :ok
    end)

    stack
  end

  # UDP: the peer that sends, and another socket for where the response may go.
  defp udp(row, context \\ []) do
    options = if row =~ "force_rport", do: [force_rport: true], else: []
    stack = answering(udp: [options])
    peer = Peer.open(context[:ip] || {127, 0, 0, 1})
    other = Peer.open(context[:other] || peer.ip, context[:port] || 0)
    {stack, peer, other}
  end

  defp udp_case("nothing in the Via" = row) do
    {stack, peer, other} = udp(row)
    {stack, peer, other, via("UDP", "127.0.0.1:#{other.port}")}
  end

  defp udp_case("no port in sent-by" = row) do
    ip = {127, 77, @net, 1}
    {stack, peer, other} = udp(row, ip: ip, port: 5060)
    {stack, peer, other, via("UDP", "client.invalid")}
  end

  defp udp_case("a sent-by that is another host" = row) do
    {stack, peer, other} = udp(row)
    {stack, peer, other, via("UDP", "client.invalid:#{other.port}")}
  end

  defp udp_case("`rport`" = row) do
    {stack, peer, other} = udp(row)
    {stack, peer, peer, via("UDP", "127.0.0.1:#{other.port}", ";rport")}
  end

  defp udp_case("`force_rport: true` of the transport" = row) do
    {stack, peer, other} = udp(row)
    {stack, peer, peer, via("UDP", "127.0.0.1:#{other.port}")}
  end

  defp udp_case("`maddr`" = row) do
    {stack, peer, other} = udp(row, other: {127, 0, 0, 2})
    {stack, peer, other, via("UDP", "127.0.0.1:#{other.port}", ";maddr=127.0.0.2")}
  end

  defp udp_case("`maddr` and `rport`" = row) do
    {stack, peer, other} = udp(row, other: {127, 0, 0, 2})
    {stack, peer, other, via("UDP", "127.0.0.1:#{other.port}", ";rport;maddr=127.0.0.2")}
  end

  defp udp_case("`maddr` that is no address" = row) do
    {stack, peer, other} = udp(row)
    {stack, peer, other, via("UDP", "127.0.0.1:#{other.port}", ";maddr=multicast.invalid")}
  end

  defp udp_case("`received` that the peer wrote" = row) do
    {stack, peer, other} = udp(row)
    {stack, peer, other, via("UDP", "client.invalid:#{other.port}", ";received=127.0.0.2")}
  end

  for {"UDP", row} <- @rows, row not in @retried do
    test "UDP, #{row}" do
      {stack, peer, expected, via} = udp_case(unquote(row))
      Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))
      Peer.expect(expected, "SIP/2.0 200 ")
      Peer.refute_any(peer, 10)
    end
  end

  # Streams: a stack whose core answers on demand, and where else the peer listens.
  defp stream(protocol, listen \\ []) do
    chains = Certificates.chains(server: [ip: <<127, 0, 0, 1>>, ip: <<127, 77, @net, 1>>])
    certified = Keyword.take(chains.server, [:cert, :key])

    {own, tls} =
      if protocol in [:tls, :wss],
        do: {certified ++ [cacerts: chains.client[:cacerts]], certified},
        else: {[], nil}

    ws = if protocol in [:ws, :wss], do: "/"
    stack = start(udp: []) |> tap(&Sippet.Test.Stack.start_stream(module(protocol), &1, own))
    listener = StreamPeer.listen([tls: tls, ws: ws] ++ listen)

    %{
      stack: stack,
      listener: listener,
      tls: tls,
      ws: ws,
      name: protocol |> Atom.to_string() |> String.upcase(),
      here: "127.0.0.1:#{listener.port}"
    }
  end

  defp module(:tcp), do: Sippet.Transports.TCP
  defp module(:tls), do: Sippet.Transports.TLS
  defp module(:ws), do: Sippet.Transports.WS
  defp module(:wss), do: Sippet.Transports.WSS

  defp ask(context, method, via, options \\ []) do
    %{stack: stack} = context
    tls = if context.tls, do: [tls: []], else: []
    peer = StreamPeer.connect(address(stack), [ws: context.ws] ++ tls ++ options)
    StreamPeer.send(peer, request(method, peer, via: via))
    assert_receive {^stack, :request, request, key}
    {peer, request, key}
  end

  defp hang_up(%{stack: stack}, peer) do
    StreamPeer.close(peer)
    eventually(fn -> info(stack).connections == 0 end)
  end

  defp answer(%{stack: stack}, request, status),
    do: assert(:ok = Sippet.send(stack, Message.to_response(request, status)))

  defp stream_case("the connection is open", protocol) do
    context = stream(protocol)
    {peer, request, _key} = ask(context, "OPTIONS", via(context.name, context.here))
    answer(context, request, 200)
    StreamPeer.expect(peer, "SIP/2.0 200 ")
    StreamPeer.refute_accept(context.listener, 10)
  end

  defp stream_case("`maddr`, `rport`, and a sent-by that is another host", protocol) do
    context = stream(protocol)
    port = context.listener.port
    via = via(context.name, "client.invalid:#{port}", ";rport;maddr=127.0.0.1")
    {peer, request, _key} = ask(context, "OPTIONS", via)
    answer(context, request, 200)
    StreamPeer.expect(peer, "SIP/2.0 200 ")
    StreamPeer.refute_accept(context.listener, 10)
  end

  defp stream_case("the connection is closed", protocol) do
    context = stream(protocol)
    {peer, request, _key} = ask(context, "OPTIONS", via(context.name, context.here))
    hang_up(context, peer)
    answer(context, request, 200)
    context.listener |> StreamPeer.accept() |> StreamPeer.expect("SIP/2.0 200 ")
  end

  defp stream_case("closed, no port in sent-by", protocol) do
    port = if protocol == :tls, do: 5061, else: 5060
    ip = {127, 77, @net, 1}
    context = stream(protocol, ip: ip, port: port)

    {peer, request, _key} =
      ask(context, "OPTIONS", via(context.name, "127.77.#{@net}.1"), from: ip)

    hang_up(context, peer)
    answer(context, request, 200)
    context.listener |> StreamPeer.accept() |> StreamPeer.expect("SIP/2.0 200 ")
  end

  defp stream_case("closed, `maddr` and `rport`", protocol) do
    context = stream(protocol)
    via = via(context.name, context.here, ";rport;maddr=127.0.0.2")
    {peer, request, _key} = ask(context, "OPTIONS", via)
    hang_up(context, peer)
    answer(context, request, 200)
    context.listener |> StreamPeer.accept() |> StreamPeer.expect("SIP/2.0 200 ")
  end

  defp stream_case("closed, twice", protocol) do
    context = stream(protocol)
    {peer, request, _key} = ask(context, "INVITE", via(context.name, context.here))
    hang_up(context, peer)
    answer(context, request, 180)
    again = StreamPeer.accept(context.listener)
    StreamPeer.expect(again, "SIP/2.0 180 ")
    answer(context, request, 200)
    StreamPeer.expect(again, "SIP/2.0 200 ")
    StreamPeer.refute_accept(context.listener, 10)
  end

  defp stream_case("closed, nobody listens", protocol) do
    %{stack: stack} = context = stream(protocol)
    {peer, request, key} = ask(context, "INVITE", via(context.name, context.here))
    :gen_tcp.close(context.listener.socket)
    hang_up(context, peer)
    answer(context, request, 200)
    assert_receive {^stack, :error, :econnrefused, ^key}
  end

  for {"TCP, TLS", row} <- @rows, row not in @retried, protocol <- [:tcp, :tls] do
    test "#{protocol}, #{row}", do: stream_case(unquote(row), unquote(protocol))
  end

  defp web_socket_case("the connection is open, whatever is in the Via", protocol) do
    stream_case("the connection is open", protocol)
    stream_case("`maddr`, `rport`, and a sent-by that is another host", protocol)
  end

  defp web_socket_case("the connection is closed", protocol) do
    %{stack: stack} = context = stream(protocol)
    {peer, request, key} = ask(context, "INVITE", via(context.name, context.here))
    hang_up(context, peer)
    answer(context, request, 200)
    assert_receive {^stack, :error, :connection_closed, ^key}
    StreamPeer.refute_accept(context.listener, 20)
  end

  for {"WS, WSS", row} <- @rows, protocol <- [:ws, :wss] do
    test "#{protocol}, #{row}", do: web_socket_case(unquote(row), unquote(protocol))
  end

  defmodule Names do
    # What the names in sent-by lead to.
    @behaviour Sippet.Resolver

    @impl true
    def locate(%{host: host, transport: transport}, _sippet, names) do
      case names do
        %{^host => addresses} ->
          {:ok,
           for(
             {ip, port} <- addresses,
             do: %Sippet.Resolver.Target{transport: transport, address: ip, port: port}
           )}

        _ ->
          {:error, %Sippet.ResolverError{reason: :nxdomain, host: host}}
      end
    end
  end

  # A stack whose datagrams come to the test, but for those to the first of these addresses.
  defp unreachable(names) do
    stack = start(udp: [], resolver: {Names, names})
    refuses = Sippet.Test.Recording.start(stack, [:udp])
    :ets.insert(refuses, {{:udp, {{192, 0, 2, 1}, 5070}}})
    stack
  end

  defp asked_by_datagram(stack, sent_by) do
    [transport | _] = Sippet.Transport.list(stack)
    peer = %{ip: {192, 0, 2, 1}, port: 5070}
    bytes = request("INVITE", peer, via: via("UDP", sent_by))
    Sippet.Transport.receive_message(transport, {peer.ip, peer.port}, bytes)
    assert_receive {^stack, :request, request, key}
    {request, key}
  end

  describe "a response" do
    test "by a datagram goes to where the name in sent-by leads (RFC 3263 §5)" do
      there = {{192, 0, 2, 9}, 5080}
      stack = unreachable(%{"client.example" => [{{192, 0, 2, 1}, 5070}, there]})
      {request, _key} = asked_by_datagram(stack, "client.example:5070")
      assert Sippet.send(stack, Message.to_response(request, 486)) == :ok
      assert_receive {:sent, :udp, ^there, "SIP/2.0 486 " <> _}
      refute_received {^stack, :error, _, _}
    end

    test "by a datagram whose sent-by says nothing else is the core's to know of" do
      for sent_by <- ["192.0.2.1:5070", "nobody.example:5070"] do
        stack = unreachable(%{})
        {request, key} = asked_by_datagram(stack, sent_by)
        assert Sippet.send(stack, Message.to_response(request, 486)) == :ok
        assert_receive {^stack, :error, :ehostunreach, ^key}
        refute_received {:sent, _, _, _}
      end
    end

    test "over a stream goes to where the name in sent-by leads (RFC 3263 §5)" do
      listener = StreamPeer.listen()
      gone = StreamPeer.listen()
      :gen_tcp.close(gone.socket)

      names = %{
        "client.example" => [{{127, 0, 0, 1}, gone.port}, {{127, 0, 0, 1}, listener.port}]
      }

      stack = start(udp: [], tcp: [[]], resolver: {Names, names})
      context = %{stack: stack, tls: nil, ws: nil}

      for {status, method} <- [{200, "OPTIONS"}, {486, "INVITE"}] do
        {peer, request, _key} = ask(context, method, via("TCP", "client.example:#{gone.port}"))
        StreamPeer.close(peer)
        eventually(fn -> not connected?(stack, request) end)
        answer(context, request, status)
        again = StreamPeer.accept(listener)
        StreamPeer.expect(again, "SIP/2.0 #{status} ")
        StreamPeer.close(again)
        eventually(fn -> info(stack).connections == 0 end)
      end

      refute_received {^stack, :error, _, _}
    end

    test "over a stream whose name leads nowhere is the core's to know of" do
      gone = StreamPeer.listen()
      :gen_tcp.close(gone.socket)
      there = %{"gone.example" => [{{127, 0, 0, 1}, gone.port}]}

      for {host, names} <- [{"gone.example", there}, {"nobody.example", %{}}] do
        stack = start(udp: [], tcp: [[]], resolver: {Names, names})
        context = %{stack: stack, tls: nil, ws: nil}
        {peer, request, key} = ask(context, "INVITE", via("TCP", "#{host}:#{gone.port}"))
        hang_up(context, peer)
        answer(context, request, 486)
        assert_receive {^stack, :error, :econnrefused, ^key}
      end
    end

    test "that waits for a name keeps others from nothing, and no more than 64 do" do
      stack = Sippet.Stack.fetch!(unreachable(%{}))
      :atomics.put(stack.response_workers, 1, 64)
      {request, key} = asked_by_datagram(stack.name, "client.example:5070")
      name = stack.name
      assert Sippet.send(name, Message.to_response(request, 486)) == :ok
      assert_receive {^name, :error, :ehostunreach, ^key}
      assert :atomics.get(stack.response_workers, 1) == 64
    end
  end

  defp connected?(stack, request) do
    %{connection: connection, transport: id} = request.source
    {:ok, transport} = Sippet.Transport.fetch(Sippet.Stack.fetch!(stack), id)
    transport.module.connected?(transport.handle, connection)
  end

  defp any_case("an answer of the stack's own, or of `Sippet.reply/3`", :udp) do
    stack = start(udp: [[]])
    [peer, other] = [Peer.open(), Peer.open()]
    via = via("UDP", "127.0.0.1:#{other.port}")
    Peer.send(peer, address(stack), request("CANCEL", peer, via: via))
    Peer.expect(other, "SIP/2.0 481 ")
    Peer.send(peer, address(stack), request("OPTIONS", peer, via: via))
    assert_receive {^stack, :request, request, _key}
    assert :ok = Sippet.reply(stack, request, 486)
    Peer.expect(other, "SIP/2.0 486 ")
    Peer.refute_any(peer, 10)
  end

  defp any_case("an answer of the stack's own, or of `Sippet.reply/3`", protocol) do
    %{stack: stack} = context = stream(protocol)
    via = via(context.name, context.here)
    {peer, request, _key} = ask(context, "OPTIONS", via)
    StreamPeer.send(peer, request("CANCEL", peer, via: via(context.name, context.here)))
    StreamPeer.expect(peer, "SIP/2.0 481 ")
    assert :ok = Sippet.reply(stack, request, 486)
    StreamPeer.expect(peer, "SIP/2.0 486 ")
    hang_up(context, peer)

    if protocol in [:tcp, :tls] do
      assert :ok = Sippet.reply(stack, request, 486)
      context.listener |> StreamPeer.accept() |> StreamPeer.expect("SIP/2.0 486 ")
    else
      assert {:error, %Sippet.TransportError{reason: :connection_closed}} =
               Sippet.reply(stack, request, 486)
    end
  end

  defp any_case("`target` of the response is a flow", :udp) do
    stack = start(udp: [[]])
    [peer, other] = [Peer.open(), Peer.open()]

    Peer.send(
      peer,
      address(stack),
      request("OPTIONS", peer, via: via("UDP", Peer.authority(peer)))
    )

    assert_receive {^stack, :request, request, _key}
    flow = %{request.source | remote: {other.ip, other.port}}
    assert :ok = Sippet.send(stack, %{Message.to_response(request, 200) | target: flow})
    Peer.expect(other, "SIP/2.0 200 ")
  end

  defp any_case("`target` of the response is a flow", protocol) do
    %{stack: stack} = context = stream(protocol)
    via = via(context.name, context.here)
    {other, first, _key} = ask(context, "OPTIONS", via)
    {_peer, second, _key} = ask(context, "INVITE", via(context.name, context.here))
    response = %{Message.to_response(second, 180) | target: first.source}
    assert :ok = Sippet.send(stack, response)
    StreamPeer.expect(other, "SIP/2.0 180 ")
    StreamPeer.close(other)
    eventually(fn -> info(stack).connections == 1 end)

    assert {:error, %Sippet.TransportError{reason: :connection_closed}} =
             Sippet.send(stack, response)
  end

  defp any_case("`target` is `{protocol, host, port}`", :udp) do
    stack = start(udp: [[]])
    [peer, other] = [Peer.open(), Peer.open()]

    Peer.send(
      peer,
      address(stack),
      request("OPTIONS", peer, via: via("UDP", Peer.authority(peer)))
    )

    assert_receive {^stack, :request, request, _key}
    target = {:udp, "127.0.0.1", other.port}
    assert :ok = Sippet.send(stack, %{Message.to_response(request, 200) | target: target})
    Peer.expect(other, "SIP/2.0 200 ")
  end

  defp any_case("`target` is `{protocol, host, port}`", protocol) do
    %{stack: stack} = context = stream(protocol)
    {_peer, request, _key} = ask(context, "OPTIONS", via(context.name, "client.invalid"))
    target = {protocol, "127.0.0.1", context.listener.port}
    response = %{Message.to_response(request, 200) | target: target}
    task = Task.async(fn -> Sippet.send(stack, response) end)
    other = StreamPeer.accept(context.listener)
    assert :ok = Task.await(task)
    StreamPeer.expect(other, "SIP/2.0 200 ")
  end

  for {"any", row} <- @rows, protocol <- [:udp, :tcp, :tls, :ws, :wss] do
    test "#{protocol}, #{row}", do: any_case(unquote(row), unquote(protocol))
  end

  test "the table has what is tested" do
    assert length(@rows) == 25
    assert @retried -- for({_transport, row} <- @rows, do: row) == []
  end
end
