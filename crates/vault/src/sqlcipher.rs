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

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use zeroize::Zeroizing;

use crate::secret::SecretKey;

/// Why a database cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// This key does not open the file.
    #[error(
        "{path} cannot be opened with this car's device key: it was made with another key, or is \
         damaged; put the old device.key or credential back, or move the file away to start anew"
    )]
    WrongKey {
        /// The database.
        path: PathBuf,
    },
    /// Pages are missing or are not what was written.
    #[error("{path} is damaged")]
    Damaged {
        /// The database.
        path: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error(
        "{path} has schema version {found}, this program knows {known}: install the newer outrider again"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
    /// The disk is full.
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
    /// Any other error of SQLite.
    #[error("{path}: {source}")]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// Classifies SQLite's error for a file by what a person can do about it.
    pub fn from_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::WrongKey { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            _ => Self::Sqlite { path, source },
        }
    }

    /// Whether the disk is the cause, so that trying again may help: it is full, read-only or
    /// failing. A wrong key or a later schema does not go away.
    pub fn is_disk(&self) -> bool {
        match self {
            Self::DiskFull { .. } | Self::Io { .. } => true,
            Self::WrongKey { .. } | Self::Damaged { .. } | Self::Newer { .. } => false,
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

impl StoreError {
    /// Whether this program can never use the file as it is, so that it must be set aside. A file
    /// of a later version counts too: after a downgrade the car must go on.
    pub fn is_unusable(&self) -> bool {
        matches!(self, Self::WrongKey { .. } | Self::Damaged { .. } | Self::Newer { .. })
    }
}

/// What a commit guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The data is on the disk when the commit returns, even after a power cut.
    Full,
    /// The file is whole after a crash of this program; a power cut may lose the last commits.
    Batch,
    /// The file is unreadable after a crash anyway, so no sync is forced: for keys that exist in
    /// this process only.
    Scratch,
}

/// Opens or makes a database. `schema` creates an empty one, whose version is then `version`.
pub fn open(
    path: &Path,
    key: &SecretKey,
    durability: Durability,
    schema: &str,
    version: u32,
) -> Result<Connection, StoreError> {
    open_upgrading(path, key, durability, schema, version, &[])
}

/// Opens or makes a database and upgrades one of an earlier version: `upgrades[0]` leads from
/// version 1 to 2, and so on. The upgrade is one transaction: a power cut leaves the old or the new
/// schema. A test of each store compares an upgraded schema with a fresh one.
pub fn open_upgrading(
    path: &Path,
    key: &SecretKey,
    durability: Durability,
    schema: &str,
    version: u32,
    upgrades: &[&str],
) -> Result<Connection, StoreError> {
    // SQLite itself would create the file with whatever permissions the umask leaves.
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

/// Runs `work` with a database. If the file turns out to be unusable, sets it aside and runs `work`
/// once more with a new one. Returns the result, and whether the database is new.
pub fn open_or_replace<T, E>(
    path: &Path,
    work: impl Fn() -> Result<T, E>,
    store: impl Fn(&E) -> Option<&StoreError>,
) -> Result<(T, bool), E> {
    match work() {
        Ok(done) => Ok((done, false)),
        Err(e) if store(&e).is_some_and(StoreError::is_unusable) => {
            tracing::error!(error = %store(&e).map(ToString::to_string).unwrap_or_default(), "database cannot be used");
            // If the file cannot be set aside, the first error is returned.
            match crate::aside::set_aside(path) {
                Ok(_) => Ok((work()?, true)),
                Err(why) => {
                    tracing::error!(path = %path.display(), error = %why, "database not set aside");
                    Err(e)
                }
            }
        }
        Err(e) => Err(e),
    }
}

/// Reads a whole database without changing it: the authentication code of every page, every index.
pub fn examine(path: &Path, key: &SecretKey) -> Result<(), StoreError> {
    let sqlite = |e| StoreError::from_sqlite(path, e);
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(sqlite)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(sqlite)?;
    db.execute_batch("PRAGMA cipher_log_level = NONE; PRAGMA temp_store = MEMORY;")
        .map_err(sqlite)?;
    db.execute_batch(&pragma_key(key)).map_err(sqlite)?;
    db.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(())).map_err(sqlite)?;
    for sql in ["PRAGMA cipher_integrity_check", "PRAGMA quick_check(1)"] {
        let mut query = db.prepare(sql).map_err(sqlite)?;
        let mut rows = query.query(()).map_err(sqlite)?;
        while let Some(row) = rows.next().map_err(sqlite)? {
            if !row.get::<_, String>(0).is_ok_and(|line| line == "ok") {
                return Err(StoreError::Damaged { path: path.to_owned() });
            }
        }
    }
    Ok(())
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
    // A writer waits for its turn when it begins. A transaction that begins by reading and writes
    // later would be refused at once while another process writes, however long it may wait.
    db.set_transaction_behavior(TransactionBehavior::Immediate);
    // With a wrong key SQLCipher would print noise on standard error; we report that ourselves.
    // Freed memory that held pages or keys is wiped. Both must be set before the key.
    db.execute_batch("PRAGMA cipher_log_level = NONE; PRAGMA cipher_memory_security = ON;")?;
    db.execute_batch(&pragma_key(key))?;
    // The first read proves the key. Sorting happens in memory, so that no temporary file ever
    // holds a row.
    db.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    db.execute_batch("PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;")?;
    let (journal, synchronous) = match durability {
        Durability::Full => ("WAL", "FULL"),
        // Rows are only appended: a rollback journal holds next to nothing then, where a WAL would
        // write every page twice.
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
        // Another process may have upgraded it while this one waited.
        let found: u32 = tx.query_row("PRAGMA user_version", (), |row| row.get(0))?;
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
    // All of it is allocated at once: a buffer that grows leaves copies behind.
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

    /// Reads and then writes in one transaction, as every store does.
    fn read_and_write(db: &mut Connection) -> rusqlite::Result<()> {
        let tx = db.transaction()?;
        let n: i64 = tx.query_row("SELECT count(*) FROM note", (), |r| r.get(0))?;
        tx.execute("INSERT INTO note VALUES (?1)", [n.to_string()])?;
        tx.commit()
    }

    #[test]
    fn writer_waits_for_another_process_rather_than_be_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let key = SecretKey::random().unwrap();
        let mut db = open(&path, &key, Durability::Full, SCHEMA, 1).unwrap();
        let mut other = open(&path, &key, Durability::Full, SCHEMA, 1).unwrap();
        let holds = other.transaction().unwrap();
        holds.execute("INSERT INTO note VALUES ('other')", ()).unwrap();
        let started = std::time::Instant::now();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| read_and_write(&mut db));
            std::thread::sleep(Duration::from_millis(300));
            holds.commit().unwrap();
            waits.join().unwrap().expect("its turn came within five seconds");
        });
        assert!(started.elapsed() >= Duration::from_millis(300));
        // It read what the other process had written.
        let last: String =
            db.query_row("SELECT text FROM note ORDER BY rowid DESC", (), |r| r.get(0)).unwrap();
        assert_eq!(last, "1");
    }

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
