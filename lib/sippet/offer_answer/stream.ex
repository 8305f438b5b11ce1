defmodule Sippet.OfferAnswer.Stream do
  @moduledoc """
  What was agreed for one stream, seen by one side: see `Sippet.OfferAnswer.streams/2`.

    * `:index` - which media description, counted from 0
    * `:type`, `:protocol` - as in `"audio"`, `"RTP/AVP"`
    * `:active?` - false where either side rejected or disabled the stream
    * `:send?`, `:receive?` - whether this side may send, and has to expect something. Nothing is sent to the address
      0.0.0.0 (RFC 3264 §8.4), unless both sides have ICE find another one: browsers offer that address until then (RFC 8840)
    * `:held?` - does the other side not want to receive: `sendonly`, `inactive`, or 0.0.0.0 from one without ICE?
    * `:send` - what may be sent, the preferred one first: `Sippet.OfferAnswer.Codec` with the payload types of the other
      side, or, where it is not RTP, formats
    * `:receive` - what has to be expected, with the payload types of this side
    * `:ptime` - how much audio the other side wants in a packet, in milliseconds, or nil
    * `:local`, `:remote` - `{address, port}` of both sides; the address as it stands in the description, or nil
  """

  defstruct [
    :index,
    :type,
    :protocol,
    :ptime,
    :local,
    :remote,
    active?: false,
    send?: false,
    receive?: false,
    held?: false,
    send: [],
    receive: []
  ]

  @typedoc "See the module."
  @type t :: %__MODULE__{
          index: non_neg_integer,
          type: String.t(),
          protocol: String.t(),
          active?: boolean,
          send?: boolean,
          receive?: boolean,
          held?: boolean,
          send: [Sippet.OfferAnswer.Codec.t()] | [String.t()],
          receive: [Sippet.OfferAnswer.Codec.t()] | [String.t()],
          ptime: pos_integer | String.t() | nil,
          local: {String.t() | nil, :inet.port_number()},
          remote: {String.t() | nil, :inet.port_number()}
        }
end
