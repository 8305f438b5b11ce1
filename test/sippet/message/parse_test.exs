defmodule Sippet.Message.ParseTest do
  # What Sippet.Message.parse/1,2 makes of bytes; values by hand from the texts of RFC 3261 and RFC 4475.
  use ExUnit.Case, async: true

  alias Sippet.{Message, ParseError, URI}
  alias Sippet.Message.{RequestLine, StatusLine}

  defp crlf(text), do: String.replace(text, "\n", "\r\n")

  defp request(fields, body \\ "") do
    crlf("""
    INVITE sip:bob@biloxi.com SIP/2.0
    Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds
    From: Alice <sip:alice@atlanta.com>;tag=1928301774
    To: Bob <sip:bob@biloxi.com>
    Call-ID: a84b4c76e66710@pc33.atlanta.com
    CSeq: 314159 INVITE
    #{fields}

    """) <> body
  end

  defp header(fields, header), do: Message.parse!(request(fields)).headers[header]

  describe "a whole message" do
    test "comes apart into start line, header fields and body" do
      assert {:ok, message} =
               Message.parse(request("Content-Type: text/plain\nContent-Length: 2", "é"))

      assert message == %Message{
               start_line: %RequestLine{
                 method: :invite,
                 request_uri: URI.parse!("sip:bob@biloxi.com"),
                 version: {2, 0}
               },
               headers: %{
                 via: [
                   {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bK776asdhds"}}
                 ],
                 from: {"Alice", URI.parse!("sip:alice@atlanta.com"), %{"tag" => "1928301774"}},
                 to: {"Bob", URI.parse!("sip:bob@biloxi.com"), %{}},
                 call_id: "a84b4c76e66710@pc33.atlanta.com",
                 cseq: {314_159, :invite},
                 content_type: {{"text", "plain"}, %{}},
                 content_length: 2
               },
               body: "é",
               target: nil,
               source: nil,
               defects: []
             }
    end

    test "may have LF for line ends and no empty line, and is iodata" do
      assert {:ok, message} =
               Message.parse([
                 "SIP/2.0 180",
                 [?\s | "Ringing\n"],
                 "CSeq: 1 INVITE\n",
                 "Subject: a\n b\n"
               ])

      assert message.start_line == %StatusLine{
               status_code: 180,
               reason_phrase: "Ringing",
               version: {2, 0}
             }

      assert message.headers == %{cseq: {1, :invite}, subject: "a b"}
      assert message.body == nil
    end

    test "has a body of no bytes where nothing follows the empty line" do
      assert Message.parse!("OPTIONS sip:a.example SIP/2.0\n\n").body == ""
      assert Message.parse!("OPTIONS sip:a.example SIP/2.0\n").body == nil
    end

    test "keeps lines of the body that look like header fields in the body" do
      message = Message.parse!(request("Content-Length: 4", "Subject: x\r\n\r\nTo: y\r\n"))
      refute is_map_key(message.headers, :subject)
      assert message.body == "Subject: x\r\n\r\nTo: y\r\n"
    end

    test "keeps the LF of its body" do
      body = "v=0\no=alice 2890844526 2890844526 IN IP4 pc33.atlanta.com\n"

      assert Message.parse!("INVITE sip:bob@biloxi.com SIP/2.0\nContent-Length: 0\n\n" <> body).body ==
               body
    end
  end

  describe "framing: :datagram" do
    test "cuts the body at Content-Length (§18.3)" do
      assert {:ok, message} =
               Message.parse(request("Content-Length: 3", "abcdef"), framing: :datagram)

      assert message.body == "abc"
    end

    test "refuses a body that is too short (§18.3)" do
      assert {:error, %ParseError{reason: :body_too_short, status_code: 400}} =
               Message.parse(request("Content-Length: 4", "abc"), framing: :datagram)
    end

    test "refuses a head that is not whole" do
      for header <- ["Via", "From", "To", "Call-ID", "CSeq"] do
        text = Regex.replace(~r/^#{header}: .*\r\n/m, request(""), "")

        assert {:error, %ParseError{reason: :missing_field, status_code: 400}} =
                 Message.parse(text, framing: :datagram)

        assert {:ok, _message} = Message.parse(text)
      end

      text = String.trim_trailing(request(""), "\r\n")

      assert {:error, %ParseError{reason: :missing_empty_line}} =
               Message.parse(text <> "\r\n", framing: :datagram)
    end

    test "takes all that follows without Content-Length (§18.3)" do
      assert {:ok, message} = Message.parse(request("Subject: a", "abc"), framing: :datagram)
      assert message.body == "abc"
    end
  end

  describe "options" do
    test "that are unknown or wrong raise and are named" do
      for {options, name} <- [
            {[framing: :stream], ":framing"},
            {[mode: :loose], ":mode"},
            {[max_fields: 0], ":max_fields"},
            {[max_line_bytes: nil], ":max_line_bytes"},
            {[max_lines: 4], ":max_lines"},
            {[:mode], ":mode"}
          ] do
        assert_raise ArgumentError, ~r/#{name}/, fn -> Message.parse("", options) end
      end
    end

    test "set the limits" do
      many = request(Enum.map_join(1..20, "\n", &"X-#{&1}: a"))
      assert {:ok, _message} = Message.parse(many, max_fields: 25)

      assert {:error, %ParseError{reason: :too_many_fields, status_code: 513}} =
               Message.parse(many, max_fields: 24)

      assert {:error, %ParseError{reason: :message_too_long}} =
               Message.parse(many, max_message_bytes: 100)

      assert {:error, %ParseError{reason: :line_too_long}} =
               Message.parse(many, max_line_bytes: 50)

      assert {:error, %ParseError{reason: :too_many_values}} =
               Message.parse(request("Supported: a, b, c"), max_values: 2)

      assert {:error, %ParseError{reason: :too_many_values}} =
               Message.parse(request("Route: <sip:a.example>, <sip:b.example>"), max_hops: 1)

      assert {:error, %ParseError{reason: :too_many_parameters}} =
               Message.parse(request("Contact: <sip:a.example>;a;b;c"), max_parameters: 2)

      assert {:error, %ParseError{reason: :too_many_folds}} =
               Message.parse(request("Subject: a\n b\n c\n d"), max_folds: 2)
    end

    test "have limits that hold without being asked for" do
      assert {:error, %ParseError{reason: :message_too_long}} =
               Message.parse(request("Subject: a", String.duplicate("a", 65_536)),
                 framing: :datagram
               )

      assert {:ok, _message} = Message.parse(request("Subject: a", String.duplicate("a", 65_536)))

      assert {:error, %ParseError{reason: :message_too_long}} =
               Message.parse(String.duplicate("a", 1_048_577))

      assert {:error, %ParseError{reason: :too_many_fields}} =
               Message.parse(request(Enum.map_join(1..257, "\n", fn _ -> "a: b" end)))
    end

    test "choose what a malformed header field costs" do
      text = request("Date: yesterday")
      assert {:ok, message} = Message.parse(text)
      assert message.headers["Date"] == ["yesterday"]
      refute is_map_key(message.headers, :date)
      assert [%{header: "Date", reason: :date, offset: offset}] = message.defects
      assert binary_part(text, offset, 9) == "yesterday"

      assert {:error, %ParseError{header: :date, reason: :date}} =
               Message.parse(text, mode: :strict)
    end
  end

  describe "errors" do
    test "say what and where it is, and the status code it earns" do
      for {line, header, status_code} <- [
            {"CSeq: one INVITE", :cseq, 400},
            {"Call-ID: a\nCall-ID: b", :call_id, 400},
            {"Via: SIP/2.0", :via, 400},
            {"Content-Length: 18446744073709551616", :content_length, 400},
            {"Content-Length: -1", :content_length, 400},
            {"From: \"Alice <sip:alice@atlanta.com>;tag=1", :from, 400}
          ] do
        text = crlf("OPTIONS sip:biloxi.com SIP/2.0\n#{line}\n\n")

        assert {:error, %ParseError{header: ^header, status_code: ^status_code, offset: offset}} =
                 Message.parse(text)

        assert offset in 32..byte_size(text)
      end

      assert {:error, %ParseError{header: :start_line, reason: :version, status_code: 505}} =
               Message.parse("INVITE sip:bob@biloxi.com SIP/7.0\r\n\r\n", framing: :datagram)
    end

    test "become an ArgumentError with the bytes and the reason in it" do
      {:error, error} = Message.parse("junk")

      assert_raise ArgumentError,
                   "cannot convert \"junk\" to SIP message, reason: " <> Exception.message(error),
                   fn -> Message.parse!("junk") end
    end

    test "never become an exception, whatever the bytes are" do
      for size <- [0, 1, 10, 100, 1_000, 10_000, 65_507], _ <- 1..20 do
        noise = :crypto.strong_rand_bytes(size)
        assert match?({:error, %ParseError{}}, Message.parse(noise))
        assert elem(Message.parse(request("") <> noise), 0) in [:ok, :error]
        assert elem(Message.parse("INVITE sip:a SIP/2.0\r\nVia: " <> noise), 0) in [:ok, :error]
      end
    end
  end

  describe "header fields" do
    test "that are known have the documented shapes" do
      uri = URI.parse!("sip:a.example")

      for {line, key, value} <- [
            {"Accept: application/SDP;level=1, text/*", :accept,
             [{{"application", "sdp"}, %{"level" => "1"}}, {{"text", "*"}, %{}}]},
            {"Accept-Encoding: gzip;q=0.5", :accept_encoding, [{"gzip", %{"q" => "0.5"}}]},
            {"Accept-Language: da, en-gb;q=0.8", :accept_language,
             [{"da", %{}}, {"en-gb", %{"q" => "0.8"}}]},
            {"Alert-Info: <sip:a.example>;x", :alert_info, [{uri, %{"x" => ""}}]},
            {"Allow: INVITE, ACK, foo", :allow, ["INVITE", "ACK", "foo"]},
            {"Authentication-Info: nextnonce=\"47364c23432d2e131a5fb210812c\", nc=00000001",
             :authentication_info,
             %{"nextnonce" => "47364c23432d2e131a5fb210812c", "nc" => "00000001"}},
            {"Authorization: Digest username=\"bob\", qop=auth, nc=00000001", :authorization,
             [{"Digest", %{"username" => "bob", "qop" => "auth", "nc" => "00000001"}}]},
            {"Call-Info: <sip:a.example>;purpose=icon", :call_info,
             [{uri, %{"purpose" => "icon"}}]},
            {"Contact: *", :contact, "*"},
            {"m: \"A \\\"B\\\"\" <sip:a.example>;q=0.7;expires=3600", :contact,
             [{"A \"B\"", uri, %{"q" => "0.7", "expires" => "3600"}}]},
            {"Content-Disposition: session;handling=optional", :content_disposition,
             {"session", %{"handling" => "optional"}}},
            {"e: gzip, tar", :content_encoding, ["gzip", "tar"]},
            {"Content-Language: fr", :content_language, ["fr"]},
            {"l: 0", :content_length, 0},
            {"c: text/html;charset=ISO-8859-4", :content_type,
             {{"text", "html"}, %{"charset" => "ISO-8859-4"}}},
            {"Date: Sat, 13 Nov 2010 23:29:00 GMT", :date, ~N[2010-11-13 23:29:00]},
            {"Error-Info: <sip:a.example>", :error_info, [{uri, %{}}]},
            {"Expires: 4294967295", :expires, 4_294_967_295},
            {"In-Reply-To: 70710@saturn.bell-tel.com, 17320@saturn.bell-tel.com", :in_reply_to,
             ["70710@saturn.bell-tel.com", "17320@saturn.bell-tel.com"]},
            {"Max-Forwards: 0070", :max_forwards, 70},
            {"MIME-Version: 1.0", :mime_version, {1, 0}},
            {"Min-Expires: 60", :min_expires, 60},
            {"Organization: Boxes by Bob", :organization, "Boxes by Bob"},
            {"P-Asserted-Identity: \"Cullen\" <sip:a.example>", :p_asserted_identity,
             [{"Cullen", uri, %{}}]},
            {"Priority: emergency", :priority, "emergency"},
            {"Proxy-Authenticate: Digest realm=\"atlanta.com\", qop=\"auth,auth-int\"",
             :proxy_authenticate,
             [{"Digest", %{"realm" => "atlanta.com", "qop" => "auth,auth-int"}}]},
            {"Proxy-Authorization: Digest realm=\"atlanta.com\"", :proxy_authorization,
             [{"Digest", %{"realm" => "atlanta.com"}}]},
            {"Proxy-Require: foo", :proxy_require, ["foo"]},
            {"Reason: SIP;cause=200;text=\"Call completed elsewhere\"", :reason,
             [{"SIP", %{"cause" => "200", "text" => "Call completed elsewhere"}}]},
            {"Record-Route: <sip:a.example>", :record_route, [{"", uri, %{}}]},
            {"Reply-To: Bob <sip:a.example>", :reply_to, {"Bob", uri, %{}}},
            {"Require: 100rel", :require, ["100rel"]},
            {"Retry-After: 120 (I'm in a meeting);duration=60", :retry_after,
             {120, "I'm in a meeting", %{"duration" => "60"}}},
            {"Route: <sip:a.example>, <sip:a.example>", :route, [{"", uri, %{}}, {"", uri, %{}}]},
            {"Server: HomeServer v2", :server, "HomeServer v2"},
            {"s: Tech Support", :subject, "Tech Support"},
            {"k: 100rel, path", :supported, ["100rel", "path"]},
            {"Timestamp: 54", :timestamp, {54.0, 0.0}},
            {"Timestamp: 54.5 0.25", :timestamp, {54.5, 0.25}},
            {"Unsupported: foo", :unsupported, ["foo"]},
            {"User-Agent: Softphone Beta1.5", :user_agent, "Softphone Beta1.5"},
            {"Warning: 307 isi.edu \"Session parameter 'foo' not understood\"", :warning,
             [{307, "isi.edu", "Session parameter 'foo' not understood"}]},
            {"WWW-Authenticate: Digest realm=\"atlanta.com\", stale=FALSE", :www_authenticate,
             [{"Digest", %{"realm" => "atlanta.com", "stale" => "FALSE"}}]}
          ] do
        message = Message.parse!(request(line))
        assert {line, message.headers[key], message.defects} == {line, value, []}
      end
    end

    test "with a URI in Alert-Info, Call-Info and Error-Info have a struct, other schemes too" do
      [{uri, %{}}] = header("Alert-Info: <http://www.example.com/sounds/moo.wav>", :alert_info)
      assert {uri.scheme, uri.host} == {"http", nil}
      assert to_string(uri) == "http://www.example.com/sounds/moo.wav"
    end

    test "on several lines, in any case and compact, are one (§7.3.1, §7.3.3)" do
      assert header(
               "Route: <sip:a.example>\nSubject: x\nrOUTE: <sip:b.example>, <sip:c.example>",
               :route
             )
             |> Enum.map(fn {"", uri, %{}} -> uri.host end) == [
               "a.example",
               "b.example",
               "c.example"
             ]

      assert header("k: a\nSupported: b\nK: c", :supported) == ["a", "b", "c"]

      assert header("Reason: SIP;cause=200\nReason: Q.850;cause=16", :reason)
             |> Enum.map(&elem(&1, 0)) == ["SIP", "Q.850"]
    end

    test "without a typed form keep their lines as strings under the IANA spelling (§7.3.1)" do
      message =
        Message.parse!(
          request("x: 90\nsession-expires: 1800;refresher=uac\nX-Vendor: a, b\nx-vendor: c")
        )

      assert message.headers["Session-Expires"] == ["90", "1800;refresher=uac"]
      assert message.headers["X-Vendor"] == ["a, b", "c"]
      assert Message.get_header(message, "x") == ["90", "1800;refresher=uac"]
    end

    test "never make an atom" do
      name = "X-" <> Base.encode16(:crypto.strong_rand_bytes(8))

      message =
        Message.parse!(
          crlf("#{name} sip:a.example SIP/2.0\nVia: SIP/2.0/#{name} a.example;#{name}=1\n\n")
        )

      assert message.start_line.method == name
      assert [{{2, 0}, ^name, {"a.example", _port}, _parameters}] = message.headers.via
      assert_raise ArgumentError, fn -> String.to_existing_atom(name) end
      assert_raise ArgumentError, fn -> String.to_existing_atom(String.downcase(name)) end
    end

    test "have methods by case: invite is not INVITE (§7.1)" do
      message = Message.parse!("invite sip:a.example SIP/2.0\r\nCSeq: 1 invite\r\n\r\n")
      assert {message.start_line.method, message.headers.cseq} == {"invite", {1, "invite"}}
    end

    test "may hold a P-Asserted-Identity in both forms" do
      uri = URI.parse!("sip:+16135550100@example.com")

      assert header("P-Asserted-Identity: sip:+16135550100@example.com", :p_asserted_identity) ==
               [{"", uri, %{}}]

      assert header(
               "P-Asserted-Identity: \"A\" <sip:+16135550100@example.com>",
               :p_asserted_identity
             ) == [{"A", uri, %{}}]
    end

    test "in the addr-spec form give their parameters to the header field (§20)" do
      text = "OPTIONS sip:a.example SIP/2.0\r\nFrom: sip:caller@example.com;tag=323\r\n\r\n"

      assert Message.parse!(text).headers.from ==
               {"", URI.parse!("sip:caller@example.com"), %{"tag" => "323"}}
    end

    test "have no need of a space before the angle bracket (RFC 4475 §3.1.1.6)" do
      text =
        "OPTIONS sip:a.example SIP/2.0\r\nFrom: caller<sip:caller@example.com>;tag=323\r\n\r\n"

      assert Message.parse!(text).headers.from ==
               {"caller", URI.parse!("sip:caller@example.com"), %{"tag" => "323"}}
    end
  end

  describe "torture" do
    # The points of RFC 4475 §3.1.1.1: folding, odd case, spaces wherever they may be, empty and unknown header fields.
    test "in white space, folds and case makes no difference" do
      text =
        crlf("""
        INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
        TO :
         sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
        from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
          ;
          tag = 98asjd8
        MaX-fOrWaRdS: 0068
        Call-ID: wsinv.ndaksdj@192.0.2.1
        cseq: 0009
          INVITE
        Via  : SIP  /   2.0
         /UDP
            192.0.2.2;branch=390skdjuw
        s :
        NewFangledHeader:   newfangled value
         continued newfangled value
        UnknownHeaderWithUnusualValue: ;;,,;;,;
        Content-Type: application/sdp
        Route:
         <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
        v:  SIP  / 2.0  / TCP     spindle.example.com   ;
          branch  =   z9hG4bK9ikj8  ,
         SIP  /    2.0   / UDP  192.168.255.111   ; branch=
         z9hG4bK30239
        m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
              newvalue ;
          secondparam ; q = 0.33

        """)

      message = Message.parse!(text)
      assert message.defects == []
      assert message.start_line.request_uri.parameters == ";unknownparam"

      assert message.headers == %{
               :to =>
                 {"", URI.parse!("sip:vivekg@chair-dnrc.example.com"), %{"tag" => "1918181833n"}},
               :from =>
                 {"J Rosenberg \\\"", URI.parse!("sip:jdrosen@example.com"),
                  %{"tag" => "98asjd8"}},
               :max_forwards => 68,
               :call_id => "wsinv.ndaksdj@192.0.2.1",
               :cseq => {9, :invite},
               :via => [
                 {{2, 0}, :udp, {"192.0.2.2", 5060}, %{"branch" => "390skdjuw"}},
                 {{2, 0}, :tcp, {"spindle.example.com", 5060}, %{"branch" => "z9hG4bK9ikj8"}},
                 {{2, 0}, :udp, {"192.168.255.111", 5060}, %{"branch" => "z9hG4bK30239"}}
               ],
               :subject => "",
               :content_type => {{"application", "sdp"}, %{}},
               :route => [
                 {"",
                  URI.parse!("sip:services.example.com;lr;unknownwith=value;unknown-no-value"),
                  %{}}
               ],
               :contact => [
                 {"Quoted string \"\"", URI.parse!("sip:jdrosen@example.com"),
                  %{"newparam" => "newvalue", "secondparam" => "", "q" => "0.33"}}
               ],
               "NewFangledHeader" => ["newfangled value continued newfangled value"],
               "UnknownHeaderWithUnusualValue" => [";;,,;;,;"]
             }
    end

    # RFC 4475 §3.1.1.2
    test "in the bytes that tokens and quoted strings may hold makes no difference" do
      method = "!interesting-Method0123456789_*+`.%indeed'~"

      text =
        "#{method} sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)" <>
          "@example.com SIP/2.0\r\n" <>
          "To: \"BEL:\\\a NUL:\\\0 DEL:\\\d\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\r\n" <>
          "From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>" <>
          ";fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.\r\n" <>
          "CSeq: 139122385 #{method}\r\n" <>
          "extensionHeader-!.%*+_`'~: 大停電\r\n\r\n"

      message = Message.parse!(text)
      assert message.start_line.method == method
      assert message.headers.cseq == {139_122_385, method}
      assert {"BEL:\a NUL:\0 DEL:\d", _uri, %{}} = message.headers.to

      assert {"token1~` token2'+_ token3*%!.-", from,
              %{"fromparam''~+*_!.-%" => "работающий", "tag" => "_token~1'+`*%!-."}} =
               message.headers.from

      assert from == URI.parse!("sip:mundane@example.com")
      assert message.headers["extensionHeader-!.%*+_`'~"] == ["大停電"]
    end

    # RFC 4475 §3.1.1.5
    test "escapes mean nothing outside of URIs" do
      text =
        crlf("""
        RE%47IST%45R sip:registrar.example.com SIP/2.0
        To: "%Z%45" <sip:resource@example.com>
        Contact: <sip:alias1@host1.example.com>
        C%6Fntact: <sip:alias2@host2.example.com>
        Contact: <sip:alias3@host3.example.com>

        """)

      message = Message.parse!(text)
      assert message.start_line.method == "RE%47IST%45R"
      assert elem(message.headers.to, 0) == "%Z%45"

      assert Enum.map(message.headers.contact, fn {"", uri, %{}} -> uri.userinfo end) == [
               "alias1",
               "alias3"
             ]

      assert message.headers["C%6Fntact"] == ["<sip:alias2@host2.example.com>"]
    end

    # RFC 4475 §3.1.1.7
    test "in length and number makes no difference" do
      vias =
        for n <- 1..33,
            do:
              "#{Enum.at(["Via", "v", "VIA"], rem(n, 3))}: SIP/2.0/TCP host#{n}.example.com;branch=#{n}"

      name = String.duplicate("very", 50)

      text =
        "INVITE sip:user@example.com SIP/2.0\r\n" <>
          Enum.map_join(vias, &(&1 <> "\r\n")) <>
          "Unknown-#{name}-Name: unknown-#{name}-value\r\nContact: <sip:#{name}@example.com>\r\n\r\n"

      message = Message.parse!(text)

      assert Enum.map(message.headers.via, fn {_version, :tcp, {host, _port}, %{"branch" => n}} ->
               {host, n}
             end) ==
               for(n <- 1..33, do: {"host#{n}.example.com", "#{n}"})

      assert message.headers["Unknown-#{name}-Name"] == ["unknown-#{name}-value"]
      assert [{"", %URI{userinfo: ^name}, %{}}] = message.headers.contact
    end
  end
end
