defmodule Sippet.Trace.Ring do
  # The newest events: at most so many, and their messages at most so many bytes.
  @moduledoc false

  alias Sippet.Trace.Event

  @enforce_keys [:max_events, :max_bytes]
  defstruct @enforce_keys ++ [events: :queue.new(), count: 0, bytes: 0, last: 0, gone: 0]

  @type t :: %__MODULE__{
          max_events: pos_integer,
          max_bytes: pos_integer,
          events: :queue.queue(Event.t()),
          count: non_neg_integer,
          bytes: non_neg_integer,
          last: non_neg_integer,
          gone: non_neg_integer
        }

  @doc "Takes one more event, and numbers it; the oldest go."
  @spec put(t, Event.t()) :: t
  def put(ring, event) do
    event = %{event | number: ring.last + 1}

    trim(%{
      ring
      | events: :queue.in(event, ring.events),
        count: ring.count + 1,
        bytes: ring.bytes + byte_size(event.data),
        last: event.number
    })
  end

  defp trim(%{count: count, bytes: bytes} = ring)
       when count > ring.max_events or bytes > ring.max_bytes do
    {{:value, event}, events} = :queue.out(ring.events)
    bytes = bytes - byte_size(event.data)
    trim(%{ring | events: events, count: count - 1, bytes: bytes, gone: ring.gone + 1})
  end

  defp trim(ring), do: ring

  @doc "The events behind this number, in the order of their times."
  @spec since(t, non_neg_integer) :: [Event.t()]
  def since(ring, number) do
    ring.events
    |> :queue.to_list()
    |> Enum.drop(max(number - ring.gone, 0))
    |> Enum.sort_by(&{&1.time, &1.number})
  end
end
