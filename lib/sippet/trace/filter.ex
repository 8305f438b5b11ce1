defmodule Sippet.Trace.Filter do
  # Which messages a trace takes, or a drawing shows: by Call-ID, user, peer and a function, each nil where all are meant.
  @moduledoc false

  alias Sippet.Trace.Event

  defstruct call_id: nil, user: nil, peer: nil, filter: nil

  @type peer :: {:inet.ip_address(), :inet.port_number() | :any}

  @type t :: %__MODULE__{
          call_id: [String.t()] | nil,
          user: [String.t()] | nil,
          peer: [peer] | nil,
          filter: (Event.t() -> as_boolean(term)) | nil
        }

  @names [:call_id, :user, :peer, :filter]

  @doc "The names of its options."
  @spec names() :: [atom]
  def names, do: @names

  @doc "The filter of these options, others than its own left aside; a value that is not of its kind raises `ArgumentError`."
  @spec new!(keyword) :: t
  def new!(options) do
    struct!(
      __MODULE__,
      for({name, value} <- options, name in @names, do: {name, read!(name, value)})
    )
  end

  defp read!(_name, nil), do: nil
  defp read!(:filter, function) when is_function(function, 1), do: function
  defp read!(:filter, other), do: refuse!(:filter, "a function of one argument", other)

  defp read!(:peer, peers) do
    for peer <- List.wrap(peers),
        do: peer(peer) || refuse!(:peer, "an address, `{ip, port}`, or a list of them", peer)
  end

  defp read!(name, values) do
    for value <- List.wrap(values) do
      if is_binary(value) and value != "",
        do: value,
        else: refuse!(name, "a string, or a list of strings", value)
    end
  end

  defp peer({host, port}) when port in 0..65_535 do
    with {ip, :any} <- peer(host), do: {ip, port}
  end

  defp peer(text) when is_binary(text) do
    case :inet.parse_address(String.to_charlist(text)) do
      {:ok, ip} -> {ip, :any}
      {:error, :einval} -> nil
    end
  end

  defp peer(ip) when is_tuple(ip), do: if(:inet.ntoa(ip) != {:error, :einval}, do: {ip, :any})
  defp peer(_other), do: nil

  defp refuse!(name, expected, value) do
    raise ArgumentError, "expected :#{name} to be #{expected}, got: #{inspect(value)}"
  end

  @doc "Whether an event is one of those that are meant."
  @spec match?(t, Event.t()) :: boolean
  def match?(filter, event) do
    (filter.call_id == nil or event.call_id in filter.call_id) and
      (filter.user == nil or Enum.any?(event.users, &(&1 in filter.user))) and
      peer?(filter, event.remote) and
      (filter.filter == nil or filter.filter.(event) not in [nil, false])
  end

  @doc """
  False where a message cannot be one of them: a look at the bytes in place of reading them, for the process that has
  other things to do.
  """
  @spec may_match?(t, Sippet.Transport.remote(), binary) :: boolean
  def may_match?(filter, remote, data) do
    peer?(filter, remote) and holds?(data, filter.call_id) and holds?(data, filter.user)
  end

  defp holds?(_data, nil), do: true
  defp holds?(_data, []), do: false
  defp holds?(data, words), do: :binary.match(data, words) != :nomatch

  defp peer?(%{peer: nil}, _remote), do: true

  defp peer?(%{peer: peers}, {ip, port}),
    do: Enum.any?(peers, fn {host, number} -> host == ip and number in [port, :any] end)
end
