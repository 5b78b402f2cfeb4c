#!/usr/bin/env bash
# Checks everything about the source that can be checked without running it. Usage: scripts/lint.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
use_rust

step() { say "$*"; "$@"; }
step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
# With all features again, so that what clippy has checked of other people's crates serves here, too.
RUSTDOCFLAGS='-D warnings' step cargo doc --locked --workspace --all-features --no-deps --document-private-items
# What a car installs: no demo, no replay, no renderer of drives, no embedded broker.
step cargo check --locked --no-default-features --bin outrider
step scripts/claims.py
step python3 scripts/deny_test.py
step scripts/deny.py
step scripts/notices.sh --check
