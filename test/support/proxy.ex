defmodule Sippet.Test.Proxy do
  # For the tests of response contexts: a proxy, requests to it, what its branches answer.
  @moduledoc false

  alias Sippet.{Message, Proxy}

  @doc "A proxy at 192.0.2.1."
  def new(options \\ []) do
    Proxy.new!(
      [interfaces: [udp: {"192.0.2.1", 5060}], key: String.duplicate("k", 16)] ++ options
    )
  end

  @doc "A request as a client has sent it."
  def request(method \\ "INVITE", fields \\ "") do
    Message.parse!("""
    #{method} sip:bob@biloxi.com SIP/2.0
    Via: SIP/2.0/UDP pc33.atlanta.com;branch=z9hG4bKnashds8;received=192.0.2.77
    From: Alice <sip:alice@atlanta.com>;tag=1928301774
    To: Bob <sip:bob@biloxi.com>
    Call-ID: a84b4c76e66710
    CSeq: 314159 #{method}
    #{fields}
    """)
  end

  @doc "What a branch answers: a response to the request that it got, with a To tag of its own."
  def answer(request, status_code, fields \\ []) do
    {name, uri, _parameters} = request.headers.to

    request
    |> Message.put_header(
      :to,
      {name, uri, %{"tag" => "to-#{request.start_line.request_uri.host}"}}
    )
    |> Message.to_response(status_code)
    |> then(
      &Enum.reduce(fields, &1, fn {header, value}, m -> Message.put_header(m, header, value) end)
    )
  end

  @doc "The requests among actions, in their order."
  def requests(actions), do: for({:send_request, request} <- actions, do: request)

  @doc "Actions in short: status codes, hosts and names."
  def brief(actions) do
    for action <- actions, elem(action, 0) not in [:start_timer_c, :stop_timer_c] do
      case action do
        {:send_request, request} -> {:request, request.start_line.request_uri.host}
        {:send_response, response} -> response.start_line.status_code
        {:cancel, key} -> {:cancel, key}
      end
    end
  end

  @doc """
  A core that forwards what comes to a stack, by a server of this name; `lookup` is that of
  `Sippet.Proxy.determine_targets/3`, `options` those of `Sippet.Proxy.Server.forward/5`.
  """
  def core(stack, server, proxy, lookup, options \\ [record_route: true]) do
    Sippet.Test.Core.register(stack, fn
      :request, %{start_line: %{method: :ack}} = ack, nil ->
        {ack, _own} = Proxy.preprocess_route(proxy, ack)
        Proxy.Server.forward_ack(server, ack)

      :request, %{start_line: %{method: :cancel}} = cancel, key ->
        Proxy.Server.cancel(server, cancel, key)

      :request, request, key ->
        {request, _own} = Proxy.preprocess_route(proxy, request)

        with :ok <- Proxy.validate_request(proxy, request),
             {:ok, targets} <- Proxy.determine_targets(proxy, request, lookup) do
          Proxy.Server.forward(server, request, key, targets, options)
        else
          {:ok, :final_recipient} -> Sippet.send(stack, Message.to_response(request, 200))
          {:error, error} -> Sippet.send(stack, Proxy.refuse(proxy, request, error))
        end

      :response, response, key ->
        Proxy.Server.handle_response(server, response, key)

      :error, reason, key ->
        Proxy.Server.handle_error(server, reason, key)

      :flow_closed, _flow, _reason ->
        :ok
    end)
  end
end
