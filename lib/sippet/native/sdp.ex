defmodule Sippet.Native.SDP do
  # Session descriptions by the NIF, whose stubs are in Sippet.Native. Called by Sippet.SDP only.
  @moduledoc false

  alias Sippet.{Native, SDP}
  alias Sippet.Native.Words

  @words Words.all()

  # Longer input goes to a dirty scheduler, as in Sippet.Native.
  @max_normal_bytes 16_384

  @typedoc "`{max_bytes, max_lines, max_line_bytes, max_media, max_attributes}`"
  @type limits :: {pos_integer, pos_integer, pos_integer, pos_integer, pos_integer}

  @doc "Parses a session description; dirty above 16 KiB. Bounded by the bytes and by `limits`."
  @spec parse(binary, :lenient | :strict, limits) ::
          {:ok, SDP.t()} | {:error, SDP.ParseError.t()}
  def parse(data, mode, limits) do
    result =
      if byte_size(data) <= @max_normal_bytes,
        do: Native.nif_sdp_parse(data, mode, limits, @words),
        else: Native.nif_sdp_parse_dirty(data, mode, limits, @words)

    with {:error, {reason, line, offset}} <- result do
      {:error, %SDP.ParseError{reason: reason, line: line, offset: offset}}
    end
  end

  # Lines are 64 bytes or so, and their length is not known before they are written.
  @max_normal_lines 256

  @doc "Writes a session description; dirty above 256 lines. Bounded by the description."
  @spec write(SDP.t()) :: {:ok, binary} | {:error, SDP.WriteError.t()}
  def write(sdp) do
    result =
      if lines(sdp) <= @max_normal_lines,
        do: Native.nif_sdp_write(sdp),
        else: Native.nif_sdp_write_dirty(sdp)

    with {:error, {field, reason}} <- result do
      {:error, %SDP.WriteError{field: field, reason: reason}}
    end
  end

  # Attributes and media descriptions. What has another shape than the documented one counts for nothing here.
  defp lines(%{attributes: attributes, media: media}) do
    lines(media, count(attributes, 0))
  end

  defp lines([media | rest], lines) when lines <= @max_normal_lines do
    attributes = if is_map(media), do: Map.get(media, :attributes)
    lines(rest, count(attributes, lines + 1))
  end

  defp lines(_rest, lines), do: lines

  defp count([_ | rest], lines) when lines <= @max_normal_lines, do: count(rest, lines + 1)
  defp count(_rest, lines), do: lines
end
