#!/usr/bin/env bash
# tshark reads what Sippet.Trace writes: each message over each transport is SIP, with its addresses and without credentials.
set -euo pipefail
cd "$(dirname "$0")/../.."

report() { printf '%-7s %-4s %s\n' "$1" all "$2"; }

if ! command -v tshark >/dev/null; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  echo "interop: installing tshark"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends tshark \
    >/dev/null 2>&1 || {
    report skipped "tshark is missing and cannot be installed from here: nothing has read what Sippet.Trace writes"
    [ "${STRICT:-0}" != 1 ]
    exit
  }
fi

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
export MIX_ENV=test
mix compile >/dev/null
OUT="$work/trace.pcapng" timeout --kill-after=5 60 mix run test/interop/trace.exs >"$work/expected"

fields=(sip.Method sip.Status-Code sip.Call-ID sip.auth.digest.response _ws.col.Source exported_pdu.src_port exported_pdu.dst_port frame.comment)
arguments=()
for field in "${fields[@]}"; do arguments+=(-e "$field"); done
HOME="$work" tshark -r "$work/trace.pcapng" -T fields -E 'separator=|' -e _ws.col.Protocol "${arguments[@]}" 2>"$work/errors" |
  sed 's/^SIP|/sip|/' >"$work/found"

if diff "$work/expected" "$work/found" >"$work/difference" && [ -s "$work/found" ] &&
  ! HOME="$work" tshark -r "$work/trace.pcapng" -V 2>/dev/null | grep -q 'Malformed\|d00d\|n0nce'; then
  report ok "tshark reads $(wc -l <"$work/found") packets of Sippet.Trace over UDP, TCP, TLS, WS and WSS, IPv4 and IPv6"
else
  report FAILED "tshark does not read what Sippet.Trace writes"
  head -n 40 "$work/difference" "$work/errors"
  exit 1
fi
