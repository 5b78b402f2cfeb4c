//! The picture of one plate, small.

use crate::onboard::vision::candidate::Crop;

/// A crop as a JPEG.
pub(crate) fn jpeg(crop: &Crop, quality: u8) -> Result<Vec<u8>, turbojpeg::Error> {
    let (width, height) = (crop.width as usize, crop.height as usize);
    let image = turbojpeg::Image {
        pixels: crop.rgb.as_slice(),
        width,
        pitch: width * 3,
        height,
        format: turbojpeg::PixelFormat::RGB,
    };
    let mut encoder = turbojpeg::Compressor::new()?;
    encoder.set_quality(i32::from(quality))?;
    encoder.set_subsamp(turbojpeg::Subsamp::Sub2x2)?;
    encoder.compress_to_vec(image)
}
