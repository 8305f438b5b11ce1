defmodule Sippet.Test.Core do
  # Cores for tests. A callback does not tell its stack, so each stack gets a module of its own; what it does is kept
  # under that module's name.
  @moduledoc false

  @doc """
  Gives a stack a core.

  The callbacks are `:request`, `:response`, `:error` and `:flow_closed`, whose key is the reason. With `:forward`, or
  `{:forward, pid}`, each is sent to the test, or pid, as `{stack, callback, first, key}`. With
  a function it is `handler.(callback, first, key)`, called in the runner.
  """
  def register(stack, :forward), do: register(stack, {:forward, self()})

  def register(stack, {:forward, pid}),
    do: register(stack, fn callback, first, key -> send(pid, {stack, callback, first, key}) end)

  def register(stack, handler) when is_function(handler, 3) do
    module = Module.concat(__MODULE__, "For#{System.unique_integer([:positive])}")
    :persistent_term.put(module, handler)

    Module.create(
      module,
      quote do
        use Sippet.Core

        def receive_request(request, key),
          do: unquote(__MODULE__).run(__MODULE__, :request, request, key)

        def receive_response(response, key),
          do: unquote(__MODULE__).run(__MODULE__, :response, response, key)

        def receive_error(reason, key),
          do: unquote(__MODULE__).run(__MODULE__, :error, reason, key)

        def flow_closed(flow, reason),
          do: unquote(__MODULE__).run(__MODULE__, :flow_closed, flow, reason)
      end,
      Macro.Env.location(__ENV__)
    )

    :ok = Sippet.register_core(stack, module)
    module
  end

  @doc false
  def run(module, callback, first, key), do: :persistent_term.get(module).(callback, first, key)
end
