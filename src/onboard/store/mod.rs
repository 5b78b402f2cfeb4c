//! The encrypted ring of reads that matched nothing: bounded, and gone for good when its time is.
//!
//! In: reads, by `Ring::offer`, which never waits. Out: nothing but
//! answers to a look-up (`search.rs`). Costs:
//! one thread, and one commit a second at most. Leaves to others: whether a read is a hit.
//!
//! Time is cut into buckets, each a database file with a random key of its own. To forget a bucket
//! is to destroy 32 bytes. How long is a number in the configuration, and zero is allowed: then
//! there is no thread, no file, no key.
//!
//! A disk that refuses does not stop the car: nothing is kept, health says so, and the ring is
//! opened again every few seconds. What has expired on it meanwhile goes at the first chance.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::frame::CameraId;
use super::read::PlateRead;
use super::vision::candidate::Confidence;
use crate::clock::{Clock, FrameTime, TimeSource};
use crate::config::{KeepingConfig, Retention};
use crate::gps::Position;
use crate::health::{Health, PartState};
use crate::keys::{DeviceKey, KeyError};
use crate::plate::Plate;
use crate::sqlcipher::StoreError;

mod bucket;
mod key;
mod limit;
mod purge;
mod ring;
mod search;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
pub(crate) mod thumbnail;
mod undertaker;

use key::Sealer;
pub use limit::RingLimit;
pub use purge::{LogOnly, PurgeReason, PurgeRecord, PurgeSink};
use ring::{Buckets, LOOK_EVERY, Outcome};
use search::Asked;
pub use search::Searcher;

/// The part's name in health.
const PART: &str = "ring";

/// Reads that may wait for the disk. At five a second, a disk may hesitate for a minute.
const CHANNEL: usize = 300;

/// A batch is written when it has this many reads, or when it is a second old: flash wears by the
/// commit.
const BATCH: usize = 64;

/// Look-ups that wait: people ask one at a time.
const SEARCHES: usize = 4;

/// Pause before a disk that refused is tried again. (Tests do not wait.)
const AGAIN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2_000 });

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

impl RingError {
    /// Whether the disk is to blame, so that trying again may help.
    fn is_disk(&self) -> bool {
        match self {
            Self::Key(e) => matches!(e, KeyError::Io { .. }),
            Self::Store(e) => e.is_disk(),
            Self::Io { .. } => true,
        }
    }
}

/// Where the ring meets the audit and what vouches for the time.
#[derive(Clone)]
pub struct RingSeams {
    /// Takes the record of every bucket's end.
    pub purges: Arc<dyn PurgeSink>,
    /// What vouches for the wall clock just now.
    pub source: Arc<dyn Fn() -> TimeSource + Send + Sync>,
}

/// The ring. Clones share it, and it works for as long as there is one: expiry must not depend on
/// whether anything is read. Dropping the last writes what is waiting, and ends a session.
#[derive(Clone)]
pub struct Ring(Arc<Shared>);

struct Shared {
    worker: Option<Worker>,
    limit: RingLimit,
    health: Arc<Health>,
}

struct Worker {
    /// `None` for a thread that only removes what an earlier configuration has kept.
    reads: Option<SyncSender<PlateRead>>,
    stop: SyncSender<PlateRead>,
    searches: SyncSender<Asked>,
    thread: JoinHandle<()>,
}

impl Ring {
    /// Opens the ring with purges in the log only. See [`Ring::open_with`].
    pub fn open(
        keeping: &KeepingConfig,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, RingError> {
        let vouching = clock.clone();
        let source = Arc::new(move || vouching.source());
        Self::open_with(keeping, clock, health, RingSeams { purges: Arc::new(LogOnly), source })
    }

    /// Opens the ring. Whatever has expired is gone when this returns, unless the disk refuses:
    /// call it before a camera opens. A key that is not right is an error; a disk that refuses is
    /// said in health and tried again.
    pub fn open_with(
        keeping: &KeepingConfig,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
        seams: RingSeams,
    ) -> Result<Self, RingError> {
        let opener = Opener { keeping: keeping.clone(), clock, seams };
        let opened = match opener.open() {
            Ok(None) => {
                health.set(PART, PartState::Off);
                let limit = RingLimit::default();
                return Ok(Self(Arc::new(Shared { worker: None, limit, health })));
            }
            Ok(Some(buckets)) => {
                health.set(PART, PartState::Working);
                Some(buckets)
            }
            Err(e) if e.is_disk() => {
                health.set(PART, PartState::Down(refused(&e)));
                tracing::error!(error = %e, "ring refused by the disk, tried again");
                None
            }
            Err(e) => return Err(e),
        };
        let (sender, reads) = sync_channel(CHANNEL);
        let (searches, asked) = sync_channel(SEARCHES);
        let keeps = keeping.non_hit != Retention::Nothing;
        let directory = keeping.directory.clone();
        let limit = RingLimit::default();
        let keeper = Keeper {
            limit: (limit.clone(), 0),
            buckets: opened,
            opener,
            again: Instant::now() + AGAIN_AFTER,
            health: health.clone(),
            said: None,
        };
        let thread = std::thread::Builder::new()
            .name("ring".into())
            .spawn(move || keeper.run(&reads, &asked))
            .map_err(|source| RingError::Io { path: directory.join("ring"), source })?;
        let reads = keeps.then(|| sender.clone());
        let worker = Some(Worker { reads, stop: sender, searches, thread });
        Ok(Self(Arc::new(Shared { worker, limit, health })))
    }

    /// Through which a policy narrows what the running ring keeps.
    pub fn limit(&self) -> RingLimit {
        self.0.limit.clone()
    }

    /// Where the ring is searched; `None` where nothing is ever kept.
    pub fn searcher(&self) -> Option<Searcher> {
        let worker = self.0.worker.as_ref()?;
        worker.reads.as_ref().map(|_| Searcher(worker.searches.clone()))
    }

    /// Offers a read that matched nothing. Never waits: what does not fit is counted and forgotten.
    pub(in crate::onboard) fn offer(&self, read: PlateRead) {
        let Some(reads) = self.0.worker.as_ref().and_then(|w| w.reads.as_ref()) else { return };
        match reads.try_send(read) {
            // Disconnected: a policy has ended the ring, and nothing is kept any more.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => self.0.health.ring_dropped.one(),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(Worker { reads, stop, searches, thread }) = self.worker.take() {
            drop((reads, stop, searches));
            if thread.join().is_err() {
                tracing::error!("ring thread panicked");
            }
        }
    }
}

fn refused(e: &RingError) -> String {
    format!("reads that match nothing are not kept, expired ones not removed: {e}")
}

/// Knows how to open the buckets, at the start and after the disk has refused.
struct Opener {
    keeping: KeepingConfig,
    clock: Arc<dyn Clock>,
    seams: RingSeams,
}

impl Opener {
    /// The buckets; `None` for a configuration that keeps nothing, once nothing is left.
    fn open(&self) -> Result<Option<Buckets>, RingError> {
        let keeping = &self.keeping;
        let source = (self.seams.source)();
        let now = self.clock.now();
        let sealer = match keeping.non_hit {
            Retention::Nothing => {
                if ring::remove_all(keeping, now, source, &*self.seams.purges)? {
                    tracing::info!("ring removed, configuration keeps nothing");
                }
                return Ok(None);
            }
            Retention::Session => None,
            Retention::For(_) => {
                crate::keys::private_folder(&keeping.directory)
                    .map_err(|source| RingError::Io { path: keeping.directory.clone(), source })?;
                Some(Sealer::new(&DeviceKey::load(&keeping.directory)?))
            }
        };
        let when = (self.clock.boot(), source);
        let mut buckets = Buckets::open(keeping, sealer, when, now, self.seams.purges.clone())?;
        // What was to go at the start is gone; from here on the ring's thread must not wait for files.
        buckets.work_aside();
        Ok(Some(buckets))
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
    /// `None` while the disk refuses.
    buckets: Option<Buckets>,
    opener: Opener,
    /// What policy allows, and how much of it has been seen.
    limit: (RingLimit, u64),
    /// When to open them again.
    again: Instant,
    health: Arc<Health>,
    /// What health was told last, so that the log has it once.
    said: Option<String>,
}

impl Keeper {
    fn run(mut self, reads: &Receiver<PlateRead>, searches: &Receiver<Asked>) {
        let mut batch: Vec<Kept> = Vec::with_capacity(BATCH);
        let mut due = Instant::now() + LOOK_EVERY;
        loop {
            let closed = match reads.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(read) => {
                    batch.push(Kept::of(&read, self.opener.keeping.thumbnails));
                    false
                }
                Err(RecvTimeoutError::Timeout) => false,
                Err(RecvTimeoutError::Disconnected) => true,
            };
            if closed || batch.len() >= BATCH || Instant::now() >= due {
                if !self.step(&mut batch) {
                    return;
                }
                due = Instant::now() + LOOK_EVERY;
            }
            while let Ok(Asked { keys, since, answer }) = searches.try_recv() {
                let found = match &self.buckets {
                    Some(buckets) => buckets.find(&keys, since).map_err(|e| e.to_string()),
                    None => Err("the disk refuses".into()),
                };
                // Whoever asked may have given up.
                let _ = answer.send(found);
            }
            if closed {
                let now = self.opener.clock.now();
                let end = self.buckets.as_mut().map_or(Ok(()), |b| b.close(now));
                self.account();
                // How it was is how it ends, unless it ends badly.
                if let Err(e) = end {
                    self.say(Err(e));
                }
                return;
            }
        }
    }

    /// Returns whether there is anything left to do.
    fn step(&mut self, batch: &mut Vec<Kept>) -> bool {
        let (limit, seen) = &mut self.limit;
        if let Some(keeping) = limit.narrowed(&self.opener.keeping, seen) {
            self.narrow(keeping, batch);
        }
        let n = batch.len() as u64;
        if self.buckets.is_none() && Instant::now() >= self.again {
            self.again = Instant::now() + AGAIN_AFTER;
            match self.opener.open() {
                Ok(Some(buckets)) => {
                    self.buckets = Some(buckets);
                    self.say(Ok(Outcome::Written));
                }
                Ok(None) => {
                    self.health.set(PART, PartState::Off);
                    return false;
                }
                Err(e) => self.say(Err(e)),
            }
        }
        let Some(buckets) = &mut self.buckets else {
            batch.clear();
            self.health.ring_dropped.many(n);
            return true;
        };
        buckets.set_source((self.opener.seams.source)());
        let now = self.opener.clock.now();
        let outcome = match n {
            0 => buckets.look(now).map(|()| Outcome::Written),
            _ => buckets.write(batch, now),
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
        true
    }

    /// Takes the ring up anew under narrower settings: what they would not have let in goes, and what
    /// has not been written yet is forgotten. If the disk refuses, that is tried again.
    fn narrow(&mut self, keeping: KeepingConfig, batch: &mut Vec<Kept>) {
        tracing::info!(non_hit = %keeping.non_hit, thumbnails = keeping.thumbnails, "ring narrowed by policy");
        let session = self.opener.keeping.non_hit == Retention::Session;
        if let Some(mut buckets) = self.buckets.take().filter(|_| session)
            && let Err(e) = buckets.close(self.opener.clock.now())
        {
            self.say(Err(e));
        }
        batch.clear();
        self.opener.keeping = keeping;
        self.again = Instant::now();
    }

    fn account(&mut self) {
        let purged = self.buckets.as_mut().map(Buckets::take_purged).unwrap_or_default();
        for record in purged {
            self.health.ring_purged.many(record.rows.unwrap_or(0));
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
