# Requests through the PROXIES, each NAME:PROTOCOL:PORT:open or password, to a stack of ours that listens on both loopback
# addresses, by each transport. A line a case; exit status 1 if one of them fails.
Code.require_file("../support/certificates.ex", __DIR__)

alias Sippet.{Message, TransportError}
alias Sippet.Test.Certificates

defmodule Interop.Nobody do
  # Names are the proxy's to resolve.
  @behaviour Sippet.Resolver

  @impl true
  def locate(question, _sippet, _options),
    do: {:error, %Sippet.ResolverError{reason: :no_resolver, host: question.host}}
end

defmodule Interop.Far do
  # Tells where a request came from.
  use Sippet.Core

  @impl true
  def receive_request(request, key) when key != nil do
    {ip, _port} = request.source.remote
    response = Message.to_response(request, 200)
    Sippet.send(:far, %{response | body: List.to_string(:inet.ntoa(ip))})
  end

  def receive_request(_ack, nil), do: :ok

  @impl true
  def receive_response(_response, _key), do: :ok

  @impl true
  def receive_error(_reason, _key), do: :ok
end

modules = [
  tcp: Sippet.Transports.TCP,
  tls: Sippet.Transports.TLS,
  ws: Sippet.Transports.WS,
  wss: Sippet.Transports.WSS
]

chains = Certificates.chains(server: [dns: "localhost", ip: <<127, 0, 0, 1>>, ip: <<0::120, 1>>])

first = "FAR_PORT" |> System.fetch_env!() |> String.to_integer()
ports = modules |> Keyword.keys() |> Enum.with_index(first) |> Map.new()

{:ok, _stack} = Sippet.start_link(name: :far, core: Interop.Far)

for {transport, module} <- modules, address <- ["127.0.0.1", {"::1", :inet6}] do
  own = if transport in [:tls, :wss], do: Keyword.take(chains.server, [:cert, :key]), else: []
  options = [name: :far, port: ports[transport], address: address] ++ own
  {:ok, _transport} = module.start_link(options)
end

credentials = {System.fetch_env!("USERNAME"), System.fetch_env!("PASSWORD")}
wrong = {System.fetch_env!("USERNAME"), "another"}

# What comes directly has another address than what comes from a proxy.
here = "127.0.0.5"

ask = fn transport, proxy, host, port ->
  name = :"near_#{System.unique_integer([:positive])}"
  {:ok, stack} = Sippet.start_link(name: name, resolver: Interop.Nobody)
  trust = if transport in [:tls, :wss], do: [cacerts: chains.client[:cacerts]], else: []
  options = [name: name, port: 0, address: here, proxy: proxy] ++ trust
  {:ok, pid} = modules[transport].start_link(options)

  request =
    %{Message.build_request(:options, "sip:far@localhost") | target: {transport, host, port}}
    |> Message.put_header(:via, [
      {{2, 0}, transport, {here, 5060}, %{"branch" => Message.create_branch()}}
    ])
    |> Message.put_header(:max_forwards, 70)
    |> Message.put_header(
      :from,
      {"", Sippet.URI.parse!("sip:near@localhost"), %{"tag" => Message.create_tag()}}
    )
    |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:far@localhost"), %{}})
    |> Message.put_header(:call_id, Message.create_call_id())
    |> Message.put_header(:cseq, {1, :options})

  result = Sippet.request(name, request)
  for process <- [pid, stack], do: Supervisor.stop(process)

  case result do
    {:ok, %{start_line: %{status_code: 200}, body: body}} ->
      if body == here, do: :direct, else: :ok

    {:error, %TransportError{reason: reason}} ->
      reason

    other ->
      other
  end
end

cases = fn
  "open" ->
    [{"no authentication", nil, :ok}]

  "password" ->
    [
      {"password", credentials, :ok},
      {"wrong password", wrong, :refused},
      {"no password", nil, :refused}
    ]
end

destinations = %{
  ok: [
    {"IPv4", "127.0.0.1"},
    {"IPv6", "::1"},
    {"name", "localhost"},
    {"nobody there", :closed}
  ],
  refused: [{"IPv4", "127.0.0.1"}]
}

# Where nobody listens.
closed_port = 1

results =
  for proxy <- System.fetch_env!("PROXIES") |> String.split(),
      [name, protocol, port, access] = String.split(proxy, ":"),
      {transport, _module} <- modules,
      {text, given, expected} <- cases.(access),
      {kind, host} <- destinations[expected] do
    options = [
      protocol: String.to_existing_atom(protocol),
      address: "127.0.0.1",
      port: String.to_integer(port),
      credentials: given,
      resolve: :remote
    ]

    result =
      if host == :closed,
        do: ask.(transport, options, "127.0.0.1", closed_port),
        else: ask.(transport, options, host, ports[transport])

    good? =
      case {expected, host, result} do
        {:ok, :closed, {:proxy, {:socks5, 5}}} -> true
        {:ok, :closed, {:proxy, {:http, status}}} -> status in 500..504
        {:ok, :closed, _other} -> false
        {:ok, _host, result} -> result == :ok
        {:refused, _host, result} -> result == {:proxy, :authentication}
      end

    verdict = if good?, do: "ok", else: "FAILED"

    "~-7s ~-4s ~s~n"
    |> :io_lib.format([verdict, "#{transport}", "#{name}, #{text}, #{kind}: #{inspect(result)}"])
    |> IO.write()

    good?
  end

System.halt(if results != [] and Enum.all?(results), do: 0, else: 1)
