defmodule Sippet.ParseErrorTest do
  use ExUnit.Case, async: true

  doctest Sippet.ParseError

  test "each reason has a sentence" do
    for reason <- Sippet.ParseError.reasons() do
      sentence = Exception.message(struct!(Sippet.ParseError, reason: reason, offset: 0))
      refute sentence in ["#{reason}", "#{reason} (byte 0)"]
    end
  end
end
