defmodule Sippet.Transaction do
  @moduledoc """
  The transactions of a stack: sending with their keys, and looking at those that are open.

  A transaction is not a process: all of them live in the stack's engine. The functions that look into it are cheap
  enough for a dashboard, and none holds up the traffic: a page of `list/2` is bounded, whatever is open.
  """

  alias Sippet.{Message, Native, Router, Stack}
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Transactions.{Client, Server}

  @typedoc """
  What can be told of a transaction.

    * `key` - its key, as the core gets it
    * `role` - `:client` or `:server`
    * `state` - the state by the name it has in RFC 3261 §17 and RFC 6026: `:calling`, `:trying`, `:proceeding`,
      `:accepted`, `:completed`, `:confirmed`, or `:terminated` while the core is still owed something
    * `age_ms` - how long ago it began
    * `queued` - how many callbacks wait
    * `bytes` - how much of messages it keeps
  """
  @type info :: %{
          key: Client.Key.t() | Server.Key.t(),
          role: :client | :server,
          state: atom,
          age_ms: non_neg_integer,
          queued: non_neg_integer,
          bytes: non_neg_integer
        }

  @typedoc "Where `list/2` goes on."
  @opaque cursor :: {non_neg_integer, non_neg_integer}

  @doc """
  Sends a request, and returns the key that its responses and its failure will have.

  Else as `Sippet.send/2`, in results, exceptions and what it may wait for. An ACK has no transaction:
  `{:error, :not_allowed}`. Responses may be there before this returns; who has to know the key before takes it of the request,
  `Sippet.Transactions.Client.Key.new(request)`.
  """
  @spec send_request(Sippet.sippet(), Message.request()) ::
          {:ok, Client.Key.t()} | {:error, :not_allowed | Sippet.send_error()}
  def send_request(_sippet, %Message{start_line: %RequestLine{method: :ack}}),
    do: {:error, :not_allowed}

  def send_request(sippet, %Message{start_line: %RequestLine{}} = request) do
    with :ok <- Sippet.send(sippet, request), do: {:ok, Client.Key.new(request)}
  end

  @doc "Sends a response through its server transaction; as `Sippet.send/3`, for responses only."
  @spec send_response(Sippet.sippet(), Message.response(), until: :ack) ::
          :ok | {:error, Sippet.send_error()}
  def send_response(sippet, %Message{start_line: %StatusLine{}} = response, options \\ []),
    do: Sippet.send(sippet, response, options)

  @doc """
  Tells a transaction that a message of its could not be sent; `reason` goes to the core, where that is the end of it.

  Returns `{:error, :no_transaction}` if none is open by this key. For transports: see `Sippet.Transport.report_failure/3`.
  """
  @spec receive_error(Sippet.sippet(), Client.Key.t() | Server.Key.t(), reason :: term) ::
          :ok | {:error, :no_transaction}
  def receive_error(sippet, key, reason) do
    stack = Stack.fetch!(sippet)

    case Native.engine_find(stack.engine, Stack.key_parts(key)) do
      nil -> {:error, :no_transaction}
      address -> Router.transmission_failed(stack, address, reason)
    end
  end

  @doc "Ends a transaction at once; the same as `Sippet.terminate/2`."
  @spec terminate(Sippet.sippet(), Client.Key.t() | Server.Key.t()) :: :ok
  defdelegate terminate(sippet, key), to: Sippet

  @doc "How many transactions are open."
  @spec count(Sippet.sippet()) :: non_neg_integer
  def count(sippet), do: Native.engine_count(Stack.fetch!(sippet).engine)

  @doc """
  A page of the open transactions, in no particular order: `{infos, cursor}`, the cursor nil on the last page.

  A page may be empty and not the last. What begins or ends between two pages may be seen or not; nothing is seen twice.
  """
  @spec list(Sippet.sippet(), cursor | nil) :: {[info], cursor | nil}
  def list(sippet, cursor \\ nil) do
    {shard, slot} = cursor || {0, 0}
    Native.engine_list(Stack.fetch!(sippet).engine, shard, slot)
  end

  @doc "What can be told of the transaction of this key; nil if it is not open."
  @spec info(Sippet.sippet(), Client.Key.t() | Server.Key.t()) :: info | nil
  def info(sippet, key),
    do: Native.engine_info(Stack.fetch!(sippet).engine, Stack.key_parts(key))

  @doc """
  What the stack has counted since it was started.

    * `received_requests`, `received_responses` - messages that were parsed
    * `keep_alives` - datagrams of nothing but line ends
    * `rejected_messages` - bytes that are no message, and messages unfit for a transaction
    * `stateless_replies` - answers of the stack's own
    * `stray_responses` - responses that match no transaction
    * `refused_requests` - requests answered 503, or not taken, by the stack itself: it has no core, is drained or
      overloaded, `:max_transactions` are open, or the VM has few processes left
    * `retransmissions` - messages sent again
    * `absorbed_messages` - requests and ACKs that repeat what was known
    * `dropped_deliveries` - what the core was not told since too much waited for it
    * `core_failures` - callbacks that raised or were killed
    * `lost_shards` - faults of this library that cost transactions
  """
  @spec counters(Sippet.sippet()) :: %{atom => non_neg_integer}
  def counters(sippet), do: Map.new(Native.engine_counters(Stack.fetch!(sippet).engine))
end
