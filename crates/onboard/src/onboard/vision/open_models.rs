//! Open models of others, used as their authors publish them.
//!
//! A detector is an ONNX file whose input is `[n, 3, height, width]` floats and whose output has
//! one of the shapes below; it gets RGB in 0..1, letterboxed in the middle on grey 114, as the YOLO
//! family is trained.
//!
//! | output | read as | seen in |
//! |---|---|---|
//! | `[n, 7]` | rows: picture, left, top, right, bottom, class, score | open-image-models, YOLO-v9 end to end |
//! | `[1, n, 6]` | rows: left, top, right, bottom, score, class | YOLO-v10, Ultralytics `nms=True` |
//! | `[1, 4 + classes, anchors]` | centre x, centre y, width, height, one score per class | Ultralytics |
//!
//! An OCR is an ONNX file with a fast-plate-ocr configuration (YAML: alphabet, padding, size,
//! colour) beside it. Where the input's size is free, the detector runs at 640x640.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::VisionError;
use super::letterbox::{Colour, Fit, InputSpec, Layout};
use super::models::{self, DetectorDecoder, DetectorPackage, OcrDecoder, OcrPackage, Weights};
use super::onnx::Port;
use super::scale::{AREA, LINEAR};

/// Input size if the model leaves it open: the size at which the YOLO family is trained.
const FREE_SIZE: u32 = 640;
/// The usual threshold of the YOLO family.
const SCORE_THRESHOLD: f32 = 0.25;
const NMS_IOU: f32 = 0.5;

/// A detector of which only the ONNX file is known; [`recognise`] determines the rest.
pub(super) fn detector(path: &Path, sha256: String) -> DetectorPackage {
    DetectorPackage {
        stamp: stamp(path, sha256, "yolo-raw"),
        path: path.to_owned(),
        input: InputSpec {
            width: FREE_SIZE,
            height: FREE_SIZE,
            layout: Layout::ChannelsFirst,
            bytes: false,
            colour: Colour::Rgb,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            fit: Fit::Letterbox { centre: true, fill: 114 },
            filter: AREA,
        },
        decoder: DetectorDecoder::ByShape,
        score_threshold: SCORE_THRESHOLD,
        nms_iou: NMS_IOU,
    }
}

/// Determines size and decoder from the model's own input and output.
pub(super) fn recognise(
    package: &mut DetectorPackage,
    input: &Port,
    output: &Port,
) -> Result<(), VisionError> {
    let refuse =
        |message: String| Err(VisionError::ModelRefused { path: package.path.clone(), message });
    let side = |d: i64| u32::try_from(d).ok().filter(|d| *d > 0).unwrap_or(FREE_SIZE);
    let [_, 3, height, width] = input.dims[..] else {
        return refuse(format!("input is {:?}, needs [n, 3, height, width]", input.dims));
    };
    if input.bytes {
        return refuse("input takes bytes, needs floats".into());
    }
    (package.input.width, package.input.height) = (side(width), side(height));
    (package.decoder, package.stamp.decoder) = match output.dims[..] {
        [_, 7] | [_, _, 6] => (DetectorDecoder::YoloEndToEnd, "yolo-end-to-end"),
        // The number of anchors is in the thousands, or free; classes are few.
        [_, rows, anchors] if rows >= 5 && (anchors < 0 || anchors > rows) => {
            (DetectorDecoder::YoloRaw, "yolo-raw")
        }
        _ => {
            return refuse(format!(
                "output is {:?}, known are [n, 7], [1, n, 6] and [1, 4 + classes, anchors]; \
                 others need a model.toml",
                output.dims
            ));
        }
    };
    Ok(())
}

/// fast-plate-ocr's configuration. It grows with each release, so unknown keys are ignored.
#[derive(Deserialize)]
struct PlateConfig {
    max_plate_slots: usize,
    alphabet: String,
    pad_char: char,
    img_height: u32,
    img_width: u32,
    #[serde(default)]
    keep_aspect_ratio: bool,
    #[serde(default = "grayscale")]
    image_color_mode: String,
}

fn grayscale() -> String {
    "grayscale".into()
}

/// An OCR with a fast-plate-ocr configuration beside it.
pub(super) fn ocr(path: &Path, sha256: String) -> Result<OcrPackage, VisionError> {
    let yaml = configuration(path)?;
    let malformed = |message: String| VisionError::ModelMalformed { path: yaml.clone(), message };
    let text = std::fs::read_to_string(&yaml)
        .map_err(|source| VisionError::ModelUnreadable { path: yaml.clone(), source })?;
    let config: PlateConfig =
        serde_yaml_ng::from_str(&text).map_err(|e| malformed(e.to_string()))?;
    let classes = models::classes_of(&config.alphabet, Some(config.pad_char)).map_err(malformed)?;
    let colour = match config.image_color_mode.as_str() {
        "grayscale" => Colour::Grey,
        "rgb" => Colour::Rgb,
        other => {
            let message = format!("image_color_mode = {other:?}: must be grayscale or rgb");
            return Err(malformed(message));
        }
    };
    if !(8..=4096).contains(&config.img_width) || !(8..=4096).contains(&config.img_height) {
        let size = format!("{}x{}", config.img_width, config.img_height);
        return Err(malformed(format!("input is {size}: must be 8 to 4096 pixels a side")));
    }
    Ok(OcrPackage {
        stamp: stamp(path, sha256, "fixed-slot"),
        path: path.to_owned(),
        input: InputSpec {
            width: config.img_width,
            height: config.img_height,
            layout: Layout::ChannelsLast,
            bytes: true,
            colour,
            scale: 1.0,
            mean: [0.0; 3],
            fit: if config.keep_aspect_ratio {
                Fit::Letterbox { centre: true, fill: 114 }
            } else {
                Fit::Stretch
            },
            filter: LINEAR,
        },
        decoder: OcrDecoder::FixedSlot,
        classes,
        slots: config.max_plate_slots,
        readers: 1,
        legibility: None,
        crop_margin: 0.0,
    })
}

/// The YAML file for an ONNX file: with the same name, with the name that releases use, or the only
/// one in the folder.
fn configuration(onnx: &Path) -> Result<PathBuf, VisionError> {
    let folder = onnx.parent().unwrap_or(Path::new("."));
    let stem = onnx.file_stem().unwrap_or_default().to_string_lossy();
    for name in [
        format!("{stem}.yaml"),
        format!("{stem}_plate_config.yaml"),
        format!("{stem}_config.yaml"),
        "plate_config.yaml".into(),
        "config.yaml".into(),
    ] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    let is_yaml =
        |p: &PathBuf| p.extension().is_some_and(|e| e == "yaml" || e == "yml") && p.is_file();
    let mut yamls = std::fs::read_dir(folder)
        .map_err(|source| VisionError::ModelUnreadable { path: folder.to_owned(), source })?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_yaml);
    match (yamls.next(), yamls.next()) {
        (Some(only), None) => Ok(only),
        (first, _) => Err(VisionError::ModelMalformed {
            path: onnx.to_owned(),
            message: format!(
                "{} beside it: needs model.toml, or fast-plate-ocr's configuration as {stem}.yaml",
                if first.is_some() { "several YAML files" } else { "no YAML file" }
            ),
        }),
    }
}

fn stamp(path: &Path, sha256: String, decoder: &'static str) -> Weights {
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Weights { name, version: "unversioned".into(), decoder, sha256 }
}
