# Messages over each transport to a stack, what it answers, and bytes that are none, as Sippet.Trace writes them: the file is
# OUT. Says what tshark is to find in it, in its order: a line a packet, by what the peers here have sent and got.
# To be run with MIX_ENV=test, for the peers.
alias Sippet.Test.{Certificates, Peer, StreamPeer, Wire}

defmodule Interop.Trace do
  use Sippet.Core

  @impl true
  def receive_request(request, _key),
    do: Sippet.send(:interop_trace, Sippet.Message.to_response(request, 200))

  @impl true
  def receive_response(_response, _key), do: :ok

  @impl true
  def receive_error(_reason, _key), do: :ok
end

own = Keyword.take(Certificates.chains().server, [:cert, :key])
loopback6 = {0, 0, 0, 0, 0, 0, 0, 1}
{:ok, _pid} = Sippet.start_link(name: :interop_trace, core: Interop.Trace)

ways = [
  {Sippet.Transports.UDP, [], "UDP", :datagram},
  {Sippet.Transports.UDP, [address: "::1"], "UDP", :datagram},
  {Sippet.Transports.TCP, [], "TCP", []},
  {Sippet.Transports.TCP, [address: "::1"], "TCP", [from: loopback6, socket: [:inet6]]},
  {Sippet.Transports.TLS, own, "TLS", [tls: []]},
  {Sippet.Transports.WS, [], "WS", [ws: "/"]},
  {Sippet.Transports.WSS, own, "WSS", [ws: "/", tls: []]}
]

{:ok, trace} = Sippet.Trace.start(:interop_trace)

secret =
  ~s(Authorization: Digest username="bob", realm="r", nonce="n0nce", uri="sip:x", response="d00d")

exchange = fn {module, options, via, way} ->
  options = Keyword.merge([name: :interop_trace, port: 0, address: "127.0.0.1"], options)
  {:ok, _pid} = module.start_link(options)
  %{address: {ip, port}} = List.last(Sippet.Transport.list(:interop_trace))

  {peer, send, get} =
    if way == :datagram do
      peer = Peer.open(ip)
      {peer, &Peer.send(peer, {ip, port}, &1), &Peer.expect(peer, &1, 10_000)}
    else
      peer = StreamPeer.connect({ip, port}, way)
      {peer, &StreamPeer.send(peer, &1), &StreamPeer.expect(peer, &1, 10_000)}
    end

  long = if via == "UDP", do: 1_000, else: 60_000

  for {method, body} <- [{"OPTIONS", ""}, {"MESSAGE", String.duplicate("x", long)}] do
    fields = [secret, "Content-Type: text/plain"]
    request = Wire.request(method, peer, protocol: via, fields: fields, body: body)
    send.(request)
    get.("SIP/2.0 200 ")
    call_id = Wire.field(request, "Call-ID")
    there = "#{:inet.ntoa(peer.ip)}|#{peer.port}|#{port}"
    back = "#{:inet.ntoa(ip)}|#{port}|#{peer.port}"
    protocol = String.downcase(via)
    IO.puts("sip|#{method}||#{call_id}|\"***\"|#{there}|#{protocol}")
    IO.puts("sip||200|#{call_id}||#{back}|#{protocol}")
  end

  peer
end

for way <- ways, do: exchange.(way)

# Bytes that are no message are a packet, too, and the next one is read all the same.
[%{address: address} | _] = Sippet.Transport.list(:interop_trace)
peer = Peer.open()
Peer.send(peer, address, "\x00nonsense\r\n\r\n")
{_ip, port} = address
IO.puts("||||" <> "|127.0.0.1|#{peer.port}|#{port}|udp  rejected: method")

deadline = System.monotonic_time(:millisecond) + 10_000
count = 4 * length(ways) + 1

wait = fn wait ->
  cond do
    length(Sippet.Trace.events(trace)) == count -> :ok
    System.monotonic_time(:millisecond) > deadline -> raise "not all was captured"
    true -> Process.sleep(10) && wait.(wait)
  end
end

wait.(wait)
File.write!(System.fetch_env!("OUT"), Sippet.Trace.to_pcapng(trace))
