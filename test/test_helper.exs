# The demo's modules, for the tests that call it.
{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require(Path.wildcard(Path.expand("../examples/demo/*.ex", __DIR__)))

# Tagged `costs` is what judges time or memory of native code: scripts/asan.sh leaves it out.
# Machines may be busy; what waits for a message goes on as soon as it comes.
ExUnit.start(assert_receive_timeout: 2_000)
