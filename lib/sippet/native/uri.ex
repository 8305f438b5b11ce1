defmodule Sippet.Native.URI do
  # URIs by the NIF, whose stubs are in Sippet.Native. Called by Sippet.URI only.
  @moduledoc false

  alias Sippet.{Native, URI, WriteError}
  alias Sippet.Native.Words

  @words Words.all()

  # Longer input goes to a dirty scheduler, as in Sippet.Native.
  @max_normal_bytes 16_384

  @doc "Parses a URI. Normal scheduler; bounded by its bytes, 1 ns each."
  @spec parse(binary) :: {:ok, URI.t()} | {:error, :invalid}
  def parse(text), do: Native.nif_parse_uri(text, @words)

  @doc "Writes a URI. Normal scheduler; bounded by its bytes."
  @spec write(URI.t()) :: {:ok, binary} | {:error, WriteError.t()}
  def write(uri) do
    with {:error, reason} <- Native.nif_write_uri(uri) do
      {:error, %WriteError{header: nil, reason: reason}}
    end
  end

  @doc """
  Compares two URIs, or texts of such; nil where one is none. Dirty above 16 KiB. Bounded by their bytes.
  """
  @spec equivalent(URI.t() | String.t(), URI.t() | String.t(), boolean) :: boolean | nil
  def equivalent(a, b, lazy) do
    result =
      if size(a) + size(b) <= @max_normal_bytes,
        do: Native.nif_equivalent_uris(a, b, lazy),
        else: Native.nif_equivalent_uris_dirty(a, b, lazy)

    if is_boolean(result), do: result
  end

  # Of pieces, those that can be taken apart into many.
  defp size(text) when is_binary(text), do: byte_size(text)

  defp size(%{parameters: parameters, headers: headers}),
    do: piece_size(parameters) + piece_size(headers)

  defp piece_size(piece) when is_binary(piece), do: byte_size(piece)
  defp piece_size(_none), do: 0
end
