defmodule Sippet.OfferAnswer.PropertyTest do
  # Offers and capabilities without end. Sections without a number are RFC 3264's.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions

  alias Sippet.OfferAnswer.{Capability, Codec}
  alias Sippet.SDP
  alias Sippet.SDP.Origin

  @alice %Origin{username: "alice", session_id: "1", session_version: 5, address: "192.0.2.1"}

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

  defp one_of(list), do: Enum.random(list)
end
