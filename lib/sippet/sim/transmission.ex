defmodule Sippet.Sim.Transmission do
  @moduledoc """
  A message that left a stack of a simulation, and what the link made of it: `Sippet.Sim.messages/1` has them all.

    * `sent_at` - when it left, in milliseconds of the simulation
    * `from`, `to` - the names of the stacks; `to` is nil where nobody has the destination's address
    * `protocol` - `:udp`, `:tcp` ...
    * `source`, `destination` - `{ip, port}` of either end
    * `fate` - see `t:fate/0`
    * `message` - the message itself, nil where the bytes are none
    * `data` - the bytes
  """

  alias Sippet.Message

  @enforce_keys [:sent_at, :from, :to, :protocol, :source, :destination, :fate, :data]
  defstruct @enforce_keys ++ [message: nil]

  @typedoc """
    * `{:arrives, times}` - at these times: twice where the link has made a copy
    * `:lost` - by chance
    * `:cut` - the way was cut
    * `{:refused, reason}` - the sender was told, as a transport tells it
    * `:nowhere` - no stack has this address
  """
  @type fate ::
          {:arrives, [non_neg_integer]} | :lost | :cut | {:refused, reason :: atom} | :nowhere

  @type t :: %__MODULE__{
          sent_at: non_neg_integer,
          from: Sippet.sippet(),
          to: Sippet.sippet() | nil,
          protocol: atom,
          source: {:inet.ip_address(), :inet.port_number()},
          destination: {:inet.ip_address(), :inet.port_number()},
          fate: fate,
          message: Message.t() | nil,
          data: binary
        }

  @doc false
  @spec parse(t) :: t
  def parse(%__MODULE__{data: data} = transmission) do
    case Message.parse(data, framing: :datagram) do
      {:ok, message} -> %{transmission | message: message}
      {:error, _error} -> transmission
    end
  end
end
