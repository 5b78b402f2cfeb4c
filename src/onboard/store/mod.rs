//! The encrypted ring of reads that matched nothing: bounded, and gone for good when its time is.
//!
//! In: reads, by `Ring::offer`, which never waits. Out: nothing; look-ups are not built. Costs:
//! one thread, and one commit a second at most. Leaves to others: whether a read is a hit.
//!
//! Time is cut into buckets, each a database file with a random key of its own. To forget a bucket
//! is to destroy 32 bytes. How long is a number in the configuration, and zero is allowed: then
//! there is no thread, no file, no key.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use ulid::Ulid;

use super::frame::CameraId;
use super::read::PlateRead;
use super::vision::candidate::Confidence;
use crate::clock::{Clock, FrameTime};
use crate::config::{KeepingConfig, Retention};
use crate::gps::Position;
use crate::health::{Health, PartState};
use crate::keys::{DeviceKey, KeyError};
use crate::plate::Plate;
use crate::sqlcipher::StoreError;

mod bucket;
mod key;
mod ring;
pub(crate) mod thumbnail;

use key::{BootId, Sealer};
use ring::{Buckets, LOOK_EVERY, Outcome};

/// The part's name in health.
const PART: &str = "ring";

/// Reads that may wait for the disk. At five a second, a disk may hesitate for a minute.
const CHANNEL: usize = 300;

/// A batch is written when it has this many reads, or when it is a second old: flash wears by the
/// commit.
const BATCH: usize = 64;

/// JPEG quality of thumbnails: a plate stays legible in 2 to 4 KB.
const JPEG_QUALITY: u8 = 75;

/// Why the ring cannot keep, or cannot forget.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The device key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A bucket.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the ring.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The ring. Dropping it writes what is waiting, and ends a session.
pub struct Ring {
    worker: Option<Worker>,
    health: Arc<Health>,
}

struct Worker {
    reads: SyncSender<PlateRead>,
    thread: JoinHandle<()>,
}

impl Ring {
    /// Opens the ring. Whatever has expired is gone when this returns: call it before a camera
    /// opens.
    pub fn open(
        keeping: &KeepingConfig,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, RingError> {
        let sealer = match keeping.non_hit {
            Retention::Nothing => {
                if ring::remove_all(keeping)? {
                    tracing::info!("ring removed, configuration keeps nothing");
                }
                health.set(PART, PartState::Off);
                return Ok(Self { worker: None, health });
            }
            Retention::Session => None,
            Retention::For(_) => Some(Sealer::new(&DeviceKey::load(&keeping.directory)?)),
        };
        let buckets = Buckets::open(keeping, sealer, BootId::now(), clock.now())?;
        health.set(PART, PartState::Working);
        let (sender, reads) = sync_channel(CHANNEL);
        let keeper = Keeper {
            buckets,
            thumbnails: keeping.thumbnails,
            clock,
            health: health.clone(),
            said: None,
        };
        let thread = std::thread::Builder::new()
            .name("ring".into())
            .spawn(move || keeper.run(&reads))
            .map_err(|source| RingError::Io { path: keeping.directory.join("ring"), source })?;
        Ok(Self { worker: Some(Worker { reads: sender, thread }), health })
    }

    /// Offers a read that matched nothing. Never waits: what does not fit is counted and forgotten.
    pub(in crate::onboard) fn offer(&self, read: PlateRead) {
        let Some(worker) = &self.worker else { return };
        match worker.reads.try_send(read) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.health.ring_dropped.one();
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(Worker { reads, thread }) = self.worker.take() {
            drop(reads);
            if thread.join().is_err() {
                tracing::error!("ring thread panicked");
            }
        }
    }
}

/// A read as the ring keeps it: the text and where and when, no alternatives.
pub(super) struct Kept {
    id: Ulid,
    seen: FrameTime,
    camera: CameraId,
    plate: Plate,
    weakest: Confidence,
    frames: u32,
    place: Option<(f64, f64)>,
    accuracy_m: Option<f32>,
    thumbnail: Option<Vec<u8>>,
}

impl Kept {
    fn of(read: &PlateRead, thumbnails: bool) -> Self {
        let (place, accuracy_m) = match read.position {
            Position::Fixed { fix, .. } => (Some((fix.latitude, fix.longitude)), fix.accuracy_m),
            Position::NoFix => (None, None),
        };
        let picture = || {
            thumbnail::jpeg(&read.crop, JPEG_QUALITY)
                .inspect_err(|e| tracing::debug!(error = %e, "thumbnail not made"))
                .ok()
        };
        Self {
            id: read.id,
            seen: read.seen,
            camera: read.camera.clone(),
            plate: read.plate,
            weakest: read.weakest,
            frames: read.frames,
            place,
            accuracy_m,
            thumbnail: (thumbnails && !read.crop.rgb.is_empty()).then(picture).flatten(),
        }
    }
}

/// The ring's thread: collects, writes, looks for what has expired.
struct Keeper {
    buckets: Buckets,
    thumbnails: bool,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    /// What health was told last, so that the log has it once.
    said: Option<String>,
}

impl Keeper {
    fn run(mut self, reads: &Receiver<PlateRead>) {
        let mut batch: Vec<Kept> = Vec::with_capacity(BATCH);
        let mut due = Instant::now() + LOOK_EVERY;
        loop {
            let closed = match reads.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(read) => {
                    batch.push(Kept::of(&read, self.thumbnails));
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if closed || batch.len() >= BATCH || Instant::now() >= due {
                self.step(&mut batch);
                due = Instant::now() + LOOK_EVERY;
            }
            if closed {
                let end = self.buckets.close();
                self.account();
                return self.say(end.map(|()| Outcome::Written));
            }
        }
    }

    fn step(&mut self, batch: &mut Vec<Kept>) {
        let now = self.clock.now();
        let n = batch.len() as u64;
        let outcome = match n {
            0 => self.buckets.look(now).map(|()| Outcome::Written),
            _ => self.buckets.write(batch, now),
        };
        batch.clear();
        match outcome {
            Ok(Outcome::Written) => self.health.ring_written.many(n),
            _ => self.health.ring_dropped.many(n),
        }
        self.account();
        // Nothing to write says nothing of whether writing works.
        if n > 0 || outcome.is_err() {
            self.say(outcome);
        }
    }

    fn account(&mut self) {
        for purged in self.buckets.take_purged() {
            tracing::info!(
                bucket = purged.bucket,
                opened_ms = purged.opened_ms,
                reads = purged.reads,
                cause = ?purged.cause,
                "ring bucket destroyed"
            );
            self.health.ring_purged.many(purged.reads);
        }
    }

    fn say(&mut self, outcome: Result<Outcome, RingError>) {
        let (state, line) = match outcome {
            Ok(Outcome::Written) => (PartState::Working, None),
            Ok(Outcome::NoRoom) => {
                let line = "disk nearly full: reads that match nothing are not kept; hits are";
                (PartState::Impaired(line.into()), Some(line.to_owned()))
            }
            Err(e) => {
                let line = format!("reads that match nothing are not kept: {e}");
                (PartState::Down(line.clone()), Some(line))
            }
        };
        if self.said != line {
            match &line {
                Some(line) => tracing::warn!(state = line, "ring impaired"),
                None => tracing::info!("ring works again"),
            }
            self.said = line;
        }
        self.health.set(PART, state);
    }
}
