//! The buckets: which is written to, which have to go. All the thinking of the ring, without a
//! thread and without a clock of its own.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::bucket::{Bucket, GRAVE, Now};
use super::key::Sealer;
use super::purge::{PurgeReason, PurgeRecord, PurgeSink};
use super::search::Found;
use super::undertaker::Undertaker;
use super::{Kept, RingError};
use crate::clock::{BootId, FrameTime, TimeSource};
use crate::config::{KeepingConfig, Retention};
use crate::plate::PlateKey;

/// How often the ring looks for what has expired. A bucket goes this much early, so that it is
/// never late.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A bucket is opened as if this much earlier, so that reads which two cameras deliver out of order
/// find one bucket. A track closes within this time of its best frame.
const OUT_OF_ORDER: Duration = Duration::from_secs(2);

/// Width of a bucket whose ring has no age limit.
const SESSION_WIDTH: Duration = Duration::from_secs(600);

/// A ring has at least this many buckets, by time and by bytes: shedding the oldest loses a
/// sixteenth, and expiry forgets at most a sixteenth of the time early.
const BUCKETS: u32 = 16;

/// Bytes of an empty bucket, its key, and what the file grows by in whole pages.
const BUCKET_OVERHEAD: u64 = 24 * 1024;

/// Records that wait for the audit at most: sixty rings' worth of buckets.
const MOST_RECORDS: usize = 1_024;

/// Bytes of a read beside its thumbnail.
const ROW: u64 = 160;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// On the disk.
    Written,
    /// Not written: the disk has no room beside its reserve, or the batch is larger than the ring.
    NoRoom,
}

pub(super) struct Buckets {
    folder: PathBuf,
    /// `None`: keys are in memory only.
    sealer: Option<Sealer>,
    boot: BootId,
    /// Age at which a bucket goes; `None`: with the session.
    most_age: Option<Duration>,
    width: Duration,
    most_bytes: u64,
    reserve: u64,
    /// Bytes free on the disk; replaced in tests.
    free: fn(&Path) -> u64,
    /// In the order in which they were made, which is by age but for reads that came late.
    buckets: VecDeque<Bucket>,
    /// Whether the last bucket takes reads.
    writing: bool,
    /// What vouches for the wall clock.
    source: TimeSource,
    sink: Arc<dyn PurgeSink>,
    /// Records that the sink has not taken yet.
    untold: VecDeque<PurgeRecord>,
    purged: Vec<PurgeRecord>,
    /// Buckets that could not be destroyed or set aside yet, and why they have to go.
    stuck: Vec<(Bucket, PurgeReason)>,
    undertaker: Undertaker,
    /// Destroyed buckets whose files would not go.
    unburied: Vec<Bucket>,
}

impl Buckets {
    /// Takes up the folder: what has expired, cannot be dated or is not wanted goes before this
    /// returns. The sealer decides between a retention and a session.
    pub(super) fn open(
        keeping: &KeepingConfig,
        sealer: Option<Sealer>,
        (boot, source): (BootId, TimeSource),
        now: FrameTime,
        sink: Arc<dyn PurgeSink>,
    ) -> Result<Self, RingError> {
        let folder = folder(keeping);
        crate::keys::private_folder(&folder)
            .map_err(|source| RingError::Io { path: folder.clone(), source })?;
        let (most_age, width) = match keeping.non_hit {
            Retention::For(age) => (Some(age), age / BUCKETS),
            Retention::Session | Retention::Nothing => (None, SESSION_WIDTH),
        };
        let mut ring = Self {
            folder,
            sealer,
            boot,
            most_age,
            width,
            most_bytes: keeping.ring_bytes.get(),
            reserve: keeping.disk_reserve.get(),
            free,
            buckets: VecDeque::new(),
            writing: false,
            source,
            sink,
            untold: VecDeque::new(),
            purged: Vec::new(),
            stuck: Vec::new(),
            undertaker: Undertaker::default(),
            unburied: Vec::new(),
        };
        ring.take_up(Now::from(now))?;
        ring.look(now)?;
        Ok(ring)
    }

    /// From now on files are removed aside, and only keys and names are waited for.
    pub(super) fn work_aside(&mut self) {
        self.undertaker.work_aside();
    }

    fn take_up(&mut self, now: Now) -> Result<(), RingError> {
        let mut found = Vec::new();
        let Left { buckets, graves } = left(&self.folder)?;
        graves.iter().for_each(|name| self.undertaker.take(Bucket::grave(&self.folder, name)));
        for name in buckets {
            let remains =
                || Box::new((PurgeReason::Unwanted, Bucket::remains(&self.folder, &name)));
            let adopted = match &self.sealer {
                Some(sealer) => {
                    Bucket::adopt(&self.folder, &name, now, (self.boot, self.source), sealer)
                }
                None => Err(remains()),
            };
            match adopted {
                Ok(bucket) => found.push(bucket),
                Err(gone) => {
                    let (reason, bucket) = *gone;
                    self.remove(bucket, reason, now);
                }
            }
        }
        found.sort_by_key(|b| std::cmp::Reverse(b.age_ms(now)));
        self.buckets = found.into();
        self.report_stuck(now)
    }

    /// What vouches for the wall clock from now on.
    pub(super) fn set_source(&mut self, source: TimeSource) {
        self.source = source;
    }

    /// Removes what is too old. To be called every [`LOOK_EVERY`].
    pub(super) fn look(&mut self, now: FrameTime) -> Result<(), RingError> {
        let now = Now::from(now);
        self.tell();
        for (bucket, reason) in std::mem::take(&mut self.stuck) {
            self.remove(bucket, reason, now);
        }
        if let Some(most) = self.most_age {
            let most = millis(most - LOOK_EVERY);
            let mut at = 0;
            while let Some(bucket) = self.buckets.get(at) {
                match bucket.age_ms(now) >= most {
                    true => self.remove_at(at, PurgeReason::Expired, now),
                    false => at += 1,
                }
            }
        }
        if self.writing
            && self
                .buckets
                .back()
                .is_some_and(|b| b.age_ms(now) >= millis(self.width + OUT_OF_ORDER))
        {
            self.close_last();
        }
        // Others fill the disk too: the ring gives way to hits without being asked to write.
        self.make_room(0, now);
        self.report_stuck(now)
    }

    /// Writes a batch, making room for it first.
    pub(super) fn write(&mut self, reads: &[Kept], now: FrameTime) -> Result<Outcome, RingError> {
        self.look(now)?;
        let Some(oldest) = reads.iter().map(|r| Now::from(r.seen).boot_ms).min() else {
            return Ok(Outcome::Written);
        };
        let mut now = Now::from(now);
        let grows = BUCKET_OVERHEAD
            + reads
                .iter()
                .map(|r| ROW + r.thumbnail.as_ref().map_or(0, |t| t.len() as u64 + 4096))
                .sum::<u64>();
        if !self.make_room(grows, now) {
            return Ok(Outcome::NoRoom);
        }
        let last = self.buckets.back();
        let too_late = last.is_some_and(|b| b.opened_after(oldest));
        let full = last.is_some_and(|b| b.bytes() + grows > self.most_bytes / u64::from(BUCKETS));
        if self.writing && (too_late || full) {
            self.close_last();
        }
        if !self.writing {
            let earlier = (now.boot_ms - oldest).max(0) + millis(OUT_OF_ORDER);
            now.boot_ms -= earlier;
            now.wall_ms -= earlier;
            let bucket = Bucket::create(&self.folder, now, self.boot, self.sealer.as_ref())?;
            self.buckets.push_back(bucket);
            self.writing = true;
        }
        let bucket = self.buckets.back_mut().expect("a bucket is being written to");
        if let Err(e) = bucket.write(reads) {
            // It may be damaged or without room: the next batch gets another.
            self.writing = false;
            if let Some(bucket) = self.buckets.pop_back() {
                self.remove(bucket, PurgeReason::Broken, now);
            }
            return Err(e);
        }
        Ok(Outcome::Written)
    }

    /// Reads of these plates since then, bucket by bucket.
    pub(super) fn find(
        &self,
        keys: &BTreeSet<PlateKey>,
        since: Timestamp,
    ) -> Result<Found, RingError> {
        let mut found = Vec::new();
        for bucket in &self.buckets {
            found.extend(bucket.find(keys, since, self.sealer.as_ref())?);
        }
        Ok(found)
    }

    /// Ends writing; a session's buckets go.
    pub(super) fn close(&mut self, now: FrameTime) -> Result<(), RingError> {
        self.close_last();
        if self.sealer.is_none() {
            while !self.buckets.is_empty() {
                self.remove_at(0, PurgeReason::SessionOver, Now::from(now));
            }
        }
        self.report_stuck(Now::from(now))
    }

    /// The records of buckets that went since the last call.
    pub(super) fn take_purged(&mut self) -> Vec<PurgeRecord> {
        std::mem::take(&mut self.purged)
    }

    /// Sheds the oldest until `grows` bytes fit into the ring, and on the disk beside its reserve. A
    /// sixteenth of the ring is left free, so that what was shed may still be leaving while the next is
    /// written; only if that is not enough, its leaving is waited for.
    fn make_room(&mut self, grows: u64, now: Now) -> bool {
        let headroom = self.most_bytes / u64::from(BUCKETS);
        loop {
            let stuck = self.stuck.iter().map(|(bucket, _)| bucket).chain(&self.unburied);
            let used: u64 = self.buckets.iter().chain(stuck).map(Bucket::bytes).sum();
            let leaving = self.undertaker.bytes();
            let free = (self.free)(&self.folder);
            let needed = self.reserve.saturating_add(grows);
            let small_enough = used + grows <= self.most_bytes - headroom;
            if small_enough && used + leaving + grows <= self.most_bytes && free >= needed {
                return true;
            }
            let will_do = small_enough && free.saturating_add(leaving) >= needed;
            match leaving > 0 && (will_do || self.buckets.is_empty()) {
                true => {
                    self.undertaker.wait();
                    self.unburied.extend(self.undertaker.refused());
                }
                false if self.buckets.is_empty() => return false,
                false => self.remove_at(0, PurgeReason::Shed, now),
            }
        }
    }

    fn close_last(&mut self) {
        if std::mem::take(&mut self.writing)
            && let Some(last) = self.buckets.back_mut()
        {
            last.close();
        }
    }

    fn remove_at(&mut self, at: usize, reason: PurgeReason, now: Now) {
        if let Some(bucket) = self.buckets.remove(at) {
            self.writing &= at != self.buckets.len();
            self.remove(bucket, reason, now);
        }
    }

    /// Key, record, name, file, in this order: see [`PurgeSink`]. The file's removal is not waited for.
    fn remove(&mut self, mut bucket: Bucket, reason: PurgeReason, now: Now) {
        match bucket.kill() {
            Ok(true) => self.record(record(&bucket, reason, now, self.source)),
            Ok(false) => {}
            Err(_) => return self.stuck.push((bucket, reason)),
        }
        match bucket.set_aside() {
            Ok(()) => self.undertaker.take(bucket),
            Err(_) => self.stuck.push((bucket, reason)),
        }
    }

    fn record(&mut self, record: PurgeRecord) {
        self.purged.push(record.clone());
        if self.untold.len() == MOST_RECORDS {
            self.untold.pop_front();
        }
        self.untold.push_back(record);
        self.tell();
    }

    /// Hands over what the sink has not taken yet.
    fn tell(&mut self) {
        while let Some(record) = self.untold.front() {
            if let Err(e) = self.sink.purged(record) {
                tracing::warn!(error = %e, records = self.untold.len(), "purge not recorded yet");
                return;
            }
            self.untold.pop_front();
        }
    }

    /// A bucket that will not go is an error each time, so that health goes on saying it.
    fn report_stuck(&mut self, now: Now) -> Result<(), RingError> {
        self.unburied.extend(self.undertaker.refused());
        while let Some(bucket) = self.unburied.first_mut() {
            bucket.bury()?;
            self.unburied.remove(0);
        }
        let Some((bucket, reason)) = self.stuck.first_mut() else { return Ok(()) };
        if bucket.kill()? {
            let record = record(bucket, *reason, now, self.source);
            let buried = bucket.bury();
            self.record(record);
            return buried;
        }
        bucket.bury()
    }
}

fn record(bucket: &Bucket, reason: PurgeReason, now: Now, source: TimeSource) -> PurgeRecord {
    PurgeRecord {
        bucket: bucket.name().to_owned(),
        key: bucket.key_id(),
        rows: bucket.rows(),
        opened: bucket.opened(),
        at: Timestamp::from_millisecond(now.wall_ms).unwrap_or_default(),
        boot_ms: now.boot_ms,
        time_source: source,
        reason,
    }
}

/// Removes a ring altogether: for a configuration that keeps nothing. Returns whether there was one.
pub(super) fn remove_all(
    keeping: &KeepingConfig,
    now: FrameTime,
    source: TimeSource,
    sink: &dyn PurgeSink,
) -> Result<bool, RingError> {
    let folder = folder(keeping);
    if !folder.exists() {
        return Ok(false);
    }
    let Left { buckets, graves } = left(&folder)?;
    for name in graves {
        Bucket::grave(&folder, &name).bury()?;
    }
    for name in buckets {
        let mut bucket = Bucket::remains(&folder, &name);
        if bucket.kill()? {
            let record = record(&bucket, PurgeReason::Unwanted, now.into(), source);
            if let Err(e) = sink.purged(&record) {
                tracing::warn!(bucket = record.bucket, error = %e, "purge not recorded");
            }
        }
        bucket.bury()?;
    }
    fs::remove_dir_all(&folder).map_err(|source| RingError::Io { path: folder, source })?;
    Ok(true)
}

fn folder(keeping: &KeepingConfig) -> PathBuf {
    keeping.directory.join("ring")
}

/// Names of what is left in the folder.
struct Left {
    /// Buckets of which there is anything.
    buckets: BTreeSet<String>,
    /// Files of buckets whose end was told, and whose removal a crash came before.
    graves: BTreeSet<String>,
}

fn left(folder: &Path) -> Result<Left, RingError> {
    let io = |source| RingError::Io { path: folder.to_owned(), source };
    let mut left = Left { buckets: BTreeSet::new(), graves: BTreeSet::new() };
    for file in fs::read_dir(folder).map_err(io)? {
        let file = file.map_err(io)?.file_name();
        match file.to_str().and_then(|f| f.split_once('.')) {
            Some((name, GRAVE)) => _ = left.graves.insert(name.to_owned()),
            Some((name, _)) => _ = left.buckets.insert(name.to_owned()),
            None => {}
        }
    }
    Ok(left)
}

/// Bytes that we may still write on the disk that holds this folder.
fn free(folder: &Path) -> u64 {
    // A disk that does not tell is not taken for full: writing will show.
    rustix::fs::statvfs(folder).map_or(u64::MAX, |s| s.f_bavail.saturating_mul(s.f_frsize))
}

fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "purge_tests.rs"]
mod purge_tests;
