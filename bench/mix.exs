defmodule Bench.MixProject do
  use Mix.Project

  # Benchee is used where it is: from Hex, or compiled in the folder that BENCHEE_PATH names. Without it a small loop
  # makes the same table. So no command here needs Hex.
  def project do
    [
      app: :bench,
      version: "0.0.0",
      elixir: "~> 1.14",
      start_permanent: false,
      deps: [{:sippet, path: ".."}] ++ benchee()
    ]
  end

  def application, do: [extra_applications: [:logger]]

  defp benchee do
    if Code.ensure_loaded?(Hex) and System.get_env("BENCHEE_PATH", "") == "",
      do: [{:benchee, "~> 1.3"}],
      else: []
  end
end
