defmodule Sippet.Test.Stack do
  # Stacks for tests: each with a name and a core of its own, so that tests run side by side.
  @moduledoc false

  import ExUnit.Callbacks
  import ExUnit.Assertions

  alias Sippet.Message

  @doc """
  Starts a stack under the test's supervisor; returns its name.

  `:udp` is a list of option lists, one a transport, by default one on 127.0.0.1 and any port; `:tcp`, `:tls`, `:ws` and
  `:wss` are such lists too, by default empty. `:core` is what
  `Sippet.Test.Core.register/2` takes, or nil for none; by default each callback is sent to the test. All other options
  are the stack's, which refuses nothing when the machine is busy unless they say so.
  """
  def start(options \\ []) do
    name = :"stack_#{System.unique_integer([:positive])}"
    {tcp, options} = Keyword.pop(options, :tcp, [])
    {tls, options} = Keyword.pop(options, :tls, [])
    {ws, options} = Keyword.pop(options, :ws, [])
    {wss, options} = Keyword.pop(options, :wss, [])
    streams = tcp ++ tls ++ ws ++ wss
    {udp, options} = Keyword.pop(options, :udp, if(streams == [], do: [[]], else: []))
    {core, options} = Keyword.pop(options, :core, :forward)
    options = Keyword.put_new(options, :max_start_delay_ms, :infinity)
    start_supervised!({Sippet, [name: name] ++ options})
    for transport <- udp, do: start_udp(name, transport)
    for transport <- tcp, do: start_stream(Sippet.Transports.TCP, name, transport)
    for transport <- tls, do: start_stream(Sippet.Transports.TLS, name, transport)
    for transport <- ws, do: start_stream(Sippet.Transports.WS, name, transport)
    for transport <- wss, do: start_stream(Sippet.Transports.WSS, name, transport)
    if core, do: Sippet.Test.Core.register(name, core)
    name
  end

  @doc "Starts one more transport of a stack."
  def start_udp(name, options \\ []) do
    options = Keyword.merge([name: name, port: 0, address: "127.0.0.1"], options)

    start_supervised!(Map.put(Sippet.Transports.UDP.child_spec(options), :id, {:udp, make_ref()}))
  end

  @doc "Starts a transport over streams."
  def start_stream(module, name, options \\ []) do
    own = [name: name, port: 0, address: "127.0.0.1"]
    # On a busy machine those of the default may run out.
    patience = [connect_timeout: 30_000, handshake_timeout: 30_000]

    patience =
      if module == Sippet.Transports.TCP,
        do: Keyword.take(patience, [:connect_timeout]),
        else: patience

    options = own |> Keyword.merge(patience) |> Keyword.merge(options)
    start_supervised!(Map.put(module.child_spec(options), :id, {module, make_ref()}))
  end

  @doc "What the first transport of a stack tells of itself."
  def info(name) do
    [%{module: module, pid: pid} | _] = Sippet.Transport.list(name)
    module.info(pid)
  end

  @doc "The address of the first transport of a stack, or of the one of this number in their order."
  def address(name, index \\ 0), do: Enum.at(Sippet.Transport.list(name), index).address

  @doc "A request of the core's to `{ip, port}`, with all that is needed."
  def request(method, {ip, port}, options \\ []) do
    branch = Keyword.get_lazy(options, :branch, &Message.create_branch/0)
    uri = Keyword.get(options, :uri, "sip:peer@example.com")

    %{
      Message.build_request(method, uri)
      | target: Keyword.get(options, :target, {:udp, List.to_string(:inet.ntoa(ip)), port})
    }
    |> Message.put_header(:via, [
      {{2, 0}, Keyword.get(options, :protocol, :udp), {"127.0.0.1", 5060},
       %{"branch" => branch, "rport" => ""}}
    ])
    |> Message.put_header(:max_forwards, 70)
    |> Message.put_header(
      :from,
      {"", Sippet.URI.parse!("sip:me@example.com"), %{"tag" => Message.create_tag()}}
    )
    |> Message.put_header(:to, {"", Sippet.URI.parse!("sip:peer@example.com"), %{}})
    |> Message.put_header(
      :call_id,
      Keyword.get_lazy(options, :call_id, &Message.create_call_id/0)
    )
    |> Message.put_header(:cseq, {Keyword.get(options, :cseq, 1), method})
  end

  @doc "Waits until the stack's clock has sent what was due before."
  def settle(name) do
    {_, clock, _, _} =
      Sippet.Stack.supervisor(name)
      |> Supervisor.which_children()
      |> List.keyfind(Sippet.Transaction.Clock, 0)

    _ = :sys.get_state(clock)
    :ok
  end

  @doc "Waits until something holds, at most until the deadline."
  def eventually(timeout_ms \\ Sippet.Test.Repetition.deadline_ms(), condition) do
    deadline = System.monotonic_time(:millisecond) + timeout_ms
    poll(condition, deadline, timeout_ms)
  end

  defp poll(condition, deadline, timeout_ms) do
    cond do
      result = condition.() ->
        result

      System.monotonic_time(:millisecond) > deadline ->
        flunk("still not so after #{timeout_ms} ms")

      true ->
        receive do
        after
          10 -> poll(condition, deadline, timeout_ms)
        end
    end
  end
end
