defmodule Sippet.Message.HeaderTest do
  use ExUnit.Case, async: true

  alias Sippet.{Message, ParseError, URI}

  defp uri(text) do
    {:ok, uri} = URI.parse(text)
    uri
  end

  defp message(lines), do: Message.parse!(["OPTIONS sip:bob@biloxi.com SIP/2.0\r\n", lines])

  describe "decode_header/2" do
    test "finds a field by any spelling, and the compact one on the wire" do
      message = message("o: presence\r\nsession-EXPIRES: 90\r\nr: <sip:a@b>\r\nb: <sip:c@d>\r\n")

      for name <- ["Event", "event", "o", "O"],
          do: assert({:ok, {"presence", _}} = Message.decode_header(message, name))

      assert Message.decode_header(message, "x") == {:ok, {90, %{}}}
      assert Message.decode_header(message, "refer-to") == {:ok, {"", uri("sip:a@b"), %{}}}
      assert Message.decode_header(message, "B") == {:ok, {"", uri("sip:c@d"), %{}}}
      assert Message.decode_header(message, "Path") == :error
      assert Message.decode_header(message, "X-Vendor") == :error
    end

    test "gives the text of a field that has no typed value" do
      message = message("X-Vendor: a, b\r\nx-vendor: c\r\n")
      assert Message.decode_header(message, "X-VENDOR") == {:ok, ["a, b", "c"]}
      assert Message.decode_header("a", "X-Vendor") == {:ok, ["a"]}
      assert Message.encode_header("X-Vendor", ["a, b", "c"]) == ["a, b", "c"]
      assert Message.encode_header("X-Vendor", "a") == ["a"]
    end

    test "gives the value of a documented field by either name" do
      message = message("m: <sip:a@b>;q=0.5\r\nCSeq: 1 OPTIONS\r\n")
      contact = [{"", uri("sip:a@b"), %{"q" => "0.5"}}]

      for name <- [:contact, "Contact", "CONTACT", "m"],
          do: assert(Message.decode_header(message, name) == {:ok, contact})

      assert Message.decode_header(message, "cseq") == {:ok, {1, :options}}
      assert Message.decode_header(message, :expires) == :error
      assert Message.decode_header(message, "Expires") == :error
    end

    test "tells what is wrong with a documented field that was kept as text" do
      message = message("Contact: <sip:a@b\r\nExpires: soon\r\nDate: today\r\n")
      assert %{"Contact" => ["<sip:a@b"]} = message.headers

      for name <- [:contact, "contact", "m"] do
        assert {:error, %ParseError{header: :contact, reason: :angle_brackets, offset: 0}} =
                 Message.decode_header(message, name)
      end

      assert {:error, %ParseError{header: :expires, reason: :number}} =
               Message.decode_header(message, "Expires")

      mended = Message.put_header(message, "Contact", ["<sip:a@b>", "\"C\" <sip:c@d>"])

      assert Message.decode_header(mended, :contact) ==
               {:ok, [{"", uri("sip:a@b"), %{}}, {"C", uri("sip:c@d"), %{}}]}
    end

    test "reads the text of each documented field as parse/2 does, and writes it back" do
      for {key, text} <- [
            accept: "application/sdp;level=1, text/*",
            allow: "INVITE, ACK",
            authorization:
              ~S(Digest username="a", realm="b", nonce="c", uri="sip:d", response="e"),
            call_id: "a84b4c76e66710@pc33.atlanta.com",
            contact: "*",
            content_length: "349",
            content_type: "application/sdp",
            cseq: "4711 INVITE",
            date: "Sat, 13 Nov 2010 23:29:00 GMT",
            from: ~S("A. G. Bell" <sip:agb@bell-telephone.com>;tag=a48s),
            max_forwards: "6",
            reason: ~S(Q.850;cause=16;text="Terminated"),
            retry_after: "18000;duration=3600",
            route: "<sip:server10.biloxi.com;lr>",
            subject: "Need more boxes",
            timestamp: "54",
            via: "SIP/2.0/UDP erlang.bell-telephone.com:5060;branch=z9hG4bK87asdks7",
            warning: ~S(307 isi.edu "Session parameter 'foo' not understood")
          ] do
        name = key |> Atom.to_string() |> String.replace("_", "-")
        %{^key => value} = message([name, ": ", text, "\r\n"]).headers
        assert Message.decode_header(text, key) == {:ok, value}
        assert Message.decode_header([text], name) == {:ok, value}
        written = Message.encode_header(key, value)
        assert Message.encode_header(name, value) == written
        assert Message.decode_header(written, key) == {:ok, value}
      end
    end

    test "errors have the place, counted over all lines, and a status code" do
      assert {:error, error} = Message.decode_header(["<sip:a>", "<sip:b> x"], "Path")
      assert {error.header, error.reason, error.offset} == {"Path", :syntax, 16}

      assert Exception.message(error) == ~S[the value is malformed ("Path", byte 16)]

      assert {:error, %ParseError{reason: :duplicate_field, header: "Event"}} =
               Message.decode_header(["a", "b"], "o")

      assert {:error, %ParseError{reason: :too_many_values, status_code: 513}} =
               Message.decode_header(String.duplicate("a,", 257), "Allow-Events")

      assert {:error, %ParseError{reason: :too_many_parameters, status_code: 513}} =
               Message.decode_header("a" <> Enum.map_join(1..33, &";p#{&1}"), "Event")

      for {name, text, reason} <- [
            {"Event", "", :empty_value},
            {"Event", "a b", :syntax},
            {"Event", "a\r\nb", :control_character},
            {"Event", "a;b=\"\0\"", :nul},
            {"RSeq", "0", :number},
            {"RSeq", "4294967296", :number},
            {"RAck", "1 INVITE", :number},
            {"RAck", "1 1", :number},
            {"Session-Expires", "-1", :number},
            {"SIP-ETag", "\"a\"", :token},
            {"SIP-ETag", "a, b", :syntax},
            {"Refer-To", "sip:a@b?c=d", :angle_brackets},
            {"Refer-To", "<sip:a@b>, <sip:c@d>", :syntax},
            {"Referred-By", "<sip:[fe80::1%eth0]>", :host},
            {"Path", "<sip:a>,,x", :uri},
            {"Diversion", "\"A <sip:a>", :quoted_string},
            {"Privacy", "id user", :syntax},
            {"Accept-Contact", "<sip:a>", :token}
          ] do
        assert {:error, %ParseError{header: ^name, reason: ^reason, status_code: 400}} =
                 Message.decode_header(text, name)
      end
    end

    test "long text is read too, on another scheduler" do
      line =
        Enum.map_join(1..64, ", ", fn _ -> "<sip:#{String.duplicate("a", 80)}@b.example>" end)

      text = List.duplicate(line, 4)
      assert IO.iodata_length(text) > 16_384
      assert {:ok, addresses} = Message.decode_header(text, "Path")
      assert length(addresses) == 256
    end

    test "what is no text and no name raises" do
      response = Message.build_response(200)

      for text <- [5, [5], ["a" | "b"], %{}] do
        message = Message.put_header(response, "Event", text)
        assert_raise ArgumentError, ~r/"Event"/, fn -> Message.decode_header(message, "Event") end
      end

      assert_raise ArgumentError, ~r/got: 5/, fn -> Message.decode_header(5, "Event") end
      assert_raise ArgumentError, ~r/:event/, fn -> Message.decode_header(response, :event) end
      assert_raise ArgumentError, ~r/:event/, fn -> Message.encode_header(:event, {"a", %{}}) end
      assert_raise ArgumentError, ~r/got: 5/, fn -> Message.encode_header(5, "a") end
    end
  end

  describe "encode_header/2" do
    test "names the field that cannot be written, and why" do
      for {name, value, pattern} <- [
            {"Event", {"a b", %{}}, ~r/"Event": .*token/},
            {"Event", {"a", %{"id" => "1\r\nVia: x"}}, ~r/"Event": .*CR, LF or NUL/},
            {"o", {"a\n", %{}}, ~r/"Event": .*CR, LF or NUL/},
            {"r", 5, ~r/"Refer-To": .*shape/},
            {"Refer-To", {"", "no uri", %{}}, ~r/"Refer-To": .*URI/},
            {"Refer-To", {"a\0", uri("sip:a@b"), %{}}, ~r/"Refer-To": .*CR, LF or NUL/},
            {"Path", [{"", uri("sip:a@b"), %{"x\r\n" => ""}}], ~r/"Path": .*CR, LF or NUL/},
            {"RSeq", 0, ~r/"RSeq": .*number/},
            {"RSeq", -1, ~r/"RSeq": .*shape/},
            {"RSeq", 4_294_967_296, ~r/"RSeq": .*shape/},
            {"RAck", {1, 2_147_483_648, :invite}, ~r/"RAck": .*number/},
            {"RAck", {1, 1, :no_method}, ~r/"RAck": .*method/},
            {"SIP-ETag", "", ~r/"SIP-ETag": .*empty/},
            {"Privacy", ["id;user"], ~r/"Privacy": .*token/},
            {"Identity", [{"a;b", uri("https://a.example"), %{}}], ~r/"Identity": .*malformed/},
            {"Identity", [{"ab", uri("https://a.example"), %{"info" => "x"}}],
             ~r/"Identity": .*malformed/},
            {"P-Charging-Vector", %{}, ~r/"P-Charging-Vector": .*mandatory/},
            {"X-Vendor", ["a\r\nVia: x"], ~r/"X-Vendor": .*CR, LF or NUL/},
            {"X-Vendor", [" a"], ~r/"X-Vendor": .*white space/},
            {"X-Vendor", 5, ~r/"X-Vendor": .*shape/},
            {:contact, [{"", uri("sip:a@b"), %{"a" => "\n"}}], ~r/:contact: .*CR, LF or NUL/},
            {"Contact", "sip:a@b", ~r/:contact: .*shape/}
          ] do
        assert_raise ArgumentError, pattern, fn -> Message.encode_header(name, value) end
      end
    end

    test "any text in any place of a value is refused or comes back as it was" do
      :rand.seed(:exsss, {7, 8, 9})

      results =
        for _ <- 1..3_000 do
          {name, value} = junk()

          try do
            Message.encode_header(name, value)
          rescue
            error in ArgumentError ->
              assert Exception.message(error) =~ inspect(name)
              :refused
          else
            text ->
              refute Enum.any?(text, &(&1 =~ ~r/[\r\n\0]/))
              assert Message.decode_header(text, name) == {:ok, value}
              :written
          end
        end

      # Neither is rare, or this would test nothing.
      assert Enum.count(results, &(&1 == :refused)) > 300
      assert Enum.count(results, &(&1 == :written)) > 300
    end
  end

  @pieces [
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ",",
    ";",
    ":",
    "=",
    "\"",
    "\\",
    "<",
    ">",
    "a",
    "1",
    "é",
    "@"
  ]

  defp text, do: Enum.map_join(1..:rand.uniform(3), fn _ -> Enum.random(@pieces) end)

  defp token, do: if(:rand.uniform(4) == 1, do: text(), else: "token1")

  defp parameters do
    case :rand.uniform(3) do
      1 -> %{}
      2 -> %{"a" => text()}
      3 -> %{"p" => "x", "flag" => ""}
    end
  end

  defp address, do: {text(), uri("sip:alice@atlanta.com;lr"), parameters()}

  defp junk do
    Enum.random([
      {"Event", {token(), parameters()}},
      {"Allow-Events", [token(), token()]},
      {"Privacy", [token(), token()]},
      {"Refer-To", address()},
      {"History-Info", [address(), address()]},
      {"Replaces", {token(), Map.merge(parameters(), %{"to-tag" => token(), "from-tag" => "1"})}},
      {"RAck", {1, 2, token()}},
      {"Session-Expires", {90, parameters()}},
      {"SIP-ETag", token()},
      {"P-Charging-Vector", Map.put(parameters(), "icid-value", text())},
      {"P-Visited-Network-ID", [{text(), parameters()}, {token(), %{}}]},
      {"Accept-Contact", [{token(), %{"methods" => text()}}]},
      {"Identity", [{token(), uri("https://a.example/b"), parameters()}]},
      {"Geolocation", [{uri("cid:a@b"), parameters()}]}
    ])
  end

  test "the table of the documentation has every field with a typed value" do
    {:docs_v1, _, _, _, %{"en" => doc}, _, _} = Code.fetch_docs(Sippet.Message.Header)

    documented =
      for "| `" <> _ = line <- String.split(doc, "\n"),
          [cell | _] = String.split(line, " | "),
          [_, name] <- Regex.scan(~r/`([^`]+)`/, cell),
          do: name

    # A field without a typed value takes any line; one that has a shape does not take all of these.
    typed? = fn name ->
      Enum.any?(["\"a\" b", "<", "a b"], &match?({:error, _}, Message.decode_header(&1, name)))
    end

    assert length(documented) == 53
    for name <- documented, do: assert(typed?.(name), name)
    refute typed?.("X-Vendor")
  end
end
