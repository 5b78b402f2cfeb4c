//! One picture from one camera, as the camera delivered it.

use std::fmt;

pub use crate::camera_id::CameraId;
use crate::clock::FrameTime;

/// A frame: undecoded pixels with the kernel's own capture time and sequence number.
#[derive(Debug, Clone)]
pub struct Frame {
    /// The camera.
    pub camera: CameraId,
    /// The driver's number of the frame, gaps included. It grows while the process lives, even if
    /// the camera was unplugged in between.
    pub sequence: u64,
    /// When the kernel stamped the buffer.
    pub captured: FrameTime,
    /// The picture.
    pub pixels: Pixels,
}

/// The picture as the camera delivered it. Raw layouts are tightly packed: no row padding.
#[derive(Clone)]
pub enum Pixels {
    /// A JPEG picture, possibly with bytes after its end marker; size is in its header.
    Mjpeg(Vec<u8>),
    /// Y0 U Y1 V per two pixels, `width * height * 2` bytes, limited range BT.601.
    Yuyv(Raw),
    /// A full plane of Y, then interleaved U V at half width and half height,
    /// `width * height * 3 / 2` bytes, limited range BT.601.
    Nv12(Raw),
    /// One byte of luma per pixel, full range.
    Grey(Raw),
    /// R G B per pixel, full range: pictures from files, never a camera.
    Rgb(Raw),
}

/// Uncompressed pixels and their size.
#[derive(Clone)]
pub struct Raw {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The bytes, in the layout that the [`Pixels`] variant names.
    pub bytes: Vec<u8>,
}

impl Pixels {
    /// The bytes, in whatever layout.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Mjpeg(bytes) => bytes,
            Self::Yuyv(raw) | Self::Nv12(raw) | Self::Grey(raw) | Self::Rgb(raw) => &raw.bytes,
        }
    }

    /// Number of bytes that the size requires; `None` for JPEG, whose header contains its size.
    pub fn bytes_expected(&self) -> Option<u64> {
        let (raw, twice) = match self {
            Self::Mjpeg(_) => return None,
            Self::Yuyv(raw) => (raw, 4),
            Self::Nv12(raw) => (raw, 3),
            Self::Grey(raw) => (raw, 2),
            Self::Rgb(raw) => (raw, 6),
        };
        Some(u64::from(raw.width) * u64::from(raw.height) * twice / 2)
    }
}

impl fmt::Debug for Pixels {
    // A frame shows the plates of others: none of its content may be logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, raw) = match self {
            Self::Mjpeg(bytes) => return write!(f, "Mjpeg({} bytes)", bytes.len()),
            Self::Yuyv(raw) => ("Yuyv", raw),
            Self::Nv12(raw) => ("Nv12", raw),
            Self::Grey(raw) => ("Grey", raw),
            Self::Rgb(raw) => ("Rgb", raw),
        };
        write!(f, "{name}({}x{}, {} bytes)", raw.width, raw.height, raw.bytes.len())
    }
}
