defmodule Sippet.Transport.Socket do
  # Sockets of :gen_tcp and :ssl in one shape, and their options. Called by the processes of a connection and by those that
  # make one.
  @moduledoc false

  # How many pieces the VM delivers before it asks again.
  @active 64

  # A peer that says nothing is asked after a minute whether it is there, and given up after three questions.
  @keep_alive_s 60
  @keep_alive_interval_s 15
  @keep_alive_probes 3

  # How long a TLS connection may take to say goodbye.
  @goodbye_ms 500

  @typedoc "The socket of :gen_tcp, and the one of :ssl above it."
  @type t :: {port, :ssl.sslsocket() | nil}

  @doc "What a socket that listens is opened with."
  @spec listen_options(:inet.ip_address(), map) :: [:gen_tcp.option()]
  def listen_options(ip, options) do
    # OTP 25 does not take it for a socket that connects.
    only = if tuple_size(ip) == 8, do: [ipv6_v6only: true], else: []
    [ip: ip, reuseaddr: true, backlog: options.backlog] ++ only ++ options(ip, options)
  end

  @doc """
  What a socket that will be connected to `ip` is opened with: from the address that the transport is bound to, if it is a
  certain one and of that family.
  """
  @spec connect_options(:inet.ip_address(), bound :: :inet.ip_address(), map) ::
          [:gen_tcp.option()]
  def connect_options(ip, bound, options) do
    any? = bound in [{0, 0, 0, 0}, {0, 0, 0, 0, 0, 0, 0, 0}]
    same? = tuple_size(ip) == tuple_size(bound)
    if(any? or not same?, do: [], else: bound(bound)) ++ options(ip, options)
  end

  defp bound(ip) do
    # IP_BIND_ADDRESS_NO_PORT: the port is chosen when the peer is known, else one that is busy with any peer is none.
    late = if :os.type() == {:unix, :linux}, do: [{:raw, 0, 24, <<1::32-native>>}], else: []
    late ++ [ip: ip]
  end

  # Of both.
  defp options(ip, options) do
    family = if tuple_size(ip) == 8, do: [:inet6], else: [:inet]
    recbuf = if options.recbuf, do: [recbuf: options.recbuf], else: []

    family ++
      recbuf ++
      [
        :binary,
        packet: :raw,
        active: false,
        nodelay: true,
        keepalive: true,
        buffer: options.buffer,
        # A write waits only for a peer that has left this much unread; reading goes on until then.
        high_watermark: options.send_queue_bytes,
        low_watermark: div(options.send_queue_bytes, 2),
        send_timeout: options.send_timeout,
        send_timeout_close: true
      ] ++ system_options(:os.type(), options.send_timeout)
  end

  # TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT and TCP_USER_TIMEOUT: elsewhere the system's own patience has to do.
  defp system_options({:unix, :linux}, send_timeout) do
    for {option, value} <- [
          {4, @keep_alive_s},
          {5, @keep_alive_interval_s},
          {6, @keep_alive_probes},
          {18, send_timeout}
        ],
        do: {:raw, 6, option, <<value::32-native>>}
  end

  defp system_options(_system, _send_timeout), do: []

  @doc "The address at the other end."
  @spec peer(t) :: {:ok, {:inet.ip_address(), :inet.port_number()}} | {:error, term}
  def peer({port, _tls}), do: :inet.peername(port)

  @doc "Hands what comes to the calling process, as messages."
  @spec activate(t) :: :ok | {:error, term}
  def activate({port, nil}), do: :inet.setopts(port, active: @active)
  def activate({_port, tls}), do: :ssl.setopts(tls, active: @active)

  @doc "Waits for what comes, on a socket that is not activated yet."
  @spec read(t, timeout) :: {:ok, binary} | {:error, term}
  def read({port, nil}, timeout), do: :gen_tcp.recv(port, 0, timeout)
  def read({_port, tls}, timeout), do: :ssl.recv(tls, 0, timeout)

  @doc "Waits at most `:send_timeout`, for a peer that does not read."
  @spec send(t, iodata) :: :ok | {:error, term}
  def send({port, nil}, data), do: :gen_tcp.send(port, data)
  def send({_port, tls}, data), do: :ssl.send(tls, data)

  @doc "Says that nothing more will be sent; what comes is still received."
  @spec finish(t) :: :ok | {:error, term}
  def finish({port, nil}), do: :gen_tcp.shutdown(port, :write)
  def finish({_port, tls}), do: :ssl.shutdown(tls, :write)

  @doc "Closes in order: what was sent before still arrives."
  @spec close(t) :: :ok
  def close({port, nil}), do: :gen_tcp.close(port)

  def close({port, tls}) do
    _ = :ssl.close(tls, @goodbye_ms)
    :gen_tcp.close(port)
  end

  @doc "Closes at once, and tells the peer so; what is unsent is dropped."
  @spec abort(t | port) :: :ok
  def abort({port, _tls}), do: abort(port)

  def abort(port) do
    _ = :inet.setopts(port, linger: {true, 0})
    :gen_tcp.close(port)
  end
end
