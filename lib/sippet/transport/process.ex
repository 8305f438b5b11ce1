defmodule Sippet.Transport.Process do
  # A transport as Sippet 1.x has them: a process that registers itself and is called with the message as a struct.
  @moduledoc false

  @behaviour Sippet.Transport

  alias Sippet.{Message, Router, Stack, Transport}
  alias Sippet.Transactions.{Client, Server}

  # What 1.x waits for such a call.
  @call_timeout 5_000

  @spec register(Stack.t(), atom, boolean) :: :ok | {:error, :already_registered}
  def register(stack, protocol, reliable) do
    registered =
      if Transport.by_protocol(stack, protocol) == [],
        do: Registry.register(stack.name, {:transport, protocol}, reliable),
        else: {:error, :already_registered}

    case registered do
      {:ok, _owner} ->
        {:ok, _transport} =
          Transport.Table.register(stack,
            module: __MODULE__,
            handle: {stack.name, self()},
            key: {__MODULE__, protocol},
            protocol: protocol,
            reliable: reliable
          )

        :ok

      {:error, _taken} ->
        {:error, :already_registered}
    end
  end

  # The process may be busy, or be the caller, who must not wait: the answer goes to a process of its own. The call itself is
  # the caller's, so that what one process sends arrives in its order.
  @impl true
  def transmit({sippet, pid}, _connection, {host, port}, data) do
    {:ok, message} = Message.parse(data)
    key = key(message)
    tag = make_ref()
    waiter = spawn(fn -> wait(sippet, pid, tag, key) end)

    Kernel.send(
      pid,
      {:"$gen_call", {waiter, tag}, {:send_message, message, host(host), port, key}}
    )

    :ok
  end

  # The answer itself is not looked at, as in 1.x.
  defp wait(sippet, pid, tag, key) do
    monitor = Process.monitor(pid)

    receive do
      {^tag, _answer} -> :ok
      {:DOWN, ^monitor, _, _, reason} -> Router.receive_transport_error(sippet, key, reason)
    after
      @call_timeout -> Router.receive_transport_error(sippet, key, :timeout)
    end
  end

  defp host(host) when is_binary(host), do: host
  defp host(ip), do: ip |> :inet.ntoa() |> List.to_string()

  defp key(message) do
    cond do
      Message.response?(message) -> Server.Key.new(message)
      message.start_line.method == :ack -> nil
      true -> Client.Key.new(message)
    end
  end
end
