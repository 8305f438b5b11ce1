defmodule Sippet.Test.Logged do
  # A handler of :logger that tells a test what is logged, so that it can wait for a line.
  @moduledoc false

  import ExUnit.Assertions

  @doc "Runs a function and then waits for a line that contains `text`: what the function returns."
  def until(text, fun) do
    :ok = :logger.add_handler(__MODULE__, __MODULE__, %{config: {self(), text}})
    result = fun.()
    assert_receive {__MODULE__, :logged}
    result
  after
    _ = :logger.remove_handler(__MODULE__)
  end

  @doc false
  def log(%{msg: {:string, line}}, %{config: {test, text}}) do
    if IO.chardata_to_string(line) =~ text, do: send(test, {__MODULE__, :logged})
  end

  def log(_event, _config), do: :ok
end
