defmodule Sippet.Integration.StreamAttackTest do
  # What a hostile peer can do to listeners of streams while another one wants to be served: nothing is lost for that one,
  # memory stays bounded, the connections are closed in time and counted. Alone, since the honest ones have little time.
  use ExUnit.Case

  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 1, eventually: 2]

  alias Sippet.Message
  alias Sippet.Test.{Certificates, Core, StreamPeer, Wire}

  # How long a message and a handshake may take here.
  @patience_ms 2_000
  @handshake_ms 4_000

  for protocol <- [:tcp, :tls] do
    describe "#{protocol}:" do
      setup do
        chains = Certificates.chains()
        own = Keyword.take(chains.server, [:cert, :key])

        options =
          if unquote(protocol) == :tls,
            do: own ++ [handshake_timeout: @handshake_ms],
            else: []

        stack =
          start([
            {unquote(protocol), [[max_connections_per_peer: 300] ++ options]}
            | [core: nil, udp: [], limits: [max_stream_message_ms: @patience_ms]]
          ])

        answer_all(stack)

        {:ok,
         stack: stack, tls: if(unquote(protocol) == :tls, do: []), name: name(unquote(protocol))}
      end

      test "connections from one address that send nothing, more than it may have", context do
        honest = honest(context)
        {ip, port} = address(context.stack)

        sockets =
          for _ <- 1..400 do
            case :gen_tcp.connect(ip, port, [:binary, active: false, ip: {127, 0, 0, 2}]) do
              {:ok, socket} -> socket
              {:error, _refused} -> nil
            end
          end

        assert served?(honest, context)
        assert served?(honest(context, {127, 0, 0, 3}), context)

        # Those that were let in end by the clock.
        eventually(20_000, fn -> info(context.stack).connections <= 2 end)
        %{counters: counters} = info(context.stack)
        ended = counters.message_timeouts + counters.handshake_failures
        assert counters.refused_by_peer_limit in 1..100
        assert counters.refused_by_peer_limit + ended == 400
        for socket <- sockets, socket != nil, do: :gen_tcp.close(socket)
      end

      test "a message that comes a byte now and then", context do
        honest = honest(context)
        slow = honest(context, {127, 0, 0, 2})
        bytes = Wire.request("OPTIONS", slow, protocol: context.name)
        assert drip(slow, bytes, 20) == :closed
        assert served?(honest, context)
        eventually(fn -> info(context.stack).counters.message_timeouts == 1 end)
      end

      test "a body of two gigabytes is not waited for", context do
        honest = honest(context)
        before = memory()

        for _ <- 1..20 do
          peer = honest(context, {127, 0, 0, 2})

          StreamPeer.send(
            peer,
            Wire.request("MESSAGE", peer, protocol: context.name)
            |> String.replace("Content-Length: 0", "Content-Length: 2000000000")
          )

          StreamPeer.expect(peer, "SIP/2.0 513 ")
          StreamPeer.assert_closed(peer)
        end

        assert memory() - before < 256_000_000
        assert served?(honest, context)
        assert info(context.stack).counters.broken_streams == 20
      end

      test "65,000 header fields, and one without an end", context do
        honest = honest(context)

        for junk <- [
              String.duplicate("X: y\r\n", 65_000),
              "X: " <> String.duplicate("y", 1_000_000),
              "X: y\r\n" <> String.duplicate(" y\r\n", 65_000)
            ] do
          peer = honest(context, {127, 0, 0, 2})

          [start, _rest] =
            String.split(Wire.request("OPTIONS", peer, protocol: context.name), "Content-Length",
              parts: 2
            )

          # It may be closed before all of that is sent.
          _ = peer.module.send(peer.socket, start <> junk)
          StreamPeer.assert_closed(peer)
        end

        assert served?(honest, context)
        assert info(context.stack).counters.broken_streams == 3
      end

      test "requests whose answers nobody reads", context do
        honest = honest(context)
        reader = honest(context, {127, 0, 0, 2})
        flood = for _ <- 1..2_000, do: Wire.request("OPTIONS", reader, protocol: context.name)
        _ = peer_send(reader, flood)
        assert served?(honest, context)
        StreamPeer.close(reader)
        eventually(20_000, fn -> info(context.stack).connections == 1 end)
        assert served?(honest, context)
      end

      test "keep-alives without end", context do
        honest = honest(context)
        peer = honest(context, {127, 0, 0, 2})
        StreamPeer.send(peer, String.duplicate("\r\n\r\n", 10_000))
        assert StreamPeer.read(peer, 20_000) == String.duplicate("\r\n", 10_000)
        assert served?(honest, context)
      end
    end
  end

  describe "tls only:" do
    setup do
      own = Keyword.take(Certificates.chains().server, [:cert, :key])
      stack = start(tls: [own ++ [handshake_timeout: @handshake_ms]], core: nil)
      answer_all(stack)
      {:ok, stack: stack, tls: [], name: "TLS"}
    end

    test "bytes that are no TLS, and handshakes that do not go on", %{stack: stack} = context do
      {ip, port} = address(stack)
      honest = honest(context)

      sockets =
        for bytes <- [
              "OPTIONS sip:a@b SIP/2.0\r\n\r\n",
              :crypto.strong_rand_bytes(1_000),
              # The first record of a handshake that says to be 16 kB long.
              <<22, 3, 1, 0x40, 0, 1, 0, 0x3F, 0xFC, 3, 3>>,
              <<22>>,
              ""
            ] do
          {:ok, socket} = :gen_tcp.connect(ip, port, [:binary, active: false])
          :ok = :gen_tcp.send(socket, bytes)
          socket
        end

      for socket <- sockets, do: assert({:error, _closed} = drain(socket))
      eventually(fn -> info(stack).counters.handshake_failures == 5 end)
      assert served?(honest, context)
      eventually(fn -> info(stack).connections == 1 end)
    end
  end

  defp answer_all(stack) do
    Core.register(stack, fn
      :request, request, key when key != nil ->
        Sippet.send(stack, Message.to_response(request, 200))

      _callback, _first, _key ->
        :ok
    end)
  end

  defp name(:tcp), do: "TCP"
  defp name(:tls), do: "TLS"

  defp honest(context, from \\ {127, 0, 0, 1}) do
    peer = StreamPeer.connect(address(context.stack), tls: context.tls, from: from)
    # So that it is no silent one.
    assert served?(peer, context)
    peer
  end

  defp served?(peer, context) do
    StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: context.name))
    StreamPeer.expect(peer, "SIP/2.0 200 ") =~ "CSeq: 1 OPTIONS"
  end

  defp peer_send(peer, bytes), do: peer.module.send(peer.socket, bytes)

  # A byte each few milliseconds, until the other side has had enough.
  defp drip(peer, <<byte, rest::binary>>, pause_ms) do
    with :ok <- peer_send(peer, <<byte>>),
         {:error, :timeout} <- peer.module.recv(peer.socket, 0, pause_ms),
         do: drip(peer, rest, pause_ms),
         else: ({:error, _closed} -> :closed)
  end

  defp drip(_peer, "", _pause_ms), do: :sent

  defp drain(socket) do
    with {:ok, _bytes} <- :gen_tcp.recv(socket, 0, 2 * @handshake_ms), do: drain(socket)
  end

  # After what is garbage is gone.
  defp memory do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    :erlang.memory(:total)
  end
end
