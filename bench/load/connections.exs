# What an idle connection takes: MIX_ENV=prod mix run bench/load/connections.exs tcp|tls|ws COUNT
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

  # A connection of the protocol, and the module that sends and receives on it.
  def connect("tcp", port, from) do
    options = [:binary, active: false, ip: from]
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, options, 10_000)
    {:gen_tcp, socket}
  end

  def connect("ws", port, from) do
    {:gen_tcp, socket} = connect("tcp", port, from)
    key = Base.encode64(:crypto.strong_rand_bytes(16))

    :ok =
      :gen_tcp.send(
        socket,
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:#{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" <>
          "Sec-WebSocket-Key: #{key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
      )

    {:ok, "HTTP/1.1 101 " <> _} = :gen_tcp.recv(socket, 0, 10_000)
    {:gen_tcp, socket}
  end

  def connect("tls", port, from) do
    options = [:binary, active: false, ip: from, verify: :verify_none, log_level: :none]
    {:ok, socket} = :ssl.connect({127, 0, 0, 1}, port, options, 10_000)
    {:ssl, socket}
  end

  # A message as it goes over the connection: in a frame of text, whose mask of zeroes leaves it as it is (RFC 6455 §5.3).
  def frame("ws", message),
    do: [<<1::1, 0::3, 1::4, 1::1, 126::7, byte_size(message)::16, 0::32>>, message]

  def frame(_stream, message), do: message

  def answer?("ws", <<_head::binary-4, "SIP/2.0 200", _rest::binary>>), do: true
  def answer?(protocol, "SIP/2.0 200" <> _rest) when protocol != "ws", do: true
  def answer?(_protocol, _bytes), do: false

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
    name = String.upcase(protocol)

    for number <- 1..count do
      from = {127, 0, 1 + div(number, 1_000), 1}
      {module, socket} = Connections.connect(protocol, String.to_integer(port), from)
      :ok = module.send(socket, Connections.frame(protocol, Connections.request(name)))
      {:ok, bytes} = module.recv(socket, 0, 10_000)
      true = Connections.answer?(protocol, bytes)
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

        "ws" ->
          Sippet.Transports.WS.start_link(options)

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
