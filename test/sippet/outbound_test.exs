defmodule Sippet.OutboundTest do
  # Outbound registrations (RFC 5626), against the messages of the document.
  use ExUnit.Case, async: true

  alias Sippet.{Flow, Message, Outbound, URI}
  alias Sippet.Message.StatusLine

  doctest Outbound

  @instance "urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF"

  # As §9.2 has it.
  defp register(fields \\ []) do
    lines = [
      "REGISTER sip:example.com SIP/2.0",
      fields[:via] || "Via: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnashds7",
      "Max-Forwards: 70",
      "From: Bob <sip:bob@example.com>;tag=7F94778B653B",
      "To: Bob <sip:bob@example.com>",
      "Call-ID: 16CB75F21C70",
      "CSeq: 1 REGISTER",
      Keyword.get(fields, :supported, "Supported: path, outbound"),
      "Route: <sip:ep1.example.com;lr>",
      Keyword.get(
        fields,
        :contact,
        "Contact: <sip:bob@192.0.2.2;transport=tcp>;reg-id=1\r\n ;+sip.instance=\"<#{@instance}>\""
      ),
      fields[:more],
      "Content-Length: 0"
    ]

    Message.parse!(Enum.join(Enum.reject(lines, &is_nil/1), "\r\n") <> "\r\n\r\n")
  end

  describe "a REGISTER for a flow" do
    test "is written as in the document (§4.2.1, §9.2)" do
      plain = register(supported: nil, contact: "Contact: <sip:bob@192.0.2.2;transport=tcp>")

      request = Outbound.put_registration(plain, instance: @instance, reg_id: 1)
      text = Message.to_string(request)
      assert text =~ "\r\nSupported: path, outbound\r\n"
      assert text =~ ";reg-id=1"
      assert text =~ ~s(;+sip.instance="<#{@instance}>")
      assert Outbound.check_registration(Message.parse!(text)) == {:outbound, @instance, 1}
    end

    test "keeps what is there, and has nothing twice" do
      request =
        register(supported: "Supported: 100rel, OUTBOUND", contact: "Contact: <sip:a@b>;q=0.5")

      request = Outbound.put_registration(request, instance: @instance, reg_id: 2)
      assert request.headers.supported == ["100rel", "OUTBOUND", "path"]
      assert [{"", _uri, %{"q" => "0.5", "reg-id" => "2"}}] = request.headers.contact
      assert Outbound.put_registration(request, instance: @instance, reg_id: 2) == request
    end

    test "needs one Contact, an instance and a reg-id from 1 to 2^31 - 1" do
      for contact <- [nil, "Contact: *", "Contact: <sip:a@b>, <sip:c@d>"] do
        assert_raise ArgumentError, "expected the request to have one Contact", fn ->
          Outbound.put_registration(register(contact: contact), instance: @instance, reg_id: 1)
        end
      end

      for options <- [
            [],
            [instance: @instance],
            [instance: "<#{@instance}>", reg_id: 1],
            [instance: @instance, reg_id: 0],
            [instance: @instance, reg_id: 0x80000000],
            [instance: @instance, reg_id: 1, more: 1]
          ] do
        assert_raise ArgumentError,
                     ~r/expected options to be :instance, a URN, and :reg_id/,
                     fn ->
                       Outbound.put_registration(register(), options)
                     end
      end
    end
  end

  describe "a registrar (§6)" do
    test "is asked for a flow by instance and reg-id" do
      assert Outbound.check_registration(register()) == {:outbound, @instance, 1}
    end

    test "ignores a reg-id without an instance, or of whom does not support outbound" do
      assert Outbound.check_registration(register(contact: "Contact: <sip:a@b>;reg-id=1")) ==
               :ordinary

      assert Outbound.check_registration(register(supported: nil)) == :ordinary
      assert Outbound.check_registration(register(supported: "Supported: path")) == :ordinary
      contact = "Contact: <sip:a@b>;+sip.instance=\"<#{@instance}>\""
      assert Outbound.check_registration(register(contact: contact)) == :ordinary
      assert Outbound.check_registration(register(contact: nil)) == :ordinary

      assert Outbound.check_registration(register(contact: "Contact: *", more: "Expires: 0")) ==
               :ordinary
    end

    test "refuses several Contacts with a reg-id: 400; those that are taken away do not count" do
      flow = "<sip:a@b>;reg-id=1;+sip.instance=\"<#{@instance}>\""

      for {contact, more, expected} <- [
            {"Contact: #{flow}, <sip:c@d>", nil, {:error, 400}},
            {"Contact: <sip:c@d>, #{flow}", "Expires: 60", {:error, 400}},
            {"Contact: #{flow}, <sip:c@d>;expires=0", nil, {:outbound, @instance, 1}},
            {"Contact: #{flow}, <sip:c@d>", "Expires: 0", {:outbound, @instance, 1}}
          ] do
        request = register(contact: contact, more: more)
        assert Outbound.check_registration(request) == expected
      end
    end

    test "refuses a reg-id that is no number of its range: 400" do
      for reg_id <- ["=0", "=x", "=1x", "=2147483648", "=-1", ""] do
        contact = "Contact: <sip:a@b>;reg-id#{reg_id};+sip.instance=\"<#{@instance}>\""
        assert Outbound.check_registration(register(contact: contact)) == {:error, 400}
      end
    end

    test "refuses a flow through a first hop that cannot keep one: 439" do
      via =
        "Via: SIP/2.0/TCP p.example.com;branch=z9hG4bKa\r\nVia: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnashds7"

      for {path, expected} <- [
            {nil, {:error, 439}},
            {"Path: <sip:p.example.com;lr>", {:error, 439}},
            {"Path: <sip:token@ep1.example.com;lr;ob>", {:outbound, @instance, 1}},
            # The first hop's stands last (RFC 3327 §5.2).
            {"Path: <sip:p.example.com;lr>, <sip:t@ep1.example.com;lr;OB>",
             {:outbound, @instance, 1}},
            {"Path: <sip:p.example.com;lr;ob>, <sip:t@ep1.example.com;lr>", {:error, 439}},
            {"Path: <", {:error, 439}}
          ] do
        request = register(via: via, more: path)
        assert Outbound.check_registration(request) == expected
      end

      assert StatusLine.default_reason(439) == "First Hop Lacks Outbound Support"
    end

    test "confirms by Require, and may say how often it wants to hear of the flow (§5.4, §6)" do
      response = Outbound.confirm(Message.to_response(register(), 200), flow_timer: 120)
      text = Message.to_string(response)
      assert text =~ "\r\nRequire: outbound\r\n"
      assert text =~ "\r\nFlow-Timer: 120\r\n"
      read = Message.parse!(text)
      assert Outbound.confirmed?(read)
      assert Outbound.flow_timer(read) == 120_000

      plain = Message.to_response(register(), 200)
      refute Outbound.confirmed?(plain)
      assert Outbound.flow_timer(plain) == nil
      assert Outbound.confirmed?(Outbound.confirm(plain))
      refute Outbound.confirmed?(Outbound.confirm(Message.to_response(register(), 403)))

      for timer <- ["0", "-1", "soon", "", "99999999999999999999"],
          do: assert(Outbound.flow_timer(Message.put_header(plain, "Flow-Timer", [timer])) == nil)

      assert_raise ArgumentError, ~r/expected options to be/, fn ->
        Outbound.confirm(plain, flow_timer: 0)
      end
    end
  end

  describe "the time before a new try (§4.5)" do
    test "is that of the document: 30 to 60 s after the first, 15 to 30 min at the end" do
      for {failures, all_failed, least, most} <- [
            {1, true, 30_000, 60_000},
            {3, true, 120_000, 240_000},
            {6, true, 900_000, 1_800_000},
            {1_000_000, true, 900_000, 1_800_000},
            {1, false, 90_000, 180_000},
            {4, false, 720_000, 1_440_000},
            {5, false, 900_000, 1_800_000}
          ] do
        retry = &Outbound.retry_ms(failures, all_failed: all_failed, random: fn -> &1 end)
        assert retry.(0.0) == least
        assert retry.(1.0) == most
        assert retry.(0.5) == div(least + most, 2)

        for _ <- 1..500,
            do: assert(Outbound.retry_ms(failures, all_failed: all_failed) in least..most)
      end

      times = for _ <- 1..500, do: Outbound.retry_ms(2)
      assert length(Enum.uniq(times)) > 100
    end

    test "may have other bounds" do
      assert Outbound.retry_ms(2, base_ms: 10, max_ms: 1_000, random: fn -> 1.0 end) == 40
      assert Outbound.retry_ms(9, base_ms: 10, max_ms: 1_000, random: fn -> 1.0 end) == 1_000

      assert_raise ArgumentError, ~r/among .* got: :all/, fn ->
        Outbound.retry_ms(1, all: true)
      end
    end
  end

  describe "an edge proxy (§5.1)" do
    setup do
      stack = Sippet.Test.Stack.start()
      {:ok, stack: stack, flow: %Flow{transport: 1, remote: {{192, 0, 2, 2}, 5060}}}
    end

    test "puts itself on top of Path, with a token and ob", %{stack: stack, flow: flow} do
      request = %{register() | source: flow}
      request = Outbound.put_path(stack, request, "sip:ep1.example.com:5080")
      {:ok, [{"", uri, %{}}]} = Message.decode_header(request, "Path")
      assert {uri.host, uri.port, uri.parameters} == {"ep1.example.com", 5080, ";lr;ob"}
      assert Outbound.ob?(uri)
      assert Flow.from_token(stack, uri.userinfo) == {:ok, flow}
      assert Outbound.check_registration(request) == {:outbound, @instance, 1}
    end

    test "behind another proxy says nothing of the first hop", %{stack: stack, flow: flow} do
      via =
        "Via: SIP/2.0/TCP p.example.com;branch=z9hG4bKa\r\nVia: SIP/2.0/TCP 192.0.2.2;branch=z9hG4bKnashds7"

      request = %{register(via: via, more: "Path: <sip:p.example.com;lr>") | source: flow}
      request = Outbound.put_path(stack, request, URI.parse!("sip:ep1.example.com"))
      {:ok, [{"", first, %{}}, {"", second, %{}}]} = Message.decode_header(request, "Path")
      assert {first.host, second.host} == {"ep1.example.com", "p.example.com"}
      refute Outbound.ob?(first)
    end

    test "needs a request that was received, and a URI of its own", %{stack: stack, flow: flow} do
      assert_raise ArgumentError, ~r/to be a request that was received/, fn ->
        Outbound.put_path(stack, register(), "sip:ep1.example.com")
      end

      assert_raise ArgumentError, ~r/to have no user part, got: sip:a@ep1.example.com/, fn ->
        Outbound.put_path(stack, %{register() | source: flow}, "sip:a@ep1.example.com")
      end
    end
  end

  test "ob is one parameter, in any case" do
    for {uri, ob} <- [
          {"sip:a@b", false},
          {"sip:a@b;ob", true},
          {"sip:a@b;lr;OB", true},
          {"sip:a@b;obx", false},
          {"sip:ob@ob;user=ob", false}
        ] do
      uri = URI.parse!(uri)
      assert Outbound.ob?(uri) == ob
      assert Outbound.ob?(Outbound.put_ob(uri))
      assert Outbound.put_ob(Outbound.put_ob(uri)) == Outbound.put_ob(uri)
    end
  end

  test "430 and 439 have their reason phrases (§11)" do
    assert StatusLine.default_reason(430) == "Flow Failed"
    assert StatusLine.default_reason(439) == "First Hop Lacks Outbound Support"
  end
end
