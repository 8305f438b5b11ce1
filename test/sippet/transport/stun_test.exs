defmodule Sippet.Transport.STUNTest do
  # STUN messages against the vectors of RFC 5769, and against anything at all.
  use ExUnit.Case, async: true

  alias Sippet.Transport.STUN

  # RFC 5769 §2.1.
  @request Base.decode16!(
             "000100582112A442B7E7A701BC34D686FA87DFAE" <>
               "802200105354554E207465737420636C69656E74" <>
               "002400046E0001FF80290008932FF9B151263B36" <>
               "000600096576746A3A68367659202020" <>
               "000800149AEAA70CBFD8CB56781EF2B5B2D3F249C1B571A2" <>
               "80280004E57A3BCF"
           )

  # §2.2
  @ipv4_response Base.decode16!(
                   "0101003C2112A442B7E7A701BC34D686FA87DFAE" <>
                     "8022000B7465737420766563746F7220" <>
                     "002000080001A147E112A643" <>
                     "000800142B91F599FD9E90C38C7489F92AF9BA53F06BE7D7" <>
                     "80280004C07D4C96"
                 )

  # §2.3
  @ipv6_response Base.decode16!(
                   "010100482112A442B7E7A701BC34D686FA87DFAE" <>
                     "8022000B7465737420766563746F7220" <>
                     "002000140002A1470113A9FAA5D3F179BC25F4B5BED2B9D9" <>
                     "00080014A382954E4BE67BF11784C97C8292C275BFE3ED41" <>
                     "80280004C8FB0B4C"
                 )

  @transaction_id Base.decode16!("B7E7A701BC34D686FA87DFAE")

  describe "the vectors of RFC 5769:" do
    test "the request is one of Binding, with a right FINGERPRINT (§2.1)" do
      assert {:ok, request} = STUN.decode(@request)
      assert %{class: :request, method: 1, fingerprint: true} = request
      assert request.transaction_id == @transaction_id

      assert [{0x8022, "STUN test client"}, _priority, _controlled, {0x0006, "evtj:h6vY"}, _] =
               request.attributes

      # PRIORITY is ICE's.
      assert STUN.unknown(request) == [0x0024]
    end

    test "the responses have their addresses (§2.2, §2.3)" do
      assert {:ok, response} = STUN.decode(@ipv4_response)
      assert %{class: :success, method: 1, fingerprint: true} = response
      assert STUN.mapped_address(response) == {:ok, {{192, 0, 2, 1}, 32_853}}

      assert {:ok, response} = STUN.decode(@ipv6_response)

      assert STUN.mapped_address(response) ==
               {:ok, {{0x2001, 0xDB8, 0x1234, 0x5678, 0x11, 0x2233, 0x4455, 0x6677}, 32_853}}
    end

    test "a bit that is another one is found by the checksum, unless it hides that" do
      for vector <- [@request, @ipv4_response, @ipv6_response],
          bit <- 0..(bit_size(vector) - 1) do
        <<before::size(bit), one::1, rest::bitstring>> = vector
        changed = STUN.decode(<<before::size(bit), 1 - one::1, rest::bitstring>>)
        refute match?({:ok, %{fingerprint: true}}, changed)
      end
    end
  end

  describe "a Binding request" do
    test "is a header of twenty bytes (RFC 8489 §5)" do
      assert STUN.request(@transaction_id) == <<0, 1, 0, 0, 0x2112A442::32>> <> @transaction_id
    end

    test "is answered with the address that it came from" do
      {:ok, request} = STUN.decode(STUN.request(@transaction_id))

      # The attributes as the vectors have them.
      assert STUN.answer(request, {{192, 0, 2, 1}, 32_853}) ==
               {:ok,
                <<1, 1, 12::16, 0x2112A442::32, @transaction_id::binary>> <>
                  Base.decode16!("002000080001A147E112A643")}

      ipv6 = {0x2001, 0xDB8, 0x1234, 0x5678, 0x11, 0x2233, 0x4455, 0x6677}

      assert STUN.answer(request, {ipv6, 32_853}) ==
               {:ok,
                <<1, 1, 24::16, 0x2112A442::32, @transaction_id::binary>> <>
                  Base.decode16!("002000140002A1470113A9FAA5D3F179BC25F4B5BED2B9D9")}
    end

    test "with a FINGERPRINT gets one (RFC 8489 §14.7)" do
      <<_header::binary-size(20), rest::binary>> = @request
      software = binary_part(rest, 0, 20)
      covered = <<0, 1, 28::16, 0x2112A442::32, @transaction_id::binary>> <> software
      checksum = Bitwise.bxor(:erlang.crc32(covered), 0x5354554E)
      {:ok, request} = STUN.decode(covered <> <<0x8028::16, 4::16, checksum::32>>)

      assert {:ok, answer} = STUN.answer(request, {{192, 0, 2, 1}, 32_853})
      assert byte_size(answer) == 40
      assert {:ok, %{fingerprint: true}} = STUN.decode(answer)
    end

    test "that has to be understood and is not earns 420, with what it was (RFC 8489 §6.3.1)" do
      attributes = for type <- [0x0003, 0x7FFF, 0x0003, 0x8003], do: <<type::16, 0::16>>
      body = IO.iodata_to_binary(attributes)
      header = <<0, 1, byte_size(body)::16, 0x2112A442::32, @transaction_id::binary>>
      {:ok, request} = STUN.decode(header <> body)

      assert STUN.answer(request, {{192, 0, 2, 1}, 5060}) ==
               {:ok,
                <<1, 0x11, 16::16, 0x2112A442::32, @transaction_id::binary, 9::16, 4::16, 0, 0, 4,
                  20, 10::16, 4::16, 0x0003::16, 0x7FFF::16>>}
    end

    test "gets one answer of 60 bytes at most, whatever is in it" do
      body = for type <- 0x0100..0x0230, into: <<>>, do: <<type::16, 0::16>>
      header = <<0, 1, byte_size(body)::16, 0x2112A442::32, @transaction_id::binary>>
      {:ok, request} = STUN.decode(header <> body)

      for ip <- [{192, 0, 2, 1}, {0x2001, 0xDB8, 0, 0, 0, 0, 0, 1}] do
        {:ok, answer} = STUN.answer(%{request | fingerprint: true}, {ip, 5060})
        assert byte_size(answer) <= 60
      end
    end
  end

  test "indications, responses and other methods are not answered" do
    for type <- [0x0011, 0x0101, 0x0111, 0x0003, 0x0002, 0x3EEF] do
      data = <<type::16, 0::16, 0x2112A442::32, @transaction_id::binary>>
      assert {:ok, message} = STUN.decode(data)
      assert STUN.answer(message, {{192, 0, 2, 1}, 5060}) == :none
    end
  end

  test "an error response has its status code" do
    data = <<1, 0x11, 8::16, 0x2112A442::32, @transaction_id::binary, 9::16, 4::16, 0, 0, 4, 20>>

    assert {:ok, %{class: :error} = response} = STUN.decode(data)
    assert STUN.error_code(response) == {:ok, 420}
    assert STUN.mapped_address(response) == :error
  end

  test "lengths that are wrong make a datagram none" do
    header = fn length -> <<0, 1, length::16, 0x2112A442::32, @transaction_id::binary>> end

    for data <- [
          "",
          binary_part(header.(0), 0, 19),
          header.(4),
          header.(0) <> <<0::32>>,
          header.(2) <> <<0, 1>>,
          header.(8) <> <<0x8022::16, 5::16, 0::32>>,
          header.(8) <> <<0x8022::16, 0xFFFF::16, 0::32>>,
          # FINGERPRINT is the last, and there is one.
          header.(12) <> <<0x8028::16, 4::16, 0::32, 0x8022::16, 0::16>>,
          header.(2_000) <> :binary.copy(<<0x8022::16, 0::16>>, 500)
        ] do
      assert STUN.decode(data) == :error
    end
  end

  test "SIP is never taken for it, nor what begins with line ends (§7.5)" do
    for data <- [
          "OPTIONS sip:a SIP/2.0\r\n\r\n",
          "\r\n\r\nOPTIONS sip:a SIP/2.0\r\n",
          "\r\n\r\n",
          ""
        ] do
      refute STUN.stun?(data)
    end

    assert STUN.stun?(STUN.request(@transaction_id))
  end

  test "no bytes make it raise, and what it makes it reads (a property of 20,000 cases)" do
    :rand.seed(:exsss, {5389, 8489, 5769})

    for _ <- 1..20_000 do
      # Of a real head half of them, so that the attributes are reached; of vectors with bytes changed the others.
      data =
        case :rand.uniform(3) do
          1 -> :rand.bytes(:rand.uniform(80) - 1)
          2 -> framed(:rand.bytes(4 * (:rand.uniform(12) - 1)))
          3 -> changed(Enum.random([@request, @ipv4_response, @ipv6_response]))
        end

      with {:ok, message} <- STUN.decode(data) do
        _ = STUN.mapped_address(message)
        _ = STUN.error_code(message)

        with {:ok, answer} <- STUN.answer(message, {{127, 0, 0, 1}, 5060}) do
          assert {:ok, %{class: class, method: 1} = read} = STUN.decode(answer)
          assert read.transaction_id == message.transaction_id
          assert byte_size(answer) <= 60
          assert (class == :success and STUN.unknown(message) == []) or class == :error
        end
      end
    end
  end

  defp framed(body) do
    type = Enum.random([0x0001, 0x0101, 0x0111, 0x0011])
    <<type::16, byte_size(body)::16, 0x2112A442::32, :rand.bytes(12)::binary, body::binary>>
  end

  # Without its checksum, which would find every change.
  defp changed(vector) do
    length = byte_size(vector) - 8
    <<type::16, _length::16, rest::binary>> = binary_part(vector, 0, length)
    data = <<type::16, length - 20::16, rest::binary>>
    at = 20 + :rand.uniform(length - 20) - 1
    <<before::binary-size(at), _byte, rest::binary>> = data
    <<before::binary, :rand.uniform(256) - 1, rest::binary>>
  end
end
