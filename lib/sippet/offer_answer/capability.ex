defmodule Sippet.OfferAnswer.Capability do
  @moduledoc """
  What a user agent is able and willing to do in one stream: what `Sippet.OfferAnswer.offer/2` offers, and what
  `Sippet.OfferAnswer.answer/3` answers with.

    * `:type` - as in `"audio"`
    * `:port` - where media are received
    * `:codecs` - a list of `Sippet.OfferAnswer.Codec`, the preferred one first; of RTP streams
    * `:formats` - a list of strings, of other streams: `["t38"]`
    * `:protocols` - those that are answered; the first is offered. `["RTP/AVP"]` by default
    * `:direction` - what this side wants: `:sendrecv` by default
    * `:connection` - a `Sippet.SDP.Connection`, if not that of the session
    * `:ptime`, `:maxptime` - what this side wants to receive, in milliseconds, or nil
    * `:bandwidths` - as in `[{"AS", 64}]`
    * `:attributes` - further attributes, see `t:Sippet.SDP.attribute/0`: of ICE, DTLS, `:crypto`, `:mid`, `:rtcp_mux` ...

  In an answer `:mid` is that of the offer, `:setup` the role that goes with the offer's, if it has one, and of the `:crypto`
  attributes one remains, with the tag of the offer; those of ICE, `:fingerprint`, `:rtcp_mux` and `:rtcp_rsize` are there
  only where the offer has them.
  """

  alias Sippet.OfferAnswer.Codec
  alias Sippet.SDP
  alias Sippet.SDP.{Connection, Media}

  @enforce_keys [:type, :port]
  defstruct [
    :type,
    :port,
    :connection,
    :ptime,
    :maxptime,
    codecs: [],
    formats: [],
    protocols: ["RTP/AVP"],
    direction: :sendrecv,
    bandwidths: [],
    attributes: []
  ]

  @typedoc "See the module."
  @type t :: %__MODULE__{
          type: String.t(),
          port: :inet.port_number(),
          codecs: [Codec.t()],
          formats: [String.t()],
          protocols: [String.t(), ...],
          direction: SDP.direction(),
          connection: Connection.t() | nil,
          ptime: pos_integer | String.t() | nil,
          maxptime: pos_integer | String.t() | nil,
          bandwidths: [SDP.bandwidth()],
          attributes: [SDP.attribute()]
        }

  # A media description with these codecs, which have payload types, and this direction, told where `tell?` or needed.
  @doc false
  @spec media(t, String.t(), [Codec.t()] | [String.t()], SDP.direction(), boolean) :: Media.t()
  def media(%__MODULE__{} = capability, protocol, formats, direction, tell?) do
    codecs = for %Codec{} = codec <- formats, do: codec

    timed =
      for {name, value} <- [ptime: capability.ptime, maxptime: capability.maxptime],
          value != nil,
          do: {name, value}

    direction = if tell? or direction != :sendrecv, do: [direction: direction], else: []

    %Media{
      type: capability.type,
      port: capability.port,
      protocol: protocol,
      formats: Enum.map(formats, &format/1),
      connections: List.wrap(capability.connection),
      bandwidths: capability.bandwidths,
      attributes:
        Enum.flat_map(codecs, &Codec.attributes/1) ++ timed ++ direction ++ capability.attributes
    }
  end

  defp format(%Codec{payload_type: payload_type}), do: Integer.to_string(payload_type)
  defp format(format), do: format
end
