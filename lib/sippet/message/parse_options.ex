defmodule Sippet.Message.ParseOptions do
  # The options of Sippet.Message.parse/2, where they are documented: their names, defaults and checks.
  @moduledoc false

  # In the order in which Sippet.Native takes them.
  @limits [
    max_message_bytes: %{whole: 1_048_576, datagram: 65_536},
    max_fields: 256,
    max_line_bytes: 8_192,
    max_values: 256,
    max_hops: 64,
    max_parameters: 32,
    max_folds: 16
  ]

  @type framing :: :whole | :datagram

  @type mode :: :lenient | :strict

  @type option ::
          {:framing, framing}
          | {:mode, mode}
          | {:max_message_bytes
             | :max_fields
             | :max_line_bytes
             | :max_values
             | :max_hops
             | :max_parameters
             | :max_folds, pos_integer}

  @doc """
  What the options say; an unknown one or a wrong value raises `ArgumentError`.
  """
  @spec read([option]) :: {framing, mode, Sippet.Native.limits()}
  def read(options) when is_list(options) do
    Enum.each(options, &check!/1)
    {framing, options} = Keyword.pop(options, :framing, :whole)
    {mode, limits} = Keyword.pop(options, :mode, :lenient)
    {framing, mode, limits(framing, limits)}
  end

  for framing <- [:whole, :datagram] do
    limits = Keyword.update!(@limits, :max_message_bytes, &Map.fetch!(&1, framing))
    defaults = limits |> Keyword.values() |> List.to_tuple() |> Macro.escape()

    defp limits(unquote(framing), []), do: unquote(defaults)

    defp limits(unquote(framing), given) do
      List.to_tuple(for {name, default} <- unquote(limits), do: Keyword.get(given, name, default))
    end
  end

  defp check!({:framing, framing}) when framing in [:whole, :datagram], do: :ok
  defp check!({:mode, mode}) when mode in [:lenient, :strict], do: :ok
  defp check!({:framing, other}), do: refuse(:framing, "to be :whole or :datagram", other)
  defp check!({:mode, other}), do: refuse(:mode, "to be :lenient or :strict", other)

  for {name, _default} <- @limits do
    defp check!({unquote(name), limit}) when is_integer(limit) and limit in 1..0xFFFFFFFF, do: :ok

    defp check!({unquote(name), other}),
      do: refuse(unquote(name), "to be an integer from 1 to 4294967295", other)
  end

  defp check!(other) do
    name =
      case other do
        {name, _value} -> name
        _no_pair -> other
      end

    raise ArgumentError,
          "unknown option #{inspect(name)}, expected one of " <>
            inspect([:framing, :mode | Keyword.keys(@limits)])
  end

  defp refuse(name, expected, got) do
    raise ArgumentError, "expected #{inspect(name)} option #{expected}, got: #{inspect(got)}"
  end
end
