defmodule Sippet.Test.ProcessCrowd do
  # A core whose callbacks wait, more of them than the virtual machine has processes for. All of it runs in one process of that
  # machine, since nothing else can be started there meanwhile.
  @moduledoc false

  use Sippet.Core

  alias Sippet.Message
  alias Sippet.Resolver.Target
  alias Sippet.Test.{Peer, Stack, StreamPeer, Wire}

  @stack :crowded

  @impl true
  def receive_request(%Message{start_line: %{method: :options}} = request, _key),
    do: Sippet.send(@stack, Message.to_response(request, 200))

  def receive_request(request, key) do
    if :persistent_term.get(__MODULE__, false) do
      if key, do: Sippet.send(@stack, Message.to_response(request, 486))
    else
      Process.sleep(20)
      receive_request(request, key)
    end
  end

  @impl true
  def receive_response(_response, _key), do: :ok

  @impl true
  def receive_error(reason, _key), do: tell({:error, reason})

  @impl true
  def flow_closed(flow, reason), do: tell({:flow_closed, flow, reason})

  # Who runs it, where it wants to know.
  defp tell(what) do
    if pid = :persistent_term.get({__MODULE__, :teller}, nil), do: send(pid, what)
    :ok
  end

  # Every name leads to the same targets.
  @behaviour Sippet.Resolver

  @impl true
  def locate(_question, _sippet, targets), do: {:ok, targets}

  @doc "Sends so many INVITEs and ACKs; tells what the stack counted, and whether its processes are those that it began with."
  def run(count) do
    # What the VM has to say of its limit.
    :ok = :logger.set_primary_config(:level, :none)
    {:ok, _pid} = Sippet.start_link(name: @stack, core: __MODULE__, max_start_delay_ms: :infinity)
    own = [name: @stack, port: 0, address: "127.0.0.1"]
    {:ok, _pid} = Sippet.Transports.UDP.start_link(own)
    {:ok, _pid} = Sippet.Transports.TCP.start_link(own)
    before = processes()
    peer = Peer.open()

    for method <- ["INVITE", "ACK"], _ <- 1..div(count, 50) do
      received = counters().received_requests
      for _ <- 1..50, do: Peer.send(peer, Stack.address(@stack), Wire.request(method, peer))
      # So that the system's queue has room.
      Stack.eventually(fn -> counters().received_requests == received + 50 end)
    end

    # Nobody comes in by a connection either where there is no process at all.
    others = fill([])
    {ip, port} = Stack.address(@stack, 1)
    {:ok, socket} = :gen_tcp.connect(ip, port, [:binary, active: false])
    closed = :gen_tcp.recv(socket, 0, 10_000)
    full = %{counters: counters(), processes: processes(), closed: closed}

    for pid <- others, do: Process.exit(pid, :kill)
    :persistent_term.put(__MODULE__, true)
    # The ACKs that wait for a process get theirs one second after the other.
    Stack.eventually(60_000, fn -> Sippet.info(@stack).deliveries.waiting == 0 end)
    Peer.flush(peer)

    Stack.eventually(20_000, fn ->
      Peer.send(peer, Stack.address(@stack), Wire.request("OPTIONS", peer))
      String.starts_with?(Peer.receive_bytes(peer), "SIP/2.0 200 ")
    end)

    %{before: before, full: full, after: processes()}
  end

  @doc """
  A request loses its first target, and with it a flow is closed, while there is no process for that; tells what the core is told,
  and whether the stack's processes are those that it began with.
  """
  def lose_target do
    :ok = :logger.set_primary_config(:level, :none)
    :persistent_term.put({__MODULE__, :teller}, self())
    {listener, second} = {StreamPeer.listen(), Peer.open()}

    targets = [
      %Target{transport: :tcp, address: {127, 0, 0, 1}, port: listener.port},
      %Target{transport: :udp, address: {127, 0, 0, 1}, port: second.port}
    ]

    {:ok, _pid} =
      Sippet.start_link(name: @stack, core: __MODULE__, resolver: {__MODULE__, targets})

    own = [name: @stack, port: 0, address: "127.0.0.1"]
    {:ok, _pid} = Sippet.Transports.UDP.start_link(own)
    {:ok, _pid} = Sippet.Transports.TCP.start_link(own)
    before = processes()
    request = Stack.request(:options, {{127, 0, 0, 1}, 1}, uri: "sip:bob@biloxi.example")
    :ok = Sippet.send(@stack, %{request | target: nil})
    connection = StreamPeer.accept(listener)
    "OPTIONS " <> _ = StreamPeer.expect(connection, "OPTIONS ")
    {:ok, _pid} = Sippet.Resolver.DNS.start_link(name: :names)
    others = fill([])
    flow = %Sippet.Flow{transport: 1, connection: 7, remote: {{192, 0, 2, 1}, 5060}}
    told = Sippet.Transaction.Delivery.flow_closed(Sippet.Stack.fetch!(@stack), flow, :closed)
    others_told = others_told(request)
    StreamPeer.close(connection)

    # It gives its process back when it has told its transaction; whoever has that place next is one of these.
    others = fill_again(others, length(others))
    for pid <- others, do: Process.exit(pid, :kill)

    outcome =
      receive do
        {:error, reason} -> reason
      after
        20_000 -> :nothing
      end

    closed =
      for _ <- 1..2 do
        receive do
          {:flow_closed, %Sippet.Flow{connection: connection}, _reason} -> connection
        after
          20_000 -> :nothing
        end
      end

    %{
      before: before,
      told: told,
      others: others_told,
      outcome: outcome,
      after: processes(),
      closed: 7 in closed and length(Enum.uniq(closed)) == 2
    }
  end

  # What else takes a process, where there is none.
  defp others_told(request) do
    stack = Sippet.Stack.fetch!(@stack)
    [udp | _] = Sippet.Transport.list(@stack)
    remote = {{192, 0, 2, 1}, 5060}
    response = request |> Message.to_response(200) |> to_string()
    budget = Sippet.Logger.Budget.new(1, :error, "lines")

    %{
      response: Sippet.Routing.Responses.retry(stack, udp, remote, response, nil, :eperm),
      response_workers: :atomics.get(stack.response_workers, 1),
      transport_1x: Sippet.Transport.Process.transmit({@stack, self()}, 0, remote, response),
      name: GenServer.call(:names, {:ask, {:a, "biloxi.example"}}),
      log: Sippet.Logger.Budget.spend(budget, fn -> :ok end),
      log_spent: :atomics.get(budget.spent, 1)
    }
  end

  defp fill_again(pids, count) do
    Process.sleep(1)
    filled = fill(pids)
    if length(filled) > count, do: filled, else: fill_again(filled, count)
  end

  defp fill(pids) do
    fill([spawn(fn -> Process.sleep(:infinity) end) | pids])
  rescue
    SystemLimitError -> pids
  end

  defp counters, do: Sippet.Transaction.counters(@stack)

  # Those that the stack and its transports consist of.
  defp processes do
    children = @stack |> Sippet.Stack.supervisor() |> Supervisor.which_children()
    stack = for {_id, pid, _type, _modules} <- children, do: pid

    for %{pid: pid, module: module} <- Sippet.Transport.list(@stack), reduce: stack do
      pids when module == Sippet.Transports.UDP -> [pid | pids]
      pids -> for({_id, pid, _, _} <- Supervisor.which_children(pid), do: pid) ++ [pid | pids]
    end
  end
end
