//! Changes the device key, and destroys it.
//!
//! In: a state folder in which no daemon runs. Out: the same folder under a new key, or one in
//! which nothing can be read. Costs: a copy of every database. Leaves to others: the audit record,
//! informing people.
//!
//! A rotation writes the new key, and everything under it, beside the old files (`*.next`). The new
//! key is in force once its file is renamed, which happens when all of that is on the disk. Before
//! that the old key opens everything, after it the new one does, and what a kill or a power cut
//! interrupted is finished or undone by the next [`DeviceKey::load`]. A credential lies where the
//! service cannot look: for it, a note beside the files names their key, and the key that systemd
//! passes decides.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::credential::{CredentialError, Sealed};
use super::{DeviceKey, KEY_FILE, KeyError, Protection, Purpose, SecretKey, opened, passphrase};
use crate::files::{self as whole, remove, shred, sync_folder as sync};

mod copy;

use copy::SealedFiles;

/// Extension of a new file until the new key is in force.
const NEXT: &str = "next";

/// The note that names the key of the new files, where that key is a credential.
const NOTE: &str = "rotation.key";

/// Locked by a rotation, so that no other process cleans up meanwhile.
const LOCK: &str = "rotation.lock";

/// Databases, and the purposes of their keys. After a rotation, a store that is neither in this
/// list nor a sealed file cannot be read: add new ones here.
const DATABASES: [(&str, Purpose); 4] = [
    ("hits.db", Purpose::Hits),
    ("audit.db", Purpose::Audit),
    ("counters.db", Purpose::Counters),
    ("hotplates.db", Purpose::Hotplates),
];

/// Why the key was not changed. The old one stays in force.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// One of the keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key is a credential, which only root can change.
    #[error("this car's key is a systemd credential: run outrider provision rotate as root")]
    Credential,
    /// The new key could not be sealed.
    #[error("{0}; nothing was changed")]
    Sealed(#[from] CredentialError),
    /// Another rotation is running.
    #[error("another rotation is under way in {0}")]
    Busy(PathBuf),
    /// A file could not be written.
    #[error("{path}: {source}; nothing was changed")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database could not be copied.
    #[error("{path}: {source}; nothing was changed")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A sealed file does not open with the old key.
    #[error("{0} does not open with this car's key; move it away first; nothing was changed")]
    Foreign(PathBuf),
}

/// A rotation that has begun; no other can begin meanwhile.
pub struct Rotation {
    state: PathBuf,
    old: DeviceKey,
    new: DeviceKey,
    /// The credential, if the key is one.
    sealed: Option<Sealed>,
    _lock: File,
}

impl Rotation {
    /// Makes the new key in memory. It will be kept under a passphrase if that is wanted, else
    /// where the old one is.
    pub fn begin(state: &Path, behind_passphrase: bool) -> Result<Self, RotateError> {
        let lock = Self::lock(state)?;
        let io = |source| RotateError::Io { path: state.to_owned(), source };
        clear_up(state, None).map_err(io)?;
        let old = DeviceKey::existing(state)?;
        let protection = match old.protection() {
            Protection::SystemdCredential => return Err(RotateError::Credential),
            _ if behind_passphrase => Protection::Passphrase,
            same => same,
        };
        let new = DeviceKey { secret: SecretKey::random().map_err(KeyError::from)?, protection };
        Ok(Self { state: state.to_owned(), old, new, sealed: None, _lock: lock })
    }

    /// As [`Rotation::begin`], for a key that systemd seals.
    pub fn of_credential(state: &Path, sealed: Sealed) -> Result<Self, RotateError> {
        let lock = Self::lock(state)?;
        let io = |source| RotateError::Io { path: state.to_owned(), source };
        let of = |secret| DeviceKey { secret, protection: Protection::SystemdCredential };
        let old = of(sealed.open()?);
        clear_up(state, Some(&old)).map_err(io)?;
        sealed.hold(state, &old.secret);
        let new = of(SecretKey::random().map_err(KeyError::from)?);
        Ok(Self { state: state.to_owned(), old, new, sealed: Some(sealed), _lock: lock })
    }

    fn lock(state: &Path) -> Result<File, RotateError> {
        let lock = lock_file(state)
            .map_err(|source| RotateError::Io { path: state.to_owned(), source })?;
        match flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock),
            Err(_) => Err(RotateError::Busy(state.to_owned())),
        }
    }

    /// The key in force.
    pub fn old(&self) -> &DeviceKey {
        &self.old
    }

    /// The new key.
    pub fn new_key(&self) -> &DeviceKey {
        &self.new
    }

    /// Writes everything under the new key and puts that in force. `passphrase` is for a new key
    /// that is kept under one. The ring is deleted: its contents are short-lived anyway.
    pub fn finish(self, passphrase: Option<&str>) -> Result<(), RotateError> {
        self.prepare(passphrase)?;
        self.commit()
    }

    /// Writes all new files, but does not put the new key in force.
    fn prepare(&self, passphrase: Option<&str>) -> Result<(), RotateError> {
        // The key comes first: while `*.next` of it exists, the other new files are undone.
        let key = self.key_path();
        let aside = next(&key);
        let io = |source| RotateError::Io { path: aside.clone(), source };
        match (&self.sealed, self.new.protection, passphrase) {
            (Some(sealed), ..) => {
                let path = self.state.join(NOTE);
                remove(&path)
                    .and_then(|()| private_file(&path))
                    .and_then(|mut file| {
                        file.write_all(self.new.name().as_bytes())?;
                        file.sync_all()
                    })
                    .map_err(|source| RotateError::Io { path, source })?;
                sealed.write_next(&self.new.secret)?;
            }
            (None, Protection::Passphrase, Some(words)) => {
                passphrase::write(&aside, &self.new.secret, words)?;
                give_to_owner(&aside, &File::open(&aside).map_err(io)?).map_err(io)?;
            }
            (None, Protection::Passphrase, None) => return Err(KeyError::Passphrase.into()),
            _ => {
                let mut file = private_file(&aside).map_err(io)?;
                file.write_all(self.new.secret.expose())
                    .and_then(|()| file.sync_all())
                    .map_err(io)?;
            }
        }
        sync(&self.state).map_err(|source| RotateError::Io { path: self.state.clone(), source })?;
        for (name, purpose) in DATABASES {
            let path = self.state.join(name);
            if path.exists() {
                let (old, new) = (self.old.derive(purpose), self.new.derive(purpose));
                // SQLite itself would create the file with whatever permissions the umask leaves.
                private_file(&next(&path))
                    .map_err(|source| RotateError::Io { path: path.clone(), source })?;
                copy::database(&path, &next(&path), &old, &new)
                    .map_err(|source| RotateError::Sqlite { path: path.clone(), source })?;
                sync(&next(&path)).map_err(|source| RotateError::Io { path, source })?;
            }
        }
        let from = SealedFiles::new(&self.old);
        let to = SealedFiles::new(&self.new);
        for path in copy::sealed_files(&self.state)
            .map_err(|source| RotateError::Io { path: self.state.clone(), source })?
        {
            let io = |source| RotateError::Io { path: path.clone(), source };
            let opened = from.read(&path, &copy::names(&self.state, &path)).map_err(io)?;
            let (name, plain) = opened.ok_or_else(|| RotateError::Foreign(path.clone()))?;
            to.write(&next(&path), &name, &plain).map_err(io)?;
        }
        sync(&self.state).map_err(|source| RotateError::Io { path: self.state.clone(), source })
    }

    fn commit(&self) -> Result<(), RotateError> {
        let io = |source| RotateError::Io { path: self.state.clone(), source };
        match &self.sealed {
            Some(sealed) => sealed.put_in_force()?,
            None => {
                let key = self.key_path();
                whole::rename(&next(&key), &key).map_err(io)?;
            }
        }
        opened::forget(&self.state);
        clear_up(&self.state, Some(&self.new))
            .and_then(|()| remove(&self.state.join(LOCK)))
            .map_err(io)
    }

    fn key_path(&self) -> PathBuf {
        self.state.join(match self.new.protection {
            Protection::Passphrase => passphrase::SEALED_FILE,
            _ => KEY_FILE,
        })
    }
}

/// Finishes or undoes an interrupted rotation. `passed` is the credential that systemd passed, if
/// there is one. It is cheap where there is nothing to do.
pub(super) fn recover(state: &Path, passed: Option<&DeviceKey>) -> io::Result<()> {
    let there = |name: &str| state.join(name).exists();
    let left = |name: &str| next(&state.join(name)).exists();
    let any = left(KEY_FILE) || left(passphrase::SEALED_FILE) || there(LOCK);
    // Without the credential it is unknown which of the keys is in force.
    if !(any || there(NOTE)) || (there(NOTE) && passed.is_none()) {
        return Ok(());
    }
    let lock = lock_file(state)?;
    // Another process is doing it.
    if flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    clear_up(state, passed)?;
    // The lock file goes last: while it exists, the next load checks again.
    remove(&state.join(LOCK))
}

/// Removes the new files if the new key is not in force; else puts them in place.
fn clear_up(state: &Path, in_force: Option<&DeviceKey>) -> io::Result<()> {
    let keys = [KEY_FILE, passphrase::SEALED_FILE].map(|name| next(&state.join(name)));
    let note = state.join(NOTE);
    let undo = match (fs::read_to_string(&note), in_force) {
        (Ok(meant), Some(key)) => meant != key.name(),
        _ => keys.iter().any(|key| key.exists()),
    };
    let mut left = Vec::new();
    files(state, &mut |path| {
        if path.extension().is_some_and(|e| e == NEXT) && !keys.iter().any(|key| key == path) {
            left.push(path.to_owned());
        }
    })?;
    if undo {
        for path in left {
            fs::remove_file(path)?;
        }
        // The keys go last: without them, the remaining files would count as in force.
        for key in keys {
            shred(&key)?;
        }
    } else {
        if !left.is_empty() {
            forget_ring(state)?;
        }
        for path in left {
            let place = path.with_extension("");
            for suffix in ["-wal", "-shm", "-journal"] {
                let mut beside = place.clone().into_os_string();
                beside.push(suffix);
                remove(Path::new(&beside))?;
            }
            fs::rename(&path, &place)?;
        }
        // The plain key file is useless once the key is under a passphrase.
        if state.join(passphrase::SEALED_FILE).exists() {
            shred(&state.join(KEY_FILE))?;
        }
    }
    remove(&note)?;
    sync(state)
}

/// The file that a wipe leaves: it is readable without a key, and only `provision` removes it.
pub const WIPED: &str = "WIPED";

/// Refuses a state folder that was wiped.
pub(super) fn refuse_wiped(state: &Path) -> Result<(), KeyError> {
    let path = state.join(WIPED);
    // An error other than "not found" does not prove that the car is not wiped.
    match fs::symlink_metadata(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(()),
        _ => Err(KeyError::Wiped { path }),
    }
}

/// Removes the marker, when a person provisions the car anew.
pub(super) fn end_wipe(state: &Path) -> io::Result<()> {
    remove(&state.join(WIPED))
}

fn mark_wiped(state: &Path) -> io::Result<()> {
    let path = state.join(WIPED);
    if path.exists() {
        return Ok(());
    }
    let now = jiff::Timestamp::now();
    let mut file = private_file(&path)?;
    writeln!(
        file,
        "This car was wiped at {now:.0} by its own clock. It reads nothing and makes no new key by itself; \
         \"outrider provision device\" gives it one."
    )?;
    file.sync_all()?;
    sync(state)
}

/// Destroys secrets outside the state folder: keys of lists, of TLS. Returns those that could not
/// be destroyed, which a person has to do.
pub fn destroy_secrets(paths: &[PathBuf]) -> Vec<(PathBuf, io::Error)> {
    let mut left = Vec::new();
    for path in paths {
        match shred(path) {
            Ok(()) => {}
            Err(e) => {
                tracing::error!(path = %path.display(), error = %e, "secret not destroyed");
                left.push((path.clone(), e));
            }
        }
    }
    left
}

/// Makes a state folder unreadable: destroys the keys first, then every file but the marker that
/// says it was wiped. Returns the number of destroyed files.
pub fn wipe(state: &Path) -> io::Result<usize> {
    destroy_keys(state)?;
    let marker = state.join(WIPED);
    let mut all = Vec::new();
    files(state, &mut |path| all.push(path.to_owned()))?;
    all.retain(|path| *path != marker);
    for path in &all {
        remove(path)?;
    }
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        }
    }
    sync(state)?;
    Ok(all.len())
}

/// Destroys every key on the disk, which makes everything they open unreadable. It takes
/// milliseconds.
pub fn destroy_keys(state: &Path) -> io::Result<()> {
    // The marker comes first: after a kill in between the car counts as wiped, and does not make
    // itself a new key. Even if the disk takes no file, the keys are destroyed.
    if let Err(e) = mark_wiped(state) {
        tracing::error!(error = %e, "marker of a wiped car not written");
    }
    opened::forget(state);
    for name in [KEY_FILE, passphrase::SEALED_FILE] {
        let path = state.join(name);
        shred(&path)?;
        shred(&next(&path))?;
    }
    let ring = state.join("ring");
    if ring.is_dir() {
        files(&ring, &mut |path| {
            if path.extension().is_some_and(|e| e == "key")
                && let Err(e) = shred(path)
            {
                tracing::error!(path = %path.display(), error = %e, "key not destroyed");
            }
        })?;
    }
    sync(state)
}

fn forget_ring(state: &Path) -> io::Result<()> {
    let ring = state.join("ring");
    match ring.is_dir() {
        true => fs::remove_dir_all(ring),
        false => Ok(()),
    }
}

fn lock_file(state: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(state.join(LOCK))
}

fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    give_to_owner(path, &file)?;
    Ok(file)
}

/// Gives a file that root writes to the folder's owner: the service, which must open it.
fn give_to_owner(path: &Path, file: &File) -> io::Result<()> {
    let folder = fs::metadata(path.parent().unwrap_or(Path::new("/")))?;
    if folder.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()))
}

fn next(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(NEXT);
    name.into()
}

/// Calls `look` with every file below a folder.
fn files(folder: &Path, look: &mut dyn FnMut(&Path)) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => files(&entry.path(), look)?,
            false => look(&entry.path()),
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
