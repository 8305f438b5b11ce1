#!/usr/bin/env bash
# The Elixir suite on native code that is built with AddressSanitizer: a read or write out of bounds, or of what was freed, ends
# the VM with a report, and this with a failure. Leaks are not looked for: the VM frees nothing when it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

target="$(rustc -vV | sed -n 's/^host: //p')"
runtime="$(cc -print-file-name=libasan.so)"
# cc prints the bare name of what it does not have.
[ -e "$runtime" ] || {
  echo "asan: cc has no AddressSanitizer (libasan.so)" >&2
  exit 1
}

export MIX_ENV=test MIX_BUILD_ROOT=_build/asan
library=_build/asan/test/lib/sippet/priv/native/sippet_nif.so

# The stable compiler has the sanitizer, and takes its option only when it is told that it may.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Zexternal-clangrt" CARGO_BUILD_TARGET="$target" mix compile
grep -q __asan_report_load "$library" || {
  echo "asan: $library was built without AddressSanitizer" >&2
  exit 1
}

# What the tests start builds nothing: a compiler would not run with the runtime preloaded.
export SIPPET_NIF_PATH="$PWD/$library"
export ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
# The sanitizer takes time for each access and keeps what was freed.
LD_PRELOAD="$runtime" mix test --no-compile --exclude costs "$@"
