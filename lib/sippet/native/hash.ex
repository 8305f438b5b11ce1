defmodule Sippet.Native.Hash do
  # Hashes by the NIF, whose stubs are in Sippet.Native. Called by Sippet.DigestAuth and Sippet.Message only.
  @moduledoc false

  alias Sippet.Native

  # Longer input goes to a dirty scheduler, as in Sippet.Native.
  @max_normal_bytes 16_384

  @doc "SHA-512/256 (FIPS 180-4), 32 bytes; dirty above 16 KiB. Bounded by the bytes, 1.3 ns each."
  @spec sha512_256(binary) :: binary
  def sha512_256(data) do
    if byte_size(data) <= @max_normal_bytes,
      do: Native.nif_sha512_256(data),
      else: Native.nif_sha512_256_dirty(data)
  end

  @doc """
  A tag of 16 hexadecimal digits, SipHash of `identity` under a secret of 16 bytes; dirty above 16 KiB. Bounded by the bytes.
  """
  @spec request_tag(<<_::128>>, binary) :: String.t()
  def request_tag(secret, identity) do
    if byte_size(identity) <= @max_normal_bytes,
      do: Native.nif_request_tag(secret, identity),
      else: Native.nif_request_tag_dirty(secret, identity)
  end
end
