#!/usr/bin/env bash
# Runs the tests, and says at the end which of them could not run, and why.
# Usage: scripts/test.sh                everything: unit, integration and documentation tests of every crate
#        scripts/test.sh ARGUMENTS...   `cargo test` with these, such as -p outrider-base --lib plate::
#
# Every test that cannot run here writes a line to target/skipped.txt. With ALLOWED_SKIPS=FILE, a file of
# extended regular expressions, a skip that matches none of them makes this fail.
#
# Up to three tests that fail in the whole run are run again, alone. One that passes then has suffered from the load of
# others or from a race: it does not fail the run, but is named at the end, to be mended (docs/decisions/0125).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
use_rust

export OUTRIDER_SKIPPED=$PWD/target/skipped.txt
mkdir -p target
: >"$OUTRIDER_SKIPPED"

# The tests that failed in a log of `cargo test --no-fail-fast`, a line each. Fails if there is more wrong than
# these: a build that failed, a program that died.
failed_tests() {
  awk '
    /^failures:$/ { names = ""; listing = 1; next }
    listing && /^    [A-Za-z0-9_:]+( - should panic)?$/ { names = names $1 "\n" }
    /^test result: FAILED/ { printf "%s", names; listing = 0; listed++ }
    /^    `-p .*`$/ { programs++ }
    END { exit !(listed > 0 && listed == programs) }' "$1"
}

unreliable=
whole_run() {
  local log=target/tests.log names
  # One build for everything: root's integration tests open the inside of the crates with `testing`, so all
  # of the workspace is built with it.
  local tests=(cargo test --locked --workspace --features testing --tests --no-fail-fast)
  "${tests[@]}" 2>&1 | tee "$log" && return
  names=$(failed_tests "$log") || die "more failed than single tests; the whole of it is in $log"
  [ "$(wc -l <<<"$names")" -le 3 ] || die "these tests failed:
$names"
  say "once more, alone:" $names
  # shellcheck disable=SC2086 # one argument a name
  "${tests[@]}" -q -- --exact --test-threads=1 $names
  unreliable=$names
}

if [ $# -gt 0 ]; then
  cargo test --locked "$@"
else
  whole_run
  # The fence in crates/onboard tries to name what is private. `testing` opens some of that, and the root
  # package asks for it; without the root, the crate is as a car has it.
  cargo test --locked --workspace --exclude outrider --doc
fi

[ -z "$unreliable" ] || say "UNRELIABLE, failed in the whole run and passed alone, mend these:" $unreliable
if [ ! -s "$OUTRIDER_SKIPPED" ]; then
  say "no test was skipped"
  exit 0
fi
say "skipped:"
sort "$OUTRIDER_SKIPPED" | uniq -c | sed -E 's/^ *([0-9]+) /    \1 x /'
if [ -n "${ALLOWED_SKIPS:-}" ]; then
  not_allowed=$(grep -vEf <(grep -vE '^(#|$)' "$ALLOWED_SKIPS") "$OUTRIDER_SKIPPED" | sort -u || true)
  [ -z "$not_allowed" ] || die "this machine should have run these ($ALLOWED_SKIPS does not name them):
$not_allowed"
fi
