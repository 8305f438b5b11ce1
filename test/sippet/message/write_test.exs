defmodule Sippet.Message.WriteTest do
  # What Sippet.Message.to_iodata/1 and to_string/1 make of messages.
  use ExUnit.Case, async: true

  alias Sippet.{Message, URI}

  @branch "z9hG4bK776asdhds"

  defp request(headers \\ %{}),
    do: %{Message.build_request(:invite, "sip:bob@biloxi.com") | headers: headers}

  # The lines of a message, without the empty one and the body.
  defp lines(message) do
    [head, _body] = message |> Message.to_string() |> String.split("\r\n\r\n", parts: 2)
    String.split(head, "\r\n")
  end

  test "a request made by hand is written, without Max-Forwards and with the body nil" do
    message =
      request(%{
        via: [{{2, 0}, :udp, {"pc33.atlanta.com", 5066}, %{"branch" => @branch}}],
        from: {"Alice", URI.parse!("sip:alice@atlanta.com"), %{"tag" => "1928301774"}},
        to: {"", URI.parse!("sip:bob@biloxi.com"), %{}},
        call_id: "a84b4c76e66710",
        cseq: {314_159, :invite}
      })

    assert hd(lines(message)) == "INVITE sip:bob@biloxi.com SIP/2.0"

    assert Enum.sort(tl(lines(message))) == [
             "CSeq: 314159 INVITE",
             "Call-ID: a84b4c76e66710",
             "Content-Length: 0",
             "From: \"Alice\" <sip:alice@atlanta.com>;tag=1928301774",
             "To: <sip:bob@biloxi.com>",
             "Via: SIP/2.0/UDP pc33.atlanta.com:5066;branch=z9hG4bK776asdhds"
           ]

    assert to_string(message) == Message.to_string(message)
    assert IO.iodata_to_binary(Message.to_iodata(message)) == Message.to_string(message)
  end

  test "proxies find what they need first (§7.3.1)" do
    uri = URI.parse!("sip:a.example;lr")

    message =
      request(%{
        :user_agent => "x",
        :max_forwards => 70,
        :proxy_require => ["foo"],
        :route => [{"", uri, %{}}],
        :record_route => [{"", uri, %{}}],
        :contact => "*",
        :via => [{{2, 0}, :udp, {"a.example", 5066}, %{"branch" => @branch}}],
        "Aaa" => ["1"]
      })

    names = message |> lines() |> tl() |> Enum.map(&hd(String.split(&1, ":")))

    assert Enum.take(names, 5) == [
             "Via",
             "Route",
             "Record-Route",
             "Proxy-Require",
             "Max-Forwards"
           ]
  end

  # The values of a header field, on however many lines they stand: that means the same (§7.3.1).
  defp values(message, name) do
    for line <- lines(message),
        [^name, value] <- [String.split(line, ": ", parts: 2)],
        reduce: "" do
      "" -> value
      values -> values <> ", " <> value
    end
  end

  test "several values of a header field keep their order" do
    via = fn host, parameters -> {{2, 0}, :tcp, {host, 5070}, parameters} end

    message =
      request(%{
        via: [
          via.("b.example", %{"branch" => "z9hG4bK2"}),
          via.("a.example", %{"branch" => "z9hG4bK1"})
        ],
        supported: ["timer", "path"]
      })

    assert values(message, "Via") ==
             "SIP/2.0/TCP b.example:5070;branch=z9hG4bK2, SIP/2.0/TCP a.example:5070;branch=z9hG4bK1"

    assert values(message, "Supported") == "timer, path"
  end

  test "a parameter without a value has no equals sign" do
    message =
      request(%{
        via: [{{2, 0}, :udp, {"a.example", 5070}, %{"branch" => "z9hG4bK1", "rport" => ""}}]
      })

    assert values(message, "Via") == "SIP/2.0/UDP a.example:5070;branch=z9hG4bK1;rport"
  end

  test "several Reason values come back in their order, their text quoted" do
    text =
      "SIP/2.0 487 Request Terminated\nReason: SIP;cause=200\nReason: Q.850;cause=16;text=\"Terminated\"\n"

    assert text |> Message.parse!() |> values("Reason") ==
             "SIP;cause=200, Q.850;cause=16;text=\"Terminated\""
  end

  test "Content-Length counts bytes" do
    assert "Content-Length: 7" in lines(%{request() | body: "é\r\n日"})
  end

  test "an IPv6 host has brackets" do
    message = request(%{via: [{{2, 0}, :udp, {"2001:db8::9", 5066}, %{"branch" => @branch}}]})
    assert "Via: SIP/2.0/UDP [2001:db8::9]:5066;branch=#{@branch}" in lines(message)
  end

  test "several values of an unknown header field are several lines" do
    message = request(%{"X-Vendor" => ["a", "b, c"]})
    assert "X-Vendor: a" in lines(message)
    assert "X-Vendor: b, c" in lines(message)
  end

  test "a typed value replaces the raw one that was malformed" do
    message =
      "OPTIONS sip:a.example SIP/2.0\r\nDate: yesterday\r\n\r\n"
      |> Message.parse!()
      |> Message.put_header(:date, ~N[2010-11-13 23:29:00])

    assert Enum.filter(lines(message), &(&1 =~ ~r/date/i)) == [
             "Date: Sat, 13 Nov 2010 23:29:00 GMT"
           ]
  end

  test "what holds a CR, LF or NUL is refused and the header field named" do
    uri = URI.parse!("sip:a.example")

    for bad <- ["a\r\nVia: b", "a\nb", "a\rb", "a\0b"],
        {header, value} <- [
          {:subject, bad},
          {:call_id, bad},
          {:supported, [bad]},
          {:from, {bad, uri, %{}}},
          {:to, {"", uri, %{"tag" => bad}}},
          {:to, {"", uri, %{bad => "x"}}},
          {:contact, [{"", %{uri | userinfo: bad}, %{}}]},
          {:via, [{{2, 0}, :udp, {bad, 5060}, %{}}]},
          {:via, [{{2, 0}, bad, {"a.example", 5060}, %{}}]},
          {:cseq, {1, bad}},
          {:warning, [{307, "a.example", bad}]},
          {:authorization, [{"Digest", %{"realm" => bad}}]},
          {"X-Vendor", [bad]}
        ] do
      error =
        assert_raise(ArgumentError, fn -> Message.to_string(request(%{header => value})) end)

      assert error.message =~ inspect(header)
    end

    assert_raise ArgumentError, fn -> Message.to_string(request(%{"X\r\nY" => ["a"]})) end

    assert_raise ArgumentError, fn ->
      Message.to_string(Message.build_response(200, "OK\r\nVia: x"))
    end
  end

  test "what has not the documented shape is refused and the header field named" do
    for {header, value} <- [
          {:cseq, 1},
          {:cseq, {"1", :invite}},
          {:cseq, {1, :nothing}},
          {:from, "sip:a.example"},
          {:via, {{2, 0}, :udp, {"a.example", 5060}, %{}}},
          {:supported, "path"},
          {:supported, ["path" | "x"]},
          {:max_forwards, -1},
          {:subject, nil},
          {:refer_to, "sip:a.example"},
          {"X-Vendor", [:a]}
        ] do
      error =
        assert_raise(ArgumentError, fn -> Message.to_string(request(%{header => value})) end)

      assert error.message =~ inspect(header)
    end

    assert_raise ArgumentError, fn -> Message.to_string(%Message{}) end
    assert_raise ArgumentError, fn -> Message.to_string(%{request() | headers: nil}) end
    assert_raise ArgumentError, fn -> Message.to_string(%{request() | body: :x}) end
  end

  test "every documented shape comes back equal" do
    uri = URI.parse!("sip:alice@atlanta.com;transport=tcp")

    address =
      {"A \"quoted\\\" näme", uri, %{"tag" => "x", "flag" => "", "odd" => "a;b,c=\"d\" <e>\\"}}

    digest =
      {"Digest", %{"realm" => "a \"b\"", "nonce" => "c,d", "qop" => "auth", "algorithm" => "MD5"}}

    headers = %{
      :accept => [{{"application", "sdp"}, %{"level" => "1"}}, {{"*", "*"}, %{}}],
      :accept_encoding => [{"gzip", %{"q" => "0.5"}}],
      :accept_language => [{"da", %{}}, {"en-gb", %{"q" => "0.8"}}],
      :alert_info => [{URI.parse!("http://www.example.com/sounds/moo.wav"), %{}}],
      :allow => ["INVITE", "foo"],
      :authentication_info => %{
        "nextnonce" => "47364c23432d2e131a5fb210812c",
        "qop" => "auth",
        "nc" => "00000001"
      },
      :authorization => [digest],
      :call_id => "a84b4c76e66710@pc33.atlanta.com",
      :call_info => [
        {URI.parse!("http://www.example.com/alice/photo.jpg"), %{"purpose" => "icon"}}
      ],
      :contact => [address, {"", URI.parse!("tel:+1-201-555-0123"), %{}}],
      :content_disposition => {"session", %{"handling" => "optional"}},
      :content_encoding => ["gzip"],
      :content_language => ["fr"],
      :content_length => 4,
      :content_type => {{"multipart", "mixed"}, %{"boundary" => "a b"}},
      :cseq => {2_147_483_647, "FOO"},
      :date => ~N[2010-11-13 23:29:00],
      :error_info => [{URI.parse!("sip:not-in-service-recording@atlanta.com"), %{}}],
      :expires => 0,
      :from => address,
      :in_reply_to => ["70710@saturn.bell-tel.com"],
      :max_forwards => 70,
      :mime_version => {1, 0},
      :min_expires => 60,
      :organization => "Boxes by Bob",
      :p_asserted_identity => [address],
      :priority => "emergency",
      :proxy_authenticate => [digest, {"Basic", %{"realm" => "x"}}],
      :proxy_authorization => [digest],
      :proxy_require => ["foo"],
      :reason => [{"SIP", %{"cause" => "200", "text" => "Call completed elsewhere"}}],
      :record_route => [{"", URI.parse!("sip:p1.example.com;lr"), %{}}],
      :reply_to => address,
      :require => ["100rel"],
      :retry_after => {120, "in a (meeting)", %{"duration" => "60"}},
      :route => [{"", URI.parse!("sip:[2001:db8::1]:5060;lr"), %{}}],
      :server => "HomeServer v2",
      :subject => "",
      :supported => ["100rel", "path"],
      :timestamp => {54.25, 0.5},
      :to => {"", uri, %{}},
      :unsupported => ["foo"],
      :user_agent => "Softphone Beta1.5",
      :via => [
        {{2, 0}, :tls, {"2001:db8::9", 5061},
         %{"branch" => @branch, "received" => "2001:db8::9", "rport" => "9988"}},
        {{2, 0}, :udp, {"a.example", 5060}, %{"branch" => "z9hG4bK2", "rport" => ""}}
      ],
      :warning => [{307, "isi.edu:5060", "Session \"foo\" not \\ understood"}],
      :www_authenticate => [digest],
      "Session-Expires" => ["90;refresher=uac"],
      "X-Vendor" => ["a, b", ""]
    }

    message = %{Message.build_request("FOO", uri) | headers: headers, body: "abcd"}
    assert {:ok, again} = message |> Message.to_string() |> Message.parse(mode: :strict)
    for {key, value} <- headers, do: assert({key, again.headers[key]} == {key, value})
    assert again == message

    star = request(%{contact: "*"})
    assert Message.parse!(to_string(star)).headers.contact == "*"
  end
end
