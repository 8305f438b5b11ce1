defmodule Sippet.Message.InjectionTest do
  # Nothing that a program puts into a message adds a header field, a parameter or a body: it is refused, or it is read
  # back as it was put in.
  use ExUnit.Case, async: true

  alias Sippet.{Message, URI}
  alias Sippet.Message.{RequestLine, StatusLine}
  alias Sippet.Test.Terms

  @bad [
    "\r\nVia: SIP/2.0/UDP evil.example",
    "\r\n\r\nevil",
    "\r",
    "\n",
    "\0",
    "\r\n evil",
    "\nVia: evil"
  ]

  # Numbers and dates.
  @without_strings [
    :date,
    :expires,
    :max_forwards,
    :mime_version,
    :min_expires,
    :timestamp
  ]

  @changes for bad <- @bad, place <- [:front, :middle, :back], do: {bad, place}

  defp put(text, bad, :front), do: bad <> text
  defp put(text, bad, :back), do: text <> bad

  defp put(text, bad, :middle) do
    {front, back} = :erlang.split_binary(text, div(byte_size(text), 2))
    front <> bad <> back
  end

  defp request(headers),
    do: %{Message.build_request(:options, "sip:bob@biloxi.com") | headers: headers}

  defp write(message) do
    {:ok, Message.to_string(message)}
  rescue
    error in ArgumentError -> {:refused, Exception.message(error)}
  end

  describe "CR, LF and NUL" do
    for {header, value} <- Terms.sample(), header != :content_length do
      @header header
      @value value
      @least_strings if(header in @without_strings, do: 0, else: 1)
      test "are refused in each string of #{inspect(header)}" do
        assert {:ok, _written} = write(request(%{@header => @value}))
        strings = Terms.changed(@value, & &1)

        for {bad, place} <- @changes, value <- Terms.changed(@value, &put(&1, bad, place)) do
          message = request(%{@header => value})

          case write(message) do
            {:refused, why} -> assert why =~ "cannot write #{inspect(@header)}"
            {:ok, written} -> unused_authority(@value, value, written)
          end
        end

        assert length(strings) >= @least_strings
      end
    end

    test "are refused in the name of a header field" do
      for {bad, place} <- @changes, name <- ["X-Vendor", "Via", "Session-Expires", ""] do
        name = put(name, bad, place)
        assert {:refused, why} = write(request(%{name => ["a"]}))
        assert why =~ "cannot write #{inspect(name)}"
      end
    end

    test "are refused in the method, the Request-URI and the reason phrase" do
      uri = URI.parse!("sip:alice@atlanta.com;lr?a=b")

      for {bad, place} <- @changes do
        for line <-
              [%RequestLine{method: put("FOO", bad, place), request_uri: uri, version: {2, 0}}] ++
                for(
                  uri <- Terms.changed(uri, &put(&1, bad, place)),
                  do: RequestLine.new(:foo, uri)
                ) do
          authority? =
            is_binary(line.method) == false and line.request_uri.authority != uri.authority

          case write(%Message{start_line: line}) do
            {:refused, why} -> assert why =~ ":start_line"
            {:ok, written} -> assert authority? and not (written =~ "evil")
          end
        end

        assert {:refused, why} = write(Message.build_response(200, put("OK", bad, place)))
        assert why =~ ":start_line"
      end
    end

    test "are refused by to_iodata/1 and to_string/1 of the start line alone" do
      for {bad, place} <- @changes do
        method = put("FOO", bad, place)

        request_line = %RequestLine{
          method: method,
          request_uri: URI.parse!("sip:a.example"),
          version: {2, 0}
        }

        status_line = StatusLine.new(200, put("OK", bad, place))

        for {line, module} <- [{request_line, RequestLine}, {status_line, StatusLine}],
            fun <- [:to_iodata, :to_string] do
          assert_raise ArgumentError, ~r/:start_line/, fn -> apply(module, fun, [line]) end
        end

        assert_raise ArgumentError, fn -> to_string(request_line) end
        assert_raise ArgumentError, fn -> to_string(status_line) end

        # Atoms can hold anything too.
        assert_raise ArgumentError, fn ->
          RequestLine.to_iodata(%{request_line | method: :"foo\r\nVia: x"})
        end

        for uri <-
              Terms.changed(URI.parse!("sip:alice@atlanta.com;lr?a=b"), &put(&1, bad, place)),
            uri.authority == "alice@atlanta.com" do
          assert_raise ArgumentError, fn -> URI.to_string(uri) end
          assert_raise ArgumentError, fn -> RequestLine.to_iodata(RequestLine.new(:foo, uri)) end
        end
      end

      for method <- ["", "FOO BAR", "FOO sip:x SIP/2.0", "é"] do
        line = %RequestLine{
          method: method,
          request_uri: URI.parse!("sip:a.example"),
          version: {2, 0}
        }

        assert_raise ArgumentError, ~r/:start_line/, fn -> RequestLine.to_iodata(line) end
      end
    end

    test "need not be there: a known name in a string never stands beside its typed value, nor another length" do
      headers = Map.take(Terms.sample(), [:via, :from, :to, :call_id, :cseq, :route])

      for {name, header} <- [
            {"Via", :via},
            {"v", :via},
            {"ROUTE", :route},
            {"f", :from},
            {"To", :to},
            {"i", :call_id},
            {"cseq", :cseq},
            {"Content-Length", :content_length},
            {"l", :content_length}
          ] do
        message = %{request(Map.put(headers, name, ["99"])) | body: "abc"}
        {:ok, written} = write(Map.update!(message, :headers, &Map.put(&1, :content_length, 99)))
        assert {:ok, again} = Message.parse(written, mode: :strict)
        assert again.headers[header] == Map.get(headers, header, 3)
        assert map_size(again.headers) == 7
        assert again.body == "abc"
      end
    end

    test "in the encoders of URIs become escapes" do
      assert URI.encode_parameters(%{"a\r\nb" => "c\0"}) == ";a%0D%0Ab=c%00"
      assert URI.encode_headers(%{"a\r\nb" => "c\0"}) == "?a%0D%0Ab=c%00"
    end
  end

  # The authority of a URI is not written where host and port differ from it.
  defp unused_authority(value, changed, written) do
    assert without_authority(value) == without_authority(changed)
    refute written =~ "evil"
    assert written == write(request_like(written)) |> elem(1)
  end

  defp request_like(written), do: Message.parse!(written)

  defp without_authority(%URI{} = uri), do: %{uri | authority: nil}
  defp without_authority([head | tail]), do: [without_authority(head) | without_authority(tail)]

  defp without_authority(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> without_authority() |> List.to_tuple()

  defp without_authority(other), do: other

  describe "any term of the documented shapes" do
    @headers Map.keys(Terms.sample()) -- [:content_length]

    for {header, index} <- Enum.with_index(@headers) do
      @header header
      @seed index
      test "of #{inspect(header)} is refused or read back equal" do
        Terms.seed(@seed)

        verdicts =
          for _ <- 1..400 do
            value = Terms.draw(@header)

            case write(request(%{@header => value})) do
              {:refused, why} ->
                assert why =~ inspect(@header)
                :refused

              {:ok, written} ->
                assert {:ok, again} = Message.parse(written)

                assert {value, normal(Map.delete(again.headers, :content_length))} ==
                         {value, normal(%{@header => value})}

                assert again.body == ""
                :equal
            end
          end

        assert Enum.count(verdicts, &(&1 == :equal)) > 20
      end
    end

    test "is refused or read back equal beside any others, with a body" do
      Terms.seed(65_537)
      # Values that can be written, a few hundred of each.
      values =
        for header <- @headers do
          values = for _ <- 1..40, do: Terms.draw(header)
          {header, Enum.filter(values, &match?({:ok, _}, write(request(%{header => &1}))))}
        end

      for _ <- 1..400 do
        headers =
          for {header, [_ | _] = values} <- values,
              :rand.uniform(2) == 1,
              into: %{},
              do: {header, Enum.random(values)}

        body = Enum.random(["", "\r\n\r\nVia: x\r\n", Terms.text()])
        message = %{request(headers) | body: body, start_line: start_line()}
        assert {:ok, written} = write(message)
        assert {:ok, again} = Message.parse(written)
        assert normal(Map.delete(again.headers, :content_length)) == normal(headers)
        assert {again.body, again.headers.content_length} == {body, byte_size(body)}
        assert normal(again.start_line) == normal(message.start_line)
      end
    end
  end

  defp start_line do
    uri = Terms.uri()
    token = Terms.token()
    phrase = Terms.text()
    request = %RequestLine{method: token, request_uri: uri, version: {2, 0}}
    status = StatusLine.new(99 + :rand.uniform(600), phrase)
    line = Enum.random([request, status])
    if match?({:ok, _}, write(%Message{start_line: line})), do: line, else: start_line()
  end

  # The same message, though not the same term: a method or protocol in a string that is a known one; an authority that
  # is not what host and port are; an IPv6 address in brackets. A URI of a scheme that is not parsed is its text.
  defp normal(%URI{scheme: scheme, host: host} = uri)
       when scheme in ["sip", "sips", "tel"] and is_binary(host),
       do: %{uri | authority: nil, port: uri.port || URI.default_port(scheme)}

  defp normal(%URI{} = uri), do: URI.to_string(uri)

  defp normal(%RequestLine{method: method} = line),
    do: %{line | method: known(method), request_uri: normal(line.request_uri)}

  defp normal(%StatusLine{} = line), do: line

  defp normal(%NaiveDateTime{} = date), do: date

  defp normal(%{} = map) do
    for {key, value} <- map, into: %{} do
      case {key, value} do
        {:cseq, {number, method}} -> {:cseq, {number, known(method)}}
        {"received", "[" <> rest} -> {"received", String.trim_trailing(rest, "]")}
        {key, value} -> {key, normal(value)}
      end
    end
  end

  defp normal({version, protocol, {_host, _port} = sent_by, %{} = parameters}),
    do: {version, known_protocol(protocol), sent_by, normal(parameters)}

  defp normal([head | tail]), do: [normal(head) | normal(tail)]

  defp normal(tuple) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> normal() |> List.to_tuple()

  defp normal(other), do: other

  defp known(method) do
    if is_binary(method) and method in Message.known_methods(),
      do: Message.to_method(method),
      else: method
  end

  defp known_protocol(protocol) do
    if is_binary(protocol) and String.upcase(protocol, :ascii) in Message.known_protocols(),
      do: Message.to_protocol(protocol),
      else: protocol
  end
end
