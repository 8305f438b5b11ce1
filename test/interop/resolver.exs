# The resolver asks the NSD on 127.0.0.1, port PORT, whose zones are in test/interop/nsd. Prints how many questions were
# answered as they should be, and what was not; exit status 1 then.
{:ok, _} =
  Sippet.Resolver.DNS.start_link(
    name: :interop,
    nameservers: [{{127, 0, 0, 1}, String.to_integer(System.fetch_env!("PORT"))}],
    max_targets: 100,
    max_records: 100
  )

all = [udp: [:inet], tcp: [:inet], tls: [:inet]]

cases = [
  {"sip:sippet.example", all, [{:tls, {192, 0, 2, 1}, 5081}]},
  {"sip:sippet.example", [:udp],
   [{:udp, {0x2001, 0xDB8, 0, 0, 0, 0, 0, 1}, 5084}, {:udp, {192, 0, 2, 1}, 5084}]},
  {"sip:sippet.example", [udp: [:inet], tcp: [:inet]],
   [{:tcp, {192, 0, 2, 1}, 5083}, {:tcp, {192, 0, 2, 2}, 5082}]},
  {"sip:sippet.example;transport=udp", all, [{:udp, {192, 0, 2, 1}, 5084}]},
  {"sip:srv.sippet.example", all, [{:tcp, {192, 0, 2, 2}, 5085}]},
  {"sip:plain.sippet.example", all, [{:udp, {192, 0, 2, 4}, 5060}]},
  {"sips:plain.sippet.example", all, [{:tls, {192, 0, 2, 4}, 5061}]},
  {"sip:closed.sippet.example;transport=udp", all, :not_available},
  {"sip:alias.sippet.example:5060", all, [{:udp, {192, 0, 2, 6}, 5060}]},
  # Not this server's: it refuses.
  {"sip:away.sippet.example:5060", all, :server_failure},
  {"sip:nowhere.sippet.example", all, :nxdomain},
  {"sip:ns.sippet.example:5060", [udp: [:inet6]], :no_addresses},
  {"sip:many.sippet.example:5060", all, for(n <- 1..100, do: {:udp, {192, 0, 2, n}, 5060})}
]

wrong =
  for {uri, transports, expected} <- cases, time <- [:asked, :kept] do
    found =
      case Sippet.Resolver.DNS.targets(:interop, uri, transports) do
        {:ok, targets} -> for t <- targets, do: {t.transport, t.address, t.port}
        {:error, error} -> error.reason
      end

    # NSD may give the records of one name in any order.
    same? =
      if is_list(found) and is_list(expected),
        do: Enum.sort(found) == Enum.sort(expected),
        else: found == expected

    ordered? = uri =~ "many" or found == expected
    unless same? and ordered?, do: {uri, time, found}
  end

wrong = Enum.reject(wrong, &is_nil/1)
IO.puts("#{2 * length(cases) - length(wrong)} of #{2 * length(cases)} questions")
for row <- wrong, do: IO.inspect(row)
System.halt(if wrong == [], do: 0, else: 1)
