defmodule Sippet.Integration.FailoverTest do
  # Requests to names that lead to several targets (RFC 3263 §4.3): a test for each row of the table in guides/routing.md,
  # and what goes on around it. Peers are sockets and text.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [eventually: 1]

  alias Sippet.{Message, Transaction, TransportError}
  alias Sippet.Resolver.Target
  alias Sippet.Test.{Core, Guide, Peer, Stack, StreamPeer}
  alias Sippet.Transactions.Client

  defmodule Fixed do
    # Every name leads to the same targets.
    @behaviour Sippet.Resolver

    @impl true
    def locate(_question, _sippet, targets), do: {:ok, targets}
  end

  @host {127, 0, 0, 1}

  defp target(%{port: port}, transport \\ :udp),
    do: %Target{transport: transport, address: @host, port: port}

  defp start(targets, options \\ []) do
    sippet = Stack.start([resolver: {Fixed, targets}] ++ options)
    Stack.start_stream(Sippet.Transports.TCP, sippet)
    sippet
  end

  defp request(method, options \\ []) do
    request = Stack.request(method, {@host, 1}, [uri: "sip:bob@biloxi.example"] ++ options)
    %{request | target: nil}
  end

  defp answer(text, status, more \\ []) do
    fields =
      for name <- ~w(Via From To Call-ID CSeq), value <- fields(text, name), do: {name, value}

    lines =
      for {name, value} <- fields do
        tag =
          if name == "To" and status > 100 and not (value =~ ";tag="), do: ";tag=peer", else: ""

        "#{name}: #{value}#{tag}"
      end

    Enum.join(
      ["SIP/2.0 #{status} Whatever"] ++ lines ++ more ++ ["Content-Length: 0", "", ""],
      "\r\n"
    )
  end

  defp fields(text, name) do
    for [_, value] <- Regex.scan(~r/^#{name}: ([^\r]*)\r$/m, text), do: value
  end

  defp branch(text) do
    [_, branch] = Regex.run(~r/branch=([^;\r]*)/, text)
    branch
  end

  # The next request of this method, passing over repetitions of others; it is answered.
  defp serve(peer, method, statuses, more \\ []) do
    {text, from} = await(peer, method)
    for status <- List.wrap(statuses), do: Peer.send(peer, from, answer(text, status, more))
    {text, from}
  end

  defp await(peer, method, tries \\ 50) do
    assert tries > 0
    {text, from} = Peer.receive_from(peer, 20_000)

    if String.starts_with?(text, method <> " "),
      do: {text, from},
      else: await(peer, method, tries - 1)
  end

  # What the core is told of its request is this, and nothing after it.
  defp assert_outcome(sippet, request, status) when is_integer(status) do
    key = Client.Key.new(request)

    assert_receive {^sippet, :response, %{start_line: %{status_code: code}} = response, ^key}
                   when code >= 200,
                   20_000

    assert code == status
    assert [{_, _, _, %{"branch" => branch}} | _] = response.headers.via
    assert branch == key.branch
    assert_nothing(sippet)
  end

  defp assert_outcome(sippet, request, reason) do
    key = Client.Key.new(request)
    assert_receive {^sippet, :error, ^reason, ^key}, 20_000
    assert_nothing(sippet)
  end

  defp assert_nothing(sippet) do
    refute_received {^sippet, :error, _, _}

    receive do
      {^sippet, :response, %{start_line: %{status_code: code}}, _key} when code >= 200 ->
        flunk("another outcome: #{code}")
    after
      0 -> :ok
    end
  end

  @rows for [request, first, _outcome] <- Guide.table("routing.md", "When a target fails"),
            do: {request, first}

  defp methods("any"), do: [:options, :invite]
  defp methods("INVITE"), do: [:invite]
  defp methods("OPTIONS"), do: [:options]

  defp word(method), do: method |> Atom.to_string() |> String.upcase()

  for {what, first} <- @rows do
    @row {what, first}
    test "#{what} #{first}" do
      {what, first} = @row
      for method <- methods(what), do: row(first, method)
    end
  end

  defp row("refuses the connection", method) do
    listener = StreamPeer.listen()
    :gen_tcp.close(listener.socket)
    second = Peer.open()
    sippet = start([target(listener, :tcp), target(second)])
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    {text, _from} = serve(second, word(method), 486)
    assert branch(text) == Client.Key.new(request).branch
    assert text =~ "Via: SIP/2.0/UDP "
    assert_outcome(sippet, request, 486)
  end

  defp row("closes the connection before it has answered", method) do
    listener = StreamPeer.listen()
    second = Peer.open()
    sippet = start([target(listener, :tcp), target(second)])
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    connection = StreamPeer.accept(listener)
    assert StreamPeer.expect(connection, word(method)) =~ "Via: SIP/2.0/TCP "
    StreamPeer.close(connection)
    {text, _from} = serve(second, word(method), 486)
    assert text =~ "Via: SIP/2.0/UDP "
    assert branch(text) != Client.Key.new(request).branch
    assert_outcome(sippet, request, 486)
  end

  defp row("answers 503", method) do
    {sippet, first, second} = two()
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    {text, from} = serve(first, word(method), 503)

    if method == :invite do
      {ack, _from} = await(first, "ACK")
      assert branch(ack) == branch(text)
      Peer.send(first, from, answer(text, 503))
      await(first, "ACK")
    end

    {text, _from} = serve(second, word(method), 486)
    assert branch(text) != Client.Key.new(request).branch
    assert_outcome(sippet, request, 486)
  end

  defp row("is silent for 64·T1", method) do
    {sippet, _first, second} = two(t1: 30)
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    serve(second, word(method), 486)
    assert_outcome(sippet, request, 486)
  end

  defp row("answers 486, 500 or 302", method) do
    for status <- [486, 500, 302] do
      {sippet, first, second} = two()
      request = request(method)
      assert Sippet.send(sippet, request) == :ok
      serve(first, word(method), status)
      assert_outcome(sippet, request, status)
      assert Peer.flush(second) == 0
    end
  end

  defp row("answers 180, then nothing for `:invite_proceeding_ms`", :invite) do
    {sippet, first, second} = two(invite_proceeding_ms: 300)
    request = request(:invite)
    assert Sippet.send(sippet, request) == :ok
    serve(first, "INVITE", 180)
    assert_outcome(sippet, request, :timeout)
    assert Peer.flush(second) == 0
  end

  defp row("answers 180, then 503", :invite) do
    {sippet, first, second} = two()
    request = request(:invite)
    assert Sippet.send(sippet, request) == :ok
    serve(first, "INVITE", [180, 503])
    serve(second, "INVITE", 486)
    assert_outcome(sippet, request, 486)
  end

  defp row("answers 100, then nothing", :options) do
    {sippet, first, second} = two(t1: 30)
    request = request(:options)
    assert Sippet.send(sippet, request) == :ok
    serve(first, "OPTIONS", 100)
    assert_outcome(sippet, request, :timeout)
    assert Peer.flush(second) == 0
  end

  defp row("is silent, and there is a CANCEL", :invite) do
    {sippet, _first, second} = two(t1: 30)
    request = request(:invite)
    assert Sippet.send(sippet, request) == :ok
    assert Sippet.cancel(sippet, request) == :ok
    assert_outcome(sippet, request, :timeout)
    assert Peer.flush(second) == 0
  end

  defp row("fails, and a CANCEL comes before there is a second", :invite) do
    # One that takes the connection and never makes the handshake.
    listener = StreamPeer.listen()
    first = Peer.open()
    sippet = start([target(first), target(listener, :tls)])
    tls = [port: 0, address: "127.0.0.1", verify: :verify_none, connect_timeout: 60_000]
    Stack.start_stream(Sippet.Transports.TLS, sippet, certificates() ++ tls)
    request = request(:invite)
    assert Sippet.send(sippet, request) == :ok
    serve(first, "INVITE", 503)
    _connection = StreamPeer.accept(listener)
    assert %{state: :calling} = Transaction.info(sippet, Client.Key.new(request))
    assert Sippet.cancel(sippet, request) == :ok
    assert_outcome(sippet, request, 487)
  end

  defp row("fails, as all others do", method) do
    {sippet, first, second} = two()
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    serve(first, word(method), 503)
    serve(second, word(method), 503)
    assert_outcome(sippet, request, 503)
    eventually(fn -> Peer.flush(first) == 0 end)
  end

  defp row("fails, with `max_targets: 1`", method) do
    {sippet, first, second} = two(max_targets: 1)
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    serve(first, word(method), 503)
    assert_outcome(sippet, request, 503)
    assert Peer.flush(second) == 0
  end

  defp two(options \\ []) do
    {first, second} = {Peer.open(), Peer.open()}
    {start([target(first), target(second)], options), first, second}
  end

  defp certificates, do: []

  # The request is with the second target.
  defp moved(method, options \\ []) do
    {sippet, first, second} = two(options)
    request = request(method)
    assert Sippet.send(sippet, request) == :ok
    serve(first, word(method), 503)
    {text, from} = await(second, word(method))
    {sippet, request, second, text, from}
  end

  test "the new branch keeps what a proxy has put behind the unique part (RFC 5393 §4.2)" do
    {sippet, first, second} = two()
    request = request(:options)
    {version, protocol, sent_by, parameters} = hd(request.headers.via)
    branch = Message.create_branch() <> ".mark.of.it"
    via = {version, protocol, sent_by, %{parameters | "branch" => branch}}
    assert Sippet.send(sippet, Message.put_header(request, :via, [via])) == :ok
    serve(first, "OPTIONS", 503)
    {text, _from} = serve(second, "OPTIONS", 200)
    assert branch(text) != branch
    assert "z9hG4bK" <> _ = branch(text)
    assert String.ends_with?(branch(text), ".mark.of.it")
  end

  test "a CANCEL of the core's goes to the target that has the request, with its branch (§9.1)" do
    {sippet, invite, second, text, from} = moved(:invite)
    Peer.send(second, from, answer(text, 180))
    assert_receive {^sippet, :response, %{start_line: %{status_code: 180}} = ringing, _key}, 5_000
    assert ringing.headers.via == invite.headers.via |> received()

    cancel =
      Message.put_header(
        %{invite | start_line: %{invite.start_line | method: :cancel}},
        :cseq,
        {1, :cancel}
      )

    assert Sippet.send(sippet, cancel) == :ok
    {cancelled, _from} = serve(second, "CANCEL", 200)
    assert branch(cancelled) == branch(text)
    key = Client.Key.new(cancel)
    assert_receive {^sippet, :response, %{start_line: %{status_code: 200}} = ok, ^key}, 5_000
    assert [{_, _, _, %{"branch" => branch}}] = ok.headers.via
    assert branch == key.branch
    Peer.send(second, from, answer(text, 487))
    assert_outcome(sippet, invite, 487)
  end

  # The peer's answer copies what was sent.
  defp received(via), do: via

  test "Sippet.cancel/2 reaches it too" do
    {sippet, invite, second, text, from} = moved(:invite)
    assert Sippet.cancel(sippet, invite) == :ok
    Peer.send(second, from, answer(text, 180))
    {cancel, _from} = serve(second, "CANCEL", 200)
    assert branch(cancel) == branch(text)
    Peer.send(second, from, answer(text, 487))
    assert_outcome(sippet, invite, 487)
  end

  test "the key of the core's finds it, and terminate/2 ends it" do
    {sippet, request, second, text, from} = moved(:options)
    key = Client.Key.new(request)
    assert %{key: ^key, state: :trying} = Transaction.info(sippet, key)
    assert Sippet.terminate(sippet, key) == :ok
    assert Transaction.info(sippet, key) == nil
    Peer.send(second, from, answer(text, 200))
    eventually(fn -> Transaction.counters(sippet).stray_responses == 1 end)
    assert_nothing(sippet)
    eventually(fn -> Transaction.count(sippet) == 0 end)
  end

  test "a 2xx of the second target is the core's, and its ACK goes where the core says" do
    {sippet, invite, second, text, from} = moved(:invite)
    Peer.send(second, from, answer(text, 200))
    assert_outcome(sippet, invite, 200)
    third = Peer.open()

    ack = %{
      request(:ack)
      | headers: %{
          request(:ack).headers
          | call_id: invite.headers.call_id,
            from: invite.headers.from
        },
        target: {:udp, "127.0.0.1", third.port}
    }

    ack = Message.put_header(ack, :to, put_elem(invite.headers.to, 2, %{"tag" => "peer"}))
    assert Sippet.send(sippet, ack) == :ok
    await(third, "ACK")
    Peer.send(second, from, answer(text, 200))
    await(third, "ACK")
  end

  describe "Sippet.request/3" do
    test "gets the outcome of the target that took it" do
      {sippet, first, second} = two()
      test = self()
      spawn(fn -> send(test, {:result, Sippet.request(sippet, request(:options))}) end)
      serve(first, "OPTIONS", 503)
      serve(second, "OPTIONS", 200)
      assert_receive {:result, {:ok, %{start_line: %{status_code: 200}}}}, 5_000
      assert_nothing(sippet)
    end

    test "keeps to its timeout whoever has the request" do
      {sippet, first, second} = two()
      test = self()

      spawn(fn ->
        send(test, {:result, Sippet.request(sippet, request(:options), timeout: 1_000)})
        send(test, {:result, Sippet.request(sippet, request(:invite), timeout: 3_000)})
      end)

      serve(first, "OPTIONS", 503)
      await(second, "OPTIONS")
      assert_receive {:result, {:error, :timeout}}, 10_000
      # The first one is avoided now.
      {text, from} = serve(second, "INVITE", 180)
      serve(second, "CANCEL", 200)
      Peer.send(second, from, answer(text, 487))
      assert_receive {:result, {:error, :timeout}}, 10_000
    end
  end

  describe "a target that has failed" do
    test "comes behind the others, for as long as its Retry-After says (§21.5.4)" do
      {first, second} = {Peer.open(), Peer.open()}
      sippet = start([target(first), target(second)], failed_target_ms: 60_000)
      events = listen(sippet)
      assert Sippet.send(sippet, request(:options)) == :ok
      serve(first, "OPTIONS", 503, ["Retry-After: 120"])
      serve(second, "OPTIONS", 200)
      assert [{:selected, selected}, {:failed, failed}, {:selected, other}] = take(events, 3)
      assert %{attempt: 1, protocol: :udp, choices: []} = selected
      assert selected.remote == {@host, first.port}
      assert %{attempt: 1, reason: {:status, 503}, avoided_ms: 120_000} = failed
      assert failed.remote == {@host, first.port}
      assert %{attempt: 2} = other
      assert other.remote == {@host, second.port}

      assert Sippet.send(sippet, request(:options)) == :ok
      serve(second, "OPTIONS", 503)
      serve(first, "OPTIONS", 200)

      assert [
               {:selected, %{attempt: 1, choices: []}},
               {:failed, %{avoided_ms: 60_000}},
               {:selected, %{attempt: 2, choices: [:failed_before]} = last}
             ] = take(events, 3)

      assert last.remote == {@host, first.port}
    end

    test "is tried where there is no other" do
      only = Peer.open()
      sippet = start([target(only)])

      for _ <- 1..3 do
        request = request(:options)
        assert Sippet.send(sippet, request) == :ok
        serve(only, "OPTIONS", 503)
        assert_outcome(sippet, request, 503)
      end
    end

    test "is preferred again when its time is over" do
      {sippet, first, second} = two(failed_target_ms: 1)
      assert Sippet.send(sippet, request(:options)) == :ok
      serve(first, "OPTIONS", 503)
      serve(second, "OPTIONS", 200)
      eventually(fn -> over?(sippet) end)
      assert Sippet.send(sippet, request(:options)) == :ok
      serve(first, "OPTIONS", 200)
    end

    defp over?(sippet) do
      Sippet.Stack.fetch!(sippet).failures
      |> :ets.tab2list()
      |> Enum.all?(fn {_key, until} -> until < System.monotonic_time(:millisecond) end)
    end

    test "is one of a thousand at most" do
      sippet = start([])
      stack = Sippet.Stack.fetch!(sippet)
      address = fn n -> {10, 0, div(n, 250), rem(n, 250)} end
      one = fn n -> %Target{transport: :udp, address: address.(n), port: 5060} end

      for n <- 1..1_024,
          do: assert(Sippet.Routing.Failures.remember(stack, one.(n), 60_000) == 60_000)

      assert Sippet.Routing.Failures.remember(stack, one.(2_000), 60_000) == 0
      assert Sippet.Routing.Failures.remember(stack, one.(7), 10_000_000) == 3_600_000
      # What is over makes room.
      assert Sippet.Routing.Failures.remember(stack, one.(8), 0) == 0
      assert Sippet.Routing.Failures.remember(stack, one.(2_000), 60_000) == 60_000
      assert :ets.info(stack.failures, :size) == 1_024
    end
  end

  test "where no target can be reached the error is returned, and the core told nothing" do
    listener = StreamPeer.listen()
    :gen_tcp.close(listener.socket)
    sippet = start([target(listener, :tcp), %{target(listener, :tls) | port: 1}])
    events = listen(sippet)

    assert {:error, %TransportError{reason: :no_transport, protocol: :tls}} =
             Sippet.send(sippet, request(:options))

    assert [
             {:failed, %{attempt: 1, protocol: :tcp, reason: :econnrefused, avoided_ms: 30_000}},
             {:failed, %{attempt: 2, protocol: :tls, reason: :no_transport, avoided_ms: 0}}
           ] = take(events, 2)

    assert_nothing(sippet)
    assert Transaction.count(sippet) == 0
  end

  test "whoever looks for another target may die: the core is told after 64·T1" do
    {first, second} = {Peer.open(), Peer.open()}
    # What stands in the way is no target.
    sippet = start([target(first), %{target(second) | port: :none}], t1: 20)
    request = request(:options)
    assert Sippet.send(sippet, request) == :ok

    ExUnit.CaptureLog.capture_log(fn ->
      serve(first, "OPTIONS", 503)
      assert_outcome(sippet, request, 503)
    end)
  end

  test "a thousand requests that lose their target find the other, and nothing is left" do
    {sippet, first, second} = two(t1: 2_000)
    test = self()
    Core.register(sippet, fn what, first, _key -> send(test, {:told, what, first}) end)
    server = spawn_link(fn -> refuse_all(first) end)
    hand_over(first, server)
    answerer = spawn_link(fn -> answer_all(second) end)
    hand_over(second, answerer)
    for _ <- 1..1_000, do: assert(Sippet.send(sippet, request(:options)) == :ok)

    for _ <- 1..1_000 do
      assert_receive {:told, :response, %{start_line: %{status_code: 200}}}, 20_000
    end

    refute_received {:told, _, _}
    for pid <- [server, answerer], do: send(pid, :stop)
  end

  defp hand_over(peer, pid) do
    :ok = :gen_udp.controlling_process(peer.socket, pid)
    send(pid, :go)
  end

  defp refuse_all(peer), do: each(peer, 503)
  defp answer_all(peer), do: each(peer, 200)

  defp each(peer, status) do
    receive do
      {:udp, _socket, ip, port, text} ->
        Peer.send(peer, {ip, port}, answer(text, status))
        each(peer, status)

      :go ->
        each(peer, status)

      :stop ->
        :ok
    end
  end

  # The events of a stack's targets come to the test.
  defp listen(sippet) do
    test = self()
    id = make_ref()

    Sippet.Telemetry.attach_many(
      id,
      [[:sippet, :target, :selected], [:sippet, :target, :failed]],
      fn [:sippet, :target, what], measurements, metadata, _config ->
        if metadata.stack == sippet, do: send(test, {id, what, measurements, metadata})
      end,
      nil
    )

    on_exit(fn -> Sippet.Telemetry.detach(id) end)
    id
  end

  defp take(id, count) do
    for _ <- 1..count do
      assert_receive {^id, what, measurements, metadata}, 5_000
      avoided = measurements[:avoided]

      milliseconds =
        if avoided,
          do: %{avoided_ms: System.convert_time_unit(avoided, :native, :millisecond)},
          else: %{}

      assert %Client.Key{} = metadata.key
      {what, metadata |> Map.put(:attempt, measurements.attempt) |> Map.merge(milliseconds)}
    end
  end
end
