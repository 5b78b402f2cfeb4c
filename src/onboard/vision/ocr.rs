//! What the plates say.

use super::candidate::{Slot, Slots};
use super::letterbox::Feeder;
pub use super::letterbox::Region;
use super::models::{self, OcrDecoder, OcrPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
use super::{VisionError, ctc, second_look};
use crate::config::ModelsConfig;

/// Reads plates that were found.
pub trait Ocr: Send {
    /// Appends one reading per region to `read`, in order; empty where no character was seen.
    fn read(
        &mut self,
        picture: &Picture,
        regions: &[Region],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError>;

    /// By how much of its own size a box is to be grown on each side before it is read.
    fn crop_margin(&self) -> f32;

    /// Which weights it runs.
    fn weights(&self) -> &Weights;
}

/// An OCR that runs an ONNX model.
pub(super) struct OnnxOcr {
    model: Model,
    package: OcrPackage,
    feeder: Feeder,
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
        let mut ocr = Self { model, package, feeder };
        // A first look at nothing: shapes that do not fit are found at start, not at the first car.
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
}

impl Ocr for OnnxOcr {
    fn read(
        &mut self,
        picture: &Picture,
        regions: &[Region],
        read: &mut Vec<Slots>,
    ) -> Result<(), VisionError> {
        if regions.is_empty() {
            return Ok(());
        }
        for (i, region) in regions.iter().enumerate() {
            self.feeder.put(i, picture, region);
        }
        let (n, package) = (regions.len(), &self.package);
        let shape = self.feeder.shape(n);
        let known = self
            .model
            .run(self.feeder.values(), shape, |dims, data| decode(package, n, dims, data, read))?;
        known.map_err(|message| VisionError::Inference {
            model: package.stamp.name.clone(),
            message,
        })
    }

    fn crop_margin(&self) -> f32 {
        self.package.crop_margin
    }

    fn weights(&self) -> &Weights {
        &self.package.stamp
    }
}

fn decode(
    package: &OcrPackage,
    n: usize,
    dims: &[i64],
    data: &[f32],
    read: &mut Vec<Slots>,
) -> Result<(), String> {
    let classes = package.classes.len();
    let each = data.len() / n;
    let of_one_reader = package.slots * classes;
    if each * n != data.len() || each != package.readers * of_one_reader {
        let (slots, decoder) = (package.slots, package.stamp.decoder);
        let readers = match package.readers {
            1 => String::new(),
            many => format!("{many} readers, "),
        };
        return Err(format!(
            "output of shape {dims:?} is not {decoder} of {n} plates, {readers}{slots} slots, {classes} classes"
        ));
    }
    let slots = |one: &[f32]| match package.decoder {
        OcrDecoder::Ctc { temperature } => ctc::slots(one, &package.classes, temperature),
        OcrDecoder::FixedSlot => fixed(one, &package.classes),
    };
    for plate in data.chunks_exact(each) {
        let mut readings: Vec<Slots> = plate.chunks_exact(of_one_reader).map(slots).collect();
        read.push(match readings.len() {
            1 => std::mem::take(&mut readings[0]),
            _ => second_look::join(&readings),
        });
    }
    Ok(())
}

/// Slots with their own position each; a slot that says padding is left out.
///
/// Doubt whether there is a character at a position that is left out is doubt about the reading:
/// it lowers the character before it (after it, at the start).
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
    use crate::onboard::vision::letterbox::{Colour, Fit, InputSpec, LINEAR};

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
                channels_first: false,
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
        let mut read = Vec::new();
        decode(&package, 1, &[1, 4, 37], &[one.clone(), other].concat(), &mut read).unwrap();
        assert_eq!(read[0].iter().map(|s| s.best().0).collect::<Vec<_>>(), b"A8");
        assert!(read[0][1].best().1.get() < 0.9, "one reader doubts it");
        let message = decode(&package, 1, &[1, 2, 37], &one, &mut read).unwrap_err();
        assert_eq!(
            message,
            "output of shape [1, 2, 37] is not fixed-slot of 1 plates, 2 readers, 2 slots, 37 classes"
        );
        package.readers = 1;
        decode(&package, 1, &[1, 2, 37], &one, &mut read).unwrap();
        assert!((read[1][1].best().1.get() - 0.9).abs() < 1e-6, "a reader alone is left as it is");
    }

    #[test]
    fn nothing_but_padding_is_no_text() {
        assert!(fixed(&row(&[(36, 1.0)]).repeat(9), &classes()).is_empty());
    }

    #[test]
    fn more_characters_than_a_plate_has_is_no_reading() {
        assert!(fixed(&row(&[(3, 1.0)]).repeat(13), &classes()).is_empty());
        assert_eq!(fixed(&row(&[(3, 1.0)]).repeat(12), &classes()).len(), 12);
    }
}
