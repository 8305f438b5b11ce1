defmodule Sippet.Transports.UDP do
  @moduledoc """
  SIP over UDP (RFC 3261 §18, RFC 3581).

      children = [
        {Sippet, name: :my_stack},
        {Sippet.Transports.UDP, name: :my_stack, port: 5060},
        {Sippet.Transports.UDP, name: :my_stack, port: 5060, address: {"::", :inet6}}
      ]

  A stack may have several. When the stack is started again they are its transports again; one whose stack stays away for a
  second ends. A request is answered from the socket it came to; a request of the core's leaves by the first
  transport, in the order of their start, whose address family fits.
  """

  use GenServer

  @behaviour Sippet.Transport

  alias Sippet.{Router, Stack, Transport, TransportError}
  alias Sippet.Transport.Destination

  # How many datagrams the VM delivers before it asks again: enough to keep busy, few enough to be stopped by.
  @active 256

  # How long a stack may take to be started again, and how often that is looked for.
  @stack_wait_ms 1_000
  @stack_poll_ms 20

  # name, default, what it is
  @options [
    {:name, nil, "the stack's name, an atom; required"},
    {:port, 5060, "0 to 65535; 0 lets the system choose, `Sippet.Transport.list/1` tells which"},
    {:address, "0.0.0.0",
     "the address to bind: a string, numeric or a name, or `{string, :inet | :inet6}`"},
    {:force_rport, false,
     "answer to the source port of a request also when it does not ask for that (RFC 3581)"},
    {:recbuf, 4_194_304,
     "bytes of receive buffer to ask for; the system may give less, see `info/1`"}
  ]

  @typedoc "`t:GenServer.server/0` of a transport."
  @type server :: GenServer.server()

  @doc """
  Starts the transport and opens its socket. The stack must have been started before.

  ## Options

  #{for {name, default, text} <- @options do
    if default == nil, do: "  * `:#{name}` - #{text}\n", else: "  * `:#{name}` - #{text}; default `#{inspect(default)}`\n"
  end}

  Returns `{:error, %Sippet.TransportError{}}` when the socket cannot be opened, with `:eaddrinuse` for a port that is taken.
  Raises `ArgumentError` for an option that is not known or not of its kind.
  """
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(options) when is_list(options) do
    options = validate!(options)

    # A process of the caller's that fails in its init ends with its parent's trap: tell by value instead.
    case GenServer.start_link(__MODULE__, options) do
      {:error, {:shutdown, %TransportError{} = error}} -> {:error, error}
      other -> other
    end
  end

  @doc """
  The specification of a transport under a supervisor. Its id holds name, address and port, so that several fit under one
  supervisor.
  """
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, options[:name], options[:address], options[:port]},
      start: {__MODULE__, :start_link, [options]}
    }
  end

  @doc """
  What the transport has: `%{address: {ip, port}, recbuf: bytes}`, as the system tells it.
  """
  @spec info(server) :: %{
          address: {:inet.ip_address(), :inet.port_number()},
          recbuf: pos_integer
        }
  def info(server), do: GenServer.call(server, :info)

  defp validate!(options) do
    known = Enum.map(@options, &elem(&1, 0))

    for {key, _value} <- options, key not in known do
      raise ArgumentError, "unknown option #{inspect(key)}, known are: #{inspect(known)}"
    end

    options =
      for {name, default, _text} <- @options, do: {name, Keyword.get(options, name, default)}

    check_name!(options[:name])

    unless options[:port] in 0..65_535 do
      raise ArgumentError,
            "expected :port to be an integer between 0 and 65535, got: #{inspect(options[:port])}"
    end

    unless is_boolean(options[:force_rport]) do
      raise ArgumentError,
            "expected :force_rport to be a boolean, got: #{inspect(options[:force_rport])}"
    end

    unless is_integer(options[:recbuf]) and options[:recbuf] > 0 do
      raise ArgumentError,
            "expected :recbuf to be a positive number of bytes, got: #{inspect(options[:recbuf])}"
    end

    options = Keyword.put(options, :ip, ip!(options[:address]))
    _ = Stack.fetch!(options[:name])
    options
  end

  defp check_name!(nil), do: raise(ArgumentError, "expected :name option to be present")
  defp check_name!(name) when is_atom(name), do: :ok

  defp check_name!(name),
    do: raise(ArgumentError, "expected :name to be an atom, got: #{inspect(name)}")

  defp ip!(address) when is_binary(address), do: ip!({address, :any})

  defp ip!({address, family})
       when is_binary(address) and family in [:inet, :inet6, :any] do
    case Destination.address(address, family) do
      {:ok, ip} when family == :inet and tuple_size(ip) == 8 -> bad_ip!(address, :eafnosupport)
      {:ok, ip} when family == :inet6 and tuple_size(ip) == 4 -> bad_ip!(address, :eafnosupport)
      {:ok, ip} -> ip
      {:error, reason} -> bad_ip!(address, reason)
    end
  end

  defp ip!(address) do
    raise ArgumentError,
          "expected :address to be an address or {address, family} tuple, got: #{inspect(address)}"
  end

  defp bad_ip!(address, reason) do
    raise ArgumentError,
          ":address contains an invalid IP or DNS name, got: #{inspect(address)} (#{reason})"
  end

  @impl true
  def init(options) do
    case open(options[:ip], options) do
      {:ok, socket} ->
        # Where there is too much to do this process decides what is not done: it must not queue behind what is.
        Process.flag(:priority, :high)
        {:ok, address} = :inet.sockname(socket)
        state = attach(%{options: options, socket: socket, address: address})
        :ok = :inet.setopts(socket, active: @active)
        {:ok, state}

      {:error, reason} ->
        error = %TransportError{
          reason: reason,
          protocol: :udp,
          address: options[:ip],
          port: options[:port]
        }

        {:stop, {:shutdown, error}}
    end
  end

  # Makes it a transport of the stack, for as long as that lives.
  defp attach(%{options: options, socket: socket, address: address}) do
    {ip, port} = address
    name = options[:name]
    # In this order: if the stack is another one meanwhile, the monitor tells.
    monitor = Transport.monitor(name)

    {:ok, transport} =
      Transport.register(name,
        module: __MODULE__,
        handle: socket,
        # Started again, a transport with a fixed address is the same one.
        key: if(options[:port] == 0, do: {:udp, self()}, else: {:udp, ip, port}),
        protocol: :udp,
        reliable: false,
        address: address,
        force_rport: options[:force_rport]
      )

    %{
      options: options,
      socket: socket,
      address: address,
      stack: Stack.fetch!(name),
      transport: transport,
      monitor: monitor
    }
  end

  defp open(ip, options) do
    family = if tuple_size(ip) == 8, do: [:inet6, {:ipv6_v6only, true}], else: [:inet]

    :gen_udp.open(
      options[:port],
      family ++
        [
          :binary,
          {:ip, ip},
          {:active, false},
          {:recbuf, options[:recbuf]},
          {:read_packets, 64}
        ]
    )
  end

  @impl true
  def handle_call(:info, _from, %{socket: socket} = state) do
    {:ok, [recbuf: recbuf]} = :inet.getopts(socket, [:recbuf])
    {:reply, %{address: state.address, recbuf: recbuf}, state}
  end

  @impl true
  def handle_info({:udp, socket, ip, port, data}, %{socket: socket} = state) do
    Router.receive_message(state.stack, state.transport, 0, {ip, port}, data)
    {:noreply, state}
  end

  def handle_info({:udp_passive, socket}, %{socket: socket} = state) do
    :ok = :inet.setopts(socket, active: @active)
    {:noreply, state}
  end

  # An earlier datagram was refused by its destination's host: whose it was the system does not tell.
  def handle_info({:udp_error, socket, _reason}, %{socket: socket} = state),
    do: {:noreply, state}

  # The stack has died. Under one supervisor it is started again, which must not be hindered by a transport that fails
  # meanwhile: the socket waits for it.
  def handle_info({:DOWN, monitor, :process, _table, _reason}, %{monitor: monitor} = state),
    do: await_stack(state, System.monotonic_time(:millisecond) + @stack_wait_ms)

  def handle_info({:await_stack, deadline}, state), do: await_stack(state, deadline)
  def handle_info(_other, state), do: {:noreply, state}

  defp await_stack(state, deadline) do
    {:noreply, attach(state)}
  catch
    # There is no such stack, or not all of it.
    _kind, _reason ->
      if System.monotonic_time(:millisecond) < deadline do
        Process.send_after(self(), {:await_stack, deadline}, @stack_poll_ms)
        {:noreply, state}
      else
        error = %TransportError{reason: :no_stack, protocol: :udp, address: state.options[:ip]}
        {:stop, {:shutdown, error}, state}
      end
  end

  @impl Sippet.Transport
  def transmit(socket, _connection, {ip, port}, data) when is_tuple(ip),
    do: :gen_udp.send(socket, ip, port, data)

  def transmit(_socket, _connection, {_host, _port}, _data),
    do: {:error, :not_a_numeric_address}
end
