defmodule Sippet.Conformance.AckPathsTest do
  # Every way of an ACK, over sockets: who makes it, where it goes, what repeats it (RFC 3261 §12.2.1.1, §13.2.2.4, §13.3.1.4,
  # §17.1.1.3).
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1]
  import Sippet.Test.Wire

  alias Sippet.{Dialog, Message}
  alias Sippet.Test.{Peer, Stack}

  # A stack as calling side, the peer that gets its INVITE, and one behind it.
  defp caller(options \\ []) do
    {stack, next, callee} = {start(options), Peer.open(), Peer.open()}
    invite = contacted(Stack.request(:invite, {next.ip, next.port}))
    assert :ok = Sippet.send(stack, invite)
    {stack, next, callee, invite, Peer.expect(next, "INVITE ")}
  end

  defp contacted(request),
    do: Message.put_header(request, :contact, [{"", Sippet.URI.parse!("sip:me@127.0.0.1"), %{}}])

  defp answer(next, stack, text, status, lines, options \\ []),
    do: Peer.send(next, address(stack), response(text, status, [fields: lines] ++ options))

  defp contact(peer), do: "Contact: <sip:bob@#{Peer.authority(peer)}>"

  defp record_route(peer, parameters),
    do: "Record-Route: <sip:#{Peer.authority(peer)}#{parameters}>"

  defp delivered(stack, status) do
    assert_receive {^stack, :response, %{start_line: %{status_code: ^status}} = response, key}
    {response, key}
  end

  defp acknowledge(stack, dialog, invite), do: send_in(stack, Dialog.build_ack(dialog, invite))

  # As the route of the dialog says: no target.
  defp send_in(stack, request) do
    request =
      Message.put_header(request, :via, [
        {{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch()}}
      ])

    assert :ok = Sippet.send(stack, request)
    request
  end

  defp uri(text), do: text |> String.split(" ") |> Enum.at(1)

  describe "the ACK to a 2xx" do
    test "goes to the Contact of the callee where nobody recorded a route" do
      {stack, next, callee, invite, text} = caller()
      answer(next, stack, text, "200 OK", [contact(callee)])
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      ack = Peer.expect(callee, "ACK ")
      assert uri(ack) == "sip:bob@#{Peer.authority(callee)}"
      assert fields(ack, "Route") == []
      Peer.refute_new(next, 20)
    end

    test "goes by a loose router with the Contact as Request-URI, under a branch of its own" do
      {stack, next, callee, invite, text} = caller()
      router = Peer.open()
      answer(next, stack, text, "200 OK", [contact(callee), record_route(router, ";lr")])
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      ack = Peer.expect(router, "ACK ")
      assert uri(ack) == "sip:bob@#{Peer.authority(callee)}"
      assert field(ack, "Route") == "<sip:#{Peer.authority(router)};lr>"
      assert field(ack, "CSeq") == "1 ACK"
      refute field(ack, "Via") == field(text, "Via")
      for peer <- [next, callee], do: Peer.refute_new(peer, 20)
    end

    test "goes to a strict router as Request-URI, the Contact last in Route" do
      {stack, next, callee, invite, text} = caller()
      router = Peer.open()
      answer(next, stack, text, "200 OK", [contact(callee), record_route(router, "")])
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      ack = Peer.expect(router, "ACK ")
      assert uri(ack) == "sip:#{Peer.authority(router)}"
      assert field(ack, "Route") == "<sip:bob@#{Peer.authority(callee)}>"
      for peer <- [next, callee], do: Peer.refute_new(peer, 20)
    end

    test "is repeated by the stack, the same way, for each repetition of that 2xx" do
      {stack, next, callee, invite, text} = caller()
      router = Peer.open()
      lines = [contact(callee), record_route(router, ";lr")]
      answer(next, stack, text, "200 OK", lines)
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      first = Peer.expect(router, "ACK ")

      for _ <- 1..3 do
        answer(next, stack, text, "200 OK", lines)
        assert Peer.receive_bytes(router) == first
      end

      refute_received {^stack, :response, _, _}
    end

    test "is one for each fork, which has its own route, and those not wanted get a BYE" do
      {stack, next, _callee, invite, text} = caller()

      forks =
        for tag <- ["one", "two"] do
          fork = Peer.open()
          answer(next, stack, text, "200 OK", [contact(fork)], to_tag: tag)
          {ok, key} = delivered(stack, 200)
          {:ok, dialog} = Dialog.create_uac(invite, ok)
          acknowledge(stack, dialog, invite)
          ack = Peer.expect(fork, "ACK ")
          assert to_tag(ack) == tag
          {tag, fork, dialog, key, ack}
        end

      [{"one", kept, _, key, _}, {"two", ended, dialog, key, _}] = forks
      {bye, _dialog} = Dialog.bye(dialog)
      send_in(stack, bye)
      assert to_tag(Peer.expect(ended, "BYE ")) == "two"
      Peer.refute_any(kept, 20)

      # Each repetition meets the ACK of its own fork.
      for {tag, fork, _dialog, _key, ack} <- Enum.reverse(forks) do
        answer(next, stack, text, "200 OK", [contact(fork)], to_tag: tag)
        assert Peer.await(fork, "ACK ") == ack
      end
    end

    test "of a re-INVITE has its number, and goes to where the 2xx has moved the peer" do
      {stack, next, callee, invite, text} = caller()
      answer(next, stack, text, "200 OK", [contact(callee)])
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      first = Peer.expect(callee, "ACK ")

      {re_invite, dialog} = Dialog.build_request(dialog, :invite)
      re_invite = send_in(stack, re_invite)
      again = Peer.expect(callee, "INVITE ")
      moved = Peer.open()
      answer(callee, stack, again, "200 OK", [contact(moved)])
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.handle_response(dialog, ok)
      acknowledge(stack, dialog, re_invite)
      ack = Peer.expect(moved, "ACK ")
      assert field(ack, "CSeq") == "2 ACK"
      assert to_tag(ack) == to_tag(first)

      # The first 2xx, late, still gets the first ACK.
      answer(next, stack, text, "200 OK", [contact(callee)])
      assert Peer.receive_bytes(callee) == first
      answer(callee, stack, again, "200 OK", [contact(moved)])
      assert Peer.receive_bytes(moved) == ack
    end

    test "that crosses the CANCEL is sent all the same, and a BYE after it (§9.1)" do
      {stack, next, callee, invite, text} = caller()
      answer(next, stack, text, "180 Ringing", [])
      delivered(stack, 180)
      assert :ok = Sippet.cancel(stack, invite)
      cancel = Peer.await(next, "CANCEL ")
      answer(next, stack, text, "200 OK", [contact(callee)])
      Peer.send(next, address(stack), response(cancel, "481 Call/Transaction Does Not Exist"))
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      Peer.expect(callee, "ACK ")
      {bye, _dialog} = Dialog.bye(dialog)
      send_in(stack, bye)
      assert field(Peer.expect(callee, "BYE "), "CSeq") == "2 BYE"
      # Of the response to the CANCEL nobody is told.
      refute_received {^stack, :response, _, _}
    end
  end

  describe "the ACK to another final response" do
    test "is the stack's: it goes where the INVITE went, under its branch" do
      {stack, next, callee, _invite, text} = caller()
      answer(next, stack, text, "404 Not Found", [contact(callee)])
      ack = Peer.await(next, "ACK ")
      assert uri(ack) == uri(text)
      assert fields(ack, "Via") == fields(text, "Via")
      delivered(stack, 404)
      Peer.refute_any(callee, 20)
    end

    test "to a re-INVITE is the stack's too, by the Route of the dialog" do
      {stack, next, callee, invite, text} = caller()
      router = Peer.open()
      answer(next, stack, text, "200 OK", [contact(callee), record_route(router, ";lr")])
      {ok, _key} = delivered(stack, 200)
      {:ok, dialog} = Dialog.create_uac(invite, ok)
      acknowledge(stack, dialog, invite)
      Peer.expect(router, "ACK ")

      {re_invite, dialog} = Dialog.build_request(dialog, :invite)
      send_in(stack, re_invite)
      again = Peer.expect(router, "INVITE ")
      answer(router, stack, again, "491 Request Pending", [])
      ack = Peer.expect(router, "ACK ")
      assert fields(ack, "Via") == fields(again, "Via")
      assert fields(ack, "Route") == fields(again, "Route")
      assert field(ack, "CSeq") == "2 ACK"
      {refused, _key} = delivered(stack, 491)
      assert {:ok, %{state: :confirmed}} = Dialog.handle_response(dialog, refused)
    end

    test "that comes after a CANCEL is the stack's: nobody has to ask for it (§9.1)" do
      {stack, next, _callee, invite, text} = caller()
      answer(next, stack, text, "180 Ringing", [])
      delivered(stack, 180)
      assert :ok = Sippet.cancel(stack, invite)
      cancel = Peer.await(next, "CANCEL ")
      Peer.send(next, address(stack), response(cancel, "200 OK"))
      answer(next, stack, text, "487 Request Terminated", [])
      Peer.await(next, "ACK ")
      delivered(stack, 487)
    end
  end

  describe "an ACK that is received" do
    setup do
      {stack, peer} = {start(t1: 20), Peer.open()}
      invite = request("INVITE", peer)
      Peer.send(peer, address(stack), invite)
      assert_receive {^stack, :request, request, key}
      {:ok, stack: stack, peer: peer, invite: invite, request: request, key: key}
    end

    test "for a 2xx ends its repetitions, whatever socket and branch it comes by", context do
      %{stack: stack, peer: peer, request: request} = context
      assert :ok = Sippet.send(stack, Message.to_response(request, 200), until: :ack)
      ok = Peer.expect(peer, "SIP/2.0 200 ")
      other = Peer.open()
      via = "SIP/2.0/UDP #{Peer.authority(other)};branch=z9hG4bK#{unique()}"
      ack = follow_up("ACK", context.invite, via: via, to: field(ok, "To"))
      for _ <- 1..2, do: Peer.send(other, address(stack), ack)
      assert_receive {^stack, :request, %{start_line: %{method: :ack}}, nil}
      Stack.settle(stack)
      Peer.flush(peer)
      Peer.refute_any(peer, 250)
      refute_received {^stack, _, _, _}
    end

    test "for a 2xx and not this one ends nothing", context do
      %{stack: stack, peer: peer, request: request, key: key} = context
      assert :ok = Sippet.send(stack, Message.to_response(request, 200), until: :ack)
      Peer.expect(peer, "SIP/2.0 200 ")
      via = "SIP/2.0/UDP #{Peer.authority(peer)};branch=z9hG4bK#{unique()}"
      to = "<sip:service@example.com>;tag=another"
      Peer.send(peer, address(stack), follow_up("ACK", context.invite, via: via, to: to))
      assert_receive {^stack, :request, %{start_line: %{method: :ack}}, nil}
      # 64·T1.
      assert_receive {^stack, :error, :no_ack, ^key}
    end

    test "for another final response ends its repetitions, and the core sees none", context do
      %{stack: stack, peer: peer, request: request} = context
      assert :ok = Sippet.send(stack, Message.to_response(request, 486))
      busy = Peer.expect(peer, "SIP/2.0 486 ")
      ack = follow_up("ACK", context.invite, to: field(busy, "To"))
      for _ <- 1..2, do: Peer.send(peer, address(stack), ack)
      Stack.eventually(fn -> Sippet.Transaction.info(stack, context.key).state == :confirmed end)
      Peer.flush(peer)
      Peer.refute_any(peer, 250)
      refute_received {^stack, _, _, _}
    end
  end
end
