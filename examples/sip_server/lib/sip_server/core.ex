defmodule SipServer.Core do
  @moduledoc """
  What becomes of each request: this is the whole policy of the server.

    * REGISTER to one of its domains: the registrar, for users who show who they are.
    * A request within a dialog that was made through here: to where the token leads that this server has put into Record-Route
      (RFC 5626 §5.3). A token is signed, so that nobody can have requests forwarded by making one up.
    * Any other request: from a user of a domain of its own to anybody, once the user has shown who that is; from anybody else to
      a user of its own.

  Whatever is refused says why, in a Warning and in a line of the log.
  """

  use Sippet.Core

  require Logger

  alias Sippet.{DigestAuth, Flow, FlowTokenError, Message, Proxy, Transport, URI}
  alias Sippet.Proxy.Target
  alias SipServer.{Calls, Registrar, Users}

  @stack :sip_server
  @proxy SipServer.Proxy
  @allow ~w(INVITE ACK CANCEL BYE OPTIONS REGISTER MESSAGE SUBSCRIBE NOTIFY REFER INFO UPDATE PRACK PUBLISH)

  # Those that make dialogs: what follows them has to come by here.
  @recorded [:invite, :subscribe, :refer]

  @impl true
  def receive_request(%{start_line: %{method: :cancel}} = cancel, key),
    do: Proxy.Server.cancel(@proxy, cancel, key)

  def receive_request(request, key) do
    config = SipServer.config()
    {request, routes} = Proxy.preprocess_route(config.proxy, request)
    Calls.handle_request(request)

    case {request.start_line.method, within_dialog(request, routes)} do
      {:ack, {:ok, target}} ->
        Proxy.Server.forward_ack(@proxy, request, target)

      # An ACK is never answered.
      {:ack, _refused} ->
        :ok

      {_method, {:ok, target}} ->
        forward(request, key, config, fn request -> {:ok, request, [target]} end)

      {_method, {:error, refusal}} ->
        refuse(request, config, refusal)

      {_method, :none} ->
        receive_new(request, key, config)
    end
  end

  @impl true
  def receive_response(response, key) do
    Calls.handle_response(response)
    Proxy.Server.handle_response(@proxy, response, key)
  end

  @impl true
  def receive_error(reason, key), do: Proxy.Server.handle_error(@proxy, reason, key)

  @impl true
  def flow_closed(flow, _reason), do: SipServer.config().location.forget_flow(flow)

  # The last of our routes is that of the side it leaves by; see record_route/1.
  defp within_dialog(%{headers: %{to: {_name, _uri, %{"tag" => _}}}} = request, routes) do
    tokens =
      for {_name, uri, _parameters} <- routes,
          uri.userinfo != nil,
          do: Flow.from_token(@stack, uri.userinfo)

    cond do
      tokens == [] ->
        :none

      {:error, %FlowTokenError{reason: :invalid_token}} in tokens ->
        {:error, {403, "a Route that is not of this server", []}}

      true ->
        leaving(request.start_line.request_uri, List.last(routes), List.last(tokens))
    end
  end

  defp within_dialog(%{start_line: %{method: :ack}}, _routes), do: :refused
  defp within_dialog(_request, _routes), do: :none

  defp leaving(uri, {_name, %URI{userinfo: nil}, _parameters}, _token), do: {:ok, Target.new(uri)}

  defp leaving(uri, _route, {:ok, flow}),
    do: {:ok, Target.new(uri, target: flow, protocol: protocol(flow))}

  defp leaving(_uri, _route, {:error, error}),
    do: {:error, {FlowTokenError.status_code(error), Exception.message(error), []}}

  defp protocol(%Flow{transport: id}),
    do: Enum.find_value(Transport.list(@stack), :udp, &(&1.id == id && &1.protocol))

  defp receive_new(request, key, config) do
    %{method: method, request_uri: uri} = request.start_line
    own? = Proxy.own?(config.proxy, uri)

    cond do
      method == :register and own? -> register(request, config)
      method == :options and own? and uri.userinfo == nil -> answer(request)
      true -> forward(request, key, config, &find(&1, config))
    end
  end

  defp answer(request) do
    response = request |> Message.to_response(200) |> Message.put_header(:allow, @allow)
    Sippet.send(@stack, Message.put_header(response, :supported, ["path", "outbound"]))
  end

  # RFC 3261 §10.3, steps 2 to 5; the rest is the registrar's.
  defp register(request, config) do
    {_name, to, _parameters} = request.headers.to
    unknown = Map.get(request.headers, :require, []) -- ["path", "outbound"]

    with {_, []} <- {:require, unknown},
         {:ok, identity} <-
           DigestAuth.Server.verify(SipServer.digest_server(:registrar), request),
         {:user, user} when user != nil <- {:user, user(to, config)},
         {:same, true} <- {:same, identity.username == user},
         {:ok, response} <- Registrar.register(user, request) do
      Sippet.send(@stack, response)
    else
      {:require, unknown} ->
        refuse(request, config, {420, "extensions that are not supported", unsupported: unknown})

      {:user, nil} ->
        refuse(request, config, {404, "this user is not known here", []})

      {:same, false} ->
        refuse(request, config, {403, "To is another user than the credentials", []})

      {:error, %{__exception__: true} = error} ->
        challenge(request, config, :registrar, error)

      {:error, refusal} ->
        refuse(request, config, refusal)
    end
  end

  # The name of a user of this server; nil for others.
  defp user(%URI{userinfo: userinfo} = uri, config) when is_binary(userinfo) do
    [name | _password] =
      userinfo |> String.split(":", parts: 2) |> Enum.map(&URI.percent_unescape/1)

    if Proxy.own?(config.proxy, uri) and Users.exists?(name), do: name
  end

  defp user(_uri, _config), do: nil

  # `find` lets a request in and finds its targets.
  defp forward(request, key, config, find) do
    with :ok <- Proxy.validate_request(config.proxy, request),
         {:ok, request, targets} <- find.(request) do
      Proxy.Server.forward(@proxy, request, key, targets, record_route: record_route(request))
    else
      {:ok, :final_recipient} -> last_hop(request, config)
      {:error, %Sippet.ProxyError{} = error} -> refuse(request, config, error)
      {:error, %Sippet.DigestAuthError{} = error} -> challenge(request, config, :proxy, error)
      {:error, refusal} -> refuse(request, config, refusal)
    end
  end

  # Max-Forwards is 0, and the method one that could be answered here (§16.3): an OPTIONS is (§11).
  defp last_hop(%{start_line: %{method: :options}} = request, _config), do: answer(request)

  defp last_hop(request, config),
    do: refuse(request, config, {483, "the request has no hop left", []})

  defp find(request, config) do
    with {:ok, request} <- let_in(request, config),
         {:ok, targets} <- Proxy.determine_targets(config.proxy, request, &targets(&1, config)),
         do: {:ok, request, targets}
  end

  defp let_in(request, %{authenticate: false}), do: {:ok, request}

  defp let_in(request, config) do
    {_name, from, _parameters} = request.headers.from

    case {Proxy.own?(config.proxy, from),
          Proxy.own?(config.proxy, request.start_line.request_uri)} do
      {false, true} ->
        {:ok, request}

      {false, false} ->
        {:error, {403, "neither From nor Request-URI is of a domain of this server", []}}

      {true, _any} ->
        verify(request, user(from, config), config)
    end
  end

  defp verify(request, user, config) do
    with {:ok, identity} <- DigestAuth.Server.verify(SipServer.digest_server(:proxy), request) do
      if identity.username == user,
        do: {:ok, without_credentials(request, config.realm)},
        else: {:error, {403, "From is another user than the credentials", []}}
    end
  end

  # §22.3: what is for this server goes no further.
  defp without_credentials(request, realm) do
    case Enum.reject(
           request.headers.proxy_authorization,
           &match?({_scheme, %{"realm" => ^realm}}, &1)
         ) do
      [] -> Message.delete_header(request, :proxy_authorization)
      others -> Message.put_header(request, :proxy_authorization, others)
    end
  end

  # A user's contacts (§16.5), several of which may be flows to the same instance, the newest first (RFC 5626 §7). To a sips URI
  # only those that are sips too (RFC 5630 §4).
  defp targets(uri, config) do
    with name when name != nil <- user(uri, config) do
      for %{contact: {_name, contact, parameters}} = binding <- config.location.fetch(name),
          uri.scheme == "sip" or contact.scheme == "sips",
          do:
            Target.new(contact,
              q: q(parameters),
              route: binding.path,
              target: binding.flow,
              protocol: binding.flow && binding.protocol,
              instance: parameters["+sip.instance"]
            )
    end
  end

  # §25.1: what is no qvalue counts as none.
  defp q(parameters) do
    q = Map.get(parameters, "q", "1")
    if q =~ ~r/\A(0(\.\d{0,3})?|1(\.0{0,3})?)\z/, do: q |> Float.parse() |> elem(0), else: 1.0
  end

  # A value for each side, with the flow that leads to it if it has one; that of the caller always has (RFC 5626 §5.3).
  defp record_route(%{start_line: %{method: method}} = request) when method in @recorded do
    came_by = Flow.to_token(@stack, request.source)

    fn
      %Target{target: %Flow{} = flow} -> {Flow.to_token(@stack, flow), came_by}
      _target -> {nil, came_by}
    end
  end

  defp record_route(_request), do: false

  defp challenge(request, config, name, error) do
    response = DigestAuth.Server.challenge(SipServer.digest_server(name), request, error)
    send_refusal(request, config, response, Exception.message(error))
  end

  defp refuse(request, config, %Sippet.ProxyError{} = error) do
    response = Proxy.refuse(config.proxy, request, error)
    tell(request, response, Exception.message(error))
    Sippet.send(@stack, response)
  end

  defp refuse(request, config, {status_code, sentence, headers}) do
    response = Message.to_response(request, status_code)

    response =
      Enum.reduce(headers, response, fn {name, value}, response ->
        Message.put_header(response, name, value)
      end)

    send_refusal(request, config, response, sentence)
  end

  defp send_refusal(request, config, response, sentence) do
    tell(request, response, sentence)
    Sippet.send(@stack, Proxy.warn(response, config.proxy, sentence))
  end

  # What a peer wrote is inspected: it has no say in the log's lines. Challenges are part of every call.
  defp tell(request, %{start_line: %{status_code: status_code}}, sentence) do
    Logger.log(if(status_code in [401, 407], do: :debug, else: :info), fn ->
      %{method: method, request_uri: uri} = request.start_line
      {ip, port} = request.source.remote

      "#{status_code} to #{inspect(method)} #{inspect(to_string(uri))} from #{:inet.ntoa(ip)} #{port}: #{sentence}"
    end)
  end
end
