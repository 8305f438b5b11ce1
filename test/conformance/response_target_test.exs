defmodule Sippet.Conformance.ResponseTargetTest do
  # Where a response goes by the topmost Via of its request and the way that it came (RFC 3261 §18.2.2, RFC 3581 §4).
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1]
  import Sippet.Test.Wire

  alias Sippet.{Message, Transport}

  defmodule Wire do
    @moduledoc false
    @behaviour Transport

    @impl true
    def transmit(test, connection, remote, data) do
      send(test, {:transmit, connection, remote, IO.iodata_to_binary(data)})
      :ok
    end
  end

  @source {{192, 0, 2, 7}, 49_152}

  # The destination of the response to a request with this Via.
  defp destination(via, connection, how) do
    stack = start(udp: [])

    {:ok, transport} =
      Transport.register(stack,
        module: Wire,
        handle: self(),
        protocol: :udp,
        reliable: connection > 0,
        address: {{192, 0, 2, 1}, 5060}
      )

    via = "SIP/2.0/UDP #{via};branch=z9hG4bK#{unique()}"
    text = request("OPTIONS", nil, via: via)
    assert :ok = Transport.receive_message(transport, connection, @source, text)
    assert_receive {^stack, :request, request, _key}

    case how do
      :transaction -> assert :ok = Sippet.send(stack, Message.to_response(request, 200))
      :stateless -> assert :ok = Sippet.reply(stack, request, 200)
    end

    assert_receive {:transmit, ^connection, remote, "SIP/2.0 200 " <> _}
    remote
  end

  test "is maddr, then the source with rport, then its address at the port of sent-by, which is 5060 without one" do
    for how <- [:transaction, :stateless],
        {via, expected} <- [
          {"192.0.2.7", {{192, 0, 2, 7}, 5060}},
          {"192.0.2.7:5070", {{192, 0, 2, 7}, 5070}},
          {"client.example", {{192, 0, 2, 7}, 5060}},
          {"10.1.1.1:5070", {{192, 0, 2, 7}, 5070}},
          {"10.1.1.1:5070;rport", @source},
          {"10.1.1.1;rport=1;received=198.51.100.1", @source},
          {"10.1.1.1;received=198.51.100.1", {{192, 0, 2, 7}, 5060}},
          {"10.1.1.1;maddr=224.0.1.75", {{224, 0, 1, 75}, 5060}},
          {"10.1.1.1:5070;maddr=224.0.1.75;ttl=1", {{224, 0, 1, 75}, 5070}},
          {"10.1.1.1:5070;maddr=198.51.100.9;rport", {{198, 51, 100, 9}, 5070}}
        ] do
      assert {how, via, destination(via, 0, how)} == {how, via, expected}
    end
  end

  test "over a connection is who holds it, whatever the Via says" do
    # The address is for a transport that finds the connection closed: that of the source, at the port of sent-by.
    for how <- [:transaction, :stateless],
        {via, port} <- [
          {"192.0.2.7", 5060},
          {"10.1.1.1:5070;rport", 5070},
          {"10.1.1.1:5070;maddr=198.51.100.9", 5070}
        ],
        do: assert({how, via, destination(via, 9, how)} == {how, via, {{192, 0, 2, 7}, port}})
  end
end
