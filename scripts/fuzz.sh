#!/usr/bin/env bash
# Fuzzes for so many seconds each: fuzz.sh SECONDS [TARGET]. Stops at the first finding, which is kept in native/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/../native/fuzz"

seconds="$1"
targets="${2:-$(ls seeds)}"

# cargo-fuzz asks for the nightly compiler; told that it may, the stable one does.
export RUSTC_BOOTSTRAP=1
cargo fuzz --version >/dev/null 2>&1 || {
  echo "fuzz: cargo-fuzz is missing: cargo install cargo-fuzz" >&2
  exit 1
}

for target in $targets; do
  [ -d "seeds/$target" ] || {
    echo "fuzz: $target is none of:" $(ls seeds) >&2
    exit 2
  }
  more=() dictionary=sip.dict max_len=65536 len_control=100
  case "$target" in
    message | round_trip) more=(../../test/fixtures/rfc4475 ../../test/fixtures/rfc5118) ;;
    sdp) dictionary=sdp.dict ;;
    # Choices, not text: long ones from the first.
    engine | simulation) dictionary='' max_len=1024 len_control=0 ;;
  esac
  mkdir -p "corpus/$target" "artifacts/$target"
  log="artifacts/$target.log"
  cargo fuzz build --fuzz-dir . "$target" >"$log" 2>&1 || {
    cat "$log"
    exit 1
  }
  if ! cargo fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" "${more[@]}" -- \
    -max_total_time="$seconds" -max_len="$max_len" -len_control="$len_control" -timeout=60 ${dictionary:+-dict="$dictionary"} >"$log" 2>&1; then
    grep -v '^#' "$log" | tail -n 60
    echo "fuzz: $target found something, see native/fuzz/artifacts/$target" >&2
    exit 1
  fi
  # What it has reached: edges, features, inputs kept, executions.
  echo "$target: $(grep -E '^#[0-9]+.*DONE' "$log" | tr -s '\t ' ' '), $(grep '^Done' "$log")"
done
