//! Sets a damaged file aside under a dated name, so that the car goes on with a new one.
//!
//! In: a file that cannot be read. Out: the same file, and what SQLite keeps beside it, under a
//! name that says what it was and when the damage was found; health reports it until the file is
//! gone. Costs: two renames and a sync. Leaves to others: making a new file, and examining the
//! damaged one (`docs/known-issues.md`).
//!
//! A damaged file is kept no longer than the hits that may be in it, and at most three of one name
//! are kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::health::{Health, PartState};

/// The name under which health reports files that were set aside.
pub const PART: &str = "stores";

/// Stands between a file's own name and the time when it was set aside.
const MARK: &str = ".damaged-";

/// Most files of one name that are kept: a dying card may damage many, and each takes room.
const MOST_OF_A_NAME: usize = 3;

/// The suffixes of the files that SQLite keeps beside a database.
const BESIDE: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// A file that was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Where it lies now.
    pub path: PathBuf,
    /// The name that it had.
    pub was: String,
    /// When it was set aside, by the wall clock of that moment.
    pub since: Option<Timestamp>,
}

/// Tells by its name whether a file was set aside.
pub fn is_aside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(MARK))
}

/// Sets a file aside, with what SQLite keeps beside it. Returns its new path.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let named = |n: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("{MARK}{stamp}"));
        if n > 0 {
            name.push(format!("-{n}"));
        }
        PathBuf::from(name)
    };
    let to = (0..).map(named).find(|to| !to.exists()).expect("there are fewer files than numbers");
    for suffix in BESIDE {
        match fs::rename(with_suffix(path, suffix), with_suffix(&to, suffix)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !suffix.is_empty() => {}
            done => done?,
        }
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    File::open(folder)?.sync_all()?;
    tracing::error!(
        was = %path.display(),
        aside = %to.display(),
        "damaged, or made with another key: set aside, a new one is begun"
    );
    Ok(to)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Lists the files that were set aside in a state folder and in its lists' folders, the oldest of
/// each name first.
pub fn list(state: &Path) -> Vec<Aside> {
    let mut found = Vec::new();
    collect(state, 2, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Adds the files that were set aside in this folder and in the folders below it, to the depth
/// `deeper`.
fn collect(folder: &Path, deeper: u32, found: &mut Vec<Aside>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if deeper > 0 {
                collect(&path, deeper - 1, found);
            }
        } else if let Some((was, stamp)) = name.split_once(MARK)
            && !["-wal", "-shm", "-journal"].iter().any(|suffix| name.ends_with(suffix))
        {
            let stamp = stamp.get(..16).unwrap_or(stamp);
            let since = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp);
            let since = since.and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC));
            let since = since.ok().map(|at| at.timestamp());
            found.push(Aside { path: path.clone(), was: was.to_owned(), since });
        }
    }
}

/// Reports in health which files were set aside; clears an earlier report once none is left.
pub fn report_to_health(state: &Path, health: &Health) {
    match summary(&list(state)) {
        Some(line) => health.set(PART, PartState::Impaired(line)),
        None if health.state(PART).is_some() => health.set(PART, PartState::Working),
        None => {}
    }
}

/// Describes files that were set aside in one line; `None` if there are none.
pub fn summary(aside: &[Aside]) -> Option<String> {
    let first = aside.first()?;
    let name = first.path.file_name().unwrap_or_default().to_string_lossy();
    let more = match aside.len() - 1 {
        0 => String::new(),
        n => format!(", and {n} more"),
    };
    Some(format!(
        "{} was damaged or made with another key: it lies aside as {name}{more}; the car goes on \
         with a new one, and what was in it is not shown and not delivered",
        first.was
    ))
}

/// Removes files that were set aside longer ago than hits are kept, and the oldest where there are
/// more than three of a name.
pub fn forget_old(state: &Path, keep: Duration) {
    let now = Timestamp::now();
    let all = list(state);
    for (n, aside) in all.iter().enumerate() {
        let newer = all[n + 1..].iter().filter(|other| other.was == aside.was).count();
        let old = aside.since.is_none_or(|since| {
            Duration::try_from(now.duration_since(since)).is_ok_and(|age| age > keep)
        });
        if !old && newer < MOST_OF_A_NAME {
            continue;
        }
        for suffix in BESIDE {
            match fs::remove_file(with_suffix(&aside.path, suffix)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(path = %aside.path.display(), error = %e, "file that was set aside not removed");
                }
                _ => {}
            }
        }
        tracing::info!(path = %aside.path.display(), "file that was set aside is removed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_set_aside_are_named_reported_and_removed_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (path, health) = (dir.path().join("hits.db"), Health::default());
        report_to_health(dir.path(), &health);
        assert_eq!(health.state(PART), None);
        for suffix in ["", "-wal"] {
            fs::write(with_suffix(&path, suffix), "noise").unwrap();
        }
        let to = set_aside(&path).unwrap();
        assert!(!path.exists() && !with_suffix(&path, "-wal").exists());
        assert!(
            to.exists() && with_suffix(&to, "-wal").exists() && is_aside(&to) && !is_aside(&path)
        );
        let [aside] = &list(dir.path())[..] else { panic!("{:?}", list(dir.path())) };
        assert_eq!((aside.was.as_str(), &aside.path), ("hits.db", &to));
        let age = Timestamp::now().duration_since(aside.since.unwrap()).as_secs();
        assert!((0..60).contains(&age), "{age}");
        report_to_health(dir.path(), &health);
        let Some(PartState::Impaired(said)) = health.state(PART) else { panic!("not told") };
        assert!(said.starts_with("hits.db was damaged") && said.contains(".damaged-2"), "{said}");

        for _ in 0..4 {
            fs::write(&path, "noise").unwrap();
            set_aside(&path).unwrap();
        }
        forget_old(dir.path(), Duration::from_secs(3_600));
        assert_eq!(list(dir.path()).len(), MOST_OF_A_NAME);
        assert!(!to.exists(), "the oldest went first");
        let old = dir.path().join("hits.db.damaged-20200101T000000Z");
        fs::write(&old, "noise").unwrap();
        forget_old(dir.path(), Duration::from_secs(3_600));
        assert!(!old.exists() && list(dir.path()).len() == MOST_OF_A_NAME);
        for aside in list(dir.path()) {
            fs::remove_file(aside.path).unwrap();
        }
        report_to_health(dir.path(), &health);
        assert_eq!(health.state(PART), Some(PartState::Working));
    }
}
