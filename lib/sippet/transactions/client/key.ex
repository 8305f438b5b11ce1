defmodule Sippet.Transactions.Client.Key do
  @moduledoc """
  What a response is matched to its client transaction by (RFC 3261 §17.1.3).

    * `:branch` - of the topmost Via
    * `:method` - of the request: an atom in lower case where it is known, else a string

  `inspect/1` shows a key as `Sippet.sigil_K/2` reads it: `~K[z9hG4bK776asdhds|:invite]`.
  """

  alias Sippet.Message
  alias Sippet.Transactions.Key

  defstruct [:branch, :method]

  @type branch :: String.t()

  @type method :: Message.method()

  @type t :: %__MODULE__{branch: branch, method: method}

  @doc """
  Makes a key of its parts.

      iex> Sippet.Transactions.Client.Key.new("z9hG4bK776asdhds", :invite).branch
      "z9hG4bK776asdhds"
  """
  @spec new(branch, method) :: t
  def new(branch, method) when is_binary(branch) and (is_atom(method) or is_binary(method)),
    do: %__MODULE__{branch: branch, method: method}

  @doc """
  The key of the client transaction that an outgoing request makes or an incoming response belongs to.

  The method of a response is that of its CSeq. A message without a branch in its topmost Via raises `ArgumentError`.

      iex> request =
      ...>   :options
      ...>   |> Sippet.Message.build_request("sip:biloxi.com")
      ...>   |> Sippet.Message.put_header(:via, [
      ...>     {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bK776asdhds"}}
      ...>   ])
      iex> Sippet.Transactions.Client.Key.new(request)
      ~K[z9hG4bK776asdhds|:options]
  """
  @spec new(Message.t()) :: t
  def new(%Message{} = message) do
    {branch, method, _sent_by} = Key.from_message(message)
    new(branch, method)
  end

  @doc """
  The key in one line for logs: `branch:method`.

      iex> Sippet.Transactions.Client.Key.to_string(~K[z9hG4bK776asdhds|INVITE])
      "z9hG4bK776asdhds:invite"
  """
  @spec to_string(t) :: String.t()
  def to_string(%__MODULE__{branch: branch, method: method}), do: "#{branch}:#{method}"
end

defimpl String.Chars, for: Sippet.Transactions.Client.Key do
  defdelegate to_string(key), to: Sippet.Transactions.Client.Key
end

defimpl Inspect, for: Sippet.Transactions.Client.Key do
  alias Sippet.Transactions.Key

  def inspect(%{branch: branch, method: method}, _options),
    do: Key.inspect_parts([branch, Kernel.inspect(method)])
end
