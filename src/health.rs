//! Per-stage counters and the state of every part, free of plates.
//!
//! Every stage counts under the same names: received, sent, dropped, failed. Counters are atomics
//! that only their own stage writes; a [`Snapshot`] is what the console and the broker get.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::onboard::frame::CameraId;

/// A count that only goes up.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn one(&self) {
        self.many(1);
    }

    /// Adds `n`.
    pub fn many(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long the latest things of a kind took.
#[derive(Debug, Default)]
pub struct Latency(Mutex<VecDeque<Duration>>);

impl Latency {
    /// Times kept: at a hit a minute, four hours.
    const KEPT: usize = 256;

    /// Takes one more.
    pub fn record(&self, took: Duration) {
        let mut kept = self.0.lock().expect("no holder panics");
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(took);
    }

    /// The time within which 95 % of those kept were done.
    pub fn p95(&self) -> Option<Duration> {
        let mut kept: Vec<_> = self.0.lock().expect("no holder panics").iter().copied().collect();
        kept.sort_unstable();
        let place = (kept.len() * 95).div_ceil(100).checked_sub(1)?;
        kept.get(place).copied()
    }
}

/// What a part is up to, in one word for the officer and one line for the installer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "detail", rename_all = "snake_case")]
pub enum PartState {
    /// Not there yet.
    Starting,
    /// Doing its work.
    Working,
    /// Doing some of its work; the line says what is missing.
    Impaired(String),
    /// Not doing its work; the line says why.
    Down(String),
    /// Not configured.
    Off,
}

/// The counters of one camera and of the reading thread behind it.
#[derive(Debug, Default)]
pub struct CameraHealth {
    /// Frames the camera delivered.
    pub frames: Counter,
    /// Frames that the driver lost: gaps in its own count.
    pub frames_lost: Counter,
    /// Frames replaced by a newer one before anyone looked.
    pub frames_skipped: Counter,
    /// Frames that were empty, cut short or could not be decoded.
    pub frames_bad: Counter,
    /// Times the camera stalled or was unplugged.
    pub interruptions: Counter,
    /// Frames looked at.
    pub looked: Counter,
    /// Plates found in frames.
    pub detections: Counter,
    /// Vehicle passes that gave a read.
    pub reads: Counter,
    /// Reads that a surer, different vote of the same pass replaced.
    pub reads_revised: Counter,
    /// Passes whose last vote was not the text that went out.
    pub reads_contradicted: Counter,
    /// Passes that were lost from sight and found again within seconds: one read, not two.
    pub reads_rejoined: Counter,
    /// Passes without a read: the plate was too small.
    pub unread_small: Counter,
    /// Passes without a read: blurred or low in contrast, so that no character was seen.
    pub unread_illegible: Counter,
    /// Passes without a read: what was found is hardly a plate; lettering of a sign, a badge, a van.
    pub unread_implausible: Counter,
    /// Passes without a read: the vote was not sure of every character.
    pub unread_unsure: Counter,
    /// Passes without a read: too few frames agreed.
    pub unread_brief: Counter,
}

/// Everything that is counted and watched, shared by all stages.
#[derive(Debug, Default)]
pub struct Health {
    cameras: RwLock<BTreeMap<CameraId, Arc<CameraHealth>>>,
    parts: RwLock<BTreeMap<String, PartState>>,
    /// Version of the policy in force; 0 without one.
    policy: AtomicU64,
    /// Reads that matched a list.
    pub hits: Counter,
    /// Reads that matched an entry which had alarmed within the configured time.
    pub hits_quiet: Counter,
    /// Reads that matched a covert entry. Counted apart: nothing in the car shows it.
    pub hits_covert: Counter,
    /// Reads that matched nothing.
    pub non_hits: Counter,
    /// Non-hits written to the ring.
    pub ring_written: Counter,
    /// Non-hits that the ring had no room or time for.
    pub ring_dropped: Counter,
    /// Non-hits that expired or were shed.
    pub ring_purged: Counter,
    /// Hits shown and sounded.
    pub alerted: Counter,
    /// From the capture of the frame that made a vote sure to the alert.
    pub alert_latency: Latency,
    /// Hits committed to disk.
    pub recorded: Counter,
    /// Hits alerted that neither the disk nor memory had room for.
    pub hits_lost: Counter,
    /// Hits that the broker has acknowledged.
    pub delivered: Counter,
}

impl Health {
    /// The counters of a camera, made at first use.
    pub fn camera(&self, id: &CameraId) -> Arc<CameraHealth> {
        if let Some(found) = self.cameras.read().expect("no holder panics").get(id) {
            return found.clone();
        }
        self.cameras.write().expect("no holder panics").entry(id.clone()).or_default().clone()
    }

    /// Says what a part is up to. `part` is a constant such as `gps`, `broker`, `ring`, or
    /// `camera/front`.
    pub fn set(&self, part: &str, state: PartState) {
        self.parts.write().expect("no holder panics").insert(part.to_owned(), state);
    }

    /// Says which version of the policy is in force, if any.
    pub fn set_policy(&self, version: Option<u64>) {
        self.policy.store(version.unwrap_or(0), Ordering::Relaxed);
    }

    /// The version of the policy in force, if any.
    pub fn policy(&self) -> Option<u64> {
        Some(self.policy.load(Ordering::Relaxed)).filter(|version| *version > 0)
    }

    /// What a part said last.
    pub fn state(&self, part: &str) -> Option<PartState> {
        self.parts.read().expect("no holder panics").get(part).cloned()
    }

    /// Frames looked at by all cameras: the systemd watchdog is fed while this moves.
    pub fn frames_looked_at(&self) -> u64 {
        self.cameras.read().expect("no holder panics").values().map(|c| c.looked.get()).sum()
    }

    /// A copy to show or send.
    pub fn snapshot(&self) -> Snapshot {
        let cameras = self.cameras.read().expect("no holder panics");
        Snapshot {
            parts: self.parts.read().expect("no holder panics").clone(),
            policy: self.policy(),
            cameras: cameras.iter().map(|(id, c)| (id.clone(), CameraSnapshot::of(c))).collect(),
            hits: self.hits.get(),
            hits_quiet: self.hits_quiet.get(),
            hits_covert: self.hits_covert.get(),
            non_hits: self.non_hits.get(),
            ring_written: self.ring_written.get(),
            ring_dropped: self.ring_dropped.get(),
            ring_purged: self.ring_purged.get(),
            alerted: self.alerted.get(),
            recorded: self.recorded.get(),
            hits_lost: self.hits_lost.get(),
            delivered: self.delivered.get(),
        }
    }
}

/// A copy of [`Health`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of Health")]
pub struct Snapshot {
    pub parts: BTreeMap<String, PartState>,
    pub policy: Option<u64>,
    pub cameras: BTreeMap<CameraId, CameraSnapshot>,
    pub hits: u64,
    pub hits_quiet: u64,
    pub hits_covert: u64,
    pub non_hits: u64,
    pub ring_written: u64,
    pub ring_dropped: u64,
    pub ring_purged: u64,
    pub alerted: u64,
    pub recorded: u64,
    pub hits_lost: u64,
    pub delivered: u64,
}

/// A copy of [`CameraHealth`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of CameraHealth")]
pub struct CameraSnapshot {
    pub frames: u64,
    pub frames_lost: u64,
    pub frames_skipped: u64,
    pub frames_bad: u64,
    pub interruptions: u64,
    pub looked: u64,
    pub detections: u64,
    pub reads: u64,
    pub reads_revised: u64,
    pub reads_contradicted: u64,
    pub reads_rejoined: u64,
    pub unread_small: u64,
    pub unread_illegible: u64,
    pub unread_implausible: u64,
    pub unread_unsure: u64,
    pub unread_brief: u64,
}

impl CameraSnapshot {
    fn of(c: &CameraHealth) -> Self {
        Self {
            frames: c.frames.get(),
            frames_lost: c.frames_lost.get(),
            frames_skipped: c.frames_skipped.get(),
            frames_bad: c.frames_bad.get(),
            interruptions: c.interruptions.get(),
            looked: c.looked.get(),
            detections: c.detections.get(),
            reads: c.reads.get(),
            reads_revised: c.reads_revised.get(),
            reads_contradicted: c.reads_contradicted.get(),
            reads_rejoined: c.reads_rejoined.get(),
            unread_small: c.unread_small.get(),
            unread_illegible: c.unread_illegible.get(),
            unread_implausible: c.unread_implausible.get(),
            unread_unsure: c.unread_unsure.get(),
            unread_brief: c.unread_brief.get(),
        }
    }
}
