defmodule Sippet.RedactionTest do
  use ExUnit.Case, async: true

  alias Sippet.{Message, Redaction}

  @secrets Redaction.secrets("***")

  defp head(line) do
    text =
      Redaction.message(@secrets, "REGISTER sip:a SIP/2.0\r\n#{line}\r\nCSeq: 1 REGISTER\r\n\r\n")

    assert "REGISTER sip:a SIP/2.0\r\n" <> rest = text
    String.replace_suffix(rest, "\r\nCSeq: 1 REGISTER\r\n\r\n", "")
  end

  defp body(text),
    do: Redaction.message(@secrets, "A\r\n\r\n" <> text) |> String.replace_prefix("A\r\n\r\n", "")

  test "of digest credentials it leaves who and where, in any case and on further lines (§7.3.1)" do
    for {line, left} <- [
          {~s(Authorization: Digest username="b,\\"ob", realm="r", nonce="n1", uri="sip:a", response="d00d", algorithm=MD5, ) <>
             ~s(cnonce="c1", opaque="o1", qop=auth, nc=00000001, auts="s1"),
           ~s(Authorization: Digest username="b,\\"ob", realm="r", nonce="***", uri="sip:a", response="***", algorithm=MD5, ) <>
             ~s(cnonce="***", opaque="***", qop=auth, nc=00000001, auts="***")},
          {~s(PROXY-AUTHORIZATION : digest realm = "r"\r\n , Response = d00d),
           ~s(PROXY-AUTHORIZATION : digest realm = "r"\r\n , Response = ***)},
          {~s(Authentication-Info: qop=auth, rspauth="d00d", nextnonce="n2", nc=1),
           ~s(Authentication-Info: qop=auth, rspauth="***", nextnonce="***", nc=1)}
        ],
        do: assert(head(line) == left)
  end

  test "what is no list of parameters, and what is of another scheme, goes as a whole" do
    for {line, left} <- [
          {"authorization:Basic Zm9vOmJhcg==", "authorization:Basic ***"},
          {"Authorization: Bearer abc.def", "Authorization: Bearer ***"},
          {"Authorization: d00d", "Authorization: ***"},
          {"Authorization:\r\n Digest response=d00d", "Authorization:***"},
          {~s(Authorization: Digest realm="r", "d00d"), ~s(Authorization: Digest realm="r",***)},
          {~s(Authorization: Digest response="d00d, realm="r"), ~s(Authorization: Digest ***)},
          {~s(Authorization: Digest realm=r d00d), ~s(Authorization: Digest ***)}
        ] do
      refute head(line) =~ ~r/d00d|Zm9v|abc/
      assert {line, head(line)} == {line, left}
    end
  end

  test "passwords of URIs and header fields in them go, and the rest stays" do
    assert head("Contact: <sip:bob:pa55@biloxi.example:5070;user=x>") ==
             "Contact: <sip:bob:***@biloxi.example:5070;user=x>"

    assert head("Refer-To: <SIPS:bob:pa55@b?Authorization=Digest%20x&Subject=y>") ==
             "Refer-To: <SIPS:bob:***@b?Authorization=***&Subject=y>"

    assert head("Call-Info: <http://bob:pa55@b/>") == "Call-Info: <http://bob:***@b/>"

    for line <- [
          "Contact: <sip:bob@[::1]:5060>",
          "Contact: sip:b.example:5060",
          "WWW-Authenticate: Digest nonce=\"n1\""
        ],
        do: assert(head(line) == line)

    assert Redaction.message(@secrets, "INVITE sip:bob:pa55@b SIP/2.0\r\n\r\n") ==
             "INVITE sip:bob:***@b SIP/2.0\r\n\r\n"
  end

  test "keys of bodies go, and the length of the body stays" do
    for {text, left} <- [
          {"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d00d|2^20",
           "a=crypto:1 AES_CM_128_HMAC_SHA1_80 ****************"},
          {"a=crypto:d00d", "a=crypto:****"},
          {"v=0\r\na=ice-pwd:d00d\r\na=ice-ufrag:abcd\r\n",
           "v=0\r\na=ice-pwd:****\r\na=ice-ufrag:abcd\r\n"},
          {"a=key-mgmt:mikey d00d\nk=base64:d00d", "a=key-mgmt:**********\nk=***********"},
          # A part of a message as a body (RFC 3420).
          {"Authorization: Digest realm=\"r\", response=\"d00d\"\r\n",
           "Authorization: Digest realm=\"r\", response=\"****\"\r\n"},
          {"sip:bob:d00d@b", "sip:bob:****@b"}
        ] do
      assert body(text) == left
      assert byte_size(body(text)) == byte_size(text)
    end
  end

  test "however lines end" do
    for line_end <- ["\r\n", "\n", "\r"], empty <- ["\r\n", "\n", "\r"] do
      text =
        Enum.join(
          ["A", "Authorization: Basic d00d", " d00d", "B: d", empty <> "a=ice-pwd:d00d", "C"],
          line_end
        )

      redacted = Redaction.message(@secrets, text)
      refute redacted =~ "d00d"

      assert redacted ==
               text |> String.replace(~r/d00d\s+d00d/, "***") |> String.replace("d00d", "****")
    end
  end

  test "a message can still be parsed, and has its other values" do
    message = """
    REGISTER sip:b.example SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK776asdhds
    From: <sip:bob:pa55@b.example>;tag=1
    To: <sip:bob@b.example>
    Call-ID: a
    CSeq: 1 REGISTER
    Authorization: Digest username="bob", realm="r", nonce="n1", uri="sip:b.example", response="d00d"
    Content-Length: 12

    a=ice-pwd:x
    """

    {:ok, before} = Message.parse(message)
    {:ok, redacted} = Message.parse(Redaction.message(@secrets, message))
    assert redacted.defects == []
    assert redacted.body == "a=ice-pwd:*\n"

    assert {"", %{userinfo: "bob:***", host: "b.example"}, %{"tag" => "1"}} =
             redacted.headers.from

    assert [
             {"Digest",
              %{
                "username" => "bob",
                "nonce" => "***",
                "response" => "***",
                "uri" => "sip:b.example"
              }}
           ] = redacted.headers.authorization

    assert Map.drop(redacted.headers, [:from, :authorization]) ==
             Map.drop(before.headers, [:from, :authorization])
  end

  test "whatever the bytes are, it ends and leaves what is no secret" do
    :rand.seed(:exsss, {1, 2, 3})

    words = [
      "Authorization",
      ":",
      " ",
      "Digest ",
      "sip:",
      "@",
      "\"",
      "\\",
      ",",
      "=",
      "\r",
      "\n",
      "a=crypto:",
      "k=",
      <<0>>,
      <<255>>,
      "x"
    ]

    for _ <- 1..2_000 do
      data = Enum.map_join(1..:rand.uniform(40), fn _ -> Enum.random(words) end)
      assert is_binary(Redaction.message(@secrets, data))
      assert is_binary(Redaction.message(Redaction.whole("*"), data))
    end

    data = for _ <- 1..500, into: "", do: Enum.random(["INVITE", " ", "\r\n", "x", <<200>>])
    assert Redaction.message(@secrets, data) == data
  end

  # Sixteen times the bytes: what is quadratic would take 256 times the work.
  test "work grows with the bytes, whatever they are" do
    for unit <- [
          "sip:",
          "Authorization: \n",
          "Authorization: Digest a\n \n",
          ",",
          "a=crypto:1 a\r",
          "?authorization="
        ] do
      lead = "Authorization: Digest "
      small = work(lead <> String.duplicate(unit, 1_000))
      large = work(lead <> String.duplicate(unit, 16_000))

      assert large < 64 * max(small, 1_000),
             "#{inspect(unit)}: #{small}, then #{large} reductions"
    end
  end

  # The matching of regular expressions counts its steps as reductions, too.
  defp work(data) do
    data = data <> "\r\n\r\n" <> data
    {:reductions, before} = Process.info(self(), :reductions)
    _ = Redaction.message(@secrets, data)
    {:reductions, now} = Process.info(self(), :reductions)
    now - before
  end
end
