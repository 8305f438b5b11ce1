defmodule Sippet.Test.Fixtures do
  # The messages of test/fixtures with their verdicts and facts: see the README there. The Rust suite reads them too.
  @moduledoc false

  import ExUnit.Assertions

  alias Sippet.{Message, ParseError}
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Test.JSON

  @folder Path.expand("../fixtures", __DIR__)

  @doc """
  The rows of a document's index, each with its bytes as `"data"`.
  """
  @spec rows(String.t()) :: [map]
  def rows(document) do
    for row <- JSON.read!(Path.join([@folder, document, "index.json"])),
        do: Map.put(row, "data", File.read!(Path.join(@folder, row["file"])))
  end

  @doc """
  Asserts that a row is judged as its index says, and that its facts stay when it is written and parsed again.
  """
  @spec judge(map) :: :ok
  def judge(%{"verdict" => "valid", "data" => data} = row) do
    assert {:ok, message} = Message.parse(data, framing: :datagram, mode: :strict)
    assert Message.validate(message) == :ok
    check(row, message)
    round_trip(row, message, :strict)
  end

  def judge(%{"verdict" => "forgiven", "data" => data} = row) do
    assert {:ok, message} = Message.parse(data, framing: :datagram)
    assert Message.validate(message) == :ok

    assert for(defect <- message.defects, do: [name(defect.header), name(defect.reason)]) ==
             row["defects"]

    [%{reason: reason, offset: offset} | _rest] = message.defects
    assert {:error, error} = Message.parse(data, framing: :datagram, mode: :strict)
    assert {error.reason, error.offset} == {reason, offset}
    check(row, message)
    round_trip(row, message, :lenient)
  end

  def judge(%{"verdict" => "invalid", "fault" => "cseq_method", "data" => data}) do
    assert {:ok, message} = Message.parse(data, framing: :datagram)
    assert Message.validate(message) == {:error, "CSeq method and request method do no match"}
    :ok
  end

  def judge(%{"verdict" => "invalid", "data" => data, "error" => expected}) do
    assert {:error, %ParseError{} = error} = Message.parse(data, framing: :datagram)
    assert name(error.reason) == expected["reason"]
    assert error.status_code == expected["status_code"]
    assert wire_name(error.header) == String.downcase(expected["field"])
    assert error.offset <= byte_size(data)
    :ok
  end

  defp round_trip(%{"written" => false}, message, _mode) do
    assert_raise ArgumentError, ~r/CR, LF or NUL/, fn -> Message.to_string(message) end
    :ok
  end

  defp round_trip(row, message, mode) do
    assert {:ok, again} =
             message |> Message.to_string() |> Message.parse(framing: :datagram, mode: mode)

    check(row, again)
    assert again.body == message.body
    assert again.start_line == message.start_line

    assert Map.delete(again.headers, :content_length) ==
             Map.delete(message.headers, :content_length)

    :ok
  end

  # Keys as the index has them: the spelling of the wire for header fields.
  defp name(atom) when is_atom(atom), do: Atom.to_string(atom)
  defp name(text), do: text

  defp wire_name(:start_line), do: "start_line"

  defp wire_name(atom) when is_atom(atom),
    do: atom |> Atom.to_string() |> String.replace("_", "-")

  defp wire_name(text), do: String.downcase(text)

  defp check(%{"expect" => expected}, message) do
    assert map_size(expected) > 0
    for {fact, value} <- expected, do: assert({fact, fact(fact, message)} == {fact, value})
  end

  defp fact("method", %{start_line: %RequestLine{method: method}}), do: word(method)
  defp fact("request_uri", message), do: to_string(message.start_line.request_uri)
  defp fact("user", message), do: message.start_line.request_uri.userinfo
  defp fact("host", message), do: message.start_line.request_uri.host
  defp fact("port", message), do: message.start_line.request_uri.port
  defp fact("status_code", %{start_line: %StatusLine{status_code: code}}), do: code
  defp fact("reason_phrase", message), do: message.start_line.reason_phrase

  defp fact("vias", message) do
    for {_version, protocol, {host, _port}, _parameters} <- message.headers.via,
        do: [word(protocol), host]
  end

  defp fact("branch", message), do: via_parameters(message)["branch"]
  defp fact("received", message), do: via_parameters(message)["received"]
  defp fact("from", message), do: address(message.headers.from)
  defp fact("to", message), do: address(message.headers.to)
  defp fact("call_id", message), do: message.headers.call_id

  defp fact("cseq", message) do
    {number, method} = message.headers.cseq
    [number, word(method)]
  end

  defp fact("max_forwards", message), do: message.headers.max_forwards

  defp fact("contacts", message) do
    for {name, uri, parameters} <- message.headers.contact, do: [name, to_string(uri), parameters]
  end

  defp fact("routes", message), do: uris(message, :route)
  defp fact("record_routes", message), do: uris(message, :record_route)
  defp fact("require", message), do: message.headers.require
  defp fact("proxy_require", message), do: message.headers.proxy_require

  defp fact("accept", message),
    do: for({{type, subtype}, _parameters} <- message.headers.accept, do: "#{type}/#{subtype}")

  defp fact("content_type", message) do
    {{type, subtype}, _parameters} = message.headers.content_type
    "#{type}/#{subtype}"
  end

  defp fact("authorization", message),
    do: for({scheme, parameters} <- message.headers.authorization, do: [scheme, parameters])

  defp fact("subject", message), do: message.headers.subject
  defp fact("body_bytes", message), do: byte_size(message.body)

  defp fact("fields", message),
    do: for({name, values} <- message.headers, is_binary(name), into: %{}, do: {name, values})

  defp word(atom) when is_atom(atom), do: atom |> Atom.to_string() |> String.upcase()
  defp word(text), do: text

  defp via_parameters(message), do: message.headers.via |> hd() |> elem(3)

  defp address({name, uri, parameters}), do: [name, to_string(uri), parameters["tag"]]

  defp uris(message, header),
    do: for({_name, uri, _parameters} <- Map.get(message.headers, header, []), do: to_string(uri))
end
