#!/usr/bin/env bash
# Kamailio between SIPp and us, by TCP, TLS and WebSocket: SIPp's calls come to us through it, ours go to SIPp through it, and
# ours come back to us by the same transport. Both sides of TLS want the other's certificate, and we its name.
source "$(dirname "$0")/lib.sh"
source test/interop/figures.sh
source test/interop/certificates.sh
need kamailio kamailio
modules="$(dirname "$(find /usr/lib* -name tm.so -path '*kamailio*' 2>/dev/null | head -n 1)")"
[ -e "$modules/tls.so" ] && [ -e "$modules/websocket.so" ] ||
  apt_install interop kamailio-tls-modules kamailio-websocket-modules ||
  die "Kamailio's modules tls and websocket are missing and cannot be installed from here."

calls=300
stream="$(free_port)"
secure="$(free_port)"
sipp="$(free_port)"

cat >"$work/tls.cfg" <<END
[server:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = $CERTIFICATES/localhost.key
certificate = $CERTIFICATES/localhost.pem
ca_list = $CERTIFICATES/authority.pem
[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
private_key = $CERTIFICATES/localhost.key
certificate = $CERTIFICATES/localhost.pem
ca_list = $CERTIFICATES/authority.pem
END

# configure TCP_PORT TLS_PORT: where our agent listens. The user of the Request-URI says where a request is to go.
configure() {
  cat >"$work/kamailio.cfg" <<END
#!KAMAILIO
debug=0
log_stderror=yes
children=1
tcp_children=4
auto_aliases=no
dns_try_ipv6=no
enable_tls=yes
# RFC 7118 §5: no Content-Length over a WebSocket.
tcp_accept_no_cl=yes
listen=tcp:127.0.0.1:$stream
# Its Via and its Record-Route have the name that is in its certificate.
listen=tls:127.0.0.1:$secure advertise localhost:$secure
mpath="$modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
loadmodule "xhttp.so"
loadmodule "websocket.so"
loadmodule "tls.so"
modparam("tls", "config", "$work/tls.cfg")
modparam("nathelper|registrar", "received_avp", "\$avp(received)")

request_route {
  if (!mf_process_maxfwd_header("10")) {
    sl_send_reply("483", "Too Many Hops");
    exit;
  }
  if (proto == WS) {
    force_rport();
    if (is_method("REGISTER")) {
      fix_nated_register();
    } else {
      add_contact_alias();
    }
  }
  if (has_totag()) {
    if (!loose_route()) {
      if (!is_method("ACK")) sl_send_reply("404", "Not Here");
      exit;
    }
    if (\$du == "") handle_ruri_alias();
    route(RELAY);
  }
  if (is_method("CANCEL")) {
    if (t_check_trans()) route(RELAY);
    exit;
  }
  t_check_trans();
  if (is_method("REGISTER")) {
    save("location");
    exit;
  }
  record_route();
  switch (\$rU) {
    case "sipp":
      \$du = "sip:127.0.0.1:$sipp;transport=tcp";
      break;
    case "sippet-tcp":
      \$du = "sip:127.0.0.1:$1;transport=tcp";
      break;
    case "sippet-tls":
      \$du = "sip:127.0.0.1:$2;transport=tls";
      break;
    default:
      if (!lookup("location")) {
        sl_send_reply("404", "Not Found");
        exit;
      }
  }
  route(RELAY);
}

route[RELAY] {
  t_on_reply("ANSWER");
  if (!t_relay()) sl_reply_error();
  exit;
}

onreply_route[ANSWER] {
  if (proto == WS) add_contact_alias();
}

event_route[xhttp:request] {
  set_reply_close();
  set_reply_no_connect();
  if (\$hdr(Upgrade) =~ "websocket") {
    ws_handle_handshake();
  } else {
    xhttp_reply("404", "Not Found", "", "");
  }
}
END
}

start_agent agent TRANSPORTS="tcp tls" VERIFY_CLIENTS=required
configure "$(agent_port agent tcp)" "$(agent_port agent tls)"
mkdir "$work/run"
timed 240 kamailio -DD -E -f "$work/kamailio.cfg" -P "$work/run/kamailio.pid" -Y "$work/run" -m 64 -M 8 \
  >"$work/kamailio.out" 2>&1 &
kamailio=$!
{ wait_for "$kamailio" listens "$stream" && wait_for "$kamailio" listens "$secure"; } || {
  show "$work/kamailio.out"
  die "Kamailio did not start"
}
# A browser's telephone is found by its connection only: this one has registered by it.
start_agent browser TRANSPORTS=ws REGISTER="ws localhost $stream"

# in_front TRANSPORT
in_front() {
  local name="front_$1" status=0
  exec_sipp "$name" 60 -sf "$PWD"/test/interop/proxied_caller.xml -t t1 -s "sippet-$1" -m "$calls" -r 100 "127.0.0.1:$stream" &
  wait "$!" || status=$?
  judge "$name" "$status" "$1" "SIPp calls us through Kamailio" "$calls" 0
}

# behind TRANSPORT PORT
behind() {
  local name="behind_$1" uas status=0
  exec_sipp "$name" 60 -sf "$PWD"/test/interop/proxied_callee.xml -t t1 -m "$calls" -p "$sipp" &
  uas=$!
  wait_for "$uas" listens "$sipp" || true
  run_calls "$1" "we call SIPp through Kamailio" CALLS="$calls" URI="sip:sipp@localhost:$2" TARGET="localhost $2" ||
    kill "$uas" 2>/dev/null || true
  wait "$uas" || status=$?
  if [ "$status" != 0 ]; then
    report FAILED "$1" "SIPp was called through Kamailio: exit status $status"
    show "$work/$name.err" "$work/$name.out"
  fi
}

for transport in tcp tls ws; do
  port="$stream"
  [ "$transport" != tls ] || port="$secure"
  in_front "$transport"
  behind "$transport" "$port"
  run_calls "$transport" "we call us through Kamailio" CALLS="$calls" URI="sip:sippet-$transport@localhost:$port" \
    TARGET="localhost $port" || true
done

# The certificate is for localhost, whatever address that has.
status=0
timed 60 env TRANSPORT=tls CALLS=1 URI="sip:sipp@127.0.0.1:$secure" TARGET="127.0.0.1 $secure" \
  mix run test/interop/calls.exs >"$work/calls.out" 2>&1 &
wait "$!" || status=$?
if [ "$status" = 1 ] && grep -qi 'certificate is for localhost' "$work/calls.out"; then
  report ok tls "Kamailio's certificate is not taken for 127.0.0.1"
else
  report FAILED tls "Kamailio's certificate is not to be taken for 127.0.0.1: exit status $status"
  show "$work/calls.out"
fi

stop_agent browser
stop_agent agent
kill "$kamailio"
wait "$kamailio" || true
if [ "$failed" != 0 ]; then show "$work/kamailio.out"; fi
exit "$failed"
