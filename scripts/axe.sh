#!/usr/bin/env bash
# Fetches axe-core, with which a test checks the console's accessibility, into build/axe/. It serves development only:
# nothing of it is built in or delivered. Does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

version=4.14.1
digest=1477dafa598d8d065f273d6af302aa203c02e83131707b7fa648cd41bd3d6b734f8c22a0dab86ee6a6f64b8afbe804b214d36db85a2826965edfb3a0b9d546b5
[ -f build/axe/package/axe.min.js ] && exit 0
command -v npm >/dev/null || die "no npm: the test that wants axe-core says that it is skipped"
mkdir -p build/axe
cd build/axe
npm pack --silent "axe-core@$version" >/dev/null
echo "$digest  axe-core-$version.tgz" | sha512sum --check --quiet
tar -xzf "axe-core-$version.tgz" package/axe.min.js package/LICENSE
