defmodule Sippet.Telemetry.Report do
  # What the engine and the router have to tell, as events. Each function is called only where somebody listens, or asks
  # that first: it stands on the path of every message.
  @moduledoc false

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
    max_transactions: :max_transactions
  }

  @doc "What the engine tells of a message, in the process that received it."
  @spec received(Stack.t(), Transport.t(), Transport.remote(), binary, atom, term) :: :ok
  def received(stack, transport, remote, data, :received, method) do
    metadata =
      stack
      |> flow(transport, remote)
      |> Map.merge(%{data: data, method: nil, status_code: nil})
      |> Map.put(if(is_integer(method), do: :status_code, else: :method), method)

    Telemetry.execute([:sippet, :message, :received], %{bytes: byte_size(data)}, metadata)
  end

  def received(stack, transport, remote, data, :rejected, {reason, status_code}) do
    if Telemetry.listens?([:sippet, :message, :rejected]) do
      metadata =
        stack
        |> flow(transport, remote)
        |> Map.merge(%{data: data, reason: reason, status_code: status_code})

      Telemetry.execute([:sippet, :message, :rejected], %{bytes: byte_size(data)}, metadata)
    end

    met(stack, reason)
  end

  def received(stack, transport, remote, _data, :refused, reason) do
    if Telemetry.listens?([:sippet, :request, :refused]) do
      metadata = stack |> flow(transport, remote) |> Map.put(:reason, reason)
      Telemetry.execute([:sippet, :request, :refused], %{}, metadata)
    end

    met(stack, reason)
  end

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

  @doc "A message was handed to its transport."
  @spec sent(Stack.t(), Transport.t(), Transport.remote(), binary) :: :ok
  def sent(stack, transport, remote, data) do
    if Telemetry.listens?([:sippet, :message, :sent]) do
      metadata = stack |> flow(transport, remote) |> Map.put(:data, data)
      Telemetry.execute([:sippet, :message, :sent], %{bytes: byte_size(data)}, metadata)
    else
      :ok
    end
  end

  @doc "A transport could not send; of one that is gone only the number is known."
  @spec transport_error(Stack.t(), Transport.t() | non_neg_integer, Transport.remote(), term) ::
          :ok
  def transport_error(stack, transport, remote, reason) do
    if Telemetry.listens?([:sippet, :transport, :error]) do
      metadata = stack |> flow(transport, remote) |> Map.put(:reason, reason)
      Telemetry.execute([:sippet, :transport, :error], %{}, metadata)
    else
      :ok
    end
  end

  defp flow(stack, %Transport{id: id, protocol: protocol}, remote),
    do: %{stack: stack.name, transport: id, protocol: protocol, remote: remote}

  defp flow(stack, id, remote),
    do: %{stack: stack.name, transport: id, protocol: nil, remote: remote}
end
