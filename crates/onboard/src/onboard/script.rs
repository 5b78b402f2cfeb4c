//! Sightings written by hand, for the step tests and benches of tracker, vote and matcher.

use std::time::Duration;

use jiff::Timestamp;

use super::frame::CameraId;
use super::vision::candidate::{Candidate, Confidence, Crop, Detection, Sighted, Slot, Slots};
use crate::clock::FrameTime;
use crate::geometry::Rect;
use crate::plate::symbol_index;

/// The size of a scripted camera's frames.
pub(super) const SIZE: (u32, u32) = (1920, 1080);

/// An instant on both clocks.
pub(super) fn at_ms(ms: u64) -> FrameTime {
    let start: Timestamp = "2026-11-23T07:00:00Z".parse().expect("a time");
    let monotonic = Duration::from_millis(ms);
    FrameTime { monotonic, wall: start + monotonic }
}

/// A slot in which one symbol has `p` and the others share the rest as an OCR would leave it.
pub(super) fn slot(symbol: u8, p: f32) -> Slot {
    let mut slot = Slot([(1.0 - p) / 40.0; 36]);
    slot.0[usize::from(symbol_index(symbol))] = p;
    slot
}

/// A slot with two rivals.
#[cfg(test)]
pub(super) fn doubtful(one: u8, p: f32, other: u8, q: f32) -> Slot {
    let mut slot = Slot([(1.0 - p - q) / 40.0; 36]);
    slot.0[usize::from(symbol_index(one))] = p;
    slot.0[usize::from(symbol_index(other))] = q;
    slot
}

/// A text in which every character has `p`.
pub(super) fn slots(text: &str, p: f32) -> Slots {
    text.bytes().map(|c| slot(c, p)).collect()
}

/// A plate around a place, `width` pixels wide.
pub(super) fn plate(text: &str, p: f32, centre: (f32, f32), width: f32) -> Candidate {
    of_slots(slots(text, p), centre, width)
}

/// The same with its own slots.
pub(super) fn of_slots(slots: Slots, (x, y): (f32, f32), width: f32) -> Candidate {
    let (w, h) = (width, width / 2.0);
    Candidate {
        detection: Detection {
            bbox: Rect { x: x - w / 2.0, y: y - h / 2.0, w, h },
            corners: None,
            score: Confidence::new(0.9),
        },
        slots,
        issuer: None,
        legibility: None,
        crop: Crop { width: 1, height: 1, rgb: vec![0, 0, 0] },
    }
}

/// One frame of a camera at 30 frames a second, by its number.
pub(super) fn frame(sequence: u64, candidates: Vec<Candidate>) -> Sighted {
    frame_at(sequence, sequence * 1000 / 30, candidates)
}

/// One frame with a time of its own, in milliseconds.
pub(super) fn frame_at(sequence: u64, ms: u64, candidates: Vec<Candidate>) -> Sighted {
    Sighted {
        camera: CameraId::new("front"),
        sequence,
        captured: at_ms(ms),
        size: SIZE,
        candidates,
        unread: Vec::new(),
    }
}
