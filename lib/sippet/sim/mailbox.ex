defmodule Sippet.Sim.Mailbox do
  # The core of a stack whose `:core` is a process: each callback becomes a message to it. A core is not told whose it is; its
  # runner is.
  @moduledoc false

  @behaviour Sippet.Core

  @doc "Lets the calling runner know for which stack it runs, and the process that stands in for the core."
  @spec put(Sippet.sippet(), pid | nil) :: :ok
  def put(name, pid) do
    Process.put(__MODULE__, {name, pid})
    :ok
  end

  @doc "Whether the calling process is a runner of a simulation."
  @spec runner?() :: boolean
  def runner?, do: Process.get(__MODULE__) != nil

  @impl true
  def receive_request(request, key), do: tell(:receive_request, request, key)

  @impl true
  def receive_response(response, key), do: tell(:receive_response, response, key)

  @impl true
  def receive_error(reason, key), do: tell(:receive_error, reason, key)

  defp tell(callback, first, key) do
    {name, pid} = Process.get(__MODULE__)
    send(pid, {name, callback, first, key})
  end
end
