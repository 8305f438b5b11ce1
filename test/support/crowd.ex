defmodule Sippet.Test.Crowd do
  # Many connections that send nothing, for a machine of their own (Sippet.Test.Attack.start_machine/0).
  @moduledoc false

  # One process for so many of them.
  @each 500

  # What a connection that the other side has closed at once looks like.
  @closed [:econnreset, :econnaborted, :closed, :enotconn, :einval, :epipe]

  @doc """
  Connects `count` times, in turn from each of these addresses, as fast as it gets. Returns how many there were to connect to, also
  those that have closed at once, and keeps them open.
  """
  def open({ip, port}, count, sources) do
    leave()
    test = self()
    sources = List.to_tuple(sources)

    members =
      for first <- 1..count//@each do
        numbers = first..min(first + @each - 1, count)
        spawn(fn -> member({ip, port}, numbers, sources, test) end)
      end

    :persistent_term.put(__MODULE__, members)
    members |> Enum.map(&answer/1) |> Enum.sum()
  end

  defp member({ip, port}, numbers, sources, test) do
    sockets =
      for number <- numbers,
          source = elem(sources, rem(number, tuple_size(sources))),
          socket = connect(ip, port, source),
          do: socket

    send(test, {self(), length(sockets)})
    wait(sockets)
  end

  defp connect(ip, port, source) do
    case :gen_tcp.connect(ip, port, [:binary, active: false, ip: source], 60_000) do
      {:ok, socket} -> socket
      {:error, reason} when reason in @closed -> :closed
      {:error, _other} -> nil
    end
  end

  defp answer(member) do
    receive do
      {^member, count} -> count
    end
  end

  defp wait(sockets) do
    receive do
      {:count_closed, from, timeout_ms} ->
        deadline = System.monotonic_time(:millisecond) + timeout_ms
        send(from, {self(), Enum.count(sockets, &closed?(&1, deadline))})
        wait(sockets)

      {:leave, from} ->
        for socket <- sockets, socket != :closed, do: :gen_tcp.close(socket)
        send(from, {self(), 0})
    end
  end

  defp closed?(:closed, _deadline), do: true

  # Whatever the other side may say before.
  defp closed?(socket, deadline) do
    case :gen_tcp.recv(socket, 0, max(deadline - System.monotonic_time(:millisecond), 0)) do
      {:ok, _bytes} -> closed?(socket, deadline)
      {:error, :timeout} -> false
      {:error, _closed} -> true
    end
  end

  @doc "Waits until all are closed by the other side, at most for a time; returns how many are."
  def count_closed(timeout_ms) do
    members = :persistent_term.get(__MODULE__)
    for member <- members, do: send(member, {:count_closed, self(), timeout_ms})
    members |> Enum.map(&answer/1) |> Enum.sum()
  end

  @doc "Closes them."
  def leave do
    members = :persistent_term.get(__MODULE__, [])
    for member <- members, do: send(member, {:leave, self()})
    Enum.each(members, &answer/1)
    :persistent_term.put(__MODULE__, [])
  end
end
