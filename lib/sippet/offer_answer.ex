defmodule Sippet.OfferAnswer do
  @moduledoc """
  Offers and answers (RFC 3264) as pure functions on `Sippet.SDP`. No process, no state: keep the last description of
  either side, in a dialog's state for instance, and hand it back as `:previous`.

      iex> alias Sippet.OfferAnswer
      iex> alias Sippet.OfferAnswer.{Capability, Codec}
      iex> alias Sippet.SDP.Origin
      iex> audio = %Capability{type: "audio", port: 49170, codecs: [Codec.new("PCMU"), Codec.new("iLBC/8000", payload_type: 97)]}
      iex> offer = OfferAnswer.offer([audio], origin: %Origin{username: "alice", session_id: "1", address: "192.0.2.1"})
      iex> own = %Capability{type: "audio", port: 49172, codecs: [Codec.new("iLBC/8000")]}
      iex> answer = OfferAnswer.answer(offer, [own], origin: %Origin{username: "bob", session_id: "2", address: "192.0.2.2"})
      iex> OfferAnswer.check_answer(offer, answer)
      :ok
      iex> [stream] = OfferAnswer.streams(offer, answer)
      iex> {stream.remote, stream.send?, for(codec <- stream.send, do: {codec.name, codec.payload_type})}
      {{"192.0.2.2", 49172}, true, [{"iLBC", 97}]}

  | to | there is |
  |---|---|
  | make an offer, first or later | `offer/2` |
  | answer one | `answer/3` |
  | judge what a peer answered, or changed | `check_answer/2`, `check_update/2`, `compare/2` |
  | know what to send where | `streams/2`, `accepted?/1` |
  | change one's own description | `hold/2`, `resume/2`, `add_stream/2`, `disable_stream/2`, `update/2` |

  Sections without a number are RFC 3264's.
  """

  alias Sippet.OfferAnswer.{Answer, Capability, Codec, Error, Rules, Stream, Streams}
  alias Sippet.SDP
  alias Sippet.SDP.{Connection, Media, Origin, Timing}

  @typedoc "What `offer/2` and `answer/3` take, see there."
  @type option ::
          {:origin, Origin.t()}
          | {:previous, SDP.t()}
          | {:connection, Connection.t() | nil}
          | {:session_name, String.t()}
          | {:bandwidths, [SDP.bandwidth()]}
          | {:attributes, [SDP.attribute()]}
          | {:groups, [String.t()]}
          | {:match, (Codec.t(), Codec.t() -> boolean)}
          | {:prefer, :offered | :own}
          | {:payload_types, :offered | :own}

  @typedoc """
  How a description follows another one of the same side:

    * `:unchanged` - the same version, and the same content
    * `:next` - the version is one higher
    * `:skipped` - it is higher by more than one, against §8
    * `:altered` - the same version with another content, against §8
    * `:older` - the version is lower
    * `:other_session` - the origin is another one
    * `:unknown` - a version is no number
  """
  @type comparison ::
          :unchanged | :next | :skipped | :altered | :older | :other_session | :unknown

  @session_options [:origin, :previous, :connection, :session_name, :bandwidths, :attributes]

  @doc """
  Builds an offer (§5, §8): a stream for each capability, in their order. `options`:

    * `:origin` - the `Sippet.SDP.Origin`; needed unless there is `:previous`
    * `:previous` - the last description that this side sent in the session, whether as offer or answer. The new one has
      its origin, and its version grows by one if anything differs. Its streams keep their places: a capability goes to the
      place where it stands in the list, `nil` in the list disables the stream of its place, and so does a list that is too
      short
    * `:connection` - a `Sippet.SDP.Connection`, or nil for none; by default that of `:previous`, else the address of
      the origin
    * `:session_name` (`"-"`), `:bandwidths`, `:attributes` - those of the session; by default those of `:previous`

  Codecs without a payload type get the static one, else the number that the stream had for them in `:previous`, else one
  that is free in the whole description; RFC 3551 §6, RFC 9143 §9.1.1.

  An unknown option, a wrong value, a payload type that stands for two codecs of a stream, or more codecs than there are
  payload types raise `ArgumentError`.
  """
  @spec offer([Capability.t() | nil], [option]) :: SDP.t()
  def offer(capabilities, options) when is_list(capabilities) and is_list(options) do
    check!(capabilities, options, @session_options)
    previous = options[:previous]
    before = if previous, do: previous.media, else: []
    slots = max(length(capabilities), length(before))
    capabilities = capabilities ++ List.duplicate(nil, slots - length(capabilities))
    before = before ++ List.duplicate(nil, slots - length(before))
    taken = for slot <- before, slot != nil, codec <- Codec.list(slot), do: codec.payload_type

    own =
      for %Capability{codecs: codecs} <- capabilities,
          %{payload_type: payload_type} <- codecs,
          payload_type != nil,
          do: payload_type

    {media, _taken} =
      Enum.zip(capabilities, before)
      |> Enum.map_reduce(MapSet.new(taken ++ own), &offered/2)

    %{session(base(options), options) | media: media} |> revised(options)
  end

  defp offered({nil, nil}, _taken),
    do: raise(ArgumentError, "expected a capability, got: nil in the place of no stream")

  defp offered({nil, before}, taken), do: {Streams.disable(before), taken}

  defp offered({%Capability{} = capability, before}, taken) do
    protocol = hd(capability.protocols)

    {formats, taken} =
      if Streams.rtp?(protocol) do
        known = if before, do: Codec.list(before), else: []
        {codecs, taken} = Enum.map_reduce(capability.codecs, taken, &number(&1, known, &2))
        {numbered!(codecs), taken}
      else
        {capability.formats, taken}
      end

    {Capability.media(capability, protocol, formats, capability.direction, false), taken}
  end

  defp number(%Codec{payload_type: nil} = codec, known, taken) do
    payload_type =
      Codec.static_payload_type(codec) ||
        Enum.find_value(known, &if(Codec.same?(&1, codec), do: &1.payload_type)) ||
        free(taken)

    {%{codec | payload_type: payload_type}, MapSet.put(taken, payload_type)}
  end

  defp number(codec, _known, taken), do: {codec, taken}

  defp numbered!(codecs) do
    numbers = for codec <- codecs, do: codec.payload_type

    unless Enum.uniq(numbers) == numbers and Enum.all?(numbers, &(&1 in 0..127)) do
      raise ArgumentError,
            "expected payload types from 0 to 127, each for one codec, got: #{inspect(numbers)}"
    end

    codecs
  end

  # RFC 3551 §3 has 96 to 127 for this, and those that are not assigned when they are used up; of these, 64 to 95 could be
  # taken for RTCP (RFC 5761 §4).
  defp free(taken) do
    Enum.find(Enum.concat(96..127, 35..63), &(&1 not in taken)) ||
      raise ArgumentError, "expected at most 61 codecs with dynamic payload types"
  end

  @doc """
  Answers an offer (§6). Each offered stream gets the first capability left that fits: the same type, a protocol that it
  has, and a format in common. A stream that none fits is rejected, with port 0 in its place, and so is one that the offer
  disabled. `options` are those of `offer/2`, and:

    * `:previous` - as there; a stream prefers the capability with the port that it had
    * `:prefer` - `:offered`, the default, keeps the order of the offered formats, `:own` that of the capability (§6.1)
    * `:payload_types` - `:offered`, the default, takes the offered numbers, `:own` those of the capability, where it has any
    * `:match` - a function of an offered codec and an own one that tells whether they go together. By default
      `Sippet.OfferAnswer.Codec.same?/2`, which compares name, clock rate and channels; formats like H264 want to
      compare parameters too
    * `:groups` - the semantics of the `group` attributes that are answered, as in `["BUNDLE"]`; none by default. An answered
      group has the streams that are accepted

  The direction is what both want: to `sendonly` the answer is `recvonly` or `inactive`. Parameters that a capability does
  not have are repeated. A multicast stream is accepted as it is (§6.2). A stream of the offer without a connection is
  rejected.

  The answer always stands `check_answer/2`. That nothing was accepted is told by `accepted?/1`: a 488 is due then.
  """
  @spec answer(SDP.t(), [Capability.t()], [option]) :: SDP.t()
  def answer(%SDP{} = offer, capabilities, options)
      when is_list(capabilities) and is_list(options) do
    check!(
      capabilities,
      options,
      @session_options ++ [:prefer, :payload_types, :match, :groups]
    )

    settings = %{
      previous: options[:previous],
      prefer: Keyword.get(options, :prefer, :offered),
      payload_types: Keyword.get(options, :payload_types, :offered),
      match: Keyword.get(options, :match, &Codec.same?/2),
      bundle?: "BUNDLE" in Keyword.get(options, :groups, [])
    }

    media = Answer.media(offer, Enum.reject(capabilities, &is_nil/1), settings)
    groups = groups(offer, media, Keyword.get(options, :groups, []))
    session = options |> base() |> SDP.delete_attribute(:group) |> session(options)

    %{
      session
      | timings: timings(offer),
        attributes: groups ++ session.attributes,
        media: media
    }
    |> revised(options)
  end

  # Those of the offer (§6); there must be some (RFC 8866 §5.9), and some peers leave them out.
  defp timings(%SDP{timings: []}), do: [%Timing{}]
  defp timings(%SDP{timings: timings}), do: timings

  defp groups(offer, media, semantics) do
    live =
      for %Media{port: port} = each <- media,
          port != 0,
          into: MapSet.new(),
          do: SDP.attribute(each, :mid)

    for %{semantics: name, mids: mids} <- SDP.attributes(offer, :group),
        name in semantics,
        mids = Enum.filter(mids, &(&1 in live)),
        mids != [],
        do: {:group, %{semantics: name, mids: mids}}
  end

  # What the options do not say goes on as it was.
  defp session(base, options) do
    connection =
      with nil <- base.connection,
           do: %Connection{
             address_type: base.origin.address_type,
             address: base.origin.address
           }

    %{
      base
      | session_name: Keyword.get(options, :session_name, base.session_name),
        connection: Keyword.get(options, :connection, connection),
        bandwidths: Keyword.get(options, :bandwidths, base.bandwidths),
        attributes: Keyword.get(options, :attributes, base.attributes),
        order: nil,
        defects: []
    }
  end

  defp base(options) do
    case options[:previous] do
      nil -> %SDP{origin: options[:origin]}
      previous -> %{previous | origin: options[:origin] || previous.origin}
    end
  end

  defp revised(sdp, options) do
    case options[:previous] do
      nil -> sdp
      previous -> revise(previous, sdp)
    end
  end

  @doc """
  Holds an answer against its offer (§6). Each rule that is broken gives an error of its own, see
  `t:Sippet.OfferAnswer.Error.reason/0`.
  """
  @spec check_answer(SDP.t(), SDP.t()) :: :ok | {:error, [Error.t(), ...]}
  def check_answer(%SDP{} = offer, %SDP{} = answer), do: checked(Rules.answer(offer, answer))

  @doc """
  Holds a description against the last one of the same side (§8): the origin stays, the version grows by one with a
  change, no media description goes, and payload types keep their codecs.
  """
  @spec check_update(SDP.t(), SDP.t()) :: :ok | {:error, [Error.t(), ...]}
  def check_update(%SDP{} = previous, %SDP{} = next), do: checked(Rules.update(previous, next))

  defp checked([]), do: :ok
  defp checked(errors), do: {:error, errors}

  @doc """
  Tells how a description follows the last one of the same side (§8), see `t:comparison/0`.

      iex> sdp = %Sippet.SDP{origin: %Sippet.SDP.Origin{session_version: 7}}
      iex> next = Sippet.OfferAnswer.update(sdp, &%{&1 | session_name: "talk"})
      iex> {Sippet.OfferAnswer.compare(sdp, sdp), Sippet.OfferAnswer.compare(sdp, next)}
      {:unchanged, :next}
  """
  @spec compare(SDP.t(), SDP.t()) :: comparison
  def compare(%SDP{} = previous, %SDP{} = next), do: Rules.version(previous, next)

  @doc """
  Has it a stream that is neither rejected nor disabled?
  """
  @spec accepted?(SDP.t()) :: boolean
  def accepted?(%SDP{media: media} = sdp), do: Enum.any?(media, &(not Streams.disabled?(sdp, &1)))

  @doc """
  What was agreed: a `Sippet.OfferAnswer.Stream` for each media description that both sides have. `local` is the last
  description of this side, `remote` that of the other, whichever is the answer.
  """
  @spec streams(SDP.t(), SDP.t()) :: [Stream.t()]
  def streams(%SDP{} = local, %SDP{} = remote) do
    for {{ours, theirs}, index} <- Enum.with_index(Enum.zip(local.media, remote.media)),
        do: stream(local, ours, remote, theirs, index)
  end

  defp stream(local, ours, remote, theirs, index) do
    from = SDP.connection(local, ours)
    to = SDP.connection(remote, theirs)
    our_direction = SDP.direction(local, ours)
    their_direction = SDP.direction(remote, theirs)
    active? = not Streams.disabled?(local, ours) and not Streams.disabled?(remote, theirs)

    # To who uses ICE 0.0.0.0 says that no candidate is known yet, and holds nothing (RFC 8839 §4.4.1.1.1, RFC 8840 §4.1.1).
    nowhere? = Streams.unspecified?(to)
    theirs_ice? = Streams.attribute(remote, theirs, :ice_ufrag) != nil
    ice? = theirs_ice? and Streams.attribute(local, ours, :ice_ufrag) != nil

    %Stream{
      index: index,
      type: theirs.type,
      protocol: theirs.protocol,
      active?: active?,
      send?:
        active? and (ice? or not nowhere?) and Streams.sends?(our_direction) and
          Streams.receives?(their_direction),
      receive?: active? and Streams.receives?(our_direction) and Streams.sends?(their_direction),
      held?:
        active? and
          ((nowhere? and not theirs_ice?) or not Streams.receives?(their_direction)),
      send: if(active?, do: common(theirs, ours), else: []),
      receive: if(active?, do: common(ours, theirs), else: []),
      ptime: SDP.attribute(theirs, :ptime),
      local: {from && from.address, ours.port},
      remote: {to && to.address, theirs.port}
    }
  end

  defp common(media, other) do
    if Streams.rtp?(media) do
      others = MapSet.new(Codec.list(other), &Codec.identity/1)
      Enum.filter(Codec.list(media), &(Codec.identity(&1) in others))
    else
      others = MapSet.new(other.formats)
      Enum.filter(media.formats, &(&1 in others))
    end
  end

  @doc """
  Changes this side's description: `fun` gets the last one and returns the new one. The version grows by one if anything
  differs (§8); a stream that is no longer there raises `ArgumentError`.
  """
  @spec update(SDP.t(), (SDP.t() -> SDP.t())) :: SDP.t()
  def update(%SDP{} = previous, fun) when is_function(fun, 1),
    do: revise(previous, fun.(previous))

  defp revise(previous, %SDP{} = next) do
    if length(next.media) < length(previous.media) do
      raise ArgumentError,
            "expected at least #{length(previous.media)} media descriptions, got: #{length(next.media)}"
    end

    same? = Rules.content(previous) == Rules.content(next)
    version = previous.origin.session_version

    unless same? or is_integer(version) do
      raise ArgumentError, "expected a session version that is a number, got: #{inspect(version)}"
    end

    %{
      next
      | origin:
          if(same?, do: previous.origin, else: %{previous.origin | session_version: version + 1})
    }
  end

  @doc """
  Puts streams on hold (§8.4): `sendrecv` becomes `sendonly`, `recvonly` `inactive`. `which` is `:all` or the index of a
  media description.

      iex> media = %Sippet.SDP.Media{type: "audio", port: 49170, formats: ["0"]}
      iex> held = Sippet.OfferAnswer.hold(%Sippet.SDP{media: [media]})
      iex> {Sippet.SDP.direction(held, hd(held.media)), held.origin.session_version}
      {:sendonly, 1}
  """
  @spec hold(SDP.t(), :all | non_neg_integer) :: SDP.t()
  def hold(%SDP{} = sdp, which \\ :all), do: redirect(sdp, which, false)

  @doc """
  Takes streams off hold, what `hold/2` does the other way round: `sendonly` becomes `sendrecv`, `inactive` `recvonly`.
  """
  @spec resume(SDP.t(), :all | non_neg_integer) :: SDP.t()
  def resume(%SDP{} = sdp, which \\ :all), do: redirect(sdp, which, true)

  defp redirect(sdp, which, receive?) do
    change(sdp, which, fn media ->
      old = SDP.direction(sdp, media)
      new = Streams.direction(Streams.sends?(old), receive?)

      if Streams.disabled?(sdp, media) or old == new,
        do: media,
        else: SDP.put_attribute(media, :direction, new)
    end)
  end

  @doc """
  Disables a stream (§8.2): its place stays, with port 0.
  """
  @spec disable_stream(SDP.t(), non_neg_integer) :: SDP.t()
  def disable_stream(%SDP{} = sdp, index) when is_integer(index),
    do: change(sdp, index, &Streams.disable/1)

  @doc """
  Adds a stream below the others (§8.1). Its codecs get payload types as in `offer/2`.
  """
  @spec add_stream(SDP.t(), Capability.t()) :: SDP.t()
  def add_stream(%SDP{} = sdp, %Capability{} = capability) do
    check!([capability], [previous: sdp], [:previous])
    taken = for media <- sdp.media, codec <- Codec.list(media), do: codec.payload_type
    own = for %{payload_type: number} <- capability.codecs, number != nil, do: number
    {media, _taken} = offered({capability, nil}, MapSet.new(taken ++ own))
    update(sdp, &%{&1 | media: &1.media ++ [media]})
  end

  defp change(sdp, :all, fun), do: update(sdp, &%{&1 | media: Enum.map(&1.media, fun)})

  defp change(sdp, index, fun) when is_integer(index) and index >= 0 do
    if index >= length(sdp.media) do
      raise ArgumentError,
            "expected the index of one of #{length(sdp.media)} media descriptions, got: #{index}"
    end

    update(sdp, &%{&1 | media: List.update_at(&1.media, index, fun)})
  end

  defp change(_sdp, other, _fun),
    do: raise(ArgumentError, "expected :all or an index, got: #{inspect(other)}")

  defp check!(capabilities, options, known) do
    for {name, _value} <- options, name not in known do
      raise ArgumentError, "unknown option #{inspect(name)}, expected one of #{inspect(known)}"
    end

    for {name, value} <- options, not valid?(name, value) do
      raise ArgumentError, "wrong value of #{inspect(name)}: #{inspect(value)}"
    end

    if options[:origin] == nil and options[:previous] == nil do
      raise ArgumentError, "expected the option :origin or :previous"
    end

    for capability <- capabilities, not capability?(capability) do
      raise ArgumentError,
            "expected a Sippet.OfferAnswer.Capability with type, port, protocols, and codecs or formats, " <>
              "got: #{inspect(capability)}"
    end

    :ok
  end

  defp valid?(:origin, value), do: is_struct(value, Origin)
  defp valid?(:previous, value), do: is_struct(value, SDP)
  defp valid?(:connection, value), do: value == nil or is_struct(value, Connection)
  defp valid?(:session_name, value), do: is_binary(value)
  defp valid?(:match, value), do: is_function(value, 2)
  defp valid?(:prefer, value), do: value in [:offered, :own]
  defp valid?(:payload_types, value), do: value in [:offered, :own]
  defp valid?(_list, value), do: is_list(value)

  defp capability?(nil), do: true

  defp capability?(%Capability{type: type, port: port, protocols: [protocol | _]} = capability) do
    formats? =
      if Streams.rtp?(protocol),
        do: capability.codecs != [] and Enum.all?(capability.codecs, &is_struct(&1, Codec)),
        else: capability.formats != []

    is_binary(type) and port in 1..65_535 and formats? and
      capability.direction in [:sendrecv, :sendonly, :recvonly, :inactive]
  end

  defp capability?(_other), do: false
end
