defmodule Sippet.Trace.DrawingTest do
  use ExUnit.Case, async: true

  alias Sippet.Test.{Pcapng, XML}
  alias Sippet.Trace
  alias Sippet.Trace.Event

  @alice {{192, 0, 2, 1}, 5060}
  @bob {{0x2001, 0xDB8, 0, 0, 0, 0, 0, 1}, 5061}
  @here {{198, 51, 100, 7}, 5060}

  defp event(time, direction, remote, line, fields \\ []) do
    data = """
    #{line}
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK776asdhds
    From: <sip:alice@atlanta.example>;tag=1928301774
    To: <sip:bob@biloxi.example>
    Call-ID: a84b4c76e66710
    CSeq: 1 INVITE

    """

    Event.new(
      [time: time, direction: direction, protocol: :udp, stack: :proxy, local: @here] ++
        [remote: remote, data: Keyword.get(fields, :data, data)] ++ Keyword.delete(fields, :data)
    )
  end

  # A call through a proxy, with a repetition and a failure.
  defp call do
    invite = "INVITE sip:bob@biloxi.example SIP/2.0"
    start = 1_700_000_000_000_000

    [
      event(start, :received, @alice, invite),
      event(start + 500, :sent, @bob, invite, protocol: :tls),
      event(start + 500_000, :received, @alice, invite),
      event(start + 500_100, :sent, @bob, invite,
        protocol: :tls,
        outcome: {:failed, :connection_closed}
      ),
      event(start + 61_000_000, :sent, @alice, "SIP/2.0 503 Service Unavailable")
    ]
  end

  # What a peer may put where it is shown.
  @hostile [
    ~s|INVITE sip:"><script>alert(1)</script>&amp;'@b SIP/2.0|,
    "INVITE sip:a;b#c%%{init}--x->>p9:end@b SIP/2.0",
    "SIP/2.0 200 end; participant p9 as x<br/>]]> &#0; \e[31m\u202E\x01\xFF",
    "SIP/2.0 200 " <> String.duplicate("long ", 100)
  ]

  defp hostile do
    lines =
      for {line, time} <- Enum.with_index(@hostile), do: event(time, :received, @alice, line)

    all = for byte <- 0..255, into: "", do: <<byte>>

    junk =
      for <<part::binary-size(32) <- all>>,
        do: event(9, :received, @alice, "", data: part, outcome: {:rejected, :start_line})

    lines ++
      junk ++
      [
        event(10, :sent, {"<b>&\"host\n", 5060}, "",
          data: "",
          outcome: {:failed, {:bad, "<x>\n;"}}
        )
      ]
  end

  test "as text: a line for each side in the order of the call, an arrow for each message" do
    assert Trace.to_text(call(), names: %{@bob => "bob", {192, 0, 2, 1} => "alice"}) == """
                       alice                                  :proxy                                 bob
               0.0 ms  |-- INVITE sip:bob@biloxi.example ---->|                                      |  udp
               0.5 ms  |                                      |-- INVITE sip:bob@biloxi.example ---->|  tls
             500.0 ms  |-- INVITE sip:bob@biloxi.example ---->|                                      |  udp  again
             500.1 ms  |                                      |-- INVITE sip:bob@biloxi.example ----x|  tls  again  failed: connection_closed
           61000.0 ms  |<- 503 Service Unavailable (INVITE) --|                                      |  udp
           """
  end

  test "addresses stand where there are no names; one name is one line" do
    assert ["  " <> head | _] = String.split(Trace.to_text(call()), "\n")
    assert String.split(head) == ["192.0.2.1:5060", ":proxy", "[2001:db8::1]:5061"]

    [head | arrows] =
      String.split(
        Trace.to_text(call(),
          names: %{@bob => "users", @alice => "users", @here => "here", proxy: "other"}
        ),
        "\n"
      )

    assert String.split(head) == ["users", "here"]
    for arrow <- arrows, arrow != "", do: assert(length(String.split(arrow, "|")) == 3)
  end

  test "whole messages on demand" do
    text = Trace.to_text(call(), messages: true)

    assert text =~
             "\n2023-11-14 22:13:20.000500Z  :proxy -> [2001:db8::1]:5061  tls\n    INVITE sip:bob@biloxi.example SIP/2.0\n    Via: "

    assert length(String.split(text, "Call-ID: a84b4c76e66710\n")) == 6
  end

  test "more peers than fit are one line" do
    events =
      for number <- 1..40,
          do: event(number, :received, {{10, 0, 0, number}, 5060}, "INVITE sip:b SIP/2.0")

    [head | arrows] = events |> Trace.to_text() |> String.split("\n", trim: true)
    assert length(String.split(head)) == 17
    assert List.last(String.split(head)) == "others"
    assert length(arrows) == 40
    assert length(XML.elements(XML.parse(Trace.to_svg(events)), :polygon)) == 40
  end

  test "what was meant to be a message, and what was not" do
    for {data, label} <- [
          {"INVITE sip:b SIP/2.0\r\n\r\n", "malformed: INVITE sip:b"},
          {"SIP/2.0 400 Bad Request\r\nCall-ID: a b\r\n\r\n", "malformed: 400 Bad Request"},
          {"GET / HTTP/1.1\r\n\r\n", ~S(no message: "GET / HTTP/1.1\r\n\r\n")},
          {"", ~S(no message: "")},
          {"\r\n\r\nINVITE\r\n", ~S(no message: "\r\n\r\nINVITE\r\n")}
        ] do
      assert Event.summary(Event.new(time: 0, direction: :received, remote: @alice, data: data)) ==
               label
    end

    [invite | _] = call()

    assert Event.summary(%{invite | data: "\r\n" <> invite.data}) ==
             "INVITE sip:bob@biloxi.example"
  end

  test "without events there is nothing to draw" do
    assert String.trim(Trace.to_text([])) == ""
    assert Trace.to_mermaid([]) == "sequenceDiagram\n"
    assert {:svg, _, _} = XML.parse(Trace.to_svg([]))
    assert Pcapng.packets(Trace.to_pcapng([])) == []
  end

  describe "what a peer has sent has no say in the drawing:" do
    test "as text it is printable ASCII, a line an arrow" do
      text = Trace.to_text(hostile())
      assert text =~ ~r/\A[\x20-\x7E\n]*\z/
      assert length(String.split(text, "\n", trim: true)) == length(hostile()) + 1
      assert text =~ ~S(no message: "\x00\x01\x02)
      assert text =~ ~S(\x1B[31m\xE2\x80\xAE\x01)
      for line <- String.split(text, "\n"), do: assert(String.length(line) < 300)
      assert Trace.to_text(hostile(), messages: true) =~ ~r/\A[\x20-\x7E\n]*\z/
    end

    test "as Mermaid nothing but participants and arrows" do
      lines = hostile() |> Trace.to_mermaid() |> String.split("\n", trim: true)
      assert ["sequenceDiagram" | lines] = lines
      {participants, arrows} = Enum.split_while(lines, &String.starts_with?(&1, "  participant "))
      text = "(?:[A-Za-z0-9 .,:@()_=+/-]|#[0-9]{1,3};)+"
      for line <- participants, do: assert(line =~ ~r"\A  participant p[0-2] as #{text}\z")

      for line <- arrows,
          do: assert(line =~ ~r"\A  p[0-2](->>|-x)p[0-2]: [0-9]+\.[0-9] ms: #{text}\z")

      assert {length(participants), length(arrows)} == {3, length(hostile())}
      for line <- lines, do: refute(line =~ ~r/\bend\b/i)
    end

    test "as SVG it is text" do
      for messages <- [false, true] do
        svg =
          XML.parse(Trace.to_svg(hostile(), messages: messages, title: ~s(<script>"&'</script>)))

        assert {:svg, %{role: "img"}, _} = svg

        assert MapSet.subset?(
                 names(svg),
                 MapSet.new([:svg, :title, :rect, :line, :text, :g, :polygon, :path])
               )

        assert [title | details] = Enum.map(XML.elements(svg, :title), &XML.text/1)
        assert title == ~s(<script>"&'</script>)
        assert length(details) == if(messages, do: length(hostile()), else: 0)
        texts = Enum.map(XML.elements(svg, :text), &XML.text/1)
        assert ~s|malformed: INVITE sip:"><script>alert(1)</script>&amp;'@b| in texts
        assert Enum.any?(texts, &(&1 =~ "200 end; participant p9 as x<br/>]]> &#0; "))

        assert ~s(failed: {:bad, "<x>\\n;"}) in Enum.map(
                 texts,
                 &String.replace_prefix(&1, "udp  ", "")
               )

        for text <- texts ++ details, do: assert(text =~ ~r/\A[\x20-\x7E\n]*\z/)
      end
    end

    defp names({name, attributes, content}) do
      for {_name, value} <- attributes,
          do: refute(value =~ ~r/script|url|http:(?!\/\/www\.w3\.org)/)

      Enum.reduce(content, MapSet.new([name]), &MapSet.union(names(&1), &2))
    end

    defp names(_text), do: MapSet.new()
  end

  test "an SVG has an arrow for each message, between the lines of its sides, in its width" do
    svg = XML.parse(Trace.to_svg(call()))
    {:svg, %{width: width, height: height, viewBox: box}, _} = svg
    assert box == "0 0 #{width} #{height}"

    [alice, proxy, bob] =
      for {_, %{x1: x, x2: x}, _} <- XML.elements(svg, :line), do: String.to_integer(x)

    assert 0 < alice and alice < proxy and proxy < bob and bob < String.to_integer(width)

    arrows =
      for {_, %{x1: from, x2: to, y1: y, y2: y}, _} <- XML.elements(svg, :line),
          do: {String.to_integer(from), String.to_integer(to), String.to_integer(y)}

    assert Enum.map(arrows, fn {from, to, _} -> {from, to} end) == [
             {alice, proxy},
             {proxy, bob},
             {alice, proxy},
             {proxy, bob},
             {proxy, alice}
           ]

    rows = Enum.map(arrows, &elem(&1, 2))

    assert rows == Enum.sort(rows) and Enum.uniq(rows) == rows and
             List.last(rows) < String.to_integer(height)

    # Four arrive, one does not.
    assert {length(XML.elements(svg, :polygon)), length(XML.elements(svg, :path))} == {4, 1}
  end

  describe "as pcapng" do
    test "a message is an exported PDU with its addresses, its time and its direction" do
      packets = Pcapng.packets(Trace.to_pcapng(call()))
      assert Enum.map(packets, & &1.time) == Enum.map(call(), & &1.time)
      assert Enum.map(packets, & &1.data) == Enum.map(call(), & &1.data)
      assert Enum.map(packets, & &1.flags) == [1, 2, 1, 2, 2]

      assert Enum.map(packets, & &1.comment) == [
               "udp",
               "tls",
               "udp",
               "tls  failed: connection_closed",
               "udp"
             ]

      for packet <- packets do
        assert packet.link_type == 252
        assert packet.tags[12] == "sip\0"
      end

      # IPv4 source and destination are the tags 20 and 21, the port's type 24, the ports 25 and 26.
      [first | _] = packets

      assert first.tags == %{
               12 => "sip\0",
               20 => <<192, 0, 2, 1>>,
               21 => <<198, 51, 100, 7>>,
               24 => <<3::32>>,
               25 => <<5060::32>>,
               26 => <<5060::32>>
             }

      last = List.last(packets)
      assert {last.tags[20], last.tags[21]} == {<<198, 51, 100, 7>>, <<192, 0, 2, 1>>}
    end

    test "IPv6, streams, and what has no address" do
      here = {{0, 0, 0, 0, 0, 0, 0, 1}, 5061}

      events = [
        event(0, :sent, @bob, "INVITE sip:b SIP/2.0", protocol: :wss, local: here),
        event(0, :received, {"host", 9}, "INVITE sip:b SIP/2.0", protocol: :sctp, local: nil),
        event(0, :sent, @bob, "", protocol: nil, local: nil, data: "x")
      ]

      assert [stream, host, gone] = Pcapng.packets(Trace.to_pcapng(events))

      assert stream.tags == %{
               12 => "sip\0",
               22 => <<1::128>>,
               23 => <<0x20, 0x01, 0x0D, 0xB8, 0::88, 1>>,
               24 => <<2::32>>,
               25 => <<5061::32>>,
               26 => <<5061::32>>
             }

      assert Map.take(host.tags, [20, 21, 22, 23, 24, 25, 26]) == %{
               24 => <<1::32>>,
               25 => <<9::32>>,
               26 => <<0::32>>
             }

      assert {gone.tags[24], gone.data, gone.comment} == {<<0::32>>, "x", nil}
    end

    test "of a message that was cut the length is that of the whole" do
      cut = %{event(0, :sent, @alice, "", data: "0123") | bytes: 100, truncated: true}
      assert [%{data: "0123", length: 100}] = Pcapng.packets(Trace.to_pcapng([cut]))
      assert [%{length: 4}] = Pcapng.packets(Trace.to_pcapng([%{cut | truncated: false}]))
    end
  end
end
