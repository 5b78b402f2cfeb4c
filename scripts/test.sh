#!/usr/bin/env bash
# Runs the tests, and says at the end which of them could not run, and why.
# Usage: scripts/test.sh                everything: unit, integration and documentation tests of every crate
#        scripts/test.sh ARGUMENTS...   `cargo test` with these, such as -p outrider-base --lib plate::
#
# In the whole run two programs run at a time, one of each lane: some tests compute, others wait for a broker, a clock or
# a cable, and beside those a processor has nothing to do (docs/decisions/0147).
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

# Integration tests that spend most of their time waiting.
waiting=(appliance broker commissioner full_disk going_on gps hotlist hotlist_sync ignition models_broker network_camera records rules
  shift soak uplink wipe)

# The targets of every test of the workspace, a line each, that do not wait.
computing() {
  printf '%s\n' --lib --bins
  comm -23 <(find tests -maxdepth 2 \( -path 'tests/*.rs' -not -path 'tests/*/*' -printf '%f\n' \) -o -path 'tests/*/main.rs' -printf '%h\n' |
    sed 's|^tests/||; s|\.rs$||' | sort) <(printf '%s\n' "${waiting[@]}" | sort) | sed 's/^/--test=/'
}

# Runs both lanes at once, after one build for both; what the lane that waits has printed comes last.
both_lanes() {
  local log=$1 other=$1.waiting targets status=0
  shift
  "$@" --tests --no-run 2>&1 | tee "$log" || return
  # A shell without job control lets Ctrl-C pass by what runs in the background.
  trap 'trap - INT; kill 0' INT
  mapfile -t targets < <(computing)
  "$@" "${waiting[@]/#/--test=}" >"$other" 2>&1 &
  "$@" "${targets[@]}" 2>&1 | tee "$log" || status=$?
  wait $! || status=$?
  trap - INT
  cat "$other"
  cat "$other" >>"$log"
  return "$status"
}

unreliable=
whole_run() {
  local log=target/tests.log names
  # One build for everything: root's integration tests open the inside of the crates with `testing`, so all
  # of the workspace is built with it.
  local tests=(cargo test --locked --workspace --features testing --no-fail-fast)
  both_lanes "$log" "${tests[@]}" && return
  tests+=(--tests)
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
