# A SIP server, and a call to it, through real sockets: `make demo`.
#
#   PORT=5060 ADDRESS=127.0.0.1   where the server listens; ADDRESS=0.0.0.0 lets other machines in
#   ONCE=1                        end after the call
#
# Read demo/server.ex first, then demo/caller.ex.

{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require(Path.wildcard(Path.expand("demo/*.ex", __DIR__)))

defmodule Demo do
  def run do
    # A supervisor that cannot start takes its parent along otherwise.
    Process.flag(:trap_exit, true)
    address = System.get_env("ADDRESS", "127.0.0.1")
    port = port(System.get_env("PORT", "5060"))

    server = start("the server", Demo.Server, address: address, port: port)
    {ip, port} = Demo.Server.address()
    # Nobody can be called at "all addresses".
    host = if address in ["0.0.0.0", "::"], do: loopback(ip), else: to_string(:inet.ntoa(ip))

    start("the caller", Demo.Caller, address: host)
    {_ip, caller_port} = Demo.Caller.address()

    # A trace hears of what goes over the wire: here of the call, and below of what others send to the server.
    call_id = Sippet.Message.create_call_id()
    {:ok, call} = Sippet.Trace.start(:demo_caller, call_id: call_id)
    by_others = &(&1.direction == :received and &1.call_id != call_id)
    {:ok, others} = Sippet.Trace.start(:demo_server, filter: by_others)
    :ok = Sippet.Trace.subscribe(others)

    uri = %Sippet.URI{scheme: "sip", userinfo: "bob", host: host, port: port}
    result = Demo.Caller.call(to_string(uri), call_id: call_id, talk_ms: 100)

    IO.puts("")
    shown = if host =~ ":", do: "[#{host}]", else: host
    {:ok, peer} = host |> String.to_charlist() |> :inet.parse_address()

    names = %{
      :demo_caller => "caller #{shown}:#{caller_port}",
      {peer, port} => "server #{shown}:#{port}"
    }

    IO.puts(Sippet.Trace.to_text(call, names: names))
    :ok = Sippet.Trace.stop(call)
    finish(result, server, others, "#{:inet.ntoa(ip)} port #{port}")
  end

  defp port(text) do
    case Integer.parse(text) do
      {port, ""} when port in 0..65_535 -> port
      _ -> fail("PORT is to be a number from 0 to 65535, and is #{inspect(text)}")
    end
  end

  defp loopback(ip) when tuple_size(ip) == 4, do: "127.0.0.1"
  defp loopback(_ip), do: "::1"

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

  defp finish({:error, sentence}, _server, _others, _address),
    do: fail("the call failed: #{sentence}")

  defp finish(:ok, server, others, address) do
    if System.get_env("ONCE") in [nil, "", "0"] do
      IO.puts("The call is over. The server listens at #{address} (UDP); Ctrl-C ends it.")
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

      # No new calls; those that ring are answered and acknowledged.
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
    IO.puts(:stderr, "demo: #{sentence}")
    System.halt(1)
  end
end

Demo.run()
