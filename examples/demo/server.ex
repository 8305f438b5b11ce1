defmodule Demo.Server do
  @moduledoc """
  A user agent that takes every call, a registrar, and the core of its stack: the module with the three callbacks.

  Each transaction has a process of its own for its callbacks. So they may take their time, as the ringing below does,
  and what they share is in tables.
  """

  use Supervisor
  use Sippet.Core

  alias Demo.{Calls, Local, Registrar, SDP}
  alias Sippet.{Dialog, Message}

  @stack :demo_server

  # INVITEs that ring, by the key of their transaction: {key, invite}. A CANCEL leaves {key, :cancelled}.
  @ringing Demo.Server.Ringing
  @max_calls 10_000

  @methods [:invite, :ack, :bye, :cancel, :options, :register, :message]
  @allow Enum.map(@methods, &(&1 |> Atom.to_string() |> String.upcase()))

  @doc """
  Starts the stack, its transport and the registrar. Options: `:port` and `:address` of the transport, `:stack`, a list of
  options of the stack, `:ring_ms`, and `:core`, the module that is to be called in place of this one.
  """
  def start_link(options \\ []), do: Supervisor.start_link(__MODULE__, options)

  @impl Supervisor
  def init(options) do
    :ets.new(@ringing, [:named_table, :public])
    core = Keyword.get(options, :core, __MODULE__)
    :persistent_term.put({__MODULE__, :ring_ms}, Keyword.get(options, :ring_ms, 200))

    Supervisor.init(
      [
        Registrar,
        Calls,
        {Sippet, [name: @stack, core: core] ++ Keyword.get(options, :stack, [])},
        {Sippet.Transports.UDP, [name: @stack] ++ Keyword.take(options, [:port, :address])},
        # The first to be shut down: calls that ring are still answered.
        {Sippet.Drainer, name: @stack, timeout_ms: 5_000}
      ],
      strategy: :rest_for_one
    )
  end

  @doc "`{ip, port}` of the socket."
  def address do
    [%{address: address}] = Sippet.Transport.list(@stack)
    address
  end

  # The ACK to a 2xx has no transaction. It ends the repetitions that `until: :ack` asked for; there is nothing to do.
  @impl Sippet.Core
  def receive_request(%{start_line: %{method: :ack}}, _key), do: :ok

  # §9.2: the CANCEL has an answer of its own; the INVITE gets its 487 unless it was answered before.
  def receive_request(%{start_line: %{method: :cancel}} = cancel, invite_key) do
    reply(cancel, 200)
    cancel(invite_key)
  end

  def receive_request(request, key) do
    case refusal(request) do
      nil -> answer(request.start_line.method, request, key)
      {status_code, headers} -> reply(request, status_code, headers)
    end
  end

  defp cancel(invite_key) do
    mark = {invite_key, :cancelled}

    case :ets.take(@ringing, invite_key) do
      [{_key, %Message{} = invite}] ->
        reply(invite, 487)

      _ ->
        # It was answered; or its callback has only just begun, and finds the mark. If it rings by now, there is no room for one.
        cond do
          not proceeding?(invite_key) -> :ok
          not :ets.insert_new(@ringing, mark) -> cancel(invite_key)
          not proceeding?(invite_key) -> :ets.delete_object(@ringing, mark)
          true -> :ok
        end
    end
  end

  defp proceeding?(key),
    do: match?(%{state: :proceeding}, Sippet.Transaction.info(@stack, key))

  # Here come the answers to the BYE that receive_error/2 sends.
  @impl Sippet.Core
  def receive_response(_response, _key), do: :ok

  # §13.3.1.4: nobody acknowledged our 200, so the call is hung up.
  @impl Sippet.Core
  def receive_error(:no_ack, key) do
    with {dialog, peer_ip} <- Calls.take(key) do
      {bye, _dialog} = Dialog.bye(dialog, via: Local.via(@stack, peer_ip))
      Sippet.send(@stack, bye)
    end
  end

  def receive_error(_reason, _key), do: :ok

  # What every UAS looks at before it acts, in this order (§8.2).
  defp refusal(%{start_line: %{method: method, request_uri: uri}, headers: headers} = request) do
    cond do
      is_binary(method) ->
        {501, allow: @allow}

      method not in @methods ->
        {405, allow: @allow}

      uri.scheme != "sip" ->
        {416, []}

      # A Route that is left leads to somebody else. This is no proxy, which would forward it if it had a hop left (§16.3).
      Local.forward?(@stack, request) and headers[:max_forwards] == 0 ->
        {483, []}

      Local.forward?(@stack, request) or not known_user?(request) ->
        {404, []}

      Map.get(headers, :require, []) != [] ->
        {420, unsupported: headers.require}

      not readable?(request) ->
        {415, accept: accept(method), accept_encoding: [{"identity", %{}}]}

      true ->
        out_of_place(request)
    end
  end

  # A request within a dialog: there must be that dialog, and nothing later may have come in it. A BYE ends it by this.
  defp out_of_place(request) do
    with true <- Dialog.in_dialog?(request),
         {:error, error} <-
           Calls.update(Dialog.id_of(request), &Dialog.handle_request(&1, request)) do
      {error.status_code, []}
    else
      _in_place -> nil
    end
  end

  # We are whoever they call. A URI without a user is the server itself, which has no phone and no mailbox.
  defp known_user?(%{start_line: %{method: method, request_uri: uri}})
       when method in [:invite, :message],
       do: uri.userinfo not in [nil, ""]

  defp known_user?(%{start_line: %{method: :register}, headers: %{to: {_name, uri, _parameters}}}),
    do: uri.scheme == "sip" and uri.userinfo not in [nil, ""]

  defp known_user?(_request), do: true

  defp readable?(%{body: body}) when body in [nil, ""], do: true

  defp readable?(%{start_line: %{method: method}, headers: headers}) do
    with {type, _parameters} <- Map.get(headers, :content_type),
         true <- Map.get(headers, :content_encoding, ["identity"]) == ["identity"] do
      accept(method) == [] or Enum.any?(accept(method), &match?({^type, _}, &1))
    else
      _ -> false
    end
  end

  defp accept(:invite), do: [{{"application", "sdp"}, %{}}]
  defp accept(:message), do: [{{"text", "plain"}, %{}}]
  defp accept(_method), do: []

  defp answer(:options, request, _key),
    do: reply(request, 200, allow: @allow, accept: accept(:invite))

  defp answer(:message, request, _key), do: reply(request, 200)

  defp answer(:register, request, _key) do
    case Registrar.register(request) do
      {:ok, []} -> reply(request, 200)
      {:ok, contacts} -> reply(request, 200, contact: contacts)
      {:error, status_code} -> reply(request, status_code)
    end
  end

  defp answer(:bye, request, _key),
    do: reply(request, if(Dialog.in_dialog?(request), do: 200, else: 481))

  defp answer(:invite, invite, key) do
    cond do
      not Message.has_header?(invite, :contact) ->
        reply(invite, Message.StatusLine.new(400, "No Contact"))

      Dialog.in_dialog?(invite) ->
        renew(invite)

      Calls.count() >= @max_calls ->
        reply(invite, 486)

      true ->
        ring(invite, key)
    end

    # What a CANCEL has left too late to be found.
    :ets.delete(@ringing, key)
  end

  # The dialog is there as soon as it rings, and early until the call is taken (§12.1).
  defp ring(invite, key) do
    # What is kept for long must not hold on to the datagram.
    invite = Message.copy(invite)
    ringing = invite |> Message.to_response(180) |> put_headers(contact: contact(invite))

    with {:ok, dialog} <- Dialog.create_uas(invite, ringing),
         reply(invite, 100),
         true <- :ets.insert_new(@ringing, {key, invite}) do
      Sippet.send(@stack, ringing)
      # This process has nothing else to do, and the CANCEL comes to one of its own.
      Process.sleep(:persistent_term.get({__MODULE__, :ring_ms}))
      # Who takes the call out of the table has it: this process, or that of a CANCEL.
      if :ets.take(@ringing, key) != [], do: take_call(dialog, invite, key)
    else
      # A Contact that leads nowhere.
      {:error, error} -> reply(invite, error.status_code)
      false -> reply(invite, 487)
    end
  end

  defp take_call(dialog, invite, key) do
    response = accepting(invite)
    {:ok, dialog} = Dialog.respond(dialog, invite, response)
    # Before the 200 is out: its ACK and a BYE may come at once.
    Calls.put(dialog, key, peer_ip(invite))
    with {:error, _reason} <- Sippet.send(@stack, response, until: :ack), do: Calls.take(key)
  end

  # A new offer within a call (§14.2): it is accepted, and with it the Contact that it comes with.
  defp renew(invite) do
    response = accepting(invite)
    Calls.update(Dialog.id_of(invite), &Dialog.respond(&1, invite, response))
    Sippet.send(@stack, response, until: :ack)
  end

  defp accepting(invite) do
    {_name, %{host: host}, _parameters} = invite |> contact() |> hd()

    response =
      invite
      |> Message.to_response(200)
      |> put_headers(contact: contact(invite), allow: @allow)
      |> Message.put_header(:content_type, {{"application", "sdp"}, %{}})

    %{response | body: SDP.answer(invite.body, host)}
  end

  defp contact(%{start_line: %{request_uri: uri}} = request),
    do: Local.contact(@stack, uri.userinfo, peer_ip(request))

  defp peer_ip(%{source: %{remote: {ip, _port}}}), do: ip

  defp reply(request, status, headers \\ []),
    do: Sippet.send(@stack, request |> Message.to_response(status) |> put_headers(headers))

  defp put_headers(message, headers),
    do:
      Enum.reduce(headers, message, fn {name, value}, message ->
        Message.put_header(message, name, value)
      end)
end
