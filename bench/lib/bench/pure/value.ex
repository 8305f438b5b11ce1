defmodule Bench.Pure.Value do
  # One value of each shape of header field (§20, §25.1); list/2 reads those of a line.
  @moduledoc false

  import Bench.Pure.{Chars, Scan}
  alias Bench.Pure.Uri

  @methods Map.new(Sippet.Message.known_methods(), &{&1, Sippet.Message.to_method(&1)})
  @protocols Map.new(Sippet.Message.known_protocols(), &{&1, Sippet.Message.to_protocol(&1)})

  for {text, atom} <- @methods, do: def(method(unquote(text)), do: unquote(atom))
  def method(other), do: other

  for {text, atom} <- @protocols, do: def(protocol(unquote(text)), do: unquote(atom))

  def protocol(other) do
    upper = String.upcase(other, :ascii)
    Map.get(@protocols, upper, other)
  end

  # Values with commas between, at most `max`; an empty line is an empty list.
  def list("", _one, _max), do: []

  def list(text, one, max) do
    if max == 0, do: malformed()
    {value, rest} = one.(text)

    case skip(rest) do
      "" -> [value]
      <<?,, rest::binary>> -> [value | more(skip(rest), one, max - 1)]
      _junk -> malformed()
    end
  end

  defp more("", _one, _max), do: malformed()
  defp more(text, one, max), do: list(text, one, max)

  def via(<<"SIP/2.0/", c, _::binary>> = text) when is_token(c) do
    <<_::binary-size(8), rest::binary>> = text
    sent_by({2, 0}, rest)
  end

  def via(<<s, i, p, rest::binary>>) when s in [?S, ?s] and i in [?I, ?i] and p in [?P, ?p] do
    {version, rest} = version_number(slash(rest))
    sent_by(version, slash(rest))
  end

  def via(_text), do: malformed()

  defp sent_by(version, text) do
    {protocol, rest} = token(text)
    {host, rest} = Uri.host(lws(rest))
    protocol = protocol(protocol)
    {port, rest} = port(rest, protocol)
    {params, rest} = params(rest)
    {{version, protocol, {host, port}, without_brackets(params)}, rest}
  end

  defp port(<<?:, c, _::binary>> = text, _protocol) when c in ?0..?9 do
    <<_, rest::binary>> = text
    number(rest, 65_535)
  end

  defp port(text, protocol) do
    case skip(text) do
      <<?:, rest::binary>> -> number(skip(rest), 65_535)
      _none -> {default_port(protocol), text}
    end
  end

  defp default_port(:udp), do: 5060
  defp default_port(:tcp), do: 5060
  defp default_port(:tls), do: 5061
  defp default_port(_other), do: 0

  # RFC 5118 §4.5
  defp without_brackets(%{"received" => <<?[, _::binary>> = received} = params) do
    size = byte_size(received) - 2

    case received do
      <<?[, address::binary-size(size), ?]>> -> %{params | "received" => address}
      _open -> params
    end
  end

  defp without_brackets(params), do: params

  def version_number(text) do
    {major, rest} = version_part(text)

    case rest do
      <<?., rest::binary>> ->
        {minor, rest} = version_part(rest)
        {{major, minor}, rest}

      _none ->
        malformed()
    end
  end

  defp version_part(<<?0, c, _::binary>>) when c in ?0..?9, do: malformed()
  defp version_part(text), do: number(text, 65_535)

  defp slash(text) do
    case skip(text) do
      <<?/, rest::binary>> -> skip(rest)
      _none -> malformed()
    end
  end

  defp lws(<<c, rest::binary>>) when is_space(c), do: skip(rest)
  defp lws(_text), do: malformed()

  def address(<<?<, rest::binary>>), do: bracketed("", rest)

  def address(<<?", rest::binary>>) do
    {name, rest} = quoted(<<?", rest::binary>>)

    case skip(rest) do
      <<?<, rest::binary>> -> bracketed(name, rest)
      _none -> malformed()
    end
  end

  def address(text), do: display_name(text, text, 0)

  defp display_name(<<c, rest::binary>>, text, size) when is_token(c) or is_space(c),
    do: display_name(rest, text, size + 1)

  defp display_name(<<?<, rest::binary>>, text, size),
    do: bracketed(trim_end(binary_part(text, 0, size)), rest)

  defp display_name(rest, text, _size) do
    case :binary.match(rest, ["<", ",", ";", "\""]) do
      {at, 1} -> if :binary.at(rest, at) == ?<, do: malformed()
      :nomatch -> :ok
    end

    size = addr_spec(text, 0)
    <<uri::binary-size(size), rest::binary>> = text
    uri = Uri.parse(uri)
    {params, rest} = params(rest)
    {{"", uri, params}, rest}
  end

  # In this form a URI has neither parameters nor headers (§20).
  defp addr_spec(<<c, _::binary>>, _size) when c in [??, ?<, ?>, ?"], do: malformed()
  defp addr_spec(<<c, _::binary>>, size) when c in [?;, ?,] or is_space(c), do: size
  defp addr_spec(<<_, rest::binary>>, size), do: addr_spec(rest, size + 1)
  defp addr_spec(<<>>, size), do: size

  defp bracketed(name, text) do
    {uri, rest} = in_brackets(text, text, 0)
    {params, rest} = params(rest)
    {{name, uri, params}, rest}
  end

  defp in_brackets(<<?>, rest::binary>>, text, size),
    do: {Uri.parse(binary_part(text, 0, size)), rest}

  defp in_brackets(<<_, rest::binary>>, text, size), do: in_brackets(rest, text, size + 1)
  defp in_brackets(<<>>, _text, _size), do: malformed()

  def info(<<?<, rest::binary>>) do
    {uri, rest} = in_brackets(rest, rest, 0)
    {params, rest} = params(rest)
    {{uri, params}, rest}
  end

  def info(_text), do: malformed()

  def token_params(text) do
    {token, rest} = token(text)
    {params, rest} = params(rest)
    {{token, params}, rest}
  end

  def media_type(text) do
    {type, rest} = lower_token(text)
    {subtype, rest} = lower_token(slash(rest))
    {params, rest} = params(rest)
    {{{type, subtype}, params}, rest}
  end

  def call_id(text) do
    {id, rest} = visible(text)
    {check_id(id), rest}
  end

  def call_id_in_list(text) do
    {id, _rest} = visible(text)
    [id | _] = :binary.split(id, ",")
    size = byte_size(id)
    <<_::binary-size(size), rest::binary>> = text
    {check_id(id), rest}
  end

  defp check_id(<<?@, _::binary>>), do: malformed()
  defp check_id(id), do: check_id(id, id, false)

  defp check_id(<<c, rest::binary>>, id, at) when not is_odd_id(c) and c != ?@,
    do: check_id(rest, id, at)

  defp check_id(<<?@, _, _::binary>> = text, id, false) do
    <<_, rest::binary>> = text
    check_id(rest, id, true)
  end

  defp check_id(<<>>, id, _at), do: id
  defp check_id(_rest, _id, _at), do: malformed()

  def cseq(text) do
    {number, rest} = number(text, 0x7FFFFFFF)
    {method, rest} = token(lws(rest))
    {{number, method(method)}, rest}
  end

  # A challenge or credentials. A comma separates both parameters and challenges.
  def auth(text) do
    {scheme, rest} = token(text)
    start = skip(rest)

    cond do
      byte_size(start) == byte_size(rest) or start == "" or :binary.first(start) == ?, ->
        {{scheme, %{}}, start}

      token68 = token68(start, start, 0) ->
        {token, rest} = token68
        {{scheme, %{token => ""}}, rest}

      true ->
        {params, rest} = pairs(start, %{}, 0)
        {{scheme, params}, rest}
    end
  end

  defp token68(<<c, rest::binary>>, text, size)
       when is_alphanumeric(c) or c in [?-, ?., ?_, ?~, ?+, ?/],
       do: token68(rest, text, size + 1)

  defp token68(_rest, _text, 0), do: nil
  defp token68(rest, text, size), do: padding(rest, text, size)

  defp padding(<<?=, rest::binary>>, text, size), do: padding(rest, text, size + 1)

  defp padding(rest, text, size) do
    case skip(rest) do
      <<c, _::binary>> when c != ?, -> nil
      rest -> {binary_part(text, 0, size), rest}
    end
  end

  def pairs(text), do: pairs(text, %{}, 0)

  defp pairs(text, params, count) do
    case pair_name(text, text, 0) do
      {name, rest} -> pair(name, rest, params, count)
      nil -> malformed()
    end
  end

  defp pair(name, text, params, count) do
    if is_map_key(params, name) or count == 32, do: malformed()
    {value, rest} = text |> skip() |> value()
    params = Map.put(params, name, value)

    case skip(rest) do
      <<?,, next::binary>> = rest -> next_pair(skip(next), rest, params, count + 1)
      rest -> {params, rest}
    end
  end

  # The comma stays for the list of challenges when another scheme follows.
  defp next_pair(<<?,, _::binary>>, _rest, _params, _count), do: malformed()

  defp next_pair(text, rest, params, count) do
    case pair_name(text, text, 0) do
      {name, text} -> pair(name, text, params, count)
      nil -> {params, rest}
    end
  end

  # A name and "=", if that is what follows.
  defp pair_name(<<c, rest::binary>>, text, size) when is_token(c) and c not in ?A..?Z,
    do: pair_name(rest, text, size + 1)

  defp pair_name(<<?=, rest::binary>>, text, size) when size > 0,
    do: {binary_part(text, 0, size), rest}

  defp pair_name(<<c, _::binary>>, text, _size) when c in ?A..?Z do
    {name, rest} = token(text)
    assigned(lower(name), skip(rest))
  end

  defp pair_name(_rest, _text, 0), do: nil
  defp pair_name(rest, text, size), do: assigned(binary_part(text, 0, size), skip(rest))

  defp assigned(name, <<?=, rest::binary>>), do: {name, rest}
  defp assigned(_name, _rest), do: nil

  def text(text), do: text(text, text)

  defp text(<<c, rest::binary>>, text) when is_text(c), do: text(rest, text)
  defp text(<<>>, text), do: text
  defp text(_rest, _text), do: malformed()
end
