# The server of the demo: says where it listens, and nothing more, until it is killed.
{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require(Path.wildcard(Path.expand("../../examples/demo/*.ex", __DIR__)))

{:ok, _pid} = Demo.Server.start_link(port: 0, address: "127.0.0.1", ring_ms: 20)
{_ip, port} = Demo.Server.address()
IO.puts("port #{port}")
Process.sleep(:infinity)
