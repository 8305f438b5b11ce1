defmodule Sippet.Integration.SipServerTest do
  # The tests of examples/sip_server, a project of its own that has this library as a path: dependency. Nothing is fetched; the
  # native code is the one that these tests run with. What is compiled stays beside this project's.
  use ExUnit.Case, async: true

  @moduletag :slow
  @moduletag timeout: 300_000

  @directory Path.expand("../../examples/sip_server", __DIR__)

  test "the example server compiles without a warning, and its tests pass" do
    run(["compile", "--warnings-as-errors"])
    assert run(["test"]) =~ ~r/ tests, 0 failures|Result: \d+ passed/
  end

  test "the configuration that it comes with is one, and names the users that it comes with" do
    {config, _bindings} = Code.eval_file(Path.join(@directory, "sip_server.exs"))
    assert [realm | _] = config[:domains]

    for name <- ["alice", "bob"] do
      line = name <> ":" <> realm <> ":" <> Sippet.DigestAuth.ha1(name, realm, "secret-" <> name)
      assert line in String.split(File.read!(Path.join(@directory, config[:users])), "\n")
    end
  end

  defp run(arguments) do
    environment = [
      {"MIX_ENV", "test"},
      {"MIX_BUILD_PATH", Path.expand("../sip_server_test", Mix.Project.build_path())},
      {"MIX_BUILD_ROOT", nil},
      {"MIX_EXS", nil},
      {"SIPPET_NIF_PATH", Path.join(:code.priv_dir(:sippet), "native/sippet_nif.so")},
      {"HEX_OFFLINE", "1"},
      {"http_proxy", "http://127.0.0.1:9"},
      {"https_proxy", "http://127.0.0.1:9"}
    ]

    {output, status} =
      System.cmd("mix", arguments, cd: @directory, env: environment, stderr_to_stdout: true)

    assert status == 0, "mix #{Enum.join(arguments, " ")}:\n#{output}"
    output
  end
end
