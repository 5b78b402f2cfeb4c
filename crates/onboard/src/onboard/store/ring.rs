//! The ring's buckets: which one is written to, which ones must go. This is all the logic of the
//! ring, without a thread and without a clock of its own.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::bucket::{Bucket, DESTROYED, Now};
use super::file_remover::FileRemover;
use super::key::Sealer;
use super::purge::{PurgeReason, PurgeRecord, PurgeSink};
use super::search::Found;
use super::{Kept, RingError};
use crate::clock::{BootId, FrameTime, TimeSource};
use crate::config::{KeepingConfig, Retention};
use crate::plate::PlateKey;

/// How often the ring checks for expired buckets. A bucket is destroyed this much early, so that it
/// is never late.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A bucket counts as opened this much earlier, so that reads which two cameras deliver out of
/// order go to one bucket. A track closes within this time after its best frame.
const OUT_OF_ORDER: Duration = Duration::from_secs(2);

/// Width of a bucket whose ring has no age limit.
const SESSION_WIDTH: Duration = Duration::from_secs(600);

/// Fewest buckets of a ring, by time and by bytes: shedding the oldest loses a sixteenth, and
/// expiry destroys reads at most a sixteenth of the time early.
const BUCKETS: u32 = 16;

/// Size of an empty bucket and its key, and of the pages by which its file grows.
const BUCKET_OVERHEAD: u64 = 24 * 1024;

/// Most records that wait for the audit log: sixty rings' worth of buckets.
const MOST_RECORDS: usize = 1_024;

/// Size of a read without its thumbnail.
const ROW: u64 = 160;

/// The result for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is on the disk.
    Written,
    /// It was not written: the disk has no room beyond its reserve, or the batch is larger than the
    /// ring.
    NoRoom,
}

pub(super) struct Buckets {
    folder: PathBuf,
    /// `None` if keys are in memory only.
    sealer: Option<Sealer>,
    boot: BootId,
    /// Age at which a bucket is destroyed; `None` if that is at the end of the session.
    most_age: Option<Duration>,
    width: Duration,
    most_bytes: u64,
    reserve: u64,
    /// Returns the free bytes on the disk; replaced in tests.
    free: fn(&Path) -> u64,
    /// In the order in which they were made: by age, except for reads that came late.
    buckets: VecDeque<Bucket>,
    /// Whether the last bucket is open for writing.
    writing: bool,
    /// Who vouches for the wall clock.
    source: TimeSource,
    sink: Arc<dyn PurgeSink>,
    /// Records that the sink has not taken yet.
    unrecorded: VecDeque<PurgeRecord>,
    purged: Vec<PurgeRecord>,
    /// Buckets that could not be destroyed or renamed yet, and why they must go.
    stuck: Vec<(Bucket, PurgeReason)>,
    file_remover: FileRemover,
    /// Destroyed buckets whose files could not be removed.
    unremoved: Vec<Bucket>,
}

impl Buckets {
    /// Opens the folder: when this returns, buckets that have expired, cannot be dated or are not
    /// wanted are destroyed. With a sealer there is a retention, without one a session.
    pub(super) fn open(
        keeping: &KeepingConfig,
        sealer: Option<Sealer>,
        (boot, source): (BootId, TimeSource),
        now: FrameTime,
        sink: Arc<dyn PurgeSink>,
    ) -> Result<Self, RingError> {
        let folder = folder(keeping);
        crate::files::private_folder(&folder)
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
            unrecorded: VecDeque::new(),
            purged: Vec::new(),
            stuck: Vec::new(),
            file_remover: FileRemover::default(),
            unremoved: Vec::new(),
        };
        ring.take_up(Now::from(now))?;
        ring.purge_due(now)?;
        Ok(ring)
    }

    /// From now on files are removed by a thread; only keys and renames are waited for.
    pub(super) fn work_aside(&mut self) {
        self.file_remover.work_aside();
    }

    fn take_up(&mut self, now: Now) -> Result<(), RingError> {
        let mut found = Vec::new();
        let Left { buckets, destroyed } = left(&self.folder)?;
        destroyed
            .iter()
            .for_each(|name| self.file_remover.hand_over(Bucket::destroyed(&self.folder, name)));
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

    /// Sets who vouches for the wall clock from now on.
    pub(super) fn set_source(&mut self, source: TimeSource) {
        self.source = source;
    }

    /// Destroys buckets that are too old. It must be called every [`LOOK_EVERY`].
    pub(super) fn purge_due(&mut self, now: FrameTime) -> Result<(), RingError> {
        let now = Now::from(now);
        self.hand_over_records();
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
        // Others fill the disk too: the ring gives room to hits even if it has nothing to write.
        self.make_room(0, now);
        self.report_stuck(now)
    }

    /// Writes a batch, after making room for it.
    pub(super) fn write(&mut self, reads: &[Kept], now: FrameTime) -> Result<Outcome, RingError> {
        self.purge_due(now)?;
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
            // It may be damaged or without room: the next batch goes to another bucket.
            self.writing = false;
            if let Some(bucket) = self.buckets.pop_back() {
                self.remove(bucket, PurgeReason::Broken, now);
            }
            return Err(e);
        }
        Ok(Outcome::Written)
    }

    /// Finds the reads of these plates since a time, bucket by bucket.
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

    /// Ends writing; a session's buckets are destroyed.
    pub(super) fn close(&mut self, now: FrameTime) -> Result<(), RingError> {
        self.close_last();
        if self.sealer.is_none() {
            while !self.buckets.is_empty() {
                self.remove_at(0, PurgeReason::SessionOver, Now::from(now));
            }
        }
        self.report_stuck(Now::from(now))
    }

    /// The records of buckets that were destroyed since the last call.
    pub(super) fn take_purged(&mut self) -> Vec<PurgeRecord> {
        std::mem::take(&mut self.purged)
    }

    /// Sheds the oldest buckets until `grows` bytes fit into the ring, and on the disk beside its
    /// reserve. A sixteenth of the ring is left free, so that the files of shed buckets may still
    /// be on the disk while the next batch is written; only if that is not enough does it wait for
    /// their removal.
    fn make_room(&mut self, grows: u64, now: Now) -> bool {
        let headroom = self.most_bytes / u64::from(BUCKETS);
        loop {
            let stuck = self.stuck.iter().map(|(bucket, _)| bucket).chain(&self.unremoved);
            let used: u64 = self.buckets.iter().chain(stuck).map(Bucket::bytes).sum();
            let leaving = self.file_remover.bytes();
            let free = (self.free)(&self.folder);
            let needed = self.reserve.saturating_add(grows);
            let small_enough = used + grows <= self.most_bytes - headroom;
            if small_enough && used + leaving + grows <= self.most_bytes && free >= needed {
                return true;
            }
            let will_do = small_enough && free.saturating_add(leaving) >= needed;
            match leaving > 0 && (will_do || self.buckets.is_empty()) {
                true => {
                    self.file_remover.wait();
                    self.unremoved.extend(self.file_remover.refused());
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

    /// Destroys the key, hands over the record, renames the file and removes it, in this order: see
    /// [`PurgeSink`]. It does not wait for the removal.
    fn remove(&mut self, mut bucket: Bucket, reason: PurgeReason, now: Now) {
        match bucket.destroy_key() {
            Ok(true) => self.record(record(&bucket, reason, now, self.source)),
            Ok(false) => {}
            Err(_) => return self.stuck.push((bucket, reason)),
        }
        match bucket.rename_destroyed() {
            Ok(()) => self.file_remover.hand_over(bucket),
            Err(_) => self.stuck.push((bucket, reason)),
        }
    }

    fn record(&mut self, record: PurgeRecord) {
        self.purged.push(record.clone());
        if self.unrecorded.len() == MOST_RECORDS {
            self.unrecorded.pop_front();
        }
        self.unrecorded.push_back(record);
        self.hand_over_records();
    }

    /// Hands over the records that the sink has not taken yet.
    fn hand_over_records(&mut self) {
        while let Some(record) = self.unrecorded.front() {
            if let Err(e) = self.sink.purged(record) {
                tracing::warn!(error = %e, records = self.unrecorded.len(), "purge not recorded yet");
                return;
            }
            self.unrecorded.pop_front();
        }
    }

    /// A bucket that cannot be destroyed is an error at each step, so that health keeps reporting
    /// it.
    fn report_stuck(&mut self, now: Now) -> Result<(), RingError> {
        self.unremoved.extend(self.file_remover.refused());
        while let Some(bucket) = self.unremoved.first_mut() {
            bucket.remove_files()?;
            self.unremoved.remove(0);
        }
        let Some((bucket, reason)) = self.stuck.first_mut() else { return Ok(()) };
        if bucket.destroy_key()? {
            let record = record(bucket, *reason, now, self.source);
            let removed = bucket.remove_files();
            self.record(record);
            return removed;
        }
        bucket.remove_files()
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

/// Removes a whole ring, for a configuration that keeps nothing. Returns whether there was one.
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
    let Left { buckets, destroyed } = left(&folder)?;
    for name in destroyed {
        Bucket::destroyed(&folder, &name).remove_files()?;
    }
    for name in buckets {
        let mut bucket = Bucket::remains(&folder, &name);
        if bucket.destroy_key()? {
            let record = record(&bucket, PurgeReason::Unwanted, now.into(), source);
            if let Err(e) = sink.purged(&record) {
                tracing::warn!(bucket = record.bucket, error = %e, "purge not recorded");
            }
        }
        bucket.remove_files()?;
    }
    fs::remove_dir_all(&folder).map_err(|source| RingError::Io { path: folder, source })?;
    Ok(true)
}

fn folder(keeping: &KeepingConfig) -> PathBuf {
    keeping.directory.join("ring")
}

/// The names found in the folder.
struct Left {
    /// Buckets of which any file is left.
    buckets: BTreeSet<String>,
    /// Files of buckets whose end was recorded, and which a crash kept from being removed.
    destroyed: BTreeSet<String>,
}

fn left(folder: &Path) -> Result<Left, RingError> {
    let io = |source| RingError::Io { path: folder.to_owned(), source };
    let mut left = Left { buckets: BTreeSet::new(), destroyed: BTreeSet::new() };
    for file in fs::read_dir(folder).map_err(io)? {
        let file = file.map_err(io)?.file_name();
        match file.to_str().and_then(|f| f.split_once('.')) {
            Some((name, DESTROYED)) => _ = left.destroyed.insert(name.to_owned()),
            Some((name, _)) => _ = left.buckets.insert(name.to_owned()),
            None => {}
        }
    }
    Ok(left)
}

/// Bytes that may still be written on the disk with this folder.
fn free(folder: &Path) -> u64 {
    // A disk that does not report its free space is not taken for full: writing will show.
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
