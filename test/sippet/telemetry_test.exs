defmodule Sippet.TelemetryTest do
  # Handlers belong to the VM: one test after another, each looking only at its own stack.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import Sippet.Test.Wire

  alias Sippet.{Message, Telemetry}
  alias Sippet.Test.{Peer, Stack, StreamPeer}

  setup do
    test = self()

    :ok =
      Telemetry.attach_many(
        test,
        Telemetry.events(),
        fn name, measurements, metadata, pid ->
          send(pid, {:event, tl(name), measurements, metadata})
        end,
        test
      )

    on_exit(fn -> Telemetry.detach(test) end)
    %{peer: Peer.open()}
  end

  defp native(ms), do: System.convert_time_unit(ms, :millisecond, :native)

  # The next event of this name of the stack. Each has all that its description says, and nothing else.
  defp event(stack, name) do
    assert_receive {:event, ^name, measurements, %{stack: ^stack} = metadata}

    {_name, _when, measured, known} = List.keyfind(Telemetry.descriptions(), [:sippet | name], 0)

    assert measurements |> Map.keys() |> Enum.sort() == Enum.sort(measured)
    assert metadata |> Map.keys() |> Enum.sort() == Enum.sort(known)
    assert_in_delta measurements.monotonic_time, System.monotonic_time(), native(30_000)
    {measurements, metadata}
  end

  test "a request and its response: messages, the transaction, the callback", %{peer: peer} do
    # The 100 of the stack's own would come after 2.52 s (RFC 4320 §4.1).
    stack = Stack.start(t1: 40, t2: 2_560)
    options = request("OPTIONS", peer)
    Peer.send(peer, Stack.address(stack), options)

    {%{bytes: bytes}, metadata} = event(stack, [:message, :received])
    assert bytes == byte_size(options)
    assert %{method: :options, status_code: nil, protocol: :udp, data: ^options} = metadata
    assert metadata.remote == {peer.ip, peer.port}
    assert [%{id: id}] = Sippet.Transport.list(stack)
    assert metadata.transport == id

    assert_receive {^stack, :request, received, key}
    assert {_, %{key: ^key, role: :server}} = event(stack, [:transaction, :start])
    {%{start_delay: delay}, metadata} = event(stack, [:delivery, :start])
    assert delay in 0..native(10_000)
    assert %{callback: :receive_request, key: ^key, core: core} = metadata
    assert Sippet.info(stack).core == core
    {%{duration: duration, start_delay: ^delay}, _} = event(stack, [:delivery, :stop])
    assert duration in 0..native(10_000)

    :ok = Sippet.send(stack, Message.to_response(received, 200))
    {%{bytes: bytes}, %{data: ok} = metadata} = event(stack, [:message, :sent])
    assert Peer.receive_bytes(peer) == ok
    assert bytes == byte_size(ok)
    assert metadata.remote == {peer.ip, peer.port}

    Peer.send(peer, Stack.address(stack), options)
    assert Peer.receive_bytes(peer) == ok

    {measurements, metadata} = event(stack, [:transaction, :stop])
    assert %{key: ^key, role: :server, status_code: 200, reason: :normal} = metadata
    assert measurements.retransmissions == 1
    # Timer J is 64·T1.
    assert measurements.duration >= native(2_560)
    assert measurements.response_time in 0..measurements.duration
  end

  test "a client transaction without an answer: repeated, timed out", %{peer: peer} do
    stack = Stack.start(t1: 2, t2: 4)
    :ok = Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))
    assert {_, %{role: :client, key: key}} = event(stack, [:transaction, :start])
    {measurements, metadata} = event(stack, [:transaction, :stop])
    assert %{key: ^key, role: :client, status_code: nil, reason: :timeout} = metadata
    assert measurements.response_time == nil
    for _ <- 0..measurements.retransmissions, do: Peer.expect(peer, "OPTIONS ")
    Peer.refute_any(peer, 50)
    assert {_, %{callback: :receive_error, key: ^key}} = event(stack, [:delivery, :start])
  end

  test "a transaction that is terminated, and one without its ACK", %{peer: peer} do
    stack = Stack.start(t1: 1, t2: 2)
    Peer.send(peer, Stack.address(stack), request("INVITE", peer))
    assert_receive {^stack, :request, _, key}
    :ok = Sippet.terminate(stack, key)
    assert {_, %{key: ^key, reason: :terminated}} = event(stack, [:transaction, :stop])

    Peer.send(peer, Stack.address(stack), request("INVITE", peer))
    assert_receive {^stack, :request, received, key}
    :ok = Sippet.send(stack, Message.to_response(received, 200), until: :ack)
    assert {_, metadata} = event(stack, [:transaction, :stop])
    assert %{key: ^key, status_code: 200, reason: :no_ack} = metadata
  end

  test "bytes that are no message, and the limit that they met", %{peer: peer} do
    stack = Stack.start(limits: [max_fields: 8])
    Peer.send(peer, Stack.address(stack), "nonsense\r\n\r\n")
    {%{bytes: 12}, metadata} = event(stack, [:message, :rejected])
    assert %{data: "nonsense\r\n\r\n", reason: :start_line, status_code: 400} = metadata
    assert {:error, %{reason: :start_line}} = Message.parse("nonsense\r\n\r\n")
    refute_received {:event, [:limit, :reached], _, %{stack: ^stack}}

    Peer.send(peer, Stack.address(stack), request("OPTIONS", peer, fields: ["A: 1", "B: 2"]))
    assert {_, %{reason: :too_many_fields}} = event(stack, [:message, :rejected])
    assert {_, %{limit: :max_fields}} = event(stack, [:limit, :reached])

    Peer.send(peer, Stack.address(stack), request("OPTIONS", peer, cseq_method: "INFO"))
    assert {_, %{reason: :method_mismatch}} = event(stack, [:message, :rejected])
  end

  test "each limit of a message has its own name, in datagrams", %{peer: peer} do
    limits = [
      max_message_bytes: 4_000,
      max_fields: 20,
      max_line_bytes: 300,
      max_values: 6,
      max_hops: 3,
      max_parameters: 5,
      max_folds: 2
    ]

    stack = Stack.start(limits: limits)
    via = "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1"

    for {limit, options} <- [
          max_message_bytes: [body: String.duplicate("x", 4_000)],
          max_fields: [fields: List.duplicate("A: 1", 20)],
          max_line_bytes: [fields: ["A: " <> String.duplicate("x", 300)]],
          max_line_bytes: [uri: "sip:" <> String.duplicate("x", 300)],
          max_values: [fields: ["Supported: 1,2,3,4,5,6,7"]],
          max_hops: [fields: List.duplicate("Via: " <> via, 3)],
          max_hops: [fields: ["Route: <sip:a>, <sip:a>, <sip:a>, <sip:a>"]],
          max_hops: [fields: List.duplicate("Record-Route: <sip:a>", 4)],
          max_parameters: [fields: ["Accept: a/b;a=1;b=1;c=1;d=1;e=1;f=1"]],
          max_folds: [fields: ["A: 1", " 2", " 3", " 4"]]
        ] do
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer, options))
      assert {_, %{limit: ^limit}} = event(stack, [:limit, :reached])
    end

    refute_received {:event, [:limit, :reached], _, %{stack: ^stack}}
  end

  test "each limit of a message has its own name, on streams" do
    limits = [max_stream_message_bytes: 4_000, max_fields: 20, max_line_bytes: 300, max_folds: 2]
    stack = Stack.start(tcp: [[]], ws: [[]], limits: limits)
    long = [body: String.duplicate("x", 4_000)]

    for {limit, options} <- [
          max_stream_message_bytes: long,
          max_fields: [fields: List.duplicate("A: 1", 20)],
          max_line_bytes: [fields: ["A: " <> String.duplicate("x", 300)]],
          max_folds: [fields: ["A: 1", " 2", " 3", " 4"]]
        ] do
      peer = StreamPeer.connect(Stack.address(stack))
      StreamPeer.send(peer, request("OPTIONS", peer, [protocol: "TCP"] ++ options))
      assert {_, %{limit: ^limit}} = event(stack, [:limit, :reached])
      assert {_, %{reason: :broken}} = event(stack, [:message, :rejected])
      StreamPeer.close(peer)
    end

    peer = StreamPeer.connect(Stack.address(stack, 1), ws: "/")
    StreamPeer.send(peer, request("OPTIONS", peer, [protocol: "WS"] ++ long))
    assert {_, %{limit: :max_stream_message_bytes}} = event(stack, [:limit, :reached])
    refute_received {:event, [:limit, :reached], _, %{stack: ^stack}}
  end

  test "a peer that is too slow with a message meets a limit" do
    stack = Stack.start(tcp: [[]], limits: [max_stream_message_ms: 50])
    peer = StreamPeer.connect(Stack.address(stack))
    StreamPeer.send(peer, "OPTIONS sip:service@example.com SIP/2.0\r\n")
    assert {_, %{limit: :max_stream_message_ms}} = event(stack, [:limit, :reached])
    StreamPeer.assert_closed(peer)
  end

  test "requests that the stack refuses, and why", %{peer: peer} do
    stack = Stack.start(core: nil, max_transactions: 1)

    refused = fn ->
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      Peer.await(peer, "SIP/2.0 503 ")
      {%{}, metadata} = event(stack, [:request, :refused])
      assert metadata.remote == {peer.ip, peer.port}
      metadata.reason
    end

    assert refused.() == :no_core
    Sippet.Test.Core.register(stack, :forward)
    :ok = Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))
    assert refused.() == :max_transactions
    assert {_, %{limit: :max_transactions}} = event(stack, [:limit, :reached])
    Sippet.drain(stack, 0)
    assert refused.() == :draining
  end

  test "an error of a transport", %{peer: peer} do
    stack = Stack.start()
    huge = Stack.request(:options, {peer.ip, peer.port})
    :ok = Sippet.send(stack, %{huge | body: String.duplicate("x", 70_000)})
    {_, metadata} = event(stack, [:transport, :error])
    assert %{reason: :emsgsize, protocol: :udp} = metadata
    assert metadata.remote == {peer.ip, peer.port}
    assert {_, %{reason: :transport_error}} = event(stack, [:transaction, :stop])
  end

  @tag capture_log: true
  test "a callback that raises", %{peer: peer} do
    stack = Stack.start(core: fn _, _, _ -> raise "wrong" end)
    Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
    {_, metadata} = event(stack, [:delivery, :exception])
    assert %{kind: :error, reason: %RuntimeError{message: "wrong"}} = metadata
    assert [{module, _, _, _} | _] = metadata.stacktrace
    assert is_atom(module)
    Peer.expect(peer, "SIP/2.0 500 ")
    refute_received {:event, [:delivery, :stop], _, %{stack: ^stack}}
  end

  describe "handlers of this module" do
    test "have an id, which is there once" do
      handler = fn _, _, _, _ -> :ok end
      event = [:sippet, :message, :sent]
      assert Telemetry.attach(:mine, event, handler, nil) == :ok
      assert Telemetry.attach(:mine, event, handler, nil) == {:error, :already_exists}
      assert Telemetry.detach(:mine) == :ok
      assert Telemetry.detach(:mine) == {:error, :not_found}
      assert_raise ArgumentError, fn -> Telemetry.attach(:mine, [:no, :event], handler, nil) end
    end

    test "are detached when they fail, and the message goes its way", %{peer: peer} do
      stack = Stack.start()

      :ok =
        Telemetry.attach(
          :bad,
          [:sippet, :message, :received],
          fn _, _, _, _ -> raise "no" end,
          nil
        )

      log =
        capture_log(fn ->
          Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
          assert_receive {^stack, :request, _, _}
        end)

      assert log =~ "the handler :bad"
      assert Telemetry.detach(:bad) == {:error, :not_found}
    end
  end

  test "where nobody listens nothing is told", %{peer: peer} do
    stack = Stack.start()
    :ok = Telemetry.detach(self())
    Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
    assert_receive {^stack, :request, received, _}
    :ok = Sippet.send(stack, Message.to_response(received, 200))
    Peer.receive_bytes(peer)
    refute_received {:event, _, _, %{stack: ^stack}}
  end

  describe "with the package" do
    setup do
      Sippet.Test.TelemetryStandIn.install()
    end

    test "its handlers get what they are attached to, and only that", %{peer: peer} do
      :ok = Telemetry.detach(self())
      stack = Stack.start()
      test = self()

      handler = fn name, measurements, metadata, config ->
        send(test, {:package, name, measurements, metadata, config})
      end

      apply(:telemetry, :attach, [:id, [:sippet, :message, :received], handler, :config])
      :ok = Telemetry.refresh()
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      assert_receive {:package, [:sippet, :message, :received], %{bytes: _}, metadata, :config}
      assert %{stack: ^stack, method: :options} = metadata
      assert_receive {^stack, :request, received, _}
      :ok = Sippet.send(stack, Message.to_response(received, 200))
      Peer.receive_bytes(peer)
      refute_received {:package, _, _, _, _}

      apply(:telemetry, :detach, [:id])
      :ok = Telemetry.refresh()
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}
      refute_received {:package, _, _, _, _}
    end

    test "a handler that is attached late is found within a second", %{peer: peer} do
      stack = Stack.start()
      test = self()
      handler = fn _, _, metadata, _ -> send(test, {:package, metadata.stack}) end
      :ok = Telemetry.detach(self())
      apply(:telemetry, :attach, [:id, [:sippet, :message, :received], handler, nil])

      Stack.eventually(fn ->
        Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
        assert_receive {^stack, :request, _, _}

        receive do
          {:package, ^stack} -> true
        after
          0 -> false
        end
      end)
    end
  end
end
