defmodule Sippet.Transport.ByConnection do
  # `use` by the transports over streams: what is the same for all of them. How each sends is its own.
  @moduledoc false

  defmacro __using__([]) do
    quote do
      @behaviour Sippet.Transport

      alias Sippet.Transport.{Connections, Listener}

      @typedoc "What `start_link/1` returned, or the `pid` in `Sippet.Transport.list/1`."
      @type server :: Supervisor.supervisor()

      @doc """
      The specification of a transport under a supervisor. Its id holds name, address and port, so that several fit under one
      supervisor.
      """
      @spec child_spec(keyword) :: Supervisor.child_spec()
      def child_spec(options), do: Listener.child_spec(__MODULE__, options)

      @impl Sippet.Transport
      defdelegate connect(handle, remote, host), to: Connections

      @impl Sippet.Transport
      defdelegate connected?(handle, connection), to: Connections

      @impl Sippet.Transport
      defdelegate peer(handle, connection), to: Connections

      @impl Sippet.Transport
      def keep_alive(transport, connection, _remote, options),
        do: Connections.keep_alive(transport.handle, connection, options)
    end
  end
end
