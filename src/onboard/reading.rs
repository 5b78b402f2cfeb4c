//! The reading stage of one camera: look, join over frames, vote, say where it was.

use std::error::Error;
use std::sync::Arc;

use super::frame::Frame;
use super::matcher::ModelStamp;
use super::vision::candidate::Sighted;

/// Finds and reads the plates of one frame: ONNX models, or a script.
pub trait Look: Send {
    /// Looks once. An error costs the frame, not the camera.
    fn look(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>>;

    /// The models behind it.
    fn stamp(&self) -> Arc<ModelStamp>;
}
