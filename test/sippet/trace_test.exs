defmodule Sippet.TraceTest do
  # Handlers of telemetry are the whole VM's: one test after another.
  use ExUnit.Case, async: false

  import Sippet.Test.Stack, only: [eventually: 1]
  import Sippet.Test.Wire

  alias Sippet.{Message, Trace}
  alias Sippet.Test.{Peer, Stack}

  doctest Sippet.Trace
  doctest Sippet.Trace.Event

  defp start(options \\ [], trace_options \\ []) do
    stack = Stack.start(options)
    {:ok, trace} = Trace.start(stack, trace_options)
    %{stack: stack, trace: trace, peer: Peer.open(), address: Stack.address(stack)}
  end

  # What the trace has, when it has so many.
  defp events(trace, count) do
    eventually(fn -> length(Trace.events(trace)) >= count end)
    events = Trace.events(trace)
    assert length(events) == count
    events
  end

  defp short(events),
    do: for(event <- events, do: {event.direction, event.status_code || event.method})

  describe "what goes over the wire is captured:" do
    test "a server transaction with repetitions, the stack's own 100 and the ACK" do
      %{stack: stack, trace: trace, peer: peer, address: address} =
        start(trying_ms: 1, t1: 10_000)

      invite = request("INVITE", peer)
      Peer.send(peer, address, invite)
      trying = Peer.expect(peer, "SIP/2.0 100 ")
      Peer.send(peer, address, invite)
      assert Peer.receive_bytes(peer) == trying
      assert_receive {^stack, :request, received, _key}
      :ok = Sippet.send(stack, Message.to_response(received, 486))
      busy = Peer.expect(peer, "SIP/2.0 486 ")
      Peer.send(peer, address, follow_up("ACK", invite, to: field(busy, "To")))
      events = events(trace, 6)

      assert short(events) == [
               received: :invite,
               sent: 100,
               received: :invite,
               sent: 100,
               sent: 486,
               received: :ack
             ]

      assert Enum.map(events, & &1.outcome) |> Enum.uniq() == [:ok]
      assert Enum.at(events, 0).data == invite
      assert Enum.at(events, 1).data == trying
      assert Enum.at(events, 4).data == busy
      assert Enum.map(events, & &1.number) |> Enum.sort() == Enum.to_list(1..6)
      call_id = field(invite, "Call-ID")

      for event <- events do
        assert %{
                 protocol: :udp,
                 local: ^address,
                 stack: ^stack,
                 call_id: ^call_id,
                 truncated: false
               } = event

        assert event.remote == {peer.ip, peer.port}
        assert event.bytes == byte_size(event.data)
      end
    end

    test "a client transaction with repetitions, the stack's ACK and its CANCEL" do
      %{stack: stack, trace: trace, peer: peer} = start(t1: 100)
      request = Stack.request(:invite, {peer.ip, peer.port})
      before = System.os_time(:microsecond)
      :ok = Sippet.send(stack, request)
      invite = Peer.expect(peer, "INVITE ")
      assert Peer.receive_bytes(peer) == invite
      Peer.send(peer, Stack.address(stack), response(invite, "180 Ringing"))
      assert_receive {^stack, :response, %{start_line: %{status_code: 180}}, key}
      :ok = Sippet.cancel(stack, key)
      cancel = Peer.await(peer, "CANCEL ")
      Peer.send(peer, Stack.address(stack), response(cancel, "200 OK"))
      Peer.send(peer, Stack.address(stack), response(invite, "487 Request Terminated"))
      Peer.await(peer, "ACK ")
      assert_receive {^stack, :response, %{start_line: %{status_code: 487}}, ^key}
      later = System.os_time(:microsecond)
      eventually(fn -> {:sent, :ack} in short(Trace.events(trace)) end)

      assert [{:sent, :invite}, {:sent, :invite} | _] = short(Trace.events(trace))
      # A slow machine repeats more.
      assert Enum.uniq(short(Trace.events(trace))) == [
               sent: :invite,
               received: 180,
               sent: :cancel,
               received: 200,
               received: 487,
               sent: :ack
             ]

      times = for event <- Trace.events(trace), do: event.time
      # The clock on the wall may have been set meanwhile, by a second and not by more.
      assert Enum.all?(times, &(&1 in (before - 1_000_000)..(later + 1_000_000)))
    end

    test "what the stack answers without a transaction, and why" do
      %{trace: trace, peer: peer, address: address} = start(core: nil)
      Peer.send(peer, address, request("OPTIONS", peer))
      Peer.expect(peer, "SIP/2.0 503 ")
      Peer.send(peer, address, request("OPTIONS", peer, cseq_method: "INFO"))
      Peer.expect(peer, "SIP/2.0 400 ")
      Peer.send(peer, address, "\x00nonsense\xFF\r\n\r\n")

      assert [options, refused, mismatch, bad, junk] = events(trace, 5)

      assert {options.outcome, refused.status_code, refused.outcome} ==
               {{:refused, :no_core}, 503, :ok}

      assert {mismatch.outcome, bad.status_code} == {{:rejected, :method_mismatch}, 400}
      assert {:error, %{reason: reason}} = Message.parse(junk.data)
      assert %{outcome: {:rejected, ^reason}, method: nil, call_id: nil, users: []} = junk
      assert junk.data == "\x00nonsense\xFF\r\n\r\n"
    end

    test "what a transport did not take" do
      %{stack: stack, trace: trace, peer: peer} = start()

      huge = %{
        Stack.request(:options, {peer.ip, peer.port})
        | body: String.duplicate("x", 70_000)
      }

      :ok = Sippet.send(stack, huge)
      assert [%{direction: :sent, outcome: {:failed, :emsgsize}} = event] = events(trace, 1)

      assert {event.truncated, byte_size(event.data), event.bytes > 70_000} ==
               {true, 65_536, true}

      assert event.call_id == huge.headers.call_id
    end

    test "nothing of another stack, and the same stack when it is started again" do
      %{stack: stack, trace: trace, peer: peer} = start()
      other = Stack.start()
      Peer.send(peer, Stack.address(other), request("OPTIONS", peer))
      assert_receive {^other, :request, _, _}
      stop_supervised({Sippet, stack})
      start_supervised!({Sippet, name: stack})
      Stack.start_udp(stack)
      eventually(fn -> Sippet.Transport.list(stack) != [] end)
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      assert [{:received, :options}, {:sent, 503}] = short(events(trace, 2))
    end
  end

  describe "of other messages nothing is kept:" do
    defp ask(context, options) do
      request = request("OPTIONS", context.peer, options)
      Peer.send(context.peer, context.address, request)
      %{stack: stack} = context
      assert_receive {^stack, :request, _, _}
    end

    test "by Call-ID, exactly" do
      context = start([], call_id: ["one", "two"])
      for call_id <- ~w(one oneself ONE two), do: ask(context, call_id: call_id)
      assert Enum.map(events(context.trace, 2), & &1.call_id) == ["one", "two"]
    end

    test "by user, of From, To or Request-URI, and not of another part" do
      context = start([], user: "carol")
      ask(context, uri: "sip:carol@example.com")
      ask(context, uri: "sip:carol:secret@example.com")
      ask(context, uri: "sip:dave@carol.example.com", fields: ["Subject: carol"])
      ask(context, uri: "sip:carola@example.com")

      assert Enum.map(events(context.trace, 2), & &1.users) == [
               ["peer", "service", "carol"],
               ["peer", "service", "carol"]
             ]
    end

    test "by peer, with or without a port" do
      context = start()
      other = %{context | peer: Peer.open({127, 0, 0, 2})}
      {:ok, by_ip} = Trace.start(context.stack, peer: "127.0.0.2")

      {:ok, by_port} =
        Trace.start(context.stack, peer: [{{127, 0, 0, 1}, context.peer.port}, {"127.0.0.1", 1}])

      {:ok, none} = Trace.start(context.stack, peer: {127, 0, 0, 3})
      ask(context, [])
      ask(other, [])
      assert [%{remote: {{127, 0, 0, 2}, _}}] = events(by_ip, 1)
      assert [%{remote: {{127, 0, 0, 1}, _}}] = events(by_port, 1)
      events(context.trace, 2)
      assert Trace.events(none) == []
    end

    test "by a function, and all that is given holds" do
      test = self()

      filter = fn event ->
        send(test, {:filtered, self(), event})
        event.method == :options
      end

      context = start([], filter: filter, call_id: "one")
      Peer.send(context.peer, context.address, request("INFO", context.peer, call_id: "one"))
      ask(context, call_id: "two")
      ask(context, call_id: "one", fields: ["Authorization: Basic Zm9v"])
      assert [%{method: :options, call_id: "one"}] = events(context.trace, 1)
      trace = context.trace
      assert_received {:filtered, ^trace, %{method: :info}}
      assert_received {:filtered, ^trace, %{method: :options, data: data}}
      refute data =~ "Zm9v"
      refute_received {:filtered, _, _}
    end

    test "bytes that are no message have the Call-ID that stands in them" do
      context = start([], call_id: "one")
      Peer.send(context.peer, context.address, "INVITE\r\ni : one\r\n\r\n")
      Peer.send(context.peer, context.address, "INVITE\r\nCall-ID: one-two\r\n\r\n")
      assert [%{outcome: {:rejected, _}, call_id: "one"}] = events(context.trace, 1)
    end

    test "a drawing may show some of the events" do
      context = start()
      for call_id <- ~w(one two), do: ask(context, call_id: call_id)
      events = events(context.trace, 2)

      assert [_head, arrow] =
               context.trace |> Trace.to_text(call_id: "two") |> String.split("\n", trim: true)

      assert arrow =~ ~r/^  0\.0 ms  \|-- OPTIONS sip:service@example.com ->\|  udp$/
      assert length(String.split(Trace.to_text(events), "\n", trim: true)) == 3

      assert length(
               String.split(Trace.to_text(events, filter: &(&1.call_id == "none")), "\n",
                 trim: true
               )
             ) == 0
    end
  end

  describe "what is kept is bounded:" do
    # Bytes that are no message, by the way of a custom transport.
    defp put(context, count, bytes) do
      for number <- 1..count,
          do:
            Sippet.Router.handle_transport_message(
              context.stack,
              "#{number} #{bytes}",
              {:udp, {127, 0, 0, 9}, 9}
            )
    end

    test "by their number, the oldest go" do
      context = start([], max_events: 3)
      put(context, 10, "x")
      eventually(fn -> Trace.info(context.trace).captured == 10 end)
      assert Enum.map(events(context.trace, 3), & &1.data) == ["8 x", "9 x", "10 x"]
      stack = context.stack

      assert %{stack: ^stack, events: 3, bytes: 10, overwritten: 7, missed: 0} =
               Trace.info(context.trace)
    end

    test "by their bytes, and those of one message" do
      context = start([], max_bytes: 25, max_message_bytes: 10)
      put(context, 4, "0123456789")
      eventually(fn -> Trace.info(context.trace).captured == 4 end)

      assert [%{data: "3 01234567", bytes: 12, truncated: true}, %{number: 4}] =
               events(context.trace, 2)

      context = start([], max_bytes: 5)
      put(context, 1, "0123456789")
      assert [%{data: "1 012"}] = events(context.trace, 1)
    end

    test "the bytes kept are no part of larger ones" do
      context = start([], max_message_bytes: 100)
      put(context, 1, String.duplicate("x", 10_000))
      assert [%{data: data}] = events(context.trace, 1)
      assert :binary.referenced_byte_size(data) == 100
    end

    test "what it cannot keep up with is counted and not captured" do
      context = start()
      :ok = :sys.suspend(context.trace)
      put(context, 1_100, "x")
      {:message_queue_len, waiting} = Process.info(context.trace, :message_queue_len)
      assert waiting == 1_024
      :ok = :sys.resume(context.trace)
      eventually(fn -> Trace.info(context.trace).captured == 1_024 end)
      assert Trace.info(context.trace).missed == 76
      put(context, 1, "x")
      eventually(fn -> Trace.info(context.trace).captured == 1_025 end)

      :ok = :sys.suspend(context.trace)
      put(context, 30, String.duplicate("x", 1_048_576))
      assert {:message_queue_len, 15} = Process.info(context.trace, :message_queue_len)
      :ok = :sys.resume(context.trace)
    end
  end

  describe "credentials" do
    @secret ~s(Authorization: Digest username="bob", realm="r", nonce="n0nce", response="d00d")

    test "are taken out before a message is kept" do
      context = start()
      ask(context, fields: [@secret], body: "a=ice-pwd:d00d\r\n", uri: "sip:bob:d00d@example.com")
      assert [%{data: data} = event] = events(context.trace, 1)
      refute data =~ ~r/d00d|n0nce/
      assert data =~ ~s(username="bob", realm="r", nonce="***", response="***")

      refute inspect(:sys.get_state(context.trace), limit: :infinity, printable_limit: :infinity) =~
               "d00d"

      for text <- [
            Trace.to_text([event], messages: true),
            Trace.to_svg([event], messages: true),
            Trace.to_pcapng([event])
          ] do
        assert text =~ "bob"
        refute text =~ ~r/d00d|n0nce/
      end
    end

    test "stay where that is asked for" do
      context = start([], credentials: :keep)
      ask(context, fields: [@secret])
      assert [%{data: data}] = events(context.trace, 1)
      assert data =~ @secret
    end
  end

  describe "a subscriber" do
    test "has one message at most, and takes what there is" do
      context = start([], max_events: 5)
      trace = context.trace
      put(context, 1, "before")
      events(trace, 1)
      assert Trace.take(trace) == {:error, :not_subscribed}
      :ok = Trace.subscribe(trace)
      assert Trace.subscribe(trace) == {:error, :already_subscribed}
      put(context, 3, "x")
      assert_receive {Trace, ^trace, :events}
      eventually(fn -> Trace.info(trace).captured == 4 end)
      refute_received {Trace, ^trace, :events}

      assert {:ok, [%{data: "1 x", number: 2}, %{data: "2 x"}, %{data: "3 x"}], 0} =
               Trace.take(trace)

      assert {:ok, [], 0} = Trace.take(trace)

      put(context, 12, "y")
      assert_receive {Trace, ^trace, :events}
      eventually(fn -> Trace.info(trace).captured == 16 end)
      refute_received {Trace, ^trace, :events}
      assert {:ok, taken, 7} = Trace.take(trace)
      assert Enum.map(taken, & &1.number) == Enum.to_list(12..16)

      :ok = Trace.unsubscribe(trace)
      put(context, 1, "z")
      eventually(fn -> Trace.info(trace).captured == 17 end)
      refute_received {Trace, ^trace, :events}
    end

    test "may begin with what is there, and is forgotten when it ends" do
      %{trace: trace} = context = start()
      put(context, 2, "x")
      events(trace, 2)

      task =
        Task.async(fn ->
          :ok = Trace.subscribe(trace, history: true)
          assert_receive {Trace, ^trace, :events}
          {:ok, events, 0} = Trace.take(trace)
          length(events)
        end)

      assert Task.await(task) == 2
      eventually(fn -> :sys.get_state(trace).subscribers == %{} end)
    end
  end

  describe "a trace ends, and with it what it costs:" do
    defp listens?(stack),
      do:
        Enum.any?(
          :persistent_term.get({Sippet.Telemetry, :handlers}, []),
          &match?({_, _, _, %{stack: ^stack}}, &1)
        )

    test "by stop/1" do
      context = start()
      assert listens?(context.stack)
      :ok = Trace.stop(context.trace)
      refute listens?(context.stack)
    end

    test "with its owner" do
      stack = Stack.start()
      {:ok, trace} = Task.async(fn -> Trace.start(stack) end) |> Task.await()
      monitor = Process.monitor(trace)
      assert_receive {:DOWN, ^monitor, _, _, _}
      eventually(fn -> not listens?(stack) end)
    end

    test "when it is killed" do
      context = start()
      Process.exit(context.trace, :kill)
      eventually(fn -> not listens?(context.stack) end)
      Peer.send(context.peer, context.address, request("OPTIONS", context.peer))
      stack = context.stack
      assert_receive {^stack, :request, _, _}
    end

    test "with its supervisor" do
      stack = Stack.start()
      name = Module.concat(__MODULE__, stack)
      start_supervised!({Trace, stack: stack, name: name, call_id: "one"})
      assert %{stack: ^stack, captured: 0} = Trace.info(name)
      assert %{id: {Trace, ^stack, ^name}} = Trace.child_spec(stack: stack, name: name)
      :ok = stop_supervised({Trace, stack, name})
      eventually(fn -> not listens?(stack) end)
    end
  end

  test "an option that is not known, or not of its kind, is the caller's mistake" do
    stack = Stack.start()

    for {options, name} <- [
          {[call_ids: "x"], "call_ids"},
          {[call_id: :x], ":call_id"},
          {[user: ""], ":user"},
          {[peer: "example.com"], ":peer"},
          {[peer: {127, 0, 0}], ":peer"},
          {[peer: [{{127, 0, 0, 1}, 70_000}]], ":peer"},
          {[filter: fn -> true end], ":filter"},
          {[max_events: 0], ":max_events"},
          {[max_bytes: "1"], ":max_bytes"},
          {[credentials: true], ":credentials"}
        ] do
      assert_raise ArgumentError, ~r/#{name}/, fn -> Trace.start(stack, options) end
    end

    assert_raise ArgumentError, ~r/no stack named/, fn -> Trace.start(:no_such_stack) end
    assert_raise ArgumentError, ~r/:call_id/, fn -> Trace.to_text([], call_id: 1) end
    assert_raise ArgumentError, ~r/names_of/, fn -> Trace.to_svg([], names_of: 1) end

    refute Enum.any?(
             :persistent_term.get({Sippet.Telemetry, :handlers}, []),
             &match?({_, _, _, %{stack: ^stack}}, &1)
           )
  end
end
