//! Per-stage counters and the state of every part, free of plates.
//!
//! Every stage uses the same names: received, sent, dropped, failed. Counters are atomics that only
//! their own stage increments; the console and the broker get a [`Snapshot`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::camera_id::CameraId;
use crate::clock::ClockReport;
use crate::text::ForeignText;

/// The control-socket request that returns the state of every part, without covert lists.
pub const PARTS: &str = "health/parts";

/// Longest line in a part's state, in characters.
const LONGEST_LINE: usize = 400;

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

/// Durations of the latest operations of one kind.
#[derive(Debug, Default)]
pub struct Latency(Mutex<VecDeque<Duration>>);

impl Latency {
    /// Durations that are kept: at one hit a minute, those of four hours.
    const KEPT: usize = 256;

    /// Adds one duration.
    pub fn record(&self, took: Duration) {
        let mut kept = self.0.lock().expect("no holder panics");
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(took);
    }

    /// The duration within which 95 % of those kept were done.
    pub fn p95(&self) -> Option<Duration> {
        let mut kept: Vec<_> = self.0.lock().expect("no holder panics").iter().copied().collect();
        kept.sort_unstable();
        let place = (kept.len() * 95).div_ceil(100).checked_sub(1)?;
        kept.get(place).copied()
    }
}

/// The state of a part, in one word for the officer and one line for the installer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "detail", rename_all = "snake_case")]
pub enum PartState {
    /// It is not ready yet.
    Starting,
    /// It does its work.
    Working,
    /// It does some of its work; the line says what is missing.
    Impaired(String),
    /// It does not do its work; the line says why.
    Down(String),
    /// It is not configured.
    Off,
}

/// The counters of one camera and of the reading thread behind it.
#[derive(Debug, Default)]
pub struct CameraHealth {
    /// Frames the camera delivered.
    pub frames: Counter,
    /// Frames that the driver lost, counted by gaps in its sequence numbers.
    pub frames_lost: Counter,
    /// Frames that a newer one replaced before they were read.
    pub frames_skipped: Counter,
    /// Frames that were empty, cut short or could not be decoded.
    pub frames_bad: Counter,
    /// Times the camera stalled or was unplugged.
    pub interruptions: Counter,
    /// Frames that the detector has processed.
    pub looked: Counter,
    /// Plates found in frames.
    pub detections: Counter,
    /// Vehicle passes that gave a read.
    pub reads: Counter,
    /// Reads that were replaced by a later vote of the same pass, which was surer and different.
    pub reads_revised: Counter,
    /// Passes whose last vote differs from the text that was sent out.
    pub reads_contradicted: Counter,
    /// Passes that were lost from sight and found again within seconds, and so gave one read, not
    /// two.
    pub reads_rejoined: Counter,
    /// Passes without a read: the plate was too small.
    pub unread_small: Counter,
    /// Passes without a read: no character could be read, and nobody knows why.
    pub unread_illegible: Counter,
    /// Passes without a read: out of focus or smeared by motion, as the OCR says.
    pub unread_blurred: Counter,
    /// Passes without a read: too dark, as the OCR says.
    pub unread_dark: Counter,
    /// Passes without a read: covered or dirty, as the OCR says.
    pub unread_covered: Counter,
    /// Passes without a read: drowned in light, as the OCR says.
    pub unread_glare: Counter,
    /// Passes without a read: what was found is hardly a plate, such as the lettering of a sign, a
    /// badge or a van.
    pub unread_implausible: Counter,
    /// Passes without a read: the vote was not sure of every character, and nobody knows why.
    pub unread_unsure: Counter,
    /// Passes without a read: too few frames agreed.
    pub unread_brief: Counter,
    /// Rounds of the capture thread, with a frame or without: they show that it is alive.
    pub capture_beats: Counter,
    /// Rounds of the reading thread, with a frame or without: they show that it is alive.
    pub reading_beats: Counter,
    /// Why no frame could be decoded lately, as the reading thread reports it. The capture thread
    /// sees frames arrive and does not decode them.
    unreadable: Mutex<Option<String>>,
    /// Shortest time between two frames that are read, in milliseconds; it is raised while the
    /// machine is hot or its supply is weak.
    least_pause_ms: AtomicU64,
}

impl CameraHealth {
    /// Shortest time between two frames that are read; zero where nothing slows the reading.
    pub fn least_pause(&self) -> Duration {
        Duration::from_millis(self.least_pause_ms.load(Ordering::Relaxed))
    }

    /// Reports why frames arrive and none can be decoded; `None` once one was.
    pub fn set_unreadable(&self, why: Option<String>) {
        *self.unreadable.lock().expect("no holder panics") = why;
    }

    /// Why no frame could be decoded lately; `None` if some could.
    pub fn unreadable(&self) -> Option<String> {
        self.unreadable.lock().expect("no holder panics").clone()
    }
}

/// The state of a camera from the reports of its two threads: a camera none of whose frames can be
/// decoded is as blind as one that is unplugged.
fn of_both(captured: PartState, unreadable: Option<String>) -> PartState {
    match (captured, unreadable) {
        (PartState::Working | PartState::Impaired(_), Some(why)) => {
            PartState::Down(format!("frames come and none can be read: {why}"))
        }
        (captured, _) => captured,
    }
}

/// How it stands with one kind of model: numbers and words of closed sets, because the broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelStanding {
    /// What the model does, in the one word of its package.
    pub kind: &'static str,
    /// Version of the package in force; `None` for the shipped model.
    pub in_force: Option<u64>,
    /// Version and fate of the package that came over the broker last.
    pub came: Option<(u64, ModelFate)>,
}

/// What became of a package of models that came over the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelFate {
    /// Its parts are being fetched.
    Fetching,
    /// It is whole and waits: for a maintainer, or for its trial.
    Waiting,
    /// It was refused.
    Refused,
    /// It was put in force.
    Installed,
}

/// All counters and states, shared by all stages.
#[derive(Debug, Default)]
pub struct Health {
    cameras: RwLock<BTreeMap<CameraId, Arc<CameraHealth>>>,
    parts: RwLock<BTreeMap<String, PartState>>,
    /// Parts whose very name reveals a covert list.
    covert: RwLock<BTreeSet<String>>,
    /// Version of the policy in force; 0 without one.
    policy: AtomicU64,
    /// Models by kind, where there is more to say than that the shipped one reads.
    models: RwLock<Vec<ModelStanding>>,
    /// Who vouches for the time; `None` before the first check.
    clock: RwLock<Option<ClockReport>>,
    /// Whole days left of the page's certificate, negative once it has ended; `None` where the page has none.
    page_certificate_days: RwLock<Option<i64>>,
    /// Reads that matched a list.
    pub hits: Counter,
    /// Reads that matched an entry which had raised an alert within the configured time.
    pub hits_quiet: Counter,
    /// Reads that matched a covert entry. They have a counter of their own, because nothing in the
    /// car shows them.
    pub hits_covert: Counter,
    /// Reads that matched nothing.
    pub non_hits: Counter,
    /// Non-hits written to the ring.
    pub ring_written: Counter,
    /// Non-hits that the ring had no room for or could not write in time.
    pub ring_dropped: Counter,
    /// Non-hits that expired or were shed.
    pub ring_purged: Counter,
    /// Hits that were shown and sounded.
    pub alerted: Counter,
    /// Time from the capture of the frame that made a vote sure to the alert.
    pub alert_latency: Latency,
    /// Hits committed to disk.
    pub recorded: Counter,
    /// Hits that raised an alert and then found room neither on the disk nor in memory.
    pub hits_lost: Counter,
    /// Hits that the broker has acknowledged.
    pub delivered: Counter,
}

impl Health {
    /// The counters of a camera, made when they are first used.
    pub fn camera(&self, id: &CameraId) -> Arc<CameraHealth> {
        if let Some(found) = self.cameras.read().expect("no holder panics").get(id) {
            return found.clone();
        }
        self.cameras.write().expect("no holder panics").entry(id.clone()).or_default().clone()
    }

    /// Sets the state of a part. `part` is a constant such as `gps`, `broker`, `ring`, or
    /// `camera/front`.
    ///
    /// Brokers, drivers and authors of documents can put text into the line: it is reduced to one
    /// printable line.
    pub fn set(&self, part: &str, state: PartState) {
        let shown = |line: String| ForeignText::shown(&line, LONGEST_LINE).into();
        let state = match state {
            PartState::Impaired(line) => PartState::Impaired(shown(line)),
            PartState::Down(line) => PartState::Down(shown(line)),
            plain => plain,
        };
        self.parts.write().expect("no holder panics").insert(part.to_owned(), state);
    }

    /// Sets the version of the policy in force, if there is one.
    pub fn set_policy(&self, version: Option<u64>) {
        self.policy.store(version.unwrap_or(0), Ordering::Relaxed);
    }

    /// The version of the policy in force, if there is one.
    pub fn policy(&self) -> Option<u64> {
        Some(self.policy.load(Ordering::Relaxed)).filter(|version| *version > 0)
    }

    /// Sets who vouches for the time, and how far the clock is from GPS.
    pub fn set_clock(&self, report: ClockReport) {
        *self.clock.write().expect("no holder panics") = Some(report);
    }

    /// Sets how many whole days are left of the page's certificate.
    pub fn set_page_certificate_days(&self, days: Option<i64>) {
        *self.page_certificate_days.write().expect("no holder panics") = days;
    }

    /// The last state of a part.
    pub fn state(&self, part: &str) -> Option<PartState> {
        let said = self.parts.read().expect("no holder panics").get(part).cloned()?;
        let cameras = self.cameras.read().expect("no holder panics");
        let camera = part.strip_prefix("camera/");
        let camera = camera.and_then(|name| cameras.iter().find(|(id, _)| id.as_str() == name));
        Some(of_both(said, camera.and_then(|(_, counts)| counts.unreadable())))
    }

    /// Sets the shortest time between two frames that are read, for every camera.
    pub fn slow_down(&self, least_pause: Duration) {
        let ms = u64::try_from(least_pause.as_millis()).unwrap_or(u64::MAX);
        for camera in self.cameras.read().expect("no holder panics").values() {
            camera.least_pause_ms.store(ms, Ordering::Relaxed);
        }
    }

    /// Frames that were read, of all cameras together.
    pub fn frames_looked_at(&self) -> u64 {
        self.cameras.read().expect("no holder panics").values().map(|c| c.looked.get()).sum()
    }

    /// Sets how it stands with packages of models.
    pub fn set_models(&self, standing: Vec<ModelStanding>) {
        *self.models.write().expect("no holder panics") = standing;
    }

    /// How it stands with packages of models; empty where the shipped ones read and none has come.
    pub fn models(&self) -> Vec<ModelStanding> {
        self.models.read().expect("no holder panics").clone()
    }

    /// Hides these parts from everybody in the car.
    pub fn conceal(&self, parts: impl IntoIterator<Item = String>) {
        self.covert.write().expect("no holder panics").extend(parts);
    }

    /// What may be shown in the car: on the page, to systemd, in a log.
    pub fn shown(&self) -> Shown {
        let Snapshot { mut parts, policy, clock, cameras, hits, .. } = self.snapshot();
        let covert = self.covert.read().expect("no holder panics");
        parts.retain(|name, _| !covert.contains(name));
        Shown { parts, policy, clock, cameras, hits }
    }

    /// A copy for reports and tests. What may be shown in the car is [`Health::shown`].
    pub fn snapshot(&self) -> Snapshot {
        let cameras = self.cameras.read().expect("no holder panics");
        let mut parts = self.parts.read().expect("no holder panics").clone();
        for (id, counts) in cameras.iter() {
            if let Some(state) = parts.get_mut(&format!("camera/{id}")) {
                *state = of_both(state.clone(), counts.unreadable());
            }
        }
        Snapshot {
            parts,
            policy: self.policy(),
            clock: *self.clock.read().expect("no holder panics"),
            page_certificate_days: *self.page_certificate_days.read().expect("no holder panics"),
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

/// What may be shown in the car, at one moment. It has no field for covert hits, and none for
/// counts from which they could be inferred by a difference: non-hits, and hits that are recorded,
/// delivered or waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of Health")]
pub struct Shown {
    pub parts: BTreeMap<String, PartState>,
    pub policy: Option<u64>,
    pub clock: Option<ClockReport>,
    pub cameras: BTreeMap<CameraId, CameraSnapshot>,
    pub hits: u64,
}

/// A copy of [`Health`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of Health")]
pub struct Snapshot {
    pub parts: BTreeMap<String, PartState>,
    pub policy: Option<u64>,
    #[serde(default)]
    pub clock: Option<ClockReport>,
    #[serde(default)]
    pub page_certificate_days: Option<i64>,
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
    #[serde(default)]
    pub unread_blurred: u64,
    #[serde(default)]
    pub unread_dark: u64,
    #[serde(default)]
    pub unread_covered: u64,
    #[serde(default)]
    pub unread_glare: u64,
    pub unread_implausible: u64,
    pub unread_unsure: u64,
    pub unread_brief: u64,
    #[serde(skip)]
    pub capture_beats: u64,
    #[serde(skip)]
    pub reading_beats: u64,
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
            unread_blurred: c.unread_blurred.get(),
            unread_dark: c.unread_dark.get(),
            unread_covered: c.unread_covered.get(),
            unread_glare: c.unread_glare.get(),
            unread_implausible: c.unread_implausible.get(),
            unread_unsure: c.unread_unsure.get(),
            unread_brief: c.unread_brief.get(),
            capture_beats: c.capture_beats.get(),
            reading_beats: c.reading_beats.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camera_of_whose_frames_none_can_be_read_is_down_until_one_is() {
        let health = Health::default();
        let front = health.camera(&CameraId::new("front"));
        health.set("camera/front", PartState::Working);
        health.set("camera/left", PartState::Working);
        front.set_unreadable(Some("damaged JPEG".into()));
        let down = PartState::Down("frames come and none can be read: damaged JPEG".into());
        assert_eq!(health.state("camera/front"), Some(down.clone()));
        assert_eq!(health.snapshot().parts["camera/front"], down);
        assert_eq!(health.state("camera/left"), Some(PartState::Working));
        // Of a camera that is unplugged, the officer must be told about the cable.
        health.set("camera/front", PartState::Down("unplugged".into()));
        assert_eq!(health.state("camera/front"), Some(PartState::Down("unplugged".into())));
        health.set("camera/front", PartState::Working);
        front.set_unreadable(None);
        assert_eq!(health.snapshot().parts["camera/front"], PartState::Working);
    }

    #[test]
    fn line_of_a_part_is_one_line_whoever_wrote_it() {
        let health = Health::default();
        let words = format!("refused: {}\nNOT A LINE\u{1b}[31m\u{202e}", "x".repeat(3_000));
        health.set("broker", PartState::Down(words));
        let Some(PartState::Down(line)) = health.state("broker") else { panic!() };
        assert!(line.chars().count() <= LONGEST_LINE + 1);
        assert!(!line.contains(['\n', '\u{1b}', '\u{202e}']), "{line}");
    }
}
