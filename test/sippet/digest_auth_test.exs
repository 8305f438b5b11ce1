defmodule Sippet.DigestAuthTest do
  use ExUnit.Case, async: true

  alias Sippet.{DigestAuth, Message}

  doctest Sippet.DigestAuth

  @nonce "dcd98b7102dd2f0e8b11d0f600bfb0c093"
  @opaque_text "5ccc069c403ebaf9f0171e9517f40e41"

  @sdp Enum.map_join(
         [
           "v=0",
           "o=bob 2890844526 2890844526 IN IP4 media.biloxi.com",
           "s=-",
           "c=IN IP4 media.biloxi.com",
           "t=0 0",
           "m=audio 49170 RTP/AVP 0",
           "a=rtpmap:0 PCMU/8000",
           "m=video 51372 RTP/AVP 31",
           "a=rtpmap:31 H261/90000",
           "m=video 53000 RTP/AVP 32",
           "a=rtpmap:32 MPV/90000"
         ],
         &(&1 <> "\r\n")
       )

  # draft-smith-sipping-auth-examples-01 §3.1 to §3.6, as 1.x has them in its tests.
  for {section, parameters, body, response} <- [
        {"3.1", %{}, "", "bf57e4e0d0bffc0fbaedce64d59add5e"},
        {"3.2", %{"qop" => "auth"}, "", "89eb0059246c02b2f6ee02c7961d5ea3"},
        {"3.3", %{"qop" => "auth", "algorithm" => "MD5"}, "", "89eb0059246c02b2f6ee02c7961d5ea3"},
        {"3.4", %{"qop" => "auth", "algorithm" => "MD5-sess"}, "",
         "e4e4ea61d186d07a92c9e1f6919902e9"},
        {"3.5", %{"qop" => "auth-int", "algorithm" => "MD5"}, @sdp,
         "bdbeebb2da6adb6bca02599c2239e192"},
        {"3.6", %{"qop" => "auth-int", "algorithm" => "MD5-sess"}, @sdp,
         "91984da2d8663716e91554859c22ca70"}
      ] do
    @row {parameters, body, response}

    test "example #{section} of the authentication examples, with exactly these parameters" do
      {parameters, body, response} = @row

      challenge =
        Map.merge(parameters, %{
          "realm" => "biloxi.com",
          "nonce" => @nonce,
          "opaque" => @opaque_text
        })

      request = %{Message.build_request(:invite, "sip:bob@biloxi.com") | body: body}
      assert {:ok, request} = make_request(request, [challenge], cnonce: "0a4f113b")

      expected = %{
        "username" => "bob",
        "realm" => "biloxi.com",
        "nonce" => @nonce,
        "uri" => "sip:bob@biloxi.com",
        "response" => response,
        "opaque" => @opaque_text
      }

      counted =
        if parameters["qop"],
          do: %{"qop" => parameters["qop"], "nc" => "00000001", "cnonce" => "0a4f113b"},
          else: %{}

      assert request.headers.authorization == [
               {"Digest",
                expected |> Map.merge(counted) |> Map.merge(Map.take(parameters, ["algorithm"]))}
             ]
    end
  end

  describe "make_request/4 as in 1.x" do
    test "answers Proxy-Authenticate with Proxy-Authorization" do
      response =
        Message.build_response(407)
        |> Message.put_header(:proxy_authenticate, [{"DIGEST", challenge()}])

      assert {:ok, request} = DigestAuth.make_request(request(), response, &bob/1)
      assert [{"Digest", %{"nonce" => "n"}}] = request.headers.proxy_authorization
      refute Message.has_header?(request, :authorization)
    end

    test "returns what auth_fun refused with" do
      assert make_request(request(), [challenge()], [], fn _ -> {:error, :no_such_realm} end) ==
               {:error, :no_such_realm}

      assert make_request(request(), [challenge()], [], fn _ -> :whatever end) == :whatever
    end

    test "refuses responses without a challenge that can be answered" do
      for challenges <- [
            [],
            [Map.delete(challenge(), "realm")],
            [Map.delete(challenge(), "nonce")],
            [Map.put(challenge(), "algorithm", "AKAv1-MD5")],
            [Map.put(challenge(), "algorithm", String.duplicate("x", 10_000))],
            [Map.put(challenge(), "qop", "auth-conf")]
          ] do
        assert make_request(request(), challenges) == {:error, :invalid_auth_header}
      end

      response = Message.build_response(401)

      assert DigestAuth.make_request(request(), response, &bob/1) ==
               {:error, :invalid_auth_header}

      basic = Message.put_header(response, :www_authenticate, [{"Basic", challenge()}])
      assert DigestAuth.make_request(request(), basic, &bob/1) == {:error, :invalid_auth_header}
    end

    test "does not use a nonce twice that was refused" do
      {:ok, answered} = make_request(request(), [challenge()])
      assert make_request(answered, [challenge()]) == {:error, :unknown_nonce}
    end

    test "counts as :nc says, in eight hexadecimal digits of lower case" do
      challenge = Map.put(challenge(), "qop", "auth")

      for {nc, text} <- [{1, "00000001"}, {10, "0000000a"}, {0xFFFFFFFF, "ffffffff"}] do
        {:ok, request} = make_request(request(), [challenge], nc: nc)
        assert credentials(request)["nc"] == text
      end
    end

    test "takes auth-int where both are offered, or auth where that is wanted" do
      for qop <- ["auth,auth-int", "auth, auth-int", "auth-int auth", "AUTH,Auth-Int,token"] do
        challenge = Map.put(challenge(), "qop", qop)
        {:ok, request} = make_request(request(), [challenge])
        assert credentials(request)["qop"] == "auth-int"
        {:ok, request} = make_request(request(), [challenge], qop: "auth")
        assert credentials(request)["qop"] == "auth"
      end

      {:ok, request} =
        make_request(request(), [Map.put(challenge(), "qop", "auth-int")], qop: "auth")

      assert credentials(request)["qop"] == "auth-int"
    end

    test "gives an ACK the hash of its INVITE (§22.1)" do
      challenge = Map.put(challenge(), "qop", "auth")

      [invite, ack] =
        for method <- [:invite, :ack] do
          request = Message.build_request(method, "sip:bob@biloxi.com")
          {:ok, request} = make_request(request, [challenge], cnonce: "c")
          credentials(request)["response"]
        end

      assert invite == ack
    end

    test "hashes a body that is not there as an empty one (§22.4)" do
      challenge = Map.put(challenge(), "qop", "auth-int")

      [without, empty] =
        for body <- [nil, ""] do
          {:ok, request} = make_request(%{request() | body: body}, [challenge], cnonce: "c")
          credentials(request)["response"]
        end

      assert without == empty
    end

    test "has the Request-URI for uri, as it is written" do
      uri = "sip:bob@biloxi.com:5060;transport=udp?Subject=a%20b"
      {:ok, request} = make_request(Message.build_request(:invite, uri), [challenge()])
      assert credentials(request)["uri"] == uri
      assert Message.to_string(request) =~ ~s(uri="#{uri}")
      assert to_string(request.start_line) == "INVITE #{uri} SIP/2.0"
    end
  end

  describe "several challenges" do
    test "for one realm: the strongest, and the topmost of those that are as strong (RFC 8760 §2.4)" do
      for {offered, chosen} <- [
            {~w(SHA-256 MD5), "SHA-256"},
            {~w(MD5 SHA-256), "SHA-256"},
            {~w(MD5 MD5-sess SHA-512-256-sess SHA-256), "SHA-512-256-sess"},
            {~w(SHA-512-256 SHA-256), "SHA-512-256"},
            {~w(SHA-256 SHA-512-256), "SHA-256"},
            {~w(FOO MD5), "MD5"}
          ] do
        assert chosen(offered, []) == chosen
      end

      assert chosen(~w(MD5 SHA-256), prefer: :topmost) == "MD5"
      assert chosen(~w(SHA-512-256 SHA-256 MD5), algorithms: ["MD5", "SHA-256"]) == "SHA-256"
    end

    test "one without an algorithm is MD5 (RFC 7616 §3.3)" do
      challenges = [
        challenge(),
        Map.merge(challenge(), %{"algorithm" => "sha-256", "nonce" => "s"})
      ]

      {:ok, request} = make_request(request(), challenges)
      assert %{"nonce" => "s", "algorithm" => "sha-256"} = credentials(request)
      {:ok, request} = make_request(request(), challenges, algorithms: ["MD5"])
      assert credentials(request)["nonce"] == "n"
      refute is_map_key(credentials(request), "algorithm")
    end

    test "only what an HA1 is stored for is answered" do
      ha1 = DigestAuth.ha1("bob", "biloxi.com", "zanzibar", "MD5")
      stored = fn "biloxi.com" -> {:ok, "bob", {:ha1, %{"MD5" => ha1}}} end

      challenges =
        for name <- ["SHA-256", "MD5-sess"], do: Map.put(challenge(), "algorithm", name)

      {:ok, request} = make_request(request(), challenges, [cnonce: "c"], stored)
      {:ok, plain} = make_request(request(), tl(challenges), [cnonce: "c"], &bob/1)
      assert credentials(request) == credentials(plain)

      assert make_request(request(), [hd(challenges)], [], stored) ==
               {:error, :invalid_auth_header}
    end

    test "of proxies and servers are all answered, each realm once (§22.3)" do
      response =
        Message.parse!("""
        SIP/2.0 407 Proxy Authentication Required
        Proxy-Authenticate: Digest realm="p1", nonce="1", qop="auth"
        Proxy-Authenticate: Digest realm="p2", nonce="2", Digest realm="p1", nonce="3", algorithm=SHA-256
        Proxy-Authenticate: Digest realm="unknown", nonce="5"
        WWW-Authenticate: Digest realm="p1", nonce="4"
        """)

      auth_fun = fn realm ->
        if realm == "unknown", do: {:error, :unknown}, else: {:ok, "user of " <> realm, "x"}
      end

      {:ok, request} = DigestAuth.make_request(request(), response, auth_fun)

      assert [
               {"Digest", %{"realm" => "p1", "nonce" => "3", "username" => "user of p1"}},
               {"Digest", %{"realm" => "p2", "nonce" => "2"}}
             ] = request.headers.proxy_authorization

      assert [{"Digest", %{"realm" => "p1", "nonce" => "4"}}] = request.headers.authorization
      assert DigestAuth.make_request(request(), response, fn _ -> :none end) == :none
    end

    test "credentials for a realm are replaced, and no others" do
      request =
        Message.put_header(request(), :authorization, [
          {"Digest", %{"realm" => "other", "nonce" => "o"}},
          {"Digest", %{"realm" => "biloxi.com", "nonce" => "old"}},
          {"Basic", %{"QQ==" => ""}},
          {"digest", %{"realm" => "biloxi.com", "nonce" => "older"}}
        ])

      {:ok, request} = make_request(request, [challenge()])

      assert [
               {"Digest", %{"nonce" => "o"}},
               {"Basic", _},
               {"Digest", %{"realm" => "biloxi.com", "nonce" => "n"}}
             ] = request.headers.authorization
    end
  end

  test "credentials for other realms are counted on when a request is sent again (RFC 7616 §3.4)" do
    proxy =
      Message.build_response(407)
      |> Message.put_header(:proxy_authenticate, [
        {"Digest", %{"realm" => "p", "nonce" => "np", "qop" => "auth"}}
      ])

    {:ok, first} = DigestAuth.make_request(request(), proxy, &bob/1)
    {:ok, second} = make_request(first, [challenge()])
    [{"Digest", before}] = first.headers.proxy_authorization
    [{"Digest", after_it}] = second.headers.proxy_authorization
    assert {before["nc"], after_it["nc"]} == {"00000001", "00000002"}
    assert {before["nonce"], after_it["nonce"]} == {"np", "np"}
    refute before["response"] == after_it["response"]

    only_here = fn realm -> if realm == "biloxi.com", do: {:ok, "bob", "zanzibar"} end
    {:ok, second} = make_request(first, [challenge()], [], only_here)
    assert second.headers.proxy_authorization == first.headers.proxy_authorization
    assert %{"nonce" => "n"} = credentials(second)
  end

  describe "names" do
    test "are hashed where the server offers that (RFC 7616 §3.4.4)" do
      challenge = Map.merge(challenge(), %{"userhash" => "true", "algorithm" => "SHA-256"})
      {:ok, request} = make_request(request(), [challenge])
      assert %{"username" => hash, "userhash" => "true"} = credentials(request)
      assert hash == DigestAuth.userhash("bob", "biloxi.com", "SHA-256")
      assert Message.to_string(request) =~ "userhash=true"
    end

    test "that are not ASCII are encoded where the server says that it reads UTF-8 (RFC 5987)" do
      auth_fun = fn _realm -> {:ok, "Jäsøn Doe", "x"} end
      challenge = Map.put(challenge(), "charset", "UTF-8")
      {:ok, request} = make_request(request(), [challenge], [], auth_fun)
      assert credentials(request)["username*"] == "UTF-8''J%C3%A4s%C3%B8n%20Doe"
      refute is_map_key(credentials(request), "username")
      assert Message.to_string(request) =~ "username*=UTF-8''J%C3%A4s%C3%B8n%20Doe"

      {:ok, request} = make_request(request(), [challenge()], [], auth_fun)
      assert credentials(request)["username"] == "Jäsøn Doe"
    end

    test "are hashed in normal form C, and passwords too" do
      composed = DigestAuth.ha1("J\u00E4son", "r", "\u00E9")
      assert DigestAuth.ha1("Ja\u0308son", "r", "e\u0301") == composed
      assert DigestAuth.userhash("Ja\u0308son", "r") == DigestAuth.userhash("J\u00E4son", "r")
    end

    test "that are no UTF-8 are taken as they are" do
      auth_fun = fn _realm -> {:ok, <<"b", 0xFF>>, <<0xFE>>} end
      challenge = Map.put(challenge(), "charset", "UTF-8")
      {:ok, request} = make_request(request(), [challenge], [], auth_fun)
      ha1 = :crypto.hash(:md5, <<"b", 0xFF, ":biloxi.com:", 0xFE>>) |> Base.encode16(case: :lower)
      ha2 = :crypto.hash(:md5, "REGISTER:sip:biloxi.com") |> Base.encode16(case: :lower)
      response = :crypto.hash(:md5, "#{ha1}:n:#{ha2}") |> Base.encode16(case: :lower)
      assert %{"response" => ^response, "username" => <<"b", 0xFF>>} = credentials(request)
    end
  end

  describe "continue_request/4" do
    setup do
      challenge = Map.put(challenge(), "qop", "auth")
      {:ok, first} = make_request(request(), [challenge], cnonce: "c1")
      {:ok, first: first}
    end

    test "counts on, with a new cnonce and for the new request", %{first: first} do
      invite = Message.build_request(:invite, "sip:x@biloxi.com")
      {:ok, second} = DigestAuth.continue_request(invite, first, &bob/1, cnonce: "c2")

      {:ok, expected} =
        make_request(invite, [Map.put(challenge(), "qop", "auth")], cnonce: "c2", nc: 2)

      assert second == expected
      {:ok, third} = DigestAuth.continue_request(invite, second, &bob/1)
      assert credentials(third)["nc"] == "00000003"
      refute credentials(third)["cnonce"] == "c2"
    end

    test "takes the nextnonce of the response (§20.6)", %{first: first} do
      response =
        Message.build_response(200)
        |> Message.put_header(:authentication_info, %{"nextnonce" => "n2"})

      options = [response: response, cnonce: "c2"]
      {:ok, second} = DigestAuth.continue_request(request(), first, &bob/1, options)

      {:ok, expected} =
        make_request(
          request(),
          [Map.merge(challenge(), %{"nonce" => "n2", "qop" => "auth"})],
          cnonce: "c2"
        )

      assert second == expected
    end

    test "keeps the cnonce of a session (RFC 7616 §3.4.2)" do
      challenge = Map.merge(challenge(), %{"qop" => "auth", "algorithm" => "SHA-256-sess"})
      {:ok, first} = make_request(request(), [challenge], cnonce: "c1")
      {:ok, second} = DigestAuth.continue_request(request(), first, &bob/1)
      assert %{"cnonce" => "c1", "nc" => "00000002", "nonce" => "n"} = credentials(second)
    end

    test "goes on with hashed and encoded names" do
      for more <- [%{"userhash" => "true"}, %{"charset" => "UTF-8"}] do
        auth_fun = fn _realm -> {:ok, "Jäsøn", "x"} end
        challenge = challenge() |> Map.put("qop", "auth") |> Map.merge(more)
        {:ok, first} = make_request(request(), [challenge], [], auth_fun)
        {:ok, second} = DigestAuth.continue_request(request(), first, auth_fun, cnonce: "c")
        {:ok, expected} = make_request(request(), [challenge], [cnonce: "c", nc: 2], auth_fun)
        assert second == expected
      end
    end

    test "has nothing to go on with where there is nothing, or the count is at its end" do
      challenge = Map.put(challenge(), "qop", "auth")
      {:ok, last} = make_request(request(), [challenge], nc: 0xFFFFFFFF)

      for previous <- [request(), last, put_in(last.headers.authorization, [{"Digest", %{}}])] do
        assert DigestAuth.continue_request(request(), previous, &bob/1) ==
                 {:error, :invalid_auth_header}
      end
    end

    test "returns what auth_fun refused with", %{first: first} do
      assert DigestAuth.continue_request(request(), first, fn _ -> %{no: :user} end) == %{
               no: :user
             }
    end
  end

  describe "check_response/3" do
    # RFC 7616 §3.5: H(A2) is that of an empty method.
    test "takes the rspauth of who knows the password, and no other" do
      {:ok, request} = make_request(request(), [Map.put(challenge(), "qop", "auth")], cnonce: "c")
      hash = &(:crypto.hash(:md5, &1) |> Base.encode16(case: :lower))

      rspauth =
        hash.("#{hash.("bob:biloxi.com:zanzibar")}:n:00000001:c:auth:#{hash.(":sip:biloxi.com")}")

      info = %{"rspauth" => rspauth, "cnonce" => "c", "nc" => "00000001", "qop" => "auth"}
      response = Message.put_header(Message.build_response(200), :authentication_info, info)
      assert DigestAuth.check_response(request, response, &bob/1) == :ok

      wrong = fn _realm -> {:ok, "bob", "other"} end
      assert DigestAuth.check_response(request, response, wrong) == {:error, :wrong_rspauth}

      for rspauth <- ["", "0", String.duplicate("0", 10_000)] do
        response = put_in(response.headers.authentication_info["rspauth"], rspauth)
        assert DigestAuth.check_response(request, response, &bob/1) == {:error, :wrong_rspauth}
      end

      for response <- [
            Message.build_response(200),
            put_in(response.headers.authentication_info["cnonce"], "x")
          ] do
        assert DigestAuth.check_response(request, response, &bob/1) ==
                 {:error, :no_authentication_info}
      end

      assert DigestAuth.check_response(request, response, fn _ -> :no end) == :no
    end
  end

  describe "make_response/4" do
    test "makes one challenge by default, with 43 random characters" do
      for {status, field} <- [{401, :www_authenticate}, {407, :proxy_authenticate}] do
        {:ok, response} = DigestAuth.make_response(with_to(), status, "r")
        assert response.start_line.status_code == status
        assert [{"Digest", challenge}] = response.headers[field]
        assert %{"algorithm" => "MD5", "qop" => "auth", "realm" => "r"} = challenge
        assert {byte_size(challenge["nonce"]), byte_size(challenge["opaque"])} == {43, 43}
        assert map_size(challenge) == 5
      end
    end

    test "makes a challenge for each algorithm, in their order" do
      options = [algorithm: ["SHA-256", "MD5"], stale: true, qop: nil]
      {:ok, response} = DigestAuth.make_response(with_to(), 401, "r", options)

      assert [
               {"Digest", %{"algorithm" => "SHA-256", "stale" => "true"} = challenge},
               {"Digest", %{"algorithm" => "MD5"}}
             ] = response.headers.www_authenticate

      refute is_map_key(challenge, "qop")
    end

    test "is for 401 and 407 and a realm" do
      assert_raise FunctionClauseError, fn -> DigestAuth.make_response(with_to(), 403, "r") end
      assert_raise FunctionClauseError, fn -> DigestAuth.make_response(with_to(), 401, nil) end
    end
  end

  # RFC 3261 §25.1, RFC 7616 §3.3 to §3.5.
  test "parameters are written with the quotes that the grammar has, and read back" do
    challenge = %{
      "realm" => "a \"b\" \\ c",
      "nonce" => "n",
      "domain" => "sip:a",
      "opaque" => "o",
      "stale" => "true",
      "algorithm" => "SHA-256",
      "qop" => "auth",
      "charset" => "UTF-8",
      "userhash" => "true"
    }

    credentials = %{
      "username" => "bob",
      "username*" => "UTF-8''J%C3%A4s",
      "realm" => "r",
      "nonce" => "n",
      "uri" => "sip:a",
      "response" => "0a",
      "algorithm" => "MD5",
      "cnonce" => "c",
      "opaque" => "",
      "qop" => "auth",
      "nc" => "00000001",
      "userhash" => "true"
    }

    info = %{
      "nextnonce" => "n",
      "qop" => "auth",
      "rspauth" => "0a",
      "cnonce" => "c",
      "nc" => "00000001"
    }

    quoted = ~w(realm nonce domain opaque username uri response cnonce nextnonce rspauth)

    for {field, name, parameters, quoted} <- [
          {:www_authenticate, "WWW-Authenticate", challenge, ["qop" | quoted]},
          {:proxy_authenticate, "Proxy-Authenticate", challenge, ["qop" | quoted]},
          {:authorization, "Authorization", credentials, quoted},
          {:proxy_authorization, "Proxy-Authorization", credentials, quoted},
          {:authentication_info, "Authentication-Info", info, quoted}
        ] do
      value = if field == :authentication_info, do: parameters, else: [{"Digest", parameters}]
      message = Message.put_header(Message.build_response(200), field, value)
      text = Message.to_string(message)
      [_, line] = Regex.run(~r/^#{name}: (?:Digest )?(.*)\r$/m, text)

      for {name, value} <- parameters do
        value = value |> String.replace("\\", "\\\\") |> String.replace("\"", "\\\"")
        expected = if name in quoted, do: ~s(#{name}="#{value}"), else: "#{name}=#{value}"
        assert ", #{line}, " =~ ", #{expected}, "
      end

      assert Message.parse!(text).headers[field] == value
    end
  end

  test "what comes from the network never raises" do
    values = [
      "",
      "\"",
      "ÿ",
      <<0xFF, 0xFE>>,
      String.duplicate("x", 10_000),
      "true",
      "-1",
      "auth",
      "MD5"
    ]

    names = ~w(realm nonce opaque qop algorithm stale userhash charset domain x)

    for name <- names, value <- values, name2 <- names, value2 <- ["", <<0xFF>>, "true"] do
      challenge = Map.merge(challenge(), %{name => value, name2 => value2})

      assert match?({:ok, _}, make_request(request(), [challenge])) or
               make_request(request(), [challenge]) == {:error, :invalid_auth_header}
    end
  end

  test "mistakes of the caller's raise, and show no secret" do
    for {options, text} <- [
          {[nonce: "1"], ~r/unknown option :nonce/},
          {[nc: 0], ~r/:nc/},
          {[cnonce: 1], ~r/:cnonce/},
          {[algorithms: ["MD4"]], ~r/MD4/},
          {[prefer: :weakest], ~r/:prefer/}
        ] do
      assert_raise ArgumentError, text, fn -> make_request(request(), [challenge()], options) end
    end

    error =
      assert_raise ArgumentError, fn ->
        make_request(request(), [challenge()], [], fn _ -> {:ok, "bob", {"s3cret"}} end)
      end

    refute Exception.message(error) =~ "s3cret"
    assert_raise ArgumentError, ~r/MD4/, fn -> DigestAuth.ha1("a", "b", "c", "MD4") end
  end

  defp bob(_realm), do: {:ok, "bob", "zanzibar"}

  defp request, do: Message.build_request(:register, "sip:biloxi.com")

  defp with_to,
    do: Message.put_header(request(), :to, {"", Sippet.URI.parse!("sip:bob@biloxi.com"), %{}})

  defp challenge, do: %{"realm" => "biloxi.com", "nonce" => "n"}

  defp make_request(request, challenges, options \\ [], auth_fun \\ &bob/1) do
    challenges = Enum.map(challenges, &{"Digest", &1})
    response = Message.put_header(Message.build_response(401), :www_authenticate, challenges)
    DigestAuth.make_request(request, response, auth_fun, options)
  end

  defp chosen(offered, options) do
    challenges = for name <- offered, do: Map.put(challenge(), "algorithm", name)
    {:ok, request} = make_request(request(), challenges, options)
    credentials(request)["algorithm"]
  end

  defp credentials(request) do
    [{"Digest", credentials}] = request.headers.authorization
    credentials
  end
end
