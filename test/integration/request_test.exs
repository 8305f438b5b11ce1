defmodule Sippet.Integration.RequestTest do
  # Sippet.request/3 over real sockets, against peers made of a socket and text.
  use ExUnit.Case, async: true

  import Sippet.Test.Waiting

  alias Sippet.Message

  describe "a request other than INVITE" do
    test "is answered to its caller, and to nobody else (§17.1.2)" do
      {stack, peer} = {start(), peer()}
      task = async(fn -> {Sippet.request(stack, request(:options, peer)), mailbox()} end)
      answer(peer, receive_text(peer, "OPTIONS"), "200 OK", fields: ["Allow: INVITE, BYE"])
      assert {{:ok, response}, []} = result(task)
      assert response.start_line.status_code == 200
      assert response.headers.allow == ["INVITE", "BYE"]
      refute_received {:core, _}
    end

    test "may have provisional responses, which come in order" do
      {stack, peer, test} = {start(), peer(), self()}
      tell = fn response -> send(test, {:code, self(), response.start_line.status_code}) end

      {pid, _} =
        task =
        async(fn -> Sippet.request(stack, request(:message, peer), on_provisional: tell) end)

      sent = receive_text(peer, "MESSAGE")
      for code <- [100, 182, 183], do: answer(peer, sent, "#{code} Wait")
      answer(peer, sent, "202 Accepted")
      assert status(result(task)) == 202
      assert_received {:code, ^pid, 100}
      assert_received {:code, ^pid, 182}
      assert_received {:code, ^pid, 183}
    end

    test "fails as the core would be told (§8.1.3.1)" do
      {stack, peer} = {start(t1: 5), peer()}
      assert Sippet.request(stack, request(:options, peer)) == {:error, :timeout}

      assert {:error, %Sippet.TransportError{reason: :no_transport}} =
               Sippet.request(stack, %{
                 request(:options, peer)
                 | target: {:tcp, "127.0.0.1", 5060}
               })

      big = %{request(:message, peer) | body: String.duplicate("x", 70_000)}
      assert Sippet.request(stack, big) == {:error, :emsgsize}
      assert mailbox() == []
    end

    test "whose branch is in use is not sent" do
      {stack, peer} = {start(), peer()}
      request = request(:options, peer)
      :ok = Sippet.send(stack, request)
      assert Sippet.request(stack, request) == {:error, :already_started}
    end

    test "is no longer waited for after :timeout, and what comes then reaches nobody" do
      {stack, peer} = {start(), peer()}
      assert Sippet.request(stack, request(:bye, peer), timeout: 50) == {:error, :timeout}
      sent = receive_text(peer, "BYE")
      # It goes on: a BYE has to arrive.
      assert {_again, _from} = receive_text(peer, "BYE")
      answer(peer, sent, "180 What")
      answer(peer, sent, "200 OK")
      eventually(fn -> Enum.all?(all(stack), &(&1.state == :completed)) end)
      assert mailbox() == []
    end

    test "may be given up by :on_provisional" do
      {stack, peer} = {start(), peer()}
      give_up = fn _response -> :cancel end

      task =
        async(fn -> Sippet.request(stack, request(:options, peer), on_provisional: give_up) end)

      answer(peer, receive_text(peer, "OPTIONS"), "100 Trying")
      assert result(task) == {:error, :cancelled}
    end

    test "leaves the other messages of its caller where they are" do
      {stack, peer} = {start(), peer()}

      task =
        async(fn ->
          for number <- 1..3, do: send(self(), number)
          status = status(Sippet.request(stack, request(:options, peer)))
          {status, mailbox()}
        end)

      answer(peer, receive_text(peer, "OPTIONS"), "200 OK")
      assert result(task) == {200, [1, 2, 3]}
    end

    test "ends when its transaction is terminated, or its stack is stopped" do
      {stack, peer} = {start(), peer()}
      request = request(:options, peer)
      task = async(fn -> Sippet.request(stack, request) end)
      receive_text(peer, "OPTIONS")
      :ok = Sippet.terminate(stack, Sippet.Transactions.Client.Key.new(request))
      assert result(task) == {:error, :terminated}

      task = async(fn -> Sippet.request(stack, request(:options, peer)) end)
      receive_text(peer, "OPTIONS")
      :ok = stop_supervised({Sippet, stack})
      assert result(task) == {:error, :stopped}
    end

    @tag :capture_log
    test "ends when the supervisor of its stack is killed" do
      name = :"request_#{System.unique_integer([:positive])}"
      pid = start_supervised!(Supervisor.child_spec({Sippet, name: name}, restart: :temporary))
      start_supervised!({Sippet.Transports.UDP, name: name, port: 0, address: "127.0.0.1"})
      peer = peer()
      task = async(fn -> Sippet.request(name, request(:options, peer)) end)
      receive_text(peer, "OPTIONS")

      monitors =
        for {_, child, _, _} <- Supervisor.which_children(pid), do: Process.monitor(child)

      Process.exit(pid, :kill)
      assert result(task) == {:error, :stopped}
      for monitor <- monitors, do: assert_receive({:DOWN, ^monitor, _, _, _})
    end

    test "goes on when its caller is killed" do
      {stack, peer} = {start(), peer()}
      {pid, _} = async(fn -> Sippet.request(stack, request(:register, peer)) end)
      sent = receive_text(peer, "REGISTER")
      Process.exit(pid, :kill)
      assert {_again, _from} = receive_text(peer, "REGISTER")
      answer(peer, sent, "200 OK")
      eventually(fn -> Enum.all?(all(stack), &(&1.state == :completed)) end)
      refute_received {:core, _}
    end
  end

  describe ":authenticate" do
    test "sends the request again with what it makes of it (§22.2)" do
      {stack, peer, test} = {start(), peer(), self()}

      authenticate = fn request, response ->
        send(test, {:asked, response.start_line.status_code})

        name =
          if response.start_line.status_code == 401,
            do: :authorization,
            else: :proxy_authorization

        {:ok, Message.put_header(request, name, [{"Digest", %{"username" => "alice"}}])}
      end

      options = [authenticate: authenticate, on_request: &send(test, {:sent, &1})]
      task = async(fn -> Sippet.request(stack, request(:register, peer), options) end)
      {first, _} = sent = receive_text(peer, "REGISTER")
      answer(peer, sent, "407 Proxy Authentication Required", tag: "proxy")
      {second, _} = sent = receive_text(peer, "REGISTER")
      answer(peer, sent, "401 Unauthorized", tag: "registrar")
      {third, _} = sent = receive_text(peer, "REGISTER")
      answer(peer, sent, "200 OK")
      assert status(result(task)) == 200

      texts = [first, second, third]
      assert Enum.map(texts, &field(&1, "CSeq")) == ["1 REGISTER", "2 REGISTER", "3 REGISTER"]

      for name <- ~w(Call-ID From To),
          do: assert([_] = texts |> Enum.map(&field(&1, name)) |> Enum.uniq())

      refute field(third, "To") =~ "tag"
      assert [_, _, _] = texts |> Enum.map(&field(&1, "Via")) |> Enum.uniq()
      assert field(third, "Proxy-Authorization") =~ "alice"
      assert field(third, "Authorization") =~ "alice"
      assert_received {:asked, 407}
      assert_received {:asked, 401}
      for number <- 1..3, do: assert_received({:sent, %{headers: %{cseq: {^number, :register}}}})
    end

    test "that has nothing to offer makes the challenge the result" do
      {stack, peer} = {start(), peer()}

      for refusal <- [:error, {:error, :unknown_realm}] do
        authenticate = fn _request, _response -> refusal end

        task =
          async(fn ->
            Sippet.request(stack, request(:options, peer), authenticate: authenticate)
          end)

        answer(peer, receive_text(peer, "OPTIONS"), "401 Unauthorized")
        assert status(result(task)) == 401
      end
    end

    test "is not asked when the request was cancelled or its time is over" do
      {stack, peer} = {start(), peer()}
      authenticate = fn _request, _response -> flunk("it was asked") end
      options = [authenticate: authenticate, on_provisional: fn _response -> :cancel end]
      task = async(fn -> Sippet.request(stack, request(:invite, peer), options) end)
      sent = receive_text(peer, "INVITE")
      answer(peer, sent, "180 Ringing")
      receive_text(peer, "CANCEL")
      answer(peer, sent, "401 Unauthorized")
      receive_text(peer, "ACK")
      assert status(result(task)) == 401

      slow = fn request, _response ->
        Process.sleep(100)
        {:ok, request}
      end

      options = [authenticate: slow, timeout: 80]
      task = async(fn -> Sippet.request(stack, request(:options, peer), options) end)
      answer(peer, receive_text(peer, "OPTIONS"), "401 Unauthorized")
      assert result(task) == {:error, :timeout}
      assert silent?(peer, 50)
    end

    test "is asked so often and no more" do
      {stack, peer} = {start(), peer()}

      options = [authenticate: fn request, _ -> {:ok, request} end, max_authentications: 2]
      task = async(fn -> Sippet.request(stack, request(:options, peer), options) end)
      for _ <- 1..3, do: answer(peer, receive_text(peer, "OPTIONS"), "401 Unauthorized")
      assert status(result(task)) == 401
      assert silent?(peer, 50)
    end
  end

  describe "many" do
    test "requests from as many processes get each its own answer" do
      {stack, peer} = {start(), peer()}
      test = self()

      server =
        spawn_link(fn ->
          receive do
            :go -> echo(peer)
          end
        end)

      :ok = :gen_udp.controlling_process(peer.socket, server)
      send(server, :go)

      tasks =
        for number <- 1..500 do
          spawn_link(fn ->
            for turn <- 1..4 do
              request = request(:options, peer, call_id: "call-#{number}-#{turn}")
              assert {:ok, response} = Sippet.request(stack, request)
              assert response.headers.call_id == "call-#{number}-#{turn}"
            end

            assert mailbox() == []
            send(test, {:done, self()})
          end)
        end

      for pid <- tasks, do: assert_receive({:done, ^pid}, 20_000)
      refute_received {:core, _}
    end

    test "callers that are killed leave neither a process nor a transaction" do
      {stack, peer} = {start(t1: 10, t4: 50, timer_d: 50), peer()}

      callers =
        for _ <- 1..100, do: async(fn -> Sippet.request(stack, request(:invite, peer)) end)

      for {pid, _} <- callers, do: Process.exit(pid, :kill)
      for {_, monitor} <- callers, do: assert_receive({:DOWN, ^monitor, _, _, _})
      eventually(fn -> Sippet.Transaction.count(stack) == 0 end)
      refute_received {:core, _}
    end
  end

  test "mistakes of the caller's raise, and name what is wrong" do
    {stack, peer} = {start(), peer()}
    request = request(:options, peer)

    assert_raise ArgumentError, ~r/unknown option :timout/, fn ->
      Sippet.request(stack, request, timout: 1)
    end

    assert_raise ArgumentError, ~r/:timeout/, fn ->
      Sippet.request(stack, request, timeout: -1)
    end

    assert_raise ArgumentError, ~r/:on_provisional/, fn ->
      Sippet.request(stack, request, on_provisional: fn -> :ok end)
    end

    assert_raise ArgumentError, ~r/no ACK/, fn -> Sippet.request(stack, request(:ack, peer)) end

    assert_raise ArgumentError, ~r/no ACK/, fn ->
      Sippet.request(stack, Message.to_response(request, 200))
    end

    assert_raise ArgumentError, ~r/From|from/, fn ->
      Sippet.request(stack, Message.delete_header(request, :from))
    end

    assert mailbox() == []
    assert silent?(peer, 20)
  end

  defp echo(peer) do
    {:ok, {ip, port, text}} = :gen_udp.recv(peer.socket, 0, 20_000)
    answer(peer, {text, {ip, port}}, "200 OK")
    echo(peer)
  end
end
