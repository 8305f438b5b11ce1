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

  A STUN Binding request is answered with the address that it came from, as peers behind NATs ask for to keep their way to here
  open (RFC 5626 §4.4.2, §8). A datagram of nothing but CRLF or NUL, which some send for the same end, is ignored, and counted in
  `Sippet.Transaction.counters/1`. `Sippet.keep_alive/3` has this side ask.
  """

  use GenServer

  @behaviour Sippet.Transport

  alias Sippet.{Flow, Router, TransportError}
  alias Sippet.Transaction.Delivery
  alias Sippet.Transport.{Attachment, Binding, Options, STUN, Table}

  # How many datagrams the VM delivers before it asks again: enough to keep busy, few enough to be stopped by.
  @active 256

  @counters [:binding_requests, :binding_responses, :stun_dropped, :keep_alive_failures]

  @options Options.common(5060) ++
             [
               {:force_rport, false, :boolean,
                "answer to the source port of a request also when it does not ask for that (RFC 3581)"},
               {:recbuf, 4_194_304, :bytes,
                "bytes of receive buffer to ask for; the system may give less, see `info/1`"}
             ]

  @typedoc "`t:GenServer.server/0` of a transport."
  @type server :: GenServer.server()

  @doc """
  Starts the transport and opens its socket. The stack must have been started before.

  ## Options

  #{Options.docs(@options)}
  Returns `{:error, %Sippet.TransportError{}}` when the socket cannot be opened, with `:eaddrinuse` for a port that is taken.
  Raises `ArgumentError` for an option that is not known or not of its kind.
  """
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(options) when is_list(options) do
    options = Options.validate!(options, @options)

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
  What the transport has: `%{address: {ip, port}, recbuf: bytes}`, as the system tells it, and `counters`, which only grow:

    * `binding_requests` - requests of STUN that were answered
    * `binding_responses` - responses to those of this side
    * `stun_dropped` - other datagrams that begin as one of STUN does
    * `keep_alive_failures` - flows that `Sippet.keep_alive/3` has found to have failed
  """
  @spec info(server) :: %{
          address: {:inet.ip_address(), :inet.port_number()},
          recbuf: pos_integer,
          counters: %{atom => non_neg_integer}
        }
  def info(server), do: GenServer.call(server, :info)

  @impl true
  def init(options) do
    case open(options[:ip], options) do
      {:ok, socket} ->
        # Where there is too much to do this process decides what is not done: it must not queue behind what is.
        Process.flag(:priority, :high)
        # To end with the socket, also where that is no fault.
        Process.flag(:trap_exit, true)
        {:ok, address} = :inet.sockname(socket)

        state = %{
          socket: socket,
          address: address,
          attachment: Attachment.new(options[:name], attributes(options, socket, address)),
          bindings: %{},
          counters: Map.new(@counters, &{&1, 0})
        }

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

  defp attributes(options, socket, {ip, port} = address) do
    [
      module: __MODULE__,
      handle: socket,
      # Started again, a transport with a fixed address is the same one.
      key: if(options[:port] == 0, do: {:udp, self()}, else: {:udp, ip, port}),
      protocol: :udp,
      reliable: false,
      address: address,
      force_rport: options[:force_rport]
    ]
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
    {:reply, Map.put(Map.take(state, [:address, :counters]), :recbuf, recbuf), state}
  end

  def handle_call({:keep_alive, remote, %{interval: :infinity}}, _from, state) do
    {:reply, :ok, if(is_map_key(state.bindings, remote), do: ended(state, remote), else: state)}
  end

  def handle_call({:keep_alive, remote, options}, _from, state) do
    bound =
      case state.bindings do
        %{^remote => binding} -> Binding.restart(binding, options)
        _ -> Binding.start(remote, options)
      end

    Table.keep(state.attachment.stack, flow(state, remote))
    {:reply, :ok, ask(bound, state)}
  end

  # One that cannot be sent now is repeated as one that was lost.
  defp ask({binding, request}, state) do
    _ = transmit(state.socket, 0, binding.remote, request)
    put_in(state.bindings[binding.remote], binding)
  end

  @impl true
  def handle_info({:udp, socket, ip, port, data}, %{socket: socket} = state) do
    if STUN.stun?(data) do
      {:noreply, receive_stun(STUN.decode(data), {ip, port}, state)}
    else
      %{stack: stack, transport: transport} = state.attachment
      Router.receive_message(stack, transport, 0, {ip, port}, data)
      {:noreply, state}
    end
  end

  def handle_info({:timeout, timer, {:binding, remote}}, state) do
    case state.bindings do
      %{^remote => %{timer: ^timer} = binding} ->
        case Binding.handle_timeout(binding) do
          {:failed, why} -> {:noreply, failed(state, remote, why)}
          bound -> {:noreply, ask(bound, state)}
        end

      # It was ended, or began anew, when this was under way.
      _ ->
        {:noreply, state}
    end
  end

  def handle_info({:udp_passive, socket}, %{socket: socket} = state) do
    :ok = :inet.setopts(socket, active: @active)
    {:noreply, state}
  end

  # The port of the socket.
  def handle_info({:EXIT, socket, reason}, %{socket: socket} = state),
    do: {:stop, reason, state}

  # An earlier datagram was refused by its destination's host: whose it was the system does not tell.
  def handle_info({:udp_error, socket, _reason}, %{socket: socket} = state),
    do: {:noreply, state}

  def handle_info({:DOWN, monitor, :process, _, _}, %{attachment: %{monitor: monitor}} = state),
    do: attached(Attachment.lost(state.attachment), state)

  def handle_info({:await_stack, deadline}, state),
    do: attached(Attachment.renew(state.attachment, deadline), state)

  def handle_info(_other, state), do: {:noreply, state}

  defp receive_stun({:ok, %STUN{class: class} = response}, remote, state)
       when class in [:success, :error] do
    with %{^remote => binding} <- state.bindings,
         {:ok, binding} <- Binding.handle_response(binding, response) do
      count(put_in(state.bindings[remote], binding), :binding_responses)
    else
      {:failed, why} -> state |> count(:binding_responses) |> failed(remote, why)
      _nobody_asked -> count(state, :stun_dropped)
    end
  end

  defp receive_stun({:ok, request}, remote, state) do
    case STUN.answer(request, remote) do
      {:ok, answer} ->
        _ = transmit(state.socket, 0, remote, answer)
        count(state, :binding_requests)

      :none ->
        count(state, :stun_dropped)
    end
  end

  defp receive_stun(:error, _remote, state), do: count(state, :stun_dropped)

  defp count(state, name), do: update_in(state.counters[name], &(&1 + 1))

  defp failed(state, remote, why) do
    # In this order: who hears of it may end this process, and would be told once more of what it still keeps.
    state = ended(state, remote)
    Delivery.flow_closed(state.attachment.stack, flow(state, remote), why)
    count(state, :keep_alive_failures)
  end

  defp ended(state, remote) do
    {binding, bindings} = Map.pop!(state.bindings, remote)
    Binding.stop(binding)
    Table.release(state.attachment.stack, flow(state, remote))
    %{state | bindings: bindings}
  end

  defp flow(state, remote), do: %Flow{transport: state.attachment.transport.id, remote: remote}

  defp attached({:ok, attachment}, state) do
    state = %{state | attachment: attachment}
    # To the stack they are new.
    for {remote, _binding} <- state.bindings,
        do: Table.keep(attachment.stack, flow(state, remote))

    {:noreply, state}
  end

  defp attached(:wait, state), do: {:noreply, state}

  defp attached(:gone, %{address: {ip, _port}} = state) do
    error = %TransportError{reason: :no_stack, protocol: :udp, address: ip}
    {:stop, {:shutdown, error}, state}
  end

  @impl Sippet.Transport
  def transmit(socket, _connection, {ip, port}, data) when is_tuple(ip),
    do: :gen_udp.send(socket, ip, port, data)

  def transmit(_socket, _connection, {_host, _port}, _data),
    do: {:error, :not_a_numeric_address}

  @impl Sippet.Transport
  def keep_alive(%{pid: pid}, _connection, remote, options) do
    GenServer.call(pid, {:keep_alive, remote, options})
  catch
    :exit, _reason -> {:error, :transport_closed}
  end
end
