//! Secrets in files that only their owner reads: list keys, author keys, passwords.
//!
//! In: a path. Out: the file's text, wiped when dropped; or a refusal that says what to do. A new
//! file is written beside its place and linked there, so that a power cut leaves the whole secret
//! or none.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::files::{self, Readers, UntrustedError};

/// Longest secret that is read, in bytes: more than any of ours has.
const LONGEST: u64 = 64 * 1024;

/// Why a secret is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// Others can read it, or can have changed it.
    #[error(transparent)]
    Untrusted(#[from] UntrustedError),
    /// The file exists already.
    #[error("{path} is there already: a key that is overwritten is lost; choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold what it should.
    #[error("{path} holds no {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: &'static str,
    },
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads a secret of our own; refuses a file that others can read.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    read_as(path, Readers::Owner)
}

/// Reads a secret that root may give to a service through its group (`root:outrider`, mode 0640);
/// refuses a file that everybody can read or that the group can change.
pub fn read_given(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    read_as(path, Readers::Group)
}

fn read_as(path: &Path, readers: Readers) -> Result<Zeroizing<String>, SecretFileError> {
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    let file = files::open(path, readers)?;
    let meta = file.metadata().map_err(io)?;
    // All of it is allocated at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(meta.len().min(LONGEST)).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// Writes a new secret with mode 0600; refuses to replace a file.
pub fn create(path: &Path, text: &str) -> Result<(), SecretFileError> {
    files::create(path, &[text.as_bytes()]).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => SecretFileError::Exists { path: path.to_owned() },
        _ => SecretFileError::Io { path: path.to_owned(), source },
    })
}

/// Replaces a secret; the file has mode 0600.
pub fn replace(path: &Path, text: &str) -> Result<(), SecretFileError> {
    files::replace(path, &[text.as_bytes()])
        .map_err(|source| SecretFileError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    #[test]
    fn written_for_its_owner_alone_and_never_over_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.key");
        create(&path, "secret\n").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(&*read(&path).unwrap(), "secret\n");
        let again = create(&path, "another\n").unwrap_err().to_string();
        assert!(again.contains("is there already"), "{again}");
        replace(&path, "another\n").unwrap();
        assert_eq!(&*read(&path).unwrap(), "another\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn secret_that_others_can_read_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.key");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("mode 0644") && message.contains("chmod 600"), "{message}");
    }

    #[test]
    fn secret_that_root_gives_a_service_may_be_read_by_the_service_s_group_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list.key");
        fs::write(&path, "secret\n").unwrap();
        let with = |mode| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            read_given(&path).map(|text| text.to_string()).map_err(|e| e.to_string())
        };
        assert_eq!(with(0o640).unwrap(), "secret\n");
        let everybody = with(0o644).unwrap_err();
        assert!(everybody.contains("can be read by others (mode 0644)"), "{everybody}");
        let changed = with(0o662).unwrap_err();
        assert!(changed.contains("(mode 0662)"), "{changed}");
        // Our own secrets may still be read by us alone.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).is_err());
    }
}
