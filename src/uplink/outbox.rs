//! Hits on the disk, and what the broker still has to acknowledge.
//!
//! In: hits, and what the broker said of each message. Out: the next messages to send, the latest
//! hits for the console. Costs: one synchronous commit per hit, and one per round of sending.
//! Leaves to others: the line (`link.rs`), the socket (`mqtt.rs`), the JSON (`wire.rs`).
//!
//! A hit counts as recorded when [`Outbox::record`] returned `Ok`: the commit is on the disk. If
//! the disk refuses, the hit stays in memory, `record` says so, and each later turn tries again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use ulid::Ulid;

use super::wire::{HitReport, HitText, Outbound, QueueReport};
use crate::clock::Clock;
use crate::config::KeepingConfig;
use crate::config::Vehicle;
use crate::health::{Health, PartState};
use crate::keys::{self, DeviceKey, KeyError, Protection, Purpose};
use crate::onboard::Hit;
use crate::sqlcipher::{self, Durability, StoreError};

/// The part's name in health.
const PART: &str = "hits";

/// Version of `schema.sql`.
const SCHEMA_VERSION: u32 = 1;

/// Most hits to hold in memory while the disk refuses them. A hit with its picture takes about
/// 10 KB; a thousand hits are a month of a busy car.
const MOST_IN_MEMORY: usize = 1_000;

/// JPEG quality of the plate's picture: characters stay legible, and a crop stays under 10 KB.
const JPEG_QUALITY: u8 = 85;

/// Why a hit is not on the disk, or cannot be read from it.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The device key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A recorded hit that does not parse: the database was written by something else.
    #[error("hit {id} in {path} is damaged: {message}")]
    Damaged {
        /// The hit.
        id: Ulid,
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
}

/// Proof that a hit is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recorded {
    /// The hit.
    pub id: Ulid,
    /// When the commit returned, or that of the first time it was recorded.
    pub at: Timestamp,
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "why", rename_all = "snake_case")]
pub enum Delivery {
    /// Not sent yet, or to be sent again.
    Waiting,
    /// Handed to the broker, which has not acknowledged it yet.
    Sent,
    /// The broker has acknowledged it.
    Acknowledged,
    /// The broker cannot take it; the line says why, and when it is tried again.
    SetAside(String),
}

/// A hit as the car keeps it: what leaves, and what does not.
#[derive(Debug, Clone)]
pub struct KeptHit {
    /// The hit's name.
    pub id: Ulid,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What leaves.
    pub report: HitReport,
    /// The entry's free text, for the officer.
    pub detail: Detail,
    /// How far the hit's text has come.
    pub delivery: Delivery,
}

/// What stays in the car of a list's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Free text for the officer.
    pub reason: String,
    /// Make, model, colour, year as the list writes them.
    pub vehicle: String,
}

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) seq: i64,
    pub(super) is_text: bool,
    pub(super) attempts: u32,
    pub(super) what: Outbound,
}

/// The outbox. Clones share it.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    path: PathBuf,
    vehicle: Vehicle,
    protection: Protection,
    keep: Duration,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    /// Guards the connection, for one statement or transaction at a time: a millisecond, or as
    /// long as the disk takes to make a commit last.
    db: Mutex<Connection>,
    /// Guards the hits that the disk refused, while they are put in or tried again.
    in_memory: Mutex<VecDeque<Prepared>>,
    /// Told after each new hit.
    changed: Notify,
}

/// A hit, ready to be written.
struct Prepared {
    id: Ulid,
    text: HitText,
    detail: Vec<u8>,
    jpeg: Vec<u8>,
    digest: [u8; 32],
}

impl Outbox {
    /// Opens or makes `hits.db` in the state folder.
    pub fn open(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, OutboxError> {
        let path = keeping.directory.join("hits.db");
        keys::private_folder(&keeping.directory)
            .map_err(|source| StoreError::Io { path: keeping.directory.clone(), source })?;
        let device = DeviceKey::load(&keeping.directory)?;
        let db = sqlcipher::open(
            &path,
            &device.derive(Purpose::Hits),
            Durability::Full,
            include_str!("schema.sql"),
            SCHEMA_VERSION,
        )?;
        // What was under way when we stopped may not have arrived; what a broker could not take
        // may pass now.
        db.execute("UPDATE outbox SET state = 0, note = NULL WHERE state IN (1, 3)", ())
            .map_err(|e| StoreError::from_sqlite(&path, e))?;
        health.set(PART, PartState::Working);
        let outbox = Self(Arc::new(Inner {
            path,
            vehicle: vehicle.clone(),
            protection: device.protection(),
            keep: keeping.hits.get(),
            clock,
            health,
            db: Mutex::new(db),
            in_memory: Mutex::default(),
            changed: Notify::new(),
        }));
        outbox.forget_old()?;
        Ok(outbox)
    }

    /// Records a hit: when this returns `Ok`, it is on the disk and will be delivered, kill -9 or
    /// power cut notwithstanding. Recording one ULID twice is recording it once.
    pub fn record(&self, hit: &Hit) -> Result<Recorded, OutboxError> {
        self.write_refused();
        let prepared = self.prepare(hit);
        match self.write(&prepared) {
            Ok(recorded) => {
                self.0.changed.notify_one();
                Ok(recorded)
            }
            Err(e) => {
                let mut refused = self.refused();
                if refused.len() < MOST_IN_MEMORY {
                    refused.push_back(prepared);
                }
                self.say_refused(refused.len(), &e);
                Err(e)
            }
        }
    }

    /// The latest hits, the newest first.
    pub fn recent(&self, n: usize) -> Result<Vec<KeptHit>, OutboxError> {
        let db = self.db();
        let rows = (|| {
            let mut query = db.prepare_cached(
                "SELECT h.id, h.recorded_ms, h.report, h.detail, o.state, o.note
                 FROM hit h JOIN outbox o ON o.hit = h.id AND o.kind = 0
                 ORDER BY o.seq DESC LIMIT ?1",
            )?;
            let rows = query.query_map([i64::try_from(n).unwrap_or(i64::MAX)], |row| {
                Ok((
                    Ulid::from_bytes(row.get(0)?),
                    row.get::<_, i64>(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                    row.get::<_, Vec<u8>>(3)?,
                    delivery(row.get(4)?, row.get(5)?),
                ))
            })?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(|e| self.sqlite(e))?;
        rows.into_iter()
            .map(|(id, at, report, detail, delivery)| {
                let damaged = |e: serde_json::Error| OutboxError::Damaged {
                    id,
                    path: self.0.path.clone(),
                    message: e.to_string(),
                };
                Ok(KeptHit {
                    id,
                    recorded_at: from_ms(at),
                    report: HitReport::parse(&report).map_err(damaged)?,
                    detail: serde_json::from_slice(&detail).map_err(damaged)?,
                    delivery,
                })
            })
            .collect()
    }

    /// The picture of a hit's plate.
    pub fn plate_jpeg(&self, id: Ulid) -> Result<Option<Vec<u8>>, OutboxError> {
        self.db()
            .query_row(
                "SELECT i.jpeg FROM hit_image h JOIN image i USING (sha256)
                 WHERE h.hit = ?1 AND h.name = 'plate.jpg'",
                [id.to_bytes()],
                |row| row.get(0),
            )
            .optional()
            .map_err(|e| self.sqlite(e))
    }

    /// What waits to be delivered.
    pub fn queue(&self) -> Result<QueueReport, OutboxError> {
        let not_on_disk = u32::try_from(self.refused().len()).unwrap_or(u32::MAX);
        self.db()
            .query_row(
                "SELECT count(*) FILTER (WHERE kind = 0 AND state < 2),
                        count(*) FILTER (WHERE kind = 1 AND state < 2),
                        count(*) FILTER (WHERE state = 3)
                 FROM outbox WHERE state != 2",
                (),
                |row| {
                    Ok(QueueReport {
                        hits: row.get(0)?,
                        images: row.get(1)?,
                        set_aside: row.get(2)?,
                        not_on_disk,
                    })
                },
            )
            .map_err(|e| self.sqlite(e))
    }

    /// Where the device key comes from.
    pub fn protection(&self) -> Protection {
        self.0.protection
    }

    /// Returns once a hit was recorded after the last call.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The next messages to send, oldest first; never a picture before its own hit's text.
    pub(super) fn due(
        &self,
        most: usize,
        texts_first: bool,
        not: &dyn Fn(i64) -> bool,
    ) -> Result<Vec<Item>, OutboxError> {
        let order = if texts_first { "o.kind, o.seq" } else { "o.seq" };
        let sql = format!(
            "SELECT o.seq, o.hit, o.kind, o.attempts FROM outbox o
             WHERE o.state = 0 AND (o.kind = 0 OR EXISTS (
                 SELECT 1 FROM outbox t WHERE t.hit = o.hit AND t.kind = 0 AND t.state IN (1, 2)))
             ORDER BY {order}"
        );
        let db = self.db();
        (|| {
            let mut items = Vec::new();
            let mut query = db.prepare_cached(&sql)?;
            let mut rows = query.query(())?;
            while items.len() < most
                && let Some(row) = rows.next()?
            {
                let (seq, hit, kind): (i64, [u8; 16], i64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                if not(seq) {
                    continue;
                }
                let what = match kind {
                    0 => Outbound::Hit(HitText::recorded(
                        Ulid::from_bytes(hit),
                        db.prepare_cached("SELECT report FROM hit WHERE id = ?1")?
                            .query_row([hit], |r| r.get(0))?,
                    )),
                    _ => Outbound::PlateImage {
                        hit: Ulid::from_bytes(hit),
                        jpeg: db
                            .prepare_cached(
                                "SELECT i.jpeg FROM hit_image h JOIN image i USING (sha256)
                                 WHERE h.hit = ?1 AND h.name = 'plate.jpg'",
                            )?
                            .query_row([hit], |r| r.get(0))?,
                    },
                };
                items.push(Item { seq, is_text: kind == 0, attempts: row.get(3)?, what });
            }
            Ok(items)
        })()
        .map_err(|e| self.sqlite(e))
    }

    /// Writes down, in one commit, what became of messages. Returns how many hits' texts were
    /// acknowledged for the first time.
    pub(super) fn progress(&self, news: &[(i64, News)]) -> Result<u64, OutboxError> {
        if news.is_empty() {
            return Ok(0);
        }
        let now = self.0.clock.now().wall.as_millisecond();
        let mut db = self.db();
        let texts = (|| {
            let tx = db.transaction()?;
            let mut texts = 0;
            for (seq, news) in news {
                match news {
                    News::Sent => {
                        tx.prepare_cached(
                            "UPDATE outbox SET state = 1, attempts = attempts + 1
                             WHERE seq = ?1 AND state = 0",
                        )?
                        .execute([seq])?;
                    }
                    News::Acknowledged => {
                        let kind: Option<i64> = tx
                            .prepare_cached(
                                "UPDATE outbox SET state = 2, acked_ms = ?2, note = NULL
                                 WHERE seq = ?1 AND state != 2 RETURNING kind",
                            )?
                            .query_row(params![seq, now], |r| r.get(0))
                            .optional()?;
                        texts += u64::from(kind == Some(0));
                    }
                    News::Waiting => {
                        tx.prepare_cached(
                            "UPDATE outbox SET state = 0 WHERE seq = ?1 AND state = 1",
                        )?
                        .execute([seq])?;
                    }
                    News::SetAside(why) => {
                        tx.prepare_cached(
                            "UPDATE outbox SET state = 3, note = ?2 WHERE seq = ?1 AND state != 2",
                        )?
                        .execute(params![seq, why])?;
                    }
                }
            }
            tx.commit()?;
            Ok(texts)
        })()
        .map_err(|e| self.sqlite(e))?;
        // Counted before the lock goes: who sees an empty queue sees the count too.
        self.0.health.delivered.many(texts);
        drop(db);
        Ok(texts)
    }

    /// A new connection: what was under way on the old one is sent again, and what was set aside
    /// for its size is tried again if this broker takes more.
    pub(super) fn start_over(&self, largest: usize) -> Result<(), OutboxError> {
        self.db()
            .execute(
                "UPDATE outbox SET state = 0, note = NULL
                 WHERE state = 1 OR (state = 3 AND bytes <= ?1 AND note LIKE ?2 || '%')",
                params![i64::try_from(largest).unwrap_or(i64::MAX), TOO_LARGE],
            )
            .map(|_| ())
            .map_err(|e| self.sqlite(e))
    }

    /// Gives what was set aside for anything but its size another chance.
    pub(super) fn retry_set_aside(&self) -> Result<(), OutboxError> {
        self.db()
            .execute(
                "UPDATE outbox SET state = 0, note = NULL
                 WHERE state = 3 AND note NOT LIKE ?1 || '%'",
                [TOO_LARGE],
            )
            .map(|_| ())
            .map_err(|e| self.sqlite(e))
    }

    /// Tries again to write the hits that the disk refused.
    pub(super) fn write_refused(&self) {
        let mut refused = self.refused();
        if refused.is_empty() {
            return;
        }
        while let Some(prepared) = refused.front() {
            match self.write(prepared) {
                Ok(_) => {
                    refused.pop_front();
                    self.0.changed.notify_one();
                }
                Err(e) => return self.say_refused(refused.len(), &e),
            }
        }
        tracing::info!("hits held in memory are on the disk again");
        self.0.health.set(PART, PartState::Working);
    }

    /// Deletes hits that were delivered whole and are older than the configuration keeps them.
    pub(super) fn forget_old(&self) -> Result<usize, OutboxError> {
        let keep = i64::try_from(self.0.keep.as_millis()).unwrap_or(i64::MAX);
        let before = self.0.clock.now().wall.as_millisecond().saturating_sub(keep);
        let mut db = self.db();
        (|| {
            let tx = db.transaction()?;
            let gone = tx.execute(
                "DELETE FROM hit WHERE id IN (
                     SELECT hit FROM outbox GROUP BY hit
                     HAVING min(state = 2) = 1 AND max(acked_ms) < ?1)",
                [before],
            )?;
            if gone > 0 {
                tx.execute(
                    "DELETE FROM image WHERE sha256 NOT IN (SELECT sha256 FROM hit_image)",
                    (),
                )?;
            }
            tx.commit()?;
            if gone > 0 {
                tracing::info!(hits = gone, "delivered hits past their retention deleted");
            }
            Ok(gone)
        })()
        .map_err(|e| self.sqlite(e))
    }

    fn prepare(&self, hit: &Hit) -> Prepared {
        let jpeg = picture(hit);
        let report = HitReport::of(hit, &self.0.vehicle, self.0.protection, &jpeg);
        let entry = hit.entry();
        let detail = Detail { reason: entry.reason.clone(), vehicle: entry.vehicle.to_string() };
        Prepared {
            id: hit.id(),
            text: HitText::of(&report),
            detail: serde_json::to_vec(&detail).expect("two strings"),
            digest: Sha256::digest(&jpeg).into(),
            jpeg,
        }
    }

    fn write(&self, hit: &Prepared) -> Result<Recorded, OutboxError> {
        let id = hit.id.to_bytes();
        let now = self.0.clock.now().wall.as_millisecond();
        let mut db = self.db();
        let (at, new) = (|| {
            let tx = db.transaction()?;
            let known: Option<i64> = tx
                .query_row("SELECT recorded_ms FROM hit WHERE id = ?1", [id], |r| r.get(0))
                .optional()?;
            if let Some(at) = known {
                return Ok((at, false));
            }
            insert(&tx, hit, now, &self.0.vehicle)?;
            tx.commit()?;
            Ok((now, true))
        })()
        .map_err(|e| self.sqlite(e))?;
        if new {
            self.0.health.recorded.one();
        }
        drop(db);
        Ok(Recorded { id: hit.id, at: from_ms(at) })
    }

    fn say_refused(&self, n: usize, why: &OutboxError) {
        tracing::error!(hits = n, error = %why, "disk refused hits, held in memory");
        let plural = if n == 1 { "hit is" } else { "hits are" };
        let most = if n >= MOST_IN_MEMORY { ", and no more fit" } else { "" };
        self.0
            .health
            .set(PART, PartState::Down(format!("{n} {plural} in memory only{most}: {why}")));
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolls it back: the connection is whole.
        self.0.db.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn refused(&self) -> MutexGuard<'_, VecDeque<Prepared>> {
        self.0.in_memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn sqlite(&self, e: rusqlite::Error) -> OutboxError {
        StoreError::from_sqlite(&self.0.path, e).into()
    }

    /// Makes the disk seem full at the file's present size plus `pages`, or not any more.
    #[cfg(test)]
    pub(super) fn limit_pages_for_tests(&self, pages: Option<i64>) {
        let db = self.db();
        let now: i64 = db.query_row("PRAGMA page_count", (), |r| r.get(0)).unwrap();
        let most = pages.map_or(1_000_000, |pages| now + pages);
        db.query_row(&format!("PRAGMA max_page_count = {most}"), (), |_| Ok(())).unwrap();
    }

    /// The database file, for messages and `check`.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// How the note of a message begins that is larger than the broker takes.
pub(super) const TOO_LARGE: &str = "larger than the broker takes";

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Handed to the broker.
    Sent,
    /// The broker said so.
    Acknowledged,
    /// To be sent again.
    Waiting,
    /// Not to be sent for now, and why.
    SetAside(String),
}

fn insert(
    tx: &Transaction<'_>,
    hit: &Prepared,
    now: i64,
    vehicle: &Vehicle,
) -> rusqlite::Result<()> {
    let id = hit.id.to_bytes();
    tx.prepare_cached("INSERT INTO hit (id, recorded_ms, report, detail) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![id, now, hit.text.json(), hit.detail])?;
    let mut messages = vec![(0, Outbound::Hit(hit.text.clone()))];
    if !hit.jpeg.is_empty() {
        tx.prepare_cached(
            "INSERT INTO image (sha256, jpeg) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![hit.digest, hit.jpeg])?;
        tx.prepare_cached(
            "INSERT INTO hit_image (hit, name, sha256) VALUES (?1, 'plate.jpg', ?2)",
        )?
        .execute(params![id, hit.digest])?;
        messages.push((1, Outbound::PlateImage { hit: hit.id, jpeg: hit.jpeg.clone() }));
    }
    for (kind, what) in messages {
        let bytes = super::wire::Message::new(vehicle, what).size();
        tx.prepare_cached("INSERT INTO outbox (hit, kind, bytes) VALUES (?1, ?2, ?3)")?
            .execute(params![id, kind, i64::try_from(bytes).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

fn delivery(state: i64, note: Option<String>) -> Delivery {
    match state {
        0 => Delivery::Waiting,
        1 => Delivery::Sent,
        2 => Delivery::Acknowledged,
        _ => Delivery::SetAside(note.unwrap_or_default()),
    }
}

fn from_ms(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The plate's picture, or nothing: a hit without its picture is still a hit.
fn picture(hit: &Hit) -> Vec<u8> {
    let crop = hit.crop();
    if crop.rgb.is_empty() {
        return Vec::new();
    }
    crate::onboard::store::thumbnail::jpeg(crop, JPEG_QUALITY).unwrap_or_else(|e| {
        tracing::warn!(hit = %hit.id(), error = %e, "plate picture not made");
        Vec::new()
    })
}
