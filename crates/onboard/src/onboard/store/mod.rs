//! The encrypted ring of reads that matched nothing: bounded, and destroyed when their time is
//! over.
//!
//! In: reads, by `Ring::offer`, which never waits. Out: only answers to look-ups (`search.rs`).
//! Costs: one thread, and one commit a second at most. Leaves to others: whether a read is a hit.
//!
//! Time is divided into buckets, each a database file with a random key of its own. A bucket is
//! destroyed by destroying 32 bytes. The retention is a number in the configuration and may be
//! zero: then there is no thread, no file, no key.
//!
//! A disk that refuses does not stop the car: nothing is kept, health says so, and the ring is
//! opened again every few seconds. Buckets that have expired on it meanwhile are destroyed at the
//! first opportunity.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ulid::Ulid;

use super::frame::CameraId;
use super::read::PlateRead;
use super::vision::candidate::Confidence;
use crate::clock::{Clock, FrameTime, Sleeps, TimeSource};
use crate::config::{KeepingConfig, Retention};
use crate::gps::Position;
use crate::health::{Health, PartState};
use crate::keys::{DeviceKey, KeyError};
use crate::plate::Plate;
use crate::sqlcipher::StoreError;

mod bucket;
mod file_remover;
mod key;
mod limit;
mod purge;
mod ring;
mod search;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
pub mod thumbnail;

use key::Sealer;
pub use limit::RingLimit;
pub use purge::{LogOnly, PurgeReason, PurgeRecord, PurgeSink};
use ring::{Buckets, LOOK_EVERY, Outcome};
use search::Asked;
pub use search::Searcher;

/// The name under which health reports this part.
const PART: &str = "ring";

/// Reads that may wait for the disk: at five a second, the disk may stall for a minute.
const CHANNEL: usize = 300;

/// A batch is written when it has this many reads, or when it is a second old: every commit wears
/// the flash.
const BATCH: usize = 64;

/// Look-ups that may wait: people make one at a time.
const SEARCHES: usize = 4;

/// Pause before a disk that refused is tried again. (Tests do not wait so long.)
const AGAIN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2_000 });

/// JPEG quality of thumbnails: a plate stays legible in 2 to 4 KB.
const JPEG_QUALITY: u8 = 75;

/// Why the ring cannot keep or destroy reads.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    /// The device key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A bucket cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the ring cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl RingError {
    /// Whether the disk is the cause, so that trying again may help.
    fn is_disk(&self) -> bool {
        match self {
            Self::Key(e) => matches!(e, KeyError::Io { .. }),
            Self::Store(e) => e.is_disk(),
            Self::Io { .. } => true,
        }
    }
}

/// The ring's connections to the audit log and to the time source.
#[derive(Clone)]
pub struct RingSeams {
    /// Receives the record of every bucket's end.
    pub purges: Arc<dyn PurgeSink>,
    /// Who vouches for the wall clock at present.
    pub source: Arc<dyn Fn() -> TimeSource + Send + Sync>,
}

/// The ring. Clones share it, and it works while there is one: expiry must not depend on whether
/// anything is read. Dropping the last clone writes what is waiting, and ends a session.
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
    /// Opens the ring; purges are only logged. See [`Ring::open_with`].
    pub fn open(
        keeping: &KeepingConfig,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Result<Self, RingError> {
        let vouching = clock.clone();
        let source = Arc::new(move || vouching.source());
        Self::open_with(keeping, clock, health, RingSeams { purges: Arc::new(LogOnly), source })
    }

    /// Opens the ring. When this returns, whatever has expired is destroyed, unless the disk
    /// refuses: call it before a camera opens. A wrong key is an error; a disk that refuses is
    /// reported in health and tried again.
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
            reported: None,
            sleeps: Sleeps::default(),
        };
        let thread = crate::threads::spawn("ring", move || keeper.run(&reads, &asked))
            .map_err(|source| RingError::Io { path: directory.join("ring"), source })?;
        let reads = keeps.then(|| sender.clone());
        let worker = Some(Worker { reads, stop: sender, searches, thread });
        Ok(Self(Arc::new(Shared { worker, limit, health })))
    }

    /// The handle by which a policy narrows what the running ring keeps.
    pub fn limit(&self) -> RingLimit {
        self.0.limit.clone()
    }

    /// The handle for look-ups; `None` where nothing is ever kept.
    pub fn searcher(&self) -> Option<Searcher> {
        let worker = self.0.worker.as_ref()?;
        worker.reads.as_ref().map(|_| Searcher(worker.searches.clone()))
    }

    /// Offers a read that matched nothing. It never waits: a read for which there is no room is
    /// counted and dropped.
    pub(in crate::onboard) fn offer(&self, read: PlateRead) {
        let Some(reads) = self.0.worker.as_ref().and_then(|w| w.reads.as_ref()) else { return };
        match reads.try_send(read) {
            // Disconnected means that a policy has ended the ring, and nothing is kept any more.
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

/// Opens the buckets, at the start and after the disk has refused.
struct Opener {
    keeping: KeepingConfig,
    clock: Arc<dyn Clock>,
    seams: RingSeams,
}

impl Opener {
    /// The buckets; `None` if the configuration keeps nothing and nothing is left.
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
                crate::files::private_folder(&keeping.directory)
                    .map_err(|source| RingError::Io { path: keeping.directory.clone(), source })?;
                Some(Sealer::new(&DeviceKey::load(&keeping.directory)?))
            }
        };
        let when = (self.clock.boot(), source);
        let mut buckets = Buckets::open(keeping, sealer, when, now, self.seams.purges.clone())?;
        // What had to go at the start is destroyed; from now on the ring's thread must not wait for
        // files.
        buckets.work_aside();
        Ok(Some(buckets))
    }
}

/// A read as the ring keeps it: its text, place and time, without alternatives.
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

/// The ring's thread: collects reads, writes them, destroys what has expired.
struct Keeper {
    /// `None` while the disk refuses.
    buckets: Option<Buckets>,
    opener: Opener,
    /// The limit set by policy, and the last change of it that was applied.
    limit: (RingLimit, u64),
    /// When to open the buckets again.
    again: Instant,
    health: Arc<Health>,
    /// The last report in health, so that the log has it once.
    reported: Option<String>,
    sleeps: Sleeps,
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
                // Reads that expired while the machine slept, or since the last purge, must not be
                // found.
                if !self.step(&mut batch) {
                    return;
                }
                let found = match &self.buckets {
                    Some(buckets) => buckets.find(&keys, since).map_err(|e| e.to_string()),
                    None => Err("the disk refuses".into()),
                };
                // The caller may have given up waiting.
                let _ = answer.send(found);
            }
            if closed {
                let now = self.opener.clock.now();
                let end = self.buckets.as_mut().map_or(Ok(()), |b| b.close(now));
                self.account();
                // The last state stays, unless closing fails.
                if let Err(e) = end {
                    self.report_to_health(Err(e));
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
        if let Some(slept) = self.sleeps.since_last(&*self.opener.clock)
            && self.opener.keeping.non_hit == Retention::Session
        {
            // Otherwise a session would never end on a computer that sleeps when the ignition is
            // off.
            tracing::info!(seconds = slept.as_secs(), "machine slept, session ends");
            self.begin_anew();
            batch.clear();
        }
        let n = batch.len() as u64;
        if self.buckets.is_none() && Instant::now() >= self.again {
            self.again = Instant::now() + AGAIN_AFTER;
            match self.opener.open() {
                Ok(Some(buckets)) => {
                    self.buckets = Some(buckets);
                    self.report_to_health(Ok(Outcome::Written));
                }
                Ok(None) => {
                    self.health.set(PART, PartState::Off);
                    return false;
                }
                Err(e) => self.report_to_health(Err(e)),
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
            0 => buckets.purge_due(now).map(|()| Outcome::Written),
            _ => buckets.write(batch, now),
        };
        batch.clear();
        match outcome {
            Ok(Outcome::Written) => self.health.ring_written.many(n),
            _ => self.health.ring_dropped.many(n),
        }
        self.account();
        // If there was nothing to write, it is unknown whether writing works.
        if n > 0 || outcome.is_err() {
            self.report_to_health(outcome);
        }
        true
    }

    /// Opens the ring anew under narrower settings: reads that these would not have let in are
    /// destroyed, and those that were not written yet are dropped. If the disk refuses, it is tried
    /// again.
    fn narrow(&mut self, keeping: KeepingConfig, batch: &mut Vec<Kept>) {
        tracing::info!(non_hit = %keeping.non_hit, thumbnails = keeping.thumbnails, "ring narrowed by policy");
        self.begin_anew();
        batch.clear();
        self.opener.keeping = keeping;
    }

    /// Closes the buckets, which destroys those of a session, and lets them be opened again at
    /// once.
    fn begin_anew(&mut self) {
        let session = self.opener.keeping.non_hit == Retention::Session;
        if let Some(buckets) = self.buckets.as_mut().filter(|_| session)
            && let Err(e) = buckets.close(self.opener.clock.now())
        {
            self.report_to_health(Err(e));
        }
        self.account();
        self.buckets = None;
        self.again = Instant::now();
    }

    fn account(&mut self) {
        let purged = self.buckets.as_mut().map(Buckets::take_purged).unwrap_or_default();
        for record in purged {
            self.health.ring_purged.many(record.rows.unwrap_or(0));
        }
    }

    /// Reports the result of the last step in health and in the log.
    fn report_to_health(&mut self, outcome: Result<Outcome, RingError>) {
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
        if self.reported != line {
            match &line {
                Some(line) => tracing::warn!(state = line, "ring impaired"),
                None => tracing::info!("ring works again"),
            }
            self.reported = line;
        }
        self.health.set(PART, state);
    }
}
