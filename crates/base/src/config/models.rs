//! `[models]`: which models read plates, and how.

use std::path::PathBuf;

use serde::Deserialize;

use super::ConfigError;

/// Which models read plates, and how.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsConfig {
    /// Detector: a package name, a folder with `model.toml`, or an ONNX file of the YOLO family.
    pub detector: String,
    /// OCR: a package name, a folder with `model.toml`, or an ONNX file with its fast-plate-ocr
    /// configuration beside it.
    pub ocr: String,
    /// The model that tells which jurisdiction issued a plate: a package name, a folder with
    /// `model.toml`, or `off`: then no jurisdiction is read, and alerts say so.
    pub jurisdiction: String,
    /// Folder of the packages; by default beside the binary, then `/usr/share/outrider/models`.
    pub folder: Option<PathBuf>,
    /// ONNX Runtime's shared library; by default `ORT_DYLIB_PATH`, beside the binary, then the
    /// system's library path.
    pub onnxruntime: Option<PathBuf>,
    /// Whether plates are flattened by their corners before their text is read.
    pub rectify: Rectify,
    /// Whether plates that were read with doubt are read once more in another crop.
    pub second_look: bool,
    /// Lowest detector score, 0.05 to 0.95; by default what the package was measured with.
    pub min_detection: Option<f32>,
    /// Margin around a plate before it is read, as a fraction of its size, -0.1 to 0.5; by default
    /// what the package was measured with.
    pub crop_margin: Option<f32>,
    /// Width and height at the detector, multiples of 32 from 128 to 2048, for a model that takes
    /// any size; by default what the package was measured with.
    pub detector_input: Option<[u32; 2]>,
    /// Most plates read in one frame, 1 to 64; the detections with the best scores are read.
    pub most_plates: usize,
}

/// The value of `models.jurisdiction` where no jurisdiction is read.
const OFF: &str = "off";

/// Whether plates are flattened by their corners before their text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Rectify {
    /// The upright box is read.
    #[default]
    Never,
    /// Plates that slope by more than four degrees are flattened.
    Tilted,
    /// Every plate whose corners are known is flattened.
    Always,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            detector: "plate-detector-small".into(),
            ocr: "plate-ocr-small".into(),
            jurisdiction: OFF.into(),
            folder: None,
            onnxruntime: None,
            rectify: Rectify::default(),
            second_look: true,
            min_detection: None,
            crop_margin: None,
            detector_input: None,
            most_plates: 12,
        }
    }
}

impl ModelsConfig {
    /// The model that tells which jurisdiction issued a plate; `None` if it is `off`.
    pub fn jurisdiction(&self) -> Option<&str> {
        (self.jurisdiction != OFF).then_some(self.jurisdiction.as_str())
    }

    /// Checks the ranges.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let range = |key: &str, value: String, range: &str| {
            Err(ConfigError::Range { key: format!("models.{key}"), value, range: range.into() })
        };
        if let Some(v) = self.min_detection.filter(|v| !(0.05..=0.95).contains(v)) {
            return range("min_detection", v.to_string(), "0.05 to 0.95");
        }
        if let Some(v) = self.crop_margin.filter(|v| !(-0.1..=0.5).contains(v)) {
            return range("crop_margin", v.to_string(), "-0.1 to 0.5");
        }
        let fits = |v: &u32| (128..=2048).contains(v) && v.is_multiple_of(32);
        if let Some(size) = self.detector_input.filter(|size| !size.iter().all(fits)) {
            let words = "two multiples of 32 from 128 to 2048";
            return range("detector_input", format!("{size:?}"), words);
        }
        if !(1..=64).contains(&self.most_plates) {
            return range("most_plates", self.most_plates.to_string(), "1 to 64");
        }
        for (key, name) in
            [("detector", &self.detector), ("ocr", &self.ocr), ("jurisdiction", &self.jurisdiction)]
        {
            if name.is_empty() {
                return range(key, "\"\"".into(), "a package name or a path");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_an_empty_section_is_the_defaults() {
        ModelsConfig::default().validate().unwrap();
        assert_eq!(toml::from_str::<ModelsConfig>("").unwrap(), ModelsConfig::default());
    }

    #[test]
    fn values_out_of_range_name_key_value_and_range() {
        let message = |text: &str| {
            toml::from_str::<ModelsConfig>(text).unwrap().validate().unwrap_err().to_string()
        };
        assert_eq!(
            message("min_detection = 1.5"),
            "models.min_detection = 1.5: must be 0.05 to 0.95"
        );
        assert_eq!(
            message("detector_input = [640, 100]"),
            "models.detector_input = [640, 100]: must be two multiples of 32 from 128 to 2048"
        );
        assert_eq!(message("most_plates = 0"), "models.most_plates = 0: must be 1 to 64");
        assert_eq!(message("ocr = ''"), "models.ocr = \"\": must be a package name or a path");
    }

    #[test]
    fn unknown_key_is_refused() {
        assert!(toml::from_str::<ModelsConfig>("detektor = 'x'").is_err());
    }
}
