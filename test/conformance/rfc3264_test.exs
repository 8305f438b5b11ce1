defmodule Sippet.RFC3264Test do
  # The examples of RFC 3264 §9 and §10: built from capabilities, each description is that of the RFC.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions

  alias Sippet.SDP
  alias Sippet.SDP.Origin

  @anywhere "host.anywhere.com"
  @example "host.example.com"

  test "§9: a description of capabilities offers no stream" do
    # Its lines are not in the order of RFC 8866 §5; they are kept so.
    text =
      String.replace(
        """
        v=0
        o=carol 28908764872 28908764872 IN IP4 100.3.6.6
        s=-
        t=0 0
        c=IN IP4 192.0.2.4
        m=audio 0 RTP/AVP 0 1 3
        a=rtpmap:0 PCMU/8000
        a=rtpmap:1 1016/8000
        a=rtpmap:3 GSM/8000
        m=video 0 RTP/AVP 31 34
        a=rtpmap:31 H261/90000
        a=rtpmap:34 H263/90000
        """,
        "\n",
        "\r\n"
      )

    sdp = SDP.parse!(text)
    assert [%{reason: :order}] = sdp.defects
    assert SDP.to_string(sdp) == text
    refute accepted?(sdp)

    names = for media <- sdp.media, do: Enum.map(Sippet.OfferAnswer.Codec.list(media), & &1.name)
    assert names == [["PCMU", "1016", "GSM"], ["H261", "H263"]]
  end

  test "§10.1 Basic Exchange: a stream is declined, then a port changed and a stream added" do
    own = [audio(49_170, ["PCMU"]), video(51_372, ["H261"]), video(53_000, ["MPV"])]
    offer = offer(own, origin: alice(526), session_name: " ")

    assert_text(offer, alice(526), @anywhere, """
    m=audio 49170 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 51372 RTP/AVP 31
    a=rtpmap:31 H261/90000
    m=video 53000 RTP/AVP 32
    a=rtpmap:32 MPV/90000
    """)

    # The RFC has no rtpmap in the declined stream, which is free to be there (§8.2).
    answer =
      answer(offer, [audio(49_920, ["PCMU"]), video(53_000, ["MPV"])],
        origin: bob(730),
        session_name: " "
      )

    printed =
      sdp(bob(730), @example, """
      m=audio 49920 RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      m=video 0 RTP/AVP 31
      m=video 53000 RTP/AVP 32
      a=rtpmap:32 MPV/90000
      """)

    assert bare(answer, 1) == printed
    assert check_answer(offer, answer) == :ok
    assert check_answer(offer, printed) == :ok

    second =
      offer(
        [
          audio(65_422, ["PCMU"]),
          nil,
          video(53_000, ["MPV"]),
          audio(51_434, [{"telephone-events/8000", 110}], direction: :recvonly)
        ],
        previous: answer
      )

    printed_second =
      sdp(bob(731), @example, """
      m=audio 65422 RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      m=video 0 RTP/AVP 31
      m=video 53000 RTP/AVP 32
      a=rtpmap:32 MPV/90000
      m=audio 51434 RTP/AVP 110
      a=rtpmap:110 telephone-events/8000
      a=recvonly
      """)

    assert bare(second, 1) == printed_second
    assert check_update(answer, second) == :ok
    assert check_update(printed, printed_second) == :ok
    assert compare(printed, printed_second) == :next

    own = [
      audio(49_170, ["PCMU"]),
      video(53_000, ["MPV"]),
      audio(53_122, ["telephone-events/8000"])
    ]

    last = answer(second, own, previous: offer)

    assert_text(last, alice(527), @anywhere, """
    m=audio 49170 RTP/AVP 0
    a=rtpmap:0 PCMU/8000
    m=video 0 RTP/AVP 31
    a=rtpmap:31 H261/90000
    m=video 53000 RTP/AVP 32
    a=rtpmap:32 MPV/90000
    m=audio 53122 RTP/AVP 110
    a=rtpmap:110 telephone-events/8000
    a=sendonly
    """)

    assert check_answer(second, last) == :ok
    assert check_answer(printed_second, last) == :ok
    assert check_update(offer, last) == :ok
  end

  test "§10.2 One of N Codec Selection: inactive until a codec is locked down" do
    offer =
      offer([audio(62_986, ["PCMU", "G723", "G729"], direction: :inactive)],
        origin: alice(526),
        session_name: " "
      )

    assert_text(offer, alice(526), @anywhere, """
    m=audio 62986 RTP/AVP 0 4 18
    a=rtpmap:0 PCMU/8000
    a=rtpmap:4 G723/8000
    a=rtpmap:18 G729/8000
    a=inactive
    """)

    own = [audio(54_344, ["PCMU", "G723"])]
    answer = answer(offer, own, origin: bob(731), session_name: " ")

    assert_text(answer, bob(731), @example, """
    m=audio 54344 RTP/AVP 0 4
    a=rtpmap:0 PCMU/8000
    a=rtpmap:4 G723/8000
    a=inactive
    """)

    assert check_answer(offer, answer) == :ok
    assert [%{active?: true, send?: false, receive?: false}] = streams(offer, answer)

    locked = audio(62_986, ["G723"], attributes: [direction: :sendrecv])
    second = offer([locked], previous: offer)

    assert_text(second, alice(527), @anywhere, """
    m=audio 62986 RTP/AVP 4
    a=rtpmap:4 G723/8000
    a=sendrecv
    """)

    last = answer(second, own, previous: answer)

    assert_text(last, bob(732), @example, """
    m=audio 54344 RTP/AVP 4
    a=rtpmap:4 G723/8000
    a=sendrecv
    """)

    assert check_update(offer, second) == :ok
    assert check_answer(second, last) == :ok
    assert check_update(answer, last) == :ok
    assert [%{send?: true, receive?: true}] = streams(second, last)
  end

  # The versions end in these three digits, as the RFC counts them.
  defp alice(version), do: origin("alice", "2890844526", 2_890_844_000 + version, @anywhere)
  defp bob(version), do: origin("bob", "2890844730", 2_890_844_000 + version, @example)

  defp origin(username, session_id, version, address) do
    %Origin{
      username: username,
      session_id: session_id,
      session_version: version,
      address: address
    }
  end

  defp assert_text(sdp, origin, address, lines),
    do: assert(SDP.to_string(sdp) == text(origin, address, lines))

  defp bare(sdp, index),
    do: put_in(sdp, [Access.key(:media), Access.at(index), Access.key(:attributes)], [])
end
