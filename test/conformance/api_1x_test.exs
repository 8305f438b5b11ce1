defmodule Sippet.Conformance.Api1xTest do
  # The public API of Sippet 1.0.16 (test/fixtures/api_1x.txt) is still there, but for what the guide says to be removed, with
  # what takes its place.
  use ExUnit.Case, async: true

  alias Sippet.Test.Guide

  @list Path.expand("../fixtures/api_1x.txt", __DIR__)
  @external_resource @list

  # [{module, [{kind, name}]}]
  @api @list
       |> File.read!()
       |> String.split(~r/\n\n+/, trim: true)
       |> Enum.reject(&String.starts_with?(&1, "#"))
       |> Enum.map(fn block ->
         [module | lines] = String.split(block, "\n", trim: true)
         parts = for line <- lines, do: String.split(line, ": ")
         {module, for([kind, names] <- parts, name <- String.split(names), do: {kind, name})}
       end)

  # What a row of the guide removes: a module, or a function of one.
  defp removed do
    for [removed, _instead] <- Guide.table("from-1.x-to-2.md", "Removed"),
        [name] <- Regex.scan(~r/`([^`]+)`/, removed, capture: :all_but_first),
        do: name
  end

  test "the list is that of the whole library" do
    assert length(@api) == 20
    entries = Enum.flat_map(@api, &elem(&1, 1))
    assert length(entries) > 150
    assert Enum.uniq(Enum.map(entries, &elem(&1, 0))) -- kinds() == []
  end

  defp kinds, do: ~w(functions macros callbacks struct behaviours protocols types)

  for {module, entries} <- @api do
    test "#{module} has all of it, or the guide says what there is instead" do
      removed = removed()
      module = Module.concat([unquote(module)])

      missing =
        for {kind, name} <- unquote(entries),
            not there?(kind, module, name),
            unquote(module) not in removed and "#{unquote(module)}.#{name}" not in removed,
            do: {kind, name}

      assert missing == []
    end
  end

  test "what the guide says to be removed was there, and is not any more; there is always something instead" do
    for [removed, instead] <- Guide.table("from-1.x-to-2.md", "Removed") do
      assert removed =~ "`" and String.length(instead) > 10, removed
    end

    for name <- removed(), name not in ~w(sippet_uri) do
      case Regex.run(~r/^(.*)\.([a-z_!?]+\/\d)$/, name, capture: :all_but_first) do
        [module, function] ->
          assert {"functions", function} in entries(module), name
          refute there?("functions", Module.concat([module]), function), name

        nil ->
          assert entries(name) != [], name
          refute Code.ensure_loaded?(Module.concat([name])), name
      end
    end
  end

  defp entries(module), do: List.keyfind(@api, module, 0, {module, []}) |> elem(1)

  test "the callbacks of a core are optional where 1.x did not know them" do
    assert Sippet.Core.behaviour_info(:optional_callbacks) == [flow_closed: 2]
  end

  defp there?("functions", module, name) do
    {name, arity} = function(name)
    Code.ensure_loaded?(module) and function_exported?(module, name, arity)
  end

  defp there?("macros", module, name) do
    {name, arity} = function(name)
    Code.ensure_loaded?(module) and macro_exported?(module, name, arity)
  end

  defp there?("callbacks", module, name) do
    Code.ensure_loaded?(module) and function(name) in module.behaviour_info(:callbacks)
  end

  defp there?("struct", module, name) do
    Code.ensure_loaded?(module) and function_exported?(module, :__struct__, 0) and
      Map.has_key?(module.__struct__(), String.to_atom(name))
  end

  defp there?("behaviours", module, name) do
    behaviours = for {:behaviour, list} <- module.module_info(:attributes), do: list
    Module.concat([name]) in List.flatten(behaviours)
  end

  defp there?("protocols", module, name),
    do: Module.concat([name]).impl_for(module.__struct__()) not in [nil, Inspect.Any]

  defp there?("types", module, name) do
    with true <- Code.ensure_loaded?(module),
         {:ok, types} <- Code.Typespec.fetch_types(module) do
      Enum.any?(types, &(type(&1) == name))
    else
      _ -> false
    end
  end

  defp type({_kind, {name, _type, _arguments}}), do: Atom.to_string(name)

  defp function(text) do
    [name, arity] = Regex.run(~r/^(.*)\/(\d)$/, text, capture: :all_but_first)
    {String.to_atom(name), String.to_integer(arity)}
  end
end
