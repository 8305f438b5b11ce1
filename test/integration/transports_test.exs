defmodule Sippet.Integration.TransportsTest do
  # One suite over every transport: two stacks that talk to each other, and a bad network where there can be one.
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 1, address: 1, eventually: 2, request: 3]

  alias Sippet.{Dialog, Message}
  alias Sippet.Test.{Certificates, Core, LossyRelay}

  for transport <- [:udp, :lossy_udp, :tcp, :tls] do
    describe "#{transport}:" do
      setup do
        {:ok, pair(unquote(transport))}
      end

      test "requests are answered, many at a time", context do
        answer(context.callee, fn request -> Message.to_response(request, 200) end)

        statuses =
          1..50
          |> Task.async_stream(
            fn _ -> Sippet.request(context.caller, outgoing(:options, context)) end,
            max_concurrency: 50,
            timeout: 30_000
          )
          |> Enum.map(fn {:ok, {:ok, response}} -> response.start_line.status_code end)

        assert statuses == List.duplicate(200, 50)
        eventually(10_000, fn -> Sippet.Transaction.count(context.callee) == 0 end)
      end

      test "a refusal is acknowledged and comes once", context do
        answer(context.callee, fn request -> Message.to_response(request, 486) end)

        assert {:ok, %{start_line: %{status_code: 486}}} =
                 Sippet.request(context.caller, outgoing(:invite, context))

        eventually(10_000, fn -> Sippet.Transaction.count(context.callee) == 0 end)
      end

      test "a call is set up and torn down", context do
        %{callee: callee, caller: caller} = context
        test = self()

        Core.register(callee, fn
          :request, %{start_line: %{method: :invite}} = invite, _key ->
            Sippet.send(callee, Message.to_response(invite, 180))

            Sippet.send(callee, contact(Message.to_response(invite, 200), callee, context),
              until: :ack
            )

          :request, %{start_line: %{method: :ack}}, nil ->
            send(test, :acknowledged)

          :request, bye, _key ->
            Sippet.send(callee, Message.to_response(bye, 200))

          _callback, _first, _key ->
            :ok
        end)

        invite = contact(outgoing(:invite, context), caller, context)
        assert {:ok, %{start_line: %{status_code: 200}} = ok} = Sippet.request(caller, invite)
        {:ok, dialog} = Dialog.create_uac(invite, ok)
        target = invite.target

        ack = Dialog.build_ack(dialog, invite)
        assert :ok = Sippet.send(caller, %{via(ack, context) | target: target})
        assert_receive :acknowledged, 10_000

        {bye, _dialog} = Dialog.build_request(dialog, :bye)

        assert {:ok, %{start_line: %{status_code: 200}}} =
                 Sippet.request(caller, %{via(bye, context) | target: target})
      end
    end
  end

  for transport <- [:tcp, :tls] do
    test "#{transport}: bodies beyond any datagram go there and back" do
      context = pair(unquote(transport))

      answer(context.callee, fn request ->
        %{Message.to_response(request, 200) | body: request.body}
      end)

      body = String.duplicate("0123456789abcdef", 8_192)
      request = %{outgoing(:message, context) | body: body}
      assert {:ok, %{body: ^body}} = Sippet.request(context.caller, request)
    end
  end

  # Two stacks, and where the caller sends to.
  defp pair(:udp), do: pair(:udp, [t1: 40, t2: 160, t4: 200], [])

  defp pair(:lossy_udp) do
    context = pair(:udp)

    {:ok, relay} =
      LossyRelay.start_link(callee: context.to, loss: 0.2, seed: :erlang.phash2(__MODULE__))

    Map.put(context, :to, LossyRelay.address(relay))
  end

  defp pair(:tcp), do: pair(:tcp, [], [])

  defp pair(:tls) do
    %{server: server, client: client} = Certificates.chains(server: [ip: <<127, 0, 0, 1>>])

    pair(:tls, [], Keyword.take(server, [:cert, :key]) ++ [cacerts: client[:cacerts]])
  end

  defp pair(protocol, stack, transport) do
    [caller, callee] =
      for _ <- 1..2, do: start([{protocol, [transport]}, {:core, nil} | stack] ++ udp(protocol))

    Core.register(caller, fn _callback, _first, _key -> :ok end)
    %{protocol: protocol, caller: caller, callee: callee, to: address(callee)}
  end

  defp udp(:udp), do: []
  defp udp(_stream), do: [udp: []]

  defp answer(stack, build) do
    Core.register(stack, fn
      :request, request, key when key != nil -> Sippet.send(stack, build.(request))
      _callback, _first, _key -> :ok
    end)
  end

  defp outgoing(method, %{to: {_ip, port}} = context) do
    request(method, context.to,
      protocol: context.protocol,
      target: {context.protocol, "127.0.0.1", port}
    )
  end

  defp via(message, context) do
    Message.put_header(message, :via, [
      {{2, 0}, context.protocol, {"127.0.0.1", 5060},
       %{"branch" => Message.create_branch(), "rport" => ""}}
    ])
  end

  defp contact(message, stack, context) do
    {_ip, port} = address(stack)
    uri = Sippet.URI.parse!("sip:me@127.0.0.1:#{port};transport=#{context.protocol}")
    Message.put_header(message, :contact, [{"", uri, %{}}])
  end
end
