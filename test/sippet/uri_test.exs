defmodule Sippet.URITest do
  use ExUnit.Case, async: true

  alias Sippet.Test.Corpus
  alias Sippet.URI

  doctest Sippet.URI

  describe "parse/1" do
    test "splits a SIP URI into its pieces" do
      assert URI.parse("SIP:alice:secret@Atlanta.com:5080;transport=tcp?subject=a&to=b") ==
               {:ok,
                %URI{
                  scheme: "sip",
                  userinfo: "alice:secret",
                  authority: "alice:secret@Atlanta.com:5080",
                  parameters: ";transport=tcp",
                  headers: "?subject=a&to=b",
                  host: "Atlanta.com",
                  port: 5080
                }}
    end

    test "leaves absent pieces nil and takes the default port of the scheme" do
      assert URI.parse!("sip:a.example") ==
               %URI{scheme: "sip", authority: "a.example", host: "a.example", port: 5060}

      assert URI.parse!("sips:a.example").port == 5061
    end

    test "takes brackets off an IPv6 address and puts them back" do
      uri = URI.parse!("sip:bob@[2001:db8::10]:5070")
      assert {uri.host, uri.port} == {"2001:db8::10", 5070}
      assert to_string(uri) == "sip:bob@[2001:db8::10]:5070"
    end

    test "keeps a user with semicolons in one piece (§19.1.1)" do
      uri = URI.parse!("sip:alice;day=tuesday@atlanta.com;lr")

      assert {uri.userinfo, uri.host, uri.parameters} ==
               {"alice;day=tuesday", "atlanta.com", ";lr"}
    end

    test "takes a parsed URI as it is" do
      uri = URI.parse!("sip:a.example")
      assert URI.parse(uri) == {:ok, uri}
    end

    test "refuses what is no URI" do
      for text <- [
            "",
            "foo",
            "*",
            "sip:",
            "sip:user@",
            "sip:[::1",
            "sip:a:abc",
            "sip:a:99999",
            "sip:a\r\nb"
          ] do
        assert {text, URI.parse(text)} == {text, {:error, :invalid}}
      end

      assert_raise ArgumentError, "cannot convert \"sip:\" to SIP-URI, reason: :invalid", fn ->
        URI.parse!("sip:")
      end
    end
  end

  describe "to_string/1" do
    test "gives back what was parsed" do
      for text <- [
            "sip:alice@atlanta.com",
            "sip:alice:secretword@atlanta.com;transport=tcp",
            "sips:1212@gateway.com:5061",
            "sip:[::1]",
            "sip:user@[2001:db8::192.0.2.1]:5060;lr?Route=%3Csip:p.example%3E",
            "tel:+1-201-555-0123;ext=42",
            "tel:7042;phone-context=example.com",
            "urn:service:sos.fire",
            "mailto:alice@example.com",
            "http://www.example.com/a?b=c;d"
          ] do
        assert text |> URI.parse!() |> to_string() == text
      end
    end

    test "shows a port that differs from what the authority says" do
      uri = URI.parse!("sip:bob@biloxi.com:5060")
      assert to_string(uri) == "sip:bob@biloxi.com:5060"
      assert to_string(%{uri | port: 5070}) == "sip:bob@biloxi.com:5070"
      assert to_string(%{uri | host: "atlanta.com"}) == "sip:bob@atlanta.com"
      assert to_string(%{uri | authority: nil}) == "sip:bob@biloxi.com"
      assert to_string(%{uri | userinfo: "alice"}) == "sip:alice@biloxi.com:5060"
      assert to_string(%{uri | userinfo: nil}) == "sip:biloxi.com:5060"
      assert to_string(%{uri | port: nil}) == "sip:bob@biloxi.com"
    end

    test "refuses pieces that hold a line end" do
      for field <- [:scheme, :userinfo, :host, :parameters, :headers] do
        uri = Map.put(URI.parse!("sip:bob@biloxi.com"), field, ";a=\r\nVia: x")
        assert_raise ArgumentError, fn -> URI.to_string(uri) end
      end
    end
  end

  describe "parameters and headers" do
    test "come back as they were written" do
      map = %{"lr" => nil, "x" => "a;b=c?d", "y" => "", "utf8" => "é"}
      assert map |> URI.encode_parameters() |> URI.decode_parameters() == map

      headers = %{"subject" => "a&b=c", "body" => "x\r\ny"}
      assert headers |> URI.encode_headers() |> URI.decode_headers() == headers
    end

    test "are empty without text" do
      assert {URI.decode_parameters(nil), URI.decode_parameters("")} == {%{}, %{}}
      assert {URI.decode_headers(nil), URI.decode_headers("")} == {%{}, %{}}
    end

    test "keep the case of names and take the last of two" do
      assert URI.decode_parameters(";Foo=1;foo=2;foo=3") == %{"Foo" => "1", "foo" => "3"}
    end

    test "must begin with their mark" do
      assert_raise ArgumentError, fn -> URI.decode_parameters("lr") end
      assert_raise ArgumentError, fn -> URI.decode_headers("a=b") end
    end

    test "are never lists" do
      assert_raise ArgumentError, fn -> URI.encode_parameters([{"a", ~c"b"}]) end
      assert_raise ArgumentError, fn -> URI.encode_headers([{~c"a", "b"}]) end
    end

    test "keep escapes that are none" do
      assert URI.percent_unescape("%zz%4%41%") == "%zz%4A%"
      assert URI.decode_parameters(";a=%ZZ") == %{"a" => "%ZZ"}
    end
  end

  describe "equivalent/2" do
    test "compares a written port with an omitted one by the lazy form only" do
      refute URI.equivalent("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060")
      assert URI.lazy_equivalent("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060")
      assert URI.lazy_equivalent("sips:bob@biloxi.com", "sips:bob@biloxi.com:5061;transport=tls")
      refute URI.lazy_equivalent("sip:bob@biloxi.com", "sip:bob@biloxi.com:5061")
    end

    test "is symmetric, also where one URI alone has a parameter" do
      a = URI.parse!("sip:a@b.example;maddr=192.0.2.1")
      b = URI.parse!("sip:a@b.example")
      refute URI.equivalent(a, b)
      refute URI.equivalent(b, a)
    end

    test "takes a URI made by hand, whose default port counts as omitted" do
      made = %URI{scheme: "sip", userinfo: "bob", host: "biloxi.com", port: 5060}
      assert URI.equivalent(made, "sip:bob@biloxi.com")
      refute URI.equivalent(made, "sip:bob@biloxi.com:5060")
      changed = %{URI.parse!("sip:bob@atlanta.com:5060") | host: "biloxi.com"}
      assert URI.equivalent(changed, to_string(changed))
    end

    test "compares other schemes as text" do
      assert URI.equivalent("urn:service:sos", "URN:service:sos")
      refute URI.equivalent("urn:service:sos", "urn:service:sos.fire")
    end
  end

  describe "vectors" do
    @tag skip: Corpus.path() == nil && "no corpus"
    test "of URI equivalence (§19.1.4) hold in both orders" do
      pairs = Corpus.vectors("uri_equivalence")["pairs"]
      assert length(pairs) > 40

      wrong =
        for %{"a" => a, "b" => b, "equal" => equal} <- pairs,
            {x, y} <- [{a, b}, {b, a}],
            URI.equivalent(x, y) != equal,
            do: {x, y, equal}

      assert wrong == []
      for %{"a" => a, "b" => b} <- pairs, x <- [a, b], do: assert(URI.equivalent(x, x))
    end

    @tag skip: Corpus.path() == nil && "no corpus"
    test "of tel URIs (RFC 3966) hold" do
      vectors = Corpus.vectors("tel_uris")

      for %{"uri" => text} = row <- vectors["valid"], row["either"] != true do
        assert {:ok, uri} = URI.parse(text)
        assert uri.scheme == "tel"
        assert {text, String.replace(uri.host, ["-", ".", "(", ")"], "")} == {text, row["number"]}
        assert URI.decode_parameters(uri.parameters) == row["params"]
        assert text |> URI.parse!() |> to_string() |> String.downcase() == String.downcase(text)
      end

      accepted =
        for %{"uri" => text} <- vectors["invalid"], match?({:ok, _}, URI.parse(text)), do: text

      assert accepted == []

      for %{"a" => a, "b" => b, "equal" => equal} <- vectors["equivalence"] do
        assert {a, b, URI.equivalent(a, b)} == {a, b, equal}
        assert {b, a, URI.equivalent(b, a)} == {b, a, equal}
      end
    end

    @tag skip: Corpus.path() == nil && "no corpus"
    test "of URI components hold" do
      {valid, invalid} = Enum.split_with(Corpus.vectors("uri_parse")["uris"], & &1["valid"])
      assert {length(valid), length(invalid)} != {0, 0}

      accepted = for %{"uri" => text} <- invalid, match?({:ok, _}, URI.parse(text)), do: text
      assert accepted == []

      for %{"uri" => text, "expect" => expected} <- valid do
        uri = URI.parse!(text)
        {user, password} = user(uri.userinfo)

        assert {text, uri.scheme, user, password} ==
                 {text, expected["scheme"], expected["user"], expected["password"]}

        assert bracketed(uri.host) == expected["host"]
        assert uri.port == (expected["port"] || URI.default_port(uri.scheme))
        assert URI.decode_parameters(uri.parameters) == expected["params"]
        assert URI.decode_headers(uri.headers) == expected["headers"]
        assert to_string(uri) == text
      end
    end
  end

  defp user(nil), do: {nil, nil}

  defp user(userinfo) do
    case String.split(userinfo, ":", parts: 2) do
      [user] -> {URI.percent_unescape(user), nil}
      [user, password] -> {URI.percent_unescape(user), URI.percent_unescape(password)}
    end
  end

  defp bracketed(host), do: if(String.contains?(host, ":"), do: "[#{host}]", else: host)
end
