//! JPEG in both directions, through libjpeg-turbo.
//!
//! Decoding stops at the planes: chroma is not upsampled and colours are not converted. Cameras
//! write careless JPEGs: bytes after the end marker, a missing end marker, stray bytes between
//! segments, missing Huffman tables (plain MJPEG has none), and headers that libjpeg calls odd are
//! all accepted. A stream that ends early or has broken entropy codes is refused, because the lower
//! part of such a picture is made up by the decoder.
//!
//! libjpeg reports damage and oddities in the same way, and only the first of them. So a picture to
//! which it objects is tidied (`jpeg_segments::tidy`) and decoded once more; an objection then
//! means damage.

use turbojpeg::{Colorspace, Decompressor, Image, PixelFormat, Subsamp, YuvImage};

use super::VisionError;
use super::jpeg_segments::{self, orientation, tidy};
use super::picture::check_size;

/// Most passes over one picture. Progressive pictures have about ten; each pass costs the time of
/// the whole picture however few bytes it has, so a small file could otherwise take minutes.
const MOST_SCANS: usize = 100;

/// The contents of a header.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Header {
    /// Width and height of the picture.
    pub(super) size: (u32, u32),
    /// Width and height of the luma plane, padded to whole chroma samples.
    pub(super) padded: (u32, u32),
    /// By which factors chroma is smaller, across and down; `None` for grey.
    pub(super) chroma: Option<(u32, u32)>,
    subsamp: Subsamp,
}

/// A decoder that keeps its tables and buffers while no error occurs.
#[derive(Default)]
pub(super) struct JpegDecoder {
    /// Taken out while it works and put back on success. After an error it is in the state of a
    /// half-read picture, in which it would continue with the next one: it is dropped, and making
    /// another costs microseconds.
    turbo: Option<Decompressor>,
    /// The tidied copy of a picture to which libjpeg objected.
    tidied: Vec<u8>,
    /// Whether `tidied` is the picture whose header was read last.
    is_tidied: bool,
    /// Whether the last good picture had to be tidied: the next one of that camera is tidied before
    /// it is decoded, and not decoded twice.
    tidies_first: bool,
}

impl JpegDecoder {
    /// Runs something with the decoder; after an error the decoder is not used again.
    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Decompressor, &[u8]) -> turbojpeg::Result<T>,
    ) -> Result<T, String> {
        let words = |e: turbojpeg::Error| {
            let words = e.to_string();
            words.strip_prefix("TurboJPEG error: ").unwrap_or(&words).to_owned()
        };
        let mut turbo = match self.turbo.take() {
            Some(turbo) => turbo,
            None => {
                let mut turbo = Decompressor::new().map_err(words)?;
                turbo.set_scan_limit(MOST_SCANS as u32).map_err(words)?;
                turbo
            }
        };
        let done = work(&mut turbo, &self.tidied).map_err(words)?;
        self.turbo = Some(turbo);
        Ok(done)
    }

    /// Reads the header.
    pub(super) fn header(&mut self, jpeg: &[u8]) -> Result<Header, VisionError> {
        if jpeg.is_empty() {
            return Err(VisionError::EmptyFrame);
        }
        self.is_tidied = false;
        let mut why = String::new();
        if !self.tidies_first {
            match self.with(|turbo, _| turbo.read_header(jpeg)) {
                Ok(header) => return checked(&header),
                Err(first) => why = first,
            }
        }
        if tidy(jpeg, &mut self.tidied) {
            match self.with(|turbo, tidied| turbo.read_header(tidied)) {
                Ok(header) => {
                    self.is_tidied = true;
                    return checked(&header);
                }
                Err(still) => why = still,
            }
        } else if self.tidies_first {
            why = "no picture data in it, or two pictures in one".into();
        }
        self.tidies_first = false;
        Err(damaged(jpeg, why))
    }

    /// Decodes the picture whose header was read last into planes, one after the other without
    /// padding, of the sizes in `header`.
    pub(super) fn planes(
        &mut self,
        jpeg: &[u8],
        header: &Header,
        out: &mut [u8],
    ) -> Result<(), VisionError> {
        if !self.is_tidied {
            match self.with(|turbo, _| decode(turbo, jpeg, header, out)) {
                Err(why) if !is_padding(&why) => {
                    // The copy holds the same picture, or none that can be trusted.
                    if !tidy(jpeg, &mut self.tidied)
                        || self
                            .with(|turbo, tidied| turbo.read_header(tidied))
                            .ok()
                            .and_then(|tidied| checked(&tidied).ok())
                            != Some(*header)
                    {
                        return Err(damaged(jpeg, why));
                    }
                }
                _ => return Ok(()),
            }
        }
        match self.with(|turbo, tidied| decode(turbo, tidied, header, out)) {
            Err(why) if !is_padding(&why) => {
                self.tidies_first = false;
                Err(damaged(jpeg, why))
            }
            _ => {
                self.tidies_first = true;
                Ok(())
            }
        }
    }
}

fn decode(
    turbo: &mut Decompressor,
    jpeg: &[u8],
    header: &Header,
    out: &mut [u8],
) -> turbojpeg::Result<()> {
    let image = YuvImage {
        pixels: out,
        width: header.size.0 as usize,
        align: 1,
        height: header.size.1 as usize,
        subsamp: header.subsamp,
    };
    turbo.decompress_to_yuv(jpeg, image)
}

/// The header, if it is supported.
fn checked(header: &turbojpeg::DecompressHeader) -> Result<Header, VisionError> {
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

/// Whether the decoder has the whole picture and only remarks on bytes before its end marker, where
/// some cameras add padding. Before any other marker such bytes are data in which the decoder lost
/// its place.
fn is_padding(why: &str) -> bool {
    why.contains("extraneous bytes before marker 0xd9")
}

/// Rotates the JPEG upright if its Exif header says that the camera was held otherwise; without
/// loss, except for up to 15 rows or columns at an edge. `None` if it is upright already, or too
/// damaged: the decoder then reports the damage.
pub(super) fn upright(jpeg: &[u8]) -> Option<Vec<u8>> {
    use image::metadata::Orientation as Held;
    use turbojpeg::TransformOp;
    let op = match orientation(jpeg)? {
        Held::NoTransforms => return None,
        Held::Rotate90 => TransformOp::Rot90,
        Held::Rotate180 => TransformOp::Rot180,
        Held::Rotate270 => TransformOp::Rot270,
        Held::FlipHorizontal => TransformOp::Hflip,
        Held::FlipVertical => TransformOp::Vflip,
        Held::Rotate90FlipH => TransformOp::Transpose,
        Held::Rotate270FlipH => TransformOp::Transverse,
    };
    let mut tidied = Vec::new();
    JpegDecoder::default().header(jpeg).ok()?;
    check_scans(jpeg).ok()?;
    let jpeg = if tidy(jpeg, &mut tidied) { &tidied[..] } else { jpeg };
    let mut transform = turbojpeg::Transform::op(op);
    (transform.trim, transform.copy_none) = (true, true);
    let turned = turbojpeg::Transformer::new().ok()?.transform_to_vec(&transform, jpeg);
    turned.ok()
}

/// Refuses a picture with more passes than any camera or program makes.
pub(super) fn check_scans(jpeg: &[u8]) -> Result<(), VisionError> {
    match jpeg_segments::scans(jpeg, MOST_SCANS + 1) > MOST_SCANS {
        true => Err(damaged(jpeg, format!("more than {MOST_SCANS} scans"))),
        false => Ok(()),
    }
}

fn damaged(jpeg: &[u8], why: String) -> VisionError {
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
    use rstest::rstest;

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
        // Not every flip can be noticed, but none may crash.
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
        assert!(jpeg.ends_with(&[0xff, 0xd9]));
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

    /// Position of a segment's marker.
    fn segment(jpeg: &[u8], marker: u8) -> usize {
        jpeg.windows(2).position(|w| w == [0xff, marker]).unwrap()
    }

    /// Remarks of libjpeg that do not mean damage, as cameras and programs cause them.
    #[rstest]
    #[case::scan_parameters_of_zero(|jpeg: &mut Vec<u8>| {
        let at = segment(jpeg, 0xda);
        let length = usize::from(jpeg[at + 3]);
        jpeg[at + 2 + length - 3..at + 2 + length].copy_from_slice(&[0, 0, 0]);
    })]
    #[case::jfif_revision_0(|jpeg: &mut Vec<u8>| jpeg[11] = 0)]
    #[case::jfif_revision_2(|jpeg: &mut Vec<u8>| jpeg[11] = 2)]
    #[case::unknown_adobe_transform(|jpeg: &mut Vec<u8>| {
        let adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x07";
        jpeg.splice(2..2, adobe.iter().copied());
    })]
    #[case::bytes_between_segments(|jpeg: &mut Vec<u8>| {
        let at = segment(jpeg, 0xdb);
        jpeg.splice(at..at, *b"padding");
    })]
    #[case::bytes_before_the_end(|jpeg: &mut Vec<u8>| {
        let at = jpeg.len() - 2;
        jpeg.splice(at..at, *b"padding");
    })]
    #[case::several_at_once(|jpeg: &mut Vec<u8>| {
        jpeg[11] = 2;
        let at = segment(jpeg, 0xda);
        let length = usize::from(jpeg[at + 3]);
        jpeg[at + 2 + length - 2] = 0;
        let at = segment(jpeg, 0xc4);
        jpeg.splice(at..at, *b"padding");
        jpeg.truncate(jpeg.len() - 2);
    })]
    fn remark_is_no_damage_and_hides_none(#[case] odd: fn(&mut Vec<u8>)) {
        let whole = luma(busy_picture()).unwrap();
        let mut jpeg = busy_picture();
        odd(&mut jpeg);
        let mut picture = Picture::default();
        for _ in 0..3 {
            picture.refill(&Pixels::Mjpeg(jpeg.clone())).unwrap();
            assert_eq!(picture.luma().bytes, whole);
        }
        // The same camera's frame, cut short, after odd frames and after usual ones.
        let cut = jpeg[..jpeg.len() * 2 / 3].to_vec();
        let told = picture.refill(&Pixels::Mjpeg(cut.clone())).unwrap_err().to_string();
        assert!(told.contains("premature end") || told.contains("Premature end"), "{told}");
        assert!(luma(cut).is_err());
        picture.refill(&Pixels::Mjpeg(jpeg)).unwrap();
        assert_eq!(picture.luma().bytes, whole);
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
