# What the scripts of this folder share: each is run by itself, prints a line a case, and fails if one of them does. A case
# that cannot be run for want of a program is skipped, which fails with STRICT=1.
#
# All is on the loopback interface, on ports that are free, and only what was started here is ended.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/apt.sh
PATH="$PATH:/usr/sbin"
[ -n "${COMPILED:-}" ] || mix compile

failed=0
work="$(mktemp -d)"

# Only the jobs of this shell, each a `timeout`, which passes the signal on. All run in the background, for a shell that
# waits for a job can be interrupted.
cleanup() {
  local pid
  for pid in $(jobs -p); do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

die() {
  printf 'interop: %s\n' "$*" >&2
  exit 1
}

# report VERDICT TRANSPORT TEXT
report() {
  printf '%-7s %-4s %s\n' "$1" "$2" "$3"
  [ "$1" != FAILED ] || failed=1
}

# skip TRANSPORT TEXT
skip() {
  report skipped "$1" "$2"
  [ "${STRICT:-0}" != 1 ] || failed=1
}

# show FILE...: what a failed case has left.
show() {
  local file
  for file in "$@"; do [ ! -s "$file" ] || tail -n 20 "$file" | sed 's/^/        /;$a\'; done
}

# need PROGRAM PACKAGE...
need() {
  local program=$1
  shift
  command -v "$program" >/dev/null || apt_install interop "$@" ||
    die "$program is missing and cannot be installed from here; install it and run this again."
}

# listens PORT
listens() {
  grep -qi ":$(printf '%04X' "$1") [0-9A-F]*:0000 \(0A\|07\)" /proc/net/{tcp,tcp6,udp,udp6} 2>/dev/null
}

# A port that nobody has at the moment.
free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    if ! grep -q ":$(printf '%04X' "$port") " /proc/net/{tcp,tcp6,udp,udp6} 2>/dev/null; then
      echo "$port"
      return
    fi
  done
  die "no free port"
}

# wait_for PID COMMAND...: until the command says yes, at most 30 seconds, and no longer than the process lives.
wait_for() {
  local pid=$1
  shift
  for _ in $(seq 300); do
    if "$@"; then return 0; fi
    kill -0 "$pid" 2>/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# timed SECONDS COMMAND...: replaces the shell it runs in, and ends the command with it.
timed() {
  local seconds=$1
  shift
  exec timeout --kill-after=5 "$seconds" "$@"
}

# start_agent NAME SETTING=VALUE...: agent.exs, and waits until it is ready.
start_agent() {
  local name=$1
  shift
  timed 300 env "$@" mix run test/interop/agent.exs >"$work/$name.out" 2>&1 &
  agents[$name]=$!
  wait_for "$!" grep -qx ready "$work/$name.out" || {
    show "$work/$name.out"
    die "the agent did not start"
  }
}
declare -A agents

# agent_port NAME TRANSPORT
agent_port() { sed -n "s/^$2 //p" "$work/$1.out"; }

# stop_agent NAME: all that it wrote besides where it listens is an error.
stop_agent() {
  local name=$1 status=0 unexpected
  kill "${agents[$name]}" 2>/dev/null || true
  wait "${agents[$name]}" || status=$?
  unexpected="$(grep -Evx '(tcp|tls|ws|wss) [0-9]+|ready|counted 0 retransmissions, 0 broken streams' "$work/$name.out" || true)"
  if [ "$status" != 0 ] || [ -n "$unexpected" ]; then
    report FAILED - "our side ended with status $status and had said what it should not have:"
    show "$work/$name.out"
  fi
}

# run_calls TRANSPORT TEXT SETTING=VALUE...: calls.exs, and its line.
run_calls() {
  local transport=$1 text=$2 status=0
  shift 2
  timed 100 env TRANSPORT="$transport" "$@" mix run test/interop/calls.exs >"$work/calls.out" 2>&1 &
  wait "$!" || status=$?
  if [ "$status" = 0 ]; then
    report ok "$transport" "$text: $(head -n 1 "$work/calls.out")"
  else
    report FAILED "$transport" "$text: exit status $status"
    show "$work/calls.out"
  fi
  return "$status"
}
