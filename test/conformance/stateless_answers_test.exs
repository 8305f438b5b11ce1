defmodule Sippet.Conformance.StatelessAnswersTest do
  # What a stack answers without a transaction, for its core by reply/3 or by itself (RFC 3261 §8.2.7).
  use ExUnit.Case, async: true

  import Sippet.Test.Stack, only: [start: 0, address: 1]
  import Sippet.Test.Wire

  alias Sippet.Test.Peer
  alias Sippet.Transaction

  defp refused(status) do
    {stack, peer} = {start(), Peer.open()}
    invite = request("INVITE", peer)
    Peer.send(peer, address(stack), invite)
    assert_receive {^stack, :request, request, key}
    assert :ok = Sippet.reply(stack, request, status)
    {stack, peer, invite, key, Peer.expect(peer, "SIP/2.0 #{status} ")}
  end

  test "an INVITE that was answered so gets no 100 and no repetition" do
    {stack, peer, _invite, _key, _answer} = refused(302)
    Peer.refute_any(peer, 700)
    assert Transaction.count(stack) == 0
  end

  test "a CANCEL behind it finds nothing: 481, and the core does not see it" do
    {stack, peer, invite, _key, _answer} = refused(401)
    Peer.send(peer, address(stack), follow_up("CANCEL", invite))
    Peer.expect(peer, "SIP/2.0 481 ")
    refute_received {^stack, :request, _, _}
  end

  test "the ACK to it goes to nobody" do
    {stack, peer, invite, _key, answer} = refused(401)
    Peer.send(peer, address(stack), follow_up("ACK", invite, to: field(answer, "To")))
    Peer.send(peer, address(stack), request("OPTIONS", peer))
    assert_receive {^stack, :request, %{start_line: %{method: :options}}, _key}
    refute_received {^stack, :request, _, _}
  end

  test "a repeated request has the same To tag in each answer, also where it is malformed" do
    {stack, peer} = {start(), Peer.open()}

    for text <- [
          request("OPTIONS", peer, cseq_method: "INVITE"),
          request("OPTIONS", peer) |> String.replace("CSeq: 1 ", "CSeq: -1 "),
          request("OPTIONS", peer) |> String.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"),
          follow_up("CANCEL", request("INVITE", peer))
        ] do
      answers =
        for _ <- 1..3 do
          Peer.send(peer, address(stack), text)
          Peer.receive_bytes(peer)
        end

      assert [answer] = Enum.uniq(answers)
      assert byte_size(to_tag(answer)) >= 8
    end

    refute_received {^stack, :request, _, _}
  end

  test "another request has another tag" do
    {stack, peer} = {start(), Peer.open()}

    tags =
      for _ <- 1..2 do
        Peer.send(peer, address(stack), request("OPTIONS", peer, cseq_method: "INVITE"))
        to_tag(Peer.expect(peer, "SIP/2.0 400 "))
      end

    assert tags == Enum.uniq(tags)
  end

  test "what the stack refuses by itself it says why, in a Warning (§20.43, §21.4.1)" do
    {stack, peer} = {start(), Peer.open()}
    options = request("OPTIONS", peer)

    for {text, status, why} <- [
          {request("OPTIONS", peer, cseq_method: "INVITE"), 400, "CSeq"},
          {String.replace(options, "CSeq: 1 ", "CSeq: -1 "), 400, "CSeq: "},
          {String.replace(options, "Max-Forwards: 70", "Content-Length: x"), 400,
           "Content-Length: "},
          {String.replace(options, "SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), 505, "version"},
          {String.replace(options, "Max-Forwards: 70", "X: a\0b"), 400, "NUL"},
          {follow_up("CANCEL", request("INVITE", peer)), 481, "cancels"}
        ] do
      Peer.send(peer, address(stack), text)
      assert Peer.expect(peer, "SIP/2.0 #{status} ") |> warning() =~ why
    end

    :ok = Sippet.drain(stack, 0)
    Peer.send(peer, address(stack), request("OPTIONS", peer))
    assert Peer.expect(peer, "SIP/2.0 503 ") |> warning() =~ "is to stop"
  end

  # What a field of another name would say is the peer's own, and does not come back.
  test "a name that is nobody's is not in it" do
    {stack, peer} = {start(), Peer.open()}
    text = String.replace(request("OPTIONS", peer), "Max-Forwards: 70", "X%!'`: a\rb")
    Peer.send(peer, address(stack), text)
    refute Peer.expect(peer, "SIP/2.0 400 ") |> warning() =~ "X"
  end

  defp warning(answer) do
    assert [_, text] = Regex.run(~r/^399 server "([^"\\]+)"$/, field(answer, "Warning"))
    text
  end
end
