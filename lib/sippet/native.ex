defmodule Sippet.Native do
  # The only module that names the NIF: stubs, each with the scheduler it runs on and what bounds it. The layer above
  # each group of stubs is its only caller.
  @moduledoc false

  @on_load :load

  @doc false
  def load do
    path =
      case :code.priv_dir(:sippet) do
        {:error, :bad_name} -> Path.join([Path.dirname(:code.which(__MODULE__)), "..", "priv"])
        priv -> List.to_string(priv)
      end

    path = Path.join([path, "native", "sippet_nif"])

    case :erlang.load_nif(String.to_charlist(path), 0) do
      :ok -> :ok
      {:error, {reason, text}} -> {:error, {reason, text}}
    end
  end

  @doc "The version of the library. Normal scheduler, constant time."
  @spec version() :: String.t()
  def version, do: :erlang.nif_error(:not_loaded)
end
