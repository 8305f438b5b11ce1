defmodule Sippet.StackTest do
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Test.{Peer, Stack}

  test "the defaults are those of RFC 3261 (table 4) and of the documentation" do
    options = Sippet.Stack.validate_options!(name: :x)
    assert options[:t1] == 500
    assert options[:t2] == 4_000
    assert options[:t4] == 5_000
    assert options[:timer_d] == 32_000
    assert options[:trying_ms] == 200
    assert options[:max_transactions] == 1_000_000
    assert options[:limits][:max_message_bytes] == 65_536

    for {name, _value} <- options ++ options[:limits],
        do: assert(Sippet.Stack.options_docs() =~ "`:#{name}`")
  end

  test "a stack holds received messages to its limits" do
    stack = Stack.start(limits: [max_fields: 9, max_message_bytes: 1_000])
    peer = Peer.open()
    address = Stack.address(stack)

    Peer.send(peer, address, request("OPTIONS", peer))
    assert_receive {^stack, :request, _, _}

    for extra <- [[fields: ["A: 1", "B: 2"]], [body: String.duplicate("x", 1_000)]] do
      Peer.send(peer, address, request("OPTIONS", peer, extra))
      assert Peer.receive_bytes(peer) =~ ~r/\ASIP\/2\.0 (400|513) /
    end

    refute_received {^stack, :request, _, _}
  end

  defmodule Core do
    use Sippet.Core

    def receive_request(request, _key) do
      [{:name, stack}] = :ets.lookup(__MODULE__, :name)
      Sippet.send(stack, Sippet.Message.to_response(request, 200))
    end
  end

  @tag capture_log: true
  test "a core that is an option is there again when the stack was started again" do
    name = :"stack_#{System.unique_integer([:positive])}"
    :ets.new(Core, [:named_table, :public])
    :ets.insert(Core, {:name, name})
    start_supervised!({Sippet, name: name, core: Core})
    Stack.start_udp(name)
    peer = Peer.open()

    for _ <- 1..2 do
      assert Registry.meta(name, :core) == {:ok, Core}
      Peer.send(peer, Stack.address(name), request("OPTIONS", peer))
      Peer.expect(peer, "SIP/2.0 200 ")

      pid = Process.whereis(Sippet.Stack.supervisor(name))
      Process.exit(pid, :kill)

      Stack.eventually(fn ->
        Process.whereis(Sippet.Stack.supervisor(name)) not in [nil, pid] and
          match?([_], transports(name))
      end)
    end
  end

  # In the midst of a restart the stack is not there.
  defp transports(name) do
    Sippet.Transport.list(name)
  rescue
    ArgumentError -> []
  end

  test "a core is loaded before its first callback" do
    alias Sippet.Test.Core.OnDisk

    unload = fn ->
      :code.purge(OnDisk)
      :code.delete(OnDisk)
      refute :erlang.module_loaded(OnDisk)
    end

    unload.()
    name = :"stack_#{System.unique_integer([:positive])}"
    start_supervised!({Sippet, name: name, core: OnDisk})
    assert :erlang.module_loaded(OnDisk)

    unload.()
    assert Sippet.register_core(name, OnDisk) == :ok
    assert :erlang.module_loaded(OnDisk)
  end

  test "a core that is no module is refused" do
    assert_raise ArgumentError, ~r/:core to be a module, got: "MyCore"/, fn ->
      Sippet.start_link(name: :never, core: "MyCore")
    end
  end

  test "methods of keys are those of the wire, and an ACK has that of its INVITE (§17.2.3)" do
    alias Sippet.Transactions.{Client, Server}
    assert Sippet.Stack.key_parts(Client.Key.new("z9hG4bKa", :options)) == {"z9hG4bKa", "OPTIONS"}
    assert Sippet.Stack.key_parts(Client.Key.new("z9hG4bKa", "ping")) == {"z9hG4bKa", "ping"}

    assert Sippet.Stack.key_parts(Server.Key.new("z9hG4bKa", :ack, {"h", 5060})) ==
             {"z9hG4bKa", "INVITE", "h", 5060}
  end
end
