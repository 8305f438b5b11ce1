defmodule Sippet.ResolverTest do
  use ExUnit.Case, async: true
  doctest Sippet.Resolver

  import Sippet.Test.Resolving

  alias Sippet.{Resolver, ResolverError}
  alias Sippet.Resolver.Target
  alias Sippet.Test.DNSServer

  defmodule Own do
    @behaviour Sippet.Resolver

    @impl true
    def locate(%{host: "a.example"} = question, sippet, options) do
      send(options[:owner], {:locate, question, sippet})
      {:ok, [%Target{transport: :udp, address: {192, 0, 2, 4}, port: 5060}]}
    end

    def locate(question, _sippet, _options),
      do: {:error, %ResolverError{reason: :nxdomain, host: question.host}}
  end

  test "a stack has a resolver of its own, with the options that it was given" do
    {_server, sippet} = start_stack(%{"a.example" => %{a: ["192.0.2.1"]}}, families: [:inet])

    assert brief(Resolver.targets(sippet, "sip:a.example:5070", transports: [:udp])) == [
             udp: "192.0.2.1:5070"
           ]

    assert DNSServer.asked() == [a: "a.example"]
    # Another stack asks for itself.
    {_server, sippet} = start_stack(%{})
    assert brief(Resolver.targets(sippet, "sip:a.example:5070", transports: [:udp])) == :nxdomain
  end

  test "the transports are those of the stack" do
    {_server, sippet} = start_stack(%{"a.example" => %{a: ["192.0.2.1"], aaaa: ["2001:db8::1"]}})
    assert brief(Resolver.targets(sippet, "sip:a.example:5070")) == :no_transport
    Sippet.Test.Stack.start_udp(sippet)
    assert brief(Resolver.targets(sippet, "sip:a.example:5070")) == [udp: "192.0.2.1:5070"]
    assert DNSServer.asked() == [a: "a.example"]
    assert brief(Resolver.targets(sippet, "sips:a.example")) == :no_transport
    assert brief(Resolver.targets(sippet, "sip:[::1]")) == :no_transport
  end

  test "another module can take its place, and runs in the process that asks" do
    sippet = :"stack_#{System.unique_integer([:positive])}"
    start_supervised!({Sippet, name: sippet, resolver: {Own, owner: self()}})

    assert {:ok, [%Target{address: {192, 0, 2, 4}}]} =
             Resolver.targets(sippet, "sips:a.example;transport=tcp", transports: [:tls])

    assert_received {:locate, question, ^sippet}
    assert %{host: "a.example", port: nil, transport: :tcp, secure: true} = question
    assert question.transports == [tls: [:inet6, :inet]]

    assert {:error, %ResolverError{reason: :nxdomain} = error} =
             Resolver.targets(sippet, "sip:b.example")

    assert Exception.message(error) == "b.example: there is no such name"
  end

  test "the resolver that dies is started again" do
    {_server, sippet} = start_stack(%{"a.example" => %{a: ["192.0.2.1"]}}, families: [:inet])
    server = Module.concat(sippet, "Resolver")
    pid = Process.whereis(server)
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, _, _, :killed}

    Sippet.Test.Stack.eventually(fn ->
      brief(Resolver.targets(sippet, "sip:a.example:5070", transports: [:udp])) ==
        [udp: "192.0.2.1:5070"]
    end)
  end

  test "options are checked as the stack starts" do
    for {resolver, text} <- [
          {"x", ":resolver"},
          {String, ":resolver"},
          {{Sippet.Resolver.DNS, retry: 0}, ":retry"},
          {{Sippet.Resolver.DNS, nope: 0}, ":nope"},
          {{Sippet.Resolver.DNS, 1}, "options"}
        ] do
      error =
        assert_raise ArgumentError, fn -> Sippet.start_link(name: :x, resolver: resolver) end

      assert error.message =~ text
    end

    {_server, sippet} = start_stack(%{})

    assert_raise ArgumentError, ~r/:transport/, fn ->
      Resolver.targets(sippet, "sip:a", transport: :udp)
    end

    assert_raise ArgumentError, fn -> Resolver.targets(sippet, "a") end
    assert_raise ArgumentError, fn -> Resolver.targets(:no_such_stack, "sip:a") end
  end

  test "each reason of an error has a sentence" do
    for reason <-
          ~w(nxdomain no_addresses not_available no_transport bad_name unsupported_scheme timeout server_failure
                     too_many_queries overloaded no_resolver)a do
      refute Exception.message(%ResolverError{reason: reason}) =~ inspect(reason)
    end

    assert Exception.message(%ResolverError{reason: :other, host: "a"}) == "a: :other"
  end
end
