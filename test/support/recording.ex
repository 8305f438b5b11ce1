defmodule Sippet.Test.Recording do
  # Transports that send nowhere: what they are handed comes to the test as `{:sent, protocol, {ip, port}, bytes}`, whatever the
  # address. Connections are made to whoever `refuses` does not hold; the test gets `{:connect, protocol, {ip, port}}`.
  @moduledoc false

  alias Sippet.Transport

  defmodule Datagrams do
    @moduledoc false
    @behaviour Sippet.Transport

    @impl true
    def transmit({test, protocol, refuses}, _connection, remote, data) do
      if protocol == :udp and :ets.member(refuses, {:udp, remote}) do
        {:error, :ehostunreach}
      else
        send(test, {:sent, protocol, remote, data})
        :ok
      end
    end
  end

  defmodule Streams do
    @moduledoc false
    @behaviour Sippet.Transport

    @impl true
    def connect({test, protocol, refuses}, remote, _host) do
      send(test, {:connect, protocol, remote})

      if :ets.member(refuses, remote),
        do: {:error, :econnrefused},
        else: {:ok, connection(remote)}
    end

    # The number tells the peer.
    defp connection(remote), do: :erlang.phash2(remote) + 1

    @impl true
    def connected?(_handle, _connection), do: true

    @impl true
    def transmit({test, protocol, _refuses}, _connection, remote, data) do
      send(test, {:sent, protocol, remote, data})
      :ok
    end

    @impl true
    def transmit(handle, connection, remote, data, transaction) do
      {test, protocol, _refuses} = handle
      send(test, {:transaction, protocol, transaction})
      transmit(handle, connection, remote, data)
    end
  end

  @doc """
  Gives a stack transports of these protocols, for IPv4 and IPv6, that live as long as the test. Returns the table of
  those who refuse: connections `{{ip, port}}`, datagrams `{{:udp, {ip, port}}}`.
  """
  def start(stack, protocols) do
    refuses = :ets.new(:refuses, [:public])

    for protocol <- protocols, ip <- [{127, 0, 0, 1}, {0, 0, 0, 0, 0, 0, 0, 1}] do
      datagrams? = protocol == :udp

      {:ok, _transport} =
        Transport.register(stack,
          module: if(datagrams?, do: Datagrams, else: Streams),
          handle: {self(), protocol, refuses},
          protocol: protocol,
          reliable: not datagrams?,
          address: {ip, 5060}
        )
    end

    refuses
  end
end
