# Runs of SIPp and the figures of each, sourced by the scripts that have some.
need sipp sip-tester

# exec_sipp NAME SECONDS ARGUMENT...: replaces the shell it runs in. Figures go to NAME.csv, screens are of no use here. Where
# it cannot start it leaves files in the folder that it is in.
exec_sipp() {
  local name=$1 seconds=$2
  shift 2
  export TERM=xterm
  cd "$work"
  timed "$seconds" sipp -nostdin -i 127.0.0.1 -bind_local \
    -trace_stat -stf "$work/$name.csv" -fd 1 -trace_err -error_file "$work/$name.err" \
    "$@" >"$work/$name.out" 2>&1
}

# field NAME COLUMN: a figure of SIPp's last line of statistics, 0 if there is none.
field() {
  awk -F ';' -v column="$2" '
    NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) at = i }
    END { print (at && NR > 1) ? $at : 0 }' "$work/$1.csv" 2>/dev/null || echo 0
}

# judge NAME STATUS TRANSPORT TEXT CALLS MAX_RETRANSMISSIONS [MORE]
judge() {
  local name=$1 status=$2 transport=$3 text=$4 calls=$5 most=$6 more=${7:-}
  local good bad again rate verdict=ok
  good="$(field "$name" 'SuccessfulCall(C)')"
  bad="$(field "$name" 'FailedCall(C)')"
  again="$(field "$name" 'Retransmissions(C)')"
  rate="$(field "$name" 'CallRate(C)')"
  if [ "$status" != 0 ] || [ "$good" != "$calls" ] || [ "$bad" != 0 ] || [ "$again" -gt "$most" ]; then
    verdict=FAILED
  fi
  report "$verdict" "$transport" \
    "$text: $good of $calls calls, $bad failed, $again retransmissions (at most $most), ${rate%%.*} calls/s$more"
  if [ "$verdict" != ok ]; then
    echo "        exit status $status"
    if [ -s "$work/$name.err" ]; then show "$work/$name.err"; else show "$work/$name.out"; fi
  fi
}
