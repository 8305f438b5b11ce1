defmodule Sippet.Guides.RoutingTest do
  # The tables of guides/routing.md: a test for each row.
  use ExUnit.Case, async: true

  import Sippet.Test.Resolving, only: [start_stack: 1, address: 2]

  alias Sippet.{Flow, Message, TransportError, URI}
  alias Sippet.Test.{Core, Guide, Recording, Stack}

  @zone %{
    "_sip._udp.biloxi.example" => %{srv: [{0, 0, 5080, "s1.biloxi.example"}]},
    "s1.biloxi.example" => %{a: ["192.0.2.21"]},
    "gw.example" => %{a: ["192.0.2.22"]}
  }

  @all [:udp, :tcp, :tls, :ws, :wss]

  defp stack(protocols, options \\ []) do
    sippet =
      if options == [] do
        {_server, sippet} = start_stack(@zone)
        sippet
      else
        Stack.start([udp: [], core: nil] ++ options)
      end

    Core.register(sippet, :forward)
    {sippet, Recording.start(sippet, protocols)}
  end

  defp request(uri, options \\ []) do
    method = Keyword.get(options, :method, :options)
    request = Stack.request(method, {{127, 0, 0, 1}, 1}, [uri: uri] ++ options)
    %{request | target: options[:target]}
  end

  # What a cell of the column "And" makes of a stack's protocols and a request.
  defp apply_to(request, "the Via says " <> protocol) do
    Message.update_header_front(request, :via, fn {version, _protocol, sent_by, parameters} ->
      {version, Message.to_protocol(protocol), sent_by, parameters}
    end)
  end

  defp apply_to(request, "Route " <> route),
    do: Message.put_header(request, :route, route(Guide.wire(route)))

  defp apply_to(request, "target `" <> _ = cell) do
    {target, []} = cell |> Guide.wire() |> Code.eval_string()
    %{request | target: target}
  end

  defp apply_to(request, _cell), do: request

  defp route(text) do
    {:ok, message} = Guide.parse("Route: #{text}", :strict)
    message.headers.route
  end

  defp where({ip, port}) when tuple_size(ip) in [4, 8], do: address(ip, port)

  # The protocol of the transport, the peer, the bytes.
  defp sent do
    assert_receive {:sent, protocol, remote, data}, 2_000
    {protocol |> Atom.to_string() |> String.upcase(), where(remote), data}
  end

  defp field(data, name) do
    for [_, value] <- Regex.scan(~r/^#{name}: ([^\r]*)\r$/m, data), do: value
  end

  for {[uri, condition, protocol, goes], index} <-
        Enum.with_index(Guide.table("routing.md", "The next hop")) do
    @row {uri, condition, protocol, goes}
    test "next hop #{index}: #{uri} #{condition}" do
      {uri, condition, protocol, goes} = @row
      words = String.split(condition)
      only = for word <- words, word in ~w(UDP TCP WSS), do: Message.to_protocol(word)
      {sippet, _} = stack(if(condition =~ "there is", do: only, else: @all))
      request = uri |> Guide.wire() |> request()

      request =
        if condition =~ "target the flow" do
          [%{id: id} | _] = Sippet.Transport.list(sippet)
          %{request | target: %Flow{transport: id, connection: 0, remote: {{192, 0, 2, 6}, 5062}}}
        else
          apply_to(request, condition)
        end

      case protocol do
        "error" ->
          {reason, []} = goes |> Guide.wire() |> Code.eval_string()
          assert {:error, %TransportError{reason: ^reason}} = Sippet.send(sippet, request)
          refute_received {:sent, _, _, _}
          refute_received {^sippet, _, _, _}

        protocol ->
          assert Sippet.send(sippet, request) == :ok
          assert {^protocol, ^goes, data} = sent()
          assert data =~ "OPTIONS #{Guide.wire(uri)} SIP/2.0\r\n"
          assert [via] = field(data, "Via")
          assert via =~ ~r{^SIP/2.0/#{protocol} 127.0.0.1}
      end
    end
  end

  for {[route, condition, goes, uri, leaves], index} <-
        Enum.with_index(Guide.table("routing.md", "Route")) do
    @row {route, condition, goes, uri, leaves}
    test "Route #{index}: #{route} #{condition}" do
      {route, condition, goes, uri, leaves} = @row
      {sippet, _} = stack(@all)

      request =
        "sip:bob@192.0.2.4"
        |> request()
        |> Message.put_header(:route, route(Guide.wire(route)))
        |> apply_to(condition)

      case String.split(goes, " ") do
        ["error", reason] ->
          {reason, []} = reason |> Guide.wire() |> Code.eval_string()
          assert {:error, %TransportError{reason: ^reason}} = Sippet.send(sippet, request)

        [protocol, address] ->
          assert Sippet.send(sippet, request) == :ok
          assert {^protocol, ^address, data} = sent()
          assert data =~ "OPTIONS #{Guide.wire(uri)} SIP/2.0\r\n"
          assert data |> field("Route") |> Enum.join(", ") == Guide.wire(leaves)
      end
    end
  end

  # A request of so many bytes as it leaves by UDP.
  defp long(uri, bytes, options) do
    request = request(uri, options)
    empty = request |> Message.put_header(:subject, "") |> Message.to_string() |> byte_size()
    Message.put_header(request, :subject, String.duplicate("x", bytes - empty))
  end

  for {[what, condition, goes], index} <- Enum.with_index(Guide.table("routing.md", "Length")) do
    @row {what, condition, goes}
    test "length #{index}: #{what} #{condition}" do
      {what, condition, goes} = @row
      [bytes] = Regex.run(~r/[0-9]+/, what)
      options = if condition =~ "max_udp", do: [max_udp_request_bytes: 1_400], else: []
      protocols = if condition =~ "no TCP", do: [:udp], else: @all
      {sippet, refuses} = stack(protocols, options)
      parameter = Regex.run(~r/;?transport=[a-z]+/, condition) || [""]
      uri = "sip:bob@192.0.2.4" <> String.replace_prefix(hd(parameter), "t", ";t")
      method = if what =~ "ACK", do: :ack, else: :options
      request = long(uri, String.to_integer(bytes), method: method)
      [udp | _] = Sippet.Transport.list(sippet)
      remote = {{192, 0, 2, 4}, 5060}
      if condition =~ "refused", do: :ets.insert(refuses, {remote})

      request =
        cond do
          condition =~ "target is `{" ->
            %{request | target: {:udp, "192.0.2.4", 5060}}

          condition =~ "flow" ->
            %{request | target: %Flow{transport: udp.id, connection: 0, remote: remote}}

          true ->
            request
        end

      assert Sippet.send(sippet, request) == :ok
      [protocol | _] = String.split(goes, [" ", ","])
      assert {^protocol, _, data} = sent()
      assert [via] = field(data, "Via")
      assert via =~ "SIP/2.0/#{protocol} "

      cond do
        goes =~ "without a try" ->
          assert_received {:connect, :tcp, ^remote}
          assert Sippet.send(sippet, put_in_branch(request)) == :ok
          assert {"UDP", _, _} = sent()
          refute_received {:connect, :tcp, _}

        goes =~ "then UDP" ->
          assert_received {:transaction, :tcp, transaction}
          Sippet.Transport.report_failure(sippet, transaction, :connection_closed)
          assert {"UDP", _, data} = sent()
          assert [via] = field(data, "Via")
          assert via =~ "SIP/2.0/UDP "

        true ->
          :ok
      end

      refute_received {:sent, _, _, _}
    end
  end

  defp put_in_branch(request) do
    Message.update_header_front(request, :via, fn {version, protocol, sent_by, parameters} ->
      {version, protocol, sent_by, %{parameters | "branch" => Message.create_branch()}}
    end)
  end

  test "Sippet.request/3 goes the same ways" do
    {sippet, _} = stack(@all)
    test = self()

    for {request, expected} <- [
          {request("sip:bob@biloxi.example"), {"UDP", "192.0.2.21:5080"}},
          {apply_to(request("sip:bob@192.0.2.4"), "Route `<sip:192.0.2.7>`"),
           {"UDP", "192.0.2.7:5060"}},
          {long("sip:bob@192.0.2.4", 1_301, []), {"TCP", "192.0.2.4:5060"}}
        ] do
      spawn(fn -> send(test, {:result, Sippet.request(sippet, request, timeout: 5_000)}) end)
      assert {protocol, address, data} = sent()
      assert {protocol, address} == expected
      [response] = [Message.to_response(Message.parse!(data), 200)]
      [udp | _] = Sippet.Transport.list(sippet)
      Sippet.Transport.receive_message(udp, {{192, 0, 2, 4}, 5060}, Message.to_string(response))
      assert_receive {:result, {:ok, %{start_line: %{status_code: 200}}}}, 2_000
    end

    assert {:error, %TransportError{reason: :no_destination}} =
             Sippet.request(sippet, request("tel:+12015550123"))
  end

  test "a dialog's request behind a strict router is not turned twice" do
    {sippet, _} = stack(@all)

    for route <- ["<sip:192.0.2.7>", "<sip:192.0.2.7>, <sip:192.0.2.8;lr>", "<sips:192.0.2.7>"] do
      {uri, routes, target} =
        Sippet.Dialog.Route.apply(route(route), URI.parse!("sip:bob@192.0.2.4"), :udp)

      request = request(uri, target: target) |> Message.put_header(:route, routes)
      assert Sippet.send(sippet, request) == :ok
      assert {_, "192.0.2.7:" <> _, data} = sent()
      assert data =~ ~r{^OPTIONS sips?:192.0.2.7 SIP/2.0\r\n}
      assert data |> field("Route") |> Enum.join(", ") |> String.ends_with?("<sip:bob@192.0.2.4>")
      refute data |> field("Route") |> Enum.join(", ") =~ "192.0.2.7"
    end
  end

  test "a CANCEL goes where its INVITE went, whatever leads there now" do
    {sippet, _} = stack(@all)
    invite = request("sip:bob@gw.example;transport=tcp", method: :invite)
    assert Sippet.send(sippet, invite) == :ok
    assert {"TCP", "192.0.2.22:5060", data} = sent()
    # A CANCEL as a core makes it: the same branch, nothing else of the way.
    cancel = %{invite | start_line: %{invite.start_line | method: :cancel}}
    cancel = Message.put_header(cancel, :cseq, {1, :cancel})

    cancel = %{
      cancel
      | start_line: %{cancel.start_line | request_uri: URI.parse!("sip:bob@nobody.example")}
    }

    assert Sippet.send(sippet, cancel) == :ok
    ringing = Message.to_response(Message.parse!(data), 180)
    [udp | _] = Sippet.Transport.list(sippet)
    Sippet.Transport.receive_message(udp, {{192, 0, 2, 22}, 5060}, Message.to_string(ringing))
    assert {"TCP", "192.0.2.22:5060", "CANCEL " <> _ = left} = sent()
    assert left =~ "Via: SIP/2.0/TCP "
  end
end
