#!/usr/bin/env bash
# Server CPU, rates and latency of Sippet beside Kamailio (tm, 2 children), the same load for both. Prints Markdown tables; loopback
# only, each run bounded in time. PARTS names the tables to make; see bench/README.md.
#
# The servers take turns; a round takes half of 64·T1, for which a transaction of Sippet's stays open: so from the third round on
# what began two rounds ago ends in a turn of its own server. CPU is counted from a turn's begin to the next one's of the same server, so that
# what a server leaves for later is in it too; the first two rounds are not shown.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v kamailio >/dev/null || { echo "kamailio is not installed (apt: kamailio)"; exit 1; }

PARTS=${PARTS:-saturation rates latency schedulers floor}
ROUNDS=${ROUNDS:-3}
ROUND_MS=16000

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]:-}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

echo "# $(date -I): server CPU, beside Kamailio"
echo
echo "$(lscpu | sed -n 's/^Model name: *//p' | head -1), $(nproc) cores, load average before $(cut -d' ' -f1-3 /proc/loadavg); kernel $(uname -r), OTP $(erl -noshell -eval 'io:put_chars(erlang:system_info(otp_release)), halt().'), $(kamailio -v | head -1 | cut -d' ' -f2,3). Command: \`make bench-load PARTS=\"$PARTS\" ROUNDS=$ROUNDS\`."

rustc --edition 2024 -O -o "$work/generator" bench/load/generator.rs
MIX_ENV=prod mix compile >&2

# Nanoseconds of CPU that processes have used in all their threads.
used() {
  local pid
  for pid in "$@"; do cat /proc/"$pid"/task/*/schedstat; done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}

# start_beam NAME FLAGS SCRIPT: sets NAME_port and NAME_pids
start_beam() {
  local name=$1 port=$((20000 + RANDOM % 10000))
  PORT=$port MIX_ENV=prod ELIXIR_ERL_OPTIONS="$2" mix run --no-halt "$3" >"$work/$name.log" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do
    grep -q ready "$work/$name.log" && break
    sleep 0.1
  done
  eval "${name}_port=$port ${name}_pids=$(awk '/ready/ {print $2}' "$work/$name.log")"
}

start_sippet() { start_beam "$1" "${2:-}" bench/load/server.exs; }

start_kamailio() {
  local name=$1 pid port=$((31000 + RANDOM % 10000))
  kamailio -DD -E -m 6144 -M 64 -f bench/load/kamailio.cfg -l "udp:127.0.0.1:$port" >"$work/$name.log" 2>&1 &
  pid=$!
  pids+=("$pid")
  sleep 1.5
  eval "${name}_port=$port"
  eval "${name}_pids=\"$pid \$(pgrep -P $pid | tr '\n' ' ')\""
}

now() { echo "${EPOCHREALTIME/[.,]/}"; }

# turns TITLE SCENARIO SERVER=MODE ...: each server in its turns; a row for each, of medians.
turns() {
  local title=$1 scenario=$2 at entry server mode port server_pids before line turn_ms load_seconds
  shift 2
  turn_ms=$((ROUND_MS / $#))
  # What is lost is known a second after the last was sent.
  load_seconds=$(awk -v ms=$turn_ms 'BEGIN { print ms / 1000 - 2 }')
  rm -f "$work"/turn.*
  at=$(now)
  declare -A last=()
  for round in $(seq $((ROUNDS + 3))); do
    for entry in "$@"; do
      server=${entry%%:*}
      mode=${entry#*:}
      eval "port=\$${server}_port server_pids=\$${server}_pids"
      # shellcheck disable=SC2086
      before=$(used $server_pids)
      # The turn before is over now. The last round is only for that.
      [ -n "${last[$server]:-}" ] && [ "$round" -gt 3 ] &&
        echo "$((before - ${last[$server]%% *})) ${last[$server]#* }" >>"$work/turn.$server"
      if [ "$round" -le $((ROUNDS + 2)) ]; then
        line=$(timeout 60 "$work/generator" "127.0.0.1:$port" "$scenario" "$load_seconds" 0 "$mode")
        last[$server]="$before $line"
        at=$((at + turn_ms * 1000))
        sleep "$(awk -v left=$((at - $(now))) 'BEGIN { print (left > 0 ? left / 1e6 : 0) }')"
      fi
    done
  done
  for entry in "$@"; do
    server=${entry%%:*}
    awk -v title="$title" -v server="$server" -v mode="${entry#*:}" '
      function median(list, n,   i, j, t) {
        for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j - 1] > list[j]; j--) {
          t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        return list[int((n + 1) / 2)] }
      { n++; cpu[n] = $1 / 1000 / $2; rate[n] = $3; p50[n] = $5; p99[n] = $6; p999[n] = $7; lost += $8; again += $9
        all = all sprintf("%s%.1f", n > 1 ? " " : "", cpu[n]) }
      END { printf "| %s | %s | %s | %d | %.1f | %s | %d | %d | %d | %d | %d |\n", title, server, mode, median(rate, n),
        median(cpu, n), all, median(p50, n), median(p99, n), median(p999, n), lost, again
        print server, median(rate, n) > "/dev/stderr" }' "$work/turn.$server" 2>"$work/median.$server"
  done
}

head="| | server | load | a second | CPU µs each | of each turn | p50 µs | p99 µs | p99.9 µs | lost | answered twice |
|---|---|---|---:|---:|---|---:|---:|---:|---:|---:|"

# half SERVER: half of the rate of its last turns
half() { awk '{ printf "%d", $2 / 2 }' "$work/median.$1"; }

# Schedulers that do not spin before they sleep.
no_spin="+sbwt none +sbwtdcpu none +sbwtdio none"
start_sippet sippet "${ERL_OPTIONS:-}"
start_sippet no_spin "$no_spin"
start_kamailio kamailio
for part in $PARTS; do
  case $part in
  saturation)
    printf '\n## At saturation: 64 outstanding\n\n%s\n' "$head"
    for scenario in ${SCENARIOS:-options call}; do turns "$scenario" "$scenario" sippet:outstanding=64 kamailio:outstanding=64; done
    ;;
  rates)
    printf '\n## At equal rates; `no_spin` is Sippet with `%s`\n\n%s\n' "$no_spin" "$head"
    for scenario in ${SCENARIOS:-options call}; do
      for rate in ${RATES:-500 1000}; do
        turns "$scenario" "$scenario" "sippet:rate=$rate" "no_spin:rate=$rate" "kamailio:rate=$rate"
      done
    done
    ;;
  latency)
    printf '\n## At half of what each carries with 64 outstanding\n\n%s\n' "$head"
    for scenario in ${SCENARIOS:-options call}; do
      # HALVES is the rates, where they were found before.
      if [ -n "${HALVES:-}" ]; then
        read -r sippet_half kamailio_half <<<"$HALVES"
      else
        ROUNDS=1 turns "$scenario" "$scenario" sippet:outstanding=64 kamailio:outstanding=64 >/dev/null
        sippet_half=$(half sippet) kamailio_half=$(half kamailio)
      fi
      turns "$scenario" "$scenario" "sippet:rate=$sippet_half" "kamailio:rate=$kamailio_half"
    done
    ;;
  schedulers)
    printf '\n## One scheduler and two, 64 outstanding\n\n%s\n' "$head"
    start_sippet one "+S 1:1"
    for scenario in ${SCENARIOS:-options call}; do turns "$scenario" "$scenario" one:outstanding=64 sippet:outstanding=64; done
    ;;
  floor)
    printf '\n## What UDP alone costs in the VM: datagrams answered as they are, by who receives them or by a process for each\n\n%s\n' "$head"
    MODE=echo start_beam echo "" bench/load/echo.exs
    MODE=spawn start_beam spawn "" bench/load/echo.exs
    rates=${RATES:-1000}
    for mode in outstanding=64 "rate=${rates%% *}"; do
      turns options options "echo:$mode" "spawn:$mode" "sippet:$mode" "kamailio:$mode"
    done
    ;;
  *) echo "no part $part" >&2; exit 1 ;;
  esac
done
