//! Hits on the disk, and what the broker still has to acknowledge.
//!
//! In: hits, and the broker's answer to each message. Out: the next messages to send, the latest
//! hits for the console. Costs: one synchronous commit per hit, and one per round of sending.
//! Leaves to others: sending (`uplink`), the JSON (`wire.rs`).
//!
//! A hit counts as recorded when [`Outbox::record`] returned `Ok`: the commit is on the disk. If
//! the disk refuses, the hit stays in memory, `record` returns an error, and later calls try again. The
//! daemon starts even with a disk that refuses everything: alerts need no disk.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use ulid::Ulid;

use crate::clock::Clock;
use crate::config::KeepingConfig;
use crate::config::Vehicle;
use crate::health::{Health, PartState};
use crate::keys::{KeyError, Protection};
use crate::sqlcipher::StoreError;
use crate::wire::{DispositionReport, DispositionText, HitReport, Outbound};

mod age;
mod holds;
mod keep;
mod odds;
mod queue;
mod reading;
mod room;
mod store;
#[cfg(any(test, feature = "testing"))]
mod testing;
mod unwritten;
mod write;

pub use holds::{HoldError, Holds, held_hits};
use keep::Keep;
pub use keep::{Forgotten, Gone, Hold};
pub use odds::{LEAST_JUDGED, Odds, Road};
pub(crate) use queue::{News, TOO_LARGE};
pub use reading::{Frame, Reading};
use room::Reserve;
use store::{Guard, Opener, Slot};
#[cfg(test)]
pub(crate) use testing::testing_deliver;
#[cfg(any(test, feature = "testing"))]
pub use testing::{testing_covert_hit, testing_hit};
use unwritten::Unwritten;
use write::Prepared;

/// The part's name in health.
const PART: &str = "hits";

/// Which picture of a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HitImage {
    /// The plate's own pixels, in the best frame. Leaves the car with its hit.
    Plate,
    /// The vehicle that carries it, every other plate covered. Stays in the car.
    Context,
}

impl HitImage {
    /// Its file name, on the page and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plate => "plate.jpg",
            Self::Context => "context.jpg",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Plate, Self::Context].into_iter().find(|image| image.name() == name)
    }
}

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
    /// The database could not be opened, and is tried again.
    #[error("{path} cannot be opened and is tried again every few seconds: {why}")]
    Away {
        /// The database.
        path: PathBuf,
        /// What opening it said.
        why: String,
    },
    /// Damaged pages, indexes or references.
    #[error("{path} is damaged: {first} (and {more} more)")]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// The first complaint.
        first: String,
        /// How many follow.
        more: usize,
    },
    /// No such hit, or not any more.
    #[error("there is no hit {0} here")]
    NoSuchHit(Ulid),
}

impl OutboxError {
    /// Whether the disk is to blame, so that trying again may help.
    fn is_disk(&self) -> bool {
        match self {
            Self::Key(KeyError::Io { .. }) | Self::Away { .. } => true,
            Self::Store(e) => e.is_disk(),
            Self::Key(_) | Self::Damaged { .. } | Self::Corrupt { .. } | Self::NoSuchHit(_) => {
                false
            }
        }
    }
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Free text for the officer.
    pub reason: String,
    /// Make, model, colour, year as the list writes them.
    pub vehicle: String,
    /// What to beware of; hits of earlier versions have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caution: String,
    /// What to do; hits of earlier versions have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// How the text came about; hits of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
}

/// The outbox. Clones share it.
#[derive(Clone)]
pub struct Outbox(Arc<Inner>);

struct Inner {
    opener: Opener,
    vehicle: Vehicle,
    keep: Keep,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    /// Guards the database, for one statement or transaction at a time: a millisecond, or as
    /// long as the disk takes to make a commit last.
    db: Mutex<Slot>,
    /// Guards the hits that the disk refused, while they are put in or tried again.
    in_memory: Mutex<VecDeque<Prepared>>,
    /// Guards what became of messages and is not written down, while it is tried. Taken before `db`.
    unwritten: Mutex<Unwritten>,
    /// Whether the database has turned out to be damaged since it was opened.
    damaged: AtomicBool,
    reserve: Reserve,
    /// Whether hits had to be written into the reserve, which is not there again.
    reserve_spent: AtomicBool,
    /// Guards who is notified of deletions, while that happens.
    gone: Mutex<keep::Listener>,
    /// Notified after each new hit.
    changed: Notify,
}

impl Outbox {
    /// Opens or makes `hits.db` in the state folder. If the disk refuses, health says so and it is tried
    /// again; a database that is damaged, of another key or of a later version is set aside, which health says too.
    pub fn open(
        keeping: &KeepingConfig,
        vehicle: &Vehicle,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, OutboxError> {
        let opener = Opener::new(&keeping.directory, clock.clone(), health.clone());
        let slot = match opener.open() {
            Ok(store) => {
                health.set(PART, PartState::Working);
                Slot::Open(store)
            }
            // Whatever is wrong with the database: alerts need none.
            Err(e) if e.is_disk() || matches!(e, OutboxError::Store(_)) => {
                tracing::error!(error = %e, "hits cannot be written, alerts go on");
                health.set(PART, PartState::Down(format!("hits are kept in memory only: {e}")));
                Slot::away(&e)
            }
            Err(e) => return Err(e),
        };
        let reserve = Reserve::beside(opener.path());
        reserve.make();
        let outbox = Self(Arc::new(Inner {
            opener,
            vehicle: vehicle.clone(),
            keep: Keep { hits: keeping.hits.get(), images: keeping.hit_images.get() },
            clock,
            health,
            db: Mutex::new(slot),
            in_memory: Mutex::default(),
            unwritten: Mutex::default(),
            damaged: AtomicBool::new(false),
            reserve,
            reserve_spent: AtomicBool::new(false),
            gone: Mutex::default(),
            changed: Notify::new(),
        }));
        if let Err(e) = outbox.forget_old() {
            tracing::error!(error = %e, "delivered hits past their retention not deleted yet");
        }
        Ok(outbox)
    }

    /// The latest hits, the newest first.
    pub fn recent(&self, n: usize) -> Result<Vec<KeptHit>, OutboxError> {
        let store = self.db()?;
        let rows = (|| {
            let mut query = store.db.prepare_cached(
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
                    path: self.path().to_owned(),
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

    /// One hit by its name.
    pub fn kept(&self, id: Ulid) -> Result<Option<KeptHit>, OutboxError> {
        let store = self.db()?;
        let row = store
            .db
            .query_row(
                "SELECT h.recorded_ms, h.report, h.detail, o.state, o.note
                 FROM hit h JOIN outbox o ON o.hit = h.id AND o.kind = 0 WHERE h.id = ?1",
                [id.to_bytes()],
                |row| {
                    Ok((
                        row.get::<_, i64>(0)?,
                        row.get::<_, Vec<u8>>(1)?,
                        row.get::<_, Vec<u8>>(2)?,
                        delivery(row.get(3)?, row.get(4)?),
                    ))
                },
            )
            .optional()
            .map_err(|e| self.sqlite(e))?;
        let Some((at, report, detail, delivery)) = row else { return Ok(None) };
        let damaged = |e: serde_json::Error| OutboxError::Damaged {
            id,
            path: self.path().to_owned(),
            message: e.to_string(),
        };
        Ok(Some(KeptHit {
            id,
            recorded_at: from_ms(at),
            report: HitReport::parse(&report).map_err(damaged)?,
            detail: serde_json::from_slice(&detail).map_err(damaged)?,
            delivery,
        }))
    }

    /// The picture of a hit's plate.
    pub fn plate_jpeg(&self, id: Ulid) -> Result<Option<Vec<u8>>, OutboxError> {
        self.image(id, HitImage::Plate)
    }

    /// A picture of a hit, as a JPEG; `None` if there is none or it is kept no longer.
    pub fn image(&self, id: Ulid, image: HitImage) -> Result<Option<Vec<u8>>, OutboxError> {
        self.db()?
            .db
            .query_row(
                "SELECT i.jpeg FROM hit_image h JOIN image i USING (sha256)
                 WHERE h.hit = ?1 AND h.name = ?2",
                params![id.to_bytes(), image.name()],
                |row| row.get(0),
            )
            .optional()
            .map_err(|e| self.sqlite(e))
    }

    /// Writes down what an officer made of a hit, and sends it after the hit's own text. Writing
    /// one ULID twice is writing it once.
    pub fn decide(&self, report: &DispositionReport) -> Result<(), OutboxError> {
        let (id, hit) = (report.ulid(), report.hit_ulid());
        let text = DispositionText::of(report);
        let mut store = self.db()?;
        let known = (|| {
            let tx = store.db.transaction()?;
            if !keep::exists(&tx, hit)? {
                return Ok(false);
            }
            let new = tx
                .prepare_cached(
                    "INSERT INTO disposition (id, hit, decided_ms, report)
                     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
                )?
                .execute(params![
                    id.to_bytes(),
                    hit.to_bytes(),
                    report.at.as_millisecond(),
                    text.json()
                ])?;
            if new == 1 {
                let seq = tx.last_insert_rowid();
                queue::insert(&tx, &self.0.vehicle, hit, 2, seq, Outbound::Disposition(text))?;
            }
            tx.commit()?;
            Ok(true)
        })()
        .map_err(|e| self.sqlite(e))?;
        drop(store);
        if !known {
            return Err(OutboxError::NoSuchHit(hit));
        }
        self.0.changed.notify_one();
        Ok(())
    }

    /// What officers made of a hit, the first step first.
    pub fn dispositions(&self, hit: Ulid) -> Result<Vec<DispositionReport>, OutboxError> {
        let store = self.db()?;
        let rows = (|| {
            let mut query = store
                .db
                .prepare_cached("SELECT report FROM disposition WHERE hit = ?1 ORDER BY seq")?;
            let rows = query.query_map([hit.to_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
            rows.collect::<Result<Vec<_>, _>>()
        })()
        .map_err(|e| self.sqlite(e))?;
        let damaged = |e: serde_json::Error| OutboxError::Damaged {
            id: hit,
            path: self.path().to_owned(),
            message: e.to_string(),
        };
        rows.iter().map(|json| DispositionReport::parse(json).map_err(damaged)).collect()
    }

    /// Where the device key comes from.
    pub fn protection(&self) -> Protection {
        self.0.opener.protection()
    }

    /// Returns once a hit was recorded after the last call.
    pub(super) async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// The database, opened again if it was not open and some time has passed.
    fn db(&self) -> Result<Guard<'_>, OutboxError> {
        // A panic inside a transaction rolls it back: the connection is whole.
        let mut slot = self.0.db.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.0.damaged.swap(false, Ordering::AcqRel) {
            Guard::replace(&mut slot, &self.0.opener);
        }
        Guard::of(slot, &self.0.opener)
    }

    fn refused(&self) -> MutexGuard<'_, VecDeque<Prepared>> {
        self.0.in_memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn unwritten(&self) -> MutexGuard<'_, Unwritten> {
        self.0.unwritten.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes note of an error of SQLite. A damaged database is set aside when it is next needed.
    fn sqlite(&self, e: rusqlite::Error) -> OutboxError {
        let e = StoreError::from_sqlite(self.path(), e);
        if e.is_unusable() {
            self.0.damaged.store(true, Ordering::Release);
        }
        e.into()
    }

    /// The database file, for messages and `check`.
    pub fn path(&self) -> &Path {
        self.0.opener.path()
    }

    /// Makes the disk refuse every change, as one that is read-only does, or not any more.
    #[cfg(test)]
    pub(super) fn refuse_for_tests(&self, refuse: bool) {
        let store = self.db().unwrap();
        store.db.execute_batch(&format!("PRAGMA query_only = {}", i32::from(refuse))).unwrap();
    }

    /// Makes the disk seem full at the file's present size plus `pages`, or not any more.
    #[cfg(test)]
    pub(super) fn limit_pages_for_tests(&self, pages: Option<i64>) {
        let store = self.db().unwrap();
        let now: i64 = store.db.query_row("PRAGMA page_count", (), |r| r.get(0)).unwrap();
        let most = pages.map_or(1_000_000, |pages| now + pages);
        store.db.query_row(&format!("PRAGMA max_page_count = {most}"), (), |_| Ok(())).unwrap();
    }
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

#[cfg(test)]
mod tests;
