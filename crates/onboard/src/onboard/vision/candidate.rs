//! The results for one frame: detections, and a candidate text for each.

use std::fmt;

use super::jurisdiction::{Impression, JurisdictionRead};
use super::legibility::Legibility;
use crate::camera_id::CameraId;
use crate::clock::FrameTime;
use crate::geometry::{Quad, Rect};
use crate::plate::{MAX_PLATE_LEN, SYMBOLS};

/// A probability, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Confidence(f32);

impl Confidence {
    /// Clamps to 0..=1; not-a-number counts as 0.
    pub fn new(p: f32) -> Self {
        Self(if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) })
    }

    /// The probability.
    pub fn get(self) -> f32 {
        self.0
    }
}

/// A plate found in a frame, not yet read.
#[derive(Debug, Clone, PartialEq)]
pub struct Detection {
    /// Its box, in pixels of the full frame.
    pub bbox: Rect,
    /// The plate's own corners, if the model gives them.
    pub corners: Option<Quad>,
    /// The detector's probability that this is a plate.
    pub score: Confidence,
}

/// Probabilities of one character position.
///
/// Over the 36 [`SYMBOLS`], in their order; they add up to at most 1, and the rest is the
/// probability that there is no character at this position.
#[derive(Clone, PartialEq)]
pub struct Slot(pub [f32; 36]);

impl Slot {
    /// The likeliest symbol and its probability.
    pub fn best(&self) -> (u8, Confidence) {
        let (i, p) = self
            .0
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .expect("a slot has 36 symbols");
        (SYMBOLS[i], Confidence::new(*p))
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot(redacted)")
    }
}

impl Slot {
    /// The `most` likeliest symbols with their probabilities, the likeliest first.
    pub fn likeliest(&self, most: usize) -> Vec<(char, f32)> {
        let mut all: Vec<_> =
            SYMBOLS.iter().map(|s| char::from(*s)).zip(self.0.iter().copied()).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(most);
        all
    }
}

/// The slots of one reading, first character first; never more than a plate is long.
pub type Slots = arrayvec::ArrayVec<Slot, MAX_PLATE_LEN>;

/// One detection and what the OCR reads in this frame alone.
#[derive(Clone)]
pub struct Candidate {
    /// The detection.
    pub detection: Detection,
    /// One distribution per character; empty when the OCR saw no character.
    pub slots: Slots,
    /// The jurisdiction model's output for this frame; `None` without such a model.
    pub issuer: Option<Impression>,
    /// Whether this frame's picture of it can be read, by the first look; `None` where the OCR does not say.
    pub legibility: Option<Legibility>,
    /// The plate's own pixels, for the officer's eye.
    pub crop: Crop,
}

impl Candidate {
    /// The jurisdiction according to this frame alone; `None` if it is unknown.
    pub fn jurisdiction(&self) -> Option<JurisdictionRead> {
        self.issuer.as_ref()?.read(&self.text())
    }

    /// The likeliest text. This exposes a plate: it is for the reading pipeline and the offline
    /// tools only.
    pub fn text(&self) -> arrayvec::ArrayString<MAX_PLATE_LEN> {
        self.slots
            .iter()
            .map(|slot| char::from(slot.best().0))
            .collect::<String>()
            .as_str()
            .try_into()
            .expect("slots are at most as many as a plate has characters")
    }

    /// The probability of the least certain character, 0 if there is none. Gates use this and not
    /// the mean, because one doubtful character makes a doubtful plate.
    pub fn weakest(&self) -> Confidence {
        self.slots
            .iter()
            .map(|slot| slot.best().1)
            .min_by(|a, b| a.get().total_cmp(&b.get()))
            .unwrap_or_default()
    }
}

impl Candidate {
    /// How plausible it is that this is a plate at all, whatever its text: see
    /// [`plausibility`](super::plausible::plausibility).
    pub fn plausibility(&self) -> f32 {
        super::plausible::plausibility(&self.text(), self.detection.score)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("detection", &self.detection)
            .field("slots", &self.slots.len())
            .finish_non_exhaustive()
    }
}

/// A small RGB picture of the plate alone: the detection's box and a small margin.
#[derive(Clone, Default)]
pub struct Crop {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// R G B per pixel.
    pub rgb: Vec<u8>,
}

impl fmt::Debug for Crop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crop({}x{})", self.width, self.height)
    }
}

/// Everything seen in one frame.
#[derive(Debug, Clone)]
pub struct Sighted {
    /// The camera.
    pub camera: CameraId,
    /// The driver's number of the frame.
    pub sequence: u64,
    /// When the kernel stamped the frame.
    pub captured: FrameTime,
    /// Size of the frame in pixels, width then height.
    pub size: (u32, u32),
    /// One per detection, in order of detector score.
    pub candidates: Vec<Candidate>,
    /// Where further plates were found than are read in one frame: they are covered in every picture like the others.
    pub unread: Vec<Rect>,
}

impl Sighted {
    /// Where plates were found, read or not.
    pub fn plates(&self) -> impl Iterator<Item = Rect> + '_ {
        let read = self.candidates.iter().map(|one| one.detection.bbox);
        read.chain(self.unread.iter().copied())
    }
}
