defmodule Sippet.Test.Peer do
  # A SIP element made of a UDP socket and text: what Sippet writes is read here by string functions, never by Sippet.
  # Datagrams come to the owner's mailbox; whoever waits for one waits with a deadline.
  @moduledoc false

  import ExUnit.Assertions

  alias Sippet.Test.Repetition

  @enforce_keys [:socket, :ip, :port]
  defstruct @enforce_keys

  @deadline_ms Repetition.deadline_ms()

  @doc "Opens a socket of the calling process."
  def open(ip \\ {127, 0, 0, 1}, port \\ 0) do
    family = if tuple_size(ip) == 8, do: :inet6, else: :inet

    {:ok, socket} =
      :gen_udp.open(port, [family, :binary, ip: ip, active: true, recbuf: 1_048_576])

    {:ok, {ip, port}} = :inet.sockname(socket)
    %__MODULE__{socket: socket, ip: ip, port: port}
  end

  def close(peer), do: :gen_udp.close(peer.socket)

  @doc "`host:port` as a Via or a URI has it."
  def authority(%{ip: ip, port: port}) when tuple_size(ip) == 8, do: "[#{:inet.ntoa(ip)}]:#{port}"
  def authority(%{ip: ip, port: port}), do: "#{:inet.ntoa(ip)}:#{port}"

  @doc "Sends bytes to `{ip, port}`."
  def send(peer, {ip, port}, bytes), do: :ok = :gen_udp.send(peer.socket, ip, port, bytes)

  @doc "The next datagram, and where it came from."
  def receive_from(peer, timeout_ms \\ @deadline_ms) do
    socket = peer.socket

    receive do
      {:udp, ^socket, ip, port, bytes} -> {bytes, {ip, port}}
    after
      timeout_ms -> flunk("no datagram within #{timeout_ms} ms")
    end
  end

  @doc "The next datagram."
  def receive_bytes(peer, timeout_ms \\ @deadline_ms),
    do: peer |> receive_from(timeout_ms) |> elem(0)

  @doc "The next datagram, whose start line must begin with `start`; see `Sippet.Test.Repetition` for what is passed over."
  def expect(peer, start, timeout_ms \\ @deadline_ms) do
    bytes = receive_bytes(peer, timeout_ms)

    if Repetition.passed_over?(peer.socket, bytes, start) do
      expect(peer, start, timeout_ms)
    else
      assert String.starts_with?(bytes, start), "expected #{start}, got:\n#{bytes}"
      bytes
    end
  end

  @doc "The first datagram whose start line begins with `start`; what comes before it is passed over."
  def await(peer, start, timeout_ms \\ @deadline_ms),
    do: await_until(peer, start, System.monotonic_time(:millisecond) + timeout_ms)

  defp await_until(peer, start, deadline) do
    left = max(deadline - System.monotonic_time(:millisecond), 0)
    bytes = receive_bytes(peer, left)
    if String.starts_with?(bytes, start), do: bytes, else: await_until(peer, start, deadline)
  end

  @doc "Nothing comes for a while."
  def refute_any(peer, timeout_ms) do
    socket = peer.socket

    receive do
      {:udp, ^socket, _ip, _port, bytes} -> flunk("expected silence, got:\n#{bytes}")
    after
      timeout_ms -> :ok
    end
  end

  @doc "As `refute_any/2`, but for what `expect/3` has met before: a stack on a busy machine may have repeated it meanwhile."
  def refute_new(peer, timeout_ms) do
    socket = peer.socket

    receive do
      {:udp, ^socket, _ip, _port, bytes} ->
        assert Repetition.heard?(socket, bytes), "expected nothing new, got:\n#{bytes}"
        refute_new(peer, timeout_ms)
    after
      timeout_ms -> :ok
    end
  end

  @doc "Takes all datagrams that have come."
  def flush(peer, count \\ 0) do
    socket = peer.socket

    receive do
      {:udp, ^socket, _ip, _port, _bytes} -> flush(peer, count + 1)
    after
      0 -> count
    end
  end
end
