defmodule Sippet.Proxy.ContextTest do
  # §16.7 to §16.10, rule by rule.
  use ExUnit.Case, async: true

  alias Sippet.{Message, Proxy, Test}
  alias Sippet.Proxy.{Context, Target}
  alias Sippet.Transactions.Client.Key

  # A context with a branch to each host, and the requests of those that were sent.
  defp start(targets, options \\ []) do
    request = Test.Proxy.request(options[:method] || "INVITE", options[:fields] || "")
    proxy = Test.Proxy.new(options[:proxy] || [])
    {context, actions} = Context.new(proxy, request, targets)
    {context, Test.Proxy.requests(actions), actions}
  end

  defp fork(hosts, options \\ []) do
    {context, requests, _actions} = start(Enum.map(hosts, &"sip:bob@#{&1}"), options)
    {context, requests}
  end

  defp respond(context, request, status_code, fields \\ []) do
    {context, actions} =
      Context.handle_response(context, Test.Proxy.answer(request, status_code, fields))

    {context, Test.Proxy.brief(actions)}
  end

  defp last(context, request, status_code, fields \\ []) do
    {context, actions} =
      Context.handle_response(context, Test.Proxy.answer(request, status_code, fields))

    [response] = for {:send_response, response} <- actions, do: response
    assert Context.done?(context)
    response
  end

  # All branches answer in this order; what goes upstream in the end.
  defp best(status_codes, options \\ []) do
    hosts = for {_status_code, index} <- Enum.with_index(status_codes), do: "h#{index}"
    {context, requests} = fork(hosts, options)

    {context, sent} =
      Enum.zip(requests, status_codes) |> Enum.reduce({context, []}, &answer_branch/2)

    assert Context.done?(context)
    for status_code when is_integer(status_code) <- sent, do: status_code
  end

  defp answer_branch({request, reason}, {context, sent}) when is_atom(reason) do
    {context, actions} = Context.handle_error(context, Key.new(request), reason)
    {context, sent ++ Test.Proxy.brief(actions)}
  end

  defp answer_branch({request, status_code}, {context, sent}) do
    {context, actions} = respond(context, request, status_code)
    {context, sent ++ actions}
  end

  test "targets are needed, and a request that may have a context" do
    assert_raise ArgumentError, ~r/target/, fn -> start([]) end
    assert_raise ArgumentError, ~r/ACK/, fn -> start(["sip:bob@a"], method: "ACK") end
  end

  describe "§16.7, step 5: what goes up at once" do
    test "provisional responses but 100" do
      {context, [a, b]} = fork(["a", "b"])
      assert {context, []} = respond(context, a, 100)
      assert {context, [180]} = respond(context, a, 180)
      assert {_context, [183]} = respond(context, b, 183)
    end

    test "a 2xx, and with it the other branches are cancelled (step 10)" do
      {context, [a, b, c]} = fork(["a", "b", "c"])
      {context, []} = respond(context, b, 404)
      {key_a, key_c} = {Key.new(a), Key.new(c)}
      assert {context, [200 | cancels]} = respond(context, a, 200)
      assert cancels == [{:cancel, key_c}]
      refute Context.done?(context)
      # The 487 that follows stays here.
      assert {context, []} = respond(context, c, 487)
      assert Context.done?(context)
      refute {:cancel, key_a} in cancels
    end

    test "each further 2xx to an INVITE, though the first was final, of the same branch or another (RFC 6026 §8.9)" do
      {context, [a, b]} = fork(["a", "b"])
      {context, [200, {:cancel, _}]} = respond(context, a, 200)
      # It crossed the CANCEL.
      assert {context, [200]} = respond(context, b, 200)
      assert {_context, [200]} = respond(context, a, 200)
    end

    test "a 2xx after another final response went up too" do
      {context, [a]} = fork(["a"])
      {context, [480]} = respond(context, a, 480)
      assert {_context, [200]} = respond(context, a, 200)
    end

    test "of another request the first 2xx only, and nothing is cancelled" do
      {context, [a, b]} = fork(["a", "b"], method: "MESSAGE")
      assert {context, [200]} = respond(context, a, 200)
      assert {context, []} = respond(context, b, 202)
      assert Context.done?(context)
    end

    test "no provisional response after a final one" do
      {context, [a, b]} = fork(["a", "b"])
      {context, _} = respond(context, a, 200)
      assert {_context, []} = respond(context, b, 180)
    end

    test "the Via is that of the request as it came, whatever a branch has made of it (step 3)" do
      {context, [a]} = fork(["a"])
      response = Test.Proxy.answer(a, 200)
      [top, {version, protocol, _sent_by, parameters}] = response.headers.via

      forged =
        Message.put_header(response, :via, [top, {version, protocol, {"evil", 1}, parameters}])

      {context, actions} = Context.handle_response(context, %{forged | source: :somewhere})
      assert [sent] = for({:send_response, sent} <- actions, do: sent)
      assert sent.headers.via == context.request.headers.via
      assert sent.source == nil
    end

    test "a response of no branch changes nothing" do
      {context, [a]} = fork(["a"])
      other = Test.Proxy.answer(Message.put_header(a, :cseq, {314_159, :options}), 200)
      assert Context.handle_response(context, other) == {context, []}
    end
  end

  describe "§16.7, step 6: the best response" do
    test "any 6xx before all others, when all have ended; the other branches are cancelled (step 5)" do
      {context, [a, b]} = fork(["a", "b"])
      key = Key.new(b)
      assert {context, [{:cancel, ^key}]} = respond(context, a, 603)
      assert last(context, b, 486).start_line.status_code == 603
    end

    test "else the lowest class, and of equals the first that came" do
      assert best([500, 302, 404]) == [302]
      assert best([500, 404]) == [404]
      assert best([486, 404]) == [486]
    end

    test "of 4xx those that tell how to try again: 401, 407, 415, 420, 484" do
      for preferred <- [401, 407, 415, 420, 484],
          do: assert(best([404, preferred, 486]) == [preferred])
    end

    test "a branch that was given up, or cancelled, counts least among 4xx" do
      assert best([:timeout, 486]) == [486]
      assert best([408, 486]) == [486]
      assert best([487, 404]) == [404]
    end

    test "a 503 does not go up: alone it is a 500, beside another 5xx that one" do
      assert best([503]) == [500]
      assert best([503, 503]) == [500]
      assert best([503, 504]) == [504]
      assert best([503, 404]) == [404]
    end

    test "a branch that cannot be reached counts as a 503, one that does not answer as a 408 (§16.9)" do
      assert best([:econnrefused]) == [500]
      assert best([:econnrefused, 501]) == [501]
      assert best([:timeout]) == [408]
      assert best([:timeout, :econnrefused]) == [408]
    end

    test "what this element says itself has a To tag and says why" do
      {context, [a]} = fork(["a"])
      {_context, actions} = Context.handle_error(context, Key.new(a), :econnrefused)
      [response] = for {:send_response, response} <- actions, do: response
      assert {"Bob", _uri, %{"tag" => _}} = response.headers.to

      assert [{399, "192.0.2.1:5060", "the next hop cannot be reached"}] =
               response.headers.warning
    end

    test "to a request other than INVITE there is no 408, and silence where there is nothing else (RFC 4320 §4.2)" do
      assert best([:timeout], method: "MESSAGE") == []
      assert best([408, :timeout], method: "MESSAGE") == []
      assert best([408, 404], method: "MESSAGE") == [404]
    end
  end

  describe "§16.7, step 7: challenges" do
    test "those of all 401 and 407 are in the one that goes up, the best one's first" do
      challenge = fn realm -> [{"Digest", %{"realm" => realm, "nonce" => "1"}}] end
      {context, [a, b, c, d]} = fork(["a", "b", "c", "d"])
      {context, []} = respond(context, a, 407, proxy_authenticate: challenge.("a"))
      {context, []} = respond(context, b, 401, www_authenticate: challenge.("b"))
      {context, []} = respond(context, c, 404, www_authenticate: challenge.("c"))
      response = last(context, d, 407, proxy_authenticate: challenge.("d"))
      assert response.start_line.status_code == 407
      assert response.headers.proxy_authenticate == challenge.("a") ++ challenge.("d")
      assert response.headers.www_authenticate == challenge.("b")
    end

    test "a response that is no challenge gets none" do
      challenge = [{"Digest", %{"realm" => "a", "nonce" => "1"}}]
      {context, [a, b]} = fork(["a", "b"])
      {context, []} = respond(context, a, 401, www_authenticate: challenge)
      response = last(context, b, 302)
      assert response.start_line.status_code == 302
      refute Map.has_key?(response.headers, :www_authenticate)
    end
  end

  describe "targets (§16.5, §16.6)" do
    test "those of one q at the same time, those of a lower one when all of them have failed" do
      targets = [
        Target.new("sip:bob@c", q: 0.1),
        Target.new("sip:bob@a", q: 0.9),
        Target.new("sip:bob@b", q: 0.9)
      ]

      {context, [a, b], _actions} = start(targets)
      assert {a.start_line.request_uri.host, b.start_line.request_uri.host} == {"a", "b"}
      assert {context, []} = respond(context, a, 404)
      assert {context, [{:request, "c"}]} = respond(context, b, 480)
      refute Context.done?(context)
      {context, actions} = Context.handle_cancel(context)
      assert [{:cancel, _key}] = Test.Proxy.brief(actions)
      refute Context.done?(context)
    end

    test "a lower q is not tried after a 2xx or a 6xx" do
      for {status_code, expected} <- [{200, [200]}, {603, [603]}] do
        targets = [Target.new("sip:bob@a"), Target.new("sip:bob@b", q: 0.5)]
        {context, [a], _actions} = start(targets)
        assert {context, ^expected} = respond(context, a, status_code)
        assert Context.done?(context)
      end
    end

    test "branches share what Max-Breadth allows, and give it back when they end (RFC 5393 §5.3.3)" do
      {_context, requests} = fork(["a", "b", "c"], fields: "Max-Breadth: 7")
      assert for(request <- requests, do: request.headers["Max-Breadth"]) == [["3"], ["2"], ["2"]]

      {context, requests} = fork(["a", "b", "c"], fields: "Max-Breadth: 2")
      assert [a, _b] = requests
      assert for(request <- requests, do: request.headers["Max-Breadth"]) == [["1"], ["1"]]
      # What there is no breadth for waits.
      assert {context, [{:request, "c"}]} = respond(context, a, 404)
      refute Context.done?(context)

      {_context, requests} = fork(["a"], fields: "Max-Breadth: 700")
      assert for(request <- requests, do: request.headers["Max-Breadth"]) == [["60"]]
    end

    # Three flows to one user agent, and another one.
    defp flows do
      flow = &Target.new("sip:bob@#{&1}", instance: "<urn:uuid:1>", q: &2)
      start([flow.("a", 1.0), Target.new("sip:bob@desk"), flow.("b", 1.0), flow.("c", 0.5)])
    end

    test "of the flows to one instance a single one is tried at a time (RFC 5626 §7)" do
      {_context, requests, _actions} = flows()
      assert for(request <- requests, do: request.start_line.request_uri.host) == ["a", "desk"]
    end

    test "a flow that has failed is replaced by the next one, with its breadth, until none is left (RFC 5626 §7)" do
      {context, [a, desk], _actions} = flows()

      {context, [{:stop_timer_c, first}, {:send_request, b}, {:start_timer_c, second, 185_000}]} =
        Context.handle_response(context, Test.Proxy.answer(a, 430))

      assert {first, second} == {Key.new(a), Key.new(b)}
      assert b.start_line.request_uri.host == "b"
      assert b.headers["Max-Breadth"] == a.headers["Max-Breadth"]
      {context, actions} = Context.handle_error(context, Key.new(b), :timeout)
      assert [_stop_timer_c, {:send_request, c}, _start_timer_c] = actions
      assert c.start_line.request_uri.host == "c"
      assert {context, []} = respond(context, desk, 486)
      refute Context.done?(context)

      # Nothing of those that were replaced is left but what others have said. No endpoint should see a 430 (RFC 5626 §11.4).
      assert last(context, c, 430).start_line.status_code == 486
    end

    test "where no flow is left at all it is a 480 that says so" do
      targets = for host <- ["a", "b"], do: Target.new("sip:bob@#{host}", instance: 1)
      {context, [a], _actions} = start(targets)
      {context, actions} = Context.handle_error(context, Key.new(a), :closed)
      assert [_stop_timer_c, {:send_request, b}, _start_timer_c] = actions
      response = last(context, b, 430)
      assert response.start_line.status_code == 480
      assert [{399, _agent, "no flow to the user is left"}] = response.headers.warning
    end

    test "a 430 to a target without an instance is for a proxy before this one, and goes up" do
      assert best([430]) == [430]
      assert best([430, 404]) == [404]
    end

    test "an instance that has answered is not asked by another flow (RFC 5626 §7)" do
      for status_code <- [302, 404, 486, 500, 603] do
        targets = for host <- ["a", "b"], do: Target.new("sip:bob@#{host}", instance: 1)
        {context, [a], _actions} = start(targets)
        assert last(context, a, status_code).start_line.status_code == status_code
      end
    end

    test "no further flow is tried once the request is cancelled or answered, or Timer C has fired" do
      for stop <- [
            &elem(Context.handle_cancel(&1), 0),
            fn context ->
              elem(Context.handle_timer_c(context, context.branches |> Map.keys() |> hd()), 0)
            end
          ] do
        targets = for host <- ["a", "b"], do: Target.new("sip:bob@#{host}", instance: 1)
        {context, [a], _actions} = start(targets)
        {context, [180]} = respond(context, a, 180)
        {_context, actions} = Context.handle_error(stop.(context), Key.new(a), :timeout)
        assert Test.Proxy.brief(actions) == [408]
      end

      {context, [a, desk], _actions} = flows()
      {context, [200, {:cancel, _key}]} = respond(context, desk, 200)
      assert {context, []} = respond(context, a, 430)
      assert Context.done?(context)
    end

    test "Record-Route may depend on the target" do
      {_context, actions} =
        Context.new(Test.Proxy.new(), Test.Proxy.request(), ["sip:bob@a", "sip:bob@b"],
          record_route: &(&1.uri.host == "b")
        )

      assert [nil, [_value]] =
               for(request <- Test.Proxy.requests(actions), do: request.headers[:record_route])
    end
  end

  describe "Timer C (§16.6, step 11; §16.8)" do
    test "runs for each branch of an INVITE, anew with each 101-199, and stops with a final response" do
      {context, [a], actions} = start(["sip:bob@a"])
      key = Key.new(a)
      assert [{:send_request, ^a}, {:start_timer_c, ^key, 185_000}] = actions

      {context, []} = Context.handle_response(context, Test.Proxy.answer(a, 100))
      {context, actions} = Context.handle_response(context, Test.Proxy.answer(a, 180))
      assert [{:start_timer_c, ^key, 185_000}, {:send_response, _}] = actions
      {_context, actions} = Context.handle_response(context, Test.Proxy.answer(a, 486))
      assert [{:stop_timer_c, ^key}, {:send_response, _}] = actions

      {_context, [_message], actions} = start(["sip:bob@a"], method: "MESSAGE")
      assert [{:send_request, _}] = actions
    end

    test "a branch that has had a provisional response is cancelled, and its 487 counts" do
      {context, [a]} = fork(["a"])
      key = Key.new(a)
      {context, []} = respond(context, a, 100)
      {context, actions} = Context.handle_timer_c(context, key)
      assert Test.Proxy.brief(actions) == [{:cancel, key}]
      # Once: what it says from now on does not start the timer again.
      {context, actions} = Context.handle_response(context, Test.Proxy.answer(a, 180))
      assert [{:send_response, _}] = actions
      assert Context.handle_timer_c(context, key) == {context, []}
      assert last(context, a, 487).start_line.status_code == 487
    end

    test "a branch without any response is a 408" do
      {context, [a]} = fork(["a"])
      {context, actions} = Context.handle_timer_c(context, Key.new(a))
      assert Test.Proxy.brief(actions) == [408]
      assert Context.done?(context)
      assert Context.handle_timer_c(context, Key.new(a)) == {context, []}
    end
  end

  describe "CANCEL (§16.10)" do
    test "cancels each branch once and tries no further target" do
      targets = [
        Target.new("sip:bob@a"),
        Target.new("sip:bob@b"),
        Target.new("sip:bob@c", q: 0.5)
      ]

      {context, [a, b], _actions} = start(targets)
      {context, actions} = Context.handle_cancel(context)

      assert Enum.sort(Test.Proxy.brief(actions)) ==
               Enum.sort(for r <- [a, b], do: {:cancel, Key.new(r)})

      assert {context, []} = Context.handle_cancel(context)
      {context, []} = respond(context, a, 487)
      assert last(context, b, 487).start_line.status_code == 487
    end

    test "does nothing once there is a final response" do
      {context, [a, _b]} = fork(["a", "b"])
      {context, _} = respond(context, a, 200)
      assert Context.handle_cancel(context) == {context, []}
    end

    test "a 2xx that crosses it goes up" do
      {context, [a]} = fork(["a"])

      {context, [{:cancel, _}]} =
        then(Context.handle_cancel(context), fn {c, a} -> {c, Test.Proxy.brief(a)} end)

      assert {_context, [200]} = respond(context, a, 200)
    end
  end

  test "an error of a branch that has ended, or of none, changes nothing" do
    {context, [a]} = fork(["a"])

    assert Context.handle_error(context, Key.new("z9hG4bKnone", :invite), :timeout) ==
             {context, []}

    {context, [404]} = respond(context, a, 404)
    assert Context.handle_error(context, Key.new(a), :timeout) == {context, []}
  end

  test "a proxy's Timer C is what it was made with" do
    {_context, [_a], actions} = start(["sip:bob@a"], proxy: [timer_c_ms: 200_000])
    assert {:start_timer_c, _key, 200_000} = List.keyfind(actions, :start_timer_c, 0)
    assert %Proxy{timer_c_ms: 200_000} = Test.Proxy.new(timer_c_ms: 200_000)
  end
end
