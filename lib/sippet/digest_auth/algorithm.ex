defmodule Sippet.DigestAuth.Algorithm do
  # The algorithms of digest authentication (RFC 7616 §6.1, RFC 8760 §2.1). Called by the modules of Sippet.DigestAuth only.
  @moduledoc false

  alias Sippet.Native.Hash

  # base: the name without -sess, under which an HA1 is stored. strength: MD5 is the only one that is weak; the two others
  # are as strong as each other. digits: of the hash in hexadecimal.
  @enforce_keys [:name, :base, :session, :strength, :digits]
  defstruct @enforce_keys

  @type t :: %__MODULE__{
          name: String.t(),
          base: String.t(),
          session: boolean,
          strength: pos_integer,
          digits: pos_integer
        }

  @bases [{"SHA-512-256", 2, 64}, {"SHA-256", 2, 64}, {"MD5", 1, 32}]

  @doc "The names, the strongest first."
  @spec names() :: [String.t()]
  def names, do: for({base, _, _} <- @bases, ending <- ["", "-sess"], do: base <> ending)

  @doc "The algorithm of a name in any case; where a message has none it is MD5 (RFC 7616 §3.3)."
  @spec fetch(String.t() | nil) :: {:ok, t} | :error
  def fetch(nil), do: fetch("MD5")

  def fetch(name) when byte_size(name) <= 16, do: name |> String.upcase(:ascii) |> of_upcase()
  def fetch(_too_long), do: :error

  for {base, strength, digits} <- @bases, session <- [false, true] do
    name = if session, do: base <> "-sess", else: base

    defp of_upcase(unquote(String.upcase(name))) do
      {:ok,
       %__MODULE__{
         name: unquote(name),
         base: unquote(base),
         session: unquote(session),
         strength: unquote(strength),
         digits: unquote(digits)
       }}
    end
  end

  defp of_upcase(_unknown), do: :error

  @doc "As `fetch/1`; raises `ArgumentError` for a name that the program gave."
  @spec fetch!(String.t()) :: t
  def fetch!(name) do
    case is_binary(name) and fetch(name) do
      {:ok, algorithm} ->
        algorithm

      _unknown ->
        raise ArgumentError,
              "expected an algorithm to be one of #{inspect(names())}, got: #{inspect(name)}"
    end
  end

  @doc "H(data), in hexadecimal digits of lower case."
  @spec hash(t, iodata) :: String.t()
  def hash(%__MODULE__{base: base}, data), do: base |> bytes(data) |> Base.encode16(case: :lower)

  defp bytes("MD5", data), do: :crypto.hash(:md5, data)
  defp bytes("SHA-256", data), do: :crypto.hash(:sha256, data)
  defp bytes("SHA-512-256", data), do: data |> IO.iodata_to_binary() |> Hash.sha512_256()
end
