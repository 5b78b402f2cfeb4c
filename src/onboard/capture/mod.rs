//! Where frames come from: V4L2 cameras, and sources for work without one.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::frame::Frame;

/// Why a source gives no frame.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No frame within the time asked for; the source may be read again.
    #[error("camera {camera} sent no frame for {waited:?}")]
    Stalled {
        /// Device path or name of the source.
        camera: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// Unplugged or closed: the source must be opened anew.
    #[error("camera {path} stopped")]
    Gone {
        /// Device path.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A camera, or something that stands in for one.
pub trait FrameSource: Send {
    /// Waits for the next frame, `timeout` at most. `Ok(None)`: the source is at its end.
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError>;
}
