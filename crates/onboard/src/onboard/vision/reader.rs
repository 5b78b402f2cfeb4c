//! One camera's reader: decodes a frame, finds and reads its plates. There is one per camera
//! thread, and nothing is shared.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::candidate::{Candidate, Crop, Detection, Sighted, Slots};
use super::conditions;
use super::crop::{context, crop};
use super::detector::{Detector, OnnxDetector};
use super::issuer::IssuerHead;
use super::jurisdiction::Impression;
use super::models::Weights;
use super::ocr::{Again, Ocr, OnnxOcr};
use super::onnx::Runtime;
use super::picture::Picture;
use super::scale::{Region, Scaler, sides};
use super::{VisionError, formats, second_look};
use crate::config::{ModelsConfig, Rectify};
use crate::geometry::{Point, Quad, Rect};
use crate::onboard::frame::Frame;
use crate::onboard::{self, FrameReader};

/// CPU time of the calling thread for one frame, by stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Decoding the frame into planes.
    pub decode: Duration,
    /// Scaling for the detector, running it, reading its output.
    pub detect: Duration,
    /// Cutting plates, running the OCR, reading its output.
    pub ocr: Duration,
    /// Cutting plates in colour, running the jurisdiction model.
    pub issuer: Duration,
    /// Cutting colour crops.
    pub crops: Duration,
}

/// Reads the plates in a frame.
pub struct Reader {
    detector: Box<dyn Detector>,
    ocr: Box<dyn Ocr>,
    issuer: Option<IssuerHead>,
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
    /// Loads the models; refuses weights with other digests than their packages state.
    pub fn load(config: &ModelsConfig) -> Result<Self, VisionError> {
        Self::load_with(config, &Runtime::find(config.onnxruntime.as_deref())?)
    }

    /// As [`Reader::load`], with models that the runtime's [`super::Interrupt`] ends, at their first run on an empty
    /// picture already, which is part of loading.
    pub fn load_with(config: &ModelsConfig, runtime: &Runtime) -> Result<Self, VisionError> {
        let detector = OnnxDetector::load(config, runtime)?;
        let ocr = OnnxOcr::load(config, runtime)?;
        let head = config
            .jurisdiction()
            .map(|name| IssuerHead::load(name, config.folder.as_deref(), runtime));
        let head = head.transpose()?;
        let mut reader = Self::with(Box::new(detector), Box::new(ocr), config);
        reader.stamp = Arc::new(onboard::ModelStamp {
            jurisdiction: head.as_ref().map(|head| head.weights().sha256.clone()),
            ..(*reader.stamp).clone()
        });
        reader.issuer = head;
        Ok(reader)
    }

    /// A reader with other parts, such as [`super::scripted`] ones.
    pub fn with(detector: Box<dyn Detector>, ocr: Box<dyn Ocr>, config: &ModelsConfig) -> Self {
        let stamp = Arc::new(onboard::ModelStamp {
            detector: detector.weights().sha256.clone(),
            ocr: ocr.weights().sha256.clone(),
            jurisdiction: None,
        });
        Self {
            detector,
            ocr,
            issuer: None,
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

    /// The weights that it runs: detector, then OCR.
    pub fn weights(&self) -> [&Weights; 2] {
        [self.detector.weights(), self.ocr.weights()]
    }

    /// The weights of the jurisdiction model, if there is one.
    pub fn jurisdiction_weights(&self) -> Option<&Weights> {
        self.issuer.as_ref().map(IssuerHead::weights)
    }

    /// CPU time of the last frame.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// The picture of the last frame.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Finds and reads the plates of a single picture, all of which is searched.
    pub fn read_whole(&mut self, frame: &Frame) -> Result<Sighted, VisionError> {
        self.read_by(frame, |detector, picture, found| detector.detect(picture, found))
    }

    /// Finds and reads the plates of a camera's next frame: see [`Detector::detect_next`].
    pub fn read_next(&mut self, frame: &Frame) -> Result<Sighted, VisionError> {
        self.read_by(frame, |detector, picture, found| detector.detect_next(picture, found))
    }

    fn read_by(
        &mut self,
        frame: &Frame,
        detect: impl FnOnce(&mut dyn Detector, &Picture, &mut Vec<Detection>) -> Result<(), VisionError>,
    ) -> Result<Sighted, VisionError> {
        self.decode(frame)?;
        let decoded = cpu_time();
        self.found.clear();
        detect(self.detector.as_mut(), &self.picture, &mut self.found)?;
        let most = self.most_plates.min(self.found.len());
        let unread = self.found.split_off(most).iter().map(|beyond| beyond.bbox).collect();
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
            unread,
        })
    }

    /// Decodes a frame without looking for plates.
    pub fn decode(&mut self, frame: &Frame) -> Result<(), VisionError> {
        let start = cpu_time();
        self.picture.refill(&frame.pixels)?;
        self.spent = Spent { decode: cpu_time() - start, ..Spent::default() };
        Ok(())
    }

    /// Reads plates of the decoded picture at known places, which are not located again.
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
        let issuers = self.issuers(plates)?;
        let judged = cpu_time();
        let legible = self.ocr.legibility();
        let each = plates.iter().zip(slots).zip(issuers).enumerate();
        let candidates = each.map(|(i, ((detection, slots), issuer))| {
            let crop = crop(&mut self.scaler, &self.picture, &detection.bbox);
            let legibility = legible.get(i).copied().flatten();
            Candidate { detection: detection.clone(), slots, issuer, legibility, crop }
        });
        let candidates = candidates.collect();
        (self.spent.ocr, self.spent.issuer) = (read - start, judged - read);
        self.spent.crops = cpu_time() - judged;
        Ok(candidates)
    }

    /// Locates a plate of the decoded picture more closely: see [`Detector::closer`].
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
            self.read_doubtful_again(found, closer, &mut read)?;
        }
        read.iter_mut().for_each(formats::settle);
        Ok(read)
    }

    /// The jurisdiction model's output for each plate; `None` without a model. For a picture
    /// without colours it sees the greys.
    fn issuers(&mut self, plates: &[Detection]) -> Result<Vec<Option<Impression>>, VisionError> {
        let Some(head) = &mut self.issuer else { return Ok(vec![None; plates.len()]) };
        let margin = head.crop_margin();
        let there = |plate| region(plate, self.rectify, margin, &self.picture);
        let regions: Vec<Region> = plates.iter().map(there).collect();
        let mut seen = Vec::with_capacity(plates.len());
        head.classify(&self.picture, &regions, &mut seen)?;
        Ok(seen.into_iter().map(Some).collect())
    }

    /// Reads doubtful plates twice more, slanted; from a closer location if their boxes are to be
    /// located anew.
    fn read_doubtful_again(
        &mut self,
        found: &[Detection],
        closer: bool,
        read: &mut [Slots],
    ) -> Result<(), VisionError> {
        let doubtful: Vec<usize> = second_look::doubtful(found, read).collect();
        if doubtful.is_empty() {
            return Ok(());
        }
        let margin = self.ocr.crop_margin();
        let mut again = Vec::with_capacity(doubtful.len());
        for i in doubtful {
            let nearer = if closer { self.closer(&found[i])? } else { None };
            let plate = nearer.as_ref().unwrap_or(&found[i]);
            let there = region(plate, self.rectify, margin, &self.picture);
            let leaning = second_look::leaning(&there);
            again.push(Again {
                plate: i,
                regions: leaning.into_iter().collect(),
                with_first: true,
            });
            if let Region::Box(upright) = there
                && let Some(slope) = conditions::slope(&self.picture, &plate.bbox)
                && second_look::is_askew(slope)
            {
                let straight = second_look::straightened(&upright, slope);
                let looks = std::iter::once(straight).chain(second_look::leaning(&straight));
                again.push(Again { plate: i, regions: looks.collect(), with_first: false });
            }
        }
        let mut seen = Vec::with_capacity(again.len());
        self.ocr.read_again(&self.picture, &again, &mut seen)?;
        for (looks, seen) in again.into_iter().zip(seen) {
            let before = &mut read[looks.plate];
            *before = if looks.with_first { seen } else { second_look::surer(before, seen) };
        }
        Ok(())
    }
}

/// Tilt from which on corners are better than the box: at 4 degrees the characters at the two ends
/// of a plate are a third of their height apart.
const TILTED: f32 = 0.07;

/// The region that the OCR reads.
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

/// Whether corners run clockwise and cover about the same area as the box: the model's corners are
/// a second opinion, and sometimes absurd.
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

/// CPU time of this thread, on which all inference runs.
fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(t.tv_sec).unwrap_or_default(),
        u32::try_from(t.tv_nsec).unwrap_or_default(),
    )
}

/// A frame with a single picture, for tools and tests.
pub fn still(pixels: crate::onboard::frame::Pixels) -> Frame {
    Frame {
        camera: crate::camera_id::CameraId::new("still"),
        sequence: 0,
        captured: crate::clock::FrameTime {
            monotonic: Duration::ZERO,
            wall: jiff::Timestamp::UNIX_EPOCH,
        },
        pixels,
    }
}

impl FrameReader for Reader {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        Ok(self.read_next(frame)?)
    }

    fn context(&mut self, plate: &Rect, others: &[Rect]) -> Option<Crop> {
        let others = others.iter().copied().filter(|other| other != plate);
        Some(context(&mut self.scaler, &self.picture, plate, others))
    }

    fn stamp(&self) -> Arc<onboard::ModelStamp> {
        Arc::clone(&self.stamp)
    }
}
