defmodule Sippet.Proxy.Route do
  # Which URIs are this proxy's own, and what it does with Route, Record-Route and maddr (§16.4, §16.6). Called by
  # Sippet.Proxy and its modules only.
  @moduledoc false

  alias Sippet.{Dialog, Message, Proxy, URI}
  alias Sippet.Message.Headers

  @doc "Tells whether a URI leads to this element: one of its interfaces, aliases or domains."
  @spec own?(Proxy.t(), URI.t() | term) :: boolean
  def own?(%Proxy{} = proxy, %URI{scheme: scheme, host: host} = uri)
      when scheme in ["sip", "sips"] and is_binary(host) do
    host = Proxy.normalize_host(host)

    MapSet.member?(proxy.own, {host, uri.port}) or
      (uri.port == URI.default_port(scheme) and MapSet.member?(proxy.own, host))
  end

  def own?(_proxy, _uri), do: false

  @doc "What §16.4 asks for: `{request, routes of this element that were removed}`."
  @spec preprocess(Proxy.t(), Message.request()) :: {Message.request(), [Headers.address()]}
  def preprocess(proxy, request),
    do: request |> repair(proxy) |> strip_maddr(proxy) |> pop_own(proxy)

  # A strict router has put the URI of our Record-Route into the Request-URI, and what stood there to the end of Route.
  defp repair(%{start_line: start_line, headers: headers} = request, proxy) do
    with %{route: [_ | _] = routes} <- headers,
         true <- own?(proxy, start_line.request_uri),
         true <- Dialog.Route.loose?(start_line.request_uri),
         {{_name, %URI{} = last, _parameters}, rest} <- List.pop_at(routes, -1) do
      put_routes(%{request | start_line: %{start_line | request_uri: last}}, rest)
    else
      _ -> request
    end
  end

  # The request came by the port and the transport that the URI names beside its maddr: it means this element.
  defp strip_maddr(%{start_line: %{request_uri: uri} = start_line} = request, proxy) do
    with %URI{parameters: ";" <> _} <- uri,
         maddr when maddr not in [nil, ""] <- Dialog.Route.parameter(uri.parameters, "maddr"),
         true <- own?(proxy, %URI{scheme: uri.scheme, host: maddr, port: uri.port}),
         [{_version, protocol, _sent_by, _parameters} | _] <- Map.get(request.headers, :via),
         ^protocol <- protocol(uri),
         {:ok, {_host, port}} when port == uri.port <- Map.fetch(proxy.interfaces, protocol) do
      stripped = %{
        uri
        | parameters: without(uri.parameters, ["maddr", "transport"]),
          port: URI.default_port(uri.scheme),
          authority: nil
      }

      %{request | start_line: %{start_line | request_uri: stripped}}
    else
      _ -> request
    end
  end

  defp without(parameters, names) do
    kept =
      for {name, value} <- URI.parameters_decoder(parameters),
          String.downcase(name, :ascii) not in names,
          do: {name, value}

    if kept == [], do: nil, else: URI.encode_parameters(kept)
  end

  # Two of them where it was bridged (RFC 5658): both are ours.
  defp pop_own(request, proxy) do
    {own, rest} =
      request.headers
      |> Map.get(:route, [])
      |> Enum.split_while(&(match?({_name, %URI{}, _parameters}, &1) and own_route?(proxy, &1)))

    if own == [], do: {request, []}, else: {put_routes(request, rest), own}
  end

  defp own_route?(proxy, {_name, uri, _parameters}), do: own?(proxy, uri)

  @doc "Sets Route; an empty one is none."
  @spec put_routes(Message.request(), [Headers.address()]) :: Message.request()
  def put_routes(request, []), do: Message.delete_header(request, :route)
  def put_routes(request, routes), do: Message.put_header(request, :route, routes)

  @doc "The protocol that a URI names, explicitly or by default (§19.1.2, RFC 7118 §5.2.2); nil if it names none here."
  @spec protocol(URI.t()) :: Message.protocol()
  def protocol(%URI{scheme: scheme, parameters: parameters}) do
    case {scheme, Dialog.Route.parameter(parameters, "transport")} do
      {"sips", transport} when is_binary(transport) -> secure(Message.to_protocol(transport))
      {"sips", nil} -> :tls
      {_sip, transport} when transport in [nil, ""] -> :udp
      {_sip, transport} -> Message.to_protocol(transport)
    end
  end

  defp secure(protocol) when protocol in [:ws, :wss], do: :wss
  defp secure(_other), do: :tls

  @doc """
  The protocol by which a request will leave, as far as it can be told before it is sent: that of its target, else of its
  topmost Route or Request-URI, as long as there is an interface of it.
  """
  @spec outgoing(Proxy.t(), Message.request(), Proxy.Target.t()) :: Message.protocol()
  def outgoing(_proxy, _request, %{target: {protocol, _host, _port}}), do: protocol
  def outgoing(_proxy, _request, %{protocol: protocol}) when protocol != nil, do: protocol

  def outgoing(proxy, request, _target) do
    uri =
      case request.headers do
        %{route: [{_name, %URI{} = uri, _parameters} | _]} -> uri
        _ -> request.start_line.request_uri
      end

    protocol = protocol(uri)

    if is_map_key(proxy.interfaces, protocol), do: protocol, else: proxy.default
  end

  @doc "A value of Record-Route for a request: how this element is reached by a protocol."
  @spec record_route(Proxy.t(), Message.request(), Message.protocol()) :: URI.t()
  def record_route(proxy, request, protocol),
    do: uri(proxy, if(secure?(request), do: "sips", else: "sip"), protocol)

  # §16.6, step 4.
  defp secure?(%{start_line: %{request_uri: %URI{scheme: "sips"}}}), do: true

  defp secure?(%{headers: %{route: [{_name, %URI{scheme: "sips"}, _parameters} | _]}}), do: true
  defp secure?(_request), do: false

  # The port is always written: what stands for it otherwise depends on the protocol (RFC 7118 §5.2.4).
  defp uri(proxy, scheme, protocol) do
    {host, port} = interface(proxy, protocol)

    %URI{
      scheme: scheme,
      host: host,
      port: port,
      authority: authority(host, port),
      parameters: transport(scheme, protocol) <> ";lr"
    }
  end

  @doc "Host and port as text."
  @spec authority(String.t(), :inet.port_number()) :: String.t()
  def authority(host, port),
    do: if(String.contains?(host, ":"), do: "[#{host}]:#{port}", else: "#{host}:#{port}")

  defp transport("sips", protocol) when protocol in [:ws, :wss], do: ";transport=ws"
  defp transport("sips", _protocol), do: ""
  defp transport("sip", :udp), do: ""
  defp transport("sip", protocol), do: ";transport=" <> String.downcase(to_string(protocol))

  @doc "How this element is named by a protocol."
  @spec interface(Proxy.t(), Message.protocol()) :: {String.t(), :inet.port_number()}
  def interface(proxy, protocol),
    do: Map.get_lazy(proxy.interfaces, protocol, fn -> proxy.interfaces[proxy.default] end)
end
