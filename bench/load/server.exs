# The server of the load record: a core that answers OPTIONS 200, and nothing else. PORT says where.
defmodule Load.Core do
  use Sippet.Core

  alias Sippet.Message

  def receive_request(%{start_line: %{method: :options}} = request, _key),
    do: Sippet.send(:load, Message.to_response(request, 200))

  def receive_request(%{start_line: %{method: :ack}}, _key), do: :ok

  def receive_request(request, _key),
    do: Sippet.send(:load, Message.to_response(request, 405))

  def receive_error(_reason, _key), do: :ok
end

port = "PORT" |> System.get_env("5070") |> String.to_integer()
{:ok, _} = Sippet.start_link(name: :load)
{:ok, _} = Sippet.Transports.UDP.start_link(name: :load, port: port, address: "127.0.0.1")
Sippet.register_core(:load, Load.Core)
IO.puts("ready #{System.pid()}")
Process.sleep(:infinity)
