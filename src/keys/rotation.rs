//! Changing the device key, and destroying it.
//!
//! In: a state folder in which no daemon runs. Out: the same folder under a new key, or nothing that can
//! be read. Costs: a copy of every database. Leaves to others: saying so in the audit log, telling
//! people.
//!
//! A rotation writes the new key, then everything under it, beside the old (`*.next`); the one step that
//! counts is the rename of the key, which comes when all of it is on the disk. Before it the old key opens
//! everything, after it the new one does, and what a kill or a power cut left half done is finished or undone
//! by the next [`DeviceKey::load`]. A credential lies elsewhere, where the service cannot look: there a note
//! beside the files names the key that they are for, and the key that systemd passes decides.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::credential::{CredentialError, Sealed};
use super::{DeviceKey, KEY_FILE, KeyError, Protection, Purpose, SecretKey, opened, passphrase};

mod copy;

use copy::SealedFiles;

/// What stands behind a file's name until the new key is in force.
const NEXT: &str = "next";

/// Names the key that what lies beside is for, where that key is a credential.
const NOTE: &str = "rotation.key";

/// Held by a rotation, so that nobody clears up behind its back.
const LOCK: &str = "rotation.lock";

/// Databases, and what their keys are derived for. What is not in this list or sealed does not survive a
/// rotation readable: add it here.
const DATABASES: [(&str, Purpose); 4] = [
    ("hits.db", Purpose::Hits),
    ("audit.db", Purpose::Audit),
    ("counters.db", Purpose::Counters),
    ("hotplates.db", Purpose::Hotplates),
];

/// Why a key was not changed. The old one is in force.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The key itself.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It is not ours to change.
    #[error("this car's key is a systemd credential: run outrider provision rotate as root")]
    Credential,
    /// Sealing it.
    #[error("{0}; nothing was changed")]
    Sealed(#[from] CredentialError),
    /// Another rotation.
    #[error("another rotation is under way in {0}")]
    Busy(PathBuf),
    /// A file.
    #[error("{path}: {source}; nothing was changed")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A database.
    #[error("{path}: {source}; nothing was changed")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// A file that says it is sealed and does not open.
    #[error("{0} does not open with this car's key; move it away first; nothing was changed")]
    Foreign(PathBuf),
}

/// A rotation that has begun: no one else's can.
pub struct Rotation {
    state: PathBuf,
    old: DeviceKey,
    new: DeviceKey,
    /// Where the key is if it is a credential.
    sealed: Option<Sealed>,
    _lock: File,
}

impl Rotation {
    /// Makes the new key, in memory: behind a passphrase if that is wanted, else where the old one is.
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
        let new = DeviceKey { secret: SecretKey::random()?, protection };
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
        let new = of(SecretKey::random()?);
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

    /// The key that is in force now.
    pub fn old(&self) -> &DeviceKey {
        &self.old
    }

    /// The key that will be.
    pub fn new_key(&self) -> &DeviceKey {
        &self.new
    }

    /// Writes everything under the new key and puts it in force. `passphrase` seals the new key where
    /// the old one is behind one. The ring is forgotten: what it keeps is short-lived anyway.
    pub fn finish(self, passphrase: Option<&str>) -> Result<(), RotateError> {
        self.prepare(passphrase)?;
        self.commit()
    }

    /// Everything but the step that counts.
    fn prepare(&self, passphrase: Option<&str>) -> Result<(), RotateError> {
        // First of all: while it lies there, what lies beside it is undone.
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
                // SQLite would make the file readable to all that the umask lets in.
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
                fs::rename(next(&key), &key).map_err(io)?;
                sync(&self.state).map_err(io)?;
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

/// Finishes or undoes what an interrupted rotation left, knowing the credential that systemd passes if it
/// passes one. Cheap where there is nothing.
pub(super) fn recover(state: &Path, passed: Option<&DeviceKey>) -> io::Result<()> {
    let there = |name: &str| state.join(name).exists();
    let left = |name: &str| next(&state.join(name)).exists();
    let any = left(KEY_FILE) || left(passphrase::SEALED_FILE) || there(LOCK);
    // Who does not have the credential cannot tell whether it is the new one.
    if !(any || there(NOTE)) || (there(NOTE) && passed.is_none()) {
        return Ok(());
    }
    let lock = lock_file(state)?;
    // Somebody is at it.
    if flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    clear_up(state, passed)?;
    // Last: while it is there, the next load looks again.
    remove(&state.join(LOCK))
}

/// With a new key that is not in force, what was written under it goes; else it takes its places.
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
        // Last: without it, what is left would count as in force.
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
        // A key that went behind a passphrase opens nothing any more.
        if state.join(passphrase::SEALED_FILE).exists() {
            shred(&state.join(KEY_FILE))?;
        }
    }
    remove(&note)?;
    sync(state)
}

/// Makes a state folder unreadable: the keys first, then everything. Returns how many files went.
pub fn wipe(state: &Path) -> io::Result<usize> {
    destroy_keys(state)?;
    let mut all = Vec::new();
    files(state, &mut |path| all.push(path.to_owned()))?;
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

/// Destroys every key on the disk, which makes what they open noise. Milliseconds.
pub fn destroy_keys(state: &Path) -> io::Result<()> {
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

/// Overwritten where the file system writes in place, then removed.
fn shred(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => {
            let len = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(1 << 16);
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&vec![0; len])?;
            file.sync_all()?;
            fs::remove_file(path)
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        // Not writable, perhaps still removable.
        Err(_) => fs::remove_file(path),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
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

/// Files that root writes belong to whoever owns the folder: the service, which must open them.
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

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Every file below, the folder `ring` left out of a rotation by whoever looks.
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
