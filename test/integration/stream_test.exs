defmodule Sippet.Integration.StreamTest do
  # Connections of a stack and hand-made peers: the same for TCP, TLS and WebSocket with and without TLS, but for what only
  # streams have. What only WebSocket has is in web_socket_test.exs.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 1, request: 3]
  import Sippet.Test.Wire, only: [field: 2, fields: 2, response: 2]

  alias Sippet.{Message, Telemetry, TransportError}
  alias Sippet.Test.{Certificates, Core, StreamPeer, Wire}
  alias Sippet.Transactions.Client

  for protocol <- [:tcp, :tls, :ws, :wss] do
    describe "#{protocol}:" do
      setup do
        chains = Certificates.chains()
        {:ok, side(unquote(protocol), chains)}
      end

      test "a request reaches the core, and its response the connection (§18.2.2)", context do
        stack = stack(context)
        peer = connect(stack, context)
        send_request(peer, "OPTIONS", context, call_id: "in")

        assert_receive {^stack, :request, request, _key}
        assert request.headers.call_id == "in"
        assert request.source.remote == {peer.ip, peer.port}
        assert request.source.connection > 0
        assert :ok = Sippet.send(stack, Message.to_response(request, 200))
        assert peer |> StreamPeer.expect("SIP/2.0 200 OK\r\n") |> field("Call-ID") == "in"
      end

      test "a call goes through: INVITE, 180, 200, ACK, BYE", context do
        stack = stack(context, core: nil)
        test = self()

        Core.register(stack, fn
          :request, %{start_line: %{method: :ack}}, nil ->
            send(test, :acknowledged)

          :request, %{start_line: %{method: :invite}} = invite, _key ->
            Sippet.send(stack, Message.to_response(invite, 180))
            Sippet.send(stack, Message.to_response(invite, 200), until: :ack)

          :request, bye, _key ->
            Sippet.send(stack, Message.to_response(bye, 200))

          :flow_closed, _flow, _reason ->
            :ok
        end)

        peer = connect(stack, context)
        invite = Wire.request("INVITE", peer, protocol: context.name)
        StreamPeer.send(peer, invite)
        StreamPeer.expect(peer, "SIP/2.0 180 ")
        ok = StreamPeer.expect(peer, "SIP/2.0 200 ")

        via =
          "SIP/2.0/#{context.name} #{peer.ip |> :inet.ntoa()}:#{peer.port};branch=z9hG4bK#{Wire.unique()}"

        StreamPeer.send(peer, follow_up("ACK", invite, via, ok))
        assert_receive :acknowledged

        StreamPeer.send(
          peer,
          follow_up("BYE", invite, via <> "b", ok) |> String.replace("CSeq: 1 ", "CSeq: 2 ")
        )

        StreamPeer.expect(peer, "SIP/2.0 200 ")
      end

      if protocol in [:tcp, :tls] do
        test "a message may come in any pieces, and several in one (§18.3)", context do
          stack = stack(context)
          peer = connect(stack, context)

          bytes =
            Wire.request("MESSAGE", peer, protocol: context.name, body: "hello", call_id: "split")

          for <<byte <- bytes>>, do: StreamPeer.send(peer, <<byte>>)
          assert_receive {^stack, :request, %{body: "hello"}, _key}

          two =
            for call_id <- ["one", "two"],
                do: Wire.request("OPTIONS", peer, protocol: context.name, call_id: call_id)

          StreamPeer.send(peer, Enum.join(two, "\r\n"))
          assert_receive {^stack, :request, %{headers: %{call_id: first}}, _key}
          assert_receive {^stack, :request, %{headers: %{call_id: second}}, _key}
          assert Enum.sort([first, second]) == ["one", "two"]
        end
      end

      test "a body may be larger than any datagram, both ways", context do
        stack = stack(context)
        peer = connect(stack, context)
        body = String.duplicate("0123456789abcdef", 12_500)
        send_request(peer, "MESSAGE", context, body: body)
        assert_receive {^stack, :request, %{body: ^body} = request, _key}

        assert :ok = Sippet.send(stack, %{Message.to_response(request, 200) | body: body})

        assert String.ends_with?(StreamPeer.expect(peer, "SIP/2.0 200 "), "\r\n\r\n" <> body)
      end

      if protocol in [:tcp, :tls] do
        test "a keep-alive is answered (RFC 5626 §3.5.1)", context do
          stack = stack(context)
          peer = connect(stack, context)
          StreamPeer.send(peer, "\r\n\r\n")
          assert StreamPeer.read(peer, 2) == "\r\n"
          StreamPeer.refute_any(peer, 20)
          send_request(peer, "OPTIONS", context)
          assert_receive {^stack, :request, _request, _key}
          assert info(stack).counters.pings == 1
        end
      end

      if protocol in [:tcp, :tls] do
        test "what is no SIP earns a 400 and the end, and nobody else notices (§18.3)", context do
          stack = stack(context)
          other = connect(stack, context)
          peer = connect(stack, context)

          # Without Content-Length nobody knows where it ends.
          request = Wire.request("OPTIONS", peer, protocol: context.name)
          StreamPeer.send(peer, String.replace(request, "Content-Length: 0\r\n", ""))
          StreamPeer.expect(peer, "SIP/2.0 400 ")
          StreamPeer.assert_closed(peer)
          refute_received {^stack, :request, _request, _key}

          junk = connect(stack, context)
          StreamPeer.send(junk, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
          StreamPeer.assert_closed(junk)

          send_request(other, "OPTIONS", context)
          assert_receive {^stack, :request, _request, _key}
          assert %{broken_streams: 2} = info(stack).counters
        end
      end

      test "a request of the core's opens a connection, and its response comes by it", context do
        stack = stack(context)
        listener = listen(context)
        options = outgoing(:options, listener, context)
        key = Client.Key.new(options)
        task = Task.async(fn -> Sippet.send(stack, options) end)
        peer = StreamPeer.accept(listener)
        assert :ok = Task.await(task)
        text = StreamPeer.expect(peer, "OPTIONS ")
        assert hd(fields(text, "Via")) =~ "SIP/2.0/#{context.name} "
        StreamPeer.send(peer, response(text, "200 OK"))
        assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, ^key}
      end

      test "an IPv6 address is a destination as any other, and asks for a transport of IPv6",
           context do
        stack = stack(context, [], address: {"::1", :inet6})
        six = [ip: {0, 0, 0, 0, 0, 0, 0, 1}, socket: [:inet6]]
        listener = StreamPeer.listen(six ++ [tls: context.listen, ws: context.ws])
        request = outgoing(:options, listener, %{context | host: "::1"})
        task = Task.async(fn -> Sippet.send(stack, request) end)
        peer = StreamPeer.accept(listener)
        assert :ok = Task.await(task)
        StreamPeer.send(peer, response(StreamPeer.expect(peer, "OPTIONS "), "200 OK"))
        assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, _key}

        assert {:error, %TransportError{reason: :no_transport}} =
                 Sippet.send(
                   stack(context),
                   outgoing(:options, listener, %{context | host: "::1"})
                 )
      end

      test "requests to one destination share a connection, also while it is made (§18)",
           context do
        stack = stack(context)
        listener = listen(context)

        tasks =
          for _ <- 1..8,
              do: Task.async(fn -> Sippet.send(stack, outgoing(:options, listener, context)) end)

        peer = StreamPeer.accept(listener)
        assert Enum.uniq(Task.await_many(tasks)) == [:ok]
        for _ <- 1..8, do: StreamPeer.expect(peer, "OPTIONS ")
        assert :ok = Sippet.send(stack, outgoing(:options, listener, context))
        StreamPeer.expect(peer, "OPTIONS ")
        StreamPeer.refute_accept(listener, 20)
        assert %{connected: 1} = info(stack).counters
      end

      test "a destination that refuses is an error of send/2, and the core is not told",
           context do
        stack = stack(context)
        listener = listen(context)
        :gen_tcp.close(listener.socket)
        request = outgoing(:options, listener, context)

        assert {:error, %TransportError{reason: :econnrefused, protocol: protocol}} =
                 Sippet.send(stack, request)

        assert protocol == context.protocol

        assert {:error, %TransportError{reason: :econnrefused}} =
                 Sippet.request(stack, outgoing(:options, listener, context))

        refute_receive {^stack, :error, _reason, _key}, 20
        assert Sippet.Transaction.count(stack) == 0
      end

      test "a connection that is lost fails the requests that wait for an answer, once",
           context do
        stack = stack(context)
        listener = listen(context)
        requests = for _ <- 1..3, do: outgoing(:options, listener, context)
        task = Task.async(fn -> for request <- requests, do: Sippet.send(stack, request) end)
        peer = StreamPeer.accept(listener)
        assert Task.await(task) == [:ok, :ok, :ok]
        [text | _] = for _ <- 1..3, do: StreamPeer.expect(peer, "OPTIONS ")
        StreamPeer.send(peer, response(text, "200 OK"))
        assert_receive {^stack, :response, _response, answered}
        StreamPeer.close(peer)

        keys =
          for _ <- 1..2 do
            assert_receive {^stack, :error, :connection_closed, key}
            key
          end

        assert Enum.sort([answered | keys]) == Enum.sort(Enum.map(requests, &Client.Key.new/1))
        refute_receive {^stack, :error, _reason, _key}, 20
        eventually(fn -> Sippet.Transaction.count(stack) == 0 end)
      end

      test "of the many requests that a connection has carried only those fail that still wait",
           context do
        stack = stack(context)
        listener = listen(context)
        requests = for _ <- 1..400, do: outgoing(:options, listener, context)
        task = Task.async(fn -> for request <- requests, do: Sippet.send(stack, request) end)
        peer = StreamPeer.accept(listener)
        assert Enum.uniq(Task.await(task)) == [:ok]
        texts = for _ <- 1..400, do: StreamPeer.expect(peer, "OPTIONS ")
        {unanswered, answered} = Enum.split(texts, 2)
        StreamPeer.send(peer, for(text <- answered, do: response(text, "200 OK")))
        for _ <- answered, do: assert_receive({^stack, :response, _response, _key})

        # It is looked through as it grows.
        again = outgoing(:options, listener, context)

        for _ <- 1..100 do
          assert :ok = Sippet.send(stack, outgoing(:options, listener, context))
          StreamPeer.send(peer, response(StreamPeer.expect(peer, "OPTIONS "), "200 OK"))
          assert_receive {^stack, :response, _response, _key}
        end

        assert :ok = Sippet.send(stack, again)
        StreamPeer.expect(peer, "OPTIONS ")
        StreamPeer.close(peer)

        failed =
          for _ <- 1..3 do
            assert_receive {^stack, :error, :connection_closed, key}
            key.branch
          end

        assert Enum.sort(failed) ==
                 Enum.sort([Client.Key.new(again).branch | Enum.map(unanswered, &branch/1)])

        refute_receive {^stack, :error, _reason, _key}, 20
      end

      if protocol in [:tcp, :tls] do
        test "a response whose connection is lost goes to the port of sent-by (§18.2.2)",
             context do
          stack = stack(context)
          listener = listen(context)
          peer = connect(stack, context)

          via =
            "SIP/2.0/#{context.name} 127.0.0.1:#{listener.port};branch=z9hG4bK#{Wire.unique()}"

          send_request(peer, "INVITE", context, via: via)
          assert_receive {^stack, :request, invite, _key}
          StreamPeer.close(peer)
          eventually(fn -> info(stack).connections == 0 end)

          assert :ok = Sippet.send(stack, Message.to_response(invite, 180))
          again = StreamPeer.accept(listener)
          StreamPeer.expect(again, "SIP/2.0 180 ")
          assert :ok = Sippet.send(stack, Message.to_response(invite, 200))
          StreamPeer.expect(again, "SIP/2.0 200 ")
          StreamPeer.refute_accept(listener, 20)
          # On a slow machine the 100 too, which comes where the 180 takes 200 ms.
          assert info(stack).counters.redirected_responses in 2..3
        end
      end

      if protocol in [:tcp, :tls] do
        test "a response that cannot be brought back is a transport error, once", context do
          stack = stack(context)
          listener = listen(context)
          :gen_tcp.close(listener.socket)
          peer = connect(stack, context)

          via =
            "SIP/2.0/#{context.name} 127.0.0.1:#{listener.port};branch=z9hG4bK#{Wire.unique()}"

          send_request(peer, "INVITE", context, via: via)
          assert_receive {^stack, :request, invite, key}
          StreamPeer.close(peer)
          eventually(fn -> info(stack).connections == 0 end)

          assert :ok = Sippet.send(stack, Message.to_response(invite, 200))
          assert_receive {^stack, :error, reason, ^key}
          assert reason == :econnrefused
          refute_receive {^stack, :error, _reason, _key}, 20
        end
      end

      test "a flow is a target for as long as its connection is open (RFC 5626)", context do
        stack = stack(context)
        peer = connect(stack, context)
        send_request(peer, "REGISTER", context)
        assert_receive {^stack, :request, %{source: flow}, _key}

        request = %{outgoing(:options, peer, context) | target: flow}
        assert :ok = Sippet.send(stack, request)
        StreamPeer.expect(peer, "OPTIONS ")

        StreamPeer.close(peer)
        assert_receive {^stack, :error, :connection_closed, _key}

        assert {:error, %TransportError{reason: :connection_closed} = error} =
                 Sippet.send(stack, %{outgoing(:options, peer, context) | target: flow})

        assert Exception.message(error) ==
                 "#{context.protocol} 127.0.0.1:#{peer.port}: the connection is closed"
      end

      test "a flow that is closed is told to the core", context do
        stack = stack(context)
        silent = connect(stack, context)
        peer = connect(stack, context)
        send_request(peer, "OPTIONS", context)
        assert_receive {^stack, :request, %{source: flow}, _key}
        StreamPeer.close(silent)
        StreamPeer.close(peer)
        assert_receive {^stack, :flow_closed, ^flow, :closed}
        refute_receive {^stack, :flow_closed, _flow, _reason}, 20
      end

      test "the protocol of the Via is the one that is used (§18.1.1)", context do
        stack = stack(context)
        listener = listen(context)
        request = outgoing(:options, listener, Map.put(context, :protocol, :udp))
        target = %{request | target: {context.protocol, context.host, listener.port}}
        task = Task.async(fn -> Sippet.send(stack, target) end)
        peer = StreamPeer.accept(listener)
        assert :ok = Task.await(task)

        assert hd(fields(StreamPeer.expect(peer, "OPTIONS "), "Via")) =~
                 "SIP/2.0/#{context.name} "
      end

      if protocol in [:tcp, :tls] do
        test "a peer that says nothing is closed", context do
          stack = stack(context, limits: [max_stream_message_ms: 400])
          silent = connect(stack, context)
          slow = connect(stack, context)
          # On a slow machine it may be closed already.
          _ = slow.module.send(slow.socket, "OPTIONS sip:a@example.com SIP/2.0\r\n")
          StreamPeer.assert_closed(silent)
          StreamPeer.assert_closed(slow)
          eventually(fn -> match?(%{message_timeouts: 2}, info(stack).counters) end)
        end
      end

      test "a peer that says nothing any more is closed", context do
        stack = stack(context, [], idle_timeout: 600)
        peer = connect(stack, context)
        send_request(peer, "OPTIONS", context)
        assert_receive {^stack, :request, %{source: flow}, _key}
        StreamPeer.assert_closed(peer)
        assert_receive {^stack, :flow_closed, ^flow, :idle_timeout}
        eventually(fn -> match?(%{idle_timeouts: 1}, info(stack).counters) end)
      end

      test "who sends never waits, not even for a connection whose process stands still",
           context do
        stack = stack(context, [], send_queue_bytes: 65_536)
        peer = connect(stack, context)
        send_request(peer, "REGISTER", context)
        assert_receive {^stack, :request, %{source: flow}, _key}
        process = process(stack, peer)
        true = :erlang.suspend_process(process)

        for _ <- 1..4 do
          request = %{outgoing(:message, peer, context) | body: String.duplicate("x", 32_768)}
          assert :ok = Sippet.send(stack, %{request | target: flow})
        end

        assert_receive {^stack, :error, :send_queue_full, _key}
        true = :erlang.resume_process(process)
        assert_receive {^stack, :flow_closed, ^flow, :send_queue_full}
      end

      if protocol == :tcp do
        test "a response that is on its way to a connection which just closes goes by another (§18.2.2)",
             context do
          stack = stack(context)
          peer = connect(stack, context)
          listener = listen(context)
          send_request(peer, "OPTIONS", context)
          assert_receive {^stack, :request, %{source: flow} = request, _key}
          [%{handle: {table, _, _, _}}] = Sippet.Transport.list(stack)
          process = process(stack, peer)
          data = request |> Message.to_response(200) |> Message.to_string()

          # The first half of Connections.transmit/5; who had to send is kept from the other until the connection is closed.
          _ = :ets.update_counter(table, flow.connection, {3, byte_size(data)})
          StreamPeer.close(peer)
          eventually(fn -> not :ets.member(table, flow.connection) end)
          send(process, {:transmit, {listener.ip, listener.port}, data, nil})
          listener |> StreamPeer.accept() |> StreamPeer.expect("SIP/2.0 200 ")
        end
      end

      test "a peer that does not read loses its connection", context do
        stack = stack(context, [], send_queue_bytes: 65_536, send_timeout: 2_000)
        peer = connect(stack, context, socket: [recbuf: 4_096])
        send_request(peer, "REGISTER", context)
        assert_receive {^stack, :request, %{source: flow} = register, _key}
        assert :ok = Sippet.send(stack, Message.to_response(register, 200))

        for _ <- 1..300 do
          request = %{outgoing(:message, peer, context) | body: String.duplicate("x", 32_768)}
          Sippet.send(stack, %{request | target: flow})
        end

        assert_receive {^stack, :flow_closed, ^flow, reason}
        assert reason in [:send_queue_full, :send_timeout]
        assert_receive {^stack, :error, _queue_full_or_lost, _key}
        eventually(fn -> Sippet.Transaction.count(stack) == 0 end)
        eventually(fn -> match?(%{slow_readers: 1}, info(stack).counters) end)
      end

      test "and is told as such also where it is the peer who closes then", context do
        # Nobody's patience ends before that.
        stack = stack(context, [], send_queue_bytes: 65_536, send_timeout: 60_000)
        peer = connect(stack, context, socket: [recbuf: 4_096])
        send_request(peer, "REGISTER", context)
        assert_receive {^stack, :request, %{source: flow} = register, _key}
        assert :ok = Sippet.send(stack, Message.to_response(register, 200))
        fill(stack, flow, peer, context)
        :ok = Sippet.Transport.Socket.abort(port(peer))
        assert_receive {^stack, :flow_closed, ^flow, :send_queue_full}
        eventually(fn -> match?(%{slow_readers: 1}, info(stack).counters) end)
      end

      test "connections are limited, in all and by peer", context do
        stack = stack(context, [], max_connections: 3, max_connections_per_peer: 2)
        test = self()
        tell = fn _name, _measurements, metadata, _config -> send(test, {:limit, metadata}) end
        :ok = Telemetry.attach(stack, [:sippet, :limit, :reached], tell, nil)
        on_exit(fn -> Telemetry.detach(stack) end)
        peers = for _ <- 1..2, do: connect(stack, context)
        eventually(fn -> info(stack).counters.accepted == 2 end)
        assert refused?(stack, {127, 0, 0, 1})
        assert_receive {:limit, %{stack: ^stack, limit: :max_connections_per_peer}}, 5_000
        other = connect(stack, context, from: {127, 0, 0, 2})
        eventually(fn -> info(stack).counters.accepted == 3 end)
        assert refused?(stack, {127, 0, 0, 3})
        assert_receive {:limit, %{stack: ^stack, limit: :max_connections}}, 5_000

        for peer <- [other | peers] do
          send_request(peer, "OPTIONS", context)
          assert_receive {^stack, :request, _request, _key}
        end

        assert %{refused_connections: 1, refused_by_peer_limit: 1} = info(stack).counters
        # What ends makes room.
        StreamPeer.close(other)
        eventually(fn -> info(stack).connections == 2 end)
        connect(stack, context, from: {127, 0, 0, 3})
        eventually(fn -> info(stack).counters.accepted == 4 end)
      end

      if protocol == :tcp do
        test "a connection waits to be accepted for as long as the table's process is busy",
             context do
          stack = stack(context)
          manager = :ets.lookup_element(table(stack), :manager, 2)
          true = :erlang.suspend_process(manager)
          peer = connect(stack, context)
          send_request(peer, "OPTIONS", context)

          # Longer than calls wait where nothing else is said.
          receive do
          after
            5_500 -> true = :erlang.resume_process(manager)
          end

          assert_receive {^stack, :request, request, _key}
          assert :ok = Sippet.send(stack, Message.to_response(request, 200))
          StreamPeer.expect(peer, "SIP/2.0 200 ")
          assert %{accepted: 1, accept_errors: 0} = info(stack).counters
        end
      end

      test "one that is accepted while the table's process dies is closed, and counted",
           context do
        stack = stack(context, [], num_acceptors: 1)
        table = table(stack)
        [%{pid: transport}] = Sippet.Transport.list(stack)

        {_id, acceptor, _, _} =
          transport
          |> Supervisor.which_children()
          |> List.keyfind({Sippet.Transport.Acceptor, 1}, 0)

        manager = :ets.lookup_element(table, :manager, 2)
        true = :erlang.suspend_process(manager)

        {:ok, socket} =
          :gen_tcp.connect({127, 0, 0, 1}, elem(address(stack), 1), [:binary, active: false])

        # It asks.
        eventually(fn ->
          match?({:monitors, [process: ^manager]}, Process.info(acceptor, :monitors))
        end)

        Process.exit(manager, :kill)
        assert {:error, _closed} = :gen_tcp.recv(socket, 0)
        assert :ets.lookup_element(table, :manager, 2) |> is_pid()
        assert %{accept_errors: 1} = Sippet.Transport.Connections.counters(table)
      end

      test "a connection, an acceptor or the table's process that dies takes no other with it",
           context do
        stack = stack(context, [], num_acceptors: 2)
        [%{pid: transport}] = Sippet.Transport.list(stack)
        peer = connect(stack, context)
        victim = connect(stack, context)

        for peer <- [peer, victim] do
          send_request(peer, "OPTIONS", context)
          assert_receive {^stack, :request, %{source: %{remote: remote}} = request, _key}
          assert remote == {peer.ip, peer.port}
          Sippet.send(stack, Message.to_response(request, 200))
          StreamPeer.expect(peer, "SIP/2.0 200 ")
        end

        table = table(stack)
        Process.exit(process(stack, victim), :kill)
        StreamPeer.assert_closed(victim)
        assert_receive {^stack, :flow_closed, _flow, :killed}

        for {id, pid, _type, _modules} <- Supervisor.which_children(transport),
            id != DynamicSupervisor do
          Process.exit(pid, :kill)
        end

        eventually(fn -> match?([{:manager, _pid}], :ets.lookup(table, :manager)) end)
        eventually(fn -> Process.alive?(:ets.lookup_element(table, :manager, 2)) end)
        send_request(peer, "OPTIONS", context)
        assert_receive {^stack, :request, request, _key}
        assert :ok = Sippet.send(stack, Message.to_response(request, 200))
        StreamPeer.expect(peer, "SIP/2.0 200 ")
        new = connect(stack, context)
        send_request(new, "OPTIONS", context)
        assert_receive {^stack, :request, _request, _key}
        assert %{pid: ^transport} = hd(Sippet.Transport.list(stack))
        assert info(stack).connections == 2
      end

      @tag :capture_log
      test "a stack that is started again finds its transport and its connections", context do
        stack = stack(context)
        peer = connect(stack, context)
        send_request(peer, "OPTIONS", context)
        assert_receive {^stack, :request, _request, _key}
        [transport] = Sippet.Transport.list(stack)
        supervisor = Process.whereis(Sippet.Stack.supervisor(stack))
        monitor = Process.monitor(supervisor)
        Process.exit(supervisor, :kill)
        assert_receive {:DOWN, ^monitor, _, _, _}

        eventually(fn ->
          try do
            match?([_transport], Sippet.Transport.list(stack))
          rescue
            # Not yet there again.
            ArgumentError -> false
          end
        end)

        forward(stack)
        send_request(peer, "OPTIONS", context)
        assert_receive {^stack, :request, request, _key}
        assert :ok = Sippet.send(stack, Message.to_response(request, 200))
        StreamPeer.expect(peer, "SIP/2.0 200 ")
        assert [%{pid: pid, address: address}] = Sippet.Transport.list(stack)
        assert {pid, address} == {transport.pid, transport.address}
      end

      test "a port that is taken is an error, and a transport tells its port", context do
        stack = stack(context)
        {ip, port} = address(stack)
        assert %{address: {^ip, ^port}, connections: 0} = info(stack)
        Process.flag(:trap_exit, true)
        [%{module: module}] = Sippet.Transport.list(stack)
        options = [name: stack, port: port, address: "127.0.0.1"] ++ context.own

        assert {:error, %TransportError{reason: :eaddrinuse} = error} = module.start_link(options)

        assert Exception.message(error) ==
                 "#{context.protocol} 127.0.0.1:#{port}: address already in use"

        assert [_one] = Sippet.Transport.list(stack)
      end

      test "a transport that stops closes its connections, and what was sent arrives", context do
        stack = stack(context, core: nil)
        test = self()

        Core.register(stack, fn
          :request, request, _key ->
            Sippet.send(stack, Message.to_response(request, 200))
            send(test, :answered)

          _callback, _first, _key ->
            :ok
        end)

        peer = connect(stack, context)
        send_request(peer, "OPTIONS", context)
        assert_receive :answered
        [%{pid: pid, address: {ip, port}}] = Sippet.Transport.list(stack)
        Supervisor.stop(pid)
        StreamPeer.expect(peer, "SIP/2.0 200 ")
        StreamPeer.assert_closed(peer)
        assert {:error, :econnrefused} = :gen_tcp.connect(ip, port, [])
      end
    end
  end

  # The process of a peer's connection.
  defp process(stack, peer) do
    [[pid]] = :ets.match(table(stack), {:_, :"$1", :_, :_, {peer.ip, peer.port}, :_, :_, :_})
    pid
  end

  # Sends messages until one is refused.
  defp fill(stack, flow, peer, context) do
    request = %{outgoing(:message, peer, context) | body: String.duplicate("x", 32_768)}
    _ = Sippet.send(stack, %{request | target: flow})

    receive do
      {^stack, :error, :send_queue_full, _key} -> :ok
    after
      0 -> fill(stack, flow, peer, context)
    end
  end

  defp port(%{module: :gen_tcp, socket: socket}), do: socket
  # What is below it.
  defp port(%{socket: {:sslsocket, {:gen_tcp, port, _, _}, _}}), do: port

  defp table(stack) do
    [%{pid: transport}] = Sippet.Transport.list(stack)
    Sippet.Transport.Listener.call(transport, :shared).table
  end

  # What a test needs to know of a protocol: its name in Via, the host of peers, what both sides need.
  defp side(:tcp, _chains),
    do: [protocol: :tcp, name: "TCP", host: "127.0.0.1", own: [], tls: nil, listen: nil, ws: nil]

  defp side(:ws, chains),
    do: Keyword.merge(side(:tcp, chains), protocol: :ws, name: "WS", ws: "/")

  defp side(:wss, chains),
    do: Keyword.merge(side(:tls, chains), protocol: :wss, name: "WSS", ws: "/")

  defp side(:tls, %{server: server, client: client}) do
    # An address has to be in the certificate of the peer.
    peers = Certificates.chains(server: [ip: <<127, 0, 0, 1>>, ip: <<0::120, 1>>])

    [
      protocol: :tls,
      name: "TLS",
      host: "127.0.0.1",
      own: [cert: server[:cert], key: server[:key], cacerts: peers.client[:cacerts]],
      tls: [cacerts: client[:cacerts]],
      listen: [cert: peers.server[:cert], key: peers.server[:key]],
      ws: nil
    ]
  end

  defp stack(context, options \\ [], transport \\ []) do
    {core, options} = Keyword.pop(options, :core, :tell)

    stack =
      start([core: nil, udp: []] ++ [{context.protocol, [context.own ++ transport]} | options])

    if core == :tell, do: forward(stack)
    stack
  end

  defp forward(stack) do
    test = self()

    Core.register(stack, fn callback, first, key ->
      send(test, {stack, callback, first, key})
    end)
  end

  defp connect(stack, context, options \\ []),
    do: StreamPeer.connect(address(stack), [tls: context.tls, ws: context.ws] ++ options)

  defp listen(context), do: StreamPeer.listen(tls: context.listen, ws: context.ws)

  defp outgoing(method, %{ip: ip, port: port}, context) do
    request(method, {ip, port},
      protocol: context.protocol,
      target: {context.protocol, context.host, port}
    )
  end

  defp send_request(peer, method, context, options \\ []),
    do: StreamPeer.send(peer, Wire.request(method, peer, [protocol: context.name] ++ options))

  defp branch(text) do
    [branch] = Regex.run(~r/^Via: .*;branch=([^;\r]+)/m, text, capture: :all_but_first)
    branch
  end

  defp follow_up(method, invite, via, ok),
    do: Wire.follow_up(method, invite, via: via, to: field(ok, "To"))

  defp refused?(stack, from) do
    {ip, port} = address(stack)

    with {:ok, socket} <- :gen_tcp.connect(ip, port, [:binary, ip: from, active: false]),
         {:error, reason} <- :gen_tcp.recv(socket, 0, 10_000),
         do: reason in [:closed, :econnreset],
         else: ({:error, :econnreset} -> true)
  end
end
