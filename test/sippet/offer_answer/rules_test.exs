defmodule Sippet.OfferAnswer.RulesTest do
  # Each rule that an answer or a change can break. Sections without a number are RFC 3264's.
  use ExUnit.Case, async: true

  import Sippet.OfferAnswer
  import Sippet.Test.Descriptions

  alias Sippet.OfferAnswer.Error
  alias Sippet.SDP

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

  defp errors(offer, answer) do
    case check_answer(offer, answer) do
      :ok -> []
      {:error, errors} -> errors
    end
  end

  # So that no payload type of what was behind it is compared.
  defp retype(sdp),
    do: update_in(sdp.media, fn media -> Enum.map(media, &%{&1 | type: "text"}) end)
end
