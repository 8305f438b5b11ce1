#!/usr/bin/env bash
# sipsak asks with OPTIONS, over UDP and TCP.
source "$(dirname "$0")/lib.sh"
need sipsak sipsak

# ask TRANSPORT PORT
ask() {
  local transport=$1 port=$2 status=0
  timed 40 sipsak -vvv -E "$transport" -s "sip:service@127.0.0.1:$port" >"$work/sipsak.out" 2>&1 &
  wait "$!" || status=$?
  if [ "$status" = 0 ] && grep -q '^SIP/2.0 200 ' "$work/sipsak.out"; then
    report ok "$transport" "sipsak asks us with OPTIONS: 200"
  else
    report FAILED "$transport" "sipsak asks us with OPTIONS: exit status $status"
    show "$work/sipsak.out"
  fi
}

timed 100 mix run test/interop/server.exs >"$work/server.out" 2>&1 &
wait_for "$!" grep -q '^port ' "$work/server.out" || die "the server did not start: $(cat "$work/server.out")"
ask udp "$(sed -n 's/^port //p' "$work/server.out")"
start_agent agent TRANSPORTS=tcp
ask tcp "$(agent_port agent tcp)"
stop_agent agent
exit "$failed"
