defmodule Sippet.LoggerTest do
  # It logs for the whole VM: one test after another.
  use ExUnit.Case, async: false

  import ExUnit.CaptureLog
  import Sippet.Test.Wire

  alias Sippet.Logger.Text
  alias Sippet.Test.{Logged, Peer, Stack}

  setup do
    on_exit(&Sippet.Logger.detach/0)
    stack = Stack.start()
    %{stack: stack, peer: Peer.open(), address: Stack.address(stack)}
  end

  defp attach(context, options),
    do: :ok = Sippet.Logger.attach([stack: context.stack] ++ options)

  # A request, and wait until it has been seen.
  defp ask(%{stack: stack, peer: peer, address: address}, fields) do
    Peer.send(peer, address, request("OPTIONS", peer, fields: fields))
    assert_receive {^stack, :request, _, _}
  end

  test "messages are logged where they are asked for, without credentials", context do
    attach(context, level: :debug, messages: true)

    secret =
      ~s(Authorization: Digest username="alice", realm="r",\r\n nonce="n0nce", response="d00d")

    log = capture_log(fn -> ask(context, [secret]) end)
    assert log =~ "received from udp 127.0.0.1 port #{context.peer.port}\nOPTIONS sip:"
    assert log =~ "Authorization: Digest [redacted]\n"
    for word <- ["alice", "n0nce", "d00d"], do: refute(log =~ word)
  end

  test "without messages: nothing of what is in order", context do
    attach(context, [])
    assert capture_log(fn -> ask(context, []) end) == ""
  end

  test "an error of a transport, and the transaction that failed by it", context do
    %{stack: stack, peer: peer} = context
    attach(context, [])
    huge = Stack.request(:options, {peer.ip, peer.port})
    huge = %{huge | body: String.duplicate("x", 70_000)}

    log =
      capture_log(fn ->
        :ok = Sippet.send(stack, huge)
        assert_receive {^stack, :error, :emsgsize, _}
      end)

    assert log =~ "[warning]" or log =~ "[warn]"
    assert log =~ "could not be sent: :emsgsize"
    assert log =~ ~r/\[info\].*client transaction z9hG4bK\S+ options ended .*transport_error/
    :ok = Sippet.Logger.detach()
    attach(context, level: :warning)

    log =
      capture_log(fn ->
        :ok = Sippet.send(stack, Sippet.Message.put_header(huge, :via, via()))
        assert_receive {^stack, :error, :emsgsize, _}
      end)

    refute log =~ "client transaction"
  end

  defp via do
    branch = Sippet.Message.create_branch()
    [{{2, 0}, :udp, {"127.0.0.1", 5060}, %{"branch" => branch}}]
  end

  test "at most so many lines a second; how many more is told", context do
    attach(context, level: :debug, max_per_second: 3)
    %{peer: peer, address: address, stack: stack} = context

    log =
      capture_log(fn ->
        Logged.until("47 more lines", fn ->
          for _ <- 1..50, do: Peer.send(peer, address, "nonsense\r\n\r\n")
          Stack.eventually(fn -> Sippet.info(stack).counters.rejected_messages == 50 end)
        end)
      end)

    assert length(String.split(log, "were rejected: start_line")) == 4
    assert log =~ "47 more lines"
  end

  test "only the stack that is asked for", context do
    :ok = Sippet.Logger.attach(stack: :another, level: :debug, messages: true)
    assert capture_log(fn -> ask(context, []) end) == ""
    assert Sippet.Logger.attach() == {:error, :already_attached}
    assert Sippet.Logger.detach() == :ok
    assert Sippet.Logger.detach() == {:error, :not_attached}
  end

  test "an option that is not known, or not of its kind, is the caller's mistake" do
    for options <- [[levels: 1], [level: :loud], [messages: 1], [max_per_second: 0], [stack: "x"]],
        do: assert_raise(ArgumentError, fn -> Sippet.Logger.attach(options) end)
  end

  describe "redact/1" do
    test "hides what the credentials are, in any case and on further lines (§7.3.1)" do
      for {line, left} <- [
            {~s(Proxy-Authorization: Digest username="bob"\r\n ,response="x"),
             "Proxy-Authorization: Digest [redacted]"},
            {~s(PROXY-AUTHORIZATION : digest uri="sip:x"),
             "PROXY-AUTHORIZATION : digest [redacted]"},
            {"authorization:Basic Zm9vOmJhcg==", "authorization:Basic [redacted]"},
            {"Authorization:\r\n Digest response=1", "Authorization:[redacted]"},
            {~s(Authentication-Info: rspauth="x", nextnonce="y"),
             "Authentication-Info: [redacted]"}
          ] do
        redacted = Text.redact("REGISTER sip:a SIP/2.0\r\n#{line}\r\nCSeq: 1 REGISTER\r\n\r\n")
        assert redacted == "REGISTER sip:a SIP/2.0\n#{left}\nCSeq: 1 REGISTER"
      end
    end

    test "hides passwords of URIs, and leaves the rest" do
      assert Text.redact("INVITE sip:bob:pa55@biloxi.example:5070 SIP/2.0\r\n\r\n") ==
               "INVITE sip:bob:[redacted]@biloxi.example:5070 SIP/2.0"

      line = "Contact: <sip:bob@[::1]:5060>"
      assert Text.redact("A\r\n#{line}\r\n\r\n") == "A\n#{line}"
    end

    test "tells of the body only how long it is, and of no control character" do
      assert Text.redact("A\e[2J\r\n\r\na=key") == "A?[2J\n(5 bytes of body)"
    end
  end
end
