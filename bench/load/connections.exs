# What an idle connection takes: MIX_ENV=prod mix run bench/load/connections.exs tcp|tls COUNT
#
# The peers are a process of the operating system of their own, this script again, so that only this side is counted. Each
# has sent a request and read its answer before it is idle.
[protocol, count | rest] = System.argv()
count = String.to_integer(count)

defmodule Connections do
  def request(name) do
    "OPTIONS sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/#{name} 127.0.0.1;branch=z9hG4bK#{System.unique_integer([:positive])}\r\n" <>
      "Max-Forwards: 70\r\nFrom: <sip:b@127.0.0.1>;tag=1\r\nTo: <sip:a@127.0.0.1>\r\n" <>
      "Call-ID: #{System.unique_integer([:positive])}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
  end

  def connect("tcp", port, from),
    do: :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false, ip: from], 10_000)

  def connect("tls", port, from) do
    options = [:binary, active: false, ip: from, verify: :verify_none, log_level: :none]
    :ssl.connect({127, 0, 0, 1}, port, options, 10_000)
  end

  # What the VM and the operating system say, after what is garbage is gone.
  def measure(wait_ms) do
    Process.sleep(wait_ms)
    {:ok, status} = File.read("/proc/self/status")
    [rss] = Regex.run(~r/VmRSS:\s+(\d+)/, status, capture: :all_but_first)
    memory = :erlang.memory()

    %{
      total: memory[:total],
      processes: memory[:processes],
      ets: memory[:ets],
      binary: memory[:binary],
      rss: String.to_integer(rss) * 1024
    }
  end

  def process(pid), do: Process.info(pid, :memory) |> elem(1)
end

case rest do
  [port] ->
    # The peers.
    {:ok, _} = Application.ensure_all_started(:ssl)
    module = if protocol == "tcp", do: :gen_tcp, else: :ssl
    name = String.upcase(protocol)

    for number <- 1..count do
      from = {127, 0, 1 + div(number, 1_000), 1}
      {:ok, socket} = Connections.connect(protocol, String.to_integer(port), from)
      :ok = module.send(socket, Connections.request(name))
      {:ok, "SIP/2.0 200" <> _} = module.recv(socket, 0, 10_000)
      socket
    end
    |> then(fn sockets ->
      IO.puts("ready")
      IO.read(:stdio, :line)
      length(sockets)
    end)

  [] ->
    defmodule Core do
      use Sippet.Core

      def receive_request(request, _key),
        do: Sippet.send(:bench, Sippet.Message.to_response(request, 200))
    end

    {:ok, _} = Sippet.start_link(name: :bench, core: Core)
    options = [name: :bench, port: 0, address: "127.0.0.1"]

    {:ok, transport} =
      case protocol do
        "tcp" ->
          Sippet.Transports.TCP.start_link(options)

        "tls" ->
          chain = %{
            root: [key: {:namedCurve, :secp256r1}],
            intermediates: [],
            peer: [key: {:namedCurve, :secp256r1}]
          }

          %{server_config: own} =
            :public_key.pkix_test_data(%{server_chain: chain, client_chain: chain})

          Sippet.Transports.TLS.start_link(options ++ Keyword.take(own, [:cert, :key]))
      end

    [%{address: {_ip, port}}] = Sippet.Transport.list(:bench)
    before = Connections.measure(2_000)

    command = [
      System.find_executable("mix"),
      "run",
      "--no-compile",
      "bench/load/connections.exs",
      protocol,
      "#{count}",
      "#{port}"
    ]

    peers =
      Port.open({:spawn_executable, hd(command)}, [
        :binary,
        :exit_status,
        line: 1_000,
        args: tl(command)
      ])

    receive do
      {^peers, {:data, {:eol, "ready"}}} -> :ok
      {^peers, other} -> raise inspect(other)
    end

    later = Connections.measure(5_000)

    %{connections: ^count} =
      info =
      Sippet.Transport.list(:bench) |> hd() |> Map.fetch!(:module) |> apply(:info, [transport])

    %{table: table} = Sippet.Transport.Listener.call(transport, :shared)
    pids = for row when elem(row, 0) |> is_integer() <- :ets.tab2list(table), do: elem(row, 1)
    own = pids |> Enum.map(&Connections.process/1) |> Enum.sum()

    IO.inspect(info.counters, label: "counters")

    for key <- [:total, :processes, :ets, :binary, :rss] do
      IO.puts(
        "#{key}: #{Float.round((later[key] - before[key]) / count / 1024, 2)} kB a connection"
      )
    end

    IO.puts("process of the connection: #{Float.round(own / count / 1024, 2)} kB")
    Port.command(peers, "\n")
end
