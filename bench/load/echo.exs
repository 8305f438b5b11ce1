# What the VM's own UDP costs: OPTIONS answered 200 without a look at what is in them. PORT says where; MODE who answers: `echo`, the
# process that receives, or `spawn`, one of its own for each.
defmodule Load.Echo do
  def receive_all(socket, mode) do
    receive do
      {:udp, ^socket, ip, port, "OPTIONS " <> rest} ->
        if mode == "spawn",
          do: spawn(__MODULE__, :answer, [socket, ip, port, rest]),
          else: answer(socket, ip, port, rest)

      {:udp_passive, ^socket} ->
        :ok = :inet.setopts(socket, active: 256)
    end

    receive_all(socket, mode)
  end

  def answer(socket, ip, port, rest) do
    [_request_uri, fields] = :binary.split(rest, "\r\n")
    :gen_udp.send(socket, ip, port, ["SIP/2.0 200 OK\r\n", fields])
  end
end

port = "PORT" |> System.get_env("5070") |> String.to_integer()
# As Sippet.Transports.UDP opens its own.
options = [:binary, ip: {127, 0, 0, 1}, recbuf: 4_194_304, read_packets: 64, active: 256]
{:ok, socket} = :gen_udp.open(port, options)
Process.flag(:priority, :high)
IO.puts("ready #{System.pid()}")
Load.Echo.receive_all(socket, System.get_env("MODE", "echo"))
