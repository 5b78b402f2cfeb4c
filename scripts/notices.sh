#!/usr/bin/env bash
# Writes THIRD-PARTY.md, the licences of all libraries that the daemon is built from, with cargo-about.
# Usage: scripts/notices.sh          write it (installs cargo-about into build/tools first)
#        scripts/notices.sh --check  fail if a locked dependency is not in it, or a listed one is gone
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
use_rust

shipped() {
  local target
  for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
    cargo tree --locked --edges normal,no-proc-macro --target "$target" --prefix none --format '{p}'
  done | awk '{print $1, substr($2, 2)}' | grep -v '^outrider' | sort -u
}
listed() { sed -n 's/^- \([^ ]*\) \([0-9][^ ]*\)$/\1 \2/p' THIRD-PARTY.md | sort -u; }

if [ "${1:-}" = --check ]; then
  missing=$(comm -23 <(shipped) <(listed))
  [ -z "$missing" ] || die "THIRD-PARTY.md lacks $(tr '\n' ';' <<<"$missing") run 'make notices'"
  exit 0
fi
[ -x build/tools/bin/cargo-about ] || cargo install --quiet --locked --root build/tools cargo-about@0.9.3 --features cli
build/tools/bin/cargo-about generate --locked --offline --fail about.hbs >THIRD-PARTY.md.new
mv THIRD-PARTY.md.new THIRD-PARTY.md
say "THIRD-PARTY.md lists $(listed | wc -l) libraries"
