defmodule Sippet.Sim.Driver do
  # Moves the time of a simulation, in the process that asks for it: takes one thing after another from the server, carries it
  # out as the transport, the clock or a runner of a stack would, and waits until all that comes of it is at rest.
  @moduledoc false

  alias Sippet.{Native, Request, Router}
  alias Sippet.Sim.{Mailbox, Rest, Server}
  alias Sippet.Transaction.Delivery

  @enforce_keys [:sim, :alias, :until, :limit_ms, :rest]
  defstruct @enforce_keys

  @doc "Moves the time on, or with `:ready` does only what is owed now; the time then."
  @spec drive(Server.sim(), non_neg_integer | :infinity | :ready) :: non_neg_integer
  def drive(sim, duration_ms) do
    alias = :erlang.alias()

    try do
      %{limit_ms: limit_ms, now: now, rest: rest} = Server.begin(sim, alias)
      until = if is_integer(duration_ms), do: now + duration_ms, else: duration_ms

      try do
        at_rest(%__MODULE__{
          sim: sim,
          alias: alias,
          until: until,
          limit_ms: limit_ms,
          rest: Rest.add(rest, self())
        })
      else
        {now, rest} ->
          Server.finish(sim, rest)
          now
      catch
        kind, reason ->
          Server.finish(sim, rest)
          :erlang.raise(kind, reason, __STACKTRACE__)
      end
    after
      :erlang.unalias(alias)
      flush(alias)
    end
  end

  # Processes may have been left work: whatever they do, they do it before anything else happens.
  defp at_rest(drive) do
    rest = Rest.await(drive.rest, &Server.roots(drive.sim, &1), drive.limit_ms)
    step(%{drive | rest: rest})
  end

  defp step(drive) do
    case Server.next(drive.sim, drive.until) do
      {:run, stack, address, mailbox} ->
        run(drive, stack, address, mailbox)

      {:wake, caller, nil} ->
        Request.wake_process(caller)
        at_rest(drive)

      {:wake, caller, runner} ->
        flush(drive.alias)
        monitor = Process.monitor(runner)
        Request.wake_process(caller)
        await(drive, runner, monitor)

      {:deliver, stack, transport, connection, source, data} ->
        :ok = Router.receive_message(stack, transport, connection, source, data)
        step(drive)

      {:tick, stack} ->
        with {effects, _sleep, _from} <- Native.engine_tick(stack.engine, 0),
             do: Router.perform(stack, effects)

        step(drive)

      :look_again ->
        :erlang.yield()
        step(drive)

      {:endless, sentence} ->
        raise "Sippet.Sim does not come to an end: #{sentence}"

      {:done, now} ->
        {now, drive.rest}
    end
  end

  defp run(drive, stack, address, mailbox) do
    {pid, monitor} =
      spawn_monitor(fn ->
        Mailbox.put(stack.name, mailbox)
        Delivery.run(stack, address)
      end)

    await(%{drive | rest: Rest.add(drive.rest, pid)}, pid, monitor)
  end

  # Until the callback has returned, or is waiting for a response, which takes time.
  defp await(%{alias: alias} = drive, pid, monitor) do
    receive do
      {:DOWN, ^monitor, :process, ^pid, _reason} ->
        at_rest(drive)

      {^alias, :parked, ^pid} ->
        Process.demonitor(monitor, [:flush])
        at_rest(drive)
    after
      drive.limit_ms ->
        Process.demonitor(monitor, [:flush])
        stacktrace = Rest.stacktrace(pid)
        Process.exit(pid, :kill)

        raise "Sippet.Sim: a callback has not returned within #{drive.limit_ms} ms of real time, and was killed. It was in\n#{stacktrace}"
    end
  end

  defp flush(alias) do
    receive do
      {^alias, :parked, _pid} -> flush(alias)
    after
      0 -> :ok
    end
  end
end
