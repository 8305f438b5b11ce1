defmodule Sippet.Sim.Transport do
  # The transport of a simulated stack: what it is to send enters the link, in the process that has it.
  @moduledoc false

  @behaviour Sippet.Transport

  alias Sippet.Sim.Server

  @typedoc "The simulation, and the stack and protocol that it is the transport of."
  @type handle :: {pid, Sippet.sippet(), atom}

  @impl true
  def transmit({sim, name, protocol}, connection, remote, data),
    do: Server.transmit(sim, {name, protocol, connection, remote, data})

  @doc "The address of a host, a literal or the name of a stack's: nothing asks the system's resolver."
  @spec resolve(handle, String.t()) :: {:ok, :inet.ip_address()} | {:error, :nxdomain}
  def resolve({sim, _name, _protocol}, host) do
    with {:error, _reason} <- literal(host), do: Server.resolve(sim, host)
  end

  defp literal(host) do
    text = host |> String.trim_leading("[") |> String.trim_trailing("]")
    text |> :binary.bin_to_list() |> :inet.parse_strict_address()
  end
end
