defmodule Sippet.Message.ExtensionTest do
  # Each typed value of Sippet.Message.Header, by the examples of the documents that define it.
  use ExUnit.Case, async: true

  alias Sippet.{Message, ParseError, URI}

  defp uri(text) do
    {:ok, uri} = URI.parse(text)
    uri
  end

  defp message(lines), do: Message.parse!(["OPTIONS sip:bob@biloxi.com SIP/2.0\r\n", lines])

  # The value, and the text that is written for it where that is not the text that was read.
  defp example(name, text, value, written \\ nil) do
    assert Message.decode_header(text, name) == {:ok, value}
    assert Message.encode_header(name, value) == List.wrap(written || text)
    assert Message.decode_header(List.wrap(written || text), name) == {:ok, value}

    # In a message the text comes back as it was.
    lines = for line <- List.wrap(text), do: [name, ": ", line, "\r\n"]
    message = message(lines)
    assert message.defects == []
    assert Message.decode_header(message, name) == {:ok, value}
    text = Message.encode_header(name, value)
    again = message |> Message.put_header(name, text) |> Message.to_string() |> Message.parse!()
    assert Message.decode_header(again, name) == {:ok, value}
  end

  describe "fields with a token" do
    test "Event has a package and parameters (RFC 6665 §8.2.1)" do
      example("Event", "presence", {"presence", %{}})
      example("Event", "presence.winfo;id=1", {"presence.winfo", %{"id" => "1"}})

      example(
        "Event",
        ~S(dialog ; Call-ID="a84b@pc33" ; from-tag="1"),
        {"dialog", %{"call-id" => "a84b@pc33", "from-tag" => "1"}},
        ~S(dialog;call-id="a84b@pc33";from-tag=1)
      )
    end

    test "Subscription-State has a state and parameters (RFC 6665 §8.2.3)" do
      example(
        "Subscription-State",
        "active;expires=599",
        {"active", %{"expires" => "599"}}
      )

      example(
        "Subscription-State",
        "terminated;reason=noresource",
        {"terminated", %{"reason" => "noresource"}}
      )
    end

    test "entity tags are tokens (RFC 3903, RFC 5839)" do
      example("SIP-ETag", "dx200xyz", "dx200xyz")
      example("SIP-If-Match", "kwj449x", "kwj449x")
      example("Suppress-If-Match", "*", "*")
    end

    test "Answer-Mode, Refer-Sub, Info-Package and others have parameters" do
      example("Answer-Mode", "Manual;require", {"Manual", %{"require" => ""}})
      example("Priv-Answer-Mode", "Auto", {"Auto", %{}})
      example("Refer-Sub", "false", {"false", %{}})
      example("Info-Package", "foo;bar=1", {"foo", %{"bar" => "1"}})
      example("Geolocation-Routing", "yes", {"yes", %{}})
      example("P-Answer-State", "Unconfirmed", {"Unconfirmed", %{}})

      example(
        "Session-ID",
        "ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000",
        {"ab30317f1a784dc48ff824d0d3715d86", %{"remote" => String.duplicate("0", 32)}}
      )
    end
  end

  describe "fields with many tokens" do
    test "Allow-Events, Request-Disposition, Resource-Priority have commas" do
      example("Allow-Events", "spirits-INDPs, presence", ["spirits-INDPs", "presence"])
      example("Request-Disposition", "proxy, recurse, parallel", ["proxy", "recurse", "parallel"])
      example("Resource-Priority", "wps.3, dsn.flash", ["wps.3", "dsn.flash"])
      example("P-Early-Media", "sendrecv, gated", ["sendrecv", "gated"])
    end

    test "Privacy has semicolons (RFC 3323 §4.2), of several lines too" do
      example("Privacy", "header;user;critical", ["header", "user", "critical"])
      example("Privacy", "id", ["id"])

      example(
        "Privacy",
        ["id", "history ; critical"],
        ["id", "history", "critical"],
        "id;history;critical"
      )

      assert Message.decode_header("id, critical", "Privacy") == {:ok, ["id", "critical"]}
    end

    test "Security-Client and its kin list mechanisms (RFC 3329 §2.2)" do
      example(
        "Security-Client",
        "tls, digest",
        [{"tls", %{}}, {"digest", %{}}],
        ["tls", "digest"]
      )

      example(
        "Security-Server",
        ["ipsec-ike;q=0.1", "tls;q=0.2"],
        [{"ipsec-ike", %{"q" => "0.1"}}, {"tls", %{"q" => "0.2"}}]
      )

      example(
        "Security-Verify",
        ~S(digest;d-ver="0000000000000000000000000000a011"),
        [{"digest", %{"d-ver" => "0000000000000000000000000000a011"}}]
      )
    end

    test "feature parameters are quoted (RFC 3841, RFC 3840 §9, RFC 6809)" do
      example(
        "Accept-Contact",
        [~S(*;audio;require), ~S(*;methods="INVITE,BYE";mobility="fixed")],
        [
          {"*", %{"audio" => "", "require" => ""}},
          {"*", %{"mobility" => "fixed", "methods" => "INVITE,BYE"}}
        ]
      )

      example("Reject-Contact", ~S(*;actor="msg-taker";video), [
        {"*", %{"actor" => "msg-taker", "video" => ""}}
      ])

      example("Feature-Caps", ~S(*;+g.3gpp.srvcc="<sip:a@b>"), [
        {"*", %{"+g.3gpp.srvcc" => "<sip:a@b>"}}
      ])
    end

    test "P-Access-Network-Info and P-Visited-Network-ID (RFC 7315)" do
      example(
        "P-Access-Network-Info",
        "3GPP-UTRAN-TDD; utran-cell-id-3gpp=234151D0FCE11",
        [{"3GPP-UTRAN-TDD", %{"utran-cell-id-3gpp" => "234151D0FCE11"}}],
        "3GPP-UTRAN-TDD;utran-cell-id-3gpp=234151D0FCE11"
      )

      example(
        "P-Visited-Network-ID",
        ~S(other.net, "Visited \"network\" number 1"),
        [{"other.net", %{}}, {~S(Visited "network" number 1), %{}}],
        ["other.net", ~S("Visited \"network\" number 1")]
      )

      example("User-to-User", "56a390f3d2b7310023a2;encoding=hex;purpose=foo", [
        {"56a390f3d2b7310023a2", %{"encoding" => "hex", "purpose" => "foo"}}
      ])
    end

    test "fields that mean something without a value keep their empty line, others have none" do
      for name <- ~w(P-Associated-URI Recv-Info Accept-Resource-Priority P-Early-Media),
          do: example(name, "", [])

      for name <- ~w(Path Allow-Events Privacy Identity History-Info Security-Client) do
        assert Message.encode_header(name, []) == []
        assert Message.decode_header([], name) == {:ok, []}
        assert Message.decode_header("", name) == {:ok, []}
      end
    end
  end

  describe "fields with numbers" do
    test "RSeq and RAck (RFC 3262 §7)" do
      example("RSeq", "988789", 988_789)
      example("RSeq", "4294967295", 4_294_967_295)
      example("RAck", "776656 1 INVITE", {776_656, 1, :invite})
      example("RAck", "1 2147483647 FOO", {1, 2_147_483_647, "FOO"})
    end

    test "Session-Expires and Min-SE (RFC 4028 §4, §5)" do
      example("Session-Expires", "4000;refresher=uac", {4000, %{"refresher" => "uac"}})
      example("Min-SE", "90", {90, %{}})

      example(
        "Geolocation-Error",
        ~S(100;code="Cannot process"),
        {100, %{"code" => "Cannot process"}}
      )

      # One word is quoted too (RFC 6442 §4.3).
      example("Geolocation-Error", ~S(201;code="Permission"), {201, %{"code" => "Permission"}})
    end

    test "Flow-Timer and Max-Breadth" do
      example("Flow-Timer", "120", 120)
      example("Max-Breadth", "0060", 60, "60")
    end
  end

  describe "fields with a dialog" do
    test "Replaces (RFC 3891 §6.1)" do
      example(
        "Replaces",
        "98732@sip.example.com\t;from-tag=r33th4x0r\r\n ;to-tag=ff87ff",
        {"98732@sip.example.com", %{"from-tag" => "r33th4x0r", "to-tag" => "ff87ff"}},
        "98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff"
      )

      example(
        "Replaces",
        "12adf2f34456gs5;early-only;from-tag=54321;to-tag=12345",
        {"12adf2f34456gs5", %{"from-tag" => "54321", "to-tag" => "12345", "early-only" => ""}}
      )
    end

    test "Join (RFC 3911 §7.1) and Target-Dialog (RFC 4538 §7)" do
      example(
        "Join",
        "87134@192.0.2.23;from-tag=0;to-tag=24796",
        {"87134@192.0.2.23", %{"from-tag" => "0", "to-tag" => "24796"}}
      )

      example(
        "Target-Dialog",
        "fa77as7dad8-sd98ajzz@host.example.com;local-tag=kkaz-;remote-tag=6544",
        {"fa77as7dad8-sd98ajzz@host.example.com",
         %{"local-tag" => "kkaz-", "remote-tag" => "6544"}}
      )
    end

    test "tags stand once each" do
      for {text, reason} <- [
            {"a;to-tag=1", :missing_parameter},
            {"a;from-tag=1;to-tag=", :missing_parameter},
            {"a;from-tag=1;to-tag=2;to-tag=3", :duplicate_parameter},
            {"a;from-tag=1;to-tag=2, b;from-tag=1;to-tag=2", :syntax}
          ] do
        assert {:error, %ParseError{header: "Replaces", reason: ^reason, status_code: 400}} =
                 Message.decode_header(text, "Replaces")
      end

      assert_raise ArgumentError, ~r/"Join".*mandatory parameter/, fn ->
        Message.encode_header("Join", {"a", %{"to-tag" => "1"}})
      end
    end
  end

  describe "fields with addresses" do
    test "Refer-To (RFC 3515 §2.1) keeps the header fields of its URI" do
      text =
        "<sip:dave@denver.example.org?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994>"

      {:ok, {"", uri, parameters}} = Message.decode_header(text, "Refer-To")
      assert parameters == %{}

      assert uri.headers ==
               "?Replaces=12345%40192.168.118.3%3Bto-tag%3D12345%3Bfrom-tag%3D5FFE-3994"

      example("Refer-To", text, {"", uri, %{}})

      target = uri("sip:carol@cleveland.example.org;method=SUBSCRIBE")
      example("Refer-To", "<sip:carol@cleveland.example.org;method=SUBSCRIBE>", {"", target, %{}})
      example("Refer-To", "<http://www.ietf.org>", {"", uri("http://www.ietf.org"), %{}})

      example(
        "Refer-To",
        "sip:alice@atlanta.example.com;x",
        {"", uri("sip:alice@atlanta.example.com"), %{"x" => ""}},
        "<sip:alice@atlanta.example.com>;x"
      )
    end

    test "Referred-By quotes its cid (RFC 3892 §3)" do
      example(
        "Referred-By",
        ~S(<sip:r@referrer.example>;cid="20398823.2UWQFN309shb3@referrer.example"),
        {"", uri("sip:r@referrer.example"), %{"cid" => "20398823.2UWQFN309shb3@referrer.example"}}
      )
    end

    test "Path (RFC 3327) and Service-Route (RFC 3608) keep their order over several lines" do
      example(
        "Path",
        [
          "<sip:P3.EXAMPLEHOME.COM;lr>,<sip:P1.EXAMPLEVISITED.COM;lr>",
          "<sip:[2001:db8::1]:5070;lr>;ob"
        ],
        [
          {"", uri("sip:P3.EXAMPLEHOME.COM;lr"), %{}},
          {"", uri("sip:P1.EXAMPLEVISITED.COM;lr"), %{}},
          {"", uri("sip:[2001:db8::1]:5070;lr"), %{"ob" => ""}}
        ],
        [
          "<sip:P3.EXAMPLEHOME.COM;lr>",
          "<sip:P1.EXAMPLEVISITED.COM;lr>",
          "<sip:[2001:db8::1]:5070;lr>;ob"
        ]
      )

      example("Service-Route", "<sip:orig@P2.HOME.EXAMPLE.COM:5060;lr>", [
        {"", uri("sip:orig@P2.HOME.EXAMPLE.COM:5060;lr"), %{}}
      ])
    end

    test "History-Info (RFC 7044)" do
      example(
        "History-Info",
        [
          "<sip:bob@example.com>;index=1",
          "<sip:bob@192.0.2.4?Reason=SIP%3Bcause%3D302>;index=1.1;rc=1"
        ],
        [
          {"", uri("sip:bob@example.com"), %{"index" => "1"}},
          {"", uri("sip:bob@192.0.2.4?Reason=SIP%3Bcause%3D302"),
           %{"index" => "1.1", "rc" => "1"}}
        ]
      )
    end

    test "Diversion (RFC 5806)" do
      example(
        "Diversion",
        ~S("Bob; \"B\"" <sip:UserB@there.com>;counter=1;privacy=full;reason=user-busy;screen="no, thanks"),
        [
          {~S(Bob; "B"), uri("sip:UserB@there.com"),
           %{
             "reason" => "user-busy",
             "counter" => "1",
             "privacy" => "full",
             "screen" => "no, thanks"
           }}
        ]
      )
    end

    test "identities in private header fields (RFC 3325, RFC 7315, RFC 5502)" do
      example("P-Preferred-Identity", ~S("Cullen Jennings" <sip:fluffy@cisco.com>), [
        {"Cullen Jennings", uri("sip:fluffy@cisco.com"), %{}}
      ])

      example("P-Associated-URI", ["<sip:user@home1.net>", "<tel:+358504821437>"], [
        {"", uri("sip:user@home1.net"), %{}},
        {"", uri("tel:+358504821437"), %{}}
      ])

      example(
        "P-Called-Party-ID",
        "<sip:user1-business@example.com>",
        {"", uri("sip:user1-business@example.com"), %{}}
      )

      example(
        "P-Served-User",
        "<sip:user@home1.net>;regstate=reg;sescase=orig",
        {"", uri("sip:user@home1.net"), %{"sescase" => "orig", "regstate" => "reg"}}
      )

      example("P-Profile-Key", "<sip:chatroom-!.*!@example.com>", {
        "",
        uri("sip:chatroom-!.*!@example.com"),
        %{}
      })

      example("Permission-Missing", "<sip:bill@example.com>", [
        {"", uri("sip:bill@example.com"), %{}}
      ])
    end

    test "Geolocation has URIs in brackets (RFC 6442 §4.1)" do
      example(
        "Geolocation",
        ["<cid:target123@atlanta.example.com>", "<sips:3sdefrhy2jj7@lis.example.com>;a=1"],
        [
          {uri("cid:target123@atlanta.example.com"), %{}},
          {uri("sips:3sdefrhy2jj7@lis.example.com"), %{"a" => "1"}}
        ]
      )

      assert {:error, %ParseError{reason: :angle_brackets, header: "Geolocation"}} =
               Message.decode_header("cid:target123@atlanta.example.com", "Geolocation")
    end
  end

  test "Identity has a digest, the URI of info, and parameters (RFC 8224 §4)" do
    example(
      "Identity",
      "eyJhbGciOiJFUzI1NiJ9.eyJkZXN0Ijp7fX0.sv-9_Q==;info=<https://biloxi.example.org/a;b,c.cer>;alg=ES256;ppt=shaken",
      [
        {"eyJhbGciOiJFUzI1NiJ9.eyJkZXN0Ijp7fX0.sv-9_Q==",
         uri("https://biloxi.example.org/a;b,c.cer"), %{"alg" => "ES256", "ppt" => "shaken"}}
      ]
    )

    assert {:error, %ParseError{reason: :missing_parameter, header: "Identity"}} =
             Message.decode_header("abc;alg=ES256", "y")
  end

  test "P-Charging-Vector has icid-value first (RFC 7315 §5.6)" do
    example(
      "P-Charging-Vector",
      "icid-value=1234bc9876e; icid-generated-at=192.0.6.8; orig-ioi=home1.net",
      %{
        "icid-value" => "1234bc9876e",
        "icid-generated-at" => "192.0.6.8",
        "orig-ioi" => "home1.net"
      },
      "icid-value=1234bc9876e;icid-generated-at=192.0.6.8;orig-ioi=home1.net"
    )

    assert Message.encode_header("P-Charging-Vector", %{"a" => "1", "icid-value" => "2"}) ==
             ["icid-value=2;a=1"]

    assert {:error, %ParseError{reason: :missing_parameter}} =
             Message.decode_header("orig-ioi=home1.net", "P-Charging-Vector")
  end
end
