defmodule Sippet.Telemetry.Delivery do
  # The span of one callback, for the runner. Where nobody listens it is nil.
  @moduledoc false

  alias Sippet.{Stack, Telemetry}

  require Telemetry

  @type span :: nil | {start :: integer, start_delay :: integer, metadata :: map}

  @doc "The callback is about to begin; `delay_us` is how long it could have."
  @spec start(Stack.t(), module, atom, list, non_neg_integer) :: span
  def start(stack, core, callback, arguments, delay_us) do
    if Telemetry.listens?([
         [:sippet, :delivery, :start],
         [:sippet, :delivery, :stop],
         [:sippet, :delivery, :exception]
       ]) do
      now = System.monotonic_time()
      delay = System.convert_time_unit(delay_us, :microsecond, :native)
      key = List.last(arguments)
      metadata = %{stack: stack.name, core: core, callback: callback, key: key}

      measurements = %{
        monotonic_time: now,
        system_time: System.system_time(),
        start_delay: delay
      }

      Telemetry.execute([:sippet, :delivery, :start], measurements, metadata)
      {now, delay, metadata}
    end
  end

  @doc "It has returned."
  @spec stop(span) :: :ok
  def stop(nil), do: :ok

  def stop({_start, _delay, metadata} = span),
    do: Telemetry.execute([:sippet, :delivery, :stop], measurements(span), metadata)

  @doc "It has raised, exited or thrown."
  @spec exception(span, :error | :exit | :throw, term, list) :: :ok
  def exception(nil, _kind, _reason, _stacktrace), do: :ok

  def exception({_start, _delay, metadata} = span, kind, reason, stacktrace) do
    metadata = Map.merge(metadata, %{kind: kind, reason: reason, stacktrace: stacktrace})
    Telemetry.execute([:sippet, :delivery, :exception], measurements(span), metadata)
  end

  defp measurements({start, delay, _metadata}) do
    now = System.monotonic_time()
    %{monotonic_time: now, duration: now - start, start_delay: delay}
  end
end
