defmodule SipServer.Calls do
  @moduledoc """
  How many calls are up, so that a shutdown can wait for them. A proxy does not need to know: it keeps transactions, not dialogs.

  A call is a dialog that an INVITE has made through here. It begins with the 2xx and ends with the BYE, whose transaction the stack
  waits for by itself. One that ends without a BYE is forgotten when its session is over, as the 2xx says (RFC 4028 §10), or after
  12 hours.
  """

  use GenServer

  alias Sippet.Message

  # Of those beyond it a shutdown does not know.
  @max_calls 500_000
  @session_s 12 * 3600
  # A 2xx may come again until 64 × T1 after the first; after the BYE it begins nothing.
  @ended_s 40
  @sweep_ms 30_000

  def start_link(_options), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @doc "How many calls are up."
  def count,
    do: :ets.select_count(__MODULE__, [{{:_, true, :"$1"}, [{:>, :"$1", now()}], [true]}])

  @doc "A request has come. Whoever sends a BYE has done with the call, whatever becomes of it (RFC 3261 §15.1.1)."
  def handle_request(%{start_line: %{method: :bye}} = request) do
    :ets.update_element(__MODULE__, key(request), [{2, false}, {3, now() + @ended_s}])
    :ok
  end

  def handle_request(_request), do: :ok

  @doc "A response has come, and has not been handed on yet."
  def handle_response(%{headers: %{cseq: {_number, method}}} = response)
      when method in [:invite, :update, :bye] do
    key = key(response)

    case {method, response.start_line.status_code, :ets.lookup(__MODULE__, key)} do
      {:invite, status_code, []} when status_code in 200..299 ->
        if :ets.info(__MODULE__, :size) < @max_calls, do: put(key, session_s(response))

      {method, status_code, [{_key, true, _until}]}
      when method != :bye and status_code in 200..299 ->
        put(key, session_s(response))

      # It will be sent again, with credentials.
      {:bye, status_code, [_call]} when status_code in [401, 407] ->
        put(key, @session_s)

      _other ->
        :ok
    end

    :ok
  end

  def handle_response(_response), do: :ok

  # The same whoever of the two sends, and of the same size whatever they write.
  defp key(%{headers: %{call_id: call_id, from: from, to: to}}),
    do: :crypto.hash(:sha256, :erlang.term_to_binary({call_id, Enum.sort([tag(from), tag(to)])}))

  defp tag({_name, _uri, parameters}), do: Map.get(parameters, "tag")

  defp session_s(response) do
    case Message.decode_header(response, "Session-Expires") do
      {:ok, {seconds, _parameters}} -> min(seconds, @session_s)
      _none -> @session_s
    end
  end

  defp put(key, seconds), do: :ets.insert(__MODULE__, {key, true, now() + seconds})

  defp now, do: System.monotonic_time(:second)

  @impl true
  def init([]) do
    :ets.new(__MODULE__, [:named_table, :public, write_concurrency: true])
    Process.send_after(self(), :sweep, @sweep_ms)
    {:ok, nil}
  end

  @impl true
  def handle_info(:sweep, state) do
    :ets.select_delete(__MODULE__, [{{:_, :_, :"$1"}, [{:"=<", :"$1", now()}], [true]}])
    Process.send_after(self(), :sweep, @sweep_ms)
    {:noreply, state}
  end

  def handle_info(_other, state), do: {:noreply, state}
end
