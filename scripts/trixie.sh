#!/usr/bin/env bash
# The Elixir suite, or dialyzer, on Debian trixie's Elixir 1.18 and OTP 27: trixie.sh test|dialyzer|all [--if-possible]
#
# The system is made by debootstrap once and kept outside the tree, as is dialyzer's table. The native code is the host's:
# one library serves every OTP from 25 on. With --if-possible a machine that cannot do this is told so in a line, and no more.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh

what="${1:-all}"
optional="${2:-}"
tree="$PWD"
cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/sippet"
system="$cache/trixie"
build="$tree/_build/trixie"
corpus="${SIPPET_CORPUS:-$tree/../shared/corpus}"
packages=elixir,erlang-dev,erlang-nox,erlang-dialyzer,ca-certificates

impossible() {
  echo "trixie: not run, $*"
  [ "$optional" = --if-possible ] && exit 0
  exit 1
}

[ "$(id -u)" = 0 ] || impossible "since only root can mount and chroot"
unshare --mount true 2>/dev/null || impossible "since mounts of its own are not allowed here"
mkdir -p "$cache" "$build"

# One at a time, whichever tree they are of.
exec 8>"$cache/trixie.lock"
flock 8

make_system() {
  if ! command -v debootstrap >/dev/null; then
    apt_install trixie debootstrap debian-archive-keyring >/dev/null 2>&1 ||
      impossible "since debootstrap cannot be had"
  fi
  # The mirror that this machine's own apt uses, where it is one of Debian's.
  local mirror
  mirror="$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
    sed -n 's/^Debian Debian //p' | head -n 1)" || true
  echo "trixie: making a system in $system"
  # What debootstrap mounts goes with its process.
  rm -rf --one-file-system "$system.part"
  unshare --mount debootstrap --force-check-gpg --variant=minbase --include="$packages" trixie "$system.part" \
    ${mirror:+"$mirror"} >"$cache/debootstrap.log" 2>&1 ||
    impossible "since debootstrap failed, see $cache/debootstrap.log"
  rm -rf "$system.part/var/cache/apt/archives" && mkdir -p "$system.part/var/cache/apt/archives"
  mkdir -p "$system.part/sippet/tree" "$system.part/sippet/corpus" "$system.part/sippet/plt"
  mv "$system.part" "$system"
}

[ -x "$system/usr/bin/elixir" ] || make_system

# The host's build, as a file that no later build touches while it is mapped.
MIX_ENV=test mix compile
cp _build/test/lib/sippet/priv/native/sippet_nif.so "$build/sippet_nif.so.new"
mv "$build/sippet_nif.so.new" "$build/sippet_nif.so"

# inside MIX_ENV COMMAND: with the tree read-only but for its build folder. The mounts vanish with the process.
inside() {
  # Mix marks sources that it compiles again by touching them, which it cannot: it compiles all of them.
  rm -rf "$build/$1"
  SYSTEM="$system" TREE="$tree" BUILD="$build" CORPUS="$corpus" MIX_ENV="$1" INSIDE="$2" unshare --mount bash -euc '
    mount --bind "$TREE" "$SYSTEM/sippet/tree"
    mount -o remount,bind,ro "$SYSTEM/sippet/tree"
    mount --bind "$BUILD" "$SYSTEM/sippet/tree/_build/trixie"
    corpus=/sippet/none
    if [ -d "$CORPUS" ]; then
      mount --bind "$CORPUS" "$SYSTEM/sippet/corpus"
      corpus=/sippet/corpus
    fi
    mount --bind /dev "$SYSTEM/dev"
    mount -t proc proc "$SYSTEM/proc"
    mount -t tmpfs tmpfs "$SYSTEM/tmp"
    # debootstrap writes none, and a name that no file has is asked of the network.
    printf "127.0.0.1 localhost\n::1 localhost ip6-localhost\n" >"$SYSTEM/etc/hosts"
    exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 LC_ALL=C.UTF-8 ${CI:+CI="$CI"} \
      MIX_ENV="$MIX_ENV" MIX_BUILD_ROOT=/sippet/tree/_build/trixie SIPPET_NIF_PATH=/sippet/tree/_build/trixie/sippet_nif.so \
      SIPPET_CORPUS=$corpus chroot "$SYSTEM" bash -euc "cd /sippet/tree; $INSIDE"'
}

run_tests() {
  inside test 'elixir --version | tail -n 1; mix compile --warnings-as-errors; mix test'
}

# The table is of what the system has: it is built when the system is new.
run_dialyzer() {
  inside dev '
    mix compile --warnings-as-errors
    plt=/sippet/plt/table
    elixir=/usr/lib/elixir/lib
    export ERL_FLAGS="-pa $elixir/elixir/ebin"
    if [ ! -f $plt ]; then
      echo "trixie: making the table of dialyzer"
      dialyzer --build_plt --output_plt $plt.part --apps erts kernel stdlib crypto asn1 public_key ssl \
        -r $elixir/elixir/ebin $elixir/logger/ebin >/tmp/plt.log 2>&1 || [ $? = 2 ] || { cat /tmp/plt.log; exit 1; }
      mv $plt.part $plt
    fi
    dialyzer --plt $plt --no_check_plt -Wunknown -Wunmatched_returns -r _build/trixie/dev/lib/sippet/ebin
    echo "trixie: dialyzer has no complaint"'
}

case "$what" in
  test) run_tests ;;
  dialyzer) run_dialyzer ;;
  all)
    run_tests
    run_dialyzer
    ;;
  *)
    echo "trixie: test, dialyzer or all, not: $what" >&2
    exit 2
    ;;
esac
