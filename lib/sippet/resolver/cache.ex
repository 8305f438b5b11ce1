defmodule Sippet.Resolver.Cache do
  # Answers by question, until their time is over: a table that everyone reads and one process writes, and an index of it
  # by time. What is full loses what would end first. Used by Sippet.Resolver.DNS.
  @moduledoc false

  @enforce_keys [:table, :index, :max_entries]
  defstruct @enforce_keys

  @type t :: %__MODULE__{table: :ets.tab(), index: :ets.tab(), max_entries: pos_integer}

  @doc "An empty cache of the calling process, whose table has this name."
  @spec new(atom, pos_integer) :: t
  def new(name, max_entries) do
    %__MODULE__{
      table: :ets.new(name, [:named_table, :protected, read_concurrency: true]),
      index: :ets.new(:sippet_resolver_index, [:ordered_set, :private]),
      max_entries: max_entries
    }
  end

  @doc "The answer to a question, as long as it is good. `table` is the name or the table; it may be gone."
  @spec fetch(:ets.tab(), term, now_ms :: integer) :: {:ok, term} | :error
  def fetch(table, key, now_ms) do
    case :ets.lookup(table, key) do
      [{_key, answer, ends_ms}] when ends_ms > now_ms -> {:ok, answer}
      _ -> :error
    end
  rescue
    ArgumentError -> :error
  end

  @doc "Keeps an answer for `ttl_ms`; not at all where that is 0."
  @spec put(t, term, term, now_ms :: integer, ttl_ms :: non_neg_integer) :: :ok
  def put(cache, key, answer, now_ms, ttl_ms) do
    delete(cache, key)

    if ttl_ms > 0 do
      make_room(cache, now_ms)
      true = :ets.insert(cache.table, {key, answer, now_ms + ttl_ms})
      true = :ets.insert(cache.index, {{now_ms + ttl_ms, key}})
    end

    :ok
  end

  @doc "Removes what is over."
  @spec sweep(t, now_ms :: integer) :: :ok
  def sweep(cache, now_ms) do
    case :ets.first(cache.index) do
      {ends_ms, key} when ends_ms <= now_ms ->
        delete(cache, key)
        sweep(cache, now_ms)

      _ ->
        :ok
    end
  end

  @doc "How many answers there are."
  @spec size(t) :: non_neg_integer
  def size(cache), do: :ets.info(cache.index, :size)

  defp make_room(cache, now_ms) do
    if size(cache) >= cache.max_entries do
      sweep(cache, now_ms)

      if size(cache) >= cache.max_entries do
        {_ends_ms, key} = :ets.first(cache.index)
        delete(cache, key)
      end
    end
  end

  defp delete(cache, key) do
    case :ets.lookup(cache.table, key) do
      [{_key, _answer, ends_ms}] ->
        :ets.delete(cache.table, key)
        :ets.delete(cache.index, {ends_ms, key})

      [] ->
        true
    end
  end
end
