defmodule Sippet.Trace.Mermaid do
  # A ladder as a sequence diagram of Mermaid. In its text whatever the language, or the page that it is drawn in, could take for
  # its own is written by number; "end" too, which some versions end a block at wherever it stands.
  @moduledoc false

  alias Sippet.Trace.Ladder

  @spec draw(Ladder.t()) :: String.t()
  def draw(ladder) do
    participants =
      for {name, place} <- Enum.with_index(ladder.participants),
          do: ["  participant p#{place} as ", escape(name), "\n"]

    arrows = Enum.map(ladder.arrows, &arrow/1)
    IO.iodata_to_binary(["sequenceDiagram\n", participants, arrows])
  end

  defp arrow(arrow) do
    tip = if arrow.arrives, do: "->>", else: "-x"
    note = if arrow.note == "", do: "", else: " (#{arrow.note})"
    text = escape("#{arrow.at}: #{arrow.label}#{note}")
    ["  p#{arrow.from}", tip, "p#{arrow.to || arrow.from}: ", text, "\n"]
  end

  defp escape(text) do
    text
    |> String.replace(~r/[^A-Za-z0-9 .,:@()_=+\/-]/, fn <<byte>> -> "##{byte};" end)
    |> String.replace(~r/\b([Ee])([Nn][Dd])\b/, fn <<first, rest::binary>> ->
      "##{first};#{rest}"
    end)
  end
end
