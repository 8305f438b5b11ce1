defmodule Sippet.NativeJunkTest do
  # Whatever a program passes for a message, and whatever a peer sends for one, the answer is a value. The native code
  # has no other test for this: inside it a panic would be an exception here.
  use ExUnit.Case, async: true

  import Bitwise, only: [<<<: 2]

  alias Sippet.{Message, Native, ParseError, WriteError}

  @rounds 4_000

  @text """
  INVITE sip:bob@biloxi.com:5060;transport=udp?subject=x SIP/2.0\r
  Via: SIP/2.0/UDP pc33.atlanta.com:5066;branch=z9hG4bK776asdhds;rport, SIP/2.0/TLS [::1];branch=z9hG4bK2\r
  Max-Forwards: 70\r
  To: "Bob \\"B\\"" <sip:bob@biloxi.com>\r
  From: Alice <tel:+1-201-555-0123>;tag=1928301774\r
  Call-ID: a84b4c76e66710@pc33.atlanta.com\r
  CSeq: 314159 INVITE\r
  Contact: <sip:alice@pc33.atlanta.com>;q=0.5;+sip.instance="<urn:uuid:1>"\r
  Authorization: Digest username="alice", realm="a", nonce="n", uri="sip:a", response="r", qop=auth, nc=00000001\r
  Accept: application/sdp;level=1, text/*\r
  Alert-Info: <http://a/b.wav>;purpose=icon\r
  Warning: 307 isi.edu "Session parameter"\r
  Date: Sat, 13 Nov 2010 23:29:00 GMT\r
  Timestamp: 54.5 0.25\r
  Retry-After: 18000 (busy);duration=3600\r
  MIME-Version: 1.0\r
  Reason: Q.850;cause=16;text="Terminated"\r
  Subscription-State: active;expires=60\r
  \tfolded\r
  Content-Type: application/sdp\r
  Content-Length: 4\r
  \r
  v=0
  """

  @junk [
    nil,
    :invite,
    true,
    0,
    -1,
    1.5,
    1 <<< 70,
    "",
    "a",
    "a\r\nb",
    "\0",
    <<255>>,
    <<1::size(3)>>,
    "sip:a",
    [],
    ["a"],
    ["a" | "b"],
    {},
    {"a", "b"},
    {"", "sip:a", %{}},
    %{},
    %{"a" => "b"},
    %{a: 1},
    %Sippet.URI{},
    ~N[2010-11-13 23:29:00]
  ]

  setup do
    :rand.seed(:exsss, {1, 2, 3})
    {:ok, message} = Native.parse(@text, :whole, :lenient, nil)
    {:ok, message: message}
  end

  test "any term in any place of a message is written or refused", %{message: message} do
    results =
      for _ <- 1..@rounds do
        case Native.write(replace(message, :rand.uniform(size(message)))) do
          {:ok, text} ->
            assert {:ok, %Message{}} = Native.parse(text, :whole, :lenient, nil)
            :ok

          {:error, %WriteError{reason: reason} = error} ->
            assert reason in WriteError.reasons()
            assert is_binary(Exception.message(error))
            :error
        end
      end

    # Neither is rare, or this would test nothing.
    assert Enum.count(results, &(&1 == :ok)) > div(@rounds, 50)
    assert Enum.count(results, &(&1 == :error)) > div(@rounds, 5)
  end

  test "any change of the bytes is parsed or refused, and what is parsed can be written" do
    for framing <- [:whole, :datagram], mode <- [:lenient, :strict], _ <- 1..div(@rounds, 4) do
      data = Enum.reduce(1..:rand.uniform(4), @text, fn _, text -> change(text) end)

      case Native.parse(data, framing, mode, nil) do
        {:ok, message} ->
          case Native.write(message) do
            {:ok, text} -> assert {:ok, %Message{}} = Native.parse(text, :whole, :lenient, nil)
            {:error, %WriteError{}} -> :ok
          end

        {:error, %ParseError{} = error} ->
          assert error.reason in ParseError.reasons()
          assert error.offset <= byte_size(data)
          assert is_binary(Exception.message(error))
      end
    end
  end

  test "any change of a stream is framed or refused, alike in any pieces" do
    for _ <- 1..div(@rounds, 4) do
      stream =
        Enum.reduce(1..:rand.uniform(4), @text <> "\r\n\r\n" <> @text, fn _, text ->
          change(text)
        end)

      pieces = pieces(stream)
      assert {framed(pieces), pieces} == {framed([stream]), pieces}
    end
  end

  defp pieces(""), do: []

  defp pieces(stream) do
    size = min(:rand.uniform(99), byte_size(stream))
    <<piece::binary-size(size), rest::binary>> = stream
    [piece | pieces(rest)]
  end

  defp framed(pieces) do
    framer = Sippet.Transport.Framer.new()

    pieces
    |> Enum.flat_map(&elem(Sippet.Transport.Framer.push(framer, &1), 0))
    |> Enum.flat_map(fn
      {:ping, count} -> List.duplicate(:ping, count)
      frame -> [frame]
    end)
  end

  @uri "sip:bob:pw@[2001:db8::1]:5061;transport=tcp;lr;x=%41?a=b&c=%64"

  test "any two URIs, changed in text or in their fields, are compared or refused" do
    uri = Sippet.URI.parse!(@uri)

    results =
      for _ <- 1..@rounds do
        text = Enum.reduce(1..:rand.uniform(3), @uri, fn _, text -> change(text) end)

        changed =
          Map.replace!(
            uri,
            Enum.random(~w(scheme userinfo host port parameters headers)a),
            Enum.random(@junk)
          )

        [a, b] = Enum.take_random([text, changed, uri, @uri], 2)
        lazy = :rand.uniform(2) == 1
        result = Native.URI.equivalent(a, b, lazy)
        assert Native.URI.equivalent(b, a, lazy) == result
        result
      end

    for result <- [true, false, nil],
        do: assert(Enum.count(results, &(&1 == result)) > div(@rounds, 50))
  end

  test "bytes in no order are refused" do
    for length <- 0..500 do
      assert {:error, %ParseError{}} =
               Native.parse(:crypto.strong_rand_bytes(length), :datagram, :lenient, nil)
    end
  end

  @tag :costs
  test "16 KiB of anything stay far below the time of a normal scheduler" do
    for piece <- [
          "a: b\r\n",
          "a:\r\n",
          "v: SIP/2.0/UDP a;b=c\r\n",
          "Contact: <sip:a>,<sip:b>,<sip:c>;q=0.1\r\n",
          "Contact: \"\\\"\\\"\\\"\\\"\" <sip:a;b;c;d;e;f>\r\n",
          "Accept: a/b;c=\"d\";e;f;g\r\n",
          "s: a\r\n b\r\n",
          ",,,,,,,,,,,,,,,,"
        ],
        # As many as there is room for, which is above some limit, and fewer, which is not.
        count <- [div(16_000, byte_size(piece)), 60] do
      head = "BYE sip:a SIP/2.0\r\n"
      data = head <> String.duplicate(piece, count) <> "\r\n"

      microseconds =
        for _ <- 1..50 do
          {time, _result} = :timer.tc(fn -> Native.parse(data, :whole, :lenient, nil) end)
          time
        end

      # The fastest of them: others may have been interrupted.
      assert {piece, Enum.min(microseconds) < 1_000} == {piece, true}
    end
  end

  @typed [
    {"Event", ["presence;id=1"]},
    {"Allow-Events", ["presence, dialog"]},
    {"Privacy", ["id;critical"]},
    {"Security-Client", ["tls;q=0.1, digest;d-ver=\"0\""]},
    {"P-Visited-Network-ID", ["\"a b\", c;d=e"]},
    {"RSeq", ["1"]},
    {"Session-Expires", ["90;refresher=uac"]},
    {"RAck", ["1 2 INVITE"]},
    {"Replaces", ["a@b;to-tag=1;from-tag=2"]},
    {"Refer-To", ["\"B\" <sip:b@c?d=e>;f"]},
    {"Path", ["<sip:a;lr>", "<tel:+1-201-555-0123>;x=y"]},
    {"Geolocation", ["<cid:a@b>;c=d"]},
    {"P-Charging-Vector", ["icid-value=1;orig-ioi=a"]},
    {"Identity", ["abc.def;info=<https://a.example/b>;alg=ES256"]},
    {"X-Vendor", ["a", "b"]},
    {:contact, ["<sip:a@b>;q=0.1, \"C\" <sip:c>"]},
    {:warning, ["307 isi.edu \"Session parameter\""]}
  ]

  test "any term in any place of a typed value is written or refused" do
    results =
      for _ <- 1..@rounds do
        {key, lines} = Enum.random(@typed)
        {:ok, value} = Sippet.Message.decode_header(lines, key)

        case Native.encode_header(key, replace(value, :rand.uniform(size(value)))) do
          {:ok, lines} ->
            assert {:ok, _value} = Sippet.Message.decode_header(lines, key)
            :ok

          {:error, %WriteError{header: ^key, reason: reason}} ->
            assert reason in WriteError.reasons()
            :error
        end
      end

    assert Enum.count(results, &(&1 == :ok)) > div(@rounds, 50)
    assert Enum.count(results, &(&1 == :error)) > div(@rounds, 5)
  end

  test "any change of the text of a header field is read or refused" do
    for _ <- 1..@rounds do
      {key, [line | lines]} = Enum.random(@typed)
      line = Enum.reduce(1..:rand.uniform(4), line, fn _, text -> change(text) end)

      case Native.decode_header(key, [line | lines]) do
        {:ok, _value} ->
          :ok

        {:error, %ParseError{header: ^key} = error} ->
          assert error.reason in ParseError.reasons()
          assert error.offset <= IO.iodata_length([line | lines]) + length(lines)
      end
    end
  end

  @tag :costs
  test "16 KiB of a header field stay far below the time of a normal scheduler" do
    for {key, piece} <- [
          {"Event", ";a=1"},
          {"Privacy", ";"},
          {"Path", "<sip:a@b;c=d>;a=\"b\";c=d,"},
          {"Path", "\"\\\"\""},
          {"Identity", ";A=\"\\a\""},
          {"Replaces", "a;"},
          {"P-Visited-Network-ID", "\"a\";b=c,"},
          {:contact, ","},
          {:www_authenticate, "a b=c,"}
        ],
        count <- [div(16_000, byte_size(piece)), 60] do
      line = "a" <> String.duplicate(piece, count)

      line =
        if key in ["Path", :contact], do: binary_part(line, 1, byte_size(line) - 1), else: line

      microseconds =
        for _ <- 1..50 do
          {time, _result} = :timer.tc(fn -> Native.decode_header(key, [line]) end)
          time
        end

      assert {key, piece, Enum.min(microseconds) < 1_000} == {key, piece, true}
    end
  end

  # Terms are counted from the outside in; the one with that number becomes junk.
  defp replace(term, 1) when not is_struct(term, Message),
    do: Enum.random([junk_of(term) | @junk])

  defp replace(term, number) when is_map(term), do: replace_in_map(term, number)

  defp replace(term, number) when is_tuple(term),
    do: term |> Tuple.to_list() |> replace_in_list(number - 1) |> List.to_tuple()

  defp replace(term, number) when is_list(term), do: replace_in_list(term, number - 1)
  defp replace(term, _number), do: term

  defp replace_in_map(map, number) do
    {keys, values} = map |> Map.to_list() |> Enum.unzip()
    keys |> Enum.zip(replace_in_list(values, number - 1)) |> Map.new()
  end

  defp replace_in_list([], _number), do: []

  defp replace_in_list([head | tail], number) do
    case size(head) do
      size when number <= size -> [replace(head, number) | tail]
      size -> [head | replace_in_list(tail, number - size)]
    end
  end

  defp size(map) when is_map(map),
    do: 1 + (map |> Map.values() |> Enum.map(&size/1) |> Enum.sum())

  defp size(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> size()
  defp size(list) when is_list(list), do: 1 + (list |> Enum.map(&size/1) |> Enum.sum())
  defp size(_leaf), do: 1

  # Something of the same kind.
  defp junk_of(text) when is_binary(text),
    do: Enum.random([text <> "x", text <> ";", text <> "\n"])

  defp junk_of(number) when is_integer(number), do: number + 1
  defp junk_of(other), do: other

  defp change(text) do
    at = :rand.uniform(byte_size(text)) - 1
    <<before::binary-size(at), byte, rest::binary>> = text

    case :rand.uniform(4) do
      1 ->
        before <> rest

      2 ->
        before <> <<:rand.uniform(256) - 1>> <> rest

      3 ->
        before <> <<byte, byte>> <> rest

      4 ->
        before <>
          Enum.random(["\r\n", ",", ";", "\"", "<", ">", "=", " ", "\\"]) <> <<byte>> <> rest
    end
    |> case do
      "" -> text
      changed -> changed
    end
  end
end
