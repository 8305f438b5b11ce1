defmodule Sippet.Telemetry.Report do
  # What the engine and the router have to tell, as events. Each function is called only where somebody listens, or asks
  # that first: it stands on the path of every message.
  @moduledoc false

  alias Sippet.Resolver.Target
  alias Sippet.{Stack, Telemetry, Transport}

  require Telemetry

  # What a limit is called where a message met it.
  @limits %{
    message_too_long: :max_message_bytes,
    start_line_too_long: :max_line_bytes,
    line_too_long: :max_line_bytes,
    too_many_fields: :max_fields,
    too_many_values: :max_values,
    too_many_parameters: :max_parameters,
    too_many_folds: :max_folds,
    max_transactions: :max_transactions,
    max_processes: :max_processes
  }

  @doc "Whether an effect tells what became of a message."
  @spec of_message?(tuple) :: boolean
  def of_message?({:report, what, _details}), do: what in [:received, :rejected, :refused]
  def of_message?(_effect), do: false

  @doc """
  What the engine tells of a message, in the process that received it: all of it, so that who is told that it was received
  is told what became of it, too.
  """
  @spec received(Stack.t(), Transport.t(), Transport.remote(), binary, [tuple]) :: :ok
  def received(stack, transport, remote, data, [{:report, :received, method} | unfit]) do
    metadata =
      stack
      |> flow(transport, remote)
      |> Map.merge(%{data: data, method: nil, status_code: nil, reason: reason(unfit)})
      |> Map.put(if(is_integer(method), do: :status_code, else: :method), method)

    Telemetry.execute([:sippet, :message, :received], %{bytes: byte_size(data)}, metadata)
    received(stack, transport, remote, data, unfit)
  end

  def received(stack, transport, remote, data, [{:report, :rejected, {reason, status_code}} | _]) do
    if Telemetry.listens?([:sippet, :message, :rejected]) do
      metadata =
        stack
        |> flow(transport, remote)
        |> Map.merge(%{data: data, reason: reason, status_code: status_code})

      Telemetry.execute([:sippet, :message, :rejected], %{bytes: byte_size(data)}, metadata)
    end

    met(stack, reason)
  end

  def received(stack, transport, remote, _data, [{:report, :refused, reason} | _]) do
    if Telemetry.listens?([:sippet, :request, :refused]) do
      metadata = stack |> flow(transport, remote) |> Map.put(:reason, reason)
      Telemetry.execute([:sippet, :request, :refused], %{}, metadata)
    end

    met(stack, reason)
  end

  def received(_stack, _transport, _remote, _data, []), do: :ok

  defp reason([{:report, :rejected, {reason, _status_code}} | _]), do: reason
  defp reason([{:report, :refused, reason} | _]), do: reason
  defp reason([]), do: nil

  defp met(stack, reason) do
    with %{^reason => limit} <- @limits, do: limit(stack, limit), else: (_other -> :ok)
  end

  @doc "A limit was met, of the stack or of one of its transports."
  @spec limit(Stack.t(), atom) :: :ok
  def limit(stack, limit) do
    if Telemetry.listens?([:sippet, :limit, :reached]),
      do: Telemetry.execute([:sippet, :limit, :reached], %{}, %{stack: stack.name, limit: limit}),
      else: :ok
  end

  @doc "What the engine tells of a transaction."
  @spec transaction(Stack.t(), :started | :stopped, tuple) :: :ok
  def transaction(stack, :started, {key, role}) do
    metadata = %{stack: stack.name, key: key, role: role}
    measurements = %{system_time: System.system_time()}
    Telemetry.execute([:sippet, :transaction, :start], measurements, metadata)
  end

  def transaction(stack, :stopped, {key, role, duration_ms, concluded, retransmissions, reason}) do
    {status_code, response_time} =
      case concluded do
        {status_code, at_ms} -> {status_code, native(at_ms)}
        nil -> {nil, nil}
      end

    measurements = %{
      duration: native(duration_ms),
      response_time: response_time,
      retransmissions: retransmissions
    }

    metadata = %{
      stack: stack.name,
      key: key,
      role: role,
      status_code: status_code,
      reason: reason
    }

    Telemetry.execute([:sippet, :transaction, :stop], measurements, metadata)
  end

  defp native(ms), do: System.convert_time_unit(ms, :millisecond, :native)

  @doc """
  The time at which a message is about to be handed to its transport; nil where nobody listens.

  Its answer may be told of by another process before this one goes on: by this time they are in order.
  """
  @spec sending() :: integer | nil
  def sending do
    if Telemetry.listens?([:sippet, :message, :sent]), do: System.monotonic_time()
  end

  @doc "A message was handed to its transport; `began` is what `sending/0` said before."
  @spec sent(Stack.t(), Transport.t(), Transport.remote(), binary, integer | nil) :: :ok
  def sent(_stack, _transport, _remote, _data, nil), do: :ok

  def sent(stack, transport, remote, data, began) do
    metadata = stack |> flow(transport, remote) |> Map.put(:data, data)
    measurements = %{bytes: byte_size(data), monotonic_time: began}
    Telemetry.execute([:sippet, :message, :sent], measurements, metadata)
  end

  @doc "A transport could not send; of one that is gone only the number is known."
  @spec transport_error(
          Stack.t(),
          Transport.t() | non_neg_integer,
          Transport.remote(),
          binary,
          term
        ) :: :ok
  def transport_error(stack, transport, remote, data, reason) do
    if Telemetry.listens?([:sippet, :transport, :error]) do
      metadata = stack |> flow(transport, remote) |> Map.merge(%{data: data, reason: reason})
      Telemetry.execute([:sippet, :transport, :error], %{}, metadata)
    else
      :ok
    end
  end

  @doc "A request goes to one of its targets. `key` is a function that makes its key."
  @spec selected(Stack.t(), (() -> Sippet.client_key()), Target.t(), pos_integer) :: :ok
  def selected(stack, key, target, attempt) do
    if Telemetry.listens?([:sippet, :target, :selected]) do
      metadata = target(stack, key, target)
      Telemetry.execute([:sippet, :target, :selected], %{attempt: attempt}, metadata)
    else
      :ok
    end
  end

  @doc "A target has failed, and others are preferred to it for a while."
  @spec failed(
          Stack.t(),
          (() -> Sippet.client_key()),
          Target.t(),
          pos_integer,
          term,
          non_neg_integer
        ) :: :ok
  def failed(stack, key, target, attempt, reason, avoided_ms) do
    if Telemetry.listens?([:sippet, :target, :failed]) do
      metadata = stack |> target(key, target) |> Map.put(:reason, reason)
      measurements = %{attempt: attempt, avoided: native(avoided_ms)}
      Telemetry.execute([:sippet, :target, :failed], measurements, metadata)
    else
      :ok
    end
  end

  defp target(stack, key, target) do
    %{
      stack: stack.name,
      key: key.(),
      protocol: target.transport,
      remote: {target.address, target.port},
      choices: target.choices
    }
  end

  defp flow(stack, %Transport{id: id, protocol: protocol, address: address}, remote) do
    %{stack: stack.name, transport: id, protocol: protocol, local: address, remote: remote}
  end

  defp flow(stack, id, remote),
    do: %{stack: stack.name, transport: id, protocol: nil, local: nil, remote: remote}
end
