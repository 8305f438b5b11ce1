defmodule Sippet.Test.Descriptions do
  # The descriptions of Alice and Bob in the examples of RFC 3264 and RFC 4317, and the capabilities that lead to them.
  @moduledoc false

  alias Sippet.OfferAnswer.{Capability, Codec}
  alias Sippet.SDP
  alias Sippet.SDP.{Connection, Origin}

  @doc """
  The text of an example: its origin, its connection, and its lines from the first `m=` on.
  """
  @spec text(Origin.t(), String.t(), String.t()) :: String.t()
  def text(%Origin{} = origin, address, lines) do
    String.replace(
      """
      v=0
      o=#{origin.username} #{origin.session_id} #{origin.session_version} IN IP4 #{origin.address}
      s=\s
      c=IN IP4 #{address}
      t=0 0
      #{lines}\
      """,
      "\n",
      "\r\n"
    )
  end

  @doc "The same, parsed."
  @spec sdp(Origin.t(), String.t(), String.t()) :: SDP.t()
  def sdp(origin, address, lines),
    do: origin |> text(address, lines) |> SDP.parse!(mode: :strict)

  @spec connection(String.t()) :: Connection.t()
  def connection(address), do: %Connection{address: address}

  @doc "A capability for audio; codecs as text, or as `{text, payload_type}`."
  @spec audio(:inet.port_number(), [String.t() | {String.t(), 0..127}], keyword) :: Capability.t()
  def audio(port, codecs, fields \\ []), do: capability("audio", port, codecs, fields)

  @doc "The same for video."
  @spec video(:inet.port_number(), [String.t() | {String.t(), 0..127}], keyword) :: Capability.t()
  def video(port, codecs, fields \\ []), do: capability("video", port, codecs, fields)

  defp capability(type, port, codecs, fields) do
    codecs =
      for codec <- codecs do
        case codec do
          {text, payload_type} -> Codec.new(text, payload_type: payload_type)
          text -> Codec.new(text)
        end
      end

    struct!(%Capability{type: type, port: port, codecs: codecs}, fields)
  end
end
