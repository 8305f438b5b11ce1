#!/usr/bin/env bash
# Goodput under overload: a core that burns a millisecond of CPU an INVITE, an open loop of calls. First the peak is sought at
# growing rates, without admission; then twice the peak is offered with it, without it, and from two sources of which one is
# quiet. Prints tables; loopback only, bounded in time.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
server_pid=
# Of the core's work in a millisecond, as the first server has measured it.
rounds=${ROUNDS:-}
cleanup() {
  [ -n "$server_pid" ] && kill "$server_pid" 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

rustc --edition 2024 -O -o "$work/overload" bench/load/overload.rs
MIX_ENV=prod mix compile >&2

# start MAX_START_DELAY_MS
start() {
  port=$((20000 + RANDOM % 10000))
  ${rounds:+env ROUNDS=$rounds} env MAX_START_DELAY_MS=$1 PORT=$port MIX_ENV=prod mix run --no-halt bench/load/overload_server.exs >"$work/server.log" 2>&1 &
  local job=$!
  for _ in $(seq 200); do
    grep -q ready "$work/server.log" && break
    sleep 0.1
  done
  server_pid=$(awk '/ready/ {print $2}' "$work/server.log")
  rounds=$(awk '/ready/ {print $3}' "$work/server.log")
  [ -n "$server_pid" ] || { cat "$work/server.log"; kill "$job"; exit 1; }
}

stop() {
  kill "$server_pid" && wait || true
  server_pid=
}

# offer NAME SECONDS RATE...
offer() {
  local name=$1
  shift
  timeout 180 "$work/overload" "127.0.0.1:$port" "$@" | while read -r line; do
    echo "$line" >>"$work/lines"
    echo "| $name | ${line// / | } |"
  done
}

head="| run | source | offered | answered | refused | lost | answered a second | p50 ms | p99 ms | BYEs answered | BYEs lost | INVITEs resent |"
rule="|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"

warm() { timeout 60 "$work/overload" "127.0.0.1:$port" 3 200 >/dev/null; }

echo "Load average before: $(cut -d' ' -f1-3 /proc/loadavg)."
peak=${PEAK:-}
if [ -z "$peak" ]; then
  start infinity
  echo "Calibrated: $(tail -1 "$work/server.log" | cut -d' ' -f3-)."
  echo
  echo "$head"; echo "$rule"
  warm
  : >"$work/lines"
  for rate in ${RATES:-400 600 800 1000 1200 1400 1600}; do
    offer "$rate/s, no admission" "${PEAK_SECONDS:-5}" "$rate"
    # Only where callers do not wait for ever is it goodput.
    p99=$(tail -1 "$work/lines" | awk '{print int($8)}')
    [ "$p99" -gt 2000 ] && break
  done
  peak=$(awk '$8 < 500 && $6 > max { max = $6 } END { print max }' "$work/lines")
  stop
  echo
  echo "peak: $peak a second (p99 below 500 ms)"
fi
echo
echo "$head"; echo "$rule"
for part in ${PARTS:-twice sources without}; do
  case $part in
  twice)
    for delay in ${DELAYS:-default}; do
      for _ in $(seq "${RUNS:-3}"); do
        start "$delay"
        warm
        offer "$((2 * peak))/s, $delay" "${SECONDS_EACH:-20}" "$((2 * peak))"
        stop
      done
    done
    ;;
  sources)
    start default
    offer "two sources" "${SECONDS_EACH:-20}" "$((2 * peak))" "$((peak / 20))"
    stop
    ;;
  without)
    start infinity
    offer "$((2 * peak))/s, no admission" 10 "$((2 * peak))"
    stop
    ;;
  esac
done
