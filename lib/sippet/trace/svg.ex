defmodule Sippet.Trace.SVG do
  # A ladder as SVG, to stand alone or within a page: no styles, scripts, links or ids, and all text escaped.
  @moduledoc false

  alias Sippet.Trace.Ladder

  # The advance of a character of 12 px in the usual monospaced fonts, rounded up.
  @character 7.3
  @row 28
  @head 44
  @margin 16
  @tip 8

  @ink "#1b1f24"
  @line "#8c959f"
  @failed "#b3261e"

  @spec draw(Ladder.t(), String.t()) :: String.t()
  def draw(ladder, title) do
    times = ladder.arrows |> Enum.map(&String.length(&1.at)) |> Enum.max(fn -> 0 end)
    notes = ladder.arrows |> Enum.map(&String.length(&1.note)) |> Enum.max(fn -> 0 end)
    # An arrow that leads nowhere needs a column even behind the last participant.
    columns =
      Enum.max([
        max(length(ladder.participants) - 1, 0)
        | Enum.map(ladder.arrows, &elem(Ladder.span(ladder, &1), 1))
      ])

    left = @margin + round(times * @character) + beside(List.first(ladder.participants))
    beyond = beside(List.last(ladder.participants))
    places = places(ladder, columns, left)
    right = Enum.max(Map.values(places))
    width = right + beyond + round(notes * @character) + @margin
    height = @head + length(ladder.arrows) * @row + @margin
    place = &Map.fetch!(places, &1)

    IO.iodata_to_binary([
      ~s(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 #{width} #{height}" width="#{width}" height="#{height}" ),
      ~s(role="img" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="12" fill="#{@ink}">\n),
      ["<title>", escape(title), "</title>\n"],
      ~s(<rect width="#{width}" height="#{height}" fill="#ffffff"/>\n),
      for(
        {name, index} <- Enum.with_index(ladder.participants),
        do: participant(name, place.(index), height)
      ),
      for({arrow, row} <- Enum.with_index(ladder.arrows)) do
        arrow(
          arrow,
          Ladder.span(ladder, arrow),
          place,
          @head + row * @row + 20,
          right + beyond
        )
      end,
      "</svg>\n"
    ])
  end

  # Each line as far to the left as the names and the labels before it let it be: a page is soon too narrow for a ladder.
  defp places(ladder, columns, left) do
    labels =
      ladder.arrows
      |> Enum.map(&{Ladder.span(ladder, &1), round((String.length(&1.label) + 8) * @character)})
      |> Enum.uniq()
      |> Enum.group_by(fn {{_from, to}, _width} -> to end)

    Enum.reduce(1..columns//1, %{0 => left}, fn column, places ->
      [name, next] =
        for index <- [column - 1, column], do: half(Enum.at(ladder.participants, index))

      beside = Map.fetch!(places, column - 1) + name + next + @row

      over =
        for {{from, _to}, width} <- Map.get(labels, column, []),
            do: Map.fetch!(places, from) + width

      Map.put(places, column, Enum.max([beside | over]))
    end)
  end

  defp half(nil), do: 0
  defp half(name), do: round(String.length(name) * @character / 2)

  # Half of a name, and a little more.
  defp beside(nil), do: @row
  defp beside(name), do: @row + half(name)

  defp participant(name, x, height) do
    [
      ~s(<line x1="#{x}" y1="#{@head - 14}" x2="#{x}" y2="#{height - @margin}" stroke="#{@line}"/>\n),
      text(x, 22, name, ~s( text-anchor="middle" font-weight="bold"))
    ]
  end

  defp arrow(arrow, {from, to}, place, y, notes_at) do
    {x1, x2} = {place.(from), place.(to)}
    rightwards = arrow.from == from
    {start, tip} = if rightwards, do: {x1, x2}, else: {x2, x1}

    {color, dashes} =
      if arrow.arrives, do: {@ink, ""}, else: {@failed, ~s( stroke-dasharray="4 3")}

    [
      "<g>",
      if(arrow.details == [],
        do: "",
        else: ["<title>", escape(Enum.join(arrow.details, "\n")), "</title>"]
      ),
      text(@margin, y, arrow.at, ~s( fill="#57606a")),
      text(div(x1 + x2, 2), y - 5, arrow.label, ~s( text-anchor="middle" fill="#{color}")),
      ~s(<line x1="#{start}" y1="#{y}" x2="#{tip}" y2="#{y}" stroke="#{color}"#{dashes}/>),
      tip(tip, y, if(rightwards, do: -@tip, else: @tip), arrow.arrives, color),
      if(arrow.note == "", do: "", else: text(notes_at, y, arrow.note, ~s( fill="#57606a"))),
      "</g>\n"
    ]
  end

  defp tip(x, y, back, true, color),
    do:
      ~s(<polygon points="#{x},#{y} #{x + back},#{y - 4} #{x + back},#{y + 4}" fill="#{color}"/>)

  # A cross before the line of who does not get it.
  defp tip(x, y, back, false, color) do
    {near, far} = {x + div(back, 2), x + back + div(back, 2)}

    ~s(<path d="M#{near} #{y - 5}L#{far} #{y + 5}M#{near} #{y + 5}L#{far} #{y - 5}" stroke="#{color}" stroke-width="2"/>)
  end

  defp text(x, y, text, attributes),
    do: [~s(<text x="#{x}" y="#{y}"#{attributes}>), escape(text), "</text>\n"]

  # The text is printable ASCII already, but for a title of the caller's.
  defp escape(text) do
    String.replace(text, ["&", "<", ">", "\"", "'"], fn
      "&" -> "&amp;"
      "<" -> "&lt;"
      ">" -> "&gt;"
      "\"" -> "&quot;"
      "'" -> "&#39;"
    end)
  end
end
