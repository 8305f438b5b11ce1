defmodule Sippet.OfferAnswerTest do
  # Sections without a number are RFC 3264's. Its examples and those of RFC 4317 are in test/conformance.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions, only: [audio: 2, audio: 3, video: 2, connection: 1]

  alias Sippet.OfferAnswer.{Capability, Codec, Error}
  alias Sippet.SDP
  alias Sippet.SDP.{Media, Origin}

  doctest Sippet.OfferAnswer
  doctest Sippet.OfferAnswer.Codec
  doctest Sippet.OfferAnswer.Error

  @alice %Origin{username: "alice", session_id: "1", session_version: 5, address: "192.0.2.1"}
  @bob %Origin{username: "bob", session_id: "2", session_version: 8, address: "192.0.2.2"}

  describe "codecs" do
    test "a static payload type needs no rtpmap, a dynamic one does (RFC 3551 §6)" do
      media = %Media{formats: ["0", "18", "96", "34", "x", "200", "007"]}

      assert [{"PCMU", 0}, {"G729", 18}, {"H263", 34}] =
               for(codec <- Codec.list(media), do: {codec.name, codec.payload_type})
    end

    test "an rtpmap, an fmtp and feedback belong to their format" do
      [media] =
        offered("""
        m=video 9 RTP/AVPF 96 97
        a=rtpmap:96 VP8/90000
        a=rtpmap:97 H264/90000
        a=fmtp:97 packetization-mode=1
        a=rtcp-fb:* nack
        a=rtcp-fb:96 ccm fir
        """).media

      assert Codec.list(media) == [
               %Codec{
                 name: "VP8",
                 clock_rate: 90_000,
                 payload_type: 96,
                 feedback: ["nack", "ccm fir"]
               },
               %Codec{
                 name: "H264",
                 clock_rate: 90_000,
                 payload_type: 97,
                 parameters: "packetization-mode=1",
                 feedback: ["nack"]
               }
             ]
    end

    test "what is no codec raises" do
      for text <- ["opus", "opus/x", "opus/48000/0", "a/b/c/d", "PCMU/-1"] do
        assert_raise ArgumentError, ~r/codec/, fn -> Codec.new(text) end
      end
    end
  end

  describe "offer" do
    test "dynamic payload types are free ones, each once in the description" do
      offer =
        offer(
          [
            audio(4000, ["PCMU", "opus/48000/2", {"iLBC/8000", 96}, "telephone-event/8000"]),
            video(4002, ["VP8/90000", "H261"])
          ],
          origin: @alice
        )

      assert for(media <- offer.media, do: media.formats) == [
               ["0", "97", "96", "98"],
               ["99", "31"]
             ]
    end

    test "a later offer keeps the numbers of its codecs, and takes none that stood for another" do
      first = offer([audio(4000, ["opus/48000/2", "iLBC/8000"])], origin: @alice)
      second = offer([audio(4000, ["G722", "iLBC/8000", "speex/8000"])], previous: first)
      assert hd(second.media).formats == ["9", "97", "98"]
      assert check_update(first, second) == :ok
    end

    test "the same offer again is the same version" do
      capabilities = [audio(4000, ["PCMU"])]
      first = offer(capabilities, origin: @alice)
      assert offer(capabilities, previous: first) == first
      assert offer([audio(4002, ["PCMU"])], previous: first).origin.session_version == 6
    end

    test "a capability has its ptime, bandwidth, parameters, feedback and attributes" do
      codec =
        Codec.new("opus/48000/2",
          payload_type: 111,
          parameters: "a=1",
          feedback: ["nack", "nack pli"]
        )

      capability = %Capability{
        type: "audio",
        port: 4000,
        codecs: [codec],
        protocols: ["UDP/TLS/RTP/SAVPF"],
        ptime: 20,
        maxptime: 60,
        bandwidths: [{"AS", 64}],
        attributes: [{:setup, :actpass}, {:mid, "0"}, {"x", "y"}]
      }

      assert [media] = offer([capability], origin: @alice).media
      assert media.bandwidths == [{"AS", 64}]

      assert for({name, _value} <- media.attributes, do: name) ==
               [:rtpmap, :fmtp, :rtcp_fb, :rtcp_fb, :ptime, :maxptime, :setup, :mid, "x"]
    end

    test "the caller's mistakes raise, naming the argument" do
      assert_raise ArgumentError, ~r/:origin or :previous/, fn -> offer([], []) end
      assert_raise ArgumentError, ~r/:prefer/, fn -> offer([], origin: @alice, prefer: :own) end
      assert_raise ArgumentError, ~r/:origin/, fn -> offer([], origin: "alice") end
      assert_raise ArgumentError, ~r/Capability/, fn -> offer([:audio], origin: @alice) end

      assert_raise ArgumentError, ~r/Capability/, fn ->
        offer([audio(0, ["PCMU"])], origin: @alice)
      end

      assert_raise ArgumentError, ~r/Capability/, fn -> offer([audio(1, [])], origin: @alice) end
      assert_raise ArgumentError, ~r/nil/, fn -> offer([nil], origin: @alice) end
      codecs = for n <- 1..62, do: "x#{n}/8000"

      assert_raise ArgumentError, ~r/at most 61/, fn ->
        offer([audio(1, codecs)], origin: @alice)
      end
    end
  end

  describe "answer" do
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
               %Media{port: 49_170, port_count: 2, formats: ["0"], bandwidths: [{"AS", 64}]} =
                 media
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

  describe "check_answer" do
    @offer """
    a=group:BUNDLE 0 1
    m=audio 9 RTP/AVP 0 96
    a=rtpmap:96 opus/48000/2
    a=mid:0
    a=setup:actpass
    a=sendonly
    m=video 9 RTP/AVP 31
    a=mid:1
    m=video 0 RTP/AVP 31
    """

    @answer """
    a=group:BUNDLE 0
    m=audio 4000 RTP/AVP 96
    a=rtpmap:96 opus/48000/2
    a=mid:0
    a=setup:active
    a=recvonly
    m=video 0 RTP/AVP 31
    m=video 0 RTP/AVP 31
    """

    @multicast """
    m=audio 9 RTP/AVP 0 8
    c=IN IP4 233.252.0.1/127
    a=ptime:20
    """

    test "an answer that goes with its offer is :ok" do
      assert check_answer(offered(@offer), offered(@answer)) == :ok
    end

    @rules [
      {:media_count, nil, {"m=video 0 RTP/AVP 31\nm=video 0 RTP/AVP 31", "m=video 0 RTP/AVP 31"}},
      {:media_type, 1, {"m=video 0 RTP/AVP 31\nm=v", "m=audio 0 RTP/AVP 31\nm=v"}},
      {:protocol, 1, {"m=video 0 RTP/AVP 31\nm=v", "m=video 0 RTP/SAVP 31\nm=v"}},
      {:disabled, 2, {~r/m=video 0 RTP\/AVP 31\n$/, "m=video 8 RTP/AVP 31\n"}},
      {:no_format, 1, {"m=video 0 RTP/AVP 31\nm=v", "m=video 0 RTP/AVP\nm=v"}},
      {:no_common_format, 0, {"opus/48000/2", "speex/8000"}},
      {:rtpmap, 0, {"RTP/AVP 96", "RTP/AVP 96 97"}},
      {:direction, 0, {"recvonly", "sendonly"}},
      {:setup, 0, {"active", "actpass"}},
      {:setup, 0, {"a=setup:active\n", ""}},
      {:group, nil, {"BUNDLE 0", "BUNDLE 0 1"}},
      {:group, nil, {"BUNDLE 0", "LS 0"}},
      {:rtcp_mux, 0, {"a=recvonly", "a=recvonly\na=rtcp-mux"}}
    ]

    for {{reason, media, {from, to}}, index} <- Enum.with_index(@rules) do
      test "#{index}: #{reason} has an error of its own" do
        answer = String.replace(@answer, unquote(Macro.escape(from)), unquote(to))
        assert answer != @answer
        error = %Error{reason: unquote(reason), media: unquote(media)}
        assert check_answer(offered(@offer), offered(answer)) == {:error, [error]}
      end
    end

    test "so have another identification, time, key and connection" do
      answer =
        String.replace(@answer, "a=mid:0", "a=mid:7") |> String.replace("BUNDLE 0", "BUNDLE")

      assert [%Error{reason: :mid, media: 0}] = errors(offered(@offer), offered(answer))

      late = put_in(offered(@answer).timings, [%Sippet.SDP.Timing{start: 1}])
      assert [%Error{reason: :timing, media: nil}] = errors(offered(@offer), late)

      lost = %{offered(@answer) | connection: nil}
      assert [%Error{reason: :connection, media: 0}] = errors(offered(@offer), lost)

      offer = offered("m=audio 9 RTP/SAVP 0\na=crypto:1 A inline:a\na=crypto:2 B inline:b\n")

      for keys <- [
            "",
            "a=crypto:2 A inline:c\n",
            "a=crypto:1 A inline:c\na=crypto:2 B inline:d\n"
          ] do
        answer = offered("m=audio 9 RTP/SAVP 0\n" <> keys)
        assert [%Error{reason: :crypto, media: 0}] = errors(offer, answer)
      end

      assert errors(offer, offered("m=audio 9 RTP/SAVP 0\na=crypto:2 B inline:c\n")) == []
    end

    test "multicast has rules of its own (§6.2)" do
      offer = offered(@multicast)
      assert check_answer(offer, offered(@multicast)) == :ok

      for {reason, from, to} <- [
            {:multicast_address, "233.252.0.1", "233.252.0.2"},
            {:multicast_address, "audio 9", "audio 10"},
            {:multicast_direction, "a=ptime:20", "a=ptime:20\na=recvonly"},
            {:multicast_formats, "RTP/AVP 0 8", "RTP/AVP 0 18"},
            {:multicast_parameters, "a=ptime:20", "a=ptime:30"}
          ] do
        answer = String.replace(@multicast, from, to)
        assert [%Error{reason: ^reason, media: 0}] = errors(offer, offered(answer))
      end

      # What the offer does not say, the answer may.
      open = String.replace(@multicast, "a=ptime:20\n", "")
      assert check_answer(offered(open), offered(@multicast)) == :ok
    end

    test "every reason has its sentence and its section" do
      for reason <- Error.reasons() do
        assert Exception.message(%Error{reason: reason, media: 1}) =~
                 ~r/\(RFC \d+ §.*description 1/
      end
    end
  end

  describe "changes of a session (§8)" do
    test "compare tells how one version follows another" do
      sdp = offered("m=audio 9 RTP/AVP 0\n")
      version = fn sdp, version -> put_in(sdp.origin.session_version, version) end
      changed = %{sdp | session_name: "x"}

      assert compare(sdp, %{sdp | defects: [:any]}) == :unchanged
      assert compare(sdp, changed) == :altered
      assert compare(sdp, version.(changed, 6)) == :next
      assert compare(sdp, version.(sdp, 6)) == :next
      assert compare(sdp, version.(changed, 7)) == :skipped
      assert compare(sdp, version.(sdp, 4)) == :older
      assert compare(sdp, version.(sdp, "x")) == :unknown
      assert compare(sdp, put_in(sdp.origin.session_id, "9")) == :other_session
      assert compare(sdp, put_in(sdp.origin.address, "192.0.2.9")) == :other_session
    end

    test "check_update has an error for each rule" do
      sdp = offered("m=audio 9 RTP/AVP 96\na=rtpmap:96 opus/48000/2\nm=video 9 RTP/AVP 31\n")
      next = put_in(sdp.origin.session_version, 6)
      assert check_update(sdp, sdp) == :ok
      assert check_update(sdp, next) == :ok

      assert {:error, [%Error{reason: :media_removed, media: nil}]} =
               check_update(sdp, %{next | media: tl(next.media)} |> retype())

      assert {:error, [%Error{reason: :version}]} = check_update(sdp, %{sdp | session_name: "x"})

      assert {:error, [%Error{reason: :origin}, %Error{reason: :version}]} =
               check_update(sdp, put_in(next.origin.username, "x"))

      other = offered("m=audio 9 RTP/AVP 96\na=rtpmap:96 speex/8000\nm=video 9 RTP/AVP 31\n")
      other = put_in(other.origin.session_version, 6)
      assert {:error, [%Error{reason: :payload_type, media: 0}]} = check_update(sdp, other)

      # A slot that was free is another stream (§8.1).
      free = put_in(sdp, [Access.key(:media), Access.at(0), Access.key(:port)], 0)
      assert check_update(free, other) == :ok
    end

    test "hold and resume (§8.4)" do
      for {before, held, resumed} <- [
            {:sendrecv, :sendonly, :sendrecv},
            {:recvonly, :inactive, :recvonly},
            {:sendonly, :sendonly, :sendrecv},
            {:inactive, :inactive, :recvonly}
          ] do
        sdp = offered("a=#{before}\nm=audio 9 RTP/AVP 0\nm=video 0 RTP/AVP 31\n")
        first = hold(sdp)
        second = resume(first)
        assert SDP.direction(first, hd(first.media)) == held
        assert SDP.direction(second, hd(second.media)) == resumed
        assert check_update(sdp, first) == :ok
        assert check_update(first, second) == :ok
        assert hold(first) == first
        assert List.last(first.media) == List.last(sdp.media)
      end
    end

    test "one stream is held, disabled, or added, the others stay" do
      sdp = offered("m=audio 9 RTP/AVP 0\nm=video 9 RTP/AVP 31\na=x\n")
      held = hold(sdp, 1)

      assert [%{attributes: []}, %{attributes: [{"x", true}, {:direction, :sendonly}]}] =
               held.media

      disabled = disable_stream(held, 1)
      assert [%{port: 9}, %{port: 0, formats: ["31"], attributes: []}] = disabled.media
      added = add_stream(disabled, audio(4000, ["opus/48000/2"]))
      assert [_, _, %{formats: ["96"]}] = added.media
      assert added.origin.session_version == 8

      for {one, other} <- [{sdp, held}, {held, disabled}, {disabled, added}] do
        assert check_update(one, other) == :ok
        assert compare(one, other) == :next
      end
    end

    test "the caller's mistakes raise" do
      sdp = offered("m=audio 9 RTP/AVP 0\n")
      assert_raise ArgumentError, ~r/at least 1/, fn -> update(sdp, &%{&1 | media: []}) end
      assert_raise ArgumentError, ~r/index/, fn -> hold(sdp, 1) end
      assert_raise ArgumentError, ~r/index/, fn -> hold(sdp, :audio) end
      odd = put_in(sdp.origin.session_version, "x")
      assert_raise ArgumentError, ~r/session version/, fn -> hold(odd) end
    end
  end

  describe "streams" do
    test "each side sees its own half" do
      offer =
        offered("""
        m=audio 9 RTP/AVP 0 96
        a=rtpmap:96 opus/48000/2
        a=sendonly
        a=ptime:20
        m=video 9 RTP/AVP 31
        """)

      answer = answered(offer, [audio(4000, [{"opus/48000/2", 111}])], payload_types: :own)
      assert [alice, %{active?: false, send: [], receive: []}] = streams(offer, answer)
      assert [bob, %{active?: false}] = streams(answer, offer)

      assert {alice.send?, alice.receive?, alice.held?} == {true, false, false}
      assert {bob.send?, bob.receive?, bob.held?} == {false, true, true}
      assert [%Codec{name: "opus", payload_type: 111}] = alice.send
      assert [%Codec{name: "opus", payload_type: 96}] = alice.receive
      assert [%Codec{name: "opus", payload_type: 96}] = bob.send
      assert {bob.ptime, alice.ptime} == {20, nil}
      assert alice.remote == {"192.0.2.2", 4000}
      assert bob.local == {"192.0.2.2", 4000}
    end
  end

  describe "properties" do
    setup do
      :rand.seed(:exsss, {3264, 4317, 8866})
      :ok
    end

    test "an answer always stands the check, and can be written" do
      accepted =
        Enum.count(1..3000, fn _ ->
          offer = random_offer()
          own = for _ <- 1..:rand.uniform(4), do: random_capability()

          options = [
            prefer: one_of([:offered, :own]),
            payload_types: one_of([:offered, :own]),
            groups: one_of([[], ["BUNDLE"]])
          ]

          answer = answered(offer, own, options)
          assert check_answer(offer, answer) == :ok, SDP.to_string(offer) <> SDP.to_string(answer)
          assert SDP.parse!(SDP.to_string(answer), mode: :strict) == answer

          again = answer(offer, Enum.shuffle(own), [previous: answer] ++ options)
          assert check_answer(offer, again) == :ok
          assert compare(answer, again) in [:unchanged, :next]
          length(streams(answer, offer)) == length(offer.media) and accepted?(answer)
        end)

      # Neither is rare, or this would test nothing.
      assert accepted in 1000..2900
    end

    test "an offer from capabilities is written, read back, and follows the one before" do
      for _ <- 1..1000 do
        first = offer(for(_ <- 1..3, do: random_capability()), origin: @alice)
        assert SDP.parse!(SDP.to_string(first), mode: :strict) == first

        second =
          offer(for(_ <- 1..:rand.uniform(4), do: one_of([nil, random_capability()])) |> trim(),
            previous: first
          )

        assert length(second.media) >= 3
        assert compare(first, second) in [:unchanged, :next]
      end
    end
  end

  # nil in the place of no stream is a mistake.
  defp trim(capabilities),
    do:
      capabilities
      |> Enum.with_index()
      |> Enum.reject(&match?({nil, 3}, &1))
      |> Enum.map(&elem(&1, 0))

  @codecs [
    "PCMU",
    "PCMA",
    "G729",
    "opus/48000/2",
    "telephone-event/8000",
    "rtx/90000",
    "H261",
    "VP8/90000"
  ]

  defp random_offer do
    lines = for index <- 0..(:rand.uniform(5) - 1), do: random_media(index)
    group = one_of(["", "a=group:BUNDLE 0 1 2\n", "a=group:LS 0\na=group:BUNDLE 1\n"])
    direction = one_of(["", "", "a=sendonly\n", "a=inactive\n"])
    session = one_of(["", "a=setup:actpass\n", "a=ice-ufrag:abcd\na=rtcp-mux\n"])
    sdp = offered(Enum.join([group, direction, session | lines]))
    one_of([sdp, sdp, sdp, %{sdp | connection: nil}])
  end

  defp random_media(index) do
    codecs = Enum.take_random(@codecs, :rand.uniform(4))

    mapped =
      for {codec, number} <- Enum.with_index(codecs) do
        codec = Codec.new(codec)
        payload_type = Codec.static_payload_type(codec) || 96 + number

        text =
          Enum.join(
            [
              codec.name,
              codec.clock_rate | if(codec.channels > 1, do: [codec.channels], else: [])
            ],
            "/"
          )

        {payload_type, "a=rtpmap:#{payload_type} #{text}\n"}
      end

    formats = Enum.map_join(mapped, " ", &elem(&1, 0))
    type = one_of(["audio", "audio", "video"])
    port = one_of([9, 9, 9, 0])
    protocol = one_of(["RTP/AVP", "RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "udptl"])

    Enum.join([
      "m=#{type} #{port} #{protocol} #{formats}\n",
      one_of(["", "c=IN IP4 233.252.0.1/127\n", "c=IN IP6 ff15::1\n", "c=IN IP4 0.0.0.0\n"]),
      one_of(["", "b=AS:64\n"]),
      Enum.map(mapped, &one_of([elem(&1, 1), elem(&1, 1), ""])),
      one_of(["", "a=ptime:20\n"]),
      one_of(["", "a=sendrecv\n", "a=sendonly\n", "a=recvonly\n", "a=inactive\n"]),
      one_of(["", "a=mid:#{index}\n"]),
      one_of(["", "a=bundle-only\n"]),
      one_of(["", "a=setup:active\n", "a=setup:passive\n", "a=setup:holdconn\n"]),
      one_of(["", "a=fingerprint:sha-1 4A:AD\n"]),
      one_of(["", "a=crypto:1 A inline:a\na=crypto:2 B inline:b\n"]),
      one_of(["", "a=rtcp-mux\n"]),
      one_of(["", "a=fmtp:96 apt=97\n"])
    ])
  end

  defp random_capability do
    codecs = for codec <- Enum.take_random(@codecs, :rand.uniform(5)), do: Codec.new(codec)
    key = %{tag: 9, suite: "B", key_parameters: ["inline:k"], session_parameters: []}

    %Capability{
      type: one_of(["audio", "video"]),
      port: :rand.uniform(65_535),
      codecs: codecs,
      formats: ["0", "8"],
      protocols:
        Enum.take_random(["RTP/AVP", "RTP/SAVP", "UDP/TLS/RTP/SAVPF", "udptl"], :rand.uniform(3)),
      direction: one_of([:sendrecv, :sendrecv, :sendonly, :recvonly, :inactive]),
      connection: one_of([nil, connection("192.0.2.77")]),
      ptime: one_of([nil, 20]),
      bandwidths: one_of([[], [{"AS", 1}]]),
      attributes:
        Enum.take_random(
          [
            {:setup, one_of([:active, :passive, :actpass])},
            {:fingerprint, %{hash: "sha-1", value: "00:11"}},
            {:rtcp_mux, true},
            {:ice_ufrag, "wxyz"},
            {:mid, "own"},
            {:crypto, key},
            {"x", "y"}
          ],
          :rand.uniform(7)
        )
    }
  end

  defp offered(lines) do
    text = """
    v=0
    o=alice 1 5 IN IP4 192.0.2.1
    s=-
    c=IN IP4 192.0.2.1
    t=0 0
    #{lines}\
    """

    %{SDP.parse!(text) | defects: []}
  end

  defp answered(offer, capabilities, options \\ []),
    do: answer(offer, capabilities, [origin: @bob] ++ options)

  defp errors(offer, answer) do
    case check_answer(offer, answer) do
      :ok -> []
      {:error, errors} -> errors
    end
  end

  # So that no payload type of what was behind it is compared.
  defp retype(sdp),
    do: update_in(sdp.media, fn media -> Enum.map(media, &%{&1 | type: "text"}) end)

  defp one_of(list), do: Enum.random(list)
end
