defmodule Sippet.Transport.STUN do
  # STUN Binding (RFC 8489, RFC 5389) as far as keeping a flow over UDP alive needs it (RFC 5626 §4.4.2, §8): requests
  # without credentials, and their answers. Pure; called by Sippet.Transports.UDP and Sippet.Transport.Binding.
  #
  # Of the crates for it those that are kept bring an HMAC, MD5 and a tracer along, for messages of which this takes 20 to 52
  # bytes; the one checksum in them is OTP's.
  @moduledoc false

  @cookie 0x2112A442
  @binding 0x001

  # Nothing of STUN over UDP is longer than what any path carries (RFC 8489 §6.1).
  @max_bytes 1_280

  @mapped_address 0x0001
  @username 0x0006
  @message_integrity 0x0008
  @error_code 0x0009
  @unknown_attributes 0x000A
  @realm 0x0014
  @nonce 0x0015
  @xor_mapped_address 0x0020
  @fingerprint 0x8028

  # Those that RFC 5389 has below 0x8000. Credentials are understood and not looked at: this usage has none (RFC 5626 §8).
  @known [
    @mapped_address,
    @username,
    @message_integrity,
    @error_code,
    @unknown_attributes,
    @realm,
    @nonce,
    @xor_mapped_address
  ]

  # "STUN", by which a checksum of its own is told from any other (RFC 8489 §14.7).
  @fingerprint_mask 0x5354554E

  # An answer is not to be longer than it has to be.
  @max_unknown 4

  @enforce_keys [:class, :method, :transaction_id, :attributes]
  defstruct @enforce_keys ++ [fingerprint: false]

  @type t :: %__MODULE__{
          class: :request | :indication | :success | :error,
          method: 0..0xFFF,
          transaction_id: <<_::96>>,
          attributes: [{0..0xFFFF, binary}],
          fingerprint: boolean
        }

  @type address :: {:inet.ip_address(), :inet.port_number()}

  @doc """
  Whether a datagram is one of STUN: two zero bits and the magic cookie. The first alone does not tell, since a datagram
  of SIP may begin with a CRLF (§7.5).
  """
  @spec stun?(binary) :: boolean
  def stun?(<<0::2, _type_and_length::30, @cookie::32, _rest::binary>>), do: true
  def stun?(_other), do: false

  @doc "A Binding request: a header and nothing else."
  @spec request(<<_::96>>) :: binary
  def request(transaction_id), do: header(:request, @binding, 0, transaction_id)

  @doc """
  The message in a datagram; `:error` where that is none, in lengths, order or checksum.
  """
  @spec decode(binary) :: {:ok, t} | :error
  def decode(
        <<0::2, type::14, length::16, @cookie::32, transaction_id::binary-size(12),
          attributes::binary>> = data
      )
      when byte_size(attributes) == length and byte_size(data) <= @max_bytes do
    with {:ok, attributes} <- attributes(attributes, []),
         {:ok, attributes, fingerprint} <- check_fingerprint(attributes, data) do
      {class, method} = class_and_method(<<type::14>>)

      {:ok,
       %__MODULE__{
         class: class,
         method: method,
         transaction_id: transaction_id,
         attributes: attributes,
         fingerprint: fingerprint
       }}
    end
  end

  def decode(_other), do: :error

  # The two bits of the class stand among those of the method (RFC 8489 §5).
  defp class_and_method(<<high::5, c1::1, middle::3, c0::1, low::4>>) do
    <<method::12>> = <<high::5, middle::3, low::4>>
    {elem({:request, :indication, :success, :error}, 2 * c1 + c0), method}
  end

  # Each is padded to four bytes; the last come first.
  defp attributes(<<>>, found), do: {:ok, found}

  defp attributes(<<type::16, length::16, rest::binary>>, found) do
    padding = rem(4 - rem(length, 4), 4)

    case rest do
      <<value::binary-size(length), _::binary-size(padding), rest::binary>> ->
        attributes(rest, [{type, value} | found])

      _cut_off ->
        :error
    end
  end

  defp attributes(_cut_off, _found), do: :error

  # It is the last one, and covers all before it.
  defp check_fingerprint([{@fingerprint, <<checksum::32>>} | attributes], data) do
    covered = binary_part(data, 0, byte_size(data) - 8)

    if checksum == fingerprint(covered),
      do: without_fingerprint(attributes, true),
      else: :error
  end

  defp check_fingerprint(attributes, _data), do: without_fingerprint(attributes, false)

  defp without_fingerprint(attributes, fingerprint) do
    if List.keymember?(attributes, @fingerprint, 0),
      do: :error,
      else: {:ok, Enum.reverse(attributes), fingerprint}
  end

  defp fingerprint(covered), do: Bitwise.bxor(:erlang.crc32(covered), @fingerprint_mask)

  @doc """
  The answer to a datagram from this address: to a Binding request one, to anything else none.

  It has the address, 32 bytes or 44, or tells what in the request is not understood, 32 to 36 bytes (RFC 8489 §6.3.1); 8 more
  where the request has a FINGERPRINT.
  """
  @spec answer(t, address) :: {:ok, binary} | :none
  def answer(%__MODULE__{class: :request, method: @binding} = request, remote) do
    case unknown(request) do
      [] -> {:ok, build(:success, request, xor_address(remote, request.transaction_id))}
      unknown -> {:ok, build(:error, request, refusal(Enum.take(unknown, @max_unknown)))}
    end
  end

  def answer(_other, _remote), do: :none

  @doc "The attributes that one has to understand, and we do not."
  @spec unknown(t) :: [0..0x7FFF]
  def unknown(%__MODULE__{attributes: attributes}) do
    for {type, _value} <- attributes, type < 0x8000 and type not in @known, uniq: true, do: type
  end

  # 420, without words for it.
  defp refusal(unknown) do
    types = for type <- unknown, into: <<>>, do: <<type::16>>
    attribute(@error_code, <<0::21, 4::3, 20::8>>) <> attribute(@unknown_attributes, types)
  end

  defp attribute(type, value) do
    padding = 8 * rem(4 - rem(byte_size(value), 4), 4)
    <<type::16, byte_size(value)::16, value::binary, 0::size(padding)>>
  end

  defp build(class, %__MODULE__{transaction_id: transaction_id} = request, attributes) do
    length = byte_size(attributes) + if(request.fingerprint, do: 8, else: 0)
    message = header(class, request.method, length, transaction_id) <> attributes

    if request.fingerprint,
      do: message <> attribute(@fingerprint, <<fingerprint(message)::32>>),
      else: message
  end

  defp header(class, method, length, transaction_id) do
    <<c1::1, c0::1>> =
      <<Map.fetch!(%{request: 0, indication: 1, success: 2, error: 3}, class)::2>>

    <<high::5, middle::3, low::4>> = <<method::12>>

    <<0::2, high::5, c1::1, middle::3, c0::1, low::4, length::16, @cookie::32,
      transaction_id::binary>>
  end

  # The port is masked by the cookie's first half, the address by the cookie and the transaction's id (RFC 8489 §14.2).
  defp xor_address({ip, port}, transaction_id) do
    {family, bits, address} = number(ip)
    mask = mask(bits, transaction_id)

    attribute(
      @xor_mapped_address,
      <<0, family, Bitwise.bxor(port, Bitwise.bsr(@cookie, 16))::16,
        Bitwise.bxor(address, mask)::size(bits)>>
    )
  end

  defp number({a, b, c, d}) do
    <<address::32>> = <<a, b, c, d>>
    {1, 32, address}
  end

  defp number(ip) do
    <<address::128>> = for part <- Tuple.to_list(ip), into: <<>>, do: <<part::16>>
    {2, 128, address}
  end

  defp mask(bits, transaction_id) do
    <<mask::size(bits), _rest::bitstring>> = <<@cookie::32, transaction_id::binary>>
    mask
  end

  @doc "The address that a response says its request came from."
  @spec mapped_address(t) :: {:ok, address} | :error
  def mapped_address(%__MODULE__{attributes: attributes, transaction_id: transaction_id}) do
    case List.keyfind(attributes, @xor_mapped_address, 0) do
      {_type, <<_, 1, port::16, address::32>>} ->
        <<a, b, c, d>> = <<Bitwise.bxor(address, mask(32, transaction_id))::32>>
        {:ok, {{a, b, c, d}, unmasked(port)}}

      {_type, <<_, 2, port::16, address::128>>} ->
        bytes = <<Bitwise.bxor(address, mask(128, transaction_id))::128>>
        {:ok, {List.to_tuple(for(<<part::16 <- bytes>>, do: part)), unmasked(port)}}

      _none ->
        :error
    end
  end

  defp unmasked(port), do: Bitwise.bxor(port, Bitwise.bsr(@cookie, 16))

  @doc "The status code of an error response."
  @spec error_code(t) :: {:ok, 300..699} | :error
  def error_code(%__MODULE__{attributes: attributes}) do
    case List.keyfind(attributes, @error_code, 0) do
      {_type, <<_::21, class::3, number::8, _reason::binary>>}
      when class in 3..6 and number < 100 ->
        {:ok, 100 * class + number}

      _none ->
        :error
    end
  end
end
