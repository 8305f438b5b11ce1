# The medians that criterion left in the folder of the first argument, as a table in the file of the second.
alias Bench.Record

[folder, file] = System.argv()

# {"median":{..."point_estimate":123.4...}}: no JSON parser is needed for one number.
median = fn path ->
  [_, number] = Regex.run(~r/"median":\{.*?"point_estimate":([\d.eE+-]+)/, File.read!(path))
  number |> Float.parse() |> elem(0)
end

names = ~w(m1_options m2_register m3_invite m4_200ok m5_large)

measured =
  for path <- Path.wildcard(Path.join(folder, "*/*/new/estimates.json")),
      [message, parser | _] = path |> Path.relative_to(folder) |> Path.split(),
      into: %{},
      do: {{parser, message}, median.(path)}

parsers = measured |> Map.keys() |> Enum.map(&elem(&1, 0)) |> Enum.uniq()
ours = "sippet_proto"
scan = "memchr of line ends"
peers = Enum.sort(parsers -- [ours, scan])

rows = fn parsers, value ->
  for parser <- parsers, do: {parser, Enum.map(names, &value.(parser, &1))}
end

ns = fn parser, message -> measured |> Map.fetch!({parser, message}) |> round() |> to_string() end

times = fn parser, message ->
  :erlang.float_to_binary(measured[{parser, message}] / measured[{ours, message}], decimals: 1)
end

columns = ~w(M1 M2 M3 M4 M5)

text = """
# #{Date.utc_today()}: bytes to a Rust message

#{Record.machine()}. criterion, medians in ns, one thread; every header field typed that a crate has a type for
(`bench/rust/src`).

#{Record.table(columns, rows.([ours | peers] ++ [scan], ns))}

Times that of ours:

#{Record.table(columns, rows.(peers, times))}
"""

IO.puts(text)
File.write!(file, text)
