defmodule Sippet.Resolver.Target do
  @moduledoc """
  Where a request may go: one of the targets that `Sippet.Resolver` found, in the order to try them.

    * `transport` - the protocol, `:udp`, `:tcp` ...
    * `address` - an IPv4 or IPv6 address
    * `port` - a port
    * `domain` - the host of the URI, whose name a certificate has to bear (RFC 5922 §4): never a name that DNS led to
    * `choices` - why this one, first decision first: `t:Sippet.Resolver.choice/0`
  """

  @enforce_keys [:transport, :address, :port]
  defstruct @enforce_keys ++ [domain: nil, choices: []]

  @type t :: %__MODULE__{
          transport: atom,
          address: :inet.ip_address(),
          port: :inet.port_number(),
          domain: String.t() | nil,
          choices: [Sippet.Resolver.choice()]
        }
end
