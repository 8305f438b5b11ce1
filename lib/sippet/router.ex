defmodule Sippet.Router do
  # Bytes in, effects carried out: the only caller of the engine besides Sippet and the processes of the transactions.
  # Its name, handle_transport_message/3 and receive_transport_error/3 are what custom transports of Sippet 1.x call.
  @moduledoc false

  alias Sippet.{Flow, Message, Native, Request, Stack, Transaction, Transport, TransportError}
  alias Sippet.Routing.{Attempts, Failover, Responses}
  alias Sippet.Telemetry.Report
  alias Sippet.Transaction.Delivery
  alias Sippet.Transport.Destination

  @doc """
  Takes one message from a transport that registered itself by `Sippet.register_transport/3`.

  `from` is `{protocol, ip, port}`, the address as a tuple or a string. Anything may be in `data`; returns `:ok`.
  """
  @spec handle_transport_message(
          atom,
          iodata,
          {atom, :inet.ip_address() | String.t(), :inet.port_number()}
        ) ::
          :ok
  def handle_transport_message(sippet, data, {protocol, host, port}) do
    stack = Stack.fetch!(sippet)

    with [transport | _] <- Transport.by_protocol(stack, protocol),
         {:ok, ip} <- Destination.address(host, :any) do
      receive_message(stack, transport, 0, {ip, port}, IO.iodata_to_binary(data))
    else
      _ -> :ok
    end
  end

  @doc """
  Tells the transaction of a key that a message of its could not be sent.
  """
  @spec receive_transport_error(atom, Sippet.client_key() | Sippet.server_key() | nil, term) ::
          :ok
  def receive_transport_error(_sippet, nil, _reason), do: :ok

  def receive_transport_error(sippet, key, reason) do
    _ = Transaction.receive_error(sippet, key, reason)
    :ok
  end

  @doc "Tells the transaction of this address that a transmission of its failed."
  @spec transmission_failed(Stack.t(), non_neg_integer, term) :: :ok
  def transmission_failed(stack, address, reason) do
    case Native.engine_transport_error(stack.engine, address, :erlang.term_to_binary(reason)) do
      {:ok, effects} -> perform(stack, effects)
      {:error, :stopped} -> :ok
    end
  end

  @doc "Takes one message that came over a flow, in the process that received it."
  @spec receive_message(Stack.t(), Transport.t(), non_neg_integer, Transport.remote(), binary) ::
          :ok
  def receive_message(stack, transport, connection, remote, data) do
    %Transport{id: id, reliable: reliable, force_rport: force_rport} = transport

    case Native.engine_receive(stack.engine, data, id, connection, remote, reliable, force_rport) do
      {:ok, []} -> :ok
      {:ok, effects} -> perform(stack, tell(stack, transport, remote, data, effects))
      {:error, :stopped} -> :ok
    end
  rescue
    # A fault of the native code is one of ours, not of who received the message. Its shard has begun anew.
    error in ErlangError ->
      # What is rescued by this name may be another one, a MatchError for instance.
      if match?(%{original: :nif_panicked}, error), do: :ok, else: reraise(error, __STACKTRACE__)
  end

  @doc """
  Takes the head of a message that a stream has broken off in, in the process that received it: if it is enough of a
  request, that gets an answer of this status code, by its connection.
  """
  @spec reject_message(
          Stack.t(),
          Transport.t(),
          non_neg_integer,
          Transport.remote(),
          binary,
          Sippet.Message.StatusLine.status_code()
        ) :: :ok
  def reject_message(stack, %Transport{id: id} = transport, connection, remote, head, status_code) do
    case Native.engine_reject(stack.engine, head, id, connection, remote, status_code) do
      {:ok, effects} -> perform(stack, tell(stack, transport, remote, head, effects))
      {:error, :stopped} -> :ok
    end
  end

  # What became of a message stands before its effects, where somebody listens.
  defp tell(stack, transport, remote, data, [{:report, what, _details} | _rest] = effects)
       when what in [:received, :rejected, :refused] do
    {reports, effects} = Enum.split_while(effects, &Report.of_message?/1)
    Report.received(stack, transport, remote, data, reports)
    effects
  end

  defp tell(_stack, _transport, _remote, _data, effects), do: effects

  @doc "Sends a request that was found valid."
  @spec send_request(Stack.t(), Message.t()) :: :ok | {:error, Sippet.send_error()}
  def send_request(stack, message) do
    case destination(stack, message) do
      {:ok, request, transport, connection, remote} ->
        sent =
          Native.engine_send_request(
            stack.engine,
            Destination.put_via(request, transport),
            transport.id,
            connection,
            remote,
            transport.reliable
          )

        if sent == {:error, :too_long},
          do: stack |> send_long(request, transport, connection, remote, nil) |> sent(stack),
          else: sent(sent, stack)

      {:targets, request, targets} ->
        stack |> Attempts.send(request, Attempts.entries(stack, targets), nil) |> sent(stack)

      {:error, %TransportError{}} = error ->
        error
    end
  end

  defp destination(stack, %Message{start_line: %{method: :cancel}} = cancel),
    do: Destination.of_cancel(stack, cancel)

  defp destination(stack, request), do: Destination.of_request(stack, request)

  # A flow is where the core wants it to go, however long it is.
  defp send_long(stack, %{target: %Flow{}} = request, transport, connection, remote, caller) do
    way = {transport.id, connection, remote, transport.reliable, true}
    request = Destination.put_via(request, transport)
    Native.engine_route(stack.engine, request, way, nil, caller)
  end

  defp send_long(stack, request, transport, _connection, remote, caller) do
    target = Attempts.target(transport, remote)
    Attempts.send(stack, request, Attempts.by_size(stack, target), caller)
  end

  @doc """
  Sends a request that was found valid, for the calling process to wait for: `Sippet.Request` collects what comes.

  `caller` is an alias of the process; it gets `{caller, :wake}`.
  """
  @spec request(Stack.t(), Message.t(), reference) ::
          {:ok, address :: non_neg_integer} | {:error, Sippet.send_error()}
  def request(stack, message, caller) do
    caller = :erlang.term_to_binary(caller)

    case begin_request(stack, message, caller) do
      {:ok, address, effects} ->
        perform(stack, effects)
        {:ok, address}

      {:error, _reason} = error ->
        sent(error, stack)
    end
  end

  defp begin_request(stack, message, caller) do
    case Destination.of_request(stack, message) do
      {:ok, request, transport, connection, remote} ->
        begun =
          Native.engine_request(
            stack.engine,
            Destination.put_via(request, transport),
            transport.id,
            connection,
            remote,
            transport.reliable,
            caller
          )

        if begun == {:error, :too_long},
          do: send_long(stack, request, transport, connection, remote, caller),
          else: begun

      {:targets, request, targets} ->
        Attempts.send(stack, request, Attempts.entries(stack, targets), caller)

      {:error, %TransportError{}} = error ->
        error
    end
  end

  @doc "Cancels the INVITE of a client key."
  @spec cancel(Stack.t(), Sippet.client_key()) :: :ok | {:error, Sippet.cancel_error()}
  def cancel(stack, key) do
    with {:ok, effects} <- Native.engine_cancel(stack.engine, Stack.key_parts(key)),
         do: perform(stack, effects)
  end

  @doc "Sends a response that was found valid."
  @spec send_response(Stack.t(), Message.t(), boolean) :: :ok | {:error, Sippet.send_error()}
  def send_response(stack, message, until_ack) do
    with {:ok, target} <- Destination.of_response(stack, message) do
      stack.engine |> Native.engine_send_response(message, target, until_ack) |> sent(stack)
    end
  end

  defp sent({:ok, effects}, stack), do: perform(stack, effects)
  defp sent({:ok, _address, effects}, stack), do: perform(stack, effects)

  defp sent({:error, {:write, {header, reason}}}, _stack) do
    error = %Sippet.WriteError{header: header, reason: reason}
    raise ArgumentError, "the message cannot be written: #{Exception.message(error)}"
  end

  defp sent({:error, :unfit}, _stack) do
    raise ArgumentError,
          "expected :message argument to be a valid SIP message, its topmost Via has no branch"
  end

  defp sent({:error, reason}, _stack), do: {:error, reason}

  @doc "Answers a request without a transaction, and forgets the one it has."
  @spec reply(Stack.t(), Message.t(), Message.t()) :: :ok | {:error, TransportError.t()}
  def reply(stack, %Message{source: %Flow{} = source} = request, response) do
    {_, _, request_to} = request.headers.to
    {display_name, uri, parameters} = response.headers.to

    response =
      if is_map_key(request_to, "tag") do
        response
      else
        tag = Native.engine_stateless_tag(stack.engine, request)
        to = {display_name, uri, Map.put(parameters, "tag", tag)}
        Message.put_header(response, :to, to)
      end

    with {:ok, effects} <- Native.engine_forget(stack.engine, request),
         do: perform(stack, effects)

    {transport, connection, remote} = Destination.of_stateless_response(source, request)
    transmit(stack, transport, connection, remote, Message.to_string(response), nil)
  end

  @doc """
  Carries out effects in their order, in the calling process.

  A transmission that fails is told to its transaction; the caller has done its part.
  """
  @spec perform(Stack.t(), [tuple]) :: :ok
  def perform(_stack, []), do: :ok

  def perform(stack, [{:run, address} | rest]) do
    _runner = Delivery.start(stack, address)
    perform(stack, rest)
  end

  def perform(stack, [{:await, pid} | rest]) do
    Delivery.await(pid)
    perform(stack, rest)
  end

  def perform(stack, [{:wake, caller} | rest]) do
    Request.wake(stack, :erlang.binary_to_term(caller))
    perform(stack, rest)
  end

  def perform(stack, [{:failover, address, key, plan, why} | rest]) do
    Failover.start(stack, address, key, plan, why)
    perform(stack, rest)
  end

  def perform(stack, [{:report, what, details} | rest]) do
    Report.transaction(stack, what, details)
    perform(stack, rest)
  end

  def perform(stack, [{:transmit, address, transport, connection, remote, data} | rest]) do
    case transmit(stack, transport, connection, remote, data, address) do
      :ok -> :ok
      {:error, error} -> not_sent(stack, transport, remote, data, address, error.reason)
    end

    perform(stack, rest)
  end

  # A response may have another way; those of connections see to that themselves.
  defp not_sent(stack, id, remote, <<"SIP/", _::binary>> = data, address, reason) do
    case Transport.fetch(stack, id) do
      {:ok, %Transport{connections: false, address: {_ip, _port}} = transport} ->
        Responses.retry(stack, transport, remote, data, address, reason)

      _ ->
        not_sent(stack, address, reason)
    end
  end

  defp not_sent(stack, _id, _remote, _request, address, reason),
    do: not_sent(stack, address, reason)

  defp not_sent(_stack, nil, _reason), do: :ok
  defp not_sent(stack, address, reason), do: transmission_failed(stack, address, reason)

  defp transmit(stack, id, connection, remote, data, address) do
    case Transport.fetch(stack, id) do
      {:ok, transport} ->
        began = Report.sending()
        # Asked before: who answers and closes is told by the time that this goes on.
        peer = if began, do: peer(transport, connection, remote)

        case hand_over(transport, connection, remote, data, address) do
          :ok ->
            Report.sent(stack, transport, peer, data, began)

          {:error, reason} ->
            Report.transport_error(stack, transport, remote, data, reason)
            {:error, transport_error(transport, remote, reason)}
        end

      :error ->
        Report.transport_error(stack, id, remote, data, :transport_closed)
        {:error, %TransportError{reason: :transport_closed}}
    end
  end

  # `remote` of a response is where it would go without its connection (RFC 3261 §18.2.2).
  defp peer(%{connections: true, module: module, handle: handle}, connection, remote) do
    (function_exported?(module, :peer, 2) && module.peer(handle, connection)) || remote
  end

  defp peer(_transport, _connection, remote), do: remote

  defp hand_over(%{connections: true} = transport, connection, remote, data, address),
    do: transport.module.transmit(transport.handle, connection, remote, data, address)

  defp hand_over(transport, connection, remote, data, _address),
    do: transport.module.transmit(transport.handle, connection, remote, data)

  defp transport_error(transport, {host, port}, reason) do
    %TransportError{reason: reason, protocol: transport.protocol, address: host, port: port}
  end
end
