//! Reads the text of plates.

use arrayvec::ArrayVec;

use super::candidate::{Slot, Slots};
use super::legibility::{self, Legibility};
use super::letterbox::Feeder;
use super::models::{self, OcrDecoder, OcrPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
pub use super::scale::Region;
use super::{VisionError, ctc};
use crate::config::ModelsConfig;

/// Reads plates that were found.
pub trait Ocr: Send {
    /// Appends one reading per region to `read`, in order; it is empty if no character was seen.
    fn read(
        &mut self,
        picture: &Picture,
        regions: &[Region],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError>;

    /// Appends one reading per entry: what its looks together say.
    fn read_again(
        &mut self,
        picture: &Picture,
        again: &[Again],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError>;

    /// Of each region of the last [`Ocr::read`], in order, whether it can be read; empty where the model does not say.
    fn legibility(&self) -> &[Option<Legibility>] {
        &[]
    }

    /// Fraction of its own size by which a box is grown on each side before it is read.
    fn crop_margin(&self) -> f32;

    /// The weights that it runs.
    fn weights(&self) -> &Weights;
}

/// Further looks at a plate of the last [`Ocr::read`].
pub struct Again {
    /// Its number there.
    pub plate: usize,
    /// Where to look.
    pub regions: ArrayVec<Region, 3>,
    /// Whether what was read then counts as one look more.
    pub with_first: bool,
}

/// An OCR that runs an ONNX model.
pub(super) struct OnnxOcr {
    model: Model,
    package: OcrPackage,
    feeder: Feeder,
    /// The network's last output, and its output in the last [`Ocr::read`].
    output: Vec<f32>,
    first: Vec<f32>,
    /// The number of the output that says whether a plate is legible, what it says in the last run, and what it made of
    /// the last [`Ocr::read`].
    head: Option<usize>,
    said: Vec<f32>,
    legibility: Vec<Option<Legibility>>,
}

impl OnnxOcr {
    pub(super) fn load(config: &ModelsConfig, runtime: &Runtime) -> Result<Self, VisionError> {
        let (mut package, onnx) = models::ocr(&config.ocr, config.folder.as_deref())?;
        if let Some(margin) = config.crop_margin {
            package.crop_margin = margin;
        }
        let model = Model::load(runtime, &package.stamp.name, &package.path, &onnx)?;
        let feeder = Feeder::new(package.input.clone());
        let path = package.path.clone();
        let head = package.legibility.as_ref().map(|head| of_head(&model, head)).transpose();
        let head =
            head.map_err(|message| VisionError::ModelRefused { path: path.clone(), message })?;
        let (output, first, said, legibility) = Default::default();
        let mut ocr = Self { model, package, feeder, output, first, head, said, legibility };
        // The model is run once on a blank picture, so that wrong shapes are found at the start and
        // not with the first car.
        let blank = Picture::blank(64, 64);
        ocr.read(&blank, &[Region::Box(blank.bounds()); 2], &mut Vec::new()).map_err(
            |e| match e {
                VisionError::Inference { message, .. } => {
                    VisionError::ModelRefused { path, message }
                }
                other => other,
            },
        )?;
        Ok(ocr)
    }

    /// Runs the network on the regions; its output is in `output`, the same number of values for
    /// each.
    fn run<'r>(
        &mut self,
        picture: &Picture,
        regions: impl ExactSizeIterator<Item = &'r Region>,
    ) -> Result<(), VisionError> {
        let n = regions.len();
        for (i, region) in regions.enumerate() {
            self.feeder.put(i, picture, region);
        }
        let (package, output, said) = (&self.package, &mut self.output, &mut self.said);
        let shape = self.feeder.shape(n);
        let known = self.model.run_with(self.feeder.values(), shape, self.head, |text, head| {
            output.clear();
            output.extend_from_slice(text.1);
            said.clear();
            said.extend_from_slice(head.map_or(&[], |head| head.1));
            fits(package, n, text.0, text.1)?;
            head.zip(package.legibility.as_ref())
                .map_or(Ok(()), |((dims, _), head)| head_fits(head, n, dims))
        })?;
        known.map_err(|message| VisionError::Inference {
            model: package.stamp.name.clone(),
            message,
        })
    }

    /// Number of values for one plate.
    fn each(&self) -> usize {
        self.package.readers * self.package.slots * self.package.classes.len()
    }
}

impl Ocr for OnnxOcr {
    fn read(
        &mut self,
        picture: &Picture,
        regions: &[Region],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError> {
        self.legibility.clear();
        if regions.is_empty() {
            return Ok(());
        }
        self.run(picture, regions.iter())?;
        if let Some(head) = &self.package.legibility {
            let each = self.said.chunks_exact(legibility::CLASSES.len());
            self.legibility.extend(each.map(|logits| Legibility::of(logits, head)));
        }
        std::mem::swap(&mut self.first, &mut self.output);
        read.extend(self.first.chunks_exact(self.each()).map(|one| decode(&self.package, &[one])));
        Ok(())
    }

    fn read_again(
        &mut self,
        picture: &Picture,
        again: &[Again],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError> {
        let regions: Vec<&Region> = again.iter().flat_map(|one| &one.regions).collect();
        if regions.is_empty() {
            return Ok(());
        }
        self.run(picture, regions.into_iter())?;
        let each = self.each();
        let mut output = self.output.chunks_exact(each);
        for one in again {
            let first = one.with_first.then(|| &self.first[one.plate * each..][..each]);
            let looks: Vec<&[f32]> =
                first.into_iter().chain(output.by_ref().take(one.regions.len())).collect();
            read.push(decode(&self.package, &looks));
        }
        Ok(())
    }

    fn legibility(&self) -> &[Option<Legibility>] {
        &self.legibility
    }

    fn crop_margin(&self) -> f32 {
        self.package.crop_margin
    }

    fn weights(&self) -> &Weights {
        &self.package.stamp
    }
}

/// Checks that an output has the size that the package states.
fn fits(package: &OcrPackage, n: usize, dims: &[i64], data: &[f32]) -> Result<(), String> {
    let classes = package.classes.len();
    if data.len() == n * package.readers * package.slots * classes {
        return Ok(());
    }
    let (slots, decoder) = (package.slots, package.stamp.decoder);
    let readers = match package.readers {
        1 => String::new(),
        many => format!("{many} readers, "),
    };
    Err(format!(
        "output of shape {dims:?} is not {decoder} of {n} plates, {readers}{slots} slots, {classes} classes"
    ))
}

/// The number of the output that a package's head has, or why there is none.
fn of_head(model: &Model, head: &legibility::Head) -> Result<usize, String> {
    let key = format!("legibility.output = {:?}", head.output);
    match model.outputs.iter().position(|port| port.name == head.output) {
        None => {
            let names: Vec<_> = model.outputs.iter().map(|port| port.name.as_str()).collect();
            Err(format!("{key}: the model has no such output, it has {}", names.join(", ")))
        }
        Some(0) => Err(format!("{key}: this is the model's first output, that of the text")),
        Some(i) if model.outputs[i].bytes => Err(format!("{key}: it holds bytes, needs float32")),
        Some(i) => Ok(i),
    }
}

/// Checks that a head says one value of each class of each plate.
fn head_fits(head: &legibility::Head, n: usize, dims: &[i64]) -> Result<(), String> {
    let classes = legibility::CLASSES.len();
    let wanted = [n, classes].map(|v| i64::try_from(v).expect("a batch is small"));
    if dims == wanted {
        return Ok(());
    }
    let output = &head.output;
    Err(format!(
        "legibility.output = {output:?}: output of shape {dims:?} is not {n} plates of {classes} classes"
    ))
}

/// One reading from one look at a plate or from several; each contains the outputs of all readers
/// in the file.
fn decode(package: &OcrPackage, looks: &[&[f32]]) -> Slots {
    let classes = package.classes.len();
    let outputs: Vec<&[f32]> =
        looks.iter().flat_map(|look| look.chunks_exact(package.slots * classes)).collect();
    match package.decoder {
        OcrDecoder::Ctc { temperature } => ctc::slots(&outputs, &package.classes, temperature),
        OcrDecoder::FixedSlot if outputs.len() == 1 => fixed(outputs[0], &package.classes),
        OcrDecoder::FixedSlot => fixed(&joined(&outputs, classes), &package.classes),
    }
}

/// Joins several looks at fixed slots: the geometric mean of their probabilities in each.
fn joined(looks: &[&[f32]], classes: usize) -> Vec<f32> {
    let root = 1.0 / looks.len() as f32;
    let mean = |i: usize| looks.iter().map(|look| look[i].clamp(0.0, 1.0)).product::<f32>();
    let mut p: Vec<f32> = (0..looks[0].len()).map(|i| mean(i).powf(root)).collect();
    for slot in p.chunks_exact_mut(classes) {
        let sum: f32 = slot.iter().sum();
        slot.iter_mut().for_each(|p| *p /= sum.max(f32::MIN_POSITIVE));
    }
    p
}

/// Reads slots with fixed positions; a slot with padding is left out.
///
/// If it is doubtful whether a left-out position has a character, the reading is doubtful: this
/// lowers the probability of the character before it (after it, at the start).
fn fixed(probabilities: &[f32], classes: &[Option<u8>]) -> Slots {
    let mut slots = Slots::new();
    let mut doubt_before_first = 1.0;
    for one in probabilities.chunks_exact(classes.len()) {
        let mut slot = Slot([0.0; 36]);
        let mut padding = 0.0;
        for (p, class) in one.iter().zip(classes) {
            match class {
                Some(symbol) => slot.0[usize::from(*symbol)] = p.clamp(0.0, 1.0),
                None => padding = p.clamp(0.0, 1.0),
            }
        }
        if slot.best().1.get() > padding {
            if slots.is_full() {
                return Slots::new();
            }
            slots.push(slot);
        } else if let Some(last) = slots.last_mut() {
            last.0.iter_mut().for_each(|p| *p *= padding);
        } else {
            doubt_before_first *= padding;
        }
    }
    if let Some(first) = slots.first_mut() {
        first.0.iter_mut().for_each(|p| *p *= doubt_before_first);
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::vision::letterbox::{Colour, Fit, InputSpec, Layout};
    use crate::onboard::vision::scale::LINEAR;

    fn classes() -> Vec<Option<u8>> {
        (0..36).map(Some).chain([None]).collect()
    }

    fn row(pairs: &[(usize, f32)]) -> Vec<f32> {
        let mut row = vec![0.0; 37];
        pairs.iter().for_each(|(i, p)| row[*i] = *p);
        row
    }

    fn package(readers: usize) -> OcrPackage {
        OcrPackage {
            stamp: Weights {
                name: "test".into(),
                version: "1".into(),
                decoder: "fixed-slot",
                sha256: String::new(),
            },
            path: "test.onnx".into(),
            input: InputSpec {
                width: 8,
                height: 8,
                layout: Layout::ChannelsLast,
                bytes: true,
                colour: Colour::Grey,
                scale: 1.0,
                mean: [0.0; 3],
                fit: Fit::Stretch,
                filter: LINEAR,
            },
            decoder: OcrDecoder::FixedSlot,
            classes: classes(),
            slots: 2,
            readers,
            crop_margin: 0.0,
            legibility: None,
        }
    }

    #[test]
    fn padding_ends_the_text_and_its_doubt_stays_with_the_last_character() {
        let data = [row(&[(10, 0.9), (11, 0.1)]), row(&[(1, 1.0)]), row(&[(36, 0.8), (2, 0.2)])];
        let slots = fixed(&data.concat(), &classes());
        assert_eq!(slots.len(), 2);
        assert_eq!(slots[0].best().0, b'A');
        assert!((slots[0].best().1.get() - 0.9).abs() < 1e-6);
        assert!((slots[1].best().1.get() - 0.8).abs() < 1e-6);
    }

    #[test]
    fn two_readers_of_one_file_are_joined_and_a_missing_one_is_named() {
        let mut package = package(2);
        let one = [row(&[(10, 1.0)]), row(&[(8, 0.9), (11, 0.1)])].concat();
        let other = [row(&[(10, 1.0)]), row(&[(11, 0.6), (8, 0.4)])].concat();
        let both = [one.clone(), other].concat();
        fits(&package, 1, &[1, 4, 37], &both).unwrap();
        let read = decode(&package, &[&both]);
        assert_eq!(read.iter().map(|s| s.best().0).collect::<Vec<_>>(), b"A8");
        assert!(read[1].best().1.get() < 0.9, "one reader doubts it");
        assert_eq!(
            fits(&package, 1, &[1, 2, 37], &one).unwrap_err(),
            "output of shape [1, 2, 37] is not fixed-slot of 1 plates, 2 readers, 2 slots, 37 classes"
        );
        package.readers = 1;
        fits(&package, 1, &[1, 2, 37], &one).unwrap();
        let alone = decode(&package, &[&one])[1].best().1.get();
        assert!((alone - 0.9).abs() < 1e-6, "a reader alone is left as it is");
    }

    #[test]
    fn nothing_but_padding_is_no_text() {
        assert!(fixed(&row(&[(36, 1.0)]).repeat(9), &classes()).is_empty());
    }

    #[test]
    fn looks_at_fixed_slots_share_their_doubt() {
        let looks = [row(&[(10, 0.9), (11, 0.1)]), row(&[(10, 0.4), (11, 0.6)])];
        let slots = fixed(&joined(&[&looks[0], &looks[1]], 37), &classes());
        assert_eq!(slots[0].best().0, b'A');
        assert!((slots[0].best().1.get() - 0.71).abs() < 0.01, "{}", slots[0].best().1.get());
    }

    #[test]
    fn more_characters_than_a_plate_has_is_no_reading() {
        assert!(fixed(&row(&[(3, 1.0)]).repeat(13), &classes()).is_empty());
        assert_eq!(fixed(&row(&[(3, 1.0)]).repeat(12), &classes()).len(), 12);
    }
}
