# The server of the overload record: a core that burns CPU for each INVITE, as many rounds as take a millisecond on the idle
# machine, then answers it 200 and each BYE 200. PORT says where, MAX_START_DELAY_MS is the stack's option.
defmodule Overload.Core do
  use Sippet.Core

  alias Sippet.Message

  @impl true
  def receive_request(%{start_line: %{method: :ack}}, _key), do: :ok

  def receive_request(%{start_line: %{method: :invite}} = request, _key) do
    burn(:persistent_term.get(__MODULE__), 0)
    Sippet.send(:load, Message.to_response(request, 200), until: :ack)
  end

  def receive_request(request, _key), do: Sippet.send(:load, Message.to_response(request, 200))

  @impl true
  def receive_error(_reason, _key), do: :ok

  # Arithmetic, which is preempted as any callback is.
  defp burn(0, sum), do: sum
  defp burn(rounds, sum), do: burn(rounds - 1, rem(sum * 31 + rounds, 1_000_003))

  # The same for all servers of a record, so that ROUNDS may say what the first one found.
  def calibrate(nil) do
    rounds = 200_000
    times = for _ <- 1..20, do: elem(:timer.tc(fn -> burn(rounds, 0) end), 0)
    calibrate(Integer.to_string(round(rounds * 1_000 / Enum.min(times))))
  end

  def calibrate(text) do
    rounds_a_millisecond = String.to_integer(text)
    :persistent_term.put(__MODULE__, rounds_a_millisecond)
    rounds_a_millisecond
  end
end

delay =
  case System.get_env("MAX_START_DELAY_MS", "default") do
    "default" -> []
    "infinity" -> [max_start_delay_ms: :infinity]
    text -> [max_start_delay_ms: String.to_integer(text)]
  end

rounds = Overload.Core.calibrate(System.get_env("ROUNDS"))
port = "PORT" |> System.get_env("5070") |> String.to_integer()
{:ok, _} = Sippet.start_link([name: :load, core: Overload.Core] ++ delay)
{:ok, _} = Sippet.Transports.UDP.start_link(name: :load, port: port, address: "127.0.0.1")
IO.puts("ready #{System.pid()} #{rounds} rounds a millisecond")
Process.sleep(:infinity)
