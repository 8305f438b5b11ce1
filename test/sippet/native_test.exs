defmodule Sippet.NativeTest do
  use ExUnit.Case, async: true

  alias Sippet.{Message, Native, ParseError, URI, WriteError}
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Test.Terms

  defp parse!(text) do
    assert {:ok, message} = Native.parse(text, :whole, :lenient, nil)
    message
  end

  # One header field, in a request that has no other.
  defp header!(line) do
    message = parse!("OPTIONS sip:biloxi.com SIP/2.0\r\n" <> line <> "\r\n\r\n")
    assert message.defects == []
    assert [{key, value}] = Map.to_list(message.headers)
    {key, value}
  end

  defp sip(fields), do: struct!(%URI{scheme: "sip", port: 5060}, fields)

  test "the library loads, and is the one of this version of the application" do
    assert Native.version() == to_string(Application.spec(:sippet, :vsn))
  end

  describe "lists of reasons" do
    test "the reasons of ParseError are those of the native code" do
      assert Enum.sort(ParseError.reasons()) == Enum.sort(Native.parse_reasons())
    end

    test "the reasons of WriteError are those of the native code" do
      assert Enum.sort(WriteError.reasons()) == Enum.sort(Native.write_reasons())
    end
  end

  describe "a whole message" do
    @invite "INVITE sip:bob@biloxi.com SIP/2.0\r\n" <>
              "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds\r\n" <>
              "Max-Forwards: 70\r\n" <>
              "To: Bob <sip:bob@biloxi.com>\r\n" <>
              "From: Alice <sip:alice@atlanta.com>;tag=1928301774\r\n" <>
              "Call-ID: a84b4c76e66710@pc33.atlanta.com\r\n" <>
              "CSeq: 314159 INVITE\r\n" <>
              "Contact: <sip:alice@pc33.atlanta.com>\r\n" <>
              "Content-Type: application/sdp\r\n" <>
              "Content-Length: 4\r\n" <>
              "\r\n" <>
              "v=0\n"

    test "a request has the documented terms (§24.2, F1)" do
      assert parse!(@invite) == %Message{
               start_line: %RequestLine{
                 method: :invite,
                 request_uri:
                   sip(authority: "bob@biloxi.com", userinfo: "bob", host: "biloxi.com"),
                 version: {2, 0}
               },
               headers: %{
                 via: [
                   {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bK776asdhds"}}
                 ],
                 max_forwards: 70,
                 to:
                   {"Bob", sip(authority: "bob@biloxi.com", userinfo: "bob", host: "biloxi.com"),
                    %{}},
                 from:
                   {"Alice",
                    sip(authority: "alice@atlanta.com", userinfo: "alice", host: "atlanta.com"),
                    %{"tag" => "1928301774"}},
                 call_id: "a84b4c76e66710@pc33.atlanta.com",
                 cseq: {314_159, :invite},
                 contact: [
                   {"",
                    sip(
                      authority: "alice@pc33.atlanta.com",
                      userinfo: "alice",
                      host: "pc33.atlanta.com"
                    ), %{}}
                 ],
                 content_type: {{"application", "sdp"}, %{}},
                 content_length: 4
               },
               body: "v=0\n",
               target: nil,
               source: nil,
               defects: []
             }
    end

    test "a response has a status line (§7.2)" do
      assert parse!("SIP/2.0 486 Busy Here\r\n\r\n") == %Message{
               start_line: %StatusLine{
                 status_code: 486,
                 reason_phrase: "Busy Here",
                 version: {2, 0}
               },
               headers: %{},
               body: ""
             }
    end

    test "the body is nil without an empty line" do
      assert parse!("SIP/2.0 200 OK\r\nl: 0\r\n").body == nil
    end

    test "what was parsed is written and parsed to the same term" do
      message = parse!(@invite)
      assert {:ok, text} = Native.write(message)
      assert parse!(text) == message
    end

    test "an unknown method or protocol stays a string, as it came" do
      message =
        parse!(
          "Frobnicate sip:a SIP/2.0\r\nVia: SIP/2.0/Carrier h;branch=b\r\nCSeq: 1 Frobnicate\r\n\r\n"
        )

      assert message.start_line.method == "Frobnicate"
      assert message.headers.cseq == {1, "Frobnicate"}
      assert [{{2, 0}, "Carrier", {"h", 0}, %{"branch" => "b"}}] = message.headers.via
    end

    test "no atom comes from bytes" do
      name = "x-#{System.unique_integer([:positive])}"
      before = :erlang.system_info(:atom_count)

      message =
        parse!(
          "#{name} sip:a SIP/2.0\r\n#{name}: #{name}\r\nTo: <sip:a;#{name}>;#{name}=1\r\n\r\n"
        )

      assert message.headers[name] == [name]
      assert :erlang.system_info(:atom_count) == before
    end
  end

  describe "header fields have the documented terms" do
    # The examples are those of the sections named, or follow their grammar.
    rows = [
      {"§20.1", "Accept: application/sdp;level=1, application/x-private, text/html",
       {:accept,
        [
          {{"application", "sdp"}, %{"level" => "1"}},
          {{"application", "x-private"}, %{}},
          {{"text", "html"}, %{}}
        ]}},
      {"§20.2", "Accept-Encoding: gzip;q=0.5", {:accept_encoding, [{"gzip", %{"q" => "0.5"}}]}},
      {"§20.3", "Accept-Language: da, en-gb;q=0.8",
       {:accept_language, [{"da", %{}}, {"en-gb", %{"q" => "0.8"}}]}},
      {"§20.5", "Allow: INVITE, ACK", {:allow, ["INVITE", "ACK"]}},
      {"§20.6", "Authentication-Info: nextnonce=\"47364c23432d2e131a5fb210812c\"",
       {:authentication_info, %{"nextnonce" => "47364c23432d2e131a5fb210812c"}}},
      {"§20.7", "Authorization: Digest username=\"Alice\", realm=\"atlanta.com\", nc=00000001",
       {:authorization,
        [{"Digest", %{"username" => "Alice", "realm" => "atlanta.com", "nc" => "00000001"}}]}},
      {"§20.8", "i: f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com",
       {:call_id, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6@biloxi.com"}},
      {"§20.10", "Contact: *", {:contact, "*"}},
      {"§20.11", "Content-Disposition: session;handling=optional",
       {:content_disposition, {"session", %{"handling" => "optional"}}}},
      {"§20.12", "e: gzip", {:content_encoding, ["gzip"]}},
      {"§20.13", "Content-Language: fr", {:content_language, ["fr"]}},
      {"§20.14", "Content-Length: 349", {:content_length, 349}},
      {"§20.15", "c: text/html; charset=ISO-8859-4",
       {:content_type, {{"text", "html"}, %{"charset" => "ISO-8859-4"}}}},
      {"§20.16", "CSeq: 4711 INVITE", {:cseq, {4711, :invite}}},
      {"§20.17", "Date: Sat, 13 Nov 2010 23:29:00 GMT", {:date, ~N[2010-11-13 23:29:00]}},
      {"§20.19", "Expires: 5", {:expires, 5}},
      {"§20.21", "In-Reply-To: 70710@saturn.bell-tel.com, 17320@saturn.bell-tel.com",
       {:in_reply_to, ["70710@saturn.bell-tel.com", "17320@saturn.bell-tel.com"]}},
      {"§20.22", "Max-Forwards: 6", {:max_forwards, 6}},
      {"§20.23", "Min-Expires: 60", {:min_expires, 60}},
      {"§20.24", "MIME-Version: 1.0", {:mime_version, {1, 0}}},
      {"§20.25", "Organization: Boxes by Bob", {:organization, "Boxes by Bob"}},
      {"§20.26", "Priority: emergency", {:priority, "emergency"}},
      {"§20.29", "Proxy-Require: foo", {:proxy_require, ["foo"]}},
      {"§20.32", "Require: 100rel", {:require, ["100rel"]}},
      {"§20.33", "Retry-After: 18000;duration=3600",
       {:retry_after, {18_000, "", %{"duration" => "3600"}}}},
      {"§20.33, with a comment", "Retry-After: 120 (I'm in a meeting)",
       {:retry_after, {120, "I'm in a meeting", %{}}}},
      {"§20.35", "Server: HomeServer v2", {:server, "HomeServer v2"}},
      {"§20.36", "s: Need more boxes", {:subject, "Need more boxes"}},
      {"§20.37", "k: 100rel", {:supported, ["100rel"]}},
      {"§20.38", "Timestamp: 54", {:timestamp, {54.0, 0.0}}},
      {"§20.38, with a delay", "Timestamp: 54.5 0.25", {:timestamp, {54.5, 0.25}}},
      {"§20.40", "Unsupported: foo", {:unsupported, ["foo"]}},
      {"§20.41", "User-Agent: Softphone Beta1.5", {:user_agent, "Softphone Beta1.5"}},
      {"§20.42", "Via: SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
       {:via,
        [
          {{2, 0}, :udp, {"erlang.bell-telephone.com", 5060}, %{"branch" => "z9hG4bK87asdks7"}}
        ]}},
      {"§20.42, TLS and IPv6", "v: SIP / 2.0 / TLS [2001:db8::1] ;branch=z9hG4bK1;rport",
       {:via,
        [
          {{2, 0}, :tls, {"2001:db8::1", 5061}, %{"branch" => "z9hG4bK1", "rport" => ""}}
        ]}},
      {"§20.43", "Warning: 307 isi.edu \"Session parameter 'foo' not understood\"",
       {:warning, [{307, "isi.edu", "Session parameter 'foo' not understood"}]}},
      {"RFC 3326 §2", "Reason: Q.850 ;cause=16 ;text=\"Terminated\"",
       {:reason, [{"Q.850", %{"cause" => "16", "text" => "Terminated"}}]}},
      {"another", "Subscription-State: active;expires=60",
       {"Subscription-State", ["active;expires=60"]}}
    ]

    for {section, line, expected} <- rows do
      test "#{section}: #{line}" do
        assert header!(unquote(line)) == unquote(Macro.escape(expected))
      end
    end

    test "fields that hold addresses have name, URI and parameters (§20.10, §20.30, §20.31, §20.34)" do
      biloxi = fn user ->
        sip(authority: "#{user}@biloxi.com", userinfo: user, host: "biloxi.com")
      end

      for {name, key} <- [
            {"Contact", :contact},
            {"P-Asserted-Identity", :p_asserted_identity},
            {"Record-Route", :record_route},
            {"Route", :route}
          ] do
        line = "#{name}: \"Mr. \\\"Bob\\\"\" <sip:bob@biloxi.com>;q=0.7, <sip:carol@biloxi.com>"

        assert header!(line) ==
                 {key,
                  [{"Mr. \"Bob\"", biloxi.("bob"), %{"q" => "0.7"}}, {"", biloxi.("carol"), %{}}]}
      end

      assert header!("Reply-To: Bob <sip:bob@biloxi.com>") ==
               {:reply_to, {"Bob", biloxi.("bob"), %{}}}
    end

    test "Alert-Info, Call-Info and Error-Info have a URI (§20.4, §20.9, §20.18)" do
      uri = %URI{
        scheme: "http",
        authority: "//www.example.com/sounds/moo.wav",
        userinfo: nil,
        host: nil,
        port: nil
      }

      for {name, key} <- [
            {"Alert-Info", :alert_info},
            {"Call-Info", :call_info},
            {"Error-Info", :error_info}
          ] do
        assert header!("#{name}: <http://www.example.com/sounds/moo.wav>;purpose=icon") ==
                 {key, [{uri, %{"purpose" => "icon"}}]}
      end
    end

    test "challenges and credentials (§20.27, §20.28, §20.44)" do
      for {name, key} <- [
            {"Proxy-Authenticate", :proxy_authenticate},
            {"Proxy-Authorization", :proxy_authorization},
            {"WWW-Authenticate", :www_authenticate}
          ] do
        assert header!(
                 "#{name}: Digest realm=\"atlanta.com\",\r\n qop=\"auth,auth-int\", stale=FALSE"
               ) ==
                 {key,
                  [
                    {"Digest",
                     %{"realm" => "atlanta.com", "qop" => "auth,auth-int", "stale" => "FALSE"}}
                  ]}
      end
    end

    test "each is written so that it is parsed to the same term" do
      # Content-Length is the body's, whatever the map says.
      for {_section, line, {key, value}} <- unquote(Macro.escape(rows)), key != :content_length do
        message = %Message{
          start_line: StatusLine.new(200),
          headers: %{key => value},
          body: nil
        }

        assert {:ok, text} = Native.write(message)
        assert {line, parse!(text).headers[key]} == {line, value}
      end
    end
  end

  describe "URIs" do
    test "have the pieces of the text, the scheme in lower case and the default port" do
      assert {:ok, uri} =
               Native.URI.parse("SIPS:alice:secret@[2001:db8::1];transport=tcp?subject=x")

      assert uri == %URI{
               scheme: "sips",
               userinfo: "alice:secret",
               authority: "alice:secret@[2001:db8::1]",
               parameters: ";transport=tcp",
               headers: "?subject=x",
               host: "2001:db8::1",
               port: 5061
             }

      assert Native.URI.parse("alice") == {:error, :invalid}
    end

    test "an explicit port survives as long as the authority agrees" do
      {:ok, uri} = Native.URI.parse("sip:bob@biloxi.com:5060")
      assert uri.port == 5060
      assert Native.URI.write(uri) == {:ok, "sip:bob@biloxi.com:5060"}
      assert Native.URI.write(%{uri | userinfo: "carol"}) == {:ok, "sip:carol@biloxi.com:5060"}
      assert Native.URI.write(%{uri | host: "::1"}) == {:ok, "sip:bob@[::1]"}
      assert Native.URI.write(%{uri | port: 5062}) == {:ok, "sip:bob@biloxi.com:5062"}
      assert Native.URI.write(%{uri | authority: nil}) == {:ok, "sip:bob@biloxi.com"}
    end

    test "a scheme without host and port keeps its authority" do
      {:ok, uri} = Native.URI.parse("urn:service:sos.police")
      assert %URI{scheme: "urn", authority: "service:sos.police", host: nil, port: nil} = uri
      assert Native.URI.write(uri) == {:ok, "urn:service:sos.police"}
    end

    test "text stands where a URI belongs" do
      message = %Message{
        start_line: %RequestLine{method: :bye, request_uri: "sip:bob@biloxi.com"},
        headers: %{to: {"", "tel:+12015550123", %{}}}
      }

      assert {:ok, "BYE sip:bob@biloxi.com SIP/2.0\r\n" <> rest} = Native.write(message)
      assert rest =~ "To: <tel:+12015550123>\r\n"
    end

    test "an incomplete one is refused" do
      assert {:error, %WriteError{reason: :uri}} = Native.URI.write(%URI{scheme: "sip"})
      assert {:error, %WriteError{reason: :uri}} = Native.URI.write(%URI{host: "a"})
      assert {:error, %WriteError{reason: :uri}} = Native.URI.write("no scheme")
      assert {:error, %WriteError{reason: :invalid_term}} = Native.URI.write(5060)

      assert {:error, %WriteError{reason: :invalid_term}} =
               Native.URI.write(%URI{scheme: "sip", host: "a", port: 65_536})
    end
  end

  describe "terms that are no message" do
    defp refused(fields) do
      assert {:error, %WriteError{header: header, reason: reason}} =
               Native.write(struct!(%Message{start_line: StatusLine.new(200)}, fields))

      {header, reason}
    end

    test "a header value of another shape names its field" do
      for {key, value} <- [
            via: nil,
            via: %{},
            via: [{{2, 0}, :udp, "host", %{}}],
            via: [{{2, 0}, :udp, {"host", 70_000}, %{}}],
            via: [{{2, 0}, :udp, {"host", 5060}, %{}} | :tail],
            from: {"", %{}, %{}},
            from: {:alice, "sip:a", %{}},
            to: {"", "sip:a", %{"tag" => nil}},
            to: {"", "sip:a", %{tag: "1"}},
            to: {"", "sip:a", tag: "1"},
            cseq: {-1, :invite},
            cseq: {2_147_483_648, :invite},
            cseq: "1 INVITE",
            call_id: :id,
            call_id: <<1::size(3)>>,
            content_length: -1,
            content_length: 1.0,
            max_forwards: "70",
            allow: [:invite],
            allow: "INVITE",
            contact: "sip:a",
            date: ~D[2010-11-13],
            date: %{~N[2010-02-28 00:00:00] | day: 30},
            timestamp: {-1.0, 0.0},
            warning: [{99, "a", "b"}],
            subject: ["a"]
          ] do
        assert {value, refused(headers: %{key => value})} == {value, {key, :invalid_term}}
      end

      assert refused(headers: %{"X-A" => [:a]}) == {"X-A", :invalid_term}
    end

    test "an unknown atom is refused where it names a field, a method or a protocol" do
      assert refused(headers: %{refer_to: "a"}) == {:refer_to, :unknown_header}
      assert refused(headers: %{1 => "a"}) == {1, :unknown_header}
      assert refused(headers: %{cseq: {1, :frobnicate}}) == {:cseq, :unknown_method}

      assert refused(headers: %{via: [{{2, 0}, :carrier, {"h", 0}, %{}}]}) ==
               {:via, :unknown_protocol}

      assert refused(start_line: %RequestLine{method: :x, request_uri: "sip:a"}) ==
               {:start_line, :unknown_method}

      assert refused(start_line: %RequestLine{method: :bye, request_uri: "a"}) ==
               {:start_line, :uri}
    end

    test "start line, headers and body must be of their kind" do
      assert refused(start_line: nil) == {:start_line, :invalid_term}

      assert refused(start_line: %StatusLine{status_code: 99, reason_phrase: ""}) ==
               {:start_line, :invalid_term}

      assert refused(headers: []) == {:headers, :invalid_term}
      assert refused(body: 1) == {:body, :invalid_term}
      assert {:error, %WriteError{reason: :invalid_term}} = Native.write(:message)
    end

    test "a CR, LF or NUL in a value is refused, and the field named" do
      for byte <- ["\r", "\n", "\0"] do
        assert refused(headers: %{subject: "a#{byte}b"}) == {:subject, :control_character}
        assert refused(headers: %{"X-A" => ["a#{byte}b"]}) == {"X-A", :control_character}
      end
    end
  end

  describe "errors" do
    test "tell reason, field, byte and status code" do
      text = "BYE sip:biloxi.com SIP/2.0\r\nCSeq: one BYE\r\n\r\n"
      assert {:error, %ParseError{} = error} = Native.parse(text, :whole, :lenient, nil)
      assert error.header == :cseq
      assert error.offset == 34
      assert error.status_code == 400
      assert error.reason in ParseError.reasons()
      assert Exception.message(error) =~ "(:cseq, byte 34)"
    end

    test "a bound of the caller is obeyed" do
      text = "BYE sip:biloxi.com SIP/2.0\r\nA: 1\r\nB: 2\r\n\r\n"
      limits = {65_536, 1, 8_192, 256, 64, 32, 16}

      assert {:error, %ParseError{reason: :too_many_fields, status_code: 513}} =
               Native.parse(text, :whole, :lenient, limits)

      assert {:ok, _message} = Native.parse(text, :whole, :lenient, put_elem(limits, 1, 2))
    end

    test "a malformed field that can be missed is kept as text, and is a defect" do
      message = parse!("BYE sip:biloxi.com SIP/2.0\r\nExpires: soon\r\n\r\n")
      assert message.headers == %{"Expires" => ["soon"]}
      assert [%{header: "Expires", offset: 37, reason: reason}] = message.defects
      assert reason in ParseError.reasons()

      # The value that is set later takes its place.
      assert {:ok, text} = Native.write(put_in(message.headers[:expires], 60))
      assert parse!(text).headers[:expires] == 60
      refute text =~ "soon"
    end
  end

  describe "memory" do
    test "long strings and the body refer to the datagram, short ones do not" do
      long = String.duplicate("a", 65)

      text =
        "BYE sip:b SIP/2.0\r\nSubject: #{long}\r\nCall-ID: #{String.duplicate("b", 64)}\r\n\r\n#{long}"

      message = parse!(text)
      assert :binary.referenced_byte_size(message.headers.subject) == byte_size(text)
      assert :binary.referenced_byte_size(message.body) == byte_size(text)
      assert Terms.referenced_bytes(message.headers.call_id) == 64
    end

    test "a message above 16 KiB is parsed and written like any other" do
      body = String.duplicate("0123456789abcdef", 2_000)
      message = parse!("SIP/2.0 200 OK\r\nl: 32000\r\n\r\n" <> body)
      assert message.body == body
      assert {:ok, text} = Native.write(message)
      assert parse!(text) == message
    end

    test "a message that needs much memory leaves none behind" do
      hops = Enum.map_join(1..60, ", ", &"<sip:hop#{&1}.example.com;lr>")
      text = "BYE sip:b SIP/2.0\r\nRoute: #{hops}\r\n\r\n"
      assert length(parse!(text).headers.route) == 60
      assert length(parse!("BYE sip:b SIP/2.0\r\nRoute: <sip:a>\r\n\r\n").headers.route) == 1
    end
  end
end
