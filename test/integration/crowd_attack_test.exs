defmodule Sippet.Integration.CrowdAttackTest do
  # More connections than anybody needs, from one address and from many, while a peer has its calls through: see
  # stream_attack_test.exs. Both ends of the many connections have a virtual machine of their own, since that of the tests may
  # not have so many files open.
  use ExUnit.Case

  import Sippet.Test.Attack, only: [on: 4, while_calling: 3, while_calling: 4]
  import Sippet.Test.Stack, only: [eventually: 2]

  alias Sippet.Test.{Attack, Certificates, Crowd, StreamPeer}

  @modules %{
    tcp: Sippet.Transports.TCP,
    tls: Sippet.Transports.TLS,
    ws: Sippet.Transports.WS,
    wss: Sippet.Transports.WSS
  }

  # As many as a transport has room for by default, of as many addresses as that takes.
  @crowd 10_000
  @sources for last <- 1..10, do: {127, 0, 1, last}

  # How long a peer may take for its first message, or for its handshake: longer than it takes for all of them to come.
  @silence_ms %{tcp: 3_000, tls: 5_000, ws: 3_000}

  setup_all do
    [{server, files}, {clients, client_files}] = for _ <- 1..2, do: Attack.start_machine()

    # Both machines need files of their own besides.
    crowd = min(@crowd, min(files, client_files) - 1_000)

    cond do
      crowd == @crowd ->
        :ok

      crowd >= 2_000 ->
        IO.puts("crowd: #{crowd} of #{@crowd} connections, the hard limit of open files is lower")

      true ->
        raise "the hard limit of open files is too low for a crowd: raise it (ulimit -Hn)"
    end

    {:ok, server: server, clients: clients, crowd: crowd}
  end

  setup %{clients: clients} do
    on_exit(fn -> on(clients, Crowd, :leave, []) end)
    chains = Certificates.chains()
    {:ok, own: Keyword.take(chains.server, [:cert, :key])}
  end

  # A stack in the machine of servers, with one transport.
  defp start(protocol, context, silence_ms, options) do
    name = :"attacked_#{protocol}_#{System.unique_integer([:positive])}"
    tls = if protocol in [:tls, :wss], do: context.own, else: []
    handshake = if protocol == :tcp, do: [], else: [handshake_timeout: silence_ms]
    transports = [{@modules[protocol], tls ++ handshake ++ options}]

    [address] =
      on(context.server, Attack, :start_stack, [
        name,
        [max_stream_message_ms: silence_ms],
        transports
      ])

    on_exit(fn -> on(context.server, Attack, :stop_stack, [name]) end)
    {name, address}
  end

  defp connect(protocol, address, from) do
    StreamPeer.connect(address,
      from: from,
      tls: if(protocol in [:tls, :wss], do: []),
      ws: if(protocol in [:ws, :wss], do: "/")
    )
  end

  defp info(context, name), do: on(context.server, Attack, :info, [name, 0])

  # Those that were let in and did not speak.
  defp silent(:tcp, counters), do: counters.message_timeouts
  defp silent(_with_handshake, counters), do: counters.handshake_failures

  # With WSS nobody comes further than with TLS.
  for protocol <- [:tcp, :tls, :ws] do
    test "#{protocol}: 10,000 connections that send nothing", context do
      protocol = unquote(protocol)
      crowd = context.crowd
      {name, address} = start(protocol, context, @silence_ms[protocol], [])
      before = on(context.server, Attack, :memory, [])

      {bytes, calls} =
        while_calling(protocol, fn -> connect(protocol, address, {127, 0, 0, 3}) end, fn ->
          started = System.monotonic_time(:millisecond)
          assert on(context.clients, Crowd, :open, [address, crowd, @sources]) == crowd

          # All of them, but for those that have had their time already where the machine takes longer.
          at_once =
            eventually(30_000, fn ->
              %{connections: open, counters: counters} = info(context, name)
              open + silent(protocol, counters) >= crowd && open
            end)

          took_ms = System.monotonic_time(:millisecond) - started
          bytes = on(context.server, Attack, :memory, []) - before
          report(protocol, at_once, took_ms, bytes)
          assert on(context.clients, Crowd, :count_closed, [60_000]) == crowd
          bytes
        end)

      assert calls > 2
      assert bytes < crowd * 100_000
      eventually(10_000, fn -> info(context, name).connections == 0 end)
      %{counters: counters} = info(context, name)
      assert silent(protocol, counters) == crowd
      assert counters.refused_by_peer_limit + counters.refused_connections == 0
    end
  end

  # CROWD=1 says what it costs.
  defp report(protocol, at_once, took_ms, bytes) do
    if System.get_env("CROWD") do
      IO.puts(
        "#{protocol}: #{at_once} connections at once after #{took_ms} ms, #{div(bytes, max(at_once, 1))} bytes each"
      )
    end
  end

  for protocol <- [:tcp, :wss] do
    test "#{protocol}: 5,000 connections from one address get no more than its share",
         context do
      protocol = unquote(protocol)
      # Nothing ends by the clock.
      {name, address} = start(protocol, context, 120_000, [])
      share = 1_024
      flood = min(5_000, context.crowd)
      before = on(context.server, Attack, :memory, [])

      {counters, calls} =
        while_calling(protocol, fn -> connect(protocol, address, {127, 0, 0, 3}) end, fn ->
          assert on(context.clients, Crowd, :open, [address, flood, [{127, 0, 0, 2}]]) == flood

          eventually(20_000, fn ->
            info(context, name).counters.refused_by_peer_limit == flood - share
          end)

          assert info(context, name).connections in share..(share + 2)
          assert on(context.server, Attack, :memory, []) - before < share * 100_000
          # The others were told so at once.
          assert on(context.clients, Crowd, :count_closed, [0]) == flood - share
          info(context, name).counters
        end)

      assert calls > 2
      assert counters.refused_connections == 0
      :ok = on(context.clients, Crowd, :leave, [])
      eventually(20_000, fn -> info(context, name).connections == 0 end)
    end

    test "#{protocol}: beyond the limit of all who is there stays, and is served", context do
      protocol = unquote(protocol)
      {name, address} = start(protocol, context, 120_000, max_connections: 500)
      connect = fn -> connect(protocol, address, {127, 0, 0, 3}) end

      {_counters, calls} =
        while_calling(protocol, connect, [new: false], fn ->
          assert on(context.clients, Crowd, :open, [address, 2_000, @sources]) == 2_000

          eventually(20_000, fn -> info(context, name).counters.refused_connections == 1_501 end)
          assert info(context, name).connections == 500
        end)

      assert calls > 1
      :ok = on(context.clients, Crowd, :leave, [])
      eventually(20_000, fn -> info(context, name).connections == 0 end)
      # There is room again.
      Attack.call(connect(protocol, address, {127, 0, 1, 1}), protocol)
    end
  end
end
