defmodule Sippet.Integration.BadInputTest do
  # What no peer should send, a thousand times each: it does no harm to who sends, the log, or the memory.
  #
  # The floods go one after another, since the log is everyone's; the timers that they leave run out together.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import Sippet.Test.Wire

  alias Sippet.Test.{Logged, Peer, Registrar, Stack}

  @count 1_000
  @t1 50

  @cases [
    :no_via,
    :empty_via,
    :timestamp_nan,
    :rport_abc,
    :one_letter_fields,
    :random_bytes,
    :commas_in_via,
    :content_length_negative,
    :content_length_huge,
    :content_length_longer,
    :content_length_shorter,
    :raising_core,
    :tel_uri,
    :stray_response,
    :nul_bytes,
    :start_line_alone,
    :crlf_alone
  ]

  defp datagram(:no_via, peer, number),
    do: options(peer, number) |> String.replace(~r/^Via: .*\r\n/m, "")

  defp datagram(:empty_via, peer, number),
    do: options(peer, number) |> String.replace(~r/^Via: .*\r$/m, "Via: \r")

  defp datagram(:timestamp_nan, peer, number),
    do: options(peer, number, fields: ["Timestamp: nan"])

  defp datagram(:rport_abc, peer, number),
    do: options(peer, number, via_parameters: ";rport=abc")

  defp datagram(:one_letter_fields, peer, number),
    do: options(peer, number, fields: [Enum.map(1..6_000, fn _ -> "s:" end)])

  defp datagram(:random_bytes, _peer, number) do
    {bytes, _state} = :rand.bytes_s(65_507, :rand.seed_s(:exsss, {3261, number, 1}))
    bytes
  end

  defp datagram(:commas_in_via, peer, number),
    do: options(peer, number) |> String.replace(";rport\r\n", ";rport" <> commas() <> "\r\n")

  defp datagram(:content_length_negative, peer, number), do: content_length(peer, number, "-1")

  defp datagram(:content_length_huge, peer, number),
    do: content_length(peer, number, "18446744073709551616")

  defp datagram(:content_length_longer, peer, number), do: content_length(peer, number, "9999")
  defp datagram(:content_length_shorter, peer, number), do: content_length(peer, number, "1")

  defp datagram(:raising_core, peer, number), do: request("RAISE", peer, numbered(number))

  defp datagram(:tel_uri, peer, number),
    do: options(peer, number, uri: "tel:+1-212-555-0101")

  defp datagram(:stray_response, peer, number),
    do: response(request("INVITE", peer, numbered(number)), "200 OK")

  defp datagram(:nul_bytes, peer, number),
    do: options(peer, number, fields: ["Subject: a" <> <<0, 0>> <> "b"]) <> <<0>>

  defp datagram(:start_line_alone, _peer, _number),
    do: "OPTIONS sip:service@example.com SIP/2.0\r\n"

  defp datagram(:crlf_alone, _peer, _number), do: "\r\n\r\n"

  defp options(peer, number, options \\ []),
    do: request("OPTIONS", peer, numbered(number) ++ options)

  defp content_length(peer, number, length) do
    request("MESSAGE", peer, [body: "four"] ++ numbered(number))
    |> String.replace("Content-Length: 4", "Content-Length: " <> length)
  end

  defp numbered(number),
    do: [branch: "z9hG4bKbad#{number}", call_id: "bad#{number}", from_tag: "bad#{number}"]

  defp commas, do: String.duplicate(",", 10_000)

  setup_all do
    for name <- @cases, into: %{} do
      stack = Stack.start(core: nil, t1: @t1, t2: 8 * @t1, t4: 10 * @t1)
      Registrar.register(stack)
      peer = Peer.open()
      address = Stack.address(stack)

      {seconds, log} = logged_by(name, fn -> flood(name, peer, address, 0) end)
      Peer.flush(peer)
      probe(peer, address)
      {name, %{stack: stack, log: log, seconds: seconds}}
    end
  end

  defp flood(name, peer, address, first) do
    for number <- (first + 1)..(first + @count) do
      bytes = datagram(name, peer, number)
      Peer.send(peer, address, bytes)
      # What the socket's buffer cannot hold would not be a test.
      if rem(number * byte_size(bytes), 40_000) < byte_size(bytes), do: probe(peer, address)
    end

    probe(peer, address)
  end

  # What is logged meanwhile, and the seconds that were begun. The count of what was not logged comes a second after the
  # first failure.
  defp logged_by(name, flood) do
    began = System.monotonic_time(:millisecond)

    log =
      capture_log(fn ->
        if name == :raising_core,
          do: Logged.until("more callbacks of the core of", flood),
          else: flood.()
      end)

    {div(System.monotonic_time(:millisecond) - began, 1_000) + 1, log}
  end

  # Ten a second, and how many there were more.
  defp most_lines(:raising_core, seconds), do: 11 * seconds
  defp most_lines(_name, _seconds), do: 0

  # An OPTIONS of its own is answered, whatever comes before the answer.
  defp probe(peer, address) do
    id = "probe#{unique()}"
    Peer.send(peer, address, request("OPTIONS", peer, call_id: id))
    await(peer, id)
  end

  defp await(peer, id) do
    response = Peer.await(peer, "SIP/2.0 200 ")
    if field(response, "Call-ID") != id, do: await(peer, id)
  end

  for name <- @cases do
    test "#{@count} times #{name |> to_string() |> String.replace("_", " ")} do no harm",
         context do
      %{stack: stack, log: log, seconds: seconds} = Map.fetch!(context, unquote(name))
      lines = length(Regex.scan(~r/\[(error|warning|warn|info|debug)\]/, log))
      assert lines <= most_lines(unquote(name), seconds), log
      if unquote(name) == :raising_core, do: assert(log =~ "more callbacks of the core of")

      # 64·T1 after the last of them.
      Stack.eventually(64 * @t1 + 20_000, fn -> Sippet.Transaction.count(stack) == 0 end)

      counters = Sippet.Transaction.counters(stack)
      assert counters.lost_shards == 0
      assert seen(unquote(name), counters) >= @count, inspect(counters)
    end
  end

  defmodule RaisingDemo do
    # The demo's core, with something that raises in front of it.
    use Sippet.Core

    def receive_request(%{start_line: %{method: "RAISE"}}, _key), do: raise("on purpose")
    defdelegate receive_request(request, key), to: Demo.Server
    defdelegate receive_response(response, key), to: Demo.Server
    defdelegate receive_error(reason, key), to: Demo.Server
  end

  test "the demo server takes them all" do
    start_supervised!(
      {Demo.Server,
       port: 0,
       address: "127.0.0.1",
       core: RaisingDemo,
       stack: [t1: @t1, t2: 8 * @t1, t4: 10 * @t1]}
    )

    peer = Peer.open()
    address = Demo.Server.address()
    # The one that is logged comes last.
    cases = List.delete(@cases, :raising_core) ++ [:raising_core]

    for {name, index} <- Enum.with_index(cases) do
      {seconds, log} =
        logged_by(name, fn ->
          flood(name, peer, address, index * @count)
          Peer.flush(peer)
        end)

      if name == :raising_core,
        do: assert(length(Regex.scan(~r/\[error\]/, log)) in 11..most_lines(name, seconds)),
        else: assert({name, log} == {name, ""})
    end

    Stack.eventually(64 * @t1 + 20_000, fn -> Sippet.Transaction.count(:demo_server) == 0 end)
    counters = Sippet.Transaction.counters(:demo_server)
    assert {counters.lost_shards, counters.core_failures} == {0, @count}
  end

  # What shows that they have arrived.
  defp seen(name, counters) when name in [:timestamp_nan, :rport_abc, :tel_uri],
    do: counters.received_requests

  defp seen(:content_length_shorter, counters),
    do: counters.received_requests

  defp seen(:raising_core, counters), do: counters.core_failures
  defp seen(:stray_response, counters), do: counters.stray_responses
  defp seen(:crlf_alone, counters), do: counters.keep_alives
  defp seen(_name, counters), do: counters.rejected_messages
end
