defmodule Sippet.Dialog.Route do
  # How a set of routes goes into a request (§12.2.1.1, §16.6). Called by Sippet.Dialog and Sippet.Proxy only.
  @moduledoc false

  alias Sippet.{Message, URI}
  alias Sippet.Message.Headers

  @doc """
  The Request-URI, the values of Route, and the target of a request.

  The target is `nil` where Route and Request-URI lead to the next hop. Behind a strict router they do not: the next hop
  is the Request-URI although there is a Route (§8.1.2), which nobody can tell from the request alone.
  """
  @spec apply([Headers.address()], URI.t(), protocol :: Headers.protocol()) ::
          {URI.t(), [Headers.address()], target :: tuple | nil}
  def apply([], remote_target, _protocol), do: {request_uri(remote_target), [], nil}

  def apply([{_display_name, first, _parameters} | rest] = route_set, remote_target, protocol) do
    if loose?(first) do
      {request_uri(remote_target), route_set, nil}
    else
      {request_uri(first), rest ++ [{"", remote_target, %{}}], target(first, protocol)}
    end
  end

  @doc "Tells whether a route is a loose router (§19.1.1)."
  @spec loose?(URI.t()) :: boolean
  def loose?(%URI{parameters: parameters}), do: parameter(parameters, "lr") != nil

  # §19.1.1, table 1: neither the parameter method nor headers may be in a Request-URI.
  defp request_uri(%URI{parameters: parameters} = uri),
    do: %{uri | parameters: without_method(parameters), headers: nil}

  defp without_method(nil), do: nil

  defp without_method(parameters) do
    kept =
      for pair <- String.split(parameters, ";", trim: true),
          name(pair) != "method",
          do: [?;, pair]

    if kept == [], do: nil, else: IO.iodata_to_binary(kept)
  end

  defp name(pair),
    do: pair |> :binary.split("=") |> hd() |> URI.percent_unescape() |> String.downcase(:ascii)

  defp target(%URI{scheme: scheme, host: host} = uri, protocol)
       when scheme in ["sip", "sips"] and is_binary(host) do
    host = parameter(uri.parameters, "maddr") || host
    {protocol(uri, protocol), host, uri.port || URI.default_port(scheme)}
  end

  defp target(_uri, _protocol), do: nil

  # §26.2.1: sips is TLS.
  defp protocol(%URI{scheme: "sips"}, protocol) when protocol in [:tls, :wss], do: protocol
  defp protocol(%URI{scheme: "sips"}, _protocol), do: :tls

  defp protocol(%URI{parameters: parameters}, protocol) do
    case parameter(parameters, "transport") do
      transport when transport in [nil, ""] -> protocol
      transport -> Message.to_protocol(transport)
    end
  end

  @doc "The value of a URI's parameter, nil where it is not there; of one without a value it is \"\"."
  @spec parameter(String.t() | nil, String.t()) :: String.t() | nil
  def parameter(nil, _wanted), do: nil

  def parameter(parameters, wanted) do
    Enum.find_value(String.split(parameters, ";", trim: true), fn pair ->
      if name(pair) == wanted do
        case :binary.split(pair, "=") do
          [_name, value] -> URI.percent_unescape(value)
          [_name] -> ""
        end
      end
    end)
  end
end
