defmodule Sippet.Integration.CredentialsTest do
  # Sippet.request/3 with credentials, over UDP, against a stack whose core challenges.
  use ExUnit.Case, async: true

  import Sippet.Test.Waiting, except: [request: 2, request: 3]

  alias Sippet.{Dialog, DigestAuth, Message}
  alias Sippet.DigestAuth.Server
  alias Sippet.Test.{Stack, Waiting}

  @bob {"bob", "zanzibar"}

  describe "a challenge is answered" do
    test "by a user agent server or registrar: 401 (§22.2)" do
      for method <- [:register, :options, :message, :invite] do
        server = server([auth(realm: "biloxi.example")])
        assert {:ok, response, [first, second]} = ask(server, method, [{"biloxi.example", @bob}])
        assert response.start_line.status_code == 200
        refute Message.has_header?(first, :authorization)
        assert [{"Digest", %{"realm" => "biloxi.example"}}] = second.headers.authorization
        assert_next(first, second, method)
        assert response.headers.cseq == {2, method}
        [{"Digest", %{"algorithm" => "SHA-256"}}] = second.headers.authorization
      end
    end

    test "by a proxy: 407" do
      for method <- [:register, :invite] do
        server = server([auth(realm: "proxy.example", status_code: 407)])
        assert {:ok, response, [first, second]} = ask(server, method, %{"proxy.example" => @bob})
        assert response.start_line.status_code == 200
        assert [{"Digest", _}] = second.headers.proxy_authorization
        assert_next(first, second, method)
      end
    end

    test "by a proxy and then by the server, whose credentials then go together" do
      for method <- [:options, :invite] do
        server =
          server([
            auth(realm: "proxy.example", status_code: 407),
            auth(realm: "biloxi.example")
          ])

        credentials = [{"biloxi.example", @bob}, {"proxy.example", @bob}]
        assert {:ok, response, sent} = ask(server, method, credentials)
        assert response.start_line.status_code == 200
        assert [_, second, third] = sent
        assert for(request <- sent, do: elem(request.headers.cseq, 0)) == [1, 2, 3]

        # The proxy sees its nonce a second time.
        assert [{"Digest", %{"nonce" => nonce, "nc" => "00000001"}}] =
                 second.headers.proxy_authorization

        assert [{"Digest", %{"nonce" => ^nonce, "nc" => "00000002"}}] =
                 third.headers.proxy_authorization

        assert [{"Digest", _}] = third.headers.authorization
      end
    end

    test "by several at a time, as a forking proxy puts them together (§22.3)" do
      servers = [
        auth(realm: "a.example"),
        auth(realm: "b.example"),
        auth(realm: "p.example", status_code: 407)
      ]

      server = server(servers, :together)
      assert {:ok, response, [_, second]} = ask(server, :invite, any: @bob)
      assert response.start_line.status_code == 200

      assert for({"Digest", it} <- second.headers.authorization, do: it["realm"]) ==
               ["a.example", "b.example"]

      assert [{"Digest", %{"realm" => "p.example"}}] = second.headers.proxy_authorization
    end

    test "with stored hashes, by a function, and with hashed names" do
      ha1 = DigestAuth.ha1("bob", "biloxi.example", "zanzibar", "SHA-512-256")
      stored = {"bob", {:ha1, %{"SHA-512-256" => ha1}}}

      by_hash = fn {:userhash, hash, algorithm}, realm ->
        if hash == DigestAuth.userhash("bob", realm, algorithm),
          do: {:ok, "zanzibar", username: "bob"}
      end

      auth =
        auth(
          realm: "biloxi.example",
          algorithms: ["MD5", "SHA-512-256"],
          userhash: true,
          credentials: by_hash
        )

      for credentials <- [[{"biloxi.example", stored}], fn "biloxi.example" -> stored end] do
        assert {:ok, response, [_, second]} = ask(server([auth]), :register, credentials)
        assert response.start_line.status_code == 200
        assert [{"Digest", %{"algorithm" => "SHA-512-256"}}] = second.headers.authorization
      end
    end

    test "with auth-int over the body" do
      server = server([auth(realm: "biloxi.example", qop: ["auth-int"])])
      body = "hello, \r\nworld"
      credentials = [{"biloxi.example", @bob}]

      assert {:ok, %{start_line: %{status_code: 200}}, [_, second]} =
               ask(server, :message, credentials, body: body)

      assert second.body == body
    end
  end

  describe "a stale nonce" do
    test "is replaced once more (RFC 7616 §3.3)" do
      clock = clock()
      auth = auth(realm: "biloxi.example", clock: read(clock), nonce_lifetime_ms: 1_000)
      # The answer to the first challenge comes late.
      server = server([auth], fn number -> if number == 2, do: pass(clock, 5_000) end)
      assert {:ok, response, sent} = ask(server, :register, [{"biloxi.example", @bob}])
      assert response.start_line.status_code == 200
      assert [_, second, third] = sent
      assert_next(second, third, :register)
      assert [{"Digest", _}] = third.headers.authorization
      assert nonce(second) != nonce(third)
    end

    test "that is stale each time makes no loop" do
      clock = clock()
      auth = auth(realm: "biloxi.example", clock: read(clock), nonce_lifetime_ms: 1_000)
      server = server([auth], fn _number -> pass(clock, 5_000) end)
      options = [max_authentications: 20]
      assert {:ok, response, sent} = ask(server, :register, [any: @bob], options)
      assert response.start_line.status_code == 401
      assert [{"Digest", %{"stale" => "true"}} | _] = response.headers.www_authenticate
      assert length(sent) == 3
    end

    test "of a request that has credentials already is replaced" do
      clock = clock()
      auth = auth(realm: "biloxi.example", clock: read(clock), nonce_lifetime_ms: 1_000)
      server = server([auth])
      credentials = [{"biloxi.example", @bob}]

      assert {:ok, %{start_line: %{status_code: 200}}, [_, first]} =
               ask(server, :register, credentials)

      for {later, sent} <- [{0, 1}, {5_000, 2}] do
        pass(clock, later)
        auth_fun = fn _realm -> {:ok, "bob", "zanzibar"} end
        next = request(server, :register)
        {:ok, next} = DigestAuth.continue_request(next, first, auth_fun)
        assert {:ok, response, requests} = ask(server, next, credentials)
        assert response.start_line.status_code == 200
        assert length(requests) == sent
      end
    end
  end

  describe "a challenge is the result" do
    test "where the password is wrong: it is said once" do
      for method <- [:register, :invite] do
        server = server([auth(realm: "biloxi.example")])
        assert {:ok, response, sent} = ask(server, method, any: {"bob", "wrong"})
        assert response.start_line.status_code == 401
        assert length(sent) == 2
      end
    end

    test "where there are no credentials for the realm, or for no algorithm of it" do
      server = server([auth(realm: "biloxi.example")])

      for credentials <- [
            [],
            %{},
            [{"other", @bob}],
            fn "biloxi.example" -> nil end,
            fn _ -> {:error, :none} end,
            [any: {"bob", {:ha1, %{"SHA-512-256" => String.duplicate("0", 64)}}}]
          ] do
        assert {:ok, response, [_]} = ask(server, :options, credentials)
        assert response.start_line.status_code == 401
      end
    end

    test "where it is for a realm among others that there are none for" do
      servers = [auth(realm: "a.example"), auth(realm: "b.example")]
      server = server(servers, :together)
      assert {:ok, response, [_, second]} = ask(server, :options, [{"b.example", @bob}])
      assert response.start_line.status_code == 401
      assert [{"Digest", %{"realm" => "b.example"}}] = second.headers.authorization

      assert ["a.example"] =
               Enum.uniq(for {"Digest", it} <- response.headers.www_authenticate, do: it["realm"])
    end

    test "where nothing in it can be answered" do
      for challenge <- [
            "Basic realm=\"r\"",
            "Digest realm=\"r\", nonce=\"n\", algorithm=AKAv1-MD5"
          ] do
        {stack, peer} = {start(), peer()}

        task =
          async(fn ->
            Sippet.request(stack, Waiting.request(:options, peer), credentials: [any: @bob])
          end)

        sent = receive_text(peer, "OPTIONS")
        answer(peer, sent, "401 Unauthorized", fields: ["WWW-Authenticate: " <> challenge])
        assert status(result(task)) == 401
        assert silent?(peer, 50)
      end
    end

    test "after as many answers as :max_authentications allows" do
      server = server([auth(realm: "biloxi.example")])
      assert {:ok, response, [_]} = ask(server, :options, [any: @bob], max_authentications: 0)
      assert response.start_line.status_code == 401
    end
  end

  test "an INVITE is acknowledged by the engine when it is challenged, and by its caller when answered" do
    auth = auth(realm: "biloxi.example")
    server = server([auth])
    assert {:ok, response, [first, second]} = ask(server, :invite, any: @bob)
    # The ACK to the 401 was the engine's: the core has not seen it.
    refute_received {:ack, ^server, _, _}

    assert {:ok, dialog} = Dialog.create_uac(second, response)
    assert dialog.local_cseq == 2
    ack = Dialog.build_ack(dialog, second, via: new_branch(second))
    assert ack.headers.cseq == {2, :ack}
    :ok = Sippet.send(server.client, %{ack | target: second.target})
    assert_receive {:ack, ^server, received, verdict}
    assert received.headers.authorization == second.headers.authorization
    assert {:ok, %{username: "bob"}} = verdict

    # Requests within the dialog go on with the number that was sent last.
    {bye, dialog} = Dialog.build_request(dialog, :info, via: new_branch(second))
    assert bye.headers.cseq == {3, :info}
    assert {:ok, response, [_, _]} = ask(server, %{bye | target: first.target}, any: @bob)
    assert response.headers.cseq == {4, :info}
    dialog = %{dialog | local_cseq: elem(response.headers.cseq, 0)}
    {bye, _dialog} = Dialog.bye(dialog, via: new_branch(second))
    assert bye.headers.cseq == {5, :bye}
  end

  test "mistakes of the caller's raise, and show no secret" do
    server = server([auth(realm: "biloxi.example")])

    for credentials <- [
          :none,
          @bob,
          [@bob],
          ["s3cret"],
          [{"realm", "s3cret"}],
          [{"realm", {"s3cret", 1}}],
          [{:every, {"bob", "s3cret"}}],
          [{"realm", {"bob", {:ha2, "s3cret"}}}]
        ] do
      error =
        assert_raise ArgumentError, ~r/:credentials/, fn ->
          Sippet.request(server.client, request(server, :options), credentials: credentials)
        end

      refute Exception.message(error) =~ "s3cret"
      refute Exception.message(error) =~ "zanzibar"
    end

    assert_raise ArgumentError, ~r/either :credentials or :authenticate/, fn ->
      Sippet.request(server.client, request(server, :options),
        credentials: [any: @bob],
        authenticate: fn _, _ -> :error end
      )
    end

    assert_raise ArgumentError, ~r/auth_fun/, fn ->
      Sippet.request(server.client, request(server, :options),
        credentials: fn _ -> {"bob", :s3cret} end
      )
    end
  end

  # A digest server's options become the server.
  defp auth(options) do
    name = :"digest_#{System.unique_integer([:positive])}"

    defaults = [
      name: name,
      credentials: fn name, _realm -> if name == "bob", do: {:ok, "zanzibar"} end
    ]

    start_supervised!({Server, Keyword.merge(defaults, options)})
    name
  end

  # A stack whose core lets pass who all the digest servers know, and a stack to ask it. It challenges for one server after
  # the other or :together for all; or a function is told the number of each request first.
  defp server(auths, how \\ :in_turn) do
    numbers = :counters.new(1, [])
    test = self()
    server = %{name: nil, client: start(), id: make_ref()}

    handler = fn
      :request, request, nil, this ->
        send(test, {:ack, this, request, Server.verify(hd(auths), request)})

      :request, request, _key, this ->
        :counters.add(numbers, 1, 1)
        if is_function(how), do: how.(:counters.get(numbers, 1))
        Sippet.send(this.name, judge(auths, request, how))

      _other, _what, _key, _this ->
        :ok
    end

    name = Stack.start(core: nil)
    server = %{server | name: name}
    Sippet.Test.Core.register(name, &handler.(&1, &2, &3, server))
    server
  end

  defp judge(auths, request, :together) do
    wrong =
      for auth <- auths, {:error, error} <- [Server.verify(auth, request)], do: {auth, error}

    case for({auth, error} <- wrong, do: Server.challenge(auth, request, error)) do
      [] -> accept(request)
      [first | others] -> Enum.reduce(others, first, &add_challenges/2)
    end
  end

  # Who is not satisfied answers, and those behind never see the request.
  defp judge([], request, _in_turn), do: accept(request)

  defp judge([auth | others], request, in_turn) do
    case Server.verify(auth, request) do
      {:ok, _identity} -> judge(others, request, in_turn)
      {:error, error} -> Server.challenge(auth, request, error)
    end
  end

  defp accept(request) do
    Message.to_response(request, 200)
    |> Message.put_header(:contact, [{"", Sippet.URI.parse!("sip:bob@127.0.0.1"), %{}}])
  end

  defp add_challenges(from, response) do
    for field <- [:www_authenticate, :proxy_authenticate],
        challenge <- Map.get(from.headers, field, []),
        reduce: response,
        do: (response -> Message.put_header_back(response, field, challenge))
  end

  defp request(server, method) do
    {_ip, port} = Stack.address(server.name)
    Waiting.request(method, %{port: port})
  end

  # The result, and the requests that were sent.
  defp ask(server, request, credentials, options \\ [])

  defp ask(server, method, credentials, options) when is_atom(method) do
    {body, options} = Keyword.pop(options, :body)
    ask(server, %{request(server, method) | body: body}, credentials, options)
  end

  defp ask(server, request, credentials, options) do
    tag = make_ref()
    test = self()

    options =
      [credentials: credentials, on_request: &send(test, {tag, &1}), timeout: 5_000] ++ options

    {:ok, response} = Sippet.request(server.client, request, options)
    {:ok, response, sent(tag)}
  end

  defp sent(tag) do
    receive do
      {^tag, request} -> [request | sent(tag)]
    after
      0 -> []
    end
  end

  defp assert_next(first, second, method) do
    {number, ^method} = first.headers.cseq
    assert second.headers.cseq == {number + 1, method}
    for field <- [:call_id, :from, :to], do: assert(first.headers[field] == second.headers[field])
    [{_, _, _, %{"branch" => one}}] = first.headers.via
    [{_, _, _, %{"branch" => two}}] = second.headers.via
    refute one == two
  end

  defp nonce(request) do
    [{"Digest", %{"nonce" => nonce}}] = request.headers.authorization
    nonce
  end

  defp new_branch(request) do
    [{version, protocol, sent_by, parameters}] = request.headers.via
    [{version, protocol, sent_by, %{parameters | "branch" => Message.create_branch()}}]
  end

  defp clock, do: :atomics.new(1, []) |> tap(&:atomics.put(&1, 1, 1_700_000_000_000))
  defp read(clock), do: fn -> :atomics.get(clock, 1) end
  defp pass(clock, ms), do: :atomics.add(clock, 1, ms)
end
