defmodule Sippet.ResolverError do
  @moduledoc """
  A host has no server to send to, or none could be found in time.

    * `reason` - see `t:reason/0`
    * `host` - what was to be found: the host of a URI, its `maddr`, or a name that DNS led to
    * `choices` - what was decided until then, see `t:Sippet.Resolver.choice/0`
  """

  @typedoc """
    * `:nxdomain` - there is no such name
    * `:no_addresses` - the name, or each target of its SRV records, has no address of a family that the transport has
    * `:not_available` - its SRV record says that the service is not to be had there (RFC 2782, target `.`)
    * `:no_transport` - there is no transport that the URI allows, or none of the address's family
    * `:bad_name` - the host is neither an address nor a name of letters, digits, hyphens and underscores: names in other
      letters have to be written as in DNS, `xn--...`
    * `:unsupported_scheme` - the URI is neither `sip` nor `sips`, or has no host
    * `:timeout` - no name server answered in time
    * `:server_failure` - the name servers could not be reached, refused or failed, or what they said makes no sense
    * `:too_many_queries` - a look-up was left out, and without it there is nothing
    * `:overloaded` - too many look-ups are under way
    * `:no_resolver` - the resolver's process is not there: in a simulation, or as its stack ends
    * anything else - what a resolver of the user's says
  """
  @type reason ::
          :nxdomain
          | :no_addresses
          | :not_available
          | :no_transport
          | :bad_name
          | :unsupported_scheme
          | :timeout
          | :server_failure
          | :too_many_queries
          | :overloaded
          | :no_resolver
          | term

  @type t :: %__MODULE__{
          reason: reason,
          host: String.t() | nil,
          choices: [Sippet.Resolver.choice()]
        }

  defexception [:reason, :host, choices: []]

  @impl true
  def message(%__MODULE__{reason: reason, host: nil}), do: describe(reason)
  def message(%__MODULE__{reason: reason, host: host}), do: "#{host}: #{describe(reason)}"

  defp describe(:nxdomain), do: "there is no such name"
  defp describe(:no_addresses), do: "the name has no address that a transport could send to"
  defp describe(:not_available), do: "the domain says that it has no such service"
  defp describe(:no_transport), do: "there is no transport for it"
  defp describe(:bad_name), do: "neither an address nor a host name"
  defp describe(:unsupported_scheme), do: "not a SIP URI with a host"
  defp describe(:timeout), do: "no name server answered in time"
  defp describe(:server_failure), do: "the name servers failed"
  defp describe(:too_many_queries), do: "finding it takes too many look-ups"
  defp describe(:overloaded), do: "too many look-ups are under way"
  defp describe(:no_resolver), do: "there is no resolver"
  defp describe(reason), do: inspect(reason)
end
