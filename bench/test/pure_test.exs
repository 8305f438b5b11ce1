defmodule Bench.PureTest do
  # The parser that Sippet's is compared with does the same work: the same struct, and an error where that has one. Every
  # message of bench/messages, test/fixtures and the corpus (SIPPET_CORPUS), and those with a byte changed or a line cut.
  use ExUnit.Case, async: true

  alias Sippet.Message

  @corpus System.get_env("SIPPET_CORPUS", "../../shared/corpus")

  defp paths do
    for folder <- ["messages", "../test/fixtures", @corpus],
        path <- Path.wildcard(Path.join(folder, "**/*.{sip,dat}")),
        do: path
  end

  defp expected(data) do
    with {:error, _error} <- Message.parse(data, framing: :datagram, mode: :strict), do: :error
  end

  test "every message is the same struct or an error in both" do
    messages = for path <- paths(), do: {path, File.read!(path)}

    differing =
      for {path, data} <- messages,
          Bench.Pure.parse(data) != expected(data),
          do: {path, expected(data), Bench.Pure.parse(data)}

    valid = Enum.count(messages, fn {_path, data} -> Bench.Pure.parse(data) != :error end)
    IO.puts("pure: #{length(messages)} messages compared, #{valid} of them valid")
    assert differing == []
    assert valid > 0 and valid < length(messages)
  end

  test "what lenient parsing finds no fault with is the same message" do
    for path <- Path.wildcard("messages/*.sip"), data = File.read!(path) do
      assert {:ok, %{defects: []}} = parsed = Message.parse(data)
      assert Bench.Pure.parse(data) == parsed
    end
  end

  test "a byte that is changed changes both alike" do
    :rand.seed(:exsss, {1, 2, 3})
    bytes = [0, 0x7F, 0xFF | :binary.bin_to_list("\t\n\r \"%(),-./:;<=>?@A[\\]_az~09")]

    for path <- paths(), data = File.read!(path), byte_size(data) in 1..4_000, _ <- 1..20 do
      at = :rand.uniform(byte_size(data)) - 1
      <<before::binary-size(at), _, rest::binary>> = data
      changed = <<before::binary, Enum.random(bytes), rest::binary>>

      assert Bench.Pure.parse(changed) == expected(changed),
             "#{path}, byte #{at}: #{inspect(changed)}"
    end
  end
end
