# Parsing and writing of the messages in bench/messages: Sippet, the parser in Elixir alone, Debian's erlang-p1-sip, and
# the floor under any NIF. Prints a table and writes it to the file that the first argument names. See README.md.
alias Bench.{Floor, Pure, Record, Timing}
alias Sippet.Message

seconds = "SECONDS" |> System.get_env("2") |> Float.parse() |> elem(0)
p1? = Code.ensure_loaded?(:esip_codec)
floor? = System.get_env("BENCH_FLOOR") != nil

measured =
  for path <- Path.wildcard(Path.join(__DIR__, "messages/*.sip")) do
    data = File.read!(path)
    {:ok, message} = Message.parse(data)
    ^message = elem(Pure.parse(data), 1)

    parse = %{
      "Sippet" => fn -> Message.parse(data) end,
      "Elixir" => fn -> Pure.parse(data) end
    }

    write = %{"Sippet" => fn -> message |> Message.to_iodata() |> IO.iodata_to_binary() end}

    parse =
      if floor? do
        build = Floor.builder(data, &Message.parse/1)
        {:ok, ^message} = build.()
        Map.put(parse, "floor", build)
      else
        parse
      end

    {parse, write} =
      if p1? do
        {:ok, theirs} = :esip_codec.decode(data)

        {Map.put(parse, "p1", fn -> :esip_codec.decode(data) end),
         Map.put(write, "p1", fn -> theirs |> :esip_codec.encode() |> IO.iodata_to_binary() end)}
      else
        {parse, write}
      end

    name = path |> Path.basename(".sip") |> String.slice(0, 2) |> String.upcase()
    IO.puts("measuring #{name}")
    {name, Timing.measure(parse, seconds), Timing.measure(write, seconds)}
  end

text = Record.messages(measured, Timing.name(), p1?, floor?)
IO.puts("\n" <> text)

case System.argv() do
  [file | _] -> File.write!(file, text)
  [] -> :ok
end
