//! One bucket of the ring: a database file, its key, its age.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, params};
use ulid::Ulid;

use super::key::{self, Opened, Sealer};
use super::purge::PurgeReason;
use super::search::Found;
use super::{Kept, RingError};
use crate::clock::{BootId, FrameTime, TimeSource};
use crate::grounds::Sighting;
use crate::plate::{Plate, PlateKey};
use crate::secret::SecretKey;
use crate::sqlcipher::{self, Durability, StoreError};

/// Version of `schema.sql`.
const SCHEMA_VERSION: u32 = 1;

/// Extension of a destroyed bucket's file whose end was recorded: only its removal is left.
pub(super) const DESTROYED: &str = "gone";

/// Now, in whole milliseconds of both clocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) boot_ms: i64,
    pub(super) wall_ms: i64,
}

impl From<FrameTime> for Now {
    fn from(t: FrameTime) -> Self {
        Self {
            boot_ms: i64::try_from(t.monotonic.as_millis()).unwrap_or(i64::MAX),
            wall_ms: t.wall.as_millisecond(),
        }
    }
}

/// One bucket.
pub(super) struct Bucket {
    name: String,
    folder: PathBuf,
    /// When it was opened, on this boot's clock: negative if that was before this boot.
    born_boot_ms: i64,
    born_wall_ms: i64,
    /// Size of its files when last measured.
    bytes: u64,
    /// Number of reads in it; `None` if they could not be counted.
    rows: Option<u64>,
    /// Identifies its key in records.
    key_id: Option<[u8; 8]>,
    /// Whether its key is destroyed, and only files are left.
    dead: bool,
    open: Option<Connection>,
    /// The key of a bucket without a key file: when it is dropped, the bucket is destroyed.
    in_memory: Option<SecretKey>,
}

impl Bucket {
    /// Makes an empty bucket that counts as opened at `opened`. Without a sealer, its key is in
    /// memory only.
    pub(super) fn create(
        folder: &Path,
        opened: Now,
        boot: BootId,
        sealer: Option<&Sealer>,
    ) -> Result<Self, RingError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|e| crate::keys::KeyError::from(crate::secret::RandomError(e.to_string())))?;
        let name = data_encoding::HEXLOWER.encode(&random);
        let key = key::fresh()?;
        let mut bucket = Self {
            name,
            folder: folder.to_owned(),
            born_boot_ms: opened.boot_ms,
            born_wall_ms: opened.wall_ms,
            bytes: 0,
            rows: Some(0),
            key_id: Some(key::id(&key)),
            dead: false,
            open: None,
            in_memory: None,
        };
        let durability = match sealer {
            Some(sealer) => {
                let opened = Opened { boot, boot_ms: opened.boot_ms, wall_ms: opened.wall_ms };
                let path = bucket.key_path();
                sealer
                    .write(&path, &bucket.name, &key, &opened)
                    .map_err(|source| RingError::Io { path, source })?;
                Durability::Batch
            }
            None => Durability::Scratch,
        };
        let db = sqlcipher::open(
            &bucket.db_path(),
            &key,
            durability,
            include_str!("schema.sql"),
            SCHEMA_VERSION,
        )?;
        bucket.open = Some(db);
        bucket.in_memory = sealer.is_none().then_some(key);
        bucket.measure();
        Ok(bucket)
    }

    /// Opens a bucket of an earlier run, for reading only. If it must go, because its age is
    /// unknown or it cannot be read, returns the reason and its remains.
    ///
    /// A bucket of another boot is dated by the wall clock, so somebody has to vouch for that: a
    /// clock that shows the time of the last shutdown would make it younger.
    pub(super) fn adopt(
        folder: &Path,
        name: &str,
        now: Now,
        (boot, source): (BootId, TimeSource),
        sealer: &Sealer,
    ) -> Result<Self, Box<(PurgeReason, Self)>> {
        let mut bucket = Self::remains(folder, name);
        let Ok(Some((key, opened))) = sealer.read(&bucket.key_path(), name) else {
            return Err(Box::new((PurgeReason::Unwanted, bucket)));
        };
        bucket.key_id = Some(key::id(&key));
        bucket.born_wall_ms = opened.wall_ms;
        let same = opened.boot == boot;
        bucket.born_boot_ms = match same {
            true => opened.boot_ms,
            false => now.boot_ms - (now.wall_ms - opened.wall_ms),
        };
        bucket.measure();
        let counted = bucket.count(&key);
        // It was opened in the future: the clock was set back since, by an unknown time.
        let dated = bucket.born_boot_ms <= now.boot_ms
            && (same || (opened.wall_ms <= now.wall_ms && source != TimeSource::Unverified));
        match (dated, counted) {
            (false, _) => Err(Box::new((PurgeReason::Unwanted, bucket))),
            (true, Err(e)) if !e.is_disk() => Err(Box::new((PurgeReason::Broken, bucket))),
            (true, _) => Ok(bucket),
        }
    }

    /// Counts its reads, for the record of its end; this scans a few hundred pages.
    fn count(&mut self, key: &SecretKey) -> Result<(), StoreError> {
        let path = self.db_path();
        if !path.exists() {
            return Err(StoreError::WrongKey { path });
        }
        let db = sqlcipher::open(
            &path,
            key,
            Durability::Batch,
            include_str!("schema.sql"),
            SCHEMA_VERSION,
        )?;
        let rows: i64 = db
            .query_row("SELECT count(*) FROM read", (), |row| row.get(0))
            .map_err(|e| StoreError::from_sqlite(&path, e))?;
        self.rows = u64::try_from(rows).ok();
        Ok(())
    }

    /// The file of a destroyed bucket that was not removed yet; its end was recorded.
    pub(super) fn destroyed(folder: &Path, name: &str) -> Self {
        let mut bucket = Self { dead: true, ..Self::remains(folder, name) };
        bucket.measure();
        bucket
    }

    /// The remains of a bucket, which can only be destroyed.
    pub(super) fn remains(folder: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            born_boot_ms: 0,
            born_wall_ms: 0,
            bytes: 0,
            rows: None,
            key_id: None,
            dead: false,
            open: None,
            in_memory: None,
        }
    }

    /// Milliseconds since it was opened: the longer time of the boot clock and the wall clock, so
    /// that neither clock, if set back, keeps it longer.
    pub(super) fn age_ms(&self, now: Now) -> i64 {
        (now.boot_ms - self.born_boot_ms).max(now.wall_ms - self.born_wall_ms)
    }

    /// Whether something seen at this instant of the boot clock came before this bucket.
    pub(super) fn opened_after(&self, boot_ms: i64) -> bool {
        boot_ms < self.born_boot_ms
    }

    /// When it was opened, on the wall clock, if that is known.
    pub(super) fn opened(&self) -> Option<Timestamp> {
        self.key_id.and_then(|_| Timestamp::from_millisecond(self.born_wall_ms).ok())
    }

    /// The id of its key in records.
    pub(super) fn key_id(&self) -> Option<String> {
        self.key_id.map(|id| data_encoding::HEXLOWER.encode(&id))
    }

    /// Its name, which is also the name of its key.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Size of its files when last measured.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of reads in it, if they could be counted.
    pub(super) fn rows(&self) -> Option<u64> {
        self.rows
    }

    /// Writes reads: all or none.
    pub(super) fn write(&mut self, reads: &[Kept]) -> Result<(), RingError> {
        let path = self.db_path();
        let db = self.open.as_mut().expect("only the open bucket is written to");
        let mut write = || {
            let tx = db.transaction()?;
            {
                let mut insert = tx.prepare_cached(
                    "INSERT INTO read (id, seen_ms, camera, plate, weakest, frames, latitude,
                                       longitude, accuracy_m, thumbnail)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                )?;
                for read in reads {
                    insert.execute(params![
                        read.id.to_bytes(),
                        read.seen.wall.as_millisecond(),
                        read.camera.as_str(),
                        read.plate.expose(),
                        read.weakest.get(),
                        read.frames,
                        read.place.map(|p| p.0),
                        read.place.map(|p| p.1),
                        read.accuracy_m,
                        read.thumbnail,
                    ])?;
                }
            }
            tx.commit()
        };
        let done = write().map_err(|e| StoreError::from_sqlite(&path, e));
        self.measure();
        done?;
        self.rows = self.rows.map(|rows| rows + reads.len() as u64);
        Ok(())
    }

    /// Finds the reads of these plates since a time. Every row is read: a text is folded before it
    /// is compared, and there is no index by plate.
    pub(super) fn find(
        &self,
        keys: &BTreeSet<PlateKey>,
        since: Timestamp,
        sealer: Option<&Sealer>,
    ) -> Result<Found, RingError> {
        let path = self.db_path();
        let opened = match (&self.open, &self.in_memory, sealer) {
            (Some(_), ..) => None,
            (None, Some(key), _) => Some(self.open_again(key)?),
            (None, None, Some(sealer)) => {
                let io = |source| RingError::Io { path: self.key_path(), source };
                match sealer.read(&self.key_path(), &self.name).map_err(io)? {
                    Some((key, _)) => Some(self.open_again(&key)?),
                    // It was destroyed meanwhile and holds nothing any more.
                    None => return Ok(Vec::new()),
                }
            }
            (None, None, None) => return Ok(Vec::new()),
        };
        let Some(db) = opened.as_ref().or(self.open.as_ref()) else { return Ok(Vec::new()) };
        let rows = (|| {
            let mut query = db.prepare(
                "SELECT id, seen_ms, camera, plate, weakest, latitude, longitude FROM read
                 WHERE seen_ms >= ?1",
            )?;
            let mut rows = query.query([since.as_millisecond()])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let text = row.get_ref(3)?.as_str()?;
                let Ok(key) = Plate::parse(text).map(|plate| plate.key()) else { continue };
                if !keys.contains(&key) {
                    continue;
                }
                let place: (Option<f64>, Option<f64>) = (row.get(5)?, row.get(6)?);
                let seen = Timestamp::from_millisecond(row.get(1)?).unwrap_or_default();
                let sighting = Sighting::new(
                    Ulid::from_bytes(row.get(0)?),
                    seen,
                    row.get(2)?,
                    row.get(4)?,
                    place.0.zip(place.1),
                );
                found.push((key, sighting));
            }
            Ok(found)
        })();
        rows.map_err(|e| StoreError::from_sqlite(&path, e).into())
    }

    fn open_again(&self, key: &SecretKey) -> Result<Connection, RingError> {
        Ok(sqlcipher::open(&self.db_path(), key, Durability::Batch, "", SCHEMA_VERSION)?)
    }

    /// Ends writing. A bucket whose key is in memory only keeps that key while the process lives.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.measure();
    }

    /// Destroys its key, and so the bucket. Returns whether the key was there until now.
    pub(super) fn destroy_key(&mut self) -> Result<bool, RingError> {
        self.open = None;
        self.in_memory = None;
        let path = self.key_path();
        crate::files::shred(&path).map_err(|source| RingError::Io { path, source })?;
        Ok(!std::mem::replace(&mut self.dead, true))
    }

    /// Renames the file of a destroyed bucket, so that a later start knows that its end was
    /// recorded. It takes the same time for a large file as for a small one: a rename, and the
    /// removal of a journal that is empty or holds one batch.
    pub(super) fn rename_destroyed(&mut self) -> Result<(), RingError> {
        debug_assert!(self.dead, "its key goes first");
        let journal = self.journal_path();
        // The journal goes first: alone, it would look like a bucket.
        let moved = match fs::remove_file(&journal) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err((journal, e)),
            _ => fs::rename(self.db_path(), self.destroyed_path()).map_err(|e| (self.db_path(), e)),
        };
        match moved {
            Err((path, source)) if source.kind() != io::ErrorKind::NotFound => {
                Err(RingError::Io { path, source })
            }
            _ => Ok(()),
        }
    }

    /// Removes its files, which takes longer the larger they are. After a failure it can be called
    /// again.
    pub(super) fn remove_files(&mut self) -> Result<(), RingError> {
        for file in self.files() {
            match fs::remove_file(&file) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(RingError::Io { path: file, source: e });
                }
                _ => {}
            }
        }
        self.bytes = 0;
        Ok(())
    }

    fn measure(&mut self) {
        let size = |path: &PathBuf| fs::metadata(path).map_or(0, |m| m.len());
        self.bytes = self.files().iter().map(size).sum::<u64>() + size(&self.key_path());
    }

    fn db_path(&self) -> PathBuf {
        self.folder.join(format!("{}.db", self.name))
    }

    fn key_path(&self) -> PathBuf {
        self.folder.join(format!("{}.key", self.name))
    }

    fn journal_path(&self) -> PathBuf {
        self.folder.join(format!("{}.db-journal", self.name))
    }

    fn destroyed_path(&self) -> PathBuf {
        self.folder.join(format!("{}.{DESTROYED}", self.name))
    }

    fn files(&self) -> [PathBuf; 3] {
        [self.db_path(), self.journal_path(), self.destroyed_path()]
    }

    /// The key of a bucket without a key file, for tests of where it must not be found.
    #[cfg(test)]
    pub(super) fn secret_in_memory(&self) -> Option<[u8; 32]> {
        self.in_memory.as_ref().map(|key| *key.expose())
    }

    /// All plates, for tests of what can be read.
    #[cfg(test)]
    pub(super) fn plates(&self, sealer: &Sealer) -> Vec<String> {
        let (key, _) = sealer.read(&self.key_path(), &self.name).unwrap().unwrap();
        let db = sqlcipher::open(&self.db_path(), &key, Durability::Batch, "", SCHEMA_VERSION);
        let db = db.unwrap();
        let mut query = db.prepare("SELECT plate FROM read").unwrap();
        let plates = query.query_map((), |row| row.get(0)).unwrap();
        plates.map(Result::unwrap).collect()
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod schema_tests;
