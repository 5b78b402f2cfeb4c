//! Checks that what the documents name exists.
//!
//! A path in a document must name a file or folder of the repository, and a claim that quotes a test must quote one that
//! exists. Decisions are history: their paths may be of their day, and only their numbers and links are checked.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder with one of these endings; what is built is left out.
fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "build", ".git", "node_modules"].contains(&&*name) {
                files(&path, endings, found);
            }
        } else if endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// What stands in backticks, outside of drawings and examples.
fn quoted(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut all = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            all.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    all
}

/// Documents that say what is so today.
fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "cross/README.md"].map(|f| root().join(f)).into();
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "md") {
            all.push(path);
        }
    }
    all.retain(|path| path.exists());
    all
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

#[test]
fn every_path_that_a_document_names_is_there() {
    const TOPS: [&str; 13] = [
        "src/",
        "crates/",
        "tests/",
        "docs/",
        "scripts/",
        "examples/",
        "hotlists/",
        "systemd/",
        "cross/",
        "benches/",
        "fuzz/",
        ".ci/",
        "models/",
    ];
    let mut gone = Vec::new();
    for document in documents() {
        for word in quoted(&fs::read_to_string(&document).unwrap()) {
            let is_path = TOPS.iter().any(|top| word.starts_with(top));
            let is_plain = !word.contains([' ', '*', '<', '{', '$']) && !word.contains("...");
            if is_path && is_plain && !root().join(&word).exists() {
                gone.push(format!("{}: {word}", shown(&document)));
            }
        }
    }
    assert!(gone.is_empty(), "documents name what is not there:\n{}", gone.join("\n"));
}

#[test]
fn every_test_that_a_document_quotes_is_there() {
    let mut sources = Vec::new();
    files(root(), &[".rs", ".py"], &mut sources);
    let mut words = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(source).unwrap();
        let split = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.extend(split.map(str::to_owned));
    }
    let mut gone = Vec::new();
    for document in documents() {
        for word in quoted(&fs::read_to_string(&document).unwrap()) {
            // A metric's name is put together where it is written.
            let word = word.strip_prefix("outrider_").map_or(word.clone(), str::to_owned);
            // The name of a test is a sentence: no field or setting has as many words.
            let sentence = word.matches('_').count() >= 3
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            if sentence && !words.contains(&word) {
                gone.push(format!("{}: {word}", shown(&document)));
            }
        }
    }
    assert!(gone.is_empty(), "documents quote tests that are not there:\n{}", gone.join("\n"));
}

#[test]
fn decisions_are_indexed_in_order_and_every_link_leads_somewhere() {
    let folder = root().join("docs/decisions");
    let mut decisions: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    decisions.sort();
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    let linked: Vec<&str> = index
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| link.ends_with(".md"))
        .collect();
    assert_eq!(linked, decisions, "docs/decisions/README.md lists each decision once, in order");
    let numbers: BTreeSet<&str> = decisions.iter().map(|name| &name[..4]).collect();
    assert_eq!(numbers.len(), decisions.len(), "two decisions have one number");

    let mut documents = documents();
    documents.extend(decisions.iter().map(|name| folder.join(name)));
    let mut gone = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            let inside = !path.is_empty() && !path.contains("://") && !path.contains(' ');
            if inside && !document.parent().unwrap().join(path).exists() {
                gone.push(format!("{}: {link}", shown(&document)));
            }
        }
    }
    assert!(gone.is_empty(), "links that lead nowhere:\n{}", gone.join("\n"));
}
