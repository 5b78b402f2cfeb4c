//! Pictures from files: their orientation, and how much memory they may ask for.

use image::metadata::Orientation;
use image::{ImageEncoder as _, Rgb, RgbImage};
use rstest::rstest;

use super::*;
use crate::onboard::vision::Picture;
use crate::onboard::vision::jpeg::encode_rgb;

/// Red at the top left, green at the top right, blue at the bottom.
fn flag(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x < width / 2, y < height / 2) {
        (true, true) => Rgb([250, 20, 20]),
        (false, true) => Rgb([20, 250, 20]),
        _ => Rgb([20, 20, 250]),
    })
}

fn jpeg(image: &RgbImage) -> Vec<u8> {
    encode_rgb(image.as_raw(), image.width(), image.height(), 95).unwrap()
}

/// A JPEG with an Exif header that states how the camera was held.
fn held(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    let length = u16::try_from(exif.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

fn file(bytes: &[u8]) -> Result<Pixels, PictureFileError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture");
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

fn rgb(pixels: &Pixels) -> RgbImage {
    let mut picture = Picture::default();
    picture.refill(pixels).unwrap();
    let (width, height) = picture.size();
    RgbImage::from_raw(width, height, picture.to_rgb()).unwrap()
}

#[rstest]
fn picture_held_in_any_way_is_turned_upright(#[values(1, 2, 3, 4, 5, 6, 7, 8)] orientation: u8) {
    // The stored picture, rotated as the header says, is the flag.
    let upright = flag(64, 32);
    let mut stored = image::DynamicImage::from(upright);
    let back = match orientation {
        6 => Orientation::Rotate270,
        8 => Orientation::Rotate90,
        other => Orientation::from_exif(other).unwrap(),
    };
    stored.apply_orientation(back);
    let stored = stored.into_rgb8();
    let seen = rgb(&file(&held(&jpeg(&stored), orientation)).unwrap());
    assert_eq!(seen.dimensions(), (64, 32));
    let colour = |x, y| {
        let Rgb(channels) = seen.get_pixel(x, y);
        (0..3).max_by_key(|i| channels[*i]).unwrap()
    };
    assert_eq!((colour(8, 8), colour(56, 8), colour(8, 24), colour(56, 24)), (0, 1, 2, 2));
}

#[test]
fn picture_without_a_header_of_its_own_and_a_damaged_one_stay_as_they_are() {
    let plain = jpeg(&flag(64, 32));
    assert_eq!(file(&plain).unwrap().bytes(), plain);
    let cut = held(&plain, 6);
    let cut = &cut[..cut.len() / 2];
    let pixels = file(cut).unwrap();
    assert!(Picture::default().refill(&pixels).is_err(), "turning mends nothing");
    assert!(file(b"").unwrap().bytes().is_empty());
}

/// A PNG with a large size in its header and little data.
fn png(width: u32, height: u32, bits: u8, colour: u8) -> Vec<u8> {
    let chunk = |kind: &[u8; 4], body: &[u8]| {
        let mut crc = 0xffff_ffff_u32;
        for byte in kind.iter().chain(body) {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
            }
        }
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&length, kind.as_slice(), body, &(!crc).to_be_bytes()].concat()
    };
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, colour, 0, 0, 0]];
    let header = header.concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", b"x")].concat()
}

fn bmp(width: u32, height: u32) -> Vec<u8> {
    let mut out = b"BM".to_vec();
    out.extend([0; 8]);
    out.extend(54_u32.to_le_bytes());
    out.extend(40_u32.to_le_bytes());
    out.extend(width.to_le_bytes());
    out.extend(height.to_le_bytes());
    out.extend([1, 0, 24, 0]);
    out.extend([0; 24]);
    out
}

fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut small = Vec::new();
    image::codecs::webp::WebPEncoder::new_lossless(&mut small)
        .write_image(&[0; 8 * 8 * 3], 8, 8, image::ExtendedColorType::Rgb8)
        .unwrap();
    // After "VP8L", its length and a byte come width and height minus one, 14 bits each.
    let at = small.windows(4).position(|w| w == b"VP8L").unwrap() + 9;
    let bits = (width - 1) | (height - 1) << 14;
    let kept = u32::from_le_bytes(small[at..at + 4].try_into().unwrap()) & !0x0fff_ffff;
    small[at..at + 4].copy_from_slice(&(bits | kept).to_le_bytes());
    small
}

/// A JPEG with another size in its frame header.
fn jpeg_of(width: u16, height: u16) -> Vec<u8> {
    let mut bytes = jpeg(&flag(64, 32));
    let at = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap() + 5;
    bytes[at..at + 2].copy_from_slice(&height.to_be_bytes());
    bytes[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
    bytes
}

#[rstest]
#[case::png_of_134_megapixels(png(16_384, 8_192, 8, 2), "picture of 16384x8192")]
#[case::png_of_one_row(png(1_000_000, 1, 1, 0), "")]
#[case::png_of_sixteen_bits(
    png(8_192, 8_192, 16, 6),
    "picture of 8192x8192 decodes to 512 MiB: 256 at most"
)]
#[case::bmp(bmp(16_384, 16_384), "picture of 16384x16384")]
#[case::webp(webp(16_383, 16_383), "picture of 16383x16383")]
#[case::jpeg(jpeg_of(16_384, 16_384), "picture of 16384x16384")]
#[case::jpeg_that_asks_for_more_than_a_side(jpeg_of(60_000, 60_000), "picture of 60000x60000")]
fn size_is_judged_before_anything_is_decoded(#[case] bytes: Vec<u8>, #[case] told: &str) {
    let started = std::time::Instant::now();
    let refused = match file(&bytes) {
        // A JPEG is judged where it is decoded, like a camera's.
        Ok(pixels) => Picture::default().refill(&pixels).unwrap_err().to_string(),
        Err(e) => e.to_string(),
    };
    assert!(refused.starts_with(told), "{refused}");
    // Decoding any of them would take seconds.
    assert!(started.elapsed() < std::time::Duration::from_millis(500), "{:?}", started.elapsed());
}

#[test]
fn picture_of_endless_passes_is_refused() {
    let bytes = jpeg(&flag(64, 32));
    let scan = bytes.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let again = bytes[scan..bytes.len() - 2].repeat(150);
    let many = [&bytes[..scan], &again, &[0xff, 0xd9]].concat();
    assert!(check_scans(&bytes).is_ok());
    let told = check_scans(&many).unwrap_err().to_string();
    assert!(told.ends_with("more than 100 scans"), "{told}");
    assert!(matches!(decode(&many), Err(PictureFileError::Picture(_))));
}

#[test]
fn pictures_of_ordinary_sizes_come_as_pixels() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["png", "bmp", "webp"] {
        let path = folder.path().join(format!("flag.{ending}"));
        flag(64, 32).save(&path).unwrap();
        let Pixels::Rgb(raw) = read(&path).unwrap() else { panic!("pixels") };
        assert_eq!((raw.width, raw.height, &raw.bytes[..3]), (64, 32, &[250_u8, 20, 20][..]));
    }
}
