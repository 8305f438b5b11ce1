defmodule Sippet.Dialog.RequestTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Call

  alias Sippet.{Dialog, Message, URI}

  describe "a request in the dialog (§12.2.1.1)" do
    test "has all that the dialog knows" do
      {request, dialog} = Dialog.build_request(uac(), "INFO")
      assert start_line(request) == "INFO sip:bob@client.biloxi.example SIP/2.0"
      assert routes(request) == [p1(), p2()]
      assert request.target == nil
      assert request.headers.max_forwards == 70
      assert request.headers.call_id == "one@atlanta.example"
      assert {"Alice", _uri, from} = request.headers.from
      assert {"Bob", _uri, to} = request.headers.to
      assert {from, to} == {%{"tag" => "a-tag"}, %{"tag" => "b-tag"}}
      assert request.headers.cseq == {21, :info}
      refute Message.has_header?(request, :contact)
      refute Message.has_header?(request, :via)

      assert {%{headers: %{cseq: {22, "X-NEW"}}}, _dialog} = Dialog.build_request(dialog, "x-new")
    end

    test "can be sent with a Via, further header fields and a body" do
      via = [
        {{2, 0}, :udp, {"client.atlanta.example", 5060}, %{"branch" => Message.create_branch()}}
      ]

      {request, _dialog} =
        Dialog.build_request(uac(), :message,
          via: via,
          headers: %{:max_forwards => 20, "X-Mood" => ["glad"]},
          body: "hällo"
        )

      assert Message.valid?(request)
      assert {:ok, parsed} = request |> Message.to_string() |> Message.parse(framing: :datagram)
      assert parsed.body == "hällo"
      assert parsed.headers.content_length == 6
      assert parsed.headers.max_forwards == 20
      assert parsed.headers["X-Mood"] == ["glad"]
    end

    test "has no Route where nothing recorded one" do
      {request, _dialog} = Dialog.build_request(uac(200, record_route: nil), :bye)
      refute Message.has_header?(request, :route)
      assert start_line(request) == "BYE sip:bob@client.biloxi.example SIP/2.0"
    end

    test "behind a strict router has that one as Request-URI and the remote target as last Route" do
      record_route =
        "<sip:s4.example>, <sip:s3.example;lr>, <sip:s2.example>, <sip:s1.example:5070;x=y;method=INVITE?a=b>"

      {request, _dialog} = Dialog.build_request(uac(200, record_route: record_route), :bye)
      assert start_line(request) == "BYE sip:s1.example:5070;x=y SIP/2.0"

      assert routes(request) ==
               [
                 "sip:s2.example",
                 "sip:s3.example;lr",
                 "sip:s4.example",
                 "sip:bob@client.biloxi.example"
               ]

      # §8.1.2: it goes to the Request-URI, not to the Route.
      assert request.target == {:udp, "s1.example", 5070}
    end

    test "leads to the strict router by its transport, its maddr and its scheme" do
      for {uri, via, target} <- [
            {"sip:s.example", [], {:udp, "s.example", 5060}},
            {"sip:s.example", :tcp, {:tcp, "s.example", 5060}},
            {"sip:s.example;transport=TCP", :udp, {:tcp, "s.example", 5060}},
            {"sip:s.example;maddr=192.0.2.9", :udp, {:udp, "192.0.2.9", 5060}},
            {"sips:s.example", :tls, {:tls, "s.example", 5061}},
            {"sips:s.example", [], {:tls, "s.example", 5061}},
            {"sip:[2001:db8::1]:5080", :udp, {:udp, "2001:db8::1", 5080}}
          ] do
        via = if via == [], do: [], else: [{{2, 0}, via, {"h", 5060}, %{"branch" => "z9hG4bKx"}}]
        dialog = uac(200, record_route: "<#{uri}>")
        {request, _dialog} = Dialog.build_request(dialog, :bye, via: via)
        assert request.target == target
        assert Dialog.build_ack(dialog, 20, via: via).target == target
        assert routes(request) == ["sip:bob@client.biloxi.example"]
      end
    end

    test "is sent to the strict router, although its Route names another hop" do
      stack = :"#{__MODULE__}.stack"
      start_supervised!({Sippet, name: stack})
      start_supervised!({Sippet.Transports.UDP, name: stack, address: "127.0.0.1", port: 0})
      {:ok, router} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: true])
      {:ok, port} = :inet.port(router)
      # Nearest last; nothing is ever sent to 192.0.2.1.
      dialog = uac(200, record_route: "<sip:192.0.2.1;lr>, <sip:127.0.0.1:#{port}>")

      via = fn ->
        [{{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch()}}]
      end

      {info, _dialog} = Dialog.build_request(dialog, :info, via: via.())

      for request <- [info, Dialog.build_ack(dialog, parse(sent()), via: via.())] do
        assert Sippet.send(stack, request) == :ok
        assert_receive {:udp, ^router, _ip, _port, datagram}
        request_line = start_line(request)
        assert [^request_line | lines] = String.split(datagram, "\r\n")
        # On one line or on several, it is the same (§7.3.1).
        routes = for "Route: " <> values <- lines, value <- String.split(values, ", "), do: value
        assert routes == ["<sip:192.0.2.1;lr>", "<sip:bob@client.biloxi.example>"]
      end
    end

    test "counts a route as loose by lr in any case and with any value, and by no other parameter" do
      for {uri, loose} <- [
            {"sip:p;lr", true},
            {"sip:p;LR", true},
            {"sip:p;lr=on", true},
            {"sip:p;x=1;%6Cr", true},
            {"sip:p;lrx", false},
            {"sip:p;x=lr", false},
            {"sip:lr@p", false}
          ] do
        {request, _dialog} = Dialog.build_request(uac(200, record_route: "<#{uri}>"), :bye)
        assert {uri, hd(routes(request)) == uri} == {uri, loose}
      end
    end

    test "leaves out of its Request-URI what must not be there (§19.1.1)" do
      contact = "<sip:bob@h.example;method=INVITE;user=phone?subject=x>"
      {request, _dialog} = Dialog.build_request(uac(200, contact: contact), :bye)
      assert start_line(request) == "BYE sip:bob@h.example;user=phone SIP/2.0"
    end

    test "repeats our Contact if it refreshes the target, and a new one takes its place" do
      {reinvite, dialog} = Dialog.build_request(uac(), :invite)
      assert uris(reinvite.headers.contact) == ["sip:alice@client.atlanta.example;transport=udp"]

      contact = [{"", URI.parse!("sip:alice@192.0.2.7"), %{}}]
      {update, dialog} = Dialog.build_request(dialog, :update, headers: [contact: contact])
      assert update.headers.contact == contact
      {again, _dialog} = Dialog.build_request(dialog, :invite)
      assert again.headers.contact == contact
      assert again.headers.cseq == {23, :invite}
    end

    test "is not an ACK nor a CANCEL, and has the dialog's own header fields" do
      for method <- [:ack, "ACK", :cancel, "cancel"] do
        assert_raise ArgumentError, ~r/expected a method other than/, fn ->
          Dialog.build_request(uac(), method)
        end
      end

      for header <- [:via, :from, :to, :call_id, :cseq, :route, :record_route] do
        assert_raise ArgumentError, ~r/#{inspect(header)}/, fn ->
          Dialog.build_request(uac(), :info, headers: %{header => "x"})
        end
      end
    end

    test "has a sips Contact in a secure dialog" do
      sips = fn text ->
        text |> String.replace("sip:", "sips:") |> String.replace("/UDP", "/TLS")
      end

      response = response(200, contact: "<sips:bob@client.biloxi.example>", record_route: nil)
      {:ok, dialog} = Dialog.create_uac(parse(sips.(sent())), response)
      assert dialog.secure
      assert uas(200, sips.(invite())).secure
      # §12.1.1: it takes both, sips and TLS.
      refute uas(200, String.replace(invite(), "/UDP", "/TLS")).secure
      refute uas(200, String.replace(invite(), "sip:", "sips:")).secure

      {request, _dialog} = Dialog.build_request(dialog, :invite)
      assert [{_name, %{scheme: "sips"}, _parameters}] = request.headers.contact

      assert_raise ArgumentError, ~r/expected a sips Contact/, fn ->
        Dialog.build_request(dialog, :invite,
          headers: [contact: [{"", URI.parse!("sip:alice@a.example"), %{}}]]
        )
      end
    end
  end

  describe "the ACK to a 2xx (§13.2.2.4)" do
    test "has the number and the credentials of its INVITE, and the route of the dialog" do
      ack = Dialog.build_ack(uac(), parse(sent()), body: "v=0\r\n")
      assert start_line(ack) == "ACK sip:bob@client.biloxi.example SIP/2.0"
      assert routes(ack) == [p1(), p2()]
      assert ack.headers.cseq == {20, :ack}
      assert ack.headers.authorization == parse(sent()).headers.authorization
      assert ack.headers.proxy_authorization == parse(sent()).headers.proxy_authorization
      assert ack.body == "v=0\r\n"
      refute Message.has_header?(ack, :contact)
    end

    test "has the number that is given, without credentials" do
      ack = Dialog.build_ack(uac(), 20)
      assert ack.headers.cseq == {20, :ack}
      refute Message.has_header?(ack, :authorization)
    end

    test "to a re-INVITE has that one's number, also after other requests" do
      {reinvite, dialog} = Dialog.build_request(uac(), :invite)
      {_info, dialog} = Dialog.build_request(dialog, :info)

      {:ok, dialog} =
        Dialog.handle_response(dialog, response(200, cseq: "21 INVITE", contact: "<sip:bob@new>"))

      ack = Dialog.build_ack(dialog, reinvite)
      assert ack.headers.cseq == {21, :ack}
      assert start_line(ack) == "ACK sip:bob@new SIP/2.0"
      assert {%{headers: %{cseq: {23, :bye}}}, _dialog} = Dialog.bye(dialog)
    end

    test "behind a strict router goes the way of any other request" do
      dialog = uac(200, record_route: "<sip:s1.example>")
      ack = Dialog.build_ack(dialog, parse(sent()))
      assert start_line(ack) == "ACK sip:s1.example SIP/2.0"
      assert routes(ack) == ["sip:bob@client.biloxi.example"]
    end

    test "to a 2xx that crosses a CANCEL is that of any call, and the BYE follows it" do
      # The 200 to the CANCEL is no answer to the INVITE (§9.1).
      {:ok, dialog} = Dialog.handle_response(uac(180), response(200, cseq: "20 CANCEL"))
      assert dialog.state == :early
      {:ok, dialog} = Dialog.handle_response(dialog, response(200))
      assert dialog.state == :confirmed
      assert Dialog.build_ack(dialog, parse(sent())).headers.cseq == {20, :ack}
      assert {%{headers: %{cseq: {21, :bye}}}, _dialog} = Dialog.bye(dialog)
    end

    test "to a 2xx that crosses the BYE of an early dialog takes the route from that 2xx" do
      {bye, dialog} = Dialog.bye(uac(180, record_route: nil, contact: nil))
      assert bye.headers.cseq == {21, :bye}
      {:ok, dialog} = Dialog.handle_response(dialog, response(200))
      assert dialog.state == :terminated
      ack = Dialog.build_ack(dialog, parse(sent()))
      assert start_line(ack) == "ACK sip:bob@client.biloxi.example SIP/2.0"
      assert routes(ack) == [p1(), p2()]
    end
  end

  describe "BYE (§15)" do
    test "comes from the calling side at any time, from the called side after its 2xx" do
      assert {%{start_line: %{method: :bye}}, %{state: :terminated}} = Dialog.bye(uac(180))
      assert {%{start_line: %{method: :bye}}, %{state: :terminated}} = Dialog.bye(uas(200))

      assert_raise ArgumentError, ~r/expected a dialog that is confirmed/, fn ->
        Dialog.bye(uas(180))
      end
    end

    test "can be repeated with credentials after a challenge" do
      {_bye, dialog} = Dialog.bye(uac())
      {:ok, dialog} = Dialog.handle_response(dialog, response(407, cseq: "21 BYE"))
      credentials = [{"Digest", %{"username" => "alice"}}]
      {bye, dialog} = Dialog.bye(dialog, headers: [proxy_authorization: credentials])
      assert bye.headers.cseq == {22, :bye}
      assert bye.headers.proxy_authorization == credentials
      {:ok, dialog} = Dialog.handle_response(dialog, response(200, cseq: "22 BYE"))
      assert dialog.state == :terminated
    end
  end
end
