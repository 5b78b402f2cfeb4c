//! Two threads between a hit and its record: the one that tells the officer, and the one that writes down.
//!
//! In: hits from the matcher. Out: tone and screen at once; then, on a thread of its own, a synchronous
//! commit within the same second. The next alert waits for no disk: not for a commit that takes its time,
//! and not for one that never returns. A disk that refuses keeps nothing from being told either: the outbox
//! keeps the hit in memory and tries on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::error;

use super::odds::Roads;
use crate::alert::Desk;
use crate::alert::console::board::Pictures;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::clock::Clock;
use crate::health::{Health, PartState};
use crate::hits::{KeptHit, Odds, Outbox};
use crate::onboard::store::thumbnail;
use crate::onboard::vision::candidate::Crop;
use crate::onboard::{Hit, MatchKind};
use crate::threads::{self, ends_within};

/// JPEG quality of the plate's picture on the officer's screen: its pixels are few, and enlarged
/// some ten times.
const QUALITY: u8 = 92;

/// JPEG quality of the vehicle's picture there.
const CONTEXT_QUALITY: u8 = 80;

/// Hits that may wait for a disk that does not answer: as many as the outbox holds for one that refuses, a
/// month of a busy car.
const HITS_WAITING: usize = 1_000;

/// The two threads. They end when the matcher has, the second when it has written down what it was given.
pub(super) struct Running {
    tells: JoinHandle<()>,
    records: JoinHandle<()>,
}

impl Running {
    /// Waits until everything was told and written down, `deadline` at most. Returns whether it was.
    pub(super) fn ends_within(&self, deadline: Duration) -> bool {
        let start = std::time::Instant::now();
        ends_within(&self.tells, deadline)
            && ends_within(&self.records, deadline.saturating_sub(start.elapsed()))
    }
}

/// Starts the threads.
pub(super) fn spawn(
    hits: Receiver<Hit>,
    desk: Desk,
    outbox: Outbox,
    audit: Audit,
    clock: Arc<dyn Clock>,
    (health, roads): (Arc<Health>, Roads),
) -> Running {
    let record = move |hit: &Hit, odds| {
        if let Err(e) = outbox.record_with(hit, odds) {
            error!(error = %e, "a hit is not on the disk yet");
        }
        audit.note(Actor::System, recorded(hit));
    };
    let tell = {
        let health = health.clone();
        move |hit: &Hit| {
            // A covert hit gives no cue in the car: recorded and delivered, not told.
            if hit.covert() {
                return None;
            }
            let odds = roads.odds(hit);
            desk.alert(hit, pictures(hit), odds);
            let now = clock.now().monotonic;
            health.alert_latency.record(now.saturating_sub(hit.decided()));
            odds
        }
    };
    apart(hits, tell, record, health)
}

/// Alerts on one thread, and records on another, with what the officer was shown of the odds.
fn apart(
    hits: Receiver<Hit>,
    mut tell: impl FnMut(&Hit) -> Option<Odds> + Send + 'static,
    mut record: impl FnMut(&Hit, Option<Odds>) + Send + 'static,
    health: Arc<Health>,
) -> Running {
    let (to_record, told) = sync_channel::<(Hit, Option<Odds>)>(HITS_WAITING);
    let records = threads::spawn("records", move || {
        for (hit, odds) in told {
            record(&hit, odds);
        }
    })
    .expect("the system can start a thread");
    let tells = threads::spawn("hits", move || {
        for hit in hits {
            let odds = tell(&hit);
            match to_record.try_send((hit, odds)) {
                Ok(()) => {}
                // The next alert is worth more than this one's record.
                Err(TrySendError::Full((hit, _))) => {
                    health.hits_lost.one();
                    // No number here and no line for a covert hit: the car shows both.
                    if !hit.covert() {
                        error!(hit = %hit.id(), "hit lost, the disk does not answer");
                    }
                    let why = "the disk does not answer, hits are lost".to_owned();
                    health.set("hits", PartState::Down(why));
                }
                Err(TrySendError::Disconnected(_)) => {
                    unreachable!("a thread that records ends after this one, or with the process")
                }
            }
        }
    })
    .expect("the system can start a thread");
    Running { tells, records }
}

/// What the audit log says of a hit: no plate.
fn recorded(hit: &Hit) -> AuditEvent {
    let age = hit.seen().wall.duration_since(hit.list().source_time).as_secs();
    AuditEvent::HitRecorded {
        hit: hit.id(),
        camera: hit.camera().to_string(),
        list: hit.list().name.to_string(),
        list_version: hit.list().version.to_string(),
        list_age_s: u64::try_from(age).unwrap_or(0),
        category: hit.entry().category.to_string(),
        exact: hit.match_kind() == MatchKind::Exact,
        covert: hit.covert(),
    }
}

/// The same of a hit that is on the disk, for one whose record a kill came before.
pub(super) fn recorded_before(kept: &KeptHit) -> AuditEvent {
    let (report, entry) = (&kept.report, &kept.report.entry);
    let age = report.seen.duration_since(entry.list_source_time).as_secs();
    AuditEvent::HitRecorded {
        hit: kept.id,
        camera: report.camera.to_string(),
        list: entry.list.clone(),
        list_version: entry.list_version.clone(),
        list_age_s: u64::try_from(age).unwrap_or(0),
        category: entry.category.clone(),
        exact: entry.matched == MatchKind::Exact,
        covert: report.covert,
    }
}

/// The pictures for the officer's screen; an empty one is one that there is not, which the page says.
fn pictures(hit: &Hit) -> Pictures {
    let jpeg = |crop: &Crop, quality| {
        thumbnail::jpeg(crop, quality).unwrap_or_else(|e| {
            error!(hit = %hit.id(), error = %e, "picture not encoded");
            Vec::new()
        })
    };
    Pictures {
        plate: jpeg(hit.crop(), QUALITY),
        context: hit.context().map_or_else(Vec::new, |crop| jpeg(crop, CONTEXT_QUALITY)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::hits::testing_hit;

    #[test]
    fn next_alert_does_not_wait_for_the_disk_of_the_one_before() {
        let (hits, incoming) = sync_channel(8);
        let (told, hears) = channel();
        let (wrote, written) = channel();
        let (answer, disk) = channel::<()>();
        let health = Arc::new(Health::default());
        let running = apart(
            incoming,
            move |hit: &Hit| {
                told.send(hit.id()).unwrap();
                None
            },
            // A disk that does not answer until it is told to.
            move |hit: &Hit, _| {
                _ = disk.recv();
                wrote.send(hit.id()).unwrap();
            },
            health.clone(),
        );
        let mut all = Vec::new();
        for n in 0..3 {
            let hit = testing_hit(n);
            all.push(hit.id());
            hits.send(hit).unwrap();
            let heard = hears.recv_timeout(Duration::from_secs(5));
            assert_eq!(heard, Ok(all[n as usize]), "alert {n} waits for a disk");
        }
        assert!(written.try_recv().is_err(), "nothing was written yet");
        drop((hits, answer));
        assert!(running.ends_within(Duration::from_secs(5)));
        assert_eq!(written.iter().collect::<Vec<_>>(), all, "all of it, in order, also at the end");
        assert_eq!(health.hits_lost.get(), 0);
    }
}
