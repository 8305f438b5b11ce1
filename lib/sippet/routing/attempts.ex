defmodule Sippet.Routing.Attempts do
  # One target after another, until one takes the request: in the process that sends, and once the transaction exists in that
  # of Sippet.Routing.Failover. What is left goes with the request as its plan, which the engine gives back when the target fails.
  @moduledoc false

  alias Sippet.{Message, Native, Stack, Transport, TransportError}
  alias Sippet.Resolver.Target
  alias Sippet.Routing.Failures
  alias Sippet.Telemetry.Report
  alias Sippet.Transport.Destination

  @typedoc "A target, and whether the request goes there however long it is."
  @type entry :: {Target.t(), any_length :: boolean}

  @typedoc "The target that has the request, those that are left, and whether the port in its Via is that of the transport."
  @type plan :: {entry, [entry], attempt :: pos_integer, own_port :: boolean}

  @doc """
  The targets in the order to try them, at most as many as the option says: those that have failed of late last.
  """
  @spec entries(Stack.t(), [Target.t()]) :: [entry]
  def entries(stack, targets) do
    ordered =
      case Failures.split(stack, targets) do
        {_all, []} ->
          targets

        {others, failed} ->
          others ++ for(target <- failed, do: with_choice(target, :failed_before))
      end

    for target <- Enum.take(ordered, stack.options[:max_targets]), do: {target, false}
  end

  @doc """
  The entries of a target for a request that is too long for it: TCP first where that is to be had, and then the target
  itself (§18.1.1).
  """
  @spec by_size(Stack.t(), Target.t()) :: [entry]
  def by_size(stack, %Target{transport: :udp, address: address} = target)
      when is_tuple(address) do
    tcp = with_choice(%{target | transport: :tcp}, :too_long)

    if Destination.available?(stack, tcp) and not Failures.failed?(stack, tcp),
      do: [{tcp, false}, {target, true}],
      else: [{target, true}]
  end

  def by_size(_stack, target), do: [{target, true}]

  defp with_choice(target, choice), do: %{target | choices: target.choices ++ [choice]}

  @doc """
  Sends a request to the first target that can be reached. `caller` is as in `Sippet.Router.request/3`, or nil for the core.
  """
  @spec send(Stack.t(), Message.request(), [entry], binary | nil) ::
          {:ok, address :: non_neg_integer | nil, effects :: list} | {:error, term}
  def send(stack, request, entries, caller) do
    key = fn -> Sippet.Transactions.Client.Key.new(request) end

    own_port = Destination.own_port?(request)

    walk(stack, entries, {key, 1, length(entries) > 1, own_port}, fn way, transport, plan ->
      Native.engine_route(
        stack.engine,
        Destination.put_via(request, transport),
        way,
        plan,
        caller
      )
    end)
  end

  @doc "Sends a request whose target has failed to the next one."
  @spec proceed(Stack.t(), non_neg_integer, Sippet.client_key(), [entry], pos_integer, boolean) ::
          {:ok, effects :: list} | {:error, term}
  def proceed(stack, address, key, entries, attempt, own_port) do
    walk(stack, entries, {fn -> key end, attempt, true, own_port}, fn way, transport, plan ->
      Native.engine_proceed(
        stack.engine,
        address,
        branch(key),
        protocol(transport.protocol),
        if(own_port, do: Destination.bound_port(transport)),
        way,
        plan
      )
    end)
  end

  # What a proxy has put behind the unique part stays: by that it knows a request that comes back (RFC 5393 §4.2).
  defp branch(%{branch: first}) do
    case String.split(first, ".", parts: 2) do
      [_unique, mark] -> Message.create_branch() <> "." <> mark
      [_unique] -> Message.create_branch()
    end
  end

  defp protocol(protocol) when is_atom(protocol),
    do: protocol |> Atom.to_string() |> String.upcase()

  defp protocol(protocol), do: protocol

  # state: the key, for telemetry; how many targets were tried; whether there are more than this one; the plan's own_port.
  defp walk(stack, entries, state, send, error \\ :no_transaction)
  defp walk(_stack, [], _state, _send, error), do: {:error, error}

  defp walk(stack, [{target, any_length} = entry | rest], state, send, _error) do
    {key, attempt, several, own_port} = state

    case Destination.settle(stack, target) do
      {:ok, transport, connection, remote} ->
        way = {transport.id, connection, remote, transport.reliable, any_length}
        plan = if several, do: :erlang.term_to_binary({entry, rest, attempt, own_port}), else: nil

        case send.(way, transport, plan) do
          {:error, :too_long} ->
            entries = by_size(stack, target) ++ rest
            several = several or match?([_, _ | _], entries)
            walk(stack, entries, {key, attempt, several, own_port}, send)

          {:error, _reason} = error ->
            error

          sent ->
            Report.selected(stack, key, target, attempt)
            sent
        end

      {:error, %TransportError{reason: reason} = error} ->
        # That there is no such transport here is no fault of the target's.
        avoided_ms =
          if reason == :no_transport, do: 0, else: Failures.remember(stack, target, nil)

        Report.failed(stack, key, target, attempt, reason, avoided_ms)
        walk(stack, rest, {key, attempt + 1, several, own_port}, send, error)
    end
  end

  @doc "The target of what has been settled already."
  @spec target(Transport.t(), Transport.remote()) :: Target.t()
  def target(transport, {address, port}),
    do: %Target{transport: transport.protocol, address: address, port: port}
end
