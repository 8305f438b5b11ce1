defmodule Sippet.Transport do
  @moduledoc """
  The behaviour of a transport, and the transports of a stack.

  A transport is a process, or several, that own sockets. When it is up it calls `register/2`; each message that arrives
  it hands to `receive_message/4`; and whoever has a message to send calls its `c:transmit/4`.

      defmodule MyApp.SCTP do
        use GenServer
        @behaviour Sippet.Transport

        def start_link(options), do: GenServer.start_link(__MODULE__, options)

        @impl true
        def init(options) do
          {:ok, transport} =
            Sippet.Transport.register(options[:name],
              module: __MODULE__,
              handle: self(),
              protocol: :sctp,
              reliable: true,
              address: {{127, 0, 0, 1}, 5060}
            )

          {:ok, transport}
        end

        @impl Sippet.Transport
        def transmit(pid, _connection, remote, data), do: GenServer.cast(pid, {:send, remote, data})
      end
  """

  alias Sippet.{Flow, Router, Stack, TransportError}
  alias Sippet.Transport.Table

  @enforce_keys [:id, :sippet, :module, :handle, :protocol, :reliable, :address, :pid]
  defstruct @enforce_keys ++ [force_rport: false, connections: false, alias: false, proxy: nil]

  @typedoc """
  A transport of a stack.

    * `id` - its number, the `transport` of a `t:Sippet.Flow.t/0`; a transport that is started again keeps it
    * `sippet` - the stack
    * `module`, `handle` - where messages to be sent go: `module.transmit(handle, ...)`
    * `protocol` - as Via names it: `:udp`, `:tcp` ...
    * `reliable` - it delivers or tells when it cannot (RFC 3261 §17)
    * `address` - `{ip, port}`, the one that the socket is bound to; nil if there is none
    * `pid` - its process
    * `force_rport` - responses go to the source port of a request, whether it asks for that or not (RFC 3581)
    * `connections` - it has connections: its module has `c:connect/3`
    * `alias` - its requests ask for RFC 5923: `alias` in their Via
    * `proxy` - nil, or that it makes them through a proxy, to addresses of either family. With `:remote` to names too, which
      are resolved at the far end: `c:connect/3` then has `{name, port}` for an address, and no resolver is asked
  """
  @type t :: %__MODULE__{
          id: non_neg_integer,
          sippet: Sippet.sippet(),
          module: module,
          handle: handle,
          protocol: atom,
          reliable: boolean,
          address: {:inet.ip_address(), :inet.port_number()} | nil,
          pid: pid,
          force_rport: boolean,
          connections: boolean,
          alias: boolean,
          proxy: nil | :local | :remote
        }

  @typedoc "What the transport's module needs to send: a socket, a process ..."
  @type handle :: term

  @typedoc "A peer: an address, or a host that the transport resolves itself."
  @type remote :: {:inet.ip_address() | String.t(), :inet.port_number()}

  @doc """
  Sends the bytes of one message.

  Runs in the process that has the message: the core's, the transport's own, or the stack's clock, which a transport that
  blocks would stop. `connection` is 0 for a transport without connections. Where a response goes back over a connection,
  `remote` is the address for a new one, should that be closed (RFC 3261 §18.2.2).

  Returns `:ok` when the bytes were handed on, `{:error, reason}` when that failed at once: the transaction is told. What
  fails later nobody is told: a transport with connections has `c:transmit/5` for that.
  """
  @callback transmit(handle, connection :: non_neg_integer, remote, data :: binary) ::
              :ok | {:error, reason :: term}

  @typedoc "The transaction that a transmission belongs to, for `report_failure/3`; nil if it belongs to none."
  @type transaction :: non_neg_integer | nil

  @doc """
  The connection for a request to a peer: one that is open, else a new one.

  Runs in the process that sends, before the transaction exists; it may block, for a time that the transport bounds.
  `host` is what the URI, Route or target had where `remote` is the address: the name that a certificate is held to.

  A transport with connections has this callback, `c:connected?/2` and `c:transmit/5`.
  """
  @callback connect(handle, remote, host :: String.t()) ::
              {:ok, connection :: pos_integer} | {:error, reason :: term}

  @doc "Whether a connection is open. Never blocks."
  @callback connected?(handle, connection :: pos_integer) :: boolean

  @doc """
  Sends the bytes of one message over a connection, as `c:transmit/4` and never blocking.

  A response whose connection is closed goes to `remote` by a new one (RFC 3261 §18.2.2), a request does not. What fails
  after `:ok` was returned goes to `report_failure/3` with `transaction`, also the requests that are written when their
  connection is lost: their transactions know whether that matters.
  """
  @callback transmit(handle, connection :: pos_integer, remote, data :: binary, transaction) ::
              :ok | {:error, reason :: term}

  @doc """
  Keeps a flow alive, as `Sippet.keep_alive/3` says; `options` are validated. Optional.

  Never blocks for long. A flow that fails from then on is told to the core by `c:Sippet.Core.flow_closed/2`.
  """
  @callback keep_alive(t, connection :: non_neg_integer, remote, options :: map) ::
              :ok | {:error, reason :: term}

  @doc "The address of a connection's peer; nil where it is closed. Never blocks. Optional: what telemetry says of responses needs it."
  @callback peer(handle, connection :: pos_integer) :: remote | nil

  @doc "The verified names of a connection's peer, as of `peer_names/2`. Never blocks. Optional."
  @callback peer_names(handle, connection :: pos_integer) :: [String.t()]

  @optional_callbacks connect: 3,
                      connected?: 2,
                      transmit: 5,
                      keep_alive: 4,
                      peer: 2,
                      peer_names: 2

  @doc """
  Makes a transport of the stack known. It is forgotten when its process ends.

  `attributes` are `:module`, `:handle`, `:protocol`, `:reliable`, `:address`, `:force_rport`, `:alias`, `:proxy` of `t:t/0`, and

    * `:key` - what makes it the same transport when it is started again: it then keeps its `id`, so that flows stay good.
      Default: protocol and address.
    * `:pid` - the process with whose end it is forgotten; default the calling one

  Returns `{:ok, transport}`; raises `ArgumentError` if there is no such stack.
  """
  @spec register(Sippet.sippet(), keyword) :: {:ok, t}
  def register(sippet, attributes), do: Table.register(Stack.fetch!(sippet), attributes)

  @doc """
  Hands a received message to the stack: one datagram, or one message of a stream.

  Anything may be in `data`. The calling process carries out what follows at once, an answer of the stack's own for
  instance; the core is called from other processes. Returns `:ok`.
  """
  @spec receive_message(t, non_neg_integer, remote, binary) :: :ok
  def receive_message(%__MODULE__{} = transport, connection \\ 0, remote, data) do
    Router.receive_message(Stack.fetch!(transport.sippet), transport, connection, remote, data)
  end

  @doc """
  Tells the transaction of a transmission that it failed.

  A transaction that has ended meanwhile, or has got further than that this mattered, is left alone. The calling process
  carries out what follows. Returns `:ok`.
  """
  @spec report_failure(Sippet.sippet(), transaction, reason :: term) :: :ok
  def report_failure(_sippet, nil, _reason), do: :ok

  def report_failure(sippet, transaction, reason),
    do: Router.transmission_failed(Stack.fetch!(sippet), transaction, reason)

  @doc """
  Who the peer of a flow has shown to be: the names in its certificate, those of servers and of clients alike.

      if "example.com" in Sippet.Transport.peer_names(:my_stack, request.source), do: ...

  They are the SIP domains of RFC 5922 §7.1 in lower case, and addresses, of a certificate whose chain ends at an authority
  that the transport trusts. A peer that was connected to has the one that was asked for among them. The list is empty
  where nothing was verified: without TLS, with `verify: :verify_none`, for a client that was not asked for a certificate
  (`verify_clients`) or has none; and where the connection is closed.
  """
  @spec peer_names(Sippet.sippet(), Flow.t()) :: [String.t()]
  def peer_names(sippet, %Flow{transport: id, connection: connection}) do
    with {:ok, %{module: module, handle: handle}} <- fetch(Stack.fetch!(sippet), id),
         true <- function_exported?(module, :peer_names, 2) do
      module.peer_names(handle, connection)
    else
      _none -> []
    end
  end

  @doc """
  The transports of a stack, in the order in which they were started.

      for %{protocol: :udp, address: {ip, port}} <- Sippet.Transport.list(:my_stack), do: {ip, port}
  """
  @spec list(Sippet.sippet()) :: [t]
  def list(sippet), do: sippet |> Stack.fetch!() |> Table.all()

  @doc """
  Monitors what `register/2` makes a transport known to: when that ends, as it does with the stack, the transport may
  register again.

  Raises `ArgumentError` if there is no such stack.
  """
  @spec monitor(Sippet.sippet()) :: reference
  def monitor(sippet), do: Table.monitor(Stack.fetch!(sippet))

  @doc false
  @spec keep_alive(Stack.t(), Flow.t(), map) :: :ok | {:error, TransportError.t()}
  def keep_alive(stack, %Flow{remote: {ip, port}} = flow, options) do
    with {:ok, %{module: module} = transport} <- fetch(stack, flow.transport),
         true <- function_exported?(module, :keep_alive, 4) || {:not_supported, transport},
         {:error, reason} <- module.keep_alive(transport, flow.connection, flow.remote, options) do
      {:error,
       %TransportError{reason: reason, protocol: transport.protocol, address: ip, port: port}}
    else
      :ok ->
        :ok

      :error ->
        {:error, %TransportError{reason: :transport_closed}}

      {reason, %{protocol: protocol}} ->
        {:error, %TransportError{reason: reason, protocol: protocol}}
    end
  end

  @doc false
  @spec all(Stack.t()) :: [t]
  def all(stack), do: Table.all(stack)

  @doc false
  @spec by_protocol(Stack.t(), atom) :: [t]
  def by_protocol(stack, protocol), do: Enum.filter(Table.all(stack), &(&1.protocol == protocol))

  @doc false
  @spec fetch(Stack.t(), non_neg_integer) :: {:ok, t} | :error
  def fetch(stack, id), do: Table.fetch(stack, id)
end
