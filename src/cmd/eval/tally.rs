//! Counts and times while pictures are read.

use std::time::Duration;

use super::beside::Beside;
use super::score::Case;

/// The sums of one source, or of all.
#[derive(Debug, Default, Clone)]
pub(super) struct Tally {
    pub(super) frames: usize,
    pub(super) crops: usize,
    pub(super) unreadable: usize,
    pub(super) cases: Vec<Case>,
    /// Detections in frames, and those that cover a labelled plate.
    pub(super) detections: usize,
    /// Texts that no label covers.
    pub(super) beside: Vec<Beside>,
    pub(super) decode: Duration,
    pub(super) detect: Duration,
    pub(super) ocr: Duration,
    /// Time for reading pictures that are nothing but a plate.
    pub(super) ocr_of_crops: Duration,
    /// Time for cutting plates out in colour for the officer.
    pub(super) colour_crops: Duration,
    /// Time for reading jurisdictions.
    pub(super) issuer: Duration,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.crops += other.crops;
        self.unreadable += other.unreadable;
        self.cases.extend(other.cases.iter().cloned());
        self.detections += other.detections;
        self.beside.extend(other.beside.iter().cloned());
        self.decode += other.decode;
        self.detect += other.detect;
        self.ocr += other.ocr;
        self.ocr_of_crops += other.ocr_of_crops;
        self.colour_crops += other.colour_crops;
        self.issuer += other.issuer;
    }

    /// The cases that count: all but those set aside.
    pub(super) fn counted(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|c| c.aside.is_none())
    }

    /// Confidence and right or wrong of every plate with a text.
    pub(super) fn reads(&self) -> Vec<(f32, bool)> {
        let with_text = self.counted().filter(|c| c.label.is_some());
        with_text.map(|c| (c.weakest, c.is_folded())).collect()
    }
}
