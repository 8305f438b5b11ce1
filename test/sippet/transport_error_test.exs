defmodule Sippet.TransportErrorTest do
  use ExUnit.Case, async: true

  alias Sippet.TransportError

  test "the message tells what, where and why" do
    for {error, expected} <- [
          {%TransportError{reason: :transport_closed}, "transport: the transport is gone"},
          {%TransportError{reason: :emsgsize, protocol: :udp}, "transport udp: message too long"},
          {%TransportError{
             reason: :eaddrinuse,
             protocol: :udp,
             address: {127, 0, 0, 1},
             port: 5060
           }, "udp 127.0.0.1:5060: address already in use"},
          {%TransportError{
             reason: :no_transport,
             protocol: :tcp,
             address: {0x2001, 0xDB8, 0, 0, 0, 0, 0, 1},
             port: 5060
           }, "tcp [2001:db8::1]:5060: the stack has no such transport"},
          {%TransportError{reason: :no_destination, address: "tel:+1"},
           "tel:+1: there is no host to send to"},
          {%TransportError{reason: :no_stack, protocol: :udp, address: {0, 0, 0, 0}},
           "udp 0.0.0.0: its stack has ended"},
          {%TransportError{reason: :pigeon_lost}, "transport: pigeon_lost"},
          {%TransportError{reason: {:x, 1}, address: {1, 2}}, "{1, 2}: {:x, 1}"},
          {%TransportError{
             reason: {:tls_alert, :unknown_ca},
             protocol: :tls,
             address: "a",
             port: 1
           }, "tls a:1: TLS alert unknown_ca"},
          {%TransportError{
             reason: {:wrong_certificate, ["b", "c"]},
             protocol: :tls,
             address: "a"
           }, "tls a: the certificate is for b, c"},
          {%TransportError{reason: {:wrong_certificate, []}, address: "a"},
           "a: the certificate is for no SIP domain"},
          {%TransportError{reason: {:proxy, {:socks5, 4}}, address: "a"},
           "a: the proxy: it refuses with 4 (host unreachable)"},
          {%TransportError{reason: {:proxy, {:socks5, 99}}, address: "a"},
           "a: the proxy: it refuses with 99 (unassigned)"},
          {%TransportError{reason: {:proxy, {:http, 502}}, address: "a"},
           "a: the proxy: it refuses with HTTP 502"},
          {%TransportError{reason: {:proxy, :authentication}, address: "a"},
           "a: the proxy: it wants other credentials"},
          {%TransportError{reason: {:proxy, :malformed}, address: "a"},
           "a: the proxy: its answer is not of its protocol"},
          {%TransportError{reason: {:proxy, :connection_closed}, address: "a"},
           "a: the proxy: the connection is closed"},
          {%TransportError{reason: {:proxy, :econnrefused}, address: "a"},
           "a: the proxy: connection refused"},
          {%TransportError{reason: {:key, "x.key", :enoent}},
           "transport: key x.key no such file or directory"},
          {%TransportError{reason: {:certificate, nil, :not_found}},
           "transport: certificate is missing"}
        ] do
      assert Exception.message(error) == expected
    end
  end
end
