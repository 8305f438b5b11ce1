defmodule Sippet.Integration.DemoTest do
  # The core of the demo, asked in texts that our own writer has no part in. Stacks have names: one test after another.
  use ExUnit.Case, async: false

  @root Path.expand("../..", __DIR__)

  setup do: start([])

  # A server, and a peer of it: its socket, its port, and where the server is.
  defp start(options) do
    options = Keyword.merge([port: 0, address: "127.0.0.1", ring_ms: 100], options)
    start_supervised!({Demo.Server, options})
    {_ip, server_port} = Demo.Server.address()
    {:ok, socket} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    :ok = :gen_udp.connect(socket, {127, 0, 0, 1}, server_port)
    {:ok, port} = :inet.port(socket)
    %{socket: socket, port: port, server: "127.0.0.1:#{server_port}"}
  end

  # The text of a request. `fields` replace or extend the usual ones; nil takes one away.
  defp request(context, method, uri, fields \\ [], body \\ "") do
    usual = [
      Via: "SIP/2.0/UDP 127.0.0.1:#{context.port};branch=z9hG4bK-#{unique()}",
      "Max-Forwards": "70",
      From: "<sip:test@127.0.0.1>;tag=from",
      To: "<sip:bob@#{context.server}>",
      "Call-ID": "call-#{unique()}",
      CSeq: "1 #{method}",
      Contact: "<sip:test@127.0.0.1:#{context.port}>",
      "Content-Length": "#{byte_size(body)}"
    ]

    fields = Keyword.merge(usual, fields)
    lines = for {name, value} <- fields, value != nil, do: "#{name}: #{value}\r\n"
    IO.iodata_to_binary(["#{method} #{uri} SIP/2.0\r\n", lines, "\r\n", body])
  end

  defp unique, do: System.unique_integer([:positive])

  defp transmit(context, text) do
    :ok = :gen_udp.send(context.socket, text)
    text
  end

  defp receive_text(context, timeout \\ 10_000) do
    {:ok, {_ip, _port, text}} = :gen_udp.recv(context.socket, 0, timeout)
    text
  end

  # The answer to a request, its start line and its header fields as they stand on the wire.
  defp ask(context, text) do
    transmit(context, text)
    receive_text(context)
  end

  defp status(text) do
    assert [_, code] = Regex.run(~r/\ASIP\/2\.0 (\d{3}) /, text)
    String.to_integer(code)
  end

  defp field(text, name) do
    case Regex.run(~r/^#{name}: ([^\r]*)\r$/m, text) do
      [_, value] -> value
      nil -> nil
    end
  end

  defp tag(to), do: ~r/;tag=([^;]+)/ |> Regex.run(to) |> List.last()

  defp body(text), do: text |> String.split("\r\n\r\n", parts: 2) |> List.last()

  # A call up to its 200, the INVITE and the 200 as texts.
  defp answered(context, fields \\ [], body \\ "") do
    invite =
      transmit(context, request(context, "INVITE", "sip:bob@#{context.server}", fields, body))

    assert status(receive_text(context)) == 100
    ringing = receive_text(context)
    assert status(ringing) == 180
    ok = receive_text(context)
    assert status(ok) == 200
    assert tag(field(ok, "To")) == tag(field(ringing, "To"))
    {invite, ok}
  end

  defp within(context, method, ok, number, fields \\ []) do
    target = ~r/<(.*)>/ |> Regex.run(field(ok, "Contact")) |> List.last()

    request(
      context,
      method,
      target,
      [To: field(ok, "To"), "Call-ID": field(ok, "Call-ID"), CSeq: "#{number} #{method}"] ++
        fields
    )
  end

  describe "OPTIONS" do
    test "is answered with what the server can do (§11.2)", context do
      answer = ask(context, request(context, "OPTIONS", "sip:#{context.server}"))
      assert status(answer) == 200
      assert field(answer, "Allow") == "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, MESSAGE"
      assert field(answer, "Accept") == "application/sdp"
    end

    test "is answered with Max-Forwards 0 too: it is where it was to go (§11)", context do
      text = request(context, "OPTIONS", "sip:#{context.server}", "Max-Forwards": "0")
      assert status(ask(context, text)) == 200
    end
  end

  describe "INVITE" do
    test "rings, is answered with SDP, and ended by a BYE (§13, §15)", context do
      {_invite, ok} = answered(context)
      assert field(ok, "Contact") == "<sip:bob@#{context.server}>"
      assert field(ok, "Content-Type") == "application/sdp"
      assert field(ok, "Content-Length") == "#{byte_size(body(ok))}"
      assert "v=0\r\n" <> _ = body(ok)

      transmit(context, within(context, "ACK", ok, 1))
      bye = ask(context, within(context, "BYE", ok, 2))
      assert {status(bye), field(bye, "CSeq")} == {200, "2 BYE"}

      again = ask(context, within(context, "BYE", ok, 3))
      assert {status(again), field(again, "CSeq")} == {481, "3 BYE"}
    end

    test "gets an answer of as many streams as the offer has (RFC 3264 §6)", context do
      offer =
        "v=0\r\no=- 7 7 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n" <>
          "m=audio 4000 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\nm=video 4002 RTP/AVP 96\r\n" <>
          "m=audio 0 RTP/AVP 0\r\n"

      {_invite, ok} = answered(context, ["Content-Type": "application/sdp"], offer)

      assert Regex.scan(~r/^m=(.*)\r$/m, body(ok), capture: :all_but_first) ==
               [["audio 9 RTP/AVP 8 0"], ["video 9 RTP/AVP 96"], ["audio 0 RTP/AVP 0"]]

      transmit(context, within(context, "ACK", ok, 1))
    end

    test "has its 2xx repeated until the ACK comes (§13.3.1.4)", context do
      {_invite, ok} = answered(context)
      assert receive_text(context, 1_000) == ok
      transmit(context, within(context, "ACK", ok, 1))
      bye = ask(context, within(context, "BYE", ok, 2))
      assert field(bye, "CSeq") == "2 BYE"
    end

    test "within its dialog is answered at once (§14.2)", context do
      {_invite, ok} = answered(context)
      transmit(context, within(context, "ACK", ok, 1))
      answer = ask(context, within(context, "INVITE", ok, 2))
      assert {status(answer), field(answer, "CSeq")} == {200, "2 INVITE"}
      assert field(answer, "To") == field(ok, "To")
      transmit(context, within(context, "ACK", ok, 2))
      assert status(ask(context, within(context, "BYE", ok, 3))) == 200
    end

    test "has a dialog: what comes out of order in it is answered 500 (§12.2.2)", context do
      {_invite, ok} = answered(context)
      transmit(context, within(context, "ACK", ok, 1))
      assert status(ask(context, within(context, "OPTIONS", ok, 5))) == 200
      assert status(ask(context, within(context, "OPTIONS", ok, 4))) == 500
      assert status(ask(context, within(context, "BYE", ok, 6))) == 200
    end

    test "is ended by a CANCEL: 200 to that, 487 to the INVITE (§9.2)", context do
      invite = transmit(context, request(context, "INVITE", "sip:bob@#{context.server}"))
      assert status(receive_text(context)) == 100
      assert status(receive_text(context)) == 180

      fields = [Via: field(invite, "Via"), "Call-ID": field(invite, "Call-ID"), Contact: nil]
      transmit(context, request(context, "CANCEL", "sip:bob@#{context.server}", fields))

      answers = Map.new([receive_text(context), receive_text(context)], &{field(&1, "CSeq"), &1})
      assert status(answers["1 CANCEL"]) == 200
      assert status(answers["1 INVITE"]) == 487
      assert field(answers["1 CANCEL"], "To") == field(answers["1 INVITE"], "To")

      ack = [Via: field(invite, "Via"), To: field(answers["1 INVITE"], "To"), CSeq: "1 ACK"]
      fields = Keyword.merge(fields, ack)
      transmit(context, request(context, "ACK", "sip:bob@#{context.server}", fields))
      # Neither the 487 again nor a 200: the next that comes is this.
      assert field(ask(context, request(context, "OPTIONS", "sip:#{context.server}")), "CSeq") ==
               "1 OPTIONS"
    end

    test "that was answered is not undone by a CANCEL (§9.2)", context do
      {invite, ok} = answered(context)
      transmit(context, within(context, "ACK", ok, 1))
      fields = [Via: field(invite, "Via"), "Call-ID": field(invite, "Call-ID"), Contact: nil]
      answer = ask(context, request(context, "CANCEL", "sip:bob@#{context.server}", fields))
      assert {status(answer), field(answer, "CSeq")} == {200, "1 CANCEL"}
      assert status(ask(context, within(context, "BYE", ok, 2))) == 200
    end

    test "and the CANCEL right behind it: always 487, whichever the core sees first", context do
      for _ <- 1..50 do
        invite = request(context, "INVITE", "sip:bob@#{context.server}")
        fields = [Via: field(invite, "Via"), "Call-ID": field(invite, "Call-ID"), Contact: nil]
        transmit(context, invite)
        transmit(context, request(context, "CANCEL", "sip:bob@#{context.server}", fields))

        final = final(context, field(invite, "Call-ID"), "1 INVITE")
        assert status(final) == 487

        ack = [Via: field(invite, "Via"), To: field(final, "To"), CSeq: "1 ACK"]
        fields = Keyword.merge(fields, ack)
        transmit(context, request(context, "ACK", "sip:bob@#{context.server}", fields))
      end
    end

    # The final response with this Call-ID and CSeq, whatever comes before it.
    defp final(context, call_id, cseq) do
      text = receive_text(context)

      if status(text) >= 200 and field(text, "Call-ID") == call_id and
           field(text, "CSeq") == cseq,
         do: text,
         else: final(context, call_id, cseq)
    end

    test "whose 2xx nobody acknowledges is ended by a BYE of the server (§13.3.1.4)" do
      :ok = stop_supervised(Demo.Server)
      context = start(ring_ms: 0, stack: [t1: 10, t2: 80])
      route = "<sip:127.0.0.1:#{context.port};lr>"
      {invite, ok} = answered(context, "Record-Route": route)
      bye = skip(context, "SIP/2.0 200 ")

      assert "BYE sip:test@127.0.0.1:#{context.port} SIP/2.0\r\n" == first_line(bye)
      assert field(bye, "From") == field(ok, "To")
      assert field(bye, "To") == field(invite, "From")
      assert field(bye, "Call-ID") == field(invite, "Call-ID")
      assert field(bye, "Route") == route
      assert field(bye, "Max-Forwards") == "70"
    end

    defp skip(context, prefix) do
      text = receive_text(context)
      if String.starts_with?(text, prefix), do: skip(context, prefix), else: text
    end

    defp first_line(text), do: ~r/\A.*\r\n/ |> Regex.run(text) |> hd()

    test "without Contact is answered 400 (§8.1.1.8)", context do
      answer = ask(context, request(context, "INVITE", "sip:bob@#{context.server}", Contact: nil))
      assert status(answer) == 400
    end
  end

  describe "requests that are odd and right" do
    test "without a tag in From, as RFC 2543 has them (RFC 4475 §3.4.1)", context do
      text = request(context, "OPTIONS", "sip:#{context.server}", From: "<sip:test@127.0.0.1>")
      answer = ask(context, text)
      assert {status(answer), field(answer, "From")} == {200, "<sip:test@127.0.0.1>"}
    end

    test "with another protocol in Via: the answer with a body has its length", context do
      via = "SIP/2.0/TCP 127.0.0.1:#{context.port};branch=z9hG4bK-#{unique()}"
      {_invite, ok} = answered(context, Via: via)
      assert field(ok, "Content-Length") == "#{byte_size(body(ok))}"
      transmit(context, within(context, "ACK", ok, 1))
    end
  end

  describe "REGISTER" do
    # Clients count on in the same Call-ID (§10.2.4).
    defp register(context, number, fields, user \\ "carol") do
      usual = [
        To: "<sip:#{user}@#{context.server}>",
        "Call-ID": "registration",
        CSeq: "#{number} REGISTER"
      ]

      ask(context, request(context, "REGISTER", "sip:#{context.server}", usual ++ fields))
    end

    # Each binding and its seconds.
    defp bindings(answer) do
      assert status(answer) == 200

      for [_, uri, seconds] <- Regex.scan(~r/<(sip:[^>]*)>;expires=(\d+)/, answer),
          into: %{},
          do: {uri, String.to_integer(seconds)}
    end

    test "adds, lists, refreshes and removes bindings (§10.3)", context do
      assert bindings(register(context, 1, Contact: nil)) == %{}

      assert bindings(register(context, 2, Contact: "<sip:carol@192.0.2.1>;expires=60")) ==
               %{"sip:carol@192.0.2.1" => 60}

      both = bindings(register(context, 3, Contact: "<sip:carol@192.0.2.2>", Expires: "120"))
      assert both["sip:carol@192.0.2.2"] == 120
      assert both["sip:carol@192.0.2.1"] in 30..60

      # The same URI by §19.1.4, spelled another way.
      again = bindings(register(context, 4, Contact: "<sip:%63arol@192.0.2.1>;expires=600"))
      assert map_size(again) == 2
      assert again["sip:%63arol@192.0.2.1"] == 600

      left = bindings(register(context, 5, Contact: "<sip:carol@192.0.2.2>;expires=0"))
      assert Map.keys(left) == ["sip:%63arol@192.0.2.1"]

      assert bindings(register(context, 6, [Contact: nil], "dave")) == %{}
      assert bindings(register(context, 7, Contact: "*", Expires: "0")) == %{}
      assert bindings(register(context, 8, Contact: nil)) == %{}
    end

    test "takes an hour where the client does not say, and for what is no number", context do
      assert bindings(
               register(context, 1,
                 Contact: "<sip:carol@192.0.2.1>, <sip:carol@192.0.2.3>;expires=soon"
               )
             ) ==
               %{"sip:carol@192.0.2.1" => 3_600, "sip:carol@192.0.2.3" => 3_600}
    end

    test "that is older than the binding changes nothing (§10.3)", context do
      register(context, 5, Contact: "<sip:carol@192.0.2.1>;expires=60")
      text = "<sip:carol@192.0.2.9>, <sip:carol@192.0.2.1>;expires=0"
      assert status(register(context, 4, Contact: text)) == 500
      assert Map.keys(bindings(register(context, 6, Contact: nil))) == ["sip:carol@192.0.2.1"]
    end

    test "with * removes only with Expires: 0 (§10.2.2)", context do
      assert status(register(context, 1, Contact: "*")) == 400
      assert status(register(context, 2, Contact: "*", Expires: "60")) == 400
    end

    test "has at most ten bindings a user", context do
      contacts = Enum.map_join(1..11, ", ", &"<sip:carol@192.0.2.#{&1}>")
      assert status(register(context, 1, Contact: contacts)) == 403
      assert bindings(register(context, 2, Contact: nil)) == %{}
    end

    test "for nobody is answered 404", context do
      text = request(context, "REGISTER", "sip:#{context.server}", To: "<sip:#{context.server}>")
      assert status(ask(context, text)) == 404
    end
  end

  describe "a MESSAGE" do
    test "of text is taken (RFC 3428 §7)", context do
      fields = ["Content-Type": "text/plain"]
      text = request(context, "MESSAGE", "sip:bob@#{context.server}", fields, "Hello")
      assert status(ask(context, text)) == 200
    end

    test "of anything else is answered 415 with Accept (§8.2.3)", context do
      fields = ["Content-Type": "application/octet-stream"]
      answer = ask(context, request(context, "MESSAGE", "sip:bob@#{context.server}", fields, "?"))
      assert {status(answer), field(answer, "Accept")} == {415, "text/plain"}
    end

    test "in an encoding is answered 415 with Accept-Encoding (§8.2.3)", context do
      fields = ["Content-Type": "text/plain", "Content-Encoding": "gzip"]
      answer = ask(context, request(context, "MESSAGE", "sip:bob@#{context.server}", fields, "?"))
      assert {status(answer), field(answer, "Accept-Encoding")} == {415, "identity"}
    end
  end

  describe "what the server refuses" do
    test "a method it knows and does not serve: 405 with Allow (§8.2.1)", context do
      answer = ask(context, request(context, "SUBSCRIBE", "sip:bob@#{context.server}"))
      assert status(answer) == 405
      assert field(answer, "Allow") =~ "INVITE"
    end

    test "a method it does not know: 501 (§21.5.2)", context do
      answer = ask(context, request(context, "DANCE", "sip:bob@#{context.server}"))
      assert status(answer) == 501
      assert field(answer, "Allow") =~ "INVITE"
    end

    test "a Request-URI of another scheme: 416 (§8.2.2.1)", context do
      assert status(ask(context, request(context, "INVITE", "tel:+12015550123"))) == 416
    end

    test "a call to nobody: 404 (§8.2.2.1)", context do
      answer = ask(context, request(context, "INVITE", "sip:#{context.server}"))
      assert status(answer) == 404
    end

    test "a request with a Route to somebody else: 483 without a hop left, else 404 (§16.3)",
         context do
      for {route, hops, expected} <- [
            {"<sip:192.0.2.1;lr>", "0", 483},
            {"<sip:192.0.2.1;lr>", "1", 404},
            {"<sip:#{context.server};lr>", "0", 200}
          ] do
        fields = [Route: route, "Max-Forwards": hops]
        answer = ask(context, request(context, "MESSAGE", "sip:bob@#{context.server}", fields))
        assert {route, status(answer)} == {route, expected}
      end
    end

    test "an extension: 420 with Unsupported (§8.2.2.3)", context do
      fields = [Require: "100rel, timer"]
      answer = ask(context, request(context, "INVITE", "sip:bob@#{context.server}", fields))
      assert {status(answer), field(answer, "Unsupported")} == {420, "100rel, timer"}
    end

    test "a request of a dialog that there is not: 481 (§12.2.2)", context do
      fields = [To: "<sip:bob@#{context.server}>;tag=gone"]

      for method <- ~w(BYE OPTIONS INVITE) do
        answer = ask(context, request(context, method, "sip:bob@#{context.server}", fields))
        assert {method, status(answer)} == {method, 481}
      end
    end
  end

  test "a caller of the demo gets through, and is told why when it does not" do
    start_supervised!({Demo.Caller, address: "127.0.0.1"})
    {_ip, port} = Demo.Server.address()
    assert Demo.Caller.call("sip:bob@127.0.0.1:#{port}") == :ok

    assert Demo.Caller.call("sip:127.0.0.1:#{port}") ==
             {:error, "the INVITE was answered 404 Not Found"}

    assert Sippet.Transaction.counters(:demo_server).core_failures == 0
    assert Sippet.Transaction.counters(:demo_caller).core_failures == 0
  end

  test "a caller whose INVITE two have answered talks to the first and hangs up on the other (§13.2.2.4)" do
    start_supervised!({Demo.Caller, address: "127.0.0.1"})
    {:ok, socket} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
    {:ok, port} = :inet.port(socket)
    call = Task.async(fn -> Demo.Caller.call("sip:bob@127.0.0.1:#{port}", talk_ms: 2_000) end)

    {invite, caller} = receive_from(socket, "INVITE")
    for tag <- ["one", "two"], do: respond(socket, caller, invite, ";tag=#{tag}", port)

    # The one is acknowledged by who waits, the other by the core; then the other BYE, and a while later the first one's.
    texts = for _ <- 1..3, do: elem(receive_from(socket, ""), 0)

    assert Enum.sort(for text <- texts, do: {method(text), tag(field(text, "To"))}) ==
             [{"ACK", "one"}, {"ACK", "two"}, {"BYE", "two"}]

    third = Enum.find(texts, &(method(&1) == "BYE"))
    respond(socket, caller, third, "", port)

    {bye, _caller} = receive_from(socket, "BYE")
    assert tag(field(bye, "To")) == "one"
    respond(socket, caller, bye, "", port)
    assert Task.await(call) == :ok
  end

  defp receive_from(socket, start) do
    {:ok, {ip, port, text}} = :gen_udp.recv(socket, 0, 10_000)
    assert String.starts_with?(text, start)
    {text, {ip, port}}
  end

  defp respond(socket, {ip, port}, request, tag, own_port) do
    lines = for name <- ~w(Via From Call-ID CSeq), do: "#{name}: #{field(request, name)}\r\n"

    :ok =
      :gen_udp.send(socket, ip, port, [
        ["SIP/2.0 200 OK\r\n", lines, "To: #{field(request, "To")}#{tag}\r\n"],
        ["Contact: <sip:bob@127.0.0.1:#{own_port}>\r\n", "Content-Length: 0\r\n\r\n"]
      ])
  end

  defp method(text), do: text |> String.split(" ", parts: 2) |> hd()

  test "a server on all addresses gives one that its peer reaches" do
    :ok = stop_supervised(Demo.Server)
    context = start(address: "0.0.0.0")
    assert {{0, 0, 0, 0}, _port} = Demo.Server.address()
    {_invite, ok} = answered(context)
    assert field(ok, "Contact") == "<sip:bob@#{context.server}>"
    transmit(context, within(context, "ACK", ok, 1))
  end

  describe "the demo" do
    defp demo(environment) do
      System.cmd("mix", ["run", "examples/demo.exs"],
        cd: @root,
        env: [{"MIX_ENV", "test"}, {"ONCE", "1"} | environment],
        stderr_to_stdout: true
      )
    end

    test "draws the ladder of a call and ends" do
      assert {output, 0} = demo([{"PORT", "0"}, {"ADDRESS", "127.0.0.1"}])
      assert output =~ ~r/^ +caller 127\.0\.0\.1:\d+ +server 127\.0\.0\.1:\d+$/m
      arrows = for [_, arrow] <- Regex.scan(~r/ms  \|(.*)\|  udp$/m, output), do: arrow

      lines =
        for arrow <- arrows do
          [_, left, text, right] = Regex.run(~r/^(<?)-+ (.*?) -+(>?)$/, arrow)
          {left <> right, text}
        end

      # A proxy says 100 where nothing has come from further on for a while (§16.2).
      assert [
               {">", "INVITE sip:bob@127.0.0.1:" <> _},
               {"<", "180 Ringing (INVITE)"},
               {"<", "200 OK (INVITE)"},
               {">", "ACK sip:bob@127.0.0.1:" <> _},
               {">", "BYE sip:bob@127.0.0.1:" <> _},
               {"<", "200 OK (BYE)"}
             ] = List.delete(lines, {"<", "100 Trying (INVITE)"})

      assert output =~ ~r"^The web phone is at http://127\.0\.0\.1:\d+/ "m
      for name <- ["alice", "bob"], do: assert(output =~ "  #{name}, password secret-#{name}\n")
    end

    test "has passwords of its own where others can reach it" do
      assert {output, 0} = demo([{"PORT", "0"}, {"ADDRESS", "0.0.0.0"}])
      assert [[_, alice], [_, bob]] = Regex.scan(~r/^  \w+, password (\S{12})$/m, output)
      assert alice != bob
    end

    test "goes on serving, with a line a message, until it is ended", context do
      demo =
        Port.open({:spawn_executable, System.find_executable("mix")}, [
          :binary,
          :stderr_to_stdout,
          :exit_status,
          line: 1_000,
          cd: @root,
          args: ["run", "examples/demo.exs"],
          env: [{~c"MIX_ENV", ~c"test"}, {~c"PORT", ~c"0"}, {~c"ADDRESS", ~c"127.0.0.1"}]
        ])

      {:os_pid, os_pid} = Port.info(demo, :os_pid)
      on_exit(fn -> System.cmd("kill", ["#{os_pid}"], stderr_to_stdout: true) end)

      [server_port] =
        Regex.run(~r/port (\d+) /, line_with(demo, "The server listens at 127.0.0.1"),
          capture: :all_but_first
        )

      {:ok, socket} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
      :ok = :gen_udp.connect(socket, {127, 0, 0, 1}, String.to_integer(server_port))
      {:ok, port} = :inet.port(socket)
      peer = %{context | socket: socket, port: port, server: "127.0.0.1:#{server_port}"}

      assert status(ask(peer, request(peer, "OPTIONS", "sip:#{peer.server}"))) == 200
      assert line_with(demo, "OPTIONS sip:") =~ "127.0.0.1 #{port}  OPTIONS sip:#{peer.server}"

      # Nobody is bob any more; then this is, and is called by a stranger.
      stranger = [From: "<sip:carol@elsewhere.example.org>;tag=from"]
      invite = request(peer, "INVITE", "sip:bob@#{peer.server}", stranger)
      assert status(ask(peer, invite)) == 480
      assert status(register_bob(peer)) == 200
      transmit(peer, request(peer, "INVITE", "sip:bob@#{peer.server}", stranger))
      forwarded = text_with(peer, "INVITE sip:test@127.0.0.1")
      transmit(peer, response(forwarded, "180 Ringing", peer))
      text_with(peer, "SIP/2.0 180 ")

      # SIGTERM: the call that rings is answered, a new one is not taken, and then it ends.
      System.cmd("kill", ["-TERM", "#{os_pid}"])
      line_with(demo, "The server stops.")
      await_refusal(peer)
      transmit(peer, response(forwarded, "200 OK", peer))
      text_with(peer, "SIP/2.0 200 ")
      assert_receive {^demo, {:exit_status, 0}}, 60_000
    end

    # What a UAS says, with its tag.
    defp response(request, line, peer) do
      [head | _] = String.split(request, "\r\n\r\n")

      kept =
        for field <- head |> String.split("\r\n") |> tl(),
            field =~ ~r/\A(Via|Record-Route|From|Call-ID|CSeq):/i,
            do: [field, "\r\n"]

      IO.iodata_to_binary([
        ["SIP/2.0 ", line, "\r\n", kept, "To: ", field(request, "To"), ";tag=bob\r\n"],
        ["Contact: <sip:test@127.0.0.1:#{peer.port}>\r\nContent-Length: 0\r\n\r\n"]
      ])
    end

    # RFC 2617 §3.2.2, with the password that the demo has printed.
    defp register_bob(peer) do
      uri = "sip:#{peer.server}"
      bob = [From: "<sip:bob@#{peer.server}>;tag=bob", To: "<sip:bob@#{peer.server}>"]
      challenge = field(ask(peer, request(peer, "REGISTER", uri, bob)), "WWW-Authenticate")
      [_, nonce] = Regex.run(~r/nonce="([^"]*)"/, challenge)
      [_, realm] = Regex.run(~r/realm="([^"]*)"/, challenge)
      ha1 = md5("bob:#{realm}:secret-bob")
      response = md5("#{ha1}:#{nonce}:00000001:c:auth:" <> md5("REGISTER:#{uri}"))

      credentials =
        ~s(Digest username="bob", realm="#{realm}", nonce="#{nonce}", uri="#{uri}", response="#{response}", ) <>
          ~s(cnonce="c", qop=auth, nc=00000001)

      ask(peer, request(peer, "REGISTER", uri, bob ++ [Authorization: credentials]))
    end

    defp md5(text), do: Base.encode16(:crypto.hash(:md5, text), case: :lower)

    defp text_with(peer, start) do
      text = receive_text(peer)
      if String.starts_with?(text, start), do: text, else: text_with(peer, start)
    end

    # What comes between the line and the drain is still answered.
    defp await_refusal(peer) do
      transmit(peer, request(peer, "OPTIONS", "sip:#{peer.server}"))
      text = text_with(peer, "SIP/2.0 ")
      unless text =~ ~r/\ASIP\/2\.0 503 /, do: await_refusal(peer)
    end

    defp line_with(port, text) do
      assert_receive {^port, {:data, {:eol, line}}}, 60_000
      if line =~ text, do: line, else: line_with(port, text)
    end

    test "says that its port is taken, and fails", context do
      assert {output, 1} = demo([{"PORT", "#{context.port}"}, {"ADDRESS", "127.0.0.1"}])

      assert output ==
               "demo: the server cannot be started: udp 127.0.0.1:#{context.port}: address already in use\n"
    end
  end
end
