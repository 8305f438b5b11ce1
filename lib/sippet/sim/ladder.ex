defmodule Sippet.Sim.Ladder do
  # The messages of a simulation as a ladder: a line for each stack, an arrow for each message, in the order in which they were
  # sent. Before it stands when it left, behind it when it arrives, or why it does not.
  @moduledoc false

  alias Sippet.Message
  alias Sippet.Sim.Transmission
  alias Sippet.Trace.{Label, Ladder}

  @doc "The ladder of messages between stacks of these names, in their order from left to right."
  @spec draw([atom], [Transmission.t()]) :: String.t()
  def draw(names, transmissions) do
    places = names |> Enum.with_index() |> Map.new()

    Ladder.text(%Ladder{
      participants: Enum.map(names, &Label.printable(inspect(&1))),
      arrows: Enum.map(transmissions, &arrow(&1, places))
    })
  end

  defp arrow(transmission, places) do
    %{
      at: "#{transmission.sent_at}",
      from: places[transmission.from],
      to: places[transmission.to],
      label: Label.of(transmission.data, method(transmission.message)),
      arrives: match?({:arrives, _times}, transmission.fate),
      note: note(transmission),
      details: []
    }
  end

  defp method(%Message{headers: %{cseq: {_number, method}}}), do: method
  defp method(nil), do: nil

  defp note(%{fate: {:arrives, times}, from: from, to: to}) do
    itself = if from == to, do: "  to itself", else: ""
    Enum.join(times, " ") <> itself
  end

  defp note(%{fate: {:refused, reason}}), do: "#{reason}"

  defp note(%{fate: :nowhere, destination: {ip, port}}),
    do: "nobody is at #{:inet.ntoa(ip)} port #{port}"

  defp note(%{fate: fate}), do: "#{fate}"
end
