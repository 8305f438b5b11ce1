defmodule Sippet.Test.Guide do
  # Reads the tables and the snippets of a guide, and makes requests around the lines that stand in its tables.
  @moduledoc false

  alias Sippet.Message

  @fields [
    {"via", "Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bK776asdhds"},
    {"max-forwards", "Max-Forwards: 70"},
    {"from", "From: <sip:alice@atlanta.com>;tag=1928301774"},
    {"to", "To: <sip:bob@biloxi.com>"},
    {"call-id", "Call-ID: a84b4c76e66710"},
    {"cseq", "CSeq: 1 OPTIONS"}
  ]

  @doc """
  The Elixir snippets of a document, such as `"README.md"`, in their order.
  """
  @spec snippets(Path.t()) :: [String.t()]
  def snippets(document) do
    ~r/^```elixir\n(.*?)^```$/ms
    |> Regex.scan(File.read!(path(document)), capture: :all_but_first)
    |> List.flatten()
  end

  @doc """
  Runs all of them as one program, in which each `=` is an assertion: `{value, bindings}` of its end.
  """
  @spec run(Path.t()) :: {term, keyword}
  def run(document),
    do: document |> snippets() |> Enum.join("\n") |> Code.eval_string([], file: path(document))

  defp path(document), do: Path.expand("../../#{document}", __DIR__)

  @doc """
  The rows of the table under a heading, each a list of cells.
  """
  @spec table(Path.t(), String.t()) :: [[String.t()]]
  def table(guide, heading) do
    [_before, section] =
      path("guides/#{guide}")
      |> File.read!()
      |> String.split("\n## #{heading}\n", parts: 2)

    [_head, _rule | rows] =
      section
      |> String.split("\n## ")
      |> hd()
      |> String.split("\n")
      |> Enum.filter(&String.starts_with?(&1, "|"))

    for row <- rows, do: row |> String.trim("|") |> String.split("|") |> Enum.map(&String.trim/1)
  end

  @doc """
  What stands in backquotes in a cell, as bytes; a cell without is returned as it is.
  """
  @spec wire(String.t()) :: binary
  def wire(cell) do
    case Regex.run(~r/`(.*)`/, cell) do
      [_all, code] ->
        Regex.replace(~r/\\(x[0-9a-f]{2}|.)/, code, fn _all, escape -> byte(escape) end)

      nil ->
        cell
    end
  end

  defp byte("x" <> hex), do: <<String.to_integer(hex, 16)>>
  defp byte("r"), do: "\r"
  defp byte("n"), do: "\n"
  defp byte("t"), do: "\t"
  defp byte("s"), do: " "
  defp byte("0"), do: "\0"
  defp byte("\\"), do: "\\"

  @doc """
  A message with these lines. A start line among them replaces the usual one, and header fields those of their name.
  """
  @spec message(binary) :: binary
  def message(lines) do
    {start_line, lines} =
      case Regex.run(~r/\A[\r\n]*(?:(?i:options)[ \t]|SIP\/2).*?(?=\r\n|\n|\z)/s, lines) do
        [start_line] ->
          {start_line,
           binary_part(lines, byte_size(start_line), byte_size(lines) - byte_size(start_line))}

        nil ->
          {"OPTIONS sip:bob@biloxi.com SIP/2.0", "\r\n" <> lines}
      end

    names =
      for [_all, name] <- Regex.scan(~r/(?:\r\n)([A-Za-z-]+):/, lines), do: String.downcase(name)

    own = for {name, line} <- @fields, name not in names, do: ["\r\n", line]
    lines = if lines == "\r\n", do: "", else: lines
    rest = IO.iodata_to_binary(own(lines, own))
    start_line <> rest <> if(rest =~ ~r/\r\n\r\n|\n\n/, do: "", else: "\r\n\r\n")
  end

  # A continuation line belongs to what stands before it.
  defp own(<<"\r\n", space, _rest::binary>> = lines, own) when space in [?\s, ?\t],
    do: [lines, own]

  defp own(lines, own), do: [own, lines]

  @doc """
  Parses such a message as a datagram.
  """
  @spec parse(binary, Message.ParseOptions.mode()) :: {:ok, Message.t()} | {:error, term}
  def parse(lines, mode), do: lines |> message() |> Message.parse(framing: :datagram, mode: mode)
end
