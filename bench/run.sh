#!/usr/bin/env bash
# Builds what is measured with, and measures: `messages` (the default), `scheduling` or `crates`. See README.md.
# SECONDS for each function; BENCHEE_PATH: a folder with Benchee compiled, where Hex is not to be had.
set -euo pipefail
cd "$(dirname "$0")"
source ../scripts/apt.sh
export MIX_ENV=prod MIX_QUIET=1
today="$(date -u +%F)"
mkdir -p _build

has_p1() { erl -noshell -eval 'halt(case code:which(esip_codec) of non_existing -> 1; _ -> 0 end).'; }

peers() {
  has_p1 || apt_install bench erlang-p1-sip ||
    echo "bench: erlang-p1-sip cannot be installed: measured without"
}

benchee() {
  if [ -n "${BENCHEE_PATH:-}" ]; then
    export ERL_FLAGS="${ERL_FLAGS:-} -pa $BENCHEE_PATH"
  elif mix help hex >/dev/null 2>&1; then
    mix deps.get || echo "bench: Benchee cannot be fetched"
  else
    echo "bench: neither Hex nor BENCHEE_PATH is there: a small loop takes the times"
  fi
}

floor() {
  if CARGO_TARGET_DIR=_build/floor cargo build --quiet --release --locked --manifest-path floor/Cargo.toml; then
    BENCH_FLOOR="$(ls "$PWD"/_build/floor/release/libfloor.* | grep -E '\.(so|dylib)$' | head -n 1)"
    export BENCH_FLOOR
  else
    echo "bench: the floor cannot be built: measured without"
  fi
}

inputs() {
  local binary kind size
  binary="$(cargo bench --quiet --locked --manifest-path ../Cargo.toml -p sippet_proto --bench instructions --no-run \
    --message-format json | sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)"
  export WORST_INPUTS="$PWD/_build/worst"
  mkdir -p "$WORST_INPUTS"
  for kind in $("$binary" kinds); do
    for size in 16384 65000; do "$binary" dump "$kind" "$size" >"$WORST_INPUTS/$kind.$size"; done
  done
}

case "${1:-messages}" in
  messages)
    peers
    benchee
    floor
    MIX_ENV=test mix test
    mix run messages.exs "records/$today-messages.md"
    ;;
  scheduling)
    benchee
    inputs
    mix run scheduling.exs "records/$today-scheduling.md"
    ;;
  crates)
    cd rust
    CARGO_TARGET_DIR=../_build/rust cargo test --quiet --locked
    CARGO_TARGET_DIR=../_build/rust cargo bench --locked --bench peers -- --noplot
    cd ..
    mix run crates.exs _build/rust/criterion "records/$today-crates.md"
    ;;
  *)
    echo "bench: messages, scheduling or crates" >&2
    exit 2
    ;;
esac
