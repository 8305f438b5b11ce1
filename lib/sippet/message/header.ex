defmodule Sippet.Message.Header do
  @moduledoc """
  The typed values of header fields that a message keeps as text.

  `Sippet.Message.decode_header/2` makes them and `Sippet.Message.encode_header/2` takes them. Names are found in any case
  and by their compact form.

  | header field | typed value | defined in |
  |---|---|---|
  | `Accept-Contact`, `Reject-Contact` | `t:token_parameters_list/0`, the token is `"*"` | RFC 3841 |
  | `Accept-Resource-Priority`, `Resource-Priority` | `t:tokens/0`: `["dsn.flash"]` | RFC 4412 |
  | `Allow-Events` | `t:tokens/0` | RFC 6665 |
  | `Answer-Mode`, `Priv-Answer-Mode` | `t:token_parameters/0` | RFC 5373 |
  | `Diversion` | `t:addresses/0` | RFC 5806 |
  | `Event` | `t:token_parameters/0` | RFC 6665 |
  | `Feature-Caps` | `t:token_parameters_list/0`, the token is `"*"` | RFC 6809 |
  | `Flow-Timer` | `t:count/0`, seconds | RFC 5626 |
  | `Geolocation` | `t:uri_parameters_list/0` | RFC 6442 |
  | `Geolocation-Error` | `t:number_parameters/0` | RFC 6442 |
  | `Geolocation-Routing` | `t:token_parameters/0` | RFC 6442 |
  | `History-Info` | `t:addresses/0` | RFC 7044 |
  | `Identity` | `t:identities/0` | RFC 8224 |
  | `Info-Package` | `t:token_parameters/0` | RFC 6086 |
  | `Join` | `t:dialog/0` with `to-tag` and `from-tag` | RFC 3911 |
  | `Max-Breadth` | `t:count/0` | RFC 5393 |
  | `Min-SE` | `t:number_parameters/0`, seconds | RFC 4028 |
  | `P-Access-Network-Info` | `t:token_parameters_list/0` | RFC 7315 |
  | `P-Answer-State` | `t:token_parameters/0` | RFC 4964 |
  | `P-Associated-URI` | `t:addresses/0` | RFC 7315 |
  | `P-Called-Party-ID` | `t:address/0` | RFC 7315 |
  | `P-Charging-Vector` | `t:parameters/0` with `icid-value` | RFC 7315 |
  | `P-Early-Media` | `t:tokens/0` | RFC 5009 |
  | `P-Preferred-Identity` | `t:addresses/0` | RFC 3325 |
  | `P-Profile-Key` | `t:address/0` | RFC 5002 |
  | `P-Served-User` | `t:address/0` | RFC 5502 |
  | `P-Visited-Network-ID` | `t:text_parameters_list/0` | RFC 7315 |
  | `Path` | `t:addresses/0` | RFC 3327 |
  | `Permission-Missing` | `t:addresses/0` | RFC 5360 |
  | `Privacy` | `t:tokens/0` | RFC 3323 |
  | `RAck` | `t:rack/0` | RFC 3262 |
  | `RSeq` | `t:count/0`, 1 at least | RFC 3262 |
  | `Recv-Info` | `t:token_parameters_list/0` | RFC 6086 |
  | `Refer-Sub` | `t:token_parameters/0` | RFC 4488 |
  | `Refer-To` | `t:address/0` | RFC 3515 |
  | `Referred-By` | `t:address/0` | RFC 3892 |
  | `Replaces` | `t:dialog/0` with `to-tag` and `from-tag` | RFC 3891 |
  | `Request-Disposition` | `t:tokens/0` | RFC 3841 |
  | `SIP-ETag`, `SIP-If-Match` | `t:token/0` | RFC 3903 |
  | `Security-Client`, `Security-Server`, `Security-Verify` | `t:token_parameters_list/0` | RFC 3329 |
  | `Service-Route` | `t:addresses/0` | RFC 3608 |
  | `Session-Expires` | `t:number_parameters/0`, seconds | RFC 4028 |
  | `Session-ID` | `t:token_parameters/0` | RFC 7989 |
  | `Subscription-State` | `t:token_parameters/0` | RFC 6665 |
  | `Suppress-If-Match` | `t:token/0`, `"*"` too | RFC 5839 |
  | `Target-Dialog` | `t:dialog/0` with `remote-tag` and `local-tag` | RFC 4538 |
  | `User-to-User` | `t:text_parameters_list/0` | RFC 7433 |

  Lists may be empty. Then there is no text at all, but for the header fields that mean something without a value:
  `Accept-Resource-Priority`, `P-Associated-URI`, `P-Early-Media` and `Recv-Info`.

  Identity in the form of RFC 4474, a quoted string, is not read: RFC 8224 took its place.

  In every address the URI is in angle brackets when it is written. Without brackets, parameters that are read belong to
  the header field (RFC 3261 §20).
  """

  alias Sippet.Message.Headers
  alias Sippet.{Native, ParseError}

  @typedoc "Names in lower case, values without quotes, `\"\"` for one that has no value."
  @type parameters :: Headers.parameters()

  @type token :: Headers.token()

  @type tokens :: [token]

  @typedoc "For instance `{\"active\", %{\"expires\" => \"3600\"}}` of Subscription-State."
  @type token_parameters :: Headers.token_parameters()

  @type token_parameters_list :: [token_parameters]

  @typedoc "Any text with parameters; it is quoted where it is no token."
  @type text_parameters_list :: [{String.t(), parameters}]

  @type count :: non_neg_integer

  @typedoc "For instance `{1800, %{\"refresher\" => \"uac\"}}` of Session-Expires."
  @type number_parameters :: {non_neg_integer, parameters}

  @typedoc "RSeq and CSeq of the response that is acknowledged."
  @type rack :: {response_number :: pos_integer, cseq_number :: non_neg_integer, Headers.method()}

  @typedoc """
  A dialog, by its Call-ID and two tags, which are parameters that must be there and not be empty.

  For instance `{"98732@sip.example.com", %{"from-tag" => "r33th4x0r", "to-tag" => "ff87ff"}}`.
  """
  @type dialog :: {call_id :: String.t(), parameters}

  @type address :: Headers.address()

  @type addresses :: [address]

  @type uri_parameters_list :: [Headers.uri_parameters()]

  @typedoc "Each with the signed token, the URI of `info`, and the other parameters: `alg`, `ppt` ..."
  @type identities :: [{digest :: String.t(), Headers.uri(), parameters}]

  @known ~w(accept accept_encoding accept_language alert_info allow authentication_info authorization call_id call_info
            contact content_disposition content_encoding content_language content_length content_type cseq date
            error_info expires from in_reply_to max_forwards mime_version min_expires organization
            p_asserted_identity priority proxy_authenticate proxy_authorization proxy_require reason record_route
            reply_to require retry_after route server subject supported timestamp to unsupported user_agent via
            warning www_authenticate)a

  # The name on the wire of each, in lower case.
  @names Map.new(@known, &{&1, &1 |> Atom.to_string() |> String.replace("_", "-")})

  # The same the other way round, with the compact forms (§7.3.3).
  @keys @names
        |> Map.new(fn {key, name} -> {name, key} end)
        |> Map.merge(%{
          "c" => :content_type,
          "e" => :content_encoding,
          "f" => :from,
          "i" => :call_id,
          "k" => :supported,
          "l" => :content_length,
          "m" => :contact,
          "s" => :subject,
          "t" => :to,
          "v" => :via
        })

  # The rest works for Sippet.Message, where it is documented.

  @doc false
  @spec fetch(map, Headers.name()) :: {:ok, term} | {:error, ParseError.t()} | :error
  def fetch(headers, name) do
    key = key(name)

    case headers do
      %{^key => value} when is_atom(key) -> {:ok, value}
      _text_or_absent -> fetch_text(headers, Map.get(@names, key, key), key)
    end
  end

  defp fetch_text(headers, name, key) do
    case Map.fetch(headers, Headers.key(headers, name)) do
      {:ok, text} -> read(text, key)
      :error -> :error
    end
  end

  @doc false
  @spec decode([String.t()] | String.t(), Headers.name()) ::
          {:ok, term} | {:error, ParseError.t()}
  def decode(text, name), do: read(text, key(name))

  defp read(text, key) when is_binary(text), do: read([text], key)

  defp read(text, key) do
    if not (is_list(text) and List.improper?(text) == false and Enum.all?(text, &is_binary/1)) do
      raise ArgumentError,
            "expected header #{inspect(key)} to hold a list of strings, got: #{inspect(text)}"
    end

    with {:ok, %{^key => value}} when is_atom(key) <- Native.decode_header(key, text),
         do: {:ok, value}
  end

  @doc false
  @spec encode(Headers.name(), term) :: [String.t()]
  def encode(name, value) do
    case Native.encode_header(key(name), value) do
      {:ok, text} -> text
      {:error, error} -> raise ArgumentError, Exception.message(error)
    end
  end

  # The key in the header map of a documented header field, else the name.
  defp key(name) when is_binary(name), do: Map.get(@keys, String.downcase(name, :ascii), name)
  defp key(name) when is_map_key(@names, name), do: name

  defp key(other) do
    raise ArgumentError,
          "expected the name of a header field, a string or a documented atom, got: #{inspect(other)}"
  end
end
