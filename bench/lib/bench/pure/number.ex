defmodule Bench.Pure.Number do
  # Header fields made of numbers: Date, MIME-Version, Retry-After, Timestamp, Warning.
  @moduledoc false

  import Bench.Pure.{Chars, Scan}

  @days ~w(mon tue wed thu fri sat sun)
  @months ~w(jan feb mar apr may jun jul aug sep oct nov dec) |> Enum.with_index(1) |> Map.new()

  # `rfc1123-date` (§20.17).
  def date(text) do
    with <<day_name::binary-size(3), ", ", day::binary-size(2), ?\s, month::binary-size(3), ?\s,
           year::binary-size(4), ?\s, hour::binary-size(2), ?:, minute::binary-size(2), ?:,
           second::binary-size(2), zone::binary-size(4), rest::binary>> <- text,
         true <- lower(day_name) in @days and lower(zone) == " gmt",
         %{^month => month} <- %{month => Map.get(@months, lower(month))},
         true <- month != nil,
         [year, day, hour, minute, second] <-
           Enum.map([year, day, hour, minute, second], &digits/1),
         true <- second <= 60 and hour < 24 and minute < 60,
         {:ok, date} <- Date.new(year, month, day) do
      # Calendar.ISO has no leap second.
      {NaiveDateTime.new!(date, Time.new!(hour, minute, min(second, 59))), rest}
    else
      _other -> malformed()
    end
  end

  defp digits(text) do
    for <<c <- text>>, c not in ?0..?9, do: malformed()
    :erlang.binary_to_integer(text)
  end

  def mime_version(text) do
    {major, rest} = number(text, 0xFFFFFFFF)

    case skip(rest) do
      <<?., rest::binary>> ->
        {minor, rest} = number(skip(rest), 0xFFFFFFFF)
        {{major, minor}, rest}

      _none ->
        malformed()
    end
  end

  def retry_after(text) do
    {seconds, rest} = number(text, 0xFFFFFFFF)

    {comment, rest} =
      case skip(rest) do
        <<?(, rest::binary>> -> comment(rest)
        rest -> {"", rest}
      end

    {params, rest} = params(rest)
    {{seconds, comment, params}, rest}
  end

  def timestamp(text) do
    {timestamp, rest} = seconds(text)

    case skip(rest) do
      "" ->
        {{timestamp, 0.0}, rest}

      delay when byte_size(delay) < byte_size(rest) ->
        {delay, rest} = seconds(delay)
        {{timestamp, delay}, rest}

      _junk ->
        malformed()
    end
  end

  defp seconds(text), do: seconds(text, text, 0)

  defp seconds(<<c, rest::binary>>, text, size) when c in ?0..?9 or c == ?.,
    do: seconds(rest, text, size + 1)

  defp seconds(rest, text, size), do: {text |> binary_part(0, size) |> float(), rest}

  defp float(text) do
    case :binary.split(text, ".", [:global]) do
      [whole] when whole != "" -> float(whole, "0")
      [whole, part] when whole != "" or part != "" -> float(whole, part)
      _other -> malformed()
    end
  end

  defp float(whole, part) do
    :erlang.binary_to_float("0" <> whole <> "." <> part <> "0")
  rescue
    ArgumentError -> malformed()
  end

  def warning(<<a, b, c, space, rest::binary>>)
      when a in ?1..?9 and b in ?0..?9 and c in ?0..?9 and is_space(space) do
    {agent, rest} = visible(skip(rest))
    {text, rest} = rest |> skip() |> quoted()
    {{(a - ?0) * 100 + (b - ?0) * 10 + c - ?0, agent, text}, rest}
  end

  def warning(_text), do: malformed()
end
