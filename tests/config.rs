//! Configuration files as an installer writes them: what the good ones mean, and what the bad ones
//! are told. Each file of `tests/config/bad` is one mistake.

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
