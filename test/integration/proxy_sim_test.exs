defmodule Sippet.Integration.ProxySimTest do
  # Calls through a forking proxy on a bad network and virtual time: what must hold whatever is lost.
  use ExUnit.Case, async: false

  alias Sippet.{Dialog, Message, Proxy, Sim, Test, URI}

  @calls __MODULE__.Calls

  setup do
    :ets.new(@calls, [:named_table, :public, :bag])
    :ok
  end

  # Alice calls through the proxy, which knows two phones; the phone takes the call after it has rung, or refuses.
  defp network(options, answers) do
    sim = Test.Sim.start(options)
    alice = Test.Sim.add_core(sim, [], &caller/4)
    stack = Test.Sim.add(sim, core: nil)
    phones = for answer <- answers, do: Test.Sim.add_core(sim, [], phone(answer))
    proxy = Proxy.new!(interfaces: [udp: {"10.0.0.2", 5060}], domains: ["biloxi.com"])
    server = :"#{stack}_proxy"

    start_supervised!(
      Map.put(Proxy.Server.child_spec(name: server, stack: stack, proxy: proxy), :id, server)
    )

    Sim.track(sim, server)
    contacts = for index <- 1..length(answers), do: "sip:bob@10.0.0.#{index + 2}"
    Test.Proxy.core(stack, server, proxy, fn _uri -> contacts end)
    %{sim: sim, alice: alice, server: server, stack: stack, phones: phones}
  end

  defp stop(network) do
    # Nothing is left behind when all is over. A registry clears away after a process that has ended by itself.
    Test.Stack.eventually(fn -> Registry.count(Module.concat(network.server, "Registry")) == 0 end)

    stop_supervised!(network.server)
    Sim.stop(network.sim)
    calls = :ets.tab2list(@calls)
    :ets.delete_all_objects(@calls)
    calls
  end

  defp phone(answer) do
    fn
      name, :request, %{start_line: %{method: :invite}} = invite, key ->
        contact = {"", URI.parse!("sip:bob@#{invite.start_line.request_uri.host}"), %{}}

        response =
          invite |> Message.to_response(answer) |> Message.put_header(:contact, [contact])

        Sippet.send(name, Message.to_response(invite, 180))

        if answer == 200 do
          {:ok, dialog} = Dialog.create_uas(invite, response)
          :ets.insert(@calls, {:called, call(dialog), {key, dialog}})
          Sippet.send(name, response, until: :ack)
        else
          Sippet.send(name, response)
        end

      name, :request, %{start_line: %{method: :cancel}} = cancel, _key ->
        Sippet.send(name, Message.to_response(cancel, 200))

      _name, :request, %{start_line: %{method: :ack}}, nil ->
        :ok

      name, :request, %{start_line: %{method: :bye}} = bye, _key ->
        hang_up(:called, Dialog.id_of(bye))
        Sippet.send(name, Message.to_response(bye, 200))

      name, :error, :no_ack, key ->
        for {:called, id, {^key, dialog}} <- :ets.tab2list(@calls) do
          :ets.match_delete(@calls, {:called, id, :_})
          {bye, _dialog} = Dialog.bye(dialog, via: via("10.0.0.3"))
          Sippet.send(name, bye)
        end

      _name, _callback, _first, _key ->
        :ok
    end
  end

  # The first 2xx is the result of the request; that of another fork comes here, and is hung up (§13.2.2.4).
  defp caller(
         name,
         :response,
         %{start_line: %{status_code: 200}, headers: %{cseq: {_, :invite}}} = ok,
         _key
       ) do
    [{:invite, invite}] = :ets.lookup(@calls, :invite)
    {:ok, dialog} = Dialog.create_uac(invite, ok)
    Sippet.send(name, Dialog.build_ack(dialog, invite, via: via("10.0.0.1")))
    {bye, _dialog} = Dialog.bye(dialog, via: via("10.0.0.1"))
    Sippet.send(name, bye)
  end

  defp caller(name, :request, %{start_line: %{method: :bye}} = bye, _key) do
    hang_up(:caller, Dialog.id_of(bye))
    Sippet.send(name, Message.to_response(bye, 200))
  end

  defp caller(_name, _callback, _first, _key), do: :ok

  defp via(host), do: [{{2, 0}, :udp, {host, 5060}, %{"branch" => Message.create_branch()}}]

  # The same at both ends.
  defp call(dialog), do: {dialog.call_id, Enum.sort([dialog.local_tag, dialog.remote_tag])}

  defp hang_up(who, {call_id, a, b}),
    do: :ets.match_delete(@calls, {who, {call_id, Enum.sort([a, b])}, :_})

  # `{result, number of final responses other than 2xx that reached her}`
  defp place(network) do
    invite =
      Message.parse!("""
      INVITE sip:bob@biloxi.com SIP/2.0
      Via: SIP/2.0/UDP 10.0.0.1;branch=#{Message.create_branch()}
      Route: <sip:10.0.0.2;lr>
      From: <sip:alice@10.0.0.1>;tag=#{Message.create_tag()}
      To: <sip:bob@biloxi.com>
      Call-ID: #{Message.create_call_id()}
      CSeq: 1 INVITE
      Contact: <sip:alice@10.0.0.1>
      Max-Forwards: 70
      """)

    :ets.insert(@calls, {:invite, invite})

    Task.async(fn ->
      case Sippet.request(network.alice, invite, timeout: :infinity) do
        {:ok, %{start_line: %{status_code: 200}} = ok} ->
          {:ok, dialog} = Dialog.create_uac(invite, ok)
          :ets.insert(@calls, {:caller, call(dialog), nil})
          :ok = Sippet.send(network.alice, Dialog.build_ack(dialog, invite, via: via("10.0.0.1")))
          200

        {:ok, response} ->
          response.start_line.status_code

        {:error, reason} ->
          reason
      end
    end)
  end

  test "however much is lost, both ends agree whether they have a call, and the proxy forgets it" do
    answered =
      for seed <- 1..60 do
        network = network([seed: seed, delay: 5..60, loss: 0.25, duplicate: 0.1], [200, 486])
        task = place(network)
        Sim.advance(network.sim, :infinity)
        result = Task.await(task)
        ladder = Sim.ladder(network.sim)
        calls = stop(network)
        ends = for who <- [:caller, :called], do: Enum.sort(for {^who, id, _} <- calls, do: id)
        assert [same, same] = ends, "seed #{seed}: #{inspect(result)}\n#{ladder}"
        result
      end

    # Most get through: a quarter lost is what timers are for.
    assert Enum.count(answered, &(&1 == 200)) > 40
  end

  test "two phones that take the call at once: the caller has one of them, the other is hung up" do
    for seed <- 1..20 do
      network = network([seed: seed, delay: 20, loss: 0.1], [200, 200])
      task = place(network)
      Sim.advance(network.sim, :infinity)
      assert Task.await(task) == 200
      ladder = Sim.ladder(network.sim)
      calls = stop(network)
      assert [id] = for({:caller, id, _} <- calls, do: id)
      assert for({:called, called, _} <- calls, do: called) == [id], "seed #{seed}\n#{ladder}"
    end
  end

  test "phones that do not answer are a 408 for an INVITE, and silence for any other request (RFC 4320 §4.2)" do
    network = network([delay: 20], [200, 200])
    for phone <- network.phones, do: Sim.cut(network.sim, network.stack, phone)
    call = place(network)
    Sim.advance(network.sim, :infinity)
    assert Task.await(call) == 408

    message = Test.Sim.request("MESSAGE", 1, 2, host: "10.0.0.2")
    message = put_in(message.start_line.request_uri, URI.parse!("sip:bob@biloxi.com"))
    route = [{"", URI.parse!("sip:10.0.0.2;lr"), %{}}]
    request = Message.put_header(message, :route, route)
    task = Task.async(fn -> Sippet.request(network.alice, request) end)
    Sim.advance(network.sim, :infinity)
    assert Task.await(task) == {:error, :timeout}
    sent = for {_at, _from, what} <- Test.Sim.sent(network.sim, network.stack), do: what
    assert Enum.count(sent, &(&1 == 408)) == 1
    assert :message in sent
    assert [{:invite, _request}] = stop(network)
  end
end
