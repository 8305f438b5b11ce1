defmodule Sippet.Test.Resolving do
  # Resolvers for tests, each with a name server of its own, and their results in short.
  @moduledoc false

  import ExUnit.Callbacks

  alias Sippet.Test.DNSServer

  @doc "Starts a name server for a zone and a resolver that asks it; returns the resolver's name."
  def start(zone, options \\ [], server_options \\ []) do
    server = DNSServer.start(zone, server_options)
    name = :"resolver_#{System.unique_integer([:positive])}"

    start_supervised!(
      {Sippet.Resolver.DNS, [name: name, nameservers: [server]] ++ options},
      id: make_ref()
    )

    name
  end

  @doc "The same as a stack's; returns `{server, stack}`."
  def start_stack(zone, options \\ []) do
    server = DNSServer.start(zone)
    name = :"stack_#{System.unique_integer([:positive])}"
    resolver = {Sippet.Resolver.DNS, [nameservers: [server]] ++ options}
    start_supervised!({Sippet, name: name, resolver: resolver})
    {server, name}
  end

  @doc "Targets as `{transport, \"address:port\"}`, or the reason why there are none."
  def brief({:ok, targets}), do: for(t <- targets, do: {t.transport, address(t.address, t.port)})
  def brief({:error, %Sippet.ResolverError{reason: reason}}), do: reason

  @doc "An address as text."
  def address(ip, port) when tuple_size(ip) == 8, do: "[#{:inet.ntoa(ip)}]:#{port}"
  def address(ip, port), do: "#{:inet.ntoa(ip)}:#{port}"
end
