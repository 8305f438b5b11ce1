defmodule Bench.Pure do
  @moduledoc """
  A parser of SIP messages in Elixir alone, to compare with: binary matching throughout, the header map built in one pass.

  It makes the same `%Sippet.Message{}` as `Sippet.Message.parse(data, framing: :datagram, mode: :strict)`, and refuses
  what that refuses, with the default limits. Strict is the shorter way: what lenient parsing forgives would only add to it.
  """

  import Bench.Pure.{Chars, Scan}
  alias Bench.Pure.{Field, Name, Uri, Value}
  alias Sippet.Message
  alias Sippet.Message.{RequestLine, StatusLine}

  @max_bytes 65_536
  @max_fields 256
  @max_line 8_192
  @max_folds 16

  @doc """
  Parses one message of a datagram; `:error` where it is malformed.
  """
  @spec parse(binary) :: {:ok, Message.t()} | :error
  def parse(data) when byte_size(data) <= @max_bytes do
    {head, rest} = data |> skip_line_ends() |> head()
    [start_line | lines] = head_lines(head)
    start_line = start_line(start_line)
    fields = raw_fields(lines)
    nul = :binary.match(head, <<0>>) != :nomatch
    headers = headers(fields, nul)
    body = body(headers, rest)
    {:ok, %Message{start_line: start_line, headers: headers, body: body}}
  catch
    :malformed -> :error
  end

  def parse(_data), do: :error

  defp skip_line_ends(<<c, rest::binary>>) when c in [?\r, ?\n], do: skip_line_ends(rest)
  defp skip_line_ends(rest), do: rest

  # The line end before the empty line stays with the head: so each line has one.
  defp head(data) do
    case :binary.match(data, "\r\n\r\n") do
      {at, 4} ->
        size = at + 2
        <<head::binary-size(size), "\r\n", rest::binary>> = data
        {head, rest}

      :nomatch ->
        malformed()
    end
  end

  # Each line ends in CRLF, and neither CR nor LF stands anywhere else.
  defp head_lines(head) do
    lines = :binary.split(head, "\n", [:global, :trim])
    if length(:binary.matches(head, "\r")) != length(lines), do: malformed()
    without_cr(lines)
  end

  defp without_cr([line | lines]) do
    size = byte_size(line) - 1

    case line do
      <<line::binary-size(size), ?\r>> when size <= @max_line -> [line | without_cr(lines)]
      _bare_lf -> malformed()
    end
  end

  defp without_cr([]), do: []

  defp start_line(<<s, i, p, ?/, rest::binary>>)
       when s in [?S, ?s] and i in [?I, ?i] and p in [?P, ?p] do
    case rest do
      <<"2.0 ", a, b, c, ?\s, phrase::binary>>
      when a in ?1..?6 and b in ?0..?9 and c in ?0..?9 ->
        code = (a - ?0) * 100 + (b - ?0) * 10 + c - ?0
        %StatusLine{status_code: code, reason_phrase: Value.text(phrase)}

      _other ->
        malformed()
    end
  end

  defp start_line(line) do
    {method, rest} = token(line)
    size = byte_size(rest) - 8

    case rest do
      <<?\s, uri::binary-size(size), s, i, p, "/2.0">>
      when s in [?S, ?s] and i in [?I, ?i] and p in [?P, ?p] ->
        size = size - 1

        case uri do
          <<uri::binary-size(size), ?\s>> ->
            %RequestLine{method: Value.method(method), request_uri: Uri.parse(uri)}

          _other ->
            malformed()
        end

      _other ->
        malformed()
    end
  end

  # Name and value of each field, the last one first.
  defp raw_fields(lines), do: raw_fields(lines, [], 0)

  defp raw_fields([], fields, _count), do: fields
  defp raw_fields(_lines, _fields, @max_fields), do: malformed()

  defp raw_fields([line | [<<c, _::binary>> | _] = lines], fields, count) when is_space(c) do
    {line, lines} = unfold([line], lines, byte_size(line), 0)
    raw_fields(lines, [raw_field(line) | fields], count + 1)
  end

  defp raw_fields([line | lines], fields, count),
    do: raw_fields(lines, [raw_field(line) | fields], count + 1)

  defp unfold(done, [<<c, _::binary>> = line | lines], size, folds) when is_space(c) do
    size = size + 2 + byte_size(line)
    if size > @max_line or folds == @max_folds, do: malformed()
    unfold([line | done], lines, size, folds + 1)
  end

  defp unfold(done, lines, _size, _folds) do
    [first | more] = :lists.reverse(done)
    # The name ends in the first line.
    if :binary.match(first, ":") == :nomatch, do: malformed()
    pieces = for line <- more, text = line |> skip() |> trim_end(), text != "", do: [?\s, text]
    {:erlang.iolist_to_binary([trim_end(first) | pieces]), lines}
  end

  defp raw_field(line), do: raw_field(line, line, 0)

  defp raw_field(<<c, rest::binary>>, line, size) when is_token(c),
    do: raw_field(rest, line, size + 1)

  defp raw_field(_rest, _line, 0), do: malformed()

  defp raw_field(rest, line, size) do
    case skip(rest) do
      <<?:, rest::binary>> -> {binary_part(line, 0, size), rest |> skip() |> trim_end()}
      _none -> malformed()
    end
  end

  defp headers(fields, nul) do
    {headers, extensions} = known_fields(fields, %{}, %{}, nul)

    case headers do
      %{via: [_ | _], from: _, to: _, call_id: _, cseq: _} ->
        for {_lower, {name, values}} <- extensions, into: headers, do: {name, values}

      _missing ->
        malformed()
    end
  end

  defp known_fields([], headers, extensions, _nul), do: {headers, extensions}

  defp known_fields([{name, text} | fields], headers, extensions, nul) do
    case Name.key(name) do
      key when is_atom(key) ->
        known_fields(fields, Field.put(key, text, headers), extensions, nul)

      {name, lower} ->
        if nul and :binary.match(text, <<0>>) != :nomatch, do: malformed()

        # From the last to the first: that one's spelling stays.
        extensions =
          case extensions do
            %{^lower => {_name, values}} -> %{extensions | lower => {name, [text | values]}}
            _new -> Map.put(extensions, lower, {name, [text]})
          end

        known_fields(fields, headers, extensions, nul)
    end
  end

  # What Content-Length says (§18.3); without one, all there is.
  defp body(%{content_length: size}, rest) do
    case rest do
      <<body::binary-size(size), _surplus::binary>> -> body
      _short -> malformed()
    end
  end

  defp body(_headers, rest), do: rest
end
