defmodule Sippet.Routing.Failover do
  # A request has lost its target (RFC 3263 §4.3): a process of its own finds the next, since making a connection takes time
  # that whoever saw the failure does not have. If it dies the engine tells the core after 64·T1.
  @moduledoc false

  alias Sippet.{Message, Native, Router, Stack}
  alias Sippet.Routing.{Attempts, Failures}
  alias Sippet.Telemetry.Report

  @typedoc "As the engine tells it."
  @type why :: :timeout | {:transport, binary} | {:response, binary}

  @doc "Carries out the effect of that name."
  @spec start(Stack.t(), non_neg_integer, Sippet.client_key(), binary, why) :: :ok
  def start(%Stack{sim: nil} = stack, address, key, plan, why) do
    _pid = spawn(__MODULE__, :run, [stack, address, key, plan, why])
    :ok
  rescue
    # The VM has no process left, and who sees the failure may be the Clock: the outcome is that of this target.
    SystemLimitError ->
      :ok = Native.engine_crowd(stack.engine, 2)
      give_up(stack, address)
  end

  # In a simulation nothing here takes time.
  def start(stack, address, key, plan, why), do: run(stack, address, key, plan, why)

  @doc false
  def run(stack, address, key, plan, why) do
    _ = if stack.sim == nil, do: :erlang.group_leader(stack.group_leader, self())
    {{target, _any_length}, rest, attempt, own_port} = :erlang.binary_to_term(plan)
    {reason, retry_after_ms} = reason(why)
    avoided_ms = Failures.remember(stack, target, retry_after_ms)
    Report.failed(stack, fn -> key end, target, attempt, reason, avoided_ms)

    case Attempts.proceed(stack, address, key, left(rest, target, why), attempt + 1, own_port) do
      {:ok, effects} ->
        Router.perform(stack, effects)

      {:error, _none} ->
        give_up(stack, address)
    end
  end

  defp give_up(stack, address) do
    case Native.engine_give_up(stack.engine, address) do
      {:ok, effects} -> Router.perform(stack, effects)
      {:error, :stopped} -> :ok
    end
  end

  # A server that is silent or has no time is so by TCP and by UDP; one that refuses a connection may not be.
  defp left(rest, _target, {:transport, _reason}), do: rest

  defp left(rest, failed, _why) do
    Enum.reject(rest, fn {target, _any_length} ->
      {target.address, target.port} == {failed.address, failed.port}
    end)
  end

  defp reason(:timeout), do: {:timeout, nil}
  defp reason({:transport, reason}), do: {:erlang.binary_to_term(reason), nil}

  defp reason({:response, bytes}) do
    with {:ok, %Message{headers: %{retry_after: {seconds, _comment, _parameters}}}} <-
           Message.parse(bytes) do
      {{:status, 503}, seconds * 1_000}
    else
      _ -> {{:status, 503}, nil}
    end
  end
end
