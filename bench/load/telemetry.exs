# What goes through a stack without the network: OPTIONS by the entry point of transports, a core that answers 200, a transport that
# sends nowhere. Prints the CPU time of a transaction, in ns, of each of SLICES times COUNT: mix run bench/load/telemetry.exs COUNT SLICES
defmodule Telemetry.Core do
  use Sippet.Core

  @impl true
  def receive_request(request, _key) do
    :ok = Sippet.send(:load, Sippet.Message.to_response(request, 200))
    Kernel.send(:persistent_term.get(__MODULE__), :answered)
  end

  @impl true
  def receive_error(_reason, _key), do: :ok
end

defmodule Telemetry.Nowhere do
  @behaviour Sippet.Transport
  @impl true
  def transmit(_handle, _connection, _remote, _data), do: :ok
end

[count, slices] = Enum.map(System.argv(), &String.to_integer/1)
:persistent_term.put(Telemetry.Core, self())

# None ends while it is measured.
{:ok, _} =
  Sippet.start_link(
    name: :load,
    core: Telemetry.Core,
    t1: 10_000,
    t2: 80_000,
    max_start_delay_ms: :infinity,
    max_transactions: 10_000_000
  )

{:ok, transport} =
  Sippet.Transport.register(:load,
    module: Telemetry.Nowhere,
    handle: nil,
    protocol: :udp,
    reliable: false,
    address: {{127, 0, 0, 1}, 5060}
  )

used = fn ->
  for path <- Path.wildcard("/proc/self/task/*/schedstat"), reduce: 0 do
    sum -> sum + (path |> File.read!() |> String.split() |> hd() |> String.to_integer())
  end
end

message = fn number ->
  "OPTIONS sip:service@example.com SIP/2.0\r\n" <>
    "Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK-#{number}\r\nMax-Forwards: 70\r\n" <>
    "From: <sip:peer@example.com>;tag=#{number}\r\nTo: <sip:service@example.com>\r\n" <>
    "Call-ID: #{number}@127.0.0.1\r\nCSeq: 1 OPTIONS\r\nContact: <sip:peer@127.0.0.1>\r\n" <>
    "Content-Length: 0\r\n\r\n"
end

for slice <- 0..slices do
  messages = for number <- 1..count, do: message.(100_000_000 + slice * count + number)
  :erlang.garbage_collect()
  before = used.()

  for message <- messages do
    :ok = Sippet.Transport.receive_message(transport, {{127, 0, 0, 1}, 5060}, message)
    receive do: (:answered -> :ok)
  end

  # The first one is for what is made when it is first needed.
  if slice > 0, do: IO.puts(div(used.() - before, count))
end
