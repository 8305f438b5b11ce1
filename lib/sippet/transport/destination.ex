defmodule Sippet.Transport.Destination do
  # Where a message goes: which transport, which connection, which address. Settled before a transaction exists, since its
  # timers depend on the transport. Called by Sippet.Router only.
  @moduledoc false

  alias Sippet.{Flow, Message, Resolver, Sim, Stack, Transport, TransportError, URI}
  alias Sippet.Resolver.{Name, Question, Service, Target}

  @type settled :: {:ok, Transport.t(), connection :: non_neg_integer, Transport.remote()}

  @doc "Of a request: its target, else its topmost Route, else its Request-URI (§8.1.2)."
  @spec of_request(Stack.t(), Message.t()) :: settled | {:error, TransportError.t()}
  def of_request(stack, %Message{target: %Flow{} = flow}) do
    with {:ok, transport} <- of_flow(stack, flow),
         do: {:ok, transport, flow.connection, flow.remote}
  end

  def of_request(stack, %Message{target: {protocol, host, port}})
      when is_binary(host) and port in 0..65_535,
      do: settle(stack, protocol, host, port)

  def of_request(stack, %Message{target: nil} = request) do
    uri =
      case request.headers do
        %{route: [{_name, %URI{} = uri, _parameters} | _]} -> uri
        _ -> request.start_line.request_uri
      end

    case uri do
      %URI{scheme: scheme, host: host} when scheme in ["sip", "sips"] and is_binary(host) ->
        protocol = protocol(uri, request)
        settle(stack, protocol, host, port(uri, protocol), &question(uri, request, &1))

      _ ->
        {:error, %TransportError{reason: :no_destination, address: to_string(uri)}}
    end
  end

  def of_request(_stack, %Message{target: target}), do: bad_target!(target)

  @doc "Of a response: nil leaves it to its transaction, which knows where the request came from."
  @spec of_response(Stack.t(), Message.t()) ::
          {:ok, {non_neg_integer, non_neg_integer, Transport.remote()} | nil}
          | {:error, TransportError.t()}
  def of_response(_stack, %Message{target: nil}), do: {:ok, nil}

  def of_response(stack, %Message{target: %Flow{} = flow}) do
    with {:ok, _transport} <- of_flow(stack, flow),
         do: {:ok, {flow.transport, flow.connection, flow.remote}}
  end

  def of_response(stack, %Message{target: {protocol, host, port}})
      when is_binary(host) and port in 0..65_535 do
    with {:ok, transport, connection, remote} <- settle(stack, protocol, host, port) do
      {:ok, {transport.id, connection, remote}}
    end
  end

  def of_response(_stack, %Message{target: target}), do: bad_target!(target)

  @doc "The request with the protocol in its topmost Via that it is sent by (§18.1.1), and `alias` where that is asked for (RFC 5923)."
  @spec put_protocol(Message.t(), Transport.t()) :: Message.t()
  def put_protocol(%Message{headers: %{via: [via | more]}} = request, %Transport{} = transport) do
    {version, protocol, sent_by, parameters} = via
    aliased = if transport.alias, do: Map.put(parameters, "alias", ""), else: parameters

    if protocol == transport.protocol and aliased == parameters do
      request
    else
      via = {version, transport.protocol, sent_by, aliased}
      Message.put_header(request, :via, [via | more])
    end
  end

  # A flow names one connection, and nothing takes its place.
  defp of_flow(stack, flow) do
    case Transport.fetch(stack, flow.transport) do
      {:ok, %{connections: true} = transport} ->
        if transport.module.connected?(transport.handle, flow.connection) do
          {:ok, transport}
        else
          {ip, port} = flow.remote
          error(:connection_closed, transport.protocol, ip, port)
        end

      {:ok, transport} ->
        {:ok, transport}

      :error ->
        {:error, %TransportError{reason: :transport_closed}}
    end
  end

  @doc "Of a response without a transaction, from the request as it was received (§18.2.2, RFC 3581 §4)."
  @spec of_stateless_response(Flow.t(), Message.t()) ::
          {non_neg_integer, non_neg_integer, Transport.remote()}
  def of_stateless_response(%Flow{connection: 0, remote: {ip, port}} = flow, request) do
    [{_version, _protocol, {_host, sent_by_port}, parameters} | _] = request.headers.via

    remote =
      cond do
        is_map_key(parameters, "maddr") and match?({:ok, _}, literal(parameters["maddr"])) ->
          {:ok, ip} = literal(parameters["maddr"])
          {ip, sent_by_port}

        is_map_key(parameters, "rport") ->
          {ip, port}

        true ->
          {ip, sent_by_port}
      end

    {flow.transport, 0, remote}
  end

  # By its connection; the address is that of a new one, should it be closed.
  def of_stateless_response(%Flow{remote: {ip, _port}} = flow, request) do
    [{_version, _protocol, {_host, sent_by_port}, _parameters} | _] = request.headers.via
    {flow.transport, flow.connection, {ip, sent_by_port}}
  end

  @doc "The address of a host: numeric at once, a name by the system's resolver."
  @spec address(:inet.ip_address() | String.t(), :inet | :inet6 | :any) ::
          {:ok, :inet.ip_address()} | {:error, atom}
  def address(host, _family) when is_tuple(host), do: {:ok, host}

  def address(host, family) when is_binary(host) do
    with {:error, :einval} <- literal(host), do: resolve(host, family)
  end

  defp literal(host),
    do: host |> String.trim_leading("[") |> String.trim_trailing("]") |> parse_address()

  # A host from the network may be any bytes.
  defp parse_address(text), do: text |> :binary.bin_to_list() |> :inet.parse_strict_address()

  # Nobody has it (RFC 6761 §6.4), and a telephone in a page says so of itself (RFC 7118 B.1): its flow leads to it.
  defp resolve(host, family) do
    if host
       |> String.downcase(:ascii)
       |> String.trim_trailing(".")
       |> String.ends_with?(".invalid"),
       do: {:error, :nxdomain},
       else: ask(host, family)
  end

  defp ask(host, :any) do
    with {:error, _reason} <- ask(host, :inet), do: ask(host, :inet6)
  end

  defp ask(host, family), do: host |> :binary.bin_to_list() |> :inet.getaddr(family)

  # §26.2.1: sips is TLS hop by hop; over WebSocket its URI has transport=ws all the same (RFC 7118 §5.5). Else the URI's
  # parameter, else what the Via says.
  defp protocol(%URI{scheme: "sips", parameters: parameters}, _request) do
    case transport(parameters) do
      {:ok, transport} when transport in [:ws, :wss] -> :wss
      _ -> :tls
    end
  end

  defp protocol(%URI{parameters: parameters}, request) do
    case transport(parameters) do
      {:ok, protocol} ->
        protocol

      :error ->
        [{_version, protocol, _sent_by, _parameters} | _] = request.headers.via
        protocol
    end
  end

  # The default is that of the transport (§19.1.2, RFC 7118 §5.5), as long as no port was written.
  defp port(%URI{scheme: scheme, port: port, authority: authority}, protocol) do
    written? = is_binary(authority) and String.ends_with?(authority, ":#{port}")

    if port == nil or (port == URI.default_port(scheme) and not written?),
      do: Service.default_port(protocol),
      else: port
  end

  # Names of parameters are the same in any case (§19.1.4).
  defp transport(parameters) when is_binary(parameters) do
    Enum.find_value(URI.decode_parameters(parameters), :error, fn {name, value} ->
      if String.downcase(name) == "transport" and value not in [nil, ""],
        do: {:ok, Message.to_protocol(value)}
    end)
  end

  defp transport(_none), do: :error

  # A protocol, a host and a port as the core has set them leave the resolver to find addresses.
  defp settle(stack, protocol, host, port) do
    settle(stack, protocol, host, port, fn transports ->
      transports = Enum.filter(transports, &match?({^protocol, _families}, &1))
      %Question{domain: host, host: host, port: port, transport: protocol, transports: transports}
    end)
  end

  # What a URI says, with the protocol of the Via where neither it nor DNS says more.
  defp question(uri, request, transports) do
    [{_version, protocol, _sent_by, _parameters} | _] = request.headers.via
    {:ok, question} = Question.of_uri(uri, transports)
    %{question | default: protocol}
  end

  defp settle(stack, protocol, host, port, question) do
    case Transport.by_protocol(stack, protocol) do
      [%Transport{module: Transport.Process} = transport | _] ->
        # It resolves by itself.
        {:ok, transport, 0, {host, port}}

      [%Transport{proxy: :remote} = transport | _] ->
        settle_name(transport, protocol, host, port)

      [%Transport{module: Sim.Transport} = transport | _] = transports ->
        with {:ok, ip} <- Sim.Transport.resolve(transport.handle, host),
             do: settle_address(transports, protocol, ip, port, ip),
             else: ({:error, reason} -> error(reason, protocol, host, port))

      transports ->
        # Numeric hosts never ask.
        case Name.literal(host) do
          {:ok, ip} when transports != [] -> settle_address(transports, protocol, ip, port, host)
          {:ok, _ip} -> error(:no_transport, protocol, host, port)
          :error -> locate(stack, question, protocol, port)
        end
    end
  end

  # The far end of the proxy resolves, and the resolver is not asked.
  defp settle_name(transport, protocol, host, port) do
    with {:ok, far} <- far(host),
         {:ok, connection} <- connect(transport, {far, port}, host) do
      {:ok, transport, connection, {far, port}}
    else
      {:error, reason} -> error(reason, protocol, host, port)
    end
  end

  defp far(host) do
    case {Name.literal(host), Name.normalise(host)} do
      {{:ok, ip}, _} -> {:ok, ip}
      {:error, {:ok, name}} -> if Name.invalid?(name), do: {:error, :nxdomain}, else: {:ok, name}
      {:error, :error} -> {:error, :bad_name}
    end
  end

  # RFC 3263. Whoever resolves by itself is left out: the message goes to an address.
  defp locate(stack, question, protocol, port) do
    available =
      stack
      |> Transport.all()
      |> Enum.reject(&(&1.module in [Transport.Process, Sim.Transport]))

    question = question.(Resolver.available(available))

    case Resolver.locate(stack, question) do
      {:ok, [%Target{} = target | _others]} ->
        of_protocol = Enum.filter(available, &(&1.protocol == target.transport))
        domain = target.domain || question.domain
        settle_address(of_protocol, target.transport, target.address, target.port, domain)

      {:error, error} ->
        error(error.reason, protocol, error.host || question.host, port)
    end
  end

  # `host` is the one whose name a certificate has to bear.
  defp settle_address(transports, protocol, ip, port, host) do
    with %Transport{} = transport <- Enum.find(transports, &reaches?(&1, ip)),
         {:ok, connection} <- connect(transport, {ip, port}, host) do
      {:ok, transport, connection, {ip, port}}
    else
      nil -> error(:no_transport, protocol, host, port)
      {:error, reason} -> error(reason, protocol, host, port)
    end
  end

  defp connect(%Transport{connections: true} = transport, remote, host),
    do: transport.module.connect(transport.handle, remote, host)

  defp connect(_transport, _remote, _host), do: {:ok, 0}

  # Through a proxy either family.
  defp reaches?(%Transport{proxy: proxy}, _ip) when proxy != nil, do: true
  defp reaches?(transport, ip), do: family(transport) == family(ip)

  defp family(%Transport{address: {ip, _port}}), do: family(ip)
  defp family(%Transport{address: nil}), do: :inet
  defp family(ip) when tuple_size(ip) == 4, do: :inet
  defp family(ip) when tuple_size(ip) == 8, do: :inet6

  defp error(reason, protocol, host, port) do
    {:error, %TransportError{reason: reason, protocol: protocol, address: host, port: port}}
  end

  defp bad_target!(target) do
    raise ArgumentError,
          "expected :target of the message to be nil, a %Sippet.Flow{} or {protocol, host, port}, got: #{inspect(target)}"
  end
end
