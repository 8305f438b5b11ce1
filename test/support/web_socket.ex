defmodule Sippet.Test.WebSocket do
  # WebSocket by hand (RFC 6455), for peers on top of Sippet.Test.StreamPeer: the frames and the handshake of either side, none
  # of it by what Sippet uses.
  @moduledoc false

  import Bitwise
  import ExUnit.Assertions

  alias Sippet.Test.{Repetition, StreamPeer}

  @opcodes %{continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10}

  @doc """
  A frame. Options: `:mask`, the key or nil, by default one as a client must have it; `:fin`, default true; `:rsv`, three
  bits; `:length`, what the header says instead of the payload's.
  """
  def frame(opcode, payload, options \\ []) do
    opcode = Map.get(@opcodes, opcode, opcode)
    fin = if Keyword.get(options, :fin, true), do: 1, else: 0
    rsv = Keyword.get(options, :rsv, 0)
    mask = Keyword.get(options, :mask, <<0x37, 0xFA, 0x21, 0x3D>>)
    length = Keyword.get(options, :length, byte_size(payload))
    masked = if mask, do: 1, else: 0

    length =
      cond do
        length < 126 -> <<length::7>>
        length < 65_536 -> <<126::7, length::16>>
        true -> <<127::7, length::64>>
      end

    <<fin::1, rsv::3, opcode::4, masked::1, length::bitstring>> <>
      if(mask, do: mask <> masked(payload, mask), else: payload)
  end

  defp masked(payload, <<key::32>> = mask) do
    whole = div(byte_size(payload), 4) * 4
    <<words::binary-size(whole), rest::binary>> = payload

    for(<<word::32 <- words>>, into: "", do: <<bxor(word, key)::32>>) <>
      for {byte, index} <- Enum.with_index(:binary.bin_to_list(rest)),
          into: "",
          do: <<bxor(byte, :binary.at(mask, index))>>
  end

  @doc "The next frame: `{fin, opcode, payload}`. A server's is not masked, a client's is."
  def read_frame(peer), do: read_frame(peer, now() + Repetition.deadline_ms())

  def read_frame(peer, deadline) do
    <<fin::1, 0::3, opcode::4, masked::1, short::7>> = StreamPeer.read(peer, 2, deadline)
    assert masked == if(peer.ws == :client, do: 0, else: 1)

    length =
      case short do
        126 -> peer |> StreamPeer.read(2, deadline) |> :binary.decode_unsigned()
        127 -> peer |> StreamPeer.read(8, deadline) |> :binary.decode_unsigned()
        short -> short
      end

    mask = if masked == 1, do: StreamPeer.read(peer, 4, deadline)
    payload = if length > 0, do: StreamPeer.read(peer, length, deadline), else: ""
    payload = if mask, do: masked(payload, mask), else: payload
    {name, _number} = Enum.find(@opcodes, fn {_name, number} -> number == opcode end)
    {fin, name, payload}
  end

  defp now, do: System.monotonic_time(:millisecond)

  @doc "The next frame is a Close with this status code."
  def expect_close(peer, code) do
    assert {1, :close, <<^code::16, _reason::binary>>} = read_frame(peer)
  end

  @key "dGhlIHNhbXBsZSBub25jZQ=="

  @doc "The request for a WebSocket; fields replace those that it has, nil leaves one out."
  def request(path, {ip, port}, fields \\ %{}) do
    own = %{
      "Host" => "#{:inet.ntoa(ip)}:#{port}",
      "Upgrade" => "websocket",
      "Connection" => "Upgrade",
      "Sec-WebSocket-Key" => @key,
      "Sec-WebSocket-Version" => "13",
      "Sec-WebSocket-Protocol" => "sip"
    }

    lines =
      for {name, value} <- Map.merge(own, fields), value != nil, do: [name, ": ", value, "\r\n"]

    IO.iodata_to_binary(["GET ", path, " HTTP/1.1\r\n", lines, "\r\n"])
  end

  @doc "Makes a connected peer a client of WebSocket."
  def upgrade(peer, path, address, fields \\ %{}) do
    StreamPeer.send(peer, request(path, address, fields))
    head = read_head(peer)
    assert head =~ ~r"\AHTTP/1.1 101 ", head
    # The example of RFC 6455 §1.3.
    assert field(head, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert field(head, "Sec-WebSocket-Protocol") == "sip"
    %{peer | ws: :client}
  end

  @doc "Makes an accepted peer a server of WebSocket; `:response` is what it answers with instead."
  def accept(peer) do
    head = read_head(peer)
    assert field(head, "Sec-WebSocket-Protocol") == "sip"
    assert field(head, "Sec-WebSocket-Version") == "13"
    StreamPeer.send(peer, response(head))
    %{peer | ws: :server}
  end

  @doc "What opens the WebSocket that is asked for."
  def response(request) do
    key = field(request, "Sec-WebSocket-Key")
    hash = :crypto.hash(:sha, key <> "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")

    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" <>
      "Sec-WebSocket-Accept: #{Base.encode64(hash)}\r\nSec-WebSocket-Protocol: sip\r\n\r\n"
  end

  @doc "The head of an HTTP message."
  def read_head(peer, head \\ "") do
    if String.ends_with?(head, "\r\n\r\n"),
      do: head,
      else: read_head(peer, head <> StreamPeer.read(peer, 1))
  end

  @doc "The value of a header field, nil without."
  def field(head, name) do
    case Regex.run(~r/^#{name}: ([^\r]*)\r$/mi, head, capture: :all_but_first) do
      [value] -> value
      nil -> nil
    end
  end
end
