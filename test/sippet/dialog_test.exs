defmodule Sippet.DialogTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Call

  alias Sippet.{Dialog, DialogError, Message, URI}
  alias Sippet.Test.Terms

  doctest Sippet.Dialog
  doctest Sippet.DialogError

  describe "a dialog of the calling side (§12.1.2)" do
    test "takes its state from INVITE and 2xx" do
      dialog = uac()
      assert dialog.state == :confirmed
      assert dialog.role == :uac
      assert dialog.method == :invite
      assert Dialog.id(dialog) == {"one@atlanta.example", "a-tag", "b-tag"}
      assert {"Alice", local} = dialog.local_uri
      assert {"Bob", remote} = dialog.remote_uri
      assert to_string(local) == "sip:alice@atlanta.example"
      assert to_string(remote) == "sip:bob@biloxi.example"
      assert target(dialog) == "sip:bob@client.biloxi.example"
      assert uris([dialog.local_target]) == ["sip:alice@client.atlanta.example;transport=udp"]
      assert dialog.local_cseq == 20
      assert dialog.remote_cseq == nil
      refute dialog.secure
    end

    test "has the Record-Route in reverse, parameters and all" do
      assert uris(uac().route_set) == [p1(), p2()]
    end

    test "is early with a 101 to 198 that has a To tag" do
      for status <- [101, 180, 183, 198], do: assert(uac(status).state == :early)
    end

    test "does not come of a 100, a 199, a final response other than 2xx, or a provisional one without To tag" do
      invite = parse(sent())

      for status <- [100, 199, 300, 486, 603] do
        assert {:error, %DialogError{reason: :not_dialog_forming}} =
                 Dialog.create_uac(invite, response(status))
      end

      assert {:error, %DialogError{reason: :missing_tag, header: :to}} =
               Dialog.create_uac(invite, response(180, to: "<sip:bob@biloxi.example>"))
    end

    test "comes of a 2xx without To tag, which is null then, and is not written" do
      dialog = uac(200, to: "<sip:bob@biloxi.example>")
      assert Dialog.id(dialog) == {"one@atlanta.example", "a-tag", nil}
      {bye, _dialog} = Dialog.bye(dialog)
      assert {_name, _uri, parameters} = bye.headers.to
      assert parameters == %{}
      assert Dialog.id_of(receive_bytes(bye)) == {"one@atlanta.example", nil, "a-tag"}
    end

    test "takes an empty tag for none" do
      empty = put_in(response(180).headers.to, {"", URI.parse!("sip:b"), %{"tag" => ""}})

      assert {:error, %DialogError{reason: :missing_tag, header: :to}} =
               Dialog.create_uac(parse(sent()), empty)
    end

    test "leads to where the INVITE went if the peer leaves out its Contact" do
      assert target(uac(200, contact: nil)) == "sip:bob@biloxi.example"
    end

    test "does not come of a response to something else" do
      invite = parse(sent())

      for response <- [
            response(200, cseq: "21 INVITE"),
            response(200, cseq: "20 OPTIONS"),
            put_in(response(200).headers.call_id, "two"),
            put_in(response(200).headers.from, {"", URI.parse!("sip:a"), %{"tag" => "x"}})
          ] do
        assert {:error, %DialogError{reason: :mismatch}} = Dialog.create_uac(invite, response)
      end
    end

    test "does not come of a method that makes none, and with SUBSCRIBE only of a 2xx" do
      for {method, status, reason} <- [
            {"OPTIONS", 200, :not_dialog_forming},
            {"MESSAGE", 200, :not_dialog_forming},
            {"X-NEW", 200, :not_dialog_forming},
            {"SUBSCRIBE", 180, :not_dialog_forming}
          ] do
        request = parse(String.replace(sent(), "INVITE", method))
        response = response(status, cseq: "20 #{method}")
        assert {:error, %DialogError{reason: ^reason}} = Dialog.create_uac(request, response)
      end

      request = parse(String.replace(sent(), "INVITE", "SUBSCRIBE"))
      assert {:ok, dialog} = Dialog.create_uac(request, response(202, cseq: "20 SUBSCRIBE"))
      assert {dialog.state, dialog.method} == {:confirmed, :subscribe}
    end

    test "names the header field that is missing" do
      for header <- [:call_id, :from, :to, :cseq] do
        invite = Message.delete_header(parse(sent()), header)

        assert {:error, %DialogError{reason: :missing_field, header: ^header, status_code: 400}} =
                 Dialog.create_uac(invite, response(200))
      end

      untagged = parse(String.replace(sent(), ";tag=a-tag", ""))
      response = put_in(response(200).headers.from, untagged.headers.from)

      assert {:error, %DialogError{reason: :missing_tag, header: :from}} =
               Dialog.create_uac(untagged, response)
    end
  end

  describe "a dialog of the called side (§12.1.1)" do
    test "takes its state from the INVITE and our response" do
      dialog = uas(180)
      assert {dialog.state, dialog.role} == {:early, :uas}
      assert Dialog.id(dialog) == {"one@atlanta.example", "b-tag", "a-tag"}
      assert {"Bob", local} = dialog.local_uri
      assert {"Alice", remote} = dialog.remote_uri
      assert to_string(local) == "sip:bob@biloxi.example"
      assert to_string(remote) == "sip:alice@atlanta.example"
      assert target(dialog) == "sip:alice@client.atlanta.example;transport=udp"
      assert uris(dialog.route_set) == [p2(), p1()]
      assert {dialog.local_cseq, dialog.remote_cseq} == {nil, 20}
    end

    test "needs a Contact in the request, and a tag in our response" do
      for contact <- [nil, "*"] do
        contact = if contact, do: "Contact: #{contact}\n", else: ""
        invite = parse(Regex.replace(~r/^Contact:.*\n/m, invite(), contact))

        assert {:error,
                %DialogError{reason: :missing_contact, header: :contact, status_code: 400}} =
                 Dialog.create_uas(invite, answer(invite, 200))
      end

      invite = parse(invite())
      untagged = put_in(answer(invite, 200).headers.to, invite.headers.to)

      assert {:error, %DialogError{reason: :missing_tag, header: :to}} =
               Dialog.create_uas(invite, untagged)
    end

    test "takes a From without tag (RFC 2543)" do
      dialog = uas(200, String.replace(invite(), ";tag=a-tag", ""))
      assert Dialog.id(dialog) == {"one@atlanta.example", "b-tag", nil}

      {request, _dialog} = Dialog.build_request(dialog, :options)
      assert {"Alice", _uri, parameters} = request.headers.to
      assert parameters == %{}

      bye =
        parse("""
        BYE sip:bob@client.biloxi.example SIP/2.0
        From: "Alice" <sip:alice@atlanta.example>
        To: Bob <sip:bob@biloxi.example>;tag=b-tag
        Call-ID: one@atlanta.example
        CSeq: 21 BYE
        """)

      assert {:ok, %{state: :terminated}} = Dialog.handle_request(dialog, bye)
    end

    test "begins with number 1, or after the number that the SUBSCRIBE had" do
      {request, dialog} = Dialog.build_request(uas(), :options)
      assert request.headers.cseq == {1, :options}
      assert dialog.local_cseq == 1

      notify = parse(String.replace(invite(), "INVITE", "NOTIFY"))
      {:ok, dialog} = Dialog.create_uas(notify, answer(notify, 200), local_cseq: 7)
      {request, _dialog} = Dialog.build_request(dialog, :subscribe)
      assert request.headers.cseq == {8, :subscribe}
    end

    test "refuses an option that it does not know" do
      invite = parse(invite())

      assert_raise ArgumentError, fn ->
        Dialog.create_uas(invite, answer(invite, 200), number: 1)
      end
    end
  end

  describe "a dialog is data" do
    test "that refers to no datagram" do
      long = String.duplicate("x", 200)

      invite =
        sent()
        |> String.replace("a-tag", "a#{long}")
        |> String.replace("one@atlanta.example", long)
        |> String.replace("alice@", "#{long}@")
        |> parse()

      response = %{
        response(200, contact: "<sip:#{long}@h>", record_route: "<sip:#{long}.example;lr>")
        | body: long
      }

      headers = %{response.headers | from: invite.headers.from, call_id: invite.headers.call_id}
      {:ok, dialog} = Dialog.create_uac(invite, %{response | headers: headers})
      assert binaries(dialog) != []

      # The same again for what comes later: the 2xx, a target refresh.
      reinvite = request_from_bob("INVITE", 1, "Contact: <sip:#{long}@h2>")
      {:ok, refreshed} = Dialog.handle_request(uac(), reinvite)
      {:ok, refreshed} = Dialog.respond(refreshed, reinvite, Message.to_response(reinvite, 200))

      {:ok, confirmed} =
        Dialog.handle_response(
          uac(180),
          response(200, contact: "<sip:#{long}@h3>", record_route: "<sip:#{long};lr>")
        )

      for dialog <- [dialog, refreshed, confirmed], binary <- binaries(dialog) do
        assert Terms.referenced_bytes(binary) <= max(byte_size(binary), 64)
      end
    end

    test "that survives being written down" do
      dialog = uac()
      assert dialog |> :erlang.term_to_binary() |> :erlang.binary_to_term() == dialog
      refute inspect(dialog, limit: :infinity) =~ ~r/#(Reference|PID|Function)</
    end

    defp binaries(binary) when is_binary(binary), do: [binary]
    defp binaries(list) when is_list(list), do: Enum.flat_map(list, &binaries/1)
    defp binaries(tuple) when is_tuple(tuple), do: tuple |> Tuple.to_list() |> binaries()
    defp binaries(%_{} = struct), do: struct |> Map.from_struct() |> binaries()
    defp binaries(%{} = map), do: map |> Map.to_list() |> binaries()
    defp binaries(_other), do: []
  end

  describe "the dialog of a message" do
    test "is found from either side, whoever sent it" do
      alice = uac()
      bob = uas()
      invite = parse(invite())
      assert Dialog.matches?(alice, response(200))
      assert Dialog.matches?(alice, request_from_bob("BYE", 1))
      refute Dialog.matches?(bob, request_from_bob("BYE", 1))
      assert Dialog.id_of(request_from_bob("BYE", 1), :uac) == Dialog.id(bob)
      assert Dialog.id_of(answer(invite, 200), :uas) == Dialog.id(bob)
    end

    test "differs by Call-ID and by both tags, each with its case" do
      dialog = uac()

      for {from, to} <- [{"a-tag", "A-tag"}, {"b-tag", "B-TAG"}, {"one@", "One@"}] do
        request = request_from_bob("BYE", 1) |> Message.to_string() |> String.replace(from, to)
        refute Dialog.matches?(dialog, parse(request))
      end
    end

    test "is asked for by a tag in To" do
      refute Dialog.in_dialog?(parse(invite()))
      assert Dialog.in_dialog?(request_from_bob("INVITE", 1))
    end
  end

  describe "both sides of a call" do
    test "agree at each step, knowing of each other by messages only" do
      {:ok, bob} = Dialog.create_uas(parse(invite()), answer(parse(invite()), 183))
      {:ok, alice} = Dialog.create_uac(parse(sent()), over(answer(parse(invite()), 183)))
      agree(alice, bob)

      # PRACK while it rings, and an UPDATE the other way.
      {alice, bob} = exchange(alice, bob, :prack, 200)
      {bob, alice} = exchange(bob, alice, :update, 200)
      agree(alice, bob)

      {:ok, bob} = Dialog.respond(bob, parse(invite()), answer(parse(invite()), 200))
      {:ok, alice} = Dialog.handle_response(alice, over(answer(parse(invite()), 200)))
      ack = alice |> Dialog.build_ack(parse(sent())) |> receive_bytes()
      {:ok, bob} = Dialog.handle_request(bob, ack)
      assert {alice.state, bob.state} == {:confirmed, :confirmed}
      agree(alice, bob)

      # Bob moves to another address, Alice then too.
      moved = [contact: [{"", URI.parse!("sip:bob@192.0.2.20"), %{}}]]
      {bob, alice} = exchange(bob, alice, :invite, 200, headers: moved)
      assert target(alice) == "sip:bob@192.0.2.20"
      moved = [contact: [{"", URI.parse!("sip:alice@192.0.2.10"), %{}}]]
      {alice, bob} = exchange(alice, bob, :update, 200, headers: moved)
      assert target(bob) == "sip:alice@192.0.2.10"
      agree(alice, bob)

      # A new offer that is refused changes nothing but the number.
      elsewhere = [contact: [{"", URI.parse!("sip:bob@192.0.2.66"), %{}}]]
      {_request, %{local_cseq: number}} = Dialog.build_request(bob, :invite)
      {bob, alice} = exchange(bob, alice, :invite, 488, headers: elsewhere)
      assert target(alice) == "sip:bob@192.0.2.20"
      assert alice.remote_cseq == number

      {alice, bob} = exchange(alice, bob, :bye, 200)
      assert {alice.state, bob.state} == {:terminated, :terminated}
      # Alice: INVITE 20, PRACK, UPDATE, BYE; Bob: UPDATE, and INVITE twice.
      assert {alice.local_cseq, bob.remote_cseq} == {23, 23}
      assert {bob.local_cseq, alice.remote_cseq} == {3, 3}
    end

    # Sends a request from one side and the response back, all as bytes.
    defp exchange(from, to, method, status, options \\ []) do
      {request, from} = Dialog.build_request(from, method, options)
      request = receive_bytes(request)
      assert routes(request) == uris(from.route_set)
      assert Dialog.matches?(to, request)
      {:ok, to} = Dialog.handle_request(to, request)

      # As a user agent answers: with its Contact.
      response =
        request |> Message.to_response(status) |> Message.put_header(:contact, [to.local_target])

      {:ok, to} = Dialog.respond(to, request, response)
      response = over(response)
      assert Dialog.matches?(from, response)
      {:ok, from} = Dialog.handle_response(from, response)
      {from, to}
    end

    defp over(response), do: response |> Message.to_string() |> parse()

    defp agree(a, b) do
      assert a.state == b.state
      assert {a.call_id, a.local_tag, a.remote_tag} == {b.call_id, b.remote_tag, b.local_tag}
      assert {a.local_uri, a.remote_uri} == {b.remote_uri, b.local_uri}
      assert uris([a.local_target]) == [target(b)]
      assert uris([b.local_target]) == [target(a)]
      assert uris(a.route_set) == Enum.reverse(uris(b.route_set))

      for {one, other} <- [{a, b}, {b, a}], one.remote_cseq do
        assert one.remote_cseq == other.local_cseq
      end
    end
  end
end
