defmodule Sippet.Test.StreamPeer do
  # A SIP element made of a TCP or TLS socket and text, read on demand: what Sippet writes is read here by string functions,
  # never by Sippet. With `:ws` there are WebSocket frames around its messages, see Sippet.Test.WebSocket.
  @moduledoc false

  import ExUnit.Assertions

  alias Sippet.Test.{Repetition, WebSocket}

  # ws: :client or :server where it is one of WebSocket.
  @enforce_keys [:module, :socket, :ip, :port]
  defstruct @enforce_keys ++ [ws: nil]

  @deadline_ms Repetition.deadline_ms()

  @options [:binary, active: false, packet: :raw, nodelay: true]

  @doc """
  Connects to `{ip, port}`. `:tls` are options of :ssl, without it TCP; `:ws` is the path of a WebSocket, without it there
  is none; `:from` is the address to come from.
  """
  def connect({ip, port} = address, options \\ []) do
    peer = connect_stream({ip, port}, options)
    if options[:ws], do: WebSocket.upgrade(peer, options[:ws], address), else: peer
  end

  defp connect_stream({ip, port}, options) do
    from = Keyword.get(options, :from, {127, 0, 0, 1})
    more = Keyword.get(options, :socket, [])
    {:ok, socket} = :gen_tcp.connect(ip, port, [ip: from] ++ more ++ @options, @deadline_ms)
    {:ok, {ip, port}} = :inet.sockname(socket)
    here = %{ip: ip, port: port}

    case options[:tls] do
      nil ->
        peer(:gen_tcp, socket, here)

      tls ->
        {:ok, socket} =
          :ssl.connect(socket, [verify: :verify_none, log_level: :none] ++ tls, @deadline_ms)

        peer(:ssl, socket, here)
    end
  end

  @doc "A socket that listens, on 127.0.0.1 unless `:ip` says where else."
  def listen(options \\ []) do
    {:ok, listener} =
      :gen_tcp.listen(
        Keyword.get(options, :port, 0),
        [ip: Keyword.get(options, :ip, {127, 0, 0, 1}), reuseaddr: true] ++
          Keyword.get(options, :socket, []) ++ @options
      )

    {:ok, {ip, port}} = :inet.sockname(listener)
    %{socket: listener, ip: ip, port: port, tls: options[:tls], ws: options[:ws]}
  end

  @doc "The next connection."
  def accept(listener, timeout_ms \\ @deadline_ms) do
    peer = accept_stream(listener, timeout_ms)
    if listener.ws, do: WebSocket.accept(peer), else: peer
  end

  defp accept_stream(listener, timeout_ms) do
    {:ok, socket} = :gen_tcp.accept(listener.socket, timeout_ms)

    case listener.tls do
      nil ->
        peer(:gen_tcp, socket, listener)

      tls ->
        {:ok, socket} = :ssl.handshake(socket, [log_level: :none] ++ tls, @deadline_ms)
        peer(:ssl, socket, listener)
    end
  end

  @doc "No connection comes for a while."
  def refute_accept(listener, timeout_ms) do
    assert {:error, :timeout} = :gen_tcp.accept(listener.socket, timeout_ms)
  end

  defp peer(module, socket, %{ip: ip, port: port}),
    do: %__MODULE__{module: module, socket: socket, ip: ip, port: port}

  def close(peer), do: peer.module.close(peer.socket)

  @doc "Sends bytes; by WebSocket a message, or several of a list."
  def send(%{ws: nil} = peer, bytes), do: send_raw(peer, bytes)

  def send(%{ws: side} = peer, messages) do
    options = if side == :client, do: [], else: [mask: nil]
    send_raw(peer, for(text <- List.wrap(messages), do: WebSocket.frame(:text, text, options)))
  end

  @doc "Sends bytes, without frames around them."
  def send_raw(peer, bytes), do: :ok = peer.module.send(peer.socket, bytes)

  @doc "The next message: up to the empty line, and as much behind it as Content-Length says."
  def receive_message(peer, timeout_ms \\ @deadline_ms)

  def receive_message(%{ws: side} = peer, timeout_ms) when side != nil do
    deadline = System.monotonic_time(:millisecond) + timeout_ms
    {1, :text, message} = WebSocket.read_frame(peer, deadline)
    message
  end

  def receive_message(peer, timeout_ms) do
    deadline = System.monotonic_time(:millisecond) + timeout_ms
    head = read_head(peer, "", deadline)
    [_, length] = Regex.run(~r/^Content-Length: ([0-9]+)\r$/m, head)

    case String.to_integer(length) do
      0 -> head
      length -> head <> read(peer, length, deadline)
    end
  end

  defp read_head(peer, head, deadline) do
    if String.ends_with?(head, "\r\n\r\n"),
      do: head,
      else: read_head(peer, head <> read(peer, 1, deadline), deadline)
  end

  @doc "So many bytes."
  def read(peer, length, deadline \\ System.monotonic_time(:millisecond) + @deadline_ms) do
    left = max(deadline - System.monotonic_time(:millisecond), 0)

    case peer.module.recv(peer.socket, length, left) do
      {:ok, bytes} -> bytes
      {:error, reason} -> flunk("expected #{length} bytes, got: #{inspect(reason)}")
    end
  end

  @doc "The next message, whose start line must begin with `start`; see `Sippet.Test.Repetition` for what is passed over."
  def expect(peer, start, timeout_ms \\ @deadline_ms) do
    message = receive_message(peer, timeout_ms)

    if Repetition.passed_over?(peer.socket, message, start) do
      expect(peer, start, timeout_ms)
    else
      assert String.starts_with?(message, start), "expected #{start}, got:\n#{message}"
      message
    end
  end

  @doc "Nothing comes for a while."
  def refute_any(peer, timeout_ms) do
    assert {:error, :timeout} = peer.module.recv(peer.socket, 0, timeout_ms)
  end

  @doc "The other side closes, whatever it sends before."
  def assert_closed(peer, timeout_ms \\ @deadline_ms),
    do: closed(peer, System.monotonic_time(:millisecond) + timeout_ms)

  defp closed(peer, deadline) do
    left = max(deadline - System.monotonic_time(:millisecond), 0)

    case peer.module.recv(peer.socket, 0, left) do
      {:ok, _bytes} -> closed(peer, deadline)
      {:error, :timeout} -> flunk("the connection is still open")
      {:error, _closed} -> :ok
    end
  end
end
