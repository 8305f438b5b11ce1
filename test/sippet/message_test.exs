defmodule Sippet.MessageTest do
  use ExUnit.Case, async: true

  alias Sippet.Message
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Test.Terms
  alias Sippet.URI

  doctest Sippet.Message

  @branch "z9hG4bK776asdhds"

  defp request(headers \\ %{}) do
    %{
      Message.build_request(:invite, "sip:bob@biloxi.com")
      | headers:
          Map.merge(
            %{
              via: [{{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => @branch}}],
              from: {"Alice", URI.parse!("sip:alice@atlanta.com"), %{"tag" => "1928301774"}},
              to: {"Bob", URI.parse!("sip:bob@biloxi.com"), %{}},
              call_id: "a84b4c76e66710@pc33.atlanta.com",
              cseq: {314_159, :invite}
            },
            headers
          )
    }
  end

  describe "methods and protocols" do
    test "are those of 1.x, in its order" do
      assert Message.known_methods() ==
               ~w(ACK BYE CANCEL INFO INVITE MESSAGE NOTIFY OPTIONS PRACK PUBLISH PULL PUSH REFER REGISTER STORE
                  SUBSCRIBE UPDATE)

      assert Message.known_protocols() == ~w(AMQP DCCP DTLS SCTP STOMP TCP TLS UDP WS WSS)
    end

    test "are atoms when known in any case, else in upper case" do
      for method <- Message.known_methods() do
        atom = String.to_existing_atom(String.downcase(method))
        assert Message.to_method(method) == atom
        assert Message.to_method(String.capitalize(method)) == atom
      end

      assert Message.to_method("max-forwards") == "MAX-FORWARDS"
      assert Message.to_protocol("wSs") == :wss
      assert Message.to_protocol("tls-sctp") == "TLS-SCTP"
    end
  end

  describe "random parts" do
    test "have the length and the bytes of 1.x" do
      assert Message.create_tag() =~ ~r/\A[\w-]{8}\z/
      assert Message.create_branch() =~ ~r/\Az9hG4bK[\w-]{12}\z/
      assert Message.create_call_id() =~ ~r/\A[\w-]{20}\z/
    end

    test "differ" do
      for create <- [&Message.create_tag/0, &Message.create_branch/0, &Message.create_call_id/0] do
        assert length(Enum.uniq(for _ <- 1..100, do: create.())) == 100
      end
    end
  end

  describe "build_request/2" do
    test "turns a method in a string into an atom if it is known" do
      request = Message.build_request("invite", "sip:bob@biloxi.com")

      assert request.start_line == %RequestLine{
               method: :invite,
               request_uri: URI.parse!("sip:bob@biloxi.com"),
               version: {2, 0}
             }

      assert {request.headers, request.body, request.target, request.source, request.defects} ==
               {%{}, nil, nil, nil, []}

      assert Message.build_request("foo", "sip:a.example").start_line.method == "FOO"
      assert Message.build_request(:anything, "sip:a.example").start_line.method == :anything
    end

    test "refuses a malformed URI" do
      assert_raise ArgumentError, fn -> Message.build_request(:invite, "bob") end
    end

    test "makes requests and no responses" do
      request = Message.build_request(:invite, URI.parse!("sip:bob@biloxi.com"))
      assert Message.request?(request)
      refute Message.response?(request)
      refute Message.request?(%Message{})
      refute Message.response?(nil)
    end
  end

  describe "build_response/1,2" do
    test "takes a code, a code with its phrase, or a status line" do
      assert Message.build_response(200).start_line == %StatusLine{
               status_code: 200,
               reason_phrase: "OK",
               version: {2, 0}
             }

      assert Message.build_response(400, "Bad Tag").start_line.reason_phrase == "Bad Tag"
      assert Message.build_response(StatusLine.new(404)) == Message.build_response(404)
      assert Message.response?(Message.build_response(404))
    end

    test "refuses codes as the status line does" do
      assert_raise RuntimeError, fn -> Message.build_response(99) end
      assert_raise ArgumentError, fn -> Message.build_response(499) end
    end
  end

  describe "to_response/2,3" do
    test "copies what §8.2.6.2 and §16.7 ask for and nothing else" do
      request =
        request(%{
          record_route: [{"", URI.parse!("sip:p.example;lr"), %{}}],
          max_forwards: 70,
          timestamp: {54.0, 0.0},
          supported: ["path"]
        })

      response =
        Message.to_response(%{request | body: "x", target: {:udp, "a.example", 5060}}, 200)

      copied = [:via, :from, :call_id, :cseq, :record_route]
      assert Map.take(response.headers, copied) == Map.take(request.headers, copied)
      assert Enum.sort(Map.keys(response.headers)) == Enum.sort([:to | copied])
      assert {response.body, response.target} == {nil, nil}
      assert response.start_line == StatusLine.new(200)
    end

    test "gives To a tag in all but a 100 (§8.2.6.2), and one in a 100 its Timestamp (§8.2.6.1)" do
      request = request(%{timestamp: {54.0, 0.0}})
      trying = Message.to_response(request, 100)
      assert trying.headers.to == request.headers.to
      assert trying.headers.timestamp == {54.0, 0.0}

      ringing = Message.to_response(request, 180, "Ring Ring")
      assert ringing.start_line.reason_phrase == "Ring Ring"
      {"Bob", uri, %{"tag" => tag}} = ringing.headers.to
      assert uri == elem(request.headers.to, 1)
      assert tag =~ ~r/\A[0-9a-f]{16}\z/
      refute is_map_key(ringing.headers, :timestamp)
    end

    test "gives all responses to a request one tag, its CANCEL too (§9.2)" do
      %{headers: %{to: to}} = Message.to_response(request(), 180)
      assert Message.to_response(request(), 200).headers.to == to
      assert Message.to_response(request(), StatusLine.new(486, "No")).headers.to == to

      cancel = %{
        request(%{cseq: {314_159, :cancel}})
        | start_line: RequestLine.new(:cancel, "sip:bob@biloxi.com")
      }

      assert Message.to_response(cancel, 200).headers.to == to

      rewritten =
        {{2, 0}, :udp, {"pc33.atlanta.com", 5060},
         %{"branch" => @branch, "received" => "192.0.2.1"}}

      assert Message.to_response(request(%{via: [rewritten]}), 200).headers.to == to
    end

    test "gives another request another tag" do
      via = {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bKother"}}
      from = {"", URI.parse!("sip:alice@atlanta.com"), %{"tag" => "other"}}

      tags =
        for headers <- [
              %{},
              %{call_id: "other"},
              %{cseq: {314_160, :invite}},
              %{from: from},
              %{via: [via]}
            ] do
          elem(Message.to_response(request(headers), 200).headers.to, 2)["tag"]
        end

      assert Enum.uniq(tags) == tags
    end

    test "gives one tag also when many processes ask at once" do
      tags =
        1..50
        |> Enum.map(fn _ ->
          Task.async(fn -> Message.to_response(request(), 200).headers.to end)
        end)
        |> Task.await_many()

      assert length(Enum.uniq(tags)) == 1
    end

    test "keeps a tag that is there" do
      to = {"Bob", URI.parse!("sip:bob@biloxi.com"), %{"tag" => "a6c85cf"}}
      assert Message.to_response(request(%{to: to}), 200).headers.to == to
    end

    test "needs a request with a To" do
      request = Message.delete_header(request(), :to)
      assert_raise ArgumentError, fn -> Message.to_response(request, 200) end
      assert_raise ArgumentError, fn -> Message.to_response(request, 100) end

      assert_raise FunctionClauseError, fn ->
        Message.to_response(Message.build_response(200), 200)
      end
    end
  end

  describe "get_remote/1" do
    test "takes received and rport of the topmost Via before its sent-by" do
      for {parameters, remote} <- [
            {%{}, {:udp, "pc33.atlanta.com", 5060}},
            {%{"received" => "192.0.2.1"}, {:udp, "192.0.2.1", 5060}},
            {%{"rport" => "9988"}, {:udp, "pc33.atlanta.com", 9988}},
            {%{"received" => "192.0.2.1", "rport" => "9988"}, {:udp, "192.0.2.1", 9988}},
            {%{"received" => "2001:db8::1"}, {:udp, "2001:db8::1", 5060}},
            {%{"received" => "[2001:db8::1]"}, {:udp, "2001:db8::1", 5060}}
          ] do
        via = {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, parameters}
        assert Message.get_remote(request(%{via: [via, :other]})) == {:ok, remote}
      end
    end

    test "passes over an rport that is no port" do
      for rport <- ["", "abc", "-1", "0", "65536", "5060x", "99999999999999999999"] do
        via = {{2, 0}, :tcp, {"a.example", 5070}, %{"rport" => rport}}
        assert Message.get_remote(request(%{via: [via]})) == {:ok, {:tcp, "a.example", 5070}}
      end
    end

    test "has two errors" do
      missing = {:error, "Missing Via header"}
      assert Message.get_remote(request(%{via: []})) == missing
      assert Message.get_remote(Message.delete_header(request(), :via)) == missing
      assert Message.get_remote(Message.to_response(request(), 200)) == {:error, "Not a request"}
    end
  end

  describe "validate/1" do
    test "finds nothing wrong with a request that has all it needs" do
      assert Message.validate(request()) == :ok
      assert Message.valid?(request())
      assert Message.validate(Message.to_response(request(), 200)) == :ok
    end

    test "names the first fault, in the words of 1.x" do
      tagless = {"", URI.parse!("sip:a.example"), %{}}
      empty = {"", URI.parse!("sip:a.example"), %{"tag" => ""}}
      version = %{request().start_line | version: {3, 0}}
      tcp = [{{2, 0}, :tcp, {"a.example", 5060}, %{"branch" => @branch}}]

      for {message, fault} <- [
            {%{request() | start_line: version}, "invalid status line version {3, 0}"},
            {Message.drop_headers(request(), [:cseq, :to]), "missing headers: [:to, :cseq]"},
            {Message.build_response(200), "missing headers: [:to, :from, :cseq, :call_id, :via]"},
            {request(%{via: []}), "missing headers: [:via]"},
            {request(%{content_length: 1}), "Content-Length and message body size do not match"},
            {%{request(%{content_length: 1}) | body: "é"},
             "Content-Length and message body size do not match"},
            {%{request(%{via: tcp}) | body: "a"},
             "No Content-Length header, but body is not nil"},
            {%{request(%{via: tcp}) | body: ""}, "No Content-Length header, but body is not nil"},
            {request(%{from: tagless}), ":from does not have tag"},
            {request(%{from: empty}), "empty :from tag"},
            {request(%{cseq: {1, :bye}}), "CSeq method and request method do no match"}
          ] do
        assert Message.validate(message) == {:error, fault}
        refute Message.valid?(message)
      end
    end

    test "counts a body in bytes, and over UDP without Content-Length not at all" do
      assert Message.validate(%{request(%{content_length: 2}) | body: "é"}) == :ok
      assert Message.validate(request(%{content_length: 0})) == :ok
      assert Message.validate(%{request() | body: "a"}) == :ok
    end

    test "judges a missing Content-Length by the topmost Via" do
      vias =
        for protocol <- [:udp, :tcp],
            do: {{2, 0}, protocol, {"a.example", 5060}, %{"branch" => @branch}}

      assert Message.valid?(%{request(%{via: vias}) | body: "a"})
      refute Message.valid?(%{request(%{via: Enum.reverse(vias)}) | body: "a"})
    end

    test "never raises, whatever a program put into the message" do
      for junk <- [nil, [], "", 1, :a, {}, {1}, %{}, [1], [:a | :b], {1, 2, 3}, {1, 2, 3, 4}] do
        for field <- [:start_line, :headers, :body, :target] do
          message = Map.put(request(), field, junk)

          assert Message.validate(message) == :ok or
                   match?({:error, _}, Message.validate(message))

          assert Message.valid?(message, {:udp, "192.0.2.1", 5060}) in [true, false]
        end

        for header <- [:via, :to, :from, :cseq, :call_id, :content_length] do
          assert Message.valid?(request(%{header => junk})) in [true, false]
          assert Message.valid?(%{request(%{header => junk}) | body: "x"}) in [true, false]

          assert Message.valid?(request(%{header => junk}), {:udp, "192.0.2.1", 5060}) in [
                   true,
                   false
                 ]
        end

        refute Message.valid?(request(%{from: junk}))
        refute Message.valid?(request(%{via: [junk]}), {:udp, "192.0.2.1", 5060})
      end
    end
  end

  describe "validate/2" do
    test "looks at each Via" do
      good = {{2, 0}, :udp, {"a.example", 5060}, %{"branch" => "z9hG4bK1"}}
      from = {:udp, "192.0.2.1", 5060}
      assert Message.validate(request(%{via: [good, good]}), from) == :ok

      assert Message.validate(request(%{via: [good]}), {:tcp, "192.0.2.1", 5060}) ==
               {:error, "Via protocol doesn't match transport protocol"}

      for {bad, fault} <- [
            {{{3, 0}, :udp, {"a.example", 5060}, %{"branch" => "z9hG4bK1"}},
             "Via version {3, 0} is unknown"},
            {{{2, 0}, :udp, {"a.example", 5060}, %{}},
             "Via header doesn't have branch parameter"},
            {{{2, 0}, :udp, {"a.example", 5060}, %{"branch" => "1"}},
             "Via branch doesn't start with the magic cookie"}
          ] do
        assert Message.validate(request(%{via: [good, bad]}), from) == {:error, fault}
        refute Message.valid?(request(%{via: [good, bad]}), from)
      end
    end

    test "begins with what validate/1 says" do
      assert Message.validate(request(%{via: []}), {:udp, "192.0.2.1", 5060}) ==
               {:error, "missing headers: [:via]"}
    end
  end

  describe "copy/1" do
    test "detaches every binary from the datagram" do
      long = String.duplicate("a", 200)

      data =
        "INVITE sip:#{long}@biloxi.com SIP/2.0\r\nVia: SIP/2.0/UDP #{long};branch=#{long}\r\n" <>
          "Subject: #{long}\r\nX-#{long}: #{long}\r\nSupported: #{long}, #{long}\r\n\r\n#{long}"

      message = Message.parse!(data <> String.duplicate("b", 10_000))
      copy = Message.copy(message)
      assert copy == message
      assert Enum.all?(binaries(copy), &(Terms.referenced_bytes(&1) <= byte_size(&1) + 64))
      assert byte_size(copy.body) == 10_200
    end
  end

  defp binaries(binary) when is_binary(binary), do: [binary]
  defp binaries(list) when is_list(list), do: Enum.flat_map(list, &binaries/1)
  defp binaries(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> binaries()
  defp binaries(map) when is_map(map), do: map |> :maps.to_list() |> binaries()
  defp binaries(_other), do: []

  describe "Access" do
    test "reads and updates the fields" do
      request = request()
      assert request[:start_line].method == :invite
      assert request[:nothing] == nil

      assert update_in(request[:headers][:cseq], fn {n, m} -> {n + 1, m} end).headers.cseq ==
               {314_160, :invite}

      assert get_and_update_in(request[:body], &{&1, "x"}) == {nil, %{request | body: "x"}}
      assert {_cseq, %{headers: headers}} = pop_in(request[:headers][:cseq])
      assert headers == Map.delete(request.headers, :cseq)
    end

    test "empties a field that is popped" do
      request = %{request() | body: "x"}
      assert Access.pop(request, :body) == {"x", %{request | body: nil}}

      assert Message.get_and_update(request, :body, fn _ -> :pop end) ==
               {"x", %{request | body: nil}}

      assert Message.pop(request, :headers) == {request.headers, %{request | headers: %{}}}
      assert Message.pop(request, :body, "y") == {"x", %{request | body: "y"}}
    end

    test "checks what is put there" do
      assert_raise RuntimeError, ~r/invalid :default/, fn ->
        Message.pop(request(), :headers, [])
      end

      assert_raise RuntimeError, fn ->
        Message.get_and_update(request(), :body, fn _ -> :other end)
      end

      assert_raise FunctionClauseError, fn ->
        Message.get_and_update(request(), :other, &{&1, &1})
      end
    end
  end
end
