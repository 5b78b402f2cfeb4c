//! `hotplates.db`: the hotplates on the disk, in SQLCipher under a key of their own, with
//! synchronous commits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Hotplate, HotplateError};
use crate::clock::{BootId, FrameTime};
use crate::entry::Priority;
use crate::keys::{DeviceKey, Purpose};
use crate::plate::{Jurisdiction, ListedPlate};
use crate::policy::Who;
use crate::secret::SecretKey;
use crate::sqlcipher::{self, Durability, StoreError};

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: u32 = 1;

/// Time between two notes of the wall clock: the most by which a power cut and a clock that is set
/// back can together prolong a hotplate.
const NOTE_EVERY: Duration = Duration::from_secs(300);

/// When a hotplate ends on the boot clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) boot: BootId,
    pub(super) at: Duration,
}

/// A hotplate's text as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    plate: String,
    jurisdiction: Jurisdiction,
    priority: Priority,
    reason: String,
    case: String,
    by: String,
    role: Who,
}

pub(super) struct Keep {
    path: PathBuf,
    key: SecretKey,
    db: Connection,
    noted: Option<Duration>,
}

fn connect(path: &Path, key: &SecretKey) -> Result<Connection, StoreError> {
    let db = sqlcipher::open(path, key, Durability::Full, SCHEMA, SCHEMA_VERSION)?;
    // A file that was cut off is noticed here and not when it is read.
    db.query_row(
        "SELECT (SELECT count(*) FROM hotplate) + (SELECT count(*) FROM seen)",
        (),
        |_| Ok(()),
    )
    .map_err(|e| StoreError::from_sqlite(path, e))?;
    Ok(db)
}

impl Keep {
    pub(super) fn open(path: &Path, device: &DeviceKey) -> Result<Self, HotplateError> {
        if let Some(folder) = path.parent() {
            crate::files::private_folder(folder)
                .map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
        }
        let key = device.derive(Purpose::Hotplates);
        let (db, _) = sqlcipher::open_or_replace(path, || connect(path, &key), |e| Some(e))?;
        let keep = Self { path: path.to_owned(), key, db, noted: None };
        // A kill between a deletion and the emptying leaves it full. A disk that refuses this is told when it refuses
        // more than that.
        if let Err(error) = keep.empty_journal() {
            tracing::warn!(%error, "journal of the hotplates not emptied");
        }
        Ok(keep)
    }

    /// Sets aside a database that has turned out to be damaged, and writes the hotplates in force
    /// into a new one.
    pub(super) fn begin_anew(
        &mut self,
        running: &[(Hotplate, Ends)],
        now: FrameTime,
    ) -> Result<(), HotplateError> {
        let io = |source| StoreError::Io { path: self.path.clone(), source };
        crate::aside::set_aside(&self.path).map_err(io)?;
        self.db = connect(&self.path, &self.key)?;
        running.iter().try_for_each(|(hotplate, ends)| self.write(hotplate, ends, now))
    }

    /// Reads the hotplates that may still be in force. If the clock stands before a time that was
    /// already noted, the remaining time is unknown and counts as none.
    pub(super) fn read(
        &mut self,
        now: FrameTime,
        boot: BootId,
    ) -> Result<Vec<(Hotplate, Ends)>, HotplateError> {
        let rows = (|| {
            let seen: i64 =
                self.db
                    .query_row("SELECT coalesce(max(wall_ms), 0) FROM seen", (), |r| r.get(0))?;
            let mut query = self.db.prepare(
                "SELECT id, body, added_ms, expires_ms, boot, boot_ends_ms FROM hotplate ORDER BY id",
            )?;
            let rows = query.query_map((), |row| {
                Ok((
                    Ulid::from_bytes(row.get(0)?),
                    row.get::<_, Vec<u8>>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, i64>(3)?,
                    row.get::<_, [u8; 16]>(4)?,
                    row.get::<_, i64>(5)?,
                ))
            })?;
            Ok((seen, rows.collect::<Result<Vec<_>, _>>()?))
        })();
        let (seen, rows) = rows.map_err(|e| self.sqlite(e))?;
        let wall = now.wall.as_millisecond();
        let mut running = Vec::new();
        for (id, body, added, expires, booted, ends) in rows {
            let Some(hotplate) = hotplate(id, &body, added, expires) else {
                tracing::error!(%id, "hotplate in the database is damaged, left out");
                continue;
            };
            let at = match booted == boot.to_bytes() {
                // It is the same boot, so its clock has gone on.
                true => Duration::from_millis(u64::try_from(ends).unwrap_or(0)),
                false if wall < added.max(seen) => Duration::ZERO,
                false => {
                    let left = Duration::from_millis(u64::try_from(expires - wall).unwrap_or(0));
                    now.monotonic + left
                }
            };
            running.push((hotplate, Ends { boot, at }));
        }
        Ok(running)
    }

    /// Writes a hotplate; it is on the disk when this returns.
    pub(super) fn write(
        &mut self,
        h: &Hotplate,
        ends: &Ends,
        now: FrameTime,
    ) -> Result<(), HotplateError> {
        let row = Row {
            plate: h.plate.expose().to_owned(),
            jurisdiction: h.jurisdiction,
            priority: h.priority,
            reason: h.reason.clone(),
            case: h.case.clone(),
            by: h.by.clone(),
            role: h.role,
        };
        let body = serde_json::to_vec(&row).expect("strings");
        let done = self.db.execute(
            "INSERT INTO hotplate (id, body, added_ms, expires_ms, boot, boot_ends_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                h.id.to_bytes(),
                body,
                h.added.as_millisecond(),
                h.expires.as_millisecond(),
                ends.boot.to_bytes(),
                i64::try_from(ends.at.as_millis()).unwrap_or(i64::MAX)
            ],
        );
        done.map_err(|e| self.sqlite(e))?;
        self.noted = None;
        self.note_wall_clock(now)
    }

    /// Notes the wall clock, so that setting it back is noticed.
    pub(super) fn note_wall_clock(&mut self, now: FrameTime) -> Result<(), HotplateError> {
        let due = self.noted.is_none_or(|at| now.monotonic.saturating_sub(at) >= NOTE_EVERY);
        if due {
            let wall = now.wall.as_millisecond();
            let done = self.db.execute(
                "INSERT INTO seen (one, wall_ms) VALUES (1, ?1)
                 ON CONFLICT (one) DO UPDATE SET wall_ms = max(wall_ms, ?1)",
                [wall],
            );
            done.map_err(|e| self.sqlite(e))?;
            self.noted = Some(now.monotonic);
        }
        Ok(())
    }

    pub(super) fn forget(&mut self, id: Ulid) -> Result<(), HotplateError> {
        let done = (|| {
            self.db.execute("DELETE FROM hotplate WHERE id = ?1", [id.to_bytes()])?;
            // The note goes with the last hotplate: a wrong clock that is corrected must not end
            // the next one.
            self.db.execute("DELETE FROM seen WHERE NOT EXISTS (SELECT 1 FROM hotplate)", ())?;
            self.empty_journal()
        })();
        done.map_err(|e| self.sqlite(e))
    }

    /// Empties the journal: it has the pages that held what was deleted, until later writes reach their place.
    fn empty_journal(&self) -> rusqlite::Result<()> {
        self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
    }

    fn sqlite(&self, e: rusqlite::Error) -> HotplateError {
        StoreError::from_sqlite(&self.path, e).into()
    }
}

fn hotplate(id: Ulid, body: &[u8], added: i64, expires: i64) -> Option<Hotplate> {
    let row: Row = serde_json::from_slice(body).ok()?;
    Some(Hotplate {
        id,
        plate: ListedPlate::parse(&row.plate).ok()?,
        jurisdiction: row.jurisdiction,
        priority: row.priority,
        reason: row.reason,
        case: row.case,
        by: row.by,
        role: row.role,
        added: Timestamp::from_millisecond(added).ok()?,
        expires: Timestamp::from_millisecond(expires).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When everything here is asked and written.
    const NOW: FrameTime = FrameTime { monotonic: Duration::ZERO, wall: Timestamp::UNIX_EPOCH };

    fn boot() -> BootId {
        BootId::from_bytes([1; 16])
    }

    /// A new car's key, and where its hotplates are kept.
    fn place() -> (tempfile::TempDir, DeviceKey, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let device = DeviceKey::load(&state).unwrap();
        (dir, device, state.join("hotplates.db"))
    }

    #[test]
    fn damaged_database_is_set_aside_and_hotplates_can_be_added() {
        let (_dir, device, path) = place();
        drop(Keep::open(&path, &device).unwrap());
        let good = std::fs::read(&path).unwrap();
        for bad in [vec![0x5a; good.len()], good[..good.len() / 2].to_vec()] {
            std::fs::write(&path, bad).unwrap();
            let mut keep = Keep::open(&path, &device).unwrap();
            assert!(keep.read(NOW, boot()).unwrap().is_empty());
            keep.begin_anew(&[], NOW).unwrap();
        }
        let aside = crate::aside::list(path.parent().unwrap());
        assert_eq!(aside.len(), 4, "two at the start, two while open");
    }

    /// How many hotplates somebody finds who has disk and key, and cuts the journal off wherever it helps.
    fn found_by_whoever_cuts_the_journal(path: &Path, device: &DeviceKey) -> usize {
        const BEFORE_FRAMES: usize = 32;
        const FRAME: usize = 24 + 4096;
        let journal = std::fs::read(path.with_extension("db-wal")).unwrap_or_default();
        let cuts = (0..).map(|n| BEFORE_FRAMES + n * FRAME).take_while(|at| *at < journal.len());
        let tried = cuts.chain([0, journal.len()]).map(|cut| {
            let dir = tempfile::tempdir().unwrap();
            let copy = dir.path().join("hotplates.db");
            std::fs::copy(path, &copy).unwrap();
            std::fs::write(copy.with_extension("db-wal"), &journal[..cut.min(journal.len())])
                .unwrap();
            let mut keep = Keep::open(&copy, device).unwrap();
            keep.read(NOW, boot()).unwrap().len()
        });
        tried.max().unwrap_or(0)
    }

    #[test]
    fn of_a_hotplate_that_is_taken_out_nothing_is_left_in_the_journal() {
        let (_dir, device, path) = place();
        let mut keep = Keep::open(&path, &device).unwrap();
        let ends = Ends { boot: boot(), at: Duration::from_secs(3_600) };
        let hotplate = Hotplate {
            id: Ulid(1),
            plate: ListedPlate::parse("ZKHOT01").unwrap(),
            jurisdiction: Jurisdiction::default(),
            priority: Priority::default(),
            reason: "seen leaving the bank".into(),
            case: String::new(),
            by: "1234".into(),
            role: Who::Officer,
            added: NOW.wall,
            expires: NOW.wall + jiff::SignedDuration::from_hours(1),
        };
        keep.write(&hotplate, &ends, NOW).unwrap();
        assert_eq!(found_by_whoever_cuts_the_journal(&path, &device), 1, "the search finds one");
        keep.forget(hotplate.id).unwrap();
        assert_eq!(found_by_whoever_cuts_the_journal(&path, &device), 0);
    }
}
