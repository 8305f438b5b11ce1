defmodule Sippet.Transport.Acceptor do
  # Takes connections from a listening socket and hands each to a process of its own, without waiting for its first byte or
  # its handshake. A transport has several.
  @moduledoc false

  use Task, restart: :transient

  alias Sippet.Transport.{Connections, Socket}

  # Where the system has no file descriptors left, others have to be closed first.
  @pause_ms 100

  @spec start_link({port, :ets.tid()}) :: {:ok, pid}
  def start_link({listener, table}), do: Task.start_link(__MODULE__, :run, [listener, table])

  @doc false
  def run(listener, table) do
    case :gen_tcp.accept(listener) do
      {:ok, socket} ->
        hand_over(socket, table)
        run(listener, table)

      {:error, :closed} ->
        :ok

      {:error, reason} when reason in [:emfile, :enfile, :enobufs, :enomem, :system_limit] ->
        Connections.count(table, :accept_errors)
        Process.sleep(@pause_ms)
        run(listener, table)

      {:error, _gone_again} ->
        run(listener, table)
    end
  end

  defp hand_over(socket, table) do
    with {:ok, remote} <- :inet.peername(socket),
         {:ok, pid} <- Connections.accept(table, remote),
         :ok <- :gen_tcp.controlling_process(socket, pid) do
      Kernel.send(pid, {:socket, socket})
    else
      _refused_or_gone -> Socket.abort(socket)
    end
  end
end
