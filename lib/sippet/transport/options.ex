defmodule Sippet.Transport.Options do
  # The options of transports: one schema makes their documentation, their defaults and their checks. Called by the
  # modules under Sippet.Transports.
  @moduledoc false

  alias Sippet.Stack
  alias Sippet.Transport.Destination

  @typedoc """
  Name, default, kind and what it is. The kinds:

    * `:name`, `:port`, `:address` - as every transport has them
    * `:boolean`, `:string`, `:list`, `:bytes`, `:count`, `:milliseconds` - numbers are positive
    * `:patience` - milliseconds or `:infinity`
    * `{:one_of, values}`
    * `{:optional, kind}` - or nil
    * `{:as, expected, predicate}` - what a function `&Module.name/1` finds good, in words for who gets it wrong
    * `{:made, make}` - what a function `&Module.name/1` makes of it, which raises `ArgumentError` itself
  """
  @type schema :: [{atom, default :: term, kind :: term, text :: String.t()}]

  @doc "The options that every transport has; `port` is the default one."
  @spec common(:inet.port_number()) :: schema
  def common(port) do
    [
      {:name, nil, :name, "the stack's name, an atom; required"},
      {:port, port, :port,
       "0 to 65535; 0 lets the system choose, `Sippet.Transport.list/1` tells which"},
      {:address, "0.0.0.0", :address,
       "the address to bind: a string, numeric or a name, or `{string, :inet | :inet6}`"}
    ]
  end

  @doc "The schema as a Markdown list."
  @spec docs(schema) :: String.t()
  def docs(schema) do
    Enum.map_join(schema, fn
      {name, nil, _kind, text} -> "  * `:#{name}` - #{text}\n"
      {name, default, _kind, text} -> "  * `:#{name}` - #{text}; default `#{inspect(default)}`\n"
    end)
  end

  @doc """
  The options with their defaults, and `:ip`, the address to bind as a tuple; raises `ArgumentError` for what is not known
  or not of its kind, and where there is no such stack.
  """
  @spec validate!(keyword, schema) :: keyword
  def validate!(options, schema) do
    known = Enum.map(schema, &elem(&1, 0))

    for {key, _value} <- options, key not in known do
      raise ArgumentError, "unknown option #{inspect(key)}, known are: #{inspect(known)}"
    end

    checked =
      for {name, default, kind, _text} <- schema do
        {name, checked!(name, kind, Keyword.get(options, name, default))}
      end

    ip = ip!(checked[:address])
    _ = Stack.fetch!(checked[:name])
    [ip: ip] ++ checked
  end

  defp checked!(_name, {:made, make}, value), do: make.(value)

  defp checked!(name, kind, value) do
    check!(name, kind, value)
    value
  end

  defp check!(_name, :name, nil),
    do: raise(ArgumentError, "expected :name option to be present")

  defp check!(_name, :address, _address), do: :ok

  defp check!(name, kind, value) do
    unless good?(kind, value) do
      raise ArgumentError, "expected :#{name} to be #{expected(kind)}, got: #{inspect(value)}"
    end
  end

  defp good?(:name, value), do: is_atom(value)
  defp good?(:port, value), do: value in 0..65_535
  defp good?(:boolean, value), do: is_boolean(value)
  defp good?(:string, value), do: is_binary(value)
  defp good?(:list, value), do: is_list(value)
  defp good?({:one_of, values}, value), do: value in values
  defp good?({:optional, kind}, value), do: value == nil or good?(kind, value)
  defp good?({:as, _expected, predicate}, value), do: predicate.(value)
  defp good?(:patience, :infinity), do: true
  defp good?(_number, value), do: is_integer(value) and value > 0

  defp expected(:name), do: "an atom"
  defp expected(:port), do: "an integer between 0 and 65535"
  defp expected(:boolean), do: "a boolean"
  defp expected(:bytes), do: "a positive number of bytes"
  defp expected(:count), do: "a positive integer"
  defp expected(:milliseconds), do: "a positive number of milliseconds"
  defp expected(:patience), do: "a positive number of milliseconds or :infinity"
  defp expected(:string), do: "a string"
  defp expected(:list), do: "a list"
  defp expected({:optional, kind}), do: "nil or " <> expected(kind)
  defp expected({:one_of, values}), do: "one of #{inspect(values)}"
  defp expected({:as, expected, _predicate}), do: expected

  defp ip!(address) when is_binary(address), do: ip!({address, :any})

  defp ip!({address, family})
       when is_binary(address) and family in [:inet, :inet6, :any] do
    case Destination.address(address, family) do
      {:ok, ip} when family == :inet and tuple_size(ip) == 8 -> bad_ip!(address, :eafnosupport)
      {:ok, ip} when family == :inet6 and tuple_size(ip) == 4 -> bad_ip!(address, :eafnosupport)
      {:ok, ip} -> ip
      {:error, reason} -> bad_ip!(address, reason)
    end
  end

  defp ip!(address) do
    raise ArgumentError,
          "expected :address to be an address or {address, family} tuple, got: #{inspect(address)}"
  end

  defp bad_ip!(address, reason) do
    raise ArgumentError,
          ":address contains an invalid IP or DNS name, got: #{inspect(address)} (#{reason})"
  end
end
