defmodule Sippet.OfferAnswer.Rules do
  # The rules that an answer and an updated description are held to, each with an error of its own. None of them trusts
  # the descriptions: they may come from a peer.
  @moduledoc false

  alias Sippet.OfferAnswer.{Codec, Error, Streams}
  alias Sippet.SDP

  @doc "The rules that an answer breaks."
  @spec answer(SDP.t(), SDP.t()) :: [Error.t()]
  def answer(offer, answer) do
    session =
      errors(nil,
        media_count: length(offer.media) == length(answer.media),
        timing: offer.timings in [[], answer.timings],
        group: groups?(offer, answer)
      )

    streams =
      for {{offered, answered}, index} <- Enum.with_index(Enum.zip(offer.media, answer.media)),
          error <- stream(offer, offered, answer, answered, index),
          do: error

    session ++ streams
  end

  defp stream(offer, offered, answer, answered, index) do
    always =
      errors(index,
        media_type: offered.type == answered.type,
        protocol: offered.protocol == answered.protocol,
        no_format: answered.formats != [] or offered.formats == [],
        disabled: answered.port == 0 or not Streams.disabled?(offer, offered)
      )

    if Streams.disabled?(answer, answered) or always != [] do
      always
    else
      connection = SDP.connection(offer, offered)

      accepted(offer, offered, answer, answered, index) ++
        if Streams.multicast?(connection),
          do: multicast(offer, offered, answer, answered, index),
          else: unicast(offer, offered, answer, answered, index)
    end
  end

  defp accepted(offer, offered, answer, answered, index) do
    errors(index,
      no_common_format: common?(offered, answered),
      rtpmap: not Streams.rtp?(answered) or length(Codec.list(answered)) == formats(answered),
      connection: SDP.connection(answer, answered) != nil,
      setup:
        setup?(
          Streams.attribute(offer, offered, :setup),
          Streams.attribute(answer, answered, :setup)
        ),
      mid: SDP.attribute(answered, :mid) in [nil, SDP.attribute(offered, :mid)],
      rtcp_mux:
        Streams.attribute(answer, answered, :rtcp_mux) == nil or
          Streams.attribute(offer, offered, :rtcp_mux) == true,
      crypto: crypto?(offered, answer, answered)
    )
  end

  defp unicast(offer, offered, answer, answered, index) do
    theirs = SDP.direction(offer, offered)
    ours = SDP.direction(answer, answered)

    errors(index,
      direction:
        (Streams.receives?(theirs) or not Streams.sends?(ours)) and
          (Streams.sends?(theirs) or not Streams.receives?(ours))
    )
  end

  defp multicast(offer, offered, answer, answered, index) do
    kept? = fn theirs, ours -> theirs in [nil, [], ours] end

    errors(index,
      multicast_address:
        SDP.connection(offer, offered) == SDP.connection(answer, answered) and
          {offered.port, offered.port_count} == {answered.port, answered.port_count},
      multicast_direction: SDP.direction(offer, offered) == SDP.direction(answer, answered),
      multicast_formats: answered.formats -- offered.formats == [],
      multicast_parameters:
        kept?.(SDP.attribute(offered, :ptime), SDP.attribute(answered, :ptime)) and
          kept?.(SDP.attribute(offered, :maxptime), SDP.attribute(answered, :maxptime)) and
          kept?.(offered.bandwidths, answered.bandwidths)
    )
  end

  # The numbers of payload types are each side's own.
  defp common?(offered, answered) do
    if Streams.rtp?(offered) do
      theirs = MapSet.new(Codec.list(offered), &Codec.identity/1)
      Enum.any?(Codec.list(answered), &(Codec.identity(&1) in theirs))
    else
      theirs = MapSet.new(offered.formats)
      Enum.any?(answered.formats, &(&1 in theirs)) or offered.formats == []
    end
  end

  defp formats(media), do: media.formats |> Enum.uniq() |> length()

  defp setup?(nil, _ours), do: true
  defp setup?(:actpass, ours), do: ours in [:active, :passive, :holdconn]
  defp setup?(:active, ours), do: ours in [:passive, :holdconn]
  defp setup?(:passive, ours), do: ours in [:active, :holdconn]
  defp setup?(:holdconn, ours), do: ours == :holdconn

  defp crypto?(offered, answer, answered) do
    suites = for crypto <- SDP.attributes(offered, :crypto), do: {crypto.tag, crypto.suite}

    case SDP.attributes(answered, :crypto) do
      [%{tag: tag, suite: suite}] ->
        {tag, suite} in suites

      [] ->
        suites == [] or not Streams.secure?(offered) or
          Streams.attribute(answer, answered, :fingerprint) != nil

      _several ->
        false
    end
  end

  defp groups?(offer, answer) do
    offered =
      for group <- SDP.attributes(offer, :group), do: {group.semantics, MapSet.new(group.mids)}

    # A stream that was rejected is in no group.
    live =
      for media <- answer.media,
          not Streams.disabled?(answer, media),
          mid <- SDP.attributes(media, :mid),
          into: MapSet.new(),
          do: mid

    Enum.all?(SDP.attributes(answer, :group), fn %{semantics: semantics, mids: mids} ->
      mids = MapSet.new(mids)
      known? = fn {name, theirs} -> name == semantics and MapSet.subset?(mids, theirs) end
      MapSet.subset?(mids, live) and Enum.any?(offered, known?)
    end)
  end

  @doc "The rules that a description breaks which follows another of the same side (RFC 3264 §8)."
  @spec update(SDP.t(), SDP.t()) :: [Error.t()]
  def update(previous, next) do
    session =
      errors(nil,
        origin: same_session?(previous, next),
        version: version(previous, next) in [:unchanged, :next],
        media_removed: length(next.media) >= length(previous.media)
      )

    streams =
      for {{old, new}, index} <- Enum.with_index(Enum.zip(previous.media, next.media)),
          error <- errors(index, payload_type: payload_types?(previous, old, next, new)),
          do: error

    session ++ streams
  end

  # A slot that was free, or has another type of media now, is another stream.
  defp payload_types?(previous, old, next, new) do
    gone? = Streams.disabled?(previous, old) or Streams.disabled?(next, new)

    if gone? or old.type != new.type or not Streams.rtp?(old) or not Streams.rtp?(new) do
      true
    else
      before = Map.new(Codec.list(old), &{&1.payload_type, Codec.identity(&1)})

      Enum.all?(Codec.list(new), fn codec ->
        Map.get(before, codec.payload_type, Codec.identity(codec)) == Codec.identity(codec)
      end)
    end
  end

  @doc "How one description follows another, see `Sippet.OfferAnswer.compare/2`."
  @spec version(SDP.t(), SDP.t()) :: Sippet.OfferAnswer.comparison()
  def version(previous, next) do
    old = previous.origin.session_version
    new = next.origin.session_version

    cond do
      not same_session?(previous, next) -> :other_session
      old == new -> if content(previous) == content(next), do: :unchanged, else: :altered
      not (is_integer(old) and is_integer(new)) -> :unknown
      new == old + 1 -> :next
      new > old -> :skipped
      true -> :older
    end
  end

  @doc "All of a description but who made it, which version it is, and what was forgiven."
  @spec content(SDP.t()) :: map
  def content(sdp), do: %{sdp | origin: nil, defects: []}

  defp same_session?(previous, next),
    do: %{previous.origin | session_version: 0} == %{next.origin | session_version: 0}

  defp errors(media, rules),
    do: for({reason, false} <- rules, do: %Error{reason: reason, media: media})
end
