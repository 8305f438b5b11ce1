defmodule Sippet.Transaction.DeliveryTest do
  # What a core's failures write into the log: alone, since the log is everyone's.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import Sippet.Test.Wire

  alias Sippet.Test.{Logged, Peer, Stack}

  test "at most ten failures a second are logged, and how many there were more" do
    stack = Stack.start(core: fn :request, _request, _key -> raise "on purpose" end)
    peer = Peer.open()
    began = System.monotonic_time(:millisecond)

    log =
      capture_log(fn ->
        Logged.until("more callbacks", fn ->
          for _ <- 1..100 do
            Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
            Peer.expect(peer, "SIP/2.0 500 ")
          end
        end)
      end)

    # One second, unless the machine is slow: then each that was begun has ten.
    seconds = div(System.monotonic_time(:millisecond) - began, 1_000) + 1
    logged = length(Regex.scan(~r/on purpose/, log))
    assert logged in 10..(10 * seconds)
    more = Regex.scan(~r/(\d+) more callbacks/, log, capture: :all_but_first)
    more = for [count] <- more, do: String.to_integer(count)
    assert length(more) in 1..seconds
    assert logged + Enum.sum(more) <= 100
    if length(more) == 1 and logged == 10, do: assert(more == [90])
  end

  test "a failure tells the core, the stack and where it was" do
    stack = Stack.start(core: fn :request, _request, _key -> throw(:ball) end)
    peer = Peer.open()

    log =
      capture_log(fn ->
        # The answer may be there first.
        Logged.until("(throw) :ball", fn ->
          Peer.send(peer, Stack.address(stack), request("OPTIONS", peer))
          Peer.expect(peer, "SIP/2.0 500 ")
        end)
      end)

    assert log =~ "receive_request/2 of #{inspect(stack)} failed"
    assert log =~ "(throw) :ball"
    assert log =~ "delivery_test.exs"
  end
end
