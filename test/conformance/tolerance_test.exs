defmodule Sippet.Conformance.ToleranceTest do
  # Each row of the tables in guides/parsing.md, held against what parsing does.
  use ExUnit.Case, async: true

  alias Sippet.Message
  alias Sippet.Test.Guide

  for heading <- [
        "Start line",
        "Header fields",
        "Malformed fields that stay text",
        "Taken in any mode"
      ] do
    rows = Guide.table("parsing.md", heading)
    true = rows != []

    for {[what, wire, read_as, defect, strict], index} <- Enum.with_index(rows, 1) do
      @row {Guide.wire(wire), read_as, Guide.wire(defect), strict}
      test "#{heading} #{index}: #{what}" do
        {wire, read_as, defect, strict} = @row
        assert {:ok, message} = Guide.parse(wire, :lenient)

        assert Message.validate(message) in [
                 :ok,
                 {:error, "CSeq method and request method do no match"}
               ]

        read_as(read_as, wire, message)
        defect(defect, strict, wire, message)
        written(message)
      end
    end
  end

  for {[what, wire, reason, status], index} <-
        Enum.with_index(Guide.table("parsing.md", "Never forgiven"), 1) do
    @row {Guide.wire(wire), Guide.wire(reason), String.to_integer(status)}
    test "Never forgiven #{index}: #{what}" do
      {wire, reason, status} = @row

      for mode <- [:lenient, :strict] do
        assert {:error, error} = Guide.parse(wire, mode)
        assert {to_string(error.reason), error.status_code} == {reason, status}
      end
    end
  end

  for [option, default, _counts, reason, status] <- Guide.table("parsing.md", "Limits") do
    @row {option |> Guide.wire() |> String.to_atom(), String.to_integer(default),
          Guide.wire(reason), String.to_integer(status)}

    test "Limits: #{option} is a bound in both modes, by default and as an option" do
      {option, default, reason, status} = @row

      for {limit, options} <- [
            {default, []},
            {div(default, 2), [{option, div(default, 2)}]},
            {default + 3, [{option, default + 3}]}
          ],
          mode <- [:lenient, :strict] do
        options = [{:mode, mode} | options]
        assert {:ok, _message} = option |> counting(limit) |> Message.parse(options)
        assert {:error, error} = option |> counting(limit + 1) |> Message.parse(options)
        assert {to_string(error.reason), error.status_code} == {reason, status}
      end
    end
  end

  test "Limits: a datagram and a start line have bounds of their own" do
    assert {:ok, _message} =
             :max_message_bytes |> counting(65_536) |> Message.parse(framing: :datagram)

    assert {:error, %{reason: :message_too_long, status_code: 513}} =
             :max_message_bytes |> counting(65_537) |> Message.parse(framing: :datagram)

    start_line = fn bytes -> "OPTIONS sip:" <> String.duplicate("a", bytes - 20) <> " SIP/2.0" end
    assert {:ok, _message} = 8_192 |> start_line.() |> Guide.message() |> Message.parse()

    assert {:error, %{reason: :start_line_too_long, status_code: 414}} =
             8_193 |> start_line.() |> Guide.message() |> Message.parse()

    assert {:error, %{reason: :start_line_too_long}} =
             101 |> start_line.() |> Guide.message() |> Message.parse(max_line_bytes: 100)

    via = Enum.map_join(1..65, ",", &"SIP/2.0/UDP p#{&1}.example")

    for name <- ["Via: ", "v: "] do
      assert {:error, %{reason: :too_many_values, header: :via, status_code: 513}} =
               Message.parse("OPTIONS sip:a.example SIP/2.0\r\n#{name}#{via}\r\n\r\n")
    end
  end

  test "Limits: the table has every option and its default" do
    rows =
      for [option, default | _] <- Guide.table("parsing.md", "Limits"),
          do: {Guide.wire(option), default}

    {:whole, :lenient, defaults} = Message.ParseOptions.read([])

    assert for({_option, default} <- rows, do: String.to_integer(default)) ==
             Tuple.to_list(defaults)

    {:datagram, _mode, limits} = Message.ParseOptions.read(framing: :datagram)
    assert elem(limits, 0) == 65_536
  end

  defp read_as("as it stands", wire, message) do
    [_name, value] = if wire =~ ~r/^SIP/, do: [nil, wire], else: :binary.split(wire, ": ")
    assert message |> Message.to_string() |> :binary.match(value) != :nomatch
  end

  defp read_as("left out", _wire, message) do
    {:ok, without} = Guide.parse("", :strict)
    assert {message.headers, message.start_line} == {without.headers, without.start_line}
  end

  defp read_as("text", wire, message) do
    [line | _] = wire |> String.split("\r\n") |> Enum.reverse()
    [name, value] = String.split(line, ":", parts: 2)
    assert message.headers[name] == [String.trim(value)]
    if not (wire =~ "\r\n"), do: refute(is_map_key(message.headers, key(name)))
  end

  defp read_as(cell, _wire, message) do
    assert {:ok, same} = Guide.parse(Guide.wire(cell), :strict)
    assert {message.headers, message.start_line} == {same.headers, same.start_line}
  end

  defp defect("none", "taken", wire, message) do
    assert message.defects == []
    assert Guide.parse(wire, :strict) == {:ok, message}
  end

  defp defect(reason, "400", wire, message) do
    assert [%{reason: found, header: header, offset: offset}] = message.defects
    assert to_string(found) == reason
    assert {:error, error} = Guide.parse(wire, :strict)
    assert {error.reason, error.offset, error.status_code} == {found, offset, 400}
    assert key(error.header) == key(header)
  end

  # What was forgiven is gone once it is written, but for what stays as text.
  defp written(message) do
    text? = Enum.any?(Map.keys(message.headers), &is_binary/1)
    assert {:ok, again} = message |> Message.to_string() |> Message.parse()
    assert Map.delete(again.headers, :content_length) == without_replaced(message.headers)
    assert again.start_line == message.start_line

    kept = [
      :control_character,
      :token | if(text?, do: Enum.map(message.defects, & &1.reason), else: [])
    ]

    assert Enum.map(again.defects, & &1.reason) -- kept == []
  end

  # Text beside a typed value is not written.
  defp without_replaced(headers) do
    for {name, value} <- headers,
        is_atom(name) or not is_map_key(headers, key(name)),
        into: %{},
        do: {name, value}
  end

  defp key(name) when is_binary(name),
    do: name |> String.downcase() |> String.replace("-", "_") |> String.to_atom()

  defp key(atom), do: atom

  # A message with exactly `count` of what a limit counts.
  defp counting(:max_message_bytes, count) do
    text = Guide.message("") |> String.replace("Max-Forwards: 70\r\n", "")
    text <> String.duplicate("a", count - byte_size(text))
  end

  defp counting(:max_fields, count),
    do: Guide.message(Enum.map_join(1..(count - 6), "\r\n", &"X-#{&1}: a"))

  defp counting(:max_line_bytes, count),
    do: Guide.message("Subject: " <> String.duplicate("a", count - 9))

  defp counting(:max_values, count),
    do: Guide.message("Supported: " <> Enum.map_join(1..count, ",", &"o#{&1}"))

  defp counting(:max_hops, count),
    do: Guide.message("Route: " <> Enum.map_join(1..count, ",", &"<sip:p#{&1}.example;lr>"))

  defp counting(:max_parameters, count),
    do: Guide.message("Contact: <sip:a@b.example>" <> Enum.map_join(1..count, &";p#{&1}=1"))

  defp counting(:max_folds, count),
    do: Guide.message("Subject: a" <> Enum.map_join(1..count, &"\r\n #{&1}"))
end
