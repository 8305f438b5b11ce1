defmodule Sippet.SDP.Media do
  @moduledoc """
  A media description: an `m=` line and what belongs to it (RFC 8866 §5.14).

    * `:type` - as in `"audio"`
    * `:port` - 0 of a stream that is rejected or disabled (RFC 3264 §6, §8.2)
    * `:port_count` - how many ports, nil where it is not said
    * `:protocol` - as in `"RTP/AVP"`
    * `:formats` - a list of strings; of RTP they are payload types, the preferred one first
    * `:information` - the `i=` line or nil
    * `:connections` - a list of `Sippet.SDP.Connection`: more than one only of multicast
    * `:bandwidths` - a list of `{type, value}`, as in `{"AS", 64}`
    * `:key` - the `k=` line or nil; obsolete (RFC 8866 §5.12)
    * `:attributes` - see `t:Sippet.SDP.attribute/0`
    * `:unknown`, `:order` - as those of `Sippet.SDP`
  """

  alias Sippet.SDP
  alias Sippet.SDP.Connection

  defstruct type: nil,
            port: 0,
            port_count: nil,
            protocol: "RTP/AVP",
            formats: [],
            information: nil,
            connections: [],
            bandwidths: [],
            key: nil,
            attributes: [],
            unknown: [],
            order: nil

  @typedoc "See the module."
  @type t :: %__MODULE__{
          type: String.t(),
          port: :inet.port_number(),
          port_count: non_neg_integer | nil,
          protocol: String.t(),
          formats: [String.t()],
          information: String.t() | nil,
          connections: [Connection.t()],
          bandwidths: [SDP.bandwidth()],
          key: String.t() | nil,
          attributes: [SDP.attribute()],
          unknown: [SDP.line()],
          order: String.t() | nil
        }
end
