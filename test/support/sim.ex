defmodule Sippet.Test.Sim do
  # For tests of simulations: each with stacks of its own names, so that they run side by side.
  @moduledoc false

  import ExUnit.Callbacks

  alias Sippet.{Message, Sim}

  @doc "Starts a simulation under the test's supervisor."
  def start(options \\ []) do
    start_supervised!(%{Sim.child_spec(options) | id: make_ref()})
  end

  @doc "Adds a stack, by default played by the test; returns its name."
  def add(sim, options \\ []) do
    name = :"sim_#{System.unique_integer([:positive])}"
    Sim.add_stack(sim, name, Keyword.put_new(options, :core, self()))
    name
  end

  @doc "Adds a stack whose core is a function, `handler.(callback, first, key)`; it is given the stack's name first."
  def add_core(sim, options \\ [], handler) do
    name = add(sim, Keyword.put(options, :core, nil))
    Sippet.Test.Core.register(name, &handler.(name, &1, &2, &3))
    name
  end

  @doc "A request between stacks at 10.0.0.`from` and 10.0.0.`to`."
  def request(method, from \\ 1, to \\ 2, options \\ []) do
    branch = Keyword.get_lazy(options, :branch, &Message.create_branch/0)
    protocol = Keyword.get(options, :protocol, "UDP")
    host = Keyword.get(options, :host, "10.0.0.#{to}")

    Message.parse!("""
    #{method} sip:callee@#{host} SIP/2.0
    Via: SIP/2.0/#{protocol} 10.0.0.#{from};branch=#{branch}
    From: <sip:caller@10.0.0.#{from}>;tag=#{Message.create_tag()}
    To: <sip:callee@10.0.0.#{to}>
    Call-ID: #{Message.create_call_id()}
    CSeq: 1 #{method}
    Contact: <sip:caller@10.0.0.#{from}>
    Max-Forwards: 70
    """)
  end

  @doc "What was sent: `{sent_at, from, method or status code}`; of one stack only where that is given."
  def sent(sim, name \\ nil) do
    for %{sent_at: at, from: from, message: message} <- Sim.messages(sim),
        name in [nil, from],
        do: {at, from, what(message)}
  end

  @doc "When a stack has sent this method or status code."
  def times(sim, name, what), do: for({at, ^name, ^what} <- sent(sim), do: at)

  defp what(%{start_line: %{method: method}}), do: method
  defp what(%{start_line: %{status_code: status_code}}), do: status_code

  @doc "The messages in the test's mailbox, in their order."
  def inbox do
    receive do
      message -> [message | inbox()]
    after
      0 -> []
    end
  end
end
