defmodule Sippet.Integration.AliasTest do
  # Connections of peers that requests to them take (RFC 5923), over live TLS: who may ask for that, and for what.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack,
    only: [start: 1, address: 1, info: 1, eventually: 1, request: 3]

  alias Sippet.{Message, Transport, TransportError}
  alias Sippet.Test.{Certificates, StreamPeer, Wire}
  alias Sippet.Transports.TLS

  # Where nobody listens, as long as the test runs: a connection to there cannot be made.
  defp closed_port do
    {:ok, socket} = :socket.open(:inet, :stream, :tcp)
    :ok = :socket.bind(socket, %{family: :inet, addr: {127, 0, 0, 1}, port: 0})
    {:ok, %{port: port}} = :socket.sockname(socket)
    port
  end

  # A stack that knows its clients, and a client of these names.
  defp pair(names, options \\ []) do
    chains = Certificates.chains(client: names)

    stack =
      start(
        tls: [chains.server ++ [verify_clients: Keyword.get(options, :verify_clients, :optional)]]
      )

    own = if Keyword.get(options, :certificate, true), do: [:cert, :key], else: []
    peer = StreamPeer.connect(address(stack), tls: Keyword.take(chains.client, own))
    {stack, peer}
  end

  # A request of the peer's with this sent-by, which the core has when this returns.
  defp ask(stack, peer, sent_by, parameters \\ ";alias") do
    via = "SIP/2.0/TLS #{sent_by};branch=z9hG4bK#{Wire.unique()}#{parameters}"
    call_id = Wire.unique()
    StreamPeer.send(peer, Wire.request("OPTIONS", peer, via: via, call_id: call_id))
    assert_receive {^stack, :request, %{headers: %{call_id: ^call_id}} = request, _key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    StreamPeer.expect(peer, "SIP/2.0 200 ")
    request.source
  end

  # The connection for a request to this port of 127.0.0.1, by this name.
  defp connection(stack, port, name) do
    [%{handle: handle}] = Transport.list(stack)
    TLS.connect(handle, {{127, 0, 0, 1}, port}, name)
  end

  describe "a connection of a peer with a verified certificate" do
    test "is taken for requests to the address, port and name that it asks for (§8.2)" do
      port = closed_port()
      {stack, peer} = pair(ip: <<127, 0, 0, 1>>)
      flow = ask(stack, peer, "127.0.0.1:#{port}")

      outgoing = %{
        request(:options, {{127, 0, 0, 1}, port}, protocol: :tls)
        | target: {:tls, "127.0.0.1", port}
      }

      task = Task.async(fn -> Sippet.request(stack, outgoing) end)
      received = StreamPeer.expect(peer, "OPTIONS ")
      StreamPeer.send(peer, Wire.response(received, "200 OK"))
      assert {:ok, response} = Task.await(task)
      assert response.source == flow
      assert %{connected: 0, accepted: 1, aliases: 1} = info(stack).counters
    end

    test "stands for each name in its certificate, and for no other, nor for another port" do
      port = closed_port()
      {stack, peer} = pair(dns: "a.example", dns: "b.example")
      flow = ask(stack, peer, "A.Example:#{port}")

      for name <- ["a.example", "B.EXAMPLE", "b.example."],
          do: assert(connection(stack, port, name) == {:ok, flow.connection})

      for {port, name} <- [
            {port, "c.example"},
            {port, "127.0.0.1"},
            {port, ""},
            {closed_port(), "a.example"},
            {peer.port, "a.example"}
          ],
          do: assert({:error, _reason} = connection(stack, port, name))
    end

    test "has port 5061 where sent-by has none, and 5060 only where that is written (RFC 3261 §18.1.1)" do
      for {sent_by, yes, no} <- [
            {"a.example", 5061, 5060},
            {"a.example:5060", 5060, 5061},
            {"a.example : 5062", 5062, 5061}
          ] do
        {stack, peer} = pair(dns: "a.example")
        flow = ask(stack, peer, sent_by)
        assert connection(stack, yes, "a.example") == {:ok, flow.connection}
        assert {:error, _refused} = connection(stack, no, "a.example")
      end
    end

    test "is asked for in any spelling of the parameter and of Via" do
      port = closed_port()

      for spell <- [
            &String.replace(&1, ";alias", " ; ALIAS"),
            &String.replace(&1, "Via: ", "v : "),
            &String.replace(&1, "Via: SIP/2.0/TLS ", "VIA:\r\n SIP / 2.0 / tls\r\n\t"),
            &String.replace(&1, ";alias", ";received=192.0.2.1;alias;rport")
          ] do
        {stack, peer} = pair(dns: "a.example")
        via = "SIP/2.0/TLS a.example:#{port};branch=z9hG4bK#{Wire.unique()};alias"
        StreamPeer.send(peer, spell.(Wire.request("OPTIONS", peer, via: via)))
        assert_receive {^stack, :request, request, _key}
        assert connection(stack, port, "a.example") == {:ok, request.source.connection}
      end
    end

    test "may stand for several ports, and is not looked at without end" do
      {stack, peer} = pair(dns: "a.example")
      [first, second] = [closed_port(), closed_port()]
      flow = ask(stack, peer, "a.example:#{first}")
      ^flow = ask(stack, peer, "a.example:#{second}")
      for _ <- 1..62, do: ask(stack, peer, "other.example:#{first}")

      for port <- [first, second],
          do: assert({:ok, _number} = connection(stack, port, "a.example"))

      third = closed_port()
      ask(stack, peer, "a.example:#{third}")
      assert {:error, _refused} = connection(stack, third, "a.example")
      assert info(stack).counters.aliases == 2
    end

    test "stands for nothing any more when it is closed, or its process killed" do
      for ending <- [:close, :kill] do
        port = closed_port()
        {stack, peer} = pair(dns: "a.example")
        flow = ask(stack, peer, "a.example:#{port}")
        assert {:ok, _number} = connection(stack, port, "a.example")

        case ending do
          :close ->
            StreamPeer.close(peer)

          :kill ->
            [%{handle: {table, _, _, _}}] = Transport.list(stack)
            table |> :ets.lookup_element(flow.connection, 2) |> Process.exit(:kill)
        end

        assert_receive {^stack, :flow_closed, ^flow, _reason}
        assert {:error, reason} = connection(stack, port, "a.example")
        assert reason == :econnrefused
        [%{handle: {table, _, _, _}}] = Transport.list(stack)
        assert :ets.match_object(table, {{:to, :_}, :_}) == []
      end
    end

    test "does not take the place of a connection that was made" do
      chains = Certificates.chains(client: [ip: <<127, 0, 0, 1>>], server: [ip: <<127, 0, 0, 1>>])

      listener = StreamPeer.listen(tls: Keyword.take(chains.server, [:cert, :key]))

      stack =
        start(
          tls: [
            Keyword.take(chains.server, [:cert, :key]) ++
              [
                cacerts: chains.server[:cacerts] ++ chains.client[:cacerts],
                verify_clients: :required
              ]
          ]
        )

      test = self()

      accepting =
        Task.async(fn ->
          peer = StreamPeer.accept(listener)
          :ok = :ssl.controlling_process(peer.socket, test)
          peer
        end)

      assert {:ok, made} = connection(stack, listener.port, "127.0.0.1")
      Task.await(accepting)

      peer = StreamPeer.connect(address(stack), tls: Keyword.take(chains.client, [:cert, :key]))
      ask(stack, peer, "127.0.0.1:#{listener.port}")
      assert connection(stack, listener.port, "127.0.0.1") == {:ok, made}
    end
  end

  describe "no connection is taken" do
    test "of a peer that does not ask for it" do
      port = closed_port()
      {stack, peer} = pair(dns: "a.example")

      for parameters <- ["", ";aliases", ";x=alias", ";aliasx=1"],
          do: ask(stack, peer, "a.example:#{port}", parameters)

      StreamPeer.send(
        peer,
        Wire.request("OPTIONS", peer, protocol: "TLS", fields: ["Subject: a;alias"])
      )

      assert_receive {^stack, :request, %{headers: %{subject: _}}, _key}
      assert {:error, :econnrefused} = connection(stack, port, "a.example")
      assert info(stack).counters.aliases == 0
    end

    test "of a peer whose certificate has another name than sent-by (§9.2)" do
      port = closed_port()
      {stack, peer} = pair(dns: "a.example", dns: "*.c.example")

      for host <- ["b.example", "sip.a.example", "x.c.example", "127.0.0.1", "[::1]", "example"],
          do: ask(stack, peer, "#{host}:#{port}")

      for name <- ["a.example", "b.example", "sip.a.example", "x.c.example", "127.0.0.1"],
          do: assert({:error, :econnrefused} = connection(stack, port, name))
    end

    test "of a peer without a certificate, whatever it says" do
      port = closed_port()

      for verify_clients <- [:none, :optional] do
        {stack, peer} =
          pair([dns: "a.example"], certificate: false, verify_clients: verify_clients)

        flow = ask(stack, peer, "a.example:#{port}")
        assert Transport.peer_names(stack, flow) == []

        for {port, name} <- [
              {port, "a.example"},
              {peer.port, "a.example"},
              {peer.port, "127.0.0.1"}
            ],
            do: assert({:error, _reason} = connection(stack, port, name))
      end
    end

    test "of a peer that was not asked for its certificate, or whose authority nobody trusts" do
      port = closed_port()
      {stack, peer} = pair([dns: "a.example"], verify_clients: :none)
      flow = ask(stack, peer, "a.example:#{port}")
      assert Transport.peer_names(stack, flow) == []
      assert {:error, :econnrefused} = connection(stack, port, "a.example")

      stranger = Certificates.chains(client: [dns: "a.example"])
      chains = Certificates.chains()
      stack = start(tls: [chains.server ++ [verify_clients: :optional]])
      {ip, port} = address(stack)

      options =
        [:binary, active: false, verify: :verify_none, log_level: :none] ++
          Keyword.take(stranger.client, [:cert, :key])

      with {:ok, socket} <- :ssl.connect(ip, port, options, 2_000),
           do: assert({:error, _refused} = :ssl.recv(socket, 0, 2_000))

      eventually(fn -> info(stack).counters.handshake_failures == 1 end)
    end

    test "by what a response has, by a Via below the first, or by that of another transport" do
      port = closed_port()
      {stack, peer} = pair(dns: "a.example")
      alias = "SIP/2.0/TLS a.example:#{port};branch=z9hG4bKa;alias"

      StreamPeer.send(
        peer,
        "SIP/2.0 200 OK\r\nVia: #{alias}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n" <>
          "Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
      )

      via = "SIP/2.0/TLS b.example;branch=z9hG4bKb\r\nVia: #{alias}"
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, via: via))
      via = "SIP/2.0/TCP a.example:#{port};branch=z9hG4bKc;alias"
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, via: via))
      for _ <- 1..2, do: assert_receive({^stack, :request, _request, _key})
      assert {:error, :econnrefused} = connection(stack, port, "a.example")
    end

    test "over TCP, where nobody is verified: a request makes its own" do
      stack = start(tcp: [[]])
      listener = StreamPeer.listen()
      peer = StreamPeer.connect(address(stack))
      via = "SIP/2.0/TCP 127.0.0.1:#{listener.port};branch=z9hG4bKa;alias"
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, via: via))
      assert_receive {^stack, :request, request, _key}
      assert Transport.peer_names(stack, request.source) == []
      target = {:tcp, "127.0.0.1", listener.port}
      outgoing = %{request(:options, {{127, 0, 0, 1}, 0}, protocol: :tcp) | target: target}
      assert :ok = Sippet.send(stack, outgoing)
      listener |> StreamPeer.accept() |> StreamPeer.expect("OPTIONS ")
    end

    test "over WebSocket: RFC 5923 is for TLS" do
      chains = Certificates.chains(client: [dns: "a.example"])
      stack = start(wss: [chains.server ++ [verify_clients: :required]])
      tls = Keyword.take(chains.client, [:cert, :key])
      peer = StreamPeer.connect(address(stack), ws: "/", tls: tls)
      via = "SIP/2.0/WSS a.example:5071;branch=z9hG4bKa;alias"
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, via: via))
      assert_receive {^stack, :request, request, _key}
      # Who it is, is known all the same.
      assert Transport.peer_names(stack, request.source) == ["a.example"]
      assert info(stack).counters.aliases == 0
    end
  end

  describe "the option :alias" do
    test "has two stacks use one connection for both directions" do
      chains = Certificates.chains(client: [ip: <<127, 0, 0, 1>>], server: [ip: <<127, 0, 0, 1>>])

      caller = start(tls: [chains.client ++ [alias: true]])
      callee = start(tls: [chains.server ++ [verify_clients: :required]])
      [{_, caller_port}, {_, callee_port}] = [address(caller), address(callee)]

      assert :ok = Sippet.send(caller, to("127.0.0.1", callee_port, caller_port))
      assert_receive {^callee, :request, request, _key}
      assert [{_, :tls, {"127.0.0.1", ^caller_port}, %{"alias" => _}}] = request.headers.via
      assert Transport.peer_names(callee, request.source) == ["127.0.0.1"]

      assert :ok = Sippet.send(callee, to("127.0.0.1", caller_port, callee_port))
      assert_receive {^caller, :request, request, _key}
      # Only who is asked to puts it there.
      assert [{_, :tls, {"127.0.0.1", ^callee_port}, parameters}] = request.headers.via
      refute is_map_key(parameters, "alias")
      assert Transport.peer_names(caller, request.source) == ["127.0.0.1"]

      assert %{connected: 1, accepted: 0} = info(caller).counters
      assert %{connected: 0, accepted: 1, aliases: 1} = info(callee).counters
    end

    test "needs a certificate" do
      stack = start(udp: [])

      assert_raise ArgumentError, ~r/expected :alias to be false, without a certificate/, fn ->
        TLS.start_link(name: stack, port: 0, address: "127.0.0.1", alias: true)
      end

      assert_raise ArgumentError, ~r/expected :alias to be a boolean/, fn ->
        TLS.start_link(name: stack, port: 0, address: "127.0.0.1", alias: 1)
      end
    end

    defp to(host, port, from) do
      request = request(:options, {{127, 0, 0, 1}, port}, protocol: :tls)
      branch = Message.create_branch()

      %{request | target: {:tls, host, port}}
      |> Message.put_header(:via, [{{2, 0}, :tls, {"127.0.0.1", from}, %{"branch" => branch}}])
    end
  end

  describe "the names of a peer" do
    test "are those of its certificate, as RFC 5922 §7.1 has them, for clients and servers" do
      {stack, peer} = pair(uri: "sip:A.example", dns: "b.example", ip: <<192, 0, 2, 1>>)
      flow = ask(stack, peer, "a.example", "")
      assert Transport.peer_names(stack, flow) == ["a.example", "192.0.2.1"]
      StreamPeer.close(peer)
      assert_receive {^stack, :flow_closed, ^flow, _reason}
      assert Transport.peer_names(stack, flow) == []
    end

    test "are none of a server that was not verified" do
      chains = Certificates.chains(server: [ip: <<127, 0, 0, 1>>])

      for {options, names} <- [
            {[verify: :verify_none], []},
            {[cacerts: chains.client[:cacerts]], ["127.0.0.1"]}
          ] do
        listener = StreamPeer.listen(tls: Keyword.take(chains.server, [:cert, :key]))
        stack = start(tls: [options])
        task = Task.async(fn -> Sippet.request(stack, to("127.0.0.1", listener.port, 5061)) end)
        peer = StreamPeer.accept(listener)
        received = StreamPeer.expect(peer, "OPTIONS ")
        StreamPeer.send(peer, Wire.response(received, "200 OK"))
        assert {:ok, response} = Task.await(task)
        assert Transport.peer_names(stack, response.source) == names
      end
    end

    test "are none of a flow that is nobody's" do
      stack = start(udp: [[]])
      remote = {{127, 0, 0, 1}, 5060}
      assert Transport.peer_names(stack, %Sippet.Flow{transport: 1, remote: remote}) == []
      assert Transport.peer_names(stack, %Sippet.Flow{transport: 77, remote: remote}) == []
    end
  end

  test "what is sent to a flow whose peer has gone fails, alias or not" do
    port = closed_port()
    {stack, peer} = pair(ip: <<127, 0, 0, 1>>)
    flow = ask(stack, peer, "127.0.0.1:#{port}")
    StreamPeer.close(peer)
    assert_receive {^stack, :flow_closed, ^flow, _reason}

    assert {:error, %TransportError{reason: :connection_closed}} =
             Sippet.send(stack, %{to("127.0.0.1", port, 5061) | target: flow})

    assert {:error, %TransportError{reason: :econnrefused}} =
             Sippet.send(stack, to("127.0.0.1", port, 5061))
  end
end
