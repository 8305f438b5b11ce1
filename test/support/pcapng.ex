defmodule Sippet.Test.Pcapng do
  # Reads a pcapng file by hand (draft-ietf-opsawg-pcapng §3, §4), and the exported PDUs in it, and is strict about both.
  @moduledoc false

  @doc """
  The packets of a file, in their order: `%{time: microseconds, link_type:, tags: %{type => value}, data:, length:, comment:, flags:}`.
  """
  def packets(file) do
    [{0x0A0D0D0A, section}, {1, interface} | packets] = blocks(file)
    <<0x1A2B3C4D::32, 1::16, 0::16, -1::signed-64, options::binary>> = section
    %{4 => "Sippet"} = options(options)
    <<link_type::16, 0::16, 0::32, options::binary>> = interface
    # Neither a resolution nor an offset of times: they are microseconds.
    [2] = Map.keys(options(options))
    for packet <- packets, do: packet |> packet() |> Map.put(:link_type, link_type)
  end

  # Each block tells its length twice, a multiple of four bytes.
  defp blocks(""), do: []

  defp blocks(<<type::32, length::32, rest::binary>>) when rem(length, 4) == 0 and length >= 12 do
    body_length = length - 12
    <<body::binary-size(body_length), ^length::32, rest::binary>> = rest
    [{type, body} | blocks(rest)]
  end

  defp packet({6, <<0::32, time::64, captured::32, length::32, rest::binary>>}) do
    {data, options} = padded(rest, captured)
    {tags, message} = tags(data, %{})
    options = options(options)
    <<flags::32>> = options[2]
    true = length >= captured

    %{
      time: time,
      tags: tags,
      data: message,
      length: length - captured + byte_size(message),
      comment: options[1],
      flags: flags
    }
  end

  defp options(<<0::16, 0::16>>), do: %{}

  defp options(<<code::16, length::16, rest::binary>>) when code > 0 do
    {value, rest} = padded(rest, length)
    rest |> options() |> Map.put(code, value)
  end

  # The length of a tag is a multiple of four by itself.
  defp tags(<<0::16, 0::16, message::binary>>, tags), do: {tags, message}

  defp tags(<<type::16, length::16, rest::binary>>, tags) when type > 0 and rem(length, 4) == 0 do
    <<value::binary-size(length), rest::binary>> = rest
    tags(rest, Map.put(tags, type, value))
  end

  defp padded(bytes, length) do
    padding = rem(4 - rem(length, 4), 4)
    <<value::binary-size(length), 0::size(padding)-unit(8), rest::binary>> = bytes
    {value, rest}
  end
end
