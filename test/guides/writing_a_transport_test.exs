defmodule Sippet.Guides.WritingATransportTest do
  # The transport of guides/writing-a-transport.md, as it stands there, in real exchanges.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Message
  alias Sippet.Test.{Core, Guide, Peer, Stack}

  @guide "guides/writing-a-transport.md"
  @trunk <<7::32>>

  setup_all do
    # It ends with this process, to which it is linked.
    {_value, bindings} = Guide.run(@guide)
    {:ok, supervisor: bindings[:supervisor]}
  end

  setup do
    Core.register(:border, :forward)
    {:ok, peer: Peer.open(), address: Stack.address(:border)}
  end

  defp expect(peer, start) do
    {@trunk <> text, from} = Peer.receive_from(peer)
    assert String.starts_with?(text, start), text
    {text, from}
  end

  test "has less than forty lines of code" do
    [module | _] = Guide.snippets(@guide)
    assert module =~ "defmodule MyApp.Tunnel do"
    lines = module |> String.split("\n") |> Enum.reject(&(String.trim(&1) == ""))
    assert length(lines) < 40
  end

  test "a request comes in, its response goes out, of its trunk alone", context do
    %{peer: peer, address: address} = context
    # Of another trunk, and too short for any.
    Peer.send(peer, address, <<8::32>> <> request("MESSAGE", peer))
    Peer.send(peer, address, "abc")
    Peer.send(peer, address, @trunk <> request("OPTIONS", peer, call_id: "in"))
    assert_receive {:border, :request, %{headers: %{call_id: "in"}} = request, _key}
    assert request.source.remote == {peer.ip, peer.port}
    assert :ok = Sippet.send(:border, Message.to_response(request, 200))
    assert {text, ^address} = expect(peer, "SIP/2.0 200 OK\r\n")
    assert field(text, "Call-ID") == "in"
    refute_received {:border, :request, %{start_line: %{method: :message}}, _key}
  end

  test "a request goes out, is repeated as UDP's are, and its response comes in", context do
    %{peer: peer, address: address} = context
    request = Stack.request(:options, {peer.ip, peer.port})
    task = Task.async(fn -> Sippet.request(:border, request) end)
    assert {text, ^address} = expect(peer, "OPTIONS ")
    assert {^text, ^address} = expect(peer, "OPTIONS ")
    Peer.send(peer, address, @trunk <> response(text, "200 OK"))
    assert {:ok, %{start_line: %{status_code: 200}}} = Task.await(task)
  end

  test "what it cannot send is an error of its transaction", %{peer: peer} do
    request = Stack.request(:message, {peer.ip, peer.port})
    request = %{request | body: String.duplicate("x", 70_000)}
    assert :ok = Sippet.send(:border, request)
    key = Sippet.Transactions.Client.Key.new(request)
    assert_receive {:border, :error, :emsgsize, ^key}
  end

  test "it goes on after more datagrams than it has asked the socket for", context do
    %{peer: peer, address: address} = context

    for number <- 1..250 do
      Peer.send(peer, address, @trunk <> request("OPTIONS", peer, call_id: "#{number}"))
      assert_receive {:border, :request, _request, _key}
    end
  end

  @tag :capture_log
  test "it is there again when its stack was started again", context do
    %{peer: peer, supervisor: supervisor} = context
    [{_, _, _, _}, {{Sippet, :border}, stack, _, _}] = Supervisor.which_children(supervisor)
    Process.exit(stack, :kill)

    Stack.eventually(fn ->
      match?(
        [_, {_, new, _, _}] when new not in [stack, :restarting, :undefined],
        Supervisor.which_children(supervisor)
      ) and
        match?([_transport], Sippet.Transport.list(:border))
    end)

    Core.register(:border, :forward)
    Peer.send(peer, Stack.address(:border), @trunk <> request("OPTIONS", peer))
    assert_receive {:border, :request, _request, _key}
  end
end
