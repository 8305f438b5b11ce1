defmodule Sippet.Trace.Recorder do
  # The process of a trace: it takes what the tap hands on, without credentials, into the ring, and tells those who wait for it.
  @moduledoc false

  use GenServer

  alias Sippet.Redaction
  alias Sippet.Trace.{Event, Filter, Ring, Tap}

  # A value as a token, a quoted string and a password may be (RFC 3261 §25.1): the message can still be read.
  @mask "***"

  @enforce_keys [:filter, :keep_credentials, :max_message_bytes, :ring, :tap, :owner]
  defstruct @enforce_keys ++ [subscribers: %{}]

  # subscribers: %{pid => {monitor, the number of the last event that it took, whether it was told of more}}

  @impl true
  def init({options, owner}) do
    owner = if owner, do: Process.monitor(owner)
    filter = Filter.new!(options)
    max_bytes = options[:max_bytes]

    {:ok,
     %__MODULE__{
       filter: filter,
       keep_credentials: options[:credentials] == :keep,
       max_message_bytes: min(options[:max_message_bytes], max_bytes),
       ring: %Ring{max_events: options[:max_events], max_bytes: max_bytes},
       tap: Tap.open(options[:stack], filter),
       owner: owner
     }}
  end

  @impl true
  def handle_call(:events, _from, state), do: {:reply, Ring.since(state.ring, 0), state}

  def handle_call(:info, _from, %{ring: ring} = state) do
    info = %{
      stack: state.tap.stack,
      events: ring.count,
      bytes: ring.bytes,
      captured: ring.last,
      overwritten: ring.gone,
      missed: Tap.missed(state.tap)
    }

    {:reply, info, state}
  end

  def handle_call({:subscribe, history}, {pid, _tag}, state) do
    case state.subscribers do
      %{^pid => _already} ->
        {:reply, {:error, :already_subscribed}, state}

      subscribers ->
        seen = if history, do: state.ring.gone, else: state.ring.last
        subscriber = {Process.monitor(pid), seen, false}
        subscribers = Map.put(subscribers, pid, tell(pid, subscriber, state.ring))
        {:reply, :ok, %{state | subscribers: subscribers}}
    end
  end

  def handle_call(:unsubscribe, {pid, _tag}, state), do: {:reply, :ok, forget(state, pid)}

  def handle_call(:take, {pid, _tag}, %{ring: ring} = state) do
    case state.subscribers do
      %{^pid => {monitor, seen, _told}} ->
        subscribers = %{state.subscribers | pid => {monitor, ring.last, false}}
        missed = max(ring.gone - seen, 0)
        {:reply, {:ok, Ring.since(ring, seen), missed}, %{state | subscribers: subscribers}}

      _others ->
        {:reply, {:error, :not_subscribed}, state}
    end
  end

  @impl true
  def handle_info({:captured, fields}, state) do
    Tap.taken(state.tap.pending, byte_size(fields.data))
    event = fields |> Event.new() |> redact(state)

    if Filter.match?(state.filter, event),
      do: {:noreply, keep(state, cut(event, state.max_message_bytes))},
      else: {:noreply, state}
  end

  def handle_info({:DOWN, owner, :process, _pid, _reason}, %{owner: owner} = state),
    do: {:stop, :normal, state}

  def handle_info({:DOWN, _monitor, :process, pid, _reason}, state),
    do: {:noreply, forget(state, pid)}

  def handle_info(_other, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: Tap.close(state.tap)

  defp redact(event, %{keep_credentials: true}), do: event

  defp redact(event, _state),
    do: %{event | data: Redaction.message(Redaction.secrets(@mask), event.data)}

  # The bytes may be a part of more: of these nothing is kept.
  defp cut(%{data: data} = event, max_bytes) when byte_size(data) > max_bytes,
    do: %{event | data: :binary.copy(binary_part(data, 0, max_bytes)), truncated: true}

  defp cut(event, _max_bytes), do: %{event | data: :binary.copy(event.data)}

  defp keep(state, event) do
    ring = Ring.put(state.ring, event)

    subscribers =
      Map.new(state.subscribers, fn {pid, subscriber} -> {pid, tell(pid, subscriber, ring)} end)

    %{state | ring: ring, subscribers: subscribers}
  end

  defp tell(pid, {monitor, seen, false}, %{last: last}) when last > seen do
    send(pid, {Sippet.Trace, self(), :events})
    {monitor, seen, true}
  end

  defp tell(_pid, subscriber, _ring), do: subscriber

  defp forget(state, pid) do
    {subscriber, subscribers} = Map.pop(state.subscribers, pid)
    _ = with {monitor, _seen, _told} <- subscriber, do: Process.demonitor(monitor, [:flush])
    %{state | subscribers: subscribers}
  end
end
