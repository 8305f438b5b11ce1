defmodule Sippet.Integration.FlowTokenTest do
  # Flows as text (RFC 5626 §5.2, §5.3), over live transports, and those who make their own.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, start_udp: 2, address: 1, eventually: 1]
  import Bitwise

  alias Sippet.{Flow, FlowTokenError, Message}
  alias Sippet.Test.{Certificates, Peer, StreamPeer, Wire}
  alias Sippet.Transports.TCP

  @key String.duplicate("k", 32)

  # A request that came, and its peer.
  defp came(stack, :udp, ip) do
    peer = Peer.open(ip)
    Peer.send(peer, address(stack), Wire.request("OPTIONS", peer))
    {received(stack), peer}
  end

  defp came(stack, protocol, _ip) do
    tls = if protocol in [:tls, :wss], do: [tls: []], else: []
    ws = if protocol in [:ws, :wss], do: [ws: "/"], else: []
    peer = StreamPeer.connect(address(stack), tls ++ ws)
    name = protocol |> Atom.to_string() |> String.upcase()
    StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: name))
    {received(stack), peer}
  end

  defp received(stack) do
    assert_receive {^stack, :request, request, _key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    request
  end

  defp stack(protocol, options \\ [])

  defp stack(protocol, options) when protocol in [:udp, :tcp, :ws],
    do: start([{protocol, [[]]} | options])

  defp stack(protocol, options) do
    %{server: server} = Certificates.chains()
    start([{protocol, [Keyword.take(server, [:cert, :key])]} | options])
  end

  defp invalid?(result), do: result == {:error, %FlowTokenError{reason: :invalid_token}}
  defp failed?(result), do: result == {:error, %FlowTokenError{reason: :flow_failed}}

  for protocol <- [:udp, :tcp, :tls, :ws, :wss] do
    test "#{protocol}: a flow comes back from its token, through a URI, and a request leaves by it" do
      stack = stack(unquote(protocol))
      {request, peer} = came(stack, unquote(protocol), {127, 0, 0, 1})
      token = Flow.to_token(stack, request.source)
      assert token =~ ~r/\A[A-Za-z0-9_-]{42,79}\z/

      uri = Sippet.URI.parse!("sip:#{token}@edge.example.com;lr;ob")
      assert {:ok, flow} = Flow.from_token(stack, uri.userinfo)
      assert flow == request.source

      outgoing =
        Sippet.Test.Stack.request(:options, {{127, 0, 0, 1}, 9}, protocol: unquote(protocol))

      assert :ok = Sippet.send(stack, %{outgoing | target: flow})
      if unquote(protocol) == :udp, do: Peer.expect(peer, "SIP/2.0 200 ")
      if unquote(protocol) == :udp, do: Peer.expect(peer, "OPTIONS "), else: await(peer)
    end
  end

  defp await(peer) do
    StreamPeer.expect(peer, "SIP/2.0 200 ")
    StreamPeer.expect(peer, "OPTIONS ")
  end

  test "an IPv6 flow has a token, too" do
    ip = {0, 0, 0, 0, 0, 0, 0, 1}
    stack = start(udp: [[address: "::1"]])
    {request, _peer} = came(stack, :udp, ip)
    token = Flow.to_token(stack, request.source)
    assert {:ok, flow} = Flow.from_token(stack, token)
    assert flow == request.source
  end

  describe "the token of a connection" do
    test "that is closed has failed: 430 (§5.3.1)" do
      stack = stack(:tcp)
      {request, peer} = came(stack, :tcp, nil)
      token = Flow.to_token(stack, request.source)
      StreamPeer.close(peer)
      assert_receive {^stack, :flow_closed, _flow, :closed}
      assert {:error, error} = Flow.from_token(stack, token)
      assert error.reason == :flow_failed
      assert FlowTokenError.status_code(error) == 430
      assert Exception.message(error) == "the flow of the token has failed"
      response = Message.to_response(request, FlowTokenError.status_code(error))
      assert response.start_line.reason_phrase == "Flow Failed"
    end

    test "never leads to who comes after it, from the same address to the same port" do
      stack = stack(:tcp)
      # Where no other test takes the port meanwhile.
      from = {127, 0, 0, 79}
      peer = StreamPeer.connect(address(stack), from: from)
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: "TCP"))
      request = received(stack)
      token = Flow.to_token(stack, request.source)
      # Away at once, so that its port may be taken again.
      :ok = :inet.setopts(peer.socket, linger: {true, 0})
      StreamPeer.close(peer)
      assert_receive {^stack, :flow_closed, _flow, _reason}, 5_000

      other =
        StreamPeer.connect(address(stack),
          from: from,
          socket: [port: peer.port, reuseaddr: true]
        )

      assert other.port == peer.port
      StreamPeer.send(other, Wire.request("OPTIONS", other, protocol: "TCP"))
      successor = received(stack)
      assert successor.source.remote == request.source.remote
      assert failed?(Flow.from_token(stack, token))
      assert {:ok, _flow} = Flow.from_token(stack, Flow.to_token(stack, successor.source))
    end

    test "has failed when its transport is started again, on the same port" do
      stack = start(udp: [], flow_token_key: @key)
      {:ok, first} = TCP.start_link(name: stack, port: 0, address: "127.0.0.78")
      {_ip, port} = address(stack)
      {request, _peer} = came(stack, :tcp, nil)
      token = Flow.to_token(stack, request.source)
      Supervisor.stop(first)
      eventually(fn -> Sippet.Transport.list(stack) == [] end)
      assert failed?(Flow.from_token(stack, token))

      {:ok, _second} = TCP.start_link(name: stack, port: port, address: "127.0.0.78")
      assert failed?(Flow.from_token(stack, token))
    end

    test "of another VM has failed here, where the key is the same" do
      stack = stack(:tcp, flow_token_key: @key)
      {request, _peer} = came(stack, :tcp, nil)
      {:ok, data} = stack |> Flow.to_token(request.source) |> Base.url_decode64(padding: false)
      <<head::binary-size(9), vm::binary-size(8), rest::binary-size(14), _mac::binary>> = data
      assert sign(<<head::binary, vm::binary, rest::binary>>) == data
      elsewhere = sign(<<head::binary, 0::64, rest::binary>>)
      assert failed?(Flow.from_token(stack, Base.url_encode64(elsewhere, padding: false)))
    end
  end

  # As §5.2 has it, with SHA-256 for SHA-1.
  defp sign(payload, key \\ @key) do
    payload <> binary_part(:crypto.mac(:hmac, :sha256, key, ["sippet flow ", payload]), 0, 16)
  end

  describe "the token of a flow over UDP" do
    test "is good after a restart on the same port, with the same key" do
      stack = start(udp: [], flow_token_key: @key)
      # Where no other test takes the port meanwhile.
      first = start_udp(stack, address: "127.0.0.77")
      {_ip, port} = address(stack)
      {request, peer} = came(stack, :udp, {127, 0, 0, 1})
      token = Flow.to_token(stack, request.source)
      # For good: its supervisor is the test's.
      {id, _, _, _} = first_child(first)
      :ok = stop_supervised(id)
      eventually(fn -> Sippet.Transport.list(stack) == [] end)
      assert failed?(Flow.from_token(stack, token))

      start_udp(stack, address: "127.0.0.77", port: port)
      assert {:ok, flow} = Flow.from_token(stack, token)
      assert flow.remote == {peer.ip, peer.port}
    end

    test "is not good for another socket" do
      stack = start(udp: [[]], flow_token_key: @key)
      other = start(udp: [[]], flow_token_key: @key)
      {request, _peer} = came(stack, :udp, {127, 0, 0, 1})
      token = Flow.to_token(stack, request.source)
      assert failed?(Flow.from_token(other, token))
    end
  end

  defp first_child(pid) do
    {:ok, supervisor} = ExUnit.fetch_test_supervisor()
    supervisor |> Supervisor.which_children() |> Enum.find(&(elem(&1, 1) == pid))
  end

  describe "a forged token" do
    test "is one with any bit changed, or cut, or longer" do
      stack = stack(:tcp)
      {request, _peer} = came(stack, :tcp, nil)
      token = Flow.to_token(stack, request.source)
      {:ok, data} = Base.url_decode64(token, padding: false)

      for bit <- 0..(bit_size(data) - 1) do
        <<before::size(bit), one::1, rest::bitstring>> = data
        changed = <<before::size(bit), bxor(one, 1)::1, rest::bitstring>>
        assert invalid?(Flow.from_token(stack, Base.url_encode64(changed, padding: false)))
      end

      for length <- 0..(byte_size(token) - 1),
          do: assert(invalid?(Flow.from_token(stack, binary_part(token, 0, length))))

      for more <- ["A", "AAAA", "=", " ", token, <<0>>],
          do: assert(invalid?(Flow.from_token(stack, token <> more)))
    end

    test "is one of another stack, of another key, or of anybody" do
      stack = stack(:tcp)
      {request, _peer} = came(stack, :tcp, nil)
      other = stack(:tcp)
      keyed = stack(:tcp, flow_token_key: [@key, String.duplicate("o", 32)])

      for maker <- [other, keyed],
          do: assert(invalid?(Flow.from_token(stack, Flow.to_token(maker, request.source))))

      for token <- [
            nil,
            "",
            "alice",
            String.duplicate("A", 42),
            String.duplicate("A", 128),
            String.duplicate("A", 10_000_000),
            <<0xFF, 0xFE>>,
            "%00"
          ],
          do: assert(invalid?(Flow.from_token(stack, token)))
    end

    test "earns 403 (§5.3)" do
      error = %FlowTokenError{reason: :invalid_token}
      assert FlowTokenError.status_code(error) == 403
      assert Exception.message(error) == "not a flow token of this stack"
    end

    test "is never found among random ones, and none makes it raise (a property of 20,000)" do
      stack = stack(:udp)
      :rand.seed(:exsss, {5626, 5, 2})

      for _ <- 1..20_000 do
        bytes = :rand.bytes(:rand.uniform(90) - 1)

        token =
          if :rand.uniform(2) == 1, do: bytes, else: Base.url_encode64(bytes, padding: false)

        assert invalid?(Flow.from_token(stack, token))
      end
    end

    test "of a right signature around something else is none, either" do
      stack = stack(:udp, flow_token_key: @key)

      for payload <- [
            "",
            <<0>>,
            <<4, 0::64>>,
            <<1, 0::200>>,
            <<2, 0::64, 5060::16, 0::32>>,
            <<255>>
          ] do
        token = Base.url_encode64(sign(payload), padding: false)
        assert invalid?(Flow.from_token(stack, token))
      end
    end
  end

  test "keys may be replaced: the first signs, all verify" do
    old = String.duplicate("o", 32)
    new = String.duplicate("n", 40)
    before = start(udp: [[]], flow_token_key: old)
    {request, _peer} = came(before, :udp, {127, 0, 0, 1})
    {_ip, port} = address(before)
    token = Flow.to_token(before, request.source)
    {:ok, data} = Base.url_decode64(token, padding: false)
    payload = binary_part(data, 0, byte_size(data) - 16)
    assert data == sign(payload, old)
    assert port == elem(address(before), 1)

    now = start(udp: [[]], flow_token_key: [new, old])
    {request, _peer} = came(now, :udp, {127, 0, 0, 1})
    token = Flow.to_token(now, request.source)
    {:ok, data} = Base.url_decode64(token, padding: false)
    payload = binary_part(data, 0, byte_size(data) - 16)
    assert data == sign(payload, new)
    older = Base.url_encode64(sign(payload, old), padding: false)
    assert {:ok, flow} = Flow.from_token(now, older)
    assert flow == request.source
  end

  test "keys may come from a function, and are not shown with the stack" do
    stack = stack(:udp, flow_token_key: fn -> @key end)
    {request, _peer} = came(stack, :udp, {127, 0, 0, 1})
    {:ok, data} = stack |> Flow.to_token(request.source) |> Base.url_decode64(padding: false)
    assert data == sign(binary_part(data, 0, byte_size(data) - 16))
    refute inspect(Sippet.Stack.fetch!(stack), limit: :infinity) =~ @key
  end

  test "keys that are none are refused, and not shown" do
    for key <- ["short", [], [@key, "short"], :key, 1, fn -> "short" end, fn -> nil end] do
      error =
        assert_raise ArgumentError, fn -> Sippet.start_link(name: :none, flow_token_key: key) end

      assert error.message ==
               "expected :flow_token_key to be at least 32 random bytes, a list of such, or a function of no arguments that returns them"
    end
  end
end
