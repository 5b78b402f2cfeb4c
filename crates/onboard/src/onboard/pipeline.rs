//! Threads and channels: connects the stages, and stops them in reading order.
//!
//! Each camera has a capture thread and a reading thread with the newest frame between them; all
//! share one matcher. From reading to matcher, and from matcher to officer, the sender waits, so
//! that no read is dropped.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tracing::{debug, error, info, trace};

use super::capture::Capture;
use super::capture::newest::Slot;
use super::frame::Frame;
use super::matcher::{Hit, Matcher, Outcome};
use super::read::PlateRead;
use super::reading::Reading;
use super::score::Truth;
use super::store::Ring;
use super::{CameraParts, Parts};
use crate::health::{Health, PartState};

/// Reads that wait for the matcher: one read a second and camera means a busy road, and a look-up
/// takes microseconds.
const READS_WAITING: usize = 64;

/// Hits that wait for the alert side, which takes each at once and queues them itself.
const HITS_WAITING: usize = 64;

/// The running pipeline.
pub struct Onboard {
    slots: Vec<Arc<Slot<Frame>>>,
    /// Every thread holds a sender and never sends: when all senders are gone, all threads have
    /// ended.
    ended: Receiver<()>,
}

/// Some threads had not ended in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("reading did not stop within {0:?}")]
pub struct StillRunning(Duration);

/// Starts the pipeline. The receiver gives hits until every camera's source has ended or the
/// pipeline is stopped; then it disconnects.
pub fn spawn(parts: Parts) -> (Onboard, Receiver<Hit>) {
    let (alive, ended) = sync_channel::<()>(0);
    let (reads, reads_in) = sync_channel(READS_WAITING);
    let (hits, hits_in) = sync_channel(HITS_WAITING);
    let mut slots = Vec::new();
    for CameraParts { id, open, reader } in parts.cameras {
        let slot = Arc::new(Slot::new());
        slots.push(slot.clone());

        let capture =
            Capture::new(id.clone(), open, slot.clone(), parts.clock.clone(), parts.health.clone());
        start(&format!("capture-{id}"), alive.clone(), {
            let watched = Watched::new(format!("capture/{id}"), &parts.health, Some(slot.clone()));
            move || {
                capture.run();
                watched.ended_well();
            }
        });

        let reading =
            Reading::new(id.clone(), reader, &parts.reading, parts.fixes.clone(), &parts.health)
                .glanced_at(parts.glances.of(&id));
        start(&format!("reading-{id}"), alive.clone(), {
            let watched = Watched::new(format!("reading/{id}"), &parts.health, Some(slot.clone()));
            let (clock, reads) = (parts.clock.clone(), reads.clone());
            move || {
                reading.run(&slot, &*clock, &reads);
                watched.ended_well();
            }
        });
    }
    drop(reads);

    let matching = Matching {
        matcher: Matcher::new(parts.hotlists.lookups(), parts.reading.realert_after.get())
            .with_unread_jurisdiction(parts.reading.unread_jurisdiction)
            .with_clock(parts.clock.clone()),
        health: parts.health.clone(),
        ring: parts.ring,
        truth: parts.truth,
    };
    start("matcher", alive, {
        let watched = Watched::new("matcher".into(), &parts.health, None);
        move || {
            matching.run(&reads_in, &hits);
            watched.ended_well();
        }
    });
    info!(cameras = slots.len(), "reading started");
    (Onboard { slots, ended }, hits_in)
}

impl Onboard {
    /// Closes the cameras and waits until every stage has drained, at most for `deadline`. Hits may
    /// still come out meanwhile: keep receiving them.
    pub fn stop(self, deadline: Duration) -> Result<(), StillRunning> {
        for slot in &self.slots {
            slot.close();
        }
        self.wait(deadline)
    }

    /// Waits until the sources of all cameras have ended, as recordings do.
    pub fn wait(&self, deadline: Duration) -> Result<(), StillRunning> {
        match self.ended.recv_timeout(deadline) {
            Err(RecvTimeoutError::Timeout) => Err(StillRunning(deadline)),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Ok(()),
        }
    }
}

fn start(name: &str, alive: SyncSender<()>, work: impl FnOnce() + Send + 'static) {
    crate::threads::spawn(name, move || {
        work();
        drop(alive);
    })
    .expect("the system has room for a few threads");
}

/// Reports in health when a thread ends that should not, so that a fault in one stage does not
/// blind a camera unnoticed.
struct Watched {
    part: String,
    health: Arc<Health>,
    slot: Option<Arc<Slot<Frame>>>,
    well: bool,
}

impl Watched {
    fn new(part: String, health: &Arc<Health>, slot: Option<Arc<Slot<Frame>>>) -> Self {
        Self { part, health: health.clone(), slot, well: false }
    }

    fn ended_well(mut self) {
        self.well = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.well {
            debug!(part = self.part, "thread ended");
            return;
        }
        error!(part = self.part, "thread ended by a fault inside");
        self.health.set(&self.part, PartState::Down("a fault inside stopped it: restart".into()));
        if let Some(slot) = &self.slot {
            slot.close();
        }
    }
}

/// The matcher's thread.
struct Matching {
    matcher: Matcher,
    health: Arc<Health>,
    ring: Ring,
    truth: Option<Truth>,
}

impl Matching {
    fn run(mut self, reads: &Receiver<PlateRead>, hits: &SyncSender<Hit>) {
        while let Ok(read) = reads.recv() {
            if let Some(truth) = &self.truth {
                truth.judge(&read);
            }
            match self.matcher.step(read) {
                Outcome::Hits(found) => {
                    for hit in found {
                        match hit.covert() {
                            // The car's own log must give no cue either, because it can be read in
                            // the car.
                            true => self.health.hits_covert.one(),
                            false => {
                                self.health.hits.one();
                                info!(hit = %hit.id(), list = %hit.list().name, "hit");
                            }
                        }
                        if hits.send(hit).is_err() {
                            // The receiver is gone: the daemon is ending.
                            return;
                        }
                    }
                }
                Outcome::Quiet => self.health.hits_quiet.one(),
                Outcome::NoHit(read) => {
                    self.health.non_hits.one();
                    trace!(read = %read.id, "on no list");
                    self.ring.offer(read);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
