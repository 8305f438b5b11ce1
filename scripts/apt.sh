# apt_install WHO PACKAGE...: by apt, where this machine has it and we may; a password is asked for only where somebody can give it.
# To be sourced.
apt_install() {
  local who=$1 as_root=()
  shift
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || return 1
    as_root=(sudo)
    [ -t 0 ] || as_root+=(-n)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600)
  echo "$who: installing $*"
  # Lists that cannot be renewed may still do.
  "${apt[@]}" update -qq || true
  "${apt[@]}" install -y -qq --no-install-recommends "$@"
}
