defmodule Sippet.Resolver.DNSTest do
  use ExUnit.Case, async: true
  doctest Sippet.Resolver.DNS
  doctest Sippet.Resolver.Question

  import Sippet.Test.Resolving

  alias Sippet.Resolver.DNS
  alias Sippet.Test.DNSServer

  @zone %{"a.example" => %{a: ["192.0.2.1"]}}
  @udp [udp: [:inet]]

  defp find(resolver, uri \\ "sip:a.example:5060"),
    do: brief(DNS.targets(resolver, uri, @udp))

  defp elapsed_ms(fun) do
    {us, result} = :timer.tc(fun)
    {div(us, 1_000), result}
  end

  describe "the cache" do
    test "answers until the TTL is over, and never asks twice before" do
      resolver = start(@zone)
      for _ <- 1..3, do: assert(find(resolver) == [udp: "192.0.2.1:5060"])
      assert DNSServer.asked() == [a: "a.example"]
    end

    test "forgets by TTL" do
      resolver = start(@zone, [min_ttl_ms: 0], ttl: 1)
      find(resolver)
      find(resolver)
      assert_receive {:asked, :a, "a.example", :udp}
      assert eventually_asked(resolver)
    end

    test "keeps a TTL of 0 as long as the least, and not at all where that is 0" do
      resolver = start(@zone, [min_ttl_ms: 60_000], ttl: 0)
      for _ <- 1..2, do: find(resolver)
      assert DNSServer.asked() == [a: "a.example"]

      resolver = start(@zone, [min_ttl_ms: 0], ttl: 0)
      for _ <- 1..2, do: find(resolver)
      assert DNSServer.asked() == [a: "a.example", a: "a.example"]
    end

    test "keeps no TTL longer than the most" do
      resolver = start(@zone, [min_ttl_ms: 0, max_ttl_ms: 1], ttl: 100_000)
      find(resolver)
      assert_receive {:asked, :a, "a.example", :udp}
      assert eventually_asked(resolver)
    end

    test "takes a TTL with its highest bit for 0 (RFC 2181 §8)" do
      rules = fn name, :a -> {:records, [{name, :a, 0x80000000, {192, 0, 2, 1}}]} end
      resolver = start(%{}, [min_ttl_ms: 0], rules: rules)
      for _ <- 1..2, do: assert(find(resolver) == [udp: "192.0.2.1:5060"])
      assert length(DNSServer.asked()) == 2
    end

    test "the least TTL of an alias and its target counts" do
      rules = fn name, :a ->
        {:records, [{name, :cname, 0, ~c"b.example"}, {"b.example", :a, 300, {192, 0, 2, 2}}]}
      end

      resolver = start(%{}, [min_ttl_ms: 0], rules: rules)
      for _ <- 1..2, do: assert(find(resolver) == [udp: "192.0.2.2:5060"])
      assert length(DNSServer.asked()) == 2
    end

    test "keeps what is not there, for as long as the SOA record says or the option" do
      zone = %{"a.example" => %{aaaa: ["2001:db8::1"]}}

      for {server, options, times} <- [
            {[soa: {300, 300}], [], 1},
            {[soa: {300, 0}], [min_ttl_ms: 0], 2},
            {[soa: {0, 300}], [min_ttl_ms: 0], 2},
            {[soa: {300, 300}], [max_negative_ttl_ms: 0], 2},
            {[soa: nil], [], 1},
            {[soa: nil], [min_ttl_ms: 0, negative_ttl_ms: 0], 2}
          ] do
        resolver = start(zone, options, server)
        for _ <- 1..2, do: assert(find(resolver) == :no_addresses)
        assert DNSServer.asked() == List.duplicate({:a, "a.example"}, times)
      end

      resolver = start(%{})
      for _ <- 1..2, do: assert(find(resolver) == :nxdomain)
      assert DNSServer.asked() == [a: "a.example"]
    end

    test "keeps a failure for a moment" do
      resolver = start(%{}, [failure_ttl_ms: 60_000], rules: fn _, _ -> {:rcode, 5} end)
      for _ <- 1..2, do: assert(find(resolver) == :server_failure)
      assert DNSServer.asked() |> Enum.uniq() == [a: "a.example"]
      asked = length(DNSServer.asked())
      assert find(resolver) == :server_failure
      assert asked == length(DNSServer.asked())
    end

    test "has no more entries than it may, and what would end first goes" do
      zone = for n <- 1..20, into: %{}, do: {"h#{n}.example", %{a: ["192.0.2.#{n}"]}}
      resolver = start(zone, max_entries: 5)
      for n <- 1..20, do: find(resolver, "sip:h#{n}.example:5060")
      # And the row of the configuration.
      assert :ets.info(resolver, :size) == 6
      DNSServer.asked()
      find(resolver, "sip:h20.example:5060")
      assert DNSServer.asked() == []
      find(resolver, "sip:h1.example:5060")
      assert DNSServer.asked() == [a: "h1.example"]
      assert :ets.info(resolver, :size) == 6
    end
  end

  # Without a sleep: asked again and again until the server hears of it.
  defp eventually_asked(resolver, deadline \\ System.monotonic_time(:millisecond) + 5_000) do
    find(resolver)

    receive do
      {:asked, :a, "a.example", :udp} -> true
    after
      10 ->
        System.monotonic_time(:millisecond) < deadline and eventually_asked(resolver, deadline)
    end
  end

  describe "questions under way" do
    test "one for a name and type, however many wait" do
      {server, resolver} = held()
      tasks = for _ <- 1..50, do: Task.async(fn -> find(resolver) end)
      assert_receive {:asked, :a, "a.example", :udp}
      await_waiting(resolver, 50)
      DNSServer.release(server)
      assert Enum.uniq(Task.await_many(tasks)) == [[udp: "192.0.2.1:5060"]]
      assert DNSServer.asked() == []
    end

    test "who asked first may die: the others have their answer" do
      {server, resolver} = held()
      first = spawn(fn -> find(resolver) end)
      assert_receive {:asked, :a, "a.example", :udp}
      task = Task.async(fn -> find(resolver) end)
      await_waiting(resolver, 2)
      Process.exit(first, :kill)
      DNSServer.release(server)
      assert Task.await(task) == [udp: "192.0.2.1:5060"]
    end

    test "a process that asks is killed: those who wait are told, the next one asks anew" do
      {server, resolver} = held()
      task = Task.async(fn -> find(resolver) end)
      assert_receive {:asked, :a, "a.example", :udp}
      {:links, links} = resolver |> Process.whereis() |> Process.info(:links)
      %{{:a, "a.example"} => {monitor, _}} = :sys.get_state(resolver).pending
      {:monitors, monitors} = resolver |> Process.whereis() |> Process.info(:monitors)
      assert is_reference(monitor)
      [asker] = for {:process, pid} <- monitors, pid in links, do: pid
      Process.exit(asker, :kill)
      assert Task.await(task) == :server_failure
      assert :sys.get_state(resolver).pending == %{}
      DNSServer.release(server)
    end

    test "only so many; others are refused at once, and nothing of it is kept" do
      {server, resolver} = held(max_pending: 1)
      task = Task.async(fn -> find(resolver) end)
      assert_receive {:asked, :a, "a.example", :udp}
      assert find(resolver, "sip:b.example:5060") == :overloaded
      DNSServer.release(server)
      assert Task.await(task) == [udp: "192.0.2.1:5060"]
      assert find(resolver, "sip:a.example:5061") == [udp: "192.0.2.1:5061"]
    end

    test "both families are asked side by side" do
      server = DNSServer.start(@zone, rules: fn _, _ -> :hold end)
      resolver = resolver(server)
      task = Task.async(fn -> brief(DNS.targets(resolver, "sip:a.example:5060", [:udp])) end)
      assert_receive {:asked, :a, "a.example", :udp}
      assert_receive {:asked, :aaaa, "a.example", :udp}
      DNSServer.release(server)
      assert Task.await(task) == [udp: "192.0.2.1:5060"]
    end

    defp held(options \\ []) do
      server = DNSServer.start(@zone, rules: fn _, _ -> :hold end)
      {server, resolver(server, options)}
    end

    defp resolver(server, options \\ []) do
      name = :"resolver_#{System.unique_integer([:positive])}"
      # Nothing is sent again while a test lasts.
      options = [name: name, nameservers: [server], query_timeout_ms: 5_000] ++ options
      start_supervised!({DNS, options}, id: make_ref())
      name
    end

    defp await_waiting(resolver, count) do
      Sippet.Test.Stack.eventually(fn ->
        case :sys.get_state(resolver).pending do
          %{{:a, "a.example"} => {_monitor, waiting}} -> length(waiting) == count
          _ -> false
        end
      end)
    end
  end

  describe "time" do
    test "silence ends at the timeout" do
      resolver = start(%{}, [timeout_ms: 300, query_timeout_ms: 100], rules: fn _, _ -> :drop end)

      {ms, result} = elapsed_ms(fn -> find(resolver, "sip:a.example") end)
      assert result == :timeout
      assert ms >= 290
      # One that is late is not left in the mailbox.
      {:messages, messages} = Process.info(self(), :messages)
      assert messages -- for({:asked, _, _, _} = asked <- messages, do: asked) == []
    end

    test "nothing is asked when the time is over" do
      rules = fn _name, type -> if type == :naptr, do: :drop end
      options = [timeout_ms: 100, query_timeout_ms: 2_000, retry: 1]
      resolver = start(@zone, options, rules: rules)
      assert find(resolver, "sip:a.example") == :timeout
      assert DNSServer.asked() |> Enum.uniq() == [naptr: "a.example"]
    end

    test "a server that drops what it does not know leaves time for what it does" do
      rules = fn _name, type -> if type in [:naptr, :srv], do: :drop end
      resolver = start(@zone, [query_timeout_ms: 400], rules: rules)
      assert find(resolver, "sip:a.example") == [udp: "192.0.2.1:5060"]

      {:ok, [target]} =
        DNS.targets(start(@zone, [query_timeout_ms: 400], rules: rules), "sip:a.example", @udp)

      assert {:no_naptr, "a.example", :timeout} in target.choices
      assert {:no_srv, "_sip._udp.a.example", :timeout} in target.choices
    end

    test "a question that is lost is sent again" do
      asked = :counters.new(1, [])

      rules = fn _name, _type ->
        :counters.add(asked, 1, 1)
        if :counters.get(asked, 1) == 1, do: :drop
      end

      resolver = start(@zone, [query_timeout_ms: 400], rules: rules)
      assert find(resolver) == [udp: "192.0.2.1:5060"]
    end

    test "a truncated answer is asked for by TCP" do
      zone = %{"a.example" => %{a: for(n <- 1..60, do: "192.0.2.#{n}")}}
      resolver = start(zone, max_targets: 60)
      assert length(find(resolver)) == 60
      assert_received {:asked, :a, "a.example", :udp}
      assert_received {:asked, :a, "a.example", :tcp}
    end

    test "no server at all is a failure" do
      {:ok, socket} = :gen_udp.open(0, ip: {127, 0, 0, 1})
      {:ok, port} = :inet.port(socket)
      :gen_udp.close(socket)

      assert find(resolver({{127, 0, 0, 1}, port}, timeout_ms: 500)) in [
               :server_failure,
               :timeout
             ]
    end
  end

  describe "a hostile zone" do
    test "costs no more look-ups than the option, and gives what there is until then" do
      zone = for n <- 1..60, into: %{}, do: {"h#{n}.example", %{a: ["192.0.2.#{n}"]}}

      srv = for n <- 1..60, do: {n, 0, 5060, "h#{n}.example"}
      zone = Map.put(zone, "_sip._udp.a.example", %{srv: srv})
      resolver = start(zone, max_queries: 10, max_targets: 20)
      targets = find(resolver, "sip:a.example;transport=udp")
      assert targets == for(n <- 1..9, do: {:udp, "192.0.2.#{n}:5060"})
      assert length(for {:a, name} <- DNSServer.asked(), do: name) == 9
    end

    test "records beyond the option are not kept, and targets not given" do
      zone = %{"a.example" => %{a: for(n <- 1..200, do: "192.0.2.#{n}")}}
      assert length(find(start(zone, max_targets: 1_000))) == 64
      assert length(find(start(zone))) == 32
      assert length(find(start(zone, max_records: 3))) == 3
    end

    test "an endless chain of aliases ends" do
      # Each answer leads to a name that was never heard of.
      rules = fn name, type when type in [:a, :aaaa, :srv, :naptr] ->
        {:records, [{name, :cname, 300, ~c"x" ++ String.to_charlist(name)}]}
      end

      resolver = start(%{}, [], rules: rules)
      assert find(resolver) == :server_failure
      assert length(DNSServer.asked()) == 5

      assert find(resolver, "sip:b.example") == :server_failure
      assert length(DNSServer.asked()) <= 48
    end

    test "an endless chain of NAPTR records ends" do
      rules = fn name, type ->
        if type == :naptr do
          next = String.to_charlist("x" <> name)

          {:records,
           for(n <- 1..20, do: {name, :naptr, 300, {n, n, ~c"", ~c"SIP+D2U", ~c"", next}})}
        end
      end

      resolver = start(%{}, [], rules: rules)
      assert find(resolver, "sip:a.example") in [:too_many_queries, :nxdomain]
      assert length(DNSServer.asked()) <= 48
    end

    test "records of other names do not count" do
      rules = fn _name, :a ->
        {:records, [{"b.example", :a, 300, {192, 0, 2, 66}}]}
      end

      resolver = start(%{}, [], rules: rules)
      assert find(resolver) == :no_addresses
      assert find(resolver, "sip:b.example:5060") == [udp: "192.0.2.66:5060"]
      assert DNSServer.asked() == [a: "a.example", a: "b.example"]
    end

    test "names that are none are passed over, and make no atom" do
      rules = fn
        name, :srv ->
          {:records,
           [
             {name, :srv, 300, {0, 0, 1, ~c"with space.example"}},
             {name, :srv, 300, {0, 0, 2, [195, 164] ++ ~c".example"}},
             {name, :srv, 300, {0, 0, 3, ~c"192.0.2.1"}},
             {name, :srv, 300, {0, 0, 0, ~c"a.example"}},
             {name, :srv, 300, {0, 0, 4, ~c"a.example"}}
           ]}

        _name, :a ->
          nil
      end

      resolver = start(@zone, [], rules: rules)
      host = "new#{System.unique_integer([:positive])}.example"
      assert find(resolver, "sip:#{host};transport=udp") == [udp: "192.0.2.1:4"]

      for name <- [host, "_sip._udp." <> host, "with space.example"],
          do: assert_raise(ArgumentError, fn -> String.to_existing_atom(name) end)
    end

    test "junk for an answer is a failure" do
      {:ok, socket} = :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false])
      {:ok, port} = :inet.port(socket)

      junk =
        Task.async(fn ->
          {:ok, {ip, from, <<id::16, _::binary>>}} = :gen_udp.recv(socket, 0, 5_000)
          # The question's number, flags of an answer, counts that nothing stands behind.
          :gen_udp.send(
            socket,
            ip,
            from,
            <<id::16, 0x8180::16, 1::16, 9::16, 9::16, 9::16, 1, 2>>
          )
        end)

      resolver = resolver({{127, 0, 0, 1}, port}, timeout_ms: 500, query_timeout_ms: 200)
      assert find(resolver) in [:server_failure, :timeout]
      assert Task.await(junk) == :ok
      assert Process.whereis(resolver)
    end
  end

  describe "names" do
    test "what is neither an address nor a name is refused without a question" do
      resolver = start(@zone)

      hosts = [
        "b\u00FCcher.example",
        "a b.example",
        "a..example",
        ".example",
        "192.0.2.256",
        "1.2.3",
        "",
        ".",
        "a.example\0",
        "a/b",
        String.duplicate("a", 64) <> ".example",
        String.duplicate("a.", 127) <> "aa"
      ]

      for host <- hosts do
        uri = %Sippet.URI{scheme: "sip", host: host, port: 5062}
        assert {host, find(resolver, uri)} == {host, :bad_name}
      end

      assert DNSServer.asked() == []
    end

    test "this machine's own is never asked for (RFC 6761 §6.3)" do
      for hosts <- [true, false] do
        resolver = start(%{}, hosts: hosts)
        assert find(resolver, "sip:localhost") == [udp: "127.0.0.1:5060"]
        assert find(resolver, "sip:LocalHost.:5070;transport=udp") == [udp: "127.0.0.1:5070"]
      end

      resolver = start(%{})
      assert find(resolver, "sip:sub.localhost") == [udp: "127.0.0.1:5060"]
      assert DNSServer.asked() == []
    end

    test "those that there never are are not asked for (RFC 6761 §6.4)" do
      resolver = start(%{})
      assert find(resolver, "sip:a.invalid") == :nxdomain
      assert find(resolver, "sip:a.invalid:5060") == :nxdomain
      assert DNSServer.asked() == []
    end

    test "a name of the hosts file has the addresses of the file, unless that is not wanted" do
      host = "h#{System.unique_integer([:positive])}.example"
      :ok = :inet_db.add_host({192, 0, 2, 77}, [String.to_charlist(host)])
      on_exit(fn -> :inet_db.del_host({192, 0, 2, 77}) end)

      resolver = start(%{})
      assert brief(DNS.targets(resolver, "sip:#{host}:5060", [:udp])) == [udp: "192.0.2.77:5060"]
      assert DNSServer.asked() == []

      resolver = start(%{}, hosts: false)
      assert find(resolver, "sip:#{host}:5060") == :nxdomain
      assert DNSServer.asked() == [a: host]
    end

    test "the case and a last dot make no difference" do
      resolver = start(@zone)
      for host <- ["a.example", "A.Example", "a.EXAMPLE."], do: find(resolver, "sip:#{host}:5060")
      assert DNSServer.asked() == [a: "a.example"]
    end
  end

  test "families are those of the option, in its order" do
    zone = %{"a.example" => %{a: ["192.0.2.1"], aaaa: ["2001:db8::1"]}}
    both = [udp: "192.0.2.1:5060", udp: "[2001:db8::1]:5060"]

    for {families, expected} <- [
          {[:inet, :inet6], both},
          {[:inet6, :inet], Enum.reverse(both)},
          {[:inet], Enum.take(both, 1)}
        ] do
      resolver = start(zone, families: families)
      assert brief(DNS.targets(resolver, "sip:a.example:5060", [:udp])) == expected
    end
  end

  test "one target is given once" do
    srv = for n <- 1..3, do: {n, 0, 5060, "a.example"}
    resolver = start(Map.put(@zone, "_sip._udp.b.example", %{srv: srv}))
    assert find(resolver, "sip:b.example;transport=udp") == [udp: "192.0.2.1:5060"]
    assert DNSServer.asked() == [srv: "_sip._udp.b.example", a: "a.example"]
  end

  test "the transport that the caller prefers is the default, not more" do
    resolver = start(Map.put(@zone, "_sip._udp.b.example", %{srv: [{0, 0, 5060, "a.example"}]}))
    find = &brief(DNS.targets(resolver, &1, [udp: [:inet], tcp: [:inet]], default: :tcp))
    assert find.("sip:a.example:5060") == [tcp: "192.0.2.1:5060"]
    assert find.("sip:192.0.2.9") == [tcp: "192.0.2.9:5060"]
    assert find.("sip:b.example") == [udp: "192.0.2.1:5060"]
    assert find.("sip:192.0.2.9;transport=udp") == [udp: "192.0.2.9:5060"]
  end

  test "options are checked" do
    for {options, text} <- [
          {[name: nil], ":name"},
          {[name: :x, nameserver: 1], "nameserver"},
          {[name: :x, nameservers: ["10.0.0.1"]], ":nameservers"},
          {[name: :x, nameservers: []], ":nameservers"},
          {[name: :x, timeout_ms: 0], ":timeout_ms"},
          {[name: :x, families: []], ":families"},
          {[name: :x, hosts: "no"], ":hosts"},
          {[name: :x, random: 1], ":random"},
          {[name: :x, min_ttl_ms: -1], ":min_ttl_ms"}
        ] do
      error = assert_raise ArgumentError, fn -> DNS.start_link(options) end
      assert error.message =~ text
    end

    for transports <- [:udp, ["udp"], [{:udp, []}], [{:udp, [:inet7]}], [nil]] do
      assert_raise ArgumentError, ~r/:transports/, fn ->
        DNS.targets(:none, "sip:192.0.2.1", transports)
      end
    end
  end

  test "where there is no resolver's process a name is not found, an address is" do
    assert find(:no_such_resolver) == :no_resolver
    assert find(:no_such_resolver, "sip:192.0.2.1") == [udp: "192.0.2.1:5060"]
  end
end
