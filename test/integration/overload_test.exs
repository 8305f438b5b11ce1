defmodule Sippet.Integration.OverloadTest do
  # A core that computes more than the machine has time for. What the controller does exactly is tested on a virtual clock
  # (native/sippet_proto/src/transaction/admission/tests.rs); here that all parts are joined. It takes the processors: alone.
  use ExUnit.Case, async: false

  import Sippet.Test.Wire

  alias Sippet.{Message, Telemetry}
  alias Sippet.Test.{Core, Peer, Stack, StreamPeer}

  # Computes for some milliseconds, then answers.
  defp core(test) do
    fn
      :request, request, _key -> answer(test, request)
      # Errors, when the test ends and the socket with it.
      _other, _first, _key -> :ok
    end
  end

  defp answer(test, request) do
    compute()

    case request.headers.to do
      {_, _, %{"tag" => _}} -> send(test, {:inside, request})
      _ -> :ok
    end

    Sippet.send(:persistent_term.get(__MODULE__), Message.to_response(request, 200))
  end

  defp compute, do: Enum.reduce(1..400_000, 0, &rem(&1 + &2 * 31, 1_000_003))

  defp start(options) do
    stack = Stack.start([core: core(self())] ++ options)
    :persistent_term.put(__MODULE__, stack)
    %{stack: stack, peer: Peer.open(), address: Stack.address(stack)}
  end

  # Offers more than can be done until the condition holds.
  defp flood(%{peer: peer, address: address}, condition) do
    Stack.eventually(20_000, fn ->
      for _ <- 1..40, do: Peer.send(peer, address, request("OPTIONS", peer))
      condition.()
    end)
  end

  defp admission(stack), do: Sippet.info(stack).admission

  test "requests outside of dialogs are refused, those with a To tag go on, and it is told" do
    test = self()

    :ok =
      Telemetry.attach_many(
        :overload_test,
        [
          [:sippet, :overload, :start],
          [:sippet, :overload, :stop],
          [:sippet, :request, :refused]
        ],
        fn name, measurements, metadata, _ -> send(test, {name, measurements, metadata}) end,
        nil
      )

    on_exit(fn -> Telemetry.detach(:overload_test) end)
    %{stack: stack, peer: peer, address: address} = context = start(max_start_delay_ms: 1)
    assert %{overloaded: false, episodes: 0, max_requests_per_second: nil} = admission(stack)

    flood(context, fn ->
      Sippet.info(stack).counters.refused_requests > 0 and admission(stack).overloaded
    end)

    assert %{overloaded: true, episodes: episodes, max_requests_per_second: limit} =
             admission(stack)

    assert episodes >= 1 and limit > 0
    assert_receive {[:sippet, :request, :refused], _, %{stack: ^stack, reason: :overload}}
    refusal = Peer.await(peer, "SIP/2.0 503 ")
    assert fields(refusal, "Retry-After") == []
    flood(context, fn -> match_overload(stack) end)

    # A BYE of a call, while others are refused.
    Peer.send(peer, address, request("BYE", peer, to_tag: "here"))
    assert_receive {:inside, %{start_line: %{method: :bye}}}, 20_000

    # It is over when the load is.
    Stack.eventually(20_000, fn -> not admission(stack).overloaded end)
    assert_receive {[:sippet, :overload, :stop], %{duration: duration}, %{stack: ^stack}}
    assert duration > 0
  end

  defp match_overload(stack) do
    receive do
      {[:sippet, :overload, :start], %{wait: wait}, %{stack: ^stack}} -> wait > 0
    after
      10 -> false
    end
  end

  test "a flood of requests with a To tag is refused too" do
    %{stack: stack, peer: peer, address: address} = start(max_start_delay_ms: 1)

    Stack.eventually(20_000, fn ->
      for _ <- 1..40, do: Peer.send(peer, address, request("INFO", peer, to_tag: "here"))
      Sippet.info(stack).counters.refused_requests > 0
    end)

    assert field(Peer.await(peer, "SIP/2.0 503 ", 5_000), "CSeq") =~ "INFO"
  end

  test "over connections it is the same" do
    stack = Stack.start(core: core(self()), max_start_delay_ms: 1, tcp: [[]])
    :persistent_term.put(__MODULE__, stack)
    [caller | flooders] = for _ <- 1..9, do: StreamPeer.connect(Stack.address(stack))

    # Nobody reads: what is answered is little.
    Stack.eventually(20_000, fn ->
      for flooder <- flooders,
          do:
            StreamPeer.send(
              flooder,
              for(_ <- 1..5, do: request("OPTIONS", flooder, protocol: "TCP"))
            )

      Sippet.info(stack).counters.refused_requests > 0
    end)

    # A BYE of a call goes on behind what is refused, on the same connection and on another.
    for peer <- [caller, hd(flooders)] do
      call_id = unique()

      StreamPeer.send(
        peer,
        request("BYE", peer, protocol: "TCP", to_tag: "here", call_id: call_id)
      )

      assert_receive {:inside, %{headers: %{call_id: ^call_id}}}, 20_000
    end

    Stack.eventually(20_000, fn -> not admission(stack).overloaded end)
    StreamPeer.send(caller, request("OPTIONS", caller, protocol: "TCP", call_id: "after"))
    await(caller, "after")
  end

  defp await(peer, call_id) do
    response = StreamPeer.receive_message(peer, 20_000)

    if field(response, "Call-ID") == call_id,
      do: assert(response =~ ~r"\ASIP/2.0 200 "),
      else: await(peer, call_id)
  end

  test "a flood of ACKs is dropped, and none is answered" do
    stack = Stack.start(core: nil, max_start_delay_ms: 1)

    Core.register(stack, fn
      :request, %{start_line: %{method: :ack}}, nil -> compute()
      :request, request, _key -> Sippet.send(stack, Message.to_response(request, 200))
    end)

    peer = Peer.open()
    address = Stack.address(stack)

    Stack.eventually(20_000, fn ->
      for _ <- 1..40, do: Peer.send(peer, address, request("ACK", peer, to_tag: "here"))
      Sippet.info(stack).counters.refused_requests > 0
    end)

    assert Sippet.info(stack).counters.stateless_replies == 0
    # Which is not for the others: whoever calls is taken.
    Peer.send(peer, address, request("OPTIONS", peer))
    Peer.expect(peer, "SIP/2.0 200 ", 20_000)
  end

  test "with :infinity nobody is refused" do
    %{stack: stack} = context = start(max_start_delay_ms: :infinity)
    flood(context, fn -> Sippet.info(stack).counters.received_requests >= 400 end)
    assert %{overloaded: false, max_start_delay_ms: :infinity} = admission(stack)
    assert Sippet.info(stack).counters.refused_requests == 0
  end

  test "where nothing more can be taken at all the 503 says when to try again, each time another" do
    stack = Stack.start(max_transactions: 1)
    peer = Peer.open()
    :ok = Sippet.send(stack, Stack.request(:options, {peer.ip, peer.port}))

    seconds =
      for _ <- 1..60 do
        Peer.send(peer, Stack.address(stack), request("INVITE", peer))
        peer |> Peer.await("SIP/2.0 503 ") |> field("Retry-After") |> String.to_integer()
      end

    assert Enum.all?(seconds, &(&1 in 3..12))
    assert length(Enum.uniq(seconds)) > 3
  end

  test "the option is checked" do
    for value <- [0, -1, :never, 1.5] do
      assert_raise ArgumentError, ~r/:max_start_delay_ms/, fn ->
        Sippet.start_link(name: :x, max_start_delay_ms: value)
      end
    end
  end
end
