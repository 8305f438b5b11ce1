defmodule Sippet.SDP.Connection do
  @moduledoc """
  Where media are to be sent: a `c=` line (RFC 8866 §5.7).

    * `:network_type`, `:address_type`, `:address` - as in `"IN"`, `"IP4"`, `"192.0.2.1"`; the address may be a host name
    * `:ttl` - the time to live of an IPv4 multicast address, else nil
    * `:address_count` - how many multicast addresses, nil where it is not said
  """

  defstruct network_type: "IN", address_type: "IP4", address: nil, ttl: nil, address_count: nil

  @typedoc "See the module."
  @type t :: %__MODULE__{
          network_type: String.t(),
          address_type: String.t(),
          address: String.t(),
          ttl: non_neg_integer | nil,
          address_count: non_neg_integer | nil
        }
end
