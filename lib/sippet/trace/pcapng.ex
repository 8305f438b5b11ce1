defmodule Sippet.Trace.Pcapng do
  # Events as a file of packets (draft-ietf-opsawg-pcapng). A packet is an exported PDU of Wireshark's, LINKTYPE_WIRESHARK_UPPER_PDU:
  # tags that name the dissector and the addresses, and the message. So it is read as SIP whatever carried it, on any port, of
  # any length, and without headers of IP, TCP and TLS that were never on the wire.
  @moduledoc false

  alias Sippet.Trace.{Event, Ladder}

  # Block types, and the link type.
  @section_header 0x0A0D0D0A
  @interface_description 1
  @enhanced_packet 6
  @wireshark_upper_pdu 252

  # Options of blocks.
  @comment 1
  @if_name 2
  @epb_flags 2
  @shb_userappl 4

  # Tags of an exported PDU (epan/exported_pdu.h of Wireshark).
  @dissector_name 12
  @ipv4_source 20
  @ipv6_source 22
  @port_type 24
  @source_port 25
  @destination_port 26

  @doc "The file, of events in their order."
  @spec encode([Event.t()]) :: binary
  def encode(events) do
    IO.iodata_to_binary([
      # Its length is not told (-1).
      block(@section_header, [
        <<0x1A2B3C4D::32, 1::16, 0::16, -1::64>>,
        options([{@shb_userappl, "Sippet"}])
      ]),
      block(@interface_description, [
        <<@wireshark_upper_pdu::16, 0::16, 0::32>>,
        options([{@if_name, "SIP messages"}])
      ])
      | Enum.map(events, &packet/1)
    ])
  end

  # Times are in microseconds, the default of an interface.
  defp packet(event) do
    header = IO.iodata_to_binary(header(event))
    data = event.data
    captured = byte_size(header) + byte_size(data)

    length =
      if event.truncated, do: max(byte_size(header) + event.bytes, captured), else: captured

    <<high::32, low::32>> = <<event.time::64>>
    flags = if event.direction == :received, do: 1, else: 2

    block(@enhanced_packet, [
      <<0::32, high::32, low::32, captured::32, length::32>>,
      pad([header, data]),
      options([{@comment, Ladder.note(event, false)}, {@epb_flags, <<flags::32>>}])
    ])
  end

  defp header(%{direction: direction, local: local, remote: remote} = event) do
    {source, destination} = if direction == :sent, do: {local, remote}, else: {remote, local}

    [
      # The length of a tag counts its padding.
      tag(@dissector_name, "sip\0"),
      addresses(source, destination),
      tag(@port_type, <<port_type(event.protocol)::32>>),
      tag(@source_port, <<port(source)::32>>),
      tag(@destination_port, <<port(destination)::32>>),
      <<0::32>>
    ]
  end

  defp addresses(source, destination) do
    for {address, index} <- [{source, 0}, {destination, 1}],
        {ip, _port} <- [address],
        is_tuple(ip) do
      case ip do
        {_, _, _, _} ->
          tag(@ipv4_source + index, for(part <- Tuple.to_list(ip), into: "", do: <<part>>))

        _ ->
          tag(@ipv6_source + index, for(part <- Tuple.to_list(ip), into: "", do: <<part::16>>))
      end
    end
  end

  defp port({_host, port}), do: port
  defp port(nil), do: 0

  defp port_type(:sctp), do: 1
  defp port_type(protocol) when protocol in [:tcp, :tls, :ws, :wss], do: 2
  defp port_type(:udp), do: 3
  defp port_type(_unknown), do: 0

  defp tag(type, value), do: [<<type::16, byte_size(value)::16>>, value]

  defp options(options) do
    [
      for(
        {code, value} <- options,
        value != "",
        do: [<<code::16, byte_size(value)::16>>, pad(value)]
      ),
      <<0::32>>
    ]
  end

  defp block(type, body) do
    length = IO.iodata_length(body) + 12
    [<<type::32, length::32>>, body, <<length::32>>]
  end

  defp pad(bytes), do: [bytes, <<0::size(rem(4 - rem(IO.iodata_length(bytes), 4), 4))-unit(8)>>]
end
