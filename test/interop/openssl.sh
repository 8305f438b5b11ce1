#!/usr/bin/env bash
# openssl s_client and our listener: versions, certificates by name (SNI), certificates of clients; an OPTIONS through each
# connection that is to be.
source "$(dirname "$0")/lib.sh"
source test/interop/certificates.sh

# connect PORT ARGUMENT...: s_client, which sends an OPTIONS and ends when the server closes or the answer is there.
connect() {
  local port=$1
  shift
  {
    printf '%s\r\n' "OPTIONS sip:service@localhost SIP/2.0" \
      "Via: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK$RANDOM$RANDOM$RANDOM" "Max-Forwards: 70" \
      "From: <sip:openssl@localhost>;tag=1" "To: <sip:service@localhost>" "Call-ID: $RANDOM$RANDOM$RANDOM" \
      "CSeq: 1 OPTIONS" "Content-Length: 0" ""
    # Until the end of its input s_client stays.
    for _ in $(seq 100); do
      grep -q '^Content-Length: 0' "$work/client.out" 2>/dev/null && break
      [ ! -e "$work/client.end" ] || break
      sleep 0.1
    done
  } | {
    timeout --kill-after=5 20 openssl s_client -connect "127.0.0.1:$port" -CAfile "$CERTIFICATES/authority.pem" \
      -verify_return_error -brief -nocommands "$@" >"$work/client.out" 2>&1 && status=0 || status=$?
    touch "$work/client.end"
    return "$status"
  }
}

# served TEXT PORT PATTERN ARGUMENT...: it is verified, matches, and gets its 200.
served() {
  local text=$1 port=$2 pattern=$3 status=0
  shift 3
  rm -f "$work/client.out" "$work/client.end"
  connect "$port" "$@" &
  wait "$!" || status=$?
  if [ "$status" = 0 ] && grep -q "$pattern" "$work/client.out" && grep -q '^Verification: OK' "$work/client.out" &&
    grep -q '^SIP/2.0 200 ' "$work/client.out"; then
    report ok tls "openssl s_client: $text, OPTIONS answered"
  else
    report FAILED tls "openssl s_client: $text: exit status $status"
    show "$work/client.out"
  fi
}

# refused TEXT PORT PATTERN ARGUMENT...: by an alert of ours, not by what openssl itself would not do.
refused() {
  local text=$1 port=$2 pattern=$3 status=0
  shift 3
  rm -f "$work/client.out" "$work/client.end"
  connect "$port" "$@" &
  wait "$!" || status=$?
  if ! grep -q '^SIP/2.0' "$work/client.out" && grep -q "$pattern" "$work/client.out"; then
    report ok tls "openssl s_client: $text refused"
  else
    report FAILED tls "openssl s_client: $text is to be refused: exit status $status"
    show "$work/client.out"
  fi
}

start_agent agent TRANSPORTS=tls
port="$(agent_port agent tls)"
served "TLS 1.3" "$port" 'Protocol version: TLSv1.3' -tls1_3 -servername localhost -verify_hostname localhost
served "TLS 1.2" "$port" 'Protocol version: TLSv1.2' -tls1_2 -servername localhost -verify_hostname localhost
# alert 70 is protocol_version (RFC 8446 §6.2).
refused "TLS 1.1" "$port" 'SSL alert number 70' -tls1_1 -cipher DEFAULT@SECLEVEL=0
# alert 40 is handshake_failure.
refused "TLS 1.2 with CBC only" "$port" 'SSL alert number \(40\|71\)' -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA
served "SNI other.example gets its own certificate" "$port" 'CN = other.example' \
  -servername other.example -verify_hostname other.example
served "an unknown SNI gets the first certificate" "$port" 'CN = localhost' \
  -servername unknown.example -verify_hostname localhost
stop_agent agent

start_agent mutual TRANSPORTS=tls VERIFY_CLIENTS=required
port="$(agent_port mutual tls)"
for version in 1_3 1_2; do
  dotted="TLS ${version/_/.}"
  served "$dotted with a client's certificate" "$port" 'CN = localhost' "-tls$version" -verify_hostname localhost \
    -cert "$CERTIFICATES/client.pem" -key "$CERTIFICATES/client.key"
  # alert 116 is certificate_required, of TLS 1.3 only.
  refused "$dotted without a client's certificate" "$port" 'SSL alert number \(116\|40\)' "-tls$version"
  # alert 48 is unknown_ca.
  refused "$dotted with a certificate of an unknown authority" "$port" 'SSL alert number 48' "-tls$version" \
    -cert "$CERTIFICATES/intruder.pem" -key "$CERTIFICATES/intruder.key"
done
stop_agent mutual
exit "$failed"
