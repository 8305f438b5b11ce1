defmodule Sippet.Guides.TracingTest do
  # The snippets of guides/tracing.md, in their order, as one program, and what it says of them.
  use ExUnit.Case

  alias Sippet.Test.{Guide, Pcapng, XML}

  @guide File.read!(Path.expand("../../guides/tracing.md", __DIR__))

  test "every Elixir snippet of the guide runs, and gives what it shows" do
    assert length(Guide.snippets("guides/tracing.md")) == 7
    Process.flag(:trap_exit, true)
    {_value, binding} = Guide.run("guides/tracing.md")
    File.rm!(Path.join(System.tmp_dir!(), "traced.pcapng"))

    # Times and the port are other ones each time, and so is what the port leaves room for.
    assert [shown] = Regex.run(~r/^```\n( +alice.*?)^```$/ms, @guide, capture: :all_but_first)
    assert shape(binding[:ladder]) == shape(shown)
    refute binding[:ladder] =~ "zanzibar"

    assert "sequenceDiagram\n  participant p0 as alice\n  participant p1 as bob\n" <> _ =
             binding[:mermaid]

    assert length(XML.elements(XML.parse(binding[:svg]), :polygon)) ==
             length(Pcapng.packets(binding[:pcapng]))

    [%{address: {_ip, port}}] = Sippet.Transport.list(:paged)
    assert page(port, "/trace") =~ ~r/\AHTTP\/1\.1 200 .*<h1>Calls<\/h1>/s
    assert page(port, "/") =~ ~r/\AHTTP\/1\.1 404 /
    Supervisor.stop(binding[:paged])
    for name <- [:bob, :alice], do: Supervisor.stop(Sippet.Stack.supervisor(name))
  end

  defp page(port, path) do
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, port, [:binary, active: false])
    :ok = :gen_tcp.send(socket, "GET #{path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
    read(socket, "")
  end

  defp read(socket, text) do
    case :gen_tcp.recv(socket, 0, 5_000) do
      {:ok, more} -> read(socket, text <> more)
      {:error, :closed} -> text
    end
  end

  defp shape(ladder) do
    ladder
    |> String.replace(~r/[0-9]+\.[0-9] ms/, "T")
    |> String.replace(~r/(127\.0\.0\.1):[0-9]+/, "\\1:P")
    |> String.replace(~r/ {2,}|-+/, " ")
  end

  test "the defaults that it tells are those of a trace" do
    docs = Code.fetch_docs(Sippet.Trace)
    {:docs_v1, _, _, _, _, _, functions} = docs

    {_, _, _, %{"en" => text}, _} =
      Enum.find(functions, &match?({{:function, :start, _}, _, _, _, _}, &1))

    for {name, shown, value} <- [
          {"max_events", "1,000", 1_000},
          {"max_bytes", "4 MiB", 4 * 1_048_576},
          {"max_message_bytes", "64 KiB", 65_536}
        ] do
      assert @guide =~ "`:#{name}` (#{shown})"
      assert text =~ ~r/`:#{name}` - .*; default `#{value}`/
    end
  end
end
