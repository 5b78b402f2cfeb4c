//! The reading of a plate in each single frame, before the vote: it is kept with a hit as evidence,
//! and otherwise forgotten.

use std::fmt;

use arrayvec::ArrayString;

use super::vision::candidate::{Candidate, Confidence};
use crate::clock::FrameTime;
use crate::plate::MAX_PLATE_LEN;

/// Frames of one pass that are kept. At 30 fps a pass rarely has more that vote; in a longer one
/// the earliest are dropped, and the hit still states how many voted.
pub(super) const MOST_FRAMES: usize = 48;

/// The reading of one frame.
#[derive(Clone, PartialEq)]
pub struct FrameRead {
    seen: FrameTime,
    text: ArrayString<MAX_PLATE_LEN>,
    characters: Vec<Confidence>,
    detector: Confidence,
    width: f32,
}

impl FrameRead {
    pub(super) fn of(candidate: &Candidate, seen: FrameTime) -> Self {
        Self {
            seen,
            text: candidate.text(),
            characters: candidate.slots.iter().map(|slot| slot.best().1).collect(),
            detector: candidate.detection.score,
            width: candidate.detection.bbox.w,
        }
    }

    /// When the frame was taken.
    pub fn seen(&self) -> FrameTime {
        self.seen
    }

    /// The characters according to this frame alone. Every call is a place where a plate could get
    /// out: keep them few.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// Each character's probability in this frame alone.
    pub fn characters(&self) -> &[Confidence] {
        &self.characters
    }

    /// The detector's score of the plate.
    pub fn detector(&self) -> Confidence {
        self.detector
    }

    /// Width of the plate, in pixels.
    pub fn width(&self) -> f32 {
        self.width
    }
}

impl fmt::Debug for FrameRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameRead(redacted)")
    }
}
