defmodule Sippet.OfferAnswer.Error do
  @moduledoc """
  A rule of offer and answer that a description breaks.

    * `:reason` - the rule, a `t:reason/0`
    * `:media` - the media description, counted from 0; nil where it is the session

      iex> Exception.message(%Sippet.OfferAnswer.Error{reason: :direction, media: 0})
      "the direction does not go with that of the offer (RFC 3264 §6.1), in media description 0"
  """

  @reasons [
    media_count: "there are more or fewer media descriptions than in the offer (RFC 3264 §6)",
    timing: "the times differ from those of the offer (RFC 3264 §6)",
    media_type: "the media type differs from that of the offer (RFC 3264 §6)",
    protocol: "the protocol differs from that of the offer (RFC 3264 §6)",
    disabled: "the port is not 0, as it is in the offer (RFC 3264 §6, §8.2)",
    no_format: "there is no format (RFC 3264 §6)",
    no_common_format: "no format is one of the offer's (RFC 3264 §6.1)",
    rtpmap: "a dynamic payload type has no rtpmap (RFC 3264 §6.1)",
    direction: "the direction does not go with that of the offer (RFC 3264 §6.1)",
    multicast_address:
      "address or port of a multicast stream differ from the offer's (RFC 3264 §6.2)",
    multicast_direction:
      "the direction of a multicast stream differs from the offer's (RFC 3264 §6.2)",
    multicast_formats: "a format of a multicast stream is not in the offer (RFC 3264 §6.2)",
    multicast_parameters:
      "packet time or bandwidth of a multicast stream differ from the offer's (RFC 3264 §6.2)",
    connection: "there is no connection for the stream (RFC 8866 §5.7)",
    setup: "the role does not go with that of the offer (RFC 4145 §4.1)",
    mid: "the identification differs from that of the offer (RFC 5888 §9.1)",
    group:
      "a group has streams that are not in that group of the offer, or are rejected (RFC 9143 §7.3)",
    rtcp_mux: "rtcp-mux was not offered (RFC 5761 §5.1.1)",
    crypto:
      "there is not exactly one crypto attribute, with tag and suite of the offer (RFC 4568 §5.1.2)",
    origin: "the origin differs in more than its version (RFC 3264 §8)",
    version: "the version has not grown by one with the change (RFC 3264 §8)",
    media_removed: "there are fewer media descriptions than before (RFC 3264 §8)",
    payload_type: "a payload type stands for another codec than before (RFC 3264 §8.3.2)"
  ]

  @typedoc """
  The rule:

  #{Enum.map_join(@reasons, "\n", fn {reason, text} -> "  * `#{inspect(reason)}` - #{text}" end)}
  """
  @type reason ::
          unquote(
            @reasons
            |> Keyword.keys()
            |> Enum.reduce(&quote(do: unquote(&1) | unquote(&2)))
          )

  @typedoc "See the module."
  @type t :: %__MODULE__{reason: reason, media: non_neg_integer | nil}

  defexception [:reason, :media]

  @doc "All reasons."
  @spec reasons() :: [reason]
  def reasons, do: Keyword.keys(@reasons)

  @doc "The error as a sentence."
  @impl true
  def message(%__MODULE__{reason: reason, media: nil}), do: sentence(reason)

  def message(%__MODULE__{reason: reason, media: media}),
    do: "#{sentence(reason)}, in media description #{media}"

  defp sentence(reason), do: Keyword.get(@reasons, reason, "#{reason}")
end
