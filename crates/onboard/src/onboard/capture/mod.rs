//! Where frames come from: V4L2 cameras, and recordings for work without a camera.
//!
//! In: a camera's settings, or the path of a recording. Out: [`Frame`]s with the kernel's own
//! stamp (of a network camera: with the moment at which they arrived), through a [`newest::Slot`] in which a newer frame replaces one that nobody has taken.
//! Costs one copy of each frame out of the driver's buffer (0.2 MB as JPEG, 4 MB as 1080p YUYV).
//! Leaves to others: decoding (`vision`).
//!
//! | file | what |
//! |---|---|
//! | [`watch`] | the loop of one camera: detects stalls, opens the camera again, counts |
//! | [`newest`] | the one place between a camera and its reader |
//! | [`v4l2`] | cameras |
//! | [`network`] | network cameras, through ffmpeg |
//! | [`clip`] | folders of pictures, AVI, MJPEG, Y4M, and what ffmpeg reads |
//! | `complaints` | what an ffmpeg of either says went wrong |

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::frame::Frame;
use crate::clock::Clock;
use crate::config::CameraConfig;

pub mod clip;
mod complaints;
pub mod network;
pub mod newest;
pub mod v4l2;
pub mod watch;

pub use clip::{ClipOptions, Pace, open_path};
pub use v4l2::{CameraInfo, list_cameras};
pub use watch::{Capture, Opener, Patience};

/// Why a source gives no frame. Each message is one line that names what to check.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// There was no frame in time; the source may be read again.
    #[error("camera {camera} sent no frame for {waited:?}")]
    Stalled {
        /// Device path or name of the source.
        camera: String,
        /// How long the caller waited.
        waited: Duration,
    },
    /// One frame is unusable; the next may be fine, and the source may be read again.
    #[error("camera {camera} sent a broken frame: {why}")]
    BadFrame {
        /// Device path or name of the source.
        camera: String,
        /// What is wrong with the frame.
        why: String,
    },
    /// The camera was unplugged or closed: the source must be opened anew.
    #[error("camera {path} stopped: {}", unplugged(source))]
    Gone {
        /// Device path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// No camera has the configured name.
    #[error("camera.{camera}.device = {wanted}: no such camera (present: {present})")]
    NotFound {
        /// The camera's name in configuration.
        camera: String,
        /// The configured device, as written.
        wanted: String,
        /// The cameras that are there.
        present: String,
    },
    /// More than one camera has the configured name.
    #[error(
        "camera.{camera}.device = {wanted}: more than one camera answers to that; take one of \
         {matches}"
    )]
    Ambiguous {
        /// The camera's name in configuration.
        camera: String,
        /// The configured device, as written.
        wanted: String,
        /// Stable names that are unambiguous.
        matches: String,
    },
    /// The device cannot be opened.
    #[error("camera {path} cannot be opened: {}", reason(source))]
    Open {
        /// Device path.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The device node is not a camera: it is for metadata, a codec, or multi-planar.
    #[error("camera {path} is no camera that can be used: {why}")]
    NotACamera {
        /// Device path.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// There is no supported format, or not the configured one.
    #[error("camera {path} offers no usable pixel format (wanted {wanted}; offered: {offered})")]
    NoFormat {
        /// Device path.
        path: PathBuf,
        /// The format that was wanted.
        wanted: String,
        /// Four-letter codes of what the camera offers.
        offered: String,
    },
    /// The driver does not accept a setting.
    #[error("{key} = {value}: must be {range}, says {card}")]
    Setting {
        /// Dotted key, such as `camera.front.exposure`.
        key: String,
        /// The value as written.
        value: String,
        /// What the driver allows, in words.
        range: String,
        /// The camera's own name.
        card: String,
    },
    /// The driver refused a step of the set-up.
    #[error("camera {path}: {step} failed: {source}")]
    Driver {
        /// Device path.
        path: PathBuf,
        /// The step, such as `starting the stream`.
        step: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
    /// A network camera gives no stream, or gives it no longer.
    #[error("camera {camera} at {host}: {why}")]
    Network {
        /// The camera's name in configuration.
        camera: String,
        /// Its host and port.
        host: String,
        /// What is wrong, and what to do about it.
        why: String,
    },
    /// A recording cannot be read.
    #[error("recording {path}: {why}")]
    Recording {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong, and what to do about it.
        why: String,
    },
}

fn unplugged(source: &io::Error) -> String {
    if source.raw_os_error() == Some(libc::ENODEV) {
        "unplugged".to_owned()
    } else {
        source.to_string()
    }
}

fn reason(source: &io::Error) -> String {
    match source.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            "permission denied; the user that runs outrider must be in the group `video`".to_owned()
        }
        Some(libc::EBUSY) => "in use by another program".to_owned(),
        _ => source.to_string(),
    }
}

/// A camera, or a substitute for one.
pub trait FrameSource: Send {
    /// Waits for the next frame, at most for `timeout`. `Ok(None)` at the end of the source.
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError>;

    /// Whether frames come at their own rate, so that newer ones may replace them. The frames of a
    /// recording that runs as fast as it is read wait to be taken, so that every one is read.
    fn live(&self) -> bool {
        true
    }

    /// How long to wait for the first frame, where that takes longer than with other cameras.
    fn first_frame_within(&self) -> Option<Duration> {
        None
    }
}

/// Opens the camera, or the recording in place of one, that a `[[camera]]` section describes.
pub fn open(
    config: &CameraConfig,
    clock: Arc<dyn Clock>,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    if let Some(recording) = &config.recording {
        let options = ClipOptions { pace: Pace::RealTime, repeat: true, fps: config.fps };
        return open_path(recording, config.name.clone(), clock, options);
    }
    if config.url.is_some() {
        return Ok(Box::new(network::NetworkCamera::open(config, clock)?));
    }
    Ok(Box::new(v4l2::Camera::open(config, clock)?))
}

/// Makes the opener of a camera, which is called at the start and after every interruption.
pub fn opener(config: CameraConfig, clock: Arc<dyn Clock>) -> Opener {
    Box::new(move || open(&config, clock.clone()))
}
