#!/usr/bin/env bash
# Two pages of the web phone in headless Chromium, with microphones and cameras that are not real, and SIPp as a desk phone, by
# way of examples/sip_server: `make e2e`. ONLY runs the cases that have it in their name.
#
# What is missing is installed by apt where that can be done; else it says so and ends with 0, with STRICT=1 with 1.
set -euo pipefail
cd "$(dirname "$0")/.."
source ../../scripts/apt.sh

missing() {
  printf 'e2e: not run: %s\n' "$*" >&2
  [ "${STRICT:-0}" != 1 ] || exit 1
  exit 0
}

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

chromium="$(browser)" || { apt_install "web phone" chromium && chromium="$(browser)"; } ||
  missing "there is no Chromium, and it cannot be installed from here."
{ command -v node && command -v npm; } >/dev/null || apt_install "web phone" nodejs npm ||
  missing "there is no npm, and it cannot be installed from here."
# Without it the cases that need it are skipped, and say so.
command -v sipp >/dev/null || apt_install "web phone" sip-tester || true

./build.sh test || missing "the page could not be bundled, as build.sh says."
(cd ../sip_server && mix compile)
exec timeout --kill-after=10 400 node e2e/run.mjs "$chromium"
