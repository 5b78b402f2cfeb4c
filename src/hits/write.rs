//! Writes a hit to the disk with whatever room can be made, and keeps it in memory where none can.
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
use super::{Detail, HitImage, Odds, Outbox, OutboxError, PART, Recorded, from_ms, queue, room};
use crate::config::Vehicle;
use crate::health::PartState;
use crate::hits::Reading;
use crate::onboard::Hit;
use crate::onboard::store::thumbnail;
use crate::onboard::vision::candidate::Crop;
use crate::sqlcipher::StoreError;
use crate::wire::{HitReport, HitText, Outbound};

/// Most hits to hold in memory while the disk refuses them. A hit with its picture takes about
/// 10 KB; a thousand hits are a month of a busy car. (Tests fill it.)
pub(super) const MOST_IN_MEMORY: usize = if cfg!(test) { 40 } else { 1_000 };

/// JPEG quality of the plate's picture: characters stay legible, and a crop stays under 10 KB.
const JPEG_QUALITY: u8 = 85;

/// JPEG quality of the vehicle's picture: it is there to tell one car from another, in some 20 KB.
const CONTEXT_QUALITY: u8 = 75;

/// A hit, ready to be written.
pub(super) struct Prepared {
    pub(super) covert: bool,
    id: Ulid,
    text: HitText,
    detail: Vec<u8>,
    jpeg: Vec<u8>,
    digest: [u8; 32],
    /// The picture of the vehicle: stays in the car, and is the first thing given up where room is short.
    context: Option<Vec<u8>>,
}

impl Outbox {
    /// Records a hit: when this returns `Ok`, it is on the disk and will be delivered, kill -9 or
    /// power cut notwithstanding. Recording one ULID twice is recording it once.
    pub fn record(&self, hit: &Hit) -> Result<Recorded, OutboxError> {
        self.record_with(hit, None)
    }

    /// Records a hit with the odds that the officer was shown.
    pub fn record_with(&self, hit: &Hit, odds: Option<Odds>) -> Result<Recorded, OutboxError> {
        self.retry_refused();
        let mut prepared = self.prepare(hit, odds);
        match self.write(&mut prepared) {
            Ok(recorded) => {
                self.0.changed.notify_one();
                Ok(recorded)
            }
            Err(e) => {
                let mut refused = self.refused();
                if refused.len() < MOST_IN_MEMORY {
                    prepared.context = None;
                    refused.push_back(prepared);
                } else {
                    self.0.health.hits_lost.one();
                    // The car's log must not mention a covert hit; the fleet learns from health how many are lost.
                    if !prepared.covert {
                        tracing::error!(hit = %prepared.id, "hit lost, disk and memory are full");
                    }
                }
                self.report_refused(refused.iter().filter(|hit| !hit.covert).count(), &e);
                Err(e)
            }
        }
    }

    /// Writes what the disk refused before, and updates health. To be called every second
    /// or so; costs nothing when nothing was refused.
    pub(crate) fn retry_refused(&self) {
        if let Err(e) = self.progress(&[]) {
            tracing::warn!(error = %e, "what the broker acknowledged is not written down yet");
        }
        let mut refused = self.refused();
        let waiting = refused.len();
        while let Some(prepared) = refused.front_mut() {
            match self.write(prepared) {
                Ok(_) => {
                    refused.pop_front();
                    self.0.changed.notify_one();
                }
                Err(e) => {
                    let open = refused.iter().filter(|hit| !hit.covert).count();
                    return self.report_refused(open, &e);
                }
            }
        }
        drop(refused);
        if waiting > 0 {
            tracing::info!("hits held in memory are on the disk again");
        }
        let down = matches!(self.0.health.state(PART), Some(PartState::Down(_)));
        let spent = self.0.reserve_spent.load(Ordering::Relaxed);
        let known = self.unwritten().len();
        if known > 0 {
            let line = format!("what became of {known} messages is in memory only");
            return self.0.health.set(PART, PartState::Impaired(line));
        }
        let impaired = matches!(self.0.health.state(PART), Some(PartState::Impaired(_)));
        if (down || spent || impaired) && self.db().is_ok() {
            self.report_written();
        }
    }

    fn prepare(&self, hit: &Hit, odds: Option<Odds>) -> Prepared {
        let jpeg = picture(hit, Some(hit.crop()), JPEG_QUALITY).unwrap_or_default();
        let report = HitReport::of(hit, &self.0.vehicle, self.protection(), &jpeg);
        let entry = hit.entry();
        let detail = Detail {
            reason: entry.reason.clone(),
            vehicle: entry.vehicle.to_string(),
            caution: entry.caution.clone(),
            action: entry.action.clone(),
            reading: Some(Reading::of(hit, self.0.clock.source(), odds)),
        };
        Prepared {
            covert: hit.covert(),
            id: hit.id(),
            text: HitText::of(&report),
            detail: serde_json::to_vec(&detail).expect("strings and finite numbers"),
            digest: Sha256::digest(&jpeg).into(),
            // It goes with the plate's picture, and without one it would outlive what it belongs to.
            context: picture(hit, hit.context(), CONTEXT_QUALITY).filter(|_| !jpeg.is_empty()),
            jpeg,
        }
    }

    fn write(&self, hit: &mut Prepared) -> Result<Recorded, OutboxError> {
        let now = Now::of(&*self.0.clock);
        let mut store = self.db()?;
        let (at, new) = loop {
            let e = match insert_once(&mut store.db, hit, now.wall_ms(), &self.0.vehicle) {
                Ok(done) => break done,
                Err(e) => self.sqlite(e),
            };
            match &e {
                OutboxError::Store(StoreError::DiskFull { .. }) if hit.context.take().is_some() => {
                }
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

    /// Makes room on a full disk. Returns whether there may be some now.
    fn make_room(&self, store: &mut Guard<'_>) -> bool {
        if self.0.reserve.spend() {
            self.0.reserve_spent.store(true, Ordering::Relaxed);
            tracing::warn!("disk full, hits go into the room kept for them");
            return true;
        }
        let hold_ms = store.age.hold_ms(Now::of(&*self.0.clock));
        let gone = room::give_up_delivered(&mut store.db, hold_ms).unwrap_or_default();
        self.announce(gone);
        gone != Gone::default()
    }

    /// Sets health after everything was written.
    fn report_written(&self) {
        let spent = self.0.reserve_spent.load(Ordering::Relaxed);
        let state = if spent && !self.0.reserve.make() {
            PartState::Impaired("disk full: hits go into the room kept for them".into())
        } else {
            self.0.reserve_spent.store(false, Ordering::Relaxed);
            PartState::Working
        };
        self.0.health.set(PART, state);
    }

    /// Sets health after the disk has refused. `n` is how many hits wait that the car may show: if covert
    /// hits were counted, the difference from what was shown would reveal them.
    fn report_refused(&self, n: usize, why: &OutboxError) {
        tracing::error!(error = %why, "disk refused hits, held in memory");
        let hits = match n {
            0 => "hits are".to_owned(),
            1 => "1 hit is".to_owned(),
            n => format!("{n} hits are"),
        };
        let lost = match self.0.health.hits_lost.get() {
            0 => "",
            _ => ", no more fit, hits are lost",
        };
        let line = format!("{hits} in memory only{lost}: {why}");
        self.0.health.set(PART, PartState::Down(line));
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
    insert_image(tx, hit.id, HitImage::Plate, hit.digest, &hit.jpeg)?;
    if let Some(context) = &hit.context {
        let digest = Sha256::digest(context).into();
        insert_image(tx, hit.id, HitImage::Context, digest, context)?;
    }
    let picture = Outbound::PlateImage { hit: hit.id, jpeg: hit.jpeg.clone() };
    queue::insert(tx, vehicle, hit.id, 1, 0, picture)
}

fn insert_image(
    tx: &Transaction<'_>,
    hit: Ulid,
    image: HitImage,
    digest: [u8; 32],
    jpeg: &[u8],
) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO image (sha256, jpeg) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
        .execute(params![digest, jpeg])?;
    tx.prepare_cached("INSERT INTO hit_image (hit, name, sha256) VALUES (?1, ?2, ?3)")?
        .execute(params![hit.to_bytes(), image.name(), digest])
        .map(|_| ())
}

/// A picture as a JPEG, or nothing: a hit without its pictures is still a hit.
fn picture(hit: &Hit, crop: Option<&Crop>, quality: u8) -> Option<Vec<u8>> {
    let crop = crop.filter(|crop| !crop.rgb.is_empty())?;
    thumbnail::jpeg(crop, quality)
        .inspect_err(|e| tracing::warn!(hit = %hit.id(), error = %e, "picture not made"))
        .ok()
}
