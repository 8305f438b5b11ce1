defmodule Sippet.OfferAnswer.Codec do
  @moduledoc """
  A codec of an RTP stream, as `rtpmap`, `fmtp` and `rtcp-fb` describe it.

    * `:name` - as in `"PCMU"`; its case does not count
    * `:clock_rate` - in Hz
    * `:channels` - 1 unless said otherwise
    * `:payload_type` - 0 to 127; nil of a capability means the static one (RFC 3551 §6), else any that is free
    * `:parameters` - the value of `fmtp`; nil in an offer means none, in an answer that those of the offer are repeated
    * `:feedback` - `rtcp-fb` values (RFC 4585), as in `["nack", "nack pli"]`
  """

  alias Sippet.SDP
  alias Sippet.SDP.Media

  @enforce_keys [:name, :clock_rate]
  defstruct [:name, :clock_rate, :payload_type, :parameters, channels: 1, feedback: []]

  @typedoc "See the module."
  @type t :: %__MODULE__{
          name: String.t(),
          clock_rate: pos_integer,
          channels: pos_integer,
          payload_type: 0..127 | nil,
          parameters: String.t() | nil,
          feedback: [String.t()]
        }

  # RFC 3551 §6, tables 4 and 5.
  @static [
    {0, "PCMU", 8_000, 1},
    {3, "GSM", 8_000, 1},
    {4, "G723", 8_000, 1},
    {5, "DVI4", 8_000, 1},
    {6, "DVI4", 16_000, 1},
    {7, "LPC", 8_000, 1},
    {8, "PCMA", 8_000, 1},
    {9, "G722", 8_000, 1},
    {10, "L16", 44_100, 2},
    {11, "L16", 44_100, 1},
    {12, "QCELP", 8_000, 1},
    {13, "CN", 8_000, 1},
    {14, "MPA", 90_000, 1},
    {15, "G728", 8_000, 1},
    {16, "DVI4", 11_025, 1},
    {17, "DVI4", 22_050, 1},
    {18, "G729", 8_000, 1},
    {25, "CelB", 90_000, 1},
    {26, "JPEG", 90_000, 1},
    {28, "nv", 90_000, 1},
    {31, "H261", 90_000, 1},
    {32, "MPV", 90_000, 1},
    {33, "MP2T", 90_000, 1},
    {34, "H263", 90_000, 1}
  ]

  # They go with another codec and carry no media of their own: RFC 4733, 3389, 2198, 4588, 5109, 8627.
  @auxiliary ~w(telephone-event cn red rtx ulpfec flexfec flexfec-03)

  @doc """
  A codec of `name`, `name/clock_rate` or `name/clock_rate/channels`; a name alone must be that of a static payload type.
  `fields` are fields of the struct. What is no codec raises `ArgumentError`.

      iex> Sippet.OfferAnswer.Codec.new("PCMA")
      %Sippet.OfferAnswer.Codec{name: "PCMA", clock_rate: 8000, channels: 1}
      iex> Sippet.OfferAnswer.Codec.new("opus/48000/2", payload_type: 111, parameters: "useinbandfec=1").channels
      2
  """
  @spec new(String.t(), keyword) :: t
  def new(text, fields \\ []) when is_binary(text) and is_list(fields) do
    codec =
      case String.split(text, "/") do
        [name] -> named(name, text)
        [name, clock_rate] -> build(name, clock_rate, "1", text)
        [name, clock_rate, channels] -> build(name, clock_rate, channels, text)
        _other -> refuse(text)
      end

    struct!(codec, fields)
  end

  defp named(name, text) do
    case Enum.find(@static, fn {_, static, _, _} -> same_name?(static, name) end) do
      {_, _, clock_rate, channels} ->
        %__MODULE__{name: name, clock_rate: clock_rate, channels: channels}

      nil ->
        refuse(text)
    end
  end

  defp build(name, clock_rate, channels, text) do
    with {clock_rate, ""} when clock_rate > 0 <- Integer.parse(clock_rate),
         {channels, ""} when channels > 0 <- Integer.parse(channels) do
      %__MODULE__{name: name, clock_rate: clock_rate, channels: channels}
    else
      _other -> refuse(text)
    end
  end

  defp refuse(text) do
    raise ArgumentError,
          "expected a codec as in \"opus/48000/2\", or one with a static payload type, got: #{inspect(text)}"
  end

  @doc """
  The codecs of a media description over RTP, in the order of its formats; static payload types need no `rtpmap`. Formats
  that are none, or dynamic without `rtpmap`, are left out.

      iex> media = %Sippet.SDP.Media{type: "audio", port: 9, formats: ["8", "101"]}
      iex> [%{name: "PCMA", clock_rate: 8000, payload_type: 8}] = Sippet.OfferAnswer.Codec.list(media)
  """
  @spec list(Media.t()) :: [t]
  def list(%Media{formats: formats, attributes: attributes} = media) do
    # Of several for one format the first counts.
    rtpmaps =
      for {:rtpmap, map} <- Enum.reverse(attributes), into: %{}, do: {map.payload_type, map}

    fmtps =
      for {:fmtp, map} <- Enum.reverse(attributes), into: %{}, do: {map.format, map.parameters}

    feedback = media |> SDP.attributes(:rtcp_fb) |> Enum.group_by(& &1.format, &feedback/1)
    common = Map.get(feedback, "*", [])

    for format <- Enum.uniq(formats),
        {payload_type, ""} when payload_type in 0..127 <- [Integer.parse(format)],
        format == Integer.to_string(payload_type),
        codec = mapped(rtpmaps[payload_type]) || static(payload_type) do
      %{
        codec
        | payload_type: payload_type,
          parameters: fmtps[format],
          feedback: common ++ Map.get(feedback, format, [])
      }
    end
  end

  defp feedback(%{feedback: type, parameters: nil}), do: type
  defp feedback(%{feedback: type, parameters: parameters}), do: "#{type} #{parameters}"

  defp mapped(nil), do: nil

  defp mapped(%{encoding_name: name, clock_rate: clock_rate, parameters: parameters}) do
    channels =
      with true <- is_binary(parameters),
           {channels, ""} when channels > 0 <- Integer.parse(parameters) do
        channels
      else
        _other -> 1
      end

    %__MODULE__{name: name, clock_rate: clock_rate, channels: channels}
  end

  @doc """
  The codec of a static payload type (RFC 3551 §6), or nil.
  """
  @spec static(0..127) :: t | nil
  for {payload_type, name, clock_rate, channels} <- @static do
    def static(unquote(payload_type)) do
      %__MODULE__{
        name: unquote(name),
        clock_rate: unquote(clock_rate),
        channels: unquote(channels),
        payload_type: unquote(payload_type)
      }
    end
  end

  def static(payload_type) when payload_type in 0..127, do: nil

  @doc """
  The static payload type of a codec (RFC 3551 §6), or nil.
  """
  @spec static_payload_type(t) :: 0..127 | nil
  def static_payload_type(%__MODULE__{} = codec) do
    Enum.find_value(@static, fn {payload_type, _, _, _} ->
      if same?(static(payload_type), codec), do: payload_type
    end)
  end

  @doc """
  Are these the same, whatever their payload types and parameters? Name, clock rate and channels count.
  """
  @spec same?(t, t) :: boolean
  def same?(%__MODULE__{} = one, %__MODULE__{} = other) do
    identity(one) == identity(other)
  end

  # What `same?/2` compares, as one term.
  @doc false
  @spec identity(t) :: term
  def identity(%__MODULE__{name: name, clock_rate: clock_rate, channels: channels}),
    do: {String.downcase(name, :ascii), clock_rate, channels}

  @doc """
  Does it go with another codec and carry no media by itself, as `telephone-event` and `rtx` do?
  """
  @spec auxiliary?(t) :: boolean
  def auxiliary?(%__MODULE__{name: name}), do: String.downcase(name, :ascii) in @auxiliary

  # The attributes of a codec with a payload type.
  @doc false
  @spec attributes(t) :: [SDP.attribute()]
  def attributes(%__MODULE__{payload_type: payload_type} = codec) do
    format = Integer.to_string(payload_type)

    rtpmap = %{
      payload_type: payload_type,
      encoding_name: codec.name,
      clock_rate: codec.clock_rate,
      parameters: if(codec.channels > 1, do: Integer.to_string(codec.channels))
    }

    fmtp =
      if codec.parameters, do: [fmtp: %{format: format, parameters: codec.parameters}], else: []

    feedback =
      for text <- codec.feedback do
        [type | parameters] = String.split(text, " ", parts: 2)
        {:rtcp_fb, %{format: format, feedback: type, parameters: List.first(parameters)}}
      end

    [{:rtpmap, rtpmap} | fmtp] ++ feedback
  end

  defp same_name?(one, other), do: String.downcase(one, :ascii) == String.downcase(other, :ascii)
end
