defmodule Sippet.Conformance.DifferentialTest do
  # Each row of the tables in guides/security.md: messages that two parsers could read in two ways, and streams that they could
  # cut in two.
  use ExUnit.Case, async: true

  alias Sippet.Message
  alias Sippet.Test.Guide
  alias Sippet.Transport.Framer

  rows = Guide.table("security.md", "Two parsers, one message")

  for {[what, wire, verdict, why], index} <- Enum.with_index(rows, 1) do
    true = why != ""

    {verdict, strict} =
      List.to_tuple(String.split(verdict <> ", strict same", ", strict ") |> Enum.take(2))

    @row {Guide.wire(wire), verdict, strict}

    test "#{index}: #{what}" do
      {wire, verdict, strict} = @row
      judge(verdict, wire, Guide.parse(wire, :lenient))
      strict(strict, verdict, wire)
    end
  end

  for {[what, wire, verdict, why], index} <-
        Enum.with_index(Guide.table("security.md", "Where a message ends on a stream"), 1) do
    true = why != ""
    @row {Guide.message(Guide.wire(wire)), verdict}

    test "#{index} on a stream: #{what}" do
      {stream, verdict} = @row
      judge_stream(verdict, stream, Framer.push(Framer.new(), stream))
    end
  end

  test "no row is there twice, and each has its kind of verdict" do
    for {heading, least} <- [
          {"Two parsers, one message", 50},
          {"Where a message ends on a stream", 15}
        ] do
      rows = Guide.table("security.md", heading)
      assert Enum.uniq_by(rows, &hd/1) == rows
      assert Enum.uniq_by(rows, &Enum.at(&1, 1)) == rows
      assert length(rows) > least
    end
  end

  defp judge_stream("one message", stream, framed), do: assert(framed == {[message: stream], nil})

  defp judge_stream("one message, another begins", stream, {frames, deadline}) do
    assert [message: first] = frames
    assert is_integer(deadline)
    assert [^first, "OPTIONS sip:evil.example SIP/2.0\r\n"] = split(stream, first)
  end

  defp judge_stream(verdict, stream, {frames, nil}) do
    assert [{:broken, status_code, reason, head}] = frames
    assert verdict == "#{status_code} `#{reason}`"
    assert String.starts_with?(stream, head)
  end

  defp split(stream, first),
    do: [first, binary_part(stream, byte_size(first), byte_size(stream) - byte_size(first))]

  defp strict("same", verdict, wire), do: judge(verdict, wire, Guide.parse(wire, :strict))

  defp strict(refused, _verdict, wire) do
    judge(refused, wire, Guide.parse(wire, :strict))
    {:ok, message} = Guide.parse(wire, :lenient)
    assert [%{reason: reason}] = message.defects
    assert to_string(reason) == Guide.wire(refused)
  end

  defp judge(<<status::binary-size(3), " `", _reason::binary>> = verdict, _wire, parsed)
       when status in ["400", "505"] do
    assert {:error, error} = parsed
    assert {to_string(error.reason), "#{error.status_code}"} == {Guide.wire(verdict), status}
  end

  defp judge("read as " <> line, _wire, parsed) do
    assert {:ok, message} = parsed
    assert {:ok, same} = Guide.parse(Guide.wire(line), :strict)
    assert same.defects == []

    assert {message.start_line, message.headers, message.body} ==
             {same.start_line, same.headers, same.body}

    one_form(message)
  end

  defp judge("as it stands", wire, parsed) do
    assert {:ok, message} = parsed
    assert message |> one_form() |> :binary.match(wire) != :nomatch
  end

  defp judge("text", wire, parsed) do
    assert {:ok, message} = parsed
    [name, value] = String.split(wire, ": ")
    assert {:ok, without} = Guide.parse("", :strict)
    assert message.headers == Map.put(without.headers, name, [value])
    one_form(message)
  end

  defp judge("left out", _wire, parsed) do
    assert {:ok, message} = parsed
    assert {:ok, without} = Guide.parse("", :strict)
    assert message.headers == without.headers
    one_form(message)
  end

  defp judge("never written", _wire, parsed) do
    assert {:ok, message} = parsed
    assert_raise ArgumentError, ~r/CR, LF or NUL/, fn -> Message.to_string(message) end
  end

  defp judge("refused by validation", _wire, parsed) do
    assert {:ok, message} = parsed
    assert Message.validate(message) == {:error, "CSeq method and request method do no match"}
  end

  # What goes to the next element: CRLF line ends, no folds, no white space around names, one Content-Length.
  defp one_form(message) do
    written = Message.to_string(message)
    [head, body] = :binary.split(written, "\r\n\r\n")
    assert body == message.body
    [_start_line | lines] = :binary.split(head, "\r\n", [:global])
    refute Enum.any?(lines, &(&1 =~ ~r/[\r\n\0]/))
    names = for line <- lines, [name, _value] = :binary.split(line, ": "), do: name
    assert Enum.all?(names, &(&1 =~ ~r/\A[A-Za-z0-9.!%*_+`'~-]+\z/))
    assert Enum.count(names, &(&1 == "Content-Length")) == 1
    assert "Content-Length: #{byte_size(body)}" in lines

    for name <- ~w(From To Call-ID CSeq Max-Forwards),
        do: assert(Enum.count(names, &(&1 == name)) == 1)

    refute Enum.any?(names, &(String.length(&1) == 1))
    written
  end
end
