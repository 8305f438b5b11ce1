defmodule Sippet.Trace.PageTest do
  # Handlers of telemetry are the whole VM's: one test after another.
  use ExUnit.Case, async: false

  import Sippet.Test.Stack, only: [eventually: 1]

  alias Sippet.Test.{JSON, Stack, Wire, XML}
  alias Sippet.Trace
  alias Sippet.Trace.Page

  doctest Sippet.Trace.Page

  setup do
    stack = Stack.start(core: nil)
    {:ok, trace} = Trace.start(stack)
    %{stack: stack, trace: trace}
  end

  # Messages of a peer's, each answered 503 since there is no core.
  defp put(context, requests) do
    %{captured: before} = Trace.info(context.trace)

    for data <- requests,
        do: Sippet.Router.handle_transport_message(context.stack, data, {:udp, {127, 0, 0, 1}, 9})

    eventually(fn ->
      Trace.info(context.trace).captured == before + 2 * length(requests)
    end)
  end

  defp options(call_id, options \\ []),
    do: Wire.request("OPTIONS", %{ip: {127, 0, 0, 1}, port: 9}, [call_id: call_id] ++ options)

  defp get(trace, path, query \\ nil, options \\ [path: "/trace"]),
    do: Page.respond(%{method: "GET", path: path, query: query}, trace, options)

  defp header(headers, name) do
    [value] = for {^name, value} <- headers, do: value
    value
  end

  test "the page holds all it needs, and allows nothing else", %{trace: trace} do
    {200, headers, html} = get(trace, "/trace")
    assert {200, ^headers, ^html} = get(trace, "/trace/")
    assert header(headers, "Content-Type") == "text/html; charset=utf-8"
    policy = header(headers, "Content-Security-Policy")
    assert policy =~ "default-src 'none';"

    for {element, directive} <- [{"style", "style-src"}, {"script", "script-src"}] do
      [content] = Regex.run(~r/<#{element}>(.*?)<\/#{element}>/s, html, capture: :all_but_first)
      hash = Base.encode64(:crypto.hash(:sha256, content))
      assert policy =~ "#{directive} 'sha256-#{hash}';"
    end

    refute html =~ ~r/ (?:src|href|on\w+)=|@import|url\(|innerHTML/
  end

  test "the calls are told, the newest first", %{trace: trace} = context do
    put(context, [options("one"), options("two"), options("two")])
    {200, headers, body} = get(trace, "/trace/calls")
    assert header(headers, "Content-Type") == "application/json"

    assert %{"captured" => 6, "missed" => 0, "calls" => [two, one]} =
             JSON.decode!(IO.iodata_to_binary(body))

    assert %{
             "call_id" => "one",
             "messages" => 2,
             "id" => id,
             "first" => "OPTIONS sip:service@example.com",
             "title" => "OPTIONS peer to service"
           } = one

    assert Base.url_decode64!(id, padding: false) == "one"

    assert %{"call_id" => "two", "messages" => 4, "last" => "503 Service Unavailable (OPTIONS)"} =
             two

    [%{time: time} | _] = Trace.events(trace)
    assert one["begun"] == div(time, 1_000)
  end

  test "the ladder of one of them, and of all", %{trace: trace} = context do
    put(context, [options("one"), options("two"), options("two")])
    id = Base.url_encode64("two", padding: false)
    {200, headers, svg} = get(trace, "/trace/ladder", "call=" <> id)
    assert header(headers, "Content-Type") == "image/svg+xml"
    assert arrows(svg) == 4
    {200, _headers, svg} = get(trace, "/trace/ladder")
    assert arrows(svg) == 6

    {200, _headers, svg} =
      get(trace, "/trace/ladder", nil, path: "/trace", names: %{{127, 0, 0, 1} => "alice"})

    assert svg =~ ">alice</text>"
    assert {200, _, _} = get(trace, "/", nil, [])
    assert {200, _, _} = get(trace, "/ladder", nil, [])

    for query <- ["call=", "call=%%%", "call=dHdv=", "other=1", "call"],
        do: assert({400, _, ""} = get(trace, "/trace/ladder", query))
  end

  defp arrows(svg), do: length(XML.elements(XML.parse(svg), :g))

  test "what peers have sent is text in it", %{trace: trace} = context do
    hostile = ~s(</script>"\\u0041)
    put(context, [options(hostile, uri: "sip:%22%5c@example.com;x=%22")])
    {200, _headers, body} = get(trace, "/trace/calls")
    body = IO.iodata_to_binary(body)
    assert %{"calls" => [%{"call_id" => ^hostile, "id" => id}]} = JSON.decode!(body)
    assert {200, _, svg} = get(trace, "/trace/ladder", "call=" <> id)
    assert arrows(svg) == 2
  end

  test "other paths and methods, and a trace that has ended", %{trace: trace} do
    assert {404, _, _} = get(trace, "/traces")
    assert {404, _, _} = get(trace, "/trace/other")

    assert {405, headers, _} =
             Page.respond(%{method: "POST", path: "/trace", query: nil}, trace, path: "/trace")

    assert header(headers, "Allow") == "GET, HEAD"
    :ok = Trace.stop(trace)

    for path <- ["calls", "ladder"],
        do: assert({503, _, "the trace has ended"} = get(trace, "/trace/" <> path))

    assert_raise ArgumentError, fn -> get(trace, "/trace", nil, paths: "/") end
  end

  test "by the port of a WebSocket", %{stack: stack, trace: trace} = context do
    page = fn request -> Page.respond(request, trace, path: "/trace") end
    Stack.start_stream(Sippet.Transports.WS, stack, paths: ["/sip"], http: page)
    put(context, [options("one")])
    %{address: {_ip, port}} = Enum.find(Sippet.Transport.list(stack), &(&1.protocol == :ws))
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false])
    :ok = :gen_tcp.send(socket, "GET /trace/ladder?call=b25l HTTP/1.1\r\nHost: localhost\r\n\r\n")
    response = read(socket, "")
    [head, svg] = String.split(response, "\r\n\r\n", parts: 2)
    assert head =~ ~r/\AHTTP\/1\.1 200 /
    assert head =~ "Content-Type: image/svg+xml\r\n"
    assert arrows(svg) == 2
  end

  defp read(socket, text) do
    case :gen_tcp.recv(socket, 0, 5_000) do
      {:ok, more} -> read(socket, text <> more)
      {:error, :closed} -> text
    end
  end
end
