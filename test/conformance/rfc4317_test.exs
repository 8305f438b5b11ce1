defmodule Sippet.RFC4317Test do
  # Every exchange of RFC 4317: built from capabilities, each description is that of the RFC, byte for byte, and the rules
  # of offer and answer hold between them.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions

  alias Sippet.OfferAnswer.Error
  alias Sippet.SDP
  alias Sippet.SDP.Origin

  @atlanta "host.atlanta.example.com"
  @biloxi "host.biloxi.example.com"

  # What Alice supports in most examples, and the lines that say so.
  @many_lines """
  m=audio 49170 RTP/AVP 0 8 97
  a=rtpmap:0 PCMU/8000
  a=rtpmap:8 PCMA/8000
  a=rtpmap:97 iLBC/8000
  m=video 51372 RTP/AVP 31 32
  a=rtpmap:31 H261/90000
  a=rtpmap:32 MPV/90000
  """

  @one_of_each """
  m=audio 49170 RTP/AVP 97
  a=rtpmap:97 iLBC/8000
  m=video 51372 RTP/AVP 31
  a=rtpmap:31 H261/90000
  """

  @ilbc """
  m=audio 49170 RTP/AVP 97
  a=rtpmap:97 iLBC/8000
  """

  test "2.1 Audio and Video 1: one codec of several is accepted" do
    offer = first_offer(many())
    assert_alice(offer, 526, @many_lines)

    answer = first_answer(offer, [audio(49_174, ["PCMU"]), video(49_170, ["MPV"])])

    assert_bob(answer, 564, """
    m=audio 49174 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 49170 RTP/AVP 32
    a=rtpmap:32 MPV/90000
    """)

    assert check_answer(offer, answer) == :ok
    assert sent(offer, answer) == [[{"PCMU", 0}], [{"MPV", 32}]]
  end

  test "2.2 Audio and Video 2: a second offer limits the choice, the declined video keeps its place" do
    offer = first_offer(many())
    answer = first_answer(offer, [audio(49_172, ["PCMU", "PCMA"])])

    assert_bob(answer, 564, """
    m=audio 49172 RTP/AVP 0 8
    a=rtpmap:0 PCMU/8000
    a=rtpmap:8 PCMA/8000
    m=video 0 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    assert check_answer(offer, answer) == :ok
    second = offer([audio(51_372, ["PCMU"])], previous: offer)

    assert_alice(second, 527, """
    m=audio 51372 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 0 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    assert check_update(offer, second) == :ok
    last = answer(second, [audio(49_172, ["PCMU"])], previous: answer)

    assert_bob(last, 565, """
    m=audio 49172 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 0 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    assert check_answer(second, last) == :ok
    assert check_update(answer, last) == :ok
    assert [%{active?: true}, %{active?: false}] = streams(second, last)
  end

  test "2.3 Audio and Video 3: the answer has its own number for the same codec" do
    offer = first_offer(many())
    own = [audio(49_172, [{"iLBC/8000", 99}]), video(51_374, ["H261"])]
    answer = first_answer(offer, own, payload_types: :own)

    assert_bob(answer, 564, """
    m=audio 49172 RTP/AVP 99
    a=rtpmap:99 iLBC/8000
    m=video 51374 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    assert check_answer(offer, answer) == :ok
    # Each side sends with the numbers of the other.
    assert sent(offer, answer) == [[{"iLBC", 99}], [{"H261", 31}]]
    assert sent(answer, offer) == [[{"iLBC", 97}], [{"H261", 31}]]
  end

  test "2.4 Two Audio Streams: tones in a stream of their own" do
    offer =
      first_offer([
        audio(49_170, ["PCMU", {"iLBC/8000", 97}]),
        audio(49_172, [{"telephone-event/8000", 98}], direction: :sendonly)
      ])

    assert_alice(offer, 526, """
    m=audio 49170 RTP/AVP 0 97
    a=rtpmap:0 PCMU/8000
    a=rtpmap:97 iLBC/8000
    m=audio 49172 RTP/AVP 98
    a=rtpmap:98 telephone-event/8000
    a=sendonly
    """)

    answer =
      first_answer(offer, [
        audio(49_172, ["iLBC/8000"]),
        audio(49_174, ["telephone-event/8000"])
      ])

    assert_bob(answer, 564, two_streams_answered())
    assert check_answer(offer, answer) == :ok

    assert [%{send?: true, receive?: true}, %{send?: true, receive?: false}] =
             streams(offer, answer)
  end

  test "2.5 Audio and Video 4: the answer to a new address is the old description, and so its version" do
    own = [audio(49_170, [{"iLBC/8000", 97}]), video(51_372, ["H261"])]
    offer = first_offer(own)
    assert_alice(offer, 526, @one_of_each)
    answer = first_answer(offer, [audio(49_174, ["iLBC/8000"]), video(49_170, ["H261"])])

    assert_bob(answer, 564, """
    m=audio 49174 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    m=video 49170 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    assert check_answer(offer, answer) == :ok

    second =
      offer([audio(49_178, ["iLBC/8000"]), video(49_188, ["H261"])],
        previous: answer,
        connection: connection("newhost.biloxi.example.com")
      )

    lines = """
    m=audio 49178 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    m=video 49188 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """

    assert SDP.to_string(second) == text(bob(565), "newhost.biloxi.example.com", lines)
    assert check_update(answer, second) == :ok
    last = answer(second, own, previous: offer)
    assert_alice(last, 526, @one_of_each)
    assert check_answer(second, last) == :ok
    assert compare(offer, last) == :unchanged
  end

  test "2.6 Audio Only 1: the first of two streams is declined" do
    offer =
      first_offer([
        audio(49_170, ["PCMU"]),
        audio(51_372, [{"iLBC/8000", 97}, {"telephone-event/8000", 101}])
      ])

    assert_alice(offer, 526, """
    m=audio 49170 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=audio 51372 RTP/AVP 97 101
    a=rtpmap:97 iLBC/8000
    a=rtpmap:101 telephone-event/8000
    """)

    answer = first_answer(offer, [audio(49_170, ["iLBC/8000", "telephone-event/8000"])])

    assert_bob(answer, 564, """
    m=audio 0 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=audio 49170 RTP/AVP 97 101
    a=rtpmap:97 iLBC/8000
    a=rtpmap:101 telephone-event/8000
    """)

    assert check_answer(offer, answer) == :ok
  end

  test "2.7 Audio and Video 5: a codec is added" do
    offer = first_offer([audio(49_170, [{"iLBC/8000", 99}]), video(51_372, ["H261"])])
    own = [audio(49_172, ["iLBC/8000"]), video(51_374, ["H261", "MPV"])]
    answer = first_answer(offer, own)

    assert_bob(answer, 564, """
    m=audio 49172 RTP/AVP 99
    a=rtpmap:99 iLBC/8000
    m=video 51374 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    second =
      offer([audio(49_170, ["iLBC/8000"]), video(51_372, ["H261", "MPV"])], previous: offer)

    assert_alice(second, 527, """
    m=audio 49170 RTP/AVP 99
    a=rtpmap:99 iLBC/8000
    m=video 51372 RTP/AVP 31 32
    a=rtpmap:31 H261/90000
    a=rtpmap:32 MPV/90000
    """)

    last = answer(second, own, previous: answer)

    assert_bob(last, 565, """
    m=audio 49172 RTP/AVP 99
    a=rtpmap:99 iLBC/8000
    m=video 51374 RTP/AVP 31 32
    a=rtpmap:31 H261/90000
    a=rtpmap:32 MPV/90000
    """)

    assert check_answer(offer, answer) == :ok
    assert check_update(offer, second) == :ok
    assert check_answer(second, last) == :ok
    assert check_update(answer, last) == :ok
    assert sent(second, last) == [[{"iLBC", 99}], [{"H261", 31}, {"MPV", 32}]]
  end

  test "2.8 Audio and Video 6: video goes to another address" do
    offer = first_offer(many())
    elsewhere = connection("otherhost.biloxi.example.com")

    answer =
      first_answer(offer, [
        audio(49_174, ["PCMU"]),
        video(49_172, ["MPV"], connection: elsewhere)
      ])

    assert_bob(answer, 564, """
    m=audio 49174 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 49172 RTP/AVP 32
    c=IN IP4 otherhost.biloxi.example.com
    a=rtpmap:32 MPV/90000
    """)

    assert check_answer(offer, answer) == :ok

    assert [%{remote: {@biloxi, 49_174}}, %{remote: {"otherhost.biloxi.example.com", 49_172}}] =
             streams(offer, answer)
  end

  test "3.1 Hold and Unhold 1: the answer holds, the next offer does not" do
    offer = first_offer([audio(49_170, ["PCMU", {"iLBC/8000", 97}])])
    placeholder = "placeholder.biloxi.example.com"

    answer =
      first_answer(offer, [audio(49_172, ["iLBC/8000"], direction: :sendonly)],
        connection: connection(placeholder)
      )

    lines = """
    m=audio 49172 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    a=sendonly
    """

    assert SDP.to_string(answer) == text(bob(564), placeholder, lines)
    assert check_answer(offer, answer) == :ok
    assert [%{held?: true, send?: false, receive?: true}] = streams(offer, answer)

    second =
      offer([audio(49_170, ["iLBC/8000"])], previous: answer, connection: connection(@biloxi))

    assert_bob(second, 565, @ilbc)
    last = answer(second, [audio(49_178, ["iLBC/8000"])], previous: offer)

    assert_alice(last, 527, """
    m=audio 49178 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    """)

    assert check_update(answer, second) == :ok
    assert check_answer(second, last) == :ok
    assert check_update(offer, last) == :ok
    assert [%{held?: false, send?: true, receive?: true}] = streams(last, second)
  end

  test "3.2 Hold with Two Streams: one is held, the other is not" do
    own = [
      audio(49_170, ["PCMU", {"iLBC/8000", 97}]),
      audio(49_172, [{"telephone-event/8000", 98}], direction: :sendonly)
    ]

    offer = first_offer(own)

    answer =
      first_answer(offer, [
        audio(49_172, ["iLBC/8000"]),
        audio(49_174, ["telephone-event/8000"])
      ])

    assert_bob(answer, 564, two_streams_answered())
    second = hold(answer, 0)

    assert_bob(second, 565, """
    m=audio 49172 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    a=sendonly
    m=audio 49174 RTP/AVP 98
    a=rtpmap:98 telephone-event/8000
    a=recvonly
    """)

    assert check_update(answer, second) == :ok

    # The RFC has Alice repeat her offer here, without a direction in the first stream. RFC 3264 §6.1 wants recvonly or
    # inactive there, and prevails.
    printed =
      sdp(alice(527), @atlanta, """
      m=audio 49170 RTP/AVP 0 97
      a=rtpmap:0 PCMU/8000
      a=rtpmap:97 iLBC/8000
      m=audio 49172 RTP/AVP 98
      a=rtpmap:98 telephone-event/8000
      a=sendonly
      """)

    assert check_answer(second, printed) == {:error, [%Error{reason: :direction, media: 0}]}
    last = answer(second, own, previous: offer)

    assert_alice(last, 527, """
    m=audio 49170 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    a=recvonly
    m=audio 49172 RTP/AVP 98
    a=rtpmap:98 telephone-event/8000
    a=sendonly
    """)

    assert check_answer(second, last) == :ok
    assert resume(second, 0).media == SDP.parse!(resumed(second)).media
  end

  test "4.1 Second Audio Stream Added, with an address of its own" do
    offer = first_offer([audio(49_170, ["PCMU", {"iLBC/8000", 97}])])
    answer = first_answer(offer, [audio(49_170, ["iLBC/8000"])])
    assert_bob(answer, 564, @ilbc)

    second =
      add_stream(
        answer,
        audio(48_282, [{"telephone-event/8000", 98}],
          direction: :recvonly,
          connection: connection("mediaserver.biloxi.example.com")
        )
      )

    assert_bob(
      second,
      565,
      @ilbc <>
        """
        m=audio 48282 RTP/AVP 98
        c=IN IP4 mediaserver.biloxi.example.com
        a=rtpmap:98 telephone-event/8000
        a=recvonly
        """
    )

    own = [
      audio(49_170, ["iLBC/8000"]),
      audio(49_172, ["telephone-event/8000"], connection: connection(@atlanta))
    ]

    last = answer(second, own, previous: offer)

    assert_alice(
      last,
      527,
      @ilbc <>
        """
        m=audio 49172 RTP/AVP 98
        c=IN IP4 host.atlanta.example.com
        a=rtpmap:98 telephone-event/8000
        a=sendonly
        """
    )

    assert check_answer(offer, answer) == :ok
    assert check_update(answer, second) == :ok
    assert check_answer(second, last) == :ok
    assert check_update(offer, last) == :ok
  end

  test "4.2 Audio, then Video Added" do
    offer = first_offer([audio(49_170, ["PCMU"])])
    answer = first_answer(offer, [audio(49_172, ["PCMU"])])
    second = add_stream(offer, video(49_172, ["H261"]))

    assert_alice(second, 527, """
    m=audio 49170 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 49172 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    last = answer(second, [audio(49_172, ["PCMU"]), video(49_168, ["H261"])], previous: answer)

    assert_bob(last, 565, """
    m=audio 49172 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 49168 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    assert check_answer(offer, answer) == :ok
    assert check_update(offer, second) == :ok
    assert check_answer(second, last) == :ok
    assert check_update(answer, last) == :ok
  end

  test "4.3 Audio and Video, Then Video Deleted" do
    own = [audio(49_170, [{"iLBC/8000", 97}]), video(51_372, ["H261"])]
    offer = first_offer(own)
    answer = first_answer(offer, [audio(49_174, ["iLBC/8000"]), video(49_170, ["H261"])])
    second = disable_stream(answer, 1)

    assert_bob(second, 565, """
    m=audio 49174 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    m=video 0 RTP/AVP 31
    a=rtpmap:31 H261/90000
    """)

    last = answer(second, own, previous: offer)

    assert_alice(
      last,
      527,
      @ilbc <>
        """
        m=video 0 RTP/AVP 31
        a=rtpmap:31 H261/90000
        """
    )

    assert check_update(answer, second) == :ok
    assert check_answer(second, last) == :ok
    assert check_update(offer, last) == :ok
  end

  test "5.1 No Media, Then Audio Added" do
    offer = first_offer([])
    assert_alice(offer, 526, "")
    answer = first_answer(offer, [audio(49_172, ["iLBC/8000"])])
    assert_bob(answer, 564, "")
    assert check_answer(offer, answer) == :ok
    refute accepted?(answer)

    second = add_stream(offer, audio(49_170, [{"iLBC/8000", 97}]))
    assert_alice(second, 527, @ilbc)
    last = answer(second, [audio(49_172, ["iLBC/8000"])], previous: answer)

    assert_bob(last, 565, """
    m=audio 49172 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    """)

    assert check_update(offer, second) == :ok
    assert check_answer(second, last) == :ok
    assert accepted?(last)
  end

  test "5.2 Hold and Unhold 2: an offer with 0.0.0.0 is answered as any, and nothing is sent there" do
    offer = first_offer([audio(23_442, [{"iLBC/8000", 97}])], connection: connection("0.0.0.0"))

    lines = """
    m=audio 23442 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    """

    assert SDP.to_string(offer) == text(alice(526), "0.0.0.0", lines)
    own = [audio(49_170, ["iLBC/8000"])]
    answer = first_answer(offer, own)
    assert_bob(answer, 564, @ilbc)
    assert check_answer(offer, answer) == :ok
    assert [%{active?: true, held?: true, send?: false}] = streams(answer, offer)

    second =
      offer([audio(49_170, ["iLBC/8000"])], previous: offer, connection: connection(@atlanta))

    assert_alice(second, 527, @ilbc)
    last = answer(second, own, previous: answer)
    assert_bob(last, 564, @ilbc)
    assert check_answer(second, last) == :ok
    assert [%{held?: false, send?: true}] = streams(last, second)
  end

  test "5.3 Hold and Unhold 3: the same in the answer" do
    own = [audio(49_170, [{"iLBC/8000", 97}])]
    offer = first_offer(own)

    answer = first_answer(offer, [audio(9322, ["iLBC/8000"])], connection: connection("0.0.0.0"))

    lines = """
    m=audio 9322 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    """

    assert SDP.to_string(answer) == text(bob(564), "0.0.0.0", lines)
    assert check_answer(offer, answer) == :ok
    assert [%{active?: true, held?: true, send?: false}] = streams(offer, answer)

    second =
      offer([audio(49_172, ["iLBC/8000"])], previous: answer, connection: connection(@biloxi))

    assert_bob(second, 565, """
    m=audio 49172 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    """)

    last = answer(second, own, previous: offer)
    assert_alice(last, 526, @ilbc)
    assert check_answer(second, last) == :ok
    assert [%{send?: true}] = streams(last, second)
  end

  defp many do
    [
      audio(49_170, ["PCMU", "PCMA", {"iLBC/8000", 97}]),
      video(51_372, ["H261", "MPV"])
    ]
  end

  defp two_streams_answered do
    """
    m=audio 49172 RTP/AVP 97
    a=rtpmap:97 iLBC/8000
    m=audio 49174 RTP/AVP 98
    a=rtpmap:98 telephone-event/8000
    a=recvonly
    """
  end

  defp resumed(sdp), do: sdp |> SDP.to_string() |> String.replace("a=sendonly", "a=sendrecv")

  # The versions end in these three digits, as the RFC counts them.
  defp alice(version), do: origin("alice", "2890844526", 2_890_844_000 + version, @atlanta)
  defp bob(version), do: origin("bob", "2808844564", 2_808_844_000 + version, @biloxi)

  defp origin(username, session_id, version, address) do
    %Origin{
      username: username,
      session_id: session_id,
      session_version: version,
      address: address
    }
  end

  defp first_offer(capabilities, options \\ []),
    do: offer(capabilities, [origin: alice(526), session_name: " "] ++ options)

  defp first_answer(offer, capabilities, options \\ []),
    do: answer(offer, capabilities, [origin: bob(564), session_name: " "] ++ options)

  defp assert_alice(sdp, version, lines),
    do: assert(SDP.to_string(sdp) == text(alice(version), @atlanta, lines))

  defp assert_bob(sdp, version, lines),
    do: assert(SDP.to_string(sdp) == text(bob(version), @biloxi, lines))

  defp sent(local, remote) do
    for stream <- streams(local, remote),
        do: for(codec <- stream.send, do: {codec.name, codec.payload_type})
  end
end
