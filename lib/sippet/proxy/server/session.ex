defmodule Sippet.Proxy.Server.Session do
  # The process of a response context. Started by Sippet.Proxy.Server only, which tells it what comes for its keys.
  @moduledoc false

  use GenServer, restart: :temporary

  alias Sippet.{Message, Proxy, Stack, Transaction}
  alias Sippet.Proxy.Context
  alias Sippet.Transactions.Client

  # When a CANCEL that found no room is tried again, and how long a final response may still be on its way here that the
  # transaction has had.
  @later_ms 500

  # How often it is looked whether what is waited for can still come, in T1: twice Timer F.
  @look_t1 128

  # sending: {monitor => key} of requests on their way to a transport, unsent: the same keys; held: keys to be cancelled once
  # they are sent; gone: keys whose transactions the last look has not found.
  @enforce_keys [:config, :context, :look_ms]
  defstruct @enforce_keys ++
              [
                sending: %{},
                unsent: MapSet.new(),
                held: MapSet.new(),
                gone: MapSet.new(),
                timers: %{}
              ]

  def start_link(argument), do: GenServer.start_link(__MODULE__, argument)

  @impl true
  def init({config, server_key, {context, actions}}) do
    # It ends with the stack, whose transactions it waits for.
    %{supervisor: supervisor, options: options} = Stack.fetch!(config.stack)
    _monitor = Process.monitor(supervisor)
    register(config, server_key)
    state = %__MODULE__{config: config, context: context, look_ms: @look_t1 * options[:t1]}
    {:ok, look_later(state), {:continue, actions}}
  end

  # An INVITE has its Timer C.
  defp look_later(%{context: %{request: %{start_line: %{method: :invite}}}} = state), do: state

  defp look_later(state) do
    _timer = Process.send_after(self(), :look, state.look_ms)
    state
  end

  defp register(config, key) do
    {:ok, _owner} = Registry.register(Proxy.Server.registry(config.name), key, nil)
    :ok
  end

  @impl true
  def handle_continue(actions, state), do: perform(state, {state.context, actions})

  @impl true
  def handle_info({:response, response}, state),
    do: perform(state, Context.handle_response(state.context, response))

  def handle_info({:error, key, reason}, state),
    do: perform(state, Context.handle_error(state.context, key, reason))

  def handle_info(:cancel, state), do: perform(state, Context.handle_cancel(state.context))

  def handle_info({:timer_c, key}, state),
    do: perform(state, Context.handle_timer_c(state.context, key))

  def handle_info({:cancel, key}, state), do: proceed(cancel(state, key))

  # A response that was lost on its way here, in a callback of the core's that failed, must not be waited for for ever.
  def handle_info(:look, state) do
    missing =
      for key <- Context.pending(state.context),
          key not in state.unsent,
          Transaction.info(state.config.stack, key) == nil,
          into: MapSet.new(),
          do: key

    {lost, gone} = Enum.split_with(missing, &(&1 in state.gone))
    for key <- lost, do: send(self(), {:error, key, :timeout})
    {:noreply, look_later(%{state | gone: MapSet.new(gone)})}
  end

  def handle_info({:DOWN, monitor, :process, _pid, result}, state) do
    case Map.pop(state.sending, monitor) do
      {nil, _sending} ->
        {:stop, :normal, state}

      {key, sending} ->
        sent(%{state | sending: sending, unsent: MapSet.delete(state.unsent, key)}, key, result)
    end
  end

  def handle_info(_other, state), do: {:noreply, state}

  defp sent(state, key, {:sent, :ok}) do
    if MapSet.member?(state.held, key),
      do: proceed(cancel(%{state | held: MapSet.delete(state.held, key)}, key)),
      else: proceed(state)
  end

  defp sent(state, key, {:sent, {:error, reason}}), do: not_sent(state, key, reason)
  defp sent(state, key, reason), do: not_sent(state, key, reason)

  defp not_sent(state, key, reason),
    do: perform(state, Context.handle_error(state.context, key, {:not_sent, reason}))

  defp perform(state, {context, actions}),
    do: actions |> Enum.reduce(%{state | context: context}, &act/2) |> proceed()

  defp proceed(state) do
    if Context.done?(state.context) and state.sending == %{},
      do: {:stop, :normal, state},
      else: {:noreply, state}
  end

  defp act({:send_request, request}, state) do
    stack = state.config.stack
    key = Client.Key.new(request)
    register(state.config, key)
    # An exit of this kind is nobody's fault and is not reported.
    {_pid, monitor} = spawn_monitor(fn -> exit({:sent, send_message(stack, request)}) end)

    %{
      state
      | sending: Map.put(state.sending, monitor, key),
        unsent: MapSet.put(state.unsent, key)
    }
  end

  defp act({:send_response, response}, state) do
    sent = send_message(state.config.stack, response)

    # What cannot be written must not leave the request without an answer.
    _ =
      if sent == {:error, :unwritable} and response.start_line.status_code >= 200 do
        send_message(state.config.stack, Message.to_response(state.context.request, 502))
      end

    state
  end

  defp act({:cancel, key}, state) do
    if MapSet.member?(state.unsent, key),
      do: %{state | held: MapSet.put(state.held, key)},
      else: cancel(state, key)
  end

  defp act({:start_timer_c, key, milliseconds}, state) do
    state = act({:stop_timer_c, key}, state)
    timer = Process.send_after(self(), {:timer_c, key}, milliseconds)
    %{state | timers: Map.put(state.timers, key, timer)}
  end

  defp act({:stop_timer_c, key}, state) do
    {timer, timers} = Map.pop(state.timers, key)
    _left = if timer, do: Process.cancel_timer(timer)
    %{state | timers: timers}
  end

  defp cancel(state, key) do
    case Sippet.cancel(state.config.stack, key) do
      {:error, :too_many_transactions} ->
        _timer = Process.send_after(self(), {:cancel, key}, @later_ms)
        state

      # It has ended: how, is on its way here, or nobody knows.
      {:error, :no_transaction} ->
        _timer = Process.send_after(self(), {:error, key, :timeout}, @later_ms)
        state

      _cancelled_or_answered ->
        state
    end
  end

  @doc "Sends; what came from the network and cannot be written again is an error and raises nothing."
  @spec send_message(Sippet.sippet(), Message.t()) :: :ok | {:error, term}
  def send_message(stack, message) do
    Sippet.send(stack, message)
  rescue
    ArgumentError -> {:error, :unwritable}
  end
end
