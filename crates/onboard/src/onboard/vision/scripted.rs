//! A detector and an OCR that return scripted results: for tests of later stages. They are for
//! readers whose `second_look` is off: a second look would take the next frame's texts.

use std::collections::VecDeque;

use super::candidate::{Confidence, Detection, Slot, Slots};
use super::models::Weights;
use super::ocr::Again;
use super::{Detector, Ocr, Picture, Region, VisionError};
use crate::geometry::Rect;
use crate::plate::symbol_index;

/// Returns the given boxes, one list per frame; none once they are used up.
pub struct ScriptedDetector {
    frames: VecDeque<Vec<Rect>>,
    weights: Weights,
}

/// Returns the given texts, one list per frame, in the order of the boxes.
pub struct ScriptedOcr {
    frames: VecDeque<Vec<(String, f32)>>,
    weights: Weights,
}

fn weights(name: &str) -> Weights {
    Weights { name: name.into(), version: "0".into(), decoder: "scripted", sha256: "0".repeat(64) }
}

impl ScriptedDetector {
    /// One list of boxes per frame.
    pub fn new(frames: impl IntoIterator<Item = Vec<Rect>>) -> Self {
        Self { frames: frames.into_iter().collect(), weights: weights("scripted-detector") }
    }
}

impl Detector for ScriptedDetector {
    fn detect(&mut self, _: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError> {
        let boxes = self.frames.pop_front().unwrap_or_default();
        let score = Confidence::new(0.9);
        found.extend(boxes.into_iter().map(|bbox| Detection { bbox, corners: None, score }));
        Ok(())
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }
}

impl ScriptedOcr {
    /// One list of texts per frame, each with the probability of all its characters.
    pub fn new(frames: impl IntoIterator<Item = Vec<(String, f32)>>) -> Self {
        Self { frames: frames.into_iter().collect(), weights: weights("scripted-ocr") }
    }
}

impl Ocr for ScriptedOcr {
    fn read(
        &mut self,
        _: &Picture,
        regions: &[Region],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError> {
        let mut texts = self.frames.pop_front().unwrap_or_default().into_iter();
        read.extend(regions.iter().map(|_| {
            let (text, p) = texts.next().unwrap_or_default();
            text.bytes()
                .map(|c| {
                    let mut slot = Slot([0.0; 36]);
                    slot.0[usize::from(symbol_index(c))] = p;
                    slot
                })
                .collect()
        }));
        Ok(())
    }

    fn read_again(
        &mut self,
        _: &Picture,
        _: &[Again],
        _: &mut Vec<Slots>,
    ) -> Result<(), VisionError> {
        Ok(())
    }

    fn crop_margin(&self) -> f32 {
        0.0
    }

    fn weights(&self) -> &Weights {
        &self.weights
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelsConfig;
    use crate::onboard::frame::{Pixels, Raw};
    use crate::onboard::vision::{Reader, still};

    #[test]
    fn reader_joins_boxes_and_texts() {
        let plate = Rect { x: 20.0, y: 30.0, w: 60.0, h: 15.0 };
        let mut reader = Reader::with(
            Box::new(ScriptedDetector::new([vec![plate]])),
            Box::new(ScriptedOcr::new([vec![("ABC123".into(), 0.8)]])),
            &ModelsConfig { second_look: false, ..ModelsConfig::default() },
        );
        let frame =
            || still(Pixels::Grey(Raw { width: 160, height: 120, bytes: vec![90; 160 * 120] }));
        let seen = reader.read_whole(&frame()).unwrap();
        assert_eq!(seen.size, (160, 120));
        assert_eq!(seen.candidates[0].text().as_str(), "ABC123");
        assert!((seen.candidates[0].weakest().get() - 0.8).abs() < 1e-6);
        assert_eq!(seen.candidates[0].crop.width, 70);
        assert!(reader.read_whole(&frame()).unwrap().candidates.is_empty());
    }
}
