defmodule SipServer.ForwardingTest do
  # What a proxy owes (RFC 3261 §16, RFC 5393, RFC 5626, RFC 6026), seen at the server that runs; case by case it is tested where
  # Sippet.Proxy is.
  use ExUnit.Case, async: false

  import SipServer.Phone,
    only: [
      answer: 3,
      await: 3,
      call: 2,
      contact: 1,
      eventually: 1,
      host: 0,
      reason: 1,
      register: 1,
      register: 2,
      request: 4,
      status: 1,
      target: 1,
      vias: 1
    ]

  alias Sippet.{Dialog, Message}
  alias SipServer.Phone

  setup do
    Phone.start_server()
    :ok
  end

  # A stranger, who may call bob without credentials.
  defp from_outside(method, fields \\ "") do
    trunk = Phone.start("trunk", :udp)
    to_bob = [uri: "sip:bob@example.com", to: "sip:bob@example.com", from: "dave@chicago.com"]
    {trunk, request(trunk, method, to_bob, "Contact: <#{contact(trunk)}>\n#{fields}")}
  end

  # Two telephones of bob's.
  defp both do
    phones = for protocol <- [:udp, :tcp], do: Phone.start("bob", protocol)
    for phone <- phones, do: assert(status(register(phone)) == 200)
    phones
  end

  defp respond(phone, request, status_code, headers) do
    response =
      for {name, value} <- headers, reduce: Message.to_response(request, status_code) do
        response -> Message.put_header(response, name, value)
      end

    :ok = Sippet.send(phone.stack, response)
  end

  test "a request without a hop left is a 483, without breadth a 440, and is told why" do
    {trunk, message} = from_outside("MESSAGE", "Max-Breadth: 0")
    {:ok, response} = Sippet.request(trunk.stack, message)
    assert status(response) == 440
    assert reason(response) =~ "branch"

    {trunk, message} = from_outside("MESSAGE")
    message = Message.put_header(message, :max_forwards, 0)
    {:ok, response} = Sippet.request(trunk.stack, message)
    assert status(response) == 483
    assert reason(response) =~ "hop"
  end

  test "a contact that leads to the server itself is a loop: 482 (RFC 5393 §4)" do
    bob = Phone.start("bob", :udp)
    register(bob, "Contact: <sip:bob@#{host()}:5060>")
    {trunk, message} = from_outside("MESSAGE")
    {:ok, response} = Sippet.request(trunk.stack, message)
    assert status(response) == 482
    assert reason(response) =~ "was here before"
  end

  test "with Max-Breadth 1 the second telephone is asked when the first has refused (RFC 5393 §5.3.3)" do
    [desk, mobile] = both()
    [desk_stack, mobile_stack] = [desk.stack, mobile.stack]
    {trunk, invite} = from_outside("INVITE", "Max-Breadth: 1")
    :ok = Sippet.send(trunk.stack, invite)

    {first, second, request} =
      receive do
        {^desk_stack, :request, request, _key} -> {desk, mobile, request}
        {^mobile_stack, :request, request, _key} -> {mobile, desk, request}
      after
        20_000 -> flunk("neither has been asked")
      end

    assert {:ok, 1} = Message.decode_header(request, "Max-Breadth")
    second_stack = second.stack
    refute_received {^second_stack, :request, _request, _key}
    answer(first, request, 486)
    {request, _key} = await(second, :request, :invite)
    answer(second, request, 486)
    await(trunk, :response, 486)
  end

  test "the challenges of all branches are in the one response (§16.7, step 7)" do
    [desk, mobile] = both()
    {trunk, message} = from_outside("MESSAGE")
    :ok = Sippet.send(trunk.stack, message)
    {at_desk, _key} = await(desk, :request, :message)
    {at_mobile, _key} = await(mobile, :request, :message)
    challenge = &[{"Digest", %{"realm" => &1, "nonce" => "n"}}]
    respond(mobile, at_mobile, 407, proxy_authenticate: challenge.("mobile"))
    respond(desk, at_desk, 401, www_authenticate: challenge.("desk"))

    trunk_stack = trunk.stack
    assert_receive {^trunk_stack, :response, %{start_line: line, headers: headers}, _key}, 20_000
    assert line.status_code in [401, 407]
    assert [{"Digest", %{"realm" => "desk"}}] = headers.www_authenticate
    assert [{"Digest", %{"realm" => "mobile"}}] = headers.proxy_authenticate
  end

  test "of final responses the one of the lowest class goes up (§16.7, step 6)" do
    [desk, mobile] = both()
    {trunk, invite} = from_outside("INVITE")
    :ok = Sippet.send(trunk.stack, invite)
    {at_desk, _key} = await(desk, :request, :invite)
    {at_mobile, _key} = await(mobile, :request, :invite)
    answer(desk, at_desk, 500)
    answer(mobile, at_mobile, 486)
    await(trunk, :response, 486)
  end

  test "a CANCEL of the caller's ends the ringing (§16.10)" do
    bob = Phone.start("bob", :udp)
    register(bob)
    {trunk, invite} = from_outside("INVITE")
    :ok = Sippet.send(trunk.stack, invite)
    {rung, _key} = await(bob, :request, :invite)
    answer(bob, rung, 180)
    {_ringing, key} = await(trunk, :response, 180)
    :ok = Sippet.cancel(trunk.stack, key)
    {cancel, _key} = await(bob, :request, :cancel)
    answer(bob, cancel, 200)
    answer(bob, rung, 487)
    await(trunk, :response, 487)
  end

  test "if two telephones take the call at once the caller hears of both (RFC 6026 §8.9)" do
    [desk, mobile] = both()
    {trunk, invite} = from_outside("INVITE")
    :ok = Sippet.send(trunk.stack, invite)
    {at_desk, _key} = await(desk, :request, :invite)
    {at_mobile, _key} = await(mobile, :request, :invite)
    answer(desk, at_desk, 200)
    {one, _key} = await(trunk, :response, 200)
    # Its CANCEL is on the way.
    answer(mobile, at_mobile, 200)
    {other, _key} = await(trunk, :response, 200)
    assert tag(one) != tag(other)
  end

  defp tag(%{headers: %{to: {_name, _uri, %{"tag" => tag}}}}), do: tag

  test "a contact with Path is reached through it (RFC 3327 §5.3)" do
    # Bob's REGISTER comes by an edge proxy, which is not who is called.
    edge = Phone.start("bob", :udp)
    path = "<sip:127.0.0.1:#{edge.port};lr>"
    behind = "Via: SIP/2.0/UDP 192.0.2.4;branch=z9hG4bKbehind"
    fields = "#{behind}\nSupported: path\nPath: #{path}\nContact: <sip:bob@192.0.2.4>"
    assert status(register(edge, fields)) == 200
    {trunk, message} = from_outside("MESSAGE")
    :ok = Sippet.send(trunk.stack, message)
    {message, _key} = await(edge, :request, :message)
    assert to_string(message.start_line.request_uri) == "sip:bob@192.0.2.4"
    assert [{_name, route, _parameters}] = message.headers.route
    assert "<#{route}>" == path
    answer(edge, message, 200)
    await(trunk, :response, 200)
  end

  test "of two flows to one telephone the newer rings, and the other when that has failed (RFC 5626 §7)" do
    [old, new] = for _ <- 1..2, do: Phone.start("bob", :tcp)

    for {phone, reg_id} <- [{old, 1}, {new, 2}] do
      contact = "<#{contact(phone)}>;reg-id=#{reg_id};+sip.instance=\"<urn:uuid:1>\""
      assert status(register(phone, "Supported: outbound\nContact: #{contact}")) == 200
    end

    {trunk, invite} = from_outside("INVITE")
    :ok = Sippet.send(trunk.stack, invite)
    {request, _key} = await(new, :request, :invite)
    old_stack = old.stack
    refute_received {^old_stack, :request, _request, _key}
    # As an edge proxy answers that has lost the connection.
    answer(new, request, 430)
    {request, _key} = await(old, :request, :invite)
    answer(old, request, 486)
    await(trunk, :response, 486)
  end

  test "within a call whose flow is gone it is a 430 (RFC 5626 §5.3.1)" do
    [alice, bob] = [Phone.start("alice", :udp), Phone.start("bob", :ws)]
    register(bob)
    {uac, _uas} = call(alice, bob)
    stop_supervised!(bob.id)
    eventually(fn -> SipServer.Location.ETS.fetch("bob") == [] end)
    {bye, _uac} = Dialog.bye(uac, via: vias(alice))
    :ok = Sippet.send(alice.stack, %{bye | target: target(alice)})
    {response, _key} = await(alice, :response, 430)
    assert reason(response) != ""
  end
end
