defmodule Sippet.Resolver do
  @moduledoc """
  Where a request to a URI can go (RFC 3263): the transports, addresses and ports to try, in their order, with the reasons.

      {:ok, [target | others]} = Sippet.Resolver.targets(:my_stack, "sip:biloxi.com")

  A stack has one resolver, its option `:resolver`: `Sippet.Resolver.DNS`, which it runs and which also tells what blocks for
  how long, or a module with the callback of this one, for a test for instance:

      defmodule MyResolver do
        @behaviour Sippet.Resolver

        alias Sippet.{ResolverError, Resolver.Target}

        @impl true
        def locate(%{host: "biloxi.com"}, _sippet, _options),
          do: {:ok, [%Target{transport: :udp, address: {192, 0, 2, 4}, port: 5060}]}

        def locate(question, _sippet, _options),
          do: {:error, %ResolverError{reason: :nxdomain, host: question.host}}
      end

      Sippet.start_link(name: :my_stack, resolver: MyResolver)
  """

  alias Sippet.{ResolverError, Stack, Transport, URI}
  alias Sippet.Resolver.{Question, Target}

  @typedoc """
  One decision on the way to a target, `name` is always one that DNS was asked for.

    * `{:maddr, host}` - the `maddr` of the URI takes the place of its host
    * `{:transport, protocol, :uri | :default}` - the URI names the transport, or nobody does
    * `{:port, port}` - the URI has a port
    * `{:literal, host}` - the host is an address
    * `{:naptr, name, service, {order, preference}, replacement}` - this NAPTR record was followed
    * `{:no_naptr, name, reason}` - there was none, or by the reason `:not_usable` none for this stack
    * `{:srv, name, {priority, weight, port, target}}` - this SRV record was followed
    * `{:srv, name, :root}` - it says that there is no such service
    * `{:no_srv, name, reason}` - there was none
    * `{:address, name, :a | :aaaa}` - the name has this address
    * `:failed_before`, `:too_long` - as the stack sends, in telemetry only: see `Sippet.Telemetry`
  """
  @type choice ::
          {:maddr, String.t()}
          | {:transport, atom, :uri | :default}
          | {:port, :inet.port_number()}
          | {:literal, String.t()}
          | {:naptr, String.t(), String.t(), {0..65_535, 0..65_535}, String.t()}
          | {:no_naptr, String.t(), ResolverError.reason() | :no_records | :not_usable}
          | {:srv, String.t(),
             {0..65_535, 0..65_535, :inet.port_number(), target :: String.t()} | :root}
          | {:no_srv, String.t(), ResolverError.reason() | :no_records}
          | {:address, String.t(), :a | :aaaa}
          | :failed_before
          | :too_long

  @doc """
  Finds the targets of a question, at least one or an error, the first to be tried first.

  Runs in the process that sends, a runner of the core's for instance, and blocks it. `options` is what the stack's option
  `:resolver` has beside the module, `[]` if nothing. Only names come here where a message is sent; a numeric host is where
  the message goes.
  """
  @callback locate(Question.t(), Sippet.sippet(), options :: term) ::
              {:ok, [Target.t(), ...]} | {:error, ResolverError.t()}

  @doc "Checks the options as the stack starts; returns them, or raises `ArgumentError`."
  @callback validate_options!(options :: term) :: term

  @doc "What the resolver needs to run in the stack."
  @callback stack_child_spec(Sippet.sippet(), options :: term) :: Supervisor.child_spec()

  @optional_callbacks validate_options!: 1, stack_child_spec: 2

  @doc """
  The targets of a URI, by the transports and the resolver of a stack.

  ## Options

    * `:transports` - protocols, or `{protocol, families}` where one has IPv4 or IPv6 only, the preferred first; default those
      that the stack has, in the order in which they were started
    * `:default` - the protocol to take where neither the URI nor DNS says, if it is one of them; default UDP, and TLS for
      `sips` (RFC 3263 §4.1)

  Returns `{:ok, targets}`, at least one, or `{:error, %Sippet.ResolverError{}}`. Text that is no URI raises
  `ArgumentError`. Blocks the calling process as long as the resolver says. RFC 3263 §4.

      iex> {:ok, _stack} = Sippet.start_link(name: :locating)
      iex> {:ok, [target]} = Sippet.Resolver.targets(:locating, "sips:bob@192.0.2.4", transports: [:udp, :tls])
      iex> {target.transport, target.address, target.port}
      {:tls, {192, 0, 2, 4}, 5061}
  """
  @spec targets(Sippet.sippet(), URI.t() | String.t(), keyword) ::
          {:ok, [Target.t(), ...]} | {:error, ResolverError.t()}
  def targets(sippet, uri, options \\ []) when is_atom(sippet) and is_list(options) do
    stack = Stack.fetch!(sippet)
    options = validate_options!(options)

    with {:ok, question} <- Question.of_uri(URI.parse!(uri), transports(stack, options)),
         do: locate(stack, %{question | default: options[:default]})
  end

  @doc """
  The targets of a response that its connection, or the address it came from, no longer takes: where the topmost Via of
  the request says that it was sent by, or its `maddr` (RFC 3263 §5, RFC 3261 §18.2.2).

  `via` is an element of the list in the header map; its port may be nil. A port that is the protocol's own counts as not
  written, as a parsed Via does not tell: a name is then looked up by SRV records first. The option `:transports` and the
  results are those of `targets/3`.

      iex> {:ok, _stack} = Sippet.start_link(name: :answering)
      iex> via = {{2, 0}, :udp, {"192.0.2.4", 5070}, %{"branch" => "z9hG4bK1"}}
      iex> {:ok, [target]} = Sippet.Resolver.targets_for_response(:answering, via, transports: [:udp])
      iex> {target.transport, target.address, target.port}
      {:udp, {192, 0, 2, 4}, 5070}
  """
  @spec targets_for_response(Sippet.sippet(), tuple, keyword) ::
          {:ok, [Target.t(), ...]} | {:error, ResolverError.t()}
  def targets_for_response(sippet, via, options \\ [])
      when is_atom(sippet) and is_list(options) do
    stack = Stack.fetch!(sippet)
    locate(stack, Question.of_via(via, transports(stack, validate_options!(options))))
  end

  defp validate_options!(options) do
    for {key, _value} <- options, key not in [:transports, :default] do
      raise ArgumentError,
            "unknown option #{inspect(key)}, known are: [:transports, :default]"
    end

    options
  end

  defp transports(stack, options) do
    case Keyword.fetch(options, :transports) do
      {:ok, transports} -> Question.transports!(transports)
      :error -> available(Transport.list(stack.name))
    end
  end

  @doc false
  # Of a list of transports, as a question has them: the protocols in their order, each with its families.
  @spec available([Transport.t()]) :: [{atom, [:inet | :inet6]}]
  def available(transports) do
    for protocol <- transports |> Enum.map(& &1.protocol) |> Enum.uniq() do
      of_protocol = Enum.filter(transports, &(&1.protocol == protocol))
      {protocol, of_protocol |> Enum.flat_map(&families/1) |> Enum.uniq()}
    end
  end

  # A transport of 1.x takes any host.
  defp families(%Transport{address: nil}), do: [:inet, :inet6]

  # Nor does it matter to whoever goes through a proxy.
  defp families(%Transport{proxy: proxy}) when proxy != nil, do: [:inet, :inet6]

  defp families(%Transport{address: {ip, _port}}), do: [Sippet.Resolver.Name.family(ip)]

  @doc false
  @spec locate(Stack.t(), Question.t()) :: {:ok, [Target.t(), ...]} | {:error, ResolverError.t()}
  def locate(%Stack{resolver: {module, options}, name: name}, question),
    do: module.locate(question, name, options)

  @doc false
  @spec default() :: {module, []}
  def default, do: {Sippet.Resolver.DNS, []}

  @doc false
  # The option of a stack, `module` or `{module, options}`.
  @spec validate!(term) :: {module, term}
  def validate!(module) when is_atom(module), do: validate!({module, []})

  def validate!({module, options}) when is_atom(module) do
    unless Code.ensure_loaded?(module) and function_exported?(module, :locate, 3) do
      raise ArgumentError,
            "expected :resolver to be a module with the callbacks of Sippet.Resolver, got: #{inspect(module)}"
    end

    if function_exported?(module, :validate_options!, 1),
      do: {module, module.validate_options!(options)},
      else: {module, options}
  end

  def validate!(other) do
    raise ArgumentError,
          "expected :resolver to be a module or {module, options}, got: #{inspect(other)}"
  end

  @doc false
  @spec child_specs(Stack.t()) :: [Supervisor.child_spec()]
  def child_specs(%Stack{resolver: {module, options}, name: name}) do
    if function_exported?(module, :stack_child_spec, 2),
      do: [module.stack_child_spec(name, options)],
      else: []
  end
end
