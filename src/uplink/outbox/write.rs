//! A hit onto the disk, by whatever room there is; into memory where there is none.
//!
//! The order in which a full disk is asked for room is in `room.rs`. What waits in memory is tried
//! again every second by the uplink, and before every new hit.

use std::sync::atomic::Ordering;

use rusqlite::{OptionalExtension as _, Transaction, params};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use super::age::Now;
use super::keep::Gone;
use super::store::Guard;
use super::{Detail, Outbox, OutboxError, PART, Recorded, from_ms, queue, room};
use crate::config::Vehicle;
use crate::evidence::Reading;
use crate::health::PartState;
use crate::onboard::Hit;
use crate::sqlcipher::StoreError;
use crate::uplink::wire::{HitReport, HitText, Outbound};

/// Most hits to hold in memory while the disk refuses them. A hit with its picture takes about
/// 10 KB; a thousand hits are a month of a busy car. (Tests fill it.)
pub(super) const MOST_IN_MEMORY: usize = if cfg!(test) { 40 } else { 1_000 };

/// JPEG quality of the plate's picture: characters stay legible, and a crop stays under 10 KB.
const JPEG_QUALITY: u8 = 85;

/// A hit, ready to be written.
pub(super) struct Prepared {
    id: Ulid,
    text: HitText,
    detail: Vec<u8>,
    jpeg: Vec<u8>,
    digest: [u8; 32],
}

impl Outbox {
    /// Records a hit: when this returns `Ok`, it is on the disk and will be delivered, kill -9 or
    /// power cut notwithstanding. Recording one ULID twice is recording it once.
    pub fn record(&self, hit: &Hit) -> Result<Recorded, OutboxError> {
        self.look_after();
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
                } else {
                    self.0.health.hits_lost.one();
                    tracing::error!(hit = %prepared.id, "hit lost, disk and memory are full");
                }
                self.say_refused(refused.len(), &e);
                Err(e)
            }
        }
    }

    /// Writes what the disk refused before, and says in health how it is. To be called every second
    /// or so; costs nothing when all is well.
    pub(in crate::uplink) fn look_after(&self) {
        let mut refused = self.refused();
        let waiting = refused.len();
        while let Some(prepared) = refused.front() {
            match self.write(prepared) {
                Ok(_) => {
                    refused.pop_front();
                    self.0.changed.notify_one();
                }
                Err(e) => return self.say_refused(refused.len(), &e),
            }
        }
        drop(refused);
        if waiting > 0 {
            tracing::info!(hits = waiting, "hits held in memory are on the disk again");
        }
        let down = matches!(self.0.health.state(PART), Some(PartState::Down(_)));
        let spent = self.0.reserve_spent.load(Ordering::Relaxed);
        if (down || spent) && self.db().is_ok() {
            self.say_written();
        }
    }

    fn prepare(&self, hit: &Hit) -> Prepared {
        let jpeg = picture(hit);
        let report = HitReport::of(hit, &self.0.vehicle, self.protection(), &jpeg);
        let entry = hit.entry();
        let detail = Detail {
            reason: entry.reason.clone(),
            vehicle: entry.vehicle.to_string(),
            reading: Some(Reading::of(hit, self.0.clock.source())),
        };
        Prepared {
            id: hit.id(),
            text: HitText::of(&report),
            detail: serde_json::to_vec(&detail).expect("strings and finite numbers"),
            digest: Sha256::digest(&jpeg).into(),
            jpeg,
        }
    }

    fn write(&self, hit: &Prepared) -> Result<Recorded, OutboxError> {
        let now = Now::of(&*self.0.clock);
        let mut store = self.db()?;
        let (at, new) = loop {
            let e = match insert_once(&mut store.db, hit, now.wall_ms(), &self.0.vehicle) {
                Ok(done) => break done,
                Err(e) => self.sqlite(e),
            };
            match &e {
                OutboxError::Store(StoreError::DiskFull { .. }) if self.make_room(&mut store) => {}
                OutboxError::Store(StoreError::DiskFull { .. }) => return Err(e),
                _ if e.is_disk() => {
                    store.give_up(&e);
                    return Err(e);
                }
                _ => return Err(e),
            }
        };
        if new {
            self.0.health.recorded.one();
        }
        drop(store);
        Ok(Recorded { id: hit.id, at: from_ms(at) })
    }

    /// Finds room on a full disk; whether there may be some now.
    fn make_room(&self, store: &mut Guard<'_>) -> bool {
        if self.0.reserve.spend() {
            self.0.reserve_spent.store(true, Ordering::Relaxed);
            tracing::warn!("disk full, hits go into the room kept for them");
            return true;
        }
        let hold_ms = store.age.hold_ms(Now::of(&*self.0.clock));
        let gone = room::give_up_delivered(&mut store.db, hold_ms).unwrap_or_default();
        self.tell(gone);
        gone != Gone::default()
    }

    /// Says that what there was to write is on the disk.
    fn say_written(&self) {
        let spent = self.0.reserve_spent.load(Ordering::Relaxed);
        let state = if spent && !self.0.reserve.make() {
            PartState::Impaired("disk full: hits go into the room kept for them".into())
        } else {
            self.0.reserve_spent.store(false, Ordering::Relaxed);
            PartState::Working
        };
        self.0.health.set(PART, state);
    }

    fn say_refused(&self, n: usize, why: &OutboxError) {
        tracing::error!(hits = n, error = %why, "disk refused hits, held in memory");
        let plural = if n == 1 { "hit is" } else { "hits are" };
        let lost = match self.0.health.hits_lost.get() {
            0 => String::new(),
            n => format!(", no more fit, {n} lost"),
        };
        self.0
            .health
            .set(PART, PartState::Down(format!("{n} {plural} in memory only{lost}: {why}")));
    }
}

/// Writes a hit, its picture and its messages in one commit. Returns when it was recorded, and
/// whether that was now.
fn insert_once(
    db: &mut rusqlite::Connection,
    hit: &Prepared,
    now: i64,
    vehicle: &Vehicle,
) -> rusqlite::Result<(i64, bool)> {
    let tx = db.transaction()?;
    let known: Option<i64> = tx
        .query_row("SELECT recorded_ms FROM hit WHERE id = ?1", [hit.id.to_bytes()], |r| r.get(0))
        .optional()?;
    if let Some(at) = known {
        return Ok((at, false));
    }
    insert(&tx, hit, now, vehicle)?;
    tx.commit()?;
    Ok((now, true))
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
    queue::insert(tx, vehicle, hit.id, 0, 0, Outbound::Hit(hit.text.clone()))?;
    if hit.jpeg.is_empty() {
        return Ok(());
    }
    tx.prepare_cached("INSERT INTO image (sha256, jpeg) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![hit.digest, hit.jpeg])?;
    tx.prepare_cached("INSERT INTO hit_image (hit, name, sha256) VALUES (?1, 'plate.jpg', ?2)")?
        .execute(params![id, hit.digest])?;
    let picture = Outbound::PlateImage { hit: hit.id, jpeg: hit.jpeg.clone() };
    queue::insert(tx, vehicle, hit.id, 1, 0, picture)
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
