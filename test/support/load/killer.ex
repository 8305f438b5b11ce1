defmodule Sippet.Test.Load.Killer do
  # Kills at random, as the seed has it: runners, transports and senders, and once the Clock. Whom it killed is noted, and
  # what for a callback the runner was in.
  @moduledoc false

  alias Sippet.Test.Load.Journal

  @doc "Kills until `until` by the clock. `senders` is a table of their processes."
  def run(journal, stack, senders, seed, until) do
    :rand.seed(:exsss, {seed, 2, 2})
    clock = Journal.now() + div(until - Journal.now(), 2)
    # Some of other stacks may still be asleep.
    others = MapSet.new(Process.list())
    killer = %{journal: journal, stack: stack, senders: senders, clock: clock, others: others}
    loop(killer, until)
  end

  defp loop(killer, until) do
    Process.sleep(:rand.uniform(20))

    if Journal.now() < until do
      killer |> strike(:rand.uniform(40)) |> loop(until)
    end
  end

  defp strike(%{clock: clock} = killer, _dice) when is_integer(clock) do
    if Journal.now() > clock do
      {_, pid, _, _} =
        Sippet.Stack.supervisor(killer.stack)
        |> Supervisor.which_children()
        |> List.keyfind(Sippet.Transaction.Clock, 0)

      kill(killer, :clock, pid)
      %{killer | clock: nil}
    else
      strike(%{killer | clock: nil}, :rand.uniform(40)) |> Map.put(:clock, clock)
    end
  end

  defp strike(killer, dice) when dice <= 2 do
    for %{pid: pid} <- Sippet.Transport.list(killer.stack), do: kill(killer, :transport, pid)
    killer
  end

  defp strike(killer, dice) when dice <= 12 do
    with [_ | _] = senders <- :ets.tab2list(killer.senders),
         do: kill(killer, :sender, senders |> Enum.random() |> elem(0))

    killer
  end

  defp strike(killer, _dice) do
    with [_ | _] = runners <- for(pid <- Process.list(), runner?(killer, pid), do: pid),
         do: kill(killer, :runner, Enum.random(runners))

    killer
  end

  defp runner?(killer, pid) do
    run = {Sippet.Transaction.Delivery, :run, 2}

    not MapSet.member?(killer.others, pid) and
      match?({:initial_call, ^run}, Process.info(pid, :initial_call))
  end

  # What a killed runner was in is read when it is dead: nothing can be written after that.
  defp kill(killer, what, pid) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)

    receive do
      {:DOWN, ^monitor, _, _, :killed} ->
        Journal.note(killer.journal, {:killed, what}, Journal.running(killer.journal, pid))

      {:DOWN, ^monitor, _, _, _was_gone} ->
        :ok
    end
  end
end
