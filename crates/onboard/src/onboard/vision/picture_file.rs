//! Pictures from files: JPEG, PNG, BMP and WebP from people and programs.
//!
//! In: a file, or its bytes. Out: [`Pixels`], upright. A JPEG stays a JPEG, so that it is decoded
//! like a camera's; other formats are decoded here. Costs: the decoded picture once, at most twice.
//! The header is checked before anything is decoded: a few hundred kilobytes of PNG can ask for
//! gigabytes.

use std::fs::File;
use std::io::{self, Cursor, Read as _};
use std::path::Path;

use image::{DynamicImage, ImageDecoder as _, ImageReader, Limits};

use super::VisionError;
use super::jpeg::{check_scans, upright};
use super::picture::{MAX_SIDE, MIN_SIDE, check_size};
use crate::onboard::frame::{Pixels, Raw};

/// Longest file, in bytes: 64 megapixels of uncompressed RGB are 192 MiB, and such files are rare.
pub const LONGEST: u64 = 256 << 20;

/// Most bytes for a decoded picture: 64 megapixels at four bytes each.
const MOST_DECODED: u64 = 256 << 20;

/// Why a file cannot be used as a picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureFileError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is longer than any picture.
    #[error("longer than {} MiB: no picture", LONGEST >> 20)]
    TooLong,
    /// Its header is not supported, or the JPEG decoder refuses it.
    #[error(transparent)]
    Picture(#[from] VisionError),
    /// It needs more memory than a picture may.
    #[error(
        "picture of {width}x{height} decodes to {} MiB: {} at most",
        decoded >> 20, MOST_DECODED >> 20
    )]
    Memory {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes.
        decoded: u64,
    },
    /// It is damaged, or not a picture.
    #[error("not a picture that can be read: {0}")]
    NotAPicture(#[from] image::ImageError),
}

/// Reads a file. An empty file becomes an empty JPEG, which is judged like an empty frame.
pub fn read(path: &Path) -> Result<Pixels, PictureFileError> {
    let mut bytes = Vec::new();
    // The file's stated length is not used: a pipe has none.
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(PictureFileError::TooLong);
    }
    if bytes.is_empty() || bytes.starts_with(&[0xff, 0xd8]) {
        return Ok(Pixels::Mjpeg(upright(&bytes).unwrap_or(bytes)));
    }
    decode(&bytes)
}

/// Decodes formats that no camera sends: PNG and the like, or a JPEG in CMYK.
pub fn decode(bytes: &[u8]) -> Result<Pixels, PictureFileError> {
    if bytes.starts_with(&[0xff, 0xd8]) {
        check_scans(bytes)?;
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MOST_DECODED);
    reader.limits(limits);
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    // A picture that is too small is reported when it is read.
    check_size((width.max(MIN_SIDE), height.max(MIN_SIDE)))?;
    let decoded = decoder.total_bytes();
    if decoded > MOST_DECODED {
        return Err(PictureFileError::Memory { width, height, decoded });
    }
    let held = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(held);
    let image = image.into_rgb8();
    let (width, height) = image.dimensions();
    Ok(Pixels::Rgb(Raw { width, height, bytes: image.into_raw() }))
}

#[cfg(test)]
#[path = "picture_file_tests.rs"]
mod tests;
