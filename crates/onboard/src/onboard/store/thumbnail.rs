//! Thumbnails: a small picture of one plate.

use crate::onboard::vision::VisionError;
use crate::onboard::vision::candidate::Crop;
use crate::onboard::vision::jpeg::encode_rgb;

/// A crop as a JPEG.
pub fn jpeg(crop: &Crop, quality: u8) -> Result<Vec<u8>, VisionError> {
    encode_rgb(&crop.rgb, crop.width, crop.height, quality)
}
