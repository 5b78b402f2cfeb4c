//! Where the plates are.

use super::VisionError;
use super::candidate::{Confidence, Detection};
use super::decoders::{self, RawBox};
use super::letterbox::{Feeder, InputSpec, Placed};
use super::models::{DetectorDecoder, DetectorPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
use super::scale::Region;
use super::{models, open_models};
use crate::config::ModelsConfig;
use crate::geometry::{Point, Rect};

/// Finds plates in a picture.
pub trait Detector: Send {
    /// Appends the plates of a picture to `found`, best first, in pixels of the picture.
    fn detect(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError>;

    /// Where a plate that was found is, seen from closer, or from farther away if it is near; none where it is not
    /// seen again, or where the detector cannot look at a part of a picture.
    fn closer(&mut self, _: &Picture, _: &Detection) -> Result<Option<Detection>, VisionError> {
        Ok(None)
    }

    /// Which weights it runs.
    fn weights(&self) -> &Weights;
}

/// Narrowest and lowest plate worth reading, in pixels of the picture: below this no OCR tells
/// characters apart, and what is found there is noise.
const LEAST_WIDTH: f32 = 12.0;
const LEAST_HEIGHT: f32 = 5.0;

/// Network pixels of a look at one plate: a fifth of the cost of the first look.
const CLOSE: (u32, u32) = (288, 160);
/// How wide, and how high at most, the plate is to be in it: three times what it is in the first look at the
/// distance at which most plates are read.
const CLOSE_PLATE: (f32, f32) = (128.0, 90.0);
/// Network pixels from which a plate is so near that its box may end within a character: such a plate is looked at
/// again in the size of `CLOSE_PLATE`. See docs/decisions/0036-near-plates-from-farther.md.
const NEAR: f32 = 220.0;
/// A peak that is sure enough to be the plate that was seen before.
const CLOSE_SCORE: f32 = 0.1;
/// Overlap with the first box from which it is the same plate.
const CLOSE_OVERLAP: f32 = 0.3;

/// A detector that runs an ONNX model.
pub(super) struct OnnxDetector {
    model: Model,
    package: DetectorPackage,
    feeder: Feeder,
    /// Input of the look from closer; none where the network takes one size only.
    close: Option<Feeder>,
    boxes: Vec<RawBox>,
}

impl OnnxDetector {
    pub(super) fn load(config: &ModelsConfig, runtime: &Runtime) -> Result<Self, VisionError> {
        let (mut package, onnx) = models::detector(&config.detector, config.folder.as_deref())?;
        let model = Model::load(runtime, &package.stamp.name, &package.path, &onnx)?;
        if package.decoder == DetectorDecoder::ByShape {
            open_models::recognise(&mut package, &model.inputs[0], &model.outputs[0])?;
        }
        if let Some([width, height]) = config.detector_input {
            (package.input.width, package.input.height) = (width, height);
        }
        if let Some(threshold) = config.min_detection {
            package.score_threshold = threshold;
        }
        let feeder = Feeder::new(package.input.clone());
        let free = model.inputs[0]
            .dims
            .get(package.input.layout.sides())
            .is_some_and(|size| size.iter().all(|d| *d < 0));
        let ours = matches!(package.decoder, DetectorDecoder::OutriderCentre { .. });
        let (width, height) = CLOSE;
        let close = (ours && free)
            .then(|| Feeder::new(InputSpec { width, height, ..package.input.clone() }));
        let mut detector = Self { model, package, feeder, close, boxes: Vec::new() };
        // A first look at nothing: shapes that do not fit are found at start, not at the first car.
        detector
            .detect(&Picture::blank(64, 64), &mut Vec::new())
            .map_err(|e| detector.refuse(e))?;
        Ok(detector)
    }

    fn refuse(&self, e: VisionError) -> VisionError {
        match e {
            VisionError::Inference { message, .. } => {
                VisionError::ModelRefused { path: self.package.path.clone(), message }
            }
            other => other,
        }
    }

    /// Boxes anew what is `near` picture pixels wide or more. Two parts of one plate become the whole, which counts once.
    fn look_at_near_ones_again(
        &mut self,
        picture: &Picture,
        near: f32,
        found: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        for plate in found.iter_mut().filter(|plate| plate.bbox.w >= near) {
            if let Some(whole) = self.closer(picture, plate)? {
                let score = whole.score.get().max(plate.score.get());
                *plate = Detection { score: Confidence::new(score), ..whole };
            }
        }
        decoders::suppress(found, self.package.nms_iou, score_and_box);
        Ok(())
    }
}

fn score_and_box(plate: &Detection) -> (f32, Rect) {
    (plate.score.get(), plate.bbox)
}

impl Detector for OnnxDetector {
    fn detect(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError> {
        let placed = self.feeder.put(0, picture, &Region::Box(picture.bounds()));
        let Self { model, package, feeder, boxes, .. } = self;
        look(model, package, feeder, package.score_threshold, boxes)?;
        decoders::suppress(boxes, package.nms_iou, |b| (b.score, b.bbox));
        let first = found.len();
        found.extend(boxes.iter().filter_map(|b| to_picture(b, &placed, picture)));
        let near = NEAR * placed.pixels_per_input_pixel();
        if found[first..].iter().any(|plate| plate.bbox.w >= near) {
            let mut seen = found.split_off(first);
            self.look_at_near_ones_again(picture, near, &mut seen)?;
            found.append(&mut seen);
        }
        Ok(())
    }

    fn closer(
        &mut self,
        picture: &Picture,
        plate: &Detection,
    ) -> Result<Option<Detection>, VisionError> {
        let Self { model, package, close: Some(feeder), boxes, .. } = self else {
            return Ok(None);
        };
        let placed = feeder.put(0, picture, &Region::Box(around(&plate.bbox, picture)));
        look(model, package, feeder, CLOSE_SCORE, boxes)?;
        let seen = boxes.iter().filter_map(|b| {
            let there = to_picture(b, &placed, picture)?;
            let overlap = there.bbox.iou(&plate.bbox);
            (overlap > CLOSE_OVERLAP).then_some((overlap * b.score, there))
        });
        Ok(seen.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, there)| there))
    }

    fn weights(&self) -> &Weights {
        &self.package.stamp
    }
}

/// Runs the network on what its input holds; `boxes` are the peaks above `threshold`.
fn look(
    model: &mut Model,
    package: &DetectorPackage,
    feeder: &Feeder,
    threshold: f32,
    boxes: &mut Vec<RawBox>,
) -> Result<(), VisionError> {
    boxes.clear();
    let known = model.run(feeder.values(), feeder.shape(1), |dims, data| {
        decode(package, dims, data, threshold, boxes)
    })?;
    known.map_err(|message| VisionError::Inference { model: package.stamp.name.clone(), message })
}

/// The part of a picture in which a plate has the size that it is to have from closer; moved into the
/// picture where it would stick out.
fn around(plate: &Rect, picture: &Picture) -> Rect {
    let k = (CLOSE_PLATE.0 / plate.w).min(CLOSE_PLATE.1 / plate.h);
    let (w, h) = (CLOSE.0 as f32 / k, CLOSE.1 as f32 / k);
    let (columns, rows) = picture.size();
    let (columns, rows) = (columns as f32, rows as f32);
    let centre = plate.centre();
    let x = (centre.x - w / 2.0).clamp(0.0, (columns - w).max(0.0));
    let y = (centre.y - h / 2.0).clamp(0.0, (rows - h).max(0.0));
    Rect { x, y, w, h }.clipped(columns, rows)
}

fn decode(
    package: &DetectorPackage,
    dims: &[i64],
    data: &[f32],
    threshold: f32,
    out: &mut Vec<RawBox>,
) -> Result<(), String> {
    let side = |d: i64| usize::try_from(d).unwrap_or(0);
    match (package.decoder, dims) {
        (DetectorDecoder::OutriderCentre { stride }, &[1, 13, rows, columns]) => {
            let size = (side(rows), side(columns));
            decoders::centre(data, size, stride as f32, threshold, out);
        }
        (DetectorDecoder::YoloEndToEnd, &[_, 7]) => decoders::rows(data, 7, threshold, out),
        (DetectorDecoder::YoloEndToEnd, &[1, _, 6]) => decoders::rows(data, 6, threshold, out),
        (DetectorDecoder::YoloRaw, &[1, channels, anchors]) if channels >= 5 => {
            decoders::anchors(data, (side(channels), side(anchors)), threshold, out);
        }
        (_, dims) => {
            return Err(format!("output of shape {dims:?} is not {}", package.stamp.decoder));
        }
    }
    Ok(())
}

fn to_picture(b: &RawBox, placed: &Placed, picture: &Picture) -> Option<Detection> {
    let a = placed.back(Point { x: b.bbox.x, y: b.bbox.y });
    let z = placed.back(Point { x: b.bbox.right(), y: b.bbox.bottom() });
    let (w, h) = picture.size();
    let bbox = Rect::from_corners(a, z).clipped(w as f32, h as f32);
    (bbox.w >= LEAST_WIDTH && bbox.h >= LEAST_HEIGHT).then(|| Detection {
        bbox,
        corners: b.corners.map(|quad| quad.map(|p| placed.back(p))),
        score: Confidence::new(b.score),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_plate_stays_in_the_picture_and_keeps_its_size() {
        let picture = Picture::blank(1280, 720);
        let plate = Rect { x: 600.0, y: 400.0, w: 64.0, h: 32.0 };
        assert_eq!(around(&plate, &picture), Rect { x: 560.0, y: 376.0, w: 144.0, h: 80.0 });
        let corner = Rect { x: 1216.0, y: 0.0, ..plate };
        assert_eq!(around(&corner, &picture), Rect { x: 1136.0, y: 0.0, w: 144.0, h: 80.0 });
    }

    #[test]
    fn two_parts_that_became_one_plate_are_one() {
        let seen = |x: f32, score: f32| Detection {
            bbox: Rect { x, y: 50.0, w: 500.0, h: 250.0 },
            corners: None,
            score: Confidence::new(score),
        };
        let mut found = vec![seen(104.0, 0.5), seen(700.0, 0.6), seen(100.0, 0.9)];
        decoders::suppress(&mut found, 0.4, score_and_box);
        assert_eq!(found.iter().map(|p| p.bbox.x).collect::<Vec<_>>(), [100.0, 700.0]);
    }

    #[test]
    fn picture_smaller_than_what_is_around_is_taken_whole() {
        let picture = Picture::blank(200, 100);
        let plate = Rect { x: 10.0, y: 10.0, w: 180.0, h: 60.0 };
        assert_eq!(around(&plate, &picture), picture.bounds());
    }
}
