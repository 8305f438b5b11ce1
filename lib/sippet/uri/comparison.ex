defmodule Sippet.URI.Comparison do
  # When two URIs are the same address (§19.1.4, RFC 3966 §4). Called by Sippet.URI only.
  @moduledoc false

  alias Sippet.URI

  # One that is in a single URI makes the two differ; of the others §19.1.4 says that they are ignored then.
  @never_ignored ~w(transport user ttl method maddr)

  # The escape of one of these is not the same as the character, and "%" itself has no other form.
  @reserved [?;, ?/, ??, ?:, ?@, ?&, ?=, ?+, ?$, ?,, ?%]

  @spec equivalent?(URI.t(), URI.t(), :strict | :lazy) :: boolean
  def equivalent?(%URI{} = a, %URI{} = b, mode) do
    scheme = downcase(a.scheme || "")

    scheme == downcase(b.scheme || "") and
      case scheme do
        sip when sip in ["sip", "sips"] -> sip?(sip, a, b, mode)
        "tel" -> tel?(a, b)
        _other -> text(a) == text(b)
      end
  end

  defp sip?(scheme, a, b, mode) do
    normalize(a.userinfo) == normalize(b.userinfo) and host(a.host) == host(b.host) and
      port(scheme, a, mode) == port(scheme, b, mode) and
      parameters?(parameters(scheme, a, mode), parameters(scheme, b, mode)) and
      headers(a) == headers(b)
  end

  # RFC 5954 §4.2: IPv6 addresses are compared as numbers.
  defp host(nil), do: nil

  defp host(host) do
    case :inet.parse_ipv6strict_address(:binary.bin_to_list(host)) do
      {:ok, address} -> address
      {:error, :einval} -> downcase(host)
    end
  end

  defp port(scheme, %URI{port: port}, :lazy), do: port || URI.default_port(scheme)

  defp port(scheme, %URI{port: port} = uri, :strict) do
    if port == URI.default_port(scheme) and not port_written?(uri), do: nil, else: port
  end

  # A default port was written where the authority shows it after this host.
  defp port_written?(%URI{authority: authority, host: host, port: port})
       when is_binary(authority) and is_binary(host) do
    host = if String.contains?(host, ":"), do: "[" <> host <> "]:", else: host <> ":"
    host_port = authority |> :binary.split("@", [:global]) |> List.last()

    case String.split(host_port, host, parts: 2) do
      ["", digits] -> Integer.parse(digits) == {port, ""}
      _other -> false
    end
  end

  defp port_written?(_made_by_hand), do: false

  defp parameters(scheme, uri, mode) do
    parameters =
      for {name, value} <- pairs(uri.parameters, ";"),
          into: %{},
          do: {downcase(normalize(name)), value && downcase(normalize(value))}

    case mode do
      :strict -> parameters
      :lazy -> Map.put_new(parameters, "transport", default_transport(scheme))
    end
  end

  defp default_transport("sip"), do: "udp"
  defp default_transport("sips"), do: "tls"

  defp parameters?(a, b) do
    Enum.all?(a, fn {name, value} ->
      case b do
        %{^name => other} -> other == value
        _absent -> name not in @never_ignored
      end
    end) and Enum.all?(@never_ignored, &(is_map_key(a, &1) == is_map_key(b, &1)))
  end

  defp headers(uri) do
    pairs =
      for {name, value} <- pairs(uri.headers, "&"),
          do: {downcase(normalize(name)), normalize(value)}

    Enum.sort(pairs)
  end

  defp tel?(a, b) do
    number(a.host || a.authority) == number(b.host || b.authority) and
      tel_parameters(a) == tel_parameters(b)
  end

  defp tel_parameters(uri) do
    for {name, value} <- pairs(uri.parameters, ";"), into: %{} do
      name = downcase(name)
      {name, value && tel_value(name, normalize(value))}
    end
  end

  defp tel_value("phone-context", "+" <> _digits = value), do: number(value)
  defp tel_value("ext", value), do: number(value)
  defp tel_value(_name, value), do: downcase(value)

  # RFC 3966 §5.1.1: the visual separators mean nothing.
  defp number(text), do: String.replace(downcase(text || ""), ["-", ".", "(", ")"], "")

  defp text(uri),
    do: {uri.userinfo, uri.authority || uri.host, uri.port, uri.parameters, uri.headers}

  # {name, value} as they stand; the first character is the separator that the field begins with.
  defp pairs(nil, _separator), do: []
  defp pairs("", _separator), do: []

  defp pairs(<<_mark, text::binary>>, separator) do
    for pair <- String.split(text, separator, trim: true) do
      case :binary.split(pair, "=") do
        [name, value] -> {name, value}
        [name] -> {name, nil}
      end
    end
  end

  defp normalize(nil), do: nil

  defp normalize(text) do
    [first | escapes] = :binary.split(text, "%", [:global])
    IO.iodata_to_binary([first | Enum.map(escapes, &escape/1)])
  end

  defp escape(text) do
    case URI.hex_pair(text) do
      {byte, rest} when byte in @reserved -> [?%, Base.encode16(<<byte>>), rest]
      {byte, rest} -> [byte, rest]
      :error -> [?%, text]
    end
  end

  defp downcase(text), do: String.downcase(text, :ascii)
end
