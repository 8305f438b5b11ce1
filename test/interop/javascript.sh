#!/usr/bin/env bash
# JsSIP and SIP.js in Node, over WebSocket with and without TLS: each registers, calls, is called by the flow of its REGISTER,
# and unregisters. Their packages come from npm's registry, as the lockfile has them, into a cache outside the tree.
source "$(dirname "$0")/lib.sh"
source test/interop/certificates.sh
need node nodejs

cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sippet/javascript"
mkdir -p "$cache"

# npm ci: exactly what the lockfile says, or nothing.
install() {
  cmp -s test/interop/javascript/package-lock.json "$cache/installed.json" && return
  command -v npm >/dev/null || apt_install interop npm || return
  cp test/interop/javascript/package.json test/interop/javascript/package-lock.json "$cache"
  rm -f "$cache/installed.json"
  timeout --kill-after=5 120 npm ci --prefix "$cache" --ignore-scripts --no-audit --no-fund --fetch-retries 1 \
    >"$work/npm.out" 2>&1 && cp "$cache/package-lock.json" "$cache/installed.json"
}

if ! install; then
  skip ws "JsSIP and SIP.js: no npm registry"
  [ "$failed" = 0 ] || show "$work/npm.out"
  exit "$failed"
fi

start_agent agent TRANSPORTS="ws wss"
for library in jssip:JsSIP sipjs:SIP.js; do
  script="${library%%:*}"
  cp "test/interop/javascript/$script.js" test/interop/javascript/telephone.js "$work"
  ln -sfn "$cache/node_modules" "$work/node_modules"
  for transport in ws wss; do
    status=0
    timed 60 env NODE_EXTRA_CA_CERTS="$CERTIFICATES/authority.pem" \
      node "$work/$script.js" "$transport://localhost:$(agent_port agent "$transport")/sip" >"$work/$script.out" 2>&1 &
    wait "$!" || status=$?
    if [ "$status" = 0 ]; then
      report ok "$transport" "${library#*:} and we: $(tail -n 1 "$work/$script.out")"
    else
      report FAILED "$transport" "${library#*:} and we: exit status $status"
      show "$work/$script.out"
    fi
  done
done
stop_agent agent
exit "$failed"
