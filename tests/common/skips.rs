//! Says that a test, or a part of one, did not happen, so that somebody reads it.
//!
//! cargo swallows what a passing test prints. So every skip is a line in a file as well, which `make test`
//! prints at its end, and which `.ci/run` holds against a list of what its machine need not have. This file
//! uses nothing else of the tests: unit tests of the crates include it by its path.

use std::io::Write as _;
use std::path::PathBuf;

/// Says loudly that a test did not happen.
pub(crate) fn skipped(what: &str, why: &str) {
    let line = format!("{what}, because {why}\n");
    eprint!("SKIPPED: {line}");
    let named = std::env::var_os("OUTRIDER_SKIPPED").map(PathBuf::from);
    let beside = || Some(PathBuf::from(option_env!("CARGO_TARGET_TMPDIR")?).join("skipped.txt"));
    // A unit test that is run by hand has no such folder; the person sees the line above.
    let Some(path) = named.or_else(beside) else { return };
    // One write to a file opened for appending: lines of tests that run at once do not mix.
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .unwrap_or_else(|e| panic!("a skip cannot be written to {}: {e}", path.display()));
}
