defmodule Demo.Ladder do
  @moduledoc """
  Collects the messages of one call where they arrive, and draws them.
  """

  use Agent

  @doc "Starts to collect the messages with this Call-ID."
  def start_link(call_id),
    do: Agent.start_link(fn -> %{call_id: call_id, arrivals: []} end, name: __MODULE__)

  @doc "A message arrived at `:caller` or `:server`. Returns false if it does not belong to the call."
  def arrived(at, message) do
    arrival = {System.monotonic_time(:microsecond), at, line(message)}
    call_id = message.headers.call_id

    Agent.get_and_update(__MODULE__, fn
      %{call_id: ^call_id} = ladder -> {true, %{ladder | arrivals: [arrival | ladder.arrivals]}}
      ladder -> {false, ladder}
    end)
  end

  @doc "The ladder: an arrow for each message, in the order of arrival, with milliseconds since the first."
  def draw(caller, server) do
    arrivals = Agent.get(__MODULE__, &Enum.reverse(&1.arrivals))
    start = with [{time, _at, _line} | _] <- arrivals, do: time
    lengths = for {_time, _at, line} <- arrivals, do: String.length(line)
    width = Enum.max([String.length(caller) + String.length(server) | lengths]) + 12

    [
      [
        indent(),
        caller,
        String.pad_leading(server, width + 2 - String.length(caller)),
        "\n"
      ],
      for {time, at, line} <- arrivals do
        ms = Float.round((time - start) / 1_000, 1)
        [String.pad_leading("#{ms} ms", 10), "  |", arrow(at, line, width), "|\n"]
      end
    ]
    |> IO.iodata_to_binary()
  end

  defp indent, do: String.duplicate(" ", 12)

  defp arrow(:server, line, width), do: String.pad_trailing("-- #{line} ", width - 1, "-") <> ">"
  defp arrow(:caller, line, width), do: "<" <> String.pad_trailing("- #{line} ", width - 1, "-")

  @doc "The start line of a message, fit for a terminal: what a peer wrote has no say in its colours."
  def line(%{start_line: line}), do: line |> text() |> String.replace(~r/[^\x20-\x7e]/, "?")

  defp text(%{request_uri: _uri} = line), do: to_string(line)
  defp text(line), do: "SIP/2.0 #{line.status_code} #{line.reason_phrase}"
end
