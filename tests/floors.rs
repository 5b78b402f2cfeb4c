//! The floors of the source tree: which module may use which.
//!
//! A module uses modules of lower floors only. Cargo enforces that between crates; between modules of one crate this
//! test does, and fails for a module that uses a higher floor. Tests inside modules may do so, and are left out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the roof to the ground. Modules of one floor do not use each other.
const FLOORS: &[&[&str]] = &[
    &["cmd"],
    &["authoring", "daemon", "demo"],
    &["alert"],
    &["records"],
    &["uplink"],
    &["hits"],
    &["models", "wire"],
    &["onboard"],
    &["gps", "hotlist"],
    &["downlink"],
    &["broker", "grounds"],
    &["sessions"],
    &["counters", "policy"],
    &["command", "trust"],
    &["dated", "in_force"],
    &["audit"],
    &["control"],
    &["keys"],
    &["dsse", "sqlcipher"],
    &["inbound", "pin", "secret"],
    &["config"],
    &["aside"],
    &["health", "render"],
    &["camera_id", "entry", "secret_file"],
    &[
        "backoff", "clock", "files", "geometry", "plate", "print", "prompt", "text", "threads",
        "version",
    ],
];

/// Words that a file may not contain unless it is named: what only one place may do.
const RESERVED: &[(&str, &[&str])] = &[
    // A permit opens the ring. It is given after every check, by the look-up alone.
    (
        "Permit::after_every_check",
        &["crates/vault/src/grounds/mod.rs", "src/records/lookup/permit.rs"],
    ),
    // Who acts has signed in: a number that is merely stated is nobody's in the audit log.
    ("Person::who_signed_in", &["crates/vault/src/sessions/mod.rs"]),
    ("Actor::Officer(", &["crates/vault/src/policy/rules.rs", "crates/vault/src/audit/forger.rs"]),
    ("Actor::Supervisor(", &["crates/vault/src/policy/rules.rs"]),
    ("Actor::Auditor(", &["crates/vault/src/policy/rules.rs"]),
    ("Actor::Maintainer(", &["crates/vault/src/policy/rules.rs"]),
    (".who_signed_in(", &[]),
];

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The source without comments and without what is compiled for tests alone.
fn without_tests(source: &str) -> String {
    let source = source.split("\nmod tests {").next().unwrap_or_default();
    source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Top-level modules that a source names: `crate::a::..`, `crate::{a, b::c}`, `outrider_base::a`.
fn modules_used(source: &str) -> Vec<String> {
    let mut used = Vec::new();
    for root in
        ["crate::", "outrider_base::", "outrider_vault::", "outrider_lists::", "outrider_onboard::"]
    {
        for (at, _) in source.match_indices(root) {
            if source[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let rest = &source[at + root.len()..];
            let names = match rest.strip_prefix('{') {
                Some(group) => first_words_of_group(group),
                None => vec![word(rest)],
            };
            used.extend(names.into_iter().map(str::to_owned));
        }
    }
    used
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn first_words_of_group(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut words) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                words.push(word(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                words.push(word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

/// Every source file of the package and its crates, with the module it belongs to.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    for folder in
        ["src", "crates/base/src", "crates/vault/src", "crates/lists/src", "crates/onboard/src"]
    {
        let folder = root.join(folder);
        let mut files = Vec::new();
        rust_files(&folder, &mut files);
        for file in files {
            let inside = file.strip_prefix(&folder).unwrap();
            let module = inside.components().next().unwrap().as_os_str().to_str().unwrap();
            let module = module.trim_end_matches(".rs").to_owned();
            let name = file.file_name().unwrap().to_str().unwrap();
            let for_tests = ["tests", "testing", "fake_"].iter().any(|part| name.contains(part));
            if !for_tests && !["lib", "main"].contains(&&*module) {
                all.push((file.strip_prefix(root).unwrap().to_owned(), module));
            }
        }
    }
    all
}

#[test]
fn no_arrow_climbs() {
    let mut climbing = Vec::new();
    for (file, module) in sources() {
        let Some(own) = floor_of(&module) else {
            climbing.push(format!(
                "{}: module {module} has no floor in tests/floors.rs",
                file.display()
            ));
            continue;
        };
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
        for used in modules_used(&without_tests(&text)) {
            if used == module {
                continue;
            }
            if let Some(its) = floor_of(&used)
                && its <= own
            {
                climbing
                    .push(format!("{}: {module} uses {used}, which lies no lower", file.display()));
            }
        }
    }
    climbing.sort();
    climbing.dedup();
    assert!(climbing.is_empty(), "arrows that climb:\n{}", climbing.join("\n"));
}

#[test]
fn what_one_place_may_do_is_done_there_alone() {
    for (words, allowed) in RESERVED {
        for (file, _) in sources() {
            let text =
                fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
            let named = allowed.iter().any(|path| Path::new(path) == file);
            assert!(named || !without_tests(&text).contains(words), "{}: {words}", file.display());
        }
    }
}

#[test]
fn the_checker_sees_every_way_of_naming_a_module() {
    let source = "use crate::{alert::Desk, hits::{Outbox, Hold}};\nfn f() { outrider_base::plate::fold(); crate::wire::x() }";
    let mut used = modules_used(source);
    used.sort();
    assert_eq!(used, ["alert", "hits", "plate", "wire"]);
    assert!(
        modules_used(&without_tests("// crate::cmd\n#[cfg(test)]\nmod tests {\n crate::cmd }"))
            .is_empty()
    );
}

#[test]
fn every_thread_of_the_daemon_is_started_by_one_function() {
    let mut elsewhere = Vec::new();
    for (file, module) in sources() {
        // The demonstration and the importer's progress bar are no part of a car's daemon.
        let name = file.to_string_lossy().into_owned();
        if module == "threads" || module == "demo" || name.ends_with("cmd/hotlist/import.rs") {
            continue;
        }
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&file)).unwrap();
        let code = without_tests(&text);
        if ["thread::spawn(", "thread::Builder::new()"].iter().any(|start| code.contains(start)) {
            elsewhere.push(name);
        }
    }
    assert_eq!(elsewhere, Vec::<String>::new(), "use threads::spawn");
}
