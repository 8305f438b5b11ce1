defmodule Sippet.Transport.FlowToken do
  # The text of a flow (RFC 5626 §5.2), for Sippet.Flow:
  #
  #     kind, 1 byte | transport, 8 | place | port, 2 | address, 4 or 16 | the first 16 of their HMAC-SHA-256
  #
  # in Base64 for URLs, all of whose letters may stand in a user part. The transport is a hash of protocol and local address,
  # so that it is the same one after a restart. Its place is, of a connection, the VM, 8, and its number, 8, which the VM never
  # gives again; of a flow over UDP, which outlives the VM, nothing.
  @moduledoc false

  alias Sippet.{Flow, FlowTokenError, Secret, Stack, Transport}

  @mac_bytes 16

  # A token has 79 bytes at most; what is much longer is not even decoded.
  @max_bytes 128

  @key_bytes 32

  # A bit of the kind; the one above it is that of IPv6.
  @connection 1

  @doc "The option `:flow_token_key` of a stack; raises `ArgumentError` where it is none."
  @spec validate!(term) :: (() -> [binary, ...]) | nil
  def validate!(nil), do: nil
  def validate!(function) when is_function(function, 0), do: validate!(function.() || [])

  def validate!(key_or_keys) do
    keys = List.wrap(key_or_keys)

    unless keys != [] and Enum.all?(keys, &(is_binary(&1) and byte_size(&1) >= @key_bytes)) do
      # Not what was got: it may be a key but for a byte.
      raise ArgumentError,
            "expected :flow_token_key to be at least #{@key_bytes} random bytes, a list of such, or a function of no " <>
              "arguments that returns them"
    end

    # A function is shown without what is in it, where a process fails and its state is logged.
    fn -> keys end
  end

  @doc "The token of a flow."
  @spec encode(Stack.t(), Flow.t()) :: String.t()
  def encode(stack, %Flow{remote: {ip, port}} = flow) do
    {bound, kind, place} = place(stack, flow)
    {version, address} = address(ip)

    payload =
      <<0::6, version::1, kind::1, bound::binary, place::binary, port::16, address::binary>>

    [key | _old] = keys(stack)
    Base.url_encode64(payload <> mac(key, payload), padding: false)
  end

  defp place(stack, flow) do
    case Transport.fetch(stack, flow.transport) do
      {:ok, transport} ->
        if lasting?(transport),
          do: {bound(transport), 0, ""},
          else: {bound(transport), @connection, vm() <> <<flow.connection::64>>}

      # It ends nowhere.
      :error ->
        {<<0::64>>, @connection, vm() <> <<flow.connection::64>>}
    end
  end

  # A socket that is opened again is the same one to its peers.
  defp lasting?(transport), do: not transport.connections and transport.address != nil

  defp bound(%Transport{protocol: protocol, address: address}) do
    where =
      case address do
        {ip, port} -> [:inet.ntoa(ip), " ", Integer.to_string(port)]
        nil -> []
      end

    binary_part(:crypto.hash(:sha256, [Atom.to_string(protocol), " ", where]), 0, 8)
  end

  defp vm, do: binary_part(Secret.fetch(__MODULE__), 0, 8)

  defp address({a, b, c, d}), do: {0, <<a, b, c, d>>}

  defp address(ip) when tuple_size(ip) == 8,
    do: {1, for(part <- Tuple.to_list(ip), into: <<>>, do: <<part::16>>)}

  # Of its own each stack has another one, so that no token is good in two.
  defp keys(stack) do
    case stack.options[:flow_token_key] do
      nil ->
        [:crypto.mac(:hmac, :sha256, Secret.fetch(__MODULE__.Key), Atom.to_string(stack.name))]

      keys ->
        keys.()
    end
  end

  defp mac(key, payload),
    do: binary_part(:crypto.mac(:hmac, :sha256, key, ["sippet flow ", payload]), 0, @mac_bytes)

  @doc "The flow of a token, as long as it is there."
  @spec decode(Stack.t(), binary) :: {:ok, Flow.t()} | {:error, FlowTokenError.t()}
  def decode(stack, token) when byte_size(token) <= @max_bytes do
    with {:ok, data} <- Base.url_decode64(token, padding: false),
         # One flow, one text.
         ^token <- Base.url_encode64(data, padding: false),
         size when size > 0 <- byte_size(data) - @mac_bytes,
         <<payload::binary-size(size), mac::binary>> = data,
         true <- Enum.any?(keys(stack), &:crypto.hash_equals(mac(&1, payload), mac)) do
      find(stack, payload)
    else
      _not_ours -> invalid()
    end
  end

  def decode(_stack, _token), do: invalid()

  defp invalid, do: {:error, %FlowTokenError{reason: :invalid_token}}

  defp find(
         stack,
         <<0::6, version::1, @connection::1, bound::binary-size(8), vm::binary-size(8),
           number::64, port::16, address::binary>>
       )
       when byte_size(address) == 4 + 12 * version,
       do: find(stack, bound, {vm, number}, port, address)

  defp find(stack, <<0::6, version::1, 0::1, bound::binary-size(8), port::16, address::binary>>)
       when byte_size(address) == 4 + 12 * version,
       do: find(stack, bound, nil, port, address)

  # Signed by us, but in another time.
  defp find(_stack, _payload), do: invalid()

  defp find(stack, bound, place, port, address) do
    with %Transport{} = transport <- Enum.find(Transport.all(stack), &(bound(&1) == bound)),
         {:ok, number} <- here(transport, place) do
      {:ok, %Flow{transport: transport.id, connection: number, remote: {ip(address), port}}}
    else
      _gone -> {:error, %FlowTokenError{reason: :flow_failed}}
    end
  end

  defp here(transport, nil), do: if(lasting?(transport), do: {:ok, 0}, else: :gone)

  defp here(transport, {vm, number}) do
    cond do
      vm != vm() -> :gone
      not transport.connections -> {:ok, number}
      transport.module.connected?(transport.handle, number) -> {:ok, number}
      true -> :gone
    end
  end

  defp ip(<<a, b, c, d>>), do: {a, b, c, d}
  defp ip(address), do: List.to_tuple(for <<part::16 <- address>>, do: part)
end
