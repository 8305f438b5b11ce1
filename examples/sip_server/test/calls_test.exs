defmodule SipServer.CallsTest do
  # Which calls a shutdown waits for; shutdown_test.exs has one.
  use ExUnit.Case, async: false

  import SipServer.Phone,
    only: [
      answer: 3,
      await: 3,
      call: 2,
      eventually: 1,
      hang_up: 3,
      register: 1,
      target: 1,
      vias: 1
    ]

  alias Sippet.{Dialog, Message}
  alias SipServer.{Calls, Phone}

  setup do
    Phone.start_server()
    :ok
  end

  defp message(line, method, fields \\ "") do
    Message.parse!("""
    #{line}
    Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1
    From: <sip:alice@example.com>;tag=a
    To: <sip:bob@example.com>;tag=b
    Call-ID: one
    CSeq: 1 #{method}
    #{fields}
    """)
  end

  test "a call is up from its 2xx until the BYE of either side" do
    [alice, bob] = [Phone.start("alice", :udp), Phone.start("bob", :tcp)]
    register(bob)

    for hangs_up <- [:alice, :bob] do
      assert Calls.count() == 0
      {uac, uas} = call(alice, bob)
      assert Calls.count() == 1

      case hangs_up do
        :alice -> hang_up(alice, uac, bob)
        :bob -> hang_up(bob, uas, alice)
      end
    end

    assert Calls.count() == 0
  end

  test "a BYE that is to show who it is from has not ended the call yet" do
    [alice, bob] = [Phone.start("alice", :udp), Phone.start("bob", :tcp)]
    register(bob)
    {uac, _uas} = call(alice, bob)
    {bye, uac} = Dialog.bye(uac, via: vias(alice))
    :ok = Sippet.send(alice.stack, %{bye | target: target(alice)})
    {bye, _key} = await(bob, :request, :bye)
    assert Calls.count() == 0
    answer(bob, bye, 407)
    await(alice, :response, 407)
    assert Calls.count() == 1
    hang_up(alice, uac, bob)
    assert Calls.count() == 0
  end

  test "an INVITE within the call is none more, and a 2xx that comes again after the BYE neither" do
    ok = message("SIP/2.0 200 OK", "INVITE")
    for _ <- 1..2, do: Calls.handle_response(ok)
    assert Calls.count() == 1
    Calls.handle_request(message("BYE sip:bob@example.com SIP/2.0", "BYE"))
    assert Calls.count() == 0
    Calls.handle_response(ok)
    assert Calls.count() == 0
  end

  test "what is no 2xx of an INVITE begins no call" do
    for {line, method} <- [
          {"SIP/2.0 180 Ringing", "INVITE"},
          {"SIP/2.0 486 Busy Here", "INVITE"},
          {"SIP/2.0 200 OK", "UPDATE"},
          {"SIP/2.0 200 OK", "BYE"},
          {"SIP/2.0 407 Proxy Authentication Required", "BYE"}
        ],
        do: Calls.handle_response(message(line, method))

    assert Calls.count() == 0
  end

  test "a session that is not refreshed is over when it said it would be (RFC 4028 §10)" do
    Calls.handle_response(message("SIP/2.0 200 OK", "INVITE", "Session-Expires: 1"))
    eventually(fn -> Calls.count() == 0 end)
    Calls.handle_response(message("SIP/2.0 200 OK", "INVITE", "Session-Expires: 0"))
    assert Calls.count() == 0
    Calls.handle_response(message("SIP/2.0 200 OK", "UPDATE", "Session-Expires: 90"))
    assert Calls.count() == 1
  end
end
