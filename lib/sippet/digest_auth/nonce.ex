defmodule Sippet.DigestAuth.Nonce do
  # Nonces that need no memory: when one was made, and random bytes, signed. Called by Sippet.DigestAuth.Server only.
  @moduledoc false

  # time: of making, in milliseconds; random makes it the only one.
  @type id :: {time :: non_neg_integer, random :: binary}

  @signature_bytes 16
  @characters 40

  @doc """
  Makes a nonce: 40 characters. `purpose` is signed with it: what was made for one is none for another.
  """
  @spec create(binary, iodata, non_neg_integer) :: String.t()
  def create(key, purpose, now) do
    id = <<now::48, :crypto.strong_rand_bytes(8)::binary>>
    Base.url_encode64(id <> sign(key, purpose, id))
  end

  @doc "Reads a nonce; `:error` for one that was not made with this key for this purpose."
  @spec read(binary, iodata, String.t()) :: {:ok, id} | :error
  def read(key, purpose, nonce) when byte_size(nonce) == @characters do
    with {:ok, <<id::binary-size(14), signature::binary-size(@signature_bytes)>>} <-
           Base.url_decode64(nonce),
         true <- :crypto.hash_equals(signature, sign(key, purpose, id)) do
      <<time::48, random::binary>> = id
      {:ok, {time, :binary.copy(random)}}
    else
      _other -> :error
    end
  end

  def read(_key, _purpose, _other), do: :error

  defp sign(key, purpose, id),
    do: :crypto.macN(:hmac, :sha256, key, [id, purpose], @signature_bytes)
end
