#!/usr/bin/env bash
# Installs what is missing to build and run: Elixir, Erlang/OTP and a C linker by apt. Rust is only checked, since the one
# that Debian and Ubuntu ship is too old. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/apt.sh

need_elixir=1.14
need_otp=25
need_cargo=1.91
stamp=_build/setup.stamp

die() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# at_least HAVE NEED
at_least() {
  [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

# What the last complete check saw: the same programs need no second one.
fingerprint() {
  local program
  for program in elixir mix erl cargo cc; do
    stat -L -c '%n %Y %s' "$(command -v "$program")" 2>/dev/null || return 1
  done
  printf '%s\n' "$need_elixir $need_otp $need_cargo"
}

if [ -f "$stamp" ] && seen="$(fingerprint)" && [ "$seen" = "$(cat "$stamp")" ]; then
  exit 0
fi

if ! command -v elixir >/dev/null || ! command -v mix >/dev/null || ! command -v erl >/dev/null; then
  apt_install setup elixir erlang-nox erlang-dev ||
    die "Elixir $need_elixir or newer with Erlang/OTP $need_otp or newer is missing and cannot be installed from here; see https://elixir-lang.org/install.html and run this again."
fi

if ! command -v cc >/dev/null; then
  apt_install setup gcc libc6-dev ||
    die "a C linker (cc) is missing and cannot be installed from here; install gcc or clang and run this again."
fi

# Debian splits OTP: a machine that has Elixir may lack what the transports and the tests use.
probe() {
  elixir -e '
    parts = [:crypto, :ssl, :public_key, :inet_res, :leex, :cover]
    missing = Enum.count(parts, &(not Code.ensure_loaded?(&1)))
    IO.puts("#{System.version()} #{System.otp_release()} #{missing}")'
}

read -r elixir_version otp_version missing < <(probe) ||
  die "Elixir is installed but does not run; see what this says: elixir --version"
if [ "$missing" != 0 ]; then
  apt_install setup erlang-nox erlang-dev ||
    die "this Erlang/OTP lacks parts (crypto, ssl, public_key, parsetools or tools); install all of it and run this again."
fi

at_least "$elixir_version" "$need_elixir" ||
  die "Elixir $elixir_version is too old, $need_elixir or newer is needed; see https://elixir-lang.org/install.html"
at_least "$otp_version" "$need_otp" ||
  die "Erlang/OTP $otp_version is too old, $need_otp or newer is needed; see https://elixir-lang.org/install.html"

command -v cargo >/dev/null ||
  die "cargo is missing: install Rust $need_cargo or newer from https://rustup.rs and run this again."
cargo_version="$(cargo --version | cut -d ' ' -f 2)"
at_least "$cargo_version" "$need_cargo" ||
  die "cargo $cargo_version is too old, $need_cargo or newer is needed; install it from https://rustup.rs"

mkdir -p "$(dirname "$stamp")"
if seen="$(fingerprint)"; then printf '%s\n' "$seen" >"$stamp"; fi
