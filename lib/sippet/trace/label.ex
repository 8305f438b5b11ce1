defmodule Sippet.Trace.Label do
  # What stands on an arrow, of bytes that anybody may have made: printable ASCII, and not too much of it.
  @moduledoc false

  # A label, and of bytes that are no message a part of these.
  @max 72
  @shown 32

  @doc """
  The request or the response in short, by its bytes; the method is that of the request, or of the response's CSeq, nil
  where the bytes are no message.
  """
  @spec of(binary, method :: atom | String.t() | nil) :: String.t()
  def of(data, nil) do
    line = start_line(data)

    if line =~ ~r"\ASIP/[0-9.]+ [0-9]{3} |\A\S+ \S.* SIP/[0-9.]+\z",
      do: malformed(line),
      else: none(data)
  end

  def of(data, method), do: data |> start_line() |> words() |> text(method) |> shorten()

  # Line ends before the start line are passed over (RFC 3261 §7.5).
  defp start_line(data) do
    [_all, line] = Regex.run(~r/\A[\r\n]*+([^\r\n]*+)/, data)
    line
  end

  defp words(line), do: line |> printable() |> String.split(" ", parts: 2)

  # Enough to say what it was meant to be.
  defp malformed(line) do
    text =
      case words(line) do
        ["SIP/" <> _version, status] -> status
        [method, rest] -> "#{method} #{without_version(rest)}"
      end

    shorten("malformed: #{text}")
  end

  defp none(data) do
    shown = binary_part(data, 0, min(byte_size(data), @shown))
    more = if byte_size(data) > @shown, do: "...", else: ""
    shorten(~s(no message: "#{printable(shown)}") <> more)
  end

  defp text(["SIP/" <> _version, status], method),
    do: "#{String.trim_trailing(status)} (#{name(method)})"

  defp text([_method, rest], method), do: "#{name(method)} #{without_version(rest)}"
  defp text([line], _method), do: line

  defp without_version(text), do: String.replace(text, ~r"\s+SIP/[0-9.]+\s*\z", "")

  defp name(method) when is_atom(method), do: method |> Atom.to_string() |> String.upcase()
  defp name(method), do: printable(method)

  defp shorten(text) when byte_size(text) > @max, do: binary_part(text, 0, @max - 3) <> "..."
  defp shorten(text), do: text

  @doc "Bytes in printable ASCII: all others as in a string of Elixir, line ends too."
  @spec printable(binary) :: String.t()
  def printable(bytes), do: for(<<byte <- bytes>>, into: "", do: character(byte))

  @doc "A message in printable ASCII, in lines."
  @spec lines(binary) :: [String.t()]
  def lines(bytes),
    do: for(line <- :binary.split(bytes, ["\r\n", "\n"], [:global]), do: printable(line))

  defp character(byte) when byte in 0x20..0x7E, do: <<byte>>
  defp character(?\r), do: "\\r"
  defp character(?\n), do: "\\n"
  defp character(?\t), do: "\\t"
  defp character(byte), do: "\\x" <> Base.encode16(<<byte>>)
end
