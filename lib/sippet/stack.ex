defmodule Sippet.Stack do
  # A stack as its processes and callers share it: the engine, the table of transports, the options. Made by the
  # supervisor of the stack, found by name in a persistent term, since every message sent asks for it.
  @moduledoc false

  alias Sippet.{Native, Resolver, Router}
  alias Sippet.Logger.Budget
  alias Sippet.Message.Tag
  alias Sippet.Routing.Failures
  alias Sippet.Transactions.{Client, Server}
  alias Sippet.Transport.FlowToken

  @enforce_keys [
    :name,
    :supervisor,
    :engine,
    :limits,
    :options,
    :transports,
    :failures,
    :response_workers,
    :log_budget,
    :group_leader
  ]
  defstruct @enforce_keys ++ [sim: nil, resolver: {Sippet.Resolver.DNS, []}]

  @type t :: %__MODULE__{
          name: atom,
          supervisor: pid,
          engine: reference,
          limits: Native.stack_limits(),
          options: keyword,
          transports: :ets.tid(),
          failures: :ets.tid(),
          # How many processes of Sippet.Routing.Responses are at work.
          response_workers: :atomics.atomics_ref(),
          log_budget: Budget.t(),
          group_leader: pid,
          # The process of the simulation that it belongs to.
          sim: pid | nil,
          resolver: {module, options :: term}
        }

  # name, default, kind, what it is
  @options [
    {:t1, 500, :milliseconds, "the estimate of a round trip, T1 (RFC 3261 §17.1.1.1)"},
    {:t2, 4_000, :milliseconds,
     "the longest interval between repetitions, T2 (RFC 3261 §17.1.2.2)"},
    {:t4, 5_000, :milliseconds,
     "how long a message stays in the network, T4 (RFC 3261 §17.1.2.2)"},
    {:timer_d, 32_000, :milliseconds,
     "the least that timer D may be on an unreliable transport (RFC 3261 §17.1.1.2)"},
    {:trying_ms, 200, :milliseconds,
     "how long an INVITE stays unanswered before a 100 is sent for the core (RFC 3261 §17.2.1)"},
    {:invite_proceeding_ms, 600_000, :milliseconds,
     "how long an INVITE client waits after each provisional response before it fails with `:timeout`"},
    {:invite_watchdog_ms, 240_000, :milliseconds,
     "how long an INVITE server waits for its core after each provisional response before it answers 408"},
    {:max_transactions, 1_000_000, :count,
     "how many transactions may be open; a tenth is kept for CANCEL, ACK and requests inside dialogs"},
    {:max_start_delay_ms, 50, :delay,
     "how long callbacks may wait for a processor before requests outside of dialogs are refused, those inside after four times as \
long, `:infinity` for any time; see \
`guides/operations.md`"},
    {:merged_requests, :deliver, [:deliver, :reject],
     "`:reject` answers 482 to a request that came another way before: for user agents, not for proxies (RFC 3261 §8.2.2.2)"},
    {:stray_responses, :drop, [:drop, :deliver],
     "`:deliver` gives responses that match no transaction to the core with key nil: for stateless proxies (RFC 6026 §7.3)"},
    {:max_udp_request_bytes, 1_300, :count,
     "how long a request may be that leaves by UDP, if it may leave by TCP; the path MTU less 200 where that is known (RFC 3261 \
§18.1.1)"},
    {:max_targets, 3, :count,
     "how many of the targets of a host name are tried for one request; `1` for the first only (RFC 3263 §4.3)"},
    {:failed_target_ms, 30_000, :milliseconds,
     "for how long others are preferred to a target that failed, if its 503 has no Retry-After (RFC 3261 §21.5.4)"}
  ]

  # How many failures of the core are logged in a second.
  @failures_a_second 10

  # About ten thousand transactions.
  @calls_to_trim 40

  # name, default, what it is
  @limits [
    {:max_message_bytes, 65_536, "bytes of a datagram"},
    {:max_fields, 256, "header fields"},
    {:max_line_bytes, 8_192, "one header line, its folds included"},
    {:max_values, 256, "values of a list field"},
    {:max_hops, 64, "values of Via, Route and Record-Route"},
    {:max_parameters, 32, "different parameters of a value"},
    {:max_folds, 16, "folds of a field"},
    {:max_stream_message_bytes, 1_048_576, "bytes of a message on a stream"},
    {:max_stream_message_ms, 10_000,
     "milliseconds from the first byte of a message on a stream to its last"}
  ]

  @doc "The options of `Sippet.start_link/1` as a Markdown list."
  @spec options_docs() :: String.t()
  def options_docs do
    options =
      for {name, default, _kind, text} <- @options do
        "  * `:#{name}` - #{text}; default `#{inspect(default)}`\n"
      end

    limits =
      for {name, default, text} <- @limits do
        "      * `:#{name}` - #{text}; default `#{default}`\n"
      end

    IO.iodata_to_binary([
      "  * `:name` - the stack's name, an atom; required\n",
      "  * `:core` - the module of the core, as by `Sippet.register_core/2`; default none\n",
      "  * `:flow_token_key` - what `Sippet.Flow.to_token/2` signs by: 32 random bytes or more, a list of such, of which the first signs\n",
      "    and all are good to verify, or a function that returns them; by default one that the VM makes, and forgets when it stops\n",
      "  * `:resolver` - a module of `Sippet.Resolver`, or `{module, options}`; default `Sippet.Resolver.DNS`\n",
      options,
      "  * `:limits` - what received messages are held to, a keyword list:\n",
      limits,
      "\n  Durations are milliseconds."
    ])
  end

  @doc "Checks the options of `Sippet.start_link/1` and fills in the defaults."
  @spec validate_options!(keyword) :: keyword
  def validate_options!(options) do
    case Keyword.fetch(options, :name) do
      {:ok, name} when is_atom(name) and name not in [nil, true, false] ->
        :ok

      {:ok, other} ->
        raise ArgumentError, "expected :name to be an atom, got: #{inspect(other)}"

      :error ->
        raise ArgumentError, "expected :name option to be present"
    end

    known = [:name, :core, :flow_token_key, :resolver, :limits | Enum.map(@options, &elem(&1, 0))]

    for {key, _value} <- options, key not in known do
      raise ArgumentError, "unknown option #{inspect(key)}, known are: #{inspect(known)}"
    end

    checked =
      for {name, default, kind, _text} <- @options do
        {name, check!(name, kind, Keyword.get(options, name, default))}
      end

    unless is_atom(options[:core]), do: refuse!(:core, "a module", options[:core])

    [
      name: options[:name],
      core: options[:core],
      flow_token_key: FlowToken.validate!(options[:flow_token_key]),
      resolver: Resolver.validate!(Keyword.get(options, :resolver, Resolver.default())),
      limits: validate_limits!(Keyword.get(options, :limits, []))
    ] ++ checked
  end

  defp check!(_name, :milliseconds, value) when is_integer(value) and value > 0, do: value
  defp check!(_name, :delay, :infinity), do: :infinity
  defp check!(_name, :delay, value) when is_integer(value) and value > 0, do: value
  defp check!(_name, :count, value) when is_integer(value) and value > 0, do: value

  defp check!(name, values, value) when is_list(values) do
    if value in values, do: value, else: refuse!(name, "one of #{inspect(values)}", value)
  end

  defp check!(name, :milliseconds, value),
    do: refuse!(name, "a positive number of milliseconds", value)

  defp check!(name, :delay, value),
    do: refuse!(name, "a positive number of milliseconds or :infinity", value)

  defp check!(name, :count, value), do: refuse!(name, "a positive integer", value)

  defp refuse!(name, expected, value) do
    raise ArgumentError, "expected :#{name} to be #{expected}, got: #{inspect(value)}"
  end

  defp validate_limits!(limits) do
    unless Keyword.keyword?(limits), do: refuse!(:limits, "a keyword list", limits)
    known = Enum.map(@limits, &elem(&1, 0))

    for {key, _value} <- limits, key not in known do
      raise ArgumentError, "unknown limit #{inspect(key)}, known are: #{inspect(known)}"
    end

    for {name, default, _text} <- @limits do
      {name, check!(name, :count, Keyword.get(limits, name, default))}
    end
  end

  @doc """
  Makes the stack of the calling supervisor, from validated options, and lets its name find it.
  """
  @spec create(keyword) :: t
  def create(options) do
    name = Keyword.fetch!(options, :name)
    {sim, shards, seed} = simulated(options[:sim])
    limits = options |> Keyword.fetch!(:limits) |> Keyword.values() |> List.to_tuple()

    stack = %__MODULE__{
      name: name,
      supervisor: self(),
      engine:
        Native.engine_new(shards, seed, config(options), limits, max_start_delay_ms(options)),
      limits: limits,
      options: options,
      transports: :ets.new(:sippet_transports, [:public, read_concurrency: true]),
      failures: Failures.new(),
      response_workers: :atomics.new(1, []),
      log_budget:
        Budget.new(@failures_a_second, :error, "callbacks of the core of #{inspect(name)} failed"),
      group_leader: Process.group_leader(),
      sim: sim,
      resolver: Keyword.fetch!(options, :resolver)
    }

    :ok = Tag.make_key()
    if options[:core], do: :ok = set_core(stack, options[:core])
    :persistent_term.put({__MODULE__, name}, stack)
    stack
  end

  # In a simulation all transactions have one order, and tags that its seed makes.
  defp simulated({sim, seed}), do: {sim, 1, seed}
  defp simulated(nil), do: {nil, 4 * System.schedulers_online(), :crypto.strong_rand_bytes(16)}

  @doc "Makes a module the core of a stack."
  @spec set_core(t, module) :: :ok
  def set_core(stack, module) do
    # The first callback would have to wait for it, and a CANCEL take that for the callback's own waiting.
    _ = Code.ensure_loaded(module)
    Native.engine_set_core(stack.engine, module)
  end

  defp max_start_delay_ms(options) do
    case options[:max_start_delay_ms] do
      :infinity -> 0
      milliseconds -> milliseconds
    end
  end

  # In the order that the engine reads them.
  defp config(options) do
    {
      options[:t1],
      options[:t2],
      options[:t4],
      options[:timer_d],
      options[:trying_ms],
      options[:invite_proceeding_ms],
      options[:invite_watchdog_ms],
      # A runner that does not start, and a request behind an ACK, wait for a second (ARCHITECTURE.md, Delivery).
      1_000,
      1_000,
      options[:max_transactions],
      options[:merged_requests] == :reject,
      options[:stray_responses] == :deliver,
      options[:max_udp_request_bytes]
    }
  end

  @doc """
  Ends a stack, called by a process of it that ends for `reason`; a process that has just crashed ends nothing.

  Calls to its engine find it stopped, and what is open is forgotten. Its name finds nothing any more where the supervisor
  shuts down; where that was killed, the next one may have the name by now.
  """
  @spec close(t, reason :: term) :: :ok
  def close(stack, :shutdown) do
    :ok = Native.engine_close(stack.engine)
    :persistent_term.erase({__MODULE__, stack.name})
    empty(stack)
  end

  def close(stack, _reason) do
    unless Process.alive?(stack.supervisor) do
      :ok = Native.engine_close(stack.engine)
      empty(stack)
    end

    :ok
  end

  # In bounded calls: the last reference to a full engine must not free a million transactions at once. Where there were
  # many, the system gets the memory back; others that allocate may have to wait for that a moment, so a small stack does not.
  defp empty(stack, calls \\ 1) do
    {left, effects} = Native.engine_empty(stack.engine)
    Router.perform(%{stack | sim: nil}, effects)

    cond do
      left == :more -> empty(stack, calls + 1)
      calls > @calls_to_trim -> Native.engine_trim()
      true -> :ok
    end
  end

  @doc "The name of a stack's supervisor: what keeps a second stack of that name from starting."
  @spec supervisor(atom) :: atom
  def supervisor(name), do: Module.concat(name, "Stack")

  @doc "The stack of a name; raises `ArgumentError` if there is none."
  @spec fetch!(atom) :: t
  def fetch!(name) do
    case :persistent_term.get({__MODULE__, name}, nil) do
      nil -> raise ArgumentError, "there is no stack named #{inspect(name)}"
      stack -> stack
    end
  end

  @doc "How long a message of a stream may take."
  @spec max_stream_message_ms(t) :: pos_integer
  def max_stream_message_ms(%__MODULE__{limits: limits}), do: elem(limits, tuple_size(limits) - 1)

  @doc "A public key as the engine is asked for it."
  @spec key_parts(Client.Key.t() | Server.Key.t()) :: tuple
  def key_parts(%Client.Key{branch: branch, method: method}), do: {branch, method(method)}

  def key_parts(%Server.Key{branch: branch, method: method, sentby: {host, port}}),
    do: {branch, method(method), host, port}

  # An ACK shares the key of its INVITE (RFC 3261 §17.2.3).
  defp method(:ack), do: "INVITE"
  defp method(method) when is_atom(method), do: method |> Atom.to_string() |> String.upcase()
  defp method(method) when is_binary(method), do: method
end
