defmodule Sippet.Transaction.Clock do
  # Drives the timers of a stack: sleeps until the next deadline, carries out what is due and what waits in the outbox. It
  # never blocks, and closes the engine when the stack stops.
  @moduledoc false

  # To end a stack takes a microsecond or two for each transaction that is open.
  use GenServer, shutdown: 60_000

  alias Sippet.{Native, Router, Stack}

  @spec start_link(Stack.t()) :: GenServer.on_start()
  def start_link(stack), do: GenServer.start_link(__MODULE__, stack)

  @impl true
  def init(stack) do
    Process.flag(:priority, :high)
    Process.flag(:trap_exit, true)
    {:ok, {stack, 0}, 0}
  end

  @impl true
  def handle_info(:timeout, state), do: tick(state)
  def handle_info(:wake, state), do: tick(state)
  def handle_info(_other, state), do: tick(state)

  defp tick({stack, from}) do
    case Native.engine_tick(stack.engine, from) do
      {:error, :stopped} ->
        {:noreply, {stack, from}}

      {effects, sleep, from} ->
        Router.perform(stack, effects)
        {:noreply, {stack, from}, sleep}
    end
  end

  # This process is the supervisor's last child, so the first to go when it shuts down.
  @impl true
  def terminate(reason, {stack, _from}), do: Stack.close(stack, reason)
end
