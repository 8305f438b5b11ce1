defmodule Sippet.Flow do
  @moduledoc """
  The way a message came: a transport of the stack, the connection within it, and the peer's address.

  `source` of a received message is one, and `target` of a message to be sent may be: it then leaves by the same socket
  or connection, to that address. Treat it as a value to be kept and handed back; its fields are for inspection.

    * `transport` - the number of the transport in its stack, as in `Sippet.Transport.list/1`
    * `connection` - the number of the connection in its transport, 0 for UDP
    * `remote` - `{ip, port}` of the peer
  """

  @enforce_keys [:transport, :remote]
  defstruct transport: nil, connection: 0, remote: nil

  @type t :: %__MODULE__{
          transport: non_neg_integer,
          connection: non_neg_integer,
          remote: {:inet.ip_address(), :inet.port_number()}
        }
end
