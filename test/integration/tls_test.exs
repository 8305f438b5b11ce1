defmodule Sippet.Integration.TLSTest do
  # Whom TLS talks to: names, authorities, certificates by name and anew, ciphers (RFC 5922, RFC 3261 §26).
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, info: 1, eventually: 1, request: 3]

  alias Sippet.Test.{Certificates, StreamPeer, Wire}
  alias Sippet.{Message, TransportError}
  alias Sippet.Transport.Identity
  alias Sippet.Transports.TLS

  # A stack that trusts the authority of these chains.
  defp trusting(chains, options \\ []),
    do: start(tls: [[cacerts: chains.client[:cacerts]] ++ options])

  defp certified(chains), do: Keyword.take(chains.server, [:cert, :key])

  # What a request of a stack's to a host that listens on 127.0.0.1 comes to: connect/3 is what send/2 calls for it.
  defp connect(stack, listener, host) do
    test = self()

    accepting =
      Task.async(fn ->
        {:ok, socket} = :gen_tcp.accept(listener.socket, 2_000)

        # It is the test's, not to be closed with this process.
        with {:ok, tls} <- :ssl.handshake(socket, [log_level: :none] ++ listener.tls, 2_000),
             do: :ssl.controlling_process(tls, test)
      end)

    [%{handle: handle}] = Sippet.Transport.list(stack)
    result = TLS.connect(handle, {listener.ip, listener.port}, host)
    {:ok, _} = Task.yield(accepting, 3_000) || {:ok, Task.shutdown(accepting)}
    result
  end

  describe "a peer that is connected to" do
    test "has to be the domain that is asked for, in any case and as a whole (RFC 5922 §7)" do
      chains = Certificates.chains(server: [uri: "sip:example.com", dns: "other.example"])
      stack = trusting(chains)
      listener = StreamPeer.listen(tls: certified(chains))

      assert {:ok, connection} = connect(stack, listener, "Example.COM.")
      [%{handle: handle}] = Sippet.Transport.list(stack)
      assert {:ok, ^connection} = TLS.connect(handle, {listener.ip, listener.port}, "example.com")

      for host <- ["sip.example.com", "com", "other.example", "127.0.0.1", "*", ""] do
        assert {:error, {:wrong_certificate, ["example.com"]}} = connect(stack, listener, host)
      end
    end

    test "is told from another one by name, also at the same address" do
      chains = Certificates.chains(server: [dns: "a.example", dns: "b.example"])
      stack = trusting(chains)
      listener = StreamPeer.listen(tls: certified(chains))
      assert {:ok, a} = connect(stack, listener, "a.example")
      assert {:ok, b} = connect(stack, listener, "b.example")
      assert a != b
      assert {:error, {:wrong_certificate, names}} = connect(stack, listener, "c.example")
      assert Enum.sort(names) == ["a.example", "b.example"]
    end

    test "has to have a certificate of an authority that is trusted, and one that is valid today" do
      [chains, others] = [Certificates.chains(), Certificates.chains()]
      expired = Certificates.chains(validity: {{2001, 1, 1}, {2002, 1, 1}})

      for {trusted, shown, alert} <- [
            {chains, others, :unknown_ca},
            {expired, expired, :certificate_expired}
          ] do
        listener = StreamPeer.listen(tls: certified(shown))

        assert {:error, {:tls_alert, ^alert}} =
                 connect(trusting(trusted), listener, "example.com")

        assert {:ok, _connection} =
                 connect(trusting(trusted, verify: :verify_none), listener, "example.com")
      end
    end

    test "is refused as an error of send/2, and gets no byte of SIP" do
      chains = Certificates.chains()
      stack = trusting(chains)
      listener = StreamPeer.listen(tls: certified(chains))

      request = %{
        request(:options, {listener.ip, listener.port}, uri: "sips:bob@127.0.0.1:#{listener.port}")
        | target: nil
      }

      task = Task.async(fn -> Sippet.send(stack, request) end)
      peer = StreamPeer.accept(listener)
      assert {:error, %TransportError{} = error} = Task.await(task)

      assert Exception.message(error) ==
               "tls 127.0.0.1:#{listener.port}: the certificate is for example.com"

      assert {:error, _closed} = peer.module.recv(peer.socket, 0, 1_000)
      assert Sippet.Transaction.count(stack) == 0
    end

    test "may be asked for by address, if that is in its certificate" do
      chains = Certificates.chains(server: [ip: <<127, 0, 0, 1>>])
      listener = StreamPeer.listen(tls: certified(chains))
      assert {:ok, _connection} = connect(trusting(chains), listener, "127.0.0.1")

      assert {:error, {:wrong_certificate, ["127.0.0.1"]}} =
               connect(trusting(chains), listener, "127.0.0.2")
    end

    test "that never finishes its handshake is given up" do
      stack = trusting(Certificates.chains(), connect_timeout: 100)
      listener = StreamPeer.listen()
      [%{handle: handle}] = Sippet.Transport.list(stack)

      assert {:error, :timeout} = TLS.connect(handle, {listener.ip, listener.port}, "example.com")

      eventually(fn -> info(stack).connections == 0 end)
    end
  end

  describe "the names of a certificate are" do
    test "its sip URIs, else its DNS names, else its common name (RFC 5922 §7.1)" do
      for {names, expected} <- [
            {[uri: "sip:a.example", dns: "b.example"], ["a.example"]},
            {[dns: "b.example", uri: "sip:a.example", uri: "sip:c.example"],
             ["a.example", "c.example"]},
            {[uri: "sip:A.Example:5061;transport=tls", dns: "b.example"], ["a.example"]},
            # With a user it is a person's, in another scheme no SIP identity.
            {[uri: "sip:bob@a.example", uri: "https://a.example", dns: "B.example"],
             ["b.example"]},
            {[uri: "https://a.example"], []},
            {[dns: "*.example.com"], ["*.example.com"]},
            {[dns: "192.0.2.1"], []},
            {[dns: "b.example", ip: <<192, 0, 2, 1>>], ["b.example", {192, 0, 2, 1}]},
            {[ip: <<0x2001::16, 0xDB8::16, 0::80, 1::16>>], [{0x2001, 0xDB8, 0, 0, 0, 0, 0, 1}]}
          ] do
        %{server: server} = Certificates.chains(server: names)
        assert Identity.names(server[:cert]) == expected
      end

      %{server: server} = Certificates.chains(server: nil)
      {:ok, hostname} = :inet.gethostname()
      # The test data of :public_key has user and host there.
      assert [name] = Identity.names(server[:cert])
      assert name =~ String.downcase(List.to_string(hostname))
    end

    test "never patterns (RFC 5922 §7.2)" do
      %{server: server} = Certificates.chains(server: [dns: "*.example.com"])

      assert {:error, {:wrong_certificate, ["*.example.com"]}} =
               Identity.verify(server[:cert], "sip.example.com")
    end
  end

  describe "a peer that connects" do
    test "is asked for a certificate where that is required, and refused without" do
      chains = Certificates.chains()

      stack = start(tls: [chains.server ++ [verify_clients: :required]])

      with_certificate =
        StreamPeer.connect(address(stack), tls: Keyword.take(chains.client, [:cert, :key]))

      StreamPeer.send(
        with_certificate,
        Wire.request("OPTIONS", with_certificate, protocol: "TLS")
      )

      assert_receive {^stack, :request, _request, _key}

      stranger = Certificates.chains()

      for tls <- [[], Keyword.take(stranger.client, [:cert, :key])] do
        {ip, port} = address(stack)
        options = [:binary, active: false, verify: :verify_none, log_level: :none] ++ tls

        # TLS 1.3 tells a client that it is refused when it thinks that all is well.
        with {:ok, socket} <- :ssl.connect(ip, port, options, 2_000),
             do: assert({:error, _refused} = :ssl.recv(socket, 0, 2_000))
      end

      eventually(fn -> info(stack).counters.handshake_failures == 2 end)
      assert info(stack).counters.accepted == 1
    end

    test "and has none is welcome where it is optional" do
      chains = Certificates.chains()
      stack = start(tls: [chains.server ++ [verify_clients: :optional]])
      peer = StreamPeer.connect(address(stack), tls: [])
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: "TLS"))
      assert_receive {^stack, :request, _request, _key}
    end

    test "gets the certificate of the name that it asks for (SNI)" do
      [default, one, two] =
        for name <- ["default", "one", "two"],
            do: Certificates.chains(server: [dns: name <> ".example"])

      stack =
        start(
          tls: [
            certified(default) ++
              [domains: %{"one.example" => certified(one), "TWO.example" => certified(two)}]
          ]
        )

      for {asked, expected} <- [
            {~c"one.example", one},
            {~c"ONE.example", one},
            {~c"two.example", two},
            {~c"three.example", default},
            {:disable, default}
          ] do
        peer = StreamPeer.connect(address(stack), tls: [server_name_indication: asked])
        {:ok, certificate} = :ssl.peercert(peer.socket)
        assert certificate == expected.server[:cert]
      end
    end

    test "finds modern ciphers only with :strict, and those of RFC 3261 too with :compatible" do
      chains = Certificates.chains()
      aead = %{cipher: :aes_128_gcm, key_exchange: :ecdhe_ecdsa, mac: :aead, prf: :sha256}
      cbc = %{cipher: :aes_128_cbc, key_exchange: :ecdhe_ecdsa, mac: :sha, prf: :default_prf}

      for {profile, version, suite, outcome} <- [
            {:strict, :"tlsv1.2", aead, :ok},
            {:strict, :"tlsv1.2", cbc, :error},
            {:compatible, :"tlsv1.2", aead, :ok},
            {:compatible, :"tlsv1.2", cbc, :ok},
            {:strict, :"tlsv1.1", nil, :error},
            {:compatible, :"tlsv1.1", nil, :error},
            {:strict, :"tlsv1.3", nil, :ok}
          ] do
        stack = start(tls: [certified(chains) ++ [profile: profile]])
        {ip, port} = address(stack)
        ciphers = if suite, do: [ciphers: [suite]], else: []

        options =
          [:binary, active: false, verify: :verify_none, log_level: :none, versions: [version]] ++
            ciphers

        assert {^outcome, _socket_or_reason} = :ssl.connect(ip, port, options, 2_000)
      end
    end
  end

  describe "certificates" do
    setup do
      directory = Path.join(System.tmp_dir!(), "sippet_tls_#{System.os_time()}_#{Wire.unique()}")
      File.mkdir_p!(directory)
      on_exit(fn -> File.rm_rf!(directory) end)
      {:ok, directory: directory}
    end

    test "are read again without a restart, and a bad one changes nothing", %{
      directory: directory
    } do
      [first, second] = for _ <- 1..2, do: Certificates.chains()
      files = Certificates.write(first.server, directory, "server")
      stack = start(tls: [files])
      [%{pid: pid}] = Sippet.Transport.list(stack)
      peer = StreamPeer.connect(address(stack), tls: [])

      shown = fn ->
        peer = StreamPeer.connect(address(stack), tls: [])
        {:ok, certificate} = :ssl.peercert(peer.socket)
        certificate
      end

      assert shown.() == first.server[:cert]
      Certificates.write(second.server, directory, "server")
      assert shown.() == first.server[:cert]
      assert :ok = TLS.reload(pid)
      assert shown.() == second.server[:cert]

      File.write!(files[:keyfile], "no key")
      keyfile = files[:keyfile]

      assert {:error, %TransportError{reason: {:key, ^keyfile, :not_found}}} = TLS.reload(pid)
      assert shown.() == second.server[:cert]

      # Who was connected stays.
      StreamPeer.send(peer, Wire.request("OPTIONS", peer, protocol: "TLS"))
      assert_receive {^stack, :request, request, _key}
      Sippet.send(stack, Message.to_response(request, 200))
      StreamPeer.expect(peer, "SIP/2.0 200 ")
    end

    test "that cannot be used keep a transport from starting", %{directory: directory} do
      stack = start(udp: [], tls: [])
      Process.flag(:trap_exit, true)

      [one, two] =
        for name <- ["one", "two"],
            do: Certificates.write(Certificates.chains().server, directory, name)

      missing = Path.join(directory, "missing")
      junk = Path.join(directory, "junk")
      File.write!(junk, "junk")

      for {options, reason} <- [
            {[certfile: missing, keyfile: one[:keyfile]], {:certificate, missing, :enoent}},
            {[certfile: junk, keyfile: one[:keyfile]], {:certificate, junk, :not_found}},
            {[certfile: one[:certfile]], {:key, nil, :not_found}},
            {[keyfile: one[:keyfile]], {:certificate, nil, :not_found}},
            {[certfile: one[:certfile], keyfile: two[:keyfile]],
             {:key, two[:keyfile], :of_another_certificate}},
            {[cacertfile: missing], {:trusted_certificates, missing, :enoent}},
            {[domains: %{"a.example" => [certfile: missing]}], {:certificate, missing, :enoent}}
          ] do
        assert {:error, %TransportError{reason: ^reason}} =
                 TLS.start_link([name: stack, port: 0, address: "127.0.0.1"] ++ options)
      end
    end
  end

  test "options that are not of their kind are refused" do
    stack = start(udp: [], tls: [])

    for {options, expected} <- [
          {[certfile: 1], ~r/:certfile to be nil or a string, got: 1/},
          {[cert: 1], ~r/:cert to be nil or DER/},
          {[key: "x"], ~r/:key to be nil or a key/},
          {[profile: :lax], ~r/:profile to be one of \[:strict, :compatible\]/},
          {[verify: true], ~r/:verify to be one of/},
          {[verify_clients: true], ~r/:verify_clients to be one of/},
          {[domains: [a: 1]], ~r/:domains to be a map of keyword lists/},
          {[domains: %{"a" => [file: "x"]}], ~r/:domains to be a map/},
          {[num_acceptors: 0], ~r/:num_acceptors to be a positive integer, got: 0/},
          {[idle_timeout: 0], ~r/:idle_timeout to be a positive number of milliseconds or :inf/},
          {[recbuf: 0], ~r/:recbuf to be nil or a positive number of bytes/},
          {[tls: 1], ~r/unknown option :tls/}
        ] do
      assert_raise ArgumentError, expected, fn -> TLS.start_link([name: stack] ++ options) end
    end
  end
end
