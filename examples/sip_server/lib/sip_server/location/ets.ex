defmodule SipServer.Location.ETS do
  @moduledoc """
  The location store in memory: read in the process that asks, changed in one process after the other.
  """

  use GenServer
  @behaviour SipServer.Location

  @sweep_ms 30_000
  @max_users 1_000_000

  def start_link(_options), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl SipServer.Location
  def fetch(user) do
    now = System.os_time(:second)

    for {_user, bindings} <- :ets.lookup(__MODULE__, user),
        binding <- bindings,
        binding.until > now,
        do: binding
  end

  @impl SipServer.Location
  def update(user, change), do: GenServer.call(__MODULE__, {:update, user, change})

  @impl SipServer.Location
  def forget_flow(flow), do: GenServer.cast(__MODULE__, {:forget_flow, flow})

  @impl GenServer
  def init([]) do
    :ets.new(__MODULE__, [:named_table, read_concurrency: true])
    # Which user a flow is of: {flow, user}.
    :ets.new(__MODULE__.Flows, [:named_table, :bag])
    Process.send_after(self(), :sweep, @sweep_ms)
    {:ok, nil}
  end

  @impl GenServer
  def handle_call({:update, user, change}, _from, state) do
    {:reply, write(user, change.(fetch(user))), state}
  end

  defp write(user, {:ok, []}) do
    forget(user)
    {:ok, []}
  end

  defp write(user, {:ok, bindings}) do
    if :ets.info(__MODULE__, :size) < @max_users or :ets.member(__MODULE__, user) do
      forget(user)
      :ets.insert(__MODULE__, {user, bindings})
      for %{flow: %{} = flow} <- bindings, do: :ets.insert(__MODULE__.Flows, {flow, user})
      {:ok, bindings}
    else
      {:error, {503, "there are as many users as there may be", []}}
    end
  end

  defp write(_user, error), do: error

  defp forget(user) do
    for {_user, bindings} <- :ets.take(__MODULE__, user),
        %{flow: %{} = flow} <- bindings,
        do: :ets.delete_object(__MODULE__.Flows, {flow, user})
  end

  @impl GenServer
  def handle_cast({:forget_flow, flow}, state) do
    for {_flow, user} <- :ets.take(__MODULE__.Flows, flow),
        do: write(user, {:ok, Enum.reject(fetch(user), &(&1.flow == flow))})

    {:noreply, state}
  end

  @impl GenServer
  def handle_info(:sweep, state) do
    now = System.os_time(:second)

    for {user, bindings} <- :ets.tab2list(__MODULE__),
        Enum.any?(bindings, &(&1.until <= now)),
        do: write(user, {:ok, Enum.filter(bindings, &(&1.until > now))})

    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}
end
