//! Secrets in files that only their owner reads: list keys, author keys, passwords.
//!
//! In: a path. Out: its text, wiped when dropped; or a refusal that says what to do. New files are
//! written aside and linked into place, so that a power cut leaves the whole secret or none.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// More than any secret of ours is long.
const LONGEST: u64 = 64 * 1024;

/// Why a secret is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It can be read by others.
    #[error(
        "{path} can be read by others (mode {mode:04o}): if nobody can have copied it, run \
         chmod 600 {path}; else make a new one"
    )]
    Lax {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is there already.
    #[error("{path} is there already: a key that is overwritten is lost; choose another name")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Not what it should hold.
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

/// Reads a secret; refuses one that others can read.
pub fn read(path: &Path) -> Result<Zeroizing<String>, SecretFileError> {
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let meta = file.metadata().map_err(io)?;
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Lax { path: path.to_owned(), mode });
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(meta.len().min(LONGEST)).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(LONGEST).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

/// Writes a new secret, mode 0600; refuses to replace one.
pub fn create(path: &Path, text: &str) -> Result<(), SecretFileError> {
    write(path, text, false)
}

/// Writes a secret in place of the one before, mode 0600.
pub fn replace(path: &Path, text: &str) -> Result<(), SecretFileError> {
    write(path, text, true)
}

fn write(path: &Path, text: &str, over: bool) -> Result<(), SecretFileError> {
    let io = |source| SecretFileError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.join(format!(".{name}.{}", std::process::id()));
    let _ = fs::remove_file(&aside);
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside).map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    let placed = match over {
        true => fs::rename(&aside, path),
        false => fs::hard_link(&aside, path),
    };
    if !over || placed.is_err() {
        let _ = fs::remove_file(&aside);
    }
    match placed {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            Err(SecretFileError::Exists { path: path.to_owned() })
        }
        placed => {
            placed.and_then(|()| File::open(folder).and_then(|dir| dir.sync_all())).map_err(io)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

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
}
