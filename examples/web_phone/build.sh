#!/usr/bin/env bash
# Bundles the page into build/, which is not committed: its packages as package-lock.json has them, by npm, and JsSIP and what
# is in src/ in one file, by esbuild. Where that cannot be done build/missing.txt says why, the server shows it in place of the
# page, and this ends with 1. npm is installed by apt if need be. `build.sh test` installs what the tests need too.
set -euo pipefail
cd "$(dirname "$0")"
source ../../scripts/apt.sh

mkdir -p build

missing() {
  rm -f build/index.html
  printf '%s\n' "$1" | tee build/missing.txt >&2
  exit 1
}

command -v npm >/dev/null || apt_install "web phone" nodejs npm >build/apt.out 2>&1 ||
  missing "npm is missing, which fetches JsSIP, and cannot be installed from here: install it (apt install npm) and start the server again."

# Exactly what the lockfile says, and no scripts of the packages. What is installed is not asked for again.
with="${1:-page}"
omit=()
[ "$with" = test ] || omit=(--omit=dev)
installed() { cmp -s package-lock.json "node_modules/.installed-$1"; }
if ! installed test && ! installed "$with"; then
  timeout --kill-after=5 150 npm ci "${omit[@]}" --ignore-scripts --no-audit --no-fund --fetch-retries 1 >build/npm.out 2>&1 || {
    tail -n 5 build/npm.out >&2
    missing "npm could not fetch JsSIP and esbuild: see that its registry can be reached, and start the server again."
  }
  cp package-lock.json "node_modules/.installed-$with"
fi

node_modules/.bin/esbuild src/main.js --bundle --minify --format=esm --target=es2022 --define:global=globalThis \
  --outfile=build/phone.js --log-level=warning >build/esbuild.out 2>&1 || {
  cat build/esbuild.out >&2
  missing "esbuild could not bundle the page."
}
cp src/phone.css src/icon.svg src/index.html build/
rm -f build/missing.txt
