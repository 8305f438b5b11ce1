defmodule Sippet.ProxyTest do
  # The rules of §16.3 to §16.6, with the messages of §16.12 and §24.2.
  use ExUnit.Case, async: true

  doctest Sippet.Proxy
  doctest Sippet.Proxy.Target
  doctest Sippet.Proxy.Context

  alias Sippet.{Message, Proxy, URI}
  alias Sippet.Proxy.Target

  @proxy Proxy.new!(
           interfaces: [
             udp: {"192.0.2.1", 5060},
             tcp: {"192.0.2.1", 5060},
             tls: {"p1.example.com", 5061},
             ws: {"192.0.2.1", 8080}
           ],
           domains: ["biloxi.com"],
           aliases: ["p1.example.com", {"192.0.2.99", 5080}],
           key: "0123456789abcdef0123456789abcdef"
         )

  defp request(
         method,
         uri,
         fields \\ "",
         via \\ "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8"
       ) do
    Message.parse!("""
    #{method} #{uri} SIP/2.0
    Via: #{via}
    From: Alice <sip:alice@atlanta.com>;tag=1928301774
    To: Bob <sip:bob@biloxi.com>
    Call-ID: a84b4c76e66710
    CSeq: 314159 #{method}
    #{fields}
    """)
  end

  defp uris(message, header),
    do: for({_name, uri, _parameters} <- Map.get(message.headers, header, []), do: to_string(uri))

  defp start_line(message), do: to_string(message.start_line)

  defp via(message), do: hd(message.headers.via)

  defp branch(message), do: message |> via() |> elem(3) |> Map.fetch!("branch")

  describe "new!/1" do
    test "refuses what is missing, unknown or not of its kind, and names it" do
      good = [interfaces: [udp: {"192.0.2.1", 5060}]]

      for {options, name} <- [
            {[], ":interfaces"},
            {[interfaces: []], ":interfaces"},
            {[interfaces: [udp: "192.0.2.1"]], ":interfaces"},
            {good ++ [domains: "biloxi.com"], ":domains"},
            {good ++ [aliases: [:biloxi]], ":aliases"},
            {good ++ [max_breadth: 0], ":max_breadth"},
            {good ++ [timer_c_ms: 180_000], ":timer_c_ms"},
            {good ++ [key: "short"], ":key"},
            {good ++ [domain: []], ":domain"}
          ] do
        error = assert_raise ArgumentError, fn -> Proxy.new!(options) end
        assert Exception.message(error) =~ name
      end
    end

    test "does not show a key that is refused" do
      error =
        assert_raise ArgumentError, fn ->
          Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}], key: "secret")
        end

      refute Exception.message(error) =~ "secret"
    end
  end

  describe "§16.3" do
    test "step 1: a request without a tag in From is a 400, as it could not be sent on (§8.1.1.3)" do
      request = request("MESSAGE", "sip:bob@192.0.2.4")
      {name, uri, _parameters} = request.headers.from
      request = Message.put_header(request, :from, {name, uri, %{}})

      assert {:error, %{reason: :malformed, status_code: 400, header: :from}} =
               Proxy.validate_request(@proxy, request)
    end

    test "step 2: a scheme that is not known is a 416" do
      assert {:error, %{status_code: 416}} =
               Proxy.validate_request(@proxy, request("INVITE", "nobodyknows:bob"))

      assert {:error, %{status_code: 416}} =
               Proxy.validate_request(@proxy, request("INVITE", "tel:+12015550123"))

      assert :ok =
               Proxy.validate_request(
                 %{@proxy | schemes: ["tel"]},
                 request("INVITE", "tel:+12015550123")
               )
    end

    test "step 3: Max-Forwards" do
      validate = &Proxy.validate_request(@proxy, request(&1, "sip:bob@192.0.2.4", &2))
      assert validate.("INVITE", "") == :ok
      assert validate.("INVITE", "Max-Forwards: 1") == :ok

      assert {:error, %{reason: :too_many_hops, status_code: 483}} =
               validate.("INVITE", "Max-Forwards: 0")

      assert {:error, %{status_code: 483}} = validate.("REGISTER", "Max-Forwards: 0")
    end

    test "step 3: an OPTIONS without a hop left is answered here, and a REGISTER where this is a registrar" do
      options = request("OPTIONS", "sip:bob@192.0.2.4", "Max-Forwards: 0")
      register = request("REGISTER", "sip:biloxi.com", "Max-Forwards: 0")
      assert Proxy.validate_request(@proxy, options) == {:ok, :final_recipient}
      registrar = %{@proxy | answers: [:options, :register]}
      assert Proxy.validate_request(registrar, register) == {:ok, :final_recipient}
    end

    test "step 4: a request that comes back unchanged is a loop, whatever way it came back (RFC 5393 §4.2)" do
      sent =
        Proxy.forward_request(
          @proxy,
          request("INVITE", "sip:bob@biloxi.com"),
          "sip:bob@p2.example.com"
        )

      # Another proxy has sent it back to where it came from.
      back =
        Proxy.add_via(
          %{
            sent
            | start_line: %{sent.start_line | request_uri: URI.parse!("sip:bob@biloxi.com")}
          },
          :tcp,
          "p2.example.com",
          5060
        )

      assert {:error, %{reason: :loop, status_code: 482}} = Proxy.validate_request(@proxy, back)
    end

    test "step 4: one that comes back with another Request-URI, Route or credentials is a spiral and goes on" do
      sent =
        Proxy.forward_request(
          @proxy,
          request("INVITE", "sip:bob@biloxi.com"),
          "sip:carol@p2.example.com"
        )

      assert Proxy.validate_request(@proxy, sent) == :ok

      back = %{
        sent
        | start_line: %{sent.start_line | request_uri: URI.parse!("sip:bob@biloxi.com")}
      }

      assert {:error, %{reason: :loop}} = Proxy.validate_request(@proxy, back)

      for {header, value} <- [
            route: [{"", URI.parse!("sip:p9.example.com;lr"), %{}}],
            proxy_require: ["foo"],
            proxy_authorization: [{"Digest", %{"username" => "alice"}}]
          ] do
        proxy = %{@proxy | extensions: ["foo"]}
        assert Proxy.validate_request(proxy, Message.put_header(back, header, value)) == :ok
      end
    end

    test "step 4: a Route of this element's own makes no difference, nor does a Via that is another's" do
      original = request("INVITE", "sip:bob@biloxi.com", "Route: <sip:192.0.2.1;lr>")
      {preprocessed, _own} = Proxy.preprocess_route(@proxy, original)
      sent = Proxy.forward_request(@proxy, preprocessed, "sip:bob@p2.example.com")
      back = %{original | headers: %{original.headers | via: sent.headers.via}}
      assert {:error, %{reason: :loop}} = Proxy.validate_request(@proxy, back)

      # The same branch under another name is not ours.
      [{version, protocol, _sent_by, parameters} | rest] = sent.headers.via
      other = [{version, protocol, {"p7.example.com", 5060}, parameters} | rest]
      assert Proxy.validate_request(@proxy, Message.put_header(back, :via, other)) == :ok
    end

    test "step 4: nobody can make a branch that counts without the key" do
      sent =
        Proxy.forward_request(
          @proxy,
          request("INVITE", "sip:bob@biloxi.com"),
          "sip:bob@p2.example.com"
        )

      back = %{
        sent
        | start_line: %{sent.start_line | request_uri: URI.parse!("sip:bob@biloxi.com")}
      }

      other = Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}], domains: ["biloxi.com"])
      assert Proxy.validate_request(other, back) == :ok
    end

    test "step 5: what Proxy-Require asks for and is not known is a 420 with all of it in Unsupported" do
      request = request("INVITE", "sip:bob@192.0.2.4", "Proxy-Require: foo, bar, path")
      proxy = %{@proxy | extensions: ["path"]}
      assert {:error, error} = Proxy.validate_request(proxy, request)
      response = Proxy.refuse(proxy, request, error)
      assert response.start_line.status_code == 420
      assert response.headers.unsupported == ["foo", "bar"]

      assert [{399, "192.0.2.1:5060", "extensions that are not supported: foo, bar"}] =
               response.headers.warning

      # §8.2.2.3
      assert Proxy.validate_request(
               proxy,
               request("ACK", "sip:bob@192.0.2.4", "Proxy-Require: foo")
             ) == :ok
    end

    test "Max-Breadth 0 is a 440, one that cannot be read a 400 (RFC 5393 §5)" do
      validate = &Proxy.validate_request(@proxy, request("INVITE", "sip:bob@192.0.2.4", &1))
      assert validate.("Max-Breadth: 1") == :ok

      assert {:error, %{reason: :max_breadth_exceeded, status_code: 440}} =
               validate.("Max-Breadth: 0")

      assert {:error, %{status_code: 400, header: "Max-Breadth"}} = validate.("Max-Breadth: many")
    end
  end

  describe "§16.4" do
    defp preprocess(
           method \\ "INVITE",
           uri,
           fields,
           via \\ "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK1"
         ) do
      {request, removed} = Proxy.preprocess_route(@proxy, request(method, uri, fields, via))

      {start_line(request), uris(request, :route),
       for({_, uri, _} <- removed, do: to_string(uri))}
    end

    test "the topmost Route goes if it is this element's, another one stays" do
      assert preprocess(
               "sip:bob@biloxi.com",
               "Route: <sip:192.0.2.1;lr>, <sip:p2.example.com;lr>"
             ) ==
               {"INVITE sip:bob@biloxi.com SIP/2.0", ["sip:p2.example.com;lr"],
                ["sip:192.0.2.1;lr"]}

      assert preprocess(
               "sip:bob@biloxi.com",
               "Route: <sip:p2.example.com;lr>, <sip:192.0.2.1;lr>"
             ) ==
               {"INVITE sip:bob@biloxi.com SIP/2.0",
                ["sip:p2.example.com;lr", "sip:192.0.2.1;lr"], []}
    end

    test "both values of a proxy that bridges go (RFC 5658 §3)" do
      assert preprocess(
               "sip:bob@192.0.2.4",
               "Route: <sip:192.0.2.1:5060;transport=tcp;lr>, <sip:P1.example.com;lr>, <sip:p2.example.com;lr>"
             ) ==
               {"INVITE sip:bob@192.0.2.4 SIP/2.0", ["sip:p2.example.com;lr"],
                ["sip:192.0.2.1:5060;transport=tcp;lr", "sip:P1.example.com;lr"]}
    end

    test "what a strict router has moved comes back (§16.12.1.2)" do
      assert preprocess(
               "BYE",
               "sip:192.0.2.1;lr",
               "Route: <sip:p3.middle.com>, <sip:callee@u2.rightprivatespace.com>"
             ) ==
               {"BYE sip:callee@u2.rightprivatespace.com SIP/2.0", ["sip:p3.middle.com"], []}

      assert preprocess("BYE", "sip:192.0.2.1;lr", "Route: <sip:callee@u2.rightprivatespace.com>") ==
               {"BYE sip:callee@u2.rightprivatespace.com SIP/2.0", [], []}
    end

    test "a request to this element itself is left alone: it has no lr, or no Route" do
      assert preprocess("OPTIONS", "sip:192.0.2.1;lr", "") ==
               {"OPTIONS sip:192.0.2.1;lr SIP/2.0", [], []}

      assert preprocess("OPTIONS", "sip:192.0.2.1", "Route: <sip:p3.middle.com;lr>") ==
               {"OPTIONS sip:192.0.2.1 SIP/2.0", ["sip:p3.middle.com;lr"], []}
    end

    test "a maddr of this element goes, with port and transport, where the request came by these" do
      tcp = "SIP/2.0/TCP pc33.atlanta.com;branch=z9hG4bK1"
      stripped = {"INVITE sip:bob@biloxi.com;user=phone SIP/2.0", [], []}
      assert preprocess("sip:bob@biloxi.com;maddr=192.0.2.1;user=phone", "") == stripped

      assert preprocess(
               "INVITE",
               "sip:bob@biloxi.com:5060;transport=tcp;maddr=192.0.2.1;user=phone",
               "",
               tcp
             ) == stripped

      for {uri, via} <- [
            {"sip:bob@biloxi.com;maddr=192.0.2.7", "SIP/2.0/UDP a;branch=z9hG4bK1"},
            {"sip:bob@biloxi.com;maddr=192.0.2.1", tcp},
            {"sip:bob@biloxi.com;transport=tcp;maddr=192.0.2.1", "SIP/2.0/UDP a;branch=z9hG4bK1"},
            {"sip:bob@biloxi.com:5099;maddr=192.0.2.1", "SIP/2.0/UDP a;branch=z9hG4bK1"}
          ] do
        assert {line, [], []} = preprocess("INVITE", uri, "", via)
        assert line == "INVITE #{uri} SIP/2.0"
      end
    end

    test "aliases with a port count with that port only" do
      for {uri, own} <- [
            {"sip:192.0.2.99:5080", true},
            {"sip:192.0.2.99", false},
            {"sip:p1.EXAMPLE.com.", true},
            {"sips:p1.example.com", true},
            {"sip:p1.example.com:5099", false},
            {"sip:biloxi.com", true},
            {"sip:sub.biloxi.com", false},
            {"tel:+12015550123", false}
          ],
          do: assert({uri, Proxy.own?(@proxy, URI.parse!(uri))} == {uri, own})
    end
  end

  describe "§16.5" do
    test "a Request-URI of another domain, or with a maddr, is the only target" do
      never = fn _uri -> flunk("nobody is to be looked up") end

      for uri <- ["sip:bob@chicago.com", "sip:bob@biloxi.com;maddr=192.0.2.7"] do
        assert {:ok, [%Target{uri: target, target: nil}]} =
                 Proxy.determine_targets(@proxy, request("INVITE", uri), never)

        assert to_string(target) == uri
      end
    end

    test "a user of this domain is looked up; nobody is a 404, no contact a 480" do
      request = request("INVITE", "sip:bob@biloxi.com")

      assert {:error, %{status_code: 404}} =
               Proxy.determine_targets(@proxy, request, fn _ -> nil end)

      assert {:error, %{status_code: 480}} =
               Proxy.determine_targets(@proxy, request, fn _ -> [] end)
    end
  end

  describe "§16.6" do
    test "steps 2, 3 and 8: Request-URI, Max-Forwards, Via" do
      request = request("MESSAGE", "sip:bob@biloxi.com", "Max-Forwards: 70")
      # §19.1.1: neither the parameter method nor headers belong into a Request-URI.
      copy =
        Proxy.forward_request(
          @proxy,
          request,
          "sip:bob@192.0.2.4;method=INVITE;user=ip?Subject=x"
        )

      assert start_line(copy) == "MESSAGE sip:bob@192.0.2.4;user=ip SIP/2.0"
      assert copy.headers.max_forwards == 69

      assert [
               {{2, 0}, :udp, {"192.0.2.1", 5060}, %{"branch" => "z9hG4bK" <> _, "rport" => ""}},
               theirs
             ] = copy.headers.via

      assert theirs == via(request)
      assert copy.headers[:record_route] == nil

      assert Proxy.forward_request(
               @proxy,
               request("MESSAGE", "sip:bob@biloxi.com"),
               "sip:bob@192.0.2.4"
             ).headers.max_forwards ==
               70
    end

    test "step 8: each copy has a branch of its own, and all end in the same hash" do
      request = request("INVITE", "sip:bob@biloxi.com")

      [a, b] =
        for host <- ["a", "b"],
            do: branch(Proxy.forward_request(@proxy, request, "sip:bob@#{host}.com"))

      assert a != b
      [[first, hash], [second, hash]] = Enum.map([a, b], &String.split(&1, "."))
      assert first != second
    end

    test "§16.11: the stateless branch is the same for repetitions and for what belongs together, and differs between requests" do
      forward =
        &branch(Proxy.forward_request(@proxy, &1, "sip:bob@192.0.2.4", branch: :stateless))

      invite = request("INVITE", "sip:bob@192.0.2.4")
      assert forward.(invite) == forward.(invite)
      assert forward.(invite) == forward.(request("ACK", "sip:bob@192.0.2.4"))

      other =
        request(
          "INVITE",
          "sip:bob@192.0.2.4",
          "",
          "SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKother"
        )

      assert forward.(invite) != forward.(other)
      assert "z9hG4bK" <> _ = forward.(invite)

      # RFC 2543: no magic cookie, and the branch says nothing.
      old = &request(&1, &2, "", "SIP/2.0/UDP pc33.atlanta.com;branch=1")

      assert forward.(old.("INVITE", "sip:bob@192.0.2.4")) ==
               forward.(old.("ACK", "sip:bob@192.0.2.4"))

      assert forward.(old.("INVITE", "sip:bob@192.0.2.4")) !=
               forward.(old.("INVITE", "sip:bob@192.0.2.5"))
    end

    test "step 4: Record-Route is before those of other proxies and has lr" do
      request = request("INVITE", "sip:bob@biloxi.com", "Record-Route: <sip:p0.example.com;lr>")
      copy = Proxy.forward_request(@proxy, request, "sip:bob@192.0.2.4", record_route: true)
      assert uris(copy, :record_route) == ["sip:192.0.2.1:5060;lr", "sip:p0.example.com;lr"]
    end

    test "step 4: a request that leaves by another transport has two, topmost the side it leaves by (RFC 5658 §3.1)" do
      wss =
        request("INVITE", "sip:bob@biloxi.com", "", "SIP/2.0/WS df7jal.invalid;branch=z9hG4bK1")

      copy =
        Proxy.forward_request(@proxy, wss, "sip:bob@192.0.2.4;transport=tcp", record_route: true)

      assert uris(copy, :record_route) == [
               "sip:192.0.2.1:5060;transport=tcp;lr",
               "sip:192.0.2.1:8080;transport=ws;lr"
             ]

      assert {{2, 0}, :tcp, {"192.0.2.1", 5060}, _} = via(copy)
    end

    test "step 4: with user parts there is a value for each side, though both are the same transport (RFC 5626 §5.3)" do
      request = request("INVITE", "sip:bob@biloxi.com")

      copy =
        Proxy.forward_request(@proxy, request, "sip:bob@192.0.2.4", record_route: {"out", "in"})

      assert uris(copy, :record_route) == [
               "sip:out@192.0.2.1:5060;lr",
               "sip:in@192.0.2.1:5060;lr"
             ]

      copy =
        Proxy.forward_request(@proxy, request, "sip:bob@192.0.2.4", record_route: {nil, "in"})

      assert uris(copy, :record_route) == ["sip:192.0.2.1:5060;lr", "sip:in@192.0.2.1:5060;lr"]
    end

    test "step 4: to a sips URI it is a sips URI" do
      tls =
        request(
          "INVITE",
          "sips:bob@biloxi.com",
          "",
          "SIP/2.0/TLS pc33.atlanta.com;branch=z9hG4bK1"
        )

      copy = Proxy.forward_request(@proxy, tls, "sips:bob@192.0.2.4", record_route: true)
      assert uris(copy, :record_route) == ["sips:p1.example.com:5061;lr"]
      assert {{2, 0}, :tls, {"p1.example.com", 5061}, _} = via(copy)
    end

    test "a flow has the protocol that its target tells" do
      flow = %Sippet.Flow{transport: 3, connection: 7, remote: {{192, 0, 2, 4}, 4711}}
      target = Target.new("sip:bob@df7jal.invalid;transport=ws", target: flow, protocol: :ws)

      copy =
        Proxy.forward_request(@proxy, request("INVITE", "sip:bob@biloxi.com"), target,
          record_route: true
        )

      assert copy.target == flow
      assert {{2, 0}, :ws, {"192.0.2.1", 8080}, _} = via(copy)

      assert uris(copy, :record_route) == [
               "sip:192.0.2.1:8080;transport=ws;lr",
               "sip:192.0.2.1:5060;lr"
             ]
    end

    test "the Path of a registration goes before the request's own Route (RFC 3327 §5.3)" do
      target =
        Target.new("sip:bob@192.0.2.4", route: [{"", URI.parse!("sip:edge.example.com;lr"), %{}}])

      request = request("INVITE", "sip:bob@biloxi.com", "Route: <sip:p2.example.com;lr>")
      copy = Proxy.forward_request(@proxy, request, target)
      assert uris(copy, :route) == ["sip:edge.example.com;lr", "sip:p2.example.com;lr"]
      assert copy.target == nil
    end

    test "step 6: before a strict router the Request-URI goes to the end of Route, and the request to that router" do
      request =
        request(
          "INVITE",
          "sip:bob@biloxi.com",
          "Route: <sip:p2.example.com;transport=tcp>, <sip:p3.example.com;lr>"
        )

      copy = Proxy.forward_request(@proxy, request, "sip:bob@192.0.2.4")
      assert start_line(copy) == "INVITE sip:p2.example.com;transport=tcp SIP/2.0"
      assert uris(copy, :route) == ["sip:p3.example.com;lr", "sip:bob@192.0.2.4"]
      assert copy.target == {:tcp, "p2.example.com", 5060}
    end

    test "Max-Breadth: 60 where there was none, never more than allowed, what is asked for (RFC 5393 §5.3.3)" do
      breadth = fn fields, options ->
        request = request("INVITE", "sip:bob@biloxi.com", fields)

        Proxy.forward_request(@proxy, request, "sip:bob@192.0.2.4", options).headers[
          "Max-Breadth"
        ]
      end

      assert breadth.("", []) == ["60"]
      assert breadth.("Max-Breadth: 7", []) == ["7"]
      assert breadth.("Max-Breadth: 700", []) == ["60"]
      assert breadth.("Max-Breadth: 7", max_breadth: 3) == ["3"]

      ack =
        Proxy.forward_request(@proxy, request("ACK", "sip:bob@biloxi.com"), "sip:bob@192.0.2.4")

      refute Message.has_header?(ack, "Max-Breadth")
    end

    test "the rest goes on as it came, body and unknown fields too" do
      request = %{
        request("MESSAGE", "sip:bob@biloxi.com", "X-Vendor: 1\r\nSubject: hello")
        | body: "hi"
      }

      copy = Proxy.forward_request(@proxy, request, "sip:bob@192.0.2.4")
      changed = [:via, :max_forwards, "Max-Breadth"]
      assert Map.drop(copy.headers, changed) == Map.drop(request.headers, changed)
      assert copy.body == "hi"
    end
  end

  describe "§16.7, step 3" do
    test "a response with a single Via is for this element" do
      response = Message.to_response(request("OPTIONS", "sip:bob@192.0.2.4"), 200)
      assert {:error, %Sippet.ProxyError{reason: :no_via}} = Proxy.forward_response(response)
    end
  end
end
