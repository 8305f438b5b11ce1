defmodule Demo.Caller do
  @moduledoc """
  A user agent that places calls, and the core of its stack.

  A call is a process that does one thing after another: it waits for the answers itself, in `Sippet.request/3`. The core
  gets what no process waits for.
  """

  use Supervisor
  use Sippet.Core

  alias Demo.{Local, SDP}
  alias Sippet.{Dialog, Message}
  alias Sippet.Transactions.Client

  @stack :demo_caller

  # {key, invite}: the INVITEs that may have a 2xx of another fork still.
  @invites Demo.Caller.Invites

  # Only an INVITE can ring that long. It is cancelled then, and ends with a 487 (§9.1).
  @patience_ms 40_000

  # 64·T1: no 2xx comes later than that after the first (§13.2.2.4).
  @forks_ms 32_000

  @doc "Starts the stack and its transport. Options: `:port`, `:address`."
  def start_link(options \\ []), do: Supervisor.start_link(__MODULE__, options)

  @impl Supervisor
  def init(options) do
    :ets.new(@invites, [:named_table, :public])
    transport = [name: @stack, port: 0] |> Keyword.merge(Keyword.take(options, [:port, :address]))

    Supervisor.init(
      [{Sippet, name: @stack, core: __MODULE__}, {Sippet.Transports.UDP, transport}],
      strategy: :rest_for_one
    )
  end

  @doc "`{ip, port}` of the socket."
  def address do
    [%{address: address}] = Sippet.Transport.list(@stack)
    address
  end

  @doc """
  Places a call and hangs up after `:talk_ms`: `:ok`, or `{:error, sentence}` when anything but a whole call came of it.

  `uri` has a numeric host. `:call_id` may be given.
  """
  def call(uri, options \\ []) do
    invite = invite(Sippet.URI.parse!(uri), options)
    key = Client.Key.new(invite)
    :ets.insert(@invites, {key, invite})

    try do
      with {:ok, answer} <- transact(invite, timeout: @patience_ms),
           {:ok, dialog} <- acknowledge(invite, answer),
           Process.sleep(Keyword.get(options, :talk_ms, 0)),
           {:ok, _answer} <- transact(bye(dialog, answer)) do
        :ok
      else
        {:error, %Message{start_line: line, headers: %{cseq: {_, method}}}} ->
          {:error, "the #{name(method)} was answered #{line.status_code} #{line.reason_phrase}"}

        {:error, :timeout} ->
          {:error, "nobody answered in time"}

        {:error, %{__exception__: true} = error} ->
          {:error, Exception.message(error)}

        {:error, reason} ->
          {:error, "a message could not be sent: #{inspect(reason)}"}
      end
    after
      :timer.apply_after(@forks_ms, __MODULE__, :forget, [key])
    end
  end

  @doc false
  def forget(key) do
    :ets.delete(@invites, key)
  rescue
    # With the caller its table has gone.
    ArgumentError -> :ok
  end

  defp invite(uri, options) do
    {:ok, peer_ip} = uri.host |> String.to_charlist() |> :inet.parse_address()
    {host, _port} = Local.address(@stack, peer_ip)
    me = %Sippet.URI{scheme: "sip", userinfo: "alice", host: host}

    request =
      :invite
      |> Message.build_request(uri)
      |> Message.put_header(:via, Local.via(@stack, peer_ip))
      |> Message.put_header(:max_forwards, 70)
      |> Message.put_header(:from, {"Alice", me, %{"tag" => Message.create_tag()}})
      |> Message.put_header(:to, {"", uri, %{}})
      |> Message.put_header(
        :call_id,
        Keyword.get_lazy(options, :call_id, &Message.create_call_id/0)
      )
      |> Message.put_header(:cseq, {1, :invite})
      |> Message.put_header(:contact, Local.contact(@stack, "alice", peer_ip))
      |> Message.put_header(:content_type, {{"application", "sdp"}, %{}})

    %{request | body: SDP.offer(host)}
  end

  # `{:ok, response}` if the final response is a 2xx.
  defp transact(request, options \\ []) do
    with {:ok, response} <- Sippet.request(@stack, request, options) do
      if response.start_line.status_code < 300, do: {:ok, response}, else: {:error, response}
    end
  end

  # §13.2.2.4: the ACK to a 2xx is the core's. It has no transaction and no answer; a 2xx that comes again, since the ACK was
  # lost, is answered with it by the stack.
  defp acknowledge(invite, answer) do
    with {:ok, dialog} <- Dialog.create_uac(invite, answer),
         ack = Dialog.build_ack(dialog, invite, via: Local.via(@stack, peer_ip(answer))),
         :ok <- Sippet.send(@stack, ack) do
      {:ok, dialog}
    end
  end

  defp bye(dialog, answer) do
    {bye, _dialog} = Dialog.bye(dialog, via: Local.via(@stack, peer_ip(answer)))
    bye
  end

  # Others may hang up, and nothing more.
  @impl Sippet.Core
  def receive_request(%{start_line: %{method: :ack}}, _key), do: :ok

  def receive_request(%{start_line: %{method: :bye}} = request, _key),
    do: Sippet.send(@stack, Message.to_response(request, 200))

  def receive_request(request, _key) do
    response = request |> Message.to_response(405) |> Message.put_header(:allow, ["ACK", "BYE"])
    Sippet.send(@stack, response)
  end

  # A proxy has found two who took the call, and one has it by now: the other is acknowledged and hung up. The answer to that
  # BYE comes here too.
  @impl Sippet.Core
  def receive_response(response, key) do
    with [{_key, invite}] <- :ets.lookup(@invites, key),
         {:ok, dialog} <- acknowledge(invite, response) do
      Sippet.send(@stack, bye(dialog, response))
    end
  end

  @impl Sippet.Core
  def receive_error(_reason, _key), do: :ok

  defp peer_ip(%{source: %{remote: {ip, _port}}}), do: ip

  defp name(method), do: method |> to_string() |> String.upcase()
end
