defmodule Sippet.Test.Load.Caller do
  # A user agent that calls the stack under test, made of a socket and text: it sends a request again until there is a final
  # response, as over UDP, and notes every final response that it ever gets.
  @moduledoc false

  import Sippet.Test.Wire

  alias Sippet.Test.Load.Journal
  alias Sippet.Test.Peer

  @again_ms 100
  @patience_ms 25_000

  @doc "Does one thing after another, as the seed has it, until `until` by the clock."
  def run(journal, server, seed, until) do
    :rand.seed(:exsss, {seed, 1, 1})

    {:ok, socket} =
      :gen_udp.open(0, [:binary, ip: {127, 0, 0, 1}, active: false, recbuf: 1_048_576])

    {:ok, port} = :inet.port(socket)
    peer = %Peer{socket: socket, ip: {127, 0, 0, 1}, port: port}
    loop(%{peer: peer, journal: journal, server: server, acks: %{}}, until)
    :gen_udp.close(socket)
  end

  defp loop(caller, until) do
    if Journal.now() < until do
      caller |> scene(Enum.random(~w(served fails fails cancelled call call)a)) |> loop(until)
    end
  end

  defp scene(caller, :served), do: elem(ask(caller, text(caller, "OPTIONS", "serve")), 1)

  defp scene(caller, :fails) do
    method = Enum.random(~w(MESSAGE INVITE))
    how = Enum.random(~w(raise exit throw kill))
    elem(ask(caller, text(caller, method, how)), 1)
  end

  # The CANCEL is right behind its INVITE, or comes a while later.
  defp scene(caller, :cancelled) do
    invite = text(caller, "INVITE", "block")
    transmit(caller, invite)
    if :rand.uniform(2) == 1, do: pause()
    caller = elem(ask(caller, follow_up("CANCEL", invite)), 1)
    elem(ask(caller, invite), 1)
  end

  # The BYE is right behind the ACK.
  defp scene(caller, :call) do
    invite = text(caller, "INVITE", "answer")

    case ask(caller, invite) do
      {"SIP/2.0 200" <> _ = answer, caller} ->
        call_id = field(invite, "Call-ID")
        options = [via: via(caller), to: field(answer, "To")]
        ack = follow_up("ACK", invite, options)
        transmit(caller, ack)
        Journal.note(caller.journal, {:ack, call_id}, Journal.now())
        caller = %{caller | acks: Map.put(caller.acks, call_id, ack)}
        bye = follow_up("BYE", invite, [cseq: "2"] ++ Keyword.put(options, :via, via(caller)))
        elem(ask(caller, bye), 1)

      {_refusal, caller} ->
        caller
    end
  end

  defp text(caller, method, what),
    do: request(method, caller.peer, fields: ["X-Do: #{what}"], call_id: unique())

  defp via(caller),
    do: "SIP/2.0/UDP #{Peer.authority(caller.peer)};branch=z9hG4bK#{unique()};rport"

  defp transmit(caller, text), do: Peer.send(caller.peer, caller.server, text)

  defp pause, do: Process.sleep(:rand.uniform(4))

  # The final response to a request, which is acknowledged if it wants that.
  defp ask(caller, request) do
    transmit(caller, request)
    await(caller, request, Journal.now() + @again_ms, Journal.now() + @patience_ms)
  end

  defp await(caller, request, again, deadline) do
    case :gen_udp.recv(caller.peer.socket, 0, max(again - Journal.now(), 0)) do
      {:ok, {_ip, _port, response}} ->
        heard(caller, response)

        cond do
          not final?(response) or not answers?(response, request) ->
            await(caller, request, again, deadline)

          field(request, "CSeq") =~ "INVITE" and not String.starts_with?(response, "SIP/2.0 2") ->
            transmit(caller, follow_up("ACK", request, to: field(response, "To")))
            {response, caller}

          true ->
            {response, caller}
        end

      {:error, _timeout} ->
        if Journal.now() > deadline, do: raise("nobody answers:\n" <> request)

        transmit(caller, request)
        await(caller, request, Journal.now() + @again_ms, deadline)
    end
  end

  # A 2xx that comes again was not acknowledged yet.
  defp heard(caller, response) do
    if final?(response) do
      [_number, method] = String.split(field(response, "CSeq"), " ")
      what = {String.slice(response, 8, 3), to_tag(response)}
      Journal.note(caller.journal, {:final, {branch(response), method}}, what)

      with "SIP/2.0 2" <> _ <- response,
           "INVITE" <- method,
           %{^response => ack} <- %{response => caller.acks[field(response, "Call-ID")]},
           true <- ack != nil do
        transmit(caller, ack)
        Journal.note(caller.journal, {:ack, field(response, "Call-ID")}, Journal.now())
      end
    end
  end

  defp final?(response), do: not String.starts_with?(response, "SIP/2.0 1")

  defp answers?(response, request),
    do: field(response, "CSeq") == field(request, "CSeq") and branch(response) == branch(request)

  defp branch(message) do
    [branch] = Regex.run(~r/branch=([^;]+)/, field(message, "Via"), capture: :all_but_first)
    branch
  end
end
