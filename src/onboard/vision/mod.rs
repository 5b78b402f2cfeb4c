//! Finds plates in a frame and reads them: decode, detector, crop, OCR.
//!
//! A [`Frame`](super::frame::Frame) comes in; a [`candidate::Sighted`] goes out, with one
//! candidate text per plate. [`reader::Reader`] is the whole of it: one per camera thread, nothing
//! shared, no lock. Joining candidates over frames is left to the tracker and the vote.
//!
//! What a 1080p MJPEG frame costs is measured by `benches/stages.rs`: decoding and the detector
//! share it about evenly, each plate adds about a tenth.

pub mod candidate;
mod colour;
mod crop;
mod ctc;
mod decoders;
mod detector;
mod formats;
pub mod jpeg;
mod letterbox;
pub mod models;
mod ocr;
mod onnx;
mod open_models;
pub mod picture;
pub mod plausible;
mod reader;
mod scale;
pub mod scripted;
mod second_look;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;

use std::path::PathBuf;

pub use detector::Detector;
pub use models::Weights;
pub use ocr::{Ocr, Region};
pub use onnx::Runtime;
pub use picture::Picture;
pub use reader::{Reader, Spent, still};

/// Why a picture cannot be looked at, or why no picture can.
#[derive(Debug, thiserror::Error)]
pub enum VisionError {
    /// A frame without a byte in it.
    #[error("frame is empty (0 bytes)")]
    EmptyFrame,
    /// The JPEG stream ends early or is damaged: what it shows cannot be trusted.
    #[error("damaged JPEG ({bytes} bytes): {why}")]
    DamagedJpeg {
        /// Length of the stream.
        bytes: usize,
        /// What the decoder says.
        why: String,
    },
    /// A JPEG whose colours are not YCbCr or grey.
    #[error("JPEG with {colours} colours: only YCbCr and grey are read")]
    JpegColours {
        /// What it has instead.
        colours: String,
    },
    /// A size that no camera has.
    #[error("picture of {width}x{height}: must be 8 to 16384 pixels a side, 64 megapixels at most")]
    PictureSize {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Fewer or more bytes than the format and size ask for.
    #[error("{format} frame of {width}x{height} has {got} bytes, needs {needed}")]
    FrameLength {
        /// Pixel format.
        format: &'static str,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes that came.
        got: usize,
        /// Bytes that the size asks for.
        needed: usize,
    },
    /// No JPEG could be written.
    #[error("cannot write a JPEG of {width}x{height}: {why}")]
    Encode {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// What the encoder says.
        why: String,
    },
    /// No such model package.
    #[error(
        "model {name} not found (looked for {looked}): install it, or set models.{kind} or models.folder"
    )]
    ModelMissing {
        /// `detector` or `ocr`.
        kind: &'static str,
        /// As configured.
        name: String,
        /// Where it was looked for.
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
    /// `model.toml` or the alphabet file says something that cannot be.
    #[error("{path}: {message}")]
    ModelMalformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The weights are not the ones that the package was made with.
    #[error(
        "{path} is not the file that its model.toml names (SHA-256 {found}, expected {expected}): install the model again"
    )]
    ModelDigest {
        /// The ONNX file.
        path: PathBuf,
        /// Digest in `model.toml`.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// ONNX Runtime does not take the file, or its inputs and outputs are not what is expected.
    #[error("model {path} cannot be used: {message}")]
    ModelRefused {
        /// The ONNX file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The shared library is missing or foreign.
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
    /// A run of a model failed.
    #[error("model {model} failed: {message}")]
    Inference {
        /// Name of the package.
        model: String,
        /// What ONNX Runtime says.
        message: String,
    },
}
