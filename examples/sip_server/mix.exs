defmodule SipServer.MixProject do
  use Mix.Project

  def project do
    [
      app: :sip_server,
      version: "0.1.0",
      elixir: "~> 1.14",
      start_permanent: Mix.env() == :prod,
      deps: [{:sippet, path: "../.."}]
    ]
  end

  # The tests start servers of their own.
  def application do
    [extra_applications: [:logger]] ++
      if(Mix.env() == :test, do: [], else: [mod: {SipServer.Application, []}])
  end
end
