defmodule Sippet.Sim do
  @moduledoc """
  Stacks on virtual time, joined by a bad network, for the tests of a core.

  The stacks are real: their transactions, their timers and the calls of the core are those of production. Only two
  things are not: there is no socket, what one stack sends enters a link that loses, doubles, delays and reorders it as
  a seed has it; and no time passes but by `advance/2`. A timeout of 32 seconds costs no time, and a run can be repeated.

      defmodule MyApp.CoreTest do
        use ExUnit.Case
        alias Sippet.{Message, Sim}

        test "a call that nobody answers is given up" do
          sim = start_supervised!({Sim, seed: 1, loss: 0.2, delay: 10..50})
          Sim.add_stack(sim, :my_stack, core: MyApp.Core)
          Sim.add_stack(sim, :phone, core: self())
          ...
        end
      end

  `guides/testing.md` tests a core that fails when messages are lost, and mends it.

  ## Stacks

  `add_stack/3` starts a stack under the name by which the core sends: `Sippet.send(:my_stack, message)` works as it does
  in production, from the core as from the test. It has an address of its own, 10.0.0.1 for the first, 10.0.0.2 for the
  next, port 5060; requests find it by that, or by a name in `:hosts`. Where `:core` is a process instead of a module,
  every callback becomes a message to that process, `{name, callback, first, key}`, so that a test plays the peer:

      iex> alias Sippet.{Message, Sim}
      iex> {:ok, sim} = Sim.start_link(delay: 20)
      iex> Sim.add_stack(sim, :caller, core: self())
      iex> Sim.add_stack(sim, :callee, core: self())
      iex> request = Message.parse!(\"""
      ...> OPTIONS sip:bob@10.0.0.2 SIP/2.0
      ...> Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK776asdhds
      ...> From: <sip:alice@10.0.0.1>;tag=1928301774
      ...> To: <sip:bob@10.0.0.2>
      ...> Call-ID: a84b4c76e66710
      ...> CSeq: 1 OPTIONS
      ...> Max-Forwards: 70
      ...> \""")
      iex> Sippet.send(:caller, request)
      :ok
      iex> Sim.advance(sim, 19)
      19
      iex> receive do {:callee, :receive_request, _request, _key} -> :early after 0 -> :under_way end
      :under_way
      iex> Sim.advance(sim, 1)
      20
      iex> receive do {:callee, :receive_request, got, _key} -> Sippet.send(:callee, Message.to_response(got, 200)) end
      :ok
      iex> Sim.advance(sim, :infinity)
      iex> receive do {:caller, :receive_response, response, _key} -> response.start_line.status_code end
      200
      iex> for %{sent_at: at, from: from, message: message} <- Sim.messages(sim), do: {at, from, to_string(message.start_line)}
      [{0, :caller, "OPTIONS sip:bob@10.0.0.2 SIP/2.0"}, {20, :callee, "SIP/2.0 200 OK"}]
      iex> Sim.stop(sim)
      :ok

  Names of stacks are known in the whole VM. Tests whose cores send by the same name cannot run at the same time: they are
  not `async`. Simulations with stacks of different names do not know of each other.

  ## Time

  Nothing is delivered, no timer fires and no callback runs but within `advance/2`, which does one thing after
  another in the order of their times: what came by the link, then what timers do, of the stacks in the order in which
  they were added. A callback runs to its end before anything else happens, and takes no time.

  A callback may wait in `Sippet.request/3`: the time then goes on, and it with it when the response is there. A test
  that calls `Sippet.request/3` itself would wait for ever, which raises; in a `Task` it works:

      call = Task.async(fn -> Sippet.request(:phone, invite) end)
      Sim.advance(sim, :infinity)
      {:ok, response} = Task.await(call)

  Only what Sippet does is on virtual time. `Process.sleep/1`, `Process.send_after/3` and timers of a `GenServer` run by
  the clock on the wall, which hardly moves: let the test do what they would, by sending the message itself.

  ## Work for other processes

  A core may hand a request to another process, which answers it when it has made up its mind. That takes real time, in
  which no virtual time must pass. So `advance/2` waits, before the time moves, until all of these are at rest, which is
  to say alive and waiting for a message, or dead:

    * what callbacks have started, and what was started by these
    * what the test has started, by `start_supervised!/1` too, and its tasks
    * who sends by a stack
    * what `track/2` names, and their children: the supervisors and servers of an application that was there before. What
      a core sends to such a process is not seen, so it must be named.
    * whom any of these wait for in a call

  `settle/1` does the same without moving the time, and runs the callbacks that are due.

  What takes longer than `:limit_ms` of real time raises, and says where the process is: a callback that does not return,
  or a process that does not come to rest. A callback that waits for something which only time brings, other than by
  `Sippet.request/3` in its own process, is such a case.

  ## Chance

  The fate of a message follows from the seed, the direction, and how many messages went that way before: neither from
  what it says nor from its length. So one seed and one core give one sequence of messages, also where the core makes
  branches and tags by chance, and fewer losses are always some of more. What the core itself decides by chance, or by the
  time of day, is its own matter.

  Every run of `n` seeds is another network:

      for seed <- 1..200 do
        {:ok, sim} = Sim.start_link(seed: seed, loss: 0.3, duplicate: 0.1, reorder: 0.1, delay: 5..50)
        ...
        assert calls_agree?(), "seed \#{seed}\\n" <> Sim.ladder(sim)
        Sim.stop(sim)
      end
  """

  alias Sippet.Sim.{Driver, Ladder, Link, Server, Transmission}

  @typedoc "A simulation: its process, or the name of it."
  @type sim :: GenServer.server()

  # name, default, what it is
  @options [
    {:seed, 0, "an integer, of which all chance is made"},
    {:limit_ms, 5_000,
     "how long a callback, or other processes, may take in milliseconds of real time"},
    {:name, nil, "a name for the simulation, as `GenServer` takes it"}
  ]

  @doc """
  Starts a simulation without stacks, at time 0, and links it to the calling process.

  ## Options

  #{for {name, default, text} <- @options, do: "  * `:#{name}` - #{text}; default `#{inspect(default)}`\n"}
  #{Link.options_docs()}
  Those from `:loss` on are properties of each direction between two stacks, unless `link/4` gives it others. They are
  those of an unreliable transport. A reliable one has the delay, loses nothing and keeps the order. Times are
  milliseconds. With a range of delays messages may overtake one another; with a fixed one only by `:reorder`.

  An option that is not known, or whose value is not of its kind, raises `ArgumentError`.
  """
  @spec start_link(keyword) :: GenServer.on_start()
  def start_link(options \\ []) do
    unless Keyword.keyword?(options) do
      raise ArgumentError, "expected options to be a keyword list, got: #{inspect(options)}"
    end

    {own, link} = Keyword.split(options, Enum.map(@options, &elem(&1, 0)))
    own = for {name, default, _text} <- @options, do: {name, Keyword.get(own, name, default)}

    unless is_integer(own[:seed]) do
      raise ArgumentError, "expected :seed to be an integer, got: #{inspect(own[:seed])}"
    end

    unless is_integer(own[:limit_ms]) and own[:limit_ms] > 0 do
      raise ArgumentError,
            "expected :limit_ms to be a positive number of milliseconds, got: #{inspect(own[:limit_ms])}"
    end

    names = if own[:name], do: [name: own[:name]], else: []

    Server.start_link(
      %{seed: own[:seed], limit_ms: own[:limit_ms], link: validate_link!(link)},
      names
    )
  end

  defp validate_link!(link) do
    known = Enum.map(@options, &elem(&1, 0)) ++ Link.names()

    for {name, _value} <- link, name not in known do
      raise ArgumentError, "unknown option #{inspect(name)}, known are: #{inspect(known)}"
    end

    Link.validate!(link)
  end

  @doc """
  The specification of a simulation under a supervisor, `start_supervised!/1` for instance. Its id is `{Sippet.Sim, name}`.

  One that ends is not started again: its stacks would be missing.
  """
  @spec child_spec(keyword) :: Supervisor.child_spec()
  def child_spec(options) do
    %{
      id: {__MODULE__, options[:name]},
      start: {__MODULE__, :start_link, [options]},
      restart: :temporary
    }
  end

  @doc """
  Ends a simulation and its stacks. Whoever waits in `Sippet.request/3` gets `{:error, :stopped}`.
  """
  @spec stop(sim) :: :ok
  def stop(sim), do: GenServer.stop(sim)

  @doc """
  Adds a stack, which ends with the simulation.

  ## Options

    * `:core` - the module of the core, or a process that each callback is sent to as a message,
      `{name, callback, first, key}` with the callback's name and arguments; default none
    * `:address` - a numeric IP address, a string or a tuple, or `{address, port}`; default 10.0.0.n for the n-th stack,
      and 5060
    * `:transports` - protocols, or `{protocol, port}`; default `[:udp]`. Any other than `:udp` is reliable, and `:tls` has
      the port above.
    * `:hosts` - names of hosts that stand for the address; default `[]`. Other names are not found: the system's resolver
      is not asked.
    * those of `Sippet.start_link/1`: `:t1`, `:stray_responses` ...

  Raises `ArgumentError` for an option that is wrong, for an address that is taken, and for a name that any stack of the
  VM has.
  """
  @spec add_stack(sim, Sippet.sippet(), keyword) :: :ok
  def add_stack(sim, name, options \\ []) when is_atom(name),
    do: Server.call(sim, {:add_stack, name, options})

  @doc """
  Moves the time on, by milliseconds, and does all that happens meanwhile; with 0 what is due now.

  With `:infinity` it goes on until nothing is left to come: no message is under way, no transaction is open, and nobody who
  waits in `Sippet.request/3` has a deadline. What would go on for more than a day raises.

  Returns the time then, in milliseconds since the start of the simulation. Raises where `:limit_ms` does not suffice, and
  within a callback.
  """
  @spec advance(sim, non_neg_integer | :infinity) :: now_ms :: non_neg_integer
  def advance(sim, duration_ms)
      when (is_integer(duration_ms) and duration_ms >= 0) or duration_ms == :infinity,
      do: Driver.drive(sim, duration_ms)

  def advance(_sim, duration_ms) do
    raise ArgumentError,
          "expected a non-negative number of milliseconds or :infinity, got: #{inspect(duration_ms)}"
  end

  @doc """
  Waits until the processes that the core has left work to are at rest; the time stands still.

  Callbacks that are owed by now are run: that of a request which could not be sent, for instance. What is under way, and
  timers, wait for `advance/2`. See the module's documentation for which processes these are.
  """
  @spec settle(sim) :: :ok
  def settle(sim) do
    _now = Driver.drive(sim, :ready)
    :ok
  end

  @doc """
  Names a process that the core may leave work to and that the test has not started: a pid, or a name, which need not be
  there yet. Its children are waited for too, so that a supervisor stands for all that are under it.
  """
  @spec track(sim, GenServer.server()) :: :ok
  def track(sim, process), do: Server.call(sim, {:track, process})

  @doc "The time: milliseconds since the start of the simulation."
  @spec now(sim) :: non_neg_integer
  def now(sim), do: Server.call(sim, :now)

  @doc """
  Gives the ways between two stacks properties of their own; what is not given stays.

  `options` are `:loss`, `:duplicate`, `:delay`, `:reorder` and `:hold`, as for `start_link/1`, and

    * `:one_way` - true for the way from `a` to `b` only; default false
  """
  @spec link(sim, Sippet.sippet(), Sippet.sippet(), keyword) :: :ok
  def link(sim, a, b, options) do
    {one_way, options} = Keyword.pop(options, :one_way, false)
    Server.call(sim, {:link, pairs!(a, b, one_way), {:put, options}})
  end

  @doc """
  Cuts the ways between two stacks: what is sent from now on does not arrive. What is under way does.

  Of an unreliable transport nobody notices. The sender on a reliable one is told `:closed`, by `c:Sippet.Core.receive_error/2`.

  ## Options

    * `:reason` - what the sender is told, on any transport: `:econnrefused` as of a host without that port, for instance
    * `:one_way` - true for the way from `a` to `b` only; default false
  """
  @spec cut(sim, Sippet.sippet(), Sippet.sippet(), keyword) :: :ok
  def cut(sim, a, b, options \\ []) do
    {reason, options} = Keyword.pop(options, :reason)
    {one_way, options} = Keyword.pop(options, :one_way, false)

    unless options == [] and is_atom(reason) do
      raise ArgumentError,
            "expected the options :reason, an atom, and :one_way, got: #{inspect(reason: reason)} and #{inspect(options)}"
    end

    Server.call(sim, {:link, pairs!(a, b, one_way), {:cut, reason}})
  end

  @doc "Joins two stacks again, both ways."
  @spec heal(sim, Sippet.sippet(), Sippet.sippet()) :: :ok
  def heal(sim, a, b), do: Server.call(sim, {:link, pairs!(a, b, false), :heal})

  defp pairs!(a, b, true), do: [{a, b}]
  defp pairs!(a, b, false), do: [{a, b}, {b, a}]

  defp pairs!(_a, _b, other) do
    raise ArgumentError, "expected :one_way to be a boolean, got: #{inspect(other)}"
  end

  @doc """
  All messages that were sent, in their order, with what the link has made of each. They are kept for as long as the
  simulation lives.
  """
  @spec messages(sim) :: [Transmission.t()]
  def messages(sim), do: sim |> Server.call(:messages) |> Enum.map(&Transmission.parse/1)

  @doc """
  A drawing of all messages, a line each: when it was sent, between whom, and when it arrives, or why it does not.

                :caller                                  :callee
             0  |-- INVITE sip:bob@10.0.0.2 -------------x|  lost
           500  |-- INVITE sip:bob@10.0.0.2 ------------->|  520
           520  |<- 200 OK (INVITE) ----------------------|  540
           540  |-- ACK sip:bob@10.0.0.2 ---------------->|  560
  """
  @spec ladder(sim) :: String.t()
  def ladder(sim), do: Ladder.draw(Server.call(sim, :names), messages(sim))
end
