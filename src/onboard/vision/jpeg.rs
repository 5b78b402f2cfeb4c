//! JPEG in both directions, through libjpeg-turbo.
//!
//! Decoding stops at the planes: no upsampling of chroma and no colour conversion. Cameras are not
//! careful writers: bytes after the end marker, a missing end marker, stray bytes between segments
//! and absent Huffman tables (plain MJPEG has none) are all taken; a stream that ends early or has
//! broken entropy codes is refused, because the lower part of such a picture is an invention.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, Subsamp, YuvImage};

use super::VisionError;
use super::picture::check_size;

/// End-of-image marker.
const END: [u8; 2] = [0xff, 0xd9];

/// What a header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Width and height of the picture.
    pub(super) size: (u32, u32),
    /// Width and height of the luma plane, padded to whole chroma samples.
    pub(super) padded: (u32, u32),
    /// By how much chroma is smaller, across and down; none for grey.
    pub(super) chroma: Option<(u32, u32)>,
    subsamp: Subsamp,
}

/// A decoder that keeps its tables and buffers.
#[derive(Default)]
pub(super) struct JpegDecoder {
    turbo: Option<Decompressor>,
    /// A stream with its end marker put back; used by the rare camera that leaves it out.
    mended: Vec<u8>,
}

impl JpegDecoder {
    fn turbo(&mut self) -> Result<&mut Decompressor, VisionError> {
        if self.turbo.is_none() {
            self.turbo = Some(Decompressor::new().map_err(|e| damaged(&[], &e))?);
        }
        Ok(self.turbo.as_mut().expect("set two lines above"))
    }

    /// Reads the header.
    pub(super) fn header(&mut self, jpeg: &[u8]) -> Result<Header, VisionError> {
        if jpeg.is_empty() {
            return Err(VisionError::EmptyFrame);
        }
        let header = self.turbo()?.read_header(jpeg).map_err(|e| damaged(jpeg, &e))?;
        let side = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        let size = (side(header.width), side(header.height));
        check_size(size)?;
        let chroma = match header.colorspace {
            Colorspace::Gray => None,
            Colorspace::YCbCr if header.subsamp != Subsamp::Unknown && !header.is_lossless => {
                let (across, down) = header.subsamp.size();
                Some((side(across), side(down)))
            }
            Colorspace::YCbCr => {
                return Err(VisionError::JpegColours { colours: "oddly sampled YCbCr".into() });
            }
            other => return Err(VisionError::JpegColours { colours: format!("{other:?}") }),
        };
        let (across, down) = chroma.unwrap_or((1, 1));
        let padded = (size.0.next_multiple_of(across), size.1.next_multiple_of(down));
        Ok(Header { size, padded, chroma, subsamp: header.subsamp })
    }

    /// Decodes into planes laid one after the other without padding, as `header` sizes them.
    pub(super) fn planes(
        &mut self,
        jpeg: &[u8],
        header: &Header,
        out: &mut [u8],
    ) -> Result<(), VisionError> {
        let mut decode = |jpeg: &[u8], turbo: &mut Decompressor| {
            let image = YuvImage {
                pixels: &mut *out,
                width: header.size.0 as usize,
                align: 1,
                height: header.size.1 as usize,
                subsamp: header.subsamp,
            };
            match turbo.decompress_to_yuv(jpeg, image) {
                Err(e) if is_harmless(&e.to_string()) => Ok(()),
                other => other,
            }
        };
        let turbo = self.turbo.as_mut().expect("the header was read with it");
        let Err(first) = decode(jpeg, turbo) else { return Ok(()) };
        if !first.to_string().contains("Premature end") {
            return Err(damaged(jpeg, &first));
        }
        // Complete but for its end marker, or cut short? Put the marker there and see whether the
        // decoder still misses something.
        let length = jpeg.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        self.mended.clear();
        self.mended.extend_from_slice(&jpeg[..length]);
        self.mended.extend_from_slice(&END);
        decode(&self.mended, turbo).map_err(|_| damaged(jpeg, &first))
    }
}

/// Whether the decoder only remarks on bytes that it could skip: some cameras pad between segments.
fn is_harmless(message: &str) -> bool {
    message.contains("extraneous bytes before marker")
}

fn damaged(jpeg: &[u8], e: &turbojpeg::Error) -> VisionError {
    let why = e.to_string();
    let why = why.strip_prefix("TurboJPEG error: ").unwrap_or(&why).to_owned();
    VisionError::DamagedJpeg { bytes: jpeg.len(), why }
}

/// Writes R G B pixels as a JPEG with halved chroma. `quality` 1 to 100.
pub fn encode_rgb(
    rgb: &[u8],
    width: u32,
    height: u32,
    quality: u8,
) -> Result<Vec<u8>, VisionError> {
    let (w, h) = (width as usize, height as usize);
    let fail = |why: String| VisionError::Encode { width, height, why };
    if w == 0 || h == 0 || rgb.len() != w * h * 3 {
        return Err(fail(format!("{} bytes of pixels", rgb.len())));
    }
    let image = Image { pixels: rgb, width: w, pitch: w * 3, height: h, format: PixelFormat::RGB };
    let mut encoder = turbojpeg::Compressor::new().map_err(|e| fail(e.to_string()))?;
    encoder.set_quality(i32::from(quality.clamp(1, 100))).map_err(|e| fail(e.to_string()))?;
    encoder.set_subsamp(Subsamp::Sub2x2).map_err(|e| fail(e.to_string()))?;
    encoder.compress_to_vec(image).map_err(|e| fail(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::Pixels;
    use crate::onboard::vision::picture::Picture;

    fn busy_picture() -> Vec<u8> {
        let (w, h) = (160_u32, 120_u32);
        let mut seed = 7_u32;
        let rgb: Vec<u8> = (0..w * h * 3)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        encode_rgb(&rgb, w, h, 80).unwrap()
    }

    fn luma(jpeg: Vec<u8>) -> Result<Vec<u8>, VisionError> {
        let mut picture = Picture::default();
        picture.refill(&Pixels::Mjpeg(jpeg))?;
        Ok(picture.luma().bytes.to_vec())
    }

    #[test]
    fn truncated_jpeg_is_refused() {
        let jpeg = busy_picture();
        for part in [jpeg.len() / 2, jpeg.len() - 40] {
            let e = luma(jpeg[..part].to_vec()).unwrap_err().to_string();
            assert!(e.starts_with(&format!("damaged JPEG ({part} bytes): ")), "{e}");
        }
    }

    #[test]
    fn jpeg_cut_in_its_header_is_refused() {
        let e = luma(busy_picture()[..100].to_vec()).unwrap_err();
        assert!(matches!(e, VisionError::DamagedJpeg { bytes: 100, .. }), "{e}");
    }

    #[test]
    fn bytes_that_are_no_jpeg_are_refused() {
        let e = luma(b"<html>camera busy</html>".to_vec()).unwrap_err().to_string();
        assert!(e.contains("Not a JPEG"), "{e}");
    }

    #[test]
    fn flipped_bytes_in_the_entropy_codes_are_refused_or_still_a_picture() {
        // Not every flip can be noticed; none may crash.
        let jpeg = busy_picture();
        for at in (300..jpeg.len()).step_by(97) {
            let mut bad = jpeg.clone();
            bad[at] ^= 0x55;
            let _ = luma(bad);
        }
    }

    #[test]
    fn missing_end_marker_and_trailing_garbage_do_not_matter() {
        let jpeg = busy_picture();
        let whole = luma(jpeg.clone()).unwrap();
        assert!(jpeg.ends_with(&END));
        assert_eq!(luma(jpeg[..jpeg.len() - 2].to_vec()).unwrap(), whole);
        let mut padded = jpeg[..jpeg.len() - 2].to_vec();
        padded.extend([0; 512]);
        assert_eq!(luma(padded).unwrap(), whole);
        let mut trailing = jpeg;
        trailing.extend(b"left over from the frame before, \xff\xd8\xff\xda");
        assert_eq!(luma(trailing).unwrap(), whole);
    }

    #[test]
    fn motion_jpeg_without_huffman_tables_is_read() {
        let jpeg = busy_picture();
        let mut bare = jpeg[..2].to_vec();
        let mut at = 2;
        // Copy every segment but the Huffman tables, then the scan.
        while jpeg[at + 1] != 0xda {
            let length = 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
            if jpeg[at + 1] != 0xc4 {
                bare.extend(&jpeg[at..at + length]);
            }
            at += length;
        }
        bare.extend(&jpeg[at..]);
        assert!(bare.len() < jpeg.len());
        assert_eq!(luma(bare).unwrap(), luma(jpeg).unwrap());
    }

    #[test]
    fn odd_sizes_and_grey_pictures_decode() {
        let rgb = [128_u8; 33 * 17 * 3];
        let mut picture = Picture::default();
        picture.refill(&Pixels::Mjpeg(encode_rgb(&rgb, 33, 17, 90).unwrap())).unwrap();
        assert_eq!(picture.size(), (33, 17));
        assert_eq!(picture.luma().stride, 34);
        let grey = Image {
            pixels: &rgb[..33 * 17],
            width: 33,
            pitch: 33,
            height: 17,
            format: PixelFormat::GRAY,
        };
        let jpeg = turbojpeg::compress(grey, 90, Subsamp::Gray).unwrap();
        picture.refill(&Pixels::Mjpeg(jpeg.to_vec())).unwrap();
        assert!(picture.chroma().is_none());
    }

    #[test]
    fn pixels_that_do_not_fit_the_size_are_not_encoded() {
        let e = encode_rgb(&[0; 10], 4, 4, 80).unwrap_err().to_string();
        assert_eq!(e, "cannot write a JPEG of 4x4: 10 bytes of pixels");
    }
}
