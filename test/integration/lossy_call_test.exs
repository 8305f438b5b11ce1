defmodule Sippet.Integration.LossyCallTest do
  # A hundred calls over a network that loses every fifth datagram in each direction, at a fifth of the RFC's timers.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, eventually: 2]

  alias Sippet.Message
  alias Sippet.Test.{Core, LossyRelay, Stack}

  @timers [t1: 100, t2: 800, t4: 1_000, timer_d: 6_400]
  @calls 100

  # A phone: it rings, is taken up, and repeats the 2xx until the ACK (§13.3.1.4). A 180 may be repeated while it rings;
  # nothing else would make one that is lost come again once the caller has seen another.
  defp callee(stack, test) do
    fn
      :request, request, _key ->
        case request.start_line.method do
          :invite ->
            for _ <- 1..8 do
              Sippet.send(stack, Message.to_response(request, 180))
              Process.sleep(20)
            end

            Sippet.send(stack, Message.to_response(request, 200), until: :ack)

          :ack ->
            send(test, {:seen, request.headers.call_id, :ack})

          :bye ->
            Sippet.send(stack, Message.to_response(request, 200))
        end

      :error, reason, key ->
        send(test, {:failed, reason, key})
    end
  end

  defp caller(stack, test, relay) do
    fn
      :response, response, key ->
        %{start_line: %{status_code: status_code}, headers: headers} = response
        send(test, {:seen, headers.call_id, {key.method, status_code}})

        if key.method == :invite and status_code == 200 do
          # ACK (§13.2.2.4), and the call is over (§15.1.1).
          for {method, number} <- [ack: 1, bye: 2] do
            request =
              Stack.request(method, relay, call_id: headers.call_id, cseq: number)
              |> Message.put_header(:from, headers.from)
              |> Message.put_header(:to, headers.to)

            :ok = Sippet.send(stack, request)
          end
        end

      :error, reason, key ->
        send(test, {:failed, reason, key})
    end
  end

  test "a call whose datagrams are dropped with 20 % probability in both directions completes 100 times out of 100" do
    callee = start([core: nil] ++ @timers)
    Core.register(callee, callee(callee, self()))

    relay = start_supervised!({LossyRelay, callee: address(callee), loss: 0.2, seed: 3261})

    caller = start([core: nil] ++ @timers)
    Core.register(caller, caller(caller, self(), LossyRelay.address(relay)))

    for number <- 1..@calls do
      invite = Stack.request(:invite, LossyRelay.address(relay), call_id: "call-#{number}")
      assert :ok = Sippet.send(caller, invite)
    end

    for number <- 1..@calls,
        what <- [{:invite, 180}, {:invite, 200}, :ack, {:bye, 200}] do
      id = "call-#{number}"
      assert_receive {:seen, ^id, ^what}, 20_000, "#{id} has not come to #{inspect(what)}"
    end

    refute_received {:failed, _reason, _key}

    # The network was as bad as it should be.
    {passed, lost} = LossyRelay.counts(relay)
    assert_in_delta lost / (passed + lost), 0.2, 0.03

    # And nothing is left of the calls: 64·T1 and T4.
    for stack <- [caller, callee],
        do: eventually(30_000, fn -> Sippet.Transaction.count(stack) == 0 end)
  end
end
