defmodule Sippet.Test.LossyRelay do
  # A bad network of one hop: datagrams from the caller go on to the callee and back, but for those that are lost. Which
  # those are depends on the seed, the Call-ID, the direction and how many of them came before, not on the machine.
  @moduledoc false

  use GenServer

  @enforce_keys [:front, :back, :callee, :loss, :seed]
  defstruct @enforce_keys ++ [caller: nil, random: %{}, passed: 0, lost: 0]

  @doc "Options: `:callee` is `{ip, port}`, `:loss` a probability, `:seed` an integer."
  def start_link(options), do: GenServer.start_link(__MODULE__, options)

  @doc "Where the caller sends to."
  def address(relay), do: GenServer.call(relay, :address)

  @doc "`{passed, lost}`"
  def counts(relay), do: GenServer.call(relay, :counts)

  @impl true
  def init(options) do
    open = fn ->
      {:ok, socket} =
        :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: true, recbuf: 4_194_304])

      socket
    end

    {:ok,
     %__MODULE__{
       front: open.(),
       back: open.(),
       callee: Keyword.fetch!(options, :callee),
       loss: Keyword.fetch!(options, :loss),
       seed: Keyword.fetch!(options, :seed)
     }}
  end

  @impl true
  def handle_call(:address, _from, state) do
    {:ok, address} = :inet.sockname(state.front)
    {:reply, address, state}
  end

  def handle_call(:counts, _from, state), do: {:reply, {state.passed, state.lost}, state}

  @impl true
  def handle_info({:udp, socket, ip, port, bytes}, %{front: socket} = state),
    do: {:noreply, pass(%{state | caller: {ip, port}}, :there, state.back, state.callee, bytes)}

  def handle_info({:udp, socket, _ip, _port, bytes}, %{back: socket} = state),
    do: {:noreply, pass(state, :back, state.front, state.caller, bytes)}

  defp pass(state, direction, socket, {ip, port}, bytes) do
    stream = {direction, Regex.run(~r/^Call-ID: (.*)\r$/m, bytes, capture: :all_but_first)}

    random =
      Map.get_lazy(state.random, stream, fn ->
        :rand.seed_s(:exsss, {state.seed, :erlang.phash2(stream), 1})
      end)

    {drawn, random} = :rand.uniform_s(random)
    state = %{state | random: Map.put(state.random, stream, random)}

    if drawn < state.loss do
      %{state | lost: state.lost + 1}
    else
      :ok = :gen_udp.send(socket, ip, port, bytes)
      %{state | passed: state.passed + 1}
    end
  end
end
