defmodule Sippet.Info do
  # What Sippet.info/1 tells: some counts of the engine, which keeps them as it goes, and the table of transports. Nothing is
  # walked through, whatever is open.
  @moduledoc false

  alias Sippet.{Native, Stack, Transport}
  alias Sippet.Transport.Table

  @kinds [:invite_client, :client, :invite_server, :server]

  @spec of(Stack.t()) :: Sippet.info()
  def of(stack) do
    {core, uptime_ms, draining} = Native.engine_state(stack.engine)
    {open, pending, waiting, running, bytes, places} = Native.engine_census(stack.engine)

    %{
      name: stack.name,
      state: if(draining, do: :draining, else: :running),
      core: core,
      uptime_ms: uptime_ms,
      transports: Enum.map(Table.all(stack), &transport/1),
      transactions: Map.merge(%{open: open, pending: pending}, by_kind(places)),
      deliveries: %{waiting: waiting, running: running},
      message_bytes: bytes,
      admission: admission(stack),
      counters: Map.new(Native.engine_counters(stack.engine)),
      limits:
        stack.options[:limits]
        |> Map.new()
        |> Map.put(:max_transactions, stack.options[:max_transactions])
    }
  end

  defp admission(stack) do
    {overloaded, duration_us, wait_us, limit, episodes} = Native.engine_standing(stack.engine)

    %{
      overloaded: overloaded,
      duration_ms: div(duration_us, 1_000),
      wait_us: wait_us,
      # The engine reckons in tenths of a second.
      max_requests_per_second: if(limit > 0, do: 10 * limit),
      episodes: episodes,
      max_start_delay_ms: stack.options[:max_start_delay_ms]
    }
  end

  @doc "How many transactions wait for something: see `t:Sippet.info/0`."
  @spec pending(Stack.t()) :: non_neg_integer
  def pending(stack), do: stack.engine |> Native.engine_census() |> elem(1)

  defp transport(%Transport{} = transport),
    do: Map.take(transport, [:id, :protocol, :address, :reliable, :module, :pid])

  defp by_kind(places) do
    for kind <- @kinds, into: %{} do
      {kind, for({^kind, state, count} <- places, into: %{}, do: {state, count})}
    end
  end
end
