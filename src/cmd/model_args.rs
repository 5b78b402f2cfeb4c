//! The options of `read` and `eval` that choose the models.

use std::path::PathBuf;

use clap::Args;

use crate::config::{ModelsConfig, Rectify};

/// Which models read, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models")]
pub struct ModelArgs {
    /// Detector: package name, folder with model.toml, or a YOLO-family ONNX file.
    #[arg(long, value_name = "MODEL")]
    detector: Option<String>,
    /// OCR: package name, folder with model.toml, or an ONNX file with its fast-plate-ocr YAML.
    #[arg(long, value_name = "MODEL")]
    ocr: Option<String>,
    /// Model that reads the jurisdiction: package name, folder with model.toml, or off.
    #[arg(long, value_name = "MODEL")]
    jurisdiction: Option<String>,
    /// Folder of the packages.
    #[arg(long, value_name = "DIR", env = "OUTRIDER_MODELS")]
    models: Option<PathBuf>,
    /// ONNX Runtime's shared library.
    #[arg(long, value_name = "FILE")]
    onnxruntime: Option<PathBuf>,
    /// Flatten plates by their corners before they are read.
    #[arg(long, value_enum)]
    rectify: Option<Rectify>,
    /// Do not read doubtful plates again.
    #[arg(long)]
    no_second_look: bool,
    /// Lowest detector score, 0.05 to 0.95.
    #[arg(long, value_name = "SCORE")]
    min_detection: Option<f32>,
    /// Margin around a plate before it is read, as a fraction of its size, -0.1 to 0.5.
    #[arg(long, value_name = "FRACTION", allow_negative_numbers = true)]
    crop_margin: Option<f32>,
    /// Size of the detector's input, for a model that takes any size.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    detector_input: Option<[u32; 2]>,
}

impl ModelArgs {
    /// The settings, checked.
    pub fn config(&self) -> anyhow::Result<ModelsConfig> {
        let default = ModelsConfig::default();
        let config = ModelsConfig {
            detector: self.detector.clone().unwrap_or(default.detector),
            ocr: self.ocr.clone().unwrap_or(default.ocr),
            jurisdiction: self.jurisdiction.clone().unwrap_or(default.jurisdiction),
            folder: self.models.clone(),
            onnxruntime: self.onnxruntime.clone(),
            second_look: !self.no_second_look,
            rectify: self.rectify.unwrap_or_default(),
            min_detection: self.min_detection,
            crop_margin: self.crop_margin,
            detector_input: self.detector_input,
            most_plates: default.most_plates,
        };
        config.validate()?;
        Ok(config)
    }
}

fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let parts = text.split_once('x').and_then(|(w, h)| Some([w.parse().ok()?, h.parse().ok()?]));
    parts.ok_or_else(|| "needs width x height, such as 640x384".into())
}
