#!/usr/bin/env bash
# cargo's RUSTC_WRAPPER for fuzzing: builds our own code and the targets with the coverage counters that libFuzzer reads,
# and everything else as usual. The flags are stable ones, so that no nightly compiler is needed.
set -euo pipefail
rustc=$1
shift
case " $* " in
  *" --crate-name outrider"* | *"/fuzz_targets/"* | *" fuzz_targets/"*)
    exec "$rustc" "$@" --cfg fuzzing -C debug-assertions=yes -C codegen-units=1 -C passes=sancov-module \
      -C llvm-args=-sanitizer-coverage-level=4 -C llvm-args=-sanitizer-coverage-inline-8bit-counters \
      -C llvm-args=-sanitizer-coverage-pc-table -C llvm-args=-sanitizer-coverage-trace-compares ;;
  *) exec "$rustc" "$@" ;;
esac
