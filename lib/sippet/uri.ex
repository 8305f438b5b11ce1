defmodule Sippet.URI do
  @moduledoc """
  URIs as SIP uses them: `sip`, `sips`, `tel`, and any other without loss (RFC 3261 §19.1, RFC 3966).

  The fields hold the text of the pieces, nothing unescaped:

    * `:scheme` - in lower case
    * `:authority` - all between the colon and the parameters: `alice:secret@atlanta.com:5080`
    * `:userinfo` - what stands before the `@`, a password included, or `nil`
    * `:host` - an IPv6 address without its brackets; the number of a `tel` URI; `nil` for other schemes
    * `:port` - an integer; where none is written, the default of the scheme (`default_port/1`)
    * `:parameters` - with the leading `;`, or `nil`; see `decode_parameters/1`
    * `:headers` - with the leading `?`, or `nil`; see `decode_headers/1`

  `authority` is kept to tell a port that was written from one that was not: a `:5060` on the wire stays when the URI
  is written again, as long as `host` and `port` still are what `authority` says. Whenever they differ, they win. A
  scheme without a `host` is written from its `authority`.

      iex> uri = Sippet.URI.parse!("sip:alice@atlanta.com;transport=tcp")
      iex> {uri.userinfo, uri.host, uri.port, uri.parameters}
      {"alice", "atlanta.com", 5060, ";transport=tcp"}
      iex> Sippet.URI.to_string(%{uri | port: 5070})
      "sip:alice@atlanta.com:5070;transport=tcp"
  """

  defstruct scheme: nil,
            userinfo: nil,
            authority: nil,
            parameters: nil,
            headers: nil,
            host: nil,
            port: nil

  defguardp is_uri(uri) when is_binary(uri) or is_struct(uri, __MODULE__)

  @type t :: %__MODULE__{
          scheme: String.t() | nil,
          userinfo: String.t() | nil,
          authority: String.t() | nil,
          parameters: String.t() | nil,
          headers: String.t() | nil,
          host: String.t() | nil,
          port: :inet.port_number() | nil
        }

  @doc """
  Parses a URI.

  Returns `{:ok, uri}`, or `{:error, :invalid}` where the text breaks the grammar of its scheme (RFC 3261 §25.1, RFC
  3966 §3). A URI that is parsed already comes back as it is.

      iex> {:ok, uri} = Sippet.URI.parse("sips:[2001:db8::1]")
      iex> {uri.host, uri.port}
      {"2001:db8::1", 5061}
      iex> Sippet.URI.parse("alice")
      {:error, :invalid}
  """
  @spec parse(t | String.t()) :: {:ok, t} | {:error, :invalid}
  def parse(%__MODULE__{} = uri), do: {:ok, uri}
  def parse(string) when is_binary(string), do: Sippet.Native.URI.parse(string)

  @doc """
  Parses a URI; raises `ArgumentError` where `parse/1` returns an error.

      iex> Sippet.URI.parse!("tel:+1-201-555-0123").host
      "+1-201-555-0123"
  """
  @spec parse!(t | String.t()) :: t
  def parse!(uri) do
    case parse(uri) do
      {:ok, uri} ->
        uri

      {:error, reason} ->
        raise ArgumentError,
              "cannot convert #{inspect(uri)} to SIP-URI, reason: #{inspect(reason)}"
    end
  end

  @doc """
  The URI as text.

  Raises `ArgumentError` where a piece cannot be written, because it holds a line end for instance.

      iex> Sippet.URI.to_string(%Sippet.URI{scheme: "sip", userinfo: "bob", host: "2001:db8::1"})
      "sip:bob@[2001:db8::1]"
      iex> "sip:biloxi.com:5060" |> Sippet.URI.parse!() |> Sippet.URI.to_string()
      "sip:biloxi.com:5060"
  """
  @spec to_string(t) :: String.t()
  def to_string(%__MODULE__{} = uri) do
    case Sippet.Native.URI.write(uri) do
      {:ok, string} ->
        string

      {:error, error} ->
        raise ArgumentError, "cannot write #{inspect(uri)}: #{Exception.message(error)}"
    end
  end

  @doc """
  The port that a scheme stands for: 5060 for `sip`, 5061 for `sips`, else `nil` (§19.1.2).

      iex> Sippet.URI.default_port("sips")
      5061
  """
  @spec default_port(String.t()) :: :inet.port_number() | nil
  def default_port("sip"), do: 5060
  def default_port("sips"), do: 5061
  def default_port(scheme) when is_binary(scheme), do: nil

  @doc """
  Tells whether two URIs are equivalent by RFC 3261 §19.1.4, or for `tel` by RFC 3966 §4.

  Either may be text; text that is no URI raises `ArgumentError`. Of two SIP URIs

    * an omitted port differs from one that is written, the default port too
    * `transport`, `user`, `ttl`, `method` and `maddr` must be in both or in none, other parameters may be in one only
    * headers must be the same in both, in any order; their values are compared as text
    * user and password are compared by case, hosts, parameters and header names are not
    * an escape equals the character it stands for, unless that is a reserved one

  Equivalence is not transitive. URIs of other schemes are compared as text.

      iex> Sippet.URI.equivalent("sip:%61lice@atlanta.com", "sip:alice@AtLanTa.CoM;security=on")
      true
      iex> Sippet.URI.equivalent("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060")
      false
  """
  @spec equivalent(t | String.t(), t | String.t()) :: boolean
  def equivalent(a, b), do: equivalent?(a, b, false)

  @doc """
  Tells whether two URIs are equivalent when an omitted port or transport counts as its default.

  The default transport is `udp` for `sip` and `tls` for `sips`. All else is as in `equivalent/2`.

      iex> Sippet.URI.lazy_equivalent("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060;transport=udp")
      true
      iex> Sippet.URI.lazy_equivalent("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=tcp")
      false
  """
  @spec lazy_equivalent(t | String.t(), t | String.t()) :: boolean
  def lazy_equivalent(a, b), do: equivalent?(a, b, true)

  defp equivalent?(a, b, lazy) when is_uri(a) and is_uri(b) do
    case Sippet.Native.URI.equivalent(a, b, lazy) do
      nil -> refuse_uri(parse!(a), parse!(b))
      equivalent -> equivalent
    end
  end

  # Both are URIs by their type, and one of them is none by what it holds.
  defp refuse_uri(a, b) do
    raise ArgumentError, "cannot compare #{inspect(a)} with #{inspect(b)}: one is no URI"
  end

  @doc """
  Writes parameters as `:parameters` holds them, escaped. A `nil` is a parameter without a value.

  Names and values are anything that `Kernel.to_string/1` takes, except lists, which raise `ArgumentError`. Nothing to
  write gives `";"`, which no URI may hold: set `:parameters` to `nil` then.

      iex> Sippet.URI.encode_parameters(%{"lr" => nil, "transport" => "tcp"})
      ";lr;transport=tcp"
      iex> Sippet.URI.encode_parameters(a: "b;c")
      ";a=b%3Bc"
  """
  @spec encode_parameters(Enumerable.t()) :: String.t()
  def encode_parameters(enumerable) do
    ";" <> Enum.map_join(enumerable, ";", &encode_pair(&1, fn text -> encode_paramchar(text) end))
  end

  @doc """
  Reads parameters into a map, unescaped; one without a value has `nil`, of a repeated one the last counts.

  `parameters` is `nil`, `""` or begins with `;`, else `ArgumentError` is raised. Pairs are put into `map`.

      iex> Sippet.URI.decode_parameters(";lr;transport=tcp")
      %{"lr" => nil, "transport" => "tcp"}
      iex> Sippet.URI.decode_parameters(nil, %{"ttl" => "1"})
      %{"ttl" => "1"}
  """
  @spec decode_parameters(String.t() | nil, map) :: map
  def decode_parameters(parameters, map \\ %{})
  def decode_parameters(nil, map) when is_map(map), do: map

  def decode_parameters(parameters, map) when is_binary(parameters) and is_map(map),
    do: Enum.into(parameters_decoder(parameters), map)

  @doc """
  The parameters as a stream of `{name, value}`, in their order.

      iex> Enum.to_list(Sippet.URI.parameters_decoder(";transport=udp;lr"))
      [{"transport", "udp"}, {"lr", nil}]
  """
  @spec parameters_decoder(String.t()) :: Enumerable.t()
  def parameters_decoder(""), do: pairs("", ";", nil)
  def parameters_decoder(";" <> pairs), do: pairs(pairs, ";", nil)

  def parameters_decoder(other) when is_binary(other) do
    raise ArgumentError, "expected parameters to begin with \";\", got: #{inspect(other)}"
  end

  @doc """
  Writes headers as `:headers` holds them, escaped.

  Names and values are as for `encode_parameters/1`.

      iex> Sippet.URI.encode_headers(%{"priority" => "urgent", "subject" => "project x"})
      "?priority=urgent&subject=project%20x"
  """
  @spec encode_headers(Enumerable.t()) :: String.t()
  def encode_headers(enumerable) do
    "?" <> Enum.map_join(enumerable, "&", &encode_header(&1))
  end

  # A header always has its "=" (§25.1).
  defp encode_header({name, nil}), do: encode_header({name, ""})
  defp encode_header(pair), do: encode_pair(pair, &encode_hnvchar/1)

  @doc """
  Reads headers into a map, unescaped; of a repeated one the last counts.

  `headers` is `nil`, `""` or begins with `?`, else `ArgumentError` is raised. Pairs are put into `map`.

      iex> Sippet.URI.decode_headers("?priority=urgent&subject=project%20x")
      %{"priority" => "urgent", "subject" => "project x"}
  """
  @spec decode_headers(String.t() | nil, map) :: map
  def decode_headers(headers, map \\ %{})
  def decode_headers(nil, map) when is_map(map), do: map

  def decode_headers(headers, map) when is_binary(headers) and is_map(map),
    do: Enum.into(headers_decoder(headers), map)

  @doc """
  The headers as a stream of `{name, value}`, in their order.

      iex> Enum.to_list(Sippet.URI.headers_decoder("?to=bob%40biloxi.com&body="))
      [{"to", "bob@biloxi.com"}, {"body", ""}]
  """
  @spec headers_decoder(String.t()) :: Enumerable.t()
  def headers_decoder(""), do: pairs("", "&", "")
  def headers_decoder("?" <> pairs), do: pairs(pairs, "&", "")

  def headers_decoder(other) when is_binary(other) do
    raise ArgumentError, "expected headers to begin with \"?\", got: #{inspect(other)}"
  end

  defp pairs(text, separator, without_value) do
    text
    |> String.splitter(separator, trim: true)
    |> Stream.map(fn pair ->
      case :binary.split(pair, "=") do
        [name, value] -> {percent_unescape(name), percent_unescape(value)}
        [name] -> {percent_unescape(name), without_value}
      end
    end)
  end

  defp encode_pair({name, _value}, _encode) when is_list(name), do: refuse_list(:name, name)
  defp encode_pair({_name, value}, _encode) when is_list(value), do: refuse_list(:value, value)
  defp encode_pair({name, nil}, encode), do: encode.(Kernel.to_string(name))

  defp encode_pair({name, value}, encode),
    do: encode.(Kernel.to_string(name)) <> "=" <> encode.(Kernel.to_string(value))

  defp refuse_list(what, list) do
    raise ArgumentError, "expected the #{what} of a pair not to be a list, got: #{inspect(list)}"
  end

  @doc """
  Escapes all but what the name or value of a parameter may hold as it is.

      iex> Sippet.URI.encode_paramchar("a=[b]?")
      "a%3D[b]%3F"
  """
  @spec encode_paramchar(String.t()) :: String.t()
  def encode_paramchar(string) when is_binary(string),
    do: URI.encode(string, &(char_unreserved?(&1) or char_param_unreserved?(&1)))

  @doc """
  Escapes all but what the name or value of a header may hold as it is.

      iex> Sippet.URI.encode_hnvchar("a=[b]?")
      "a%3D[b]?"
  """
  @spec encode_hnvchar(String.t()) :: String.t()
  def encode_hnvchar(string) when is_binary(string),
    do: URI.encode(string, &(char_unreserved?(&1) or char_hnv_unreserved?(&1)))

  @doc """
  Replaces each `%` and two hexadecimal digits by the byte they stand for; any other `%` stays.

      iex> Sippet.URI.percent_unescape("project%20x 100%")
      "project x 100%"
  """
  @spec percent_unescape(String.t()) :: binary
  def percent_unescape(string) when is_binary(string) do
    case :binary.match(string, "%") do
      :nomatch -> string
      _found -> unescape(string, [])
    end
  end

  defp unescape(string, done) do
    case :binary.split(string, "%") do
      [rest] ->
        IO.iodata_to_binary([done, rest])

      [before, after_percent] ->
        case hex_pair(after_percent) do
          {byte, rest} -> unescape(rest, [done, before, byte])
          :error -> unescape(after_percent, [done, before, ?%])
        end
    end
  end

  defp hex_pair(<<high, low, rest::binary>>) do
    with high when is_integer(high) <- hex_digit(high),
         low when is_integer(low) <- hex_digit(low),
         do: {high * 16 + low, rest}
  end

  defp hex_pair(_short), do: :error

  defp hex_digit(char) when char in ?0..?9, do: char - ?0
  defp hex_digit(char) when char in ?A..?F, do: char - ?A + 10
  defp hex_digit(char) when char in ?a..?f, do: char - ?a + 10
  defp hex_digit(_char), do: :error

  @doc """
  Tells whether a character is `unreserved` (§25.1): letters, digits and `-_.!~*'()`.

      iex> Sippet.URI.char_unreserved?(?~)
      true
  """
  @spec char_unreserved?(char) :: boolean
  def char_unreserved?(char) when char in 0..0x10FFFF,
    do:
      char in ?a..?z or char in ?A..?Z or char in ?0..?9 or
        char in [?-, ?_, ?., ?!, ?~, ?*, ?', ?(, ?)]

  @doc """
  Tells whether a character is `param-unreserved` (§25.1), one of `[]/:&+$`.

      iex> Sippet.URI.char_param_unreserved?(?~)
      false
  """
  @spec char_param_unreserved?(char) :: boolean
  def char_param_unreserved?(char) when char in 0..0x10FFFF,
    do: char in [?[, ?], ?/, ?:, ?&, ?+, ?$]

  @doc """
  Tells whether a character is `hnv-unreserved` (§25.1), one of `[]/?:+$`.

      iex> Sippet.URI.char_hnv_unreserved?(?:)
      true
  """
  @spec char_hnv_unreserved?(char) :: boolean
  def char_hnv_unreserved?(char) when char in 0..0x10FFFF,
    do: char in [?[, ?], ?/, ??, ?:, ?+, ?$]
end

defimpl String.Chars, for: Sippet.URI do
  defdelegate to_string(uri), to: Sippet.URI
end
