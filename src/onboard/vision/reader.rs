//! One camera's reader: decode, find, read. One per camera thread, nothing shared, no lock.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::candidate::{Candidate, Crop, Detection, Sighted, Slots};
use super::crop::crop;
use super::detector::{Detector, OnnxDetector};
use super::models::Weights;
use super::ocr::{Ocr, OnnxOcr};
use super::onnx::Runtime;
use super::picture::Picture;
use super::scale::{Region, Scaler, sides};
use super::{VisionError, formats, second_look};
use crate::config::{ModelsConfig, Rectify};
use crate::geometry::{Point, Quad, Rect};
use crate::onboard::frame::Frame;
use crate::onboard::{self, Look};

/// CPU time of the calling thread that one look took, by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Decoding the frame into planes.
    pub decode: Duration,
    /// Scaling for the detector, running it, reading its output.
    pub detect: Duration,
    /// Cutting plates, running the OCR, reading its output.
    pub ocr: Duration,
    /// Cutting colour crops.
    pub crops: Duration,
}

/// Reads the plates in a frame.
pub struct Reader {
    detector: Box<dyn Detector>,
    ocr: Box<dyn Ocr>,
    rectify: Rectify,
    second_look: bool,
    most_plates: usize,
    picture: Picture,
    scaler: Scaler,
    found: Vec<Detection>,
    regions: Vec<Region>,
    read: Vec<Slots>,
    spent: Spent,
    stamp: Arc<onboard::ModelStamp>,
}

impl Reader {
    /// Loads both models; refuses weights that are not the ones their package names.
    pub fn load(config: &ModelsConfig) -> Result<Self, VisionError> {
        let runtime = Runtime::find(config.onnxruntime.as_deref())?;
        let detector = OnnxDetector::load(config, &runtime)?;
        let ocr = OnnxOcr::load(config, &runtime)?;
        Ok(Self::with(Box::new(detector), Box::new(ocr), config))
    }

    /// A reader of other halves, such as [`super::scripted`] ones.
    pub fn with(detector: Box<dyn Detector>, ocr: Box<dyn Ocr>, config: &ModelsConfig) -> Self {
        let stamp = Arc::new(onboard::ModelStamp {
            detector: detector.weights().sha256.clone(),
            ocr: ocr.weights().sha256.clone(),
        });
        Self {
            detector,
            ocr,
            stamp,
            rectify: config.rectify,
            second_look: config.second_look,
            most_plates: config.most_plates,
            picture: Picture::default(),
            scaler: Scaler::default(),
            found: Vec::new(),
            regions: Vec::new(),
            read: Vec::new(),
            spent: Spent::default(),
        }
    }

    /// Which weights it runs: detector, then OCR.
    pub fn weights(&self) -> [&Weights; 2] {
        [self.detector.weights(), self.ocr.weights()]
    }

    /// What the last look cost.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The last picture looked at.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Finds and reads the plates of a frame.
    pub fn look(&mut self, frame: &Frame) -> Result<Sighted, VisionError> {
        self.decode(frame)?;
        let decoded = cpu_time();
        self.found.clear();
        self.detector.detect(&self.picture, &mut self.found)?;
        self.found.truncate(self.most_plates);
        self.spent.detect = cpu_time() - decoded;
        let found = std::mem::take(&mut self.found);
        let candidates = self.read_plates(&found, true);
        self.found = found;
        Ok(Sighted {
            camera: frame.camera.clone(),
            sequence: frame.sequence,
            captured: frame.captured,
            size: self.picture.size(),
            candidates: candidates?,
        })
    }

    /// Decodes a frame without looking for plates.
    pub fn decode(&mut self, frame: &Frame) -> Result<(), VisionError> {
        let start = cpu_time();
        self.picture.refill(&frame.pixels)?;
        self.spent = Spent { decode: cpu_time() - start, ..Spent::default() };
        Ok(())
    }

    /// Reads plates of the decoded picture whose place is known and is not looked for again.
    pub fn read_at(&mut self, plates: &[Detection]) -> Result<Vec<Candidate>, VisionError> {
        self.read_plates(plates, false)
    }

    fn read_plates(
        &mut self,
        plates: &[Detection],
        closer: bool,
    ) -> Result<Vec<Candidate>, VisionError> {
        let start = cpu_time();
        let slots = self.read_found(plates, closer)?;
        let read = cpu_time();
        let candidates = plates.iter().zip(slots).map(|(detection, slots)| Candidate {
            detection: detection.clone(),
            slots,
            crop: crop(&mut self.scaler, &self.picture, &detection.bbox),
        });
        let candidates = candidates.collect();
        (self.spent.ocr, self.spent.crops) = (read - start, cpu_time() - read);
        Ok(candidates)
    }

    /// Where a plate of the decoded picture is, seen from closer: see [`Detector::closer`].
    pub fn closer(&mut self, plate: &Detection) -> Result<Option<Detection>, VisionError> {
        self.detector.closer(&self.picture, plate)
    }

    /// Cuts a part of the decoded picture out in colour.
    pub fn crop(&mut self, bbox: &Rect) -> Crop {
        crop(&mut self.scaler, &self.picture, bbox)
    }

    fn read_found(&mut self, found: &[Detection], closer: bool) -> Result<Vec<Slots>, VisionError> {
        let margin = self.ocr.crop_margin();
        self.regions.clear();
        for plate in found {
            self.regions.push(region(plate, self.rectify, margin, &self.picture));
        }
        self.read.clear();
        self.ocr.read(&self.picture, &self.regions, &mut self.read)?;
        let mut read = std::mem::take(&mut self.read);
        if self.second_look {
            self.look_again(found, closer, &mut read)?;
        }
        read.iter_mut().for_each(formats::settle);
        Ok(read)
    }

    /// Looks at plates in doubt twice more, leaning; from closer, if their place is to be found anew.
    fn look_again(
        &mut self,
        found: &[Detection],
        closer: bool,
        read: &mut [Slots],
    ) -> Result<(), VisionError> {
        let doubtful: Vec<usize> = second_look::doubtful(found, read).collect();
        if doubtful.is_empty() {
            return Ok(());
        }
        let mut again = Vec::with_capacity(doubtful.len());
        for i in doubtful {
            let plate = if closer { self.closer(&found[i])? } else { None };
            let there = plate.map_or(self.regions[i], |plate| {
                region(&plate, self.rectify, self.ocr.crop_margin(), &self.picture)
            });
            again.push((i, second_look::leaning(&there)));
        }
        let mut seen = Vec::with_capacity(again.len());
        self.ocr.read_again(&self.picture, &again, &mut seen)?;
        for ((i, _), seen) in again.into_iter().zip(seen) {
            read[i] = seen;
        }
        Ok(())
    }
}

/// Tilt from which corners are worth more than the box: at 4 degrees the characters at the ends of
/// a plate stand a third of their height apart.
const TILTED: f32 = 0.07;

/// What the OCR is to look at.
fn region(plate: &Detection, rectify: Rectify, margin: f32, picture: &Picture) -> Region {
    let (w, h) = picture.size();
    let upright = Region::Box(plate.bbox.grown(margin).clipped(w as f32, h as f32));
    let Some(quad) = plate.corners.filter(|q| is_plate_like(q, plate)) else { return upright };
    match rectify {
        Rectify::Never => upright,
        Rectify::Tilted if tilt(&quad) < TILTED => upright,
        Rectify::Tilted | Rectify::Always => Region::Corners(grown(&quad, margin)),
    }
}

/// Slope of the plate's long edges.
fn tilt(q: &Quad) -> f32 {
    let slope = |a: Point, b: Point| (b.y - a.y) / (b.x - a.x).abs().max(1.0);
    ((slope(q[0], q[1]) + slope(q[3], q[2])) / 2.0).abs()
}

/// Corners that run the right way round and cover about what the box covers: the corner head is a
/// second opinion, and not always a sane one.
fn is_plate_like(q: &Quad, plate: &Detection) -> bool {
    let (w, h) = sides(q);
    let turns_right = (0..4).all(|i| {
        let (a, b, c) = (q[i], q[(i + 1) % 4], q[(i + 2) % 4]);
        (b.x - a.x) * (c.y - b.y) - (b.y - a.y) * (c.x - b.x) > 0.0
    });
    let near = |v: f32, of: f32| v > of * 0.6 && v < of * 1.5;
    turns_right && near(w, plate.bbox.w) && h > plate.bbox.h * 0.4 && h < plate.bbox.h * 1.5
}

/// Grown by a fraction of its own sides around its middle.
fn grown(q: &Quad, margin: f32) -> Quad {
    let n = 4.0;
    let middle = Point {
        x: q.iter().map(|p| p.x).sum::<f32>() / n,
        y: q.iter().map(|p| p.y).sum::<f32>() / n,
    };
    let k = 1.0 + 2.0 * margin;
    q.map(|p| Point { x: middle.x + (p.x - middle.x) * k, y: middle.y + (p.y - middle.y) * k })
}

/// CPU time of this thread: inference runs on it alone.
fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(t.tv_sec).unwrap_or_default(),
        u32::try_from(t.tv_nsec).unwrap_or_default(),
    )
}

/// A frame around a single picture, for tools and tests.
pub fn still(pixels: crate::onboard::frame::Pixels) -> Frame {
    Frame {
        camera: crate::onboard::frame::CameraId::new("still"),
        sequence: 0,
        captured: crate::clock::FrameTime {
            monotonic: Duration::ZERO,
            wall: jiff::Timestamp::UNIX_EPOCH,
        },
        pixels,
    }
}

impl Look for Reader {
    fn look(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        Ok(Self::look(self, frame)?)
    }

    fn stamp(&self) -> Arc<onboard::ModelStamp> {
        Arc::clone(&self.stamp)
    }
}
