#!/usr/bin/env bash
# The resolver and NSD, with the zones in test/interop/nsd.
source "$(dirname "$0")/lib.sh"
need nsd nsd

port="$(free_port)"
for zone in sippet.example other.example; do
  cp "test/interop/nsd/$zone.zone" "$work"
  printf 'zone:\n  name: "%s"\n  zonefile: "%s.zone"\n' "$zone" "$zone"
done >"$work/zones.conf"
# More than a datagram takes.
for number in $(seq 100); do echo "many IN A 192.0.2.$number"; done >>"$work/sippet.example.zone"
cat >"$work/nsd.conf" <<END
server:
  ip-address: 127.0.0.1@$port
  server-count: 1
  username: ""
  zonesdir: "$work"
  zonelistfile: "$work/zone.list"
  xfrdfile: "$work/xfrd.state"
  xfrdir: "$work"
  database: ""
  pidfile: "$work/nsd.pid"
  logfile: "$work/nsd.log"
remote-control:
  control-enable: no
include: "$work/zones.conf"
END
timed 60 nsd -d -c "$work/nsd.conf" >"$work/nsd.out" 2>&1 &
nsd=$!
wait_for "$nsd" listens "$port" || true
status=0
timed 50 env PORT="$port" mix run test/interop/resolver.exs >"$work/resolver.out" 2>&1 &
wait "$!" || status=$?
kill "$nsd" 2>/dev/null || true
wait "$nsd" || true
if [ "$status" = 0 ]; then
  report ok dns "NSD answers our resolver: $(tail -n 1 "$work/resolver.out")"
else
  report FAILED dns "NSD answers our resolver: exit status $status"
  show "$work/resolver.out" "$work/nsd.out" "$work/nsd.log"
fi
exit "$failed"
