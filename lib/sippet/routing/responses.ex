defmodule Sippet.Routing.Responses do
  # Responses that their connection, or the address that their request came from, does not take: where the topmost Via says
  # that the request was sent by (RFC 3263 §5, RFC 3261 §18.2.2). In a process of its own: names are looked up, and
  # connections made. Called by Sippet.Router and Sippet.Transport.Connections, who have failed.
  @moduledoc false

  alias Sippet.{Message, Resolver, Router, Stack, Transport}
  alias Sippet.Resolver.{Name, Question}
  alias Sippet.Telemetry.Report
  alias Sippet.Transport.Destination

  # Peers choose what is looked up here; so it is little at a time.
  @max_workers 64

  # As many as RFC 3263 §5 finds for a name, within reason.
  @max_targets 3

  @doc """
  Sends a response otherwise, or tells its transaction that this failed. Never blocks; returns `:ok`.

  `remote` is the address that was tried, and `reason` why that did not work.
  """
  @spec retry(Stack.t(), Transport.t(), Transport.remote(), binary, Transport.transaction(), term) ::
          :ok
  def retry(stack, transport, remote, data, transaction, reason) do
    with %{sim: nil} <- stack,
         {:ok, %Message{headers: %{via: [via | _]}}} <- Message.parse(data),
         true <- elsewhere?(via, remote),
         true <- enter(stack) do
      start([stack, transport, via, data, {remote, transaction, reason}])
    else
      _ -> failed(stack, transaction, reason)
    end
  end

  defp start([stack, _transport, _via, _data, {_remote, transaction, reason}] = arguments) do
    _pid = spawn(__MODULE__, :run, arguments)
    :ok
  rescue
    # The VM has no process left.
    SystemLimitError ->
      :atomics.sub(stack.response_workers, 1, 1)
      failed(stack, transaction, reason)
  end

  # A sent-by that is the address which was tried says nothing new.
  defp elsewhere?({_version, _protocol, {host, port}, parameters}, {ip, tried_port}) do
    case Name.literal(parameters["maddr"] || host) do
      {:ok, address} -> {address, port} != {ip, tried_port}
      :error -> true
    end
  end

  defp enter(stack) do
    :atomics.add_get(stack.response_workers, 1, 1) <= @max_workers or
      :atomics.sub(stack.response_workers, 1, 1) != :ok
  end

  @doc false
  def run(stack, transport, via, data, {remote, transaction, reason}) do
    :erlang.group_leader(stack.group_leader, self())

    try do
      stack |> targets(transport, via, remote) |> try_each(stack, transport, data, transaction)
    else
      true -> :ok
      false -> failed(stack, transaction, reason)
    catch
      _kind, _reason -> failed(stack, transaction, reason)
    after
      :atomics.sub(stack.response_workers, 1, 1)
    end
  end

  # By the transport of the request (RFC 3263 §5).
  defp targets(stack, transport, via, remote) do
    available = for {_, _} = one <- Resolver.available([transport]), do: one

    case Resolver.locate(stack, Question.of_via(via, available)) do
      {:ok, targets} ->
        targets |> Enum.reject(&({&1.address, &1.port} == remote)) |> Enum.take(@max_targets)

      {:error, _error} ->
        []
    end
  end

  defp try_each(targets, stack, transport, data, transaction) do
    Enum.any?(targets, fn target ->
      began = Report.sending()

      with {:ok, transport, connection, remote} <-
             Destination.settle_by(transport, target),
           :ok <- transmit(transport, connection, remote, data, transaction) do
        Report.sent(stack, transport, remote, data, began)
        true
      else
        _ -> false
      end
    end)
  end

  # What fails from here on has no other way.
  defp transmit(%{connections: true} = transport, connection, _remote, data, transaction),
    do: transport.module.transmit(transport.handle, connection, nil, data, transaction)

  defp transmit(transport, connection, remote, data, _transaction),
    do: transport.module.transmit(transport.handle, connection, remote, data)

  defp failed(_stack, nil, _reason), do: :ok

  defp failed(stack, transaction, reason),
    do: Router.transmission_failed(stack, transaction, reason)
end
