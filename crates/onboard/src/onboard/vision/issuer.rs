//! The jurisdiction model: a small network beside the OCR, which sees the same plates in colour.

use super::VisionError;
use super::jurisdiction::Impression;
use super::letterbox::Feeder;
use super::models::{self, JurisdictionPackage, Weights};
use super::onnx::{Model, Runtime};
use super::picture::Picture;
use super::scale::Region;

/// A jurisdiction model in ONNX.
pub(super) struct IssuerHead {
    model: Model,
    package: JurisdictionPackage,
    feeder: Feeder,
}

impl IssuerHead {
    /// Loads the package `name`; refuses weights with another digest than it states.
    pub(super) fn load(
        name: &str,
        folder: Option<&std::path::Path>,
        runtime: &Runtime,
    ) -> Result<Self, VisionError> {
        let (package, onnx) = models::jurisdiction(name, folder)?;
        let model = Model::load(runtime, &package.stamp.name, &package.path, &onnx)?;
        let feeder = Feeder::new(package.input.clone());
        let path = package.path.clone();
        let mut head = Self { model, package, feeder };
        // The model is run once on a blank picture, so that wrong shapes are found at the start and
        // not with the first car.
        let blank = Picture::blank(64, 64);
        head.classify(&blank, &[Region::Box(blank.bounds()); 2], &mut Vec::new()).map_err(|e| {
            match e {
                VisionError::Inference { message, .. } => {
                    VisionError::ModelRefused { path, message }
                }
                other => other,
            }
        })?;
        Ok(head)
    }

    /// Appends the model's output for each region, in order.
    pub(super) fn classify(
        &mut self,
        picture: &Picture,
        regions: &[Region],
        seen: &mut Vec<Impression>,
    ) -> Result<(), VisionError> {
        if regions.is_empty() {
            return Ok(());
        }
        for (i, region) in regions.iter().enumerate() {
            self.feeder.put(i, picture, region);
        }
        let (package, n) = (&self.package, regions.len());
        let classes = package.issuers.classes.len();
        let shape = self.feeder.shape(n);
        let known = self.model.run(self.feeder.values(), shape, |dims, data| {
            if data.len() != n * classes {
                return Err(format!(
                    "output of shape {dims:?} is not {n} plates of {classes} labels"
                ));
            }
            seen.extend(data.chunks_exact(classes).map(|logits| {
                Impression::of_logits(&package.issuers, logits, package.temperature)
            }));
            Ok(())
        })?;
        known.map_err(|message| VisionError::Inference {
            model: package.stamp.name.clone(),
            message,
        })
    }

    /// Fraction of its own size by which a box is grown on each side before it is classified.
    pub(super) fn crop_margin(&self) -> f32 {
        self.package.crop_margin
    }

    /// The weights that it runs.
    pub(super) fn weights(&self) -> &Weights {
        &self.package.stamp
    }
}
