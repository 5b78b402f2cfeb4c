//! `hits.db` itself: opened, upgraded, opened again after a disk has refused.

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::OutboxError;
use super::age::{Age, Now};
use crate::clock::Clock;
use crate::health::Health;
use crate::keys::{DeviceKey, Protection, Purpose};
use crate::sqlcipher::{self, Durability, StoreError};

/// Version of `schema.sql`.
const SCHEMA_VERSION: u32 = 2;

/// The statements that upgrade each version to the next.
const UPGRADES: [&str; 1] = [include_str!("upgrade/1_to_2.sql")];

/// Pause before a database that could not be opened is tried again. (Tests do not wait.)
const AGAIN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2_000 });

/// Knows where the database is and how to open it.
pub(super) struct Opener {
    folder: PathBuf,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    protection: OnceLock<Protection>,
}

/// An open database and its age clock.
pub(super) struct Store {
    pub(super) db: Connection,
    pub(super) age: Age,
}

impl Store {
    /// Makes the numbers of messages go on from here, so that an acknowledgement of a message in the database before
    /// is not taken for one in this.
    fn number_from(&self, from: i64) -> rusqlite::Result<()> {
        self.db
            .execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?1)", [from])
            .map(drop)
    }
}

impl Opener {
    pub(super) fn new(folder: &Path, clock: Arc<dyn Clock>, health: Arc<Health>) -> Self {
        let path = folder.join("hits.db");
        Self { folder: folder.to_owned(), path, clock, health, protection: OnceLock::new() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the device key comes from; a key file until it is known.
    pub(super) fn protection(&self) -> Protection {
        self.protection.get().copied().unwrap_or(Protection::KeyFile)
    }

    /// Opens or makes the database, as its one owner. A database that is damaged, of another key or of a later version
    /// is set aside, so that a car can always record the next hit.
    pub(super) fn open(&self) -> Result<Store, OutboxError> {
        crate::files::private_folder(&self.folder)
            .map_err(|source| StoreError::Io { path: self.folder.clone(), source })?;
        let (store, anew) = sqlcipher::open_or_replace(
            &self.path,
            || self.take_up(),
            |e| match e {
                OutboxError::Store(e) => Some(e),
                _ => None,
            },
        )?;
        if anew {
            store.number_from(Now::of(&*self.clock).wall_ms()).map_err(|e| self.sqlite(e))?;
        }
        crate::aside::report_to_health(&self.folder, &self.health);
        Ok(store)
    }

    /// Sets a database aside that has turned out to be damaged while it was open, and begins anew.
    pub(super) fn begin_anew(&self) -> Result<Store, OutboxError> {
        crate::aside::set_aside(&self.path)
            .map_err(|source| StoreError::Io { path: self.path.clone(), source })?;
        let store = self.open()?;
        store.number_from(Now::of(&*self.clock).wall_ms()).map_err(|e| self.sqlite(e))?;
        Ok(store)
    }

    fn sqlite(&self, e: rusqlite::Error) -> OutboxError {
        StoreError::from_sqlite(&self.path, e).into()
    }

    fn take_up(&self) -> Result<Store, OutboxError> {
        let store = self.connect()?;
        // A commit whose sync the disk refused may be in the log, but in memory only. The checkpoint
        // makes it last; only then may it count.
        store
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
            .map_err(|e| StoreError::from_sqlite(&self.path, e))?;
        // What was under way when we stopped may not have arrived; what a broker could not take
        // may pass now.
        store
            .db
            .execute("UPDATE outbox SET state = 0, note = NULL WHERE state IN (1, 3)", ())
            .map_err(|e| StoreError::from_sqlite(&self.path, e))?;
        Ok(store)
    }

    /// Opens the database beside its owner: no message changes its state.
    pub(super) fn connect(&self) -> Result<Store, OutboxError> {
        let device = DeviceKey::load(&self.folder)?;
        let _ = self.protection.set(device.protection());
        let db = sqlcipher::open_upgrading(
            &self.path,
            &device.derive(Purpose::Hits),
            Durability::Full,
            include_str!("schema.sql"),
            SCHEMA_VERSION,
            &UPGRADES,
        )?;
        let age = Age::load(&db, Now::of(&*self.clock))
            .map_err(|e| StoreError::from_sqlite(&self.path, e))?;
        Ok(Store { db, age })
    }
}

/// The database, or why there is none.
pub(super) enum Slot {
    Open(Store),
    Away { why: String, tried: Instant },
}

impl Slot {
    pub(super) fn away(why: &OutboxError) -> Self {
        Self::Away { why: why.to_string(), tried: Instant::now() }
    }
}

/// An open database, for as long as this lives.
pub(super) struct Guard<'a>(MutexGuard<'a, Slot>);

impl<'a> Guard<'a> {
    /// Opens the database if it is not open and the last try is long enough ago.
    pub(super) fn of(mut slot: MutexGuard<'a, Slot>, opener: &Opener) -> Result<Self, OutboxError> {
        if let Slot::Away { why, tried } = &*slot {
            if tried.elapsed() < AGAIN_AFTER {
                let path = opener.path().to_owned();
                return Err(OutboxError::Away { path, why: why.clone() });
            }
            match opener.open() {
                Ok(store) => {
                    tracing::info!("hits can be written again");
                    *slot = Slot::Open(store);
                }
                Err(e) => {
                    *slot = Slot::away(&e);
                    return Err(e);
                }
            }
        }
        Ok(Self(slot))
    }

    /// Closes a database that has turned out to be damaged, and begins anew.
    pub(super) fn replace(slot: &mut Slot, opener: &Opener) {
        let (path, why) = (opener.path().to_owned(), "it is damaged".to_owned());
        // The connection is closed before its file is moved.
        *slot = Slot::away(&OutboxError::Away { path, why });
        match opener.begin_anew() {
            Ok(store) => *slot = Slot::Open(store),
            Err(e) => {
                tracing::error!(error = %e, "hits cannot be written, alerts go on");
                *slot = Slot::away(&e);
            }
        }
    }

    /// Closes the database, to be opened anew: after an error that the connection may not survive.
    pub(super) fn give_up(mut self, why: &OutboxError) {
        *self.0 = Slot::away(why);
    }
}

impl Deref for Guard<'_> {
    type Target = Store;
    fn deref(&self) -> &Store {
        match &*self.0 {
            Slot::Open(store) => store,
            Slot::Away { .. } => unreachable!("a guard is made of an open database"),
        }
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Store {
        match &mut *self.0 {
            Slot::Open(store) => store,
            Slot::Away { .. } => unreachable!("a guard is made of an open database"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    /// The definition of every table and index, in SQLite's own text.
    fn schema(db: &Connection) -> Vec<(String, String)> {
        let mut query =
            db.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
        let rows = query.query_map((), |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn upgraded_schema_equals_a_fresh_one_and_keeps_every_row() {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let fresh = Opener::new(&dir.path().join("fresh"), clock.clone(), Arc::default());
        let fresh = fresh.open().unwrap();

        let opener = Opener::new(&dir.path().join("old"), clock, Arc::default());
        crate::files::private_folder(&opener.folder).unwrap();
        let key = DeviceKey::load(&opener.folder).unwrap().derive(Purpose::Hits);
        let first = include_str!("upgrade/1.sql");
        let db = sqlcipher::open(&opener.path, &key, Durability::Full, first, 1).unwrap();
        db.execute_batch(
            "INSERT INTO hit VALUES (x'00000000000000000000000000000001', 7, x'01', x'02');
             INSERT INTO outbox (seq, hit, kind, bytes, state, attempts, acked_ms, note)
             VALUES (41, x'00000000000000000000000000000001', 0, 9, 2, 3, 1795000000000, 'n'),
                    (42, x'00000000000000000000000000000001', 1, 9, 3, 0, NULL, 'too large');",
        )
        .unwrap();
        drop(db);
        let store = opener.open().unwrap();
        assert_eq!(schema(&store.db), schema(&fresh.db));
        let rows: Vec<(i64, i64, i64, Option<i64>)> = store
            .db
            .prepare("SELECT seq, part, state, acked_ms FROM outbox ORDER BY seq")
            .unwrap()
            .query_map((), |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows, [(41, 0, 2, Some(1_795_000_000_000)), (42, 0, 0, None)]);
        assert!(store.age.ms() >= 1_795_000_000_000, "old acknowledgements are not in the future");
        store
            .db
            .execute_batch(
                "INSERT INTO outbox (hit, kind, part, bytes) SELECT id, 2, 1, 1 FROM hit",
            )
            .unwrap();
        assert_eq!(store.db.last_insert_rowid(), 43, "numbers go on where they were");
    }
}
