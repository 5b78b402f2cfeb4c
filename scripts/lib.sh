# Sourced by the other scripts: messages, root rights, Debian packages, the Rust toolchain.
# shellcheck shell=bash

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Reports a test that could not run here: at once, and again at the end of `make test` or of CI.
skipped() {
  printf 'SKIPPED: %s, because %s\n' "$1" "$2" >&2
  [ -z "${OUTRIDER_SKIPPED:-}" ] || printf '%s, because %s\n' "$1" "$2" >>"$OUTRIDER_SKIPPED"
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"
  elif command -v sudo >/dev/null 2>&1; then sudo "$@"
  else die "'$*' needs root, and there is no sudo here: run it as root once, then try again"; fi
}

# Installs the packages of a list file that are not there yet. Does nothing, and asks for no
# rights, when all are.
install_packages() {
  local list=$1 missing=() package arch
  arch=$(dpkg --print-architecture)
  while read -r package; do
    case $package in '' | \#*) continue ;; esac
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done <"$list"
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null 2>&1 || die "these packages are missing and there is no apt-get: ${missing[*]}"
  say "installing ${#missing[@]} Debian packages ($arch): ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# Oldest Rust that builds us, from Cargo.toml.
rust_version_needed() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }

# Succeeds if the cargo found first in PATH is new enough.
cargo_serves() {
  local have
  have=$(cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
  [ -n "$have" ] && [ "$(printf '%s\n%s\n' "$(rust_version_needed)" "$have" | sort -V | head -n 1)" = "$(rust_version_needed)" ]
}

# Puts a new enough cargo first in PATH: the one that is there, else Debian's newest.
use_rust() {
  cargo_serves && return
  [ -x /usr/bin/cargo ] && PATH=/usr/bin:$PATH && cargo_serves && return
  say "no cargo >= $(rust_version_needed) in PATH: taking Debian's rustc-web and cargo-web"
  install_packages <(printf 'cargo-web\nrustc-web\n')
  PATH=/usr/bin:$PATH
  hash -r
  cargo_serves || die "cargo $(cargo --version 2>/dev/null | cut -d' ' -f2) is older than $(rust_version_needed): install a newer Rust (rustup) and try again"
}

# Flags by which the folder of the source, and that of its dependencies, is in no program: the same commit gives the
# same bytes wherever it is built (scripts/reproduce.sh).
remap() {
  printf '%s' "--remap-path-prefix=$PWD=/usr/src/outrider --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/usr/src/cargo"
}
