defmodule Sippet.Integration.ProcessLimitTest do
  # Callbacks that wait keep a process each. When they are more than the virtual machine has processes for, the stack goes on.
  use ExUnit.Case, async: true

  alias Sippet.Test.{Attack, ProcessCrowd}

  test "a core that does not get on costs no process of the stack's, and nothing when it does" do
    # The least that there is.
    {machine, _files} = Attack.start_machine([~c"+P", ~c"1024"])
    %{before: before, full: full, after: later} = Attack.on(machine, ProcessCrowd, :run, [2_000])
    assert full.processes == before
    assert later == before
    assert %{received_requests: 4_000, refused_requests: refused} = full.counters
    # There is a process for no more than these.
    assert refused >= 4_000 - 1_024
    assert {:error, reason} = full.closed
    assert reason in [:closed, :econnreset]
  end

  test "a target and a flow that are lost then cost no process of the stack's either, and the core is told" do
    {machine, _files} = Attack.start_machine([~c"+P", ~c"1024"])
    lost = Attack.on(machine, ProcessCrowd, :lose_target, [])
    assert lost.told == :ok
    assert lost.after == lost.before
    assert lost.outcome == :connection_closed
    assert lost.closed

    assert lost.others == %{
             response: :ok,
             response_workers: 0,
             transport_1x: {:error, :system_limit},
             name: {:error, :overloaded},
             log: :ok,
             log_spent: 0
           }
  end
end
