defmodule Sippet.Sim.WorkTest do
  # Cores that leave work to other processes, and callbacks that wait.
  use ExUnit.Case, async: true

  import Sippet.Test.Sim

  alias Sippet.{Message, Sim}

  # Answers what it is told to, after it has done something else.
  defmodule Worker do
    use GenServer

    def start_link(options \\ []), do: GenServer.start_link(__MODULE__, nil, options)
    def answer(worker, stack, request), do: GenServer.cast(worker, {:answer, stack, request})

    @impl true
    def init(nil), do: {:ok, nil}

    @impl true
    def handle_cast({:answer, stack, request}, state) do
      # Long enough for the time to run away from it.
      Enum.each(1..20_000, fn number -> :erlang.phash2(number) end)
      Sippet.send(stack, Message.to_response(request, 200))
      {:noreply, state}
    end
  end

  # Starts a process that does not descend from the test, as those of an application do not.
  defp elsewhere(start) do
    test = self()

    {_pid, monitor} =
      spawn_monitor(fn ->
        spawn(fn ->
          {:ok, pid} = start.()
          send(test, {:started, pid})
          monitor = Process.monitor(test)
          # It ends with the test.
          receive do: ({:DOWN, ^monitor, _, _, _} -> Process.exit(pid, :kill))
        end)
      end)

    assert_receive {:DOWN, ^monitor, _, _, _}
    assert_receive {:started, pid}
    pid
  end

  # A caller, and a callee whose core does this with each request; one OPTIONS has been sent.
  defp pair(handler, options \\ []) do
    sim = start([delay: 10] ++ options)
    caller = add(sim)

    callee =
      add_core(sim, fn
        name, :request, request, key -> handler.(name, request, key)
        _name, _callback, _first, _key -> :ok
      end)

    :ok = Sippet.send(caller, request("OPTIONS"))
    {sim, caller, callee}
  end

  describe "work is done before the time moves on" do
    test "by a task of the callback's" do
      {sim, caller, callee} =
        pair(fn name, request, _key ->
          Task.start(fn ->
            Enum.each(1..20_000, fn number -> :erlang.phash2(number) end)
            Sippet.send(name, Message.to_response(request, 200))
          end)
        end)

      Sim.advance(sim, 60_000)
      assert times(sim, callee, 200) == [10]
      assert times(sim, caller, :options) == [0]
    end

    test "by a task of a task's" do
      {sim, _caller, callee} =
        pair(fn name, request, _key ->
          Task.async(fn ->
            task =
              Task.async(fn ->
                Enum.each(1..20_000, fn number -> :erlang.phash2(number) end)
                Sippet.send(name, Message.to_response(request, 200))
              end)

            Task.await(task)
          end)
          |> Task.await()
        end)

      Sim.advance(sim, 60_000)
      assert times(sim, callee, 200) == [10]
    end

    test "by a server of the test's own" do
      {:ok, worker} = Worker.start_link()

      {sim, _caller, callee} =
        pair(fn name, request, _key -> Worker.answer(worker, name, request) end)

      Sim.advance(sim, 60_000)
      assert times(sim, callee, 200) == [10]
    end

    test "by a server that is named, also one that is started again" do
      worker = :"worker_#{System.unique_integer([:positive])}"
      elsewhere(fn -> Worker.start_link(name: worker) end)

      {sim, caller, callee} =
        pair(fn name, request, _key -> Worker.answer(worker, name, request) end)

      Sim.track(sim, worker)
      Sim.advance(sim, 1_000)
      :ok = GenServer.stop(worker)
      elsewhere(fn -> Worker.start_link(name: worker) end)
      :ok = Sippet.send(caller, request("OPTIONS"))
      Sim.advance(sim, 60_000)
      assert times(sim, callee, 200) == [10, 1_010]
    end

    test "by the children of a supervisor that is named, those of later too" do
      supervisor = elsewhere(fn -> Task.Supervisor.start_link() end)

      {sim, caller, callee} =
        pair(fn name, request, _key ->
          Task.Supervisor.start_child(supervisor, fn ->
            Enum.each(1..20_000, fn number -> :erlang.phash2(number) end)
            Sippet.send(name, Message.to_response(request, 200))
          end)
        end)

      Sim.track(sim, supervisor)
      for _ <- 1..5, do: Sippet.send(caller, request("OPTIONS"))
      Sim.advance(sim, 60_000)
      assert times(sim, callee, 200) == List.duplicate(10, 6)
    end

    test "by a server that is asked, which nobody has named" do
      slow = elsewhere(fn -> Agent.start_link(fn -> nil end) end)

      {sim, _caller, callee} =
        pair(fn name, request, _key ->
          Task.start(fn ->
            Agent.get(slow, fn _state -> Enum.each(1..1_000_000, &:erlang.phash2/1) end)

            Sippet.send(name, Message.to_response(request, 200))
          end)
        end)

      Sim.advance(sim, 60_000)
      assert times(sim, callee, 200) == [10]
    end

    test "in one order, whatever the scheduler makes of it" do
      run = fn ->
        {sim, caller, callee} =
          pair(fn name, request, _key ->
            Task.start(fn -> Sippet.send(name, Message.to_response(request, 200)) end)
          end)

        for _ <- 1..20, do: Sippet.send(caller, request("OPTIONS"))
        Sim.link(sim, caller, callee, loss: 0.3, delay: 1..30)
        Sim.advance(sim, :infinity)

        for %{sent_at: at, fate: fate, message: message} <- Sim.messages(sim),
            do: {at, fate, Map.get(message.start_line, :status_code)}
      end

      assert run.() == run.()
    end
  end

  describe "settle/1" do
    test "waits for what the test has started; the time stands still" do
      sim = start(delay: 10)
      {caller, callee} = {add(sim), add(sim)}

      Task.start_link(fn ->
        Enum.each(1..20_000, fn number -> :erlang.phash2(number) end)
        Sippet.send(caller, request("OPTIONS"))
      end)

      assert Sim.settle(sim) == :ok
      assert times(sim, caller, :options) == [0]
      assert Sim.now(sim) == 0
      assert inbox() == []
      Sim.advance(sim, 10)
      assert [{^callee, :receive_request, _, _}] = inbox()
    end

    test "raises where a process does not come to rest, and says where it is" do
      # Long enough that a loaded machine comes to rest within it where nothing spins.
      sim = start(limit_ms: 1_000)
      add(sim)
      busy = spawn_link(&spin/0)

      assert_raise RuntimeError,
                   ~r/#{inspect(busy)} has not come to rest within 1000 ms.*spin/s,
                   fn ->
                     Sim.settle(sim)
                   end

      Process.unlink(busy)
      Process.exit(busy, :kill)
      assert Sim.settle(sim) == :ok
    end

    defp spin do
      :erlang.phash2(:round)
      spin()
    end
  end

  describe "a callback" do
    test "that never returns is told and killed, and the simulation goes on" do
      {sim, _caller, callee} =
        pair(
          fn _name, _request, _key ->
            receive do
              :never -> :ok
            end
          end,
          limit_ms: 50
        )

      assert_raise RuntimeError,
                   ~r/a callback has not returned within 50 ms.*work_test.exs/s,
                   fn ->
                     Sim.advance(sim, 10)
                   end

      Sim.advance(sim, 0)
      assert times(sim, callee, 500) == [10]
    end

    test "cannot move the time" do
      test = self()

      pair(
        fn _name, _request, _key ->
          send(test, {:result, catch_error(Sim.advance(__MODULE__, 1))})
        end,
        name: __MODULE__
      )

      Sim.advance(__MODULE__, 10)
      assert_received {:result, %RuntimeError{message: message}}
      assert message =~ "is being moved by #{inspect(test)}"
    end

    test "may wait for a response of its own: the time goes on, and other callbacks run" do
      sim = start(delay: 10)
      caller = add(sim)

      middle =
        add_core(sim, fn
          name, :request, request, _key ->
            if request.headers.call_id =~ "wait" do
              {:ok, answer} = Sippet.request(name, request("OPTIONS", 2, 3))
              Sippet.send(name, Message.to_response(request, answer.start_line.status_code))
            else
              Sippet.send(name, Message.to_response(request, 202))
            end
        end)

      last = add(sim)
      waiting = Message.put_header(request("OPTIONS"), :call_id, "wait")
      :ok = Sippet.send(caller, waiting)
      Sim.advance(sim, 1_000)
      # It waits: the request has come to the last stack, and other requests are answered.
      assert [{^last, :receive_request, inner, _}] = inbox()
      :ok = Sippet.send(caller, request("OPTIONS"))
      Sim.advance(sim, 20)
      assert times(sim, middle, 202) == [1_010]
      :ok = Sippet.send(last, Message.to_response(inner, 404))
      Sim.advance(sim, 1_000)
      assert times(sim, last, 404) == [1_020]
      assert times(sim, middle, 404) == [1_030]
    end
  end

  describe "Sippet.request/3" do
    setup do
      sim = start(delay: 10)
      %{sim: sim, caller: add(sim), callee: add(sim)}
    end

    test "in a task gets its response when that has come", %{sim: sim} = context do
      call = Task.async(fn -> Sippet.request(context.caller, request("OPTIONS")) end)
      Sim.advance(sim, 10)
      assert [{_, :receive_request, request, _}] = inbox()
      assert Task.yield(call, 0) == nil
      :ok = Sippet.send(context.callee, Message.to_response(request, 200))
      Sim.advance(sim, 9)
      assert Task.yield(call, 0) == nil
      Sim.advance(sim, 1)
      assert {:ok, {:ok, %{start_line: %{status_code: 200}}}} = Task.yield(call, 0)
    end

    test "times out on virtual time", %{sim: sim} = context do
      Sim.cut(sim, context.caller, context.callee)

      short =
        Task.async(fn -> Sippet.request(context.caller, request("OPTIONS"), timeout: 700) end)

      long = Task.async(fn -> Sippet.request(context.caller, request("OPTIONS")) end)
      Sim.advance(sim, 699)
      assert Task.yield(short, 0) == nil
      Sim.advance(sim, 1)
      assert Task.yield(short, 0) == {:ok, {:error, :timeout}}
      Sim.advance(sim, 32_000 - 701)
      assert Task.yield(long, 0) == nil
      Sim.advance(sim, 1)
      assert Task.yield(long, 0) == {:ok, {:error, :timeout}}
    end

    test "cancels its INVITE at its deadline (§9.1)", %{sim: sim, caller: caller} = context do
      call = Task.async(fn -> Sippet.request(caller, request("INVITE"), timeout: 5_000) end)
      Sim.advance(sim, 10)
      assert [{_, :receive_request, invite, _}] = inbox()
      :ok = Sippet.send(context.callee, Message.to_response(invite, 180))
      Sim.advance(sim, 5_000)
      assert times(sim, caller, :cancel) == [5_000]
      assert [{_, :receive_request, %{start_line: %{method: :cancel}} = cancel, _}] = inbox()
      :ok = Sippet.send(context.callee, Message.to_response(cancel, 200))
      :ok = Sippet.send(context.callee, Message.to_response(invite, 487))
      Sim.advance(sim, 10)
      assert Task.yield(call, 0) == {:ok, {:error, :timeout}}
    end

    test "of a process that dies cancels its INVITE at once",
         %{sim: sim, caller: caller} = context do
      for round <- 0..19 do
        call = Task.async(fn -> Sippet.request(caller, request("INVITE")) end)
        Sim.advance(sim, 10)
        assert [{_, :receive_request, invite, _}] = inbox()
        :ok = Sippet.send(context.callee, Message.to_response(invite, 180))
        Sim.advance(sim, 90)
        Task.shutdown(call, :brutal_kill)
        Sim.advance(sim, 0)
        assert times(sim, caller, :cancel) |> Enum.at(-1) == 100 + round * 300
        Sim.advance(sim, 10)
        assert [{_, :receive_request, %{start_line: %{method: :cancel}} = cancel, _}] = inbox()
        :ok = Sippet.send(context.callee, Message.to_response(cancel, 200))
        :ok = Sippet.send(context.callee, Message.to_response(invite, 487))
        Sim.advance(sim, 190)
      end
    end

    test "raises in the process that moves the time", %{caller: caller} do
      assert_raise RuntimeError, ~r/Call it in a Task/, fn ->
        Sippet.request(caller, request("OPTIONS"))
      end

      assert Sippet.Transaction.count(caller) == 0
    end
  end
end
