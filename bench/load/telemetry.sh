#!/usr/bin/env bash
# What telemetry costs where nobody listens: CPU time of an OPTIONS transaction without the network, of this library and of a copy of it
# from which what emits is taken out, in turns. One scheduler; the least and the tenth of many slices say what the work itself takes, since
# whatever else the machine does only adds. (The VM's compiler keeps Erlang's stack where callgrind looks for C's.)
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The copy: nobody is ever asked whether somebody listens.
cp -a lib native .cargo Cargo.toml Cargo.lock mix.exs .formatter.exs "$work"
mkdir -p "$work/bench" "$work/_build"
cp -a bench/load "$work/bench"
[ -d _build/sippet_nif ] && cp -a _build/sippet_nif "$work/_build"
sed -i 's/MASK.load(Ordering::Relaxed) & event != 0/MASK.load(Ordering::Relaxed) == u32::MAX \&\& event == 0 \&\& false/; s/let mask = MASK.load(Ordering::Relaxed);/let mask = 0;/' "$work/native/sippet_nif/src/telemetry.rs"
sed -i 's/Bitwise.band(:persistent_term.get({Sippet.Telemetry, :mask}, 0), unquote(bits)) != 0/_ = unquote(bits)\n      false/' "$work/lib/sippet/telemetry.ex"
grep -q 'let mask = 0;' "$work/native/sippet_nif/src/telemetry.rs" && grep -q '_ = unquote(bits)' "$work/lib/sippet/telemetry.ex"
MIX_ENV=prod mix compile >&2
(cd "$work" && MIX_ENV=prod mix compile >&2)

echo "Load average before: $(cut -d' ' -f1-3 /proc/loadavg)."
for round in $(seq "${ROUNDS:-8}"); do
  for name in with without; do
    folder=$([ $name = with ] && echo . || echo "$work")
    (cd "$folder" && MIX_ENV=prod ELIXIR_ERL_OPTIONS="+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none" \
      mix run --no-compile bench/load/telemetry.exs 5000 "${SLICES:-20}") >>"$work/$name.ns"
  done
done
echo "| | CPU ns a transaction: least | 10 % | median | slices |"
echo "|---|---:|---:|---:|---:|"
for name in with without; do
  sort -n "$work/$name.ns" | awk -v name=$name '{ t[NR] = $1 }
    END { printf "| %s telemetry | %d | %d | %d | %d |\n", name, t[1], t[int(NR / 10) + 1], t[int((NR + 1) / 2)], NR }'
done
