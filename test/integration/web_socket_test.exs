defmodule Sippet.Integration.WebSocketTest do
  # What only WebSocket has (RFC 6455, RFC 7118): frames, handshakes of both sides, other requests to its port. The rest is in
  # stream_test.exs and transports_test.exs.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 1, request: 3]
  import Sippet.Test.WebSocket, only: [frame: 2, frame: 3, read_frame: 1, expect_close: 2]
  import ExUnit.CaptureLog

  alias Sippet.{Message, TransportError}
  alias Sippet.Test.{Certificates, Core, StreamPeer, WebSocket, Wire}

  defp stack(transport \\ [], options \\ []) do
    stack = start([core: nil, ws: [transport]] ++ options)
    test = self()
    Core.register(stack, fn callback, first, key -> send(test, {stack, callback, first, key}) end)
    stack
  end

  defp connect(stack), do: StreamPeer.connect(address(stack), ws: "/")

  defp options(peer, fields \\ []),
    do: Wire.request("OPTIONS", peer, [protocol: "WS"] ++ fields)

  # The peer is still served.
  defp assert_served(stack, peer) do
    call_id = Wire.unique()
    StreamPeer.send(peer, options(peer, call_id: call_id))
    assert_receive {^stack, :request, %{headers: %{call_id: ^call_id}} = request, _key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    StreamPeer.expect(peer, "SIP/2.0 200 ")
  end

  describe "a message" do
    test "is one of the WebSocket, text or binary, and needs no Content-Length (RFC 7118 §4.2, §5)" do
      stack = stack()
      peer = connect(stack)

      for opcode <- [:text, :binary] do
        text = peer |> options() |> String.replace("Content-Length: 0\r\n", "")
        StreamPeer.send_raw(peer, frame(opcode, text <> "body"))
        assert_receive {^stack, :request, %{body: "body"} = request, _key}
        [{_version, protocol, _sent_by, _parameters}] = request.headers.via
        assert protocol == :ws
        assert :ok = Sippet.send(stack, Message.to_response(request, 200))
        StreamPeer.expect(peer, "SIP/2.0 200 ")
      end
    end

    test "is sent as text where it is valid UTF-8, and else as binary" do
      stack = stack()
      peer = connect(stack)
      StreamPeer.send(peer, options(peer))
      assert_receive {^stack, :request, request, _key}
      assert :ok = Sippet.send(stack, %{Message.to_response(request, 200) | body: <<0xFF, 0>>})
      assert {1, :binary, message} = read_frame(peer)
      assert String.ends_with?(message, "\r\n\r\n" <> <<0xFF, 0>>)
    end

    test "may be of many frames, cut anywhere, with frames of control between them (RFC 6455 §5.4)" do
      stack = stack()
      peer = connect(stack)
      text = Wire.request("MESSAGE", peer, protocol: "WS", body: "Žluťoučký kůň")
      [first | parts] = for <<byte <- text>>, do: <<byte>>
      {last, parts} = List.pop_at(parts, -1)

      bytes =
        [frame(:text, first, fin: false)] ++
          for(part <- parts, do: frame(:continuation, part, fin: false)) ++
          [frame(:ping, "there?"), frame(:continuation, "", fin: false)] ++
          [frame(:continuation, last)]

      for <<byte <- IO.iodata_to_binary(bytes)>>, do: StreamPeer.send_raw(peer, <<byte>>)
      assert_receive {^stack, :request, %{body: "Žluťoučký kůň"}, _key}
      assert {1, :pong, "there?"} = read_frame(peer)
    end

    test "may come with others in one piece" do
      stack = stack()
      peer = connect(stack)
      frames = for call_id <- ["a", "b"], do: frame(:text, options(peer, call_id: call_id))
      StreamPeer.send_raw(peer, frames)
      assert_receive {^stack, :request, %{headers: %{call_id: one}}, _key}
      assert_receive {^stack, :request, %{headers: %{call_id: other}}, _key}
      assert Enum.sort([one, other]) == ["a", "b"]
    end

    test "that is no SIP earns what a datagram would, and the connection stays" do
      stack = stack()
      peer = connect(stack)
      broken = peer |> options() |> String.replace("Max-Forwards: 70", "Content-Length: x")
      StreamPeer.send(peer, broken)
      StreamPeer.expect(peer, "SIP/2.0 400 ")
      for junk <- ["GET / HTTP/1.1\r\n\r\n", "", <<0>>, "\r"], do: StreamPeer.send(peer, junk)
      assert_served(stack, peer)
      assert info(stack).counters.broken_streams == 0
    end

    test "has the source address in received and rport (RFC 7118 §5.3)" do
      stack = stack()
      peer = connect(stack)
      via = "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK#{Wire.unique()};rport"
      StreamPeer.send(peer, options(peer, via: via))
      assert_receive {^stack, :request, request, _key}
      [{_version, :ws, {"df7jal23ls0d.invalid", _port}, parameters}] = request.headers.via
      assert parameters["received"] == "127.0.0.1"
      assert parameters["rport"] == to_string(peer.port)
    end
  end

  describe "what is kept alive" do
    test "a Ping is answered with its payload, each of several" do
      stack = stack()
      peer = connect(stack)
      StreamPeer.send_raw(peer, [frame(:ping, "a"), frame(:ping, ""), frame(:pong, "unasked")])
      assert {1, :pong, "a"} = read_frame(peer)
      assert {1, :pong, ""} = read_frame(peer)
      assert_served(stack, peer)
      assert info(stack).counters.pings == 1
    end

    test "the keep-alive of RFC 5626 is answered in a frame of its own (RFC 7118 §6)" do
      stack = stack()
      peer = connect(stack)
      StreamPeer.send(peer, "\r\n\r\n")
      assert StreamPeer.receive_message(peer) == "\r\n"
      StreamPeer.send(peer, "\r\n")
      assert_served(stack, peer)
    end

    test "a silent peer is asked, stays when it answers, and goes when it does not" do
      stack = stack(ping_interval: 400, idle_timeout: :infinity)
      peer = connect(stack)

      for _ <- 1..3 do
        assert {1, :ping, payload} = read_frame(peer)
        StreamPeer.send_raw(peer, frame(:pong, payload))
      end

      assert {1, :ping, _payload} = read_frame(peer)
      expect_close(peer, 1001)
      StreamPeer.assert_closed(peer)
      assert info(stack).counters.idle_timeouts == 1
    end

    test "a peer that waits for its user is not hurried to its first message" do
      stack = stack([], limits: [max_stream_message_ms: 50])
      peer = connect(stack)
      StreamPeer.refute_any(peer, 120)
      assert_served(stack, peer)
    end

    test "the idle timeout ends a connection with a Close" do
      peer = connect(stack(idle_timeout: 60))
      expect_close(peer, 1001)
      StreamPeer.assert_closed(peer)
    end
  end

  describe "an end" do
    test "of the peer's is answered with its status code, and told to the core (RFC 6455 §5.5.1)" do
      stack = stack()
      peer = connect(stack)
      assert_served(stack, peer)
      StreamPeer.send_raw(peer, frame(:close, <<1000::16>>))
      expect_close(peer, 1000)
      StreamPeer.assert_closed(peer)
      assert_receive {^stack, :flow_closed, _flow, :closed}
      assert info(stack).counters.broken_streams == 0
    end

    test "without a status code is answered without one" do
      peer = connect(stack())
      StreamPeer.send_raw(peer, frame(:close, ""))
      assert {1, :close, ""} = read_frame(peer)
      StreamPeer.assert_closed(peer)
    end

    test "of the transport's is told by a Close" do
      stack = stack()
      peer = connect(stack)
      assert_served(stack, peer)
      [%{pid: pid}] = Sippet.Transport.list(stack)
      Supervisor.stop(pid)
      expect_close(peer, 1001)
      StreamPeer.assert_closed(peer)
    end
  end

  # RFC 6455 §5.1, §5.2, §5.4, §5.5, §7.4.1, §8.1.
  @faults [
    {"unmasked frames", 1002, [{:text, "OPTIONS", mask: nil}]},
    {"the first reserved bit", 1002, [{:text, "OPTIONS", rsv: 4}]},
    {"the last reserved bit", 1002, [{:text, "OPTIONS", rsv: 1}]},
    {"an unknown opcode of data", 1002, [{3, "OPTIONS", []}]},
    {"an unknown opcode of control", 1002, [{11, "", []}]},
    {"a frame of control in pieces", 1002, [{:ping, "", fin: false}]},
    {"a frame of control above 125 bytes", 1002, [{:ping, String.duplicate("x", 126), []}]},
    {"a continuation of nothing", 1002, [{:continuation, "x", []}]},
    {"a new message inside another one", 1002, [{:text, "x", fin: false}, {:text, "y", []}]},
    {"a Close of one byte", 1002, [{:close, "x", []}]},
    {"a Close whose reason is not UTF-8", 1007, [{:close, <<1000::16, 0xFF>>, []}]},
    {"text that is not UTF-8", 1007, [{:text, <<"OPTIONS", 0xFF>>, []}]},
    {"text that ends within a character", 1007,
     [{:text, <<0xC5>>, fin: false}, {:continuation, "", []}]},
    {"a frame above the limit", 1009, [{:text, "", length: 10_001}]},
    {"a frame of 2^63 bytes", 1009, [{:text, "", length: 0x7FFF_FFFF_FFFF_FFFF}]},
    {"frames above the limit together", 1009,
     [
       {:binary, String.duplicate("x", 6_000), fin: false},
       {:continuation, String.duplicate("x", 6_000), fin: false}
     ]}
  ]

  describe "the connection is closed for" do
    for {fault, code, _frames} <- @faults do
      test "#{fault} (#{code})" do
        {_fault, code, frames} = List.keyfind(@faults, unquote(fault), 0)
        stack = stack([], limits: [max_stream_message_bytes: 10_000])
        other = connect(stack)
        peer = connect(stack)

        StreamPeer.send_raw(
          peer,
          for({opcode, payload, options} <- frames, do: frame(opcode, payload, options))
        )

        expect_close(peer, code)
        StreamPeer.assert_closed(peer)
        assert_served(stack, other)
        assert info(stack).counters.broken_streams == 1
        eventually(fn -> info(stack).connections == 1 end)
      end
    end

    test "a message whose frames have no end, in time" do
      stack = stack([], limits: [max_stream_message_ms: 100])
      peer = connect(stack)
      StreamPeer.send_raw(peer, frame(:text, "x", fin: false))
      drip(peer)
      assert info(stack).counters.message_timeouts == 1
    end

    test "a frame that is not completed, in time" do
      stack = stack([], limits: [max_stream_message_ms: 100])

      for bytes <- [<<0x81>>, frame(:text, "", length: 5), frame(:ping, "", length: 5)] do
        peer = connect(stack)
        StreamPeer.send_raw(peer, bytes)
        StreamPeer.assert_closed(peer)
      end

      assert info(stack).counters.message_timeouts == 3
    end
  end

  # One empty frame after another, until the other side has had enough.
  defp drip(peer) do
    with :ok <- peer.module.send(peer.socket, frame(:continuation, "", fin: false)),
         {:error, :timeout} <- peer.module.recv(peer.socket, 0, 10),
         do: drip(peer)
  end

  test "a message of the limit's size, and many of them, arrive" do
    stack = stack([], limits: [max_stream_message_bytes: 100_000])
    peer = connect(stack)
    empty = Wire.request("MESSAGE", peer, protocol: "WS", body: "")
    room = 100_000 - byte_size(empty) - 40

    for _ <- 1..5 do
      body = :binary.copy("x", room)
      StreamPeer.send(peer, Wire.request("MESSAGE", peer, protocol: "WS", body: body))
      assert_receive {^stack, :request, %{body: ^body}, _key}
    end
  end

  describe "the handshake" do
    defp ask(stack, bytes, options \\ []) do
      peer = StreamPeer.connect(address(stack), options)
      StreamPeer.send(peer, bytes)
      head = WebSocket.read_head(peer)
      {peer, head}
    end

    defp upgrade(stack, path, fields \\ %{}),
      do: elem(ask(stack, WebSocket.request(path, address(stack), fields)), 1)

    test "chooses the sub-protocol sip among others, in any case of the other tokens" do
      head =
        upgrade(stack(), "/", %{
          "Sec-WebSocket-Protocol" => "chat, sip",
          "Upgrade" => "WebSocket",
          "Connection" => "keep-alive, Upgrade"
        })

      assert head =~ ~r"\AHTTP/1.1 101 "
      assert WebSocket.field(head, "Sec-WebSocket-Protocol") == "sip"
      # The example of RFC 6455 §1.3.
      assert WebSocket.field(head, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    end

    test "is refused for what is wrong with it, and counted" do
      stack = stack()

      cases = [
        {400, %{"Sec-WebSocket-Protocol" => nil}},
        {400, %{"Sec-WebSocket-Protocol" => "chat, SIP"}},
        {400, %{"Sec-WebSocket-Key" => nil}},
        {400, %{"Sec-WebSocket-Key" => "c2hvcnQ="}},
        {400, %{"Sec-WebSocket-Key" => "!"}},
        {400, %{"Host" => nil}},
        {426, %{"Sec-WebSocket-Version" => "8"}},
        {426, %{"Sec-WebSocket-Version" => nil}},
        {426, %{"Upgrade" => "h2c"}},
        {426, %{"Connection" => "close"}},
        {501, %{"Transfer-Encoding" => "chunked"}}
      ]

      for {status_code, fields} <- cases do
        head = upgrade(stack, "/", fields)
        assert head =~ ~r"\AHTTP/1.1 #{status_code} ", inspect(fields) <> head
        assert WebSocket.field(head, "Connection") =~ "close"

        if status_code == 426 and is_map_key(fields, "Sec-WebSocket-Version"),
          do: assert(WebSocket.field(head, "Sec-WebSocket-Version") == "13")
      end

      eventually(fn -> info(stack).counters.handshake_failures == length(cases) end)
      assert info(stack).counters.accepted == 0
      eventually(fn -> info(stack).connections == 0 end)
    end

    test "is for one of the paths, whatever its query" do
      stack = stack(paths: ["/sip", "/voice"])

      for {path, status_code} <- [
            {"/sip", 101},
            {"/voice?user=1", 101},
            {"/", 404},
            {"/sip/", 404},
            {"/SIP", 404}
          ],
          do: assert(upgrade(stack, path) =~ ~r"\AHTTP/1.1 #{status_code} ")
    end

    defp origin(stack, origin, path \\ "/") do
      [_, status_code] =
        Regex.run(~r"\AHTTP/1.1 ([0-9]+)", upgrade(stack, path, %{"Origin" => origin}))

      String.to_integer(status_code)
    end

    test "by default is for pages of the same host, and for who is no browser (RFC 6455 §10.2)" do
      stack = stack()
      assert origin(stack, nil) == 101
      assert origin(stack, "http://127.0.0.1") == 101
      assert origin(stack, "https://127.0.0.1:8443") == 101

      for other <- [
            "https://evil.example",
            "http://127.0.0.1.evil.example",
            "http://evil.example/127.0.0.1",
            "http://127.0.0.1@evil.example",
            "null",
            "file://127.0.0.1",
            "127.0.0.1",
            "",
            "\xFF"
          ],
          do: assert(origin(stack, other) == 403, other)
    end

    test "is for the pages of a list, or those that a function likes, or all" do
      list = stack(origins: ["https://a.example", "https://B.example:8443"])
      assert origin(list, "https://a.example") == 101
      assert origin(list, "https://b.example:8443") == 101
      assert origin(list, "https://b.example") == 403
      assert origin(list, "http://127.0.0.1") == 403

      fun = stack(origins: &String.ends_with?(&1, ".example"))
      assert origin(fun, "https://a.example") == 101
      assert origin(fun, "https://a.test") == 403

      failing = stack(origins: fn _origin -> raise "who?" end)

      assert capture_log(fn -> assert origin(failing, "https://a.example") == 403 end) =~
               "of #{inspect(failing)} failed"

      assert origin(stack(origins: :any), "null") == 101

      paths = stack(paths: %{"/" => :any, "/own" => :same_host})
      assert origin(paths, "https://a.example") == 101
      assert origin(paths, "https://a.example", "/own") == 403
    end

    test "has its time, and bounds of size" do
      stack = stack(handshake_timeout: 80)
      silent = StreamPeer.connect(address(stack))
      slow = StreamPeer.connect(address(stack))
      StreamPeer.send(slow, "GET / HTTP/1.1\r\nHost: ")
      StreamPeer.assert_closed(silent)
      StreamPeer.assert_closed(slow)
      eventually(fn -> info(stack).counters.handshake_failures == 2 end)
    end

    test "may come in any pieces" do
      stack = stack()
      peer = StreamPeer.connect(address(stack))

      for <<byte <- WebSocket.request("/", address(stack))>>,
        do: StreamPeer.send(peer, <<byte>>)

      assert WebSocket.read_head(peer) =~ ~r"\AHTTP/1.1 101 "
      assert_served(stack, %{peer | ws: :client})
    end

    test "of TLS may come before" do
      chains = Certificates.chains()

      stack =
        start(wss: [Keyword.take(chains.server, [:cert, :key])], core: fn _, _, _ -> :ok end)

      peer = StreamPeer.connect(address(stack), tls: [cacerts: chains.client[:cacerts]], ws: "/")
      StreamPeer.send_raw(peer, frame(:ping, "x"))
      assert {1, :pong, "x"} = read_frame(peer)
    end
  end

  describe "other requests" do
    defp serving(transport \\ []) do
      test = self()

      stack(
        [
          http: fn request ->
            send(test, {:http, request})
            {200, [{"Content-Type", "text/plain"}, {"Content-Length", "99"}], "page"}
          end
        ] ++ transport
      )
    end

    defp body(peer, head) do
      case WebSocket.field(head, "Content-Length") do
        "0" -> ""
        length -> StreamPeer.read(peer, String.to_integer(length))
      end
    end

    test "without a hook are told to upgrade, or that there is nothing" do
      stack = stack()
      {_peer, head} = ask(stack, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
      assert head =~ ~r"\AHTTP/1.1 426 "
      assert WebSocket.field(head, "Upgrade") == "websocket"
      {_peer, head} = ask(stack, "GET /page HTTP/1.1\r\nHost: a.example\r\n\r\n")
      assert head =~ ~r"\AHTTP/1.1 404 "
    end

    test "go to the hook, one a connection" do
      stack = serving()

      request =
        "POST http://a.example/form?x=1 HTTP/1.1\r\nHost: a.example\r\nX-Y:  z \t\r\nContent-Length: 3\r\n\r\nabc"

      {peer, head} = ask(stack, request <> "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n")
      assert head =~ ~r"\AHTTP/1.1 200 OK\r\n"
      assert WebSocket.field(head, "Content-Type") == "text/plain"
      assert WebSocket.field(head, "Connection") == "close"
      assert WebSocket.field(head, "Date") =~ ~r/\A\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\z/
      assert body(peer, head) == "page"
      StreamPeer.assert_closed(peer)

      assert_received {:http, seen}
      assert %{method: "POST", path: "/form", query: "x=1", body: "abc"} = seen
      assert {"x-y", "z"} in seen.headers
      assert seen.remote == {peer.ip, peer.port}
      refute_received {:http, _smuggled}
      eventually(fn -> info(stack).counters.http_requests == 1 end)
    end

    test "with HEAD have the length of a body and none, as have 204 and 304 not even that" do
      stack = serving()
      {peer, head} = ask(stack, "HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n")
      assert WebSocket.field(head, "Content-Length") == "4"
      assert {:error, :closed} = :gen_tcp.recv(peer.socket, 0, 2_000)

      for status_code <- [204, 304] do
        stack = stack(http: fn _request -> {status_code, [], "page"} end)
        {peer, head} = ask(stack, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        assert head =~ ~r"\AHTTP/1.1 #{status_code} "
        assert WebSocket.field(head, "Content-Length") == nil
        assert {:error, :closed} = :gen_tcp.recv(peer.socket, 0, 2_000)
      end
    end

    test "wait for a body that is announced" do
      stack = serving()

      {peer, head} =
        ask(
          stack,
          "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )

      assert head == "HTTP/1.1 100 Continue\r\n\r\n"
      StreamPeer.send(peer, "a")
      StreamPeer.send(peer, "b")
      assert WebSocket.read_head(peer) =~ ~r"\AHTTP/1.1 200 "
      assert_received {:http, %{body: "ab"}}
    end

    test "that could be read in two ways, or are too large, are refused" do
      stack = serving()
      host = "Host: a.example\r\n"

      for {status_code, request} <- [
            {400, "GET / HTTP/1.1\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n#{host}Host: b.example\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n#{host}X : y\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n#{host}X: y\r\n z\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n#{host}X: y\nZ: z\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n#{host}X: \0\r\n\r\n"},
            {400, "GET / HTTP/1.1\r\n#{host}X\r\n\r\n"},
            {400, "GET /a b HTTP/1.1\r\n#{host}\r\n"},
            {400, "GET  / HTTP/1.1\r\n#{host}\r\n"},
            {400, "GET / HTTP/2.0\r\n#{host}\r\n"},
            {400, "CONNECT a.example:80 HTTP/1.1\r\n#{host}\r\n"},
            {400, "OPTIONS * HTTP/1.1\r\n#{host}\r\n"},
            {400, "POST / HTTP/1.1\r\n#{host}Content-Length: 1\r\nContent-Length: 1\r\n\r\na"},
            {400, "POST / HTTP/1.1\r\n#{host}Content-Length: +1\r\n\r\na"},
            {400, "POST / HTTP/1.1\r\n#{host}Content-Length: 1, 1\r\n\r\na"},
            {400,
             "POST / HTTP/1.1\r\n#{host}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"},
            {501, "POST / HTTP/1.1\r\n#{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
            {413, "POST / HTTP/1.1\r\n#{host}Content-Length: 65537\r\n\r\n"},
            {413, "POST / HTTP/1.1\r\n#{host}Content-Length: 9999999999999999999\r\n\r\n"},
            {431, "GET / HTTP/1.1\r\n#{host}X: #{String.duplicate("y", 20_000)}\r\n\r\n"},
            {431, "GET / HTTP/1.1\r\n#{host}#{String.duplicate("X: y\r\n", 101)}\r\n"},
            {400, "INVITE sip:bob@a.example SIP/2.0\r\n\r\n"},
            {400, "\x16\x03\x01\r\n\r\n"}
          ] do
        {peer, head} = ask(stack, request)
        assert head =~ ~r"\AHTTP/1.1 #{status_code} ", request <> head
        StreamPeer.assert_closed(peer)
      end

      refute_received {:http, _request}
    end

    test "that a hook fails on are a 500 and logged, and what it may not say is not said" do
      for http <- [
            fn _request -> raise "no page" end,
            fn _request -> :page end,
            fn _request -> {200, [{"X", "y\r\nZ: z"}], ""} end,
            fn _request -> {200, [], :page} end,
            fn _request -> {100, [], ""} end
          ] do
        stack = stack(http: http)

        log =
          capture_log(fn ->
            {_peer, head} = ask(stack, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
            assert head =~ ~r"\AHTTP/1.1 500 "
          end)

        assert log =~ "of #{inspect(stack)} failed"
      end
    end

    test "may be for a module's function, and be of HTTP/1.0" do
      stack = stack(http: {__MODULE__, :page})
      {peer, head} = ask(stack, "GET /x HTTP/1.0\r\n\r\n")
      assert head =~ ~r"\AHTTP/1.1 200 "
      assert body(peer, head) == "/x"
    end
  end

  def page(request), do: {200, [], request.path}

  describe "a browser" do
    # As JsSIP and SIP.js write them (RFC 7118 §8.1).
    defp register(stack) do
      peer = connect(stack)
      via = "SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bK#{Wire.unique()}"

      text =
        Wire.request("REGISTER", peer, via: via)
        |> String.replace(
          ~r/Contact: .*\r\n/,
          "Contact: <sip:alice@df7jal23ls0d.invalid;transport=ws>;reg-id=1\r\n"
        )

      StreamPeer.send(peer, text)
      assert_receive {^stack, :request, register, _key}
      assert :ok = Sippet.send(stack, Message.to_response(register, 200))
      StreamPeer.expect(peer, "SIP/2.0 200 ")
      {peer, register}
    end

    test "is reached by its flow, and by no other way (RFC 7118 B.1)" do
      stack = stack()
      {peer, register} = register(stack)
      [{_name, contact, _parameters}] = register.headers.contact

      invite = request(:invite, {{127, 0, 0, 1}, 5060}, uri: to_string(contact), protocol: :ws)
      assert :ok = Sippet.send(stack, %{invite | target: register.source})
      text = StreamPeer.expect(peer, "INVITE sip:alice@df7jal23ls0d.invalid;transport=ws ")
      assert hd(Wire.fields(text, "Via")) =~ "SIP/2.0/WS "

      # Nobody is asked for the name.
      assert {:error, %TransportError{reason: :nxdomain, protocol: :ws}} =
               Sippet.send(stack, %{
                 request(:invite, {{127, 0, 0, 1}, 5060}, uri: to_string(contact))
                 | target: nil
               })
    end

    test "that has gone gets no response by another connection, and the core is told" do
      stack = stack()
      peer = connect(stack)
      listener = StreamPeer.listen()
      via = "SIP/2.0/WS 127.0.0.1:#{listener.port};branch=z9hG4bK#{Wire.unique()}"
      StreamPeer.send(peer, Wire.request("INVITE", peer, via: via))
      assert_receive {^stack, :request, invite, key}
      StreamPeer.close(peer)
      eventually(fn -> info(stack).connections == 0 end)
      assert :ok = Sippet.send(stack, Message.to_response(invite, 200))
      assert_receive {^stack, :error, :connection_closed, ^key}
      StreamPeer.refute_accept(listener, 30)
      assert info(stack).counters.redirected_responses == 0
    end
  end

  describe "a client" do
    defp send_to(stack, uri) do
      request = %{request(:options, {{127, 0, 0, 1}, 5060}, uri: uri) | target: nil}
      Task.async(fn -> Sippet.send(stack, request) end)
    end

    test "is what a URI with transport=ws makes, with path, host and sub-protocol" do
      stack = stack(client_path: "/ws?x=1")
      listener = StreamPeer.listen()
      task = send_to(stack, "sip:127.0.0.1:#{listener.port};transport=WS")
      peer = StreamPeer.accept(listener)
      head = WebSocket.read_head(peer)
      assert head =~ ~r"\AGET /ws\?x=1 HTTP/1.1\r\n"
      assert WebSocket.field(head, "Host") == "127.0.0.1:#{listener.port}"
      assert WebSocket.field(head, "Sec-WebSocket-Protocol") == "sip"
      assert {:ok, <<_::128>>} = Base.decode64(WebSocket.field(head, "Sec-WebSocket-Key"))
      # What comes behind the answer at once is not lost.
      StreamPeer.send(peer, WebSocket.response(head) <> frame(:ping, "early", mask: nil))
      peer = %{peer | ws: :server}
      assert :ok = Task.await(task)
      frames = for _ <- 1..2, do: read_frame(peer)
      assert {1, :pong, "early"} in frames
      [text] = for {1, :text, text} <- frames, do: text
      assert text =~ ~r"\AOPTIONS .*\r\nVia: SIP/2.0/WS "
      StreamPeer.send(peer, Wire.response(text, "200 OK"))
      assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, _key}
    end

    test "masks each frame with another key (RFC 6455 §5.3)" do
      stack = stack()
      listener = StreamPeer.listen(ws: "/")
      task = send_to(stack, "sip:127.0.0.1:#{listener.port};transport=ws")
      peer = StreamPeer.accept(listener)
      assert :ok = Task.await(task)
      assert {1, :text, _options} = read_frame(peer)

      masks =
        for _ <- 1..4 do
          StreamPeer.send_raw(peer, frame(:ping, "", mask: nil))
          <<0x8A, 0x80, mask::binary-size(4)>> = StreamPeer.read(peer, 6)
          mask
        end

      assert masks == Enum.uniq(masks)
    end

    test "is told who refuses, and why" do
      for {answer, reason} <- [
            {"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", {:websocket_refused, 403}},
            {"HTTP/1.1 101 Switching Protocols\r\n\r\n", :websocket_handshake},
            {"SIP/2.0 200 OK\r\n\r\n", :websocket_handshake},
            {String.duplicate("x", 20_000), :websocket_handshake}
          ] do
        assert refused(fn _head -> answer end) == reason
      end

      without = &String.replace(WebSocket.response(&1), ~r/Sec-WebSocket-Protocol: .*\r\n/, "")
      assert refused(without) == :websocket_handshake
      other = &String.replace(WebSocket.response(&1), "Protocol: sip", "Protocol: chat")
      assert refused(other) == :websocket_handshake
      wrong = &String.replace(WebSocket.response(&1), "Accept: ", "Accept: A")
      assert refused(wrong) == :websocket_handshake

      extension =
        &String.replace(
          WebSocket.response(&1),
          "Upgrade: w",
          "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: w"
        )

      assert refused(extension) == :websocket_handshake
      assert refused(fn _head -> "" end, 150) == :timeout
    end

    defp refused(answer, connect_timeout \\ 4_000) do
      stack = stack(connect_timeout: connect_timeout)
      listener = StreamPeer.listen()
      task = send_to(stack, "sip:127.0.0.1:#{listener.port};transport=ws")
      peer = StreamPeer.accept(listener)
      StreamPeer.send(peer, answer.(WebSocket.read_head(peer)))
      assert {:error, %TransportError{reason: reason} = error} = Task.await(task)
      assert is_binary(Exception.message(error))
      assert info(stack).counters.connect_failures == 1
      reason
    end

    test "closes a connection on which frames are masked (RFC 6455 §5.1)" do
      stack = stack()
      listener = StreamPeer.listen(ws: "/")
      task = send_to(stack, "sip:127.0.0.1:#{listener.port};transport=ws")
      peer = StreamPeer.accept(listener)
      assert :ok = Task.await(task)
      assert {1, :text, _options} = read_frame(peer)
      StreamPeer.send_raw(peer, frame(:text, "SIP/2.0 200 OK"))
      expect_close(peer, 1002)
      assert_receive {^stack, :error, :connection_closed, _key}
    end

    test "goes to WSS for sips, and holds the server to its name as a browser does" do
      chains = Certificates.chains(server: [dns: "*.example.com", ip: <<127, 0, 0, 1>>])
      own = Keyword.take(chains.server, [:cert, :key])
      stack = start(wss: [[cacerts: chains.client[:cacerts]]], core: fn _, _, _ -> :ok end)
      listener = StreamPeer.listen(tls: own, ws: "/")
      task = send_to(stack, "sips:127.0.0.1:#{listener.port};transport=ws")
      peer = StreamPeer.accept(listener)
      assert :ok = Task.await(task)
      assert StreamPeer.expect(peer, "OPTIONS ") =~ "Via: SIP/2.0/WSS "

      [%{handle: handle}] = Sippet.Transport.list(stack)
      remote = {listener.ip, listener.port}

      connecting = fn host ->
        task = Task.async(fn -> Sippet.Transports.WSS.connect(handle, remote, host) end)
        {:ok, socket} = :gen_tcp.accept(listener.socket, 10_000)
        {:ok, tls} = :ssl.handshake(socket, [log_level: :none] ++ own, 10_000)
        {task, %StreamPeer{module: :ssl, socket: tls, ip: listener.ip, port: listener.port}}
      end

      {task, peer} = connecting.("sip.example.com")
      WebSocket.accept(peer)
      assert {:ok, _connection} = Task.await(task)

      for host <- ["example.com", "a.b.example.com", "example.net"] do
        {task, _peer} = connecting.(host)
        assert {:error, {:wrong_certificate, _names}} = Task.await(task)
      end
    end
  end

  test "the options are checked" do
    stack = start(udp: [])

    for options <- [
          [paths: []],
          [paths: ["sip"]],
          [paths: %{"/" => :all}],
          [origins: :all],
          [origins: [1]],
          [http: :page],
          [client_path: "x y"],
          [ping_interval: 0]
        ] do
      assert_raise ArgumentError, fn ->
        Sippet.Transports.WS.start_link([name: stack, port: 0, address: "127.0.0.1"] ++ options)
      end
    end
  end
end
