# CALLS calls to URI by the transport that TRANSPORT names, 20 at a time, by the server that TARGET names ("localhost 5060")
# where there is one. Says how it went, and fails if one of them did not go through or anything was sent twice. With LINGER=1 it
# leaves the connection for the other side to close.
{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require([
    Path.expand("../../examples/demo/sdp.ex", __DIR__),
    Path.expand("agent.ex", __DIR__)
  ])

calls = "CALLS" |> System.fetch_env!() |> String.to_integer()
uri = "URI" |> System.fetch_env!() |> Sippet.URI.parse!()
protocol = "TRANSPORT" |> System.fetch_env!() |> String.to_atom()

target =
  with place when is_binary(place) <- System.get_env("TARGET") do
    [host, port] = String.split(place)
    {protocol, host, String.to_integer(port)}
  end

{:ok, _pid} = Interop.Agent.start_link([protocol])

{microseconds, results} =
  :timer.tc(fn ->
    1..calls
    |> Task.async_stream(fn _number -> Interop.Agent.call(uri, protocol, target) end,
      max_concurrency: 20,
      timeout: :infinity
    )
    |> Enum.map(fn {:ok, result} -> result end)
  end)

failures = Enum.reject(results, &(&1 == :ok))
{retransmissions, broken} = Interop.Agent.counted()

IO.puts(
  "#{calls - length(failures)} of #{calls} calls, #{length(failures)} failed, " <>
    "#{retransmissions} retransmissions, #{round(calls * 1_000_000 / microseconds)} calls/s"
)

for {{:error, sentence}, count} <- Enum.frequencies(failures),
    do: IO.puts("#{count} times: #{sentence}")

if System.get_env("LINGER") == "1" and failures == [], do: Interop.Agent.await_closed()
System.halt(if failures == [] and retransmissions + broken == 0, do: 0, else: 1)
