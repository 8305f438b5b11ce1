defmodule Sippet.Conformance.CorpusTest do
  # Every message of the corpus, judged as a datagram by parsing and validation, as its index says: see its README. Streams,
  # and datagrams with a Content-Length, are framed in pieces of several sizes too.
  use ExUnit.Case, async: true

  alias Sippet.{Message, ParseError}
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Test.Corpus
  alias Sippet.Transport.Framer

  @folders ~w(rfc4475 rfc5118 flows wild robustness)

  # Rows that are valid, and beyond our limits: an element may set its own (§16.3 item 3, §21.5.14).
  @beyond_limits %{
    "size-70-via" => {:too_many_values, max_hops: 128},
    "bomb-backslash" => {:line_too_long, max_line_bytes: 65_536}
  }

  # Rows that are parsed, as they shall be, and in which validation then finds this fault.
  @differing Map.merge(
               # §18.3: on a stream, which the topmost Via names, the end of a message is not known without Content-Length.
               Map.new(
                 ~w(rfc4538-10-m01-invite transfer-6.2-F5-refer transfer-6.3-F5-refer transfer-6.5-F3-refer
                    transfer-6.5-F3-refer-2 transfer-6.5-F5-refer transfer-7-F5-refer),
                 &{&1, "No Content-Length header, but body is not nil"}
               ),
               %{
                 # §8.1.1.5: a slip of the draft they are from.
                 "transfer-5.2-F4-notify" => "CSeq method and request method do no match",
                 "transfer-5.2-F6-notify" => "CSeq method and request method do no match",
                 # §8.1.1.3: only a request of RFC 2543 could do without.
                 "from-tag-none" => ":from does not have tag"
               }
             )

  # Messages with a NUL in a quoted pair: the grammar has it (§25.1), and they are parsed, but we write no NUL, since
  # others take it for the end of a string.
  @not_written ~w(intmeth intmeth--lead-crlf intmeth--swapcase intmeth--ws-colon intmeth--tight intmeth--extra-hdr
                  nul-quoted-pair)

  # Facts that a message does not show: rows are merged, and the rest is for the layers above.
  @elsewhere ~w(header_rows octets_after_blank_line parts boundary response action)

  if Corpus.path() == nil do
    @moduletag skip: "no corpus"
    IO.puts("corpus: not found, no row of it was judged (SIPPET_CORPUS names its place)")
  end

  for folder <- @folders do
    test "messages of #{folder} are judged as the index says" do
      rows = Corpus.rows(unquote(folder))
      assert rows != []
      faults = Enum.flat_map(rows, &faults/1)
      streams = Enum.filter(rows, &stream?/1)
      assert streams != []

      IO.puts(
        "corpus: #{length(rows)} rows of #{unquote(folder)} judged, #{length(streams)} of them as streams too"
      )

      assert faults ++ Enum.flat_map(streams, &framing/1) == []
    end
  end

  # What means the same: other names, spaces, folds, line ends and orders. A variant may have a field of its own, and other
  # letters in names that nobody knows.
  test "variants of a message are the same message (§7.3.1)" do
    rows = Corpus.rows("rfc4475")
    bases = Map.new(rows, &{&1["name"], &1})

    compared =
      for %{"variant" => variant, "base" => base} = row <- rows,
          # These lack a part.
          variant not in ["cut-half", "no-blank"] do
        assert {row["name"], meaning(row)} == {row["name"], meaning(bases[base])}
      end

    IO.puts("corpus: #{length(compared)} variants of rfc4475 compared")
    assert compared != []
  end

  defp meaning(row) do
    message = Message.parse!(row["data"], framing: :datagram)

    headers =
      for {name, value} <- message.headers, into: %{} do
        {if(is_binary(name), do: String.downcase(name), else: name), value}
      end

    {message.start_line, Map.delete(headers, "x-unknown-field"), message.body}
  end

  test "rows with a rule of their own are there" do
    names = for folder <- @folders, row <- Corpus.rows(folder), do: row["name"]
    assert (Map.keys(@beyond_limits) ++ Map.keys(@differing) ++ @not_written) -- names == []
  end

  defp faults(%{"name" => name} = row) do
    {refused, options} = beyond_limits(name, row["data"])

    {microseconds, parsed} =
      :timer.tc(Message, :parse, [row["data"], [framing: :datagram] ++ options])

    late = if microseconds > 1_000_000, do: [{name, :took, microseconds}], else: []
    refused ++ late ++ verdict(row, parsed)
  end

  defp beyond_limits(name, data) do
    case @beyond_limits do
      %{^name => {reason, options}} ->
        case Message.parse(data, framing: :datagram) do
          {:error, %{reason: ^reason, status_code: 513}} -> {[], options}
          other -> {[{name, :expected, reason, :got, other}], options}
        end

      _within ->
        {[], []}
    end
  end

  # What can be framed on a stream is the framer's to say, in framing/1; here it must do no harm.
  defp verdict(%{"framing" => "stream"}, parsed), do: no_exception(parsed)

  defp verdict(%{"name" => name} = row, parsed) do
    case {expected(row["verdict"]), judged(name, parsed)} do
      {:either, _judged} -> no_exception(parsed)
      {:invalid, :invalid} -> []
      {:valid, :valid} -> facts(row, elem(parsed, 1))
      {expected, judged} -> [{name, :expected, expected, :got, judged, why(parsed)}]
    end
  end

  defp judged(name, parsed) do
    fault = Map.get(@differing, name)

    case parsed do
      {:ok, message} when fault == nil ->
        if Message.validate(message) == :ok, do: :valid, else: :invalid

      {:ok, message} ->
        assert Message.validate(message) == {:error, fault}
        :valid

      {:error, _error} ->
        :invalid
    end
  end

  defp no_exception({:ok, %Message{}}), do: []
  defp no_exception({:error, %ParseError{}}), do: []

  defp expected("valid"), do: :valid
  defp expected("invalid"), do: :invalid
  defp expected("either"), do: :either

  defp why({:error, error}), do: Exception.message(error)
  defp why({:ok, message}), do: {Message.validate(message), message.defects}

  defp stream?(%{"framing" => "stream"}), do: true

  defp stream?(%{"verdict" => verdict, "expect" => expect}),
    do: verdict == "valid" and is_integer(expect["content_length"])

  # In pieces of any size it is the same.
  defp framing(%{"name" => name, "data" => data} = row) do
    whole = framed(row, byte_size(data))

    for(size <- [1, 2, 3, 7], framed(row, size) != whole, do: {name, :pieces_of, size}) ++
      framing(row, whole)
  end

  defp framing(%{"framing" => "stream", "verdict" => "valid"} = row, {messages, broken, pending}) do
    expect = row["expect"]
    kinds = Enum.map(messages, &kind(Message.parse!(&1, framing: :datagram)))

    expected =
      {expect["messages"], expect["statuses_or_methods"] || kinds, nil,
       expect["pending"] || false}

    got = {length(messages), kinds, broken, pending}
    if got == expected, do: [], else: [{row["name"], :expected, expected, :got, got}]
  end

  defp framing(%{"framing" => "stream", "verdict" => "invalid"} = row, {messages, broken, _}),
    do: if(broken, do: [], else: [{row["name"], :framed, messages}])

  defp framing(%{"framing" => "stream"}, _either), do: []

  defp framing(%{"data" => data} = row, {messages, _broken, _pending}) do
    message = String.replace(data, ~r/\A[\r\n]+/, "")
    {head, 4} = :binary.match(message, "\r\n\r\n")
    first = binary_part(message, 0, head + 4 + row["expect"]["content_length"])
    if hd(messages) == first, do: [], else: [{row["name"], :expected, first, :got, hd(messages)}]
  end

  defp kind(%{start_line: %RequestLine{method: method}}), do: text(method)
  defp kind(%{start_line: %StatusLine{status_code: status_code}}), do: status_code

  # The messages, why the stream broke, and whether more has to come.
  defp framed(%{"name" => name, "data" => data}, size) do
    framer = Framer.new(wider(name))

    {frames, pending} =
      data
      |> pieces(size)
      |> Enum.map_reduce(nil, fn piece, _deadline -> Framer.push(framer, piece) end)

    frames = Enum.concat(frames)

    {for({:message, message} <- frames, do: message),
     Enum.find_value(frames, &(match?({:broken, _, _, _}, &1) && elem(&1, 2))), pending != nil}
  end

  defp pieces(data, size) when byte_size(data) <= size, do: [data]

  defp pieces(data, size) do
    <<piece::binary-size(size), rest::binary>> = data
    [piece | pieces(rest, size)]
  end

  defp wider(name) do
    if is_map_key(@beyond_limits, name),
      do: {65_536, 256, 65_536, 256, 128, 32, 16, 1_048_576, 10_000}
  end

  defp facts(row, message) do
    differences(row, message) ++ written(row, message)
  end

  defp written(%{"name" => name}, message) when name in @not_written do
    assert_raise ArgumentError, fn -> Message.to_string(message) end
    []
  end

  defp written(%{"name" => name} = row, message) do
    written = Message.to_string(message)
    {_refused, options} = beyond_limits(name, row["data"])

    case Message.parse(written, [framing: :datagram] ++ options) do
      {:ok, again} -> differences(row, again) ++ changed(name, message, again)
      {:error, error} -> [{name, :written, Exception.message(error), written}]
    end
  end

  # What was written and parsed is the same message, apart from what writing completes.
  defp changed(name, message, again) do
    completed = %{
      message
      | headers: Map.put(message.headers, :content_length, byte_size(message.body || "")),
        body: message.body || ""
    }

    cond do
      message.defects != [] ->
        []

      completed == again ->
        []

      true ->
        [{name, :changed, Map.to_list(completed.headers) -- Map.to_list(again.headers), again}]
    end
  end

  defp differences(row, message) do
    for {fact, expected} <- row["expect"],
        fact not in @elsewhere,
        got = fact(fact, message),
        expected = normalize(fact, expected),
        got != expected,
        do: {row["name"], fact, expected, got}
  end

  # The index has names and URIs as written: quotes and escapes of a display name, any case of a scheme or a type.
  defp normalize(fact, text) when fact in ~w(from_display to_display) do
    case text do
      "\"" <> quoted ->
        ~r/\\(.)/s |> Regex.replace(binary_part(quoted, 0, byte_size(quoted) - 1), "\\1")

      _token ->
        text
    end
  end

  defp normalize(fact, text)
       when fact in ~w(request_uri from_uri to_uri contact_uri) and is_binary(text) do
    [scheme, rest] = String.split(text, ":", parts: 2)
    String.downcase(scheme) <> ":" <> rest
  end

  defp normalize("request_uri_scheme", scheme), do: String.downcase(scheme)

  defp normalize("content_type", text),
    do: text |> String.split(";") |> hd() |> String.trim() |> String.downcase()

  defp normalize("version", "SIP/7.0"), do: {7, 0}

  # A port that was not written is the default one of its protocol (§18.2.2), where that has one in the header map.
  defp normalize("top_via", via) do
    transport = String.upcase(via["transport"])
    default = Map.get(%{"UDP" => 5060, "TCP" => 5060, "TLS" => 5061}, transport, 0)
    {transport, via["host"], via["port"] || default, via["branch"]}
  end

  defp normalize(_fact, expected), do: expected

  defp fact("method", %{start_line: %RequestLine{method: method}}), do: text(method)
  defp fact("request_uri", message), do: to_string(message.start_line.request_uri)
  defp fact("request_uri_scheme", message), do: message.start_line.request_uri.scheme
  defp fact("request_uri_host", message), do: bracketed(message.start_line.request_uri.host)
  defp fact("request_uri_port", message), do: message.start_line.request_uri.port
  defp fact("request_uri_user_raw", message), do: message.start_line.request_uri.userinfo

  defp fact("request_uri_user_decoded", message),
    do: Sippet.URI.percent_unescape(message.start_line.request_uri.userinfo)

  defp fact("status", %{start_line: %StatusLine{status_code: status_code}}), do: status_code
  defp fact("reason", message), do: message.start_line.reason_phrase
  defp fact("reason_utf8", message), do: String.valid?(message.start_line.reason_phrase)
  defp fact("version", message), do: message.start_line.version
  defp fact("via_count", message), do: count(message, :via)
  defp fact("contact_count", message), do: count(message, :contact)
  defp fact("route_count", message), do: count(message, :route)
  defp fact("record_route_count", message), do: count(message, :record_route)

  defp fact("via_transports", message),
    do:
      for({_version, protocol, _sent_by, _parameters} <- message.headers.via, do: text(protocol))

  defp fact("top_via", message) do
    {_version, protocol, {host, port}, parameters} = hd(message.headers.via)
    {text(protocol), bracketed(host), port, parameters["branch"]}
  end

  defp fact("from_uri", message), do: uri(message.headers.from)
  defp fact("from_tag", message), do: parameters(message.headers.from)["tag"]
  defp fact("from_display", message), do: elem(message.headers.from, 0)
  defp fact("from_uri_user_raw", message), do: elem(message.headers.from, 1).userinfo

  defp fact("from_uri_user_decoded", message),
    do: Sippet.URI.percent_unescape(elem(message.headers.from, 1).userinfo)

  defp fact("to_uri", message), do: uri(message.headers.to)
  defp fact("to_tag", message), do: parameters(message.headers.to)["tag"]
  defp fact("to_display", message), do: elem(message.headers.to, 0)

  defp fact("to_uri_user_decoded", message),
    do: Sippet.URI.percent_unescape(elem(message.headers.to, 1).userinfo)

  defp fact("call_id", message), do: message.headers.call_id
  defp fact("cseq_number", message), do: elem(message.headers.cseq, 0)
  defp fact("cseq_method", message), do: text(elem(message.headers.cseq, 1))
  defp fact("max_forwards", message), do: message.headers.max_forwards
  defp fact("content_length", message), do: message.headers.content_length

  defp fact("content_type", message) do
    {{type, subtype}, _parameters} = message.headers.content_type
    "#{type}/#{subtype}"
  end

  defp fact("body_length", message), do: byte_size(message.body || "")
  defp fact("contact_uri", message), do: uri(hd(message.headers.contact))
  defp fact("contact_uri_host", message), do: bracketed(elem(hd(message.headers.contact), 1).host)
  defp fact("contact_params", message), do: Map.keys(parameters(hd(message.headers.contact)))

  defp fact("contact_uri_params", message),
    do: Map.keys(Sippet.URI.decode_parameters(elem(hd(message.headers.contact), 1).parameters))

  defp fact("contact_uri_headers", message) do
    "?" <> headers = elem(hd(message.headers.contact), 1).headers
    Map.new(String.split(headers, "&"), &List.to_tuple(String.split(&1, "=", parts: 2)))
  end

  defp fact("contact_uri_users_raw", message),
    do: for({_display_name, uri, _parameters} <- message.headers.contact, do: uri.userinfo)

  defp text(word) when is_atom(word), do: word |> Atom.to_string() |> String.upcase()
  defp text(word), do: word

  defp uri({_display_name, uri, _parameters}), do: to_string(uri)

  defp parameters({_display_name, _uri, parameters}), do: parameters

  defp bracketed(host), do: if(String.contains?(host, ":"), do: "[#{host}]", else: host)

  defp count(message, header) do
    case message.headers do
      %{^header => "*"} -> 1
      %{^header => values} -> length(values)
      _absent -> 0
    end
  end
end
