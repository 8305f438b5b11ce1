# The demo's modules, for the tests that call it.
{:ok, _modules, _warnings} =
  Kernel.ParallelCompiler.require(Path.wildcard(Path.expand("../examples/demo/*.ex", __DIR__)))

# Tagged `costs` is what judges time or memory of native code: scripts/asan.sh leaves it out.
# Machines may be busy: what waits for something goes on as soon as it comes, and these end only what would wait for ever.
ExUnit.start(assert_receive_timeout: Sippet.Test.Repetition.deadline_ms(), timeout: 300_000)
