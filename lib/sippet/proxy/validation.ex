defmodule Sippet.Proxy.Validation do
  # Whether a request may be forwarded (§16.3), in the order of the steps there. Called by Sippet.Proxy only.
  @moduledoc false

  alias Sippet.{Message, Proxy, ProxyError}
  alias Sippet.Proxy.Branch

  @spec run(Proxy.t(), Message.request()) ::
          :ok | {:ok, :final_recipient} | {:error, ProxyError.t()}
  def run(proxy, request) do
    with :ok <- syntax(request),
         :ok <- scheme(proxy, request),
         :ok <- max_forwards(proxy, request),
         :ok <- loop(proxy, request),
         :ok <- proxy_require(proxy, request),
         do: breadth(proxy, request)
  end

  # Step 1. What is not here the parser has refused already; but without a tag in From no request can be sent (§8.1.1.3).
  defp syntax(%{headers: %{from: {_name, _uri, %{"tag" => tag}}}}) when tag != "", do: :ok
  defp syntax(_request), do: {:error, ProxyError.new(:malformed, header: :from)}

  defp scheme(proxy, %{start_line: %{request_uri: uri}}) do
    if uri.scheme in proxy.schemes, do: :ok, else: {:error, ProxyError.new(:unsupported_scheme)}
  end

  # Step 3: what may go no further this element may answer itself, if it is a method that it can answer.
  defp max_forwards(proxy, %{start_line: %{method: method}, headers: %{max_forwards: 0}}) do
    if method in proxy.answers,
      do: {:ok, :final_recipient},
      else: {:error, ProxyError.new(:too_many_hops)}
  end

  defp max_forwards(_proxy, _request), do: :ok

  defp loop(proxy, request),
    do: if(Branch.loop?(proxy, request), do: {:error, ProxyError.new(:loop)}, else: :ok)

  # Step 5. An ACK and a CANCEL have none that counts (§8.2.2.3).
  defp proxy_require(_proxy, %{start_line: %{method: method}}) when method in [:ack, :cancel],
    do: :ok

  defp proxy_require(proxy, %{headers: headers}) do
    case Enum.reject(Map.get(headers, :proxy_require, []), &(&1 in proxy.extensions)) do
      [] -> :ok
      unknown -> {:error, ProxyError.new(:bad_extension, values: unknown)}
    end
  end

  defp breadth(_proxy, %{start_line: %{method: method}}) when method in [:ack, :cancel], do: :ok

  defp breadth(proxy, request) do
    case max_breadth(proxy, request) do
      {:ok, 0} -> {:error, ProxyError.new(:max_breadth_exceeded)}
      {:ok, _breadth} -> :ok
      :error -> {:error, ProxyError.new(:malformed, header: "Max-Breadth")}
    end
  end

  @doc "How many branches a request may have: what it says, and not more than this element allows (RFC 5393 §5.3.3)."
  @spec max_breadth(Proxy.t(), Message.request()) :: {:ok, non_neg_integer} | :error
  def max_breadth(proxy, request) do
    if Message.has_header?(request, "Max-Breadth") do
      case Message.decode_header(request, "Max-Breadth") do
        {:ok, breadth} -> {:ok, min(breadth, proxy.max_breadth)}
        _malformed -> :error
      end
    else
      {:ok, proxy.max_breadth}
    end
  end
end
