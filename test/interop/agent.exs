# The telephone of agent.ex on the transports that TRANSPORTS names ("tcp tls ws wss"). Says where it listens, a line each,
# then "ready"; and when it is ended, what it has counted. All else that it prints is a failure.
#
#   VERIFY_CLIENTS=required       clients over TLS show a certificate
#   REGISTER="ws localhost 5060"  registers there as sippet-ws first
{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require([
    Path.expand("../../examples/demo/sdp.ex", __DIR__),
    Path.expand("agent.ex", __DIR__)
  ])

protocols = "TRANSPORTS" |> System.fetch_env!() |> String.split() |> Enum.map(&String.to_atom/1)
verify = "VERIFY_CLIENTS" |> System.get_env("none") |> String.to_atom()
{:ok, _pid} = Interop.Agent.start_link(protocols, verify_clients: verify)

with place when is_binary(place) <- System.get_env("REGISTER") do
  [protocol, host, port] = String.split(place)
  target = {String.to_atom(protocol), host, String.to_integer(port)}
  :ok = Interop.Agent.register("sippet-" <> protocol, target)
end

agent = self()
{:ok, _id} = System.trap_signal(:sigterm, fn -> send(agent, :sigterm) && :ok end)
for protocol <- protocols, do: IO.puts("#{protocol} #{Interop.Agent.port(protocol)}")
IO.puts("ready")

receive do
  :sigterm ->
    {retransmissions, broken} = Interop.Agent.counted()
    IO.puts("counted #{retransmissions} retransmissions, #{broken} broken streams")
    System.halt(0)
end
