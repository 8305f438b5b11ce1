defmodule Sippet.Routing.Failures do
  # The targets of a stack that have failed of late: others are preferred for a while (RFC 3263 §4.3, RFC 3261 §21.5.4). A
  # table that the stack's supervisor owns and everybody writes, of `{target, until}`.
  @moduledoc false

  alias Sippet.Resolver.Target
  alias Sippet.Stack

  # Which target fails others decide: names in URIs, and whoever they belong to.
  @max_targets 1_024

  # Whoever wants to be left alone for longer is asked again all the same.
  @longest_ms 3_600_000

  @doc "The table of a stack, of the calling process."
  @spec new() :: :ets.tid()
  def new, do: :ets.new(:sippet_failures, [:public, read_concurrency: true])

  @doc "Remembers a target for so long; nil is what the stack's option says. Returns for how long, 0 if there is no room."
  @spec remember(Stack.t(), Target.t(), non_neg_integer | nil) :: non_neg_integer
  def remember(stack, target, milliseconds) do
    milliseconds = min(milliseconds || stack.options[:failed_target_ms], @longest_ms)
    now = now()
    key = key(target)

    if room?(stack.failures, key, now) do
      :ets.insert(stack.failures, {key, now + milliseconds})
      milliseconds
    else
      0
    end
  rescue
    # The stack has ended.
    ArgumentError -> 0
  end

  defp room?(table, key, now) do
    :ets.info(table, :size) < @max_targets or :ets.member(table, key) or
      (:ets.select_delete(table, [{{:_, :"$1"}, [{:"=<", :"$1", now}], [true]}]) > 0 and
         :ets.info(table, :size) < @max_targets)
  end

  @doc "Those that have not failed, and those that have, each in their order."
  @spec split(Stack.t(), [Target.t()]) :: {[Target.t()], [Target.t()]}
  def split(stack, targets), do: Enum.split_with(targets, &(not failed?(stack, &1)))

  @doc "Whether a target has failed of late. What is over is forgotten."
  @spec failed?(Stack.t(), Target.t()) :: boolean
  def failed?(stack, target) do
    key = key(target)

    case :ets.lookup(stack.failures, key) do
      [] -> false
      [{_key, until} = entry] -> until > now() or not :ets.delete_object(stack.failures, entry)
    end
  rescue
    ArgumentError -> false
  end

  defp key(%Target{transport: transport, address: address, port: port}),
    do: {transport, address, port}

  defp now, do: System.monotonic_time(:millisecond)
end
