defmodule Sippet.Transactions.Server.Key do
  @moduledoc """
  What a request is matched to its server transaction by (RFC 3261 §17.2.3).

    * `:branch` - of the topmost Via
    * `:method` - of the request: an atom in lower case where it is known, else a string
    * `:sentby` - `{host, port}` of the topmost Via, as on the wire

  `inspect/1` shows a key as `Sippet.sigil_K/2` reads it: `~K[z9hG4bK776asdhds|:invite|pc33.atlanta.com:5060]`, or with an
  IPv6 address `~K(z9hG4bK776asdhds|:invite|[2001:db8::9]:5060)`.
  """

  alias Sippet.Message
  alias Sippet.Transactions.Key

  defstruct [:branch, :method, :sentby]

  @type branch :: String.t()

  @type method :: Message.method()

  @type sentby :: {host :: String.t(), port :: integer}

  @type t :: %__MODULE__{branch: branch, method: method, sentby: sentby}

  @doc """
  Makes a key of its parts.

      iex> Sippet.Transactions.Server.Key.new("z9hG4bK776asdhds", :bye, {"pc33.atlanta.com", 5060}).sentby
      {"pc33.atlanta.com", 5060}
  """
  @spec new(branch, method, sentby) :: t
  def new(branch, method, {host, port} = sentby)
      when is_binary(branch) and (is_atom(method) or is_binary(method)) and is_binary(host) and
             is_integer(port),
      do: %__MODULE__{branch: branch, method: method, sentby: sentby}

  @doc """
  The key of the server transaction that an incoming request makes or an outgoing response belongs to.

  The method of a response is that of its CSeq. A message without a branch in its topmost Via raises `ArgumentError`.

      iex> request =
      ...>   :options
      ...>   |> Sippet.Message.build_request("sip:biloxi.com")
      ...>   |> Sippet.Message.put_header(:via, [
      ...>     {{2, 0}, :udp, {"pc33.atlanta.com", 5060}, %{"branch" => "z9hG4bK776asdhds"}}
      ...>   ])
      iex> Sippet.Transactions.Server.Key.new(request)
      ~K[z9hG4bK776asdhds|:options|pc33.atlanta.com:5060]
  """
  @spec new(Message.t()) :: t
  def new(%Message{} = message) do
    {branch, method, sent_by} = Key.from_message(message)
    new(branch, method, sent_by)
  end

  @doc """
  The key in one line for logs: `branch:method:host:port`.

      iex> Sippet.Transactions.Server.Key.to_string(~K[z9hG4bK776asdhds|BYE|pc33.atlanta.com:5060])
      "z9hG4bK776asdhds:bye:pc33.atlanta.com:5060"
  """
  @spec to_string(t) :: String.t()
  def to_string(%__MODULE__{branch: branch, method: method, sentby: sentby}),
    do: "#{branch}:#{method}:#{Key.sent_by_text(sentby)}"
end

defimpl String.Chars, for: Sippet.Transactions.Server.Key do
  defdelegate to_string(key), to: Sippet.Transactions.Server.Key
end

defimpl Inspect, for: Sippet.Transactions.Server.Key do
  alias Sippet.Transactions.Key

  def inspect(%{branch: branch, method: method, sentby: sentby}, _options),
    do: Key.inspect_parts([branch, Kernel.inspect(method), Key.sent_by_text(sentby)])
end
