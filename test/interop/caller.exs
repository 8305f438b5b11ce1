# The caller of the demo: places CALLS calls to PORT of the loopback interface, 20 at a time. Says how it went, and
# fails if one of them did not go through.
{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require(Path.wildcard(Path.expand("../../examples/demo/*.ex", __DIR__)))

calls = "CALLS" |> System.fetch_env!() |> String.to_integer()
uri = "sip:service@127.0.0.1:" <> System.fetch_env!("PORT")
{:ok, _pid} = Demo.Caller.start_link(address: "127.0.0.1")

{microseconds, results} =
  :timer.tc(fn ->
    1..calls
    |> Task.async_stream(fn _number -> Demo.Caller.call(uri, talk_ms: 20) end,
      max_concurrency: 20,
      timeout: :infinity
    )
    |> Enum.map(fn {:ok, result} -> result end)
  end)

failures = Enum.reject(results, &(&1 == :ok))
%{retransmissions: retransmissions} = Sippet.Transaction.counters(:demo_caller)

IO.puts(
  "#{calls - length(failures)} calls, #{length(failures)} failed, #{retransmissions} retransmissions, " <>
    "#{round(calls * 1_000_000 / microseconds)} calls/s"
)

for {{:error, sentence}, count} <- Enum.frequencies(failures),
    do: IO.puts("#{count} times: #{sentence}")

System.halt(if failures == [], do: 0, else: 1)
