defmodule Sippet.Test.Load.Sender do
  # Sends requests of the stack's own, one after another: INVITEs by `Sippet.send/2`, whose responses go to the core, and
  # OPTIONS by `Sippet.request/3`. One that is killed is followed by the next.
  @moduledoc false

  alias Sippet.Message
  alias Sippet.Test.Load.Journal
  alias Sippet.Test.Stack

  @doc "Keeps one sender at work until `until` by the clock; it is in the table `senders` meanwhile."
  def keep(journal, stack, port, senders, seed, until) do
    if Journal.now() < until do
      {pid, monitor} = spawn_monitor(fn -> start(journal, stack, port, senders, seed, until) end)

      receive do
        {:DOWN, ^monitor, _, _, reason} when reason in [:normal, :killed] ->
          :ets.delete(senders, pid)
          keep(journal, stack, port, senders, seed + 1_000, until)
      end
    end
  end

  defp start(journal, stack, port, senders, seed, until) do
    :rand.seed(:exsss, {seed, 3, 3})
    :ets.insert(senders, {self()})
    loop(journal, stack, port, until)
  end

  defp loop(journal, stack, port, until) do
    if Journal.now() < until do
      turn(journal, stack, port, :rand.uniform(2))
      Process.sleep(:rand.uniform(5))
      loop(journal, stack, port, until)
    end
  end

  defp turn(journal, stack, port, 1) do
    invite = request(:invite, port)
    # None while the transport is being started again.
    with :ok <- Sippet.send(stack, invite), do: Journal.note(journal, :sent, branch(invite))
  end

  defp turn(journal, stack, port, 2) do
    result = Sippet.request(stack, request(:options, port))
    Journal.note(journal, :asked, result_of(result))
  end

  defp result_of({:ok, response}), do: response.start_line.status_code
  defp result_of({:error, %Sippet.TransportError{reason: reason}}), do: reason
  defp result_of({:error, reason}), do: reason

  defp request(method, port) do
    contact = {"", Sippet.URI.parse!("sip:me@127.0.0.1"), %{}}

    method
    |> Stack.request({{127, 0, 0, 1}, port}, uri: "sip:peer@127.0.0.1:#{port}")
    |> Message.put_header(:contact, [contact])
  end

  def branch(%{headers: %{via: [{_, _, _, parameters} | _]}}), do: parameters["branch"]
end
