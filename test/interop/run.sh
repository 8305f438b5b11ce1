#!/usr/bin/env bash
# Sippet and what others have made: a script each, and a line a case with the transport it is about. Fails if one of them does;
# with STRICT=1 also if one could not be run. test/interop/NAME.sh runs one alone.
set -euo pipefail
cd "$(dirname "$0")/../.."

mix compile
export COMPILED=1
failed=0
for name in sipp sipsak openssl kamailio javascript proxies nsd tshark; do
  bash "test/interop/$name.sh" || {
    failed=1
    echo "FAILED  -    test/interop/$name.sh"
  }
done
exit "$failed"
