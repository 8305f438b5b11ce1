defmodule Sippet.Transaction.Delivery do
  # The runner: the process that calls the core for one transaction, one delivery after another until there is none. It is
  # a plain process, not one of a supervisor: the engine watches it, and a call to a supervisor would serialise them all.
  @moduledoc false

  require Logger

  alias Sippet.{Native, Router, Sim, Stack}

  # What most callbacks need, in words: a message with its maps, and the response made from it. Room from the start spares
  # the growing heap its collections.
  @min_heap_size 2_586

  # How many failures of the core are logged in a second.
  @logs_a_second 10

  @doc "Starts a runner for a transaction, as the effect of that name wants it."
  @spec start(Stack.t(), non_neg_integer) :: pid | :ok
  def start(%Stack{sim: nil} = stack, address) do
    :erlang.spawn_opt(__MODULE__, :run, [stack, address], min_heap_size: @min_heap_size)
  end

  def start(stack, address), do: Sim.Server.ready(stack.sim, {:run, stack, address})

  @doc false
  def run(stack, address) do
    :erlang.group_leader(stack.group_leader, self())
    next(stack, address, Native.engine_begin(stack.engine, address))
  end

  defp next(stack, _address, {:done, effects}), do: Router.perform(stack, effects)

  defp next(stack, address, {:call, core, function, arguments, effects}) do
    Router.perform(stack, effects)

    try do
      apply(core, function, arguments(function, arguments))
    catch
      kind, reason ->
        # What a stack's end takes from under a callback is no fault of the core's.
        with {:ok, effects} <- Native.engine_fail(stack.engine, address) do
          log(stack, core, function, kind, reason, __STACKTRACE__)
          Router.perform(stack, effects)
        end
    else
      _ -> next(stack, address, Native.engine_take(stack.engine, address))
    end
  end

  @doc "Tells the core, in a process of its own, that a flow is closed; if it wants to know."
  @spec flow_closed(Stack.t(), Sippet.Flow.t(), term) :: :ok
  def flow_closed(stack, flow, reason) do
    with {:ok, core} <- core(stack.name),
         true <- function_exported?(core, :flow_closed, 2) do
      spawn(__MODULE__, :tell_closed, [stack, core, flow, reason])
      :ok
    else
      _ -> :ok
    end
  end

  # Where the stack has ended there is nobody to tell.
  defp core(name) do
    Registry.meta(name, :core)
  rescue
    ArgumentError -> :error
  end

  @doc false
  def tell_closed(stack, core, flow, reason) do
    :erlang.group_leader(stack.group_leader, self())
    core.flow_closed(flow, reason)
  catch
    kind, reason -> log(stack, core, :flow_closed, kind, reason, __STACKTRACE__)
  end

  defp arguments(:receive_error, [{:transport, reason}, key]),
    do: [:erlang.binary_to_term(reason), key]

  defp arguments(_function, arguments), do: arguments

  # A core that fails on every call must not fill the disk: the rest is counted, and told a second after the first.
  defp log(stack, core, function, kind, reason, stacktrace) do
    failures = :atomics.add_get(stack.log_budget, 1, 1)
    if failures == 1, do: spawn(__MODULE__, :tell_missed, [stack])

    if failures <= @logs_a_second do
      Logger.error(fn ->
        "#{inspect(core)}.#{function}/2 of #{inspect(stack.name)} failed\n" <>
          Exception.format(kind, reason, stacktrace)
      end)
    end
  end

  @doc false
  def tell_missed(stack) do
    Process.sleep(1_000)
    missed = :atomics.exchange(stack.log_budget, 1, 0) - @logs_a_second

    if missed > 0 do
      Logger.error("#{missed} more callbacks of the core of #{inspect(stack.name)} failed")
    end
  end
end
