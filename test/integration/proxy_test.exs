defmodule Sippet.Integration.ProxyTest do
  # A proxy between peers made of sockets and text: what it writes is read by string functions.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire, only: [field: 2, fields: 2, follow_up: 2, follow_up: 3, to_tag: 1]

  alias Sippet.{Proxy, Test, Transport}
  alias Sippet.Test.{Peer, StreamPeer, Wire}

  @deadline_ms 10_000

  # A proxy of biloxi.com on UDP and TCP; `contacts` are where bob is to be found.
  defp start(contacts, options \\ []) do
    stack = Test.Stack.start([core: nil, udp: [[]], tcp: [[]]] ++ options)
    [udp, tcp] = Transport.list(stack)
    {_ip, udp_port} = udp.address
    {_ip, tcp_port} = tcp.address

    proxy =
      Proxy.new!(
        interfaces: [udp: {"127.0.0.1", udp_port}, tcp: {"127.0.0.1", tcp_port}],
        domains: ["biloxi.com"]
      )

    server = :"#{stack}_proxy"
    start_supervised!({Proxy.Server, name: server, stack: stack, proxy: proxy})

    lookup = fn
      %{userinfo: "bob"} -> if is_function(contacts), do: contacts.(), else: contacts
      _other -> nil
    end

    Test.Proxy.core(stack, server, proxy, lookup)
    %{stack: stack, server: server, udp: udp.address, tcp: tcp.address}
  end

  defp contact(peer, parameters \\ ""), do: "sip:bob@#{Peer.authority(peer)}#{parameters}"

  defp invite(peer, options \\ []) do
    Wire.request("INVITE", peer, [uri: "sip:bob@biloxi.com"] ++ options)
  end

  # On a slow machine there are repetitions, and a 100, in between.
  defp await(peer, start), do: Peer.await(peer, start, @deadline_ms)

  defp receive_from(peer), do: Peer.receive_from(peer, @deadline_ms)

  defp sessions(context),
    do: Registry.count(Module.concat(context.server, "Registry"))

  test "a call rings at two phones, one takes it, the other is cancelled; ACK and BYE go through" do
    [alice, desk, mobile] = for _ <- 1..3, do: Peer.open()
    context = start([contact(desk), contact(mobile)])
    invite = invite(alice)
    Peer.send(alice, context.udp, invite)

    {at_desk, from} = receive_from(desk)
    assert String.starts_with?(at_desk, "INVITE #{contact(desk)} SIP/2.0\r\n")
    assert field(at_desk, "Max-Forwards") == "69"
    assert [ours, theirs] = fields(at_desk, "Via")
    assert ours =~ ~r/^SIP\/2\.0\/UDP 127\.0\.0\.1:#{elem(context.udp, 1)};.*branch=z9hG4bK/
    assert theirs =~ "SIP/2.0/UDP #{Peer.authority(alice)}"
    at_mobile = await(mobile, "INVITE #{contact(mobile)} ")

    Peer.send(desk, from, Wire.response(at_desk, "180 Ringing", to_tag: "desk"))
    ringing = await(alice, "SIP/2.0 180")
    assert to_tag(ringing) == "desk"
    assert [_only_hers] = fields(ringing, "Via")
    Peer.send(mobile, from, Wire.response(at_mobile, "180 Ringing", to_tag: "mobile"))
    assert to_tag(await(alice, "SIP/2.0 180")) == "mobile"

    [route] = fields(at_desk, "Record-Route")

    ok =
      Wire.response(at_desk, "200 OK",
        to_tag: "desk",
        fields: ["Record-Route: #{route}", "Contact: <#{contact(desk)}>"]
      )

    Peer.send(desk, from, ok)
    answer = await(alice, "SIP/2.0 200")
    assert field(answer, "Record-Route") == route

    cancel = await(mobile, "CANCEL #{contact(mobile)} ")
    assert hd(fields(cancel, "Via")) == hd(fields(at_mobile, "Via"))
    Peer.send(mobile, from, Wire.response(cancel, "200 OK"))
    Peer.send(mobile, from, Wire.response(at_mobile, "487 Request Terminated", to_tag: "mobile"))
    await(mobile, "ACK #{contact(mobile)} ")

    ack =
      follow_up("ACK", invite,
        to: field(answer, "To"),
        via: "SIP/2.0/UDP #{Peer.authority(alice)};branch=z9hG4bKack1;rport"
      )
      |> String.replace("ACK sip:bob@biloxi.com ", "ACK #{contact(desk)} ")
      |> String.replace("\r\nMax-Forwards", "\r\nRoute: #{route}\r\nMax-Forwards")

    Peer.send(alice, context.udp, ack)
    at_desk = await(desk, "ACK #{contact(desk)} ")
    assert fields(at_desk, "Route") == []
    # The same ACK once more has the same branch (§16.11).
    Peer.send(alice, context.udp, ack)
    assert fields(await(desk, "ACK "), "Via") == fields(at_desk, "Via")

    bye =
      ack
      |> String.replace("ACK ", "BYE ")
      |> String.replace(" ACK\r\n", " BYE\r\n")
      |> String.replace("z9hG4bKack1", "z9hG4bKbye1")

    Peer.send(alice, context.udp, bye)
    at_desk = await(desk, "BYE #{contact(desk)} ")
    Peer.send(desk, from, Wire.response(at_desk, "200 OK"))
    assert await(alice, "SIP/2.0 200") =~ "CSeq: 1 BYE"
    # Neither the 487 nor anything else has come.
    Peer.refute_any(alice, 50)
    Test.Stack.eventually(@deadline_ms, fn -> sessions(context) == 0 end)
  end

  test "a CANCEL of the caller goes to every phone, and the INVITE ends with their 487" do
    [alice, desk, mobile] = for _ <- 1..3, do: Peer.open()
    context = start([contact(desk), contact(mobile)])
    invite = invite(alice)
    Peer.send(alice, context.udp, invite)

    rung =
      for phone <- [desk, mobile] do
        {request, from} = receive_from(phone)
        Peer.send(phone, from, Wire.response(request, "180 Ringing", to_tag: "x"))
        await(alice, "SIP/2.0 180")
        {phone, request, from}
      end

    Peer.send(alice, context.udp, follow_up("CANCEL", invite))
    assert await(alice, "SIP/2.0 200") =~ "CSeq: 1 CANCEL"

    for {phone, request, from} <- rung do
      cancel = await(phone, "CANCEL ")
      Peer.send(phone, from, Wire.response(cancel, "200 OK"))
      Peer.send(phone, from, Wire.response(request, "487 Request Terminated", to_tag: "x"))
      await(phone, "ACK ")
    end

    assert await(alice, "SIP/2.0 487") =~ "CSeq: 1 INVITE"
    Test.Stack.eventually(@deadline_ms, fn -> sessions(context) == 0 end)
  end

  test "a CANCEL that comes while the targets are looked up cancels what is sent then" do
    [alice, phone] = for _ <- 1..2, do: Peer.open()
    test = self()

    context =
      start(fn ->
        send(test, {:looking, self()})

        receive do
          :found -> [contact(phone)]
        end
      end)

    invite = invite(alice)
    Peer.send(alice, context.udp, invite)
    assert_receive {:looking, callback}, 5_000
    Peer.send(alice, context.udp, follow_up("CANCEL", invite))
    assert await(alice, "SIP/2.0 200") =~ "CSeq: 1 CANCEL"
    send(callback, :found)

    {request, from} = receive_from(phone)
    Peer.send(phone, from, Wire.response(request, "180 Ringing", to_tag: "x"))
    cancel = await(phone, "CANCEL ")
    Peer.send(phone, from, Wire.response(cancel, "200 OK"))
    Peer.send(phone, from, Wire.response(request, "487 Request Terminated", to_tag: "x"))
    await(alice, "SIP/2.0 487")
  end

  test "a server is started with a name, a stack and a proxy" do
    proxy = Proxy.new!(interfaces: [udp: {"127.0.0.1", 5060}])

    for {options, name} <- [
          {[stack: :s, proxy: proxy], ":name"},
          {[name: :n, proxy: proxy], ":stack"},
          {[name: :n, stack: :s], ":proxy"},
          {[name: :n, stack: :s, proxy: proxy, other: 1], ":other"}
        ] do
      error = assert_raise ArgumentError, fn -> Proxy.Server.start_link(options) end
      assert Exception.message(error) =~ name
    end
  end

  test "a 2xx of a fork further on is forwarded when its request has long ended here (RFC 6026)" do
    [alice, phone] = for _ <- 1..2, do: Peer.open()
    context = start([contact(phone)])
    Peer.send(alice, context.udp, invite(alice))
    {request, from} = receive_from(phone)
    Peer.send(phone, from, Wire.response(request, "200 OK", to_tag: "one"))
    assert to_tag(await(alice, "SIP/2.0 200")) == "one"
    Test.Stack.eventually(@deadline_ms, fn -> sessions(context) == 0 end)
    Peer.send(phone, from, Wire.response(request, "200 OK", to_tag: "two"))
    assert to_tag(await(alice, "SIP/2.0 200")) == "two"

    # And one that nobody has acknowledged yet, again: until it is through, as a server does, since what comes while the core
    # is still busy with the one before is absorbed.
    again =
      Task.async(fn ->
        for _ <- 1..100 do
          Peer.send(phone, from, Wire.response(request, "200 OK", to_tag: "one"))
          Process.sleep(50)
        end
      end)

    assert to_tag(await(alice, "SIP/2.0 200")) == "one"
    Task.shutdown(again, :brutal_kill)
  end

  test "a call from UDP to TCP has both sides in Record-Route, and requests within it go both ways (RFC 5658)" do
    alice = Peer.open()
    listener = StreamPeer.listen()
    context = start(["sip:bob@127.0.0.1:#{listener.port};transport=tcp"])
    invite = invite(alice)
    Peer.send(alice, context.udp, invite)
    bob = StreamPeer.accept(listener, @deadline_ms)

    at_bob =
      StreamPeer.expect(
        bob,
        "INVITE sip:bob@127.0.0.1:#{listener.port};transport=tcp ",
        @deadline_ms
      )

    {_ip, udp_port} = context.udp
    {_ip, tcp_port} = context.tcp
    assert hd(fields(at_bob, "Via")) =~ "SIP/2.0/TCP 127.0.0.1:#{tcp_port};"

    routes = at_bob |> fields("Record-Route") |> Enum.flat_map(&String.split(&1, ", "))

    assert routes == [
             "<sip:127.0.0.1:#{tcp_port};transport=tcp;lr>",
             "<sip:127.0.0.1:#{udp_port};lr>"
           ]

    record_route = for route <- routes, do: "Record-Route: #{route}"
    contact = "Contact: <sip:bob@127.0.0.1:#{listener.port};transport=tcp>"

    StreamPeer.send(
      bob,
      Wire.response(at_bob, "200 OK", to_tag: "bob", fields: record_route ++ [contact])
    )

    ok = await(alice, "SIP/2.0 200")

    # She has them the other way round (§12.1.2): first the one that faces her.
    ack =
      follow_up("ACK", invite,
        to: field(ok, "To"),
        via: "SIP/2.0/UDP #{Peer.authority(alice)};branch=z9hG4bKa;rport"
      )
      |> String.replace(
        "ACK sip:bob@biloxi.com ",
        "ACK sip:bob@127.0.0.1:#{listener.port};transport=tcp "
      )
      |> String.replace(
        "\r\nMax-Forwards",
        "\r\nRoute: #{routes |> Enum.reverse() |> Enum.join(", ")}\r\nMax-Forwards"
      )

    Peer.send(alice, context.udp, ack)

    assert fields(
             StreamPeer.expect(
               bob,
               "ACK sip:bob@127.0.0.1:#{listener.port};transport=tcp ",
               @deadline_ms
             ),
             "Route"
           ) == []

    bye =
      Wire.request("BYE", nil,
        uri: "sip:peer@#{Peer.authority(alice)}",
        via: "SIP/2.0/TCP 127.0.0.1:#{listener.port};branch=z9hG4bKb",
        to_tag: "alice",
        fields: ["Route: #{Enum.join(routes, ", ")}"]
      )

    StreamPeer.send(bob, bye)
    {at_alice, from} = receive_from(alice)
    assert String.starts_with?(at_alice, "BYE sip:peer@#{Peer.authority(alice)} ")
    assert hd(fields(at_alice, "Via")) =~ "SIP/2.0/UDP 127.0.0.1:#{udp_port};"
    Peer.send(alice, from, Wire.response(at_alice, "200 OK"))
    StreamPeer.expect(bob, "SIP/2.0 200", @deadline_ms)
  end

  test "a phone that cannot be connected to does not keep the other one from ringing; alone it is a 500 that says why" do
    alice = Peer.open()
    phone = Peer.open()
    listener = StreamPeer.listen()
    :gen_tcp.close(listener.socket)
    nobody = "sip:bob@127.0.0.1:#{listener.port};transport=tcp"

    context = start([nobody, contact(phone)])
    Peer.send(alice, context.udp, invite(alice))
    {request, from} = receive_from(phone)
    Peer.send(phone, from, Wire.response(request, "486 Busy Here", to_tag: "x"))
    await(alice, "SIP/2.0 486")

    context = start([nobody])
    Peer.send(alice, context.udp, invite(alice))

    assert field(await(alice, "SIP/2.0 500"), "Warning") =~
             ~r/^399 127\.0\.0\.1:\d+ "the next hop cannot be reached"$/
  end

  test "requests that are not forwarded are refused, and an OPTIONS without hops is answered" do
    alice = Peer.open()
    context = start([])

    for {method, uri, fields, expected} <- [
          {"INVITE", "sip:bob@biloxi.com", [], "SIP/2.0 480"},
          {"INVITE", "sip:nobody@biloxi.com", [], "SIP/2.0 404"},
          {"MESSAGE", "tel:+12015550123", [], "SIP/2.0 416"},
          {"MESSAGE", "sip:bob@biloxi.com", ["Proxy-Require: foo"], "SIP/2.0 420"},
          {"MESSAGE", "sip:bob@biloxi.com", ["Max-Breadth: 0"], "SIP/2.0 440"}
        ] do
      Peer.send(alice, context.udp, Wire.request(method, alice, uri: uri, fields: fields))
      assert field(await(alice, expected), "Warning") =~ ~r/^399 /
    end

    no_hops =
      &String.replace(
        Wire.request(&1, alice, uri: "sip:x@chicago.com"),
        "Max-Forwards: 70",
        "Max-Forwards: 0"
      )

    Peer.send(alice, context.udp, no_hops.("OPTIONS"))
    await(alice, "SIP/2.0 200")
    Peer.send(alice, context.udp, no_hops.("MESSAGE"))
    await(alice, "SIP/2.0 483")

    no_tag =
      Regex.replace(
        ~r/^(From: [^;]*);tag=.*\r$/m,
        Wire.request("MESSAGE", alice, uri: "sip:bob@biloxi.com"),
        "\\1\r"
      )

    Peer.send(alice, context.udp, no_tag)
    await(alice, "SIP/2.0 400")
    assert sessions(context) == 0
  end

  test "a request that the proxy sends to itself unchanged is a loop (§16.3)" do
    alice = Peer.open()
    context = start([])
    {_ip, port} = context.udp
    uri = "sip:bob@127.0.0.1:#{port}"
    proxy = Proxy.new!(interfaces: [udp: {"127.0.0.1", port}])
    start_supervised!({Proxy.Server, name: :looping_proxy, stack: context.stack, proxy: proxy})
    Test.Proxy.core(context.stack, :looping_proxy, proxy, fn _uri -> [uri] end)
    Peer.send(alice, context.udp, Wire.request("MESSAGE", alice, uri: uri))
    assert field(await(alice, "SIP/2.0 482"), "Warning") =~ "was here before"
  end

  @tag capture_log: true
  test "a request whose response the core has lost is forgotten all the same" do
    [alice, desk] = for _ <- 1..2, do: Peer.open()
    context = start([contact(desk)], t1: 2, t2: 4, t4: 4)
    test = self()

    Test.Core.register(context.stack, fn
      :request, request, key ->
        :ok = Proxy.Server.forward(context.server, request, key, [contact(desk)])
        send(test, :forwarded)

      :response, _response, _key ->
        send(test, :lost)
        raise "the response is lost"

      # On a slow machine the phone is too late, and this is lost as well.
      :error, _reason, _key ->
        send(test, :lost)
    end)

    Peer.send(alice, context.udp, Wire.request("MESSAGE", alice, uri: "sip:bob@biloxi.com"))
    assert_receive :forwarded, @deadline_ms
    {at_desk, from} = receive_from(desk)
    Peer.send(desk, from, Wire.response(at_desk, "200 OK"))
    assert_receive :lost, @deadline_ms
    Test.Stack.eventually(@deadline_ms, fn -> sessions(context) == 0 end)
  end

  test "the processes end with the stack" do
    [alice, phone] = for _ <- 1..2, do: Peer.open()
    context = start([contact(phone)])
    Peer.send(alice, context.udp, invite(alice))
    receive_from(phone)
    # One for the INVITE's key and one for its branch.
    Test.Stack.eventually(@deadline_ms, fn -> sessions(context) == 2 end)
    stop_supervised!({Sippet, context.stack})
    Test.Stack.eventually(@deadline_ms, fn -> sessions(context) == 0 end)
  end
end
