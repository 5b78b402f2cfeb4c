//! Where the plates are.

use super::VisionError;
use super::candidate::{Confidence, Detection};
use super::decoders::{self, RawBox};
use super::letterbox::{Feeder, Placed, Region};
use super::models::{DetectorDecoder, DetectorPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
use super::{models, open_models};
use crate::config::ModelsConfig;
use crate::geometry::{Point, Rect};

/// Finds plates in a picture.
pub trait Detector: Send {
    /// Appends the plates of a picture to `found`, best first, in pixels of the picture.
    fn detect(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError>;

    /// Which weights it runs.
    fn weights(&self) -> &Weights;
}

/// Narrowest and lowest plate worth reading, in pixels of the picture: below this no OCR tells
/// characters apart, and what is found there is noise.
const LEAST_WIDTH: f32 = 12.0;
const LEAST_HEIGHT: f32 = 5.0;

/// A detector that runs an ONNX model.
pub(super) struct OnnxDetector {
    model: Model,
    package: DetectorPackage,
    feeder: Feeder,
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
        let mut detector = Self { model, package, feeder, boxes: Vec::new() };
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
}

impl Detector for OnnxDetector {
    fn detect(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError> {
        let placed = self.feeder.put(0, picture, &Region::Box(picture.bounds()));
        let (boxes, package) = (&mut self.boxes, &self.package);
        boxes.clear();
        let shape = self.feeder.shape(1);
        let known = self
            .model
            .run(self.feeder.values(), shape, |dims, data| decode(package, dims, data, boxes))?;
        known.map_err(|message| VisionError::Inference {
            model: package.stamp.name.clone(),
            message,
        })?;
        decoders::suppress(boxes, package.nms_iou);
        found.extend(boxes.iter().filter_map(|b| to_picture(b, &placed, picture)));
        Ok(())
    }

    fn weights(&self) -> &Weights {
        &self.package.stamp
    }
}

fn decode(
    package: &DetectorPackage,
    dims: &[i64],
    data: &[f32],
    out: &mut Vec<RawBox>,
) -> Result<(), String> {
    let threshold = package.score_threshold;
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
