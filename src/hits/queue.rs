//! The messages of the outbox: which are due, and what became of each.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{OptionalExtension as _, Transaction, params};
use ulid::Ulid;

use super::unwritten::{ACKNOWLEDGED, SENT, WAITING};
use super::{Outbox, OutboxError};
use crate::config::Vehicle;
use crate::wire::{DispositionText, HitText, Message, Outbound, QueueReport};

/// How the note of a message begins that is larger than the broker takes.
pub(crate) const TOO_LARGE: &str = "larger than the broker takes";

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// Handed to the broker.
    Sent,
    /// The broker has acknowledged it.
    Acknowledged,
    /// To be sent again.
    Waiting,
    /// Not to be sent for now, and why.
    SetAside(String),
}

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) seq: i64,
    pub(crate) is_text: bool,
    pub(crate) attempts: u32,
    pub(crate) what: Outbound,
}

impl Outbox {
    /// Hits that wait to be delivered and that the car may show: covert ones are not counted.
    pub fn waiting_openly(&self) -> Result<u64, OutboxError> {
        let in_memory = self.refused().iter().filter(|hit| !hit.covert).count() as u64;
        self.db()?
            .db
            .query_row(
                "SELECT count(*) FROM outbox o JOIN hit h ON h.id = o.hit
                 WHERE o.kind = 0 AND o.state < 2
                   AND NOT coalesce(json_extract(CAST(h.report AS TEXT), '$.covert'), 0)",
                (),
                |row| row.get::<_, u32>(0),
            )
            .map(|on_disk| u64::from(on_disk) + in_memory)
            .map_err(|e| self.sqlite(e))
    }

    /// What waits to be delivered.
    pub fn queue(&self) -> Result<QueueReport, OutboxError> {
        let not_on_disk = u32::try_from(self.refused().len()).unwrap_or(u32::MAX);
        self.db()?
            .db
            .query_row(
                "SELECT count(*) FILTER (WHERE kind = 0 AND state < 2),
                        count(*) FILTER (WHERE kind = 1 AND state < 2),
                        count(*) FILTER (WHERE kind = 2 AND state < 2),
                        count(*) FILTER (WHERE state = 3)
                 FROM outbox WHERE state != 2",
                (),
                |row| {
                    Ok(QueueReport {
                        hits: row.get(0)?,
                        images: row.get(1)?,
                        dispositions: row.get(2)?,
                        set_aside: row.get(3)?,
                        not_on_disk,
                    })
                },
            )
            .map_err(|e| self.sqlite(e))
    }

    /// The next messages to send, oldest first; never a picture or a disposition before its own
    /// hit's text, nor a disposition before an earlier one.
    pub(crate) fn due(
        &self,
        most: usize,
        texts_first: bool,
        not: &dyn Fn(i64) -> bool,
    ) -> Result<Vec<Item>, OutboxError> {
        let order = if texts_first { "o.kind = 1, o.seq" } else { "o.seq" };
        let sql = format!(
            "SELECT o.seq, o.hit, o.kind, o.part, o.attempts, o.state, t.seq, t.state
             FROM outbox o JOIN outbox t ON t.hit = o.hit AND t.kind = 0
             WHERE o.state IN (0, 1) ORDER BY {order}"
        );
        let unwritten = self.unwritten();
        let store = self.db()?;
        let db = &store.db;
        (|| {
            let mut items = Vec::new();
            let mut decided = HashSet::new();
            let mut query = db.prepare_cached(&sql)?;
            let mut rows = query.query(())?;
            while items.len() < most
                && let Some(row) = rows.next()?
            {
                let (seq, hit, kind, part): (i64, [u8; 16], i64, i64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                if unwritten.state(seq, row.get(5)?) != WAITING {
                    continue;
                }
                let text = unwritten.state(row.get(6)?, row.get(7)?);
                let after_text = kind == 0 || matches!(text, SENT | ACKNOWLEDGED);
                // Of one hit's dispositions each waits for those before it.
                let first = kind != 2 || decided.insert(hit);
                if !after_text || !first || not(seq) {
                    continue;
                }
                let what = match kind {
                    0 => Outbound::Hit(HitText::recorded(
                        Ulid::from_bytes(hit),
                        db.prepare_cached("SELECT report FROM hit WHERE id = ?1")?
                            .query_row([hit], |r| r.get(0))?,
                    )),
                    1 => Outbound::PlateImage {
                        hit: Ulid::from_bytes(hit),
                        jpeg: db
                            .prepare_cached(
                                "SELECT i.jpeg FROM hit_image h JOIN image i USING (sha256)
                                 WHERE h.hit = ?1 AND h.name = 'plate.jpg'",
                            )?
                            .query_row([hit], |r| r.get(0))?,
                    },
                    _ => Outbound::Disposition(DispositionText::recorded(
                        Ulid::from_bytes(hit),
                        db.prepare_cached("SELECT report FROM disposition WHERE seq = ?1")?
                            .query_row([part], |r| r.get(0))?,
                    )),
                };
                items.push(Item { seq, is_text: kind == 0, attempts: row.get(4)?, what });
            }
            Ok(items)
        })()
        .map_err(|e| self.sqlite(e))
    }

    /// Writes down, in one commit, what became of messages. Returns how many hits' texts were
    /// acknowledged for the first time. What the disk refuses is remembered in memory (`Unwritten`) and is
    /// tried again, by this and by [`Outbox::retry_refused`].
    pub(crate) fn progress(&self, news: &[(i64, News)]) -> Result<u64, OutboxError> {
        let mut unwritten = self.unwritten();
        unwritten.add(news);
        if unwritten.is_empty() || !unwritten.may_try() {
            return Ok(0);
        }
        let (all, largest) = unwritten.all();
        match self.write_down(all, largest) {
            Ok(texts) => {
                unwritten.written();
                Ok(texts)
            }
            Err(e) => {
                unwritten.refused();
                Err(e)
            }
        }
    }

    fn write_down(
        &self,
        news: &BTreeMap<i64, News>,
        largest: Option<usize>,
    ) -> Result<u64, OutboxError> {
        let mut store = self.db()?;
        let texts = (|| {
            let now = self.age_now(&mut store)?;
            let tx = store.db.transaction()?;
            if let Some(largest) = largest {
                tx.execute(
                    "UPDATE outbox SET state = 0, note = NULL
                     WHERE state = 1 OR (state = 3 AND bytes <= ?1 AND note LIKE ?2 || '%')",
                    params![i64::try_from(largest).unwrap_or(i64::MAX), TOO_LARGE],
                )?;
            }
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
        // Counted before the lock is released: whoever sees an empty queue sees the count too.
        self.0.health.delivered.many(texts);
        drop(store);
        Ok(texts)
    }

    /// Called for a new connection: what was under way on the old one is sent again, and what was set aside
    /// for its size is tried again if this broker takes more.
    pub(crate) fn start_over(&self, largest: usize) -> Result<(), OutboxError> {
        self.unwritten().start_over(largest);
        self.progress(&[]).map(drop)
    }

    /// Gives what was set aside for anything but its size another chance.
    pub(crate) fn retry_set_aside(&self) -> Result<(), OutboxError> {
        self.db()?
            .db
            .execute(
                "UPDATE outbox SET state = 0, note = NULL
                 WHERE state = 3 AND note NOT LIKE ?1 || '%'",
                [TOO_LARGE],
            )
            .map(|_| ())
            .map_err(|e| self.sqlite(e))
    }
}

/// Puts a message in line.
pub(super) fn insert(
    tx: &Transaction<'_>,
    vehicle: &Vehicle,
    hit: Ulid,
    kind: i64,
    part: i64,
    what: Outbound,
) -> rusqlite::Result<()> {
    let bytes = Message::new(vehicle, what).size();
    tx.prepare_cached("INSERT INTO outbox (hit, kind, part, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![hit.to_bytes(), kind, part, i64::try_from(bytes).unwrap_or(i64::MAX)])
        .map(|_| ())
}
