defmodule Sippet.Test.Corpus do
  # The corpus of SIP messages and vectors, which lies beside the repository: see its README.
  @moduledoc false

  alias Sippet.Test.JSON

  @doc """
  Where the corpus is, or `nil`: `SIPPET_CORPUS`, else `../shared/corpus` from the root of the repository.
  """
  @spec path() :: Path.t() | nil
  def path do
    path = System.get_env("SIPPET_CORPUS") || Path.expand("../../../shared/corpus", __DIR__)
    if File.dir?(path), do: path
  end

  @doc """
  The rows of a folder's index, each with its bytes as `"data"`; none where there is no corpus.
  """
  @spec rows(String.t()) :: [map]
  def rows(folder) do
    for row <- index(Path.join(folder, "index.json")) do
      row
      |> Map.put("folder", folder)
      |> Map.put("data", File.read!(Path.join([path(), folder, row["file"]])))
    end
  end

  @doc """
  A file of vectors; `nil` where there is no corpus.
  """
  @spec vectors(String.t()) :: term
  def vectors(name) do
    if path = path(), do: JSON.read!(Path.join([path, "vectors", name <> ".json"]))
  end

  defp index(file) do
    case path() do
      nil -> []
      path -> JSON.read!(Path.join(path, file))
    end
  end
end
