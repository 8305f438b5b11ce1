#!/usr/bin/env bash
# SIPp and the demo: its built-in caller and an OPTIONS load to our server, our caller to its built-in server; the resolver
# and NSD. All on the loopback interface. One line a test; fails if one of them does.
set -euo pipefail
cd "$(dirname "$0")/../.."

die() {
  printf 'interop: %s\n' "$*" >&2
  exit 1
}

apt_install() {
  local as_root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
  echo "interop: installing $*"
  "${apt[@]}" update -qq || true
  "${apt[@]}" install -y -qq --no-install-recommends "$@"
}

command -v sipp >/dev/null || apt_install sip-tester ||
  die "SIPp is missing and cannot be installed from here; install it from https://sipp.sourceforge.net and run this again."

PATH="$PATH:/usr/sbin"
command -v nsd >/dev/null || apt_install nsd ||
  die "NSD is missing and cannot be installed from here; install it from https://nlnetlabs.nl/nsd and run this again."

work="$(mktemp -d)"

# Only what was started here: the jobs of this shell, each a `timeout`, which passes the signal on. All run in the
# background, for a shell that waits for a job can be interrupted.
cleanup() {
  local pid
  for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# A UDP port that nobody has at the moment.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    if ! grep -q ":$(printf '%04X' "$port") " /proc/net/udp /proc/net/udp6 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  die "no free port"
}

# exec_sipp NAME SECONDS ARGUMENT...: replaces the shell it runs in. Figures go to NAME.csv, screens are of no use here.
exec_sipp() {
  local name=$1 seconds=$2
  shift 2
  export TERM=xterm
  exec timeout --kill-after=5 "$seconds" sipp -nostdin -i 127.0.0.1 -bind_local \
    -trace_stat -stf "$work/$name.csv" -fd 1 -trace_err -error_file "$work/$name.err" \
    "$@" >"$work/$name.out" 2>&1
}

# field NAME COLUMN: a figure of SIPp's last line of statistics, 0 if there is none.
field() {
  awk -F ';' -v column="$2" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
    END { print (at && NR > 1) ? $at : 0 }' "$work/$1.csv" 2>/dev/null || echo 0
}

failed=0

# judge NAME STATUS CALLS MAX_RETRANSMISSIONS [TEXT]
judge() {
  local name=$1 status=$2 calls=$3 most=$4 text=${5:-}
  local good bad again rate verdict=ok
  good="$(field "$name" 'SuccessfulCall(C)')"
  bad="$(field "$name" 'FailedCall(C)')"
  again="$(field "$name" 'Retransmissions(C)')"
  rate="$(field "$name" 'CallRate(C)')"
  if [ "$status" != 0 ] || [ "$good" != "$calls" ] || [ "$bad" != 0 ] || [ "$again" -gt "$most" ]; then
    verdict=FAILED
    failed=1
  fi
  printf '%-6s %-8s %s of %s calls, %s failed, %s retransmissions (at most %s), %s calls/s%s\n' \
    "$verdict" "$name" "$good" "$calls" "$bad" "$again" "$most" "${rate%%.*}" "$text"
  if [ "$verdict" != ok ]; then
    printf '       exit status %s\n' "$status"
    { head -n 20 "$work/$name.err" 2>/dev/null && echo; } || tail -n 20 "$work/$name.out" || true
  fi
}

mix compile

timeout --kill-after=5 300 mix run test/interop/server.exs >"$work/server.out" 2>&1 &
server_pid=$!
for _ in $(seq 300); do
  server="$(sed -n 's/^port //p' "$work/server.out")"
  [ -z "$server" ] || break
  kill -0 "$server_pid" 2>/dev/null || break
  sleep 0.1
done
[ -n "$server" ] || die "the server did not start: $(cat "$work/server.out")"

status=0
exec_sipp uac 60 -sn uac -m 10000 -r 500 "127.0.0.1:$server" &
wait "$!" || status=$?
judge uac "$status" 10000 10

status=0
exec_sipp options 60 -sf test/interop/options.xml -m 10000 -r 500 "127.0.0.1:$server" &
wait "$!" || status=$?
judge options "$status" 10000 10

port="$(free_port)"
exec_sipp uas 120 -sn uas -m 10000 -p "$port" &
uas=$!
for _ in $(seq 50); do
  grep -q ":$(printf '%04X' "$port") " /proc/net/udp && break
  sleep 0.1
done
status=0
CALLS=10000 PORT="$port" timeout --kill-after=5 100 mix run test/interop/caller.exs >"$work/caller.out" 2>&1 &
wait "$!" || status=$?
wait "$uas" || status=$?
judge uas "$status" 10000 10 "; our caller: $(tr '\n' ' ' <"$work/caller.out")"

port="$(free_port)"
for zone in sippet.example other.example; do
  cp "test/interop/nsd/$zone.zone" "$work"
  printf 'zone:\n  name: "%s"\n  zonefile: "%s.zone"\n' "$zone" "$zone"
done >"$work/zones.conf"
# More than a datagram takes.
for number in $(seq 100); do echo "many IN A 192.0.2.$number"; done >>"$work/sippet.example.zone"
cat >"$work/nsd.conf" <<EOF
server:
  ip-address: 127.0.0.1@$port
  server-count: 1
  username: ""
  zonesdir: "$work"
  zonelistfile: "$work/zone.list"
  xfrdfile: "$work/xfrd.state"
  xfrdir: "$work"
  database: ""
  pidfile: "$work/nsd.pid"
  logfile: "$work/nsd.log"
remote-control:
  control-enable: no
include: "$work/zones.conf"
EOF
timeout --kill-after=5 60 nsd -d -c "$work/nsd.conf" >"$work/nsd.out" 2>&1 &
nsd=$!
for _ in $(seq 50); do
  grep -q ":$(printf '%04X' "$port") " /proc/net/udp && break
  sleep 0.1
done
status=0
PORT="$port" timeout --kill-after=5 50 mix run test/interop/resolver.exs >"$work/resolver.out" 2>&1 &
wait "$!" || status=$?
kill "$nsd" 2>/dev/null || true
wait "$nsd" || true
if [ "$status" = 0 ]; then
  printf '%-6s %-8s %s\n' ok nsd "$(tail -n 1 "$work/resolver.out")"
else
  printf '%-6s %-8s exit status %s\n' FAILED nsd "$status"
  cat "$work/resolver.out" "$work/nsd.out" "$work/nsd.log" 2>/dev/null || true
  failed=1
fi

bash test/interop/tshark.sh || failed=1

# What the server wrote beside its port are errors.
if [ "$(wc -l <"$work/server.out")" != 1 ]; then
  echo "FAILED server   wrote to its log:"
  head -n 20 "$work/server.out"
  failed=1
fi
exit "$failed"
