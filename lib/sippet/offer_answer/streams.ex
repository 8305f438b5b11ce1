defmodule Sippet.OfferAnswer.Streams do
  # What the descriptions of a stream say of it, for all modules of offer and answer.
  @moduledoc false

  alias Sippet.OfferAnswer.Codec
  alias Sippet.SDP
  alias Sippet.SDP.{Connection, Media}

  @doc "The value of an attribute of the media description, else of the session."
  @spec attribute(SDP.t(), Media.t(), SDP.attribute_name()) :: term
  def attribute(sdp, media, name), do: SDP.attribute(media, name) || SDP.attribute(sdp, name)

  @doc "Are its formats payload types?"
  @spec rtp?(Media.t() | String.t()) :: boolean
  def rtp?(%Media{protocol: protocol}), do: rtp?(protocol)
  def rtp?(protocol), do: String.contains?(protocol, "RTP/")

  @doc "Is it a stream of SRTP (RFC 3711)?"
  @spec secure?(Media.t()) :: boolean
  def secure?(%Media{protocol: protocol}), do: String.contains?(protocol, "SAVP")

  @typedoc "The streams of all BUNDLE groups of a description, by their `mid`."
  @type bundled :: MapSet.t(String.t())

  @doc "Who is in a BUNDLE group: asked once for a description, which may have many groups and many streams."
  @spec bundled(SDP.t()) :: bundled
  def bundled(sdp) do
    for %{semantics: "BUNDLE", mids: mids} <- SDP.attributes(sdp, :group),
        mid <- mids,
        into: MapSet.new(),
        do: mid
  end

  @doc """
  Is it rejected or disabled? A port of 0 is not, where the stream is to use the port of another one (RFC 9143 §6).
  """
  @spec disabled?(bundled, Media.t()) :: boolean
  def disabled?(bundled, %Media{port: 0} = media) do
    SDP.attribute(media, "bundle-only") != true or
      not MapSet.member?(bundled, SDP.attribute(media, :mid))
  end

  def disabled?(_bundled, _media), do: false

  @doc "Is this the address of a group? A name is not."
  @spec multicast?(Connection.t() | nil) :: boolean
  def multicast?(%Connection{address: address}) do
    case :inet.parse_address(String.to_charlist(address)) do
      {:ok, {first, _, _, _}} -> first in 224..239
      {:ok, {first, _, _, _, _, _, _, _}} -> first in 0xFF00..0xFFFF
      {:error, :einval} -> false
    end
  end

  def multicast?(nil), do: false

  @doc "Is this the address that nothing is to be sent to (RFC 3264 §8.4)?"
  @spec unspecified?(Connection.t() | nil) :: boolean
  def unspecified?(%Connection{address: address}), do: address in ["0.0.0.0", "::"]
  def unspecified?(nil), do: false

  @doc "Does who wrote this direction send?"
  @spec sends?(SDP.direction()) :: boolean
  def sends?(direction), do: direction in [:sendrecv, :sendonly]

  @doc "Does who wrote this direction receive?"
  @spec receives?(SDP.direction()) :: boolean
  def receives?(direction), do: direction in [:sendrecv, :recvonly]

  @doc "The direction of who sends and receives so."
  @spec direction(boolean, boolean) :: SDP.direction()
  def direction(true, true), do: :sendrecv
  def direction(true, false), do: :sendonly
  def direction(false, true), do: :recvonly
  def direction(false, false), do: :inactive

  @doc "The codecs, of RTP, else the formats."
  @spec formats(Media.t()) :: [Codec.t()] | [String.t()]
  def formats(media), do: if(rtp?(media), do: Codec.list(media), else: media.formats)

  @doc "The media description without what a stream needs: port 0 and one format (RFC 3264 §6, §8.2)."
  @spec disable(Media.t()) :: Media.t()
  def disable(%Media{} = media) do
    formats = Enum.take(media.formats, 1)

    %Media{
      type: media.type,
      port: 0,
      protocol: media.protocol,
      formats: formats,
      attributes: Enum.filter(media.attributes, &kept?(&1, formats))
    }
  end

  defp kept?({:rtpmap, %{payload_type: payload_type}}, formats),
    do: formats == [Integer.to_string(payload_type)]

  defp kept?({:mid, _mid}, _formats), do: true
  defp kept?(_attribute, _formats), do: false
end
