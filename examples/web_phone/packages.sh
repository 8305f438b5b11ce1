# apt_install PACKAGE...: by apt, where this machine has it and we may.
apt_install() {
  local as_root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || return 1
    as_root=(sudo -n)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
  echo "web phone: installing $*"
  # Lists that cannot be renewed may still do.
  "${apt[@]}" update -qq || true
  "${apt[@]}" install -y -qq --no-install-recommends "$@"
}
