defmodule Sippet.Integration.DependencyTest do
  # The library as others use it: a path: dependency of a fresh project, run by mix and as a release. Nothing is fetched; the
  # native code is the one that these tests run with.
  use ExUnit.Case, async: true

  @moduletag :slow
  @moduletag timeout: 300_000

  @library Path.expand("../..", __DIR__)

  @mix_exs """
  defmodule Phone.MixProject do
    use Mix.Project

    def project do
      [
        app: :phone,
        version: "0.1.0",
        deps: [{:sippet, path: LIBRARY}],
        releases: [phone: [include_executables_for: [:unix], strip_beams: false]]
      ]
    end

    def application, do: [extra_applications: [:logger]]
  end
  """

  # One OPTIONS to itself, over a real socket.
  @phone """
  defmodule Phone do
    use Sippet.Core

    def receive_request(request, _key),
      do: Sippet.send(:phone, Sippet.Message.to_response(request, 200))

    def receive_response(response, _key),
      do: send(:phone_test, {:status_code, response.start_line.status_code})

    def call do
      Process.register(self(), :phone_test)
      {:ok, _} = Sippet.start_link(name: :phone)
      {:ok, _} = Sippet.Transports.UDP.start_link(name: :phone, port: 0, address: "127.0.0.1")
      Sippet.register_core(:phone, Phone)
      [%{address: {_ip, port}}] = Sippet.Transport.list(:phone)

      request = Sippet.Message.parse!(\"""
      OPTIONS sip:127.0.0.1:\#{port} SIP/2.0
      Via: SIP/2.0/UDP 127.0.0.1:\#{port};branch=z9hG4bKphone;rport
      Max-Forwards: 70
      From: <sip:phone@example.com>;tag=1
      To: <sip:phone@example.com>
      Call-ID: phone
      CSeq: 1 OPTIONS
      Content-Length: 0

      \""")

      :ok = Sippet.send(:phone, request)

      receive do
        {:status_code, status_code} -> IO.puts("answered with \#{status_code}")
      after
        5_000 -> raise "no answer"
      end
    end
  end
  """

  setup do
    directory = Path.join(System.tmp_dir!(), "sippet_dependency_#{System.pid()}")
    on_exit(fn -> File.rm_rf!(directory) end)
    File.mkdir_p!(Path.join(directory, "lib"))
    mix_exs = String.replace(@mix_exs, "LIBRARY", inspect(@library))
    File.write!(Path.join(directory, "mix.exs"), mix_exs)
    File.write!(Path.join([directory, "lib", "phone.ex"]), @phone)
    %{directory: directory}
  end

  test "a path: dependency compiles, runs and is released", %{directory: directory} do
    assert run("mix", ["run", "-e", "Phone.call()"], directory) =~ "answered with 200"

    run("mix", ["release", "--quiet"], directory)
    release = Path.join([directory, "_build", "prod", "rel", "phone"])
    # It holds all that it needs: neither the project nor the library are looked at.
    moved = Path.join(directory, "elsewhere")
    File.rename!(release, moved)
    File.rm_rf!(Path.join(directory, "_build"))
    output = run(Path.join([moved, "bin", "phone"]), ["eval", "Phone.call()"], directory)
    assert output =~ "answered with 200"
  end

  defp run(command, arguments, directory) do
    library = Path.join(:code.priv_dir(:sippet), "native/sippet_nif.so")

    environment = [
      {"MIX_ENV", "prod"},
      {"MIX_BUILD_PATH", nil},
      {"MIX_BUILD_ROOT", nil},
      {"MIX_EXS", nil},
      {"SIPPET_NIF_PATH", library},
      # Nothing may be fetched.
      {"HEX_OFFLINE", "1"},
      {"http_proxy", "http://127.0.0.1:9"},
      {"https_proxy", "http://127.0.0.1:9"}
    ]

    {output, status} =
      System.cmd(command, arguments, cd: directory, env: environment, stderr_to_stdout: true)

    assert status == 0, "#{command} #{Enum.join(arguments, " ")}:\n#{output}"
    output
  end
end
