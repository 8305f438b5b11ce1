defmodule Demo.Caller do
  @moduledoc """
  A user agent that places calls, and the core of its stack.

  A call is a process that does one thing after another. The core hands it what arrives for its transactions.
  """

  use Supervisor
  use Sippet.Core

  alias Demo.{Dialog, Local, SDP}
  alias Sippet.Message
  alias Sippet.Transactions.Client

  @stack :demo_caller

  # Which process waits for which client transaction.
  @waiting Demo.Caller.Waiting

  @patience_ms 40_000

  @doc """
  Starts the stack and its transport. Options: `:port`, `:address`, and `:core`, the module that is to be called in place
  of this one.
  """
  def start_link(options \\ []), do: Supervisor.start_link(__MODULE__, options)

  @impl Supervisor
  def init(options) do
    transport = [name: @stack, port: 0] |> Keyword.merge(Keyword.take(options, [:port, :address]))

    Supervisor.init(
      [
        {Registry, keys: :unique, name: @waiting},
        {Sippet, name: @stack},
        %{
          id: :core,
          start: {__MODULE__, :register_core, [Keyword.get(options, :core, __MODULE__)]}
        },
        {Sippet.Transports.UDP, transport}
      ],
      strategy: :rest_for_one
    )
  end

  @doc false
  def register_core(core) do
    Sippet.register_core(@stack, core)
    :ignore
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

    with {:ok, answer} <- transact(invite),
         dialog = Dialog.uac(invite, answer),
         peer_ip = peer_ip(answer),
         # §13.2.2.4: the ACK to a 2xx is the core's. It has no transaction and no answer; a 2xx that comes again, since
         # the ACK was lost, is answered with it by the stack.
         :ok <- Sippet.send(@stack, Dialog.request(dialog, :ack, Local.via(@stack, peer_ip))),
         Process.sleep(Keyword.get(options, :talk_ms, 0)),
         {:ok, _answer} <- transact(Dialog.request(dialog, :bye, Local.via(@stack, peer_ip))) do
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

  # Sends a request and waits for its final response: `{:ok, response}` if that is a 2xx.
  defp transact(request) do
    key = Client.Key.new(request)
    {:ok, _pid} = Registry.register(@waiting, key, nil)

    try do
      with :ok <- Sippet.send(@stack, request),
           :none <- await(key),
           # Only an INVITE can ring that long: it is cancelled, and ends with a 487 (§9.1).
           :ok <- Sippet.send(@stack, cancel(request)),
           :none <- await(key) do
        Sippet.terminate(@stack, key)
        {:error, :timeout}
      end
    after
      Registry.unregister(@waiting, key)
    end
  end

  defp await(key) do
    receive do
      {^key, %Message{start_line: %{status_code: code}}} when code < 200 -> await(key)
      {^key, %Message{start_line: %{status_code: code}} = answer} when code < 300 -> {:ok, answer}
      {^key, %Message{} = answer} -> {:error, answer}
      {^key, reason} -> {:error, reason}
    after
      @patience_ms -> :none
    end
  end

  defp cancel(invite) do
    {cseq, :invite} = invite.headers.cseq
    headers = Map.take(invite.headers, [:via, :route, :max_forwards, :from, :to, :call_id])
    request = Message.build_request(:cancel, invite.start_line.request_uri)
    %{request | headers: Map.put(headers, :cseq, {cseq, :cancel})}
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

  @impl Sippet.Core
  def receive_response(response, key), do: tell(key, response)

  @impl Sippet.Core
  def receive_error(reason, key), do: tell(key, reason)

  defp tell(key, what) do
    for {pid, _value} <- Registry.lookup(@waiting, key), do: send(pid, {key, what})
  end

  defp peer_ip(%{source: %{remote: {ip, _port}}}), do: ip

  defp name(method), do: method |> to_string() |> String.upcase()
end
