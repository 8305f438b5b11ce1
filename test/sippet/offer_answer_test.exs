defmodule Sippet.OfferAnswerTest do
  # Sections without a number are RFC 3264's. Its examples and those of RFC 4317 are in test/conformance.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions

  alias Sippet.OfferAnswer.{Capability, Codec}
  alias Sippet.SDP.{Media, Origin}

  doctest Sippet.OfferAnswer
  doctest Sippet.OfferAnswer.Codec
  doctest Sippet.OfferAnswer.Error

  @alice %Origin{username: "alice", session_id: "1", session_version: 5, address: "192.0.2.1"}

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

      # One number cannot stand for two codecs (RFC 3264 §5.1), nor can 128 be one.
      for codecs <- [["PCMU", {"iLBC/8000", 0}], [{"a/1", 96}, {"b/1", 96}], [{"a/1", 128}]] do
        assert_raise ArgumentError, ~r/payload types/, fn ->
          offer([audio(1, codecs)], origin: @alice)
        end
      end

      codecs = for n <- 1..62, do: "x#{n}/8000"

      assert_raise ArgumentError, ~r/at most 61/, fn ->
        offer([audio(1, codecs)], origin: @alice)
      end
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

    test "0.0.0.0 holds a stream, but not one of ICE, which has no address yet (RFC 8839 §4.4.1.1.1)" do
      line = "m=audio 9 RTP/AVP 0\nc=IN IP4 0.0.0.0\n"
      ice = "a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuvwx\n"
      own = [ice_ufrag: "efgh", ice_pwd: "zyxwvutsrqponmlkjihgfedc"]

      for {lines, own, state} <- [
            {line, own, {false, true, true}},
            {line <> ice, own, {true, true, false}},
            {ice <> line, own, {true, true, false}},
            # Nobody looks for another address.
            {line <> ice, [], {false, true, false}},
            {line <> ice <> "a=sendonly\n", own, {false, true, true}}
          ] do
        offer = offered(lines)
        answer = answered(offer, [audio(4000, ["PCMU"], attributes: own)])
        [stream] = streams(answer, offer)
        assert {stream.send?, stream.receive?, stream.held?} == state
      end
    end
  end
end
