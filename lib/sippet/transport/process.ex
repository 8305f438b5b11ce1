defmodule Sippet.Transport.Process do
  # A transport as Sippet 1.x has them: a process that registers itself and is called with the message as a struct.
  @moduledoc false

  @behaviour Sippet.Transport

  alias Sippet.{Message, Native, Router, Stack, Transport}
  alias Sippet.Transactions.{Client, Server}

  # What 1.x waits for such a call.
  @call_timeout 5_000

  @spec register(Stack.t(), atom, boolean) :: :ok | {:error, :already_registered}
  def register(stack, protocol, reliable) do
    # One that has died may not be forgotten yet when its supervisor has started it again.
    registered =
      if stack |> Transport.by_protocol(protocol) |> Enum.any?(&Process.alive?(&1.pid)),
        do: {:error, :already_registered},
        else: Registry.register(stack.name, {:transport, protocol}, reliable)

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
    with {:ok, message, key} <- message(data) do
      tag = make_ref()
      waiter = spawn(fn -> wait(sippet, pid, tag, key) end)
      call = {:send_message, message, host(host), port, key}
      Kernel.send(pid, {:"$gen_call", {waiter, tag}, call})
      :ok
    end
  rescue
    # The VM has no process left.
    SystemLimitError -> {:error, :system_limit}
  end

  # Who sends it writes it again. What a peer has sent may be read and not written, a NUL for instance, and comes back in an
  # answer of the stack's own; one to a request that cannot be parsed has what it copied as text, and no transaction.
  defp message(data) do
    with {:ok, message} <- Message.parse(data),
         {:ok, _iodata} <- Native.write(message) do
      {:ok, message, key(message)}
    else
      {:error, _error} -> as_text(data)
    end
  end

  # It is written by the engine: CRLFs, no folds.
  defp as_text(data) do
    [head, body] = :binary.split(data, "\r\n\r\n")
    [start_line | lines] = :binary.split(head, "\r\n", [:global])

    headers =
      for line <- lines, [name, value] = :binary.split(line, ": "), name != "Content-Length" do
        {name, value}
      end

    headers = Enum.group_by(headers, &elem(&1, 0), &elem(&1, 1))

    with {:ok, message} <- Message.parse(start_line <> "\r\n\r\n"),
         message = %{message | headers: headers, body: body},
         {:ok, _iodata} <- Native.write(message),
         do: {:ok, message, nil},
         else: ({:error, _error} -> {:error, :malformed})
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

  defp key(%Message{headers: %{via: [{_version, _protocol, _sent_by, parameters} | _]}} = message) do
    cond do
      # Of a request of RFC 2543: its transaction has no key.
      parameters["branch"] in [nil, ""] -> nil
      Message.response?(message) -> Server.Key.new(message)
      message.start_line.method == :ack -> nil
      true -> Client.Key.new(message)
    end
  end
end
