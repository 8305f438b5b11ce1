# A SIP server, and a call to it, through real sockets: `make demo`.
#
#   PORT=5060 ADDRESS=127.0.0.1   where the server listens; ADDRESS=0.0.0.0 lets other machines in
#   ONCE=1                        end after the call
#
# Read demo/server.ex first, then demo/caller.ex.

{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require(Path.wildcard(Path.expand("demo/*.ex", __DIR__)))

# Cores are modules: this one stands before the one that does the work, and looks on.
defmodule Demo.WatchedServer do
  use Sippet.Core

  @impl true
  def receive_request(request, key) do
    unless Demo.Ladder.arrived(:server, request), do: show(request)
    Demo.Server.receive_request(request, key)
  end

  @impl true
  def receive_response(response, key) do
    show(response)
    Demo.Server.receive_response(response, key)
  end

  @impl true
  defdelegate receive_error(reason, key), to: Demo.Server

  defp show(message) do
    {ip, port} = message.source.remote
    time = Time.utc_now() |> Time.truncate(:second)
    IO.puts("#{time}  #{:inet.ntoa(ip)} #{port}  #{Demo.Ladder.line(message)}")
  end
end

defmodule Demo do
  def run do
    # A supervisor that cannot start takes its parent along otherwise.
    Process.flag(:trap_exit, true)
    address = System.get_env("ADDRESS", "127.0.0.1")
    port = port(System.get_env("PORT", "5060"))

    server =
      start("the server", Demo.Server, address: address, port: port, core: Demo.WatchedServer)

    {ip, port} = Demo.Server.address()
    # Nobody can be called at "all addresses".
    host = if address in ["0.0.0.0", "::"], do: loopback(ip), else: to_string(:inet.ntoa(ip))

    start("the caller", Demo.Caller, address: host)
    {_ip, caller_port} = Demo.Caller.address()

    call_id = Sippet.Message.create_call_id()
    {:ok, _pid} = Demo.Ladder.start_link(call_id)
    uri = %Sippet.URI{scheme: "sip", userinfo: "bob", host: host, port: port}
    watch = &Demo.Ladder.arrived(:caller, &1)
    options = [call_id: call_id, talk_ms: 100, on_response: watch]
    result = Demo.Caller.call(to_string(uri), options)

    IO.puts("")
    shown = if host =~ ":", do: "[#{host}]", else: host
    IO.puts(Demo.Ladder.draw("caller #{shown}:#{caller_port}", "server #{shown}:#{port}"))
    finish(result, server, "#{:inet.ntoa(ip)} port #{port}")
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

  defp finish({:error, sentence}, _server, _address), do: fail("the call failed: #{sentence}")

  defp finish(:ok, server, address) do
    if System.get_env("ONCE") in [nil, "", "0"] do
      IO.puts("The call is over. The server listens at #{address} (UDP); Ctrl-C ends it.")
      demo = self()
      {:ok, _id} = System.trap_signal(:sigterm, fn -> send(demo, :sigterm) && :ok end)

      receive do
        {:EXIT, _pid, reason} ->
          fail("the server has stopped: #{inspect(reason)}")

        # No new calls; those that ring are answered and acknowledged.
        :sigterm ->
          IO.puts("The server stops.")
          Supervisor.stop(server, :shutdown)
          System.halt(0)
      end
    else
      IO.puts("The call is over.")
      System.halt(0)
    end
  end

  defp fail(sentence) do
    IO.puts(:stderr, "demo: #{sentence}")
    System.halt(1)
  end
end

Demo.run()
