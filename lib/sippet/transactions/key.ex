defmodule Sippet.Transactions.Key do
  # The text form of transaction keys, and what a key takes from a message. Called by the two Key structs and Sippet.
  @moduledoc false

  alias Sippet.Message
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Transactions.{Client, Server}

  @expected "~K[branch|METHOD] or ~K[branch|METHOD|host:port]"

  @doc """
  What `Sippet.sigil_K/2` does.
  """
  @spec sigil_K(String.t(), charlist) :: Client.Key.t() | Server.Key.t()
  def sigil_K(string, _modifiers), do: parse(string)

  @doc """
  Reads what stands between the brackets of `~K`; anything malformed raises `ArgumentError`.
  """
  @spec parse(String.t()) :: Client.Key.t() | Server.Key.t()
  def parse(string) when is_binary(string) do
    case String.split(string, "|") do
      [branch, method] ->
        Client.Key.new(branch, method(method, string))

      [branch, method, sent_by] ->
        Server.Key.new(branch, method(method, string), sent_by(sent_by, string))

      _other ->
        refuse(string)
    end
  end

  defp method(text, string) do
    case text do
      "" -> refuse(string)
      ":" -> refuse(string)
      ":" <> method -> Message.to_method(method)
      # As inspect/1 shows a method that is not known: it stays as it is.
      "\"" <> quoted -> unquote_method(quoted, string)
      method -> Message.to_method(method)
    end
  end

  defp unquote_method(quoted, string) do
    if String.ends_with?(quoted, "\""),
      do: quoted |> binary_part(0, byte_size(quoted) - 1) |> Macro.unescape_string(),
      else: refuse(string)
  end

  # The port comes after the last colon, so that an IPv6 address may do without its brackets.
  defp sent_by(text, string) do
    with [_all, host, digits] <- Regex.run(~r/\A(.+):([0-9]{1,5})\z/s, text),
         port when port <= 65_535 <- String.to_integer(digits) do
      {unbracket(host), port}
    else
      _other -> refuse(string)
    end
  end

  defp unbracket("[" <> rest), do: String.trim_trailing(rest, "]")
  defp unbracket(host), do: host

  defp refuse(string) do
    raise ArgumentError, "expected a transaction key like #{@expected}, got: #{inspect(string)}"
  end

  @doc """
  Branch, method and sent-by of a message, from its topmost Via and its start line or CSeq.

  A message that lacks one of them raises `ArgumentError`.
  """
  @spec from_message(Message.t()) ::
          {branch :: String.t(), Message.method(), sent_by :: {String.t(), integer}}
  def from_message(%Message{headers: headers} = message) do
    case headers do
      %{via: [{_version, _protocol, sent_by, %{"branch" => branch}} | _]} when branch != "" ->
        {branch, message_method(message), sent_by}

      _other ->
        raise ArgumentError,
              "expected a message whose topmost Via has a branch, got: #{inspect(message)}"
    end
  end

  defp message_method(%Message{start_line: %RequestLine{method: method}}), do: method

  defp message_method(%Message{
         start_line: %StatusLine{},
         headers: %{cseq: {_number, method}}
       }),
       do: method

  defp message_method(message) do
    raise ArgumentError, "expected a request, or a response with a CSeq, got: #{inspect(message)}"
  end

  @doc """
  `host:port`, an IPv6 address in brackets.
  """
  @spec sent_by_text({String.t(), integer}) :: String.t()
  def sent_by_text({host, port}) do
    host = if String.contains?(host, ":"), do: "[#{host}]", else: host
    "#{host}:#{port}"
  end

  @doc """
  The parts between `~K[` and `]`, or `~K(` and `)` where an IPv6 address has brackets, so that the result can be read again.
  """
  @spec inspect_parts([String.t()]) :: String.t()
  def inspect_parts(parts) do
    text = Enum.join(parts, "|")

    # What closes a sigil can be escaped in it, which Elixir 1.18 deprecates.
    if String.contains?(text, "]") and not String.contains?(text, ")"),
      do: "~K(" <> text <> ")",
      else: "~K[" <> String.replace(text, "]", "\\]") <> "]"
  end
end
