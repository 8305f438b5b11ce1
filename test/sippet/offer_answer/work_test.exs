defmodule Sippet.OfferAnswer.WorkTest do
  # How the work grows with what a peer has written, counted in reductions: those of a description twice as long.
  use ExUnit.Case, async: true

  alias Sippet.OfferAnswer
  alias Sippet.OfferAnswer.{Capability, Codec}
  alias Sippet.SDP
  alias Sippet.SDP.Origin

  @origin %Origin{username: "bob", session_id: "2", address: "192.0.2.2"}

  # What is quadratic takes four times the work for twice the text.
  @most 3

  for {name, text} <- [
        {"streams without a port, and groups that do not name them", :strangers},
        {"streams without a port, and groups that name them all", :members},
        {"groups of few streams", :groups},
        {"codecs with feedback", :feedback},
        {"codecs that name others", :references},
        {"crypto attributes", :crypto}
      ] do
    test "the work grows with the text: #{name}" do
      for {what, function} <- functions() do
        all = for size <- [32, 64, 128, 256], do: work(function, sdp(unquote(text), size))

        # Where next to nothing is to be done the VM's own work is more.
        for [one, two] <- Enum.chunk_every(all, 2, 1, :discard) do
          assert two < @most * max(one, 5_000), "#{what}: #{inspect(all)} reductions"
        end
      end
    end
  end

  defp functions do
    [
      answer: &OfferAnswer.answer(&1, capabilities(), origin: @origin, groups: ["BUNDLE"]),
      check_answer: &OfferAnswer.check_answer(&1, &1),
      check_less: &OfferAnswer.check_answer(&1, less(&1)),
      check_update: &OfferAnswer.check_update(&1, &1),
      streams: &OfferAnswer.streams(&1, &1),
      accepted?: &OfferAnswer.accepted?/1,
      hold: &OfferAnswer.hold/1
    ]
  end

  # An answer whose groups have fewer streams than those of the offer.
  defp less(sdp) do
    attributes =
      for {:group, group} <- sdp.attributes,
          do: {:group, %{group | mids: Enum.drop(group.mids, 1)}}

    %{sdp | attributes: attributes}
  end

  defp capabilities do
    for port <- [4000, 4002] do
      %Capability{
        type: "audio",
        port: port,
        protocols: ["RTP/AVP"],
        codecs: [Codec.new("opus/48000/2"), Codec.new("PCMU")]
      }
    end
  end

  defp work(function, sdp) do
    Task.async(fn ->
      {:reductions, before} = Process.info(self(), :reductions)
      _ = function.(sdp)
      {:reductions, now} = Process.info(self(), :reductions)
      now - before
    end)
    |> Task.await(60_000)
  end

  # Sizes stay within the limits of Sippet.SDP.parse/2, so that these are descriptions that arrive.
  defp sdp(:strangers, size),
    do:
      parse([
        for(group <- 1..(4 * size), do: group(for(n <- 1..8, do: "x#{group}.#{n}"))),
        bundled(size)
      ])

  defp sdp(:members, size) do
    mids = for n <- 1..size, do: n
    lines = for part <- Enum.chunk_every(mids, 8), _ <- 1..32, do: group(part)
    parse([lines, bundled(size)])
  end

  defp sdp(:groups, size) do
    lines = for n <- 1..(4 * size), do: group([rem(n, size) + 1, div(n, size) + 1])
    parse([lines, bundled(size)])
  end

  defp sdp(:feedback, size) do
    formats = for n <- 1..div(size, 2), do: n - 1

    parse([
      ["m=audio 9 RTP/AVP", for(n <- formats, do: " #{n}"), "\r\n"],
      for(n <- formats, do: "a=rtpmap:#{n} opus/48000/2\r\n"),
      for(n <- formats, do: "a=rtcp-fb:#{n} nack x#{n}\r\n")
    ])
  end

  defp sdp(:references, size) do
    formats = for n <- 1..div(size, 2), do: n - 1

    parse([
      ["m=audio 9 RTP/AVP", for(n <- formats, do: " #{n}"), "\r\n"],
      for(n <- formats, do: "a=rtpmap:#{n} red/48000/2\r\na=fmtp:#{n} #{n}/0/1\r\n")
    ])
  end

  defp sdp(:crypto, size) do
    parse([
      "m=audio 9 RTP/SAVP 0\r\n",
      for(n <- 1..(2 * size), do: "a=crypto:#{n} AES_#{n} inline:b\r\n")
    ])
  end

  defp group(mids), do: ["a=group:BUNDLE", for(mid <- mids, do: " #{mid}"), "\r\n"]

  defp bundled(size) do
    for n <- 1..min(size, 255), do: "m=audio 0 RTP/AVP 0\r\na=bundle-only\r\na=mid:#{n}\r\n"
  end

  defp parse(lines) do
    head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    {:ok, sdp} = SDP.parse([head, lines], mode: :lenient, max_bytes: 200_000)
    sdp
  end
end
