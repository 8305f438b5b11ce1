defmodule Sippet.Routing.NextHop do
  # Which URI a request goes to, by Route and Request-URI (§8.1.2, §12.2.1.1, §16.6). Pure; called by
  # Sippet.Transport.Destination, and by Sippet.Dialog.Route for the parameters.
  @moduledoc false

  alias Sippet.{Message, URI}

  @doc """
  The URI that is the next hop, and the request as it is to be written for that.

  Before a strict router, a topmost Route without `lr`, that Route becomes the Request-URI, and what stood there the last
  Route (§16.6 step 6). A request with a `target` is written as it is.
  """
  @spec of(Message.request()) :: {term, Message.request()}
  def of(
        %Message{headers: %{route: [{_display_name, %URI{} = first, _parameters} | rest]}} =
          request
      ) do
    if loose?(first), do: {first, request}, else: strict(request, first, rest)
  end

  def of(request), do: {request.start_line.request_uri, request}

  defp strict(%{start_line: start_line} = request, first, rest) do
    uri = request_uri(first)
    route = rest ++ [{"", start_line.request_uri, %{}}]
    request = Message.put_header(request, :route, route)
    {uri, %{request | start_line: %{start_line | request_uri: uri}}}
  end

  @doc "Whether a router of this URI is a loose one (§19.1.1)."
  @spec loose?(URI.t()) :: boolean
  def loose?(%URI{parameters: parameters}), do: parameter(parameters, "lr") != nil

  @doc "The URI as a Request-URI has it: neither with a parameter `method` nor with headers (§19.1.1, table 1)."
  @spec request_uri(URI.t()) :: URI.t()
  def request_uri(%URI{parameters: parameters} = uri),
    do: %{uri | parameters: without_method(parameters), headers: nil}

  defp without_method(nil), do: nil

  defp without_method(parameters) do
    kept =
      for pair <- String.split(parameters, ";", trim: true),
          name(pair) != "method",
          do: [?;, pair]

    if kept == [], do: nil, else: IO.iodata_to_binary(kept)
  end

  @doc "A parameter of a URI, by its name in any case (§19.1.4); nil if there is none, \"\" if it has no value."
  @spec parameter(String.t() | nil, String.t()) :: String.t() | nil
  def parameter(nil, _wanted), do: nil
  def parameter("", _wanted), do: nil
  def parameter(";" <> pairs, wanted), do: parameter(pairs, wanted)

  # Byte by byte: what :binary and String do for that costs a process its turn, and this is asked with each request.
  def parameter(pairs, wanted) do
    size = pair_size(pairs, 0)
    <<pair::binary-size(size), rest::binary>> = pairs

    case value(pair, wanted) do
      nil -> parameter(rest, wanted)
      value -> value
    end
  end

  defp plain?(<<?%, _::binary>>), do: false
  defp plain?(<<_, text::binary>>), do: plain?(text)
  defp plain?(""), do: true

  defp pair_size(<<?;, _::binary>>, size), do: size
  defp pair_size(<<_, text::binary>>, size), do: pair_size(text, size + 1)
  defp pair_size("", size), do: size

  defp value("", ""), do: ""

  defp value("=" <> value, ""),
    do: if(plain?(value), do: value, else: URI.percent_unescape(value))

  defp value(<<c, pair::binary>>, <<c, wanted::binary>>), do: value(pair, wanted)

  defp value(<<c, pair::binary>>, <<w, wanted::binary>>) when c in ?A..?Z and c + 32 == w,
    do: value(pair, wanted)

  defp value(<<?%, high, low, pair::binary>>, wanted) do
    case URI.percent_unescape(<<?%, high, low>>) do
      <<byte>> -> value(<<byte, pair::binary>>, wanted)
      _no_escape -> nil
    end
  end

  defp value(_another, _wanted), do: nil

  defp name(pair),
    do: pair |> :binary.split("=") |> hd() |> URI.percent_unescape() |> String.downcase(:ascii)
end
