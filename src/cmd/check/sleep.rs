//! Whether the machine can hibernate: hibernation writes all of memory to a disk, with the keys and
//! with what is kept for a session only, and nothing of ours runs that could destroy it.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;

/// Checks a machine whose root folder is `root`; `None` where it cannot hibernate.
pub(super) fn hibernation(root: &Path) -> Option<Finding> {
    let word = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let able = word("sys/power/state").split_whitespace().any(|state| state == "disk");
    let resume = word("sys/power/resume");
    let resume = resume.trim();
    if !able || matches!(resume, "" | "0:0") || forbidden(root) {
        return None;
    }
    Some(Finding::warn(
        "sleep",
        format!(
            "this machine can hibernate: memory, with keys and kept reads, is then written to disk \
             {resume}"
        ),
        "set AllowHibernation=no in /etc/systemd/sleep.conf, or take resume= off the kernel's \
         command line",
    ))
}

/// Whether systemd's settings forbid hibernation.
fn forbidden(root: &Path) -> bool {
    let etc = root.join("etc/systemd");
    let dropped = fs::read_dir(etc.join("sleep.conf.d")).into_iter().flatten().flatten();
    let files = std::iter::once(etc.join("sleep.conf")).chain(dropped.map(|entry| entry.path()));
    let says_no = |file: PathBuf| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| line.replace(' ', "").eq_ignore_ascii_case("AllowHibernation=no"))
    };
    files.into_iter().any(says_no)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_that_can_hibernate_is_told_until_it_may_not() {
        let root = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let found = || hibernation(root.path()).map(|finding| finding.fact);
        assert_eq!(found(), None, "a machine that says nothing");
        write("sys/power/state", "freeze mem disk\n");
        write("sys/power/resume", "0:0\n");
        assert_eq!(found(), None, "nowhere to write to");
        write("sys/power/resume", "179:3\n");
        assert!(found().unwrap().ends_with("written to disk 179:3"));
        write("etc/systemd/sleep.conf", "[Sleep]\n#AllowHibernation=no\n");
        assert!(found().is_some(), "a comment forbids nothing");
        write("etc/systemd/sleep.conf.d/outrider.conf", "[Sleep]\nAllowHibernation = no\n");
        assert_eq!(found(), None);
        write("sys/power/state", "freeze mem\n");
        assert_eq!(found(), None);
    }
}
