defmodule Sippet.Integration.RequestTest do
  # Sippet.request/3 and Sippet.cancel/2 over real sockets, against peers made of a socket and text.
  use ExUnit.Case, async: true

  alias Sippet.Message

  defmodule Core do
    # Sends what the core gets to the process that registered under the stack's name.
    defmacro __using__(_) do
      quote do
        use Sippet.Core
        def receive_request(request, key), do: tell({:request, request, key})
        def receive_response(response, key), do: tell({:response, response, key})
        def receive_error(reason, key), do: tell({:error, reason, key})
        defp tell(what), do: send(:persistent_term.get(__MODULE__), {:core, what})
      end
    end
  end

  defp start(options \\ []) do
    name = :"request_#{System.unique_integer([:positive])}"
    start_supervised!({Sippet, [name: name] ++ options})
    start_supervised!({Sippet.Transports.UDP, name: name, port: 0, address: "127.0.0.1"})
    core = Module.concat(__MODULE__, "Core#{System.unique_integer([:positive])}")
    :persistent_term.put(core, self())
    Module.create(core, quote(do: use(unquote(Core))), Macro.Env.location(__ENV__))
    :ok = Sippet.register_core(name, core)
    name
  end

  defp peer do
    {:ok, socket} =
      :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false, recbuf: 4_194_304])

    {:ok, port} = :inet.port(socket)
    %{socket: socket, port: port}
  end

  defp request(method, peer, fields \\ []) do
    %{
      Message.build_request(method, "sip:bob@biloxi.example")
      | target: {:udp, "127.0.0.1", peer.port}
    }
    |> Message.put_header(:via, [
      {{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch(), "rport" => ""}}
    ])
    |> Message.put_header(:max_forwards, 70)
    |> Message.put_header(
      :from,
      {"", Sippet.URI.parse!("sip:alice@atlanta.example"), %{"tag" => Message.create_tag()}}
    )
    |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:bob@biloxi.example"), %{}})
    |> Message.put_header(:call_id, Message.create_call_id())
    |> Message.put_header(:cseq, {1, method})
    |> then(
      &Enum.reduce(fields, &1, fn {name, value}, m -> Message.put_header(m, name, value) end)
    )
  end

  # The next datagram of a peer: its text and where it came from.
  defp receive_text(peer, method, timeout \\ 2_000) do
    {:ok, {ip, port, text}} = :gen_udp.recv(peer.socket, 0, timeout)
    assert String.starts_with?(text, method <> " "), "expected #{method}, got:\n#{text}"
    {text, {ip, port}}
  end

  defp silent?(peer, timeout), do: :gen_udp.recv(peer.socket, 0, timeout) == {:error, :timeout}

  defp answer(peer, {text, {ip, port}}, status, options \\ []) do
    to = field(text, "To")
    tag = Keyword.get(options, :tag, "peer")
    to = if to =~ ";tag=", do: to, else: to <> ";tag=#{tag}"

    lines =
      ["SIP/2.0 #{status}"] ++
        for(value <- fields(text, "Via"), do: "Via: #{value}") ++
        ["From: #{field(text, "From")}", "To: #{to}", "Call-ID: #{field(text, "Call-ID")}"] ++
        ["CSeq: #{field(text, "CSeq")}"] ++
        Keyword.get(options, :fields, []) ++ ["Content-Length: 0", "", ""]

    :ok = :gen_udp.send(peer.socket, ip, port, Enum.join(lines, "\r\n"))
  end

  defp fields(text, name) do
    for [_, value] <- Regex.scan(~r/^#{name}: ([^\r]*)\r$/m, text), do: value
  end

  defp field(text, name) do
    assert [value] = fields(text, name)
    value
  end

  defp async(fun) do
    test = self()
    spawn_monitor(fn -> send(test, {:result, self(), fun.()}) end)
  end

  defp result({pid, _monitor}, timeout \\ 3_000) do
    assert_receive {:result, ^pid, result}, timeout
    result
  end

  defp status({:ok, response}), do: response.start_line.status_code

  defp eventually(fun, tries \\ 300) do
    cond do
      fun.() ->
        :ok

      tries == 0 ->
        flunk("it did not come true")

      true ->
        Process.sleep(10)
        eventually(fun, tries - 1)
    end
  end

  describe "a request other than INVITE" do
    test "is answered to its caller, and to nobody else (§17.1.2)" do
      {stack, peer} = {start(), peer()}
      task = async(fn -> {Sippet.request(stack, request(:options, peer)), mailbox()} end)
      answer(peer, receive_text(peer, "OPTIONS"), "200 OK", fields: ["Allow: INVITE, BYE"])
      assert {{:ok, response}, []} = result(task)
      assert response.start_line.status_code == 200
      assert response.headers.allow == ["INVITE", "BYE"]
      refute_received {:core, _}
    end

    test "may have provisional responses, which come in order" do
      {stack, peer, test} = {start(), peer(), self()}
      tell = fn response -> send(test, {:code, self(), response.start_line.status_code}) end

      {pid, _} =
        task =
        async(fn -> Sippet.request(stack, request(:message, peer), on_provisional: tell) end)

      sent = receive_text(peer, "MESSAGE")
      for code <- [100, 182, 183], do: answer(peer, sent, "#{code} Wait")
      answer(peer, sent, "202 Accepted")
      assert status(result(task)) == 202
      assert_received {:code, ^pid, 100}
      assert_received {:code, ^pid, 182}
      assert_received {:code, ^pid, 183}
    end

    test "fails as the core would be told (§8.1.3.1)" do
      {stack, peer} = {start(t1: 5), peer()}
      assert Sippet.request(stack, request(:options, peer)) == {:error, :timeout}

      assert {:error, %Sippet.TransportError{reason: :no_transport}} =
               Sippet.request(stack, %{
                 request(:options, peer)
                 | target: {:tcp, "127.0.0.1", 5060}
               })

      big = %{request(:message, peer) | body: String.duplicate("x", 70_000)}
      assert Sippet.request(stack, big) == {:error, :emsgsize}
      assert mailbox() == []
    end

    test "whose branch is in use is not sent" do
      {stack, peer} = {start(), peer()}
      request = request(:options, peer)
      :ok = Sippet.send(stack, request)
      assert Sippet.request(stack, request) == {:error, :already_started}
    end

    test "is no longer waited for after :timeout, and what comes then reaches nobody" do
      {stack, peer} = {start(), peer()}
      assert Sippet.request(stack, request(:bye, peer), timeout: 50) == {:error, :timeout}
      sent = receive_text(peer, "BYE")
      # It goes on: a BYE has to arrive.
      assert {_again, _from} = receive_text(peer, "BYE")
      answer(peer, sent, "180 What")
      answer(peer, sent, "200 OK")
      eventually(fn -> Enum.all?(all(stack), &(&1.state == :completed)) end)
      assert mailbox() == []
    end

    test "may be given up by :on_provisional" do
      {stack, peer} = {start(), peer()}
      give_up = fn _response -> :cancel end

      task =
        async(fn -> Sippet.request(stack, request(:options, peer), on_provisional: give_up) end)

      answer(peer, receive_text(peer, "OPTIONS"), "100 Trying")
      assert result(task) == {:error, :cancelled}
    end

    test "leaves the other messages of its caller where they are" do
      {stack, peer} = {start(), peer()}

      task =
        async(fn ->
          for number <- 1..3, do: send(self(), number)
          status = status(Sippet.request(stack, request(:options, peer)))
          {status, mailbox()}
        end)

      answer(peer, receive_text(peer, "OPTIONS"), "200 OK")
      assert result(task) == {200, [1, 2, 3]}
    end

    test "ends when its transaction is terminated, or its stack is stopped" do
      {stack, peer} = {start(), peer()}
      request = request(:options, peer)
      task = async(fn -> Sippet.request(stack, request) end)
      receive_text(peer, "OPTIONS")
      :ok = Sippet.terminate(stack, Sippet.Transactions.Client.Key.new(request))
      assert result(task) == {:error, :terminated}

      task = async(fn -> Sippet.request(stack, request(:options, peer)) end)
      receive_text(peer, "OPTIONS")
      :ok = stop_supervised({Sippet, stack})
      assert result(task) == {:error, :stopped}
    end

    @tag :capture_log
    test "ends when the supervisor of its stack is killed" do
      name = :"request_#{System.unique_integer([:positive])}"
      pid = start_supervised!(Supervisor.child_spec({Sippet, name: name}, restart: :temporary))
      start_supervised!({Sippet.Transports.UDP, name: name, port: 0, address: "127.0.0.1"})
      peer = peer()
      task = async(fn -> Sippet.request(name, request(:options, peer)) end)
      receive_text(peer, "OPTIONS")

      monitors =
        for {_, child, _, _} <- Supervisor.which_children(pid), do: Process.monitor(child)

      Process.exit(pid, :kill)
      assert result(task) == {:error, :stopped}
      for monitor <- monitors, do: assert_receive({:DOWN, ^monitor, _, _, _})
    end

    test "goes on when its caller is killed" do
      {stack, peer} = {start(), peer()}
      {pid, _} = async(fn -> Sippet.request(stack, request(:register, peer)) end)
      sent = receive_text(peer, "REGISTER")
      Process.exit(pid, :kill)
      assert {_again, _from} = receive_text(peer, "REGISTER")
      answer(peer, sent, "200 OK")
      eventually(fn -> Enum.all?(all(stack), &(&1.state == :completed)) end)
      refute_received {:core, _}
    end
  end

  describe "an INVITE" do
    test "rings and is answered; its caller sends the ACK (§13.2.2.4)" do
      {stack, peer, test} = {start(), peer(), self()}
      invite = request(:invite, peer)
      tell = fn response -> send(test, {:code, response.start_line.status_code}) end
      task = async(fn -> Sippet.request(stack, invite, on_provisional: tell) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      assert_receive {:code, 180}
      answer(peer, sent, "200 OK")
      assert {:ok, response} = result(task)
      assert response.start_line.status_code == 200

      # What is repeated before the ACK reaches neither the caller, which has it, nor the core.
      answer(peer, sent, "200 OK")
      ack = ack(invite, response)
      :ok = Sippet.send(stack, ack)
      receive_text(peer, "ACK")
      answer(peer, sent, "200 OK")
      assert {repeated, _} = receive_text(peer, "ACK")
      assert repeated == to_string(ack)
      refute_received {:core, _}
    end

    test "refused is acknowledged by the stack (§17.1.1.3)" do
      {stack, peer} = {start(), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer)) end)
      answer(peer, receive_text(peer, "INVITE"), "486 Busy Here")
      receive_text(peer, "ACK")
      assert status(result(task)) == 486
      refute_received {:core, _}
    end

    test "that forks: the first 2xx is the result, the others go to the core (§13.2.2.4)" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      key = Sippet.Transactions.Client.Key.new(invite)
      task = async(fn -> Sippet.request(stack, invite) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "200 OK", tag: "one")
      answer(peer, sent, "200 OK", tag: "two")
      assert {:ok, %{headers: %{to: {_, _, %{"tag" => "one"}}}}} = result(task)
      assert_receive {:core, {:response, response, ^key}}
      assert {_, _, %{"tag" => "two"}} = response.headers.to
      answer(peer, sent, "200 OK", tag: "three")
      assert_receive {:core, {:response, response, ^key}}
      assert {_, _, %{"tag" => "three"}} = response.headers.to
    end

    test "that nobody answers in time is cancelled, its 487 awaited and acknowledged (§9.1)" do
      {stack, peer} = {start(), peer()}
      route = {"", Sippet.URI.parse!("sip:proxy.example;lr"), %{}}
      invite = request(:invite, peer, route: [route])
      task = async(fn -> Sippet.request(stack, invite, timeout: 100) end)
      {text, _} = sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      {cancel, _} = cancelled = receive_text(peer, "CANCEL")

      assert cancel |> String.split("\r\n") |> hd() == "CANCEL sip:bob@biloxi.example SIP/2.0"

      for name <- ~w(Via From To Call-ID Route),
          do: assert(fields(cancel, name) == fields(text, name))

      assert length(fields(cancel, "Via")) == 1
      assert field(cancel, "Route") =~ "sip:proxy.example;lr"
      assert field(cancel, "CSeq") == "1 CANCEL"

      answer(peer, cancelled, "200 OK")
      answer(peer, sent, "487 Request Terminated")
      receive_text(peer, "ACK")
      assert result(task) == {:error, :timeout}
      refute_received {:core, _}
    end

    test "that nobody answers at all is cancelled by no message (§9.1)" do
      {stack, peer} = {start(t1: 20), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer), timeout: 10) end)
      assert result(task) == {:error, :timeout}
      refute "CANCEL" in drain(peer)
    end

    test "that was cancelled and is not answered ends after 64·T1 (§9.1)" do
      {stack, peer} = {start(t1: 10), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer), timeout: 50) end)
      answer(peer, receive_text(peer, "INVITE"), "180 Ringing")
      assert result(task) == {:error, :timeout}
      assert "CANCEL" in drain(peer)
    end

    test "whose 200 crosses the CANCEL is answered (§9.1)" do
      {stack, peer} = {start(), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer), timeout: 50) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      cancelled = receive_text(peer, "CANCEL")
      answer(peer, sent, "200 OK")
      answer(peer, cancelled, "481 Call/Transaction Does Not Exist")
      assert status(result(task)) == 200
      refute_received {:core, _}
    end

    test "may be cancelled by :on_provisional" do
      {stack, peer} = {start(), peer()}
      cancel = fn response -> if response.start_line.status_code == 183, do: :cancel end

      task =
        async(fn -> Sippet.request(stack, request(:invite, peer), on_provisional: cancel) end)

      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      assert silent?(peer, 50)
      answer(peer, sent, "183 Session Progress")
      receive_text(peer, "CANCEL")
      answer(peer, sent, "487 Request Terminated")
      assert result(task) == {:error, :cancelled}
    end

    test "is cancelled when its caller is killed; the 487 reaches nobody" do
      {stack, peer} = {start(), peer()}
      {pid, _} = async(fn -> Sippet.request(stack, request(:invite, peer)) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      eventually(fn -> match?([%{state: :proceeding, queued: 0}], all(stack)) end)
      Process.exit(pid, :kill)
      cancelled = receive_text(peer, "CANCEL")
      answer(peer, cancelled, "200 OK")
      answer(peer, sent, "487 Request Terminated")
      receive_text(peer, "ACK")
      eventually(fn -> Enum.all?(all(stack), &(&1.state == :completed)) end)
      refute_received {:core, _}
    end

    test "answered 200 when its caller is dead goes to the core, with its key" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      {pid, monitor} = async(fn -> Sippet.request(stack, invite) end)
      sent = receive_text(peer, "INVITE")
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, :killed}
      answer(peer, sent, "180 Ringing")
      receive_text(peer, "CANCEL")
      answer(peer, sent, "200 OK")
      key = Sippet.Transactions.Client.Key.new(invite)
      assert_receive {:core, {:response, %{start_line: %{status_code: 200}}, ^key}}
      refute_received {:core, _}
    end

    test "is cancelled when a function of the caller's raises" do
      {stack, peer} = {start(), peer()}
      raises = fn _response -> raise "on purpose" end

      task =
        async(fn ->
          catch_error(Sippet.request(stack, request(:invite, peer), on_provisional: raises))
        end)

      answer(peer, receive_text(peer, "INVITE"), "180 Ringing")
      assert %RuntimeError{message: "on purpose"} = result(task)
      receive_text(peer, "CANCEL")
    end
  end

  describe "cancel/2" do
    test "cancels from another process, by request or by key; again is as good" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      task = async(fn -> Sippet.request(stack, invite) end)
      sent = receive_text(peer, "INVITE")
      assert Sippet.cancel(stack, invite) == :ok
      assert silent?(peer, 50)
      answer(peer, sent, "180 Ringing")
      receive_text(peer, "CANCEL")
      assert Sippet.cancel(stack, Sippet.Transactions.Client.Key.new(invite)) == :ok
      answer(peer, sent, "487 Request Terminated")
      assert result(task) == {:error, :cancelled}
      assert Sippet.cancel(stack, invite) == {:error, :already_answered}
    end

    test "cancels what the core has sent; only the INVITE's response goes to the core" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      :ok = Sippet.send(stack, invite)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      assert_receive {:core, {:response, %{start_line: %{status_code: 180}}, _}}
      assert Sippet.cancel(stack, invite) == :ok
      answer(peer, receive_text(peer, "CANCEL"), "200 OK")
      answer(peer, sent, "487 Request Terminated")
      assert_receive {:core, {:response, %{start_line: %{status_code: 487}}, _}}
      receive_text(peer, "ACK")
      refute_received {:core, _}
    end

    test "of nothing is an error, of no INVITE the caller's mistake" do
      {stack, peer} = {start(), peer()}
      assert Sippet.cancel(stack, request(:invite, peer)) == {:error, :no_transaction}
      assert_raise ArgumentError, fn -> Sippet.cancel(stack, request(:options, peer)) end
      assert_raise ArgumentError, fn -> Sippet.cancel(stack, "INVITE") end
    end
  end

  describe ":authenticate" do
    test "sends the request again with what it makes of it (§22.2)" do
      {stack, peer, test} = {start(), peer(), self()}

      authenticate = fn request, response ->
        send(test, {:asked, response.start_line.status_code})

        name =
          if response.start_line.status_code == 401,
            do: :authorization,
            else: :proxy_authorization

        {:ok, Message.put_header(request, name, [{"Digest", %{"username" => "alice"}}])}
      end

      options = [authenticate: authenticate, on_request: &send(test, {:sent, &1})]
      task = async(fn -> Sippet.request(stack, request(:register, peer), options) end)
      {first, _} = sent = receive_text(peer, "REGISTER")
      answer(peer, sent, "407 Proxy Authentication Required", tag: "proxy")
      {second, _} = sent = receive_text(peer, "REGISTER")
      answer(peer, sent, "401 Unauthorized", tag: "registrar")
      {third, _} = sent = receive_text(peer, "REGISTER")
      answer(peer, sent, "200 OK")
      assert status(result(task)) == 200

      texts = [first, second, third]
      assert Enum.map(texts, &field(&1, "CSeq")) == ["1 REGISTER", "2 REGISTER", "3 REGISTER"]

      for name <- ~w(Call-ID From To),
          do: assert([_] = texts |> Enum.map(&field(&1, name)) |> Enum.uniq())

      refute field(third, "To") =~ "tag"
      assert [_, _, _] = texts |> Enum.map(&field(&1, "Via")) |> Enum.uniq()
      assert field(third, "Proxy-Authorization") =~ "alice"
      assert field(third, "Authorization") =~ "alice"
      assert_received {:asked, 407}
      assert_received {:asked, 401}
      for number <- 1..3, do: assert_received({:sent, %{headers: %{cseq: {^number, :register}}}})
    end

    test "that has nothing to offer makes the challenge the result" do
      {stack, peer} = {start(), peer()}

      for refusal <- [:error, {:error, :unknown_realm}] do
        authenticate = fn _request, _response -> refusal end

        task =
          async(fn ->
            Sippet.request(stack, request(:options, peer), authenticate: authenticate)
          end)

        answer(peer, receive_text(peer, "OPTIONS"), "401 Unauthorized")
        assert status(result(task)) == 401
      end
    end

    test "is not asked when the request was cancelled or its time is over" do
      {stack, peer} = {start(), peer()}
      authenticate = fn _request, _response -> flunk("it was asked") end
      options = [authenticate: authenticate, on_provisional: fn _response -> :cancel end]
      task = async(fn -> Sippet.request(stack, request(:invite, peer), options) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      receive_text(peer, "CANCEL")
      answer(peer, sent, "401 Unauthorized")
      receive_text(peer, "ACK")
      assert status(result(task)) == 401

      slow = fn request, _response ->
        Process.sleep(100)
        {:ok, request}
      end

      options = [authenticate: slow, timeout: 80]
      task = async(fn -> Sippet.request(stack, request(:options, peer), options) end)
      answer(peer, receive_text(peer, "OPTIONS"), "401 Unauthorized")
      assert result(task) == {:error, :timeout}
      assert silent?(peer, 50)
    end

    test "is asked so often and no more" do
      {stack, peer} = {start(), peer()}

      options = [authenticate: fn request, _ -> {:ok, request} end, max_authentications: 2]
      task = async(fn -> Sippet.request(stack, request(:options, peer), options) end)
      for _ <- 1..3, do: answer(peer, receive_text(peer, "OPTIONS"), "401 Unauthorized")
      assert status(result(task)) == 401
      assert silent?(peer, 50)
    end
  end

  describe "many" do
    test "requests from as many processes get each its own answer" do
      {stack, peer} = {start(), peer()}
      test = self()

      server =
        spawn_link(fn ->
          receive do
            :go -> echo(peer)
          end
        end)

      :ok = :gen_udp.controlling_process(peer.socket, server)
      send(server, :go)

      tasks =
        for number <- 1..500 do
          spawn_link(fn ->
            for turn <- 1..4 do
              request = request(:options, peer, call_id: "call-#{number}-#{turn}")
              assert {:ok, response} = Sippet.request(stack, request)
              assert response.headers.call_id == "call-#{number}-#{turn}"
            end

            assert mailbox() == []
            send(test, {:done, self()})
          end)
        end

      for pid <- tasks, do: assert_receive({:done, ^pid}, 20_000)
      refute_received {:core, _}
    end

    test "callers that are killed leave neither a process nor a transaction" do
      {stack, peer} = {start(t1: 10, t4: 50, timer_d: 50), peer()}

      callers =
        for _ <- 1..100, do: async(fn -> Sippet.request(stack, request(:invite, peer)) end)

      for {pid, _} <- callers, do: Process.exit(pid, :kill)
      for {_, monitor} <- callers, do: assert_receive({:DOWN, ^monitor, _, _, _})
      eventually(fn -> Sippet.Transaction.count(stack) == 0 end)
      refute_received {:core, _}
    end
  end

  defmodule Relay do
    # Answers an INVITE as the callee answers the one that it sends on.
    use Sippet.Core

    def receive_request(request, _key) do
      {stack, tester, invite} = :persistent_term.get(__MODULE__)
      send(tester, {:runner, self()})
      {:ok, response} = Sippet.request(stack, invite)
      Sippet.send(stack, Message.to_response(request, response.start_line.status_code))
    end

    def receive_response(_response, _key), do: :ok
  end

  # A call that the core relays: the caller's INVITE as text, and the INVITE that reached the callee.
  defp relayed(caller, callee) do
    stack = start()
    :persistent_term.put(Relay, {stack, self(), request(:invite, callee)})
    :ok = Sippet.register_core(stack, Relay)
    [%{address: {ip, port}}] = Sippet.Transport.list(stack)

    text =
      Enum.join(
        [
          "INVITE sip:relay@127.0.0.1 SIP/2.0",
          "Via: SIP/2.0/UDP 127.0.0.1:#{caller.port};branch=z9hG4bK#{caller.port}",
          "From: <sip:caller@127.0.0.1>;tag=caller",
          "To: <sip:relay@127.0.0.1>",
          "Call-ID: relayed-#{caller.port}",
          "CSeq: 1 INVITE",
          "Content-Length: 0",
          "",
          ""
        ],
        "\r\n"
      )

    :ok = :gen_udp.send(caller.socket, ip, port, text)
    receive_text(callee, "INVITE")
  end

  test "a callback of the core may make a request and wait" do
    {caller, callee} = {peer(), peer()}
    answer(callee, relayed(caller, callee), "486 Busy Here")
    receive_text(callee, "ACK")

    eventually(fn ->
      match?({:ok, {_, _, "SIP/2.0 486" <> _}}, :gen_udp.recv(caller.socket, 0, 500))
    end)
  end

  @tag :capture_log
  test "a callback that is killed as it waits costs a 500 above and a CANCEL below" do
    {caller, callee} = {peer(), peer()}
    sent = relayed(caller, callee)
    assert_receive {:runner, runner}
    Process.exit(runner, :kill)

    eventually(fn ->
      match?({:ok, {_, _, "SIP/2.0 500" <> _}}, :gen_udp.recv(caller.socket, 0, 500))
    end)

    answer(callee, sent, "180 Ringing")
    receive_text(callee, "CANCEL")
  end

  test "a request may be made while another one waits" do
    {stack, peer} = {start(), peer()}

    nested = fn _response ->
      assert status(Sippet.request(stack, request(:options, peer))) == 200
    end

    task = async(fn -> Sippet.request(stack, request(:invite, peer), on_provisional: nested) end)
    sent = receive_text(peer, "INVITE")
    answer(peer, sent, "180 Ringing")
    inner = receive_text(peer, "OPTIONS")
    answer(peer, sent, "603 Decline")
    receive_text(peer, "ACK")
    answer(peer, inner, "200 OK")
    assert status(result(task)) == 603
  end

  test "mistakes of the caller's raise, and name what is wrong" do
    {stack, peer} = {start(), peer()}
    request = request(:options, peer)

    assert_raise ArgumentError, ~r/unknown option :timout/, fn ->
      Sippet.request(stack, request, timout: 1)
    end

    assert_raise ArgumentError, ~r/:timeout/, fn ->
      Sippet.request(stack, request, timeout: -1)
    end

    assert_raise ArgumentError, ~r/:on_provisional/, fn ->
      Sippet.request(stack, request, on_provisional: fn -> :ok end)
    end

    assert_raise ArgumentError, ~r/no ACK/, fn -> Sippet.request(stack, request(:ack, peer)) end

    assert_raise ArgumentError, ~r/no ACK/, fn ->
      Sippet.request(stack, Message.to_response(request, 200))
    end

    assert_raise ArgumentError, ~r/From|from/, fn ->
      Sippet.request(stack, Message.delete_header(request, :from))
    end

    assert mailbox() == []
    assert silent?(peer, 20)
  end

  defp ack(invite, response) do
    invite
    |> Map.put(:start_line, %{invite.start_line | method: :ack})
    |> Message.put_header(:to, response.headers.to)
    |> Message.put_header(:cseq, {1, :ack})
    |> Message.put_header(:via, [
      {{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch(), "rport" => ""}}
    ])
  end

  defp echo(peer) do
    {:ok, {ip, port, text}} = :gen_udp.recv(peer.socket, 0, 20_000)
    answer(peer, {text, {ip, port}}, "200 OK")
    echo(peer)
  end

  # The methods of what is there, and comes within a while.
  defp drain(peer) do
    case :gen_udp.recv(peer.socket, 0, 50) do
      {:ok, {_, _, text}} -> [text |> String.split(" ") |> hd() | drain(peer)]
      {:error, :timeout} -> []
    end
  end

  defp all(stack), do: stack |> Sippet.Transaction.list() |> all(stack, [])
  defp all({infos, nil}, _stack, found), do: found ++ infos

  defp all({infos, cursor}, stack, found),
    do: stack |> Sippet.Transaction.list(cursor) |> all(stack, found ++ infos)

  defp mailbox do
    receive do
      message -> [message | mailbox()]
    after
      0 -> []
    end
  end
end
