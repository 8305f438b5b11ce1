defmodule Sippet.OfferAnswer.AnswerTest do
  # What is answered to which offer. Sections without a number are RFC 3264's.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions

  alias Sippet.OfferAnswer.{Capability, Codec}
  alias Sippet.SDP
  alias Sippet.SDP.Media

  test "directions are what both want (§6.1)" do
    # What the answer says, by what was offered and what this side wants.
    for {offered, wanted, expected} <- [
          {:sendrecv, :sendrecv, :sendrecv},
          {:sendrecv, :sendonly, :sendonly},
          {:sendrecv, :recvonly, :recvonly},
          {:sendrecv, :inactive, :inactive},
          {:sendonly, :sendrecv, :recvonly},
          {:sendonly, :recvonly, :recvonly},
          {:sendonly, :sendonly, :inactive},
          {:sendonly, :inactive, :inactive},
          {:recvonly, :sendrecv, :sendonly},
          {:recvonly, :sendonly, :sendonly},
          {:recvonly, :recvonly, :inactive},
          {:recvonly, :inactive, :inactive},
          {:inactive, :sendrecv, :inactive},
          {:inactive, :sendonly, :inactive},
          {:inactive, :recvonly, :inactive},
          {:inactive, :inactive, :inactive}
        ] do
      offer = offered("a=#{offered}\nm=audio 9 RTP/AVP 0\n")
      answer = answered(offer, [audio(4000, ["PCMU"], direction: wanted)])
      assert SDP.direction(answer, hd(answer.media)) == expected
      assert check_answer(offer, answer) == :ok
    end
  end

  test "a stream of an unknown type, protocol or codec is rejected in its place" do
    offer =
      offered("""
      m=image 9 udptl t38
      m=audio 9 RTP/SAVP 0
      m=audio 9 RTP/AVP 96
      m=audio 9 RTP/AVP 8
      m=audio 0 RTP/AVP 0
      m=audio 9 RTP/AVP 8
      """)

    answer = answered(offer, [audio(4000, ["PCMA"])])
    assert for(media <- answer.media, do: media.port) == [0, 0, 0, 4000, 0, 0]
    assert Enum.map(answer.media, & &1.type) == Enum.map(offer.media, & &1.type)
    assert check_answer(offer, answer) == :ok
  end

  test "formats of other protocols are compared as text" do
    offer = offered("m=image 9 udptl t38\nm=message 9 TCP/MSRP *\n")

    answer =
      answered(offer, [
        %Capability{type: "message", port: 2855, protocols: ["TCP/MSRP"], formats: ["*"]},
        %Capability{type: "image", port: 4000, protocols: ["udptl"], formats: ["t38"]}
      ])

    assert for(media <- answer.media, do: {media.port, media.formats}) ==
             [{4000, ["t38"]}, {2855, ["*"]}]

    assert check_answer(offer, answer) == :ok
    assert [%{send: ["t38"]}, %{send: ["*"]}] = streams(answer, offer)
  end

  test "the order is that of the offer, or this side's if it insists" do
    offer = offered("m=audio 9 RTP/AVP 0 8 18\n")
    own = [audio(4000, ["G729", "PCMU"])]
    assert hd(answered(offer, own).media).formats == ["0", "18"]
    assert hd(answered(offer, own, prefer: :own).media).formats == ["18", "0"]
  end

  test "names of codecs have no case, clock rates and channels count" do
    offer =
      offered("""
      m=audio 9 RTP/AVP 96 97 98
      a=rtpmap:96 OPUS/48000/2
      a=rtpmap:97 L16/8000
      a=rtpmap:98 l16/8000/2
      """)

    own = [audio(4000, ["opus/48000/2", "L16/8000/2", "L16/16000"])]
    assert hd(answered(offer, own).media).formats == ["96", "98"]
  end

  test "parameters of this side stand, else those of the offer" do
    offer =
      offered("""
      m=audio 9 RTP/AVP 96 101
      a=rtpmap:96 iLBC/8000
      a=fmtp:96 mode=20
      a=rtpmap:101 telephone-event/8000
      a=fmtp:101 0-16
      """)

    capability = %Capability{
      type: "audio",
      port: 4000,
      codecs: [
        Codec.new("iLBC/8000"),
        Codec.new("telephone-event/8000", parameters: "0-15")
      ]
    }

    [media] = answered(offer, [capability]).media

    assert SDP.attributes(media, :fmtp) == [
             %{format: "96", parameters: "mode=20"},
             %{format: "101", parameters: "0-15"}
           ]
  end

  test "feedback is what both have" do
    offer =
      offered(
        "m=video 9 RTP/AVPF 31\na=rtcp-fb:* nack\na=rtcp-fb:31 nack pli\na=rtcp-fb:31 ccm fir\n"
      )

    codec = Codec.new("H261", feedback: ["nack pli", "nack", "goog-remb"])
    capability = %Capability{type: "video", port: 4, protocols: ["RTP/AVPF"], codecs: [codec]}

    assert [media] = answered(offer, [capability]).media

    assert SDP.attributes(media, :rtcp_fb) == [
             %{format: "31", feedback: "nack", parameters: "pli"},
             %{format: "31", feedback: "nack", parameters: nil}
           ]
  end

  test "tones alone are no answer to speech, and retransmission none without its codec" do
    offer =
      offered("""
      m=audio 9 RTP/AVP 0 101
      a=rtpmap:101 telephone-event/8000
      m=video 9 RTP/AVP 96 97 98 99
      a=rtpmap:96 VP8/90000
      a=rtpmap:97 rtx/90000
      a=fmtp:97 apt=96
      a=rtpmap:98 VP9/90000
      a=rtpmap:99 rtx/90000
      a=fmtp:99 rtx-time=100;apt=98
      """)

    answer =
      answered(offer, [
        audio(4000, ["PCMA", "telephone-event/8000"]),
        video(4002, ["VP9/90000", "rtx/90000"])
      ])

    assert [%{port: 0}, %{port: 4002, formats: ["98", "99"]}] = answer.media
  end

  test "retransmission is of the codec that it was offered for, whatever this side calls it (RFC 4588 §8.1)" do
    offer =
      offered("""
      m=video 9 RTP/AVP 96 97 98 99
      a=rtpmap:96 VP8/90000
      a=rtpmap:97 rtx/90000
      a=fmtp:97 apt=96;rtx-time=3000
      a=rtpmap:98 VP9/90000
      a=rtpmap:99 rtx/90000
      a=fmtp:99 apt=98
      """)

    vp8 = Codec.new("VP8/90000", payload_type: 100)
    rtx = Codec.new("rtx/90000", payload_type: 101, parameters: "rtx-time=200; apt=100")
    own = [%{video(4000, []) | codecs: [vp8, rtx]}]

    [media] = answered(offer, own).media
    assert media.formats == ["96", "97"]

    assert SDP.attributes(media, :fmtp) == [
             %{format: "97", parameters: "rtx-time=200; apt=96"}
           ]

    [media] = answered(offer, own, payload_types: :own).media
    assert media.formats == ["100", "101"]

    assert SDP.attributes(media, :fmtp) == [
             %{format: "101", parameters: "rtx-time=200; apt=100"}
           ]

    # Each of this side's numbers stands for one codec.
    vp9 = Codec.new("VP9/90000", payload_type: 102)
    other = Codec.new("rtx/90000", payload_type: 103, parameters: "apt=102")

    for {prefer, codecs, formats} <- [
          {:offered, [vp9, vp8, rtx, other], ~w(100 101 102 103)},
          {:own, [vp9, vp8, rtx, other], ~w(102 100 101 103)}
        ] do
      own = [%{video(4000, []) | codecs: codecs}]
      [media] = answered(offer, own, payload_types: :own, prefer: prefer).media
      assert media.formats == formats

      assert for(
               %{format: format, parameters: text} <- SDP.attributes(media, :fmtp),
               do: {format, text}
             )
             |> Enum.sort() == [{"101", "rtx-time=200; apt=100"}, {"103", "apt=102"}]
    end

    # What goes with a codec that this side has not takes none of them.
    own = [%{video(4000, []) | codecs: [vp9, other]}]
    assert [%{formats: ["102", "103"]}] = answered(offer, own, payload_types: :own).media

    # The second H264 finds no number, and its retransmission goes with it.
    twice =
      offered("""
      m=video 9 RTP/AVP 96 97 98 99
      a=rtpmap:96 H264/90000
      a=rtpmap:97 rtx/90000
      a=fmtp:97 apt=96
      a=rtpmap:98 H264/90000
      a=rtpmap:99 rtx/90000
      a=fmtp:99 apt=98
      """)

    h264 = Codec.new("H264/90000", payload_type: 102)
    own = [%{video(4000, []) | codecs: [h264, other, rtx]}]
    assert [%{formats: ["102", "103"]}] = answered(twice, own, payload_types: :own).media

    # A ring of them leads to no codec.
    ring =
      offered(
        "m=video 9 RTP/AVP 96 97\na=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=97\n"
      )

    own = [%{video(4000, []) | codecs: [vp8, rtx]}]
    assert [%{formats: ["96"]}] = answered(ring, own).media

    # What this side does not say is as it was offered, but for the number.
    own = [%{video(4000, []) | codecs: [vp8, %{rtx | parameters: nil}]}]
    [media] = answered(offer, own, payload_types: :own).media

    assert SDP.attributes(media, :fmtp) == [
             %{format: "101", parameters: "apt=100;rtx-time=3000"}
           ]
  end

  test "redundant audio has the numbers of its codecs in the answer, and goes with them (RFC 2198 §5)" do
    offer =
      offered("""
      m=audio 9 RTP/AVP 111 63 0
      a=rtpmap:111 opus/48000/2
      a=rtpmap:63 red/48000/2
      a=fmtp:63 111/111
      """)

    red = Codec.new("red/48000/2", payload_type: 97, parameters: "96/96")
    opus = Codec.new("opus/48000/2", payload_type: 96)
    own = [%{audio(4000, []) | codecs: [opus, red]}]

    [media] = answered(offer, own).media
    assert media.formats == ["111", "63"]
    assert SDP.attributes(media, :fmtp) == [%{format: "63", parameters: "111/111"}]

    [media] = answered(offer, own, payload_types: :own).media
    assert media.formats == ["96", "97"]
    assert SDP.attributes(media, :fmtp) == [%{format: "97", parameters: "96/96"}]

    own = [%{audio(4000, []) | codecs: [Codec.new("PCMU"), red]}]
    assert [%{formats: ["0"]}] = answered(offer, own).media
  end

  test "an offer that has no time is answered with one that has no bounds (RFC 8866 §5.9)" do
    offer = %{offered("m=audio 9 RTP/AVP 0\n") | timings: []}
    answer = answered(offer, [audio(4000, ["PCMU"])])
    assert SDP.to_string(answer) =~ "\r\nt=0 0\r\n"
    assert Sippet.OfferAnswer.check_answer(offer, answer) == :ok
  end

  test "another comparison of codecs can be given" do
    offer =
      offered("""
      m=video 9 RTP/AVP 96 97
      a=rtpmap:96 H264/90000
      a=fmtp:96 packetization-mode=0
      a=rtpmap:97 H264/90000
      a=fmtp:97 packetization-mode=1
      """)

    own = [video(4000, ["H264/90000"])]

    match = fn theirs, ours ->
      Codec.same?(theirs, ours) and theirs.parameters =~ "packetization-mode=1"
    end

    assert hd(answered(offer, own).media).formats == ["96", "97"]
    assert hd(answered(offer, own, match: match).media).formats == ["97"]
  end

  test "a multicast stream is accepted as it is (§6.2)" do
    offer =
      offered("""
      m=audio 49170/2 RTP/AVP 0 8
      c=IN IP4 233.252.0.1/127
      b=AS:64
      a=ptime:20
      a=recvonly
      """)

    own = [audio(4000, [{"PCMU", 0}, "G729"], direction: :sendrecv, ptime: 30)]
    answer = answered(offer, own)

    assert [
             %Media{port: 49_170, port_count: 2, formats: ["0"], bandwidths: [{"AS", 64}]} = media
           ] = answer.media

    assert SDP.connection(answer, media) == SDP.connection(offer, hd(offer.media))
    assert SDP.direction(answer, media) == :recvonly
    assert SDP.attribute(media, :ptime) == 20
    assert check_answer(offer, answer) == :ok
  end

  test "the roles of connections go together (RFC 4145 §4.1, RFC 5763 §5)" do
    for {offered, own, expected} <- [
          {:actpass, :actpass, :active},
          {:actpass, :passive, :passive},
          {:active, :actpass, :passive},
          {:passive, :passive, :active},
          {:holdconn, :active, :holdconn}
        ] do
      offer = offered("m=audio 9 RTP/AVP 0\na=setup:#{offered}\n")
      answer = answered(offer, [audio(4000, ["PCMU"], attributes: [setup: own])])
      assert SDP.attribute(hd(answer.media), :setup) == expected
      assert check_answer(offer, answer) == :ok
    end
  end

  test "ICE, fingerprint and rtcp-mux answer what was offered" do
    attributes = [
      ice_ufrag: "8hhY",
      ice_pwd: "asd88fgpdd777uzjYhagZg",
      fingerprint: %{hash: "sha-256", value: "AA:BB"},
      setup: :passive,
      rtcp_mux: true,
      mid: "own"
    ]

    own = [audio(4000, ["PCMU"], attributes: attributes)]
    plain = answered(offered("m=audio 9 RTP/AVP 0\n"), own)
    assert for({name, _} <- hd(plain.media).attributes, do: name) == [:rtpmap]

    offer =
      offered("""
      a=ice-ufrag:abcd
      a=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa
      a=fingerprint:sha-256 CC:DD
      a=setup:actpass
      m=audio 9 RTP/AVP 0
      a=mid:theirs
      a=rtcp-mux
      """)

    full = answered(offer, own)

    assert Enum.sort(for {name, _} <- hd(full.media).attributes, do: name) ==
             [:fingerprint, :ice_pwd, :ice_ufrag, :mid, :rtcp_mux, :rtpmap, :setup]

    assert SDP.attribute(hd(full.media), :mid) == "theirs"
    assert check_answer(offer, full) == :ok
  end

  test "one crypto attribute is answered, with the tag of the offer (RFC 4568 §5.1.2)" do
    offer =
      offered("""
      m=audio 9 RTP/SAVP 0
      a=crypto:1 F8_128_HMAC_SHA1_80 inline:a
      a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:b
      """)

    key = %{
      tag: 1,
      suite: "AES_CM_128_HMAC_SHA1_80",
      key_parameters: ["inline:c"],
      session_parameters: []
    }

    capable = audio(4000, ["PCMU"], protocols: ["RTP/SAVP"], attributes: [crypto: key])
    answer = answered(offer, [capable])
    assert SDP.attributes(hd(answer.media), :crypto) == [%{key | tag: 2}]
    assert check_answer(offer, answer) == :ok

    incapable = audio(4000, ["PCMU"], protocols: ["RTP/SAVP"])
    assert [%{port: 0}] = answered(offer, [incapable]).media
  end

  test "a group is answered with the streams that are accepted (RFC 9143 §7.3)" do
    offer =
      offered("""
      a=group:BUNDLE 0 1 2
      m=audio 9 RTP/AVP 0
      a=mid:0
      m=video 9 RTP/AVP 31
      a=mid:1
      m=video 0 RTP/AVP 31
      a=mid:2
      a=bundle-only
      """)

    own = [audio(4000, ["PCMU"]), video(4002, ["MPV"]), video(4004, ["H261"])]
    answer = answered(offer, own, groups: ["BUNDLE"])
    assert SDP.attributes(answer, :group) == [%{semantics: "BUNDLE", mids: ["0", "1"]}]
    assert for(media <- answer.media, do: media.port) == [4000, 4004, 0]
    assert check_answer(offer, answer) == :ok

    answer = answered(offer, own ++ [video(4006, ["H261"])], groups: ["BUNDLE"])
    assert SDP.attributes(answer, :group) == [%{semantics: "BUNDLE", mids: ["0", "1", "2"]}]
    assert List.last(answer.media).port == 4006
    assert check_answer(offer, answer) == :ok

    # Without the group a stream that has no port of its own cannot be.
    alone = answered(offer, own ++ [video(4006, ["H261"])])
    assert SDP.attributes(alone, :group) == []
    assert List.last(alone.media).port == 0
    assert check_answer(offer, alone) == :ok
  end

  test "a stream goes on with the port that it had" do
    offer = offered("m=audio 9 RTP/AVP 0\nm=audio 11 RTP/AVP 0\n")
    first = answered(offer, [audio(4000, ["PCMU"]), audio(4002, ["PCMU"])])
    swapped = [audio(4002, ["PCMU"]), audio(4000, ["PCMU"])]
    assert answer(offer, swapped, previous: first) == first
  end

  test "a stream without a connection is rejected" do
    offer = %{offered("m=audio 9 RTP/AVP 0\n") | connection: nil}
    assert [%{port: 0}] = answered(offer, [audio(4000, ["PCMU"])]).media
  end
end
