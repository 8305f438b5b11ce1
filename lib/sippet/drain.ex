defmodule Sippet.Drain do
  # Sippet.drain/2: closes the door, and looks from time to time who is still inside.
  @moduledoc false

  alias Sippet.{Info, Native, Stack}

  @poll_ms 20

  @spec run(Stack.t(), timeout) :: :ok | {:error, {:timeout, pos_integer} | :stopped}
  def run(stack, timeout_ms) do
    :ok = Native.engine_drain(stack.engine, true)
    await(stack, deadline(timeout_ms))
  end

  defp deadline(:infinity), do: :infinity
  defp deadline(timeout_ms), do: System.monotonic_time(:millisecond) + timeout_ms

  defp await(stack, deadline) do
    pending = Info.pending(stack)

    cond do
      Native.engine_closed(stack.engine) -> {:error, :stopped}
      pending == 0 -> :ok
      # An atom is more than any number.
      System.monotonic_time(:millisecond) >= deadline -> {:error, {:timeout, pending}}
      true -> wait_and(stack, deadline)
    end
  end

  defp wait_and(stack, deadline) do
    Process.sleep(@poll_ms)
    await(stack, deadline)
  end
end
