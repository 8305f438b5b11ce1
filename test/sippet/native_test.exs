defmodule Sippet.NativeTest do
  use ExUnit.Case, async: true

  test "the library loads, and is the one of this version of the application" do
    assert Sippet.Native.version() == to_string(Application.spec(:sippet, :vsn))
  end
end
