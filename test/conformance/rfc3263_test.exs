defmodule Sippet.Conformance.RFC3263Test do
  # Where requests and responses go by RFC 3263, against a name server on loopback. The zones below are this suite's own;
  # those of the corpus are run where it is.
  use ExUnit.Case, async: true

  import Sippet.Test.Resolving

  alias Sippet.Resolver.DNS
  alias Sippet.Test.{Corpus, DNSServer}

  @both %{
    naptr: [
      {30, 10, "s", "SIP+D2U", "", "_sip._udp.atlanta.example"},
      {10, 10, "s", "SIPS+D2T", "", "_sips._tcp.atlanta.example"},
      {20, 10, "s", "SIP+D2T", "", "_sip._tcp.atlanta.example"}
    ],
    a: ["192.0.2.1"]
  }

  @zone %{
    "atlanta.example" => @both,
    "_sip._udp.atlanta.example" => %{srv: [{0, 0, 5070, "u.atlanta.example"}]},
    "_sip._tcp.atlanta.example" => %{srv: [{0, 0, 5071, "t.atlanta.example"}]},
    "_sips._tcp.atlanta.example" => %{srv: [{0, 0, 5072, "s.atlanta.example"}]},
    "u.atlanta.example" => %{a: ["192.0.2.10"], aaaa: ["2001:db8::10"]},
    "t.atlanta.example" => %{a: ["192.0.2.11"]},
    "s.atlanta.example" => %{a: ["192.0.2.12"]},
    # No NAPTR: SRV of all transports.
    "biloxi.example" => %{a: ["192.0.2.2"], aaaa: ["2001:db8::2"]},
    "_sip._tcp.biloxi.example" => %{
      srv: [{20, 0, 5060, "b.biloxi.example"}, {10, 0, 5060, "a.biloxi.example"}]
    },
    "_sips._tcp.biloxi.example" => %{srv: [{0, 0, 5061, "b.biloxi.example"}]},
    "_sip._ws.biloxi.example" => %{srv: [{0, 0, 8080, "b.biloxi.example"}]},
    "a.biloxi.example" => %{a: ["192.0.2.21"]},
    "b.biloxi.example" => %{a: ["192.0.2.22", "192.0.2.23"]},
    # Neither.
    "plain.example" => %{a: ["192.0.2.3"], aaaa: ["2001:db8::3"]},
    # SRV that refuse, that lead nowhere, and that do so for one transport only.
    "closed.example" => %{a: ["192.0.2.4"]},
    "_sip._udp.closed.example" => %{srv: [{0, 0, 0, "."}]},
    "_sip._tcp.closed.example" => %{srv: [{0, 0, 0, "."}]},
    "half.example" => %{a: ["192.0.2.5"]},
    "_sip._udp.half.example" => %{srv: [{0, 0, 0, "."}]},
    "_sip._tcp.half.example" => %{srv: [{0, 0, 5060, "plain.example"}]},
    "dead.example" => %{a: ["192.0.2.6"]},
    "_sip._udp.dead.example" => %{srv: [{0, 0, 5060, "gone.example"}]},
    # Aliases, and NAPTR records that lead to others.
    "alias.example" => %{cname: ["ALIAS2.example"]},
    "alias2.example" => %{cname: ["plain.example"]},
    "loop.example" => %{cname: ["loop2.example"]},
    "loop2.example" => %{cname: ["loop.example"]},
    "far.example" => %{naptr: [{1, 1, "", "SIP+D2U", "", "atlanta.example"}]},
    "near.example" => %{naptr: [{1, 1, "A", "SIP+D2T", "", "plain.example"}]},
    "round.example" => %{
      naptr: [
        {1, 1, "", "SIP+D2U", "", "round.example"},
        {2, 1, "s", "SIP+D2U", "", "_sip._udp.atlanta.example"}
      ]
    },
    "round2.example" => %{naptr: [{1, 1, "", "SIP+D2U", "", "round2.example"}]},
    "second.example" => %{
      naptr: [
        {1, 1, "s", "SIP+D2T", "", "_sip._tcp.nowhere.example"},
        {1, 2, "s", "SIP+D2U", "", "_sip._udp.atlanta.example"}
      ]
    },
    "odd.example" => %{
      naptr: [
        {1, 1, "s", "SIP+D2U", "!.*!x!", "_sip._udp.dead.example"},
        {2, 1, "p", "SIP+D2U", "", "_sip._udp.dead.example"},
        {3, 1, "s", "SIP+D2S", "", "_sip._sctp.odd.example"},
        {4, 1, "s", "SIP+D2U", "", "."},
        {5, 1, "s", "SIP+D2U", "", "_sip._udp.atlanta.example"}
      ]
    },
    "web.example" => %{
      naptr: [
        {1, 1, "s", "SIP+D2W", "", "_sip._ws.biloxi.example"},
        {2, 1, "s", "SIP+D2U", "", "_sip._udp.atlanta.example"}
      ]
    }
  }

  @all [:udp, :tcp, :tls]

  # URI, transports, targets, what is asked, in any order where it is asked side by side.
  @cases [
    {"sip:192.0.2.9", @all, [udp: "192.0.2.9:5060"], []},
    {"sip:192.0.2.9", [:tcp, :tls], [tcp: "192.0.2.9:5060"], []},
    {"sip:192.0.2.9:5060;transport=tls", @all, [tls: "192.0.2.9:5060"], []},
    {"sip:[2001:db8::9];transport=ws", [:ws], [ws: "[2001:db8::9]:80"], []},
    {"sips:192.0.2.9", [:udp, :wss], [wss: "192.0.2.9:443"], []},
    {"sips:192.0.2.9;transport=ws", [:tls, :wss], [wss: "192.0.2.9:443"], []},
    {"sip:192.0.2.9", [tcp: [:inet6], udp: [:inet]], [udp: "192.0.2.9:5060"], []},
    {"sip:atlanta.example:5060", @all, [udp: "192.0.2.1:5060"],
     [a: "atlanta.example", aaaa: "atlanta.example"]},
    {"sip:plain.example:5061", [udp: [:inet]], [udp: "192.0.2.3:5061"], [a: "plain.example"]},
    {"sip:plain.example:5061", [udp: [:inet6]], [udp: "[2001:db8::3]:5061"],
     [aaaa: "plain.example"]},
    {"sip:Plain.Example.:5061", @all, [udp: "[2001:db8::3]:5061", udp: "192.0.2.3:5061"],
     [a: "plain.example", aaaa: "plain.example"]},
    {"sip:atlanta.example", @all, [tls: "192.0.2.12:5072"],
     [
       naptr: "atlanta.example",
       srv: "_sips._tcp.atlanta.example",
       a: "s.atlanta.example",
       aaaa: "s.atlanta.example"
     ]},
    {"sip:atlanta.example", [:udp, :tcp], [tcp: "192.0.2.11:5071"], :any},
    {"sip:atlanta.example", [:udp], [udp: "[2001:db8::10]:5070", udp: "192.0.2.10:5070"], :any},
    {"sips:atlanta.example", @all, [tls: "192.0.2.12:5072"], :any},
    {"sip:atlanta.example;transport=TCP", @all, [tcp: "192.0.2.11:5071"],
     [srv: "_sip._tcp.atlanta.example", a: "t.atlanta.example", aaaa: "t.atlanta.example"]},
    {"sip:biloxi.example", @all,
     [tcp: "192.0.2.21:5060", tcp: "192.0.2.22:5060", tcp: "192.0.2.23:5060"],
     [
       naptr: "biloxi.example",
       srv: "_sip._udp.biloxi.example",
       srv: "_sip._tcp.biloxi.example",
       a: "a.biloxi.example",
       aaaa: "a.biloxi.example",
       a: "b.biloxi.example",
       aaaa: "b.biloxi.example"
     ]},
    {"sip:biloxi.example", [:ws, :tcp], [ws: "192.0.2.22:8080", ws: "192.0.2.23:8080"], :any},
    {"sip:biloxi.example", [:tls], [tls: "192.0.2.22:5061", tls: "192.0.2.23:5061"], :any},
    {"sips:biloxi.example", @all, [tls: "192.0.2.22:5061", tls: "192.0.2.23:5061"], :any},
    {"sip:plain.example", @all, [udp: "[2001:db8::3]:5060", udp: "192.0.2.3:5060"], :any},
    {"sips:plain.example", @all, [tls: "[2001:db8::3]:5061", tls: "192.0.2.3:5061"], :any},
    {"sip:plain.example;transport=wss", [:wss], [wss: "[2001:db8::3]:443", wss: "192.0.2.3:443"],
     :any},
    {"sip:closed.example", [:udp, :tcp], :not_available, :any},
    {"sip:closed.example;transport=udp", [:udp, :tcp], :not_available,
     [srv: "_sip._udp.closed.example"]},
    {"sip:half.example", [:udp, :tcp], [tcp: "[2001:db8::3]:5060", tcp: "192.0.2.3:5060"], :any},
    {"sip:dead.example", [:udp], :nxdomain, :any},
    {"sip:alias.example:5080", [udp: [:inet]], [udp: "192.0.2.3:5080"], [a: "alias.example"]},
    {"sip:loop.example:5080", [udp: [:inet]], :server_failure, :any},
    {"sip:far.example", [udp: [:inet]], [udp: "192.0.2.10:5070"],
     [
       naptr: "far.example",
       naptr: "atlanta.example",
       srv: "_sip._udp.atlanta.example",
       a: "u.atlanta.example"
     ]},
    {"sip:near.example", [tcp: [:inet]], [tcp: "192.0.2.3:5060"],
     [naptr: "near.example", a: "plain.example"]},
    {"sip:round.example", [udp: [:inet]], [udp: "192.0.2.10:5070"], :any},
    {"sip:round2.example", [udp: [:inet]], :too_many_queries, [naptr: "round2.example"]},
    {"sip:second.example", [udp: [:inet], tcp: [:inet]], [udp: "192.0.2.10:5070"], :any},
    {"sip:odd.example", [udp: [:inet]], [udp: "192.0.2.10:5070"],
     [naptr: "odd.example", srv: "_sip._udp.atlanta.example", a: "u.atlanta.example"]},
    {"sip:web.example", [udp: [:inet], ws: [:inet]],
     [ws: "192.0.2.22:8080", ws: "192.0.2.23:8080"], :any},
    {"sip:web.example", [udp: [:inet], wss: [:inet]], [udp: "192.0.2.10:5070"], :any},
    {"sip:x.example:5070;maddr=plain.example", [udp: [:inet]], [udp: "192.0.2.3:5070"],
     [a: "plain.example"]},
    {"sip:plain.example;maddr=192.0.2.8", @all, [udp: "192.0.2.8:5060"], []},
    {"sip:nowhere.example", @all, :nxdomain, :any},
    {"sip:atlanta.example;transport=sctp", @all, :no_transport, []},
    {"sips:atlanta.example;transport=udp", @all, :no_transport, []},
    {"sips:atlanta.example", [:udp, :tcp], :no_transport, []},
    {"sip:[2001:db8::9]", [udp: [:inet]], :no_transport, []},
    {"sip:127.0.0.1:5060", [], :no_transport, []},
    {"tel:+12015550123", @all, :unsupported_scheme, []},
    {"http://plain.example", @all, :unsupported_scheme, []}
  ]

  for {{uri, transports, expected, asked}, index} <- Enum.with_index(@cases) do
    test "#{index}: #{uri} with #{inspect(transports)} goes to #{inspect(expected)}" do
      resolver = start(@zone)
      result = DNS.targets(resolver, unquote(uri), unquote(transports))
      assert brief(result) == unquote(expected)

      unless unquote(asked) == :any,
        do: assert(Enum.sort(DNSServer.asked()) == Enum.sort(unquote(asked)))
    end
  end

  test "each choice on the way is told (RFC 3263 §4)" do
    resolver = start(@zone)

    {:ok, [target]} =
      DNS.targets(resolver, "sip:x.example;maddr=second.example", udp: [:inet], tcp: [:inet])

    assert target.domain == "x.example"

    assert target.choices == [
             {:maddr, "second.example"},
             {:naptr, "second.example", "SIP+D2U", {1, 2}, "_sip._udp.atlanta.example"},
             {:srv, "_sip._udp.atlanta.example", {0, 0, 5070, "u.atlanta.example"}},
             {:address, "u.atlanta.example", :a}
           ]

    {:ok, [target | _]} = DNS.targets(resolver, "sip:plain.example", udp: [:inet])

    assert target.choices == [
             {:transport, :udp, :default},
             {:no_naptr, "plain.example", :no_records},
             {:no_srv, "_sip._udp.plain.example", :nxdomain},
             {:address, "plain.example", :a}
           ]

    {:error, error} = DNS.targets(resolver, "sip:closed.example;transport=udp", [:udp])
    assert error.host == "closed.example"

    assert error.choices == [
             {:transport, :udp, :uri},
             {:srv, "_sip._udp.closed.example", :root}
           ]
  end

  # RFC 3263 §5, RFC 3261 §18.2.2.
  for {via, transports, expected} <- [
        {{:udp, {"192.0.2.9", 5070}, %{}}, [:udp], [udp: "192.0.2.9:5070"]},
        {{:udp, {"192.0.2.9", nil}, %{}}, [:udp], [udp: "192.0.2.9:5060"]},
        {{:tls, {"192.0.2.9", 5060}, %{}}, [:tls], [tls: "192.0.2.9:5061"]},
        {{:udp, {"192.0.2.9", 5070}, %{"maddr" => "224.2.0.1"}}, [:udp], [udp: "224.2.0.1:5070"]},
        {{:tcp, {"atlanta.example", 5060}, %{}}, [:udp, :tcp], [tcp: "192.0.2.11:5071"]},
        {{:tls, {"atlanta.example", 5060}, %{}}, [:tls], [tls: "192.0.2.12:5072"]},
        {{:tcp, {"atlanta.example", 5080}, %{}}, [:tcp], [tcp: "192.0.2.1:5080"]},
        {{:tcp, {"atlanta.example", 5060}, %{}}, [:udp], :no_transport}
      ] do
    test "a response to Via #{inspect(via)} goes to #{inspect(expected)} (§5)" do
      {protocol, sent_by, parameters} = unquote(Macro.escape(via))
      {_resolver, sippet} = start_stack(@zone)
      via = {{2, 0}, protocol, sent_by, Map.put(parameters, "branch", "z9hG4bK1")}

      result = Sippet.Resolver.targets_for_response(sippet, via, transports: unquote(transports))

      assert brief(result) == unquote(expected)
    end
  end

  for row <- (Corpus.vectors("rfc3263") || %{"cases" => []})["cases"] do
    @row row
    test "corpus: #{row["name"]}" do
      resolver = start(zone(@row["zone"]), families: [:inet, :inet6])
      transports = for name <- @row["client_supports"], do: Sippet.Message.to_protocol(name)
      result = DNS.targets(resolver, @row["uri"], transports)

      expected =
        for %{"transport" => transport, "address" => address, "port" => port} <- @row["expect"] do
          {:ok, ip} = address |> String.to_charlist() |> :inet.parse_strict_address()
          {Sippet.Message.to_protocol(transport), address(ip, port)}
        end

      found = brief(result)

      cond do
        expected == [] -> assert is_atom(found)
        @row["any_order_within_priority"] -> assert Enum.sort(found) == Enum.sort(expected)
        true -> assert found == expected
      end

      asked = for {type, name} <- DNSServer.asked(), uniq: true, do: asked(type, name)
      for query <- @row["queries"] || [], do: assert(query in asked)
      if @row["queries"] == [], do: assert(asked == [])
    end
  end

  defp asked(type, name) when type in [:a, :aaaa], do: "A/AAAA #{name}"
  defp asked(type, name), do: "#{type |> Atom.to_string() |> String.upcase()} #{name}"

  defp zone(zone) do
    Map.new(zone, fn {name, types} ->
      {name,
       for {type, records} <- types, into: %{} do
         type = %{"NAPTR" => :naptr, "SRV" => :srv, "A" => :a, "AAAA" => :aaaa}[type]

         {type,
          for(record <- records, do: if(is_list(record), do: List.to_tuple(record), else: record))}
       end}
    end)
  end
end
