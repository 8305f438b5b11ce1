defmodule Sippet.Proxy.Best do
  # The best of the final responses that a response context has (§16.7, steps 6 and 7). Called by Sippet.Proxy.Context only.
  @moduledoc false

  alias Sippet.{Message, Proxy}

  @typedoc "How a branch has ended: by a response, or as if by a 408, 503 (§16.7, §16.9, §8.1.3.1) or 480 (RFC 5626 §7)."
  @type outcome :: Message.response() | :timeout | :unreachable | :no_flow

  # What tells the client how to send the request again.
  @telling [401, 407, 415, 420, 484]

  @doc """
  The response to send upstream; nil where there is none to be sent: to a request other than INVITE there is no 408 (RFC 4320
  §4.2). `outcomes` are in the order in which they came.
  """
  @spec response(Proxy.t(), Message.request(), [outcome]) :: Message.response() | nil
  def response(proxy, request, outcomes) do
    case candidates(request, outcomes) do
      [] -> nil
      candidates -> candidates |> Enum.min_by(&rank/1) |> make(proxy, request, outcomes)
    end
  end

  defp candidates(%{start_line: %{method: :invite}}, outcomes), do: outcomes
  defp candidates(_request, outcomes), do: Enum.reject(outcomes, &(status_code(&1) == 408))

  # A 6xx before all, else the lowest class. In it what tells most; what came before what was only made of silence.
  defp rank(outcome) do
    status_code = status_code(outcome)
    class = div(status_code, 100)
    {if(class == 6, do: 0, else: class), preference(status_code), is_atom(outcome)}
  end

  defp preference(status_code) when status_code in @telling, do: 0
  # One server that can do no more says nothing about the others.
  defp preference(503), do: 2
  # A branch that was given up, or has lost its flow, says less than one that was refused.
  defp preference(status_code) when status_code in [408, 430, 487], do: 2
  defp preference(_other), do: 1

  defp status_code(:timeout), do: 408
  defp status_code(:unreachable), do: 503
  defp status_code(:no_flow), do: 480
  defp status_code(%Message{start_line: %{status_code: status_code}}), do: status_code

  defp make(best, proxy, request, outcomes) do
    case {best, status_code(best)} do
      {:timeout, 408} ->
        request |> Message.to_response(408) |> Proxy.warn(proxy, "nobody answered in time")

      {:no_flow, 480} ->
        request |> Message.to_response(480) |> Proxy.warn(proxy, "no flow to the user is left")

      # §16.7, step 6: a 503 would keep the client from sending us anything.
      {:unreachable, 503} ->
        request |> Message.to_response(500) |> Proxy.warn(proxy, "the next hop cannot be reached")

      {_response, 503} ->
        request |> Message.to_response(500) |> Proxy.warn(proxy, "the next hop is not available")

      {response, status_code} when status_code in [401, 407] ->
        collect(response, outcomes)

      {response, _status_code} ->
        response
    end
  end

  # Step 7: the client needs the challenges of all branches, or it would learn them one after another.
  defp collect(best, outcomes) do
    others =
      for %Message{} = other <- outcomes,
          other != best,
          status_code(other) in [401, 407],
          do: other

    Enum.reduce([:www_authenticate, :proxy_authenticate], best, fn header, best ->
      case Enum.flat_map([best | others], &Map.get(&1.headers, header, [])) do
        [] -> best
        challenges -> Message.put_header(best, header, challenges)
      end
    end)
  end
end
