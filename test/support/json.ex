defmodule Sippet.Test.JSON do
  # Reads the JSON of indexes and vectors (RFC 8259): OTP before 27 has no parser. null is nil.
  @moduledoc false

  @doc """
  The value of a JSON text; raises `ArgumentError` at the first byte that does not belong.
  """
  @spec decode!(binary) :: term
  def decode!(text) do
    {value, rest} = text |> skip() |> value()

    case skip(rest) do
      "" -> value
      rest -> refuse(rest)
    end
  end

  @doc """
  The value in a file.
  """
  @spec read!(Path.t()) :: term
  def read!(path), do: path |> File.read!() |> decode!()

  defp value("{" <> rest), do: object(skip(rest), [])
  defp value("[" <> rest), do: array(skip(rest), [])
  defp value("\"" <> rest), do: string(rest, [])
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("null" <> rest), do: {nil, rest}

  defp value(rest) do
    case Regex.run(~r/\A-?(?:0|[1-9][0-9]*)((?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)/, rest) do
      [number] -> {String.to_integer(number), after_prefix(rest, number)}
      [number, ""] -> {String.to_integer(number), after_prefix(rest, number)}
      [number, _fraction] -> {float(number), after_prefix(rest, number)}
      nil -> refuse(rest)
    end
  end

  # Elixir wants a fraction before the exponent.
  defp float(number) do
    {float, ""} = Float.parse(number)
    float
  end

  defp object("}" <> rest, []), do: {%{}, rest}

  defp object("\"" <> rest, pairs) do
    {name, rest} = string(rest, [])

    {value, rest} =
      case skip(rest) do
        ":" <> rest -> rest |> skip() |> value()
        other -> refuse(other)
      end

    case skip(rest) do
      "," <> rest -> object(skip(rest), [{name, value} | pairs])
      "}" <> rest -> {Map.new([{name, value} | pairs]), rest}
      other -> refuse(other)
    end
  end

  defp object(rest, _pairs), do: refuse(rest)

  defp array("]" <> rest, []), do: {[], rest}

  defp array(rest, values) do
    {value, rest} = value(rest)

    case skip(rest) do
      "," <> rest -> array(skip(rest), [value | values])
      "]" <> rest -> {Enum.reverse([value | values]), rest}
      other -> refuse(other)
    end
  end

  @escapes %{
    ?" => ?",
    ?\\ => ?\\,
    ?/ => ?/,
    ?b => ?\b,
    ?f => ?\f,
    ?n => ?\n,
    ?r => ?\r,
    ?t => ?\t
  }

  defp string("\"" <> rest, done), do: {IO.iodata_to_binary(Enum.reverse(done)), rest}

  defp string(<<"\\u", hex::binary-size(4), rest::binary>>, done) do
    case {String.to_integer(hex, 16), rest} do
      {high, <<"\\u", low::binary-size(4), rest::binary>>} when high in 0xD800..0xDBFF ->
        low = String.to_integer(low, 16)
        point = 0x10000 + (high - 0xD800) * 0x400 + (low - 0xDC00)
        string(rest, [<<point::utf8>> | done])

      {point, rest} ->
        string(rest, [<<point::utf8>> | done])
    end
  end

  defp string(<<?\\, char, rest::binary>>, done) when is_map_key(@escapes, char),
    do: string(rest, [@escapes[char] | done])

  defp string(<<char, _::binary>> = rest, done) when char not in [?", ?\\] do
    {length, _} =
      case :binary.match(rest, ["\"", "\\"]) do
        :nomatch -> refuse(rest)
        found -> found
      end

    <<plain::binary-size(length), rest::binary>> = rest
    string(rest, [plain | done])
  end

  defp string(rest, _done), do: refuse(rest)

  defp after_prefix(text, prefix),
    do: binary_part(text, byte_size(prefix), byte_size(text) - byte_size(prefix))

  defp skip(<<char, rest::binary>>) when char in [?\s, ?\t, ?\r, ?\n], do: skip(rest)
  defp skip(rest), do: rest

  defp refuse(rest) do
    raise ArgumentError,
          "no JSON from here: #{inspect(binary_part(rest, 0, min(byte_size(rest), 40)))}"
  end
end
