defmodule Sippet.Message.Tag do
  # The tag that an element puts into To of its responses. Called by Sippet.Message, and by Sippet.Stack when it
  # starts.
  @moduledoc false

  alias Sippet.Native.Hash
  alias Sippet.Secret

  @doc """
  The tag for all responses to a request: a keyed hash of what makes it this request and no other.

  The method is left out, so that a CANCEL gets the tag of its INVITE (§9.2). The top Via is in, so that the branches of
  a request that was forked on its way get different ones.
  """
  @spec of_request(Sippet.Message.headers()) :: String.t()
  def of_request(headers) do
    identity = {
      Map.get(headers, :call_id),
      tag(Map.get(headers, :from)),
      number(Map.get(headers, :cseq)),
      branch(Map.get(headers, :via))
    }

    # Hexadecimal, not Base64: one tag in some millions has "CSeq" in it, which is where some peers then look for the CSeq.
    <<secret::binary-size(16), _rest::binary>> = Secret.fetch(__MODULE__)
    Hash.request_tag(secret, :erlang.term_to_binary(identity))
  end

  defp tag({_display_name, _uri, %{"tag" => tag}}), do: tag
  defp tag(_other), do: nil

  defp number({number, _method}), do: number
  defp number(_other), do: nil

  # Without the parameters that a transport adds.
  defp branch([{_version, _protocol, sent_by, parameters} | _rest]) when is_map(parameters),
    do: {sent_by, Map.get(parameters, "branch")}

  defp branch(_other), do: nil

  @doc """
  Sees that there is a key. A stack that starts does, so that its callbacks need not wait for each other at the first tag.
  """
  @spec make_key() :: :ok
  def make_key do
    _key = Secret.fetch(__MODULE__)
    :ok
  end
end
