defmodule Sippet.Conformance.TableTest do
  # guides/conformance.md names a test for each clause: they must be there, and run.
  use ExUnit.Case, async: true

  @root Path.expand("../..", __DIR__)
  @guide Path.join(@root, "guides/conformance.md")
  @verdict ~r/\A(met|met otherwise|core|open)\b/

  # What the table has to cover, by the headings of its sections.
  @clauses %{
    "RFC 3261 §8.1.3.1" => ~w(8.1.3.1),
    "RFC 3261 §8.1.3.3" => ~w(8.1.3.3),
    "RFC 3261 §8.2.2.2" => ~w(8.2.2.2),
    "RFC 3261 §8.2.6" => ~w(8.2.6 8.2.6.1 8.2.6.2),
    "RFC 3261 §8.2.7" => ~w(8.2.7),
    "RFC 3261 §9" => ~w(9.1 9.2),
    "RFC 3261 §13.2.2.4" => ~w(13.2.2.4),
    "RFC 3261 §13.3.1.4" => ~w(13.3.1.4),
    "RFC 3261 §17, §17.1" => ~w(17 17.1),
    "RFC 3261 §17.1.1" => ~w(17.1.1.2 17.1.1.3),
    "RFC 3261 §17.1.2" => ~w(17.1.2.2),
    "RFC 3261 §17.1.3, §17.1.4" => ~w(17.1.3 17.1.4),
    "RFC 3261 §17.2.1" => ~w(17.2.1),
    "RFC 3261 §17.2.2" => ~w(17.2.2),
    "RFC 3261 §17.2.3, §17.2.4" => ~w(17.2.3 17.2.4),
    "RFC 3261 §18.1.2" => ~w(18.1.2),
    "RFC 3261 §18.2.2" => ~w(18.2.2),
    "RFC 6026" => ~w(6 7.1 7.2 7.3 8.1 8.2 8.3 8.4 8.5 8.7 8.8 8.9 8.10 8.11),
    "RFC 4320" => ~w(4.1 4.2),
    "RFC 4321" => ~w(1.1 1.2 1.3 1.4 1.5 1.6),
    "RFC 5626" => ~w(3.5.1 4.2.1 4.3 4.4 4.4.1 4.4.2 4.5 5.1 5.2 5.3 5.3.1 5.4 6 8),
    "RFC 5923" => ~w(3 8.1 8.2 9.2 9.3),
    "Where stacks trip" => []
  }

  defp sections do
    @guide
    |> File.read!()
    |> String.split("\n## ")
    |> tl()
    |> Map.new(fn section ->
      [heading | lines] = String.split(section, "\n")
      [name | _title] = String.split(heading, ":")
      {name, rows(lines)}
    end)
  end

  defp rows(lines) do
    for "| " <> _ = line <- lines,
        cells = line |> String.trim("|") |> String.split(" | ") |> Enum.map(&String.trim/1),
        hd(cells) not in ["clause", "rule"],
        do: {line, cells}
  end

  # `file::name` of Rust, `file: name` of Elixir.
  defp references(cell),
    do: Regex.scan(~r/`([^`]+)`/, cell, capture: :all_but_first) |> List.flatten()

  defp there?(reference) do
    name = reference |> String.split(~r/: |::/, parts: 2) |> List.last()

    test =
      if elixir?(reference),
        do: ~r/^ *test #{Regex.escape(inspect(name, printable_limit: :infinity))}/mu,
        else: ~r/^ *#\[test\]\n *fn #{name}\(/m

    Enum.any?(paths(reference), &(File.read!(&1) =~ test))
  end

  defp elixir?(reference), do: reference =~ ": "

  defp paths(reference) do
    [file, _name] = String.split(reference, ~r/: |::/, parts: 2)

    paths =
      if elixir?(reference),
        do: ["test/#{file}.exs"],
        else: for(folder <- ["tests", "src"], do: "native/sippet_proto/#{folder}/#{file}.rs")

    paths |> Enum.map(&Path.join(@root, &1)) |> Enum.filter(&File.regular?/1)
  end

  test "each row has a clause, a verdict and a test" do
    for {_section, rows} <- sections(), {line, cells} <- rows do
      assert [_clause, asks, verdict, tests] = cells, "not four cells: #{line}"
      assert asks != "", line
      assert verdict =~ @verdict, "no verdict: #{line}"
      assert references(tests) != [], "no test: #{line}"
      assert String.replace(tests, ~r/`[^`]+`(, )?/, "") == "", "more than tests: #{line}"
    end
  end

  test "each test that it names is there" do
    references = for {_, rows} <- sections(), {_, cells} <- rows, do: references(List.last(cells))
    references = references |> List.flatten() |> Enum.uniq()
    assert length(references) > 100
    assert Enum.reject(references, &there?/1) == []
    refute there?("invite_client::what_nobody_wrote")
    refute there?("integration/send_test: what nobody wrote")
  end

  test "no test that it names is left out of a run" do
    for {_, rows} <- sections(), {_, cells} <- rows, reference <- references(List.last(cells)) do
      [path] = paths(reference)
      refute File.read!(path) =~ ~r/^ *(@(module|describe)?tag .*skip|#\[ignore)/m, path
    end
  end

  test "it has every section that it should have, and every clause in it" do
    sections = sections()
    assert Map.keys(sections) |> Enum.sort() == Map.keys(@clauses) |> Enum.sort()

    for {section, clauses} <- @clauses do
      have = for {_line, [clause | _]} <- sections[section], do: clause
      assert clauses -- have == [], section
      assert have != [], section
    end
  end

  test "what is open or otherwise says why" do
    for {_section, rows} <- sections(), {line, [_, _, verdict, _]} <- rows do
      if verdict =~ ~r/\A(met otherwise|open)/, do: assert(verdict =~ ~r/: \S/, line)
    end
  end
end
