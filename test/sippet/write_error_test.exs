defmodule Sippet.WriteErrorTest do
  use ExUnit.Case, async: true

  doctest Sippet.WriteError

  test "each reason has a sentence" do
    for reason <- Sippet.WriteError.reasons() do
      sentence = Exception.message(struct!(Sippet.WriteError, reason: reason))
      refute sentence in ["#{reason}", "#{reason} (byte 0)"]
    end
  end
end
