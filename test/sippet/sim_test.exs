defmodule Sippet.SimTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureLog
  import Sippet.Test.Sim

  alias Sippet.{Dialog, Message, Sim, URI}

  doctest Sippet.Sim

  # RFC 3261 table 4 with T1 = 500 ms, T2 = 4 s: an INVITE doubles its interval (timer A), others up to T2 (timer E).
  @invites [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]
  @others [0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]

  describe "timers" do
    test "an INVITE into a cut link is sent 7 times and fails at 64·T1 (§17.1.1.2, timers A and B)" do
      sim = start()
      {caller, callee} = {add(sim), add(sim)}
      Sim.cut(sim, caller, callee)
      :ok = Sippet.send(caller, request("INVITE"))

      assert Sim.advance(sim, 31_999) == 31_999
      assert inbox() == []
      assert Sim.advance(sim, 1) == 32_000
      assert [{^caller, :receive_error, :timeout, %{method: :invite}}] = inbox()
      assert sent(sim) == for(at <- @invites, do: {at, caller, :invite})
      assert Enum.all?(Sim.messages(sim), &(&1.fate == :cut))
    end

    test "another request is sent 11 times (§17.1.2.2, timers E and F)" do
      sim = start()
      {caller, callee} = {add(sim), add(sim)}
      Sim.cut(sim, caller, callee)
      :ok = Sippet.send(caller, request("OPTIONS"))

      assert Sim.advance(sim, :infinity) == 32_000
      assert [{^caller, :receive_error, :timeout, %{method: :options}}] = inbox()
      assert times(sim, caller, :options) == @others
    end

    test "T1 is an option of the stack" do
      sim = start()
      {caller, callee} = {add(sim, t1: 100), add(sim)}
      Sim.cut(sim, caller, callee)
      :ok = Sippet.send(caller, request("INVITE"))
      assert Sim.advance(sim, :infinity) == 6_400
      assert times(sim, caller, :invite) == [0, 100, 300, 700, 1_500, 3_100, 6_300]
    end

    test "a refusal is repeated until its ACK (§17.2.1, timers G and H)" do
      sim = start(delay: 10)
      {caller, callee} = {add(sim), add(sim)}
      :ok = Sippet.send(caller, request("INVITE"))
      Sim.advance(sim, 10)
      assert [{^callee, :receive_request, invite, _key}] = inbox()
      # The ACK is lost, and nothing else comes.
      Sim.cut(sim, caller, callee, one_way: true)
      :ok = Sippet.send(callee, Message.to_response(invite, 486))
      Sim.advance(sim, 32_000)

      assert times(sim, callee, 486) == Enum.map(@others, &(&1 + 10))
      assert times(sim, caller, :ack) == Enum.map(@others, &(&1 + 20))

      assert [
               {^caller, :receive_response, %{start_line: %{status_code: 486}}, _},
               {^callee, :receive_error, :timeout, %{method: :invite}}
             ] = inbox()
    end

    test "nothing is repeated on a reliable transport (§17.1.1.2, §17.1.2.2, §17.2.1)" do
      sim = start(loss: 1, delay: 10)
      {caller, callee} = {add(sim, transports: [:tcp]), add(sim, transports: [:tcp])}

      for method <- ["INVITE", "OPTIONS"],
          do: Sippet.send(caller, request(method, 1, 2, protocol: "TCP"))

      Sim.advance(sim, 10)
      assert [{_, :receive_request, invite, _}, {_, :receive_request, _options, _}] = inbox()
      :ok = Sippet.send(callee, Message.to_response(invite, 486))
      Sim.advance(sim, :infinity)

      assert times(sim, caller, :invite) == [0]
      assert times(sim, caller, :options) == [0]
      assert times(sim, callee, 486) == [10]
      assert times(sim, caller, :ack) == [20]
      # Timer F, of the request that nobody has answered.
      assert {caller, :receive_error, :timeout} in for(
               {name, what, first, _} <- inbox(),
               do: {name, what, first}
             )

      assert Sippet.Transaction.count(caller) == 0
    end

    test "time stands still but in advance/2" do
      sim = start()
      {caller, callee} = {add(sim), add(sim)}
      Sim.cut(sim, caller, callee)
      request = request("OPTIONS")
      :ok = Sippet.send(caller, request)
      # Longer than T1, on the clock on the wall.
      Process.sleep(600)
      assert Sim.now(sim) == 0
      assert times(sim, caller, :options) == [0]

      assert %{age_ms: 0} =
               Sippet.Transaction.info(caller, Sippet.Transactions.Client.Key.new(request))

      assert Sim.advance(sim, 500) == 500
      assert times(sim, caller, :options) == [0, 500]
    end

    test "a stack that comes later has the time of the others" do
      sim = start()
      first = add(sim)
      assert Sim.advance(sim, 1_000_000) == 1_000_000
      second = add(sim)
      :ok = Sippet.send(second, request("OPTIONS", 2, 3))
      assert Sim.advance(sim, :infinity) == 1_032_000
      assert times(sim, second, :options) == Enum.map(@others, &(&1 + 1_000_000))
      assert Enum.all?(Sim.messages(sim), &(&1.fate == :nowhere and &1.to == nil))
      assert times(sim, first, :options) == []
    end
  end

  # A telephone that takes every call, and hangs up when it is told to: dialogs in a table by stack.
  defmodule Phone do
    use Sippet.Core

    @impl true
    def receive_request(%{start_line: %{method: :invite}} = invite, _key) do
      ringing = answer(invite, 180)
      {:ok, dialog} = Dialog.create_uas(invite, ringing)
      Sippet.send(:sim_callee, ringing)
      ok = answer(invite, 200)
      {:ok, dialog} = Dialog.respond(dialog, invite, ok)
      :ets.insert(__MODULE__, {:dialog, dialog})
      Sippet.send(:sim_callee, ok, until: :ack)
    end

    def receive_request(%{start_line: %{method: :ack}} = ack, nil) do
      [dialog: dialog] = :ets.lookup(__MODULE__, :dialog)
      {:ok, dialog} = Dialog.handle_request(dialog, ack)
      :ets.insert(__MODULE__, {:dialog, dialog})
      :ets.insert(__MODULE__, {:acknowledged, true})
    end

    def receive_request(%{start_line: %{method: :bye}} = bye, _key) do
      [dialog: dialog] = :ets.lookup(__MODULE__, :dialog)
      {:ok, dialog} = Dialog.handle_request(dialog, bye)
      :ets.insert(__MODULE__, {:dialog, dialog})
      Sippet.send(:sim_callee, Message.to_response(bye, 200))
    end

    defp answer(invite, status_code) do
      contact = {"", URI.parse!("sip:callee@10.0.0.2"), %{}}
      invite |> Message.to_response(status_code) |> Message.put_header(:contact, [contact])
    end
  end

  defmodule Dialler do
    use Sippet.Core

    @impl true
    def receive_response(%{start_line: %{status_code: 180}}, _key), do: :ok

    def receive_response(%{headers: %{cseq: {_, :invite}}} = ok, _key) do
      [invite: invite] = :ets.lookup(Phone, :invite)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      :ok = Sippet.send(:sim_caller, Dialog.build_ack(dialog, invite, via: via()))
      {bye, _dialog} = Dialog.bye(dialog, via: via())
      :ets.insert(Phone, {:bye, bye})
    end

    def receive_response(%{headers: %{cseq: {_, :bye}}}, _key),
      do: :ets.insert(Phone, {:over, true})

    defp via do
      [{{2, 0}, :udp, {"10.0.0.1", 5060}, %{"branch" => Message.create_branch()}}]
    end
  end

  test "a call between two cores that keep dialogs, and its ladder" do
    :ets.new(Phone, [:named_table, :public])
    sim = start(delay: 10)
    Sim.add_stack(sim, :sim_caller, core: Dialler)
    Sim.add_stack(sim, :sim_callee, core: Phone)

    # The first ACK is lost: the 2xx comes again after T1, and the stack repeats the ACK (§13.2.2.4, §13.3.1.4).
    invite = request("INVITE")
    :ets.insert(Phone, {:invite, invite})
    :ok = Sippet.send(:sim_caller, invite)
    Sim.advance(sim, 10)
    Sim.cut(sim, :sim_caller, :sim_callee, one_way: true)
    Sim.advance(sim, 10)
    Sim.heal(sim, :sim_caller, :sim_callee)
    Sim.advance(sim, 980)
    assert :ets.lookup(Phone, :acknowledged) == [acknowledged: true]
    [bye: bye] = :ets.lookup(Phone, :bye)
    :ok = Sippet.send(:sim_caller, bye)
    Sim.advance(sim, :infinity)
    assert :ets.lookup(Phone, :over) == [over: true]
    assert [dialog: %{state: :terminated}] = :ets.lookup(Phone, :dialog)

    assert Sim.ladder(sim) ==
             """
                       :sim_caller                      :sim_callee
                    0  |-- INVITE sip:callee@10.0.0.2 ->|  10
                   10  |<- 180 Ringing (INVITE) --------|  20
                   10  |<- 200 OK (INVITE) -------------|  20
                   20  |-- ACK sip:callee@10.0.0.2 ----x|  cut
                  510  |<- 200 OK (INVITE) -------------|  520
                  520  |-- ACK sip:callee@10.0.0.2 ---->|  530
                 1000  |-- BYE sip:callee@10.0.0.2 ---->|  1010
                 1010  |<- 200 OK (BYE) ----------------|  1020
             """
  end

  describe "a core that fails" do
    test "earns a 500 at once, and is logged" do
      sim = start(delay: 10)
      caller = add(sim)
      callee = add_core(sim, fn _name, :request, _request, _key -> raise "on purpose" end)
      :ok = Sippet.send(caller, request("OPTIONS"))
      log = capture_log(fn -> Sim.advance(sim, 20) end)
      assert [{^caller, :receive_response, %{start_line: %{status_code: 500}}, _key}] = inbox()
      assert times(sim, callee, 500) == [10]
      assert log =~ "receive_request/2 of #{inspect(callee)} failed"
      assert log =~ "on purpose"
      assert Sippet.Transaction.counters(callee).core_failures == 1
    end

    test "earns a 500 at once where it is killed" do
      for _ <- 1..50 do
        sim = start(delay: 10)
        caller = add(sim)
        callee = add_core(sim, fn _, :request, _, _ -> Process.exit(self(), :kill) end)
        :ok = Sippet.send(caller, request("OPTIONS"))
        Sim.advance(sim, 10)
        assert times(sim, callee, 500) == [10]
        Sim.stop(sim)
      end
    end
  end

  describe "a seed" do
    @bad [loss: 0.3, duplicate: 0.1, reorder: 0.2, delay: 5..80]

    # Twenty OPTIONS each way, half a second apart; what each stack sent, by its place.
    defp run(options) do
      sim = start(options)

      answer = fn name, :request, request, _ ->
        Sippet.send(name, Message.to_response(request, 200))
      end

      handler = fn name, callback, first, key ->
        if callback == :request, do: answer.(name, callback, first, key)
      end

      names = [add_core(sim, handler), add_core(sim, handler)]

      for _ <- 1..20 do
        :ok = Sippet.send(hd(names), request("OPTIONS", 1, 2))
        :ok = Sippet.send(List.last(names), request("OPTIONS", 2, 1))
        Sim.advance(sim, 500)
      end

      Sim.advance(sim, :infinity)

      trace =
        for %{sent_at: at, from: from, fate: fate, message: message} <- Sim.messages(sim),
            do: {at, Enum.find_index(names, &(&1 == from)), to_string(message.start_line), fate}

      Sim.stop(sim)
      trace
    end

    test "is a run: the same messages at the same times, whatever their branches are" do
      trace = run([seed: 7] ++ @bad)
      assert length(trace) > 80

      fates =
        for {_, _, _, fate} <- trace,
            uniq: true,
            do: if(is_tuple(fate), do: length(elem(fate, 1)), else: fate)

      assert Enum.sort(fates) == [1, 2, :lost]
      assert run([seed: 7] ++ @bad) == trace
    end

    test "is not another one's" do
      assert run([seed: 7] ++ @bad) != run([seed: 8] ++ @bad)
    end
  end

  test "two simulations do not know of each other" do
    run = fn delay ->
      sim = start(delay: delay)
      {caller, callee} = {add(sim), add(sim)}
      {sim, caller, callee}
    end

    {first, caller, callee} = run.(10)
    {second, other_caller, other_callee} = run.(1_000)
    :ok = Sippet.send(caller, request("OPTIONS"))
    :ok = Sippet.send(other_caller, request("OPTIONS"))
    assert Sim.advance(first, 10) == 10
    assert Sim.now(second) == 0
    assert [{^callee, :receive_request, _, _}] = inbox()

    # And in two processes at once.
    tasks = for sim <- [first, second], do: Task.async(fn -> Sim.advance(sim, 1_000) end)
    assert Enum.map(tasks, &Task.await/1) == [1_010, 1_000]
    assert [{^other_callee, :receive_request, _, _}] = inbox()
    assert length(Sim.messages(first)) == 2
    assert times(second, other_caller, :options) == [0, 500]
  end

  describe "addresses" do
    test "are those of the options, and names of hosts lead to them" do
      sim = start()
      caller = add(sim, address: {"192.0.2.1", 5070})
      callee = add(sim, address: "2001:db8::2", hosts: ["Biloxi.example"])
      assert [%{address: {{192, 0, 2, 1}, 5_070}}] = Sippet.Transport.list(caller)

      other =
        add(sim,
          address: {192, 0, 2, 3},
          hosts: ["atlanta.example"],
          transports: [:udp, :tcp, :tls, ws: 80]
        )

      assert for(
               t <- Sippet.Transport.list(other),
               do: {t.protocol, elem(t.address, 1), t.reliable}
             ) ==
               [{:udp, 5_060, false}, {:tcp, 5_060, true}, {:tls, 5_061, true}, {:ws, 80, true}]

      :ok = Sippet.send(caller, request("OPTIONS", 1, 2, host: "atlanta.EXAMPLE"))
      Sim.advance(sim, 0)

      assert [{^other, :receive_request, %{source: %{remote: {{192, 0, 2, 1}, 5_070}}}, _}] =
               inbox()

      assert {:error, %Sippet.TransportError{reason: :no_transport}} =
               Sippet.send(caller, request("OPTIONS", 1, 2, host: "biloxi.example"))

      assert {:error, %Sippet.TransportError{reason: :nxdomain}} =
               Sippet.send(caller, request("OPTIONS", 1, 2, host: "nowhere.example"))

      far = add(sim, address: "2001:db8::3")
      :ok = Sippet.send(far, request("OPTIONS", 1, 2, host: "[2001:db8::2]"))
      Sim.advance(sim, 0)
      assert [{^callee, :receive_request, _, _}] = inbox()
    end

    test "a response over a reliable transport goes back the way of its request, whatever its Via says" do
      sim = start()
      {caller, callee} = {add(sim, transports: [:tcp]), add(sim, transports: [:tcp])}
      :ok = Sippet.send(caller, request("OPTIONS", 77, 2, protocol: "TCP"))
      Sim.advance(sim, 0)
      assert [{^callee, :receive_request, request, _}] = inbox()
      :ok = Sippet.send(callee, Message.to_response(request, 200))
      Sim.advance(sim, 0)
      assert [{^caller, :receive_response, _, _}] = inbox()
    end
  end

  describe "a cut" do
    test "that gives a reason tells the sender" do
      sim = start()
      {caller, callee} = {add(sim), add(sim)}
      Sim.cut(sim, caller, callee, reason: :econnrefused)
      :ok = Sippet.send(caller, request("OPTIONS"))
      Sim.settle(sim)
      assert [{^caller, :receive_error, :econnrefused, %{method: :options}}] = inbox()
      Sim.heal(sim, caller, callee)
      :ok = Sippet.send(caller, request("OPTIONS"))
      Sim.advance(sim, 0)
      assert [{^callee, :receive_request, _, _}] = inbox()
    end

    test "is noticed on a reliable transport" do
      sim = start()
      {caller, callee} = {add(sim, transports: [:tcp]), add(sim, transports: [:tcp])}
      Sim.cut(sim, caller, callee)
      :ok = Sippet.send(caller, request("OPTIONS", 1, 2, protocol: "TCP"))
      :ok = Sippet.send(caller, request("OPTIONS", 1, 9, protocol: "TCP"))
      Sim.settle(sim)

      assert [{^caller, :receive_error, :closed, _}, {^caller, :receive_error, :econnrefused, _}] =
               inbox()
    end

    test "leaves alone what is under way" do
      sim = start(delay: 10)
      {caller, callee} = {add(sim), add(sim)}
      :ok = Sippet.send(caller, request("OPTIONS"))
      Sim.cut(sim, caller, callee)
      Sim.advance(sim, 10)
      assert [{^callee, :receive_request, _, _}] = inbox()
    end
  end

  test "a link may differ from the others, each way" do
    sim = start(delay: 10)
    {caller, callee} = {add(sim), add(sim)}
    Sim.link(sim, caller, callee, delay: 300, one_way: true)
    :ok = Sippet.send(caller, request("OPTIONS"))
    Sim.advance(sim, 300)
    assert [{^callee, :receive_request, request, _}] = inbox()
    :ok = Sippet.send(callee, Message.to_response(request, 200))
    Sim.advance(sim, 10)
    assert [{^caller, :receive_response, _, _}] = inbox()
    Sim.link(sim, caller, callee, loss: 1)
    :ok = Sippet.send(callee, request("OPTIONS", 2, 1))
    assert [%{fate: :lost}] = Sim.messages(sim) |> Enum.take(-1)
  end

  describe "the end" do
    test "leaves nothing" do
      sim = start()
      name = add(sim)
      stack = Sippet.Stack.fetch!(name)
      :ok = Sippet.send(name, request("OPTIONS", 1, 2))
      assert Sippet.Transaction.count(name) == 1
      waiting = Task.async(fn -> Sippet.request(name, request("OPTIONS", 1, 2)) end)
      Sim.settle(sim)
      Sim.stop(sim)
      assert Task.await(waiting) == {:error, :stopped}
      assert_gone(stack)

      # The name is free again.
      sim = start()
      Sim.add_stack(sim, name)
      assert Sippet.Transaction.count(name) == 0
    end

    @tag capture_log: true
    test "leaves nothing where it is killed" do
      Process.flag(:trap_exit, true)
      {:ok, sim} = Sim.start_link()
      name = add(sim)
      stack = Sippet.Stack.fetch!(name)
      supervisor = Process.monitor(Process.whereis(Sippet.Stack.supervisor(name)))
      Process.exit(sim, :kill)
      assert_receive {:DOWN, ^supervisor, _, _, _}
      assert_gone(stack)
    end

    defp assert_gone(stack) do
      assert :persistent_term.get({Sippet.Stack, stack.name}, nil) == nil
      assert Process.whereis(Sippet.Stack.supervisor(stack.name)) == nil
      assert Process.whereis(stack.name) == nil
      assert :ets.info(stack.transports) == :undefined
      assert Sippet.Native.engine_tick(stack.engine, 0) == {:error, :stopped}
      assert Sippet.Native.engine_count(stack.engine) == 0
    end
  end

  describe "mistakes" do
    test "in options are told" do
      for {options, expected} <- [
            {[loss: 2], ~r/expected :loss to be a probability between 0 and 1, got: 2/},
            {[delay: -1], ~r/expected :delay to be a number of milliseconds or a range of them/},
            {[delay: 5..1//-1], ~r/expected :delay/},
            {[seed: :x], ~r/expected :seed to be an integer, got: :x/},
            {[limit_ms: 0], ~r/expected :limit_ms/},
            {[lost: 0.1], ~r/unknown option :lost, known are: .*:loss/}
          ] do
        assert_raise ArgumentError, expected, fn -> Sim.start_link(options) end
      end
    end

    test "about stacks are told, and harm nobody" do
      sim = start()
      name = add(sim)

      for {other, options, expected} <- [
            {name, [], ~r/there is a stack named #{inspect(name)}/},
            {:sim_x, [address: {10, 0, 0, 1}], ~r/the address 10.0.0.1 port 5060 is taken/},
            {:sim_x, [address: "biloxi.example"], ~r/expected :address to be a numeric IP/},
            {:sim_x, [transports: []], ~r/expected :transports/},
            {:sim_x, [transports: [:udp, :udp]], ~r/expected :transports/},
            {:sim_x, [hosts: :a], ~r/expected :hosts/},
            {:sim_x, [t9: 1], ~r/unknown option :t9/},
            {:sim_x, [core: "x"], ~r/:core to be a module/}
          ] do
        assert_raise ArgumentError, expected, fn -> Sim.add_stack(sim, other, options) end
      end

      taken = Sippet.Test.Stack.start(udp: [])

      assert_raise ArgumentError, ~r/cannot be started: {:already_started/, fn ->
        Sim.add_stack(sim, taken, [])
      end

      assert_raise ArgumentError, ~r/no stack named :sim_x/, fn -> Sim.cut(sim, name, :sim_x) end
      assert_raise ArgumentError, ~r/:one_way/, fn -> Sim.cut(sim, name, name, one_way: 1) end
      assert_raise ArgumentError, ~r/:jitter/, fn -> Sim.link(sim, name, name, jitter: 1) end
      assert_raise ArgumentError, ~r/milliseconds/, fn -> Sim.advance(sim, -1) end
      assert Sim.advance(sim, 5) == 5
    end

    test "that make a run endless are told" do
      # Each answers an ACK, which has no transaction, with another one.
      endless = fn options ->
        sim = start(options)

        handler = fn
          name, :request, %{source: %{remote: {{10, 0, 0, other}, _}}}, nil ->
            Sippet.send(name, request("ACK", 3 - other, other))
        end

        names = [add_core(sim, handler), add_core(sim, handler)]
        :ok = Sippet.send(hd(names), request("ACK"))
        sim
      end

      sim = endless.(delay: 3_600_000)
      assert_raise RuntimeError, ~r/after a day/, fn -> Sim.advance(sim, :infinity) end
      assert Sim.now(sim) in 86_400_000..90_000_000
      sim = endless.(delay: 0)
      # Most of the way, which takes a while.
      :sys.replace_state(sim, &%{&1 | at_once: 49_500})
      assert_raise RuntimeError, ~r/things to be done at 0 ms/, fn -> Sim.advance(sim, 1) end
    end
  end
end
