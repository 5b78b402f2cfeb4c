#!/usr/bin/env bash
# Builds and packs the commit that is checked out twice, from nothing, in two folders, and compares the bytes.
# Usage: scripts/reproduce.sh            takes two release builds, so it is not in CI. Says where they differ if they do.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
git diff --quiet HEAD || die "there are changes that no commit has: they would be in neither package"
commit=$(git rev-parse HEAD) arch=$(dpkg --print-architecture)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# Folders of different lengths: a path that gets into the program moves what stands behind it.
for folder in a a-longer-name/below; do
  mkdir -p "$root/$folder"
  git clone --quiet --no-checkout . "$root/$folder/outrider"
  git -C "$root/$folder/outrider" checkout --quiet --detach "$commit"
  [ ! -d build/onnxruntime ] || { mkdir -p "$root/$folder/outrider/build"; cp -a build/onnxruntime "$root/$folder/outrider/build/"; }
  make -C "$root/$folder/outrider" deb
done
first=("$root"/a/outrider/build/deb/*.deb) second=("$root"/a-longer-name/below/outrider/build/deb/*.deb)
if cmp -s "${first[0]}" "${second[0]}"; then
  say "two folders, one package for $arch: $(sha256sum <"${first[0]}" | cut -d' ' -f1)"
  exit 0
fi
for deb in "${first[0]}" "${second[0]}"; do dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$(dirname "$deb")"; done
diff -rq "$(dirname "${first[0]}")" "$(dirname "${second[0]}")" >&2 || true
die "the packages of two folders differ"
