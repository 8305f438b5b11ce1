defmodule SipServer.Phone do
  # A telephone for the tests: a stack of one transport, whose callbacks come to the test as {phone, callback, first, key}.
  import ExUnit.Assertions
  import ExUnit.Callbacks

  alias Sippet.{DigestAuth, Dialog, Message, URI}

  @deadline_ms 20_000

  @modules %{
    udp: Sippet.Transports.UDP,
    tcp: Sippet.Transports.TCP,
    tls: Sippet.Transports.TLS,
    ws: Sippet.Transports.WS,
    wss: Sippet.Transports.WSS
  }
  @ports %{udp: 5060, tcp: 5060, tls: 5061, ws: 8080, wss: 8443}

  # Each run of the tests has an address of its own: two may run at a time.
  def host, do: "127.57.#{rem(pid(), 250) + 1}.#{rem(div(pid(), 250), 250) + 1}"
  defp pid, do: String.to_integer(System.pid())

  def start_server(options \\ []) do
    start_supervised!(Map.put(SipServer.child_spec(config(options)), :restart, :temporary))
  end

  def config(options \\ []) do
    users = Path.join(System.tmp_dir!(), "sip_server_#{System.pid()}.txt")

    lines =
      for name <- ["alice", "bob", "carol"],
          do: SipServer.Users.line(name, "example.com", "pw-" <> name) <> "\n"

    File.write!(users, lines)
    on_exit(fn -> File.rm(users) end)

    [
      domains: ["example.com"],
      address: host(),
      transports: [udp: 5060, tcp: 5060, ws: 8080] ++ Keyword.get(options, :transports, []),
      users: users,
      drain_ms: Keyword.get(options, :drain_ms, 5_000)
    ] ++ Keyword.take(options, [:web, :trace])
  end

  def start(name, protocol, options \\ []) do
    stack = :"phone_#{name}_#{System.unique_integer([:positive])}"
    core = Module.concat(SipServer.Phone, stack)
    test = self()
    :persistent_term.put(core, {test, stack})

    Module.create(
      core,
      quote do
        use Sippet.Core
        def receive_request(request, key), do: tell(:request, request, key)
        def receive_response(response, key), do: tell(:response, response, key)
        def receive_error(reason, key), do: tell(:error, reason, key)

        defp tell(callback, first, key) do
          {test, stack} = :persistent_term.get(__MODULE__)
          send(test, {stack, callback, first, key})
        end
      end,
      Macro.Env.location(__ENV__)
    )

    start_supervised!({Sippet, name: stack, core: core})
    transport = [name: stack, port: 0, address: "127.0.0.1"] ++ options
    id = {@modules[protocol], stack}
    start_supervised!(Map.put(@modules[protocol].child_spec(transport), :id, id))
    [%{address: {_ip, port}}] = Sippet.Transport.list(stack)
    %{name: name, stack: stack, protocol: protocol, port: port, id: id}
  end

  # In a browser nobody can be called: only the flow leads there.
  def contact(%{protocol: protocol} = phone) when protocol in [:ws, :wss],
    do: "sip:#{phone.name}@#{phone.stack}.invalid;transport=ws"

  def contact(%{protocol: :udp} = phone), do: "sip:#{phone.name}@127.0.0.1:#{phone.port}"
  def contact(phone), do: "sip:#{phone.name}@127.0.0.1:#{phone.port};transport=#{phone.protocol}"

  def via(%{protocol: protocol} = phone) when protocol in [:ws, :wss],
    do: via(phone, "#{phone.stack}.invalid")

  def via(phone), do: via(phone, "127.0.0.1:#{phone.port}")

  defp via(phone, sent_by) do
    protocol = phone.protocol |> to_string() |> String.upcase()
    "SIP/2.0/#{protocol} #{sent_by};branch=#{Message.create_branch()};rport"
  end

  # A request to the server; `fields` are lines, :uri, :to, :call_id and :cseq replace what it has.
  def request(phone, method, options \\ [], fields \\ "") do
    uri = Keyword.get(options, :uri, "sip:example.com")

    request =
      Message.parse!("""
      #{method} #{uri} SIP/2.0
      Via: #{via(phone)}
      From: <sip:#{Keyword.get(options, :from, "#{phone.name}@example.com")}>;tag=#{Message.create_tag()}
      To: <#{Keyword.get(options, :to, "sip:#{phone.name}@example.com")}>
      Call-ID: #{Keyword.get_lazy(options, :call_id, &Message.create_call_id/0)}
      CSeq: #{Keyword.get(options, :cseq, 1)} #{method}
      Max-Forwards: 70
      #{fields}
      """)

    %{request | target: target(phone)}
  end

  # Where a phone finds the server.
  def target(phone), do: {phone.protocol, host(), @ports[phone.protocol]}

  # Asks as the user, who knows the password.
  def ask(phone, request, password \\ nil) do
    {:ok, response} =
      Sippet.request(phone.stack, request,
        credentials: [{"example.com", {phone.name, password || "pw-" <> phone.name}}],
        timeout: @deadline_ms
      )

    response
  end

  def register(phone, fields \\ nil, options \\ []),
    do: ask(phone, request(phone, "REGISTER", options, fields || "Contact: <#{contact(phone)}>"))

  # The INVITE of a call with credentials, as the challenge to a first one says.
  def invite(phone, user, fields \\ "") do
    make =
      &request(
        phone,
        "INVITE",
        [uri: "sip:#{user}@example.com", to: "sip:#{user}@example.com", call_id: &1, cseq: &2],
        "Contact: <#{contact(phone)}>\n#{fields}"
      )

    call_id = Message.create_call_id()
    first = make.(call_id, 1)
    {:ok, challenge} = Sippet.request(phone.stack, first)

    {:ok, second} =
      DigestAuth.make_request(make.(call_id, 2), challenge, fn "example.com" ->
        {:ok, phone.name, "pw-" <> phone.name}
      end)

    second
  end

  # The next request or response that a phone gets.
  def await(phone, callback, what) do
    stack = phone.stack

    receive do
      {^stack, ^callback, %{start_line: line} = message, key} ->
        cond do
          Map.get(line, :method) == what or Map.get(line, :status_code) == what -> {message, key}
          Map.get(line, :status_code) == 100 -> await(phone, callback, what)
          true -> flunk("#{phone.name} expected #{what}, got #{line}")
        end
    after
      @deadline_ms -> flunk("#{phone.name} has waited for #{what} in vain")
    end
  end

  def answer(phone, request, status_code) do
    response = Message.to_response(request, status_code)
    contact = [{"", uri(contact(phone)), %{}}]
    :ok = Sippet.send(phone.stack, Message.put_header(response, :contact, contact))
    response
  end

  # A call that is up: `{dialog of the caller, dialog of the called}`.
  def call(caller, called) do
    invite = invite(caller, called.name)
    :ok = Sippet.send(caller.stack, invite)
    {rung, _key} = await(called, :request, :invite)
    answer(called, rung, 180)
    await(caller, :response, 180)
    ok = answer(called, rung, 200)
    {answered, _key} = await(caller, :response, 200)

    {:ok, uas} =
      Dialog.create_uas(
        rung,
        Message.put_header(ok, :contact, [{"", uri(contact(called)), %{}}])
      )

    {:ok, uac} = Dialog.create_uac(invite, answered)
    ack = Dialog.build_ack(uac, invite, via: vias(caller))
    :ok = Sippet.send(caller.stack, %{ack | target: invite.target})
    await(called, :request, :ack)
    {uac, uas}
  end

  def vias(phone), do: Message.parse!("SIP/2.0 200 OK\nVia: #{via(phone)}\n").headers.via

  # One of the two of a call sends its BYE, which the other one answers.
  def hang_up(phone, dialog, other) do
    {bye, _dialog} = Dialog.bye(dialog, via: vias(phone))
    :ok = Sippet.send(phone.stack, %{bye | target: target(phone)})
    {bye, _key} = await(other, :request, :bye)
    answer(other, bye, 200)
    await(phone, :response, 200)
    bye
  end

  def eventually(condition, tries \\ 2_000) do
    cond do
      condition.() -> :ok
      tries == 0 -> flunk("it did not come true")
      true -> Process.sleep(10) && eventually(condition, tries - 1)
    end
  end

  def status(response), do: response.start_line.status_code
  def uri(text), do: URI.parse!(text)

  def contacts(response),
    do:
      for(
        {_name, uri, parameters} <- Map.get(response.headers, :contact, []),
        do: {to_string(uri), parameters}
      )

  def reason(response), do: with([{399, _agent, text}] <- response.headers.warning, do: text)
end

Code.require_file("../../../test/support/certificates.ex", __DIR__)
ExUnit.start(capture_log: true)
