defmodule Sippet.TransactionTest do
  # What is told of open transactions.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.{Message, Transaction}
  alias Sippet.Test.{Peer, Stack}
  alias Sippet.Transactions.Client

  setup do
    %{stack: Stack.start(), peer: Peer.open()}
  end

  test "info/2 tells the state by the names of §17 and RFC 6026", %{stack: stack, peer: peer} do
    Peer.send(peer, Stack.address(stack), request("INVITE", peer))
    assert_receive {^stack, :request, request, key}

    assert %{key: ^key, role: :server, state: :proceeding, queued: 0} =
             info = Transaction.info(stack, key)

    assert info.age_ms in 0..20_000
    assert info.bytes > 0
    Sippet.send(stack, Message.to_response(request, 200))
    assert Transaction.info(stack, key).state == :accepted

    request = Stack.request(:options, {peer.ip, peer.port})
    Sippet.send(stack, request)
    key = Client.Key.new(request)
    assert %{key: ^key, role: :client, state: :trying} = Transaction.info(stack, key)
    assert Transaction.info(stack, Client.Key.new("z9hG4bKnobody", :options)) == nil
  end

  test "send_request/2 tells the key, by which the response comes", %{stack: stack, peer: peer} do
    request = Stack.request(:options, {peer.ip, peer.port})
    assert {:ok, %Client.Key{method: :options} = key} = Transaction.send_request(stack, request)
    assert {:error, :already_started} = Transaction.send_request(stack, request)
    text = Peer.expect(peer, "OPTIONS ")
    assert hd(fields(text, "Via")) =~ key.branch
    Peer.send(peer, Stack.address(stack), response(text, "200 OK"))
    assert_receive {^stack, :response, _response, ^key}

    ack = Stack.request(:ack, {peer.ip, peer.port})
    assert Transaction.send_request(stack, ack) == {:error, :not_allowed}
    Peer.refute_any(peer, 20)
  end

  test "send_response/2, receive_error/3 and terminate/2 are of one transaction",
       %{stack: stack, peer: peer} do
    Peer.send(peer, Stack.address(stack), request("INVITE", peer))
    assert_receive {^stack, :request, invite, key}
    assert :ok = Transaction.send_response(stack, Message.to_response(invite, 180))
    Peer.expect(peer, "SIP/2.0 180 ")
    assert :ok = Transaction.receive_error(stack, key, :lost)
    assert_receive {^stack, :error, :lost, ^key}
    assert :ok = Transaction.terminate(stack, key)
    assert {:error, :no_transaction} = Transaction.receive_error(stack, key, :lost)

    assert {:error, :no_transaction} =
             Transaction.send_response(stack, Message.to_response(invite, 200))
  end

  test "list/2 pages through all of them, each once", %{stack: stack, peer: peer} do
    keys =
      for _ <- 1..1_000 do
        request = Stack.request(:options, {peer.ip, peer.port})
        :ok = Sippet.send(stack, request)
        Client.Key.new(request)
      end

    pages = pages(stack, Transaction.list(stack), [])
    assert Enum.all?(pages, &(length(&1) <= 100))
    listed = for info <- Enum.concat(pages), do: info.key
    assert Enum.sort(listed) == Enum.sort(keys)
    assert Transaction.count(stack) == 1_000
  end

  defp pages(_stack, {infos, nil}, pages), do: [infos | pages]

  defp pages(stack, {infos, cursor}, pages),
    do: pages(stack, Transaction.list(stack, cursor), [infos | pages])

  test "counters/1 has all that is documented, from zero", %{stack: stack, peer: peer} do
    assert Transaction.counters(stack) |> Map.values() |> Enum.uniq() == [0]

    Peer.send(peer, Stack.address(stack), "\r\n\r\n")
    Peer.send(peer, Stack.address(stack), "nonsense")
    Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
    assert_receive {^stack, :request, _, _}

    assert %{keep_alives: 1, rejected_messages: 1, received_requests: 1} =
             Transaction.counters(stack)
  end

  test "a stack that is not there is named" do
    for call <- [
          &Transaction.count/1,
          &Transaction.list/1,
          &Transaction.counters/1,
          &Sippet.Transport.list/1
        ] do
      assert_raise ArgumentError, ~r/no stack named :nowhere/, fn -> call.(:nowhere) end
    end
  end
end
