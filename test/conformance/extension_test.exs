defmodule Sippet.Conformance.ExtensionTest do
  # Every header field of the corpus that a message keeps as text, read on demand.
  use ExUnit.Case, async: true

  alias Sippet.{Message, ParseError}
  alias Sippet.Test.Corpus

  # Values that are not what the document says that defines the field now.
  @malformed %{
    # The form of RFC 4474, where the URI has a field of its own; RFC 8224 §4 wants it in this one.
    "Identity" => ~r/^(rfc4916|mpart01)/,
    # "explicit:require": a colon for a semicolon (RFC 3841).
    "Accept-Contact" => ~r/^volte-call-invite$/
  }

  if Corpus.path() == nil do
    @moduletag skip: "no corpus"
    IO.puts(
      "corpus: not found, no extension header field of it was read (SIPPET_CORPUS names its place)"
    )
  end

  setup_all do
    fields =
      for folder <- ~w(rfc4475 rfc5118 flows wild robustness),
          row <- Corpus.rows(folder),
          {:ok, message} <- [Message.parse(row["data"])],
          {name, text} when is_binary(name) <- message.headers,
          do: {row["name"], message, name, text}

    {:ok, fields: fields}
  end

  test "what is read is written and read again as it was, and no more is malformed than is known",
       %{fields: fields} do
    results =
      for {row, message, name, text} <- fields, not kept?(message, name) do
        case Message.decode_header(message, name) do
          {:ok, value} ->
            written = Message.encode_header(name, value)
            assert {row, name, Message.decode_header(written, name)} == {row, name, {:ok, value}}
            if value == text, do: :text, else: :typed

          {:error, error} ->
            assert row =~ Map.get(@malformed, name, ~r/$^/), "#{row}: #{Exception.message(error)}"
            {:malformed, name}
        end
      end

    counts = Enum.frequencies(results)
    IO.puts("corpus: #{counts.typed} values of extension header fields judged")
    assert counts.typed > 50
    # No exception is left that nothing needs.
    for {name, _rows} <- @malformed, do: assert(counts[{:malformed, name}] > 0)
  end

  test "a documented field that was kept as text is malformed still, for the same reason",
       %{fields: fields} do
    kept =
      for {row, message, name, _text} <- fields, kept?(message, name) do
        assert {:error, %ParseError{header: key, reason: reason}} =
                 Message.decode_header(message, name)

        assert is_atom(key)
        assert reason in for(%{header: ^name, reason: reason} <- message.defects, do: reason), row
      end

    assert length(kept) > 10
  end

  defp kept?(message, name), do: Enum.any?(message.defects, &(&1.header == name))
end
