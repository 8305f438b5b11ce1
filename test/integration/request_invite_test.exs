defmodule Sippet.Integration.RequestInviteTest do
  # Sippet.request/3 of an INVITE, and Sippet.cancel/2, over real sockets.
  use ExUnit.Case, async: true

  import Sippet.Test.Waiting

  alias Sippet.Message

  # What comes behind repetitions of an OPTIONS: a CANCEL.
  defp past_options(peer) do
    {:ok, {ip, port, text}} = :gen_udp.recv(peer.socket, 0, 10_000)

    case text do
      "OPTIONS " <> _ -> past_options(peer)
      "CANCEL " <> _ -> {text, {ip, port}}
    end
  end

  describe "an INVITE" do
    test "rings and is answered; its caller sends the ACK (§13.2.2.4)" do
      {stack, peer, test} = {start(), peer(), self()}
      invite = request(:invite, peer)
      tell = fn response -> send(test, {:code, response.start_line.status_code}) end
      task = async(fn -> Sippet.request(stack, invite, on_provisional: tell) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      assert_receive {:code, 180}
      answer(peer, sent, "200 OK")
      assert {:ok, response} = result(task)
      assert response.start_line.status_code == 200

      # What is repeated before the ACK reaches neither the caller, which has it, nor the core.
      answer(peer, sent, "200 OK")
      ack = ack(invite, response)
      :ok = Sippet.send(stack, ack)
      receive_text(peer, "ACK")
      answer(peer, sent, "200 OK")
      assert {repeated, _} = receive_text(peer, "ACK")
      assert repeated == to_string(ack)
      refute_received {:core, _}
    end

    test "refused is acknowledged by the stack (§17.1.1.3)" do
      {stack, peer} = {start(), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer)) end)
      answer(peer, receive_text(peer, "INVITE"), "486 Busy Here")
      receive_text(peer, "ACK")
      assert status(result(task)) == 486
      refute_received {:core, _}
    end

    test "that forks: the first 2xx is the result, the others go to the core (§13.2.2.4)" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      key = Sippet.Transactions.Client.Key.new(invite)
      task = async(fn -> Sippet.request(stack, invite) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "200 OK", tag: "one")
      answer(peer, sent, "200 OK", tag: "two")
      assert {:ok, %{headers: %{to: {_, _, %{"tag" => "one"}}}}} = result(task)
      assert_receive {:core, {:response, response, ^key}}
      assert {_, _, %{"tag" => "two"}} = response.headers.to
      answer(peer, sent, "200 OK", tag: "three")
      assert_receive {:core, {:response, response, ^key}}
      assert {_, _, %{"tag" => "three"}} = response.headers.to
    end

    test "that nobody answers in time is cancelled, its 487 awaited and acknowledged (§9.1)" do
      {stack, peer} = {start(), peer()}
      route = {"", Sippet.URI.parse!("sip:proxy.example;lr"), %{}}
      invite = request(:invite, peer, route: [route])
      task = async(fn -> Sippet.request(stack, invite, timeout: 100) end)
      {text, _} = sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      {cancel, _} = cancelled = receive_text(peer, "CANCEL")

      assert cancel |> String.split("\r\n") |> hd() == "CANCEL sip:bob@biloxi.example SIP/2.0"

      for name <- ~w(Via From To Call-ID Route),
          do: assert(fields(cancel, name) == fields(text, name))

      assert length(fields(cancel, "Via")) == 1
      assert field(cancel, "Route") =~ "sip:proxy.example;lr"
      assert field(cancel, "CSeq") == "1 CANCEL"

      answer(peer, cancelled, "200 OK")
      answer(peer, sent, "487 Request Terminated")
      receive_text(peer, "ACK")
      assert result(task) == {:error, :timeout}
      refute_received {:core, _}
    end

    test "that nobody answers at all is cancelled by no message (§9.1)" do
      {stack, peer} = {start(t1: 20), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer), timeout: 10) end)
      assert result(task) == {:error, :timeout}
      refute "CANCEL" in drain(peer)
    end

    test "that was cancelled and is not answered ends after 64·T1 (§9.1)" do
      {stack, peer} = {start(t1: 10), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer), timeout: 50) end)
      answer(peer, receive_text(peer, "INVITE"), "180 Ringing")
      assert result(task) == {:error, :timeout}
      assert "CANCEL" in drain(peer)
    end

    test "whose 200 crosses the CANCEL is answered (§9.1)" do
      {stack, peer} = {start(), peer()}
      task = async(fn -> Sippet.request(stack, request(:invite, peer), timeout: 50) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      cancelled = receive_text(peer, "CANCEL")
      answer(peer, sent, "200 OK")
      answer(peer, cancelled, "481 Call/Transaction Does Not Exist")
      assert status(result(task)) == 200
      refute_received {:core, _}
    end

    test "may be cancelled by :on_provisional" do
      {stack, peer} = {start(), peer()}
      cancel = fn response -> if response.start_line.status_code == 183, do: :cancel end

      task =
        async(fn -> Sippet.request(stack, request(:invite, peer), on_provisional: cancel) end)

      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      assert silent?(peer, 50)
      answer(peer, sent, "183 Session Progress")
      receive_text(peer, "CANCEL")
      answer(peer, sent, "487 Request Terminated")
      assert result(task) == {:error, :cancelled}
    end

    test "is cancelled when its caller is killed; the 487 reaches nobody" do
      {stack, peer} = {start(), peer()}
      {pid, _} = async(fn -> Sippet.request(stack, request(:invite, peer)) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      eventually(fn -> match?([%{state: :proceeding, queued: 0}], all(stack)) end)
      Process.exit(pid, :kill)
      cancelled = receive_text(peer, "CANCEL")
      answer(peer, cancelled, "200 OK")
      answer(peer, sent, "487 Request Terminated")
      receive_text(peer, "ACK")
      eventually(fn -> Enum.all?(all(stack), &(&1.state == :completed)) end)
      refute_received {:core, _}
    end

    test "is cancelled when its caller was killed and there is room for the CANCEL" do
      {stack, peer} = {start(max_transactions: 2, t1: 100), peer()}
      {pid, monitor} = async(fn -> Sippet.request(stack, request(:invite, peer)) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      eventually(fn -> match?([%{state: :proceeding, queued: 0}], all(stack)) end)
      options = request(:options, peer)
      :ok = Sippet.send(stack, options)
      receive_text(peer, "OPTIONS")
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, :killed}
      # Only the OPTIONS is heard of, until it is gone.
      receive_text(peer, "OPTIONS")
      :ok = Sippet.terminate(stack, Sippet.Transactions.Client.Key.new(options))
      {text, _} = cancel = past_options(peer)
      assert fields(text, "Via") == fields(elem(sent, 0), "Via")
      answer(peer, cancel, "200 OK")
      answer(peer, sent, "487 Request Terminated")
      receive_text(peer, "ACK")
    end

    test "answered 200 when its caller is dead goes to the core, with its key" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      {pid, monitor} = async(fn -> Sippet.request(stack, invite) end)
      sent = receive_text(peer, "INVITE")
      Process.exit(pid, :kill)
      assert_receive {:DOWN, ^monitor, _, _, :killed}
      answer(peer, sent, "180 Ringing")
      receive_text(peer, "CANCEL")
      answer(peer, sent, "200 OK")
      key = Sippet.Transactions.Client.Key.new(invite)
      assert_receive {:core, {:response, %{start_line: %{status_code: 200}}, ^key}}
      refute_received {:core, _}
    end

    test "is cancelled when a function of the caller's raises" do
      {stack, peer} = {start(), peer()}
      raises = fn _response -> raise "on purpose" end

      task =
        async(fn ->
          catch_error(Sippet.request(stack, request(:invite, peer), on_provisional: raises))
        end)

      answer(peer, receive_text(peer, "INVITE"), "180 Ringing")
      assert %RuntimeError{message: "on purpose"} = result(task)
      receive_text(peer, "CANCEL")
    end
  end

  describe "cancel/2" do
    test "cancels from another process, by request or by key; again is as good" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      task = async(fn -> Sippet.request(stack, invite) end)
      sent = receive_text(peer, "INVITE")
      assert Sippet.cancel(stack, invite) == :ok
      assert silent?(peer, 50)
      answer(peer, sent, "180 Ringing")
      receive_text(peer, "CANCEL")
      assert Sippet.cancel(stack, Sippet.Transactions.Client.Key.new(invite)) == :ok
      answer(peer, sent, "487 Request Terminated")
      assert result(task) == {:error, :cancelled}
      assert Sippet.cancel(stack, invite) == {:error, :already_answered}
    end

    test "cancels what the core has sent; only the INVITE's response goes to the core" do
      {stack, peer} = {start(), peer()}
      invite = request(:invite, peer)
      :ok = Sippet.send(stack, invite)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      assert_receive {:core, {:response, %{start_line: %{status_code: 180}}, _}}
      assert Sippet.cancel(stack, invite) == :ok
      answer(peer, receive_text(peer, "CANCEL"), "200 OK")
      answer(peer, sent, "487 Request Terminated")
      assert_receive {:core, {:response, %{start_line: %{status_code: 487}}, _}}
      receive_text(peer, "ACK")
      refute_received {:core, _}
    end

    test "of nothing is an error, of no INVITE the caller's mistake" do
      {stack, peer} = {start(), peer()}
      assert Sippet.cancel(stack, request(:invite, peer)) == {:error, :no_transaction}
      assert_raise ArgumentError, fn -> Sippet.cancel(stack, request(:options, peer)) end
      assert_raise ArgumentError, fn -> Sippet.cancel(stack, "INVITE") end
    end
  end

  defmodule Relay do
    # Answers an INVITE as the callee answers the one that it sends on.
    use Sippet.Core

    def receive_request(request, _key) do
      {stack, tester, invite} = :persistent_term.get(__MODULE__)
      send(tester, {:runner, self()})
      {:ok, response} = Sippet.request(stack, invite)
      Sippet.send(stack, Message.to_response(request, response.start_line.status_code))
    end

    def receive_response(_response, _key), do: :ok
  end

  # A call that the core relays: the caller's INVITE as text, and the INVITE that reached the callee.
  defp relayed(caller, callee) do
    stack = start()
    :persistent_term.put(Relay, {stack, self(), request(:invite, callee)})
    :ok = Sippet.register_core(stack, Relay)
    [%{address: {ip, port}}] = Sippet.Transport.list(stack)

    text =
      Enum.join(
        [
          "INVITE sip:relay@127.0.0.1 SIP/2.0",
          "Via: SIP/2.0/UDP 127.0.0.1:#{caller.port};branch=z9hG4bK#{caller.port}",
          "From: <sip:caller@127.0.0.1>;tag=caller",
          "To: <sip:relay@127.0.0.1>",
          "Call-ID: relayed-#{caller.port}",
          "CSeq: 1 INVITE",
          "Content-Length: 0",
          "",
          ""
        ],
        "\r\n"
      )

    :ok = :gen_udp.send(caller.socket, ip, port, text)
    receive_text(callee, "INVITE")
  end

  test "a callback of the core may make a request and wait" do
    {caller, callee} = {peer(), peer()}
    answer(callee, relayed(caller, callee), "486 Busy Here")
    receive_text(callee, "ACK")

    eventually(fn ->
      match?({:ok, {_, _, "SIP/2.0 486" <> _}}, :gen_udp.recv(caller.socket, 0, 500))
    end)
  end

  @tag :capture_log
  test "a callback that is killed as it waits costs a 500 above and a CANCEL below" do
    {caller, callee} = {peer(), peer()}
    sent = relayed(caller, callee)
    assert_receive {:runner, runner}
    Process.exit(runner, :kill)

    eventually(fn ->
      match?({:ok, {_, _, "SIP/2.0 500" <> _}}, :gen_udp.recv(caller.socket, 0, 500))
    end)

    answer(callee, sent, "180 Ringing")
    receive_text(callee, "CANCEL")
  end

  test "a request may be made while another one waits" do
    {stack, peer} = {start(), peer()}

    nested = fn _response ->
      assert status(Sippet.request(stack, request(:options, peer))) == 200
    end

    task = async(fn -> Sippet.request(stack, request(:invite, peer), on_provisional: nested) end)
    sent = receive_text(peer, "INVITE")
    answer(peer, sent, "180 Ringing")
    inner = receive_text(peer, "OPTIONS")
    answer(peer, sent, "603 Decline")
    receive_text(peer, "ACK")
    answer(peer, inner, "200 OK")
    assert status(result(task)) == 603
  end

  defp ack(invite, response) do
    invite
    |> Map.put(:start_line, %{invite.start_line | method: :ack})
    |> Message.put_header(:to, response.headers.to)
    |> Message.put_header(:cseq, {1, :ack})
    |> Message.put_header(:via, [
      {{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => Message.create_branch(), "rport" => ""}}
    ])
  end
end
