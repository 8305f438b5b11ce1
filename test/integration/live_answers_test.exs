defmodule Sippet.Integration.LiveAnswersTest do
  # What a stack answers by itself, and what it drops: the table of ARCHITECTURE.md, each line a test. What the core
  # answers is in demo_test.exs.
  use ExUnit.Case, async: true

  import Sippet.Test.Wire

  alias Sippet.Test.{Peer, Stack}

  @architecture Path.expand("../../ARCHITECTURE.md", __DIR__)

  @tested [100, 400, 408, 414, 481, 482, 500, 503, 505, 513]

  test "the table has these lines" do
    [_before, section] =
      String.split(File.read!(@architecture), "## What the stack answers by itself", parts: 2)

    statuses =
      for [status] <- Regex.scan(~r/^\| (\d{3}) \|/m, section, capture: :all_but_first),
          do: String.to_integer(status)

    assert statuses == @tested
  end

  defp start(options \\ []) do
    stack = Stack.start(options)
    {Peer.open(), Stack.address(stack), stack}
  end

  describe "100" do
    test "to an INVITE after 200 ms (§17.2.1)" do
      {peer, address, _stack} = start()
      invite = request("INVITE", peer)
      Peer.send(peer, address, invite)
      trying = Peer.expect(peer, "SIP/2.0 100 Trying\r\n")
      # §8.2.6.1, §8.2.6.2
      assert field(trying, "To") == field(invite, "To")
    end

    test "to another request when the client's timer E has reached T2 (RFC 4320 §4.1)" do
      # 50 + 100 + 200 ms
      {peer, address, _stack} = start(t1: 50, t2: 400)
      Peer.send(peer, address, request("OPTIONS", peer))
      Peer.refute_any(peer, 200)
      Peer.expect(peer, "SIP/2.0 100 Trying\r\n")
    end
  end

  describe "400" do
    for {what, change} <- [
          {"a malformed From", {~r/From: .*/, "From: <sip:peer@example.com"}},
          {"a malformed Call-ID", {~r/Call-ID: .*/, "Call-ID: one two"}},
          {"a CSeq without a method", {~r/CSeq: .*/, "CSeq: 1"}},
          {"a CSeq of another method", {~r/CSeq: .*/, "CSeq: 1 INVITE"}},
          {"two different Call-IDs", {~r/Call-ID: .*/, "Call-ID: one\r\nCall-ID: two"}},
          {"a malformed Route", {~r/Max-Forwards: .*/, "Route: sip:a@b, <nowhere"}},
          {"a body shorter than it says (§18.3)", {~r/Content-Length: 0/, "Content-Length: 10"}},
          {"a Content-Length with a sign", {~r/Content-Length: 0/, "Content-Length: +0"}},
          {"an escaped NUL, which no answer could copy",
           {~r/From: /, "From: \"a\\\\" <> <<0>> <> "\" "}}
        ] do
      test "to a request with #{what}" do
        {pattern, replacement} = unquote(Macro.escape(change))
        {peer, address, stack} = start()
        bad = String.replace(request("OPTIONS", peer), pattern, replacement)
        Peer.send(peer, address, bad)
        answer = Peer.expect(peer, "SIP/2.0 400 ")
        assert hd(fields(answer, "Via")) =~ ";received=127.0.0.1"
        assert to_tag(answer) != nil

        # The same tag for the same request, and nothing is kept.
        Peer.send(peer, address, bad)
        assert Peer.expect(peer, "SIP/2.0 400 ") == answer
        assert Sippet.Transaction.count(stack) == 0
        refute_received {^stack, _callback, _first, _key}
      end
    end
  end

  test "408 to an INVITE whose core stays silent" do
    {peer, address, _stack} = start(invite_watchdog_ms: 300, trying_ms: 100)
    Peer.send(peer, address, request("INVITE", peer))
    Peer.expect(peer, "SIP/2.0 100 ")
    Peer.expect(peer, "SIP/2.0 408 Request Timeout\r\n")
  end

  test "414 to a Request-URI beyond the limits" do
    {peer, address, _stack} = start()
    uri = "sip:" <> String.duplicate("a", 9_000) <> "@example.com"
    Peer.send(peer, address, request("OPTIONS", peer, uri: uri))
    Peer.expect(peer, "SIP/2.0 414 Request-URI Too Long\r\n")
  end

  test "481 to a CANCEL that matches no INVITE (§9.2)" do
    {peer, address, _stack} = start()
    Peer.send(peer, address, request("CANCEL", peer))
    Peer.expect(peer, "SIP/2.0 481 Call/Transaction Does Not Exist\r\n")
  end

  test "482 to a merged request, on demand (§8.2.2.2)" do
    {peer, address, stack} = start(merged_requests: :reject)
    same = [from_tag: "one", call_id: "merged", cseq: 7]
    Peer.send(peer, address, request("INVITE", peer, same))
    assert_receive {^stack, :request, _request, _key}
    Peer.send(peer, address, request("INVITE", peer, same))
    Peer.await(peer, "SIP/2.0 482 Loop Detected\r\n")
    refute_received {^stack, :request, _request, _key}
  end

  test "a request that came two ways goes to the core twice where it is not asked for" do
    {peer, address, stack} = start()
    same = [from_tag: "one", call_id: "spiral", cseq: 7]
    Peer.send(peer, address, request("OPTIONS", peer, same))
    Peer.send(peer, address, request("OPTIONS", peer, same))
    assert_receive {^stack, :request, _request, first}
    assert_receive {^stack, :request, _request, second}
    assert first != second
  end

  test "500 when the callback ends without an answer" do
    {peer, address, _stack} = start(core: fn _callback, _first, _key -> exit(:shutdown) end)

    ExUnit.CaptureLog.capture_log(fn ->
      Peer.send(peer, address, request("OPTIONS", peer))
      Peer.expect(peer, "SIP/2.0 500 Server Internal Error\r\n")
    end)
  end

  describe "503" do
    test "before a core is registered" do
      {peer, address, _stack} = start(core: nil)
      Peer.send(peer, address, request("OPTIONS", peer))
      Peer.expect(peer, "SIP/2.0 503 Service Unavailable\r\n")
    end

    test "when as many transactions are open as may be; what belongs to a call has a tenth more" do
      {peer, address, stack} = start(max_transactions: 10)

      for _ <- 1..9 do
        Peer.send(peer, address, request("OPTIONS", peer))
        assert_receive {^stack, :request, _request, _key}
      end

      Peer.send(peer, address, request("OPTIONS", peer))
      Peer.await(peer, "SIP/2.0 503 Service Unavailable\r\n")
      Peer.send(peer, address, request("BYE", peer, to_tag: "in-a-dialog"))
      assert_receive {^stack, :request, %{start_line: %{method: :bye}}, _key}
    end
  end

  test "505 to another version" do
    {peer, address, _stack} = start()
    Peer.send(peer, address, String.replace(request("OPTIONS", peer), " SIP/2.0\r", " SIP/3.0\r"))
    Peer.expect(peer, "SIP/2.0 505 Version Not Supported\r\n")
  end

  describe "513" do
    test "to a message with too many header fields" do
      {peer, address, _stack} = start()
      fields = for number <- 1..300, do: "X-#{number}: x"
      Peer.send(peer, address, request("OPTIONS", peer, fields: fields))
      Peer.expect(peer, "SIP/2.0 513 Message Too Large\r\n")
    end

    test "to a header line that is too long" do
      {peer, address, _stack} = start()
      fields = ["Subject: " <> String.duplicate("x", 9_000)]
      Peer.send(peer, address, request("OPTIONS", peer, fields: fields))
      Peer.expect(peer, "SIP/2.0 513 Message Too Large\r\n")
    end
  end

  describe "nothing" do
    for {what, method, change} <- [
          {"an ACK that cannot be parsed", "ACK", {~r/CSeq: .*/, "CSeq: x"}},
          {"an ACK of another version", "ACK", {~r/ SIP\/2.0\r/, " SIP/3.0\r"}},
          {"a request without Via", "OPTIONS", {~r/Via: .*\r\n/, ""}},
          {"a request without From", "OPTIONS", {~r/From: .*\r\n/, ""}},
          {"a request without To", "OPTIONS", {~r/To: .*\r\n/, ""}},
          {"a request without Call-ID", "OPTIONS", {~r/Call-ID: .*\r\n/, ""}},
          {"a request without CSeq", "OPTIONS", {~r/CSeq: .*\r\n/, ""}},
          {"a response that matches nothing", "OPTIONS",
           {~r/^.* SIP\/2.0\r/, "SIP/2.0 200 OK\r"}},
          {"a response that cannot be parsed", "OPTIONS", {~r/^.* SIP\/2.0\r/, "SIP/2.0 2000\r"}},
          {"bytes that start with no method", "OPTIONS", {~r/^.* SIP\/2.0\r/, "<a> b SIP/2.0\r"}}
        ] do
      test "to #{what}" do
        {pattern, replacement} = unquote(Macro.escape(change))
        {peer, address, stack} = start()

        bytes =
          String.replace(request(unquote(method), peer), pattern, replacement, global: false)

        Peer.send(peer, address, bytes)
        # What comes after is answered first, so that before was silence.
        Peer.send(peer, address, request("CANCEL", peer))
        Peer.expect(peer, "SIP/2.0 481 ")
        refute_received {^stack, _callback, _first, _key}
        assert Sippet.Transaction.count(stack) == 0
      end
    end
  end
end
