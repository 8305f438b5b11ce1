defmodule Sippet.Integration.DeliveryLoadTest do
  # Deliveries under load, while transports, senders, runners and the Clock are killed at random: what a core may rely on
  # (ARCHITECTURE.md, Delivery) is read from a journal that it keeps and from what the peers got.
  #
  # DELIVERY_SECONDS says for how long, DELIVERY_SEED by which choices (`make delivery`); a failure names them. Which process
  # comes first no seed decides.
  use ExUnit.Case, async: false

  import Sippet.Test.Stack, only: [eventually: 2]

  alias Sippet.{Dialog, Message, Transaction}
  alias Sippet.Test.Load.{Callee, Caller, Journal, Killer, Sender}
  alias Sippet.Test.{Core, Peer, Stack}

  @moduletag :capture_log
  @seconds "DELIVERY_SECONDS" |> System.get_env("6") |> String.to_integer()
  @moduletag timeout: (@seconds + 120) * 1_000

  @callers 12
  @senders 6

  test "callbacks do not overlap, keep their order, and none is lost" do
    seed = "DELIVERY_SEED" |> System.get_env("#{:rand.uniform(1_000_000)}") |> String.to_integer()
    # A callback that waits for code to be loaded is not at its first write yet.
    for module <- [Journal, Sender, Message, Dialog, Sippet.URI], do: Code.ensure_loaded!(module)
    journal = Journal.new()
    table = :ets.new(:senders, [:public])
    probe = Peer.open()
    Peer.close(probe)
    # 64·T1 is 6.4 s: more than anything here takes, and a short wait at the end.
    stack = Stack.start(core: nil, udp: [[port: probe.port]], t1: 100, t4: 100, timer_d: 100)
    Core.register(stack, &core(stack, journal, &1, &2, &3))
    test = self()
    callee = spawn_link(fn -> Callee.run(journal, test) end)
    assert_receive {:port, ^callee, port}
    until = Journal.now() + @seconds * 1_000
    server = {{127, 0, 0, 1}, probe.port}

    # A peer that is not answered raises in its task.
    Process.flag(:trap_exit, true)

    try do
      callers = for n <- 1..@callers, do: fn -> Caller.run(journal, server, seed + n, until) end

      at_work =
        for n <- 1..@senders,
            do: fn -> Sender.keep(journal, stack, port, table, seed + n, until) end

      killer = fn -> Killer.run(journal, stack, table, seed, until) end

      [killer | callers ++ at_work]
      |> Enum.map(&Task.async/1)
      |> Task.await_many((@seconds + 60) * 1_000)

      eventually(30_000, fn -> Transaction.count(stack) == 0 end)
      judge(journal, Transaction.counters(stack))
    catch
      kind, reason ->
        IO.puts("failed: make delivery SEED=#{seed} SECONDS=#{@seconds}")
        :erlang.raise(kind, reason, __STACKTRACE__)
    end
  end

  # The core: it writes into the journal, and does what the request asks for.
  defp core(stack, journal, :request, request, _key) do
    method = request.start_line.method
    transaction = {Sender.branch(request), method |> to_string() |> String.upcase()}
    what = {method, request.headers.call_id}
    Journal.callback(journal, transaction, what, fn -> serve(stack, journal, method, request) end)
  end

  defp core(stack, journal, :response, response, key) do
    number = response |> Message.get_header("X-Number") |> hd() |> String.to_integer()
    final = response.start_line.status_code >= 200

    Journal.callback(journal, {:client, key.branch}, {number, final}, fn ->
      pause()
      if final, do: acknowledge(stack, response)
    end)
  end

  # Of a client it is the end; a server's core is told that a response could not be sent.
  defp core(_stack, journal, :error, reason, %Sippet.Transactions.Client.Key{branch: branch}),
    do: Journal.callback(journal, {:client, branch}, {reason, true}, fn -> pause() end)

  defp core(_stack, journal, :error, reason, _key),
    do: Journal.note(journal, :server_error, reason)

  defp serve(_stack, _journal, :ack, _ack), do: pause()

  defp serve(stack, _journal, method, request) when method in [:options, :bye] do
    pause()
    Sippet.send(stack, Message.to_response(request, 200))
  end

  defp serve(stack, journal, :cancel, cancel) do
    Sippet.send(stack, Message.to_response(cancel, 200))

    for [{_, pid}] <- [:ets.lookup(journal, {:blocked, Sender.branch(cancel)})],
        do: send(pid, :cancelled)
  end

  defp serve(stack, journal, method, request) do
    case Message.get_header(request, "X-Do") do
      [failure] when failure in ~w(raise exit throw kill) ->
        transaction = {Sender.branch(request), method |> to_string() |> String.upcase()}
        :ets.insert(journal, {{:fails, transaction}, failure})
        fail(failure)

      ["answer"] ->
        pause()
        contact = {"", Sippet.URI.parse!("sip:service@127.0.0.1"), %{}}
        response = request |> Message.to_response(200) |> Message.put_header(:contact, [contact])
        Sippet.send(stack, response, until: :ack)

      ["block"] ->
        :ets.insert(journal, {{:blocked, Sender.branch(request)}, self()})

        # Its CANCEL may have run before that was written, but never before the callback began.
        receive do
          :cancelled -> :ok
        after
          50 -> :ok
        end

        Sippet.send(stack, Message.to_response(request, 487))
    end
  end

  defp fail("raise"), do: raise("on purpose")
  defp fail("exit"), do: exit(:on_purpose)
  defp fail("throw"), do: throw(:on_purpose)
  defp fail("kill"), do: Process.exit(self(), :kill)

  defp pause, do: Process.sleep(:rand.uniform(4) - 1)

  defp acknowledge(stack, %{headers: %{to: {_, _, %{"tag" => tag}}, cseq: {number, _}}} = ok) do
    dialog = %Dialog{
      call_id: ok.headers.call_id,
      local_tag: elem(ok.headers.from, 2)["tag"],
      remote_tag: tag,
      local_uri: {"", elem(ok.headers.from, 1)},
      remote_uri: {"", elem(ok.headers.to, 1)},
      remote_target: elem(ok.headers.to, 1)
    }

    {ip, port} = ok.source.remote
    via = [{{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch()}}]

    ack = %{
      Dialog.build_ack(dialog, number, via: via)
      | target: {:udp, "#{:inet.ntoa(ip)}", port}
    }

    Sippet.send(stack, ack)
  end

  # What must hold.

  defp judge(journal, counters) do
    assert counters.lost_shards == 0
    assert Journal.notes(journal, :overlap) == []

    killed =
      for what <- ~w(runner transport sender clock)a,
          do: {what, Journal.notes(journal, {:killed, what})}

    # A runner that was killed outside of a callback had its next delivery in hand, or none.
    between = Enum.count(killed[:runner], &is_nil/1)

    inside =
      for {transaction, _what} = callback <- killed[:runner],
          into: %{},
          do: {transaction, callback}

    {served, unseen} = judge_servers(journal, inside)
    {clients, undelivered} = judge_clients(journal)
    assert unseen + undelivered <= between
    judge_calls(journal, inside)

    asked = journal |> Journal.notes(:asked) |> Enum.frequencies()
    assert Map.keys(asked) -- [200, :closed, :no_transport, :transport_closed, :einval] == []

    # It was a load, and they were killed.
    assert served > 50 * @seconds and clients > 10 * @seconds and asked[200] > 10 * @seconds
    for {what, notes} <- killed, do: assert(notes != [], "no #{what} was killed")

    if System.get_env("DELIVERY_SECONDS") do
      counts = for {what, notes} <- killed, do: {what, length(notes)}

      IO.puts(
        "#{served} requests served, #{clients} sent, #{inspect(asked)} asked; killed: #{inspect(counts)}, " <>
          "#{between} of the runners between callbacks, #{unseen + undelivered} of those with a delivery in hand"
      )
    end
  end

  # Every request that a peer has an answer to was offered to the core once, or its runner was killed on the way; the answers
  # are one and the same; and a failure costs a 500.
  defp judge_servers(journal, inside) do
    transactions = names(journal, :final)

    unseen =
      for transaction <- transactions do
        [{status, _tag}] = journal |> Journal.notes({:final, transaction}) |> Enum.uniq()

        case {Journal.begun(journal, transaction), status} do
          {[_once], "500"} ->
            assert failing?(journal, transaction) or is_map_key(inside, transaction)
            0

          {[{{:cancel, _}, _, _}], "200"} ->
            0

          {[{what, _, _}], status} ->
            assert status == wanted(journal, transaction, what)
            0

          {[], "500"} ->
            1

          # Its INVITE was over: nothing to cancel (§9.2).
          {[], "481"} ->
            assert elem(transaction, 1) == "CANCEL"
            0
        end
      end

    {length(transactions), Enum.sum(unseen)}
  end

  defp failing?(journal, transaction), do: :ets.member(journal, {:fails, transaction})

  defp wanted(journal, {branch, "INVITE"}, _what),
    do: if(:ets.member(journal, {:blocked, branch}), do: "487", else: "200")

  defp wanted(_journal, _transaction, _what), do: "200"

  # Each INVITE has one end, and before it what came, in its order.
  defp judge_clients(journal) do
    branches = Journal.notes(journal, :sent)

    undelivered =
      for branch <- branches do
        whats = for {what, _, _} <- Journal.begun(journal, {:client, branch}), do: what
        {before, ends} = Enum.split_while(whats, fn {_, final} -> not final end)
        numbers = for {number, false} <- before, do: number
        assert numbers == numbers |> Enum.sort() |> Enum.uniq()

        case ends do
          [] -> 1
          [_once] -> 0
          # A 2xx without its ACK, whose runner was killed or found no transport, comes again (RFC 6026 §7.2).
          [{3, true} = first | more] -> assert(Enum.uniq(more) == [first]) && 0
        end
      end

    {length(branches), Enum.sum(undelivered)}
  end

  # A CANCEL after its INVITE, and a BYE after the ACK before it.
  defp judge_calls(journal, inside) do
    for {branch, "CANCEL"} = cancel <- names(journal, :final),
        [{_, number, _}] <- [Journal.begun(journal, cancel)] do
      case Journal.begun(journal, {branch, "INVITE"}) do
        [{_, first, _}] ->
          assert first < number

        # Its runner was killed before the callback began.
        [] ->
          assert [{"500", _}] =
                   journal |> Journal.notes({:final, {branch, "INVITE"}}) |> Enum.uniq()
      end
    end

    acks =
      for {_, "ACK"} = transaction <- names(journal, :began),
          [{{:ack, call_id}, number, _}] <- [Journal.begun(journal, transaction)],
          # Sent once, it came before the BYE if it came.
          [sent_ms] <- [Journal.notes(journal, {:ack, call_id})],
          do: {call_id, {transaction, number, sent_ms}}

    acks = Map.new(acks)

    for {_, "BYE"} = bye <- names(journal, :began),
        [{{:bye, call_id}, number, ms}] <- [Journal.begun(journal, bye)],
        %{^call_id => {ack, ack_number, sent_ms}} <- [acks] do
      ended = Journal.ended(journal, ack, {:ack, call_id}, ack_number)
      # It waits for a second, not for ever.
      assert is_map_key(inside, ack) or (ended != nil and ended < number) or ms - sent_ms >= 1_000
    end
  end

  defp names(journal, :final) do
    journal |> :ets.select([{{{:note, {:final, :"$1"}, :_}, :_}, [], [:"$1"]}]) |> Enum.uniq()
  end

  defp names(journal, :began) do
    journal |> :ets.select([{{{:began, :"$1", :_, :_}, :_}, [], [:"$1"]}]) |> Enum.uniq()
  end
end
