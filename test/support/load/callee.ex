defmodule Sippet.Test.Load.Callee do
  # A user agent that the stack under test calls: every INVITE rings and is answered, each response with the next number in
  # X-Number; the 200 comes again until its ACK. Any other request is answered 200.
  @moduledoc false

  import Sippet.Test.Wire

  alias Sippet.Test.Load.Journal
  alias Sippet.Test.Peer

  @again_ms 100

  @doc "Opens its socket, in the calling process, and tells the port to `parent`."
  def run(journal, parent) do
    peer = Peer.open()
    send(parent, {:port, self(), peer.port})
    loop(%{peer: peer, journal: journal, calls: %{}}, Journal.now() + @again_ms)
  end

  defp loop(%{peer: %{socket: socket}} = callee, again) do
    receive do
      {:udp, ^socket, ip, port, text} ->
        callee |> handle(text, {ip, port}) |> loop(again)
    after
      max(again - Journal.now(), 0) ->
        for {_call_id, {ok, from}} <- callee.calls, do: Peer.send(callee.peer, from, ok)
        loop(callee, Journal.now() + @again_ms)
    end
  end

  defp handle(callee, "ACK " <> _ = ack, _from),
    do: %{callee | calls: Map.delete(callee.calls, field(ack, "Call-ID"))}

  defp handle(callee, "INVITE " <> _ = invite, from) do
    [branch] = Regex.run(~r/branch=([^;]+)/, field(invite, "Via"), capture: :all_but_first)
    call_id = field(invite, "Call-ID")

    # Only the first: of a repetition the numbers would not be in their order.
    if :ets.insert_new(callee.journal, {{:called, branch}, true}) do
      for {status, number} <-
            Enum.with_index(["100 Trying", "180 Ringing", "183 Session Progress"]),
          do: Peer.send(callee.peer, from, numbered(invite, status, number))

      ok = numbered(invite, "200 OK", 3)
      Peer.send(callee.peer, from, ok)
      %{callee | calls: Map.put(callee.calls, call_id, {ok, from})}
    else
      callee
    end
  end

  defp handle(callee, request, from) do
    Peer.send(callee.peer, from, response(request, "200 OK"))
    callee
  end

  defp numbered(invite, status, number),
    do: response(invite, status, fields: ["X-Number: #{number}"])
end
