defmodule SipServer.ShutdownTest do
  # SIGTERM to a server that is a process of its own.
  use ExUnit.Case, async: false

  @moduletag timeout: 200_000

  import SipServer.Phone,
    only: [
      answer: 3,
      await: 3,
      call: 2,
      eventually: 1,
      hang_up: 3,
      register: 1,
      request: 3,
      status: 1,
      target: 1,
      vias: 1
    ]

  alias Sippet.Dialog
  alias SipServer.Phone

  # Far beyond what is waited for: the server has ended because nothing was left to do, and not because of this.
  @drain_ms 600_000

  test "with SIGTERM no call begins, one that is up is hung up, one that rings is answered, and then the server ends" do
    server = start_server()
    [alice, bob, carol] = for name <- ["alice", "bob", "carol"], do: Phone.start(name, :udp)
    for phone <- [bob, carol], do: assert(status(register(phone)) == 200)
    {uac, _uas} = call(alice, bob)
    :ok = Sippet.send(alice.stack, Phone.invite(alice, "carol"))
    {rung, _key} = await(carol, :request, :invite)

    terminate(server, alice)

    hang_up(alice, uac, bob)
    assert invite_status(alice) == 503
    refute_received {^server, {:exit_status, _status}}
    answer(carol, rung, 486)
    await(alice, :response, 486)
    assert_receive {^server, {:exit_status, 0}}, 50_000
  end

  test "with SIGTERM a call that is up may go on until it is hung up, while no other rings" do
    server = start_server()
    [alice, bob] = for name <- ["alice", "bob"], do: Phone.start(name, :udp)
    assert status(register(bob)) == 200
    {_uac, uas} = call(alice, bob)
    terminate(server, alice)

    # Within the call anything may be asked.
    {message, uas} = Dialog.build_request(uas, :message, via: vias(bob))
    :ok = Sippet.send(bob.stack, %{message | target: target(bob)})
    {message, _key} = await(alice, :request, :message)
    answer(alice, message, 200)
    await(bob, :response, 200)
    refute_received {^server, {:exit_status, _status}}

    hang_up(bob, uas, alice)
    assert_receive {^server, {:exit_status, 0}}, 50_000
  end

  test "with SIGTERM a call that nobody hangs up is waited for as long as the configuration says" do
    server = start_server(1_000)
    [alice, bob] = for name <- ["alice", "bob"], do: Phone.start(name, :udp)
    assert status(register(bob)) == 200
    call(alice, bob)
    {:os_pid, os_pid} = Port.info(server, :os_pid)
    sent = System.monotonic_time(:millisecond)
    {"", 0} = System.cmd("kill", ["-TERM", "#{os_pid}"])
    assert_receive {^server, {:exit_status, 0}}, 50_000
    assert System.monotonic_time(:millisecond) - sent >= 1_000
  end

  # Until the signal has got there an INVITE is told to show who it is from.
  defp terminate(server, phone) do
    {:os_pid, os_pid} = Port.info(server, :os_pid)
    {"", 0} = System.cmd("kill", ["-TERM", "#{os_pid}"])
    eventually(fn -> invite_status(phone) == 503 end)
  end

  defp invite_status(phone) do
    request = request(phone, "INVITE", uri: "sip:bob@example.com", to: "sip:bob@example.com")
    {:ok, response} = Sippet.request(phone.stack, request)
    assert status(response) in [407, 503]
    status(response)
  end

  # As `mix run --no-halt` does, with what is compiled already; in the tests' build the application starts nothing by itself.
  defp start_server(drain_ms \\ @drain_ms) do
    file = Path.join(System.tmp_dir!(), "sip_server_#{System.pid()}.exs")
    File.write!(file, inspect(Phone.config(drain_ms: drain_ms), limit: :infinity))
    on_exit(fn -> File.rm(file) end)

    code = """
    {:ok, keys} = :file.consult(:code.where_is_file(~c"sip_server.app"))
    [{:application, :sip_server, keys}] = keys
    :ok = :application.load({:application, :sip_server, Keyword.put(keys, :mod, {SipServer.Application, []})})
    {:ok, _} = Application.ensure_all_started(:sip_server, :permanent)
    IO.puts("it serves")
    """

    paths = Path.wildcard(Path.join(Mix.Project.build_path(), "lib/*/ebin"))

    server =
      Port.open({:spawn_executable, System.find_executable("elixir")}, [
        :binary,
        :stderr_to_stdout,
        :exit_status,
        line: 1_000,
        args: Enum.flat_map(paths, &["-pa", &1]) ++ ["--no-halt", "-e", code],
        env: [{~c"SIP_SERVER_CONFIG", String.to_charlist(file)}]
      ])

    {:os_pid, os_pid} = Port.info(server, :os_pid)
    on_exit(fn -> end_own(os_pid, file) end)
    await_line(server, "it serves", [])
    server
  end

  # Only if it is still the one that was started here.
  defp end_own(os_pid, file) do
    with {:ok, environment} <- File.read("/proc/#{os_pid}/environ"),
         true <- String.contains?(environment, file),
         do: System.cmd("kill", ["-KILL", "#{os_pid}"], stderr_to_stdout: true)
  end

  defp await_line(server, line, before) do
    receive do
      {^server, {:data, {_eol, ^line}}} -> :ok
      {^server, {:data, {_eol, other}}} -> await_line(server, line, [other | before])
      {^server, {:exit_status, status}} -> flunk("it ended with #{status}: #{output(before)}")
    after
      50_000 -> flunk("it does not start: #{output(before)}")
    end
  end

  defp output(before), do: before |> Enum.reverse() |> Enum.join("\n")
end
