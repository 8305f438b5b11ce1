defmodule Sippet.CoreTest do
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  test "callbacks that a core does not have raise, naming it" do
    defmodule Bare do
      use Sippet.Core
    end

    assert_raise RuntimeError, ~r/Bare has no receive_request\/2/, fn ->
      Bare.receive_request(nil, nil)
    end

    assert_raise RuntimeError, ~r/Bare has no receive_response\/2/, fn ->
      Bare.receive_response(nil, nil)
    end

    assert_raise RuntimeError, ~r/Bare has no receive_error\/2/, fn ->
      Bare.receive_error(:timeout, nil)
    end
  end

  test "use twice says nothing" do
    code = """
    defmodule Sippet.CoreTest.Twice do
      use Sippet.Core
      use Sippet.Core
      def receive_error(reason, _key), do: reason
    end
    """

    assert capture_io(:stderr, fn -> Code.compile_string(code) end) == ""
    assert Module.concat(__MODULE__, Twice).__info__(:attributes)[:behaviour] == [Sippet.Core]
  end
end
