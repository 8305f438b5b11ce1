defmodule Sippet.Transport.Destination do
  # Where a message goes: which transport, which connection, which address. Settled before a transaction exists, since its
  # timers depend on the transport. Called by Sippet.Router only.
  @moduledoc false

  alias Sippet.{Flow, Message, Native, Resolver, Sim, Stack, Transport, TransportError, URI}
  alias Sippet.Resolver.{Name, Question, Service, Target}
  alias Sippet.Routing.NextHop

  @type settled :: {:ok, Transport.t(), connection :: non_neg_integer, Transport.remote()}

  @typedoc "The request as it is to be written, and where it goes; or where it may go."
  @type chosen ::
          {:ok, Message.t(), Transport.t(), connection :: non_neg_integer, Transport.remote()}
          | {:targets, Message.t(), [Target.t(), ...]}
          | {:error, TransportError.t()}

  @doc """
  Of a request: its target, else its topmost Route, else its Request-URI (§8.1.2).

  An address is settled at once. A name has targets, which `Sippet.Routing.Attempts` tries.
  """
  @spec of_request(Stack.t(), Message.t()) :: chosen
  def of_request(stack, %Message{target: %Flow{} = flow} = request) do
    with {:ok, transport} <- of_flow(stack, flow),
         do: {:ok, request, transport, flow.connection, flow.remote}
  end

  def of_request(stack, %Message{target: {protocol, host, port}} = request)
      when is_binary(host) and port in 0..65_535,
      do: of_target(stack, request, protocol, host, port)

  def of_request(stack, %Message{target: nil} = request) do
    {uri, request} = NextHop.of(request)

    with %URI{} <- uri,
         {:ok, question} <- Question.of_uri(uri, []) do
      of_question(stack, request, question)
    else
      _ -> {:error, %TransportError{reason: :no_destination, address: to_string(uri)}}
    end
  end

  def of_request(_stack, %Message{target: target}), do: bad_target!(target)

  @doc "Of a CANCEL: where its INVITE went, whatever leads there now (§9.1); of one that is not open as of any request."
  @spec of_cancel(Stack.t(), Message.t()) :: chosen
  def of_cancel(stack, %Message{headers: %{via: [{_, _, _, %{"branch" => branch}} | _]}} = cancel) do
    with {id, connection, remote} <- Native.engine_target(stack.engine, {branch, "INVITE"}),
         {:ok, transport} <- Transport.fetch(stack, id) do
      {:ok, cancel, transport, connection, remote}
    else
      _ -> of_request(stack, cancel)
    end
  end

  @doc "Of a response: nil leaves it to its transaction, which knows where the request came from."
  @spec of_response(Stack.t(), Message.t()) ::
          {:ok, {non_neg_integer, non_neg_integer, Transport.remote()} | nil}
          | {:error, TransportError.t()}
  def of_response(_stack, %Message{target: nil}), do: {:ok, nil}

  def of_response(stack, %Message{target: %Flow{} = flow}) do
    with {:ok, _transport} <- of_flow(stack, flow),
         do: {:ok, {flow.transport, flow.connection, flow.remote}}
  end

  def of_response(stack, %Message{target: {protocol, host, port}} = response)
      when is_binary(host) and port in 0..65_535 do
    case of_target(stack, response, protocol, host, port) do
      {:ok, _response, transport, connection, remote} ->
        {:ok, {transport.id, connection, remote}}

      {:targets, _response, [target | _others]} ->
        with {:ok, transport, connection, remote} <- settle(stack, target),
             do: {:ok, {transport.id, connection, remote}}

      {:error, _error} = error ->
        error
    end
  end

  def of_response(_stack, %Message{target: target}), do: bad_target!(target)

  @doc """
  The request with what its topmost Via has of the transport (§18.1.1): the protocol, the port where the core has left that open, and
  `alias` where that is asked for (RFC 5923).
  """
  @spec put_via(Message.request(), Transport.t()) :: Message.request()
  def put_via(
        %Message{headers: %{via: [{version, _, {host, port}, %{} = parameters} = via | more]}} =
          request,
        %Transport{} = transport
      ) do
    port = if own_port?(request), do: bound_port(transport) || port, else: port
    parameters = if transport.alias, do: Map.put(parameters, "alias", ""), else: parameters

    case {version, transport.protocol, {host, port}, parameters} do
      ^via -> request
      changed -> Message.put_header(request, :via, [changed | more])
    end
  end

  # Of another shape, which cannot be written either: that is where it is refused.
  def put_via(request, _transport), do: request

  @doc "Whether the port in the topmost Via is left to the transport. A host of nobody's has none (RFC 7118 B.1)."
  @spec own_port?(Message.request()) :: boolean
  def own_port?(%Message{headers: %{via: [{_, _, {host, 0}, _} | _]}}) when is_binary(host),
    do: not nobodys?(host)

  def own_port?(_request), do: false

  @doc "The port that a transport is reached at; nil if it has no address."
  @spec bound_port(Transport.t()) :: :inet.port_number() | nil
  def bound_port(%Transport{address: {_ip, port}}), do: port
  def bound_port(%Transport{address: nil}), do: nil

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
    if nobodys?(host), do: {:error, :nxdomain}, else: ask(host, family)
  end

  defp nobodys?(host),
    do: host |> String.downcase(:ascii) |> String.trim_trailing(".") |> Name.invalid?()

  defp ask(host, :any) do
    with {:error, _reason} <- ask(host, :inet), do: ask(host, :inet6)
  end

  defp ask(host, family), do: host |> :binary.bin_to_list() |> :inet.getaddr(family)

  # A protocol, a host and a port as the core has set them leave the resolver to find addresses.
  defp of_target(stack, message, protocol, host, port) do
    case Transport.by_protocol(stack, protocol) do
      [%Transport{module: Transport.Process} = transport | _] ->
        # It resolves by itself.
        {:ok, message, transport, 0, {host, port}}

      [%Transport{proxy: :remote} = transport | _] ->
        reach_name(message, transport, host, port, host)

      transports ->
        case address_of(transports, host) do
          {:ok, _ip} when transports == [] ->
            error(:no_transport, protocol, host, port)

          {:ok, ip} ->
            with {:ok, transport, connection, remote} <-
                   settle_address(transports, protocol, ip, port, host),
                 do: {:ok, message, transport, connection, remote}

          {:error, reason} ->
            error(reason, protocol, host, port)

          :error ->
            locate(stack, message, protocol, fn available ->
              transports = Enum.filter(available, &match?({^protocol, _families}, &1))

              %Question{
                domain: host,
                host: host,
                port: port,
                transport: protocol,
                transports: transports
              }
            end)
        end
    end
  end

  # What a URI says, with the protocol of the Via where neither it nor DNS says more.
  defp of_question(stack, request, question) do
    [{_version, via, _sent_by, _parameters} | _] = request.headers.via
    question = %{question | default: via}
    transports = Transport.all(stack)
    protocol = protocol(question)

    case Enum.find(transports, &(&1.protocol == protocol)) do
      %Transport{module: Transport.Process} = transport ->
        {:ok, request, transport, 0, {question.host, port(question, protocol)}}

      %Transport{proxy: :remote} = transport ->
        reach_name(request, transport, question.host, port(question, protocol), question.domain)

      transport ->
        case address_of(List.wrap(transport), question.host) do
          {:ok, ip} ->
            if transport != nil and reaches?(transport, ip),
              do: reach(request, question, transport, ip),
              else: of_address(request, question, transports, ip)

          {:error, reason} ->
            error(reason, protocol, question.host, port(question, protocol))

          :error ->
            locate(stack, request, protocol, &%{question | transports: &1})
        end
    end
  end

  # A numeric host, and not the protocol or the family of it that is the first choice: the resolver's rules, without asking it
  # (RFC 3263 §4.1).
  defp of_address(request, question, transports, ip) do
    chosen = protocol(question)
    usual = if question.secure, do: :tls, else: :udp

    case Enum.filter(transports, &takes?(&1, question, ip)) do
      [] ->
        error(:no_transport, chosen || question.transport, question.host, port(question, chosen))

      [first | _] = transports ->
        transport =
          Enum.find(transports, &(&1.protocol == chosen)) ||
            Enum.find(transports, first, &(&1.protocol == usual))

        reach(request, question, transport, ip)
    end
  end

  defp reach(request, question, transport, ip) do
    port = port(question, transport.protocol)

    case connect(transport, {ip, port}, question.domain) do
      {:ok, connection} -> {:ok, request, transport, connection, {ip, port}}
      {:error, reason} -> error(reason, transport.protocol, question.domain, port)
    end
  end

  # The protocol that a URI names, TLS for sips (§26.2.1; RFC 7118 §5.5 for WebSocket), else that of the Via.
  defp protocol(%Question{transport: nil, secure: true, default: via}),
    do: if(Service.secure?(via), do: via, else: :tls)

  defp protocol(%Question{transport: nil, default: via}), do: via

  # None where there is no such thing over TLS: sips never goes without.
  defp protocol(%Question{transport: transport, secure: true}), do: Service.secured(transport)

  defp protocol(%Question{transport: transport}), do: transport

  defp port(%Question{port: nil}, protocol), do: Service.default_port(protocol)
  defp port(%Question{port: port}, _protocol), do: port

  # As of RFC 3263 §4.1: what the URI names, else all that it allows; the families have to agree.
  defp takes?(%Transport{protocol: protocol} = transport, question, ip) do
    reaches?(transport, ip) and
      case question do
        %Question{transport: nil, secure: secure} -> not secure or Service.secure?(protocol)
        %Question{transport: wanted, secure: true} -> protocol == Service.secured(wanted)
        %Question{transport: wanted} -> protocol == wanted
      end
  end

  # Numeric hosts never ask; nor does a simulation.
  defp address_of([%Transport{module: Sim.Transport} = transport | _], host),
    do: Sim.Transport.resolve(transport.handle, host)

  defp address_of(_transports, host), do: Name.literal(host)

  # The far end of the proxy resolves, and the resolver is not asked. `domain` is whose name a certificate has to bear.
  defp reach_name(message, transport, host, port, domain) do
    with {:ok, far} <- far(host),
         {:ok, connection} <- connect(transport, {far, port}, domain) do
      {:ok, message, transport, connection, {far, port}}
    else
      {:error, reason} -> error(reason, transport.protocol, host, port)
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
  defp locate(stack, message, protocol, question) do
    available =
      stack
      |> Transport.all()
      |> Enum.reject(&(&1.module in [Transport.Process, Sim.Transport]))

    question = question.(Resolver.available(available))

    case Resolver.locate(stack, question) do
      {:ok, targets} ->
        {:targets, message,
         for(target <- targets, do: %{target | domain: target.domain || question.domain})}

      {:error, error} ->
        error(error.reason, protocol, error.host || question.host, port(question, protocol))
    end
  end

  @doc "The transport and the connection to a target. Blocks while a connection is made."
  @spec settle(Stack.t(), Target.t()) :: settled | {:error, TransportError.t()}
  def settle(stack, %Target{transport: protocol, address: address, port: port} = target) do
    case Transport.by_protocol(stack, protocol) do
      [%Transport{module: Transport.Process} = transport | _] ->
        {:ok, transport, 0, {address, port}}

      transports ->
        settle_address(transports, protocol, address, port, target.domain || "")
    end
  end

  @doc "The connection to a target by this transport and no other."
  @spec settle_by(Transport.t(), Target.t()) :: settled | {:error, TransportError.t()}
  def settle_by(transport, %Target{address: ip, port: port} = target),
    do: settle_address([transport], transport.protocol, ip, port, target.domain || "")

  @doc "Whether the stack has a transport for a target."
  @spec available?(Stack.t(), Target.t()) :: boolean
  def available?(stack, %Target{transport: protocol, address: address}) do
    stack
    |> Transport.by_protocol(protocol)
    |> Enum.any?(&(&1.module != Transport.Process and reaches?(&1, address)))
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
