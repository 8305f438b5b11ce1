defmodule Sippet.Transaction.Delivery do
  # The runner: the process that calls the core for one transaction, one delivery after another until there is none. It is
  # a plain process, not one of a supervisor: the engine watches it, and a call to a supervisor would serialise them all.
  @moduledoc false

  require Logger

  alias Sippet.{Native, Router, Sim, Stack}
  alias Sippet.Logger.Budget
  alias Sippet.Transport.Table
  alias Sippet.Telemetry.Delivery, as: Span

  # What most callbacks need, in words: a message with its maps, and the response made from it. Room from the start spares
  # the growing heap its collections.
  @min_heap_size 2_586

  # From when on a callback is late.
  @late_us 500

  # More than a runner uses up between getting its delivery and calling the core.
  @begun_reductions 20_000

  # How often a process at work is looked at, soon once a millisecond: as long as a request waits for an ACK's callback.
  @looks 1_000

  @doc "Starts a runner for a transaction, as the effect of that name wants it."
  @spec start(Stack.t(), non_neg_integer) :: pid | :ok
  def start(%Stack{sim: nil} = stack, address) do
    :erlang.spawn_opt(__MODULE__, :run, [stack, address], min_heap_size: @min_heap_size)
  rescue
    # The VM has no process left. In a second the engine asks for the runner again; Sippet.Telemetry.Watch takes the next look.
    SystemLimitError -> Native.engine_crowd(stack.engine, 2)
  end

  def start(stack, address), do: Sim.Server.ready(stack.sim, {:run, stack, address})

  @doc false
  def run(stack, address) do
    :erlang.group_leader(stack.group_leader, self())
    next(stack, address, Native.engine_begin(stack.engine, address))
  end

  defp next(stack, _address, {:done, effects}), do: Router.perform(stack, effects)

  defp next(stack, address, {:call, core, function, arguments, effects, delay_us}) do
    Router.perform(stack, effects)
    arguments = arguments(function, arguments)
    span = Span.start(stack, core, function, arguments, delay_us)

    try do
      apply(core, function, arguments)
    catch
      kind, reason ->
        Span.exception(span, kind, reason, __STACKTRACE__)

        # What a stack's end takes from under a callback is no fault of the core's.
        with {:ok, effects} <- Native.engine_fail(stack.engine, address) do
          # In this order: a log that is full may hold up whoever writes to it.
          Router.perform(stack, effects)
          log_failure(stack, describe(core, function), kind, reason, __STACKTRACE__)
        end
    else
      _ ->
        Span.stop(span)
        next(stack, address, Native.engine_take(stack.engine, address, reductions(delay_us)))
    end
  end

  # How much the callback has computed, of interest to the admission where it began late. What the process has done before,
  # and with an earlier callback, is little beside what makes a difference.
  defp reductions(delay_us) when delay_us < @late_us, do: 0
  defp reductions(_delay_us), do: self() |> Process.info(:reductions) |> elem(1)

  @doc "Tells the core, in a process of its own, that a flow is closed; if it wants to know."
  @spec flow_closed(Stack.t(), Sippet.Flow.t(), term) :: :ok
  def flow_closed(stack, flow, reason) do
    with {:ok, core} <- core(stack.name),
         true <- function_exported?(core, :flow_closed, 2) do
      _pid = spawn(__MODULE__, :tell_closed, [stack, core, flow, reason])
      :ok
    else
      _ -> :ok
    end
  rescue
    # The VM has no process left.
    SystemLimitError -> Table.tell_later(stack, flow, reason)
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
    kind, reason ->
      log_failure(stack, describe(core, :flow_closed), kind, reason, __STACKTRACE__)
  end

  @doc """
  Waits until the runner of an INVITE has called the core: a CANCEL comes after that (§9.2).

  It has its delivery in hand, but the system may have stopped its thread since. A process that waits for a message, or has
  worked for a while since it was first looked at, is past that. So is one that is at work and does not get on: it is inside a
  dirty NIF.
  """
  @spec await(pid) :: :ok
  def await(pid), do: await(pid, nil, @looks)

  defp await(pid, first, looks) do
    case Process.info(pid, [:status, :reductions]) do
      [status: status, reductions: now] when status != :waiting and looks > 0 ->
        first = first || now

        if now - first < @begun_reductions do
          if looks < @looks - 50 or status == :suspended,
            do: Process.sleep(1),
            else: :erlang.yield()

          await(pid, first, if(status in [:runnable, :suspended], do: looks, else: looks - 1))
        else
          :ok
        end

      _begun_or_gone ->
        :ok
    end
  end

  defp arguments(:receive_error, [{:transport, reason}, key]),
    do: [:erlang.binary_to_term(reason), key]

  defp arguments(_function, arguments), do: arguments

  defp describe(core, function), do: "#{inspect(core)}.#{function}/2"

  @doc "Logs a failure of the application's: of its core, or of another function that it has given the stack."
  @spec log_failure(Stack.t(), String.t(), :error | :exit | :throw, term, Exception.stacktrace()) ::
          :ok
  # One that fails on every call must not fill the disk.
  def log_failure(stack, function, kind, reason, stacktrace) do
    Budget.spend(stack.log_budget, fn ->
      Logger.error(fn ->
        "#{function} of #{inspect(stack.name)} failed\n" <>
          Exception.format(kind, reason, stacktrace)
      end)
    end)
  end
end
