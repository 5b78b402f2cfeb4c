//! The agency's desk: where keys and the trust document are made, with the built `outrider`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with `root.key`, `root.pub.json` and the trust document `trust.json` of the agency peel.
pub struct Desk(pub PathBuf);

impl Desk {
    /// A root, and a trust document that grants nothing.
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let desk = Self(folder.to_owned());
        desk.does(&["provision", "root", "--out", "root.key", "--public", "root.pub.json"]);
        desk.trust("init", &["--agency", "peel"]);
        desk
    }

    /// A new key in `NAME.key`; its public half.
    pub fn key(&self, name: &str) -> String {
        let made = self.does(&["provision", "author-key", "--out", &format!("{name}.key")]);
        made.lines().find_map(|l| l.strip_prefix("public ")).unwrap().to_owned()
    }

    /// A new key that may do this, such as `--policy`.
    pub fn grant(&self, name: &str, what: &str) {
        self.trust("grant", &["--key", &self.key(name), "--name", name, what]);
    }

    fn trust(&self, how: &str, further: &[&str]) {
        let signing = ["--root", "root.key", "--file", "trust.json"];
        self.does(&[&["provision", "trust", how], &signing[..], further].concat());
    }

    /// Runs what must succeed, in the desk's folder; returns what it printed.
    #[track_caller]
    pub fn does(&self, args: &[&str]) -> String {
        let output = Command::new(super::running::program())
            .args(args)
            .current_dir(&self.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}
