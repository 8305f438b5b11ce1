defmodule Sippet.Resolver.DNS do
  @moduledoc """
  The resolver of a stack unless it has another: RFC 3263 on DNS, by OTP's `:inet_res`.

  A stack runs one by itself, with the options that `{Sippet.Resolver.DNS, options}` gives as its `:resolver`. Without a
  stack:

      children = [{Sippet.Resolver.DNS, name: MyApp.Resolver, nameservers: [{192, 0, 2, 53}]}]

      Sippet.Resolver.DNS.targets(MyApp.Resolver, "sip:biloxi.com", [:udp, :tcp])

  ## Options

  #{Sippet.Resolver.Config.docs()}

  ## What it does

  A numeric host is the target, and nothing is asked. With a port only A and AAAA records count, with a `transport`
  parameter SRV before them, else NAPTR before those (RFC 3263 §4.1, §4.2). Of NAPTR records it takes those whose service is
  SIP+D2U, SIP+D2T, SIPS+D2T, SIP+D2W or SIPS+D2W (RFC 7118 §5.5), whose transport there is, and which have no regexp; a `sips`
  URI only those with TLS. The first by order and preference that leads to a target gives all the targets. Where none is usable,
  `_sip` or `_sips` SRV records of all transports are asked for side by side, and where there are none the addresses of the
  name, by UDP or TLS. Records of equal priority are ordered at random by weight (RFC 2782), anew each time. Both families are
  always asked for (RFC 7984 §4.1), side by side, and ordered by the option `:families`.

  What an answer carries beside the records asked for, the additional section and records of other names, is not used.
  `localhost` and `invalid` and what ends in them are not asked for (RFC 6761 §6.3, §6.4). Names are whole: no search list of the
  system is applied. A name with anything but letters, digits, hyphens and
  underscores is refused.

  ## Time and bounds

  `targets/4` runs in the calling process, and blocks it for `:timeout_ms` at most; with all answers in the cache it waits for no
  process. Questions are put by processes of their own, one for each name and type however many wait for it. All that a
  zone can make it do is in the options: look-ups, records, targets, entries, questions under way. A CNAME leads to another
  question four times at most, a NAPTR record to others three times. A truncated answer is asked for again by TCP.

  Answers are kept by TTL, within `:min_ttl_ms` and `:max_ttl_ms`. How long a name is not there its SOA record says, where
  `:inet_res` shows it: OTP 25 does not for a name that is not there at all.
  """

  use GenServer

  @behaviour Sippet.Resolver

  alias Sippet.{ResolverError, URI}
  alias Sippet.Resolver.{Answer, Cache, Config, Name, Procedure, Question, Target}

  @sweep_ms 10_000

  @doc """
  Starts a resolver and links it to the calling process. `:name`, an atom, is required; the other options are the module's.

  An option that is not known or not of its kind raises `ArgumentError`.
  """
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(options) do
    {name, options} = Keyword.pop(options, :name)

    unless is_atom(name) and name not in [nil, true, false] do
      raise ArgumentError, "expected :name to be an atom, got: #{inspect(name)}"
    end

    GenServer.start_link(__MODULE__, {name, Config.new!(options)}, name: name)
  end

  @doc "The specification of a resolver under a supervisor. Its id is `{Sippet.Resolver.DNS, name}`."
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, Keyword.get(options, :name)},
      start: {__MODULE__, :start_link, [options]}
    }
  end

  @doc """
  The targets of a URI, in the order to try them, as `Sippet.Resolver.targets/3` does for a stack.

  `transports` are protocols, or `{protocol, families}` where one has IPv4 or IPv6 only, the preferred first. `:default` of
  `options` is the protocol to take where neither the URI nor DNS says, if it is one of them.

  Returns `{:ok, targets}` or `{:error, %Sippet.ResolverError{}}`; text that is no URI raises `ArgumentError`. Blocks as the
  module says.

      iex> {:ok, [target]} = Sippet.Resolver.DNS.targets(MyApp.Resolver, "sip:bob@192.0.2.4;transport=tcp", [:udp, :tcp])
      iex> {target.transport, target.address, target.port}
      {:tcp, {192, 0, 2, 4}, 5060}
      iex> target.choices
      [{:transport, :tcp, :uri}, {:literal, "192.0.2.4"}]
  """
  @spec targets(atom, URI.t() | String.t(), [atom | {atom, [:inet | :inet6]}], default: atom) ::
          {:ok, [Target.t(), ...]} | {:error, ResolverError.t()}
  def targets(name, uri, transports, options \\ []) when is_atom(name) do
    with {:ok, question} <-
           Question.of_uri(URI.parse!(uri), Question.transports!(transports)) do
      run(name, %{question | default: options[:default]})
    end
  end

  @doc false
  @impl Sippet.Resolver
  def locate(question, sippet, _options), do: run(server(sippet), question)

  @doc false
  @impl Sippet.Resolver
  def validate_options!(options) do
    _ = Config.new!(options)
    options
  end

  @doc false
  @impl Sippet.Resolver
  def stack_child_spec(sippet, options), do: child_spec([name: server(sippet)] ++ options)

  defp server(sippet), do: Module.concat(sippet, "Resolver")

  defp run(name, question) do
    # A numeric host needs no resolver, not even one that runs.
    config = config(name)
    deadline = now_ms() + config.timeout_ms
    Procedure.run(question, config, &lookup(&1, name, config, deadline))
  end

  defp config(name) do
    :ets.lookup_element(name, :config, 2)
  rescue
    ArgumentError -> Config.new!([])
  end

  # Side by side: all are asked before any is waited for.
  defp lookup(keys, name, config, deadline) do
    keys
    |> Enum.map(fn key ->
      with :error <- host(key, config),
           :error <- Cache.fetch(name, key, now_ms()),
           :ok <- in_time(deadline),
           do: {:asked, :gen_server.send_request(name, {:ask, key})}
    end)
    |> Enum.map(fn
      {:ok, answer} -> answer
      {:asked, request} -> await(request, deadline)
    end)
  end

  # What nobody would wait for is not asked.
  defp in_time(deadline), do: if(now_ms() < deadline, do: :ok, else: {:ok, {:error, :timeout}})

  defp await(request, deadline) do
    case :gen_server.receive_response(request, {:abs, deadline}) do
      {:reply, answer} -> answer
      :timeout -> {:error, :timeout}
      {:error, {_reason, _server}} -> {:error, :no_resolver}
    end
  end

  # What is not asked for. A name of the hosts file has the addresses of the file, and no others.
  defp host({type, name}, config) when type in [:a, :aaaa] do
    file = if config.hosts, do: hosts(name), else: %{}

    cond do
      file != %{} -> hosts_answer(file[type])
      Name.localhost?(name) -> {:ok, {:ok, [loopback(type)]}}
      true -> special(name)
    end
  end

  defp host({_type, name}, _config), do: special(name)

  defp special(name), do: if(Name.invalid?(name), do: {:ok, {:error, :nxdomain}}, else: :error)

  defp hosts_answer(nil), do: {:ok, {:error, :no_records}}
  defp hosts_answer(addresses), do: {:ok, {:ok, addresses}}

  defp loopback(:a), do: {127, 0, 0, 1}
  defp loopback(:aaaa), do: {0, 0, 0, 0, 0, 0, 0, 1}

  defp hosts(name) do
    charlist = String.to_charlist(name)

    for {type, family} <- [a: :inet, aaaa: :inet6],
        {:ok, {:hostent, _name, _aliases, ^family, _size, addresses}} <-
          [:inet_hosts.gethostbyname(charlist, family)],
        into: %{},
        do: {type, addresses}
  end

  defp now_ms, do: System.monotonic_time(:millisecond)

  @impl GenServer
  def init({name, config}) do
    # Those who ask end with this process, and it does not end with one of them.
    Process.flag(:trap_exit, true)
    cache = Cache.new(name, config.max_entries)
    :ets.insert(name, {:config, config})
    Process.send_after(self(), :sweep, @sweep_ms)
    {:ok, %{cache: cache, config: config, pending: %{}, monitors: %{}}}
  end

  @impl GenServer
  def handle_call({:ask, key}, from, state) do
    case {Cache.fetch(state.cache.table, key, now_ms()), state.pending} do
      {{:ok, answer}, _pending} ->
        {:reply, answer, state}

      {:error, %{^key => {monitor, waiting}}} ->
        {:noreply, put_in(state.pending[key], {monitor, [from | waiting]})}

      {:error, pending} when map_size(pending) >= state.config.max_pending ->
        {:reply, {:error, :overloaded}, state}

      {:error, _pending} ->
        ask(state, key, from)
    end
  end

  defp ask(state, {type, name} = key, from) do
    server = self()
    config = state.config
    fun = fn -> send(server, {:answer, key, Answer.ask(type, name, config)}) end
    {_pid, monitor} = Process.spawn(fun, [:link, :monitor])

    {:noreply,
     %{
       state
       | pending: Map.put(state.pending, key, {monitor, [from]}),
         monitors: Map.put(state.monitors, monitor, key)
     }}
  rescue
    # The VM has no process left.
    SystemLimitError -> {:reply, {:error, :overloaded}, state}
  end

  @impl GenServer
  def handle_info({:answer, key, {answer, ttl}}, state) do
    {:noreply, answered(state, key, answer, ttl)}
  end

  # It was killed: one that has ended by itself has sent its answer before.
  def handle_info({:DOWN, monitor, :process, _pid, _reason}, state) do
    case state.monitors do
      %{^monitor => key} -> {:noreply, answered(state, key, {:error, :server_failure}, nil)}
      _ -> {:noreply, state}
    end
  end

  def handle_info(:sweep, state) do
    Cache.sweep(state.cache, now_ms())
    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}

  defp answered(state, key, answer, ttl) do
    {{monitor, waiting}, pending} = Map.pop!(state.pending, key)
    Process.demonitor(monitor, [:flush])
    Cache.put(state.cache, key, answer, now_ms(), ttl_ms(answer, ttl, state.config))
    for from <- waiting, do: GenServer.reply(from, answer)
    %{state | pending: pending, monitors: Map.delete(state.monitors, monitor)}
  end

  defp ttl_ms({:error, reason}, ttl, config) when reason in [:nxdomain, :no_records] do
    ms = if ttl, do: ttl * 1_000, else: config.negative_ttl_ms
    ms |> max(config.min_ttl_ms) |> min(config.max_negative_ttl_ms)
  end

  defp ttl_ms({:error, _failure}, _ttl, config), do: config.failure_ttl_ms

  defp ttl_ms(_records, ttl, config),
    do: (ttl * 1_000) |> max(config.min_ttl_ms) |> min(config.max_ttl_ms)
end
