defmodule Sippet.Integration.WebSocketAttackTest do
  # What a hostile peer can do to a listener of WebSockets while another one has its calls through; see stream_attack_test.exs.
  # Alone, as there.
  use ExUnit.Case

  import Sippet.Test.Attack, only: [while_calling: 3, memory: 0]
  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 2]
  import Sippet.Test.WebSocket, only: [frame: 2, frame: 3, read_frame: 1]

  alias Sippet.Test.{Attack, Certificates, StreamPeer, WebSocket, Wire}

  @patience_ms 2_000

  # By how much the memory may grow in an attack, of both ends together, garbage included.
  @most_bytes 256_000_000

  setup %{protocol: protocol} do
    own = Keyword.take(Certificates.chains().server, [:cert, :key])
    options = [handshake_timeout: @patience_ms] ++ if(protocol == :wss, do: own, else: [])

    stack =
      start([
        {protocol, [options]},
        core: nil,
        udp: [],
        limits: [max_stream_message_ms: @patience_ms]
      ])

    Attack.take_calls(stack)
    {:ok, stack: stack, tls: if(protocol == :wss, do: [])}
  end

  defp connect(context, from, path) do
    StreamPeer.connect(address(context.stack),
      from: from,
      tls: context.tls,
      ws: path
    )
  end

  # Runs the attack beside the calls of somebody else.
  defp attack(context, fun) do
    # Both ends are in this machine.
    {{result, calls}, grown} =
      Attack.watching_memory(fn ->
        while_calling(context.protocol, fn -> connect(context, {127, 0, 0, 1}, "/") end, fun)
      end)

    assert calls > 2
    assert grown < @most_bytes
    eventually(20_000, fn -> info(context.stack).connections == 0 end)
    result
  end

  defp attacker(context, path \\ "/"), do: connect(context, {127, 0, 0, 2}, path)
  defp try_send(peer, bytes), do: peer.module.send(peer.socket, bytes)

  for protocol <- [:ws, :wss] do
    describe "#{protocol}:" do
      @describetag protocol: protocol

      test "a byte a second of a handshake, of a frame, and of frames of one byte each",
           context do
        text = String.duplicate("OPTIONS ", 100)
        frames = for <<byte <- text>>, do: frame(:continuation, <<byte>>, fin: false)

        attack(context, fn ->
          request = WebSocket.request("/", address(context.stack))
          slow = for _ <- 1..70, do: {attacker(context, nil), request}
          one = for _ <- 1..70, do: {attacker(context), frame(:text, text)}
          many = for _ <- 1..70, do: {attacker(context), [frame(:text, "", fin: false) | frames]}
          Attack.drip(slow ++ one ++ many)
        end)

        %{counters: counters} = info(context.stack)
        assert counters.handshake_failures == 70
        assert counters.message_timeouts == 140
      end

      test "frames beyond the limit, unmasked, with reserved bits: nothing is waited for",
           context do
        before = memory()

        frames = [
          frame(:text, "", length: 2_000_000_000),
          frame(:binary, "", length: 0x7FFF_FFFF_FFFF_FFFF),
          frame(:text, String.duplicate("x", 1_000), mask: nil),
          frame(:text, String.duplicate("x", 1_000), rsv: 7),
          frame(15, "")
        ]

        attack(context, fn ->
          for bytes <- frames, _ <- 1..10 do
            peer = attacker(context)
            StreamPeer.send_raw(peer, bytes)
            assert {1, :close, <<_code::16>>} = read_frame(peer)
            StreamPeer.assert_closed(peer)
          end

          assert memory() - before < 64_000_000
        end)

        assert info(context.stack).counters.broken_streams == 50
      end

      test "fragments without end are too large in the end", context do
        before = memory()

        attack(context, fn ->
          for _ <- 1..5 do
            peer = attacker(context)
            StreamPeer.send_raw(peer, frame(:binary, "", fin: false))
            piece = frame(:continuation, String.duplicate("x", 65_536), fin: false)
            _ = for _ <- 1..32, do: try_send(peer, piece)
            StreamPeer.assert_closed(peer)
          end

          assert memory() - before < 64_000_000
        end)

        assert info(context.stack).counters.broken_streams == 5
      end

      if protocol == :ws do
        test "fragments without end and without a byte are too late in the end", context do
          before = memory()

          attack(context, fn ->
            peer = attacker(context)
            StreamPeer.send_raw(peer, frame(:binary, "", fin: false))
            pieces = String.duplicate(frame(:continuation, "", fin: false), 1_000)
            assert flood(peer, pieces) == :closed
            assert memory() - before < 64_000_000
          end)

          assert info(context.stack).counters.message_timeouts == 1
        end
      end

      test "pings without end, read or not", context do
        attack(context, fn ->
          peer = attacker(context)
          StreamPeer.send_raw(peer, String.duplicate(frame(:ping, "x"), 10_000))
          for _ <- 1..10_000, do: assert({1, :pong, "x"} = read_frame(peer))
          StreamPeer.close(peer)
          deaf = attacker(context)
          _ = try_send(deaf, String.duplicate(frame(:ping, String.duplicate("x", 125)), 2_000))
          StreamPeer.close(deaf)
        end)

        assert info(context.stack).counters.pings > 0
      end

      test "10,000 messages that are no SIP on a connection cost no more than themselves",
           context do
        before = memory()

        attack(context, fn ->
          peer = attacker(context)
          StreamPeer.send_raw(peer, String.duplicate(frame(:binary, <<0xFF, 0>>), 10_000))
          # Behind them all.
          StreamPeer.send(
            peer,
            Wire.request("OPTIONS", peer, protocol: Attack.name(context.protocol))
          )

          StreamPeer.expect(peer, "SIP/2.0 200 ")
          assert memory() - before < 64_000_000
          StreamPeer.close(peer)
        end)

        assert info(context.stack).counters.broken_streams == 0
      end
    end
  end

  defp flood(peer, bytes) do
    case try_send(peer, bytes) do
      :ok -> flood(peer, bytes)
      {:error, _closed} -> :closed
    end
  end
end
