defmodule Bench.Record do
  @moduledoc false
  # Measurements as Markdown: the machine, what was measured, the targets of the project and whether they are met.

  # What nksip took beside erlang-p1-sip on another machine: the least that a parser in Elixir has to do to compare with.
  @nksip [0.186, 0.154, 0.170, 0.179, 0.149]

  @spec messages([{String.t(), map, map}], String.t(), boolean, boolean) :: String.t()
  def messages(measured, timing, p1?, floor?) do
    names = for {name, _parse, _write} <- measured, do: name
    parse = for {_name, parse, _write} <- measured, do: parse
    write = for {_name, _parse, write} <- measured, do: write

    missing =
      for {false, text} <- [
            {p1?, "erlang-p1-sip is not installed"},
            {floor?, "the floor is not built"}
          ],
          do: "\n\nNot measured: #{text}."

    """
    # #{Date.utc_today()}: messages in the VM

    #{machine()}. Timed by #{timing}; medians.#{missing}

    ## Bytes to `%Sippet.Message{}`, µs

    #{table(names, rows(parse, ["Sippet", "floor", "Elixir", "p1"], &us(&1.us)))}

    | ratio | target | #{Enum.join(names, " | ")} |
    |---|---|#{String.duplicate("---:|", length(names))}
    #{ratio("p1 / Sippet", "at least 25", parse, "p1", "Sippet", fn value, _ -> value >= 25 end)}
    #{ratio("Sippet / floor", "at most 1.5", parse, "Sippet", "floor", fn value, _ -> value <= 1.5 end)}
    #{ratio("Elixir / Sippet", "3, from M3 on 5", parse, "Elixir", "Sippet", fn value, index -> value >= if(index < 2, do: 3, else: 5) end)}
    #{ratio("Elixir / p1", "nksip's #{Enum.map_join(@nksip, " ", &two/1)}", parse, "Elixir", "p1", fn value, index -> value <= Enum.at(@nksip, index) end)}

    ## `to_iodata/1`, flattened, µs

    #{table(names, rows(write, ["Sippet", "p1"], &us(&1.us)))}

    | ratio | target | #{Enum.join(names, " | ")} |
    |---|---|#{String.duplicate("---:|", length(names))}
    #{ratio("Sippet / p1", "below 1, M3 at most 0.6", write, "Sippet", "p1", fn value, index -> value <= if(index == 2, do: 0.6, else: 1) end)}

    ## Memory, bytes a call on the heap of its process

    #{table(names, rows(parse, ["Sippet", "floor", "Elixir", "p1"], &integer(&1.bytes)))}

    A ratio in bold misses its target.
    """
  end

  @doc "The machine, in one line."
  @spec machine() :: String.t()
  def machine do
    cpu =
      case File.read("/proc/cpuinfo") do
        {:ok, text} -> ~r/model name\s*:\s*(.*)/ |> Regex.run(text) |> List.last()
        _other -> "unknown processor"
      end

    load =
      case File.read("/proc/loadavg") do
        {:ok, text} -> ", load #{text |> String.split() |> hd()} before"
        _other -> ""
      end

    {rustc, 0} = System.cmd("rustc", ["--version"])

    "#{cpu}, #{System.schedulers_online()} cores#{load}; Erlang/OTP #{otp()}, Elixir #{System.version()}, " <>
      (rustc |> String.split() |> Enum.take(2) |> Enum.join(" "))
  end

  defp otp do
    path = Path.join([:code.root_dir(), "releases", System.otp_release(), "OTP_VERSION"])

    case File.read(path) do
      {:ok, version} -> String.trim(version)
      _other -> System.otp_release()
    end
  end

  defp rows(measured, names, format) do
    for name <- names, Enum.all?(measured, &is_map_key(&1, name)) do
      {label(name), Enum.map(measured, &format.(&1[name]))}
    end
  end

  defp label("Elixir"), do: "Elixir alone (`Bench.Pure`)"
  defp label("p1"), do: "erlang-p1-sip"
  defp label("floor"), do: "floor (a NIF that builds the same terms)"
  defp label(name), do: name

  @spec table([String.t()], [{String.t(), [String.t()]}]) :: String.t()
  def table(names, rows) do
    """
    | | #{Enum.join(names, " | ")} |
    |---|#{String.duplicate("---:|", length(names))}
    """ <>
      Enum.map_join(rows, "\n", fn {label, cells} ->
        "| #{label} | #{Enum.join(cells, " | ")} |"
      end)
  end

  defp ratio(label, target, measured, over, under, met) do
    cells =
      for {measured, index} <- Enum.with_index(measured) do
        case measured do
          %{^over => over, ^under => under} ->
            value = over.us / under.us
            if met.(value, index), do: two(value), else: "**#{two(value)}**"

          _absent ->
            "-"
        end
      end

    "| #{label} | #{target} | #{Enum.join(cells, " | ")} |"
  end

  defp us(value) when value >= 100, do: :erlang.float_to_binary(value / 1, decimals: 0)
  defp us(value), do: two(value)

  defp two(value), do: :erlang.float_to_binary(value / 1, decimals: 2)

  defp integer(value), do: value |> round() |> Integer.to_string()
end
