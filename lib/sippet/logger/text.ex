defmodule Sippet.Logger.Text do
  # An event as a line, and the head of a message without its secrets.
  @moduledoc false

  alias Sippet.Redaction
  alias Sippet.Transactions.Client

  @spec of(Sippet.Telemetry.event(), map, map) :: String.t()
  def of([:sippet, :transport, :error], _measurements, metadata) do
    "a message #{way("to", metadata)} could not be sent: #{inspect(metadata.reason)}"
  end

  def of([:sippet, :limit, :reached], _measurements, %{limit: limit}),
    do: "the limit #{limit} was met"

  def of([:sippet, :overload, :start], %{wait: wait}, _metadata),
    do: "overloaded: callbacks wait #{ms(wait)} ms for a processor; requests are refused"

  def of([:sippet, :overload, :stop], %{duration: duration}, _metadata),
    do: "no longer overloaded, after #{ms(duration)} ms"

  def of([:sippet, :transaction, :stop], measurements, metadata) do
    "#{metadata.role} transaction #{key(metadata.key)} ended after #{ms(measurements.duration)} ms: " <>
      "#{metadata.reason}, #{metadata.status_code || "no final response"}, " <>
      "#{measurements.retransmissions} retransmissions"
  end

  def of([:sippet, :message, :rejected], %{bytes: bytes}, metadata),
    do: "#{bytes} bytes #{way("from", metadata)} were rejected: #{metadata.reason}"

  def of([:sippet, :request, :refused], _measurements, metadata),
    do: "a request #{way("from", metadata)} was refused: #{metadata.reason}"

  def of([:sippet, :message, :received], _measurements, metadata),
    do: "received #{way("from", metadata)}\n#{redact(metadata.data)}"

  def of([:sippet, :message, :sent], _measurements, metadata),
    do: "sent #{way("to", metadata)}\n#{redact(metadata.data)}"

  defp way(word, %{protocol: protocol, remote: {host, port}}),
    do: "#{word} #{protocol} #{host(host)} port #{port}"

  defp host(ip) when is_tuple(ip), do: :inet.ntoa(ip)
  defp host(host), do: host

  defp key(%Client.Key{branch: branch, method: method}), do: "#{branch} #{method}"

  defp key(%{branch: branch, method: method, sentby: {host, _port}}),
    do: "#{branch} #{method} #{host}"

  defp ms(native), do: System.convert_time_unit(native, :native, :millisecond)

  @doc """
  The head of a message that may be logged, in printable characters, and how long its body is.
  """
  @spec redact(binary) :: String.t()
  def redact(data) do
    {head, body} = Redaction.split(data)
    head = "[redacted]" |> Redaction.whole() |> Redaction.head(head)
    head = head |> printable() |> String.trim_trailing("\n")
    if body != "", do: "#{head}\n(#{byte_size(body)} bytes of body)", else: head
  end

  # A terminal takes orders by control characters, and a line that a peer has made must not look like one of ours.
  defp printable(head) do
    for <<byte <- head>>, byte != ?\r, into: "" do
      if byte in 0x20..0x7E or byte == ?\n, do: <<byte>>, else: "?"
    end
  end
end
