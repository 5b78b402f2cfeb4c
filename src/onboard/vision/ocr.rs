//! What the plates say.

use super::VisionError;
use super::candidate::{Slot, Slots};
use super::ctc;
use super::letterbox::Feeder;
pub use super::letterbox::Region;
use super::models::{self, OcrDecoder, OcrPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
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
    if each * n != data.len() || each != package.slots * classes {
        let (slots, decoder) = (package.slots, package.stamp.decoder);
        return Err(format!(
            "output of shape {dims:?} is not {decoder} of {n} plates, {slots} slots, {classes} classes"
        ));
    }
    for one in data.chunks_exact(each) {
        read.push(match package.decoder {
            OcrDecoder::Ctc { temperature } => ctc::slots(one, &package.classes, temperature),
            OcrDecoder::FixedSlot => fixed(one, &package.classes),
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

    fn classes() -> Vec<Option<u8>> {
        (0..36).map(Some).chain([None]).collect()
    }

    fn row(pairs: &[(usize, f32)]) -> Vec<f32> {
        let mut row = vec![0.0; 37];
        pairs.iter().for_each(|(i, p)| row[*i] = *p);
        row
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
    fn nothing_but_padding_is_no_text() {
        assert!(fixed(&row(&[(36, 1.0)]).repeat(9), &classes()).is_empty());
    }

    #[test]
    fn more_characters_than_a_plate_has_is_no_reading() {
        assert!(fixed(&row(&[(3, 1.0)]).repeat(13), &classes()).is_empty());
        assert_eq!(fixed(&row(&[(3, 1.0)]).repeat(12), &classes()).len(), 12);
    }
}
