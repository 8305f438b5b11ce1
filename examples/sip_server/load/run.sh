#!/usr/bin/env bash
# SIPp registers USERS users at this server and places CALLS calls between them, RATE a second, all with credentials; then the
# server is told to stop. Fails if one registration, one call or the end does.
set -euo pipefail
cd "$(dirname "$0")/.."

users="${USERS:-10000}" calls="${CALLS:-10000}" rate="${RATE:-200}"

die() {
  printf 'proxy-load: %s\n' "$*" >&2
  exit 1
}

command -v sipp >/dev/null || die "SIPp is missing: install sip-tester."
[ "$users" -ge 2 ] || die "there are two users at least"
work="$(mktemp -d)"

# Only what was started here.
cleanup() {
  local pid
  for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

taken=" "
free_port() {
  local _
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    if [[ "$taken" != *" $port "* ]] && ! grep -q ":$(printf '%04X' "$port") " /proc/net/udp /proc/net/udp6 2>/dev/null; then
      taken+="$port "
      return
    fi
  done
  die "no free port"
}

for name in server phones from; do
  free_port
  declare "$name=$port"
done

mix run --no-start -e '
  [users, work] = System.argv()
  users = String.to_integer(users)
  name = &"user#{rem(&1, users)}"
  credentials = &"[authentication username=#{name.(&1)} password=secret-#{name.(&1)}]"
  write = fn file, head, line -> File.write!(Path.join(work, file), [head | for(n <- 0..(users - 1), do: [line.(n), "\n"])]) end
  write.("users.txt", "", &SipServer.Users.line(name.(&1), "sip.example.com", "secret-" <> name.(&1)))
  write.("register.csv", "SEQUENTIAL\n", &"#{name.(&1)};#{credentials.(&1)}")
  write.("call.csv", "SEQUENTIAL\n", &"#{name.(&1)};#{credentials.(&1)};#{name.(&1 + div(users, 2))}")
' "$users" "$work"

cat >"$work/config.exs" <<EOF
[domains: ["sip.example.com"], transports: [udp: $server], users: "$work/users.txt", check_uri: false, drain_ms: 10_000]
EOF

SIP_SERVER_CONFIG="$work/config.exs" timeout --kill-after=30 600 mix run --no-halt >"$work/server.out" 2>&1 &
server_pid=$!

listens() {
  local _
  for _ in $(seq 300); do
    ! grep -q ":$(printf '%04X' "$1") " /proc/net/udp || return 0
    sleep 0.1
  done
  cat "$work"/*.out >&2
  die "nobody listens at port $1"
}
listens "$server"

# exec_sipp NAME ARGUMENT...
exec_sipp() {
  local name=$1
  shift
  export TERM=xterm
  exec timeout --kill-after=5 500 sipp -nostdin -i 127.0.0.1 -bind_local -sf "load/$name.xml" \
    -trace_stat -stf "$work/$name.stat" -fd 1 -trace_err -error_file "$work/$name.err" "$@" >"$work/$name.out" 2>&1
}

# field NAME COLUMN: a figure of SIPp's last line of statistics.
field() {
  awk -F ';' -v column="$2" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
    END { print (at && NR > 1) ? $at : 0 }' "$work/$1.stat" 2>/dev/null || echo 0
}

failed=0

# judge NAME STATUS COUNT
judge() {
  local verdict=ok good bad
  good="$(field "$1" 'SuccessfulCall(C)')" bad="$(field "$1" 'FailedCall(C)')"
  if [ "$2" != 0 ] || [ "$good" != "$3" ] || [ "$bad" != 0 ]; then verdict=FAILED failed=1; fi
  printf '%-6s %-8s %s of %s, %s failed, %s retransmissions, %s a second\n' "$verdict" "$1" "$good" "$3" "$bad" \
    "$(field "$1" 'Retransmissions(C)')" "$(field "$1" 'CallRate(C)')"
  [ "$verdict" = ok ] || head -n 30 "$work/$1.err" "$work/$1.out" "$work/server.out" || true
}

status=0
exec_sipp register -m "$users" -r "$rate" -p "$from" -key phones "$phones" -inf "$work/register.csv" "127.0.0.1:$server" &
wait "$!" || status=$?
judge register "$status" "$users"

exec_sipp phones -m "$calls" -p "$phones" &
phones_pid=$!
listens "$phones"
status=0
exec_sipp call -m "$calls" -r "$rate" -l "$((rate * 20))" -p "$from" -inf "$work/call.csv" "127.0.0.1:$server" &
wait "$!" || status=$?
judge call "$status" "$calls"
[ "$failed" = 0 ] || kill "$phones_pid"
status=0
wait "$phones_pid" || status=$?
judge phones "$status" "$calls"

# `timeout` passes it on; the server drains and ends.
kill -TERM "$server_pid"
status=0
wait "$server_pid" || status=$?
# `timeout` tells of the signal that it has got.
if [ "$status" != 0 ] && [ "$status" != 124 ] && [ "$status" != 143 ]; then
  echo "FAILED the server ended with status $status"
  failed=1
fi
exit "$failed"
