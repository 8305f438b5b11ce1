# Calls at a steady rate over a network that loses 5 % of the messages: what a stack holds must not grow with time, and when the
# calls have ended nothing may be left. MIX_ENV=prod mix run bench/load/soak.exs SECONDS; RATE is calls a second, T1 the stacks'
# T1 in ms. Exits with 1 where something has grown.
#
# Caller and callee are two stacks of this VM with a UDP socket each. Every tenth call is cancelled while it rings. T1 decides how
# long a transaction stays open, 64·T1: a run of less than five minutes has a shorter one, else it would be over before the
# first transaction is.
defmodule Soak.Link do
  # A transport over UDP whose every twentieth message is lost on its way out.
  use GenServer

  @behaviour Sippet.Transport
  @loss 0.05

  def start_link(stack), do: GenServer.start_link(__MODULE__, stack)
  def port(link), do: GenServer.call(link, :port)

  @impl true
  def init(stack) do
    Process.flag(:priority, :high)

    {:ok, socket} =
      :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: 256, recbuf: 4_194_304])

    {:ok, address} = :inet.sockname(socket)

    {:ok, transport} =
      Sippet.Transport.register(stack,
        module: __MODULE__,
        handle: socket,
        protocol: :udp,
        reliable: false,
        address: address
      )

    {:ok, %{socket: socket, transport: transport, port: elem(address, 1)}}
  end

  @impl true
  def handle_call(:port, _from, state), do: {:reply, state.port, state}

  @impl true
  def handle_info({:udp, _socket, ip, port, data}, state) do
    Sippet.Transport.receive_message(state.transport, {ip, port}, data)
    {:noreply, state}
  end

  def handle_info({:udp_passive, socket}, state) do
    :ok = :inet.setopts(socket, active: 256)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}

  @impl Sippet.Transport
  def transmit(socket, _connection, {ip, port}, data) do
    if :rand.uniform() < @loss, do: :ok, else: :gen_udp.send(socket, ip, port, data)
  end
end

defmodule Soak.Callee do
  use Sippet.Core

  alias Sippet.Message

  @impl true
  def receive_request(%{start_line: %{method: :ack}}, _key), do: :ok

  # Rings for as long as the caller of this one waits before it cancels.
  def receive_request(%{start_line: %{method: :invite}, headers: headers} = request, _key) do
    if match?({_, %{userinfo: "ringing"}, _}, headers.to) do
      Sippet.send(:soak_callee, Message.to_response(request, 180))
    else
      Sippet.send(:soak_callee, Message.to_response(request, 200), until: :ack)
    end
  end

  def receive_request(%{start_line: %{method: :cancel}} = cancel, invite_key) do
    _ = Sippet.send(:soak_callee, Message.to_response(cancel, 200))
    %{method: :invite} = invite_key
    terminated(cancel)
  end

  def receive_request(request, _key),
    do: Sippet.send(:soak_callee, Message.to_response(request, 200))

  # The INVITE that a CANCEL is for gets 487 (§9.2). All that its response is made of the CANCEL has too, but for the method.
  defp terminated(cancel) do
    {sequence, :cancel} = cancel.headers.cseq

    invite = %{
      cancel
      | start_line: %{cancel.start_line | method: :invite},
        headers: %{cancel.headers | cseq: {sequence, :invite}}
    }

    Sippet.send(:soak_callee, Message.to_response(invite, 487))
  end

  @impl true
  def receive_error(reason, _key), do: Soak.count(reason)
end

defmodule Soak.Caller do
  use Sippet.Core

  @impl true
  # A 2xx that comes again: the engine repeats the ACK.
  def receive_response(_response, _key), do: :ok

  @impl true
  def receive_error(reason, _key), do: Soak.count(reason)
end

defmodule Soak do
  alias Sippet.{Message, URI}
  alias Sippet.Message.RequestLine

  @counts [:calls, :answered, :cancelled, :failed, :timeout, :no_ack, :transport]

  def start, do: :persistent_term.put(__MODULE__, :counters.new(length(@counts), []))

  def count({:transport, _reason}), do: count(:transport)

  for {name, index} <- Enum.with_index(@counts, 1) do
    def count(unquote(name)),
      do: :counters.add(:persistent_term.get(__MODULE__), unquote(index), 1)
  end

  def counts do
    counters = :persistent_term.get(__MODULE__)
    for {name, index} <- Enum.with_index(@counts, 1), do: {name, :counters.get(counters, index)}
  end

  # One after another by the clock, each in a process of its own.
  def offer(begun, number, rate, seconds, port, t1) do
    due = begun + div(number * 1_000_000, rate)

    if due < begun + seconds * 1_000_000 do
      wait = div(due - now_us(), 1_000)
      if wait > 0, do: Process.sleep(wait)
      spawn(fn -> call(number, port, t1) end)
      offer(begun, number + 1, rate, seconds, port, t1)
    end
  end

  def now_us, do: System.monotonic_time(:microsecond)

  def call(number, port, t1) do
    count(:calls)
    user = if rem(number, 10) == 0, do: "ringing", else: "callee"
    invite = invite(user, port)

    case Sippet.request(:soak_caller, invite,
           timeout: if(user == "ringing", do: 10 * t1, else: :infinity)
         ) do
      {:ok, %{start_line: %{status_code: 200}} = response} ->
        _ = Sippet.send(:soak_caller, within(invite, response, :ack, 1))
        # As long as it takes a lossy network to deliver the ACK, mostly.
        Process.sleep(2 * t1)

        case Sippet.request(:soak_caller, within(invite, response, :bye, 2)) do
          {:ok, %{start_line: %{status_code: 200}}} -> count(:answered)
          _other -> count(:failed)
        end

      # Gone at the end of its time, which cancels it.
      {:error, :timeout} when user == "ringing" ->
        count(:cancelled)

      _other ->
        count(:failed)
    end
  end

  defp invite(user, port) do
    uri = URI.parse!("sip:#{user}@127.0.0.1:#{port}")

    :invite
    |> Message.build_request(to_string(uri))
    |> Message.put_header(:via, [{{2, 0}, :udp, {"127.0.0.1", 5060}, branch()}])
    |> Message.put_header(:from, {"", URI.parse!("sip:caller@127.0.0.1"), %{"tag" => random()}})
    |> Message.put_header(:to, {"", uri, %{}})
    |> Message.put_header(:contact, [{"", URI.parse!("sip:caller@127.0.0.1"), %{}}])
    |> Message.put_header(:call_id, random())
    |> Message.put_header(:cseq, {1, :invite})
    |> Message.put_header(:max_forwards, 70)
  end

  defp within(invite, response, method, sequence) do
    invite
    |> Map.put(:start_line, %RequestLine{invite.start_line | method: method})
    |> Message.put_header(:via, [{{2, 0}, :udp, {"127.0.0.1", 5060}, branch()}])
    |> Message.put_header(:to, response.headers.to)
    |> Message.put_header(:cseq, {sequence, method})
    |> Message.delete_header(:contact)
  end

  defp branch, do: %{"branch" => "z9hG4bK" <> random(), "rport" => ""}
  defp random, do: Base.encode16(:crypto.strong_rand_bytes(8))

  # What must not grow.
  def held do
    infos = for stack <- [:soak_caller, :soak_callee], do: Sippet.info(stack)

    %{
      transactions: infos |> Enum.map(& &1.transactions.open) |> Enum.sum(),
      engine_bytes: infos |> Enum.map(& &1.message_bytes) |> Enum.sum(),
      processes: :erlang.system_info(:process_count),
      ports: :erlang.system_info(:port_count),
      atoms: :erlang.system_info(:atom_count),
      binaries: :erlang.memory(:binary),
      ets: :erlang.memory(:ets),
      resident_kb: resident_kb()
    }
  end

  defp resident_kb do
    ~r/VmRSS:\s+(\d+)/
    |> Regex.run(File.read!("/proc/self/status"))
    |> List.last()
    |> String.to_integer()
  end

  # Each second until the calls have ended.
  def samples(monitor, taken) do
    receive do
      {:DOWN, ^monitor, _, _, :normal} -> Enum.reverse(taken)
    after
      1_000 -> samples(monitor, [held() | taken])
    end
  end

  def median(samples, key) do
    values = samples |> Enum.map(& &1[key]) |> Enum.sort()
    Enum.at(values, div(length(values), 2))
  end

  def collect, do: for(pid <- Process.list(), do: :erlang.garbage_collect(pid))

  # What is left, once the condition holds, or after so many seconds.
  def settle(seconds) do
    collect()
    held = held()

    if held.transactions == 0 or seconds == 0 do
      held
    else
      Process.sleep(1_000)
      settle(seconds - 1)
    end
  end
end

[seconds] = System.argv()
seconds = String.to_integer(seconds)
rate = "RATE" |> System.get_env("50") |> String.to_integer()
t1 = "T1" |> System.get_env(if(seconds < 300, do: "50", else: "500")) |> String.to_integer()

# Modules that are loaded on the way would count as growth.
for app <- [:kernel, :stdlib, :crypto, :compiler, :elixir, :logger, :mix, :sippet] do
  _ = Application.load(app)
  {:ok, modules} = :application.get_key(app, :modules)
  _ = :code.ensure_modules_loaded(modules)
end

options = [t1: t1, t2: 8 * t1, t4: 10 * t1, timer_d: 64 * t1]
Soak.start()
{:ok, _} = Sippet.start_link([name: :soak_caller, core: Soak.Caller] ++ options)
{:ok, _} = Sippet.start_link([name: :soak_callee, core: Soak.Callee] ++ options)
{:ok, _} = Soak.Link.start_link(:soak_caller)
{:ok, link} = Soak.Link.start_link(:soak_callee)
port = Soak.Link.port(link)

# A first call, for what is made when it is first needed.
Soak.call(1, port, t1)
Soak.collect()
before = Soak.held()

{_pid, monitor} = spawn_monitor(fn -> Soak.offer(Soak.now_us(), 0, rate, seconds, port, t1) end)

samples = Soak.samples(monitor, [])
# Full when the first transactions end: the rest is cut into thirds.
steady = Enum.drop(samples, min(div(seconds, 3), div(75 * t1, 1_000) + 2))
third = max(div(length(steady), 3), 1)
{first, last} = {Enum.take(steady, third), Enum.take(steady, -third)}
left = Soak.settle(div(130 * t1, 1_000) + 10)

IO.puts("""
#{seconds} s, #{rate} calls a second, T1 #{t1} ms, 5 % of the messages lost
#{Enum.map_join(Soak.counts(), ", ", fn {name, count} -> "#{name} #{count}" end)}

| | before | first third, median | last third, median | after |
|---|---:|---:|---:|---:|\
""")

for {key, _value} <- Enum.sort(before) do
  IO.puts(
    "| #{key} | #{before[key]} | #{Soak.median(first, key)} | #{Soak.median(last, key)} | #{left[key]} |"
  )
end

# Of what comes and goes a quarter is chance, in a short run on a busy machine.
grown =
  for key <- [:transactions, :engine_bytes, :processes, :binaries, :ets],
      {early, late} = {Soak.median(first, key), Soak.median(last, key)},
      late > early * 1.25 + if(key in [:binaries, :ets], do: 262_144, else: 50),
      do: "#{key} grew from #{early} to #{late}"

atoms = for sample <- steady, uniq: true, do: {sample.atoms, sample.ports}
changed = if length(atoms) == 1, do: [], else: ["atoms and ports were #{inspect(atoms)}"]

remaining =
  for {key, most} <- [
        transactions: 0,
        engine_bytes: 0,
        processes: before.processes,
        ports: before.ports,
        atoms: Soak.median(first, :atoms),
        binaries: before.binaries + 1_048_576
      ],
      left[key] > most,
      do: "#{left[key]} #{key} are left, of at most #{most}"

counts = Soak.counts()

calls =
  if counts[:answered] + counts[:cancelled] >= counts[:calls] * 0.99,
    do: [],
    else: ["more than 1 % of the calls failed"]

case grown ++ changed ++ remaining ++ calls do
  [] ->
    IO.puts("\nnothing has grown")

  faults ->
    IO.puts(:stderr, "\nsoak: " <> Enum.join(faults, "; "))
    System.halt(1)
end
