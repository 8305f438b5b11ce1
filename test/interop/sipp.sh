#!/usr/bin/env bash
# SIPp: its built-in caller and an OPTIONS load to the demo over UDP, and the demo's caller to its built-in server; the same
# over TCP with agent.ex, by one connection (t1) and by one for each call (tn). Not over TLS: the SIPp of Debian 12 is built
# without, and that of Debian 13, 3.7.3, sends nothing once its handshake is done, to openssl s_server no more than to us.
source "$(dirname "$0")/lib.sh"
source test/interop/figures.sh

# sipp_asks NAME TRANSPORT TEXT CALLS MAX_RETRANSMISSIONS ARGUMENT...
sipp_asks() {
  local name=$1 transport=$2 text=$3 calls=$4 most=$5 status=0
  shift 5
  exec_sipp "$name" 60 -m "$calls" -r 500 "$@" &
  wait "$!" || status=$?
  judge "$name" "$status" "$transport" "$text" "$calls" "$most"
}

# we_call NAME TRANSPORT TEXT CALLS MAX_RETRANSMISSIONS SCRIPT ARGUMENT...: our side is a script that is told PORT, URI, CALLS.
we_call() {
  local name=$1 transport=$2 text=$3 calls=$4 most=$5 script=$6 port uas status=0
  shift 6
  port="$(free_port)"
  exec_sipp "$name" 120 -sn uas -m "$calls" -p "$port" "$@" &
  uas=$!
  wait_for "$uas" listens "$port" || status=$?
  timed 100 env CALLS="$calls" PORT="$port" TRANSPORT="$transport" LINGER=1 \
    URI="sip:service@127.0.0.1:$port;transport=$transport" mix run "$script" >"$work/caller.out" 2>&1 &
  wait "$!" || status=$?
  # SIPp ends with its last call; it has nothing to wait for where one did not come.
  [ "$status" = 0 ] || kill "$uas" 2>/dev/null || true
  wait "$uas" || status=$?
  judge "$name" "$status" "$transport" "$text" "$calls" "$most" "; our side: $(tr '\n' ' ' <"$work/caller.out")"
}

# UDP, with the demo. A datagram may be lost or late on a machine that has other work.
timed 300 mix run test/interop/server.exs >"$work/server.out" 2>&1 &
server_pid=$!
wait_for "$server_pid" grep -q '^port ' "$work/server.out" || die "the server did not start: $(cat "$work/server.out")"
server="127.0.0.1:$(sed -n 's/^port //p' "$work/server.out")"
sipp_asks uac udp "SIPp calls us (u1)" 10000 10 -sn uac "$server"
sipp_asks options udp "SIPp asks us with OPTIONS (u1)" 10000 10 -sf "$PWD"/test/interop/options.xml "$server"
we_call uas udp "we call SIPp (u1)" 10000 10 test/interop/caller.exs
if [ "$(wc -l <"$work/server.out")" != 1 ]; then
  report FAILED udp "the server wrote besides its port:"
  show "$work/server.out"
fi
kill "$server_pid"
wait "$server_pid" || true

# Over a stream nothing is sent twice.
start_agent tcp TRANSPORTS=tcp
server="127.0.0.1:$(agent_port tcp tcp)"
for mode in t1 tn; do
  sipp_asks "uac_$mode" tcp "SIPp calls us ($mode)" 5000 0 -sn uac -t "$mode" -max_socket 1000 "$server"
  we_call "uas_$mode" tcp "we call SIPp ($mode)" 5000 0 test/interop/calls.exs -t "$mode" -max_socket 1000
done
stop_agent tcp
exit "$failed"
