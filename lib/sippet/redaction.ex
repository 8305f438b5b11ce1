defmodule Sippet.Redaction do
  # Takes the credentials out of the bytes of a message, whatever these are: for what is logged (Sippet.Logger) and what is
  # kept (Sippet.Trace). Everything here is linear in the bytes, since a peer chooses them. Nothing is parsed: what a
  # parser would refuse, or forgive, must not show a secret either.
  @moduledoc false

  # How a value is replaced, and which parameters of digest credentials stay (RFC 7616 §3.4): all others do not, known or not.
  @enforce_keys [:mask, :keep]
  defstruct @enforce_keys

  @type t :: %__MODULE__{mask: String.t(), keep: [String.t()]}

  @doc "`mask` in place of all credentials."
  @spec whole(String.t()) :: t
  def whole(mask), do: %__MODULE__{mask: mask, keep: []}

  @doc "`mask` in place of what proves who somebody is; who that claims to be stays."
  @spec secrets(String.t()) :: t
  def secrets(mask),
    do: %__MODULE__{mask: mask, keep: ~w(username realm uri algorithm qop nc userhash)}

  @doc """
  A message without secrets.

  In its head a value becomes the mask; in its body each of its bytes becomes an asterisk, so that Content-Length stays true.
  """
  @spec message(t, binary) :: binary
  def message(redaction, data) do
    {head, body} = split(data)
    head(redaction, head) <> body(redaction, body)
  end

  @doc "Head, with the empty line behind it, and body."
  @spec split(binary) :: {binary, binary}
  def split(data) do
    case :binary.match(data, ["\r\n\r\n", "\n\n"]) do
      {start, length} -> :erlang.split_binary(data, start + length)
      :nomatch -> {data, ""}
    end
  end

  @doc "The head of a message without secrets."
  @spec head(t, binary) :: binary
  def head(redaction, head), do: redact(head, redaction, fn _value -> redaction.mask end)

  # Messages and parts of messages may be bodies too (RFC 3420), whatever Content-Type calls them.
  defp body(_redaction, ""), do: ""
  defp body(redaction, body), do: redact(body, redaction, &asterisks/1)

  # Keys also in what is taken for a head: where that ends is seen only if lines end as they should.
  defp redact(text, redaction, mask),
    do: text |> credentials(redaction, mask) |> embedded(mask) |> passwords(mask) |> keys()

  # Most messages have none. A line begins behind any CR or LF.
  defp credentials(text, redaction, mask) do
    if text =~ ~r/(?<![^\r\n])(?:proxy-)?auth(?:orization|entication-info)[ \t]*+:/i do
      ~r/(?<=\n)|(?<=\r)(?!\n)/
      |> Regex.split(text)
      |> fields()
      |> Enum.map(&field(&1, redaction, mask))
      |> IO.iodata_to_binary()
    else
      text
    end
  end

  # A line with those that continue it (RFC 3261 §7.3.1).
  defp fields(lines) do
    Enum.chunk_while(
      lines,
      [],
      fn
        <<first, _::binary>> = line, [_ | _] = field when first in [?\s, ?\t] ->
          {:cont, [field, line]}

        line, [] ->
          {:cont, [line]}

        line, field ->
          {:cont, IO.iodata_to_binary(field), [line]}
      end,
      fn field -> {:cont, IO.iodata_to_binary(field), []} end
    )
  end

  defp field(field, redaction, mask) do
    name = ~r/\A(?:proxy-)?(authorization|authentication-info)[ \t]*+:[ \t]*+/i

    case Regex.run(name, field, return: :index) do
      [{0, length}, {start, kind}] ->
        kind = binary_part(field, start, kind)
        {name, value} = :erlang.split_binary(field, length)
        {value, ending} = ending(value)
        [name, value(String.downcase(kind, :ascii), value, redaction, mask), ending]

      nil ->
        field
    end
  end

  defp ending(value) do
    length =
      Enum.find_value(["\r\n", "\n", "\r"], 0, &(String.ends_with?(value, &1) and byte_size(&1)))

    :erlang.split_binary(value, byte_size(value) - length)
  end

  defp value(_info_or_authorization, "", _redaction, _mask), do: ""

  defp value("authentication-info", value, redaction, mask),
    do: parameters(value, redaction, mask)

  defp value("authorization", value, redaction, mask) do
    case Regex.run(~r/\A[a-z]++[ \t]++(?=[a-z*])/i, value, return: :index) do
      [{0, length}] ->
        {scheme, parameters} = :erlang.split_binary(value, length)
        [scheme, credentials_of(scheme, parameters, redaction, mask)]

      nil ->
        mask.(value)
    end
  end

  defp credentials_of(scheme, parameters, redaction, mask) do
    if String.downcase(String.trim(scheme), :ascii) == "digest",
      do: parameters(parameters, redaction, mask),
      else: mask.(parameters)
  end

  defp parameters(parameters, %{keep: []}, mask), do: mask.(parameters)

  defp parameters(parameters, %{keep: keep}, mask) do
    parameters
    |> commas(0, 0, false, [])
    |> Enum.map_intersperse(",", &parameter(&1, keep, mask))
  end

  # The parts between commas that are not in quotes.
  defp commas(text, start, at, quoted, parts) do
    case text do
      <<_::binary-size(at), ?\\, _, _::binary>> when quoted ->
        commas(text, start, at + 2, quoted, parts)

      <<_::binary-size(at), ?", _::binary>> ->
        commas(text, start, at + 1, not quoted, parts)

      <<_::binary-size(at), ?,, _::binary>> when not quoted ->
        commas(text, at + 1, at + 1, false, [binary_part(text, start, at - start) | parts])

      <<_::binary-size(at), _, _::binary>> ->
        commas(text, start, at + 1, quoted, parts)

      _end ->
        Enum.reverse([binary_part(text, start, byte_size(text) - start) | parts])
    end
  end

  defp parameter(text, keep, mask) do
    form = ~r/\A(\s*+([a-z0-9*-]++)\s*+=\s*+)(?:(")((?:[^"\\]|\\.)*+)(")|([^"\s]++))(\s*+)\z/is

    case Regex.run(form, text, capture: :all_but_first) do
      [start, name, quote, quoted, _quote, token, space] ->
        if String.downcase(name, :ascii) in keep,
          do: text,
          else: [start, quote, mask.(quoted <> token), quote, space]

      nil ->
        if String.trim(text) == "", do: text, else: mask.(text)
    end
  end

  # Header fields in a URI (RFC 3261 §19.1.1).
  defp embedded(text, mask) do
    Regex.replace(
      ~r/([?&](?:proxy-)?authorization=)([^&\s<>"]++)/i,
      text,
      fn _all, name, value -> name <> mask.(value) end
    )
  end

  # userinfo = user [":" password] "@" (RFC 3261 §25.1, RFC 3986 §3.2.1). Where no "@" ends it there is none further on either.
  defp passwords(text, mask) do
    Regex.replace(~r/(sips?:|:\/\/)([^\s@<>"]*+)(@?)/i, text, fn
      all, scheme, userinfo, "@" ->
        case :binary.split(userinfo, ":") do
          [user, password] -> scheme <> user <> ":" <> mask.(password) <> "@"
          [_user] -> all
        end

      all, _scheme, _host, "" ->
        all
    end)
  end

  # RFC 4568, RFC 8839 §5.4, RFC 4567, and the k= of RFC 4566 §5.12.
  defp keys(text) do
    Regex.replace(
      ~r/(?<![^\r\n])(a=crypto:(?:[0-9]++[ \t]++[a-z0-9_]++[ \t]++)?+|a=ice-pwd:|a=key-mgmt:|k=)([^\r\n]++)/i,
      text,
      fn _all, name, value -> name <> asterisks(value) end
    )
  end

  defp asterisks(value), do: String.duplicate("*", byte_size(value))
end
