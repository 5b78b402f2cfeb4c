#!/usr/bin/env bash
# Installs what building (and, with "test", testing) needs: Debian packages, Rust, ONNX Runtime.
# Does nothing where all of it is there. Usage: scripts/setup.sh build|test
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

case ${1:-} in build | test) ;; *) die "usage: scripts/setup.sh build|test" ;; esac
install_packages scripts/packages-build.txt
[ "$1" = build ] || install_packages scripts/packages-test.txt
use_rust
scripts/onnxruntime.sh
# A test checks the console with axe-core where it is there; where it cannot be had, that test says that it was skipped.
[ "$1" = build ] || scripts/axe.sh || say "no axe-core: the test that needs it will be reported as skipped"
