defmodule Interop.Agent do
  # A telephone for all transports over streams, the core of its stack: it takes every call, places calls, and keeps who
  # has registered with the flow that leads there. What it did not expect it prints, and whoever started it takes any such
  # line for a failure.
  use Sippet.Core

  alias Sippet.{Dialog, Message, Transport, Transports, URI}

  @stack :interop
  @flows Interop.Agent.Flows
  @allow ["INVITE", "ACK", "BYE", "OPTIONS", "REGISTER", "MESSAGE"]
  @modules [tcp: Transports.TCP, tls: Transports.TLS, ws: Transports.WS, wss: Transports.WSS]

  @doc "Starts the stack with a transport for each protocol, on free ports of the loopback interface."
  def start_link(protocols, options \\ []) do
    :ets.new(@flows, [:named_table, :public])

    transports =
      for protocol <- protocols do
        {@modules[protocol],
         [name: @stack, port: 0, address: "127.0.0.1"] ++ own(protocol, options)}
      end

    Supervisor.start_link([{Sippet, name: @stack, core: __MODULE__} | transports],
      strategy: :rest_for_one
    )
  end

  # The certificates of test/interop/certificates.sh.
  defp own(:tcp, _options), do: []
  defp own(:ws, _options), do: [paths: ["/", "/sip"]]
  defp own(:wss, options), do: own(:ws, options) ++ own(:tls, options)

  defp own(:tls, options) do
    folder = System.fetch_env!("CERTIFICATES")

    [
      certfile: folder <> "/localhost.pem",
      keyfile: folder <> "/localhost.key",
      cacertfile: folder <> "/authority.pem",
      domains: %{
        "other.example" => [
          certfile: folder <> "/other.example.pem",
          keyfile: folder <> "/other.example.key"
        ]
      }
    ] ++ Keyword.take(options, [:verify_clients])
  end

  @doc "The port of the transport for a protocol."
  def port(protocol) do
    %{address: {_ip, port}} = transport(protocol)
    port
  end

  @doc "What the engine and the transports have counted that nobody should see here: `{retransmissions, broken streams}`."
  def counted do
    %{retransmissions: retransmissions} = Sippet.Transaction.counters(@stack)

    broken =
      for transport <- Transport.list(@stack),
          do: transport.module.info(transport.pid).counters.broken_streams

    {retransmissions, Enum.sum(broken)}
  end

  @doc "Waits until nobody has a connection with us, at most ten seconds: SIPp fails what it has in hand when one is closed."
  def await_closed(tries \\ 200) do
    open =
      for transport <- Transport.list(@stack),
          do: transport.module.info(transport.pid).connections

    if Enum.sum(open) > 0 and tries > 0 do
      Process.sleep(50)
      await_closed(tries - 1)
    end
  end

  @doc """
  Registers as `user` with the server at `target`, so that it has a connection to call by. The Contact leads nowhere, as a
  browser's (RFC 7118 B.1).
  """
  def register(user, {protocol, host, port} = target) do
    uri = %URI{scheme: "sip", userinfo: user, host: host, port: port}

    request =
      :register
      |> request(%URI{scheme: "sip", host: host, port: port}, protocol, uri)
      |> Message.put_header(:to, {"", uri, %{}})
      |> Message.put_header(:contact, contact(user, protocol))

    {:ok, response} = Sippet.request(@stack, %{request | target: target})
    200 = response.start_line.status_code
    :ok
  end

  @doc """
  Places a call and hangs up: `:ok`, or `{:error, reason}` when anything but a whole call came of it.

  `target` is where the INVITE goes, as in a message, or nil for the URI itself. A flow is where all of the call goes.
  """
  def call(uri, protocol, target) do
    me = %URI{scheme: "sip", userinfo: "interop", host: "localhost"}
    host = elem(sent_by(protocol), 0)

    invite =
      :invite
      |> request(uri, protocol, me)
      |> Message.put_header(:contact, contact("interop", protocol))
      |> Message.put_header(:content_type, {{"application", "sdp"}, %{}})

    flow = if is_struct(target, Sippet.Flow), do: target
    invite = %{invite | target: target, body: Demo.SDP.offer(host)}

    with {:ok, answer} <- transact(invite),
         {:ok, dialog} <- Dialog.create_uac(invite, answer),
         ack = Dialog.build_ack(dialog, invite, via: via(protocol)),
         :ok <- Sippet.send(@stack, %{ack | target: flow || ack.target}),
         {bye, _dialog} = Dialog.bye(dialog, via: via(protocol)),
         {:ok, _answer} <- transact(%{bye | target: flow || bye.target}) do
      :ok
    else
      {:error, %{__exception__: true} = error} -> {:error, Exception.message(error)}
      {:error, reason} -> {:error, inspect(reason)}
    end
  end

  # A server that has taken a request cannot be silent for longer than 64·T1, and a call that rings is taken soon.
  defp transact(request) do
    with {:ok, %{start_line: %{status_code: code} = line} = response} <-
           Sippet.request(@stack, request, timeout: 32_000) do
      if code in 200..299,
        do: {:ok, response},
        else: {:error, {request.start_line.method, code, line.reason_phrase}}
    end
  end

  defp request(method, uri, protocol, from) do
    method
    |> Message.build_request(uri)
    |> Message.put_header(:via, via(protocol))
    |> Message.put_header(:max_forwards, 70)
    |> Message.put_header(:from, {"", from, %{"tag" => Message.create_tag()}})
    |> Message.put_header(:to, {"", uri, %{}})
    |> Message.put_header(:call_id, Message.create_call_id())
    |> Message.put_header(:cseq, {1, method})
  end

  defp via(protocol),
    do: [{{2, 0}, protocol, sent_by(protocol), %{"branch" => Message.create_branch()}}]

  # Over a WebSocket nobody can come back.
  defp sent_by(protocol) when protocol in [:ws, :wss], do: {"interop.invalid", port(protocol)}
  defp sent_by(protocol), do: {"127.0.0.1", port(protocol)}

  defp contact(user, protocol) do
    {host, port} = sent_by(protocol)
    # There is no transport=wss (RFC 7118 §5.2).
    name = if protocol == :wss, do: :ws, else: protocol

    uri = %URI{
      scheme: "sip",
      userinfo: user,
      host: host,
      port: port,
      parameters: ";transport=#{name}"
    }

    [{"", uri, %{}}]
  end

  defp transport(protocol), do: Enum.find(Transport.list(@stack), &(&1.protocol == protocol))

  @impl true
  def receive_request(%{start_line: %{method: method}} = request, _key),
    do: receive_method(method, request)

  defp receive_method(:ack, _request), do: :ok

  defp receive_method(:invite, invite) do
    user = invite.start_line.request_uri.userinfo || "interop"
    contact = contact(user, protocol(invite))
    [{_name, %{host: host}, _parameters}] = contact
    ringing = invite |> Message.to_response(180) |> Message.put_header(:contact, contact)
    unless Dialog.in_dialog?(invite), do: reply(ringing)

    accepting =
      invite
      |> Message.to_response(200)
      |> Message.put_header(:contact, contact)
      |> Message.put_header(:to, ringing.headers.to)
      |> Message.put_header(:content_type, {{"application", "sdp"}, %{}})

    reply(%{accepting | body: Demo.SDP.answer(invite.body, host)}, until: :ack)
  end

  defp receive_method(:register, request) do
    {_name, %{userinfo: user}, _parameters} = request.headers.to
    [{_contact_name, contact, _contact_parameters}] = request.headers.contact
    :ets.insert(@flows, {user, request.source, contact})

    request
    |> Message.to_response(200)
    |> Message.put_header(:contact, request.headers.contact)
    |> reply()
  end

  # Who asks for it is called, by the flow of the REGISTER.
  defp receive_method(:message, request) do
    request |> Message.to_response(200) |> reply()
    {_name, %{userinfo: user}, _parameters} = request.headers.from

    with "call me" <- request.body,
         [{^user, flow, contact}] <- :ets.lookup(@flows, user),
         {:error, reason} <- call(contact, protocol(request), flow) do
      IO.puts("the call to #{user} failed: #{reason}")
    end
  end

  defp receive_method(method, request) when method in [:options, :bye] do
    request |> Message.to_response(200) |> Message.put_header(:allow, @allow) |> reply()
  end

  defp receive_method(_method, request),
    do: request |> Message.to_response(405) |> Message.put_header(:allow, @allow) |> reply()

  defp reply(response, options \\ []) do
    with {:error, error} <- Sippet.send(@stack, response, options),
         do: IO.puts("a response could not be sent: #{Exception.message(error)}")
  end

  defp protocol(%{source: source}),
    do: Enum.find(Transport.list(@stack), &(&1.id == source.transport)).protocol

  @impl true
  def receive_response(response, _key), do: IO.puts("unasked: #{inspect(response.start_line)}")

  @impl true
  def receive_error(reason, key), do: IO.puts("error: #{inspect(reason)} of #{inspect(key)}")
end
