//! The inside of the pipeline for benches and for tests of later stages. It is behind a feature
//! that release builds leave off; it opens the fence, so the fence's own tests run without it.

use std::sync::Arc;
use std::time::Duration;

use super::matcher::{Matcher, Outcome};
use super::read::PlateRead;
use super::script;
use super::track::Tracker;
use super::vision::candidate::{Confidence, Crop, Sighted, Slots};
use super::vote::{self, Voter, Weighing};
use crate::config::ReadingConfig;
use crate::gps::Position;
use crate::hotlist::Hotlists;
use crate::plate::Plate;

/// Tracker and vote of one camera.
pub struct JoinAndVote(Tracker, Voter);

impl Default for JoinAndVote {
    fn default() -> Self {
        Self::with(&ReadingConfig::default())
    }
}

impl JoinAndVote {
    /// Gates as configured.
    pub fn with(config: &ReadingConfig) -> Self {
        Self(Tracker::new(config.max_gap_frames), Voter::new(config.clone()))
    }

    /// Gates as configured; frames weighed by what they share, the width in pixels that counts in full, and the power of
    /// a narrower one's share of it.
    pub fn weighing(config: &ReadingConfig, shared: f32, full_width: f32, power: i32) -> Self {
        let weighing = Weighing { shared, full_width, power };
        Self(Tracker::new(config.max_gap_frames), Voter::weighing(config.clone(), weighing))
    }

    /// Takes one frame; returns how many reads it completed.
    pub fn step(&mut self, sighted: Sighted) -> usize {
        let events = self.0.step(sighted);
        let outcomes = events.into_iter().filter_map(|event| self.1.step(event));
        outcomes.filter(|outcome| matches!(outcome, vote::Outcome::Read(_))).count()
    }

    /// Takes one frame; returns the reads that it completed.
    pub fn reads(&mut self, sighted: Sighted) -> Vec<VotedRead> {
        let events = self.0.step(sighted);
        events.into_iter().filter_map(|event| voted(self.1.step(event)?)).collect()
    }

    /// Ends every track; returns the reads that this completed.
    pub fn finish(&mut self) -> Vec<VotedRead> {
        let events = self.0.finish();
        events.into_iter().filter_map(|event| voted(self.1.step(event)?)).collect()
    }
}

/// A read outside the fence: for measuring how well a rendered drive is read.
#[derive(Debug, Clone)]
pub struct VotedRead {
    /// Its text.
    pub plate: Plate,
    /// Boot-clock time of its best frame.
    pub seen: Duration,
    /// The least certain character's probability.
    pub weakest: Confidence,
    /// Whether it corrects a read of the same pass.
    pub revises: bool,
}

fn voted(outcome: vote::Outcome) -> Option<VotedRead> {
    match outcome {
        vote::Outcome::Read(read) => Some(VotedRead {
            plate: read.plate,
            seen: read.seen.monotonic,
            weakest: read.weakest,
            revises: read.revises,
        }),
        _ => None,
    }
}

/// The matcher.
pub struct ReadMatcher(Matcher);

impl ReadMatcher {
    /// Matches with these lists; every match raises an alert.
    pub fn new(lists: &Arc<Hotlists>) -> Self {
        Self(Matcher::new(lists.lookups(), Duration::ZERO))
    }

    /// Matches a read with these slots; returns whether it was a hit.
    pub fn step(&mut self, slots: Slots) -> bool {
        let text: String = slots.iter().map(|slot| char::from(slot.best().0)).collect();
        let read = PlateRead {
            id: ulid::Ulid::nil(),
            plate: Plate::parse(&text).expect("slots of a plate"),
            jurisdiction: None,
            weakest: slots[0].best().1,
            slots,
            camera: super::frame::CameraId::new("front"),
            seen: script::at_ms(0),
            decided: Duration::ZERO,
            frames: 5,
            frame_reads: Vec::new(),
            position: Position::NoFix,
            crop: Crop::default(),
            context: None,
            models: Arc::default(),
        };
        matches!(self.0.step(read), Outcome::Hits(_))
    }
}

/// A text that barely passes the vote: every character at 0.92, with rivals at 0.06 and 0.01.
pub fn doubtful_slots(text: &str) -> Slots {
    text.bytes()
        .map(|c| {
            let place = usize::from(crate::plate::symbol_index(c));
            let mut slot = script::slot(c, 0.92);
            slot.0[(place + 1) % 36] = 0.06;
            slot.0[(place + 7) % 36] = 0.01;
            slot
        })
        .collect()
}

/// The `n`th frame of a road with some plates side by side, each coming nearer.
pub fn frame(n: u64, plates: usize) -> Sighted {
    let near = (n % 60) as f32;
    let seen = (0..plates)
        .map(|i| {
            let x = 150.0 + 200.0 * i as f32;
            script::plate(&format!("CKSV84{i}"), 0.95, (x, 500.0 + near), 60.0 + near)
        })
        .collect();
    script::frame(n, seen)
}
