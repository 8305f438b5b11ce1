defmodule Sippet.Proxy.Branch do
  # The branches of a proxy: a part that is unique, or the same for the same request, and a hash by which a request that
  # comes back unchanged is known (§16.6, step 8; §16.11; RFC 5393 §4.2). Called by Sippet.Proxy only.
  @moduledoc false

  alias Sippet.{Message, Proxy}
  alias Sippet.Proxy.Route

  @doc "A new branch for a request."
  @spec stateful(Proxy.t(), Message.request()) :: String.t()
  def stateful(proxy, request), do: Message.create_branch() <> "." <> fingerprint(proxy, request)

  @doc """
  The branch that each repetition of a request gets, and its CANCEL and ACK too (§16.11): made of the branch that it came
  with, or where that is of RFC 2543 of what identifies the request.
  """
  @spec stateless(Proxy.t(), Message.request()) :: String.t()
  def stateless(proxy, request) do
    [{_version, _protocol, sent_by, parameters} = via | _] = request.headers.via

    identity =
      case parameters do
        %{"branch" => "z9hG4bK" <> _ = branch} -> {sent_by, branch}
        _ -> {via, request.start_line.request_uri, dialog(request.headers)}
      end

    Message.magic_cookie() <> hash(proxy, identity) <> "." <> fingerprint(proxy, request)
  end

  @doc "Tells whether a request has been here before with all that routing depends on."
  @spec loop?(Proxy.t(), Message.request()) :: boolean
  def loop?(proxy, request) do
    case for via <- Map.get(request.headers, :via, []), mine <- mine(proxy, via), do: mine do
      [] -> false
      fingerprints -> fingerprint(proxy, request) in fingerprints
    end
  end

  defp mine(proxy, {_version, _protocol, {host, port}, %{"branch" => branch}}) do
    with true <- MapSet.member?(proxy.own, {Proxy.normalize_host(host), port}),
         [_unique, fingerprint] <- String.split(branch, ".", parts: 2) do
      [fingerprint]
    else
      _ -> []
    end
  end

  defp mine(_proxy, _via), do: []

  # RFC 5393 §4.2.1: the Request-URI as it came, Route, Proxy-Require, Proxy-Authorization and what identifies the request. The
  # method is not in it, so that a CANCEL has the branch of its INVITE; nor is Via, which differs each time. Our own routes
  # are taken off first, so that it is the same before and after §16.4.
  defp fingerprint(proxy, request) do
    {request, _removed} = Route.preprocess(proxy, request)
    routing = Map.take(request.headers, [:route, :proxy_require, :proxy_authorization])
    hash(proxy, {request.start_line.request_uri, routing, dialog(request.headers)})
  end

  defp dialog(headers) do
    {tag(headers[:to]), tag(headers[:from]), headers[:call_id], elem(headers.cseq, 0)}
  end

  defp tag({_name, _uri, parameters}), do: Map.get(parameters, "tag")
  defp tag(_other), do: nil

  defp hash(proxy, term) do
    <<bytes::binary-size(9), _rest::binary>> =
      :crypto.mac(:hmac, :sha256, proxy.key, :erlang.term_to_binary(term, [:deterministic]))

    # In Base64 for URLs there is no ".", which is what stands between the parts.
    Base.url_encode64(bytes)
  end
end
