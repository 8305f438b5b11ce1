#!/usr/bin/env bash
# Our connections through proxies of others: dante for SOCKS5, tinyproxy and squid for HTTP CONNECT, each once open and once with a
# password.
source "$(dirname "$0")/lib.sh"
need danted dante-server
need tinyproxy tinyproxy
need squid squid
need openssl openssl

username=alice
password=wonderland
proxies=()
# Squid gives up being root and still reads from here.
chmod 711 "$work"

# started NAME PROTOCOL PORT open|password PID: waits until it listens.
started() {
  if wait_for "$5" listens "$3"; then
    proxies+=("$1:$2:$3:$4")
  else
    report FAILED - "$1 did not start"
    show "$work/$1-$4.out"
  fi
}

# dante open|password METHOD. It asks the system for passwords: it gets files of its own in their place, which
# takes a mount of its own, and so root.
dante() {
  local port
  port="$(free_port)"
  cat >"$work/danted-$1.conf" <<END
logoutput: stderr
internal: 127.0.0.1 port = $port
external.protocol: ipv4 ipv6
external: lo
clientmethod: none
socksmethod: $2
user.unprivileged: nobody
client pass { from: 0/0 to: 0/0 }
socks pass { from: 0/0 to: 0/0 command: connect }
END
  if [ "$1" = open ]; then
    timed 300 danted -f "$work/danted-open.conf" >"$work/danted-open.out" 2>&1 &
  else
    cat /etc/passwd - <<<"$username:x:64999:65534::/nonexistent:/usr/sbin/nologin" >"$work/passwd"
    cat /etc/shadow - <<<"$username:$(openssl passwd -6 "$password"):19000:0:99999:7:::" >"$work/shadow"
    sed -i '1a user.privileged: root' "$work/danted-password.conf"
    # shellcheck disable=SC2016
    timed 300 unshare --mount sh -c \
      'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/shadow" /etc/shadow && exec danted -f "$0/danted-password.conf"' \
      "$work" >"$work/danted-password.out" 2>&1 &
  fi
  started danted socks5 "$port" "$1" "$!"
}

# tiny open|password AUTHENTICATION
tiny() {
  local port
  port="$(free_port)"
  cat >"$work/tinyproxy-$1.conf" <<END
Port $port
Listen 127.0.0.1
Allow 127.0.0.0/8
$2
END
  timed 300 tinyproxy -d -c "$work/tinyproxy-$1.conf" >"$work/tinyproxy-$1.out" 2>&1 &
  started tinyproxy http_connect "$port" "$1" "$!"
}

# squid_with open|password AUTHENTICATION
squid_with() {
  local port
  port="$(free_port)"
  cat >"$work/squid-$1.conf" <<END
http_port 127.0.0.1:$port
$2
http_access allow CONNECT all
http_access deny all
pid_filename none
cache deny all
cache_log /dev/null
access_log none
pinger_enable off
coredump_dir /
shutdown_lifetime 0 seconds
END
  timed 300 squid -N -f "$work/squid-$1.conf" >"$work/squid-$1.out" 2>&1 &
  started squid http_connect "$port" "$1" "$!"
}

dante open none
if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
  dante password username
else
  skip - "danted asks the system for passwords; in its place only root can put one"
fi

tiny open ""
tiny password "BasicAuth $username $password"

squid_with open ""
echo "$username:$(openssl passwd -6 "$password")" >"$work/squid.passwords"
chmod 644 "$work/squid.passwords"
squid_with password "auth_param basic program /usr/lib/squid/basic_ncsa_auth $work/squid.passwords
acl known proxy_auth REQUIRED
http_access deny !known"

status=0
timed 200 env PROXIES="${proxies[*]}" USERNAME="$username" PASSWORD="$password" FAR_PORT="$(free_port)" \
  mix run test/interop/proxies.exs >"$work/proxies.out" 2>&1 &
wait "$!" || status=$?
cat "$work/proxies.out"
[ "$status" = 0 ] || report FAILED - "through proxies: exit status $status"
exit "$failed"
