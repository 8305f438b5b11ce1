defmodule Sippet.Transport.Connection do
  # The process of one connection: it owns the socket, frames what comes and gives each message to the stack, and writes
  # what others hand it. It is started by Sippet.Transport.Connections, for a connection that was accepted or that is to be
  # made, which it does itself.
  @moduledoc false

  use GenServer, restart: :temporary, shutdown: 2_000

  alias Sippet.{Flow, Native, Router, Stack, Transport}
  alias Sippet.Transaction.Delivery
  alias Sippet.Transport.{Alias, Connections, Handshake, KeepAlive, Socket}

  # An acceptor that dies before it has handed over its socket takes that with it.
  @socket_wait_ms 5_000

  # After this long without work the process gives its memory back.
  @hibernate_after_ms 500

  # Messages that wait are written together, up to so many bytes.
  @write_bytes 65_536

  # How long a peer may take to read the answer to what broke its stream.
  @farewell_ms 1_000

  # How long a message that was counted may take to come, once the connection is closed.
  @straggler_ms 1_000

  # How many requests are sent before it is looked which of them still wait, at least; how many are asked for in one call.
  @min_sent 128
  @asked_a_call 1_000

  # How many requests of a peer may ask for an alias (RFC 5923): each is parsed once more for that.
  @claims 64

  # codec: the state of `shared.codec`, a Sippet.Transport.Codec. sent: transactions of the requests that were written; unsent: messages that were not.
  @enforce_keys [:shared, :stack, :transport, :number, :remote, :key]
  defstruct @enforce_keys ++
              [
                socket: nil,
                codec: nil,
                active_ms: nil,
                heard_ms: nil,
                keep_alive: nil,
                deadline: nil,
                deadline_timer: nil,
                used: false,
                broken: false,
                sent: [],
                sent_count: 0,
                sent_limit: @min_sent,
                unsent: [],
                names: [],
                claims: 0
              ]

  @doc """
  Starts the process of a connection that is to be made or taken over: it waits for the message `:accept`, behind which
  `{:socket, socket}` comes, or `{:connect, host}`.
  """
  @spec start_link({map, Stack.t(), Transport.t(), map}) :: GenServer.on_start()
  def start_link({shared, stack, transport, %{number: number, remote: remote, key: key}}) do
    connection = %__MODULE__{
      shared: shared,
      stack: stack,
      transport: transport,
      number: number,
      remote: remote,
      key: key
    }

    GenServer.start_link(__MODULE__, connection, hibernate_after: @hibernate_after_ms)
  end

  @doc "Takes a connection out of the table: from now on it is closed. The bytes that were counted for it and are not written."
  @spec forget(:ets.tid(), pos_integer, Connections.key()) :: non_neg_integer
  def forget(table, number, key) do
    for destination <- [key | Connections.aliases(table, number)],
        do: :ets.delete_object(table, {{:to, destination}, number})

    case :ets.take(table, number) do
      [connection] -> elem(connection, 2)
      [] -> 0
    end
  end

  @doc "Tells a transaction that a transmission failed."
  @spec report(Stack.t(), Transport.transaction(), term) :: :ok
  def report(_stack, nil, _reason), do: :ok

  def report(stack, transaction, reason),
    do: Router.transmission_failed(stack, transaction, reason)

  @impl true
  def init(connection), do: {:ok, connection}

  @impl true
  def handle_info(:accept, %{shared: shared} = state) do
    receive do
      {:socket, port} ->
        case Handshake.accept(port, state.remote, state.stack, shared) do
          {:ok, socket, codec, rest} ->
            Connections.count(shared.table, :accepted)
            names = Alias.names(socket, :accepted, shared.table)
            # RFC 5923 is for TLS over TCP.
            claims = if shared.protocol == :tls and names != [], do: @claims, else: 0
            state = %{state | socket: socket, codec: codec, names: names, claims: claims}
            opened(state, first_deadline(state), rest)

          {:error, reason} ->
            Connections.count(shared.table, failure(reason))
            {:stop, {:shutdown, reason}, state}
        end
    after
      @socket_wait_ms -> {:stop, {:shutdown, :connection_closed}, state}
    end
  end

  def handle_info({:connect, host}, %{shared: shared} = state) do
    case Handshake.connect(state.remote, host, state.stack, shared) do
      {:ok, socket, codec, rest} ->
        Connections.count(shared.table, :connected)
        names = Alias.names(socket, :connected, shared.table)
        remote = source(state.remote, socket)
        state = %{state | socket: socket, codec: codec, names: names, remote: remote}
        opened(state, nil, rest)

      {:error, reason} ->
        Connections.count(shared.table, :connect_failures)
        {:stop, {:shutdown, reason}, state}
    end
  end

  def handle_info({:tcp, _port, data}, state), do: receive_bytes(data, state)
  def handle_info({:ssl, _tls, data}, state), do: receive_bytes(data, state)
  def handle_info({:tcp_passive, _port}, state), do: activate(state)
  def handle_info({:ssl_passive, _tls}, state), do: activate(state)
  def handle_info({:tcp_closed, _port}, state), do: closed(state)
  def handle_info({:ssl_closed, _tls}, state), do: closed(state)
  def handle_info({:tcp_error, _port, reason}, state), do: close(state, reason)
  def handle_info({:ssl_error, _tls, reason}, state), do: close(state, Handshake.reason(reason))

  # It has said that it sends nothing more.
  def handle_info({:transmit, _, _, _} = message, %{broken: :finished} = state) do
    redirect(message, :broken, state)
    {:noreply, state}
  end

  def handle_info({:transmit, _remote, data, _transaction} = message, state),
    do: write(collect([message], @write_bytes - byte_size(data)), state)

  def handle_info(:overflow, state), do: slow(state, :send_queue_full)

  def handle_info(:idle, %{shared: shared} = state) do
    idle_timeout = shared.options.idle_timeout
    left = state.active_ms + idle_timeout - now()

    if left > 0 do
      watch_idleness(state, left)
      {:noreply, state}
    else
      Connections.count(shared.table, :idle_timeouts)
      close(state, :idle_timeout)
    end
  end

  def handle_info(:silence, state), do: ask(state, now() - state.heard_ms)

  # Somebody relies on this flow: the core is to be told of its end, whether messages came by it or not.
  def handle_info({:keep_alive, options}, %{broken: false} = state),
    do: {:noreply, %{state | keep_alive: KeepAlive.start(state.keep_alive, options), used: true}}

  def handle_info(
        {:timeout, timer, :keep_alive},
        %{keep_alive: %{timer: timer}, broken: false} = state
      ) do
    {act, keep_alive} = KeepAlive.handle_timeout(state.keep_alive, state.deadline != nil)
    keep_alive(act, %{state | keep_alive: keep_alive})
  end

  def handle_info(:deadline, state) do
    state = %{state | deadline_timer: nil}

    if state.deadline != nil and state.deadline <= now() do
      Connections.count(state.shared.table, :message_timeouts)
      close(state, :message_timeout)
    else
      {:noreply, keep_deadline(state, state.deadline)}
    end
  end

  def handle_info({:attached, stack, transport}, state),
    do: {:noreply, %{state | stack: stack, transport: transport}}

  def handle_info({:finish, why}, state) do
    # Closing with something unread would take the answer back.
    _ = forget(state.shared.table, state.number, state.key)
    _ = say_farewell(state, why)
    _ = Socket.finish(state.socket)
    Process.send_after(self(), :farewell, @farewell_ms)
    {:noreply, %{state | broken: :finished}}
  end

  def handle_info(:farewell, state), do: close(state, :broken)
  def handle_info(_other, state), do: {:noreply, state}

  # Of a peer that is known by its name alone, messages come from the proxy's address.
  defp source({ip, _port} = remote, _socket) when is_tuple(ip), do: remote

  defp source({_name, port}, socket) do
    case Socket.peer(socket) do
      {:ok, address} -> address
      # Gone again.
      {:error, _reason} -> {{0, 0, 0, 0}, port}
    end
  end

  # The application was asked for a page and has answered.
  defp failure(:http_request), do: :http_requests
  defp failure(_reason), do: :handshake_failures

  # The time for the first message runs from the beginning.
  defp first_deadline(%{stack: stack, shared: shared}) do
    with milliseconds when milliseconds != nil <- shared.codec.first_message_ms(stack),
         do: now() + milliseconds
  end

  defp opened(%{shared: shared} = state, deadline, rest) do
    # What it owes others it settles also when it is told to end.
    Process.flag(:trap_exit, true)
    %{table: table} = shared
    :ets.insert(table, {state.number, self(), 0, 0, state.remote, state.key, state.names, []})
    if state.key, do: :ets.insert_new(table, {{:to, state.key}, state.number})

    for {:manager, manager} <- :ets.lookup(table, :manager),
        do: send(manager, {:open, self(), state.number, state.remote})

    now = now()
    state = keep_deadline(%{state | active_ms: now, heard_ms: now}, deadline)
    watch_idleness(state, shared.options.idle_timeout)
    watch_silence(ping_interval(state))

    with {:noreply, state} <- activate(state),
         do: if(rest == "", do: {:noreply, state}, else: receive_bytes(rest, state))
  end

  defp activate(state) do
    case Socket.activate(state.socket) do
      :ok -> {:noreply, state}
      {:error, _reason} -> close(state, :closed)
    end
  end

  defp watch_idleness(_state, :infinity), do: :ok

  defp watch_idleness(_state, milliseconds) do
    _timer = Process.send_after(self(), :idle, milliseconds)
    :ok
  end

  defp ping_interval(%{shared: shared}), do: Map.get(shared.options, :ping_interval, :infinity)

  defp watch_silence(:infinity), do: :ok

  defp watch_silence(milliseconds) do
    _timer = Process.send_after(self(), :silence, milliseconds)
    :ok
  end

  # A peer that says nothing is asked whether it is there, and given up when it does not answer for as long again.
  defp ask(%{broken: broken} = state, _silent) when broken != false, do: {:noreply, state}

  defp ask(state, silent) do
    interval = ping_interval(state)

    cond do
      silent < interval ->
        watch_silence(interval - silent)
        {:noreply, state}

      silent < 2 * interval ->
        watch_silence(2 * interval - silent)

        case Socket.send(state.socket, state.shared.codec.ping(state.codec)) do
          :ok -> {:noreply, state}
          {:error, reason} -> slow_or_closed(state, reason)
        end

      true ->
        Connections.count(state.shared.table, :idle_timeouts)
        close(state, :idle_timeout)
    end
  end

  defp keep_alive(:wait, state), do: {:noreply, state}

  defp keep_alive(:ping, state) do
    case Socket.send(state.socket, state.shared.codec.ping(state.codec)) do
      :ok -> {:noreply, state}
      {:error, reason} -> slow_or_closed(state, reason)
    end
  end

  defp keep_alive(:failed, state) do
    Connections.count(state.shared.table, :keep_alive_failures)
    close(state, :keep_alive_timeout)
  end

  # One timer at a time; what it finds changed it is started again for.
  defp keep_deadline(%{deadline_timer: nil} = state, deadline) when deadline != nil do
    timer = Process.send_after(self(), :deadline, deadline, abs: true)
    %{state | deadline: deadline, deadline_timer: timer}
  end

  defp keep_deadline(state, deadline), do: %{state | deadline: deadline}

  defp receive_bytes(data, %{broken: false} = state) do
    now = now()
    {frames, deadline} = state.shared.codec.push(state.codec, data, now)
    keep_alive = KeepAlive.handle_received(state.keep_alive, :pong in frames)
    state = %{state | active_ms: now, heard_ms: now, keep_alive: keep_alive}

    with {:noreply, state} <- take(frames, keep_deadline(state, deadline)) do
      if KeepAlive.overdue?(state.keep_alive, deadline != nil),
        do: keep_alive(:failed, state),
        else: {:noreply, state}
    end
  end

  defp receive_bytes(_data, state), do: {:noreply, state}

  defp take([], state), do: {:noreply, state}

  defp take([{:message, bytes} | frames], state) do
    # Before the core may send anything back.
    state = if state.claims > 0, do: claim(bytes, state), else: state
    Router.receive_message(state.stack, state.transport, state.number, state.remote, bytes)
    take(frames, %{state | used: true})
  end

  defp take([{:ping, count} | frames], state) do
    Connections.count(state.shared.table, :pings)

    pongs = for _ <- 1..count, do: state.shared.codec.encode(state.codec, "\r\n")
    take_after(Socket.send(state.socket, pongs), frames, state)
  end

  defp take([:pong | frames], state), do: take(frames, state)

  defp take([{:write, bytes, pings} | frames], state) do
    if pings > 0, do: Connections.count(state.shared.table, :pings)
    take_after(Socket.send(state.socket, bytes), frames, state)
  end

  defp take([{:closed, bytes} | _none], state) do
    _ = Socket.send(state.socket, bytes)
    close(state, :closed)
  end

  # As below, the farewell behind the answers to what came before.
  defp take([{:failed, _why} = failed | _none], state) do
    Connections.count(state.shared.table, :broken_streams)
    send(self(), {:finish, failed})
    {:noreply, %{keep_deadline(state, nil) | broken: true}}
  end

  # The answer comes as a message to this process, behind those to what came before it.
  defp take([{:broken, status_code, _reason, head} | _none], state) do
    Connections.count(state.shared.table, :broken_streams)
    %{stack: stack, transport: transport, number: number, remote: remote} = state
    Router.reject_message(stack, transport, number, remote, head, status_code)
    send(self(), {:finish, :broken})
    {:noreply, %{keep_deadline(state, nil) | broken: true}}
  end

  defp claim(request, %{shared: %{table: table}, remote: {ip, _port}} = state) do
    case Alias.claim(request, state.names) do
      :none ->
        state

      :refused ->
        %{state | claims: state.claims - 1}

      {:ok, port} ->
        destinations = for name <- state.names, do: {{ip, port}, name}
        Connections.put_aliases(table, state.number, destinations)
        %{state | claims: state.claims - 1}
    end
  end

  defp take_after(:ok, frames, state), do: take(frames, state)
  defp take_after({:error, reason}, _frames, state), do: slow_or_closed(state, reason)

  # What else waits to be written, the last first.
  defp collect(messages, left) when left > 0 do
    receive do
      {:transmit, _remote, data, _transaction} = message ->
        collect([message | messages], left - byte_size(data))
    after
      0 -> messages
    end
  end

  defp collect(messages, _left), do: messages

  # So many bytes are still queued: who has counted a message sends it next, and may be kept from that for a moment.
  defp drain(messages, queued) do
    receive do
      {:transmit, _, data, _} = message -> drain([message | messages], queued - byte_size(data))
    after
      if(queued > 0, do: @straggler_ms, else: 0) -> messages
    end
  end

  defp write(messages, state) do
    began = now()

    case send_all(messages, state) do
      {:ok, size} ->
        state = remember(messages, %{state | active_ms: now(), used: not state.broken})

        if overflowed?(state, size),
          do: slow(state, :send_queue_full),
          else: {:noreply, state}

      {:error, reason} ->
        # The system has the same patience with a peer (TCP_USER_TIMEOUT), and on a busy machine loses it first.
        waited? = now() - began >= state.shared.options.send_timeout
        slow_or_closed(%{state | unsent: messages}, if(waited?, do: :timeout, else: reason))
    end
  end

  # Their size is that of the messages, which is what was counted when they were queued.
  defp send_all(messages, %{shared: %{codec: codec}} = state) do
    {data, size} =
      messages
      |> Enum.reverse()
      |> Enum.map_reduce(0, fn {_, _, data, _}, size ->
        {codec.encode(state.codec, data), size + byte_size(data)}
      end)

    with :ok <- Socket.send(state.socket, data), do: {:ok, size}
  end

  defp say_farewell(state, why) do
    case state.shared.codec.farewell(state.codec, why) do
      "" -> :ok
      bytes -> Socket.send(state.socket, bytes)
    end
  end

  # So many bytes wait no longer; whether somebody has found that there were too many.
  defp overflowed?(%{shared: %{table: table}, number: number}, size),
    do:
      match?(
        [_left, overflows] when overflows > 0,
        :ets.update_counter(table, number, [{3, -size}, {4, 0}])
      )

  defp slow_or_closed(state, :timeout), do: slow(state, :send_timeout)
  defp slow_or_closed(state, _reason), do: closed(state)

  # By the peer, or by the system since the peer did not read, which is known where the queue was full.
  defp closed(%{shared: %{table: table}, number: number} = state) do
    case :ets.lookup(table, number) do
      [{_number, _pid, _left, overflows, _remote, _key, _names, _aliases}] when overflows > 0 ->
        slow(state, :send_queue_full)

      _none_or_forgotten ->
        close(state, :closed)
    end
  end

  defp slow(state, why) do
    Connections.count(state.shared.table, :slow_readers)
    close(state, why)
  end

  defp remember(messages, state) do
    sent =
      for {:transmit, _remote, data, transaction} <- messages,
          transaction != nil and not match?(<<"SIP/", _::binary>>, data),
          reduce: state.sent,
          do: (sent -> [transaction | sent])

    case state.sent_count + length(sent) - length(state.sent) do
      count when count < state.sent_limit ->
        %{state | sent: sent, sent_count: count}

      _many ->
        open = open_ones(sent, state.stack)
        count = length(open)
        %{state | sent: open, sent_count: count, sent_limit: max(2 * count, @min_sent)}
    end
  end

  # Of the transactions of the requests those that have not ended.
  defp open_ones(sent, stack) do
    sent
    |> Enum.chunk_every(@asked_a_call)
    |> Enum.flat_map(&Native.engine_select_open(stack.engine, &1))
  end

  defp close(state, why) do
    used = if state.used, do: :used, else: :unused
    {:stop, {:shutdown, {used, why}}, state}
  end

  # Called for every end but a kill.
  @impl true
  def terminate(reason, %{socket: socket} = state) when socket != nil do
    queued = forget(state.shared.table, state.number, state.key)
    why = why(reason)
    state = settle(state, why, queued)

    _ =
      if why in [:shutdown, :idle_timeout] and state.broken == false,
        do: say_farewell(state, why)

    if why in [:shutdown, :closed, :idle_timeout, :broken],
      do: Socket.close(socket),
      else: Socket.abort(socket)

    for transaction <- open_ones(state.sent, state.stack),
        do: report(state.stack, transaction, transport_reason(why))

    if why == :shutdown and state.used, do: tell_core(state, why)
    :ok
  end

  def terminate(_reason, _state), do: :ok

  defp tell_core(%{stack: stack, transport: transport} = state, why) do
    flow = %Flow{transport: transport.id, connection: state.number, remote: state.remote}
    Delivery.flow_closed(stack, flow, why)
  end

  defp why({:shutdown, {_used, why}}), do: why
  defp why(:shutdown), do: :shutdown
  defp why(_fault), do: :killed

  # What was not written: when the transport stops it is tried once more, else a response goes by another connection.
  defp settle(state, :shutdown, queued) do
    messages = drain([], queued)

    case messages != [] and send_all(messages, state) do
      {:ok, _size} -> remember(messages, state)
      _ -> state
    end
  end

  defp settle(state, why, queued) do
    unsent =
      for {:transmit, _, data, _} <- state.unsent, reduce: 0, do: (size -> size + byte_size(data))

    messages = drain(state.unsent, queued - unsent)
    for message <- Enum.reverse(messages), do: redirect(message, why, state)
    state
  end

  defp redirect({:transmit, remote, data, transaction}, why, state) do
    result =
      if remote,
        do: Connections.redirect(state.transport.handle, remote, data, transaction),
        else: {:error, :connection_closed}

    if result != :ok, do: report(state.stack, transaction, transport_reason(why))
  end

  # In the words of `t:Sippet.TransportError.reason/0`.
  defp transport_reason(why)
       when why in [
              :closed,
              :idle_timeout,
              :keep_alive_timeout,
              :message_timeout,
              :broken,
              :shutdown,
              :killed
            ],
       do: :connection_closed

  defp transport_reason(why), do: why

  defp now, do: System.monotonic_time(:millisecond)
end
