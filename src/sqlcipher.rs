//! Opens SQLCipher databases: key, permissions, journal, schema version.
//!
//! In: a path, a raw 32-byte key, a schema. Out: a connection that has proved it can read. Costs:
//! about 1 ms (a raw key needs no stretching; a passphrase would take 90 ms). Leaves to others:
//! everything about rows.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use zeroize::Zeroizing;

use crate::keys::SecretKey;

/// Why a database cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file is not one that this key opens.
    #[error(
        "{path} cannot be opened with this car's device key: it was made with another key, or is \
         damaged; put the old device.key or credential back, or move the file away to start anew"
    )]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// Written by a later version of this program.
    #[error(
        "{path} has schema version {found}, this program knows {known}: install the newer outrider again"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// What it says.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// No room on the disk.
    #[error("no room on the disk for {path}: free some space there")]
    DiskFull {
        /// The database.
        path: PathBuf,
    },
    /// The file or its folder cannot be made.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anything else that SQLite says.
    #[error("{path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Sorts what SQLite says about a file into what a person can do about it.
    pub(crate) fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::WrongKey { path },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            _ => Self::Sqlite { path, source },
        }
    }

    /// Whether the disk is to blame, so that trying again may help: full, read-only, failing. A
    /// wrong key or a later schema stays what it is.
    pub(crate) fn is_disk(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Io { .. } => true,
            Self::WrongKey { .. } | Self::Newer { .. } => false,
            Self::Sqlite { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(
                    ErrorCode::SystemIoFailure
                        | ErrorCode::ReadOnly
                        | ErrorCode::CannotOpen
                        | ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::FileLockingProtocolFailed
                        | ErrorCode::PermissionDenied
                )
            ),
        }
    }
}

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On the disk when the commit returns, power cut or not.
    Full,
    /// Whole after a crash of ours; a power cut may take the last commits.
    Batch,
    /// Unreadable after a crash anyway, so the disk is not made to hurry: for keys that die with
    /// the process.
    Scratch,
}

/// Opens or makes a database. `schema` makes an empty one, and `version` is what it then has.
pub(crate) fn open(
    path: &Path,
    key: &SecretKey,
    durability: Durability,
    schema: &str,
    version: u32,
) -> Result<Connection, StoreError> {
    open_upgrading(path, key, durability, schema, version, &[])
}

/// Opens or makes a database, bringing one of an earlier version up to date: `upgrades[0]` leads
/// from version 1 to 2, and so on. All of it is one transaction: a power cut leaves the old or the
/// new. A test of each store compares an upgraded schema with a fresh one.
pub(crate) fn open_upgrading(
    path: &Path,
    key: &SecretKey,
    durability: Durability,
    schema: &str,
    version: u32,
    upgrades: &[&str],
) -> Result<Connection, StoreError> {
    // SQLite would make the file readable to all that the umask lets in.
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| StoreError::Io { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    set_up(path, flags, key, durability, schema, version, upgrades).map_err(|e| match e {
        Fault::Store(e) => e,
        Fault::Sqlite(e) => StoreError::from_sqlite(path, e),
    })
}

enum Fault {
    Store(StoreError),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        Self::Sqlite(e)
    }
}

fn set_up(
    path: &Path,
    flags: OpenFlags,
    key: &SecretKey,
    durability: Durability,
    schema: &str,
    version: u32,
    upgrades: &[&str],
) -> Result<Connection, Fault> {
    let mut db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(Duration::from_secs(5))?;
    // A wrong key would otherwise print noise on standard error; we say it ourselves. Freed memory
    // that held pages or keys is wiped. Both belong before the key.
    db.execute_batch("PRAGMA cipher_log_level = NONE; PRAGMA cipher_memory_security = ON;")?;
    db.execute_batch(&pragma_key(key))?;
    // The first read proves the key. Sorting in memory: no temporary file ever holds a row.
    db.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    db.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;")?;
    let (journal, synchronous) = match durability {
        Durability::Full => ("WAL", "FULL"),
        // Only ever added to: a rollback journal holds next to nothing, where a WAL would write
        // every page twice.
        Durability::Batch => ("TRUNCATE", "NORMAL"),
        Durability::Scratch => ("MEMORY", "OFF"),
    };
    db.query_row(&format!("PRAGMA journal_mode = {journal}"), (), |_| Ok(()))?;
    db.execute_batch(&format!("PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON;"))?;
    let found: u32 = db.query_row("PRAGMA user_version", (), |row| row.get(0))?;
    if found > version {
        let path = path.to_owned();
        return Err(Fault::Store(StoreError::Newer { path, found, known: version }));
    }
    if found < version {
        let tx = db.transaction()?;
        if found == 0 {
            tx.execute_batch(schema)?;
        } else {
            for upgrade in upgrades.iter().skip(found as usize - 1) {
                tx.execute_batch(upgrade)?;
            }
        }
        tx.execute_batch(&format!("PRAGMA user_version = {version}"))?;
        tx.commit()?;
    }
    Ok(db)
}

fn pragma_key(key: &SecretKey) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // Room for all of it at once: growing would leave copies behind.
    let mut sql = Zeroizing::new(String::with_capacity(96));
    sql.push_str("PRAGMA key = \"x'");
    for byte in key.expose() {
        sql.push(char::from(DIGITS[usize::from(byte >> 4)]));
        sql.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    sql.push_str("'\"");
    sql
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    const SCHEMA: &str = "CREATE TABLE note (text TEXT NOT NULL)";

    #[test]
    fn other_key_is_said_in_words_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let key = SecretKey::random().unwrap();
        let db = open(&path, &key, Durability::Full, SCHEMA, 1).unwrap();
        db.execute("INSERT INTO note VALUES ('kept')", ()).unwrap();
        drop(db);
        let other = SecretKey::random().unwrap();
        let error = open(&path, &other, Durability::Full, SCHEMA, 1).unwrap_err();
        assert!(matches!(error, StoreError::WrongKey { .. }), "{error}");
        let db = open(&path, &key, Durability::Full, SCHEMA, 1).unwrap();
        let kept: String = db.query_row("SELECT text FROM note", (), |r| r.get(0)).unwrap();
        assert_eq!(kept, "kept");
    }

    #[test]
    fn files_are_for_us_alone_and_settings_hold() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let key = SecretKey::random().unwrap();
        let db = open(&path, &key, Durability::Full, SCHEMA, 1).unwrap();
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let file = file.unwrap();
            assert_eq!(file.metadata().unwrap().mode() & 0o077, 0, "{:?}", file.path());
        }
        let ask = |what: &str| -> String {
            db.query_row(&format!("PRAGMA {what}"), (), |r| {
                r.get::<_, rusqlite::types::Value>(0).map(|v| format!("{v:?}"))
            })
            .unwrap()
        };
        assert_eq!(ask("journal_mode"), "Text(\"wal\")");
        assert_eq!(ask("synchronous"), "Integer(2)");
        assert_eq!(ask("secure_delete"), "Integer(1)");
        assert_eq!(ask("temp_store"), "Integer(2)");
        assert_eq!(ask("cipher_memory_security"), "Text(\"1\")");
    }

    #[test]
    fn upgrade_runs_once_and_what_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let key = SecretKey::random().unwrap();
        let open = |version, upgrades: &[&str]| {
            open_upgrading(&path, &key, Durability::Full, SCHEMA, version, upgrades)
        };
        open(1, &[]).unwrap().execute("INSERT INTO note VALUES ('kept')", ()).unwrap();
        let second = "ALTER TABLE note ADD COLUMN author TEXT";
        open(3, &[second, "ALTER TABLE nothing ADD COLUMN x"]).unwrap_err();
        for _ in 0..2 {
            let db = open(2, &[second]).unwrap();
            let (text, author): (String, Option<String>) =
                db.query_row("SELECT * FROM note", (), |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
            assert_eq!((text.as_str(), author), ("kept", None));
        }
    }

    #[test]
    fn disk_is_told_from_key() {
        let dir = tempfile::tempdir().unwrap();
        let key = SecretKey::random().unwrap();
        let nowhere = dir.path().join("no-such-folder/a.db");
        assert!(open(&nowhere, &key, Durability::Full, SCHEMA, 1).unwrap_err().is_disk());
        let noise = dir.path().join("noise.db");
        std::fs::write(&noise, [0x5a; 8192]).unwrap();
        assert!(!open(&noise, &key, Durability::Full, SCHEMA, 1).unwrap_err().is_disk());
    }

    #[test]
    fn database_of_a_later_version_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let key = SecretKey::random().unwrap();
        drop(open(&path, &key, Durability::Full, SCHEMA, 7).unwrap());
        let error = open(&path, &key, Durability::Full, SCHEMA, 6).unwrap_err().to_string();
        assert!(error.ends_with(
            "has schema version 7, this program knows 6: install the newer outrider again"
        ));
    }
}
