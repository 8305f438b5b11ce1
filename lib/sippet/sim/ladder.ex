defmodule Sippet.Sim.Ladder do
  # Draws the messages of a simulation: a line for each stack, an arrow for each message, in the order in which they were
  # sent. Before it stands when it left, behind it when it arrives, or why it does not.
  @moduledoc false

  alias Sippet.Message
  alias Sippet.Sim.Transmission

  @margin 10

  @doc "The ladder of messages between stacks of these names, in their order from left to right."
  @spec draw([atom], [Transmission.t()]) :: String.t()
  def draw(names, transmissions) do
    names = Enum.map(names, &inspect/1)
    columns = names |> Enum.with_index() |> Map.new()
    labelled = Enum.map(transmissions, &{&1, label(&1)})
    gap = gap(names, columns, labelled)

    [head(names, gap) | Enum.map(labelled, &line(&1, columns, gap))]
    |> Enum.map_join(&[String.trim_trailing(IO.iodata_to_binary(&1)), "\n"])
  end

  # A message may go past other stacks: its label has that much more room.
  defp gap(names, columns, labelled) do
    labels =
      for {transmission, label} <- labelled do
        {left, right} = span(transmission, columns)
        div(String.length(label) + 6, max(right - left, 1)) + 1
      end

    Enum.max(labels ++ Enum.map(names, &(String.length(&1) + 2)))
  end

  defp head(names, gap) do
    [String.duplicate(" ", @margin) | Enum.map(names, &String.pad_trailing(&1, gap))]
  end

  defp line({transmission, label}, columns, gap) do
    {left, right} = span(transmission, columns)
    width = max(right - left, 1) * gap - 1
    rightwards = columns[inspect(transmission.from)] == left

    [
      String.pad_leading("#{transmission.sent_at}", @margin - 2),
      "  ",
      rungs(left, gap),
      "|",
      arrow(label, width, rightwards, arrives?(transmission)),
      "|",
      rungs(map_size(columns) - 1 - right, gap, :trailing),
      "  ",
      fate(transmission)
    ]
  end

  defp rungs(count, gap), do: String.duplicate("|" <> String.duplicate(" ", gap - 1), count)

  defp rungs(count, gap, :trailing),
    do: String.duplicate(String.duplicate(" ", gap - 1) <> "|", max(count, 0))

  # What leads nowhere, or back, needs a column's width all the same.
  defp span(%{from: from, to: to}, columns) do
    from = columns[inspect(from)]
    to = columns[inspect(to)] || from

    cond do
      from == to and from == map_size(columns) - 1 and from > 0 -> {from - 1, from}
      from == to -> {from, from + 1}
      true -> {min(from, to), max(from, to)}
    end
  end

  defp arrow(label, width, true, arrives) do
    tip = if arrives, do: "->", else: "-x"
    String.pad_trailing("-- #{label} ", width - 2, "-") <> tip
  end

  defp arrow(label, width, false, arrives) do
    tip = if arrives, do: "<-", else: "x-"
    tip <> String.pad_trailing(" #{label} ", width - 2, "-")
  end

  defp arrives?(transmission), do: match?({:arrives, _times}, transmission.fate)

  defp fate(%{fate: {:arrives, times}, from: from, to: to}) do
    itself = if from == to, do: "  to itself", else: ""
    Enum.join(times, " ") <> itself
  end

  defp fate(%{fate: {:refused, reason}}), do: "#{reason}"

  defp fate(%{fate: :nowhere, destination: {ip, port}}),
    do: "nobody is at #{:inet.ntoa(ip)} port #{port}"

  defp fate(%{fate: fate}), do: "#{fate}"

  defp label(%{message: %Message{start_line: line, headers: headers}}) do
    text =
      case line do
        %{request_uri: _uri, method: method} ->
          String.upcase("#{method}") <> " #{line.request_uri}"

        _ ->
          "#{line.status_code} #{line.reason_phrase}#{method(headers)}"
      end

    String.replace(text, ~r/[^\x20-\x7e]/, "?")
  end

  defp label(%{data: data}), do: "#{byte_size(data)} bytes"

  defp method(%{cseq: {_number, method}}), do: " (#{String.upcase("#{method}")})"
  defp method(_headers), do: ""
end
