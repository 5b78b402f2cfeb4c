//! How long hits, their pictures and holds last.
//!
//! A hit is deleted once everything about it was acknowledged and its retention since then is over; its pictures
//! have a retention of their own. A legal hold keeps both. The age clock (`age.rs`) measures the time.

use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::Serialize;
use ulid::Ulid;

use super::age::Now;
use super::store::Store;
use super::{Outbox, OutboxError, from_ms};

/// How long hits and pictures stay after their delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) hits: Duration,
    pub(super) images: Duration,
}

/// How much was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gone {
    /// Hits, with everything about them.
    pub hits: usize,
    /// Pictures.
    pub images: usize,
}

/// What is past its retention: it is to be shown no more either.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forgotten {
    /// Hits.
    pub hits: Vec<Ulid>,
    /// Hits that stay, and whose pictures go.
    pub pictures: Vec<Ulid>,
}

type Forget = Box<dyn Fn(&Forgotten) + Send + Sync>;

/// Who is notified of deletions: the audit log of how many, the page of which.
#[derive(Default)]
pub(super) struct Listener {
    tell: Option<Box<dyn Fn(Gone) + Send + Sync>>,
    forget: Option<Forget>,
    /// What was deleted before anybody listened.
    untold: Gone,
}

/// Why a hit is kept past its retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// The hit.
    #[serde(serialize_with = "as_text")]
    pub hit: Ulid,
    /// Why, in somebody's words.
    pub reason: String,
    /// Who placed the hold.
    pub author: String,
    /// Since when.
    pub placed: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

fn as_text<S: serde::Serializer>(id: &Ulid, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(id)
}

impl Outbox {
    /// Deletes hits that were delivered whole, and pictures, that are older than the configuration
    /// keeps them, unless somebody holds them.
    pub fn forget_old(&self) -> Result<Gone, OutboxError> {
        let now = Now::of(&*self.0.clock);
        let keep = self.0.keep;
        let mut store = self.db()?;
        let done = (|| {
            let Store { db, age } = &mut *store;
            age.step(now);
            let (age_ms, hold_ms) = (age.ms(), age.hold_ms(now));
            let tx = db.transaction()?;
            age.save(&tx)?;
            let before = |d: Duration| {
                age_ms.saturating_sub(i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
            };
            let pictures = deleted(
                &tx,
                "DELETE FROM hit_image WHERE hit IN (
                     SELECT o.hit FROM outbox o WHERE o.kind = 1 AND o.state = 2
                         AND o.acked_ms < ?1 AND NOT EXISTS (
                             SELECT 1 FROM hold h WHERE h.hit = o.hit
                             AND h.released_ms IS NULL AND h.until_ms > ?2)) RETURNING hit",
                [before(keep.images), hold_ms],
            )?;
            let gone = deleted(
                &tx,
                "DELETE FROM hit WHERE id IN (
                     SELECT o.hit FROM outbox o WHERE NOT EXISTS (
                         SELECT 1 FROM hold h WHERE h.hit = o.hit
                         AND h.released_ms IS NULL AND h.until_ms > ?2)
                     GROUP BY o.hit HAVING min(o.state = 2) = 1 AND max(o.acked_ms) < ?1)
                 RETURNING id",
                [before(keep.hits), hold_ms],
            )?;
            let (hits, images) = (gone.len(), pictures.len());
            if hits + images > 0 {
                drop_orphans(&tx)?;
            }
            tx.commit()?;
            if hits + images > 0 {
                // What was deleted is not to linger in the journal until the next hit.
                db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))?;
                tracing::info!(hits, images, "delivered hits past their retention deleted");
            }
            Ok(Forgotten { hits: gone, pictures })
        })();
        drop(store);
        let forgotten = done.map_err(|e| self.sqlite(e))?;
        let gone = Gone { hits: forgotten.hits.len(), images: forgotten.pictures.len() };
        self.announce(gone);
        if gone != Gone::default() {
            let listener = self.0.gone.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(forget) = &listener.forget {
                forget(&forgotten);
            }
        }
        Ok(gone)
    }

    /// Sets who shows no more what is past its retention. What gives way on a full disk is not: it may still be shown.
    pub fn on_forgotten(&self, forget: impl Fn(&Forgotten) + Send + Sync + 'static) {
        let mut listener = self.0.gone.lock().unwrap_or_else(PoisonError::into_inner);
        listener.forget = Some(Box::new(forget));
    }

    /// Sets who is notified of every hit and picture that is deleted, also of those deleted before this call.
    pub fn on_gone(&self, tell: impl Fn(Gone) + Send + Sync + 'static) {
        let mut listener = self.0.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut listener.untold);
        if before != Gone::default() {
            tell(before);
        }
        listener.tell = Some(Box::new(tell));
    }

    pub(super) fn announce(&self, gone: Gone) {
        if gone == Gone::default() {
            return;
        }
        let mut listener = self.0.gone.lock().unwrap_or_else(PoisonError::into_inner);
        match &listener.tell {
            Some(tell) => tell(gone),
            None => {
                listener.untold.hits += gone.hits;
                listener.untold.images += gone.images;
            }
        }
    }

    /// Checks the whole database: the seal of every page, every index, every reference.
    pub fn verify(&self) -> Result<(), OutboxError> {
        let store = self.db()?;
        let all = |sql: &str| -> rusqlite::Result<Vec<String>> {
            let mut query = store.db.prepare(sql)?;
            let rows = query.query_map((), |row| {
                row.get::<_, rusqlite::types::Value>(0).map(|v| match v {
                    rusqlite::types::Value::Text(text) => text,
                    other => format!("{other:?}"),
                })
            })?;
            rows.collect()
        };
        let done = (|| {
            let mut wrong = all("PRAGMA cipher_integrity_check")?;
            wrong.extend(all("PRAGMA integrity_check")?.into_iter().filter(|line| line != "ok"));
            wrong.extend(all("PRAGMA foreign_key_check")?);
            Ok(wrong)
        })();
        let wrong = done.map_err(|e| self.sqlite(e))?;
        match wrong.first() {
            None => Ok(()),
            Some(first) => {
                let path = self.path().to_owned();
                Err(OutboxError::Corrupt { path, first: first.clone(), more: wrong.len() - 1 })
            }
        }
    }

    /// The age clock's time, for an acknowledgement.
    pub(super) fn age_now(&self, store: &mut Store) -> rusqlite::Result<i64> {
        if store.age.step(Now::of(&*self.0.clock)) {
            store.age.save(&store.db)?;
        }
        Ok(store.age.ms())
    }
}

/// Deletes rows, and returns the hit that each names.
fn deleted(tx: &Transaction<'_>, sql: &str, with: [i64; 2]) -> rusqlite::Result<Vec<Ulid>> {
    let mut query = tx.prepare(sql)?;
    let rows = query.query_map(with, |row| row.get(0).map(Ulid::from_bytes))?;
    rows.collect()
}

/// Deletes pictures that no hit has any more.
pub(super) fn drop_orphans(tx: &Transaction<'_>) -> rusqlite::Result<usize> {
    tx.execute("DELETE FROM image WHERE sha256 NOT IN (SELECT sha256 FROM hit_image)", ())
}

/// Whether there is such a hit.
pub(super) fn exists(db: &Connection, hit: Ulid) -> rusqlite::Result<bool> {
    let found: Option<i64> = db
        .query_row("SELECT 1 FROM hit WHERE id = ?1", [hit.to_bytes()], |r| r.get(0))
        .optional()?;
    Ok(found.is_some())
}

pub(super) fn place(db: &Connection, hold: &Hold) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO hold (hit, reason, author, placed_ms, until_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            hold.hit.to_bytes(),
            hold.reason,
            hold.author,
            hold.placed.as_millisecond(),
            hold.until.as_millisecond()
        ],
    )
    .map(|_| ())
}

/// Ends the holds of a hit; how many there were.
pub(super) fn release(
    db: &Connection,
    hit: Ulid,
    author: &str,
    at: Timestamp,
) -> rusqlite::Result<usize> {
    db.execute(
        "UPDATE hold SET released_ms = ?2, released_by = ?3
         WHERE hit = ?1 AND released_ms IS NULL AND until_ms > ?2",
        params![hit.to_bytes(), at.as_millisecond(), author],
    )
}

/// The holds in force at an instant, the oldest first.
pub(super) fn in_force(db: &Connection, at: Timestamp) -> rusqlite::Result<Vec<Hold>> {
    let mut query = db.prepare_cached(
        "SELECT hit, reason, author, placed_ms, until_ms FROM hold
         WHERE released_ms IS NULL AND until_ms > ?1 ORDER BY seq",
    )?;
    let rows = query.query_map([at.as_millisecond()], |row| {
        Ok(Hold {
            hit: Ulid::from_bytes(row.get(0)?),
            reason: row.get(1)?,
            author: row.get(2)?,
            placed: from_ms(row.get(3)?),
            until: from_ms(row.get(4)?),
        })
    })?;
    rows.collect()
}
