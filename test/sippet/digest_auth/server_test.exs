defmodule Sippet.DigestAuth.ServerTest do
  use ExUnit.Case, async: true

  alias Sippet.{DigestAuth, DigestAuthError, Message}
  alias Sippet.DigestAuth.Server

  doctest Sippet.DigestAuthError

  @realm "biloxi.com"

  describe "a challenge" do
    test "is a 401 with one value for each algorithm, the best first (RFC 8760 §2.3)" do
      server = start()
      response = Server.challenge(server, request())
      assert response.start_line.status_code == 401
      assert [{"Digest", sha}, {"Digest", md5}] = response.headers.www_authenticate
      assert %{"algorithm" => "SHA-256", "realm" => @realm, "qop" => "auth"} = sha
      assert %{"algorithm" => "MD5", "realm" => @realm, "qop" => "auth"} = md5
      assert Enum.sort(Map.keys(sha)) == ~w(algorithm nonce qop realm)
      refute sha["nonce"] == md5["nonce"]
      assert {_, _, %{"tag" => _}} = response.headers.to
    end

    test "is a 407 for a proxy" do
      server = start(status_code: 407)
      response = Server.challenge(server, request())
      assert response.start_line.status_code == 407
      assert [_, _] = response.headers.proxy_authenticate
      refute Message.has_header?(response, :www_authenticate)
      assert {:ok, answered} = answer(request(), response)
      assert {:ok, _identity} = Server.verify(server, answered)

      as_if_to_a_server =
        answered
        |> Message.put_header(:authorization, answered.headers.proxy_authorization)
        |> Message.delete_header(:proxy_authorization)

      assert reason(Server.verify(server, as_if_to_a_server)) == :no_credentials
    end

    test "has what the options say, and is read back as it was" do
      server =
        start(
          algorithms: ["SHA-512-256-sess"],
          qop: ["auth", "auth-int"],
          domain: ["sip:a", "sip:b"],
          opaque: "o \"p\"",
          userhash: true,
          charset: true
        )

      response = server |> Server.challenge(request()) |> over_the_wire()
      assert [{"Digest", challenge}] = response.headers.www_authenticate

      assert Map.delete(challenge, "nonce") == %{
               "realm" => @realm,
               "algorithm" => "SHA-512-256-sess",
               "qop" => "auth,auth-int",
               "domain" => "sip:a sip:b",
               "opaque" => "o \"p\"",
               "userhash" => "true",
               "charset" => "UTF-8"
             }
    end

    test "is never made for ACK and CANCEL (§22.1)" do
      server = start()

      for method <- [:ack, :cancel] do
        assert_raise ArgumentError, ~r/#{method}/, fn ->
          Server.challenge(server, request(method))
        end
      end
    end
  end

  describe "credentials" do
    test "are taken with any algorithm, qop and way of storing the secret" do
      for name <- DigestAuth.algorithms(),
          qop <- [[], ["auth"], ["auth-int"], ["auth", "auth-int"]],
          stored <- [false, true] do
        credentials = fn "bob", @realm ->
          base = String.replace_suffix(name, "-sess", "")
          ha1 = DigestAuth.ha1("bob", @realm, "zanzibar", base)
          {:ok, if(stored, do: {:ha1, %{base => String.upcase(ha1)}}, else: "zanzibar"), data: 7}
        end

        server = start(algorithms: [name], qop: qop, credentials: credentials)
        request = %{request(:message) | body: "hello"}
        assert {:ok, answered} = answer(request, Server.challenge(server, request))
        assert {:ok, identity} = Server.verify(server, over_the_wire(answered))
        assert %{username: "bob", realm: @realm, algorithm: ^name, data: 7} = identity
        assert identity.qop == List.last([nil | qop])
      end
    end

    test "with a name that is hashed or encoded are taken (RFC 7616 §3.4.4, RFC 5987)" do
      credentials = fn
        {:userhash, hash, algorithm}, @realm ->
          if hash == DigestAuth.userhash("Jäsøn Doe", @realm, algorithm),
            do: {:ok, "zanzibar", username: "Jäsøn Doe"}

        "Jäsøn Doe", @realm ->
          {:ok, "zanzibar"}
      end

      for options <- [[userhash: true], [charset: true], []],
          algorithms <- [["MD5"], ["SHA-512-256"]] do
        server = start([credentials: credentials, algorithms: algorithms] ++ options)
        challenge = Server.challenge(server, request())
        {:ok, answered} = answer(request(), challenge, {"Jäsøn Doe", "zanzibar"})
        assert {:ok, %{username: "Jäsøn Doe"}} = Server.verify(server, over_the_wire(answered))
        {:ok, answered} = answer(request(), challenge, {"Jasøn Doe", "zanzibar"})

        if options[:userhash],
          do: assert(reason(Server.verify(server, answered)) == :wrong_credentials)
      end
    end

    test "of nobody and with a wrong password get the same answer" do
      asked = self()

      credentials = fn name, _realm ->
        send(asked, {:asked, name})
        if name == "bob", do: {:ok, "zanzibar"}
      end

      server = start(credentials: credentials)
      challenge = Server.challenge(server, request())

      errors =
        for user <- [{"bob", "wrong"}, {"nobody", "zanzibar"}, {"", ""}] do
          {:ok, answered} = answer(request(), challenge, user)
          assert {:error, error} = Server.verify(server, answered)
          name = elem(user, 0)
          assert_received {:asked, ^name}
          error
        end

      assert [%DigestAuthError{reason: :wrong_credentials, status_code: 401, stale: false}] =
               Enum.uniq(errors)

      assert [answer] =
               for(
                 error <- errors,
                 do: Server.challenge(server, request(), error) |> without_nonces()
               )
               |> Enum.uniq()

      assert answer == without_nonces(challenge)
    end

    test "of a user without an HA1 for the algorithm are wrong" do
      ha1 = DigestAuth.ha1("bob", @realm, "zanzibar", "MD5")

      for stored <- [
            %{"MD5" => ha1},
            %{},
            %{"SHA-256" => ha1},
            %{"SHA-256" => ""},
            %{"SHA-256" => nil}
          ] do
        server = start(credentials: fn _, _ -> {:ok, {:ha1, stored}} end, algorithms: ["SHA-256"])
        {:ok, answered} = answer(request(), Server.challenge(server, request()))
        assert reason(Server.verify(server, answered)) == :wrong_credentials
      end
    end

    test "for another realm are none" do
      server = start()
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      other = change(answered, %{"realm" => "other"})
      assert reason(Server.verify(server, other)) == :no_credentials
      assert reason(Server.verify(server, request())) == :no_credentials

      basic = Message.put_header(request(), :authorization, [{"Basic", %{"realm" => @realm}}])

      assert reason(Server.verify(server, basic)) == :no_credentials
    end

    test "are for this method, this URI and, with auth-int, this body" do
      server = start(qop: ["auth-int"])
      sent = %{request(:message) | body: "hello"}
      {:ok, answered} = answer(sent, Server.challenge(server, sent))
      assert reason(Server.verify(server, %{answered | body: "hullo"})) == :wrong_credentials
      assert reason(Server.verify(server, %{answered | body: nil})) == :wrong_credentials
      info = put_in(answered.start_line.method, :info)
      assert reason(Server.verify(server, info)) == :wrong_credentials

      elsewhere = put_in(answered.start_line.request_uri, Sippet.URI.parse!("sip:eve@biloxi.com"))
      assert {:error, error} = Server.verify(server, elsewhere)
      assert %{reason: :uri_mismatch, parameter: "uri", status_code: 400} = error
      response = Server.challenge(server, elsewhere, error)
      assert response.start_line.status_code == 400
      refute Message.has_header?(response, :www_authenticate)

      # RFC 7616 §3.4.6: equivalent, not equal.
      same = put_in(answered.start_line.request_uri, Sippet.URI.parse!("SIP:BILOXI.com"))
      assert {:ok, _} = Server.verify(server, same)
    end

    test "may be for another URI where a proxy has changed it" do
      server = start(check_uri: false)
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      moved = put_in(answered.start_line.request_uri, Sippet.URI.parse!("sip:bob@192.0.2.4"))
      assert {:ok, _} = Server.verify(server, moved)
    end

    test "with what was not offered are refused: nothing weaker is taken" do
      server = start(algorithms: ["SHA-256"])
      md5 = start(algorithms: ["MD5", "SHA-256"])

      {:ok, answered} =
        answer(request(), Server.challenge(md5, request()), nil, algorithms: ["MD5"])

      assert reason(Server.verify(server, answered)) == :algorithm
      without = drop(answered, ["algorithm"])
      assert reason(Server.verify(server, without)) == :algorithm

      sess = start(algorithms: ["SHA-256-sess"])
      {:ok, answered} = answer(request(), Server.challenge(sess, request()))
      assert reason(Server.verify(server, answered)) == :algorithm

      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      assert reason(Server.verify(server, drop(answered, ["qop", "nc", "cnonce"]))) == :qop
      assert reason(Server.verify(server, change(answered, %{"qop" => "auth-int"}))) == :qop
      no_qop = start(qop: [], algorithms: ["SHA-256"])
      assert reason(Server.verify(no_qop, answered)) == :qop
    end

    test "with the nonce of another algorithm's challenge are refused" do
      server = start()
      challenge = Server.challenge(server, request())
      [_sha, {"Digest", md5}] = challenge.headers.www_authenticate

      swapped =
        Message.put_header(challenge, :www_authenticate, [
          {"Digest", %{md5 | "algorithm" => "SHA-256"}}
        ])

      {:ok, answered} = answer(request(), swapped)
      assert reason(Server.verify(server, answered)) == :stale_nonce
    end

    test "of an ACK are those of its INVITE, however old and though they were used (§22.1)" do
      clock = clock()
      server = start(clock: read(clock), nonce_lifetime_ms: 1_000)
      invite = request(:invite)
      {:ok, invite} = answer(invite, Server.challenge(server, invite))
      assert {:ok, _} = Server.verify(server, invite)
      ack = %{request(:ack) | headers: %{request(:ack).headers | cseq: invite.headers.cseq}}
      ack = Message.put_header(ack, :authorization, invite.headers.authorization)
      assert {:ok, _} = Server.verify(server, ack)
      pass(clock, 10_000)
      assert {:ok, _} = Server.verify(server, ack)
      assert reason(Server.verify(server, change(ack, %{"cnonce" => "x"}))) == :wrong_credentials
    end

    test "that are there several times: those with the newest nonce count" do
      clock = clock()
      server = start(clock: read(clock), algorithms: ["MD5"])

      [old, new] =
        for _ <- 1..2 do
          pass(clock, 1_000)
          {:ok, answered} = answer(request(), Server.challenge(server, request()))
          [{"Digest", it}] = answered.headers.authorization
          it
        end

      for list <- [[old, new], [new, old], [new, %{old | "nonce" => "forged"}]] do
        list = Enum.map(list, &{"Digest", &1})
        request = Message.put_header(request(), :authorization, list)

        case Server.verify(server, request) do
          {:ok, identity} -> assert identity.nonce == new["nonce"]
          {:error, error} -> assert error.reason == :replayed
        end
      end
    end
  end

  describe "a nonce" do
    test "expires, which is told only to who knows the password" do
      clock = clock()
      server = start(clock: read(clock), nonce_lifetime_ms: 5_000)
      pass(clock, 1)
      challenge = Server.challenge(server, request())
      {:ok, answered} = answer(request(), challenge)
      pass(clock, 5_000)
      assert {:ok, _} = Server.verify(server, answered)
      {:ok, again} = answer(request(), challenge, nil, nc: 2)
      pass(clock, 1)
      assert {:error, error} = Server.verify(server, again)
      assert %{reason: :stale_nonce, stale: true, status_code: 401} = error

      stale = Server.challenge(server, request(), error)

      assert for({"Digest", it} <- stale.headers.www_authenticate, do: it["stale"]) ==
               ~w(true true)

      {:ok, answered} = answer(again, stale)
      assert {:ok, _} = Server.verify(server, answered)

      {:ok, wrong} = answer(request(), challenge, {"bob", "wrong"})
      assert {:error, %{reason: :wrong_credentials, stale: false}} = Server.verify(server, wrong)
    end

    test "that is forged or altered is none" do
      server = start(algorithms: ["MD5"])

      [{"Digest", %{"nonce" => nonce}}] =
        Server.challenge(server, request()).headers.www_authenticate

      altered =
        for at <- 0..39 do
          <<head::binary-size(at), char, tail::binary>> = nonce
          head <> <<if(char == ?A, do: ?B, else: ?A)>> <> tail
        end

      for nonce <-
            altered ++ ["x", nonce <> "A", String.duplicate("A", 40), String.duplicate("é", 20)] do
        challenge =
          Message.put_header(Message.build_response(401), :www_authenticate, [
            {"Digest",
             %{"realm" => @realm, "nonce" => nonce, "qop" => "auth", "algorithm" => "MD5"}}
          ])

        {:ok, answered} = answer(request(), challenge)
        assert reason(Server.verify(server, answered)) == :stale_nonce
      end
    end

    test "of another secret or realm is none; of the same it is one" do
      secret = :crypto.strong_rand_bytes(32)
      clock = clock()
      one = start(secret: secret, clock: read(clock))
      two = start(secret: fn -> secret end, clock: read(clock))
      other = start(clock: read(clock))
      pass(clock, 1)
      {:ok, answered} = answer(request(), Server.challenge(one, request()))
      assert {:ok, _} = Server.verify(two, answered)
      assert reason(Server.verify(other, answered)) == :stale_nonce
    end

    test "from before the server started is none: its counts are not known" do
      clock = clock()
      secret = :crypto.strong_rand_bytes(32)
      server = start(secret: secret, clock: read(clock))
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      assert {:ok, _} = Server.verify(server, answered)
      pass(clock, 10)
      pid = Process.whereis(server)
      monitor = Process.monitor(pid)
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, _}

      await(fn ->
        Process.whereis(server) not in [nil, pid] and :ets.whereis(server) != :undefined
      end)

      assert reason(Server.verify(server, answered)) == :stale_nonce
    end
  end

  describe "the count of a nonce" do
    setup do
      server = start()
      {:ok, server: server, challenge: Server.challenge(server, request())}
    end

    test "is taken once, and replays earn a stale challenge", context do
      {:ok, answered} = answer(request(), context.challenge)
      assert {:ok, _} = Server.verify(context.server, answered)
      assert {:error, error} = Server.verify(context.server, answered)
      assert %{reason: :replayed, stale: true, parameter: "nc"} = error
    end

    test "may overtake, by at most 63", context do
      counts = [100, 98, 99, 100, 37, 36, 38, 164, 163, 101, 100, 102, 0xFFFFFFFF, 0xFFFFFFFE]
      taken = for nc <- counts, do: use?(context, nc)

      assert taken ==
               [
                 true,
                 true,
                 true,
                 false,
                 true,
                 false,
                 true,
                 true,
                 true,
                 true,
                 false,
                 true,
                 true,
                 true
               ]
    end

    test "is taken once by many processes at a time", context do
      answers =
        for nc <- 1..50 do
          {:ok, answered} = answer(request(), context.challenge, nil, nc: nc)
          answered
        end

      results =
        (answers ++ answers ++ answers)
        |> Enum.shuffle()
        |> Task.async_stream(&Server.verify(context.server, &1), max_concurrency: 16)
        |> Enum.map(fn {:ok, result} -> result end)

      assert Enum.count(results, &match?({:ok, _}, &1)) == 50
      assert Enum.count(results, &match?({:error, %{reason: :replayed}}, &1)) == 100
    end

    test "is one where there is no qop: such a nonce is good once" do
      server = start(qop: [])
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      assert {:ok, identity} = Server.verify(server, answered)
      assert {:error, %{reason: :replayed}} = Server.verify(server, answered)

      response = Server.put_authentication_info(server, Message.build_response(200), identity)
      assert Map.keys(response.headers.authentication_info) == ["nextnonce"]
      {:ok, next} = DigestAuth.continue_request(request(), answered, &bob/1, response: response)
      assert {:ok, _} = Server.verify(server, next)
    end

    test "of a session goes with the first cnonce, or with its own (RFC 7616 §3.4.2)" do
      server = start(algorithms: ["SHA-256-sess"])
      challenge = Server.challenge(server, request())
      {:ok, first} = answer(request(), challenge, nil, cnonce: "one")
      assert {:ok, _} = Server.verify(server, first)
      {:ok, own} = answer(request(), challenge, nil, cnonce: "two", nc: 2)
      assert {:ok, _} = Server.verify(server, own)

      # The key of the session with the first cnonce, the response with the second.
      hash = &(:crypto.hash(:sha256, &1) |> Base.encode16(case: :lower))
      [{"Digest", %{"nonce" => nonce} = it}] = own.headers.authorization
      key = hash.("#{hash.("bob:#{@realm}:zanzibar")}:#{nonce}:one")
      response = hash.("#{key}:#{nonce}:00000003:two:auth:#{hash.("REGISTER:sip:biloxi.com")}")
      it = %{it | "nc" => "00000003", "response" => response}
      third = Message.put_header(request(), :authorization, [{"Digest", it}])
      assert {:ok, _} = Server.verify(server, third)
      fourth = change(third, %{"nc" => "00000004"})
      assert reason(Server.verify(server, fourth)) == :wrong_credentials
    end

    test "is remembered for so many nonces, and what is forgotten is not taken again" do
      clock = clock()
      server = start(max_nonces: 10, clock: read(clock))

      answers =
        for _ <- 1..30 do
          pass(clock, 1)
          {:ok, answered} = answer(request(), Server.challenge(server, request()))
          assert {:ok, _} = Server.verify(server, answered)
          assert rows(server) <= 10
          answered
        end

      reasons = for answered <- answers, do: reason(Server.verify(server, answered))
      assert reasons == List.duplicate(:stale_nonce, 20) ++ List.duplicate(:replayed, 10)
      assert rows(server) <= 10
    end

    test "is taken at most once, also while nonces are forgotten by others" do
      server = start(max_nonces: 5, algorithms: ["MD5"])

      answers =
        for _ <- 1..40, challenge = Server.challenge(server, request()), nc <- 1..5 do
          {:ok, answered} = answer(request(), challenge, nil, nc: nc)
          answered
        end

      taken =
        (answers ++ answers ++ answers ++ answers)
        |> Enum.shuffle()
        |> Task.async_stream(&Server.verify(server, &1), max_concurrency: 32)
        |> Enum.flat_map(fn
          {:ok, {:ok, identity}} -> [{identity.nonce, identity.nc}]
          {:ok, {:error, %{reason: reason}}} when reason in [:replayed, :stale_nonce] -> []
        end)

      assert taken != []
      assert Enum.uniq(taken) == taken
      assert rows(server) <= 5 + 32
    end

    test "is swept away with its nonce" do
      clock = clock()
      server = start(clock: read(clock), nonce_lifetime_ms: 1_000)

      [old, young] =
        for _ <- 1..2 do
          pass(clock, 600)
          {:ok, answered} = answer(request(), Server.challenge(server, request()))
          assert {:ok, _} = Server.verify(server, answered)
          answered
        end

      pass(clock, 600)
      send(Process.whereis(server), :sweep)
      send(Process.whereis(server), :what_is_this)
      :sys.get_state(server)
      assert rows(server) == 1
      assert reason(Server.verify(server, young)) == :replayed
      assert reason(Server.verify(server, old)) == :stale_nonce
    end

    test "costs no row to who does not know the password" do
      server = start()
      challenge = Server.challenge(server, request())

      for number <- 1..100 do
        {:ok, answered} = answer(request(), challenge, {"bob", "wrong"}, nc: number)
        assert reason(Server.verify(server, answered)) == :wrong_credentials
      end

      assert rows(server) == 0
    end
  end

  describe "Authentication-Info" do
    test "proves that the server knows the secret, for this response" do
      for qop <- ["auth", "auth-int"], algorithm <- DigestAuth.algorithms() do
        server = start(qop: [qop], algorithms: [algorithm])
        {:ok, answered} = answer(request(), Server.challenge(server, request()))
        {:ok, identity} = Server.verify(server, answered)
        response = %{Message.to_response(request(), 200) | body: "a body"}
        response = server |> Server.put_authentication_info(response, identity) |> over_the_wire()

        assert Enum.sort(Map.keys(response.headers.authentication_info)) ==
                 ~w(cnonce nc qop rspauth)

        assert DigestAuth.check_response(answered, response, &bob/1) == :ok
        other = %{response | body: "another"}
        result = DigestAuth.check_response(answered, other, &bob/1)
        assert result == if(qop == "auth", do: :ok, else: {:error, :wrong_rspauth})
      end
    end

    test "has the next nonce when this one is half used up" do
      clock = clock()
      server = start(clock: read(clock), nonce_lifetime_ms: 10_000)
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      pass(clock, 6_000)
      {:ok, identity} = Server.verify(server, answered)
      response = Server.put_authentication_info(server, Message.build_response(200), identity)
      assert %{"nextnonce" => _, "rspauth" => _} = response.headers.authentication_info
      pass(clock, 6_000)
      {:ok, next} = DigestAuth.continue_request(request(), answered, &bob/1, response: response)
      assert {:ok, _} = Server.verify(server, next)
    end

    test "is not for proxies" do
      server = start(status_code: 407)
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      {:ok, identity} = Server.verify(server, answered)
      response = Message.build_response(200)
      assert Server.put_authentication_info(server, response, identity) == response
    end
  end

  describe "bad input" do
    test "earns an error that names the parameter, and never raises" do
      server = start(algorithms: ["SHA-256", "MD5"])
      {:ok, answered} = answer(request(), Server.challenge(server, request()))

      for {changes, reason, parameter} <- [
            {%{"nc" => "1"}, :malformed, "nc"},
            {%{"nc" => "0000000g"}, :malformed, "nc"},
            {%{"nc" => "00000000"}, :malformed, "nc"},
            {%{"nc" => "000000001"}, :malformed, "nc"},
            {%{"nc" => "-0000001"}, :malformed, "nc"},
            {%{"cnonce" => ""}, :malformed, "cnonce"},
            {%{"nonce" => ""}, :malformed, "nonce"},
            {%{"uri" => ""}, :malformed, "uri"},
            {%{"uri" => "*"}, :uri_mismatch, "uri"},
            {%{"uri" => "sip:"}, :uri_mismatch, "uri"},
            {%{"response" => ""}, :malformed, "response"},
            {%{"response" => String.duplicate("a", 32)}, :malformed, "response"},
            {%{"response" => String.duplicate("z", 64)}, :wrong_credentials, nil},
            {%{"qop" => "auth,auth-int"}, :qop, "qop"},
            {%{"qop" => ""}, :qop, "qop"},
            {%{"algorithm" => ""}, :algorithm, "algorithm"},
            {%{"algorithm" => "sha-512"}, :algorithm, "algorithm"},
            {%{"username*" => "UTF-8''a"}, :malformed, "username*"},
            {%{"username" => <<0xFF>>}, :wrong_credentials, nil}
          ] do
        assert {:error, error} = Server.verify(server, change(answered, changes))
        assert {error.reason, error.parameter} == {reason, parameter}
      end

      for name <- ~w(username nonce uri response nc cnonce) do
        assert {:error, error} = Server.verify(server, drop(answered, [name]))
        assert {error.reason, error.status_code, error.parameter} == {:malformed, 400, name}
      end

      for name <- ["UTF-8''%FF", "iso-8859-1''a", "a", "''", "UTF-8'a", "UTF-8''a'b", <<0xFF>>] do
        request = answered |> drop(["username"]) |> change(%{"username*" => name})
        assert {:error, %{reason: :malformed}} = Server.verify(server, request)
      end
    end

    test "of any size and bytes is answered with what can be sent" do
      server = start(algorithms: ["SHA-256", "MD5-sess", "MD5"], userhash: true)
      {:ok, answered} = answer(request(), Server.challenge(server, request()))

      values = [
        "",
        "true",
        "AUTH",
        "md5-SESS",
        "00000001",
        "\\",
        <<0xFF, 0xC0, 0x80>>,
        String.duplicate("x", 10_000),
        String.duplicate("%", 10_000),
        String.duplicate(<<0xF0>>, 10_000)
      ]

      names = ~w(username username* userhash nonce uri response algorithm qop nc cnonce opaque x)

      for name <- names, value <- values, dropped <- [[], ["username"], ["qop"], ["algorithm"]] do
        request = answered |> drop(dropped) |> change(%{name => value})

        case Server.verify(server, request) do
          {:ok, _identity} ->
            :ok

          {:error, %DigestAuthError{} = error} ->
            assert error.reason in DigestAuthError.reasons()
            assert is_binary(Exception.message(error))
            written = server |> Server.challenge(request, error) |> Message.to_string()
            assert byte_size(written) < 2_000
        end
      end
    end

    test "with a parameter twice is refused: another element may have read the first one" do
      server = start(algorithms: ["MD5"])
      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      text = Message.to_string(answered)
      assert text =~ ~s(username="bob")

      twice =
        text
        |> String.replace(~s(username="bob"), ~s(username="alice", username="bob"))
        |> Message.parse!()

      assert {:error, %{reason: :malformed, status_code: 400}} = Server.verify(server, twice)
      assert {:ok, _} = Server.verify(server, Message.parse!(text))
    end
  end

  describe "secrets" do
    test "are not in what is shown" do
      secret = "SIGNING-KEY-" <> String.duplicate("k", 32)

      server =
        start(secret: secret, algorithms: ["MD5"], credentials: fn _, _ -> {:ok, "zanzibar"} end)

      {:ok, answered} = answer(request(), Server.challenge(server, request()))
      {:ok, identity} = Server.verify(server, answered)
      ha1 = DigestAuth.ha1("bob", @realm, "zanzibar")
      refute inspect(identity) =~ ha1
      assert inspect(identity) =~ "bob"
      [{:config, config}] = :ets.lookup(server, :config)
      refute inspect(config) =~ "SIGNING"
      refute inspect(:sys.get_status(server)) =~ "SIGNING"

      {:error, error} = Server.verify(server, answered)
      refute inspect(error) =~ ha1

      error =
        assert_raise ArgumentError, fn ->
          Server.start_link(name: :x, realm: "r", credentials: &bob/2, opaque: {"SIGNING"})
        end

      refute Exception.message(error) =~ "SIGNING"
    end
  end

  describe "a server" do
    test "has options that are checked" do
      good = [name: :checked, realm: "r", credentials: &bob/2]

      for {options, text} <- [
            {Keyword.delete(good, :realm), ~r/:realm/},
            {[{:colour, 1} | good], ~r/:colour/},
            {[{:algorithms, []} | good], ~r/:algorithms/},
            {[{:algorithms, ["MD4"]} | good], ~r/MD4/},
            {[{:algorithms, ["MD5", "md5"]} | good], ~r/:algorithms/},
            {Keyword.put(good, :realm, "r\r\nX-Evil: 1"), ~r/:realm/},
            {[{:opaque, "a\nb"} | good], ~r/:opaque/},
            {[{:domain, ["sip:a", "sip:b\0"]} | good], ~r/:domain/},
            {[{:domain, ["sip:a sip:b"]} | good], ~r/:domain/},
            {[{:qop, ["auth-conf"]} | good], ~r/:qop/},
            {[{:secret, "short"} | good], ~r/:secret/},
            {[{:secret, fn -> "short" end} | good], ~r/:secret/},
            {[{:status_code, 403} | good], ~r/:status_code/},
            {[{:max_nonces, 0} | good], ~r/:max_nonces/},
            {:no_list, ~r/keyword/}
          ] do
        assert_raise ArgumentError, text, fn -> Server.start_link(options) end
      end
    end

    test "is one of its name, and missed by its name" do
      server = start()

      assert {:error, {:already_started, _}} =
               Server.start_link(name: server, realm: "r", credentials: &bob/2)

      assert_raise ArgumentError, ~r/no digest server named :nobody/, fn ->
        Server.verify(:nobody, request())
      end

      assert_raise ArgumentError, ~r/no digest server named :nobody/, fn ->
        Server.challenge(:nobody, request())
      end

      assert %{id: {Server, ^server}} = Server.child_spec(name: server)
    end
  end

  defp start(options \\ []) do
    name = :"digest_#{System.unique_integer([:positive])}"
    options = Keyword.merge([name: name, realm: @realm, credentials: &bob/2], options)
    start_supervised!({Server, options})
    name
  end

  defp bob("bob", @realm), do: {:ok, "zanzibar"}
  defp bob(_name, _realm), do: nil

  defp bob(@realm), do: {:ok, "bob", "zanzibar"}

  # A clock of the test's own, in milliseconds.
  defp clock, do: :atomics.new(1, []) |> tap(&:atomics.put(&1, 1, 1_700_000_000_000))
  defp read(clock), do: fn -> :atomics.get(clock, 1) end
  defp pass(clock, ms), do: :atomics.add(clock, 1, ms)

  defp request(method \\ :register) do
    Message.build_request(method, "sip:biloxi.com")
    |> Message.put_header(:via, [{{2, 0}, :udp, {"h", 5060}, %{"branch" => "z9hG4bK1"}}])
    |> Message.put_header(:from, {"", Sippet.URI.parse!("sip:bob@biloxi.com"), %{"tag" => "1"}})
    |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:bob@biloxi.com"), %{}})
    |> Message.put_header(:call_id, "1")
    |> Message.put_header(:cseq, {1, method})
  end

  defp answer(request, challenge, user \\ nil, options \\ []) do
    {username, password} = user || {"bob", "zanzibar"}
    DigestAuth.make_request(request, challenge, fn _ -> {:ok, username, password} end, options)
  end

  defp use?(context, nc) do
    {:ok, answered} = answer(request(), context.challenge, nil, nc: nc)
    match?({:ok, _}, Server.verify(context.server, answered))
  end

  defp over_the_wire(message), do: message |> Message.to_string() |> Message.parse!()

  defp reason({:error, error}), do: error.reason

  defp change(request, changes) do
    [{"Digest", it}] = request.headers.authorization
    Message.put_header(request, :authorization, [{"Digest", Map.merge(it, changes)}])
  end

  defp drop(request, names) do
    [{"Digest", it}] = request.headers.authorization
    Message.put_header(request, :authorization, [{"Digest", Map.drop(it, names)}])
  end

  defp without_nonces(response) do
    update_in(response.headers.www_authenticate, fn challenges ->
      for {"Digest", it} <- challenges, do: {"Digest", Map.delete(it, "nonce")}
    end)
  end

  defp rows(server) do
    [{:config, config}] = :ets.lookup(server, :config)
    :ets.info(config.window.table, :size)
  end

  defp await(fun, tries \\ 1_000) do
    cond do
      fun.() -> :ok
      tries == 0 -> flunk("it did not come true")
      true -> Process.sleep(10) && await(fun, tries - 1)
    end
  end
end
