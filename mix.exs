defmodule Mix.Tasks.Compile.SippetNif do
  @moduledoc """
  Builds `native/sippet_nif` with cargo and puts the library into the application's `priv/native`.

  That directory is under `_build`, never in the source tree, so that environments, runtimes and dependents do not
  overwrite each other's file and releases copy it.

  The environment may say

    * `SIPPET_NIF_PATH` - a library built before; cargo is not called
    * `SIPPET_NIF_PROFILE` - `release` (the default) or `debug`
    * `CARGO` - the path of cargo
  """

  use Mix.Task.Compiler

  @recursive true

  @impl true
  def run(_args) do
    source =
      case System.get_env("SIPPET_NIF_PATH", "") do
        "" -> build()
        path -> prebuilt(path)
      end

    {install(source, installed_path()), []}
  end

  @impl true
  def clean do
    _ = File.rm_rf(Path.dirname(installed_path()))
    _ = File.rm_rf(target_dir())
    :ok
  end

  defp prebuilt(path) do
    if File.regular?(path) do
      Path.expand(path)
    else
      Mix.raise("SIPPET_NIF_PATH names #{path}, and there is no such file")
    end
  end

  defp build do
    arguments =
      ~w(build --locked --package sippet_nif --message-format json-render-diagnostics --target-dir) ++
        [target_dir() | profile_arguments() ++ quiet()]

    # Standard error, where cargo shows its progress and rustc its complaints, goes to the terminal as it comes.
    case System.cmd(cargo(), arguments, cd: __DIR__) do
      {output, 0} ->
        artifact(output)

      {_output, status} ->
        Mix.raise("cargo could not build the native code of sippet (exit status #{status})")
    end
  end

  # The first build takes a while: show it.
  defp quiet, do: if(File.exists?(installed_path()), do: ["--quiet"], else: [])

  defp profile_arguments do
    case System.get_env("SIPPET_NIF_PROFILE", "release") do
      "release" -> ["--release"]
      "debug" -> []
      other -> Mix.raise("SIPPET_NIF_PROFILE must be release or debug, got: #{other}")
    end
  end

  defp cargo do
    System.find_executable(System.get_env("CARGO", "cargo")) ||
      Mix.raise("""
      sippet has a part written in Rust, and cargo was not found.

      Install Rust 1.91 or newer (https://rustup.rs) and see that `cargo` is in PATH, or set CARGO to its path, or \
      set SIPPET_NIF_PATH to a library that was built before.\
      """)
  end

  # The artifact's line is JSON, for which OTP 25 has no parser. A path holds no quote that cargo would have to escape
  # but, on Windows, backslashes.
  defp artifact(output) do
    lines =
      output
      |> String.split("\n")
      |> Enum.filter(&(&1 =~ ~r/"reason":"compiler-artifact"/ and &1 =~ ~r/"name":"sippet_nif"/))

    with [_ | _] <- lines,
         [path] <-
           Regex.run(~r/"((?:[^"\\]|\\.)*\.(?:so|dylib|dll))"/, List.last(lines),
             capture: :all_but_first
           ) do
      String.replace(path, "\\\\", "\\")
    else
      _ -> Mix.raise("cargo built the native code of sippet and did not say where")
    end
  end

  # A running VM may have the old file mapped: it is replaced, never written into.
  defp install(source, target) do
    bytes = File.read!(source)

    if File.read(target) == {:ok, bytes} do
      :noop
    else
      File.mkdir_p!(Path.dirname(target))
      temporary = "#{target}.#{System.pid()}"
      File.write!(temporary, bytes)
      File.rename!(temporary, target)
      :ok
    end
  end

  # macOS too loads `.so`: the ending is OTP's choice, not the linker's.
  defp installed_path do
    name = if match?({:win32, _}, :os.type()), do: "sippet_nif.dll", else: "sippet_nif.so"
    Path.join([Mix.Project.app_path(), "priv", "native", name])
  end

  # One for all environments; cargo takes a lock on it.
  defp target_dir, do: Path.expand(Path.join([Mix.Project.build_path(), "..", "sippet_nif"]))
end

defmodule Sippet.MixProject do
  use Mix.Project

  @version "2.0.0-dev"
  @source_url "https://github.com/balena/elixir-sippet"

  def project do
    [
      app: :sippet,
      version: @version,
      elixir: "~> 1.14",
      compilers: [:sippet_nif] ++ Mix.compilers(),
      elixirc_paths: elixirc_paths(Mix.env()),
      start_permanent: Mix.env() == :prod,
      deps: deps(),
      test_coverage: [ignore_modules: [Sippet.Native]],
      name: "Sippet",
      description:
        "SIP middleware: messages, transports, transactions and cores, with a Rust core",
      source_url: @source_url,
      package: package(),
      docs: docs()
    ]
  end

  def application do
    [extra_applications: [:crypto, :logger, :public_key, :ssl]]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_env), do: ["lib"]

  # No package is needed. One that is named here would stop every command where Hex is not installed, and one for all
  # environments would stop them until it is fetched where Hex is.
  defp deps do
    if Code.ensure_loaded?(Hex) do
      [{:ex_doc, "~> 0.31", only: :docs, runtime: false}]
    else
      []
    end
  end

  defp package do
    [
      licenses: ["BSD-3-Clause"],
      links: %{"GitHub" => @source_url},
      files:
        ~w(lib native/sippet_proto native/sippet_nif .cargo Cargo.toml Cargo.lock mix.exs .formatter.exs
                guides README.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md
                SECURITY.md LICENSE)
    ]
  end

  defp docs do
    [
      main: "readme",
      source_ref: "v#{@version}",
      extras:
        ~w(README.md guides/parsing.md guides/security.md guides/sdp.md guides/authentication.md
           guides/testing.md guides/transports.md guides/routing.md guides/flows.md guides/writing-a-transport.md
           guides/operations.md guides/tracing.md guides/proxy.md guides/sip-server.md guides/conformance.md
           guides/from-1.x-to-2.md ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md)
    ]
  end
end
