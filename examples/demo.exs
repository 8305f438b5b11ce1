# A SIP server with a web phone, and a call through it, by real sockets: `make demo`.
#
#   PORT=5060 ADDRESS=127.0.0.1   where the server listens; ADDRESS=0.0.0.0 lets other machines in
#   WEB_PORT=8080                 where the web phone is, which is the server's port of WebSockets
#   ONCE=1                        end after the call
#
# The server is sip_server/; the two telephones that call each other are demo/server.ex, which is the one to read first, and
# demo/caller.ex.

# A behaviour has to be there before those that have it.
behaviour = Path.expand("sip_server/lib/sip_server/location.ex", __DIR__)

others =
  for folder <- ["demo", "sip_server/lib"],
      file <- Path.wildcard(Path.expand(folder <> "/**/*.ex", __DIR__)),
      file != behaviour,
      do: file

for files <- [[behaviour], others],
    do: {:ok, _modules, _warnings} = Kernel.ParallelCompiler.require(files)

defmodule Demo do
  @web Path.expand("web_phone/build", __DIR__)
  @users ["alice", "bob"]
  @domain "sip.example.com"

  def run do
    # A supervisor that cannot start takes its parent along otherwise.
    Process.flag(:trap_exit, true)
    # Each message that comes in has a line of its own below.
    Logger.configure(level: :warning)
    address = System.get_env("ADDRESS", "127.0.0.1")
    host = host(address)
    port = port("PORT", "5060") || free_port(host)
    web_port = web_port(address, host, port)
    passwords = Map.new(@users, &{&1, password(&1, host)})

    server = start("the server", SipServer, config(address, host, port, web_port, passwords))
    # Its users have been read by now.
    File.rm!(users_file())
    tell(address, web_port, passwords)

    start("the telephone", Demo.Server, address: host, port: 0)
    start("the caller", Demo.Caller, address: host)
    {_ip, caller_port} = Demo.Caller.address()

    # bob's telephone is this one for as long as the call takes, and whoever registers as bob afterwards.
    bob = {"bob", passwords["bob"]}
    registered("registration", Demo.Registration.register({host, port}, @domain, bob, 60))

    # A trace hears of what goes over the wire: here of the call as its caller sees it.
    call_id = Sippet.Message.create_call_id()
    {:ok, call} = Sippet.Trace.start(:demo_caller, call_id: call_id)

    # The caller is a stranger to the server: its own users have to show who they are.
    uri = %Sippet.URI{scheme: "sip", userinfo: "bob", host: host, port: port}
    options = [call_id: call_id, talk_ms: 100, domain: "caller.invalid"]
    result = Demo.Caller.call(to_string(uri), options)

    IO.puts("")
    shown = bracketed(host)
    {:ok, peer} = host |> String.to_charlist() |> :inet.parse_address()

    names = %{
      :demo_caller => "caller #{shown}:#{caller_port}",
      {peer, port} => "server #{shown}:#{port}"
    }

    IO.puts(Sippet.Trace.to_text(call, names: names))
    :ok = Sippet.Trace.stop(call)

    registered(
      "end of the registration",
      Demo.Registration.register({host, port}, @domain, bob, 0)
    )

    finish(result, server, "#{address} port #{port}")
  end

  defp config(address, host, port, web_port, passwords) do
    lines =
      for {name, password} <- passwords,
          do: [SipServer.Users.line(name, @domain, password), "\n"]

    # Not to be read by others, and nobody else's file.
    File.open!(users_file(), [:write, :exclusive], fn file ->
      File.chmod!(users_file(), 0o600)
      IO.write(file, lines)
    end)

    [
      domains: [@domain, host, "localhost"],
      address: address,
      host: host,
      transports: [udp: port, tcp: port, ws: web_port],
      users: users_file(),
      web: @web,
      trace: true,
      drain_ms: 5_000
    ]
  end

  defp users_file, do: Path.join(System.tmp_dir!(), "sippet_demo_#{System.pid()}.txt")

  defp tell(address, web_port, passwords) do
    web = "http://#{bracketed(page_host(address))}:#{web_port}/"
    IO.puts("The web phone is at #{web} - open it in two tabs, as")
    for {name, password} <- passwords, do: IO.puts("  #{name}, password #{password}")
    IO.puts("Calls are drawn as they happen at #{web}trace")

    unless File.exists?(Path.join(@web, "index.html")),
      do: IO.puts("(The page is missing and says why.)")
  end

  # What browsers give a microphone to without a certificate.
  defp page_host("0.0.0.0"), do: "127.0.0.1"
  defp page_host("::"), do: "::1"
  defp page_host(address), do: address

  defp bracketed(host), do: if(host =~ ":", do: "[#{host}]", else: host)

  # Nobody can be called at "all addresses": then it is one of this machine that others reach, if it has one.
  defp host(address) when address in ["0.0.0.0", "::"] do
    size = if address == "::", do: 8, else: 4
    {:ok, interfaces} = :inet.getifaddrs()

    found =
      for {_name, options} <- interfaces,
          :running in options[:flags],
          :loopback not in options[:flags],
          {:addr, ip} <- options,
          tuple_size(ip) == size and elem(ip, 0) != 0xFE80,
          do: ip

    case found do
      [ip | _] -> to_string(:inet.ntoa(ip))
      [] -> page_host(address)
    end
  end

  defp host(address), do: address

  # Whoever is on this machine may know them; others get their own.
  defp password(name, "127." <> _), do: "secret-" <> name
  defp password(name, "::1"), do: "secret-" <> name
  defp password(_name, _host), do: Base.url_encode64(:crypto.strong_rand_bytes(9))

  # The port that is asked for. Else 8080, if nobody has it, or any.
  defp web_port(address, host, port) do
    default = if System.get_env("PORT") == "0", do: "0", else: "8080"
    chosen = port("WEB_PORT", default)

    cond do
      chosen == nil -> free_port(host)
      chosen == port -> fail("WEB_PORT and PORT are the same")
      System.get_env("WEB_PORT") != nil or free?(address, chosen) -> chosen
      true -> free_port(host)
    end
  end

  defp free?(address, port) do
    with {:ok, socket} <- listen(address, port),
         do: :ok == :gen_tcp.close(socket),
         else: (_ -> false)
  end

  # One that is free for UDP and for TCP. The server has to know its ports before it listens: it writes them into Record-Route.
  defp free_port(host) do
    {:ok, ip} = host |> String.to_charlist() |> :inet.parse_address()
    {:ok, socket} = :gen_udp.open(0, [family(ip), ip: ip])
    {:ok, port} = :inet.port(socket)
    :gen_udp.close(socket)
    if free?(host, port), do: port, else: free_port(host)
  end

  defp listen(address, port) do
    with {:ok, ip} <- address |> String.to_charlist() |> :inet.parse_address(),
         do: :gen_tcp.listen(port, [family(ip), ip: ip, reuseaddr: true])
  end

  defp family(ip), do: if(tuple_size(ip) == 8, do: :inet6, else: :inet)

  defp registered(_what, :ok), do: :ok
  defp registered(what, {:error, sentence}), do: fail("the #{what} failed: #{sentence}")

  # nil is any.
  defp port(name, default) do
    text = System.get_env(name, default)

    case Integer.parse(text) do
      {0, ""} -> nil
      {port, ""} when port in 1..65_535 -> port
      _ -> fail("#{name} is to be a number from 0 to 65535, and is #{inspect(text)}")
    end
  end

  defp start(what, module, options) do
    case module.start_link(options) do
      {:ok, pid} ->
        pid

      {:error, {:shutdown, {:failed_to_start_child, _id, %{__exception__: true} = error}}} ->
        fail("#{what} cannot be started: #{Exception.message(error)}")

      {:error, {:shutdown, {:failed_to_start_child, _id, {:EXIT, {error, _stacktrace}}}}}
      when is_exception(error) ->
        fail("#{what} cannot be started: #{Exception.message(error)}")

      {:error, reason} ->
        fail("#{what} cannot be started: #{inspect(reason)}")
    end
  end

  defp finish({:error, sentence}, _server, _address),
    do: fail("the call failed: #{sentence}")

  defp finish(:ok, server, address) do
    if System.get_env("ONCE") in [nil, "", "0"] do
      # What others send to the server.
      {:ok, others} = Sippet.Trace.start(:sip_server, filter: &(&1.direction == :received))
      :ok = Sippet.Trace.subscribe(others)
      IO.puts("The call is over. The server listens at #{address} (UDP and TCP); Ctrl-C ends it.")
      demo = self()
      {:ok, _id} = System.trap_signal(:sigterm, fn -> send(demo, :sigterm) && :ok end)
      serve(server, others)
    else
      IO.puts("The call is over.")
      System.halt(0)
    end
  end

  defp serve(server, others) do
    receive do
      # At most one such message waits here, however much comes in meanwhile.
      {Sippet.Trace, ^others, :events} ->
        {:ok, events, _missed} = Sippet.Trace.take(others)
        Enum.each(events, &show/1)
        serve(server, others)

      {:EXIT, _pid, reason} ->
        fail("the server has stopped: #{inspect(reason)}")

      # No new calls; those that ring are answered and acknowledged, those that are up have drain_ms to end.
      :sigterm ->
        IO.puts("The server stops.")
        Supervisor.stop(server, :shutdown)
        System.halt(0)
    end
  end

  # What a peer wrote has no say in the terminal's colours: the summary is printable.
  defp show(%{remote: {ip, port}} = event) do
    time = event.time |> DateTime.from_unix!(:microsecond) |> DateTime.truncate(:second)
    summary = Sippet.Trace.Event.summary(event)
    IO.puts("#{DateTime.to_time(time)}  #{:inet.ntoa(ip)} #{port}  #{summary}")
  end

  defp fail(sentence) do
    _ = File.rm(users_file())
    IO.puts(:stderr, "demo: #{sentence}")
    System.halt(1)
  end
end

Demo.run()
