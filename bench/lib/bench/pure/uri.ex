defmodule Bench.Pure.Uri do
  # URIs (§25.1, RFC 3966, RFC 2396), split as Sippet.URI has them.
  @moduledoc false

  import Bench.Pure.{Chars, Scan}

  def parse(<<"sip:", rest::binary>>), do: sip("sip", 5060, rest)
  def parse(<<"sips:", rest::binary>>), do: sip("sips", 5061, rest)

  def parse(text) do
    with [scheme, rest] <- :binary.split(text, ":") do
      case lower(scheme) do
        "sip" -> sip("sip", 5060, rest)
        "sips" -> sip("sips", 5061, rest)
        "tel" -> tel(rest)
        scheme -> other(scheme, rest)
      end
    else
      _no_colon -> malformed()
    end
  end

  defp sip(scheme, default_port, text) do
    {userinfo, hostport} = userinfo(text, text, 0, false)
    {host, rest} = host(hostport)

    {port, rest} =
      case rest do
        <<?:, digits::binary>> -> number(digits, 65_535)
        _none -> {default_port, rest}
      end

    {parameters, headers} = tail(rest)

    %Sippet.URI{
      scheme: scheme,
      authority: binary_part(text, 0, byte_size(text) - byte_size(rest)),
      userinfo: userinfo,
      host: host,
      port: port,
      parameters: parameters,
      headers: headers
    }
  end

  # Up to the first "@"; without one, all of it is host and port.
  defp userinfo(<<c, rest::binary>>, text, size, colon) when is_user(c),
    do: userinfo(rest, text, size + 1, colon)

  defp userinfo(<<?@, rest::binary>>, text, size, _colon) when size > 0,
    do: {binary_part(text, 0, size), rest}

  defp userinfo(<<?:, rest::binary>>, text, size, false) when size > 0,
    do: userinfo(rest, text, size + 1, true)

  defp userinfo(<<?%, a, b, rest::binary>>, text, size, colon) when is_hex(a) and is_hex(b),
    do: userinfo(rest, text, size + 3, colon)

  defp userinfo(_rest, text, _size, _colon) do
    if :binary.match(text, "@") != :nomatch, do: malformed()
    {nil, text}
  end

  def host(<<?[, rest::binary>>) do
    with [address, rest] <- :binary.split(rest, "]"),
         :nomatch <- :binary.match(address, "%"),
         {:ok, _} <- :inet.parse_ipv6strict_address(:erlang.binary_to_list(address)) do
      {address, rest}
    else
      _no_address -> malformed()
    end
  end

  def host(text), do: host(text, text, 0, ?., false)

  # The last label needs a letter; numbers alone are an address of four.
  defp host(<<?., rest::binary>>, text, size, previous, letter) when previous != ?.,
    do: next_label(rest, text, size + 1, letter)

  defp host(<<c, rest::binary>>, text, size, _previous, _letter)
       when c in ?a..?z or c in ?A..?Z,
       do: host(rest, text, size + 1, c, true)

  defp host(<<c, rest::binary>>, text, size, _previous, letter) when is_host(c) and c != ?.,
    do: host(rest, text, size + 1, c, letter)

  defp host(<<?., _::binary>>, _text, _size, _previous, _letter), do: malformed()
  defp host(rest, text, size, _previous, true), do: {binary_part(text, 0, size), rest}

  defp host(rest, text, size, _previous, false) do
    host = binary_part(text, 0, size)
    labels = :binary.split(host, ".", [:global])
    if length(labels) != 4 or not Enum.all?(labels, &octet?/1), do: malformed()
    {host, rest}
  end

  defp next_label(<<c, _::binary>> = rest, text, size, _letter) when is_host(c),
    do: host(rest, text, size, ?., false)

  defp next_label(rest, text, size, true), do: {binary_part(text, 0, size), rest}
  defp next_label(_rest, _text, _size, false), do: malformed()

  defp octet?(<<a>>) when a in ?0..?9, do: true
  defp octet?(<<a, b>>) when a in ?0..?9 and b in ?0..?9, do: true

  defp octet?(<<a, b, c>>) when a in ?0..?9 and b in ?0..?9 and c in ?0..?9, do: true
  defp octet?(_other), do: false

  defp tail(""), do: {nil, nil}
  defp tail(<<?;, rest::binary>> = text), do: parameters(rest, text, 1, ?;)
  defp tail(<<??, _::binary>> = text), do: {nil, headers(text)}
  defp tail(_rest), do: malformed()

  defp parameters(<<c, rest::binary>>, text, size, _previous)
       when is_uri(c) and c not in [?;, ?=, ??],
       do: parameters(rest, text, size + 1, c)

  defp parameters(<<c, rest::binary>>, text, size, previous)
       when c in [?;, ?=] and previous != ?;,
       do: parameters(rest, text, size + 1, c)

  defp parameters(<<?%, a, b, rest::binary>>, text, size, _previous)
       when is_hex(a) and is_hex(b),
       do: parameters(rest, text, size + 3, b)

  defp parameters("", text, _size, previous) when previous != ?;, do: {text, nil}

  defp parameters(<<??, _::binary>> = rest, text, size, previous) when previous != ?;,
    do: {binary_part(text, 0, size), headers(rest)}

  defp parameters(_rest, _text, _size, _previous), do: malformed()

  defp headers(<<??, rest::binary>> = text) do
    name(rest, 0)
    text
  end

  defp name(<<?=, rest::binary>>, size) when size > 0, do: header_value(rest)

  defp name(<<c, rest::binary>>, size) when is_uri(c) and c not in [?=, ?&],
    do: name(rest, size + 1)

  defp name(<<?%, a, b, rest::binary>>, size) when is_hex(a) and is_hex(b),
    do: name(rest, size + 3)

  defp name(_rest, _size), do: malformed()

  defp header_value(""), do: :ok
  defp header_value(<<?&, rest::binary>>), do: name(rest, 0)
  defp header_value(<<c, rest::binary>>) when is_uri(c), do: header_value(rest)

  defp header_value(<<?%, a, b, rest::binary>>) when is_hex(a) and is_hex(b),
    do: header_value(rest)

  defp header_value(_rest), do: malformed()

  defp tel(text) do
    {number, parameters} =
      case :binary.match(text, ";") do
        {at, 1} -> {binary_part(text, 0, at), binary_part(text, at, byte_size(text) - at)}
        :nomatch -> {text, nil}
      end

    case number do
      <<?+, digits::binary>> -> digits(digits, :decimal, false)
      digits -> digits(digits, :local, false)
    end

    if parameters do
      # What follows a "?" belongs to the parameters here.
      check(parameters)
      tel_parameters(parameters)
    end

    %Sippet.URI{
      scheme: "tel",
      authority: number,
      host: number,
      parameters: parameters
    }
  end

  defp check(<<?;, rest::binary>>), do: check(rest, ?;)

  defp check(<<c, _::binary>>, ?;) when c in [?;, ?=], do: malformed()
  defp check(<<c, rest::binary>>, _previous) when is_uri(c), do: check(rest, c)

  defp check(<<?%, a, b, rest::binary>>, _previous) when is_hex(a) and is_hex(b),
    do: check(rest, b)

  defp check("", previous) when previous != ?;, do: :ok
  defp check(_rest, _previous), do: malformed()

  defp digits("", _kind, true), do: :ok
  defp digits("%23" <> rest, :local, _any), do: digits(rest, :local, true)

  defp digits(<<c, rest::binary>>, kind, any) when c in [?-, ?., ?(, ?)],
    do: digits(rest, kind, any)

  defp digits(<<c, rest::binary>>, :decimal, _any) when c in ?0..?9,
    do: digits(rest, :decimal, true)

  defp digits(<<c, rest::binary>>, :local, _any) when is_hex(c) or c in [?*, ?#],
    do: digits(rest, :local, true)

  defp digits(_rest, _kind, _any), do: malformed()

  # `ext`, `isub` and `phone-context` once at most, with a value.
  defp tel_parameters(parameters) do
    pairs =
      for parameter <- tl(:binary.split(parameters, ";", [:global])) do
        case :binary.split(parameter, "=") do
          [name, value] -> {lower(name), value}
          [name] -> {lower(name), nil}
        end
      end

    for name <- ["ext", "isub", "phone-context"] do
      case for {^name, value} <- pairs, do: value do
        [] -> :ok
        [value] when value not in [nil, ""] -> if name == "phone-context", do: context(value)
        _twice -> malformed()
      end
    end
  end

  defp context(<<?+, digits::binary>>), do: digits(digits, :decimal, false)

  defp context(domain) do
    case host(domain) do
      {_host, ""} -> :ok
      _more -> malformed()
    end
  end

  defp other(<<c, _::binary>> = scheme, text) when c in ?a..?z do
    for <<c <- scheme>>, not is_alphanumeric(c) and c not in [?+, ?-, ?.], do: malformed()
    other_bytes(text)

    size =
      case :binary.match(text, [";", "?"]) do
        {at, 1} -> at
        :nomatch -> byte_size(text)
      end

    if size == 0, do: malformed()
    <<authority::binary-size(size), rest::binary>> = text
    {parameters, headers} = split_tail(rest)

    %Sippet.URI{
      scheme: scheme,
      authority: authority,
      parameters: parameters,
      headers: headers
    }
  end

  defp other(_scheme, _text), do: malformed()

  defp split_tail(""), do: {nil, nil}
  defp split_tail(<<??, _::binary>> = rest), do: {nil, rest}

  defp split_tail(rest) do
    case :binary.match(rest, "?") do
      {at, 1} -> {binary_part(rest, 0, at), binary_part(rest, at, byte_size(rest) - at)}
      :nomatch -> {rest, nil}
    end
  end

  defp other_bytes(""), do: :ok
  defp other_bytes(<<c, rest::binary>>) when is_uri(c), do: other_bytes(rest)

  defp other_bytes(<<?%, a, b, rest::binary>>) when is_hex(a) and is_hex(b),
    do: other_bytes(rest)

  defp other_bytes(_rest), do: malformed()
end
