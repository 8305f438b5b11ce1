#!/usr/bin/env bash
# Server CPU per stateful OPTIONS transaction, ours and Kamailio's (tm, 2 children) in one run: a closed loop of 64, and
# 1,000 a second. Prints a table; loopback only, bounded in count.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v kamailio >/dev/null || { echo "kamailio is not installed (apt: kamailio)"; exit 1; }

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]:-}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

rustc --edition 2024 -O -o "$work/closed_loop" bench/load/closed_loop.rs
MIX_ENV=prod mix compile >&2

# Nanoseconds of CPU that processes have used in all their threads.
used() {
  local pid
  for pid in "$@"; do cat /proc/"$pid"/task/*/schedstat; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# measure NAME PORT TOTAL OUTSTANDING RATE PID...
measure() {
  local name=$1 port=$2 total=$3 outstanding=$4 rate=$5
  shift 5
  local before after line
  before=$(used "$@")
  line=$(timeout 120 "$work/closed_loop" "127.0.0.1:$port" "$total" "$outstanding" $rate)
  after=$(used "$@")
  set -- $line
  awk -v name="$name" -v n="$1" -v seconds="$2" -v p50="$3" -v p99="$4" -v lost="$5" \
    -v used=$((after - before)) 'BEGIN {
      printf "| %s | %d | %.0f | %.1f | %d | %d | %d |\n", name, n, n / seconds, used / 1000 / n, p50, p99, lost }'
}

sippet_port=$((20000 + RANDOM % 10000))
kamailio_port=$((31000 + RANDOM % 10000))
# shellcheck disable=SC2086
PORT=$sippet_port MIX_ENV=prod ELIXIR_ERL_OPTIONS="${ERL_OPTIONS:-}" mix run --no-halt bench/load/server.exs >"$work/sippet.log" &
pids+=($!)
kamailio -DD -E -m 6144 -M 64 -f bench/load/kamailio.cfg -l "udp:127.0.0.1:$kamailio_port" >"$work/kamailio.log" 2>&1 &
pids+=($!)
kamailio_pid=$!
for _ in $(seq 100); do
  grep -q ready "$work/sippet.log" && break
  sleep 0.1
done
sippet_pid=$(awk '/ready/ {print $2}' "$work/sippet.log")
sleep 1
kamailio_pids=$(pgrep -P "$kamailio_pid" | tr '\n' ' ')

echo "| server | transactions | a second | server CPU µs | p50 µs | p99 µs | lost |"
echo "|---|---:|---:|---:|---:|---:|---:|"
"$work/closed_loop" "127.0.0.1:$sippet_port" 20000 64 >/dev/null
"$work/closed_loop" "127.0.0.1:$kamailio_port" 20000 64 >/dev/null
for _ in 1 2 3; do
  measure "sippet, 64 outstanding" "$sippet_port" "${TOTAL:-100000}" 64 "" "$sippet_pid"
  measure "kamailio tm, 64 outstanding" "$kamailio_port" "${TOTAL:-100000}" 64 "" $kamailio_pid $kamailio_pids
done
for _ in 1 2 3; do
  measure "sippet, 1000/s" "$sippet_port" 10000 0 1000 "$sippet_pid"
  measure "kamailio tm, 1000/s" "$kamailio_port" 10000 0 1000 $kamailio_pid $kamailio_pids
done
