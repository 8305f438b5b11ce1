defmodule Sippet.Transaction.DeliveryTest do
  # What a core's failures write into the log: alone, since the log is everyone's.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import Sippet.Test.Wire

  alias Sippet.Test.{Peer, Stack}

  test "at most ten failures a second are logged, and how many there were more" do
    log =
      capture_log(fn ->
        stack = Stack.start(core: fn :request, _request, _key -> raise "on purpose" end)
        peer = Peer.open()

        for _ <- 1..100 do
          Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
          Peer.expect(peer, "SIP/2.0 500 ")
        end

        Process.sleep(1_200)
      end)

    logged = length(Regex.scan(~r/on purpose/, log))
    assert [[more]] = Regex.scan(~r/(\d+) more callbacks/, log, capture: :all_but_first)
    assert logged == 10
    assert String.to_integer(more) == 90
  end

  test "a failure tells the core, the stack and where it was" do
    log =
      capture_log(fn ->
        stack = Stack.start(core: fn :request, _request, _key -> throw(:ball) end)
        peer = Peer.open()
        Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
        Peer.expect(peer, "SIP/2.0 500 ")
        send(self(), {:stack, stack})
      end)

    assert_received {:stack, stack}
    assert log =~ "receive_request/2 of #{inspect(stack)} failed"
    assert log =~ "(throw) :ball"
    assert log =~ "delivery_test.exs"
  end
end
