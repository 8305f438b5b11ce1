defmodule SipServerTest do
  # The server on real sockets, asked by telephones that are stacks of their own.
  use ExUnit.Case, async: false

  import SipServer.Phone,
    only: [
      answer: 3,
      ask: 2,
      ask: 3,
      await: 3,
      call: 2,
      contact: 1,
      contacts: 1,
      eventually: 1,
      hang_up: 3,
      host: 0,
      reason: 1,
      register: 1,
      register: 2,
      register: 3,
      request: 3,
      request: 4,
      status: 1
    ]

  alias Sippet.Message
  alias SipServer.Phone

  setup do
    %{server: Phone.start_server()}
  end

  describe "REGISTER (RFC 3261 §10.3)" do
    test "needs credentials, and returns all contacts with what is left of their time" do
      bob = Phone.start("bob", :udp)
      {:ok, challenge} = Sippet.request(bob.stack, request(bob, "REGISTER", []))
      assert status(challenge) == 401
      assert [{"Digest", %{"realm" => "example.com"}}] = challenge.headers.www_authenticate
      assert status(ask(bob, request(bob, "REGISTER", []), "wrong")) == 401

      response =
        register(
          bob,
          "Contact: <sip:bob@192.0.2.4>;q=0.5, <sip:bob@192.0.2.5>;expires=120\nExpires: 600"
        )

      assert status(response) == 200

      assert [
               {"sip:bob@192.0.2.4", %{"expires" => "600", "q" => "0.5"}},
               {"sip:bob@192.0.2.5", %{"expires" => "120"}}
             ] = Enum.sort(contacts(response))

      # One is taken away, the other stays; without Contact it only asks.
      assert [{"sip:bob@192.0.2.5", _}] =
               contacts(register(bob, "Contact: <sip:bob@192.0.2.4>;expires=0"))

      assert [{"sip:bob@192.0.2.5", _}] = contacts(register(bob, ""))
      assert contacts(register(bob, "Contact: *\nExpires: 0")) == []
    end

    test "what is wrong changes nothing and is told why" do
      bob = Phone.start("bob", :udp)
      register(bob, "Contact: <sip:bob@192.0.2.4>", call_id: "one", cseq: 10)

      for {fields, options, status_code, sentence} <- [
            {"Contact: *", [], 400, "Contact * needs Expires 0"},
            {"Contact: <sip:bob@192.0.2.5>;expires=5", [], 423,
             "registrations last 60 seconds at least"},
            {"Contact: <sip:bob@192.0.2.4>", [call_id: "one", cseq: 3], 500,
             "a later REGISTER of this Call-ID has been here before"},
            {"Contact: *, <sip:bob@192.0.2.5>\nExpires: 0", [], 400,
             "a Contact that cannot be read, or * beside others"},
            {"Contact: <sip:bob@192.0.2.6", [], 400,
             "a Contact that cannot be read, or * beside others"},
            {"Path: <sip:192.0.2.9\nContact: <sip:bob@192.0.2.5>", [], 400,
             "a Path that cannot be read"},
            {"Contact: <tel:+12015550123>", [], 400,
             "a Contact is no address that calls can go to"},
            {"Supported: outbound\nContact: <sip:bob@192.0.2.4>;reg-id=x;+sip.instance=\"<urn:uuid:1>\"",
             [], 400, "a reg-id that is no number, or one of several contacts"},
            {"Via: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bKfar\nSupported: outbound\nContact: <sip:bob@192.0.2.4>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"",
             [], 439, "the first hop keeps no flow"},
            {"Require: gruu", [], 420, "extensions that are not supported"},
            {"", [to: "sip:carol@example.com"], 403, "To is another user than the credentials"},
            {"", [to: "sip:nobody@example.com"], 404, "this user is not known here"}
          ] do
        response = register(bob, fields, options)
        assert {status(response), reason(response)} == {status_code, sentence}
        if status_code == 423, do: assert(response.headers.min_expires == 60)
        if status_code == 420, do: assert(response.headers.unsupported == ["gruu"])
      end

      assert [{"sip:bob@192.0.2.4", _}] = contacts(register(bob, ""))
    end

    test "a contact that comes again takes the place of itself, however it is written (§19.1.4)" do
      bob = Phone.start("bob", :udp)
      register(bob, "Contact: <sip:bob@PHONE.example.org>")
      assert [_one] = contacts(register(bob, "Contact: <sip:%62ob@phone.example.org>"))
    end

    test "a user has sixteen contacts at most" do
      bob = Phone.start("bob", :udp)
      contacts = Enum.map_join(1..17, ", ", &"<sip:bob@192.0.2.#{&1}>")
      assert status(register(bob, "Contact: " <> contacts)) == 403
      assert contacts(register(bob, "")) == []
    end

    test "Path is kept, and returned to who understands it (RFC 3327)" do
      bob = Phone.start("bob", :udp)
      edge = "sip:127.0.0.1:#{Phone.start("edge", :udp).port};lr"
      response = register(bob, "Supported: path\nPath: <#{edge}>\nContact: <sip:bob@192.0.2.4>")
      assert response.headers["Path"] == ["<#{edge}>"]
      assert [%{path: [{"", path, _}]}] = SipServer.Location.ETS.fetch("bob")
      assert to_string(path) == edge
    end

    test "outbound: one binding for each reg-id, found again by it, and its flow (RFC 5626 §6)" do
      bob = Phone.start("bob", :tcp)

      line =
        &"Supported: outbound\nContact: <sip:bob@#{&1}>;reg-id=#{&2};+sip.instance=\"<urn:uuid:1>\""

      assert register(bob, line.("192.0.2.4", 1)).headers.require == ["outbound"]
      register(bob, line.("192.0.2.5", 2))

      assert [{"sip:bob@192.0.2.5", _}, {"sip:bob@192.0.2.9", _}] =
               Enum.sort(contacts(register(bob, line.("192.0.2.9", 1))))

      assert [%{flow: %Sippet.Flow{} = flow, protocol: :tcp}, %{flow: flow}] =
               SipServer.Location.ETS.fetch("bob")

      # The bindings go with the connection.
      stop_supervised!(bob.id)
      eventually(fn -> SipServer.Location.ETS.fetch("bob") == [] end)
      assert flow.connection > 0
    end
  end

  describe "which flow a binding has" do
    # As the transport has stamped the Via of a client at 192.0.2.1.
    defp flow(via) do
      request =
        Message.parse!("""
        REGISTER sip:example.com SIP/2.0
        Via: SIP/2.0/#{via};branch=z9hG4bK1
        From: <sip:bob@example.com>;tag=1
        To: <sip:bob@example.com>
        Call-ID: #{Message.create_call_id()}
        CSeq: 1 REGISTER
        Contact: <sip:bob@192.0.2.77>
        """)

      source = %Sippet.Flow{transport: 1, remote: {{192, 0, 2, 1}, 6000}}
      {:ok, _response} = SipServer.Registrar.register("bob", %{request | source: source})
      [%{flow: flow}] = SipServer.Location.ETS.fetch("bob")
      if flow, do: assert(flow == source)
      flow != nil
    end

    test "none where the client is where its Via says, though each Via with rport has received (RFC 3581 §4)" do
      refute flow("UDP 192.0.2.1:6000")
      refute flow("UDP 192.0.2.1:6000;received=192.0.2.1;rport=6000")
      refute flow("UDP 192.0.2.1;received=192.0.2.1;rport=5060")
      refute flow("UDP [2001:db8::1];received=2001:db8:0::1;rport=5060")
      # Without rport it has not said that it listens there, and over TCP nobody does.
      refute flow("UDP 192.0.2.1:5070")
      refute flow("TCP 192.0.2.1:5060;received=192.0.2.1;rport=6000")
      # The name may lead there.
      refute flow("UDP phone.example.com;received=192.0.2.1;rport=5060")
      refute flow("TCP phone.example.com;received=192.0.2.1")
    end

    test "the one it came by where a NAT has changed address or port" do
      assert flow("UDP 10.0.0.1:6000;received=192.0.2.1;rport=6000")
      assert flow("UDP 10.0.0.1:6000;received=192.0.2.1")
      assert flow("UDP 192.0.2.1;received=192.0.2.1;rport=6000")
      assert flow("UDP phone.example.com;received=192.0.2.1;rport=6000")
      assert flow("TCP 10.0.0.1:5060;received=192.0.2.1")
      assert flow("TLS [fd00::1];received=2001:db8::1;rport=6000")
    end

    test "the one it came by of a browser" do
      assert flow("WS a1b2.invalid;received=192.0.2.1;rport=6000")
      assert flow("WSS 192.0.2.1")
    end
  end

  describe "calls" do
    test "from UDP to a browser, which is only reached by its flow, and back within the call" do
      [alice, bob] = [Phone.start("alice", :udp), Phone.start("bob", :ws)]
      register(alice)
      register(bob)
      {uac, uas} = call(alice, bob)
      # Both sides are in the route set, each with its token.
      assert [%{host: host, userinfo: _}, %{userinfo: _}] =
               for({_name, uri, _} <- uac.route_set, do: uri)

      assert host == host()

      bye = hang_up(bob, uas, alice)
      assert Map.get(bye.headers, :route) == nil
    end

    test "from a browser to TCP" do
      [bob, carol] = [Phone.start("bob", :ws), Phone.start("carol", :tcp)]
      register(carol)
      {uac, _uas} = call(bob, carol)
      hang_up(bob, uac, carol)
    end

    test "rings at both phones of a user, and stops at the one when the other has it" do
      [alice, desk, mobile] = [
        Phone.start("alice", :udp),
        Phone.start("bob", :udp),
        Phone.start("bob", :tcp)
      ]

      for phone <- [desk, mobile], do: register(phone)
      :ok = Sippet.send(alice.stack, Phone.invite(alice, "bob"))
      {at_desk, _key} = await(desk, :request, :invite)
      {at_mobile, _key} = await(mobile, :request, :invite)
      # What is for the server goes no further (§22.3).
      refute Message.has_header?(at_desk, :proxy_authorization)
      answer(mobile, at_mobile, 180)
      await(alice, :response, 180)
      answer(desk, at_desk, 200)
      await(alice, :response, 200)
      {cancel, _key} = await(mobile, :request, :cancel)
      answer(mobile, cancel, 200)
      answer(mobile, at_mobile, 487)
    end

    test "the contact with the higher q rings first; a q that is none counts as 1" do
      [alice, first, second] = [
        Phone.start("alice", :udp),
        Phone.start("bob", :udp),
        Phone.start("bob", :udp)
      ]

      register(second, "Contact: <#{contact(second)}>;q=0.3")
      register(first, "Contact: <#{contact(first)}>;q=1e999")
      :ok = Sippet.send(alice.stack, Phone.invite(alice, "bob"))
      {request, _key} = await(first, :request, :invite)
      answer(first, request, 486)
      {request, _key} = await(second, :request, :invite)
      answer(second, request, 603)
      await(alice, :response, 603)
    end

    test "what may not be forwarded is told why" do
      [alice, bob] = [Phone.start("alice", :udp), Phone.start("bob", :udp)]

      for {phone, options, fields, status_code, sentence} <- [
            {alice, [uri: "sip:bob@example.com"], "", 480, "the user is not registered anywhere"},
            {alice, [uri: "sip:nobody@example.com"], "", 404, "this user is not known here"},
            {bob, [uri: "sip:carol@example.com", from: "alice@example.com"], "", 403,
             "From is another user than the credentials"},
            {bob, [uri: "sip:x@chicago.com", from: "eve@evil.org"], "", 403,
             "neither From nor Request-URI is of a domain of this server"},
            {alice, [uri: "sip:bob@example.com"], "Proxy-Require: foo", 420,
             "extensions that are not supported: foo"},
            {alice, [uri: "sip:bob@example.com", tagged: true],
             "Route: <sip:forged@#{host()}:5060;lr>", 403, "a Route that is not of this server"}
          ] do
        request = request(phone, "MESSAGE", options, fields)
        request = if options[:tagged], do: with_to_tag(request), else: request
        response = ask(phone, request)
        assert {status(response), reason(response)} == {status_code, sentence}
      end
    end

    test "a server elsewhere may call users of this one" do
      [trunk, bob] = [Phone.start("trunk", :udp), Phone.start("bob", :udp)]
      register(bob)

      message =
        request(trunk, "MESSAGE", [uri: "sip:bob@example.com", from: "dave@chicago.com"], "")

      :ok = Sippet.send(trunk.stack, message)
      {message, _key} = await(bob, :request, :message)
      answer(bob, message, 202)
      await(trunk, :response, 202)
    end

    test "OPTIONS to the server, and one that has no hop left, are answered" do
      alice = Phone.start("alice", :udp)
      assert "INVITE" in ask(alice, request(alice, "OPTIONS", [])).headers.allow

      options =
        Message.put_header(
          request(alice, "OPTIONS", uri: "sip:bob@chicago.com"),
          :max_forwards,
          0
        )

      assert status(ask(alice, options)) == 200
    end
  end

  defp with_to_tag(request) do
    {name, uri, _parameters} = request.headers.to
    Message.put_header(request, :to, {name, uri, %{"tag" => "1"}})
  end

  test "at a shutdown a call that rings is still answered, and no other begins" do
    [alice, bob] = [Phone.start("alice", :udp), Phone.start("bob", :udp)]
    register(bob)
    :ok = Sippet.send(alice.stack, Phone.invite(alice, "bob"))
    {rung, _key} = await(bob, :request, :invite)
    stopping = Task.async(fn -> Supervisor.stop(SipServer, :shutdown) end)
    eventually(fn -> Sippet.info(:sip_server).state == :draining end)

    {:ok, refused} = Sippet.request(alice.stack, request(alice, "OPTIONS", []))
    assert status(refused) == 503
    answer(bob, rung, 486)
    await(alice, :response, 486)
    Task.await(stopping)
  end

  test "a configuration that is wrong says what is" do
    good = [domains: ["a"], transports: [udp: 5060], users: "users.txt"]

    for name <- [:domains, :transports, :users] do
      assert_raise ArgumentError, ~r/#{name}/, fn ->
        SipServer.start_link(Keyword.delete(good, name))
      end
    end

    assert_raise ArgumentError, ~r/:sctp/, fn ->
      SipServer.start_link(Keyword.put(good, :transports, sctp: 5060))
    end

    assert_raise ArgumentError, ~r/:ports/, fn -> SipServer.start_link([ports: 1] ++ good) end

    # Timer C is more than three minutes (§16.6, item 11).
    for {name, values} <- [
          timer_c_ms: [180_000, "185000", nil],
          drain_ms: [-1, "10 s", nil],
          expires: [[min: 0], [default: 30], [max: nil], [least: 60]]
        ],
        value <- values do
      assert_raise ArgumentError, ~r/#{name}|least/, fn ->
        SipServer.start_link(Keyword.put(good, name, value))
      end
    end
  end

  describe "the port of WebSockets, asked by HTTP" do
    test "has the page, or says what is missing, and nothing else of the folder" do
      folder = Path.join(System.tmp_dir!(), "sip_server_web_#{System.pid()}")
      File.mkdir_p!(folder)
      on_exit(fn -> File.rm_rf!(folder) end)
      stop_supervised!(SipServer)
      Phone.start_server(web: folder)

      assert {503, body} = get("/")
      assert body =~ "build.sh"
      File.write!(Path.join(folder, "missing.txt"), "npm is missing\n")
      assert {503, body} = get("/")
      assert body =~ "npm is missing"

      File.write!(Path.join(folder, "index.html"), "<p>the page</p>")
      assert get("/") == {200, "<p>the page</p>"}
      assert get("/phone.json") == {200, ~s({"domain":"example.com","trace":false})}

      for path <- ["/missing.txt", "/../users.txt", "/phone.js", "/trace"],
          do: assert({404, _} = get(path))
    end

    test "without `web` it says so, and the server runs" do
      assert {503, body} = get("/")
      assert body =~ "`web`"
      assert status(register(Phone.start("bob", :ws))) == 200
    end

    test "shows the ladder to browsers of this machine that asked for this machine" do
      stop_supervised!(SipServer)
      Phone.start_server(trace: true)
      register(Phone.start("bob", :udp))
      assert {200, ladder} = get("/trace/ladder")
      assert ladder =~ "REGISTER"
      for name <- ["bob", "server"], do: assert(ladder =~ ">#{name}</text>")
      refute ladder =~ ~r/response=(&quot;|")[0-9a-f]{32}/
      assert get("/phone.json") == {200, ~s({"domain":"example.com","trace":true})}

      for host <- ["example.com", "127.0.0.1.example.com", "192.0.2.1"] do
        assert {404, ""} = get("/trace", host)
        assert get("/phone.json", host) == {200, ~s({"domain":"example.com","trace":false})}
      end
    end

    # From this machine: without a client that would tidy the path.
    defp get(path, host \\ "127.0.0.1") do
      {:ok, ip} = :inet.parse_address(String.to_charlist(host()))
      {:ok, socket} = :gen_tcp.connect(ip, 8080, [:binary, active: false])
      :ok = :gen_tcp.send(socket, "GET #{path} HTTP/1.1\r\nHost: #{host}\r\n\r\n")
      [head, body] = socket |> read("") |> String.split("\r\n\r\n", parts: 2)
      ["HTTP/1.1", status | _] = String.split(head, " ")
      assert head =~ ~r/content-security-policy: default-src 'none'/i
      {String.to_integer(status), body}
    end

    defp read(socket, text) do
      case :gen_tcp.recv(socket, 0, 5_000) do
        {:ok, more} -> read(socket, text <> more)
        {:error, :closed} -> text
      end
    end
  end
end
