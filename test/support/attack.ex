defmodule Sippet.Test.Attack do
  # What the tests of attacks share: a core that takes calls, a peer that has its calls through while something else happens, and
  # virtual machines beside that of the tests, whose limit of file descriptors is as high as the system lets it be.
  @moduledoc false

  import ExUnit.Assertions

  alias Sippet.Message
  alias Sippet.Test.{Core, Repetition, StreamPeer, Wire}

  # A machine may be slow, and has more to do than this.
  @patience_ms Repetition.deadline_ms()
  @names %{tcp: "TCP", tls: "TLS", ws: "WS", wss: "WSS"}

  @doc "The core of a stack that takes calls, and answers whatever else it is asked."
  def take_calls(stack) do
    Core.register(stack, fn
      :request, %{start_line: %{method: :invite}} = invite, _key ->
        :ok = Sippet.send(stack, Message.to_response(invite, 180))
        Sippet.send(stack, Message.to_response(invite, 200), until: :ack)

      :request, request, key when key != nil ->
        Sippet.send(stack, Message.to_response(request, 200))

      _callback, _first, _key ->
        :ok
    end)
  end

  @doc """
  Runs a function while an honest peer calls, one call after the other, by a connection that it has and by new ones, without an
  end to it until the function has returned. Returns what that does, and how many calls went through; one that is lost fails the test.

  `connect` makes the peer's connections; `new: false` if it has to get along with its first one.
  """
  def while_calling(protocol, connect, options \\ [], attack) do
    new? = Keyword.get(options, :new, true)
    test = self()

    caller =
      Task.async(fn ->
        peer = connect.()
        call(peer, protocol)
        send(test, {:calling, self()})
        calls = call_on(peer, protocol, if(new?, do: connect), 1)
        StreamPeer.close(peer)
        calls
      end)

    %{pid: pid} = caller
    assert_receive {:calling, ^pid}, 2 * @patience_ms
    result = attack.()
    send(pid, :enough)
    {result, Task.await(caller, 4 * @patience_ms)}
  end

  defp call_on(peer, protocol, connect, calls) do
    call(peer, protocol)

    if connect do
      another = connect.()
      call(another, protocol)
      StreamPeer.close(another)
    end

    calls = calls + if(connect, do: 2, else: 1)

    receive do
      :enough -> calls
    after
      # So that it is not this that the machine is busy with.
      20 -> call_on(peer, protocol, connect, calls)
    end
  end

  @doc "A call: INVITE, 180, 200, ACK, BYE, 200."
  def call(peer, protocol) do
    invite = Wire.request("INVITE", peer, protocol: @names[protocol])
    StreamPeer.send(peer, invite)
    StreamPeer.expect(peer, "SIP/2.0 180 ")
    ok = StreamPeer.expect(peer, "SIP/2.0 200 ")
    to = Wire.field(ok, "To")
    via = "#{Wire.field(invite, "Via")}#{Wire.unique()}"
    StreamPeer.send(peer, Wire.follow_up("ACK", invite, via: via, to: to))
    StreamPeer.send(peer, Wire.follow_up("BYE", invite, via: via <> "b", to: to, cseq: 2))
    # The 200 of the INVITE comes again where its ACK has taken long (§13.3.1.4).
    await_200(peer, ok)
  end

  defp await_200(peer, passed_over) do
    case StreamPeer.expect(peer, "SIP/2.0 200 ") do
      ^passed_over -> await_200(peer, passed_over)
      text -> assert text =~ "CSeq: 2 BYE"
    end
  end

  @doc """
  Sends to each of these peers what goes with it, bytes or a list of pieces, a byte or a piece a second to each, until all of them
  have been closed; that is to be before their bytes are at an end.
  """
  def drip(peers) do
    drip_on(
      for {peer, pieces} <- peers do
        {peer, if(is_binary(pieces), do: for(<<byte <- pieces>>, do: <<byte>>), else: pieces)}
      end
    )
  end

  defp drip_on([]), do: :ok

  defp drip_on(peers) do
    open =
      for {peer, [piece | pieces]} <- peers,
          peer.module.send(peer.socket, piece) == :ok,
          open?(peer),
          do: {peer, pieces}

    # The pace is the attack.
    if open != [] do
      receive do
      after
        1_000 -> :ok
      end
    end

    drip_on(open)
  end

  # Whatever it may say before it closes.
  defp open?(peer) do
    case peer.module.recv(peer.socket, 0, 0) do
      {:ok, _bytes} -> open?(peer)
      {:error, reason} -> reason == :timeout
    end
  end

  @doc "The name of a protocol in a Via."
  def name(protocol), do: @names[protocol]

  @doc "The bytes of a machine's memory that are in use, after what is garbage is gone."
  def memory do
    for pid <- Process.list(), do: :erlang.garbage_collect(pid)
    :erlang.memory(:total)
  end

  @doc "What a function returns, and by how many bytes the machine's memory grew meanwhile, garbage included, as looked at all the time."
  def watching_memory(fun) do
    before = memory()
    watcher = Task.async(fn -> watch(before) end)
    result = fun.()
    send(watcher.pid, :enough)
    {result, Task.await(watcher) - before}
  end

  defp watch(most) do
    most = max(most, :erlang.memory(:total))

    receive do
      :enough -> most
    after
      10 -> watch(most)
    end
  end

  @doc """
  Starts a virtual machine that ends with the calling process, with more arguments if there are. Its limit of open files is the hard
  one, at most 32,768; returns the machine, for `on/4`, and that limit.
  """
  def start_machine(more \\ []) do
    # By standard input and output: no name, no cookie, no port.
    raise_limit = """
    hard=$(ulimit -Hn)
    if [ "$hard" = unlimited ] || [ "$hard" -gt 32768 ]; then hard=32768; fi
    ulimit -Sn "$hard"
    exec "$0" "$@"
    """

    erl = Path.join([:code.root_dir(), "bin", "erl"])
    paths = for path <- :code.get_path(), path != ~c".", do: [~c"-pa", path]

    {:ok, machine, _node} =
      :peer.start_link(%{
        connection: :standard_io,
        exec: {~c"/bin/sh", [~c"-c", to_charlist(raise_limit), to_charlist(erl)]},
        args: Enum.concat(paths) ++ [~c"+Bd" | more],
        wait_boot: 60_000
      })

    {:ok, _applications} = on(machine, Application, :ensure_all_started, [:sippet])
    {machine, on(machine, __MODULE__, :file_limit, [])}
  end

  @doc "Calls a function in another machine."
  def on(machine, module, function, arguments),
    do: :peer.call(machine, module, function, arguments, 120_000)

  @doc false
  def file_limit do
    [_all, soft] = Regex.run(~r/^Max open files +([0-9]+)/m, File.read!("/proc/self/limits"))

    String.to_integer(soft)
  end

  @doc "In a machine of its own: a stack that takes calls, and its transports, each `{module, options}`; returns their addresses."
  def start_stack(name, limits, transports) do
    parent = self()

    # Calls from another machine run in processes that end with them.
    spawn(fn ->
      Process.register(self(), holder(name))
      {:ok, _pid} = Sippet.start_link(name: name, limits: limits, max_start_delay_ms: :infinity)

      for {module, options} <- transports do
        {:ok, _pid} = module.start_link([name: name, port: 0, address: "127.0.0.1"] ++ options)
      end

      take_calls(name)
      addresses = for transport <- Sippet.Transport.list(name), do: transport.address
      send(parent, {:started, addresses})
      Process.sleep(:infinity)
    end)

    receive do
      {:started, addresses} -> addresses
    after
      @patience_ms -> raise "the stack did not start"
    end
  end

  @doc "Stops what `start_stack/3` has started."
  def stop_stack(name) do
    pid = Process.whereis(holder(name))
    monitor = Process.monitor(pid)
    Process.exit(pid, :shutdown)

    receive do
      {:DOWN, ^monitor, :process, ^pid, _reason} -> :ok
    end
  end

  defp holder(name), do: :"#{name}_holder"

  @doc "What the transport of this index tells of itself."
  def info(stack, index) do
    %{module: module, pid: pid} = stack |> Sippet.Transport.list() |> Enum.at(index)
    module.info(pid)
  end
end
