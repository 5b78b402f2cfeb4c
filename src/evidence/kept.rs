//! What the car keeps of a hit beside what leaves: each frame's own reading, the vote, the clock.
//!
//! Encrypted in `hits.db` with the hit, never sent; goes when the hit goes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::TimeSource;
use crate::onboard::Hit;

/// Symbols kept of each character's vote.
const LIKELIEST: usize = 3;

/// How the text came about.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What each frame said by itself, oldest first.
    pub frames: Vec<Frame>,
    /// For each character the likeliest symbols after the vote, with their probabilities.
    pub vote: Vec<Vec<(char, f32)>>,
    /// What vouched for the wall clock when it was recorded.
    pub time_source: TimeSource,
    /// The best frame on the boot clock, in milliseconds.
    pub boot_ms: u64,
    /// From that frame to the vote that was sure, in milliseconds.
    pub decided_after_ms: i64,
}

/// One frame.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// When it was taken.
    pub seen: Timestamp,
    /// Its characters.
    pub text: String,
    /// Their probabilities.
    pub characters: Vec<f32>,
    /// How sure the detector was of the plate.
    pub detector: f32,
    /// Width of the plate in pixels.
    pub width: f32,
}

impl Reading {
    /// Of a hit.
    pub fn of(hit: &Hit, time_source: TimeSource) -> Self {
        let round = |p: f32| (p * 10_000.0).round() / 10_000.0;
        let ms = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Self {
            frames: hit
                .frame_reads()
                .iter()
                .map(|f| Frame {
                    seen: f.seen().wall,
                    text: f.expose().into(),
                    characters: f.characters().iter().map(|c| round(c.get())).collect(),
                    detector: round(f.detector().get()),
                    width: f.width().round(),
                })
                .collect(),
            vote: hit
                .vote(LIKELIEST)
                .into_iter()
                .map(|slot| slot.into_iter().map(|(c, p)| (c, round(p))).collect())
                .collect(),
            time_source,
            boot_ms: u64::try_from(ms(hit.seen().monotonic)).unwrap_or(0),
            decided_after_ms: ms(hit.decided()) - ms(hit.seen().monotonic),
        }
    }
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reading({} frames, redacted)", self.frames.len())
    }
}
