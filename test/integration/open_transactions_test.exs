defmodule Sippet.Integration.OpenTransactionsTest do
  # Looking at very many open transactions, and the end of a stack that has them.
  #
  # OPEN says how many; then what was measured is printed (`make open`). The core leaves all of them unanswered.
  use ExUnit.Case, async: false

  import Sippet.Test.Stack, only: [eventually: 2]

  alias Sippet.{Native, Transaction}
  alias Sippet.Transactions.Server

  @count "OPEN" |> System.get_env("100000") |> String.to_integer()
  @report System.get_env("OPEN") != nil
  @moduletag timeout: 300_000

  defmodule Core do
    use Sippet.Core
    def receive_request(_request, _key), do: :counters.add(:persistent_term.get(__MODULE__), 1, 1)
    def receive_error(_reason, _key), do: :ok
  end

  defmodule Answering do
    use Sippet.Core

    def receive_request(request, key) do
      stack = :persistent_term.get(__MODULE__)
      :ok = Sippet.send(stack, Sippet.Message.to_response(request, 200))
      Core.receive_request(request, key)
    end

    def receive_error(_reason, _key), do: :ok
  end

  defmodule Nowhere do
    # A transport that sends nothing: what is received is made here.
    @behaviour Sippet.Transport
    @impl true
    def transmit(_handle, _connection, _remote, _data), do: :ok
  end

  setup context do
    name = :"open_#{System.unique_integer([:positive])}"
    :persistent_term.put(Core, :counters.new(1, []))

    :persistent_term.put(Answering, name)
    core = Map.get(context, :core, Core)

    # Nothing is due within most tests: neither a 100 nor the end, 64·T1. Of the limit a tenth is for requests in dialogs.
    options = [t1: Map.get(context, :t1, 10_000), t2: 80_000, max_transactions: 2 * @count]
    # Who opens them takes the processors from the callbacks.
    options = [max_start_delay_ms: :infinity] ++ options
    pid = start_supervised!({Sippet, [name: name, core: core] ++ options})

    {:ok, transport} =
      Sippet.Transport.register(name,
        module: Nowhere,
        handle: nil,
        protocol: :udp,
        # Over a reliable one J is zero.
        reliable: Map.get(context, :reliable, true),
        address: {{127, 0, 0, 1}, 5060}
      )

    %{stack: name, transport: transport, supervisor: pid}
  end

  @tag :costs
  test "a walk sees each that is open all the time, and none twice; each call is short; the end gives all back",
       %{stack: stack, transport: transport} = context do
    rss = resident()
    {open_us, :ok} = :timer.tc(fn -> open(transport, @count) end)
    assert Transaction.count(stack) == @count
    full_rss = resident()
    bytes = div((full_rss - rss) * 1_024, @count)
    # A kilobyte, the message, and what the VM may have taken for itself meanwhile.
    bound = 1_024 + byte_size(message("#{@count}")) + 256
    assert bytes < bound

    seen = :counters.new(@count, [])
    churn = spawn_link(fn -> churn(stack, transport, 0) end)
    {walk_us, pages} = :timer.tc(fn -> walk(stack, nil, seen, []) end)
    send(churn, {:stop, self()})
    assert_receive {:churned, churned} when churned > 0

    for number <- 1..@count,
        do: :counters.get(seen, number) == 1 || flunk("#{number} was not seen")

    looks =
      for _ <- 1..1_000 do
        key = key(:rand.uniform(@count))
        {us, info} = :timer.tc(fn -> Transaction.info(stack, key) end)
        assert %{key: ^key, role: :server, state: :trying, queued: 0} = info
        us
      end

    counts = for _ <- 1..100, do: :timer.tc(fn -> Transaction.count(stack) end) |> elem(0)

    # What a call costs is the least of three times: the system may stop any
    # of them, and of a page three times in a row, now and then.
    long = Enum.count(pages, fn {_first, least} -> least >= 1_000 end)
    assert long <= div(length(pages), 50)
    assert Enum.min(looks) < 1_000 and Enum.min(counts) < 1_000

    schedules = watch_schedules()
    {stop_us, :ok} = :timer.tc(fn -> stop_supervised({Sippet, stack}) end)
    long = schedules.()

    empty_rss =
      eventually(60_000, fn ->
        with rss_now = resident(), true <- rss_now - rss < div(full_rss - rss, 3), do: rss_now
      end)

    if @report do
      firsts = for {first, _least} <- pages, do: first

      IO.puts("""
      #{@count} open after #{ms(open_us)}: #{bytes} bytes resident each
      walked in #{length(pages)} pages while #{churned} came and went: #{ms(walk_us)}, reading each page three times
      a page: #{times(firsts)}; the least of three at most #{Enum.max(for {_, least} <- pages, do: least)} µs
      info/2: #{times(looks)}
      count/1: #{times(counts)}
      stopped in #{ms(stop_us)}; schedules above 10 ms meanwhile: #{inspect(long)}
      a message: #{byte_size(message("#{@count}"))} bytes; resident before, full, after: #{div(rss, 1_024)}, #{div(full_rss, 1_024)}, #{div(empty_rss, 1_024)} MB
      """)
    end

    assert context.supervisor not in Process.list()
  end

  # What J is, 64·T1, has to be longer than it takes to answer them all.
  @tag t1: if(@report, do: 1_000, else: 100), core: Answering, reliable: false
  test "what has ended leaves no byte behind, and as many again need no more memory",
       %{stack: stack, transport: transport} do
    count = if @report, do: @count, else: 5_000
    [first, second] = for round <- ["first", "second"], do: fill(stack, transport, count, round)

    if @report do
      IO.puts("""
      #{count} answered, waiting for timer J, twice: peak resident #{div(first, 1_024)} and #{div(second, 1_024)} MB
      """)

      # 1.5 GiB.
      assert first < div(count * 3 * 1_024 * 1_024, 2 * 1_000_000)
      assert second < first * 1.05
    end
  end

  # Returns the most that the VM was in, in kB.
  defp fill(stack, transport, count, round) do
    :persistent_term.put(Core, :counters.new(1, []))
    :ok = File.write("/proc/self/clear_refs", "5")
    open(transport, count, round)
    assert %{transactions: %{open: ^count, server: %{completed: ^count}}} = Sippet.info(stack)
    peak = status("VmHWM")
    eventually(150_000, fn -> Transaction.count(stack) == 0 end)
    assert %{message_bytes: 0, deliveries: %{waiting: 0, running: 0}} = Sippet.info(stack)
    peak
  end

  test "a stack that ends forgets at most 256 a call, and the caller yields after each",
       %{stack: stack, transport: transport} do
    open(transport, 2_000)
    %{engine: engine} = Sippet.Stack.fetch!(stack)
    assert Native.engine_count(engine) == 2_000
    Native.engine_close(engine)
    test = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        receive do: (:go -> :ok)
        send(test, {:calls, empty(engine, 2_000)})
      end)

    :erlang.trace(pid, true, [:running])
    send(pid, :go)
    assert_receive {:DOWN, ^monitor, _, _, :normal}
    assert_receive {:calls, calls}
    traced = :erlang.trace_delivered(:all)
    assert_receive {:trace_delivered, :all, ^traced}
    # One for each shard's tables, and eight or so for what they held.
    assert calls in 8..(10 + 4 * System.schedulers_online())

    # Off its scheduler after each call, and at the end.
    assert Enum.count(mailbox(), &match?({:trace, ^pid, :out, _}, &1)) >= calls
  end

  defp empty(engine, before) do
    {left, []} = Native.engine_empty(engine)
    count = Native.engine_count(engine)
    assert before - count <= 256
    if left == :done, do: 1 + count, else: 1 + empty(engine, count)
  end

  defp mailbox do
    receive do
      message -> [message | mailbox()]
    after
      0 -> []
    end
  end

  # In as many processes as there are schedulers, as transports are.
  defp open(transport, count, prefix \\ "") do
    1..count
    |> Enum.chunk_every(div(count, System.schedulers_online()) + 1)
    |> Enum.map(
      &Task.async(fn -> for number <- &1, do: receive_request(transport, "#{prefix}#{number}") end)
    )
    |> Task.await_many(:infinity)

    # The core has had them all.
    eventually(60_000, fn -> :counters.get(:persistent_term.get(Core), 1) == count end)
    :ok
  end

  defp receive_request(transport, id),
    do: Sippet.Transport.receive_message(transport, {{127, 0, 0, 1}, 5060}, message(id))

  defp message(id) do
    "OPTIONS sip:service@example.com SIP/2.0\r\n" <>
      "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-#{id}\r\nMax-Forwards: 70\r\n" <>
      "From: <sip:peer@example.com>;tag=#{id}\r\nTo: <sip:service@example.com>\r\n" <>
      "Call-ID: #{id}@127.0.0.1\r\nCSeq: 1 OPTIONS\r\nContact: <sip:peer@127.0.0.1>\r\n" <>
      "Content-Length: 0\r\n\r\n"
  end

  defp key(id), do: Server.Key.new("z9hG4bK-#{id}", :options, {"127.0.0.1", 5060})

  # Others come and go, so that slots are emptied and taken again.
  defp churn(stack, transport, count) do
    for id <- 1..50, do: receive_request(transport, "churn#{id}")
    for id <- 1..50, do: Sippet.terminate(stack, key("churn#{id}"))

    receive do
      {:stop, pid} -> send(pid, {:churned, count + 50})
    after
      0 -> churn(stack, transport, count + 50)
    end
  end

  # How long each page took: the first time, and the least of three.
  defp walk(stack, cursor, seen, times) do
    {first, {infos, next}} = :timer.tc(fn -> Transaction.list(stack, cursor) end)
    again = for _ <- 1..2, do: :timer.tc(fn -> Transaction.list(stack, cursor) end) |> elem(0)
    assert length(infos) <= 100

    for %{key: %{branch: "z9hG4bK-" <> id}} <- infos, not String.starts_with?(id, "churn") do
      number = String.to_integer(id)
      :counters.add(seen, number, 1)
      assert :counters.get(seen, number) == 1
    end

    times = [{first, Enum.min([first | again])} | times]
    if next, do: walk(stack, next, seen, times), else: times
  end

  # Resident memory, in kB.
  defp resident do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)

    status("VmRSS")
  end

  defp status(name) do
    ~r/#{name}:\s+(\d+)/
    |> Regex.run(File.read!("/proc/self/status"))
    |> List.last()
    |> String.to_integer()
  end

  # Returns a function that tells how long processes were not taken off their scheduler, in ms, since.
  defp watch_schedules do
    before = :erlang.system_monitor(self(), long_schedule: 10)

    fn ->
      :erlang.system_monitor(before)
      schedules([])
    end
  end

  defp schedules(found) do
    receive do
      {:monitor, _pid, :long_schedule, info} -> schedules([info[:timeout] | found])
    after
      0 -> Enum.sort(found, :desc)
    end
  end

  defp ms(us), do: "#{div(us, 1_000)} ms"

  defp times(us) do
    sorted = us |> Enum.sort() |> List.to_tuple()

    at = fn share ->
      elem(sorted, min(trunc(tuple_size(sorted) * share), tuple_size(sorted) - 1))
    end

    "p50 #{at.(0.5)} µs, p99 #{at.(0.99)} µs, max #{at.(1)} µs"
  end
end
