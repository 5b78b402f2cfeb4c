//! The reading stage of one camera: look, join over frames, vote, say where it was.
//!
//! In: frames, newest first come. Out: [`PlateRead`]s to the matcher, counters in [`CameraHealth`].
//! Costs what the models cost; joining and voting are microseconds. No lock is shared with another
//! camera. Sending waits for the matcher, which never waits for anything but the officer's channel.

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tracing::{debug, warn};
use ulid::Ulid;

use super::capture::newest::{Slot, Taken};
use super::frame::{CameraId, Frame};
use super::matcher::ModelStamp;
use super::read::PlateRead;
use super::track::{Event, Tracker};
use super::vision::candidate::Sighted;
use super::vote::{Outcome, Unread, Voted, Voter};
use crate::clock::Clock;
use crate::config::ReadingConfig;
use crate::gps::Fixes;
use crate::health::{CameraHealth, Health};
use crate::plate::Jurisdiction;

/// Finds and reads the plates of one frame: ONNX models, or a script.
pub trait Look: Send {
    /// Looks once. An error costs the frame, not the camera.
    fn look(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>>;

    /// The models behind it.
    fn stamp(&self) -> Arc<ModelStamp>;
}

/// One camera's reading, without its thread.
pub(super) struct Reading {
    camera: CameraId,
    reader: Box<dyn Look>,
    tracker: Tracker,
    voter: Voter,
    fixes: Fixes,
    counts: Arc<CameraHealth>,
    models: Arc<ModelStamp>,
}

impl Reading {
    /// Ready for a first frame.
    pub(super) fn new(
        camera: CameraId,
        reader: Box<dyn Look>,
        config: &ReadingConfig,
        fixes: Fixes,
        health: &Health,
    ) -> Self {
        let counts = health.camera(&camera);
        let models = reader.stamp();
        let tracker = Tracker::new(config.max_gap_frames);
        let voter = Voter::new(config.clone());
        Self { camera, reader, tracker, voter, fixes, counts, models }
    }

    /// Looks at one frame; the reads that it completes.
    pub(super) fn step(&mut self, frame: &Frame) -> Vec<PlateRead> {
        match self.reader.look(frame) {
            Ok(sighted) => {
                self.counts.looked.one();
                self.sighted(sighted)
            }
            Err(error) => {
                self.counts.frames_bad.one();
                warn!(camera = %self.camera, sequence = frame.sequence, %error, "frame not read");
                Vec::new()
            }
        }
    }

    /// Joins and votes.
    pub(super) fn sighted(&mut self, sighted: Sighted) -> Vec<PlateRead> {
        self.counts.detections.many(sighted.candidates.len() as u64);
        let events = self.tracker.step(sighted);
        self.vote(events)
    }

    /// No frame came: ends what has been out of sight for long.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<PlateRead> {
        let events = self.tracker.tick(now);
        self.vote(events)
    }

    /// Ends every track.
    pub(super) fn finish(&mut self) -> Vec<PlateRead> {
        let events = self.tracker.finish();
        self.vote(events)
    }

    fn vote(&mut self, events: Vec<Event>) -> Vec<PlateRead> {
        let mut reads = Vec::new();
        for event in events {
            match self.voter.step(event) {
                None => {}
                Some(Outcome::Read(voted)) => reads.push(self.read(*voted)),
                Some(Outcome::Rejoined) => self.counts.reads_rejoined.one(),
                Some(Outcome::Contradicted) => self.counts.reads_contradicted.one(),
                Some(Outcome::Unread(why)) => match why {
                    Unread::Small => self.counts.unread_small.one(),
                    Unread::Illegible => self.counts.unread_illegible.one(),
                    Unread::Implausible => self.counts.unread_implausible.one(),
                    Unread::Unsure => self.counts.unread_unsure.one(),
                    Unread::Brief => self.counts.unread_brief.one(),
                },
            }
        }
        reads
    }

    fn read(&self, voted: Voted) -> PlateRead {
        if voted.revises {
            self.counts.reads_revised.one();
        } else {
            self.counts.reads.one();
        }
        let ms = u64::try_from(voted.seen.wall.as_millisecond()).unwrap_or(0);
        let read = PlateRead {
            id: Ulid::from_parts(ms, Ulid::generate().random()),
            plate: voted.plate,
            jurisdiction: Jurisdiction::UNKNOWN,
            slots: voted.slots,
            weakest: voted.weakest,
            camera: self.camera.clone(),
            seen: voted.seen,
            decided: voted.decided,
            frames: voted.frames,
            frame_reads: voted.frame_reads,
            position: self.fixes.at(voted.seen.monotonic),
            crop: voted.crop,
            models: self.models.clone(),
        };
        debug!(camera = %self.camera, read = %read.id, frames = read.frames, "read");
        read
    }

    /// The loop: ends, and ends every track, when `frames` is closed.
    pub(super) fn run(
        mut self,
        frames: &Slot<Frame>,
        clock: &dyn Clock,
        out: &SyncSender<PlateRead>,
    ) {
        loop {
            let (reads, over) = match frames.take_for(TICK) {
                Taken::Value(frame) => (self.step(&frame), false),
                Taken::Nothing => (self.tick(clock.now().monotonic), false),
                Taken::Closed => (self.finish(), true),
            };
            for read in reads {
                // The matcher is gone only when the whole daemon is going.
                if out.send(read).is_err() {
                    return;
                }
            }
            if over {
                return;
            }
        }
    }
}

/// How long to wait for a frame before looking for tracks that have ended.
const TICK: Duration = Duration::from_millis(250);
