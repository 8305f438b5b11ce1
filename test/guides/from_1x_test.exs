defmodule Sippet.Guides.From1xTest do
  # guides/from-1.x-to-2.md: each expression of its tables gives what the last column says, and the prose is held to by the rows
  # of test/conformance/api_1x_test.exs, test/integration/transport_1x_test.exs and the tests below.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.{Message, Transaction, TransportError}
  alias Sippet.Test.{Core, Guide, Peer, Stack}
  alias Sippet.Transactions.{Client, Server}

  @guide "from-1.x-to-2.md"
  @tables ~w(Parsing Writing Messages URIs Digest Keys)

  defmodule Words do
    # The words that the guide's expressions use.
    alias Sippet.{DigestAuth, Message}

    def request do
      Message.parse!("""
      INVITE sip:bob@biloxi.com SIP/2.0
      Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds
      From: <sip:alice@atlanta.com>;tag=1928301774
      To: <sip:bob@biloxi.com>
      Call-ID: a84b4c76e66710
      CSeq: 314159 INVITE
      """)
    end

    def headers(lines), do: Message.parse!("OPTIONS sip:a SIP/2.0\r\n" <> lines <> "\r\n").headers
    def start_line(line), do: Message.parse!(line <> "\r\n\r\n").start_line
    def uri(text), do: Sippet.URI.parse!(text)
    def put(header, value), do: Message.put_header(%Message{}, header, value)
    def sigil(parts), do: Sippet.sigil_K(Enum.join(parts, "|"), [])

    def write(header, value) do
      "SIP/2.0 200 OK\r\n" <> text =
        200 |> Message.build_response() |> Message.put_header(header, value) |> to_string()

      text |> String.replace_suffix("\r\n\r\n", "") |> without_length(header)
    end

    defp without_length(text, :content_length), do: text
    defp without_length(text, _header), do: String.replace(text, "\r\nContent-Length: 0", "")

    def digest(challenges, options \\ []) do
      response = Message.put_header(Message.build_response(401), :www_authenticate, challenges)
      account = fn _realm -> {:ok, "bob", "zanzibar"} end

      with {:ok, request} <- DigestAuth.make_request(request(), response, account, options),
           do: {:ok, request.headers.authorization}
    end
  end

  for heading <- @tables do
    test "#{heading}: each expression gives what the guide says" do
      rows = Guide.table(@guide, unquote(heading))
      assert rows != []

      for [expression, _old, now] <- rows do
        case Regex.run(~r/^raises `(.*)`$/, now, capture: :all_but_first) do
          [exception] ->
            assert_raise Module.concat([exception]), fn -> run(code(expression)) end

          nil ->
            assert {expression, run("match?(#{code(now)}, value)", value: run(code(expression)))} ==
                     {expression, true}
        end
      end
    end
  end

  defp code(cell) do
    [code] = Regex.run(~r/^`(.*)`$/, cell, capture: :all_but_first)
    code
  end

  defp run(code, bindings \\ []) do
    prelude = "import #{inspect(Words)}, warn: false; alias Sippet.Message, warn: false;"
    {value, _bindings} = Code.eval_string(prelude <> code, bindings ++ [request: Words.request()])
    value
  end

  test "Timers: the defaults are those of the table" do
    defaults = Sippet.Stack.validate_options!(name: :x)

    for [option, _old, now] <- Guide.table(@guide, "Timers") do
      assert {option, defaults[run(code(option))]} == {option, String.to_integer(now)}
    end
  end

  test "what the guide names of this version is there" do
    text = File.read!(Path.expand("../../guides/#{@guide}", __DIR__))

    old =
      for [old | _] <- Guide.table(@guide, "Removed") ++ Guide.table(@guide, "From 0.2 to 0.6"),
          do: old

    text = Enum.reduce(old, text, &String.replace(&2, &1, ""))
    functions = Regex.scan(~r/`(c:)?(Sippet[A-Za-z.]*)\.([a-z_!?A-Z]+)\/(\d)`/, text)
    assert length(functions) > 30

    for [_all, callback, module, name, arity] <- functions do
      module = Module.concat([module])
      function = {String.to_atom(name), String.to_integer(arity)}

      known =
        if callback == "c:",
          do: module.behaviour_info(:callbacks),
          else: module.__info__(:functions)

      assert {module, function in known} == {module, true}, "#{inspect(module)}.#{name}/#{arity}"
    end
  end

  describe "the words of 1.x's README:" do
    # By name, in three calls, as in 1.x: no supervisor, no option but the name and a port.
    defp start do
      name = :"old_#{System.unique_integer([:positive])}"
      {:ok, _stack} = Sippet.start_link(name: name)
      {:ok, _udp} = Sippet.Transports.UDP.start_link(name: name, port: 0, address: "127.0.0.1")
      Core.register(name, :forward)
      name
    end

    test "a stack, a transport and a core are three calls; another core takes the place of the first" do
      defmodule MyCore do
        use Sippet.Core

        def receive_request(request, server_key),
          do: send(:from_1x_test, {:mine, request.start_line.method, server_key})

        def receive_response(_response, _client_key), do: :ok
        def receive_error(_reason, _key), do: :ok
      end

      Process.register(self(), :from_1x_test)
      stack = start()
      assert :ok = Sippet.register_core(stack, MyCore)
      peer = Peer.open()
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      assert_receive {:mine, :options, %Server.Key{method: :options}}
    end

    test "a message made by hand, without :max_forwards and with body nil, is sent" do
      alias Sippet.Message.RequestLine
      stack = start()
      peer = Peer.open()

      message = %Message{
        start_line: RequestLine.new(:invite, "sip:bob@127.0.0.1:#{peer.port}"),
        headers: %{
          via: [{{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => "z9hG4bKnashds8"}}],
          from: {"Alice", Sippet.URI.parse!("sip:alice@127.0.0.1"), %{"tag" => "1928301774"}},
          to: {"Bob", Sippet.URI.parse!("sip:bob@127.0.0.1"), %{}},
          call_id: "a84b4c76e66710@pc33.atlanta.com",
          cseq: {314_159, :invite}
        },
        body: nil
      }

      assert :ok = Sippet.send(stack, message)
      text = Peer.expect(peer, "INVITE sip:bob@127.0.0.1:#{peer.port} SIP/2.0\r\n")
      assert field(text, "CSeq") == "314159 INVITE"
      assert field(text, "From") == ~s("Alice" <sip:alice@127.0.0.1>;tag=1928301774)
      assert fields(text, "Max-Forwards") == []
      assert String.ends_with?(text, "\r\n\r\n")
      Peer.send(peer, Stack.address(stack), response(text, "486 Busy Here"))
      assert_receive {^stack, :response, %{start_line: %{status_code: 486}}, key}
      assert key == %Client.Key{branch: "z9hG4bKnashds8", method: :invite}
    end

    test "a message of text whose lines end in LF, without an empty line behind them, is sent" do
      stack = start()
      peer = Peer.open()

      message =
        Message.parse!("""
        REGISTER sip:127.0.0.1:#{peer.port} SIP/2.0
        Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKnashds7
        Max-Forwards: 70
        To: Bob <sip:bob@biloxi.com>
        From: Bob <sip:bob@biloxi.com>;tag=456248
        Call-ID: 843817637684230@998sdasdh09
        CSeq: 1826 REGISTER
        Contact: <sip:bob@192.0.2.4>
        Expires: 7200
        """)

      assert message.body == nil
      assert message.headers.expires == 7200
      assert :ok = Sippet.send(stack, message)
      text = Peer.expect(peer, "REGISTER ")
      assert field(text, "Expires") == "7200"
      assert {:error, :already_started} = Sippet.send(stack, message)
    end

    test "a response is made of its request and sent by the same function" do
      stack = start()
      peer = Peer.open()
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, request, %Server.Key{} = key}
      response = Message.to_response(request, 200)
      assert Server.Key.new(response) == key
      assert :ok = Sippet.send(stack, response)
      Peer.expect(peer, "SIP/2.0 200 ")
      assert :ok = Sippet.terminate(stack, key)
      assert {:error, :no_transaction} = Sippet.send(stack, response)
    end
  end

  describe "Sending and Receiving:" do
    test "a request that has nowhere to go is an error of send/2 alone" do
      stack = Stack.start()
      request = Stack.request(:options, {{127, 0, 0, 1}, 5060}, target: nil)
      tel = put_in(request.start_line.request_uri, Sippet.URI.parse!("tel:+12015550123"))
      ack = Stack.request(:ack, {{127, 0, 0, 1}, 5060}, target: {:tcp, "127.0.0.1", 5060})

      assert {:error, %TransportError{reason: :no_destination}} = Sippet.send(stack, tel)
      assert {:error, %TransportError{reason: :no_transport}} = Sippet.send(stack, ack)
      refute_receive {^stack, :error, _reason, _key}, 20

      without_branch =
        Message.put_header(%{request | target: {:udp, "127.0.0.1", 9}}, :via, [
          {{2, 0}, :udp, {"a", 5060}, %{}}
        ])

      assert_raise ArgumentError, ~r/Via has no branch/, fn ->
        Sippet.send(stack, without_branch)
      end
    end

    test "a second final response, and those of RFC 4320, are refused by reason" do
      stack = Stack.start()
      peer = Peer.open()
      Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, request, key}
      send_status = &Sippet.send(stack, Message.to_response(request, &1))
      assert send_status.(180) == {:error, :provisional_forbidden}
      assert send_status.(408) == {:error, :timeout_forbidden}
      assert send_status.(200) == :ok
      assert send_status.(500) == {:error, :already_answered}
      assert Transaction.info(stack, key).state == :completed
    end

    test "a CANCEL comes with the key of its INVITE" do
      stack = Stack.start()
      peer = Peer.open()
      invite = request("INVITE", peer)
      Peer.send(peer, Stack.address(stack), invite)
      assert_receive {^stack, :request, _invite, key}
      Peer.send(peer, Stack.address(stack), follow_up("CANCEL", invite))
      assert_receive {^stack, :request, %{start_line: %{method: :cancel}}, ^key}
    end

    test "UDP is in the list of transports, and in no Registry" do
      stack = Stack.start()
      assert [%{protocol: :udp}] = Sippet.Transport.list(stack)
      assert Registry.lookup(stack, {:transport, :udp}) == []
      assert {:ok, _core} = Registry.meta(stack, :core)
    end
  end
end
