# The server of the load record: a core that answers OPTIONS, INVITE and BYE 200, and nothing else. PORT says where.
defmodule Load.Core do
  use Sippet.Core

  alias Sippet.Message

  @impl true
  def receive_request(%{start_line: %{method: :ack}}, _key), do: :ok

  def receive_request(%{start_line: %{method: :invite}} = request, _key),
    do: Sippet.send(:load, Message.to_response(request, 200), until: :ack)

  def receive_request(%{start_line: %{method: method}} = request, _key)
      when method in [:options, :bye],
      do: Sippet.send(:load, Message.to_response(request, 200))

  def receive_request(request, _key),
    do: Sippet.send(:load, Message.to_response(request, 405))

  @impl true
  def receive_error(_reason, _key), do: :ok
end

port = "PORT" |> System.get_env("5070") |> String.to_integer()
# At 50,000 a second there are 1.6 million, each for 64·T1 after its answer.
{:ok, _} = Sippet.start_link(name: :load, core: Load.Core, max_transactions: 4_000_000)
{:ok, _} = Sippet.Transports.UDP.start_link(name: :load, port: port, address: "127.0.0.1")
IO.puts("ready #{System.pid()}")
Process.sleep(:infinity)
