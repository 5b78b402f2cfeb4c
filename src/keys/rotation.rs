//! Changing the device key, and destroying it.
//!
//! In: a state folder in which no daemon runs. Out: the same folder under a new key, or nothing that can
//! be read. Costs: a copy of every database. Leaves to others: saying so in the audit log, telling
//! people.
//!
//! A rotation writes the new key, then everything under it, beside the old (`*.next`); the one step that
//! counts is the rename of the key, which comes when all of it is on the disk. Before it the old key opens everything, after it the new one does, and
//! what a kill or a power cut left half done is finished or undone by the next [`DeviceKey::load`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::{DeviceKey, KEY_FILE, KeyError, Protection, Purpose, SecretKey, passphrase};

/// What stands behind a file's name until the new key is in force.
const NEXT: &str = "next";

/// Held by a rotation, so that nobody clears up behind its back.
const LOCK: &str = "rotation.lock";

/// How files that the device key seals begin; their own name is sealed along.
const SEALED_MAGIC: &[u8; 4] = b"ORS1";

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
    #[error(
        "the device key is a systemd credential, which only root can replace: read decisions/0073 for \
         the steps"
    )]
    Credential,
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
    _lock: File,
}

impl Rotation {
    /// Makes the new key, in memory.
    pub fn begin(state: &Path) -> Result<Self, RotateError> {
        let io = |source| RotateError::Io { path: state.to_owned(), source };
        let lock = lock_file(state).map_err(io)?;
        if flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(RotateError::Busy(state.to_owned()));
        }
        clear_up(state).map_err(io)?;
        let old = DeviceKey::existing(state)?;
        if old.protection() == Protection::SystemdCredential {
            return Err(RotateError::Credential);
        }
        let new = DeviceKey { secret: SecretKey::random()?, protection: old.protection() };
        Ok(Self { state: state.to_owned(), old, new, _lock: lock })
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
        match (self.new.protection, passphrase) {
            (Protection::Passphrase, Some(words)) => {
                passphrase::write(&aside, &self.new.secret, words)?;
            }
            (Protection::Passphrase, None) => return Err(KeyError::Passphrase.into()),
            _ => {
                let io = |source| RotateError::Io { path: aside.clone(), source };
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
                copy_database(&path, &next(&path), &old, &new)
                    .map_err(|source| RotateError::Sqlite { path: path.clone(), source })?;
                sync(&next(&path)).map_err(|source| RotateError::Io { path, source })?;
            }
        }
        let from = SealedFiles::new(&self.old);
        let to = SealedFiles::new(&self.new);
        for path in sealed_files(&self.state)
            .map_err(|source| RotateError::Io { path: self.state.clone(), source })?
        {
            let io = |source| RotateError::Io { path: path.clone(), source };
            let opened = from.read(&path, &names(&self.state, &path)).map_err(io)?;
            let (name, plain) = opened.ok_or_else(|| RotateError::Foreign(path.clone()))?;
            to.write(&next(&path), &name, &plain).map_err(io)?;
        }
        sync(&self.state).map_err(|source| RotateError::Io { path: self.state.clone(), source })
    }

    fn commit(&self) -> Result<(), RotateError> {
        let io = |source| RotateError::Io { path: self.state.clone(), source };
        let key = self.key_path();
        fs::rename(next(&key), &key).map_err(io)?;
        sync(&self.state).map_err(io)?;
        passphrase::forget();
        clear_up(&self.state).and_then(|()| remove(&self.state.join(LOCK))).map_err(io)
    }

    fn key_path(&self) -> PathBuf {
        self.state.join(match self.new.protection {
            Protection::Passphrase => passphrase::SEALED_FILE,
            _ => KEY_FILE,
        })
    }
}

/// Finishes or undoes what an interrupted rotation left. Cheap where there is nothing.
pub(super) fn recover(state: &Path) -> io::Result<()> {
    let left = |name: &str| next(&state.join(name)).exists();
    let any = left(KEY_FILE) || left(passphrase::SEALED_FILE);
    if !any && !state.join(LOCK).exists() {
        return Ok(());
    }
    let lock = lock_file(state)?;
    // Somebody is at it.
    if flock(lock.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    clear_up(state)?;
    // Last: while it is there, the next load looks again.
    remove(&state.join(LOCK))
}

/// With a new key that is not in force, what was written under it goes; else it takes its places.
fn clear_up(state: &Path) -> io::Result<()> {
    let keys = [KEY_FILE, passphrase::SEALED_FILE].map(|name| next(&state.join(name)));
    let undo = keys.iter().any(|key| key.exists());
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
    }
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
    passphrase::forget();
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
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
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

fn copy_database(from: &Path, to: &Path, old: &SecretKey, new: &SecretKey) -> rusqlite::Result<()> {
    let db = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.busy_timeout(std::time::Duration::from_secs(5))?;
    db.execute_batch("PRAGMA cipher_log_level = NONE; PRAGMA cipher_memory_security = ON;")?;
    let mut pragma = Zeroizing::new(String::with_capacity(96));
    pragma.push_str("PRAGMA key = \"");
    pragma.push_str(&raw(old));
    pragma.push('"');
    db.execute_batch(&pragma)?;
    let version: u32 = db.query_row("PRAGMA user_version", (), |r| r.get(0))?;
    db.execute_batch("PRAGMA temp_store = MEMORY")?;
    db.execute(
        "ATTACH DATABASE ?1 AS next KEY ?2",
        (to.to_str().unwrap_or_default(), raw(new).as_str()),
    )?;
    db.query_row("SELECT sqlcipher_export('next')", (), |_| Ok(()))?;
    db.execute_batch(&format!("PRAGMA next.user_version = {version}; DETACH DATABASE next"))
}

/// A key as SQLCipher takes it raw.
fn raw(key: &SecretKey) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new(String::with_capacity(72));
    text.push_str("x'");
    for byte in key.expose() {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push('\'');
    text
}

/// Sealed files, by their magic.
fn sealed_files(state: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    files(state, &mut |path| {
        let mut head = [0; 4];
        let sealed = File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok()
            && head == *SEALED_MAGIC;
        if sealed && path.extension().is_none_or(|e| e != NEXT) {
            all.push(path.to_owned());
        }
    })?;
    Ok(all)
}

/// The names under which a file may have been sealed: its own, or its way from the state folder, from
/// either end of it.
fn names(state: &Path, path: &Path) -> Vec<Vec<u8>> {
    let way = path.strip_prefix(state).unwrap_or(path);
    let mut names = Vec::new();
    let mut rest = way.components();
    while !rest.as_path().as_os_str().is_empty() {
        names.push(rest.as_path().as_os_str().as_encoded_bytes().to_vec());
        rest.next();
    }
    names
}

/// Opens and seals the files of `sealed.rs`.
struct SealedFiles(LessSafeKey);

/// The name under which a file was sealed, and what is in it.
type Named = (Vec<u8>, Zeroizing<Vec<u8>>);

impl SealedFiles {
    fn new(device: &DeviceKey) -> Self {
        let key = device.derive(Purpose::FleetSeal);
        let key = UnboundKey::new(&CHACHA20_POLY1305, key.expose()).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// What is in it, and under which of these names it was sealed.
    fn read(&self, path: &Path, names: &[Vec<u8>]) -> io::Result<Option<Named>> {
        let bytes = fs::read(path)?;
        let head = SEALED_MAGIC.len() + NONCE_LEN;
        let Some((head, sealed)) = bytes.split_at_checked(head) else { return Ok(None) };
        let nonce = head[SEALED_MAGIC.len()..].try_into().expect("the nonce's length");
        for name in names {
            let mut sealed = Zeroizing::new(sealed.to_vec());
            let nonce = Nonce::assume_unique_for_key(nonce);
            let opened = self.0.open_in_place(nonce, Aad::from(name), &mut sealed);
            if let Ok(length) = opened.map(|plain| plain.len()) {
                sealed.truncate(length);
                return Ok(Some((name.clone(), sealed)));
            }
        }
        Ok(None)
    }

    fn write(&self, to: &Path, name: &[u8], plain: &[u8]) -> io::Result<()> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|e| io::Error::other(e.to_string()))?;
        let mut sealed = Zeroizing::new(plain.to_vec());
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name),
                &mut *sealed,
            )
            .expect("not too long to seal");
        let mut file = private_file(to)?;
        for part in [&SEALED_MAGIC[..], &nonce, &sealed] {
            file.write_all(part)?;
        }
        file.sync_all()
    }
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
