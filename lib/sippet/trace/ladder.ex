defmodule Sippet.Trace.Ladder do
  # A line for each participant, an arrow for each message, in their order; drawn as text here, by Sippet.Trace.Mermaid and
  # Sippet.Trace.SVG. Made of the events of a trace, and of what a simulation has sent (Sippet.Sim.ladder/1).
  @moduledoc false

  alias Sippet.Trace.{Event, Label}

  defstruct participants: [], arrows: []

  @typedoc """
  `from` and `to` are places in the participants, from 0; `to` is nil for what leads nowhere. `at` says when, `note` what else
  there is to say, `details` are lines to be shown on demand. All text is printable ASCII.
  """
  @type arrow :: %{
          at: String.t(),
          from: non_neg_integer,
          to: non_neg_integer | nil,
          label: String.t(),
          arrives: boolean,
          note: String.t(),
          details: [String.t()]
        }

  @type t :: %__MODULE__{participants: [String.t()], arrows: [arrow]}

  @margin 8

  # The peers of a busy server would be too wide for any page.
  @max_participants 16
  @others "others"

  @doc """
  The ladder of events. Options: `:names`, a map from addresses, `{ip, port}` or an ip, and from stacks to names, and
  `:messages`, whether the messages are the details.
  """
  @spec of([Event.t()], keyword) :: t
  def of(events, options) do
    names = Keyword.get(options, :names, %{})
    ends = for event <- events, do: {local(event, names), remote(event, names)}
    participants = ends |> Enum.zip(events) |> Enum.flat_map(&in_order/1) |> Enum.uniq()
    {shown, hidden} = Enum.split(participants, @max_participants)
    shown = if hidden == [], do: shown, else: shown ++ [@others]
    places = shown |> Enum.with_index() |> Map.new()
    others = length(shown) - 1
    place = &Map.get(places, &1, others)
    start = with [%{time: time} | _] <- events, do: time

    {arrows, _seen} =
      events
      |> Enum.zip(ends)
      |> Enum.map_reduce(%{}, fn {event, {local, remote}}, seen ->
        {from, to} = if event.direction == :sent, do: {local, remote}, else: {remote, local}
        key = {event.direction, event.remote, event.data}

        arrow = %{
          at: milliseconds(event.time - start),
          from: place.(from),
          to: place.(to),
          label: Label.of(event.data, event.method),
          arrives: event.outcome == :ok,
          note: note(event, is_map_key(seen, key)),
          details: if(options[:messages], do: Label.lines(event.data), else: [])
        }

        {arrow, Map.put(seen, key, true)}
      end)

    %__MODULE__{participants: shown, arrows: arrows}
  end

  # To a tenth, as numbers of any size are read.
  defp milliseconds(microseconds) do
    tenths = div(microseconds + 50, 100)
    "#{div(tenths, 10)}.#{rem(tenths, 10)} ms"
  end

  # Who sends stands before who receives, so that a proxy is in the midst.
  defp in_order({{local, remote}, %{direction: :sent}}), do: [local, remote]
  defp in_order({{local, remote}, _received}), do: [remote, local]

  defp local(%{local: local, stack: stack}, names),
    do:
      name(names, local) || name(names, stack) || (stack && Label.printable(inspect(stack))) ||
        address(local)

  defp remote(%{remote: remote}, names), do: name(names, remote) || address(remote)

  defp name(names, {host, _port} = address), do: name(names[address] || names[host])
  defp name(names, key), do: name(names[key])

  defp name(nil), do: nil
  defp name(name), do: name |> to_string() |> Label.printable()

  @doc "An address as text."
  @spec address({:inet.ip_address() | String.t(), :inet.port_number()} | nil) :: String.t()
  def address(nil), do: "here"
  def address({ip, port}) when tuple_size(ip) == 8, do: "[#{:inet.ntoa(ip)}]:#{port}"
  def address({ip, port}) when is_tuple(ip), do: "#{:inet.ntoa(ip)}:#{port}"
  def address({host, port}), do: "#{Label.printable(host)}:#{port}"

  @doc "What there is to say of an event beside its message."
  @spec note(Event.t(), repeated :: boolean) :: String.t()
  def note(event, repeated) do
    [
      event.protocol,
      if(repeated, do: "again"),
      outcome(event.outcome),
      if(event.truncated, do: "truncated")
    ]
    |> Enum.reject(&(&1 in [nil, ""]))
    |> Enum.join("  ")
  end

  defp outcome(:ok), do: nil
  defp outcome({what, reason}) when is_atom(reason), do: "#{what}: #{reason}"

  defp outcome({what, reason}),
    do: "#{what}: #{reason |> inspect(limit: 20, printable_limit: 80) |> Label.printable()}"

  @doc "How many columns an arrow needs at least to hold its label, by the width of the arrow's own parts."
  @spec gap(t, non_neg_integer) :: pos_integer
  def gap(%{participants: participants, arrows: arrows} = ladder, tip) do
    # A message may go past other participants: its label has that much more room.
    labels =
      for arrow <- arrows do
        {left, right} = span(ladder, arrow)
        div(String.length(arrow.label) + tip, max(right - left, 1)) + 1
      end

    Enum.max(labels ++ Enum.map(participants, &(String.length(&1) + 2)), fn -> 1 end)
  end

  @doc "Between which places an arrow is drawn. What leads nowhere, or back, needs a column's width all the same."
  @spec span(t, arrow) :: {non_neg_integer, non_neg_integer}
  def span(ladder, %{from: from, to: to}) do
    to = to || from

    cond do
      from == to and from == length(ladder.participants) - 1 and from > 0 -> {from - 1, from}
      from == to -> {from, from + 1}
      true -> {min(from, to), max(from, to)}
    end
  end

  @doc "The ladder as text."
  @spec text(t) :: String.t()
  def text(ladder) do
    gap = gap(ladder, 6)
    margin = Enum.max([@margin | Enum.map(ladder.arrows, &String.length(&1.at))])

    [
      head(ladder.participants, margin, gap)
      | Enum.map(ladder.arrows, &line(&1, ladder, margin, gap))
    ]
    |> Enum.map_join(&[String.trim_trailing(IO.iodata_to_binary(&1)), "\n"])
  end

  defp head(participants, margin, gap) do
    [String.duplicate(" ", margin + 2) | Enum.map(participants, &String.pad_trailing(&1, gap))]
  end

  defp line(arrow, ladder, margin, gap) do
    {left, right} = span(ladder, arrow)
    width = max(right - left, 1) * gap - 1

    [
      String.pad_leading(arrow.at, margin),
      "  ",
      rungs(left, gap),
      "|",
      arrow(arrow.label, width, arrow.from == left, arrow.arrives),
      "|",
      rungs(length(ladder.participants) - 1 - right, gap, :trailing),
      "  ",
      arrow.note
    ]
  end

  defp rungs(count, gap), do: String.duplicate("|" <> String.duplicate(" ", gap - 1), count)

  defp rungs(count, gap, :trailing),
    do: String.duplicate(String.duplicate(" ", gap - 1) <> "|", max(count, 0))

  defp arrow(label, width, true, arrives) do
    tip = if arrives, do: "->", else: "-x"
    String.pad_trailing("-- #{label} ", width - 2, "-") <> tip
  end

  defp arrow(label, width, false, arrives) do
    tip = if arrives, do: "<-", else: "x-"
    tip <> String.pad_trailing(" #{label} ", width - 2, "-")
  end
end
