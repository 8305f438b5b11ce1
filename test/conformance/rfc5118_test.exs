defmodule Sippet.Conformance.RFC5118Test do
  # A message of our own for each point of RFC 5118: test/fixtures/rfc5118.
  use ExUnit.Case, async: true

  alias Sippet.Test.Fixtures

  for row <- Fixtures.rows("rfc5118") do
    @row row
    test "#{row["section"]} #{row["name"]} is #{row["verdict"]}: #{row["point"]}" do
      assert Fixtures.judge(@row) == :ok
    end
  end

  test "there is one for each point" do
    assert length(Enum.uniq_by(Fixtures.rows("rfc5118"), & &1["section"])) == 10
  end
end
