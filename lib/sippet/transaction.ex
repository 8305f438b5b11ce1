defmodule Sippet.Transaction do
  @moduledoc """
  The open transactions of a stack.

  A transaction is not a process: all of them live in the stack's engine. These functions look into it. They are cheap
  enough for a dashboard, and none holds up the traffic: a page of `list/2` is bounded, whatever is open.
  """

  alias Sippet.{Native, Stack}
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
      overloaded, or `:max_transactions` are open
    * `retransmissions` - messages sent again
    * `absorbed_messages` - requests and ACKs that repeat what was known
    * `dropped_deliveries` - what the core was not told since too much waited for it
    * `core_failures` - callbacks that raised or were killed
    * `lost_shards` - faults of this library that cost transactions
  """
  @spec counters(Sippet.sippet()) :: %{atom => non_neg_integer}
  def counters(sippet), do: Map.new(Native.engine_counters(Stack.fetch!(sippet).engine))
end
