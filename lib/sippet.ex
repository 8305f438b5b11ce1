defmodule Sippet do
  @moduledoc """
  A SIP stack: transports below, a core above, and the transactions between them (RFC 3261 §5).

      children = [
        {Sippet, name: :my_stack, core: MyApp.Core},
        {Sippet.Transports.UDP, name: :my_stack, port: 5060}
      ]

      Supervisor.start_link(children, strategy: :one_for_one)

  A stack is known by its name, an atom; any number of them run in one VM. The name is also that of the stack's
  `Registry`. Until it has a core, by the option or by `register_core/2`, requests are answered 503.
  """

  use Supervisor

  alias Sippet.{Drain, Flow, Info, Message, Native, Request, Router, Stack}
  alias Sippet.{Transport, TransportError}
  alias Sippet.Transactions.{Client, Key, Server}

  @typedoc "The name of a stack."
  @type sippet :: atom

  @type request :: Message.request()
  @type response :: Message.response()
  @type client_key :: Client.Key.t()
  @type server_key :: Server.Key.t()

  @typedoc "Why a transaction failed; see `t:Sippet.Core.reason/0`."
  @type reason :: Sippet.Core.reason()

  @typedoc """
  Why `send/3` did not take a message.

    * `:already_started` - a client transaction with this branch and method exists
    * `:no_transaction` - no server transaction waits for this response
    * `:already_answered` - a final response was sent before
    * `:provisional_forbidden` - only 100 may precede the final response to a request other than INVITE (RFC 4320 §4.1)
    * `:timeout_forbidden` - a 408 to a request other than INVITE tells its client nothing (RFC 4320 §4.2). Another final
      response is still taken; without one the transaction ends in silence.
    * `:too_many_forks` - sixteen 2xx with different To tags are sent `until: :ack` already
    * `:too_many_transactions` - `:max_transactions` are open
    * `:stopped` - the stack has stopped
    * `t:Sippet.TransportError.t/0` - the request has nowhere to go, or the connection to there cannot be made; or the
      message has a flow for a target whose connection is closed
  """
  @type send_error ::
          :already_started
          | :no_transaction
          | :already_answered
          | :provisional_forbidden
          | :timeout_forbidden
          | :too_many_forks
          | :too_many_transactions
          | :stopped
          | TransportError.t()

  @typedoc "Why `cancel/2` did not cancel; see there."
  @type cancel_error :: :no_transaction | :already_answered | :too_many_transactions | :stopped

  @typedoc "A name and a secret for `request/3`."
  @type credentials :: {username :: String.t(), Sippet.DigestAuth.secret()}

  @typedoc "An option of `request/3`; see there."
  @type request_option ::
          {:timeout, non_neg_integer | :infinity}
          | {:on_provisional, (response -> any)}
          | {:on_request, (request -> any)}
          | {:credentials,
             [{realm :: String.t() | :any, credentials}]
             | %{optional(String.t() | :any) => credentials}
             | (realm :: String.t() -> credentials | term)}
          | {:authenticate, (request, response -> {:ok, request} | :error | {:error, term})}
          | {:max_authentications, non_neg_integer}

  @typedoc """
  Why `request/3` got no final response.

    * `:timeout` - it did not come in time: by timer B or F, or by the option `:timeout`
    * `:cancelled` - the request was cancelled
    * `:terminated` - `terminate/2` ended the transaction
    * `:stopped` - the stack has stopped
    * any other `t:send_error/0` - nothing was sent
    * anything else - the transport could not send, in its words: `:econnrefused`, `:emsgsize` ... Take it for a 503.
  """
  @type request_error :: :timeout | :cancelled | :terminated | send_error | term

  @typedoc """
  What `info/1` tells of a stack.

    * `name`, `core` - the stack's name, and the module of its core, nil as long as there is none
    * `state` - `:running`, or `:draining` from `drain/2` on
    * `uptime_ms` - how long ago the stack was started
    * `transports` - of each its `id`, `protocol`, `address` (`{ip, port}`, as bound; nil if there is none), `reliable`, `module` and
      `pid`, in the order of their start; see `t:Sippet.Transport.t/0`
    * `transactions` - `open` is how many there are; `pending` how many of them wait for a final response or an ACK, or have a
      callback waiting or at work: the others only see to repetitions. By kind, `invite_client`, `client`, `invite_server` and
      `server`, it is how many are in each state: `%{calling: 0, proceeding: 3, ...}`
    * `deliveries` - `waiting` is how many callbacks wait, `running` how many are at work
    * `message_bytes` - bytes of the messages that are kept, for repetitions and for callbacks; 0 when nothing is open
    * `admission` - `overloaded`, whether requests are refused since callbacks wait too long for a processor; `duration_ms`, for how long, or for how
      long the last time; `wait_us`, how long they did in the last tenth of a second, on average;
      `max_requests_per_second`, how many requests outside of dialogs are taken, nil for all; `episodes`, how often it was
      overloaded; and the option `max_start_delay_ms`
    * `counters` - see `Sippet.Transaction.counters/1`
    * `limits` - `max_transactions` and the `:limits` of `start_link/1`
  """
  @type info :: %{
          name: sippet,
          state: :running | :draining,
          core: module | nil,
          uptime_ms: non_neg_integer,
          transports: [
            %{
              id: non_neg_integer,
              protocol: atom,
              address: {:inet.ip_address(), :inet.port_number()} | nil,
              reliable: boolean,
              module: module,
              pid: pid
            }
          ],
          transactions: %{
            open: non_neg_integer,
            pending: non_neg_integer,
            invite_client: %{atom => non_neg_integer},
            client: %{atom => non_neg_integer},
            invite_server: %{atom => non_neg_integer},
            server: %{atom => non_neg_integer}
          },
          deliveries: %{waiting: non_neg_integer, running: non_neg_integer},
          message_bytes: non_neg_integer,
          admission: %{
            overloaded: boolean,
            duration_ms: non_neg_integer,
            wait_us: non_neg_integer,
            max_requests_per_second: pos_integer | nil,
            episodes: non_neg_integer,
            max_start_delay_ms: pos_integer | :infinity
          },
          counters: %{atom => non_neg_integer},
          limits: %{atom => pos_integer}
        }

  @doc """
  Starts a stack and links it to the calling process.

  Returns `{:error, {:already_started, pid}}` where a stack has this name.

  ## Options

  #{Stack.options_docs()}

  An option that is not known, or whose value is not of its kind, raises `ArgumentError`.
  """
  @spec start_link(keyword) :: Supervisor.on_start()
  def start_link(options) when is_list(options) do
    options = Stack.validate_options!(options)
    # A second stack of this name must fail before it takes the name from the first.
    Supervisor.start_link(__MODULE__, options, name: Stack.supervisor(options[:name]))
  end

  @doc """
  The specification of a stack under a supervisor. Its id is `{Sippet, name}`; options as for `start_link/1`.
  """
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, Keyword.get(options, :name)},
      start: {__MODULE__, :start_link, [options]},
      type: :supervisor
    }
  end

  @doc false
  @impl true
  def init(options) do
    name = Keyword.fetch!(options, :name)
    for part <- [name, supervisor_name(name)], do: await_end(Process.whereis(part))
    stack = Stack.create(options)

    children = [
      {Registry,
       name: name,
       keys: :unique,
       partitions: System.schedulers_online(),
       meta: for(core <- List.wrap(options[:core]), do: {:core, core})},
      {Transport.Table, stack},
      {DynamicSupervisor, name: supervisor_name(name), strategy: :one_for_one}
      # In a simulation time is what the test makes of it.
      | if(stack.sim,
          do: [],
          else: [
            {Sippet.Telemetry.Watch, stack},
            {Sippet.Transaction.Clock, stack} | Sippet.Resolver.child_specs(stack)
          ]
        )
    ]

    Supervisor.init(children, strategy: :one_for_one)
  end

  # What is left of a stack whose supervisor was killed still has its names, for a moment.
  defp await_end(nil), do: :ok

  defp await_end(pid) do
    monitor = Process.monitor(pid)

    receive do
      {:DOWN, ^monitor, _, _, _} -> :ok
    after
      1_000 -> Process.demonitor(monitor, [:flush])
    end
  end

  @doc false
  @spec supervisor_name(sippet) :: atom
  def supervisor_name(sippet), do: Module.concat(sippet, "Supervisor")

  @doc """
  Makes `module` the core of the stack: the module with the callbacks of `Sippet.Core`. A later call replaces it.

  A stack that its supervisor has started again has forgotten it; the option `:core` of `start_link/1` is kept.
  """
  @spec register_core(sippet, module) :: :ok
  def register_core(sippet, module) when is_atom(sippet) and is_atom(module) do
    stack = Stack.fetch!(sippet)
    :ok = Stack.set_core(stack, module)
    Registry.put_meta(sippet, :core, module)
  end

  @doc """
  Makes the calling process a transport of the stack, as custom transports of Sippet 1.x do.

  The process is then called with `{:send_message, message, host, port, key}` and passes what it receives to
  `Sippet.Router.handle_transport_message/3`. To write a transport anew see `Sippet.Transport`.

  Returns `{:error, :already_registered}` if the stack has such a transport for `protocol`.
  """
  @spec register_transport(sippet, atom, boolean) :: :ok | {:error, :already_registered}
  def register_transport(sippet, protocol, reliable)
      when is_atom(sippet) and is_atom(protocol) and is_boolean(reliable) do
    Transport.Process.register(Stack.fetch!(sippet), protocol, reliable)
  end

  @doc """
  Tells whether the transport of the topmost Via delivers messages or tells when it cannot (RFC 3261 §17).

  Raises `ArgumentError` if the stack has no transport of that protocol.
  """
  @spec reliable?(sippet, Message.t()) :: boolean
  def reliable?(sippet, %Message{headers: %{via: [{_version, protocol, _sent_by, _params} | _]}})
      when is_atom(sippet) do
    case Transport.by_protocol(Stack.fetch!(sippet), protocol) do
      [transport | _] -> transport.reliable
      [] -> raise ArgumentError, "protocol not registered: #{inspect(protocol)}"
    end
  end

  @doc """
  Sends a request or a response; the same as `send/3` without options.
  """
  @spec send(sippet, Message.t()) :: :ok | {:error, send_error}
  def send(sippet, message), do: send(sippet, message, [])

  @doc """
  Sends a request or a response.

  A request other than ACK begins a client transaction, whose responses and failure go to the core. It needs a topmost Via
  with a branch of its own, From, To, Call-ID and CSeq. Over UDP its responses go to the port in that Via, unless it
  has `"rport" => ""`: then to the port that the request left by (RFC 3261 §18.2.2, RFC 3581). With the port 0 in it, `{host, 0}`, it is that
  of the transport. It goes to its `target` (a `t:Sippet.Flow.t/0` or
  `{protocol, host, port}`), else to its topmost Route, else to its Request-URI. A host name is located by RFC 3263: where its
  first target fails the request goes to the next, and the core is told of the last one only, by the key of the request as it was given.
  `guides/routing.md` has all this in tables. A CANCEL goes where its INVITE is, and waits for a provisional response to that (RFC 3261 §9.1). An ACK is sent at once and sent again for each repetition of the 2xx it answers.

  A response goes through its server transaction to where the request came from (RFC 3261 §18.2.2).

  ## Options

    * `:until` - `:ack`: a 2xx to an INVITE is repeated until its ACK comes, else the core is told `:no_ack` after 64·T1
      (RFC 3261 §13.3.1.4). Where several with different To tags answer one INVITE, as at a B2BUA, each is repeated until
      its own ACK; at most sixteen are.

  ## Results

    * `:ok` - the message was handed to its transport, or is held as described. What fails from then on the core is told.
    * `{:error, reason}` - nothing was sent and the core will be told nothing; see `t:send_error/0`.

  Raises `ArgumentError` when the message is not valid or cannot be written, naming the header field.

  The calling process carries the message to the transport. It may block: on finding where a host name is (up to
  `:timeout_ms` of `Sippet.Resolver.DNS`, five seconds; a numeric host asks nobody), on making a connection (up to `:connect_timeout` of the transport, five
  seconds, and one more), which it does for each of `:max_targets` targets until one is made, and with UDP on a full socket. With the defaults
  that is 23 seconds where everything is silent, and six for a numeric host that is reached by a connection. What a stream's peer does not
  read blocks nobody.

  The topmost Via of a request gets the protocol that it is sent by and, where its port is 0, the port of the address that the transport is
  bound to (RFC 3261 §18.1.1): each target that of its transport, the CANCEL of an INVITE that of the INVITE. A host that ends in `.invalid`
  gets no port, nor does any by a transport without an address. A request longer than `:max_udp_request_bytes` goes by
  TCP instead of UDP where it can, and one behind a strict router has that in its Request-URI (RFC 3261 §16.6).
  """
  @spec send(sippet, Message.t(), until: :ack) :: :ok | {:error, send_error}
  def send(sippet, %Message{} = message, options) when is_atom(sippet) and is_list(options) do
    until_ack = until_ack!(options)

    with {:error, reason} <- Message.Validation.validate_for_sending(message) do
      raise ArgumentError, "expected :message argument to be a valid SIP message, #{reason}"
    end

    stack = Stack.fetch!(sippet)

    if Message.request?(message),
      do: Router.send_request(stack, message),
      else: Router.send_response(stack, message, until_ack)
  end

  defp until_ack!([]), do: false
  defp until_ack!(until: :ack), do: true

  defp until_ack!(options) do
    raise ArgumentError, "expected options to be [] or [until: :ack], got: #{inspect(options)}"
  end

  @doc """
  Sends a request and waits for its final response.

      case Sippet.request(:my_stack, options) do
        {:ok, %{start_line: %{status_code: 200}} = response} -> response.headers[:allow]
        {:ok, response} -> {:refused, response.start_line.status_code}
        {:error, reason} -> {:failed, reason}
      end

  The request is as for `send/2`, and no ACK or CANCEL. It may come from any process, also from a core's callback: that
  process waits, while its mailbox stays as it is. The core gets none of the responses. To do something else meanwhile, call
  this from a `Task`.

  #{Request.docs()}
  """
  @spec request(sippet, request, [request_option]) :: {:ok, response} | {:error, request_error}
  def request(sippet, %Message{} = request, options \\ [])
      when is_atom(sippet) and is_list(options) do
    options = Request.validate_options!(options)
    Request.run(Stack.fetch!(sippet), request, options)
  end

  @doc """
  Cancels an INVITE that was sent by `send/2` or `request/3` (RFC 3261 §9.1).

  The INVITE is told by itself or by its key, the one with the branch that was sent. The CANCEL is made of it and goes the
  same way: as soon as there is a provisional response, since before that it might arrive first. The INVITE then ends as
  all do, by a final response: 487 if it was in time, a 2xx if not; if none comes within 64·T1, by a timeout. Nobody is
  told of the response to the CANCEL.

  Returns `:ok`, also where it was cancelled before, or `{:error, reason}`:

    * `:no_transaction` - there is no such INVITE, or no more
    * `:already_answered` - it has its final response
    * `:too_many_transactions`, `:stopped` - see `t:send_error/0`

  Raises `ArgumentError` if it is no INVITE: no other request can be cancelled.
  """
  @spec cancel(sippet, request | client_key) :: :ok | {:error, cancel_error}
  def cancel(sippet, request_or_key) when is_atom(sippet),
    do: Router.cancel(Stack.fetch!(sippet), invite_key!(request_or_key))

  defp invite_key!(%Client.Key{method: :invite} = key), do: key

  defp invite_key!(%Message{start_line: %{method: :invite}} = request),
    do: Client.Key.new(request)

  defp invite_key!(other) do
    raise ArgumentError, "expected an INVITE or the client key of one, got: #{inspect(other)}"
  end

  @doc """
  Answers a request without a transaction (RFC 3261 §8.2.7).

  `response` is a status code or a response to `request`. Its To tag becomes one that is the same for every repetition of
  the request, by which the ACK to it is recognised and dropped. The server transaction of the request, if it is still
  there, is forgotten: what repeats the request comes to the core again.

  `request` must be one that was received, and the response one that may be given so: a provisional one may not (RFC 3261
  §8.2.7), nor a 408 to a request other than INVITE (RFC 4320 §4.2); else it raises `ArgumentError`. Returns `:ok` or
  `{:error, %Sippet.TransportError{}}`.
  """
  @spec reply(sippet, request, response | 200..699) :: :ok | {:error, TransportError.t()}
  def reply(sippet, %Message{} = request, response) when is_atom(sippet) do
    unless Message.request?(request) and match?(%Flow{}, request.source) do
      raise ArgumentError, "expected :request argument to be a request that was received"
    end

    if request.start_line.method == :ack do
      raise ArgumentError, "expected :request argument not to be an ACK, which is never answered"
    end

    response = if is_integer(response), do: Message.to_response(request, response), else: response

    unless Message.response?(response) do
      raise ArgumentError,
            "expected :response argument to be a status code or a response, got: #{inspect(response)}"
    end

    refuse_stateless!(request.start_line.method, response.start_line.status_code)
    Router.reply(Stack.fetch!(sippet), request, response)
  end

  defp refuse_stateless!(_method, status_code) when status_code < 200 do
    raise ArgumentError, "expected :response argument to be a final response, got: #{status_code}"
  end

  defp refuse_stateless!(method, 408) when method != :invite do
    raise ArgumentError, "expected :response argument not to be a 408: the request is no INVITE"
  end

  defp refuse_stateless!(_method, _status_code), do: :ok

  @doc """
  Keeps a flow alive, for as long as it lives (RFC 5626 §4.4).

      {:ok, response} = Sippet.request(:my_stack, register)
      :ok = Sippet.keep_alive(:my_stack, response.source, interval: Sippet.Outbound.flow_timer(response))

  Over TCP and TLS two CRLFs are sent, over a WebSocket a Ping (RFC 7118 §6); a connection whose peer does not answer within
  `:pong_timeout` is closed. Over UDP a STUN Binding request is sent (RFC 8489), at once and then each interval. It is
  repeated as §6.2.1 there says. A flow has failed when that is not answered, for 39.5 s by default, or when the address in the
  answer is another one than before (§4.4.2). Whatever ends the flow, the core is told by `c:Sippet.Core.flow_closed/2`.

  Only a peer that said so may be asked: it has `outbound` in the Require of its response (RFC 5626 §4.4).

  ## Options

    * `:interval` - milliseconds from one to the next, of which each takes between 80 and 100 percent, at random; nil, the
      default, is 95 to 120 seconds, over UDP 24 to 29; `:infinity` ends what was begun
    * `:pong_timeout` - milliseconds that a pong may take; default 10,000. One that is late because a message is under way may
      follow behind that.
    * `:rto` - milliseconds until a Binding request is first repeated; default 500

  A second call for the same flow takes the place of the first. Returns `:ok`, or `{:error, %Sippet.TransportError{}}` where
  the flow has ended. Raises `ArgumentError` for an option that is not known or not of its kind.
  """
  @spec keep_alive(sippet, Flow.t(),
          interval: pos_integer | :infinity | nil,
          pong_timeout: pos_integer,
          rto: pos_integer
        ) :: :ok | {:error, TransportError.t()}
  def keep_alive(sippet, %Flow{} = flow, options \\ [])
      when is_atom(sippet) and is_list(options) do
    options = Transport.KeepAlive.validate!(options)
    Transport.keep_alive(Stack.fetch!(sippet), flow, options)
  end

  @doc """
  Ends the transaction of a key at once. The core is told nothing, and what waited for it is dropped.

  A key that is nobody's is ignored. A response that comes later, or is sent later, finds no transaction.
  """
  @spec terminate(sippet, client_key | server_key) :: :ok
  def terminate(sippet, %module{} = key)
      when is_atom(sippet) and module in [Client.Key, Server.Key] do
    stack = Stack.fetch!(sippet)

    case Native.engine_terminate(stack.engine, Stack.key_parts(key)) do
      {:ok, effects} -> Router.perform(stack, effects)
      {:error, :stopped} -> :ok
    end
  end

  @doc """
  What a stack has and does at this moment, in plain maps; see `t:info/0`.

  It is made of counts that are kept anyway, in some ten microseconds whatever is open: cheap enough to be asked for each
  second. Raises `ArgumentError` if there is no such stack.
  """
  @spec info(sippet) :: info
  def info(sippet) when is_atom(sippet), do: Info.of(Stack.fetch!(sippet))

  @doc """
  Lets no new calls in and waits until what is under way is done.

  From now on a request outside of a dialog, that is without a To tag, is answered 503. CANCEL, ACK, requests in dialogs,
  repetitions and all responses go on, and the core may send what it likes: it still has calls to end.

  Returns

    * `:ok` - no transaction waits for a final response or an ACK any more, and no callback waits or is at work. Transactions
      that only see to repetitions may still be open, up to 32 s on UDP.
    * `{:error, {:timeout, pending}}` - `pending` of them still do, after `timeout_ms`, which may be `:infinity`
    * `{:error, :stopped}` - the stack has stopped meanwhile

  The stack goes on, drained, until its supervisor stops it: of a call that is up there is no transaction, and its BYE is served
  yet. A core that wants its calls to end first does so after `drain(stack, 0)`. `Sippet.Drainer` does it all at a shutdown, and
  waits for the calls that a core counts.
  Called in a callback it would wait for itself.
  """
  @spec drain(sippet, timeout) :: :ok | {:error, {:timeout, pos_integer} | :stopped}
  def drain(sippet, timeout_ms \\ 30_000)
      when is_atom(sippet) and
             (timeout_ms == :infinity or (is_integer(timeout_ms) and timeout_ms >= 0)) do
    Drain.run(Stack.fetch!(sippet), timeout_ms)
  end

  @doc """
  Handles the sigil `~K` for transaction keys.

      iex> import Sippet, only: [sigil_K: 2]
      iex> ~K[z9hG4bK776asdhds|:invite].method
      :invite
      iex> ~K[z9hG4bK776asdhds|INVITE|pc33.atlanta.com:5060].sentby
      {"pc33.atlanta.com", 5060}
  """
  @spec sigil_K(String.t(), charlist) :: client_key | server_key
  def sigil_K(string, _modifiers), do: Key.parse(string)
end
