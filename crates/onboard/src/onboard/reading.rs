//! The reading stage of one camera: read each frame, join over frames, vote, add the position.
//!
//! In: frames, of which the newest is taken. Out: [`PlateRead`]s to the matcher, counters in
//! [`CameraHealth`]. Costs: what the models cost; joining and voting take microseconds. No lock is
//! shared with another camera. Sending waits for the matcher, which itself waits only for the alert
//! side's channel.

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tracing::{debug, warn};
use ulid::Ulid;

use super::capture::newest::{Slot, Taken};
use super::frame::{CameraId, Frame};
use super::glance::Glance;
use super::matcher::ModelStamp;
use super::read::PlateRead;
use super::track::{Event, Tracker};
use super::vision::candidate::{Crop, Sighted};
use super::vote::{Outcome, Unread, Voted, Voter};
use crate::clock::Clock;
use crate::config::ReadingConfig;
use crate::geometry::Rect;
use crate::gps::Fixes;
use crate::health::{CameraHealth, Health};

/// Finds and reads the plates of one frame: by ONNX models, or by a script.
pub trait FrameReader: Send {
    /// Reads one frame. An error loses this frame only.
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>>;

    /// The vehicle around a plate of the frame that was read last, every other plate of that frame covered.
    /// `None` where there are no pixels to cut it from.
    fn context(&mut self, _plate: &Rect, _plates: &[Rect]) -> Option<Crop> {
        None
    }

    /// The models that it uses.
    fn stamp(&self) -> Arc<ModelStamp>;
}

/// One camera's reading, without its thread.
pub(super) struct Reading {
    camera: CameraId,
    reader: Box<dyn FrameReader>,
    tracker: Tracker,
    voter: Voter,
    fixes: Fixes,
    counts: Arc<CameraHealth>,
    blind: Option<Blind>,
    glance: Arc<Glance>,
}

/// A run of frames that could not be read.
struct Blind {
    /// The time of the first of them.
    since: Duration,
    /// When the log last had a line about it.
    told: Duration,
    /// How many frames since then.
    untold: u64,
}

/// Time without a readable frame, while frames come, after which the camera counts as not reading.
/// It equals the limit for a camera that sends none (`capture::watch::Patience`), so that this too
/// is on the officer's screen within two seconds.
const BLIND_AFTER: Duration = Duration::from_millis(1_500);

/// Time between two log lines on frames that cannot be read: a camera with a bad cable sends thirty
/// a second, for days.
const TOLD_EVERY: Duration = Duration::from_secs(10);

impl Reading {
    /// Starts before the first frame.
    pub(super) fn new(
        camera: CameraId,
        reader: Box<dyn FrameReader>,
        config: &ReadingConfig,
        fixes: Fixes,
        health: &Health,
    ) -> Self {
        let counts = health.camera(&camera);
        let tracker = Tracker::new(config.max_gap_frames);
        let voter = Voter::new(config.clone());
        Self { camera, reader, tracker, voter, fixes, counts, blind: None, glance: Arc::default() }
    }

    /// Lets somebody look at what this camera sees.
    pub(super) fn glanced_at(self, glance: Arc<Glance>) -> Self {
        Self { glance, ..self }
    }

    /// Reads one frame; returns the reads that it completes.
    pub(super) fn step(&mut self, frame: &Frame) -> Vec<PlateRead> {
        match self.reader.read_frame(frame) {
            Ok(sighted) => {
                self.counts.looked.one();
                if self.blind.take().is_some() {
                    self.counts.set_unreadable(None);
                }
                self.sighted(sighted)
            }
            Err(error) => {
                self.counts.frames_bad.one();
                self.not_read(frame, &*error);
                Vec::new()
            }
        }
    }

    /// Counts a frame that cannot be read, and reports the camera once it has had none that could.
    fn not_read(&mut self, frame: &Frame, error: &(dyn Error + Send + Sync)) {
        let at = frame.captured.monotonic;
        let first = self.blind.is_none();
        let blind = self.blind.get_or_insert(Blind { since: at, told: at, untold: 0 });
        blind.untold += 1;
        if first || at.saturating_sub(blind.told) >= TOLD_EVERY {
            let (sequence, frames) = (frame.sequence, blind.untold);
            warn!(camera = %self.camera, sequence, frames, %error, "frame not read");
            (blind.told, blind.untold) = (at, 0);
        }
        if at.saturating_sub(blind.since) >= BLIND_AFTER {
            self.counts.set_unreadable(Some(error.to_string()));
        }
    }

    /// Joins and votes.
    pub(super) fn sighted(&mut self, sighted: Sighted) -> Vec<PlateRead> {
        self.glance.saw(&sighted);
        self.counts.detections.many(sighted.candidates.len() as u64);
        let plates: Vec<Rect> = sighted.plates().collect();
        let events = self.tracker.step(sighted);
        self.vote(events, &plates)
    }

    /// Ends tracks that were out of sight for long; called when no frame came.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<PlateRead> {
        let events = self.tracker.tick(now);
        self.vote(events, &[])
    }

    /// Ends every track.
    pub(super) fn finish(&mut self) -> Vec<PlateRead> {
        let events = self.tracker.finish();
        self.vote(events, &[])
    }

    /// `plates` are the boxes of all plates of the frame that the events come from.
    fn vote(&mut self, events: Vec<Event>, plates: &[Rect]) -> Vec<PlateRead> {
        let mut reads = Vec::new();
        for event in events {
            match self.voter.step(event) {
                None => {}
                Some(Outcome::Read(voted)) => reads.push(self.read(*voted, plates)),
                Some(Outcome::Rejoined) => self.counts.reads_rejoined.one(),
                Some(Outcome::Contradicted) => self.counts.reads_contradicted.one(),
                Some(Outcome::Unread(why)) => match why {
                    Unread::Small => self.counts.unread_small.one(),
                    Unread::Illegible => self.counts.unread_illegible.one(),
                    Unread::Blurred => self.counts.unread_blurred.one(),
                    Unread::Dark => self.counts.unread_dark.one(),
                    Unread::Covered => self.counts.unread_covered.one(),
                    Unread::Glare => self.counts.unread_glare.one(),
                    Unread::Implausible => self.counts.unread_implausible.one(),
                    Unread::Unsure => self.counts.unread_unsure.one(),
                    Unread::Brief => self.counts.unread_brief.one(),
                },
            }
        }
        reads
    }

    fn read(&mut self, voted: Voted, plates: &[Rect]) -> PlateRead {
        if voted.revises {
            self.counts.reads_revised.one();
        } else {
            self.counts.reads.one();
        }
        let ms = u64::try_from(voted.seen.wall.as_millisecond()).unwrap_or(0);
        let read = PlateRead {
            id: Ulid::from_parts(ms, Ulid::generate().random()),
            plate: voted.plate,
            jurisdiction: voted.jurisdiction,
            slots: voted.slots,
            weakest: voted.weakest,
            camera: self.camera.clone(),
            seen: voted.seen,
            decided: voted.decided,
            frames: voted.frames,
            frame_reads: voted.frame_reads,
            position: self.fixes.at(voted.seen.monotonic),
            crop: voted.crop,
            // A vote is let out by the frame that made it sure, which the reader still has.
            context: self.reader.context(&voted.now_at, plates),
            // A reader may have been exchanged since the track began: what decided is named.
            models: self.reader.stamp(),
        };
        self.glance.read(&read);
        debug!(camera = %self.camera, read = %read.id, frames = read.frames, "read");
        read
    }

    /// Runs until `frames` is closed, and then ends every track.
    pub(super) fn run(
        mut self,
        frames: &Slot<Frame>,
        clock: &dyn Clock,
        out: &SyncSender<PlateRead>,
    ) {
        loop {
            self.counts.reading_beats.one();
            let mut rest = Duration::ZERO;
            let (reads, over) = match frames.take_for(TICK) {
                Taken::Value(frame) => {
                    let began = clock.now().monotonic;
                    let reads = self.step(&frame);
                    rest = self
                        .counts
                        .least_pause()
                        .saturating_sub(clock.now().monotonic.saturating_sub(began));
                    // One that could not be read has told nothing of its plates.
                    if self.glance.is_wanted() && self.blind.is_none() {
                        self.glance.give(frame);
                    }
                    (reads, false)
                }
                Taken::Nothing => (self.tick(clock.now().monotonic), false),
                Taken::Closed => (self.finish(), true),
            };
            for read in reads {
                // The matcher is gone only when the whole daemon ends.
                if out.send(read).is_err() {
                    return;
                }
            }
            if over {
                return;
            }
            // The machine is hot: frames that arrive meanwhile are skipped and counted.
            if !rest.is_zero() {
                frames.closed_within(rest);
            }
        }
    }
}

/// How long to wait for a frame before checking for tracks that have ended.
const TICK: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::onboard::script::{frame_at, plate};

    /// Notes what is to be covered around a read.
    struct Covering(Arc<Mutex<Vec<Rect>>>);

    impl FrameReader for Covering {
        fn read_frame(&mut self, _: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
            Err("the test says itself what was seen".into())
        }

        fn context(&mut self, _: &Rect, plates: &[Rect]) -> Option<Crop> {
            self.0.lock().unwrap().extend_from_slice(plates);
            None
        }

        fn stamp(&self) -> Arc<ModelStamp> {
            let model = String::new;
            Arc::new(ModelStamp { detector: model(), ocr: model(), jurisdiction: None })
        }
    }

    #[test]
    fn plate_that_was_found_and_not_read_is_covered_around_a_read() {
        let covered = Arc::<Mutex<Vec<Rect>>>::default();
        let mut reading = Reading::new(
            CameraId::new("front"),
            Box::new(Covering(Arc::clone(&covered))),
            &ReadingConfig::default(),
            Fixes::new(Duration::from_secs(3)),
            &Health::default(),
        );
        let beyond = Rect { x: 700.0, y: 400.0, w: 60.0, h: 30.0 };
        let reads = (1..8).flat_map(|n| {
            let seen = vec![plate("CKSV841", 0.98, (600.0, 420.0), 120.0)];
            let sighted = Sighted { unread: vec![beyond], ..frame_at(n, n * 33, seen) };
            reading.sighted(sighted)
        });
        assert_eq!(reads.count(), 1);
        assert!(covered.lock().unwrap().contains(&beyond));
    }
}
