defmodule Sippet.Message.Headers do
  @moduledoc """
  The shapes of the header fields in `Sippet.Message`.

  Known header fields have an atom as key and the shape that `t:t/0` gives. All others have a string as key, in the
  IANA spelling where the name is registered (`"Session-Expires"`, also where it came as `x`), and a list of strings
  as value, one for each line.

  `parameters` are a map: names in lower case, values without quotes, `""` for one that has no value.
  """

  @typedoc "An atom for a known header field, a string for any other."
  @type name :: atom | String.t()

  @typedoc "A known method is an atom in lower case, any other a string as it stands on the wire."
  @type method :: atom | String.t()

  @typedoc "A known transport protocol is an atom in lower case, any other a string."
  @type protocol :: atom | String.t()

  @type token :: String.t()

  @type parameters :: %{optional(String.t()) => String.t()}

  @type uri :: Sippet.URI.t()

  @type token_parameters :: {token, parameters}

  @typedoc "Both parts of the type are in lower case."
  @type media_type :: {{type :: String.t(), subtype :: String.t()}, parameters}

  @type uri_parameters :: {uri, parameters}

  @typedoc "The display name is without its quotes, `\"\"` where there is none."
  @type address :: {display_name :: String.t(), uri, parameters}

  @type authentication :: {scheme :: String.t(), parameters}

  @typedoc "The port is 0 where none was written and the protocol has no default here."
  @type via ::
          {{major :: non_neg_integer, minor :: non_neg_integer}, protocol,
           {host :: String.t(), :inet.port_number()}, parameters}

  @type warning :: {code :: 100..999, agent :: String.t(), text :: String.t()}

  @type t :: %{
          optional(:accept) => [media_type],
          optional(:accept_encoding) => [token_parameters],
          optional(:accept_language) => [token_parameters],
          optional(:alert_info) => [uri_parameters],
          optional(:allow) => [token],
          optional(:authentication_info) => parameters,
          optional(:authorization) => [authentication],
          optional(:call_id) => token,
          optional(:call_info) => [uri_parameters],
          optional(:contact) => String.t() | [address],
          optional(:content_disposition) => token_parameters,
          optional(:content_encoding) => [token],
          optional(:content_language) => [token],
          optional(:content_length) => non_neg_integer,
          optional(:content_type) => media_type,
          optional(:cseq) => {non_neg_integer, method},
          optional(:date) => NaiveDateTime.t(),
          optional(:error_info) => [uri_parameters],
          optional(:expires) => non_neg_integer,
          optional(:from) => address,
          optional(:in_reply_to) => [token],
          optional(:max_forwards) => non_neg_integer,
          optional(:mime_version) => {major :: non_neg_integer, minor :: non_neg_integer},
          optional(:min_expires) => non_neg_integer,
          optional(:organization) => String.t(),
          optional(:p_asserted_identity) => [address],
          optional(:priority) => token,
          optional(:proxy_authenticate) => [authentication],
          optional(:proxy_authorization) => [authentication],
          optional(:proxy_require) => [token],
          optional(:reason) => [token_parameters],
          optional(:record_route) => [address],
          optional(:reply_to) => address,
          optional(:require) => [token],
          optional(:retry_after) =>
            {seconds :: non_neg_integer, comment :: String.t(), parameters},
          optional(:route) => [address],
          optional(:server) => String.t(),
          optional(:subject) => String.t(),
          optional(:supported) => [token],
          optional(:timestamp) => {timestamp :: float, delay :: float},
          optional(:to) => address,
          optional(:unsupported) => [token],
          optional(:user_agent) => String.t(),
          optional(:via) => [via],
          optional(:warning) => [warning],
          optional(:www_authenticate) => [authentication],
          optional(String.t()) => [String.t()]
        }

  # The compact forms at IANA of header fields that have a string key.
  @compact %{
    "a" => "accept-contact",
    "b" => "referred-by",
    "d" => "request-disposition",
    "j" => "reject-contact",
    "n" => "identity-info",
    "o" => "event",
    "r" => "refer-to",
    "u" => "allow-events",
    "x" => "session-expires",
    "y" => "identity"
  }

  # The rest works on the map of a message for Sippet.Message, where it is documented.

  # Names on the wire have no case (§7.3.1): a string finds the key that differs in case only, and a compact form finds
  # the long one.
  @doc false
  @spec key(map, name) :: name
  def key(headers, name) when is_binary(name) and not is_map_key(headers, name) do
    wanted = folded(name)
    Enum.find(Map.keys(headers), name, &(is_binary(&1) and folded(&1) == wanted))
  end

  def key(_headers, name), do: name

  defp folded(name) do
    name = String.downcase(name, :ascii)
    Map.get(@compact, name, name)
  end

  @doc false
  @spec list!(map, name) :: list
  def list!(headers, key) do
    case headers do
      %{^key => list} when is_list(list) ->
        list

      %{^key => other} ->
        raise ArgumentError,
              "expected header #{inspect(key)} to hold a list, got: #{inspect(other)}"

      _absent ->
        []
    end
  end

  @doc false
  @spec put_end(map, name, term, :front | :back) :: map
  def put_end(headers, name, value, place) do
    key = key(headers, name)
    list = list!(headers, key)
    Map.put(headers, key, if(value == nil, do: list, else: add(list, value, place)))
  end

  @doc false
  @spec pop_end(map, name, term, :front | :back) :: {term, map}
  def pop_end(headers, name, default, place) do
    key = key(headers, name)

    case headers |> list!(key) |> take(place) do
      :empty -> {default, Map.delete(headers, key)}
      {value, []} -> {value, Map.delete(headers, key)}
      {value, rest} -> {value, Map.put(headers, key, rest)}
    end
  end

  @doc false
  @spec fetch_end(map, name, :front | :back) :: {:ok, term} | :error
  def fetch_end(headers, name, place) do
    case Map.fetch(headers, key(headers, name)) do
      {:ok, list} when is_list(list) -> {:ok, peek(list, place)}
      _other -> :error
    end
  end

  @doc false
  @spec fetch_end!(map, name, :front | :back) :: term
  def fetch_end!(headers, name, place) do
    key = key(headers, name)
    if not is_map_key(headers, key), do: raise(KeyError, key: name, term: headers)
    headers |> list!(key) |> peek(place)
  end

  @doc false
  @spec get_end(map, name, term, :front | :back) :: term
  def get_end(headers, name, default, place) do
    key = key(headers, name)
    if is_map_key(headers, key), do: headers |> list!(key) |> peek(place), else: default
  end

  @doc false
  @spec update_end(map, name, term, (term -> term), :front | :back) :: map
  def update_end(headers, name, initial, fun, place) do
    key = key(headers, name)

    case headers |> list!(key) |> take(place) do
      :empty -> Map.put(headers, key, List.wrap(initial))
      {value, rest} -> Map.put(headers, key, add(rest, fun.(value), place))
    end
  end

  @doc false
  @spec get_and_update_end(map, name, (term -> {get, term} | :pop), :front | :back) :: {get, map}
        when get: term
  def get_and_update_end(headers, name, fun, place) do
    key = key(headers, name)
    taken = headers |> list!(key) |> take(place)

    {value, rest} =
      case taken do
        :empty -> {nil, []}
        pair -> pair
      end

    case {fun.(value), taken} do
      {{get, nil}, _taken} ->
        {get, Map.put(headers, key, rest)}

      {{get, new}, _taken} ->
        {get, Map.put(headers, key, add(rest, new, place))}

      {:pop, :empty} ->
        {nil, Map.delete(headers, key)}

      {:pop, _taken} ->
        {value, Map.put(headers, key, rest)}

      {other, _taken} ->
        raise ArgumentError,
              "expected the function to return a pair or :pop, got: #{inspect(other)}"
    end
  end

  defp peek(list, :front), do: List.first(list)
  defp peek(list, :back), do: List.last(list)

  defp take([], _place), do: :empty
  defp take([value | rest], :front), do: {value, rest}
  defp take(list, :back), do: List.pop_at(list, -1)

  defp add(list, value, :front), do: [value | list]
  defp add(list, value, :back), do: list ++ [value]
end
