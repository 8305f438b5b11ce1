defmodule Sippet.Proxy.Target do
  @moduledoc """
  Where a request may be forwarded to: an element of the target set (RFC 3261 §16.5).

    * `uri` - the Request-URI that the request will have
    * `q` - the preference, 0.0 to 1.0; targets with the same one are tried at the same time
    * `route` - values of Route that go before those of the request: the Path of a registration (RFC 3327)
    * `target` - the flow to send by (RFC 5626), or `{protocol, host, port}`; nil where Route or `uri` lead there
    * `protocol` - the one that a flow has, for Via and Record-Route; nil where it follows from the rest
    * `instance` - the `+sip.instance` of the registration, or what else names the user agent; nil where nothing does. Of targets
      with the same one the first is tried, and another only if that one's flow has failed (RFC 5626 §7)
  """

  alias Sippet.{Flow, Message, URI}
  alias Sippet.Message.Headers

  @enforce_keys [:uri]
  defstruct [:uri, q: 1.0, route: [], target: nil, protocol: nil, instance: nil]

  @type t :: %__MODULE__{
          uri: URI.t(),
          q: number,
          route: [Headers.address()],
          target: Flow.t() | {Message.protocol(), String.t(), :inet.port_number()} | nil,
          protocol: Message.protocol() | nil,
          instance: term
        }

  @doc """
  Makes a target of a URI, and of the other fields; a target comes back as it is.

      iex> target = Sippet.Proxy.Target.new("sip:bob@192.0.2.4", q: 0.5)
      iex> {target.uri.host, target.q}
      {"192.0.2.4", 0.5}
  """
  @spec new(t | URI.t() | String.t(), keyword) :: t
  def new(uri, fields \\ [])
  def new(%__MODULE__{} = target, fields), do: struct!(target, fields)
  def new(uri, fields), do: struct!(%__MODULE__{uri: URI.parse!(uri)}, fields)
end
