defmodule Sippet.Telemetry.Watch do
  # Looks once a second who listens, since the package `:telemetry` tells nobody when a handler is attached, and to ask it with
  # each event would cost more than what it is about; whether the stack is overloaded, for the events of that; and whether the VM
  # has processes left for what comes.
  @moduledoc false

  use GenServer

  alias Sippet.{Info, Native, Stack, Telemetry}

  @interval_ms 1_000

  @spec start_link(Stack.t()) :: GenServer.on_start()
  def start_link(stack), do: GenServer.start_link(__MODULE__, stack)

  @impl true
  def init(stack) do
    # What it tells is wanted most when others have no time.
    Process.flag(:priority, :high)
    {:ok, look({stack, 0})}
  end

  @impl true
  def handle_info(:look, state), do: {:noreply, look(state)}
  def handle_info(_other, state), do: {:noreply, state}

  # Each callback takes a process, and one that waits keeps it. Where the VM has none left nothing works in it, so requests outside
  # of dialogs are refused from three quarters of its limit on, and those inside from seven eighths.
  defp crowd do
    eighths = div(8 * :erlang.system_info(:process_count), :erlang.system_info(:process_limit))

    cond do
      eighths >= 7 -> 2
      eighths >= 6 -> 1
      true -> 0
    end
  end

  # `open` is the episode of overload that was told of and is not over; 0 is none.
  defp look({stack, open}) do
    Telemetry.refresh()
    :ok = Native.engine_crowd(stack.engine, crowd())
    Process.send_after(self(), :look, @interval_ms)
    {stack, overload(stack, open, Info.of(stack).admission)}
  end

  defp overload(_stack, 0, %{overloaded: false}), do: 0
  defp overload(_stack, open, %{overloaded: true, episodes: open}), do: open

  defp overload(stack, 0, %{overloaded: true} = admission) do
    wait = native(admission.wait_us, :microsecond)
    execute(stack, [:sippet, :overload, :start], %{wait: wait})
    admission.episodes
  end

  # Over; or over and begun anew since the last look.
  defp overload(stack, _open, admission) do
    duration = native(admission.duration_ms, :millisecond)
    execute(stack, [:sippet, :overload, :stop], %{duration: duration})
    overload(stack, 0, admission)
  end

  defp execute(stack, event, measurements),
    do: Telemetry.execute(event, measurements, %{stack: stack.name})

  defp native(time, unit), do: System.convert_time_unit(time, unit, :native)
end
