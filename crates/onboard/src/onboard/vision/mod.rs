//! Finds plates in a frame and reads them: decode, detector, crop, OCR, jurisdiction.
//!
//! A [`Frame`](super::frame::Frame) comes in; a [`candidate::Sighted`] goes out, with one candidate
//! text per plate. [`reader::Reader`] does all of it: there is one per camera thread, and nothing
//! is shared. Joining candidates over frames is left to the tracker and the vote.
//!
//! `benches/stages.rs` measures what a 1080p MJPEG frame costs: decoding and the detector have
//! about equal shares, and each plate adds about a tenth.

mod band;
pub mod candidate;
mod colour;
pub mod conditions;
mod covered;
mod crop;
mod ctc;
mod decoders;
mod detector;
mod formats;
mod issuer;
pub mod jpeg;
mod jpeg_segments;
pub mod jurisdiction;
pub mod legibility;
mod letterbox;
pub mod models;
mod ocr;
pub mod one_file;
mod onnx;
mod open_models;
pub mod picture;
pub mod picture_file;
mod pieces;
pub mod plausible;
mod reader;
mod scale;
pub mod scripted;
mod second_look;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
pub mod vehicle;

use std::path::PathBuf;

pub(super) use covered::covered;
pub use detector::Detector;
pub use jurisdiction::JurisdictionRead;
pub use models::Weights;
pub use ocr::{Ocr, Region};
pub use onnx::{Interrupt, Runtime};
pub use picture::Picture;
pub use reader::{Reader, Spent, still};

/// Why a picture cannot be read, or why none can.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// The frame has no bytes.
    #[error("frame is empty (0 bytes)")]
    EmptyFrame,
    /// The JPEG ends early or is damaged: what it shows cannot be trusted.
    #[error("damaged JPEG ({bytes} bytes): {why}")]
    DamagedJpeg {
        /// Length of the stream.
        bytes: usize,
        /// What the decoder says.
        why: String,
    },
    /// The JPEG has other colours than YCbCr or grey.
    #[error("JPEG with {colours} colours: only YCbCr and grey are read")]
    JpegColours {
        /// The colours that it has.
        colours: String,
    },
    /// The size is not that of a camera.
    #[error("picture of {width}x{height}: must be 8 to 16384 pixels a side, 64 megapixels at most")]
    PictureSize {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The frame has fewer or more bytes than its format and size require.
    #[error("{format} frame of {width}x{height} has {got} bytes, needs {needed}")]
    FrameLength {
        /// Pixel format.
        format: &'static str,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Number of bytes in the frame.
        got: usize,
        /// Number of bytes that the size requires.
        needed: usize,
    },
    /// A JPEG could not be written.
    #[error("cannot write a JPEG of {width}x{height}: {why}")]
    Encode {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// What the encoder says.
        why: String,
    },
    /// There is no such model package.
    #[error(
        "model {name} not found (looked for {looked}): install it, or set models.{kind} or models.folder"
    )]
    ModelMissing {
        /// `detector`, `ocr` or `jurisdiction`.
        kind: &'static str,
        /// The configured name.
        name: String,
        /// The places that were searched.
        looked: String,
    },
    /// A file of the package cannot be read.
    #[error("cannot read {path}: {source}")]
    ModelUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `model.toml` or the alphabet file has an impossible value.
    #[error("{path}: {message}")]
    ModelMalformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The weights have another digest than the package states.
    #[error(
        "{path} is not the file that its model.toml names (SHA-256 {found}, expected {expected}): install the model again"
    )]
    ModelDigest {
        /// The ONNX file.
        path: PathBuf,
        /// The digest in `model.toml`.
        expected: String,
        /// The digest of the file.
        found: String,
    },
    /// ONNX Runtime refuses the file, or its inputs and outputs are not as expected.
    #[error("model {path} cannot be used: {message}")]
    ModelRefused {
        /// The ONNX file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The shared library is missing or unsuitable.
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
    /// A run of a model failed.
    #[error("model {model} failed: {message}")]
    Inference {
        /// Name of the package.
        model: String,
        /// ONNX Runtime's error.
        message: String,
    },
}
