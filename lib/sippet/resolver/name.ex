defmodule Sippet.Resolver.Name do
  # Hosts: literal addresses, and names as DNS is asked for them. Used wherever a name comes in, from a URI or from DNS.
  @moduledoc false

  @max_bytes 253

  @doc "The address that a host is, IPv6 with or without brackets."
  @spec literal(String.t()) :: {:ok, :inet.ip_address()} | :error
  def literal(host) when byte_size(host) <= 64 do
    text = host |> String.trim_leading("[") |> String.trim_trailing("]")

    case text |> :binary.bin_to_list() |> :inet.parse_strict_address() do
      {:ok, address} -> {:ok, address}
      {:error, :einval} -> :error
    end
  end

  def literal(_host), do: :error

  @doc "A name in lower case without its last dot, if it is one that DNS may be asked for."
  @spec normalise(String.t()) :: {:ok, String.t()} | :error
  def normalise(name) when byte_size(name) <= @max_bytes + 1 do
    name = name |> String.downcase(:ascii) |> drop_dot()
    labels = :binary.split(name, ".", [:global])

    # A last label of digits makes it a mistaken address (RFC 1123 §2.1, RFC 3261 §25.1 toplabel).
    if byte_size(name) <= @max_bytes and Enum.all?(labels, &label?/1) and
         not digits?(List.last(labels)),
       do: {:ok, name},
       else: :error
  end

  def normalise(_name), do: :error

  defp drop_dot(name) do
    size = byte_size(name) - 1

    case name do
      <<rest::binary-size(size), ".">> when size > 0 -> rest
      _ -> name
    end
  end

  defp label?(label),
    do: byte_size(label) in 1..63 and for(<<c <- label>>, not char?(c), do: c) == []

  defp char?(c), do: c in ?a..?z or c in ?0..?9 or c in [?-, ?_]

  defp digits?(label), do: for(<<c <- label>>, c not in ?0..?9, do: c) == []

  @doc "Whether a name is this machine's, whatever DNS says (RFC 6761 §6.3)."
  @spec localhost?(String.t()) :: boolean
  def localhost?(name), do: name == "localhost" or String.ends_with?(name, ".localhost")

  @doc "Whether a name is of those that there never are (RFC 6761 §6.4)."
  @spec invalid?(String.t()) :: boolean
  def invalid?(name), do: name == "invalid" or String.ends_with?(name, ".invalid")

  @doc "The family of an address."
  @spec family(:inet.ip_address()) :: :inet | :inet6
  def family(address) when tuple_size(address) == 4, do: :inet
  def family(address) when tuple_size(address) == 8, do: :inet6
end
