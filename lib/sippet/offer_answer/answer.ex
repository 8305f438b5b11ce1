defmodule Sippet.OfferAnswer.Answer do
  # Each stream of an offer with the capability that fits it, and the media description that answers it (RFC 3264 §6).
  @moduledoc false

  alias Sippet.OfferAnswer.{Capability, Codec, Reference, Streams}
  alias Sippet.SDP
  alias Sippet.SDP.Media

  @ice [:ice_ufrag, :ice_pwd, :ice_options, :ice_lite, :ice_pacing, :candidate]
  @echoed [:rtcp_mux, :rtcp_rsize, :fingerprint]

  @doc """
  The media descriptions of the answer. `settings` has `:match`, `:prefer`, `:payload_types`, `:previous` and
  `:bundle?`.
  """
  @spec media(SDP.t(), [Capability.t()], map) :: [Media.t()]
  def media(offer, capabilities, settings) do
    {media, _left} =
      offer.media
      |> Enum.with_index()
      |> Enum.map_reduce(capabilities, fn {media, index}, left ->
        case pick(offer, media, preferred(left, settings.previous, index), settings) do
          {capability, formats} ->
            {answer(offer, media, capability, formats), left -- [capability]}

          nil ->
            {Streams.disable(media), left}
        end
      end)

    media
  end

  # A stream goes on with what it had.
  defp preferred(capabilities, %SDP{media: previous}, index) do
    case Enum.at(previous, index) do
      %Media{port: port, type: type} when port != 0 ->
        {same, others} = Enum.split_with(capabilities, &(&1.port == port and &1.type == type))
        same ++ others

      _none ->
        capabilities
    end
  end

  defp preferred(capabilities, nil, _index), do: capabilities

  # The first capability that fits, with the formats that are common.
  defp pick(offer, media, capabilities, settings) do
    connection = SDP.connection(offer, media)

    # A stream that has no port of its own goes only with the group (RFC 9143 §6).
    open? = not Streams.disabled?(offer, media) and (media.port != 0 or settings.bundle?)

    # All members of a multicast group have the same numbers (§6.2).
    settings =
      if Streams.multicast?(connection), do: %{settings | payload_types: :offered}, else: settings

    if open? and connection != nil do
      offered = if Streams.rtp?(media), do: Reference.list(Codec.list(media)), else: media.formats

      Enum.find_value(capabilities, fn capability ->
        with true <- capability.type == media.type and media.protocol in capability.protocols,
             [_ | _] = formats <- common(media, offered, capability, settings),
             true <- crypto(offer, media, capability) != :none do
          {capability, formats}
        else
          _unfit -> nil
        end
      end)
    end
  end

  defp common(media, offered, capability, settings) do
    if Streams.rtp?(media) do
      codecs = codecs(offered, capability.codecs, settings)

      # Tones without speech are no call, where there was speech on offer.
      if Enum.all?(codecs, &Codec.auxiliary?/1) and
           not Enum.all?(offered, fn {codec, _others} -> Codec.auxiliary?(codec) end),
         do: [],
         else: codecs
    else
      Enum.filter(offered, &(&1 in capability.formats))
    end
  end

  # In the order of the offer unless this side insists (§6.1).
  defp codecs(offered, own, %{prefer: prefer, match: match, payload_types: numbers}) do
    pairs =
      offered
      |> Enum.filter(fn {theirs, _others} -> Enum.any?(own, &match.(theirs, &1)) end)
      |> Reference.whole()
      |> paired(own, match, numbers)

    pairs = if prefer == :own, do: Enum.sort_by(pairs, &place(&1, own)), else: pairs

    answered =
      for {theirs, ours} <- pairs,
          into: %{},
          do: {theirs.payload_type, payload_type(theirs, ours, numbers)}

    for {theirs, ours} <- pairs do
      %{
        theirs
        | payload_type: answered[theirs.payload_type],
          parameters: Reference.parameters(theirs, ours, answered),
          feedback: Enum.filter(ours.feedback, &(&1 in theirs.feedback))
      }
    end
    |> Enum.uniq_by(& &1.payload_type)
  end

  # A number of this side's stands for one codec; and what goes with one that finds none goes with it.
  defp paired(offered, own, match, numbers) do
    {pairs, _left} =
      Enum.flat_map_reduce(offered, own, fn {theirs, others}, left ->
        case Enum.find(left, &match.(theirs, &1)) do
          nil ->
            {[], left}

          %{payload_type: number} = ours when number != nil and numbers == :own ->
            {[{{theirs, others}, ours}], left -- [ours]}

          ours ->
            {[{{theirs, others}, ours}], left}
        end
      end)

    whole = pairs |> Enum.map(&elem(&1, 0)) |> Reference.whole() |> MapSet.new()
    for {{theirs, _others} = each, ours} <- pairs, each in whole, do: {theirs, ours}
  end

  defp place({_theirs, ours}, own), do: Enum.find_index(own, &(&1 == ours))

  defp payload_type(_theirs, %Codec{payload_type: own}, :own) when own != nil, do: own
  defp payload_type(theirs, _ours, _numbers), do: theirs.payload_type

  defp answer(offer, media, capability, formats) do
    connection = SDP.connection(offer, media)
    offered = SDP.direction(offer, media)

    capability = %{capability | attributes: attributes(offer, media, capability)}

    if Streams.multicast?(connection) do
      # All members see the same stream: nothing of it is negotiated but the formats (§6.2).
      capability = %{
        capability
        | port: media.port,
          connection: connection,
          ptime: SDP.attribute(media, :ptime),
          maxptime: SDP.attribute(media, :maxptime),
          bandwidths: media.bandwidths
      }

      %{
        Capability.media(capability, media.protocol, formats, offered, false)
        | port_count: media.port_count
      }
    else
      sends? = Streams.receives?(offered) and Streams.sends?(capability.direction)
      receives? = Streams.sends?(offered) and Streams.receives?(capability.direction)
      tell? = SDP.attribute(media, :direction) != nil

      Capability.media(
        capability,
        media.protocol,
        formats,
        Streams.direction(sends?, receives?),
        tell?
      )
    end
  end

  defp attributes(offer, media, capability) do
    ice? = Streams.attribute(offer, media, :ice_ufrag) != nil
    crypto = crypto(offer, media, capability)

    own =
      for {name, value} <- capability.attributes,
          name not in [:mid, :setup, :crypto, "bundle-only"],
          ice? or name not in @ice,
          name not in @echoed or Streams.attribute(offer, media, name) != nil,
          do: {name, value}

    mid = for mid <- Enum.take(SDP.attributes(media, :mid), 1), do: {:mid, mid}

    mid ++
      setup(offer, media, capability) ++ own ++ if(is_map(crypto), do: [crypto: crypto], else: [])
  end

  defp setup(offer, media, %{attributes: attributes}) do
    case Streams.attribute(offer, media, :setup) do
      nil -> []
      offered -> [setup: role(offered, own_role(attributes))]
    end
  end

  # The attributes are no keyword list: some names are strings.
  defp own_role(attributes),
    do: with({:setup, role} <- List.keyfind(attributes, :setup, 0), do: role)

  # RFC 4145 §4.1; of the two that actpass leaves, active saves a round trip (RFC 5763 §5).
  defp role(:actpass, own) when own in [:active, :passive], do: own
  defp role(:actpass, _own), do: :active
  defp role(:active, _own), do: :passive
  defp role(:passive, _own), do: :active
  defp role(:holdconn, _own), do: :holdconn

  # The first of the offered suites that this side has, with the tag of the offer and the key of this side (RFC 4568
  # §5.1.2). Where there is none, nil if the stream can do without, by DTLS (RFC 5763) or because it is not SRTP.
  defp crypto(offer, media, capability) do
    own = for {:crypto, crypto} <- capability.attributes, do: crypto
    offered = SDP.attributes(media, :crypto)

    found =
      Enum.find_value(offered, fn %{tag: tag, suite: suite} ->
        with %{} = crypto <- Enum.find(own, &(&1.suite == suite)), do: %{crypto | tag: tag}
      end)

    dtls? =
      Streams.attribute(offer, media, :fingerprint) != nil and
        List.keymember?(capability.attributes, :fingerprint, 0)

    cond do
      found != nil -> found
      offered == [] or dtls? or not Streams.secure?(media) -> nil
      true -> :none
    end
  end
end
