defmodule Sippet.LocatingTest do
  # Sippet.send/2 to host names, by a name server on loopback.
  use ExUnit.Case, async: true

  import Sippet.Test.Resolving

  alias Sippet.{Message, ResolverError, TransportError}
  alias Sippet.Resolver.Target
  alias Sippet.Test.{DNSServer, Peer, Stack}

  defp start_stack_for(zone) do
    {server, sippet} = start_stack(zone)
    Sippet.Test.Core.register(sippet, :forward)
    Stack.start_udp(sippet)
    {server, sippet}
  end

  defp options(uri, more \\ []) do
    request = Stack.request(:options, {{127, 0, 0, 1}, 1}, [uri: uri] ++ more)
    %{request | target: more[:target]}
  end

  defp peer_port(peer), do: peer.port

  test "a request goes to the first target of its Request-URI, NAPTR, SRV and A" do
    peer = Peer.open()

    {_server, sippet} =
      start_stack_for(%{
        "biloxi.example" => %{
          naptr: [
            {10, 1, "s", "SIPS+D2T", "", "_sips._tcp.biloxi.example"},
            {20, 1, "s", "SIP+D2U", "", "_sip._udp.biloxi.example"}
          ]
        },
        "_sip._udp.biloxi.example" => %{
          srv: [
            {2, 0, 9, "server.biloxi.example"},
            {1, 0, peer_port(peer), "server.biloxi.example"}
          ]
        },
        "server.biloxi.example" => %{a: ["127.0.0.1"], aaaa: ["::1"]}
      })

    assert Sippet.send(sippet, options("sip:bob@biloxi.example")) == :ok
    assert Peer.receive_bytes(peer) =~ "OPTIONS sip:bob@biloxi.example SIP/2.0\r\n"

    # UDP is IPv4 only here.
    assert DNSServer.asked() == [
             naptr: "biloxi.example",
             srv: "_sip._udp.biloxi.example",
             a: "server.biloxi.example"
           ]
  end

  test "of a topmost Route, of a maddr, and of a target" do
    peer = Peer.open()
    {_server, sippet} = start_stack_for(%{"gw.example" => %{a: ["127.0.0.1"]}})
    port = peer_port(peer)

    route = {"", Sippet.URI.parse!("sip:gw.example:#{port};lr"), %{}}
    routed = Message.put_header(options("sip:bob@nowhere.example"), :route, [route])

    for request <- [
          routed,
          options("sip:bob@nowhere.example:#{port};maddr=gw.example"),
          options("sip:bob@nowhere.example", target: {:udp, "gw.example", port})
        ] do
      assert Sippet.send(sippet, request) == :ok
      assert Peer.receive_bytes(peer) =~ "OPTIONS sip:bob@nowhere.example"
    end

    assert DNSServer.asked() == [a: "gw.example"]
  end

  test "a name that leads nowhere is an error at once, and nothing is sent" do
    {_server, sippet} = start_stack_for(%{"_sip._udp.closed.example" => %{srv: [{0, 0, 0, "."}]}})

    for {uri, reason, text} <- [
          {"sip:nowhere.example", :nxdomain, "udp nowhere.example:5060: non-existing domain"},
          {"sip:closed.example", :not_available,
           "udp closed.example:5060: the domain says that it has no such service"},
          {"sips:nowhere.example", :no_transport,
           "tls nowhere.example:5061: the stack has no such transport"}
        ] do
      assert {:error, %TransportError{reason: ^reason} = error} =
               Sippet.send(sippet, options(uri))

      assert Exception.message(error) == text
    end

    refute_received {^sippet, :error, _, _}
  end

  test "a numeric host asks nobody" do
    peer = Peer.open()
    {_server, sippet} = start_stack_for(%{})
    assert Sippet.send(sippet, options("sip:127.0.0.1:#{peer_port(peer)}")) == :ok
    assert Peer.receive_bytes(peer) =~ "OPTIONS sip:127.0.0.1"
    assert DNSServer.asked() == []
  end

  defmodule Own do
    @behaviour Sippet.Resolver

    @impl true
    def locate(%{host: "biloxi.example", default: :udp}, _sippet, port),
      do: {:ok, [%Target{transport: :udp, address: {127, 0, 0, 1}, port: port}]}

    def locate(question, _sippet, _port),
      do: {:error, %ResolverError{reason: :elsewhere, host: question.host}}
  end

  test "a resolver of the user's is asked in its place" do
    peer = Peer.open()
    sippet = Stack.start(resolver: {Own, peer_port(peer)})
    assert Sippet.send(sippet, options("sip:biloxi.example")) == :ok
    assert Peer.receive_bytes(peer) =~ "OPTIONS sip:biloxi.example"

    assert {:error, %TransportError{reason: :elsewhere, address: "a.example"}} =
             Sippet.send(sippet, options("sip:a.example"))
  end

  test "a target by TCP: the Via says so, and the name leads to the connection" do
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(listener)

    {_server, sippet} =
      start_stack_for(%{
        "_sip._tcp.biloxi.example" => %{srv: [{0, 0, port, "s.biloxi.example"}]},
        "s.biloxi.example" => %{a: ["127.0.0.1"]}
      })

    start_supervised!({Sippet.Transports.TCP, name: sippet, port: 0, address: "127.0.0.1"})
    assert Sippet.send(sippet, options("sip:bob@biloxi.example")) == :ok
    {:ok, socket} = :gen_tcp.accept(listener, 2_000)
    {:ok, bytes} = :gen_tcp.recv(socket, 0, 2_000)
    assert bytes =~ "Via: SIP/2.0/TCP 127.0.0.1"
  end
end
