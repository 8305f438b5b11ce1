defmodule Sippet.Test.Transport1x do
  # A transport as people have them for Sippet 1.x, not changed for this version: datagrams on a socket of its own, registered by
  # itself, called with `{:send_message, message, host, port, key}`. It uses what 1.x documented for that, and nothing else.
  @moduledoc false

  use GenServer

  alias Sippet.Message

  # Options: `:name` of the stack, `:protocol`, `:reliable`; `:port` of 127.0.0.1.
  def start_link(options), do: GenServer.start_link(__MODULE__, options)

  @impl true
  def init(options) do
    Process.flag(:trap_exit, true)
    {:ok, nil, {:continue, options}}
  end

  @impl true
  def handle_continue(options, nil) do
    {:ok, socket} =
      :gen_udp.open(options[:port] || 0, [:binary, active: true, ip: {127, 0, 0, 1}])

    :ok = Sippet.register_transport(options[:name], options[:protocol], options[:reliable])
    {:noreply, %{stack: options[:name], protocol: options[:protocol], socket: socket}}
  end

  @impl true
  def handle_info({:udp, _socket, ip, port, packet}, state) do
    Sippet.Router.handle_transport_message(state.stack, packet, {state.protocol, ip, port})
    {:noreply, state}
  end

  @impl true
  def handle_call(:port, _from, state), do: {:reply, :inet.port(state.socket), state}

  def handle_call({:send_message, message, host, port, key}, _from, state) do
    with {:ok, ip} <- host |> String.to_charlist() |> :inet.getaddr(:inet),
         :ok <- :gen_udp.send(state.socket, ip, port, Message.to_iodata(message)) do
      :ok
    else
      {:error, reason} ->
        if key != nil, do: Sippet.Router.receive_transport_error(state.stack, key, reason)
    end

    {:reply, :ok, state}
  end

  @impl true
  def terminate(_reason, %{socket: socket}), do: :gen_udp.close(socket)
  def terminate(_reason, nil), do: :ok
end
