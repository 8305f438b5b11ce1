#!/usr/bin/env bash
# Instructions that callgrind counts for one warm call: parsing and writing of bench/messages, and the worst inputs.
#   record   counts and writes bench/records/instructions.txt
#   compare  tells what differs from that file by more than 3 %; never fails
#   worst    16, 32 and 64 KiB of each kind of input: fails where a doubling costs more than 2.2 times as much
set -euo pipefail
cd "$(dirname "$0")/.."

record=bench/records/instructions.txt
limit_percent=3

if ! command -v valgrind >/dev/null; then
  echo "bench: valgrind is not installed, instructions were not counted"
  exit 0
fi

binary="$(cargo bench --quiet --locked -p sippet_proto --bench instructions --no-run --message-format json 2>/dev/null |
  sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)"
[ -x "$binary" ] || {
  echo "bench: instructions cannot be counted, the program for it was not built" >&2
  exit 1
}

# count ARGUMENTS...
count() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null '--toggle-collect=*measured*' "$binary" "$@" 2>&1 |
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p'
}

messages() {
  local what file
  for what in parse write; do
    for file in bench/messages/*.sip; do
      echo "$what $(basename "$file" .sip) $(count "$what" "$file")"
    done
  done
}

case "${1:-compare}" in
  record)
    {
      echo "# Instructions of one warm call, counted by callgrind: $(rustc --version | cut -d ' ' -f 1-2), $(uname -m)."
      messages
    } >"$record"
    cat "$record"
    ;;
  compare)
    [ -f "$record" ] || exit 0
    messages | awk -v limit="$limit_percent" '
      NR == FNR { before[$1 " " $2] = $3; next }
      {
        key = $1 " " $2
        if (!(key in before)) next
        change = ($3 - before[key]) * 100 / before[key]
        if (change > limit || change < -limit)
          printf "bench: %s takes %d instructions, %+.1f %% of the record (make bench-instructions renews it)\n", key, $3, change
      }' "$record" -
    ;;
  worst)
    status=0
    printf '%-24s %10s %10s %10s  growth\n' kind 16K 32K 64K
    for kind in $("$binary" kinds); do
      small="$(count worst "$kind" 16384)"
      middle="$(count worst "$kind" 32768)"
      large="$(count worst "$kind" 65000)"
      printf '%-24s %10s %10s %10s  ' "$kind" "$small" "$middle" "$large"
      awk -v a="$small" -v b="$middle" -v c="$large" \
        'BEGIN { printf "%.2f %.2f\n", b / a, c / b; exit b > 2.2 * a || c > 2.2 * b }' || status=1
    done
    [ "$status" = 0 ] || echo "bench: a doubling costs more than 2.2 times as much" >&2
    exit "$status"
    ;;
esac
