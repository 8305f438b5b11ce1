defmodule Sippet.SDP.Origin do
  @moduledoc """
  Who made a session, and which version of it a description is: the `o=` line (RFC 8866 §5.2).

    * `:username` - the user, `"-"` on a host without users
    * `:session_id` - digits, the same for all descriptions of one session
    * `:session_version` - an integer that grows by one with each change (RFC 3264 §8); a string where something came that
      is no number of 63 bits, or has zeros before it
    * `:network_type`, `:address_type`, `:address` - as in `"IN"`, `"IP4"`, `"192.0.2.1"`; the address may be a host name
  """

  defstruct username: "-",
            session_id: "0",
            session_version: 0,
            network_type: "IN",
            address_type: "IP4",
            address: "0.0.0.0"

  @typedoc "See the module."
  @type t :: %__MODULE__{
          username: String.t(),
          session_id: String.t(),
          session_version: non_neg_integer | String.t(),
          network_type: String.t(),
          address_type: String.t(),
          address: String.t()
        }
end
