defmodule Sippet.Trace.Tap do
  # Where a trace hears of messages: the events of Sippet.Telemetry, which are told only where somebody listens. The handler
  # runs in the process that receives or sends: it looks whether the message may be meant, and hands it on to the trace.
  # It never waits, and what the trace has not come to is bounded: what is more is counted, and not captured.
  @moduledoc false

  alias Sippet.Telemetry
  alias Sippet.Trace.Filter

  # What a request that was received may be refused for; the rest is what it may be rejected for.
  @refusals [:overload, :max_transactions, :max_processes, :draining, :no_core]

  # What may wait in the mailbox of a trace.
  @max_pending 1_024
  @max_pending_bytes 16_777_216

  # Where the counts are in `pending`.
  @count 1
  @bytes 2
  @missed 3

  @enforce_keys [:id, :stack, :trace, :filter, :pending]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          id: reference,
          stack: Sippet.sippet(),
          trace: pid,
          filter: Filter.t(),
          pending: :atomics.atomics_ref()
        }

  # Who listens for messages that were received is told whether the stack refuses them only if it tells that at all.
  @events [
    [:sippet, :message, :received],
    [:sippet, :message, :rejected],
    [:sippet, :request, :refused],
    [:sippet, :message, :sent],
    [:sippet, :transport, :error]
  ]

  @doc "Lets the calling process, a trace, hear of the messages of a stack, from now until it ends."
  @spec open(Sippet.sippet(), Filter.t()) :: t
  def open(stack, filter) do
    trace = self()

    tap = %__MODULE__{
      id: make_ref(),
      stack: stack,
      trace: trace,
      # The function is for the trace: it may take its time.
      filter: %{filter | filter: nil},
      pending: :atomics.new(3, signed: true)
    }

    # Also when it is killed.
    _pid = spawn(fn -> close_after(trace, tap.id) end)
    :ok = Telemetry.attach_many(tap.id, @events, &__MODULE__.handle/4, tap)
    tap
  end

  defp close_after(trace, id) do
    monitor = Process.monitor(trace)

    receive do
      {:DOWN, ^monitor, _, _, _} -> Telemetry.detach(id)
    end
  end

  @spec close(t) :: :ok
  def close(tap) do
    _ = Telemetry.detach(tap.id)
    :ok
  end

  @doc false
  def handle(name, measurements, %{stack: stack} = metadata, %{stack: stack} = tap) do
    case outcome(name, metadata) do
      nil -> :ok
      outcome -> hand_on(tap, name, measurements, metadata, outcome)
    end
  end

  def handle(_name, _measurements, _metadata, _tap), do: :ok

  defp outcome([:sippet, :message, :received], %{reason: nil}), do: :ok

  defp outcome([:sippet, :message, :received], %{reason: reason}) when reason in @refusals,
    do: {:refused, reason}

  defp outcome([:sippet, :message, :received], %{reason: reason}), do: {:rejected, reason}

  # Of this one it was told when it was received.
  defp outcome([:sippet, :message, :rejected], %{reason: :method_mismatch}), do: nil
  defp outcome([:sippet, :message, :rejected], %{reason: reason}), do: {:rejected, reason}
  defp outcome([:sippet, :request, :refused], _metadata), do: nil
  defp outcome([:sippet, :message, :sent], _metadata), do: :ok
  defp outcome([:sippet, :transport, :error], %{reason: reason}), do: {:failed, reason}

  defp hand_on(tap, name, measurements, %{remote: remote, data: data} = metadata, outcome) do
    size = byte_size(data)

    if Filter.may_match?(tap.filter, remote, data) and room?(tap.pending, size) do
      fields = %{
        time: time(measurements.monotonic_time),
        direction: direction(name),
        outcome: outcome,
        stack: tap.stack,
        protocol: metadata.protocol,
        local: metadata.local,
        remote: remote,
        data: data
      }

      send(tap.trace, {:captured, fields})
    end
  end

  defp time(native) do
    System.convert_time_unit(native + System.time_offset(), :native, :microsecond)
  end

  defp direction([:sippet, :message, kind]) when kind in [:received, :rejected], do: :received
  defp direction(_sent_or_failed), do: :sent

  defp room?(pending, size) do
    count = :atomics.add_get(pending, @count, 1)
    bytes = :atomics.add_get(pending, @bytes, size)

    if count <= @max_pending and bytes <= @max_pending_bytes do
      true
    else
      taken(pending, size)
      :atomics.add(pending, @missed, 1)
      false
    end
  end

  @doc "The trace has come to a message of so many bytes."
  @spec taken(:atomics.atomics_ref(), non_neg_integer) :: :ok
  def taken(pending, size) do
    :atomics.sub(pending, @count, 1)
    :atomics.sub(pending, @bytes, size)
  end

  @doc "How many messages there was no room for."
  @spec missed(t) :: non_neg_integer
  def missed(tap), do: :atomics.get(tap.pending, @missed)
end
