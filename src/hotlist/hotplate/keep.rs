//! `hotplates.db`: SQLCipher, a key of its own from the device key, synchronous commits.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Hotplate, HotplateError};
use crate::clock::{BootId, FrameTime};
use crate::hotlist::Priority;
use crate::keys::{self, DeviceKey, Purpose};
use crate::plate::{Jurisdiction, ListedPlate};
use crate::policy::Who;
use crate::sqlcipher::{self, Durability, StoreError};

const SCHEMA: &str = include_str!("schema.sql");
const SCHEMA_VERSION: u32 = 1;

/// Time between two notes of the wall clock: how much of a hotplate's time a power cut and a clock
/// set back can win together.
const NOTE_EVERY: Duration = Duration::from_secs(300);

/// When a hotplate ends on the boot clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) boot: BootId,
    pub(super) at: Duration,
}

/// A hotplate's text, as it is kept.
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
    db: Connection,
    noted: Option<Duration>,
}

impl Keep {
    pub(super) fn open(path: &Path, device: &DeviceKey) -> Result<Self, HotplateError> {
        if let Some(folder) = path.parent() {
            keys::private_folder(folder)
                .map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
        }
        let key = device.derive(Purpose::Hotplates);
        let db = sqlcipher::open(path, &key, Durability::Full, SCHEMA, SCHEMA_VERSION)?;
        Ok(Self { path: path.to_owned(), db, noted: None })
    }

    /// Those that may still run. One whose time cannot be told, because the clock stands before a
    /// time already seen, comes back with no time left.
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
                // The same boot: its clock has gone on.
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

    /// On the disk when this returns.
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
        self.seen(now)
    }

    /// Notes the wall clock, so that it cannot be set back behind it unnoticed.
    pub(super) fn seen(&mut self, now: FrameTime) -> Result<(), HotplateError> {
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
            // With the last one goes what was noted for them: a clock that was wrong and is set
            // right is no reason to end the next one.
            self.db
                .execute("DELETE FROM seen WHERE NOT EXISTS (SELECT 1 FROM hotplate)", ())
                .map(drop)
        })();
        done.map_err(|e| self.sqlite(e))
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
