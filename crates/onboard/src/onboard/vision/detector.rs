//! Finds where the plates are.

use super::VisionError;
use super::candidate::{Confidence, Detection};
use super::decoders::{self, RawBox};
use super::letterbox::{Feeder, InputSpec, Placed};
use super::models::{DetectorDecoder, DetectorPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
use super::pieces::Pieces;
use super::scale::Region;
use super::{models, open_models, pieces};
use crate::config::ModelsConfig;
use crate::geometry::{Point, Rect};

/// Finds plates in a picture.
pub trait Detector: Send {
    /// Appends the plates of a picture to `found`, best first, in pixels of the picture.
    fn detect(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError>;

    /// The same for a camera's next picture, at a cost that does not grow with the picture's size:
    /// if a picture is too large for the network, its parts are searched in turn, and plates found
    /// before are followed.
    fn detect_next(
        &mut self,
        picture: &Picture,
        found: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        self.detect(picture, found)
    }

    /// Locates a plate that was found in an enlarged part of the picture, or in a reduced one if it
    /// is near. `None` if it is not found again, or if the detector cannot search a part of a
    /// picture.
    fn closer(&mut self, _: &Picture, _: &Detection) -> Result<Option<Detection>, VisionError> {
        Ok(None)
    }

    /// The weights that it runs.
    fn weights(&self) -> &Weights;
}

/// Smallest width of a plate, in pixels of the picture: below it no OCR can distinguish characters,
/// and detections are noise.
const LEAST_WIDTH: f32 = 12.0;
const LEAST_HEIGHT: f32 = 5.0;

/// Size of the network's input for one plate: a fifth of the cost of a whole picture.
const CLOSE: (u32, u32) = (288, 160);
/// Width, and greatest height, of the plate in that input: three times its size in the whole
/// picture at the distance at which most plates are read.
const CLOSE_PLATE: (f32, f32) = (128.0, 90.0);
/// Width in network pixels from which a plate is so near that its box may end within a character:
/// such a plate is located again at the size `CLOSE_PLATE`. See
/// docs/decisions/0036-near-plates-from-farther.md.
const NEAR: f32 = 220.0;
/// Share of the picture's width from which a plate fills the picture: the network was trained on
/// plates of at most two thirds of its width, and of a plate that fills its input it finds parts,
/// or nothing.
const FILLING: f32 = 0.34;
/// Score from which a plate is so sure that the picture is not also searched as a whole at reduced
/// size. See docs/decisions/0092-plates-that-fill-the-picture.md.
const SURE: f32 = 0.7;
/// Share of a box inside a plate that fills the picture, from which it is a part of that plate.
const PART: f32 = 0.6;
/// Plates of the previous picture that are followed outside the present piece: three lanes.
const FOLLOWED: usize = 3;
/// Lowest score of a peak that is taken for the plate that was found before.
const CLOSE_SCORE: f32 = 0.1;
/// Overlap with the first box from which on it is the same plate.
const CLOSE_OVERLAP: f32 = 0.3;

/// A detector that runs an ONNX model.
pub(super) struct OnnxDetector {
    model: Model,
    package: DetectorPackage,
    feeder: Feeder,
    /// Input for locating one plate; `None` if the network has a fixed input size.
    close: Option<Feeder>,
    /// Input for the road's band of a large picture.
    band: Option<Feeder>,
    boxes: Vec<RawBox>,
    pieces: Pieces,
    /// The plates of the previous picture.
    before: Vec<Detection>,
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
        let mut detector = Self {
            model,
            package,
            feeder,
            close,
            band: None,
            boxes: Vec::new(),
            pieces: Pieces::default(),
            before: Vec::new(),
        };
        // The model is run once on a blank picture, so that wrong shapes are found at the start and
        // not with the first car.
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

    /// The plates in a part of a picture, and how many pixels of the picture one network pixel
    /// covers there.
    fn detect_in_part(
        &mut self,
        picture: &Picture,
        part: Rect,
    ) -> Result<(Vec<Detection>, f32), VisionError> {
        let placed = self.feeder.put(0, picture, &Region::Box(part));
        let Self { model, package, feeder, boxes, .. } = self;
        run_network(model, package, feeder, package.score_threshold, boxes)?;
        decoders::suppress(boxes, package.nms_iou, |b| (b.score, b.bbox));
        let seen = boxes.iter().filter_map(|b| to_picture(b, &placed, picture)).collect();
        Ok((seen, placed.pixels_per_input_pixel()))
    }

    /// The plates in the whole picture at reduced size, at a fifth of the cost; none if the network
    /// has a fixed input size.
    fn detect_in_reduced(&mut self, picture: &Picture) -> Result<Vec<Detection>, VisionError> {
        let Self { model, package, close: Some(feeder), boxes, .. } = self else {
            return Ok(Vec::new());
        };
        let placed = feeder.put(0, picture, &Region::Box(picture.bounds()));
        run_network(model, package, feeder, package.score_threshold, boxes)?;
        decoders::suppress(boxes, package.nms_iou, |b| (b.score, b.bbox));
        Ok(boxes.iter().filter_map(|b| to_picture(b, &placed, picture)).collect())
    }

    /// The plates in the road's band of a picture.
    fn detect_in_band(
        &mut self,
        picture: &Picture,
        band: Rect,
    ) -> Result<(Vec<Detection>, f32), VisionError> {
        let (width, height) = self.pieces.band_input();
        let Self { model, package, band: feeder, boxes, .. } = self;
        if feeder.as_ref().is_none_or(|f| (f.spec.width, f.spec.height) != (width, height)) {
            *feeder = None;
        }
        let spec = || InputSpec { width, height, ..package.input.clone() };
        let feeder = feeder.get_or_insert_with(|| Feeder::new(spec()));
        let placed = feeder.put(0, picture, &Region::Box(band));
        run_network(model, package, feeder, package.score_threshold, boxes)?;
        decoders::suppress(boxes, package.nms_iou, |b| (b.score, b.bbox));
        let seen = boxes.iter().filter_map(|b| to_picture(b, &placed, picture)).collect();
        Ok((seen, placed.pixels_per_input_pixel()))
    }

    /// If no plate is sure, adds plates that fill the picture, and removes what was found of their
    /// parts, such as stickers or half of the text.
    fn add_those_that_fill_it(
        &mut self,
        picture: &Picture,
        found: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        if found.iter().any(|plate| plate.score.get() >= SURE) {
            return Ok(());
        }
        let least = FILLING * picture.size().0 as f32;
        let mut filling = self.detect_in_reduced(picture)?;
        filling.retain(|plate| plate.bbox.w >= least);
        found.retain(|part| !filling.iter().any(|whole| is_part(&part.bbox, &whole.bbox)));
        found.extend(filling);
        decoders::suppress(found, self.package.nms_iou, score_and_box);
        Ok(())
    }

    /// The plates of a picture that is searched as a whole.
    fn detect_in_whole(&mut self, picture: &Picture) -> Result<(Vec<Detection>, f32), VisionError> {
        let (mut seen, scale) = self.detect_in_part(picture, picture.bounds())?;
        self.add_those_that_fill_it(picture, &mut seen)?;
        Ok((seen, scale))
    }

    /// The plates of a picture that is searched in pieces, all of them.
    fn detect_in_pieces(
        &mut self,
        picture: &Picture,
    ) -> Result<(Vec<Detection>, f32), VisionError> {
        let (mut whole, mut scale) = self.detect_in_part(picture, picture.bounds())?;
        let mut seen = Vec::new();
        for piece in self.pieces.all().collect::<Vec<_>>() {
            let (mut there, of_piece) = self.detect_in_part(picture, piece)?;
            scale = of_piece;
            there.retain(|plate| !self.pieces.is_cut(&plate.bbox, &piece, scale));
            seen.extend(there);
        }
        decoders::suppress(&mut seen, self.package.nms_iou, score_and_box);
        whole.retain(|plate| plate.bbox.w >= pieces::OVERLAP * scale);
        self.add_large_ones(&mut seen, whole);
        self.add_those_that_fill_it(picture, &mut seen)?;
        Ok((seen, scale))
    }

    /// The plates of the road's band and of the next pieces, large ones of the whole picture, and those
    /// of the previous picture that are elsewhere, at their present places.
    fn detect_in_turn(&mut self, picture: &Picture) -> Result<(Vec<Detection>, f32), VisionError> {
        let Some(turn) = self.pieces.turn() else { return self.detect_in_whole(picture) };
        let (mut seen, mut scale) = (Vec::new(), pieces::STEP);
        if let Some(band) = turn.band {
            let (there, of_band) = self.detect_in_band(picture, band)?;
            scale = of_band;
            seen.extend(there.into_iter().filter(|p| !self.pieces.is_cut(&p.bbox, &band, scale)));
        }
        for piece in turn.pieces {
            let (mut there, of_piece) = self.detect_in_part(picture, piece)?;
            scale = of_piece;
            there.retain(|plate| !self.pieces.is_cut(&plate.bbox, &piece, scale));
            let places: Vec<_> = there.iter().map(|plate| plate.bbox).collect();
            self.pieces.count(&piece, &places);
            seen.extend(there);
        }
        let before = std::mem::take(&mut self.before);
        // The band shows its plates in each picture: one that is not seen there again has moved on.
        let elsewhere = before.iter().filter(|plate| {
            turn.band.is_none_or(|band| !self.pieces.holds(&band, &plate.bbox))
                && seen.iter().all(|new| new.bbox.iou(&plate.bbox) < CLOSE_OVERLAP)
        });
        let elsewhere: Vec<_> = elsewhere.cloned().collect();
        for plate in elsewhere.iter().take(FOLLOWED) {
            let there = self.closer(picture, plate)?;
            // The score stays that of the first detection, because this run was told where to look.
            seen.extend(there.map(|there| Detection { score: plate.score, ..there }));
        }
        let mut whole = match self.close {
            _ if !turn.whole => Vec::new(),
            Some(_) => self.detect_in_reduced(picture)?,
            None => self.detect_in_part(picture, picture.bounds())?.0,
        };
        whole.retain(|plate| plate.bbox.w >= pieces::OVERLAP * scale);
        decoders::suppress(&mut seen, self.package.nms_iou, score_and_box);
        self.add_large_ones(&mut seen, whole);
        self.before.clone_from(&seen);
        Ok((seen, scale))
    }

    /// Joins the plates of the pieces and of the whole picture: the pieces show a plate better, the
    /// whole shows more of one that extends past a piece. Smaller plates of the whole picture were
    /// left out before: each lies within a piece, and its box from the whole is so much too large
    /// that the better box would pass for a part of it.
    fn add_large_ones(&self, seen: &mut Vec<Detection>, mut whole: Vec<Detection>) {
        whole.retain(|large| {
            seen.iter().all(|plate| plate.bbox.iou(&large.bbox) < self.package.nms_iou)
        });
        seen.retain(|part| !whole.iter().any(|large| is_part(&part.bbox, &large.bbox)));
        seen.extend(whole);
        seen.sort_by(|a, b| b.score.get().total_cmp(&a.score.get()));
    }

    /// The last step of every search: near plates are located anew.
    fn finish(
        &mut self,
        picture: &Picture,
        (mut seen, scale): (Vec<Detection>, f32),
        found: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        let near = NEAR * scale;
        if seen.iter().any(|plate| plate.bbox.w >= near) {
            self.locate_near_again(picture, near, &mut seen)?;
        }
        found.append(&mut seen);
        Ok(())
    }

    /// Locates plates anew that are `near` picture pixels wide or more. Two parts of one plate
    /// become the whole, which is kept once.
    fn locate_near_again(
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

/// Whether a box is a part of a plate: most of it lies within the plate, and it is smaller.
fn is_part(part: &Rect, whole: &Rect) -> bool {
    let (w, h) = (
        part.right().min(whole.right()) - part.x.max(whole.x),
        part.bottom().min(whole.bottom()) - part.y.max(whole.y),
    );
    part.area() < whole.area() && w.max(0.0) * h.max(0.0) >= PART * part.area()
}

fn score_and_box(plate: &Detection) -> (f32, Rect) {
    (plate.score.get(), plate.bbox)
}

impl Detector for OnnxDetector {
    fn detect(&mut self, picture: &Picture, found: &mut Vec<Detection>) -> Result<(), VisionError> {
        let input = (self.feeder.spec.width, self.feeder.spec.height);
        self.pieces.cut(picture.size(), input, self.close.is_some());
        let seen = match self.pieces.is_whole() {
            true => self.detect_in_whole(picture)?,
            false => self.detect_in_pieces(picture)?,
        };
        self.finish(picture, seen, found)
    }

    fn detect_next(
        &mut self,
        picture: &Picture,
        found: &mut Vec<Detection>,
    ) -> Result<(), VisionError> {
        let input = (self.feeder.spec.width, self.feeder.spec.height);
        self.pieces.cut(picture.size(), input, self.close.is_some());
        let seen = match self.pieces.is_whole() {
            true => self.detect_in_whole(picture)?,
            false => self.detect_in_turn(picture)?,
        };
        self.finish(picture, seen, found)
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
        run_network(model, package, feeder, CLOSE_SCORE, boxes)?;
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

/// Runs the network on its input; returns the peaks above `threshold` in `boxes`.
fn run_network(
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

/// The part of a picture in which a plate has its intended size, moved so that it does not extend
/// past the picture.
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
    fn sticker_within_a_plate_is_a_part_of_it_and_a_plate_beside_it_is_none() {
        let whole = Rect { x: 100.0, y: 100.0, w: 800.0, h: 400.0 };
        let sticker = Rect { x: 120.0, y: 60.0, w: 100.0, h: 110.0 };
        assert!(
            is_part(&sticker, &whole) && !is_part(&whole, &sticker) && !is_part(&whole, &whole)
        );
        assert!(!is_part(&Rect { x: 850.0, ..sticker }, &whole));
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
