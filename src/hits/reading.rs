//! What the car keeps of a hit besides what leaves: each frame's own reading, the vote, the clock.
//!
//! It is encrypted in `hits.db` with the hit, never sent, and deleted with the hit.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Odds;
use crate::clock::TimeSource;
use crate::onboard::Hit;

/// Symbols kept of each character's vote.
const LIKELIEST: usize = 3;

/// How the text came about.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The reading of each frame by itself, oldest first.
    pub frames: Vec<Frame>,
    /// For each character the likeliest symbols after the vote, with their probabilities.
    pub vote: Vec<Vec<(char, f32)>>,
    /// What vouched for the wall clock when it was recorded.
    pub time_source: TimeSource,
    /// The best frame on the boot clock, in milliseconds.
    pub boot_ms: u64,
    /// Time from that frame to the vote that was sure, in milliseconds.
    pub decided_after_ms: i64,
    /// How likely the alert was a misread, with all that this was computed from; absent where it could not be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odds: Option<Odds>,
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
    /// The reading of a hit.
    pub fn of(hit: &Hit, time_source: TimeSource, odds: Option<Odds>) -> Self {
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
            vote: Self::vote_of(hit),
            time_source,
            boot_ms: u64::try_from(ms(hit.seen().monotonic)).unwrap_or(0),
            decided_after_ms: ms(hit.decided()) - ms(hit.seen().monotonic),
            odds,
        }
    }

    /// The vote of a hit as it is kept: for each character the likeliest symbols, to four digits.
    pub fn vote_of(hit: &Hit) -> Vec<Vec<(char, f32)>> {
        let rounded = |slot: Vec<(char, f32)>| slot.into_iter().map(|(c, p)| (c, round(p)));
        hit.vote(LIKELIEST).into_iter().map(|slot| rounded(slot).collect()).collect()
    }
}

fn round(p: f32) -> f32 {
    (p * 10_000.0).round() / 10_000.0
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reading({} frames, redacted)", self.frames.len())
    }
}
