defmodule Sippet.Telemetry.Watch do
  # Looks once a second who listens: the package `:telemetry` tells nobody when a handler is attached, and to ask it with each
  # event would cost more than the event's message.
  @moduledoc false

  use GenServer

  alias Sippet.{Stack, Telemetry}

  @interval_ms 1_000

  @spec start_link(Stack.t()) :: GenServer.on_start()
  def start_link(stack), do: GenServer.start_link(__MODULE__, stack)

  @impl true
  def init(stack) do
    {:ok, look(stack)}
  end

  @impl true
  def handle_info(:look, stack), do: {:noreply, look(stack)}
  def handle_info(_other, stack), do: {:noreply, stack}

  defp look(stack) do
    Telemetry.refresh()
    Process.send_after(self(), :look, @interval_ms)
    stack
  end
end
