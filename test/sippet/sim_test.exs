defmodule Sippet.SimTest do
  use ExUnit.Case, async: true

  doctest Sippet.Sim
end
