defmodule Sippet.Proxy.Server do
  @moduledoc """
  Forwards requests statefully: carries out a `Sippet.Proxy.Context` for each on a stack (RFC 3261 §16).

      proxy = Sippet.Proxy.new!(interfaces: [udp: {"192.0.2.1", 5060}], domains: ["biloxi.com"])

      children = [
        {Sippet.Proxy.Server, name: MyApp.Proxy, stack: :my_stack, proxy: proxy},
        {Sippet, name: :my_stack, core: MyApp.Core},
        {Sippet.Transports.UDP, name: :my_stack, address: "192.0.2.1", port: 5060}
      ]

  The core decides what is forwarded, and hands on all that comes back:

      def receive_request(%{start_line: %{method: :cancel}} = cancel, key),
        do: Sippet.Proxy.Server.cancel(MyApp.Proxy, cancel, key)

      def receive_request(request, key), do: ... Sippet.Proxy.Server.forward(MyApp.Proxy, request, key, targets)

      def receive_response(response, key), do: Sippet.Proxy.Server.handle_response(MyApp.Proxy, response, key)
      def receive_error(reason, key), do: Sippet.Proxy.Server.handle_error(MyApp.Proxy, reason, key)

  Each request that is forwarded has a process until all its branches have ended, which Timer C (§16.8) and the timers of
  the transactions see to; it ends with the stack. It sends from processes of their own, so that a next hop which is slow to be
  found or connected to holds up no other branch. What comes later, a 2xx of a fork behind another proxy, needs no process.

  It stands before the stack under its supervisor, so that a `Sippet.Drainer` behind the stack finishes what is under way.
  """

  use Supervisor

  alias Sippet.{Message, Proxy, Transaction}
  alias Sippet.Proxy.Server.Session
  alias Sippet.Proxy.Target
  alias Sippet.Transactions.{Client, Server}

  # How long a CANCEL waits for the callback of its INVITE to have made up its mind.
  @patience_ms 5_000
  @poll_ms 20

  @doc """
  Starts it. `:name` is an atom, `:stack` the stack's name, `:proxy` a `t:Sippet.Proxy.t/0`; all are required.
  """
  @spec start_link(name: atom, stack: Sippet.sippet(), proxy: Proxy.t()) :: Supervisor.on_start()
  def start_link(options) do
    options = Keyword.validate!(options, [:name, :stack, :proxy])

    for name <- [:name, :stack], not is_atom(options[name]) or options[name] == nil do
      raise ArgumentError,
            "expected #{inspect(name)} to be an atom, got: #{inspect(options[name])}"
    end

    unless is_struct(options[:proxy], Proxy) do
      raise ArgumentError,
            "expected :proxy to be a %Sippet.Proxy{}, got: #{inspect(options[:proxy])}"
    end

    Supervisor.start_link(__MODULE__, options, name: options[:name])
  end

  @doc "The specification under a supervisor. Its id is `{Sippet.Proxy.Server, name}`."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, options[:name]},
      start: {__MODULE__, :start_link, [options]},
      type: :supervisor
    }
  end

  @impl true
  def init(options) do
    name = options[:name]
    config = %{name: name, stack: options[:stack], proxy: options[:proxy]}

    Supervisor.init(
      [
        {Registry,
         name: registry(name),
         keys: :unique,
         partitions: System.schedulers_online(),
         meta: [config: config]},
        {PartitionSupervisor, child_spec: DynamicSupervisor, name: sessions(name)}
      ],
      strategy: :one_for_all
    )
  end

  @doc false
  @spec registry(atom) :: atom
  def registry(name), do: Module.concat(name, "Registry")

  defp sessions(name), do: Module.concat(name, "Sessions")

  defp fetch!(name) do
    {:ok, config} = Registry.meta(registry(name), :config)
    config
  end

  @doc """
  Forwards a request to its targets.

  `request` is as `Sippet.Proxy.preprocess_route/2` has returned it, `server_key` as the core got it. Targets and options
  are those of `Sippet.Proxy.Context.new/4`. From here on the request gets its responses without the core.

  Returns `:ok`; raises `ArgumentError` where there is no target, and for an ACK or a CANCEL.
  """
  @spec forward(
          atom,
          Message.request(),
          Server.Key.t(),
          [Target.t() | Sippet.URI.t() | String.t()],
          keyword
        ) :: :ok
  def forward(server, %Message{} = request, %Server.Key{} = server_key, targets, options \\ [])
      when is_atom(server) do
    config = fetch!(server)

    # What the process keeps must not hold on to the datagram. It is made here: what is wrong raises at the caller's.
    context = Proxy.Context.new(config.proxy, Message.copy(request), targets, options)
    supervisor = {:via, PartitionSupervisor, {sessions(server), server_key}}

    {:ok, _pid} =
      DynamicSupervisor.start_child(supervisor, {Session, {config, server_key, context}})

    :ok
  end

  @doc """
  Answers a CANCEL, and cancels the branches of its INVITE (RFC 3261 §16.10).

  `invite_key` is the key that came with the CANCEL. Where the INVITE's callback has not called `forward/5` yet, as it looks
  for its targets, this waits for it in the CANCEL's own process, up to #{div(@patience_ms, 1000)} seconds.
  """
  @spec cancel(atom, Message.request(), Server.Key.t()) :: :ok
  def cancel(server, %Message{} = cancel, %Server.Key{} = invite_key) when is_atom(server) do
    %{stack: stack} = config = fetch!(server)
    _sent = Sippet.send(stack, Message.to_response(cancel, 200))
    cancel_session(config, invite_key, div(@patience_ms, @poll_ms))
  end

  defp cancel_session(config, key, tries) do
    with :error <- tell(config.name, key, :cancel),
         true <- tries > 0,
         %{state: :proceeding} <- Transaction.info(config.stack, key) do
      Process.sleep(@poll_ms)
      cancel_session(config, key, tries - 1)
    else
      _told_or_answered -> :ok
    end
  end

  @doc """
  A response came: hand on all that `c:Sippet.Core.receive_response/2` gets. A 2xx to an INVITE whose other branches have long
  ended is forwarded all the same (§16.7, step 5); what else belongs to nothing is dropped (RFC 6026 §7.3).
  """
  @spec handle_response(atom, Message.response(), Client.Key.t() | nil) :: :ok
  def handle_response(server, %Message{} = response, key) when is_atom(server) do
    with :error <- tell(server, key, {:response, response}),
         %{start_line: %{status_code: status_code}, headers: %{cseq: {_number, :invite}}}
         when status_code in 200..299 <- response,
         {:ok, response} <- Proxy.forward_response(response) do
      _sent = Session.send_message(fetch!(server).stack, response)
      :ok
    else
      _ -> :ok
    end
  end

  @doc """
  A transaction failed: hand on all that `c:Sippet.Core.receive_error/2` gets. Of a server transaction nothing follows.
  """
  @spec handle_error(atom, Sippet.Core.reason(), Client.Key.t() | Server.Key.t()) :: :ok
  def handle_error(server, reason, %Client.Key{} = key) when is_atom(server) do
    _ = tell(server, key, {:error, key, reason})
    :ok
  end

  def handle_error(_server, _reason, %Server.Key{}), do: :ok

  @doc """
  Forwards an ACK to a 2xx, without state (RFC 3261 §16.6, §16.11).

  `ack` is as `Sippet.Proxy.preprocess_route/2` has returned it; it goes to `target`, by default to its Request-URI. One that
  may not be forwarded is dropped.
  """
  @spec forward_ack(atom, Message.request(), Target.t() | Sippet.URI.t() | nil) :: :ok
  def forward_ack(server, %Message{start_line: %{method: :ack}} = ack, target \\ nil)
      when is_atom(server) do
    %{stack: stack, proxy: proxy} = fetch!(server)

    with :ok <- Proxy.validate_request(proxy, ack) do
      target = target || ack.start_line.request_uri
      copy = Proxy.forward_request(proxy, ack, target, branch: :stateless)
      _sent = Session.send_message(stack, copy)
      :ok
    else
      _refused -> :ok
    end
  end

  defp tell(server, key, message) do
    case Registry.lookup(registry(server), key) do
      [{pid, _value}] ->
        send(pid, message)
        :ok

      [] ->
        :error
    end
  end
end
