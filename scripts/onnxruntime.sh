#!/usr/bin/env bash
# Puts ONNX Runtime's shared library at build/onnxruntime/<arch>/libonnxruntime.so, pinned by version
# and SHA-256. Usage: scripts/onnxruntime.sh [x86_64|aarch64]; default: this machine's.
# 1.26.0 is the newest that also runs under ARM emulation (docs/decisions/0002-onnx-runtime.md).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

version=1.26.0
arch=${1:-$(uname -m)}
case $arch in
  x86_64) sha=9b6dd70599005bd1bf29779f04a91978b92b5e719c11a20068a8f8e535f725b6 ;;
  aarch64) sha=91f2bb870a4b9224eba0a6728c1fa7a9e552b8e59e1083c51fbbc3d013f2b5c0 ;;
  *) die "ONNX Runtime: no pinned library for the architecture $arch (x86_64 and aarch64 are)" ;;
esac
out=build/onnxruntime/$arch
link() { if [ "$arch" = "$(uname -m)" ]; then ln -sfn "$arch/libonnxruntime.so" build/onnxruntime/libonnxruntime.so; fi; }
if [ "$(cat "$out/VERSION" 2>/dev/null)" = "$version $sha" ] && [ -s "$out/libonnxruntime.so" ]; then link; exit 0; fi

say "fetching ONNX Runtime $version for $arch"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
printf 'onnxruntime==%s --hash=sha256:%s\n' "$version" "$sha" >"$tmp/requirements.txt"
python3 -m pip --disable-pip-version-check download --quiet --no-deps --require-hashes --only-binary=:all: \
  --python-version 3.12 --implementation cp --abi cp312 \
  --platform "manylinux_2_28_$arch" --platform "manylinux_2_27_$arch" \
  --dest "$tmp" --requirement "$tmp/requirements.txt"
python3 -m zipfile -e "$tmp"/onnxruntime-*.whl "$tmp/wheel"
mkdir -p "$out"
cp "$tmp/wheel/onnxruntime/capi/libonnxruntime.so.$version" "$out/libonnxruntime.so.new"
mv "$out/libonnxruntime.so.new" "$out/libonnxruntime.so"
cp "$tmp/wheel/onnxruntime/LICENSE" "$tmp/wheel/onnxruntime/ThirdPartyNotices.txt" "$out/" 2>/dev/null || true
printf '%s %s\n' "$version" "$sha" >"$out/VERSION"
link
