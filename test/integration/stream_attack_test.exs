defmodule Sippet.Integration.StreamAttackTest do
  # What a hostile peer can do to listeners of streams while another one has its calls through: nothing is lost for that one,
  # memory stays bounded, the connections are closed in time and counted. Alone, for what they take of a machine; see also
  # crowd_attack_test.exs and web_socket_attack_test.exs.
  use ExUnit.Case

  import Sippet.Test.Attack, only: [while_calling: 3, memory: 0]
  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 2]

  alias Sippet.Test.{Attack, Certificates, StreamPeer, Wire}

  # How long a message and a handshake may take here.
  @patience_ms 2_000

  # By how much the memory may grow in an attack, of both ends together, garbage included.
  @most_bytes 256_000_000

  setup context do
    protocol = context[:protocol] || :tls
    own = Keyword.take(Certificates.chains().server, [:cert, :key])

    options =
      [send_timeout: @patience_ms, send_queue_bytes: 65_536] ++
        if protocol == :tcp, do: [], else: own ++ [handshake_timeout: @patience_ms]

    stack =
      start([
        {protocol, [options]},
        core: nil,
        udp: [],
        limits: [max_stream_message_ms: @patience_ms]
      ])

    Attack.take_calls(stack)
    {:ok, stack: stack, protocol: protocol}
  end

  defp connect(context, from, options \\ []) do
    StreamPeer.connect(address(context.stack),
      from: from,
      socket: Keyword.get(options, :socket, []),
      tls: if(context.protocol in [:tls, :wss], do: []),
      ws: if(context.protocol == :wss, do: "/")
    )
  end

  # Runs the attack beside the calls of somebody else.
  defp attack(context, fun) do
    # Both ends are in this machine.
    {{result, calls}, grown} =
      Attack.watching_memory(fn ->
        while_calling(context.protocol, fn -> connect(context, {127, 0, 0, 1}) end, fun)
      end)

    assert calls > 2
    assert grown < @most_bytes
    eventually(20_000, fn -> info(context.stack).connections == 0 end)
    result
  end

  defp attacker(context), do: connect(context, {127, 0, 0, 2})

  defp request(method, peer, context, options \\ []),
    do: Wire.request(method, peer, [protocol: Attack.name(context.protocol)] ++ options)

  for protocol <- [:tcp, :tls] do
    describe "#{protocol}:" do
      @describetag protocol: protocol

      test "messages of a byte a second, and handshakes", context do
        attack(context, fn ->
          messages =
            for _ <- 1..200 do
              peer = attacker(context)
              {peer, request("OPTIONS", peer, context)}
            end

          hello = client_hello()

          handshakes =
            for _ <- 1..if(context.protocol == :tls, do: 200, else: 0)//1 do
              peer =
                StreamPeer.connect(address(context.stack),
                  from: {127, 0, 0, 2}
                )

              {peer, hello}
            end

          Attack.drip(messages ++ handshakes)
        end)

        %{counters: counters} = info(context.stack)
        assert counters.message_timeouts == 200
        assert counters.handshake_failures == if(context.protocol == :tls, do: 200, else: 0)
      end

      test "a body of two gigabytes is not waited for", context do
        before = memory()

        attack(context, fn ->
          for length <- ["2147483648", "2147483647", "4294967296", "18446744073709551616"],
              _ <- 1..10 do
            peer = attacker(context)

            StreamPeer.send(
              peer,
              "MESSAGE"
              |> request(peer, context)
              |> String.replace("Content-Length: 0", "Content-Length: " <> length)
            )

            # What no number of 32 bits is (RFC 3261 §20.14 has no bound) is no Content-Length here.
            assert StreamPeer.expect(peer, "SIP/2.0 ") =~ ~r"\ASIP/2.0 (513|400) "
            StreamPeer.assert_closed(peer)
          end

          assert memory() - before < 64_000_000
        end)

        assert info(context.stack).counters.broken_streams == 40
      end

      test "room for bodies that are announced and do not come is not made", context do
        before = memory()

        attack(context, fn ->
          peers =
            for _ <- 1..200 do
              peer = attacker(context)

              StreamPeer.send(
                peer,
                "MESSAGE"
                |> request(peer, context)
                |> String.replace("Content-Length: 0", "Content-Length: 1000000")
              )

              peer
            end

          # Half of what was announced, for both ends of 200 connections.
          assert memory() - before < 100_000_000
          for peer <- peers, do: StreamPeer.assert_closed(peer)
        end)

        assert info(context.stack).counters.message_timeouts == 200
      end

      test "65,000 header fields, and one without an end", context do
        before = memory()

        attack(context, fn ->
          for junk <- [
                String.duplicate("X: y\r\n", 65_000),
                "X: " <> String.duplicate("y", 1_000_000),
                "X: y\r\n" <> String.duplicate(" y\r\n", 65_000),
                String.duplicate("Via: SIP/2.0/TCP a\r\n", 65_000)
              ],
              _ <- 1..5 do
            peer = attacker(context)

            [start, _rest] =
              "OPTIONS" |> request(peer, context) |> String.split("Content-Length", parts: 2)

            # It may be closed before all of that is sent.
            _ = peer.module.send(peer.socket, start <> junk)
            StreamPeer.assert_closed(peer)
          end

          assert memory() - before < 64_000_000
        end)

        assert info(context.stack).counters.broken_streams == 20
      end

      test "requests whose answers nobody reads", context do
        attack(context, fn ->
          # What the systems of both ends keep is not much, so that it is the stack that the answers wait in.
          reader = connect(context, {127, 0, 0, 2}, socket: [recbuf: 4_096])
          assert refused_after(reader, context, 0) > 0
        end)

        assert info(context.stack).counters.slow_readers == 1
      end

      test "keep-alives without end", context do
        attack(context, fn ->
          peer = attacker(context)
          StreamPeer.send(peer, String.duplicate("\r\n\r\n", 10_000))
          assert StreamPeer.read(peer, 20_000) == String.duplicate("\r\n", 10_000)
          StreamPeer.close(peer)
        end)

        assert info(context.stack).counters.pings in 1..10_000
      end
    end
  end

  for protocol <- [:tls, :wss] do
    describe "the handshake of #{protocol}:" do
      @describetag protocol: protocol

      test "bytes that are no TLS, and handshakes that do not go on", context do
        {ip, port} = address(context.stack)
        hello = client_hello()
        half = binary_part(hello, 0, div(byte_size(hello), 2))

        garbage = [
          "OPTIONS sip:a@b SIP/2.0\r\n\r\n",
          "GET / HTTP/1.1\r\n\r\n",
          :crypto.strong_rand_bytes(1_000),
          # The first record of a handshake that says to be 16 kB long.
          <<22, 3, 1, 0x40, 0, 1, 0, 0x3F, 0xFC, 3, 3>>,
          # One that is longer than there may be, and a handshake of 16 MB in it (RFC 8446 §4, §5.1).
          <<22, 3, 1, 0xFF, 0xFF, 1, 0xFF, 0xFF, 0xFF, 3, 3>>,
          <<22, 3, 1, 0, 4, 1, 0xFF, 0xFF, 0xFF>>,
          <<22>>,
          "",
          half,
          hello,
          [hello, :crypto.strong_rand_bytes(1_000)],
          [hello, hello],
          # An alert, and a change of cipher in the middle of nothing.
          <<21, 3, 3, 0, 2, 2, 40>>,
          String.duplicate(<<20, 3, 3, 0, 1, 1>>, 100)
        ]

        before = memory()

        attack(context, fn ->
          sockets =
            for bytes <- garbage, _ <- 1..10 do
              {:ok, socket} =
                :gen_tcp.connect(ip, port, [:binary, active: false, ip: {127, 0, 0, 2}])

              :ok = :gen_tcp.send(socket, bytes)
              %StreamPeer{module: :gen_tcp, socket: socket, ip: ip, port: port}
            end

          assert memory() - before < 64_000_000
          for socket <- sockets, do: StreamPeer.assert_closed(socket)
        end)

        assert info(context.stack).counters.handshake_failures == 10 * length(garbage)
      end
    end
  end

  # Sends requests until the connection is closed: how often, in hundreds. Whoever closes it is not in a hurry: meanwhile it does not
  # read either, and this waits.
  defp refused_after(_reader, _context, 2_000), do: flunk("200,000 requests were taken")

  defp refused_after(reader, context, sent) do
    flood = for _ <- 1..100, do: request("OPTIONS", reader, context)

    case reader.module.send(reader.socket, flood) do
      :ok -> refused_after(reader, context, sent + 1)
      {:error, _closed} -> sent
    end
  end

  # What a client says first.
  defp client_hello do
    listener = StreamPeer.listen()

    client =
      Task.async(fn ->
        :ssl.connect(listener.ip, listener.port, [verify: :verify_none, log_level: :none], 10_000)
      end)

    peer = StreamPeer.accept(listener)
    <<22, _version::16, length::16>> = head = StreamPeer.read(peer, 5)
    body = StreamPeer.read(peer, length)
    StreamPeer.close(peer)
    assert {:error, _closed} = Task.await(client)
    head <> body
  end
end
