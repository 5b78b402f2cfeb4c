//! Model packages: `model.toml` beside `model.onnx`, checked against its digest.
//!
//! The format is specified in `models/README.md`. Weights whose SHA-256 differs from the one in
//! `model.toml` are refused: a daemon that reads with weights nobody measured would be worse than
//! one that does not start. Open models of others are accepted as they are, see `open_models`.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::VisionError;
use super::jurisdiction::Issuers;
use super::legibility;
use super::letterbox::{Colour, Fit, InputSpec, Layout};
use super::open_models;
use super::scale::{AREA, LINEAR};
use crate::config::ModelsConfig;
use crate::plate::{Jurisdiction, SYMBOLS};

/// Identifies the weights that read a plate, in hits and reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weights {
    /// Name of the package.
    pub name: String,
    /// Version of the weights.
    pub version: String,
    /// How its output is decoded, such as `ctc`.
    pub decoder: &'static str,
    /// SHA-256 of the ONNX file, hex.
    pub sha256: String,
}

/// How a detector's output is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DetectorDecoder {
    /// Ours: a heat map of plate centres with box and corners per cell.
    OutriderCentre { stride: u32 },
    /// Rows after non-maximum suppression: `[n, 7]` or `[1, n, 6]`.
    YoloEndToEnd,
    /// `[1, 4 + classes, anchors]`, before suppression.
    YoloRaw,
    /// One of the two above, determined by the output's shape once the model is loaded.
    ByShape,
}

/// Most networks in one OCR file: each costs as much as the first.
const MOST_READERS: usize = 4;

/// How an OCR's output is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum OcrDecoder {
    /// `[n, steps, 1 + alphabet]` logits; class 0 is blank.
    Ctc { temperature: f32 },
    /// `[n, slots, alphabet]` probabilities.
    FixedSlot,
}

/// A detector package.
#[derive(Debug, Clone)]
pub(super) struct DetectorPackage {
    pub(super) stamp: Weights,
    pub(super) path: PathBuf,
    pub(super) input: InputSpec,
    pub(super) decoder: DetectorDecoder,
    pub(super) score_threshold: f32,
    pub(super) nms_iou: f32,
}

/// An OCR package.
#[derive(Debug, Clone)]
pub(super) struct OcrPackage {
    pub(super) stamp: Weights,
    pub(super) path: PathBuf,
    pub(super) input: InputSpec,
    pub(super) decoder: OcrDecoder,
    /// Index into [`SYMBOLS`] for each class; `None` for blank or padding.
    pub(super) classes: Vec<Option<u8>>,
    pub(super) slots: usize,
    /// Number of networks in the file; their outputs follow one another.
    pub(super) readers: usize,
    pub(super) crop_margin: f32,
    /// A further output that says whether a plate is legible; none in most packages.
    pub(super) legibility: Option<legibility::Head>,
}

/// A package with a jurisdiction model.
#[derive(Debug, Clone)]
pub(super) struct JurisdictionPackage {
    pub(super) stamp: Weights,
    pub(super) path: PathBuf,
    pub(super) input: InputSpec,
    pub(super) issuers: Arc<Issuers>,
    pub(super) temperature: f32,
    pub(super) crop_margin: f32,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Detector,
    Ocr,
    Jurisdiction,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Decoder {
    OutriderCentre,
    YoloEndToEnd,
    YoloRaw,
    Ctc,
    FixedSlot,
    Labels,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    version: String,
    kind: Kind,
    decoder: Decoder,
    file: PathBuf,
    sha256: String,
    #[serde(rename = "licence")]
    _licence: String,
    input: Input,
    output: Option<Output>,
    detector: Option<DetectorFile>,
    ocr: Option<OcrFile>,
    legibility: Option<legibility::HeadFile>,
    jurisdiction: Option<JurisdictionFile>,
    #[serde(default, rename = "provenance")]
    _provenance: toml::Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    width: u32,
    height: u32,
    layout: String,
    dtype: String,
    colour: String,
    #[serde(default = "one")]
    scale: f32,
    #[serde(default)]
    mean: Vec<f32>,
    resize: String,
    #[serde(default)]
    pad: Option<String>,
    #[serde(default)]
    fill: Option<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    stride: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DetectorFile {
    score_threshold: f32,
    nms_iou: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OcrFile {
    alphabet: String,
    #[serde(default)]
    blank: Option<usize>,
    #[serde(default)]
    pad: Option<char>,
    slots: usize,
    #[serde(default = "one_reader")]
    readers: usize,
    #[serde(default)]
    crop_margin: f32,
    #[serde(default = "one")]
    temperature: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JurisdictionFile {
    /// ISO 3166 codes, one per class; `other` for no particular issuer.
    labels: Vec<String>,
    #[serde(default = "one")]
    temperature: f32,
    threshold: f32,
    #[serde(default)]
    format_weight: f32,
    #[serde(default)]
    crop_margin: f32,
}

fn one() -> f32 {
    1.0
}

fn one_reader() -> usize {
    1
}

/// The folders in which packages are searched for by name, in order.
pub(super) fn folders(configured: Option<&Path>) -> Vec<PathBuf> {
    if let Some(folder) = configured {
        return vec![folder.to_owned()];
    }
    let mut folders = Vec::new();
    if let Some(beside) = env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.extend([beside.join("models"), beside.join("../share/outrider/models")]);
    }
    folders.extend(["/usr/share/outrider/models", "models"].map(PathBuf::from));
    folders
}

/// A package on disk.
enum Found {
    /// A folder with `model.toml`.
    Package(PathBuf),
    /// An ONNX file of another author.
    Onnx(PathBuf),
}

fn locate(kind: &'static str, name: &str, folder: Option<&Path>) -> Result<Found, VisionError> {
    let mut looked = Vec::new();
    let mut candidates = vec![PathBuf::from(name)];
    if Path::new(name).components().count() == 1 {
        candidates = folders(folder).into_iter().map(|f| f.join(name)).collect();
        // A file or folder name in the working directory is tried last.
        candidates.push(PathBuf::from(name));
    }
    for path in candidates {
        if path.join("model.toml").is_file() {
            return Ok(Found::Package(path));
        }
        if path.extension().is_some_and(|e| e == "onnx") && path.is_file() {
            return Ok(Found::Onnx(path));
        }
        looked.push(path.display().to_string());
    }
    Err(VisionError::ModelMissing { kind, name: name.to_owned(), looked: looked.join(", ") })
}

/// The models that a configuration names, by kind, digests checked; none of them is loaded.
pub fn named(config: &ModelsConfig) -> Result<Vec<(&'static str, Weights)>, VisionError> {
    let folder = config.folder.as_deref();
    let mut all = vec![
        ("detector", detector(&config.detector, folder)?.0.stamp),
        ("ocr", ocr(&config.ocr, folder)?.0.stamp),
    ];
    if let Some(name) = config.jurisdiction() {
        all.push(("jurisdiction", jurisdiction(name, folder)?.0.stamp));
    }
    Ok(all)
}

/// Reads a detector package by name or path, and its weights.
pub(super) fn detector(
    name: &str,
    folder: Option<&Path>,
) -> Result<(DetectorPackage, Vec<u8>), VisionError> {
    let (dir, file) = match locate("detector", name, folder)? {
        Found::Onnx(path) => {
            let (onnx, sha256) = weights(&path)?;
            return Ok((open_models::detector(&path, sha256), onnx));
        }
        Found::Package(dir) => parse(dir)?,
    };
    let bad = |message: &str| malformed(&dir, message.to_owned());
    let decoder = match (file.decoder, &file.output) {
        (Decoder::OutriderCentre, Some(output)) if output.stride > 0 => {
            DetectorDecoder::OutriderCentre { stride: output.stride }
        }
        (Decoder::OutriderCentre, _) => return Err(bad("outrider-centre needs output.stride")),
        (Decoder::YoloEndToEnd, _) => DetectorDecoder::YoloEndToEnd,
        (Decoder::YoloRaw, _) => DetectorDecoder::YoloRaw,
        _ => return Err(bad("decoder must be outrider-centre, yolo-end-to-end or yolo-raw")),
    };
    let (Kind::Detector, Some(detector)) = (file.kind, &file.detector) else {
        return Err(bad("not a detector: needs kind = \"detector\" and a [detector] section"));
    };
    for (key, v) in [
        ("detector.score_threshold", detector.score_threshold),
        ("detector.nms_iou", detector.nms_iou),
    ] {
        if !(0.0..=1.0).contains(&v) {
            return Err(malformed(&dir, format!("{key} = {v}: must be 0 to 1")));
        }
    }
    let input = input_spec(&dir, &file.input, AREA)?;
    let (path, onnx) = checked(&dir, &file)?;
    let package = DetectorPackage {
        stamp: stamp(&file),
        path,
        input,
        decoder,
        score_threshold: detector.score_threshold,
        nms_iou: detector.nms_iou,
    };
    Ok((package, onnx))
}

/// Reads an OCR package by name or path, and its weights.
pub(super) fn ocr(name: &str, folder: Option<&Path>) -> Result<(OcrPackage, Vec<u8>), VisionError> {
    let (dir, file) = match locate("ocr", name, folder)? {
        Found::Onnx(path) => {
            let (onnx, sha256) = weights(&path)?;
            return Ok((open_models::ocr(&path, sha256)?, onnx));
        }
        Found::Package(dir) => parse(dir)?,
    };
    let (Kind::Ocr, Some(ocr)) = (file.kind, &file.ocr) else {
        return Err(malformed(
            &dir,
            "not an OCR: needs kind = \"ocr\" and an [ocr] section".into(),
        ));
    };
    for (key, v, range) in [
        ("ocr.temperature", ocr.temperature, 0.05..=20.0),
        ("ocr.crop_margin", ocr.crop_margin, -0.1..=0.5),
    ] {
        if !range.contains(&v) {
            let (from, to) = (range.start(), range.end());
            return Err(malformed(&dir, format!("{key} = {v}: must be {from} to {to}")));
        }
    }
    if !(1..=MOST_READERS).contains(&ocr.readers) {
        let message = format!("ocr.readers = {}: must be 1 to {MOST_READERS}", ocr.readers);
        return Err(malformed(&dir, message));
    }
    let (decoder, classes) = match file.decoder {
        Decoder::Ctc if ocr.blank.unwrap_or(0) == 0 => {
            let mut classes = vec![None];
            classes.extend(classes_of(&ocr.alphabet, None).map_err(|m| malformed(&dir, m))?);
            (OcrDecoder::Ctc { temperature: ocr.temperature }, classes)
        }
        Decoder::Ctc => return Err(malformed(&dir, "ocr.blank must be 0".into())),
        Decoder::FixedSlot => {
            let classes = classes_of(&ocr.alphabet, Some(ocr.pad.unwrap_or('_')));
            (OcrDecoder::FixedSlot, classes.map_err(|m| malformed(&dir, m))?)
        }
        _ => return Err(malformed(&dir, "decoder must be ctc or fixed-slot".into())),
    };
    let legibility = file.legibility.as_ref().map(legibility::HeadFile::head).transpose();
    let legibility = legibility.map_err(|message| malformed(&dir, message))?;
    let input = input_spec(&dir, &file.input, LINEAR)?;
    let (path, onnx) = checked(&dir, &file)?;
    let package = OcrPackage {
        stamp: stamp(&file),
        path,
        input,
        decoder,
        classes,
        slots: ocr.slots,
        readers: ocr.readers,
        crop_margin: ocr.crop_margin,
        legibility,
    };
    Ok((package, onnx))
}

/// Most labels of a jurisdiction package: twice the number of countries, states and provinces.
const MOST_LABELS: usize = 1024;

/// Reads a jurisdiction package by name or path, and its weights.
pub(super) fn jurisdiction(
    name: &str,
    folder: Option<&Path>,
) -> Result<(JurisdictionPackage, Vec<u8>), VisionError> {
    let (dir, file) = match locate("jurisdiction", name, folder)? {
        Found::Onnx(path) => {
            let message =
                "a jurisdiction model needs its folder with model.toml: its labels are there";
            return Err(VisionError::ModelMalformed { path, message: message.into() });
        }
        Found::Package(dir) => parse(dir)?,
    };
    let bad = |message: String| malformed(&dir, message);
    let (Kind::Jurisdiction, Decoder::Labels, Some(of)) =
        (file.kind, file.decoder, &file.jurisdiction)
    else {
        return Err(bad("not a jurisdiction package: needs kind = \"jurisdiction\", decoder = \
                        \"labels\" and a [jurisdiction] section"
            .into()));
    };
    for (key, v, range) in [
        ("temperature", of.temperature, 0.05..=20.0),
        // At a half or less, two could be reported at once.
        ("threshold", of.threshold, 0.5..=1.0),
        ("format_weight", of.format_weight, 0.0..=1.0),
        ("crop_margin", of.crop_margin, -0.1..=0.5),
    ] {
        if !range.contains(&v) {
            let (from, to) = (range.start(), range.end());
            return Err(bad(format!("jurisdiction.{key} = {v}: must be {from} to {to}")));
        }
    }
    if !(2..=MOST_LABELS).contains(&of.labels.len()) {
        let n = of.labels.len();
        return Err(bad(format!("jurisdiction.labels has {n} labels: must be 2 to {MOST_LABELS}")));
    }
    let mut classes = Vec::with_capacity(of.labels.len());
    for label in &of.labels {
        let class = match label.as_str() {
            "other" => Jurisdiction::UNKNOWN,
            code => Jurisdiction::parse(code)
                .map_err(|e| bad(format!("jurisdiction.labels: {e}, nor \"other\"")))?,
        };
        if classes.contains(&class) {
            return Err(bad(format!("jurisdiction.labels has {label:?} twice")));
        }
        classes.push(class);
    }
    let input = input_spec(&dir, &file.input, LINEAR)?;
    let (path, onnx) = checked(&dir, &file)?;
    let issuers = Issuers { classes, threshold: of.threshold, format_weight: of.format_weight };
    let package = JurisdictionPackage {
        stamp: stamp(&file),
        path,
        input,
        issuers: Arc::new(issuers),
        temperature: of.temperature,
        crop_margin: of.crop_margin,
    };
    Ok((package, onnx))
}

/// The meaning of each class of an alphabet.
pub(super) fn classes_of(alphabet: &str, pad: Option<char>) -> Result<Vec<Option<u8>>, String> {
    alphabet
        .chars()
        .map(|c| match SYMBOLS.iter().position(|s| char::from(*s) == c) {
            Some(i) => Ok(Some(u8::try_from(i).expect("36 symbols"))),
            None if Some(c) == pad => Ok(None),
            None => Err(format!("ocr.alphabet has the character {c:?}, which no plate carries")),
        })
        .collect()
}

fn stamp(file: &File) -> Weights {
    Weights {
        name: file.name.clone(),
        version: file.version.clone(),
        decoder: match file.decoder {
            Decoder::OutriderCentre => "outrider-centre",
            Decoder::YoloEndToEnd => "yolo-end-to-end",
            Decoder::YoloRaw => "yolo-raw",
            Decoder::Ctc => "ctc",
            Decoder::FixedSlot => "fixed-slot",
            Decoder::Labels => "labels",
        },
        sha256: file.sha256.to_ascii_lowercase(),
    }
}

fn malformed(dir: &Path, message: String) -> VisionError {
    VisionError::ModelMalformed { path: dir.join("model.toml"), message }
}

fn parse(dir: PathBuf) -> Result<(PathBuf, File), VisionError> {
    let path = dir.join("model.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|source| VisionError::ModelUnreadable { path: path.clone(), source })?;
    let file = toml::from_str(&text)
        .map_err(|e| VisionError::ModelMalformed { path, message: e.to_string() })?;
    Ok((dir, file))
}

fn input_spec(
    dir: &Path,
    input: &Input,
    filter: fast_image_resize::ResizeAlg,
) -> Result<InputSpec, VisionError> {
    let one_of = |key: &str, value: &str, allowed: &str| {
        malformed(dir, format!("input.{key} = {value:?}: must be {allowed}"))
    };
    let colour = match input.colour.as_str() {
        "rgb" => Colour::Rgb,
        "bgr" => Colour::Bgr,
        "grey" => Colour::Grey,
        other => return Err(one_of("colour", other, "rgb, bgr or grey")),
    };
    let layout = match input.layout.as_str() {
        "nchw" => Layout::ChannelsFirst,
        "nhwc" => Layout::ChannelsLast,
        "blocks" => Layout::Blocks,
        other => return Err(one_of("layout", other, "nchw, nhwc or blocks")),
    };
    let bytes = match input.dtype.as_str() {
        "f32" => false,
        "u8" => true,
        other => return Err(one_of("dtype", other, "f32 or u8")),
    };
    let fit = match input.resize.as_str() {
        "stretch" => Fit::Stretch,
        "letterbox" => Fit::Letterbox {
            centre: match input.pad.as_deref() {
                Some("corner") | None => false,
                Some("centre") => true,
                Some(other) => return Err(one_of("pad", other, "corner or centre")),
            },
            fill: input.fill.unwrap_or(114),
        },
        other => return Err(one_of("resize", other, "letterbox or stretch")),
    };
    if !(8..=4096).contains(&input.width) || !(8..=4096).contains(&input.height) {
        let size = format!("{}x{}", input.width, input.height);
        return Err(malformed(dir, format!("input is {size}: must be 8 to 4096 pixels a side")));
    }
    if layout == Layout::Blocks && (input.width % 2 == 1 || input.height % 2 == 1) {
        let size = format!("{}x{}", input.width, input.height);
        return Err(malformed(dir, format!("input is {size}: blocks need even sides")));
    }
    let mut mean = [0.0; 3];
    if !input.mean.is_empty() {
        if input.mean.len() != colour.channels() {
            let (n, c) = (input.mean.len(), colour.channels());
            return Err(malformed(dir, format!("input.mean has {n} values for {c} channels")));
        }
        mean[..input.mean.len()].copy_from_slice(&input.mean);
    }
    Ok(InputSpec {
        width: input.width,
        height: input.height,
        layout,
        bytes,
        colour,
        scale: input.scale,
        mean,
        fit,
        filter,
    })
}

fn weights(path: &Path) -> Result<(Vec<u8>, String), VisionError> {
    let onnx = std::fs::read(path)
        .map_err(|source| VisionError::ModelUnreadable { path: path.to_owned(), source })?;
    let sha256 = HEXLOWER.encode(&Sha256::digest(&onnx));
    Ok((onnx, sha256))
}

fn checked(dir: &Path, file: &File) -> Result<(PathBuf, Vec<u8>), VisionError> {
    if file.file.components().count() != 1 {
        return Err(malformed(dir, format!("file = {:?}: must lie in this folder", file.file)));
    }
    let path = dir.join(&file.file);
    let (onnx, found) = weights(&path)?;
    let expected = file.sha256.to_ascii_lowercase();
    if found == expected {
        Ok((path, onnx))
    } else {
        Err(VisionError::ModelDigest { path, expected, found })
    }
}
