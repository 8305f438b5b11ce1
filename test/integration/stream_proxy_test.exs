defmodule Sippet.Integration.StreamProxyTest do
  # Connections through a proxy, of SOCKS5 and of HTTP CONNECT: the same for TCP, TLS and WebSocket with and without TLS. Against
  # other people's proxies: test/interop/proxies.sh.
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog
  import Sippet.Test.Stack, only: [start: 1, info: 1, eventually: 1, request: 3]

  alias Sippet.{Message, TransportError}
  alias Sippet.Test.{Certificates, StreamPeer, StreamProxy, Wire}

  @name "sip.far.example"
  @secret {"alice", "wonderland"}

  # The protocols of transports and of proxies; an address of each family, and a name that only the proxy knows.
  @destinations [
    ipv4: {"127.0.0.1", {127, 0, 0, 1}},
    ipv6: {"::1", {0, 0, 0, 0, 0, 0, 0, 1}},
    name: {@name, @name}
  ]

  defmodule Nobody do
    # A resolver that is not to be asked.
    @behaviour Sippet.Resolver

    @impl true
    def locate(question, _sippet, test) do
      send(test, {:asked, question.host})
      {:error, %Sippet.ResolverError{reason: :nxdomain, host: question.host}}
    end
  end

  defp side(protocol) when protocol in [:tcp, :ws],
    do: %{protocol: protocol, options: [], tls: nil, ws: if(protocol == :ws, do: "/")}

  defp side(protocol) do
    names = [dns: @name, ip: <<127, 0, 0, 1>>, ip: <<0::120, 1>>]
    chains = Certificates.chains(server: names)

    %{
      protocol: protocol,
      options: [cacerts: chains.client[:cacerts]],
      tls: Keyword.take(chains.server, [:cert, :key]),
      ws: if(protocol == :wss, do: "/")
    }
  end

  defp stack(side, proxy, transport \\ []) do
    proxy = Keyword.merge([address: "127.0.0.1", resolve: :remote], proxy)

    start([
      {side.protocol, [[proxy: proxy] ++ side.options ++ transport]},
      resolver: {Nobody, self()}
    ])
  end

  defp listen(side, ip \\ {127, 0, 0, 1}) do
    family = if tuple_size(ip) == 8, do: [:inet6], else: []
    StreamPeer.listen(ip: ip, tls: side.tls, ws: side.ws, socket: family)
  end

  defp options(side, host, port) do
    request(:options, {{127, 0, 0, 1}, port},
      target: {side.protocol, host, port},
      protocol: side.protocol
    )
  end

  # A request and its response, on a connection of one's own.
  defp exchange(stack, side, host, listener) do
    message = options(side, host, listener.port)
    task = Task.async(fn -> Sippet.send(stack, message) end)
    peer = StreamPeer.accept(listener)
    assert Task.await(task) == :ok
    StreamPeer.send(peer, Wire.response(StreamPeer.expect(peer, "OPTIONS "), "200 OK"))
    assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, _key}
    peer
  end

  for protocol <- [:tcp, :tls, :ws, :wss], proxy <- [:socks5, :http_connect] do
    describe "#{protocol} through #{proxy}" do
      setup do
        {:ok, side: side(unquote(protocol)), proxy: unquote(proxy)}
      end

      for {kind, {host, wire}} <- @destinations, credentials <- [nil, @secret] do
        test "to #{kind}, #{if credentials, do: "with", else: "without"} credentials", context do
          %{side: side, proxy: proxy} = context
          wire = unquote(Macro.escape(wire))
          credentials = unquote(credentials)
          listener = listen(side, if(is_tuple(wire), do: wire, else: {127, 0, 0, 1}))

          port =
            StreamProxy.start(
              proxy,
              [names: %{@name => {127, 0, 0, 1}}] ++
                if(credentials, do: [credentials: credentials], else: [])
            )

          stack = stack(side, protocol: proxy, port: port, credentials: credentials)
          exchange(stack, side, unquote(host), listener)
          destination = {wire, listener.port}
          assert_received {:proxied, ^destination, ^credentials}

          # The connection is used again, in whatever way the name is written.
          message = options(side, String.upcase(unquote(host)), listener.port)
          assert :ok = Sippet.send(stack, message)
          refute_received {:proxied, _destination, _credentials}
          refute_received {:asked, _host}
          assert %{connected: 1} = info(stack).counters
        end
      end

      test "an answer may come in any pieces", %{side: side, proxy: proxy} do
        listener = listen(side)
        port = StreamProxy.start(proxy, credentials: @secret, bytewise: true)
        stack = stack(side, protocol: proxy, port: port, credentials: @secret)
        exchange(stack, side, "127.0.0.1", listener)
      end

      test "wrong credentials are an error of send/2", %{side: side, proxy: proxy} do
        port = StreamProxy.start(proxy, credentials: @secret)
        wrong = [{"alice", "x"}, nil]

        for credentials <- wrong do
          stack = stack(side, protocol: proxy, port: port, credentials: credentials)

          assert {:error, %TransportError{reason: {:proxy, :authentication}} = error} =
                   Sippet.send(stack, options(side, "192.0.2.1", 5060))

          assert Exception.message(error) ==
                   "#{side.protocol} 192.0.2.1:5060: the proxy: it wants other credentials"

          assert info(stack).counters.connect_failures == 1
          eventually(fn -> info(stack).connections == 0 end)
          assert Sippet.Transaction.count(stack) == 0
        end
      end
    end
  end

  # What a proxy sends, by protocol, and the reason that comes of it. A number of bytes is read before each part.
  @answers [
    {:socks5, [{3, <<5, 0xFF>>}], :authentication},
    {:socks5, [{3, <<4, 0>>}], :malformed},
    {:socks5, [{3, <<5, 1>>}], :malformed},
    # A method that was not offered.
    {:socks5, [{3, <<5, 2>>}], :malformed},
    {:socks5, [{3, "HTTP/1.1 400 Bad Request\r\n\r\n"}], :malformed},
    {:socks5, [{3, <<5>>}], :connection_closed},
    {:socks5, [{3, <<5, 0>>}, {10, <<5, 0>>}], :connection_closed},
    {:socks5, [{3, <<5, 0>>}, {10, <<4, 0, 0, 1, 0::48>>}], :malformed},
    {:socks5, [{3, <<5, 0>>}, {10, <<5, 0, 0, 2, 0::48>>}], :malformed},
    {:socks5, [{3, <<5, 0>>}, {10, <<5, 1, 0, 1, 0::48>>}], {:socks5, 1}},
    {:socks5, [{3, <<5, 0>>}, {10, <<5, 200, 0, 1, 0::48>>}], {:socks5, 200}},
    {:socks5, [{3, <<5, 0>>}, {10, <<5, 0, 0, 3, 255, 0>>}], :connection_closed},
    {:http_connect, [{1, "HTTP/1.1 503 Service Unavailable\r\n\r\n"}], {:http, 503}},
    {:http_connect, [{1, "HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n"}], {:http, 302}},
    {:http_connect, [{1, "HTTP/1.1 407 Say Please\r\n\r\n"}], :authentication},
    {:http_connect, [{1, "HTTP/1.0 401 Unauthorized\r\n\r\n"}], :authentication},
    {:http_connect, [{1, "HTTP/2.0 200 OK\r\n\r\n"}], :malformed},
    {:http_connect, [{1, "HTTP/1.1 2000 OK\r\n\r\n"}], :malformed},
    {:http_connect, [{1, "HTTP/1.1 200 OK\r\nVia : x\r\n\r\n"}], :malformed},
    {:http_connect, [{1, "\r\n\r\n"}], :malformed},
    {:http_connect, [{1, <<5, 0, "\r\n\r\n">>}], :malformed},
    {:http_connect, [{1, "HTTP/1.1 200 OK\r\n"}], :connection_closed},
    {:http_connect, [{1, ""}], :connection_closed},
    {:http_connect, [{1, ["HTTP/1.1 200 OK\r\nX: ", String.duplicate("x", 17_000)]}], :malformed},
    {:http_connect, [{1, ["HTTP/1.1 200 OK\r\n", List.duplicate("X: y\r\n", 101), "\r\n"]}],
     :malformed},
    {:http_connect, [{1, List.duplicate("HTTP/1.1 100 Continue\r\n\r\n", 10)}], {:http, 100}},
    {:http_connect, [{1, List.duplicate("\r\nx", 10_000)}], :malformed}
  ]

  test "what a proxy answers is held to its protocol, and read within bounds" do
    for {protocol, parts, reason} <- @answers do
      port =
        StreamProxy.start(protocol,
          hostile: fn socket ->
            for {count, bytes} <- parts do
              {:ok, _asked} = :gen_tcp.recv(socket, count)
              # It may be left before all of that is sent.
              :gen_tcp.send(socket, bytes)
            end

            :gen_tcp.shutdown(socket, :write)
            :gen_tcp.recv(socket, 0, 2_000)
          end
        )

      stack = stack(side(:tcp), protocol: protocol, port: port)

      assert {:error, %TransportError{reason: {:proxy, ^reason}} = error} =
               Sippet.send(stack, options(side(:tcp), "192.0.2.1", 5060)),
             inspect(parts)

      assert Exception.message(error) =~ "the proxy: "
      eventually(fn -> info(stack).connections == 0 end)
    end
  end

  test "a proxy that has no end, or says nothing, costs :connect_timeout and no more" do
    endless = fn socket, bytes ->
      Stream.repeatedly(fn -> :gen_tcp.send(socket, bytes) end)
      |> Enum.find(&(&1 != :ok))
    end

    slow = fn socket, bytes ->
      for <<byte <- bytes>> do
        :gen_tcp.send(socket, <<byte>>)
        :gen_tcp.recv(socket, 0, 20)
      end
    end

    before = :erlang.memory(:total)

    for {protocol, hostile, reason} <- [
          {:socks5, &slow.(&1, String.duplicate(<<5>>, 1_000)), :malformed},
          {:socks5, &endless.(&1, <<5, 0>>), :malformed},
          {:socks5, &:gen_tcp.recv(&1, 4, 5_000), :timeout},
          {:http_connect, &slow.(&1, "HTTP/1.1 200 OK\r\nX: #{String.duplicate("x", 1_000)}"),
           :timeout},
          {:http_connect, &endless.(&1, "HTTP/1.1 200 OK\r\n"), :malformed},
          {:http_connect, &endless.(&1, String.duplicate("x", 1_000)), :malformed},
          {:http_connect, &endless.(&1, "HTTP/1.1 100 Continue\r\n\r\n"), {:http, 100}},
          {:http_connect, &:gen_tcp.recv(&1, 10_000, 5_000), :timeout}
        ] do
      port = StreamProxy.start(protocol, hostile: hostile)
      stack = stack(side(:tcp), [protocol: protocol, port: port], connect_timeout: 400)

      assert {:error, %TransportError{reason: {:proxy, ^reason}}} =
               Sippet.send(stack, options(side(:tcp), "192.0.2.1", 5060))

      eventually(fn -> info(stack).connections == 0 end)
    end

    assert :erlang.memory(:total) - before < 64_000_000
  end

  test "the deadline is for the proxy and for what is behind it together" do
    for protocol <- [:tls, :ws] do
      # It connects, and what it has connected to says nothing.
      listener = StreamPeer.listen()
      port = StreamProxy.start(:socks5)
      stack = stack(side(protocol), [protocol: :socks5, port: port], connect_timeout: 200)

      assert {:error, %TransportError{reason: :timeout}} =
               Sippet.send(stack, options(side(protocol), "127.0.0.1", listener.port))
    end
  end

  test "a proxy that cannot be reached is told from a destination that cannot" do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    message = options(side(:tcp), "192.0.2.1", 5060)
    unreachable = stack(side(:tcp), protocol: :socks5, port: port)

    assert {:error, %TransportError{reason: {:proxy, :econnrefused}} = error} =
             Sippet.send(unreachable, message)

    assert Exception.message(error) == "tcp 192.0.2.1:5060: the proxy: connection refused"

    for {protocol, status, reason, text} <- [
          {:socks5, 5, {:socks5, 5}, "the proxy: it refuses with 5 (connection refused)"},
          {:http_connect, "502 Bad Gateway", {:http, 502}, "the proxy: it refuses with HTTP 502"}
        ] do
      stack =
        stack(side(:tcp), protocol: protocol, port: StreamProxy.start(protocol, status: status))

      assert {:error, %TransportError{reason: {:proxy, ^reason}} = error} =
               Sippet.send(stack, message)

      assert Exception.message(error) == "tcp 192.0.2.1:5060: #{text}"
    end
  end

  test "a proxy may have a name, or an address of another family than the transport" do
    for {address, ip, options} <- [
          {"localhost", {127, 0, 0, 1}, []},
          {"::1", {0, 0, 0, 0, 0, 0, 0, 1}, [inet6: true]}
        ] do
      listener = listen(side(:tcp))

      port =
        if options[:inet6],
          do: StreamProxy.start(:socks5, ip: ip),
          else: StreamProxy.start(:socks5)

      stack = stack(side(:tcp), address: address, protocol: :socks5, port: port)
      exchange(stack, side(:tcp), "127.0.0.1", listener)
    end
  end

  test "what comes right behind the proxy's answer is the peer's and is not lost" do
    for protocol <- [:socks5, :http_connect] do
      listener = listen(side(:tcp))
      port = StreamProxy.start(protocol, early: "\r\n\r\n")
      stack = stack(side(:tcp), protocol: protocol, port: port)

      task =
        Task.async(fn -> Sippet.send(stack, options(side(:tcp), "127.0.0.1", listener.port)) end)

      peer = StreamPeer.accept(listener)
      assert :ok = Task.await(task)

      # The keep-alive is answered, before the request or behind it (RFC 5626 §3.5.1).
      text = StreamPeer.receive_message(peer)
      assert text =~ "OPTIONS sip:"
      unless String.starts_with?(text, "\r\n"), do: assert(StreamPeer.read(peer, 2) == "\r\n")
      assert info(stack).counters.pings == 1
    end
  end

  describe "a name" do
    test "is what a certificate is held to, whatever the proxy connects to" do
      for protocol <- [:tls, :wss],
          {name, verdict} <- [{@name, :ok}, {"other.example", :error}] do
        side = side(protocol)
        listener = listen(side)
        names = %{@name => {127, 0, 0, 1}, "other.example" => {127, 0, 0, 1}}
        port = StreamProxy.start(:socks5, names: names)
        stack = stack(side, protocol: :socks5, port: port)

        if verdict == :ok do
          exchange(stack, side, name, listener)
        else
          task = Task.async(fn -> Sippet.send(stack, options(side, name, listener.port)) end)
          StreamPeer.accept(%{listener | ws: nil})

          assert {:error, %TransportError{reason: {:wrong_certificate, _names}}} =
                   Task.await(task)
        end
      end
    end

    test "that cannot be one never gets to the proxy" do
      for protocol <- [:socks5, :http_connect],
          {host, reason} <- [
            {"a\r\nX: y", :bad_name},
            {"a b", :bad_name},
            {"", :bad_name},
            {String.duplicate("a.", 200), :bad_name},
            {"a\0", :bad_name},
            {"df7jal23ls0d.invalid", :nxdomain}
          ] do
        stack = stack(side(:tcp), protocol: protocol, port: StreamProxy.start(protocol))

        assert {:error, %TransportError{reason: ^reason}} =
                 Sippet.send(stack, options(side(:tcp), host, 5060))

        refute_received {:proxied, _destination, _credentials}
      end
    end

    test "is resolved by the resolver of the stack with `resolve: :local`" do
      stack =
        stack(side(:tcp), protocol: :socks5, port: StreamProxy.start(:socks5), resolve: :local)

      assert {:error, %TransportError{reason: :nxdomain}} =
               Sippet.send(stack, options(side(:tcp), @name, 5060))

      assert_received {:asked, @name}
      refute_received {:proxied, _destination, _credentials}
    end

    test "of a URI gets the port of the URI, else that of its protocol" do
      for {protocol, uri, port} <- [
            {:tcp, "sip:bob@#{@name};transport=tcp", 5060},
            {:tcp, "sip:bob@#{@name}:5070;transport=tcp", 5070},
            {:tls, "sips:bob@#{@name}", 5061},
            {:ws, "sip:bob@#{@name};transport=ws", 80},
            {:wss, "sips:bob@#{@name};transport=ws", 443}
          ] do
        stack =
          stack(side(protocol), protocol: :socks5, port: StreamProxy.start(:socks5, status: 4))

        message = %{request(:options, {{127, 0, 0, 1}, 1}, uri: uri) | target: nil}

        assert {:error, %TransportError{reason: {:proxy, {:socks5, 4}}}} =
                 Sippet.send(stack, message)

        assert_received {:proxied, {@name, ^port}, nil}
      end
    end
  end

  test "requests of the peer come from the proxy's address, and its flow leads back" do
    listener = listen(side(:tcp))
    port = StreamProxy.start(:socks5, names: %{@name => {127, 0, 0, 1}})
    stack = stack(side(:tcp), protocol: :socks5, port: port)
    peer = exchange(stack, side(:tcp), @name, listener)
    remote = {{127, 0, 0, 1}, port}
    via = "SIP/2.0/TCP far.example:#{listener.port};branch=z9hG4bK#{Wire.unique()};rport"
    StreamPeer.send(peer, Wire.request("INVITE", peer, via: via))
    assert_receive {^stack, :request, %{source: %{remote: ^remote}} = invite, key}
    [{_version, :tcp, _sent_by, parameters}] = invite.headers.via
    assert parameters["received"] == "127.0.0.1"
    assert :ok = Sippet.send(stack, Message.to_response(invite, 180))
    StreamPeer.expect(peer, "SIP/2.0 180 ")

    back = %{options(side(:tcp), @name, listener.port) | target: invite.source}
    assert :ok = Sippet.send(stack, back)
    StreamPeer.expect(peer, "OPTIONS ")

    # Behind a name there is no other way back: the address of a new connection would be the proxy's.
    StreamPeer.close(peer)
    assert_receive {^stack, :flow_closed, flow, :closed}
    assert flow == invite.source
    assert :ok = Sippet.send(stack, Message.to_response(invite, 200))
    assert_receive {^stack, :error, :connection_closed, ^key}
    StreamPeer.refute_accept(listener, 20)
  end

  test "connections that peers make are none of the proxy's" do
    stack = stack(side(:tcp), protocol: :socks5, port: StreamProxy.start(:socks5))
    peer = StreamPeer.connect(Sippet.Test.Stack.address(stack))
    StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: "TCP"))
    assert_receive {^stack, :request, request, _key}
    assert :ok = Sippet.send(stack, Message.to_response(request, 200))
    StreamPeer.expect(peer, "SIP/2.0 200 ")
    refute_received {:proxied, _destination, _credentials}
  end

  describe "credentials" do
    test "may be those of a function" do
      listener = listen(side(:tcp))
      port = StreamProxy.start(:http_connect, credentials: @secret)

      stack =
        stack(side(:tcp), protocol: :http_connect, port: port, credentials: fn -> @secret end)

      exchange(stack, side(:tcp), "127.0.0.1", listener)
    end

    test "stand in no report, no state of a process and no error" do
      secret = {"visible-username", "visible-password"}
      proxy = [protocol: :socks5, address: "127.0.0.1", port: 1080, credentials: secret]

      refute_visible = fn term ->
        refute inspect(term, limit: :infinity, structs: false) =~ "visible"
      end

      for module <- [
            Sippet.Transports.TCP,
            Sippet.Transports.TLS,
            Sippet.Transports.WS,
            Sippet.Transports.WSS
          ] do
        refute_visible.(module.child_spec(name: :some_stack, proxy: proxy))
      end

      listener = listen(side(:tcp))
      port = StreamProxy.start(:socks5, credentials: secret)
      stack = stack(side(:tcp), protocol: :socks5, port: port, credentials: secret)
      exchange(stack, side(:tcp), "127.0.0.1", listener)
      [%{pid: transport}] = Sippet.Transport.list(stack)
      refute_visible.(:sys.get_status(transport))

      for {_id, pid, _type, [module]} <- Supervisor.which_children(transport),
          module != Sippet.Transport.Acceptor do
        refute_visible.(:sys.get_status(pid))

        if module == DynamicSupervisor do
          for {_id, connection, _type, _modules} <- DynamicSupervisor.which_children(pid) do
            refute_visible.(:sys.get_status(connection))

            # What a connection that crashes leaves in the log.
            log =
              capture_log(fn ->
                monitor = Process.monitor(connection)
                send(connection, {:transmit, nil, :no_bytes, nil})
                assert_receive {:DOWN, ^monitor, :process, _pid, _reason}
                Logger.flush()
              end)

            assert log =~ "Sippet.Transport.Connection"
            refute log =~ "visible"
          end
        end
      end

      refute_visible.(Sippet.Transport.list(stack))
    end

    test "that cannot be used are refused without being shown" do
      good = [protocol: :socks5, address: "127.0.0.1", port: 1080]

      for {options, expected} <- [
            {:visible, ~r/:proxy to be nil or a keyword list/},
            {good ++ [password: "visible"], ~r/other options than .* got: :password/},
            {Keyword.put(good, :protocol, :socks4), ~r/:protocol :socks5 or :http_connect/},
            {Keyword.put(good, :port, 0), ~r/a :port between 1 and 65535/},
            {Keyword.put(good, :address, ""), ~r/an :address/},
            {Keyword.delete(good, :address), ~r/an :address/},
            {good ++ [resolve: :visible], ~r/:resolve :local or :remote/},
            {good ++ [credentials: "visible"], ~r/:credentials of two strings of 1 to 255 bytes/},
            {good ++ [credentials: {"visible", ""}], ~r/1 to 255 bytes/},
            {good ++ [credentials: {"visible", String.duplicate("x", 256)}], ~r/1 to 255 bytes/},
            {good ++ [credentials: fn -> :visible end], ~r/1 to 255 bytes/},
            {Keyword.put(good, :protocol, :http_connect) ++ [credentials: {"visible:", "x"}],
             ~r/without a colon/},
            {Keyword.put(good, :protocol, :http_connect) ++ [credentials: {"a", "visible\r\n"}],
             ~r/without control characters/}
          ] do
        error =
          assert_raise ArgumentError, expected, fn ->
            Sippet.Transports.TCP.start_link(name: start(udp: []), port: 0, proxy: options)
          end

        refute Exception.message(error) =~ "visible"
      end
    end
  end
end
