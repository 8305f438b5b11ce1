defmodule Sippet.Conformance.CorpusTest do
  # Every message of the corpus, judged as a datagram by parsing and validation, as its index says: see its README.
  use ExUnit.Case, async: true

  alias Sippet.Message
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Test.Corpus

  # Rows that we judge otherwise than the index, with what we say and why.
  @differing %{}

  # Facts that a message does not show: rows are merged, and the rest is for the layers above.
  @elsewhere ~w(header_rows octets_after_blank_line parts boundary response action)

  if Corpus.path() == nil do
    IO.puts("corpus: not found, no row of it was judged (SIPPET_CORPUS names its place)")
  else
    for folder <- ~w(rfc4475 rfc5118 flows wild robustness) do
      test "messages of #{folder} are judged as the index says" do
        rows = Corpus.rows(unquote(folder))
        assert rows != []
        faults = Enum.flat_map(rows, &faults/1)
        IO.puts("corpus: #{length(rows)} rows of #{unquote(folder)} judged")
        assert faults == []
      end
    end
  end

  test "no row differs from the index without being there" do
    if Corpus.path() do
      names =
        for folder <- ~w(rfc4475 rfc5118 flows wild robustness),
            row <- Corpus.rows(folder),
            do: row["name"]

      assert Map.keys(@differing) -- names == []
    end
  end

  defp faults(row) do
    {microseconds, parsed} = :timer.tc(fn -> Message.parse(row["data"], framing: :datagram) end)

    judged =
      with {:ok, message} <- parsed,
           :ok <- Message.validate(message),
           do: :valid,
           else: ({:error, _error} -> :invalid)

    late = if microseconds > 1_000_000, do: [{row["name"], :took, microseconds}], else: []
    late ++ verdict(row, judged, parsed)
  end

  # What can be framed on a stream is the framer's to say; here it must do no harm.
  defp verdict(%{"framing" => "stream"}, _judged, _parsed), do: []

  defp verdict(%{"name" => name} = row, judged, parsed) do
    {expected, _reason} = Map.get(@differing, name, {expected(row["verdict"]), nil})

    cond do
      expected == :either -> []
      judged != expected -> [{name, :expected, expected, :got, judged, why(parsed)}]
      judged == :invalid -> []
      true -> facts(row, elem(parsed, 1))
    end
  end

  defp expected("valid"), do: :valid
  defp expected("invalid"), do: :invalid
  defp expected("either"), do: :either

  defp why({:error, error}), do: Exception.message(error)
  defp why({:ok, message}), do: {Message.validate(message), message.defects}

  defp facts(row, message) do
    written = Message.to_string(message)

    again =
      case Message.parse(written, framing: :datagram) do
        {:ok, again} -> differences(row, again) ++ changed(message, again)
        {:error, error} -> [{row["name"], :written, Exception.message(error), written}]
      end

    differences(row, message) ++ again
  end

  # What was written and parsed is the same message, apart from what writing completes.
  defp changed(message, again) do
    completed = %{
      message
      | headers: Map.put(message.headers, :content_length, byte_size(message.body || "")),
        body: message.body || ""
    }

    cond do
      message.defects != [] -> []
      completed == again -> []
      true -> [{:changed, Map.to_list(completed.headers) -- Map.to_list(again.headers), again}]
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

  defp normalize("content_type", text), do: String.downcase(text)
  defp normalize("version", "SIP/7.0"), do: {7, 0}

  defp normalize("top_via", via),
    do: {String.upcase(via["transport"]), via["host"], via["port"], via["branch"]}

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
