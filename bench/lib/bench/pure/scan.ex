defmodule Bench.Pure.Scan do
  # The small rules that all values are made of. Each takes the rest of a value and returns what it read and the new rest,
  # or throws :malformed.
  @moduledoc false

  import Bench.Pure.Chars

  @compile {:inline, malformed: 0, skip: 1}

  def malformed, do: throw(:malformed)

  def skip(<<c, rest::binary>>) when is_space(c), do: skip(rest)
  def skip(rest), do: rest

  # Nothing may be left.
  def done(<<>>), do: :ok

  def done(rest) do
    if skip(rest) != "", do: malformed()
    :ok
  end

  def trim_end(""), do: ""

  def trim_end(text) do
    last = byte_size(text) - 1

    case text do
      <<text::binary-size(last), c>> when is_space(c) -> trim_end(text)
      _ -> text
    end
  end

  def token(text), do: token(text, text, 0)

  defp token(<<c, rest::binary>>, text, size) when is_token(c), do: token(rest, text, size + 1)
  defp token(_rest, _text, 0), do: malformed()
  defp token(rest, text, size), do: {binary_part(text, 0, size), rest}

  def lower_token(text), do: lower_token(text, text, 0)

  defp lower_token(<<c, rest::binary>>, text, size) when is_token(c) and c not in ?A..?Z,
    do: lower_token(rest, text, size + 1)

  defp lower_token(<<c, _rest::binary>>, text, _size) when c in ?A..?Z do
    {token, rest} = token(text)
    {lower(token), rest}
  end

  defp lower_token(_rest, _text, 0), do: malformed()
  defp lower_token(rest, text, size), do: {binary_part(text, 0, size), rest}

  def lower(text), do: for(<<c <- text>>, into: "", do: <<lower_byte(c)>>)

  defp lower_byte(c) when c in ?A..?Z, do: c + 32
  defp lower_byte(c), do: c

  # `gen-value = token / host / quoted-string`
  def value(<<?", rest::binary>>), do: quoted(rest, rest, 0)
  def value(text), do: plain(text, text, 0)

  defp plain(<<c, rest::binary>>, text, size) when is_plain(c), do: plain(rest, text, size + 1)
  defp plain(_rest, _text, 0), do: malformed()
  defp plain(<<c, _rest::binary>>, _text, _size) when is_loose(c), do: malformed()
  defp plain(rest, text, size), do: {binary_part(text, 0, size), rest}

  def quoted(<<?", rest::binary>>), do: quoted(rest, rest, 0)
  def quoted(_text), do: malformed()

  defp quoted(<<?", rest::binary>>, text, size), do: {binary_part(text, 0, size), rest}
  defp quoted(<<?\\, _::binary>>, text, _size), do: escaped(text, [])
  defp quoted(<<c, rest::binary>>, text, size) when c != 0, do: quoted(rest, text, size + 1)
  defp quoted(_rest, _text, _size), do: malformed()

  defp escaped(<<?", rest::binary>>, done), do: {text(done), rest}
  defp escaped(<<?\\, c, rest::binary>>, done), do: escaped(rest, [c | done])
  defp escaped(<<c, rest::binary>>, done) when c not in [0, ?\\], do: escaped(rest, [c | done])
  defp escaped(_rest, _done), do: malformed()

  # `comment`, behind its first parenthesis.
  def comment(text), do: comment(text, 0, [])

  defp comment(<<?\\, c, rest::binary>>, depth, done), do: comment(rest, depth, [c | done])
  defp comment(<<?(, rest::binary>>, depth, done), do: comment(rest, depth + 1, [?( | done])
  defp comment(<<?), rest::binary>>, 0, done), do: {text(done), rest}
  defp comment(<<?), rest::binary>>, depth, done), do: comment(rest, depth - 1, [?) | done])

  defp comment(<<c, rest::binary>>, depth, done) when c not in [0, ?\\],
    do: comment(rest, depth, [c | done])

  defp comment(_rest, _depth, _done), do: malformed()

  defp text(reversed), do: reversed |> :lists.reverse() |> :erlang.list_to_binary()

  def visible(text), do: visible(text, text, 0)

  defp visible(<<c, rest::binary>>, text, size) when is_visible(c),
    do: visible(rest, text, size + 1)

  defp visible(_rest, _text, 0), do: malformed()
  defp visible(rest, text, size), do: {binary_part(text, 0, size), rest}

  def number(<<c, rest::binary>>, max) when c in ?0..?9, do: number(rest, c - ?0, max)
  def number(_text, _max), do: malformed()

  defp number(<<c, rest::binary>>, value, max) when c in ?0..?9 and value <= max,
    do: number(rest, value * 10 + c - ?0, max)

  defp number(_rest, value, max) when value > max, do: malformed()
  defp number(rest, value, _max), do: {value, rest}

  # `*(SEMI generic-param)`: at most 32 of different names, a flag as "".
  def params(<<>>), do: {%{}, ""}
  def params(<<?;, rest::binary>>), do: params(rest, %{}, 0)
  def params(<<c, rest::binary>>) when is_space(c), do: params(skip(rest))
  def params(rest), do: {%{}, rest}

  defp params(text, params, count) do
    {name, rest} = lower_token(skip(text))
    if is_map_key(params, name) or count == 32, do: malformed()
    {value, rest} = assigned(rest)
    params = Map.put(params, name, value)

    case rest do
      <<?;, rest::binary>> -> params(rest, params, count + 1)
      <<c, rest::binary>> when is_space(c) -> spaced(skip(rest), params, count)
      rest -> {params, rest}
    end
  end

  defp spaced(<<?;, rest::binary>>, params, count), do: params(rest, params, count + 1)
  defp spaced(rest, params, _count), do: {params, rest}

  defp assigned(<<?=, c, _::binary>> = text) when not is_space(c) do
    <<_, rest::binary>> = text
    value(rest)
  end

  defp assigned(text) do
    case skip(text) do
      <<?=, rest::binary>> -> value(skip(rest))
      _rest -> {"", text}
    end
  end
end
