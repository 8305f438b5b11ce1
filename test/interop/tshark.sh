#!/usr/bin/env bash
# tshark reads what Sippet.Trace writes: each message over each transport is SIP, with its addresses and without credentials.
source "$(dirname "$0")/lib.sh"

if ! command -v tshark >/dev/null && ! apt_install interop tshark; then
  skip all "tshark is missing and cannot be installed from here: nothing has read what Sippet.Trace writes"
  exit "$failed"
fi

# The peers are those of the tests.
export MIX_ENV=test
mix compile >"$work/compile.out" 2>&1 || die "the tests' peers cannot be compiled: $(tail -n 5 "$work/compile.out")"
status=0
timed 60 env OUT="$work/trace.pcapng" mix run test/interop/trace.exs >"$work/expected" 2>"$work/trace.err" &
wait "$!" || status=$?

arguments=()
for field in _ws.col.Protocol sip.Method sip.Status-Code sip.Call-ID sip.auth.digest.response _ws.col.Source \
  exported_pdu.src_port exported_pdu.dst_port frame.comment; do arguments+=(-e "$field"); done
export HOME="$work"
tshark -r "$work/trace.pcapng" -T fields -E 'separator=|' "${arguments[@]}" 2>"$work/tshark.err" |
  sed 's/^SIP|/sip|/' >"$work/found" || status=$?
tshark -r "$work/trace.pcapng" -V >"$work/whole" 2>>"$work/tshark.err" || status=$?

if [ "$status" = 0 ] && [ -s "$work/found" ] && diff "$work/expected" "$work/found" >"$work/difference" &&
  ! grep -q 'Malformed\|d00d\|n0nce' "$work/whole"; then
  report ok all "tshark reads $(wc -l <"$work/found") packets of Sippet.Trace over UDP, TCP, TLS, WS and WSS, IPv4 and IPv6"
else
  report FAILED all "tshark does not read what Sippet.Trace writes: exit status $status"
  show "$work/difference" "$work/trace.err" "$work/tshark.err"
fi
exit "$failed"
