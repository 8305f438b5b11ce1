defmodule Sippet.Conformance.RFC4475Test do
  # A message of our own for each point of RFC 4475: test/fixtures/rfc4475.
  use ExUnit.Case, async: true

  alias Sippet.Test.Fixtures

  for row <- Fixtures.rows("rfc4475") do
    @row row
    test "#{row["section"]} #{row["name"]} is #{row["verdict"]}: #{row["point"]}" do
      assert Fixtures.judge(@row) == :ok
    end
  end

  test "there is one for each point" do
    assert length(Enum.uniq_by(Fixtures.rows("rfc4475"), & &1["section"])) == 49
  end
end
