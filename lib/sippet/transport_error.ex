defmodule Sippet.TransportError do
  @moduledoc """
  A message has nowhere to go, or a transport cannot be started.

    * `reason` - see `t:reason/0`
    * `protocol` - `:udp`, `:tcp` ... or nil where it was not settled
    * `address` - the host, address or URI at issue, or nil
    * `port` - the port at issue, or nil
  """

  @typedoc """
    * `:no_transport` - the stack has no transport of this protocol and address family
    * `:no_destination` - the Request-URI names no host, as with `tel`, and there is neither Route nor target
    * `:transport_closed` - the transport of the flow is gone
    * `:no_stack` - the stack of a transport has ended
    * `:not_a_numeric_address` - a response must go to a name
    * anything else - a reason of the operating system or of the resolver: `:eaddrinuse`, `:nxdomain`, `:emsgsize` ...
  """
  @type reason ::
          :no_transport
          | :no_destination
          | :transport_closed
          | :no_stack
          | :not_a_numeric_address
          | :inet.posix()
          | term

  @type t :: %__MODULE__{
          reason: reason,
          protocol: atom | nil,
          address: term,
          port: :inet.port_number() | nil
        }

  defexception [:reason, :protocol, :address, :port]

  @impl true
  def message(%__MODULE__{reason: reason} = error) do
    subject =
      case error do
        %{address: nil, protocol: nil} -> "transport"
        %{address: nil, protocol: protocol} -> "transport #{protocol}"
        %{address: address, port: nil} -> where(error.protocol, printable(address))
        %{address: address, port: port} -> where(error.protocol, "#{printable(address)}:#{port}")
      end

    "#{subject}: #{describe(reason)}"
  end

  defp where(nil, address), do: address
  defp where(protocol, address), do: "#{protocol} #{address}"

  defp printable(address) when is_tuple(address) do
    case :inet.ntoa(address) do
      {:error, :einval} -> inspect(address)
      text when tuple_size(address) == 8 -> "[#{text}]"
      text -> List.to_string(text)
    end
  end

  defp printable(address) when is_binary(address), do: address
  defp printable(address), do: inspect(address)

  defp describe(:no_transport), do: "the stack has no such transport"
  defp describe(:no_destination), do: "there is no host to send to"
  defp describe(:transport_closed), do: "the transport is gone"
  defp describe(:no_stack), do: "its stack has ended"
  defp describe(:not_a_numeric_address), do: "a response goes to an address, not to a name"

  defp describe(reason) when is_atom(reason) do
    case :inet.format_error(reason) do
      ~c"unknown POSIX error" ++ _ -> Atom.to_string(reason)
      text -> List.to_string(text)
    end
  end

  defp describe(reason), do: inspect(reason)
end
