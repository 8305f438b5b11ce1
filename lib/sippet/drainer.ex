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

  A stack that is drained already waits for what is left; one that has no transport any more waits for nothing. A drainer that
  is started again, as with `:rest_for_one`, lets new calls in again.
  """

  use GenServer

  alias Sippet.{Native, Stack, Transport}

  # What is left to the supervisor's own deadline.
  @slack_ms 1_000

  @doc """
  Starts it. `:name` is the stack's name, `:timeout_ms` how long to wait at most; default 30,000.
  """
  @spec start_link(name: Sippet.sippet(), timeout_ms: non_neg_integer) :: GenServer.on_start()
  def start_link(options) do
    options = validate!(options)
    GenServer.start_link(__MODULE__, options)
  end

  @doc "The specification under a supervisor. Its id is `{Sippet.Drainer, name}`."
  @spec child_spec(name: Sippet.sippet(), timeout_ms: non_neg_integer) :: Supervisor.child_spec()
  def child_spec(options) do
    {name, timeout_ms} = validate!(options)

    %{
      id: {__MODULE__, name},
      start: {__MODULE__, :start_link, [options]},
      shutdown: timeout_ms + @slack_ms
    }
  end

  defp validate!(options) do
    options = Keyword.validate!(options, [:name, timeout_ms: 30_000])
    name = options[:name]
    timeout_ms = options[:timeout_ms]

    unless is_atom(name) and name != nil do
      raise ArgumentError, "expected :name to be an atom, got: #{inspect(name)}"
    end

    unless is_integer(timeout_ms) and timeout_ms >= 0 do
      raise ArgumentError,
            "expected :timeout_ms to be a number of milliseconds, got: #{inspect(timeout_ms)}"
    end

    {name, timeout_ms}
  end

  @impl true
  def init({name, timeout_ms}) do
    Process.flag(:trap_exit, true)
    :ok = Native.engine_drain(Stack.fetch!(name).engine, false)
    {:ok, {name, timeout_ms}}
  end

  @impl true
  def terminate(reason, {name, timeout_ms}) do
    _result =
      if reason == :shutdown and Transport.list(name) != [], do: Sippet.drain(name, timeout_ms)

    :ok
  rescue
    # There is no such stack any more.
    ArgumentError -> :ok
  end
end
