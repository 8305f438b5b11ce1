defmodule Sippet.Transport.FramerTest do
  use ExUnit.Case, async: true

  alias Sippet.{Message, ParseError}
  alias Sippet.Transport.Framer

  defp request(fields, body \\ ""), do: head() <> fields <> "\r\n" <> body

  defp head do
    "MESSAGE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TCP a.example;branch=z9hG4bK1\r\n" <>
      "From: <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>\r\nCall-ID: 1@a.example\r\n" <>
      "CSeq: 1 MESSAGE\r\n"
  end

  # Frames of a stream in pieces of this size.
  defp frames(stream, size, limits \\ nil) do
    framer = Framer.new(limits)
    stream |> pieces(size) |> Enum.flat_map(&elem(Framer.push(framer, &1), 0)) |> joined()
  end

  defp pieces(data, size) when byte_size(data) <= size, do: [data]

  defp pieces(data, size) do
    <<piece::binary-size(size), rest::binary>> = data
    [piece | pieces(rest, size)]
  end

  # Pings are counted as far as they come together.
  defp joined([{:ping, a}, {:ping, b} | rest]), do: joined([{:ping, a + b} | rest])
  defp joined([frame | rest]), do: [frame | joined(rest)]
  defp joined([]), do: []

  test "messages, pings and the end come out alike in pieces of any size (§18.3)" do
    small = request("l: 5\r\n", "hello")
    large = request("Content-Length: 40000\r\n", String.duplicate("\r\n\0x", 10_000))
    broken = request("Content-Length: 5\r\nl: 5\r\n", "")
    stream = IO.iodata_to_binary([small, "\r\n", large, "\r\n\r\n\r\n\r\n", small, broken, small])

    expected = [
      {:message, small},
      {:message, large},
      {:ping, 2},
      {:message, small},
      {:broken, 400, :duplicate_field, broken}
    ]

    for size <- [1, 2, 3, 7, 1_460, 16_384, 16_385, byte_size(stream)],
        do: assert({size, frames(stream, size)} == {size, expected})
  end

  test "what a stream breaks with is a status code, a reason of ParseError and what is whole of the head" do
    for {stream, status_code, reason, whole} <- [
          {request("Subject: a\r\n"), 400, :missing_field, request("Subject: a\r\n")},
          {request("l: -1\r\n"), 400, :number, request("l: -1\r\n")},
          {request("l: 2000000000\r\n"), 513, :message_too_long, request("l: 2000000000\r\n")},
          {head() <> "A: b\r\nC:" <> String.duplicate("x", 9_000), 513, :line_too_long,
           head() <> "A: b\r\n"},
          {head() <> String.duplicate("A: b\r\n", 65_000), 513, :too_many_fields,
           head() <> String.duplicate("A: b\r\n", 251)},
          {head() <> "A: b\rC", 400, :bare_cr, head()},
          {head() <> "A: b\n\n", 400, :bare_lf, head()},
          {<<22, 3, 1, 0, 47>>, 400, :method, ""},
          {"OPTIONS sip:" <> String.duplicate("x", 9_000), 414, :start_line_too_long, ""}
        ] do
      assert frames(stream, byte_size(stream)) == [{:broken, status_code, reason, whole}]
      assert frames(stream, 5) == [{:broken, status_code, reason, whole}]
      assert reason in ParseError.reasons()
    end
  end

  test "a broken stream brings nothing more" do
    framer = Framer.new()
    assert {[{:broken, 400, :method, ""}], nil} = Framer.push(framer, "\0")
    assert Framer.push(framer, request("l: 0\r\n")) == {[], nil}
  end

  test "the limits are those of the stack" do
    limits =
      put_elem(Sippet.Stack.fetch!(start_stack([])).limits, 7, byte_size(request("l: 5\r\n")) + 5)

    assert [{:message, _}] = frames(request("l: 5\r\n", "hello"), 100, limits)
    assert [{:broken, 513, _, _}] = frames(request("l: 6\r\n", "hello!"), 100, limits)
    stack = Sippet.Stack.fetch!(start_stack(limits: [max_stream_message_ms: 3, max_fields: 6]))
    framer = Framer.new(stack.limits)
    assert Framer.push(framer, "M", 10) == {[], 13}

    assert [{:broken, 513, :too_many_fields, _}] =
             frames(request("l: 0\r\nA: b\r\n"), 100, stack.limits)
  end

  test "a message has a deadline from its first byte on, by the VM's clock, which may be below zero" do
    framer = Framer.new()
    <<first, middle::binary-size(20), rest::binary>> = request("l: 0\r\n")
    assert Framer.push(framer, "\r\n\r\n", -500) == {[{:ping, 1}], nil}
    assert Framer.push(framer, <<first>>, -400) == {[], 9_600}
    assert Framer.push(framer, middle, 9_000) == {[], 9_600}
    assert {[{:message, _}], 19_500} = Framer.push(framer, rest <> <<first>>, 9_500)
    assert {[{:message, _}], nil} = Framer.push(framer, middle <> rest, 9_600)

    before = System.monotonic_time(:millisecond)
    assert {[], deadline} = Framer.push(Framer.new(), "M")
    assert deadline in (before + 10_000)..(System.monotonic_time(:millisecond) + 10_000)
  end

  test "a CRLF is a pong where one is expected only (RFC 5626 §4.4.1)" do
    framer = Framer.new()
    assert Framer.push(framer, "\r\n") == {[], nil}
    assert {[{:message, _}], nil} = Framer.push(framer, request("l: 0\r\n"))

    for _ <- 1..2 do
      assert Framer.expect_pong(framer) == :ok
      assert Framer.push(framer, "\r\n") == {[:pong], nil}
    end

    assert Framer.expect_pong(framer) == :ok
    assert Framer.push(framer, "\r\n\r\n\r\n") == {[:pong, {:ping, 1}], nil}
  end

  test "a whole message is a part of what it came in, and is parsed" do
    stream = String.duplicate(request("l: 5\r\n", "hello"), 3)
    assert {[_, {:message, message}, _], nil} = Framer.push(Framer.new(), stream)
    assert :binary.referenced_byte_size(message) == byte_size(stream)
    assert Message.parse!(message, framing: :datagram).body == "hello"
  end

  test "what is not bytes is a mistake of the caller's" do
    for junk <- [nil, 5, ["a"], <<1::3>>],
        do: assert_raise(ArgumentError, fn -> Framer.push(Framer.new(), junk) end)

    assert_raise ArgumentError, fn -> Framer.new({1, 2}) end
  end

  @tag :costs
  test "16 KiB stay far below the time of a normal scheduler, also where they complete a megabyte" do
    for {before, data} <- [
          {"", String.duplicate("A b\r\nl:0\r\n\r\n", 1_365)},
          {"", String.duplicate("\r\n", 8_192)},
          {"A b\n", String.duplicate("A:\n", 5_461)},
          {head(), String.duplicate("a:\r\n b\r\n", 1_800)},
          {request("l: 1040000\r\n", String.duplicate("x", 1_030_000)),
           String.duplicate("x", 10_000)}
        ] do
      microseconds =
        for _ <- 1..20 do
          framer = Framer.new()
          Framer.push(framer, before)
          {time, _frames} = :timer.tc(fn -> Framer.push(framer, data) end)
          time
        end

      # The fastest of them: others may have been interrupted.
      assert {binary_part(data, 0, 6), Enum.min(microseconds) < 1_000} ==
               {binary_part(data, 0, 6), true}
    end
  end

  defp start_stack(options) do
    name = :"framer_#{System.unique_integer([:positive])}"
    start_supervised!({Sippet, [name: name] ++ options})
    name
  end
end
