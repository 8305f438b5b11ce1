defmodule Sippet.Drainer do
  @moduledoc """
  Drains a stack when its supervisor shuts down: a child that stands behind the transports, so that it is the first to go.

      children = [
        {Sippet, name: :my_stack, core: MyApp.Core},
        {Sippet.Transports.UDP, name: :my_stack, port: 5060},
        {Sippet.Drainer, name: :my_stack, timeout_ms: 10_000}
      ]

  While it is shut down the stack answers new calls 503 and finishes what is under way, as by `Sippet.drain/2`; then the
  supervisor goes on with the transports. That takes at most `:timeout_ms`. A VM that gets SIGTERM shuts its applications down
  in this way.

  A call that is up has no transaction, and so the stack knows nothing of it. A core that does gives `:calls`: then the drainer
  waits for these to end too, and their BYEs are served.

      {Sippet.Drainer, name: :my_stack, calls: &MyApp.Calls.count/0}

  A stack that is drained already waits for what is left; one that has no transport any more waits for nothing. A drainer that
  is started again, as with `:rest_for_one`, lets new calls in again.
  """

  use GenServer

  alias Sippet.{Native, Stack, Transport}

  # What is left to the supervisor's own deadline.
  @slack_ms 1_000

  @poll_ms 100

  @typedoc "Options; `:name` is required."
  @type option ::
          {:name, Sippet.sippet()}
          | {:timeout_ms, non_neg_integer}
          | {:calls, (() -> non_neg_integer)}

  @doc """
  Starts it.

    * `:name` - the stack's name
    * `:timeout_ms` - how long to wait at most; default 30,000
    * `:calls` - a function that tells how many calls are up; called in the drainer's process, ten times a second. Default: none are.
  """
  @spec start_link([option]) :: GenServer.on_start()
  def start_link(options) do
    options = validate!(options)
    GenServer.start_link(__MODULE__, options)
  end

  @doc "The specification under a supervisor. Its id is `{Sippet.Drainer, name}`."
  @spec child_spec([option]) :: Supervisor.child_spec()
  def child_spec(options) do
    {name, timeout_ms, _calls} = validate!(options)

    %{
      id: {__MODULE__, name},
      start: {__MODULE__, :start_link, [options]},
      shutdown: timeout_ms + @slack_ms
    }
  end

  defp validate!(options) do
    options = Keyword.validate!(options, [:name, timeout_ms: 30_000, calls: nil])
    [name, timeout_ms, calls] = for key <- [:name, :timeout_ms, :calls], do: options[key]

    unless is_atom(name) and name != nil do
      raise ArgumentError, "expected :name to be an atom, got: #{inspect(name)}"
    end

    unless is_integer(timeout_ms) and timeout_ms >= 0 do
      raise ArgumentError,
            "expected :timeout_ms to be a number of milliseconds, got: #{inspect(timeout_ms)}"
    end

    unless calls == nil or is_function(calls, 0) do
      raise ArgumentError,
            "expected :calls to be a function without arguments, got: #{inspect(calls)}"
    end

    {name, timeout_ms, calls || fn -> 0 end}
  end

  @impl true
  def init({name, timeout_ms, calls}) do
    Process.flag(:trap_exit, true)
    :ok = Native.engine_drain(Stack.fetch!(name).engine, false)
    {:ok, {name, timeout_ms, calls}}
  end

  @impl true
  def terminate(reason, {name, timeout_ms, calls}) do
    _ended =
      if reason == :shutdown and Transport.list(name) != [],
        do: await(name, calls, System.monotonic_time(:millisecond) + timeout_ms)

    :ok
  rescue
    # There is no such stack any more.
    ArgumentError -> :ok
  end

  # A call begins and ends by a transaction: where there is neither, before and after the calls were counted, nothing is left.
  defp await(name, calls, deadline) do
    left_ms = max(deadline - System.monotonic_time(:millisecond), 0)

    cond do
      Sippet.drain(name, left_ms) != :ok or left_ms == 0 ->
        :ok

      calls.() == 0 and Sippet.drain(name, 0) == :ok ->
        :ok

      true ->
        Process.sleep(min(@poll_ms, left_ms))
        await(name, calls, deadline)
    end
  end
end
