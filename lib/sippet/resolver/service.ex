defmodule Sippet.Resolver.Service do
  # What DNS calls the transports: NAPTR services, prefixes of SRV names, and the ports where there is no SRV. Used by
  # Sippet.Resolver.Question and .Procedure, and by Sippet.Transport.Destination.
  @moduledoc false

  # RFC 3263 §4.1, §4.2; WebSocket and its ports are RFC 7118 §5.5's. NAPTR service, transport, SRV prefix, port.
  @services [
    {"SIP+D2U", :udp, "_sip._udp.", 5060},
    {"SIP+D2T", :tcp, "_sip._tcp.", 5060},
    {"SIPS+D2T", :tls, "_sips._tcp.", 5061},
    {"SIP+D2W", :ws, "_sip._ws.", 80},
    {"SIPS+D2W", :wss, "_sips._ws.", 443}
  ]

  @doc "The transport of a NAPTR service; nil of a foreign one. The case does not matter (RFC 3403 §4.1)."
  @spec transport(String.t()) :: atom
  def transport(service) do
    service = String.upcase(service, :ascii)

    Enum.find_value(@services, fn {name, transport, _, _} -> if name == service, do: transport end)
  end

  @doc "The prefix of its SRV names; nil of a transport that has none."
  @spec srv_prefix(atom) :: String.t() | nil
  for {_service, transport, prefix, _port} <- @services do
    def srv_prefix(unquote(transport)), do: unquote(prefix)
  end

  def srv_prefix(_transport), do: nil

  @doc "The port where none is given."
  @spec default_port(atom) :: :inet.port_number()
  for {_service, transport, _prefix, port} <- @services do
    def default_port(unquote(transport)), do: unquote(port)
  end

  def default_port(_transport), do: 5060

  @doc "Whether a `sips` URI may go by it."
  @spec secure?(atom) :: boolean
  def secure?(transport), do: transport in [:tls, :wss]

  @doc "The transport with TLS in place of one (§19.1.4: `sips` with `transport=tcp` is TLS over TCP); nil where there is none."
  @spec secured(atom) :: atom
  def secured(:tcp), do: :tls
  def secured(:ws), do: :wss
  def secured(transport), do: if(secure?(transport), do: transport)
end
