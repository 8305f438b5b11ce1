defmodule Sippet.Telemetry do
  # Each event: its name, when it is, measurements, metadata; the first five are told by the engine, whose bits for them are in
  # native/sippet_nif/src/telemetry.rs.
  @events [
    {[:sippet, :message, :received], "a message was received and parsed",
     [:monotonic_time, :bytes],
     [:stack, :transport, :protocol, :local, :remote, :method, :status_code, :reason, :data]},
    {[:sippet, :message, :rejected],
     "bytes that are no message, or a message unfit for a transaction", [:monotonic_time, :bytes],
     [:stack, :transport, :protocol, :local, :remote, :reason, :status_code, :data]},
    {[:sippet, :request, :refused], "a request was answered 503 by the stack", [:monotonic_time],
     [:stack, :transport, :protocol, :local, :remote, :reason]},
    {[:sippet, :transaction, :start], "a transaction began", [:monotonic_time, :system_time],
     [:stack, :key, :role]},
    {[:sippet, :transaction, :stop], "a transaction ended",
     [:monotonic_time, :duration, :response_time, :retransmissions],
     [:stack, :key, :role, :status_code, :reason]},
    {[:sippet, :message, :sent], "a message was handed to a transport", [:monotonic_time, :bytes],
     [:stack, :transport, :protocol, :local, :remote, :data]},
    {[:sippet, :transport, :error], "a transport could not send a message", [:monotonic_time],
     [:stack, :transport, :protocol, :local, :remote, :reason, :data]},
    {[:sippet, :delivery, :start], "a callback of the core begins",
     [:monotonic_time, :system_time, :start_delay], [:stack, :core, :callback, :key]},
    {[:sippet, :delivery, :stop], "a callback of the core has returned",
     [:monotonic_time, :duration, :start_delay], [:stack, :core, :callback, :key]},
    {[:sippet, :delivery, :exception], "a callback of the core raised, exited or threw",
     [:monotonic_time, :duration, :start_delay],
     [:stack, :core, :callback, :key, :kind, :reason, :stacktrace]},
    {[:sippet, :limit, :reached], "a limit of the stack was met", [:monotonic_time],
     [:stack, :limit]},
    {[:sippet, :overload, :start],
     "the stack has begun to refuse requests since it is overloaded", [:monotonic_time, :wait],
     [:stack]},
    {[:sippet, :overload, :stop], "the stack takes all requests again",
     [:monotonic_time, :duration], [:stack]},
    {[:sippet, :target, :selected], "a request goes to one of several targets that it might",
     [:monotonic_time, :attempt], [:stack, :key, :protocol, :remote, :choices]},
    {[:sippet, :target, :failed], "a target has not taken a request, or answered it 503",
     [:monotonic_time, :attempt, :avoided], [:stack, :key, :protocol, :remote, :choices, :reason]}
  ]

  @moduledoc """
  What happens in a stack, as telemetry events.

  Handlers are attached to the package `:telemetry`, if it is there, in its own way:

      :telemetry.attach("calls", [:sippet, :transaction, :stop], &MyApp.Metrics.handle/4, nil)

  Without that package they are attached to this module, by `attach/4`, with the same arguments and the same rules. What nobody
  listens for is not told and costs nothing. Whether somebody does is looked up once a second: a handler of `:telemetry`
  that is attached when a stack is up gets its events from the next second on, or from `refresh/0` on.

  ## Events

  | event | when | measurements | metadata |
  |---|---|---|---|
  #{for {name, text, measurements, metadata} <- @events do
    "| `#{inspect(name)}` | #{text} | #{Enum.map_join(measurements, ", ", &"`#{&1}`")} | #{Enum.map_join(metadata, ", ", &"`#{&1}`")} |\n"
  end}
  Times are in native units, as `System.monotonic_time/0` has them; those of transactions are exact to a millisecond.

    * `monotonic_time`, `system_time` - when it was
    * `bytes` - the length of the message
    * `duration` - from the start to the stop; a transaction lives on after its final response, for repetitions
    * `response_time` - from the start of the transaction to its first final response; nil without one
    * `retransmissions` - how many of its messages the stack has sent again
    * `start_delay` - from when the callback could have begun, mostly the arrival of its message, to its first instruction
    * `wait` - how long callbacks wait for a processor, on average of the last tenth of a second
    * `attempt` - which of the targets of this request it is, from 1
    * `avoided` - for how long others are preferred to the target from now on, 0 for not at all

    * `stack` - the stack's name
    * `transport`, `protocol`, `local`, `remote` - the number of the transport, as in `t:Sippet.Flow.t/0`; `:udp`, `:tcp` ...;
      `{ip, port}` that its socket is bound to; `{ip, port}` of the peer. Protocol and local are nil where the transport is gone.
    * `method` - of a request, an atom if it is known, else a string; nil for a response
    * `status_code` - of a response; nil for a request. Of a rejected message: what it is answered, if it is a request. Of a
      transaction: its first final response, nil without one.
    * `data` - the bytes of the message, with all its secrets
    * `key`, `role` - the key of the transaction, as its core has it, and `:client` or `:server`
    * `core`, `callback` - the module, and `:receive_request`, `:receive_response` or `:receive_error`
    * `kind`, `stacktrace` - as in `catch`
    * `choices` - why this target: what the resolver found, a list of `t:Sippet.Resolver.choice/0`; `:failed_before` in it if it has
      failed of late and comes behind others for that, `:too_long` if it is TCP since the request is too long for UDP
    * `limit` - `:max_transactions`; `:max_processes`, which is the VM's; or one of `:limits` of `Sippet.start_link/1`; of a transport `:max_connections` or
      `:max_connections_per_peer`, for each connection that was refused
    * `reason` - why:
      * of a received message: nil, or why it was rejected or refused, which an event of its own tells next
      * of a rejected message, a `t:Sippet.ParseError.reason/0`; `:method_mismatch`, its CSeq has another method; `:broken`, the
        stream ended within it
      * of a refused request, `:overload`; `:max_transactions`; `:max_processes`; `:draining`, by `Sippet.drain/2`; `:no_core`
      * of a transaction, `:normal`, `:timeout`, `:no_ack`, `:transport_error` or `:terminated`; see `t:Sippet.Core.reason/0`
      * of a transport's error, what the transport said
      * of a target, `:timeout`; `{:status, 503}`; or what the transport said, as in `t:Sippet.TransportError.reason/0`
      * of an exception, what was raised

  A handler runs in the process in which the event is: that of a transport, of the core's callback, of whoever sends, or the stack's
  clock. It must not block. One that raises is detached.
  """

  require Logger

  alias Sippet.Native

  @typedoc "Any term; a handler is detached by it."
  @type handler_id :: term

  @typedoc "The name of an event."
  @type event :: [atom, ...]

  @typedoc "Called with name, measurements, metadata and the configuration that it was attached with."
  @type handler :: (event, map, map, config :: term -> any)

  @mask {__MODULE__, :mask}
  @handlers {__MODULE__, :handlers}
  @package {__MODULE__, :package}

  @bits @events |> Enum.with_index(fn {name, _, _, _}, index -> {name, index} end) |> Map.new()

  @doc "The names of all events."
  @spec events() :: [event]
  def events, do: for({name, _when, _measurements, _metadata} <- @events, do: name)

  @doc false
  def descriptions, do: @events

  @doc """
  Attaches a handler to an event.

  Returns `{:error, :already_exists}` if there is a handler of this id for the event. Raises `ArgumentError` for an event that
  there is not.
  """
  @spec attach(handler_id, event, handler, config :: term) :: :ok | {:error, :already_exists}
  def attach(id, event, function, config),
    do: attach_many(id, [event], function, config)

  @doc "The same for several events: all or none."
  @spec attach_many(handler_id, [event], handler, config :: term) ::
          :ok | {:error, :already_exists}
  def attach_many(id, events, function, config) when is_function(function, 4) do
    for event <- events, not is_map_key(@bits, event) do
      raise ArgumentError, "expected an event of Sippet.Telemetry, got: #{inspect(event)}"
    end

    change(fn handlers ->
      if Enum.any?(handlers, &(elem(&1, 0) == id)),
        do: {{:error, :already_exists}, handlers},
        else: {:ok, handlers ++ for(event <- events, do: {id, event, function, config})}
    end)
  end

  @doc "Detaches a handler from all its events. Returns `{:error, :not_found}` if there is none of this id."
  @spec detach(handler_id) :: :ok | {:error, :not_found}
  def detach(id) do
    change(fn handlers ->
      case Enum.reject(handlers, &(elem(&1, 0) == id)) do
        ^handlers -> {{:error, :not_found}, handlers}
        left -> {:ok, left}
      end
    end)
  end

  # Handlers come and go seldom, and are looked up with each event.
  defp change(function) do
    :global.trans(
      {@handlers, self()},
      fn ->
        handlers = :persistent_term.get(@handlers, [])
        {result, changed} = function.(handlers)
        if changed != handlers, do: :persistent_term.put(@handlers, changed)
        listen()
        result
      end,
      [node()]
    )
  end

  @doc """
  Looks up now who listens, and not only within a second.
  """
  @spec refresh() :: :ok
  def refresh, do: :global.trans({@handlers, self()}, &listen/0, [node()])

  defp listen do
    packaged = packaged()
    own = for {_id, event, _function, _config} <- :persistent_term.get(@handlers, []), do: event
    bits = for name <- Enum.uniq(own ++ packaged), bit = @bits[name], do: Bitwise.bsl(1, bit)
    mask = Enum.sum(bits)

    # Small integers and atoms are replaced without a collection of all processes.
    if :persistent_term.get(@package, false) != (packaged != []),
      do: :persistent_term.put(@package, packaged != [])

    if :persistent_term.get(@mask, 0) != mask, do: :persistent_term.put(@mask, mask)

    # The engine tells what somebody is there for; and what a limit is can only be seen in what was rejected or refused.
    Native.telemetry_listen(Bitwise.bor(mask, if(listens_to?(mask, :limit), do: 0b110, else: 0)))
  end

  defp listens_to?(mask, :limit),
    do: Bitwise.band(mask, Bitwise.bsl(1, @bits[[:sippet, :limit, :reached]])) != 0

  # The events that the package has handlers for.
  defp packaged do
    if Code.ensure_loaded?(:telemetry) do
      for %{event_name: name} <- apply(:telemetry, :list_handlers, [[:sippet]]), do: name
    else
      []
    end
  rescue
    # The application is not started.
    _ -> []
  end

  @doc false
  defmacro listens?([:sippet | _] = name), do: listens_to_any([name])
  defmacro listens?(names), do: listens_to_any(names)

  # One look for all of them.
  defp listens_to_any(names) do
    bits = Enum.sum(for name <- names, do: Bitwise.bsl(1, Map.fetch!(@bits, name)))

    quote do
      Bitwise.band(:persistent_term.get({Sippet.Telemetry, :mask}, 0), unquote(bits)) != 0
    end
  end

  @doc false
  @spec execute(event, map, map) :: :ok
  def execute(name, measurements, metadata) do
    measurements = Map.put_new_lazy(measurements, :monotonic_time, &System.monotonic_time/0)

    for {id, ^name, function, config} <- :persistent_term.get(@handlers, []) do
      try do
        function.(name, measurements, metadata, config)
      catch
        kind, reason ->
          _ = detach(id)

          Logger.error(
            "the handler #{inspect(id)} of #{inspect(name)} failed and was detached\n" <>
              Exception.format(kind, reason, __STACKTRACE__)
          )
      end
    end

    if :persistent_term.get(@package, false),
      do: apply(:telemetry, :execute, [name, measurements, metadata])

    :ok
  end
end
