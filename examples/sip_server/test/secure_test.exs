defmodule SipServer.SecureTest do
  # TLS and WSS, with certificates of an authority of the test's own in the configuration.
  use ExUnit.Case, async: false

  import SipServer.Phone,
    only: [
      call: 2,
      contact: 1,
      contacts: 1,
      hang_up: 3,
      host: 0,
      register: 2,
      request: 3,
      status: 1
    ]

  alias Sippet.Test.Certificates
  alias SipServer.Phone

  setup do
    {:ok, ip} = :inet.parse_address(String.to_charlist(host()))
    address = ip |> Tuple.to_list() |> :binary.list_to_bin()
    chains = Certificates.chains(server: [ip: address])

    Phone.start_server(
      transports: [tls: [port: 5061] ++ chains.server, wss: [port: 8443] ++ chains.server]
    )

    %{trusted: [cacerts: chains.client[:cacerts]]}
  end

  defp start(name, protocol, trusted) when protocol in [:tls, :wss],
    do: Phone.start(name, protocol, trusted)

  defp start(name, :udp, _trusted), do: Phone.start(name, :udp)

  # A telephone without a certificate of its own is reached by the flow it has made only (RFC 5626).
  defp register(%{protocol: :tls} = phone) do
    contact = "<#{contact(phone)}>;reg-id=1;+sip.instance=\"<urn:uuid:1>\""
    register(phone, "Supported: outbound\nContact: #{contact}")
  end

  defp register(phone), do: register(phone, "Contact: <#{contact(phone)}>")

  for protocol <- [:tls, :wss] do
    test "#{protocol}: a registration, whose binding is the flow it came by", %{trusted: trusted} do
      bob = start("bob", unquote(protocol), trusted)
      {:ok, challenge} = Sippet.request(bob.stack, request(bob, "REGISTER", []))
      assert status(challenge) == 401
      response = register(bob)
      assert status(response) == 200
      assert [{uri, _parameters}] = contacts(response)
      assert uri == contact(bob)

      assert [%{protocol: unquote(protocol), flow: %Sippet.Flow{}}] =
               SipServer.Location.ETS.fetch("bob")
    end
  end

  test "a telephone that does not trust the authority sends nothing" do
    others = Certificates.chains()

    for protocol <- [:tls, :wss] do
      bob = Phone.start("bob", protocol, cacerts: others.client[:cacerts])

      assert {:error, %Sippet.TransportError{reason: {:tls_alert, :unknown_ca}}} =
               Sippet.request(bob.stack, request(bob, "REGISTER", []))
    end

    assert Sippet.info(:sip_server).transactions.open == 0
  end

  for {caller, called} <- [
        tls: :tls,
        wss: :wss,
        tls: :udp,
        udp: :tls,
        wss: :udp,
        udp: :wss,
        tls: :wss
      ] do
    test "a call from #{caller} to #{called} has both sides in Record-Route, and each side can end it",
         %{trusted: trusted} do
      [alice, bob] = [
        start("alice", unquote(caller), trusted),
        start("bob", unquote(called), trusted)
      ]

      assert status(register(bob)) == 200

      {uac, uas} = call(alice, bob)
      assert [facing_bob, facing_alice] = for({_name, uri, _} <- uas.route_set, do: uri)
      assert for({_name, uri, _} <- uac.route_set, do: uri) == [facing_alice, facing_bob]
      assert side(facing_alice) == expected(unquote(caller))
      assert side(facing_bob) == expected(unquote(called))

      # She has come by a flow, and her side has its token. He has one where he has registered by a flow; by UDP without a NAT
      # between his Contact leads to him.
      assert is_binary(facing_alice.userinfo)
      assert is_binary(facing_bob.userinfo) == (bob.protocol != :udp)
      assert facing_alice.userinfo != facing_bob.userinfo

      assert Map.get(hang_up(bob, uas, alice).headers, :route) == nil
      {uac, _uas} = call(alice, bob)
      assert Map.get(hang_up(alice, uac, bob).headers, :route) == nil
    end
  end

  defp side(uri), do: {uri.scheme, uri.host, uri.port, uri.parameters}

  defp expected(:udp), do: {"sip", host(), 5060, ";lr"}
  defp expected(:tls), do: {"sip", host(), 5061, ";transport=tls;lr"}
  defp expected(:wss), do: {"sip", host(), 8443, ";transport=wss;lr"}
end
