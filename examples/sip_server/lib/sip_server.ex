defmodule SipServer do
  @moduledoc """
  A SIP server: registrar, location service and stateful proxy of some domains.

  This module is the supervision tree and the configuration. Then read `SipServer.Core`, which decides what becomes of each
  request, `SipServer.Registrar`, and `SipServer.Location`.

      SipServer
      ├─ SipServer.Location.ETS      the bindings: who is where
      ├─ SipServer.Calls             how many calls are up
      ├─ Sippet.DigestAuth.Server    two, for 401 and 407
      ├─ Sippet.Proxy.Server         a process for each request that is being forwarded
      ├─ Sippet                      the stack, with SipServer.Core on top
      ├─ Sippet.Transports.UDP ...   one for each that is configured; WS and WSS serve the web phone too, by SipServer.Web
      ├─ Sippet.Trace                what the page of the live ladder shows, if the configuration has `trace`
      └─ Sippet.Drainer              the first to be shut down: calls that ring are still answered, and those that are up may end
  """

  use Supervisor

  alias Sippet.{DigestAuth, Proxy}

  @stack :sip_server
  @modules [
    udp: Sippet.Transports.UDP,
    tcp: Sippet.Transports.TCP,
    tls: Sippet.Transports.TLS,
    ws: Sippet.Transports.WS,
    wss: Sippet.Transports.WSS
  ]

  @defaults [
    domains: nil,
    address: "127.0.0.1",
    host: nil,
    transports: nil,
    users: nil,
    authenticate: true,
    algorithms: ["MD5"],
    check_uri: true,
    expires: [min: 60, default: 3600, max: 7200],
    location: SipServer.Location.ETS,
    web: nil,
    trace: false,
    stack: [],
    timer_c_ms: 185_000,
    drain_ms: 10_000
  ]

  @doc "Starts the server. `config` is what sip_server.exs returns, a keyword list; see there."
  def start_link(config), do: Supervisor.start_link(__MODULE__, config!(config), name: __MODULE__)

  @doc "The configuration of the server that runs."
  def config, do: :persistent_term.get(__MODULE__)

  @impl true
  def init(config) do
    SipServer.Users.load!(config.users)
    :persistent_term.put(__MODULE__, config)

    children =
      [config.location, SipServer.Calls] ++
        for(
          {name, status_code} <- [registrar: 401, proxy: 407],
          do: digest(config, name, status_code)
        ) ++
        [
          {Proxy.Server, name: SipServer.Proxy, stack: @stack, proxy: config.proxy},
          {Sippet, [name: @stack, core: SipServer.Core] ++ config.stack}
        ] ++
        for(
          {protocol, options} <- config.transports,
          do: {@modules[protocol], [name: @stack] ++ options}
        ) ++
        if(config.trace, do: [{Sippet.Trace, stack: @stack, name: SipServer.Trace}], else: []) ++
        [
          {Sippet.Drainer,
           name: @stack, timeout_ms: config.drain_ms, calls: &SipServer.Calls.count/0}
        ]

    Supervisor.init(children, strategy: :rest_for_one)
  end

  defp digest(config, name, status_code) do
    {DigestAuth.Server,
     name: digest_server(name),
     realm: config.realm,
     status_code: status_code,
     algorithms: config.algorithms,
     check_uri: config.check_uri,
     credentials: &SipServer.Users.credentials/2}
  end

  @doc "The name of the digest server of the registrar (401) or the proxy (407)."
  def digest_server(name), do: Module.concat([__MODULE__, Digest, name])

  defp config!(config) do
    config = Map.new(Keyword.validate!(config, @defaults))

    for name <- [:domains, :transports, :users], config[name] in [nil, []] do
      raise ArgumentError, "the configuration has no #{inspect(name)}"
    end

    expires = Keyword.validate!(config.expires, @defaults[:expires])

    unless Enum.all?(Keyword.values(expires), &(is_integer(&1) and &1 > 0)) and
             expires[:min] <= expires[:default] and expires[:default] <= expires[:max] do
      raise ArgumentError,
            "expected :expires to be seconds, min <= default <= max, got: #{inspect(expires)}"
    end

    unless is_integer(config.drain_ms) and config.drain_ms >= 0 do
      raise ArgumentError,
            "expected :drain_ms to be a number of milliseconds, got: #{inspect(config.drain_ms)}"
    end

    transports =
      for {protocol, port_or_options} <- config.transports do
        Keyword.has_key?(@modules, protocol) ||
          raise ArgumentError, "there is no transport #{inspect(protocol)}"

        options =
          if is_integer(port_or_options), do: [port: port_or_options], else: port_or_options

        {protocol, options |> Keyword.put_new(:address, config.address) |> put_http(protocol)}
      end

    host = config.host || config.address

    proxy =
      Proxy.new!(
        interfaces:
          for({protocol, options} <- transports, do: {protocol, {host, options[:port]}}),
        domains: config.domains,
        extensions: ["path"],
        answers: [:options, :register],
        timer_c_ms: config.timer_c_ms
      )

    realm = hd(config.domains)
    Map.merge(config, %{transports: transports, proxy: proxy, realm: realm, expires: expires})
  end

  defp put_http(options, protocol) when protocol in [:ws, :wss],
    do: Keyword.put_new(options, :http, {SipServer.Web, :respond})

  defp put_http(options, _protocol), do: options
end

defmodule SipServer.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _arguments) do
    file = System.get_env("SIP_SERVER_CONFIG", "sip_server.exs")
    {config, _bindings} = Code.eval_file(file)
    SipServer.start_link(config)
  end
end
