defmodule Sippet.SDP.ParseOptions do
  # The options of Sippet.SDP.parse/2, where they are documented: their names, defaults and checks.
  @moduledoc false

  # In the order in which Sippet.Native.SDP takes them.
  @limits [
    max_bytes: 65_536,
    max_lines: 4_096,
    max_line_bytes: 8_192,
    max_media: 256,
    max_attributes: 1_024
  ]

  @type mode :: :lenient | :strict

  @type option ::
          {:mode, mode}
          | {:max_bytes | :max_lines | :max_line_bytes | :max_media | :max_attributes,
             pos_integer}

  @doc """
  What the options say; an unknown one or a wrong value raises `ArgumentError`.
  """
  @spec read([option]) :: {mode, Sippet.Native.SDP.limits()}
  def read(options) when is_list(options) do
    Enum.each(options, &check!/1)

    limits = for {name, default} <- @limits, do: Keyword.get(options, name, default)

    {Keyword.get(options, :mode, :lenient), List.to_tuple(limits)}
  end

  defp check!({:mode, mode}) when mode in [:lenient, :strict], do: :ok
  defp check!({:mode, other}), do: refuse(:mode, "to be :lenient or :strict", other)

  for {name, _default} <- @limits do
    defp check!({unquote(name), limit}) when is_integer(limit) and limit in 1..0xFFFFFFFF, do: :ok

    defp check!({unquote(name), other}),
      do: refuse(unquote(name), "to be an integer from 1 to 4294967295", other)
  end

  defp check!(other) do
    name = with {name, _value} <- other, do: name

    raise ArgumentError,
          "unknown option #{inspect(name)}, expected one of " <>
            inspect([:mode | Keyword.keys(@limits)])
  end

  defp refuse(name, expected, got) do
    raise ArgumentError, "expected #{inspect(name)} option #{expected}, got: #{inspect(got)}"
  end
end
