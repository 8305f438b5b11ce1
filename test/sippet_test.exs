defmodule SippetTest do
  use ExUnit.Case, async: true

  doctest Sippet, import: true

  test "a stack needs a name, and refuses options that it does not know or that are not of their kind" do
    for {options, expected} <- [
          {[], ~r/expected :name option to be present/},
          {[name: "x"], ~r/expected :name to be an atom, got: "x"/},
          {[name: nil], ~r/expected :name to be an atom/},
          {[name: :x, t9: 1], ~r/unknown option :t9, known are: .*:t1/},
          {[name: :x, t1: 0], ~r/expected :t1 to be a positive number of milliseconds, got: 0/},
          {[name: :x, t2: 1.5], ~r/expected :t2 /},
          {[name: :x, max_transactions: -1], ~r/:max_transactions to be a positive integer/},
          {[name: :x, merged_requests: true], ~r/:merged_requests to be one of/},
          {[name: :x, limits: 7], ~r/expected :limits to be a keyword list/},
          {[name: :x, limits: [max_pigeons: 1]], ~r/unknown limit :max_pigeons/},
          {[name: :x, limits: [max_fields: 0]], ~r/expected :max_fields to be a positive integer/}
        ] do
      assert_raise ArgumentError, expected, fn -> Sippet.start_link(options) end
    end
  end

  test "two stacks fit under one supervisor" do
    assert Sippet.child_spec(name: :a).id != Sippet.child_spec(name: :b).id
  end

  test "cores are modules of stacks that are there" do
    assert_raise ArgumentError, ~r/no stack named :nowhere/, fn ->
      Sippet.register_core(:nowhere, __MODULE__)
    end
  end

  test "the module is what is called in 1.x" do
    stack = Sippet.Test.Stack.start(udp: [])
    module = Sippet.Test.Core.register(stack, :forward)
    assert Registry.meta(stack, :core) == {:ok, module}
    assert Sippet.supervisor_name(stack) |> Process.whereis() |> is_pid()
  end
end
