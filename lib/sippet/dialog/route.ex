defmodule Sippet.Dialog.Route do
  # How a set of routes goes into a request (§12.2.1.1, §16.6). Called by Sippet.Dialog and Sippet.Proxy only.
  @moduledoc false

  alias Sippet.Message.Headers
  alias Sippet.Resolver.{Question, Service}
  alias Sippet.Routing.NextHop
  alias Sippet.URI

  @doc """
  The Request-URI, the values of Route, and the target of a request.

  The target is `nil` where Route and Request-URI lead to the next hop. Behind a strict router they do not: the next hop
  is the Request-URI although there is a Route (§8.1.2), which nobody can tell from the request alone.
  """
  @spec apply([Headers.address()], URI.t(), protocol :: Headers.protocol()) ::
          {URI.t(), [Headers.address()], target :: tuple | nil}
  def apply([], remote_target, _protocol), do: {NextHop.request_uri(remote_target), [], nil}

  def apply([{_display_name, first, _parameters} | rest] = route_set, remote_target, protocol) do
    if NextHop.loose?(first) do
      {NextHop.request_uri(remote_target), route_set, nil}
    else
      {NextHop.request_uri(first), rest ++ [{"", remote_target, %{}}], target(first, protocol)}
    end
  end

  @doc "Tells whether a route is a loose router (§19.1.1)."
  @spec loose?(URI.t()) :: boolean
  defdelegate loose?(uri), to: NextHop

  @doc "The value of a URI's parameter, nil where it is not there; of one without a value it is \"\"."
  @spec parameter(String.t() | nil, String.t()) :: String.t() | nil
  defdelegate parameter(parameters, wanted), to: NextHop

  defp target(uri, protocol) do
    case Question.of_uri(uri, []) do
      {:ok, question} ->
        {protocol(question, protocol), question.host,
         question.port || URI.default_port(uri.scheme)}

      {:error, _error} ->
        nil
    end
  end

  # §26.2.1: sips is TLS.
  defp protocol(%Question{secure: true, transport: nil}, protocol),
    do: if(Service.secure?(protocol), do: protocol, else: :tls)

  defp protocol(%Question{secure: true, transport: transport}, _protocol),
    do: Service.secured(transport) || :tls

  defp protocol(%Question{transport: transport}, protocol), do: transport || protocol
end
