defmodule Sippet.SDPTest do
  # Sections without a number are RFC 8866's.
  use ExUnit.Case, async: true

  alias Sippet.{Native, SDP}
  alias Sippet.SDP.{Connection, Media, Origin, ParseError, Timing, WriteError}
  alias Sippet.Test.{Corpus, SDPTerms}

  doctest Sippet.SDP
  doctest Sippet.SDP.ParseError
  doctest Sippet.SDP.WriteError

  @head "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"

  describe "parse" do
    test "the example of section 5 has its values" do
      text =
        crlf("""
        v=0
        o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1
        s=Call to John Smith
        i=SDP Offer #1
        u=http://www.jdoe.example.com/home.html
        e=Jane Doe <jane@jdoe.example.com>
        p=+1 617 555-6011
        c=IN IP4 198.51.100.1
        t=0 0
        m=audio 49170 RTP/AVP 0
        m=audio 49180 RTP/AVP 0
        m=video 51372 RTP/AVP 99
        c=IN IP6 2001:db8::2
        a=rtpmap:99 h263-1998/90000
        """)

      assert SDP.parse!(text, mode: :strict) == %SDP{
               version: 0,
               origin: %Origin{
                 username: "jdoe",
                 session_id: "3724394400",
                 session_version: 3_724_394_405,
                 network_type: "IN",
                 address_type: "IP4",
                 address: "198.51.100.1"
               },
               session_name: "Call to John Smith",
               information: "SDP Offer #1",
               uri: "http://www.jdoe.example.com/home.html",
               emails: ["Jane Doe <jane@jdoe.example.com>"],
               phones: ["+1 617 555-6011"],
               connection: %Connection{address: "198.51.100.1"},
               bandwidths: [],
               timings: [%Timing{start: 0, stop: 0, repeats: [], zone_adjustments: []}],
               key: nil,
               attributes: [],
               media: [
                 %Media{type: "audio", port: 49_170, protocol: "RTP/AVP", formats: ["0"]},
                 %Media{type: "audio", port: 49_180, protocol: "RTP/AVP", formats: ["0"]},
                 %Media{
                   type: "video",
                   port: 51_372,
                   protocol: "RTP/AVP",
                   formats: ["99"],
                   connections: [%Connection{address_type: "IP6", address: "2001:db8::2"}],
                   attributes: [
                     rtpmap: %{
                       payload_type: 99,
                       encoding_name: "h263-1998",
                       clock_rate: 90_000,
                       parameters: nil
                     }
                   ]
                 }
               ],
               unknown: [],
               order: nil,
               defects: []
             }

      assert SDP.to_string(SDP.parse!(text)) == text
    end

    test "repeats, zones, multicast and bandwidths are typed (§5.7 to §5.11)" do
      sdp =
        SDP.parse!("""
        v=0
        o=- 1 1 IN IP4 192.0.2.1
        s=-
        c=IN IP4 233.252.0.1/127/3
        b=AS:64
        t=3724394400 3724398000
        r=7d 1h 0 25h
        z=3730928400 -1h 3749680800 0
        m=video 49170/2 RTP/AVP 31
        """)

      assert sdp.connection == %Connection{address: "233.252.0.1", ttl: 127, address_count: 3}
      assert sdp.bandwidths == [{"AS", 64}]

      assert sdp.timings == [
               %Timing{
                 start: 3_724_394_400,
                 stop: 3_724_398_000,
                 repeats: [{"7d", "1h", ["0", "25h"]}],
                 zone_adjustments: [{3_730_928_400, "-1h"}, {3_749_680_800, "0"}]
               }
             ]

      assert [%Media{port: 49_170, port_count: 2}] = sdp.media
    end

    for {line, attribute} <- [
          {"rtpmap:97 L16/8000/2",
           {:rtpmap, %{payload_type: 97, encoding_name: "L16", clock_rate: 8000, parameters: "2"}}},
          {"fmtp:101 0-15", {:fmtp, %{format: "101", parameters: "0-15"}}},
          {"ptime:20", {:ptime, 20}},
          {"maxptime:2.5", {:maxptime, "2.5"}},
          {"recvonly", {:direction, :recvonly}},
          {"candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998 generation 0",
           {:candidate,
            %{
              foundation: "2",
              component: 1,
              transport: "UDP",
              priority: 1_694_498_815,
              address: "192.0.2.3",
              port: 45_664,
              type: "srflx",
              related_address: "203.0.113.141",
              related_port: 8998,
              extensions: [{"generation", "0"}]
            }}},
          {"fingerprint:sha-1 4A:AD", {:fingerprint, %{hash: "sha-1", value: "4A:AD"}}},
          {"ice-ufrag:8hhY", {:ice_ufrag, "8hhY"}},
          {"ice-pwd:asd88fgpdd777uzjYhagZg", {:ice_pwd, "asd88fgpdd777uzjYhagZg"}},
          {"ice-options:ice2 trickle", {:ice_options, ["ice2", "trickle"]}},
          {"ice-lite", {:ice_lite, true}},
          {"ice-mismatch", {:ice_mismatch, true}},
          {"ice-pacing:50", {:ice_pacing, 50}},
          {"setup:actpass", {:setup, :actpass}},
          {"mid:audio", {:mid, "audio"}},
          {"group:BUNDLE 0 1", {:group, %{semantics: "BUNDLE", mids: ["0", "1"]}}},
          {"msid:a b", {:msid, %{id: "a", appdata: "b"}}},
          {"ssrc:11111 cname:user@example.com",
           {:ssrc, %{ssrc: 11_111, attribute: "cname", value: "user@example.com"}}},
          {"ssrc:1 x", {:ssrc, %{ssrc: 1, attribute: "x", value: true}}},
          {"ssrc-group:FID 1 2", {:ssrc_group, %{semantics: "FID", ssrcs: [1, 2]}}},
          {"crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a|2^20;inline:b UNENCRYPTED_SRTP",
           {:crypto,
            %{
              tag: 1,
              suite: "AES_CM_128_HMAC_SHA1_80",
              key_parameters: ["inline:a|2^20", "inline:b"],
              session_parameters: ["UNENCRYPTED_SRTP"]
            }}},
          {"rtcp:53020",
           {:rtcp, %{port: 53_020, network_type: nil, address_type: nil, address: nil}}},
          {"rtcp:9 IN IP4 0.0.0.0",
           {:rtcp, %{port: 9, network_type: "IN", address_type: "IP4", address: "0.0.0.0"}}},
          {"rtcp-mux", {:rtcp_mux, true}},
          {"rtcp-rsize", {:rtcp_rsize, true}},
          {"rtcp-fb:* nack pli", {:rtcp_fb, %{format: "*", feedback: "nack", parameters: "pli"}}},
          {"framerate:15", {"framerate", "15"}},
          {"x-flag", {"x-flag", true}},
          {"x-empty:", {"x-empty", ""}}
        ] do
      test "a=#{line} is typed, and is written as it was" do
        text = @head <> "a=#{unquote(line)}\r\n"
        assert {:ok, sdp} = SDP.parse(text, mode: :strict)
        assert sdp.attributes == [unquote(Macro.escape(attribute))]
        assert SDP.to_string(sdp) == text
      end
    end

    test "a malformed attribute stays text, with a defect, and does not cost the others" do
      sdp = SDP.parse!(@head <> "a=setup:maybe\r\na=mid:0\r\n")
      assert sdp.attributes == [{"setup", "maybe"}, {:mid, "0"}]
      assert sdp.defects == [%{line: 5, offset: byte_size(@head), reason: :attribute}]
      assert SDP.attribute(sdp, :setup) == nil
      assert SDP.attribute(sdp, "setup") == "maybe"
    end

    test "lines may end in LF, and are written with CRLF" do
      text = String.replace(@head, "\r\n", "\n")
      assert {:ok, sdp} = SDP.parse(text)
      assert [%{reason: :line_end, line: 1}] = sdp.defects
      assert SDP.to_string(sdp) == @head
      assert {:error, %ParseError{reason: :line_end}} = SDP.parse(text, mode: :strict)
    end

    test "unknown lines and the order are kept" do
      text = @head <> "X=1\r\na=x\r\nc=IN IP4 192.0.2.1\r\n"
      sdp = SDP.parse!(text)
      assert {sdp.unknown, sdp.order} == {[{"X", "1"}], "ost-ac"}
      assert SDP.to_string(sdp) == text

      changed = SDP.delete_attribute(sdp, "x")
      assert SDP.to_string(changed) =~ ~r/s=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nX=1\r\n$/
    end

    test "errors name the line and the byte" do
      assert {:error, %ParseError{reason: :media, line: 5, offset: 43}} =
               SDP.parse(@head <> "m=audio\r\n")

      assert_raise ParseError, "a media line is malformed (line 5, byte 43)", fn ->
        SDP.parse!(@head <> "m=audio\r\n")
      end
    end

    test "every limit is an option, and a wrong option raises" do
      for {option, text} <- [
            max_bytes: @head,
            max_lines: @head,
            max_line_bytes: @head,
            max_media: @head <> "m=a 1 b c\r\nm=a 1 b c\r\n",
            max_attributes: @head <> "a=x\r\na=y\r\n"
          ] do
        assert {:error, %ParseError{}} = SDP.parse(text, [{option, 1}])
        assert {:ok, _} = SDP.parse(text, [{option, 100}])
        assert_raise ArgumentError, ~r/#{option}/, fn -> SDP.parse(text, [{option, 0}]) end
      end

      assert_raise ArgumentError, ~r/:mode/, fn -> SDP.parse(@head, mode: :loose) end
      assert_raise ArgumentError, ~r/:max_size/, fn -> SDP.parse(@head, max_size: 1) end
    end

    test "64 KiB of attributes are read on a dirty scheduler, and written there" do
      text =
        @head <> String.duplicate("a=fmtp:101 0-15,66,70 and so on and so on and so on\r\n", 1000)

      assert byte_size(text) > 16_384
      assert {:ok, sdp} = SDP.parse(text, mode: :strict)
      assert length(sdp.attributes) == 1000
      assert SDP.to_string(sdp) == text
    end

    test "the atoms of the reasons are the same on both sides" do
      assert Enum.sort(Native.sdp_parse_reasons()) == Enum.sort(ParseError.reasons())
      assert Enum.sort(Native.sdp_write_reasons()) == Enum.sort(WriteError.reasons())
    end

    test "no atom is made from what a peer sends" do
      names = for n <- 1..200, do: "an-unheard-of-name-#{n}"

      lines =
        for name <- names, do: "a=#{name}:x\r\na=rtcp-fb:* #{name}\r\nm=#{name} 9 #{name} 0\r\n"

      assert {:ok, _} = SDP.parse([@head | lines])

      for name <- names do
        assert_raise ArgumentError, fn -> String.to_existing_atom(name) end
      end
    end
  end

  describe "write" do
    test "a CR, LF or NUL in any value is refused, and the field is named" do
      rtpmap = %{payload_type: 0, encoding_name: "x\n", clock_rate: 1, parameters: nil}

      for evil <- ["x\r\na=y", "x\ry", "x\ny", "x\0y"],
          {sdp, path} <- [
            {%SDP{session_name: evil}, "[:session_name]"},
            {%SDP{origin: %Origin{username: evil}}, "[:origin]"},
            {%SDP{connection: %Connection{address: evil}}, "[:connection]"},
            {%SDP{emails: ["a", evil]}, "[:emails, 1]"},
            {%SDP{bandwidths: [{evil, 1}]}, "[:bandwidths, 0]"},
            {%SDP{unknown: [{"X", evil}]}, "[:unknown, 0]"},
            {%SDP{attributes: [{"x", evil}]}, "[:attributes, 0]"},
            {%SDP{attributes: [{evil, true}]}, "[:attributes, 0]"},
            {%SDP{attributes: [rtpmap: rtpmap]}, "[:attributes, 0]"},
            {media(%{type: evil}), "[:media, 0]"},
            {media(%{protocol: evil}), "[:media, 0]"},
            {media(%{formats: [evil]}), "[:media, 0]"},
            {media(%{attributes: [{:mid, "0"}, {:mid, evil}]}), "[:media, 0, :attributes, 1]"}
          ] do
        message = "cannot write #{path}: there is a CR, LF or NUL in the value"
        assert_raise ArgumentError, message, fn -> SDP.to_iodata(sdp) end
      end
    end

    test "what would be read back as something else is refused" do
      for {sdp, reason} <- [
            {%SDP{attributes: [{"ptime", "20"}]}, :typed},
            {%SDP{attributes: [{"a:b", true}]}, :syntax},
            {%SDP{attributes: [ptime: 20.0]}, :invalid_term},
            {%SDP{attributes: [unknown: "x"]}, :invalid_term},
            {%SDP{attributes: [rtpmap: %{payload_type: 1}]}, :invalid_term},
            {%SDP{attributes: [mid: "a b"]}, :white_space},
            {%SDP{attributes: [mid: ""]}, :empty},
            {%SDP{attributes: [direction: :both]}, :invalid_term},
            {%SDP{unknown: [{"a", "x"}]}, :unknown_line},
            {%SDP{unknown: [{"XY", "x"}]}, :invalid_term},
            {%SDP{connection: %Connection{address: "a", address_count: 2}}, :syntax},
            {%SDP{origin: %Origin{session_version: "7"}}, :syntax},
            {%SDP{origin: %Origin{session_version: -1}}, :invalid_term},
            {%SDP{version: 1}, :invalid_term},
            {%SDP{media: [%Media{}]}, :invalid_term},
            {%SDP{media: :none}, :invalid_term},
            {media(%{port: 65_536}), :invalid_term}
          ] do
        assert {:error, %WriteError{reason: ^reason}} = Native.SDP.write(sdp)
        assert_raise ArgumentError, fn -> to_string(sdp) end
      end
    end
  end

  describe "attributes" do
    test "one is set where the first stood" do
      media = %Media{attributes: [{"x", "1"}, {:mid, "0"}, {"x", "2"}]}
      assert SDP.put_attribute(media, "x", true).attributes == [{"x", true}, {:mid, "0"}]
      assert SDP.put_attribute(media, :ptime, 20).attributes == media.attributes ++ [ptime: 20]
    end

    test "direction and connection are inherited from the session" do
      sdp = %SDP{attributes: [direction: :inactive], connection: %Connection{address: "a"}}
      media = %Media{}
      assert SDP.direction(sdp, media) == :inactive
      assert SDP.direction(%SDP{}, media) == :sendrecv
      assert SDP.connection(sdp, media).address == "a"

      own = %{
        media
        | connections: [%Connection{address: "b"}],
          attributes: [direction: :sendonly]
      }

      assert SDP.connection(sdp, own).address == "b"
      assert SDP.direction(sdp, own) == :sendonly
      assert SDP.connection(%SDP{}, media) == nil
    end
  end

  describe "properties" do
    test "any description of the documented shapes is read back equal" do
      SDPTerms.seed(1)

      written =
        Enum.count(1..3000, fn _ ->
          sdp = SDPTerms.sdp()

          case Native.SDP.write(sdp) do
            {:ok, text} ->
              assert %{SDP.parse!(text) | defects: []} == sdp
              true

            {:error, %WriteError{} = error} ->
              # The one thing drawn here that is not for this function: text for what has a typed form.
              assert error.reason in [:typed, :syntax]
              false
          end
        end)

      assert written > 2000
    end

    test "any term in any place is refused or read back equal" do
      SDPTerms.seed(2)

      written =
        Enum.count(1..5000, fn _ ->
          sdp = SDPTerms.sdp(60)

          case Native.SDP.write(sdp) do
            {:ok, text} ->
              assert %{SDP.parse!(text) | defects: []} == sdp
              true

            {:error, %WriteError{} = error} ->
              assert error.reason in WriteError.reasons()
              assert is_binary(Exception.message(error))
              false
          end
        end)

      assert written > 500 and written < 4500
    end

    test "any change of the bytes is read and written, or refused" do
      SDPTerms.seed(3)

      for _ <- 1..5000 do
        text = SDPTerms.sdp() |> Native.SDP.write()

        with {:ok, text} <- text do
          data = Enum.reduce(1..:rand.uniform(4), text, fn _, text -> change(text) end)

          case SDP.parse(data) do
            {:ok, sdp} ->
              written = SDP.to_string(sdp)
              changing = [:line_end, :empty_line, :spelling]
              changed? = Enum.any?(sdp.defects, &(&1.reason in changing))
              assert changed? or written == data
              assert %{SDP.parse!(written) | defects: []} == %{sdp | defects: []}

            {:error, %ParseError{} = error} ->
              assert error.reason in ParseError.reasons()
              assert error.offset <= byte_size(data)
          end
        end
      end
    end

    test "any bytes are read or refused" do
      SDPTerms.seed(4)

      for _ <- 1..5000 do
        data = :rand.bytes(:rand.uniform(100))
        assert {:error, %ParseError{}} = SDP.parse(data)

        case SDP.parse(@head <> "a=" <> data) do
          {:ok, sdp} -> assert is_binary(SDP.to_string(sdp))
          {:error, %ParseError{}} -> :ok
        end
      end
    end
  end

  if Corpus.path() do
    test "every session description of the corpus parses" do
      bodies =
        for folder <- ~w(rfc4475 rfc5118 flows wild robustness),
            row <- Corpus.rows(folder),
            {:ok, %{body: <<_, _::binary>> = body, headers: headers}} <-
              [Sippet.Message.parse(row["data"], framing: :datagram)],
            match?({{_, "sdp"}, _}, headers[:content_type]) do
          case row["name"] do
            # The RFC leaves the body out, and says so in its place.
            "rfc4538-10-m02-200" ->
              assert {:error, %ParseError{reason: :line}} = SDP.parse(body)
              []

            name ->
              assert {:ok, sdp} = SDP.parse(body), name
              written = SDP.to_string(sdp)
              changing = [:line_end, :empty_line, :spelling]

              assert Enum.any?(sdp.defects, &(&1.reason in changing)) or written == body, name
              [body]
          end
        end

      bodies = List.flatten(bodies)
      IO.puts("\n#{length(bodies)} session descriptions of the corpus")
      assert length(bodies) >= 140
    end
  end

  defp change(text) do
    at = :rand.uniform(byte_size(text) + 1) - 1
    removed = min(:rand.uniform(4) - 1, byte_size(text) - at)
    <<before::binary-size(at), _::binary-size(removed), rest::binary>> = text

    piece =
      Enum.random([
        "",
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        ":",
        "/",
        "0",
        "99999999999999999999",
        <<0xFF>>,
        "\r\na=",
        "\r\nt=0 0",
        "\r\nX=1",
        "\r\nc=IN IP4 a"
      ])

    before <> piece <> rest
  end

  defp media(fields),
    do: %SDP{media: [struct!(%Media{type: "audio", port: 9, formats: ["0"]}, fields)]}

  defp crlf(text), do: String.replace(text, "\n", "\r\n")
end
