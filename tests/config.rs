//! Configuration files as an installer writes them: snapshots hold what the good ones mean, and which message each
//! bad one gets. Each file of `tests/config/bad` has one mistake.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::fs;
use std::path::{Path, PathBuf};

use outrider::config::Config;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new("tests/config").join(folder);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn good_files_mean_what_they_say() {
    insta::with_settings!({snapshot_path => "config", prepend_module_to_snapshot => false}, {
        for path in files("good") {
            let config = Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            insta::assert_snapshot!(format!("good_{stem}"), format!("{config:#?}"));
        }
    });
}

#[test]
fn bad_files_get_one_line_that_says_what_to_change() {
    let mut messages = String::new();
    for path in files("bad") {
        let text = fs::read_to_string(&path).unwrap();
        let error = match Config::parse(&text, Path::new(&name(&path))) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{} was accepted", path.display()),
        };
        assert!(!error.contains('\n'), "{}: more than one line:\n{error}", path.display());
        messages += &format!("{error}\n");
    }
    insta::with_settings!({snapshot_path => "config", prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("bad_messages", messages);
    });
}

#[test]
fn missing_file_is_named() {
    let error = Config::load(Path::new("no/such/outrider.toml")).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot read configuration no/such/outrider.toml: No such file or directory (os error 2)"
    );
}

#[test]
fn example_loads() {
    Config::load(Path::new("examples/outrider.toml")).unwrap_or_else(|e| panic!("{e}"));
}

/// The lines `# key = value` of the example are defaults: uncommented, they change nothing.
#[test]
fn defaults_of_the_example_are_the_defaults() {
    const SECTIONS: [&str; 8] = [
        "[reading]",
        "[gps]",
        "[power]",
        "[keeping]",
        "[console]",
        "[certificates]",
        "[alert]",
        "[thermal]",
    ];
    let example = fs::read_to_string("examples/outrider.toml").unwrap();
    let mut text = String::from("[vehicle]\nid = \"4127\"\nagency = \"peel\"\n");
    let mut inside = false;
    let mut stated = 0;
    for line in example.lines() {
        if line.starts_with('[') {
            inside = SECTIONS.contains(&line);
        }
        let key = line.strip_prefix("# ").filter(|l| {
            l.split_once(" = ")
                .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        });
        if let (true, Some(line)) = (inside, key.or(line.starts_with('[').then_some(line))) {
            stated += usize::from(key.is_some());
            text += &format!("{line}\n");
        }
    }
    assert!(stated >= 15, "the example states {stated} defaults only");
    let stated =
        Config::parse(&text, Path::new("uncommented.toml")).unwrap_or_else(|e| panic!("{e}"));
    let default = Config::load(Path::new("tests/config/good/minimal.toml")).unwrap();
    assert_eq!(format!("{stated:#?}"), format!("{default:#?}"));
}
