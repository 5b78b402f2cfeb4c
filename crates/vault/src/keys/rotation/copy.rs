//! Encrypts everything that the old device key opens under the new one.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use zeroize::Zeroizing;

use super::{NEXT, files, private_file};
use crate::keys::sealed;
use crate::keys::sealed::Sealer;
use crate::keys::{DeviceKey, Purpose};
use crate::secret::SecretKey;

/// Copies a database, under another key, into an empty file.
pub(super) fn database(
    from: &Path,
    to: &Path,
    old: &SecretKey,
    new: &SecretKey,
) -> rusqlite::Result<()> {
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

/// A key in the raw form that SQLCipher takes.
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

/// All sealed files, recognised by their magic bytes.
pub(super) fn sealed_files(state: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    files(state, &mut |path| {
        let mut head = [0; 4];
        let sealed = File::open(path).and_then(|mut f| f.read_exact(&mut head)).is_ok()
            && head == *sealed::MAGIC;
        // A file that was set aside is damaged, or made with another key.
        if sealed && !crate::aside::is_aside(path) && path.extension().is_none_or(|e| e != NEXT) {
            all.push(path.to_owned());
        }
    })?;
    Ok(all)
}

/// The names under which a file may have been sealed: its path from the state folder, or that path
/// without its first folders, down to its own name.
pub(super) fn names(state: &Path, path: &Path) -> Vec<Vec<u8>> {
    let relative = path.strip_prefix(state).unwrap_or(path);
    let mut names = Vec::new();
    let mut rest = relative.components();
    while !rest.as_path().as_os_str().is_empty() {
        names.push(rest.as_path().as_os_str().as_encoded_bytes().to_vec());
        rest.next();
    }
    names
}

/// Opens and seals the files of `sealed.rs`, under any name.
pub(super) struct SealedFiles(Sealer);

/// The name under which a file was sealed, and its content.
pub(super) type Named = (Vec<u8>, Zeroizing<Vec<u8>>);

impl SealedFiles {
    pub(super) fn new(device: &DeviceKey) -> Self {
        Self(Sealer::new(device, Purpose::FleetSeal))
    }

    /// The content of a file, and which of these names it was sealed under.
    pub(super) fn read(&self, path: &Path, names: &[Vec<u8>]) -> io::Result<Option<Named>> {
        let bytes = fs::read(path)?;
        Ok(names.iter().find_map(|name| Some((name.clone(), self.0.open(name, &bytes)?))))
    }

    pub(super) fn write(&self, to: &Path, name: &[u8], plain: &[u8]) -> io::Result<()> {
        let mut file = private_file(to)?;
        file.write_all(&self.0.seal(name, plain)?)?;
        file.sync_all()
    }
}
