defmodule Sippet.Integration.DeliveryTest do
  # How the core is called: in which order, by which processes, and what its failures cost.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, eventually: 1]
  import Sippet.Test.Wire

  alias Sippet.{Message, Transaction}
  alias Sippet.Test.{Core, Peer, Stack}

  @moduletag :capture_log

  defp start_with(handler, options \\ []), do: start([core: handler] ++ options)

  defp method(%Message{start_line: %{method: method}}), do: method

  describe "callbacks of one transaction" do
    test "keep their order and never overlap" do
      test = self()

      stack =
        start_with(fn callback, first, key ->
          send(test, {:began, callback, first, key, self()})

          receive do
            :go_on -> send(test, {:ended, first})
          end
        end)

      peer = Peer.open()
      Sippet.send(stack, Stack.request(:invite, {peer.ip, peer.port}))
      invite = Peer.expect(peer, "INVITE ")

      for status <- ["180 Ringing", "181 Call Is Being Forwarded", "183 Session Progress"],
          do: Peer.send(peer, address(stack), response(invite, status))

      Peer.send(peer, address(stack), response(invite, "200 OK"))

      for status <- [180, 181, 183, 200] do
        assert_receive {:began, :response, response, _key, runner}
        assert response.start_line.status_code == status
        refute_receive {:began, _, _, _, _}, 30
        send(runner, :go_on)
        assert_receive {:ended, ^response}
      end
    end

    test "of another transaction do not wait for them" do
      test = self()

      stack =
        start_with(fn _callback, request, _key ->
          if method(request) == :message, do: Process.sleep(:infinity), else: send(test, :served)
        end)

      peer = Peer.open()
      for _ <- 1..50, do: Peer.send(peer, address(stack), request("MESSAGE", peer))
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive :served
    end

    test "a CANCEL reaches the core while the callback of its INVITE blocks (§9.2)" do
      test = self()

      stack =
        start_with(fn :request, request, key ->
          send(test, {method(request), key, self()})
          if method(request) == :invite, do: Process.sleep(:infinity)
        end)

      peer = Peer.open()
      invite = request("INVITE", peer)
      Peer.send(peer, address(stack), invite)
      Peer.send(peer, address(stack), follow_up("CANCEL", invite))
      assert_receive {:invite, key, invite_runner}
      assert_receive {:cancel, ^key, cancel_runner}
      assert invite_runner != cancel_runner
    end

    test "a CANCEL waits for an INVITE whose runner has it and has not called the core yet (§9.2)" do
      test = self()
      stack = start_with(fn :request, request, _key -> send(test, method(request)) end)
      %{engine: engine} = Sippet.Stack.fetch!(stack)
      [transport] = Sippet.Transport.list(stack)
      source = {{127, 0, 0, 1}, 5060}

      for goes_on <- [:at_work, :waits, :ends, :is_killed] do
        invite = request("INVITE", nil, via: "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK" <> unique())

        assert {:ok, [{:run, address}]} =
                 Sippet.Native.engine_receive(engine, invite, 1, 0, source, false, false)

        # The runner, stopped where the system may stop it.
        runner =
          spawn(fn ->
            assert {:call, _core, :receive_request, [_invite, _key], [], _delay_us} =
                     Sippet.Native.engine_begin(engine, address)

            send(test, :has_it)
            work_until({:go_on, goes_on})
            if goes_on == :at_work, do: work_until(:never)
            if goes_on == :waits, do: Process.sleep(:infinity)
          end)

        assert_receive :has_it
        :erlang.suspend_process(runner)
        Sippet.Transport.receive_message(transport, source, follow_up("CANCEL", invite))
        refute_receive :cancel, 50
        if goes_on == :is_killed, do: Process.exit(runner, :kill)
        send(runner, {:go_on, goes_on})
        if goes_on != :is_killed, do: :erlang.resume_process(runner)
        assert_receive :cancel
        Process.exit(runner, :kill)
      end
    end

    # At work, and looking for a message now and then.
    defp work_until(message) do
      Enum.each(1..500, fn _ -> make_ref() end)

      receive do
        ^message -> :ok
      after
        0 -> work_until(message)
      end
    end

    test "a request waits for the ACK of its Call-ID that came before it" do
      test = self()

      stack =
        start_with(fn :request, request, _key ->
          if method(request) == :ack, do: Process.sleep(50)
          send(test, {:done, request.headers.call_id, method(request)})
        end)

      peer = Peer.open()

      for number <- 1..20 do
        dialog = [call_id: "ordered#{number}", from_tag: "a", to_tag: "b"]
        Peer.send(peer, address(stack), request("ACK", peer, dialog))
        Peer.send(peer, address(stack), request("BYE", peer, [cseq: 2] ++ dialog))
      end

      for number <- 1..20 do
        id = "ordered#{number}"
        assert_receive {:done, ^id, first}
        assert_receive {:done, ^id, second}
        assert {first, second} == {:ack, :bye}
      end
    end
  end

  describe "a callback that" do
    for {what, code} <- [
          {"raises", quote(do: raise("on purpose"))},
          {"exits", quote(do: exit(:on_purpose))},
          {"throws", quote(do: throw(:on_purpose))},
          {"exits normally", quote(do: exit(:normal))},
          {"is killed", quote(do: Process.exit(self(), :kill))},
          {"calls what is not there", quote(do: apply(Sippet, :no_such_function, []))}
        ] do
      test "#{what} costs a request one 500 and nothing else" do
        test = self()

        # Nothing is repeated while the test lasts.
        stack =
          start_with(
            fn :request, request, _key ->
              case method(request) do
                :options -> send(test, :served)
                _other -> unquote(code)
              end
            end,
            t1: 10_000,
            t2: 10_000
          )

        peer = Peer.open()

        for method <- ["MESSAGE", "INVITE"] do
          text = request(method, peer)
          Peer.send(peer, address(stack), text)
          failed = Peer.expect(peer, "SIP/2.0 500 ")
          assert field(failed, "CSeq") == "1 #{method}"

          if method == "INVITE",
            do: Peer.send(peer, address(stack), follow_up("ACK", text, to: field(failed, "To")))
        end

        Peer.refute_any(peer, 50)
        Peer.send(peer, address(stack), request("OPTIONS", peer))
        assert_receive :served
        eventually(fn -> Transaction.counters(stack).core_failures == 2 end)
      end
    end

    test "raises after its final response adds nothing to it" do
      test = self()
      pid = spawn_link(fn -> Process.sleep(:infinity) end)

      stack =
        start_with(fn :request, request, _key ->
          {:ok, name} = Agent.get(:persistent_term.get({__MODULE__, pid}), &{:ok, &1})
          Sippet.send(name, Message.to_response(request, 200))
          send(test, :answered)
          raise "on purpose"
        end)

      agent = start_supervised!({Agent, fn -> stack end})
      :persistent_term.put({__MODULE__, pid}, agent)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive :answered
      Peer.expect(peer, "SIP/2.0 200 ")
      Peer.refute_any(peer, 50)
    end

    test "fails leaves the next callbacks of its transaction" do
      test = self()

      stack =
        start_with(fn :response, response, _key ->
          status = response.start_line.status_code
          send(test, {:status, status})
          if status == 180, do: Process.exit(self(), :kill)
          if status == 183, do: raise("on purpose")
        end)

      peer = Peer.open()
      Sippet.send(stack, Stack.request(:invite, {peer.ip, peer.port}))
      invite = Peer.expect(peer, "INVITE ")

      for status <- ["180 Ringing", "183 Session Progress", "200 OK"],
          do: Peer.send(peer, address(stack), response(invite, status))

      for status <- [180, 183, 200], do: assert_receive({:status, ^status})
    end

    test "is killed from outside is no less dead" do
      test = self()

      stack =
        start_with(fn :request, _request, _key ->
          send(test, {:runner, self()})
          Process.sleep(:infinity)
        end)

      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {:runner, runner}
      Process.exit(runner, :kill)
      Peer.expect(peer, "SIP/2.0 500 ")
    end
  end

  describe "a callback that never answers" do
    for {what, code} <- [
          {"and returns", quote(do: :ok)},
          {"and blocks", quote(do: Process.sleep(:infinity))}
        ] do
      test "#{what} costs an INVITE one 408 when the watchdog has waited long enough" do
        stack = start_with(fn :request, _, _ -> unquote(code) end, invite_watchdog_ms: 300)
        peer = Peer.open()
        invite = request("INVITE", peer)
        sent = System.monotonic_time(:millisecond)
        Peer.send(peer, address(stack), invite)
        Peer.expect(peer, "SIP/2.0 100 ")
        timeout = Peer.expect(peer, "SIP/2.0 408 ")
        assert System.monotonic_time(:millisecond) - sent >= 300
        Peer.send(peer, address(stack), follow_up("ACK", invite, to: field(timeout, "To")))
        Peer.refute_any(peer, 50)
      end
    end

    test "is waited for anew with each provisional response, and is too late after the 408" do
      test = self()

      stack =
        start_with(fn :request, request, _ -> send(test, {:invite, request}) end,
          invite_watchdog_ms: 800
        )

      peer = Peer.open()
      Peer.send(peer, address(stack), request("INVITE", peer))
      assert_receive {:invite, invite}

      # Taken before each send: the engine's clock may start at once, and this process be kept waiting for its answer.
      rung =
        for _ <- 1..3, reduce: nil do
          _ ->
            Process.sleep(300)
            before = System.monotonic_time(:millisecond)
            assert Sippet.send(stack, Message.to_response(invite, 180)) == :ok
            before
        end

      Peer.await(peer, "SIP/2.0 408 ")
      assert System.monotonic_time(:millisecond) - rung >= 800
      assert Sippet.send(stack, Message.to_response(invite, 200)) == {:error, :already_answered}
    end

    test "costs any other request nothing: its client has given up by then (RFC 4320 §4.1)" do
      stack = start_with(fn :request, _, _ -> :ok end, t1: 10, t2: 40)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      Peer.expect(peer, "SIP/2.0 100 ")
      eventually(fn -> Transaction.count(stack) == 0 end)
      Peer.refute_any(peer, 20)
    end
  end

  describe "the core" do
    test "that is replaced serves from then on" do
      stack = start_with(:forward)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}

      test = self()
      Core.register(stack, fn :request, _request, _key -> send(test, :second) end)
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive :second
      refute_received {^stack, _, _, _}
    end

    test "that is not there yet is owed nothing, and nothing is left of it" do
      stack = start(core: nil, t1: 5, t2: 10, t4: 10)
      peer = Peer.open()
      for _ <- 1..10, do: Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))

      for _ <- 1..10,
          do: Peer.send(peer, address(stack), response(Peer.expect(peer, "OPTIONS "), "200 OK"))

      # It is not told of a failure either.
      for _ <- 1..10, do: Sippet.send(stack, Stack.request(:invite, {peer.ip, peer.port}))
      eventually(fn -> Transaction.count(stack) == 0 end)
    end

    test "that a module is not yet: 503, and after that it serves" do
      stack = start(core: nil)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      Peer.expect(peer, "SIP/2.0 503 ")
      Core.register(stack, :forward)
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}
    end
  end

  describe "what dies in the middle of traffic" do
    test "a transport: no delivery is lost that a client repeats" do
      test = self()

      probe = Peer.open()
      Peer.close(probe)

      stack =
        start_with(fn :request, request, key -> send(test, {:served, request, key}) end,
          udp: [[port: probe.port]]
        )

      peer = Peer.open()

      for number <- 1..200 do
        text = request("OPTIONS", peer, call_id: "kept#{number}", branch: "z9hG4bKkept#{number}")
        Peer.send(peer, {probe.ip, probe.port}, text)

        if rem(number, 100) == 50 do
          [%{pid: pid}] = Sippet.Transport.list(stack)
          Process.exit(pid, :kill)

          eventually(fn -> match?([%{pid: new}] when new != pid, Sippet.Transport.list(stack)) end)
        end
      end

      # What the dead process had not read the client sends again; what it had begun is delivered once.
      for number <- 1..200 do
        text = request("OPTIONS", peer, call_id: "kept#{number}", branch: "z9hG4bKkept#{number}")
        Peer.send(peer, {probe.ip, probe.port}, text)
      end

      for number <- 1..200 do
        id = "kept#{number}"
        assert_receive {:served, %{headers: %{call_id: ^id}}, _key}
      end

      refute_receive {:served, _, _}, 50
    end

    test "the clock: timers go on" do
      stack = start_with(:forward, t1: 20, t2: 40)
      peer = Peer.open()
      Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))
      Process.exit(child(stack, Sippet.Transaction.Clock), :kill)
      for _ <- 1..3, do: Peer.expect(peer, "OPTIONS ")
      assert_receive {^stack, :error, :timeout, _key}
    end

    test "the table of transports: they are still there, and are forgotten when they end" do
      stack = start_with(:forward)
      peer = Peer.open()
      table = child(stack, Sippet.Transport.Table)
      Process.exit(table, :kill)
      eventually(fn -> child(stack, Sippet.Transport.Table) not in [table, nil] end)
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}

      [%{pid: pid}] = Sippet.Transport.list(stack)
      Process.exit(pid, :kill)
      eventually(fn -> not match?([%{pid: ^pid}], Sippet.Transport.list(stack)) end)
    end

    test "the registry: everything comes back" do
      stack = start_with(:forward)
      registry = Process.whereis(stack)
      Process.exit(registry, :kill)

      # The names of its parts are free only when they have died: the stack itself may have to be started again.
      eventually(fn -> Process.whereis(stack) not in [nil, registry] end)
      eventually(fn -> stack(stack) != [] and match?([_], Sippet.Transport.list(stack)) end)

      Core.register(stack, :forward)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}
    end
  end

  defp child(stack, module) do
    {_, pid, _, _} = supervisor(stack) |> Supervisor.which_children() |> List.keyfind(module, 0)

    if is_pid(pid), do: pid
  end

  defp supervisor(stack), do: Process.whereis(Sippet.Stack.supervisor(stack))

  describe "a stack that stops" do
    test "answers {:error, :stopped} to who held it, ArgumentError to its name, and leaves nothing" do
      Process.flag(:trap_exit, true)
      test = self()
      name = :"stopping_#{System.unique_integer([:positive])}"
      {:ok, supervisor} = Sippet.start_link(name: name)
      {:ok, _udp} = Sippet.Transports.UDP.start_link(name: name, port: 0, address: "127.0.0.1")

      Core.register(name, fn :request, _request, _key ->
        send(test, {:runner, self()})
        Process.sleep(:infinity)
      end)

      stack = Sippet.Stack.fetch!(name)
      peer = Peer.open()
      [%{pid: udp, address: address}] = Sippet.Transport.list(name)
      for _ <- 1..20, do: Peer.send(peer, address, request("OPTIONS", peer))
      runners = for _ <- 1..20, do: assert_receive({:runner, pid}) && pid
      for _ <- 1..20, do: Sippet.send(name, Stack.request(:options, {peer.ip, peer.port}))

      Supervisor.stop(supervisor)

      assert_raise ArgumentError, ~r/no stack named/, fn -> Transaction.count(name) end

      assert_raise ArgumentError, ~r/no stack named/, fn ->
        Sippet.send(name, Stack.request(:options, {peer.ip, peer.port}))
      end

      transport = %Sippet.Transport{
        id: 1,
        sippet: name,
        module: Sippet.Transports.UDP,
        handle: nil,
        protocol: :udp,
        reliable: false,
        address: address,
        pid: udp
      }

      # A caller that looked the stack up before it stopped.
      request = Stack.request(:options, {peer.ip, peer.port})
      assert {:error, _} = Sippet.Router.send_request(stack, request)
      assert :ok = Sippet.Router.receive_message(stack, transport, 0, {peer.ip, peer.port}, "x")
      assert Sippet.Native.engine_count(stack.engine) == 0

      response = Message.to_response(Message.parse!(request("OPTIONS", peer)), 200)
      assert {:error, :stopped} = Sippet.Router.send_response(stack, response, false)

      # What still runs ends by itself, and has nothing left to do.
      assert :ets.info(stack.transports) == :undefined
      for pid <- runners, do: Process.exit(pid, :kill)
      eventually(fn -> not Enum.any?(runners, &Process.alive?/1) end)
      eventually(fn -> not Process.alive?(udp) end)
      assert Process.whereis(name) == nil
    end

    test "by the death of its supervisor leaves its name free" do
      Process.flag(:trap_exit, true)
      name = :"killed_#{System.unique_integer([:positive])}"
      {:ok, supervisor} = Sippet.start_link(name: name)
      stack = Sippet.Stack.fetch!(name)
      Process.exit(supervisor, :kill)

      eventually(fn ->
        match?({:error, :stopped}, Sippet.Native.engine_tick(stack.engine, 0))
      end)

      names = [name, Sippet.supervisor_name(name), Module.concat(name, "Resolver")]
      eventually(fn -> Enum.all?(names, &(Process.whereis(&1) == nil)) end)
      assert {:ok, again} = Sippet.start_link(name: name)
      assert Sippet.Stack.fetch!(name).engine != stack.engine
      Supervisor.stop(again)
    end

    test "and is started again under a supervisor with its transports serves again" do
      name = :"restarted_#{System.unique_integer([:positive])}"
      probe = Peer.open()
      Peer.close(probe)

      children = [
        {Sippet, name: name},
        {Sippet.Transports.UDP, name: name, port: probe.port, address: "127.0.0.1"}
      ]

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)

      test = self()
      peer = Peer.open()

      for how <- [:kill, :shutdown] do
        Core.register(name, fn :request, _request, _key -> send(test, {:served, how}) end)
        Peer.send(peer, {probe.ip, probe.port}, request("OPTIONS", peer))
        assert_receive {:served, ^how}
        before = Sippet.Stack.fetch!(name)

        if how == :kill,
          do: Process.exit(supervisor(name), :kill),
          else: Supervisor.stop(supervisor(name), how)

        eventually(fn ->
          case stack(name) do
            [stack] when stack.engine != before.engine ->
              match?([_], Sippet.Transport.list(name))

            _none_or_the_old ->
              false
          end
        end)
      end

      Core.register(name, fn :request, _request, _key -> send(test, :again) end)
      Peer.send(peer, {probe.ip, probe.port}, request("OPTIONS", peer))
      assert_receive :again
      Supervisor.stop(supervisor)
    end

    test "a second stack of a name is refused, and the first goes on" do
      Process.flag(:trap_exit, true)
      stack = start_with(:forward)
      assert {:error, {:already_started, _pid}} = Sippet.start_link(name: stack)
      peer = Peer.open()
      Peer.send(peer, address(stack), request("OPTIONS", peer))
      assert_receive {^stack, :request, _, _}
    end
  end

  defp stack(name) do
    [Sippet.Stack.fetch!(name)]
  rescue
    ArgumentError -> []
  end

  describe "processes" do
    test "are as many as work at it: none is left when a thousand requests are served" do
      name = start(core: nil)

      Core.register(name, fn :request, request, _key ->
        Sippet.send(name, Message.to_response(request, 200))
      end)

      peer = Peer.open()

      serve = fn count ->
        for _ <- 1..count do
          Peer.send(peer, address(name), request("OPTIONS", peer))
          Peer.expect(peer, "SIP/2.0 200 ")
        end
      end

      serve.(10)
      runners = fn -> Enum.count(Process.list(), &runner?/1) end
      serve.(1_000)
      assert Transaction.count(name) == 1_010
      # Other tests have theirs, but not a thousand.
      eventually(fn -> runners.() < 200 end)
    end
  end

  defp runner?(pid),
    do:
      match?(
        {:initial_call, {Sippet.Transaction.Delivery, :run, 2}},
        Process.info(pid, :initial_call)
      )
end
