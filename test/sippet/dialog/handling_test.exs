defmodule Sippet.Dialog.HandlingTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Call

  alias Sippet.{Dialog, DialogError, Message, URI}

  describe "a response within the dialog" do
    test "with 2xx confirms an early one, whose route set becomes that of the 2xx (§13.2.2.4)" do
      early = uac(180, record_route: "<sip:old.example;lr>", contact: "<sip:old@h>")
      {_prack, early} = Dialog.build_request(early, :prack)
      {:ok, dialog} = Dialog.handle_response(early, response(200))
      assert dialog.state == :confirmed
      assert uris(dialog.route_set) == [p1(), p2()]
      assert target(dialog) == "sip:bob@client.biloxi.example"
      # But not the sequence numbers: requests may have been sent meanwhile.
      assert dialog.local_cseq == 21

      {:ok, bare} = Dialog.handle_response(early, response(200, record_route: nil))
      assert bare.route_set == []
    end

    test "does not touch the route set of a confirmed one (§12.2)" do
      {_reinvite, dialog} = Dialog.build_request(uac(), :invite)

      {:ok, dialog} =
        Dialog.handle_response(
          dialog,
          response(200, cseq: "21 INVITE", record_route: "<sip:other;lr>")
        )

      assert uris(dialog.route_set) == [p1(), p2()]
    end

    test "that repeats the first 2xx does not bring back the old target" do
      {_update, dialog} = Dialog.build_request(uac(), :update)

      {:ok, dialog} =
        Dialog.handle_response(dialog, response(200, cseq: "21 UPDATE", contact: "<sip:bob@new>"))

      assert {:ok, ^dialog} = Dialog.handle_response(dialog, response(200))
      assert target(dialog) == "sip:bob@new"
    end

    test "refreshes the target if it is a 2xx, or a reliable provisional one, to what may refresh it" do
      for {status, method, more, refreshed} <- [
            {200, "INVITE", "", true},
            {200, "UPDATE", "", true},
            {202, "SUBSCRIBE", "", true},
            {200, "NOTIFY", "", true},
            {202, "REFER", "", true},
            {183, "INVITE", "Require: 100rel\r\nRSeq: 1", true},
            {183, "INVITE", "", false},
            {491, "INVITE", "", false},
            {302, "INVITE", "", false},
            {200, "INFO", "", false},
            {200, "OPTIONS", "", false},
            {200, "MESSAGE", "", false}
          ] do
        {_request, dialog} = Dialog.build_request(uac(), method)

        {:ok, dialog} =
          Dialog.handle_response(
            dialog,
            response(status, cseq: "21 #{method}", contact: "<sip:bob@new>", more: more)
          )

        expected = if refreshed, do: "sip:bob@new", else: "sip:bob@client.biloxi.example"
        assert {status, method, target(dialog)} == {status, method, expected}
        assert dialog.state == :confirmed
      end
    end

    test "without Contact leaves the target" do
      {_request, dialog} = Dialog.build_request(uac(), :invite)
      response = response(200, cseq: "21 INVITE", contact: nil)
      assert {:ok, ^dialog} = Dialog.handle_response(dialog, response)
    end

    test "ends it with 481 or 408 (§12.2.1.2), except a subscription's and a CANCEL's" do
      for {status, method, state} <- [
            {481, "INVITE", :terminated},
            {408, "INVITE", :terminated},
            {481, "BYE", :terminated},
            {481, "INFO", :terminated},
            {408, "OPTIONS", :terminated},
            {481, "REFER", :terminated},
            {500, "INVITE", :confirmed},
            {503, "INFO", :confirmed},
            {481, "NOTIFY", :confirmed},
            {408, "SUBSCRIBE", :confirmed},
            {481, "CANCEL", :confirmed}
          ] do
        {:ok, dialog} = Dialog.handle_response(uac(), response(status, cseq: "21 #{method}"))
        assert {status, method, dialog.state} == {status, method, state}
      end
    end

    test "ends a subscription's dialog with 481 to its SUBSCRIBE" do
      subscribe = parse(String.replace(sent(), "INVITE", "SUBSCRIBE"))
      {:ok, dialog} = Dialog.create_uac(subscribe, response(200, cseq: "20 SUBSCRIBE"))
      {:ok, dialog} = Dialog.handle_response(dialog, response(481, cseq: "21 SUBSCRIBE"))
      assert dialog.state == :terminated
    end

    test "of another dialog is none of its business" do
      other = response(200, to: "<sip:bob@biloxi.example>;tag=other")

      for dialog <- [uac(), uac(180)] do
        assert {:error, %DialogError{reason: :no_dialog}} = Dialog.handle_response(dialog, other)
      end
    end
  end

  describe "a fork" do
    test "makes a dialog a To tag, of one INVITE, each with its own target and numbers" do
      invite = parse(sent())
      left = response(180, to: "<sip:bob@biloxi.example>;tag=left", contact: "<sip:left@h>")
      right = response(183, to: "<sip:bob@biloxi.example>;tag=right", contact: "<sip:right@h>")

      dialogs =
        for response <- [left, right], into: %{} do
          {:ok, dialog} = Dialog.create_uac(invite, response)
          {Dialog.id(dialog), dialog}
        end

      assert map_size(dialogs) == 2

      # Both answer, and a third one that never rang.
      answered =
        for tag <- ["left", "right", "third"] do
          ok = response(200, to: "<sip:bob@biloxi.example>;tag=#{tag}", contact: "<sip:#{tag}@h>")

          {:ok, dialog} =
            case Map.fetch(dialogs, Dialog.id_of(ok)) do
              {:ok, dialog} -> Dialog.handle_response(dialog, ok)
              :error -> Dialog.create_uac(invite, ok)
            end

          dialog
        end

      assert Enum.map(answered, & &1.state) == [:confirmed, :confirmed, :confirmed]

      acks = Enum.map(answered, &start_line(Dialog.build_ack(&1, invite)))
      assert acks == for(tag <- ~w(left right third), do: "ACK sip:#{tag}@h SIP/2.0")

      for dialog <- tl(answered) do
        assert {%{headers: %{cseq: {21, :bye}}}, %{state: :terminated}} = Dialog.bye(dialog)
      end
    end

    test "is over with the final response other than 2xx, whatever its To tag (§12.3)" do
      for tag <- ["left", "b-tag", "another"], status <- [302, 408, 486, 487, 603] do
        early = uac(180, to: "<sip:bob@biloxi.example>;tag=left")
        final = response(status, to: "<sip:bob@biloxi.example>;tag=#{tag}", contact: nil)
        assert {:ok, %{state: :terminated}} = Dialog.handle_response(early, final)
      end
    end

    test "that a 199 tells of is over (RFC 6228)" do
      assert {:ok, %{state: :terminated}} = Dialog.handle_response(uac(180), response(199))
    end

    test "stays while a PRACK in it is refused, and is over with the 481 to it" do
      {_prack, early} = Dialog.build_request(uac(183), :prack)

      assert {:ok, %{state: :early}} =
               Dialog.handle_response(early, response(500, cseq: "21 PRACK"))

      assert {:ok, %{state: :terminated}} =
               Dialog.handle_response(early, response(481, cseq: "21 PRACK"))
    end
  end

  describe "a request that was received (§12.2.2)" do
    test "sets the number, which may leap but not fall" do
      {:ok, dialog} = Dialog.handle_request(uac(), request_from_bob("INFO", 100))
      assert dialog.remote_cseq == 100
      {:ok, dialog} = Dialog.handle_request(dialog, request_from_bob("INFO", 150))
      assert dialog.remote_cseq == 150

      assert {:error, %DialogError{reason: :out_of_order, header: :cseq, status_code: 500}} =
               Dialog.handle_request(dialog, request_from_bob("INFO", 149))
    end

    test "may begin with number 0" do
      assert {:ok, %{remote_cseq: 0}} = Dialog.handle_request(uac(), request_from_bob("INFO", 0))
    end

    test "with a lower number than the INVITE is refused, except ACK and CANCEL" do
      dialog = uas()

      from_alice = fn method, number ->
        parse("""
        #{method} sip:bob@client.biloxi.example SIP/2.0
        From: "Alice" <sip:alice@atlanta.example>;tag=a-tag
        To: Bob <sip:bob@biloxi.example>;tag=b-tag
        Call-ID: one@atlanta.example
        CSeq: #{number} #{method}
        """)
      end

      for method <- ["INFO", "BYE", "INVITE"] do
        assert {:error, %DialogError{reason: :out_of_order, status_code: 500}} =
                 Dialog.handle_request(dialog, from_alice.(method, 19))
      end

      {:ok, dialog} = Dialog.handle_request(dialog, from_alice.("INFO", 22))

      for method <- ["ACK", "CANCEL"] do
        assert {:ok, ^dialog} = Dialog.handle_request(dialog, from_alice.(method, 20))
      end
    end

    test "of another dialog earns a 481, and changes nothing" do
      other = put_in(request_from_bob("BYE", 1).headers.call_id, "two")

      assert {:error, %DialogError{reason: :no_dialog, status_code: 481}} =
               Dialog.handle_request(uac(), other)
    end

    test "with BYE ends it; what comes after earns a 481, but a BYE that crosses" do
      {:ok, dialog} = Dialog.handle_request(uac(), request_from_bob("BYE", 1))
      assert dialog.state == :terminated

      assert {:error, %DialogError{reason: :terminated, status_code: 481}} =
               Dialog.handle_request(dialog, request_from_bob("INFO", 2))

      {_bye, ours} = Dialog.bye(uac())

      assert {:ok, %{state: :terminated}} =
               Dialog.handle_request(ours, request_from_bob("BYE", 1))
    end

    test "refreshes the target once it is accepted, and only then" do
      for {method, status, more, refreshed} <- [
            {"INVITE", 200, [], true},
            {"UPDATE", 200, [], true},
            {"NOTIFY", 200, [], true},
            {"INVITE", 183, ["1"], true},
            {"INVITE", 180, [], false},
            {"INVITE", 488, [], false},
            {"INVITE", 401, [], false},
            {"INFO", 200, [], false}
          ] do
        request = request_from_bob(method, 1, "Contact: <sip:bob@new>")
        {:ok, dialog} = Dialog.handle_request(uac(), request)
        assert target(dialog) == "sip:bob@client.biloxi.example"
        response = Message.to_response(request, status)
        response = if more == [], do: response, else: Message.put_header(response, "RSeq", more)
        {:ok, dialog} = Dialog.respond(dialog, request, response)
        expected = if refreshed, do: "sip:bob@new", else: "sip:bob@client.biloxi.example"
        assert {method, status, target(dialog)} == {method, status, expected}
        assert dialog.state == :confirmed
      end
    end

    test "does not touch the route set (§12.2)" do
      request =
        request_from_bob("INVITE", 1, "Record-Route: <sip:x;lr>\r\nContact: <sip:bob@new>")

      {:ok, dialog} = Dialog.handle_request(uac(), request)
      {:ok, dialog} = Dialog.respond(dialog, request, Message.to_response(request, 200))
      assert uris(dialog.route_set) == [p1(), p2()]
    end
  end

  describe "a response that is sent" do
    test "with 2xx to the first INVITE confirms, with another final response ends" do
      invite = parse(invite())

      for {status, state} <- [
            {180, :early},
            {200, :confirmed},
            {487, :terminated},
            {603, :terminated}
          ] do
        {:ok, dialog} = Dialog.respond(uas(180), invite, answer(invite, status))
        assert {status, dialog.state} == {status, state}
      end
    end

    test "to another request leaves an early one early" do
      prack =
        parse("""
        PRACK sip:bob@client.biloxi.example SIP/2.0
        From: "Alice" <sip:alice@atlanta.example>;tag=a-tag
        To: Bob <sip:bob@biloxi.example>;tag=b-tag
        Call-ID: one@atlanta.example
        CSeq: 21 PRACK
        """)

      {:ok, dialog} = Dialog.handle_request(uas(183), prack)

      for status <- [200, 481] do
        assert {:ok, %{state: :early}} =
                 Dialog.respond(dialog, prack, Message.to_response(prack, status))
      end
    end

    test "gives our new Contact" do
      invite = parse(invite())
      contact = [{"", URI.parse!("sip:bob@192.0.2.8"), %{}}]
      ok = Message.put_header(answer(invite, 200), :contact, contact)
      {:ok, dialog} = Dialog.respond(uas(180), invite, ok)
      {reinvite, _dialog} = Dialog.build_request(dialog, :invite)
      assert reinvite.headers.contact == contact
    end

    test "is one to the request, and of this dialog" do
      invite = parse(invite())
      other = put_in(answer(invite, 200).headers.cseq, {21, :invite})

      assert {:error, %DialogError{reason: :mismatch}} = Dialog.respond(uas(180), invite, other)

      {name, uri, _parameters} = invite.headers.to
      foreign = put_in(answer(invite, 200).headers.to, {name, uri, %{"tag" => "c"}})

      assert {:error, %DialogError{reason: :no_dialog}} =
               Dialog.respond(uas(180), invite, foreign)
    end
  end
end
