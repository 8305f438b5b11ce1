defmodule Sippet.Integration.WebSocketAttackTest do
  # What a hostile peer can do to a listener of WebSockets while another one wants to be served; see stream_attack_test.exs.
  # Alone, as there.
  use ExUnit.Case

  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 1, eventually: 2]
  import Sippet.Test.WebSocket, only: [frame: 2, frame: 3, read_frame: 1]

  alias Sippet.Message
  alias Sippet.Test.{Core, StreamPeer, WebSocket, Wire}

  @patience_ms 2_000

  setup do
    stack =
      start(
        ws: [[max_connections_per_peer: 300, handshake_timeout: @patience_ms]],
        core: nil,
        limits: [max_stream_message_ms: @patience_ms]
      )

    Core.register(stack, fn
      :request, request, key when key != nil ->
        Sippet.send(stack, Message.to_response(request, 200))

      _callback, _first, _key ->
        :ok
    end)

    {:ok, stack: stack, honest: connect(stack, {127, 0, 0, 1})}
  end

  defp connect(stack, from), do: StreamPeer.connect(address(stack), from: from, ws: "/")
  defp attacker(stack), do: connect(stack, {127, 0, 0, 2})

  defp served?(peer) do
    StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: "WS"))
    StreamPeer.expect(peer, "SIP/2.0 200 ") =~ "CSeq: 1 OPTIONS"
  end

  defp try_send(peer, bytes), do: peer.module.send(peer.socket, bytes)

  test "connections from one address that ask for nothing, more than it may have", context do
    %{stack: stack, honest: honest} = context
    {ip, port} = address(stack)

    sockets =
      for _ <- 1..400 do
        case :gen_tcp.connect(ip, port, [:binary, active: false, ip: {127, 0, 0, 2}]) do
          {:ok, socket} -> socket
          {:error, _refused} -> nil
        end
      end

    assert served?(honest)
    assert served?(connect(stack, {127, 0, 0, 3}))
    eventually(20_000, fn -> info(stack).connections <= 2 end)
    %{counters: counters} = info(stack)
    # Fewer, where the first have had their time before the last come.
    assert counters.refused_by_peer_limit in 1..100
    assert counters.refused_by_peer_limit + counters.handshake_failures == 400
    for socket <- sockets, socket != nil, do: :gen_tcp.close(socket)
  end

  test "a handshake of a byte now and then", %{stack: stack, honest: honest} do
    slow = StreamPeer.connect(address(stack), from: {127, 0, 0, 2})
    drip(slow, for(<<byte <- WebSocket.request("/", address(stack))>>, do: <<byte>>))
    assert served?(honest)
    eventually(fn -> info(stack).counters.handshake_failures == 1 end)
  end

  test "a message of a byte now and then, in one frame or in one frame each", context do
    %{stack: stack, honest: honest} = context
    text = String.duplicate("OPTIONS ", 100)
    bytes = for <<byte <- frame(:text, text)>>, do: <<byte>>
    drip(attacker(stack), bytes)
    frames = for <<byte <- text>>, do: frame(:continuation, <<byte>>, fin: false)
    drip(attacker(stack), [frame(:text, "", fin: false) | frames])
    assert served?(honest)
    eventually(fn -> info(stack).counters.message_timeouts == 2 end)
  end

  # Until the other side has had enough.
  defp drip(peer, [bytes | more]) do
    with :ok <- try_send(peer, bytes),
         {:error, :timeout} <- peer.module.recv(peer.socket, 0, 10),
         do: drip(peer, more),
         else: ({:error, _closed} -> :ok)
  end

  test "frames beyond the limit, unmasked, with reserved bits: nothing is waited for", context do
    %{stack: stack, honest: honest} = context
    before = memory()

    frames = [
      frame(:text, "", length: 2_000_000_000),
      frame(:binary, "", length: 0x7FFF_FFFF_FFFF_FFFF),
      frame(:text, String.duplicate("x", 1_000), mask: nil),
      frame(:text, String.duplicate("x", 1_000), rsv: 7),
      frame(15, "")
    ]

    for bytes <- frames, _ <- 1..10 do
      peer = attacker(stack)
      StreamPeer.send_raw(peer, bytes)
      assert {1, :close, <<_code::16>>} = read_frame(peer)
      StreamPeer.assert_closed(peer)
    end

    assert memory() - before < 64_000_000
    assert served?(honest)
    assert info(stack).counters.broken_streams == 50
  end

  test "fragments without end are too large in the end, and so are those of no bytes too late",
       context do
    %{stack: stack, honest: honest} = context
    large = attacker(stack)
    StreamPeer.send_raw(large, frame(:binary, "", fin: false))
    piece = frame(:continuation, String.duplicate("x", 65_536), fin: false)
    _ = for _ <- 1..32, do: try_send(large, piece)
    StreamPeer.assert_closed(large)
    assert info(stack).counters.broken_streams == 1

    small = attacker(stack)
    StreamPeer.send_raw(small, frame(:binary, "", fin: false))
    pieces = String.duplicate(frame(:continuation, "", fin: false), 1_000)
    assert flood(small, pieces) == :closed
    assert served?(honest)
    assert info(stack).counters.message_timeouts == 1
  end

  defp flood(peer, bytes) do
    case try_send(peer, bytes) do
      :ok -> flood(peer, bytes)
      {:error, _closed} -> :closed
    end
  end

  test "pings without end, read or not", %{stack: stack, honest: honest} do
    peer = attacker(stack)
    StreamPeer.send_raw(peer, String.duplicate(frame(:ping, "x"), 10_000))
    for _ <- 1..10_000, do: assert({1, :pong, "x"} = read_frame(peer))
    deaf = attacker(stack)
    _ = try_send(deaf, String.duplicate(frame(:ping, String.duplicate("x", 125)), 2_000))
    assert served?(honest)
    StreamPeer.close(deaf)
  end

  test "10,000 messages that are no SIP on a connection cost no more than themselves", context do
    %{stack: stack, honest: honest} = context
    peer = attacker(stack)
    StreamPeer.send_raw(peer, String.duplicate(frame(:binary, <<0xFF, 0>>), 10_000))
    assert served?(peer)
    assert served?(honest)
    assert info(stack).counters.broken_streams == 0
  end

  defp memory do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    :erlang.memory(:total)
  end
end
