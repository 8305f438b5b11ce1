defmodule Sippet.Integration.CustomTransportTest do
  # Transports of other people's: as Sippet 1.x has them, and as the behaviour of today.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, eventually: 1]
  import Sippet.Test.Wire

  alias Sippet.{Message, Router, Transaction}
  alias Sippet.Test.Stack
  alias Sippet.Transactions.{Client, Server}
  alias Sippet.Transport.Framer

  defmodule Pigeon do
    # What it is to send goes to the test; what the test says is what it answers.
    use GenServer

    def start_link(options), do: GenServer.start_link(__MODULE__, options)

    @impl true
    def init({stack, reliable, test}) do
      {:ok, test, {:continue, {stack, reliable}}}
    end

    @impl true
    def handle_continue({stack, reliable}, test) do
      send(test, {:registered, Sippet.register_transport(stack, :sctp, reliable)})
      {:noreply, test}
    end

    @impl true
    def handle_call({:send_message, _message, _host, _port, _key} = call, _from, test) do
      send(test, call)
      {:reply, :ok, test}
    end
  end

  defmodule Loft do
    @behaviour Sippet.Transport

    @impl true
    def transmit(pid, connection, remote, data) do
      send(pid, {:transmit, connection, remote, data})
      if remote == {{192, 0, 2, 9}, 9}, do: {:error, :shot}, else: :ok
    end
  end

  defp start_pigeon(reliable \\ false) do
    stack = start(udp: [])
    pid = start_supervised!({Pigeon, {stack, reliable, self()}})
    assert_receive {:registered, :ok}
    {stack, pid}
  end

  defp pigeon_request(method, options \\ []) do
    request = Stack.request(method, {{192, 0, 2, 1}, 5062}, options)
    [{version, :udp, sent_by, parameters}] = request.headers.via

    %{request | target: {:sctp, "loft.example.com", 5062}}
    |> Message.put_header(:via, [{version, :sctp, sent_by, parameters}])
  end

  # A transport that delivers to the test what is sent.
  defp loft(stack) do
    {:ok, transport} =
      Sippet.Transport.register(stack,
        module: Loft,
        handle: self(),
        protocol: :sctp,
        reliable: true,
        address: {{192, 0, 2, 1}, 5062}
      )

    transport
  end

  defp reject(stack, transport, remote, head, status_code) do
    stack
    |> Sippet.Stack.fetch!()
    |> Router.reject_message(transport, 7, remote, head, status_code)
  end

  defp on_pigeon(text), do: String.replace(text, "SIP/2.0/UDP", "SIP/2.0/SCTP")

  describe "a process of 1.x" do
    test "is called with the message, where it goes and its key" do
      {stack, _pid} = start_pigeon()
      request = pigeon_request(:options)
      assert :ok = Sippet.send(stack, request)

      key = Client.Key.new(request)
      assert_receive {:send_message, message, "loft.example.com", 5062, ^key}
      assert message.start_line == request.start_line
      assert message.headers.call_id == request.headers.call_id

      response = Message.to_string(Message.to_response(message, 200))
      assert :ok = Router.handle_transport_message(stack, response, {:sctp, "192.0.2.1", 5062})
      assert_receive {^stack, :response, %{start_line: %{status_code: 200}}, ^key}
    end

    test "takes the responses to what it handed in, to address and port of its Via (§18.2.2)" do
      {stack, _pid} = start_pigeon()
      via = "SIP/2.0/SCTP 192.0.2.1:5099;branch=z9hG4bKpigeon"
      bytes = request("OPTIONS", nil, via: via, call_id: "p")
      assert :ok = Router.handle_transport_message(stack, bytes, {:sctp, {192, 0, 2, 1}, 7})

      assert_receive {^stack, :request, request, %Server.Key{branch: "z9hG4bKpigeon"} = key}
      assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      assert_receive {:send_message, response, "192.0.2.1", 5099, ^key}
      assert response.start_line.status_code == 200
    end

    test "is told that it is reliable: nothing is repeated (§17.1.2.2)" do
      {stack, _pid} = start_pigeon(true)
      request = pigeon_request(:options)
      assert Sippet.reliable?(stack, request)
      Sippet.send(stack, request)
      assert_receive {:send_message, _, _, _, _}
      refute_receive {:send_message, _, _, _, _}, 600
    end

    test "gets what one process sends in its order" do
      {stack, _pid} = start_pigeon(true)

      for number <- 1..200,
          do: Sippet.send(stack, pigeon_request(:message, cseq: number, call_id: "ordered"))

      for number <- 1..200 do
        assert_receive {:send_message, message, _, _, _}
        assert message.headers.cseq == {number, :message}
      end
    end

    test "that dies is an error of the transaction (§17.1.4)" do
      {stack, pid} = start_pigeon()
      :sys.suspend(pid)
      request = pigeon_request(:options)
      key = Client.Key.new(request)
      Sippet.send(stack, request)
      Process.exit(pid, :kill)
      assert_receive {^stack, :error, reason, ^key}
      assert reason in [:killed, :noproc]
    end

    test "tells of its errors later" do
      {stack, _pid} = start_pigeon()
      request = pigeon_request(:options)
      key = Client.Key.new(request)
      Sippet.send(stack, request)
      assert :ok = Router.receive_transport_error(stack, key, :hawk)
      assert_receive {^stack, :error, :hawk, ^key}
      assert :ok = Router.receive_transport_error(stack, key, :hawk)
      assert :ok = Router.receive_transport_error(stack, nil, :hawk)
      refute_receive {^stack, :error, _, _}, 20
    end

    test "may hand in anything" do
      {stack, _pid} = start_pigeon()

      for bytes <- ["", "\r\n", "x", <<0, 255>>, ["iodata", [?\n]]],
          host <- ["192.0.2.1", {192, 0, 2, 1}, "2001:db8::1"] do
        assert :ok = Router.handle_transport_message(stack, bytes, {:sctp, host, 5060})
      end

      assert :ok = Router.handle_transport_message(stack, "x", {:unknown, "192.0.2.1", 5060})
      assert Transaction.count(stack) == 0
    end

    test "is one for each protocol" do
      {stack, _pid} = start_pigeon()
      assert {:error, :already_registered} = Sippet.register_transport(stack, :sctp, true)
      Stack.start_udp(stack)
      assert {:error, :already_registered} = Sippet.register_transport(stack, :udp, false)

      assert [%{protocol: :sctp, address: nil}, %{protocol: :udp}] = Sippet.Transport.list(stack)
    end
  end

  describe "a transport by the behaviour" do
    test "has its module called, and hands in what it receives" do
      stack = start(udp: [])
      transport = loft(stack)
      assert [^transport] = Sippet.Transport.list(stack)
      bytes = on_pigeon(request("OPTIONS", nil, via: "SIP/2.0/UDP h;branch=z9hG4bKl"))
      assert :ok = Sippet.Transport.receive_message(transport, 7, {{192, 0, 2, 2}, 5}, bytes)
      assert_receive {^stack, :request, request, _key}
      assert %Sippet.Flow{connection: 7, remote: {{192, 0, 2, 2}, 5}} = request.source

      assert :ok = Sippet.send(stack, Message.to_response(request, 200))

      # A connection takes its responses back; the address is that of a new one, should it be closed (§18.2.2).
      assert_receive {:transmit, 7, {{192, 0, 2, 2}, 5060}, "SIP/2.0 200 OK\r\n" <> _}
      eventually(fn -> Transaction.count(stack) == 0 end)
    end

    test "that takes messages out of a stream may hand in larger ones than a datagram has (§18.3)" do
      stack = start(udp: [])
      transport = loft(stack)
      body = String.duplicate("x", 200_000)
      bytes = request("MESSAGE", nil, via: "SIP/2.0/SCTP h;branch=z9hG4bKl", body: body)
      framer = Framer.new(Sippet.Stack.fetch!(stack).limits)

      assert {[{:message, message}], nil} = Framer.push(framer, bytes)
      assert :ok = Sippet.Transport.receive_message(transport, 7, {{192, 0, 2, 2}, 5}, message)
      assert_receive {^stack, :request, %{body: ^body}, _key}
    end

    test "has what a stream breaks off in answered by its connection, if it is enough of a request" do
      stack = start(udp: [])
      transport = loft(stack)
      remote = {{192, 0, 2, 2}, 5}
      bytes = request("OPTIONS", nil, via: "SIP/2.0/SCTP h;branch=z9hG4bKl", call_id: "broken")

      for {change, status} <- [
            {{~r/Content-Length: 0\r\n/, ""}, "400 Bad Request"},
            {{~r/Content-Length: 0/, "Content-Length: -1"}, "400 Bad Request"},
            {{~r/Content-Length: 0/, "Content-Length: 99999999"}, "513 Message Too Large"},
            {{~r/Content-Length: 0/, "X: " <> String.duplicate("x", 9_000)},
             "513 Message Too Large"}
          ] do
        broken = String.replace(bytes, elem(change, 0), elem(change, 1))

        assert {[{:broken, status_code, _reason, head}], nil} =
                 Framer.push(Framer.new(Sippet.Stack.fetch!(stack).limits), broken)

        assert :ok = reject(stack, transport, remote, head, status_code)
        assert_receive {:transmit, 7, {{192, 0, 2, 2}, 5060}, answer}
        assert String.starts_with?(answer, "SIP/2.0 #{status}\r\n")
        assert field(answer, "Call-ID") == "broken"
        assert hd(fields(answer, "Via")) =~ ";received=192.0.2.2"
      end

      # A response, an ACK, and a head that ends before all is there that an answer needs.
      for head <- [
            String.replace(bytes, ~r/^.* SIP\/2.0\r/, "SIP/2.0 200 OK\r"),
            String.replace(bytes, "OPTIONS", "ACK"),
            bytes |> String.split("CSeq") |> hd(),
            ""
          ] do
        assert :ok = reject(stack, transport, remote, head, 400)
      end

      refute_received {:transmit, _, _, _}
      refute_received {^stack, _callback, _first, _key}
      assert %{rejected_messages: 8, stateless_replies: 4} = Transaction.counters(stack)
    end

    test "whose module cannot send fails the transaction (§17.1.4)" do
      stack = start(udp: [])

      {:ok, _transport} =
        Sippet.Transport.register(stack,
          module: Loft,
          handle: self(),
          protocol: :sctp,
          reliable: false,
          address: {{192, 0, 2, 1}, 5062}
        )

      request = %{pigeon_request(:options) | target: {:sctp, "192.0.2.9", 9}}
      key = Client.Key.new(request)
      assert :ok = Sippet.send(stack, request)
      assert_receive {^stack, :error, :shot, ^key}
    end
  end
end
