//! A small picture of what a camera sees, with every plate in it covered.
//!
//! In: a decoded picture and the boxes of the plates that were found in it. Out: a JPEG in which each box, and a
//! margin around it, is one flat colour: nothing of a plate is left that somebody could make out. Costs one pass over
//! the picture and a small JPEG, on the thread of whoever asks. Plates that were not found are not covered: at
//! [`WIDE`] pixels they are a few pixels high.

use super::candidate::Crop;
use super::jpeg::encode_rgb;
use super::picture::Picture;
use super::scale::{AREA, Region, Scaler};
use super::{VisionError, conditions};
use crate::geometry::Rect;

/// Width of the small picture in pixels, whatever the camera's is.
pub(in crate::onboard) const WIDE: u32 = 320;

/// Margin that is covered around a plate's box, as a fraction of its sides: a plate moves a little from one look to the
/// next, and a box may end within a character.
const MARGIN: f32 = 0.25;

/// Pixels of the small picture that are covered beyond that: what scaling and JPEG carry over an edge.
const BEYOND: f32 = 2.0;

/// Quality of the JPEG: it is looked at, and nobody keeps it.
const QUALITY: u8 = 75;

/// A small picture, and what is known of the whole one without any plate.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::onboard) struct Covered {
    pub(in crate::onboard) jpeg: Vec<u8>,
    /// How many boxes were covered.
    pub(in crate::onboard) plates: usize,
    /// Width and height of the camera's own picture.
    pub(in crate::onboard) size: (u32, u32),
    /// Mean luma, 0 to 255.
    pub(in crate::onboard) light: f32,
    /// See [`conditions::focus`].
    pub(in crate::onboard) focus: f32,
}

/// Makes one.
pub(in crate::onboard) fn covered(
    picture: &Picture,
    plates: &[Rect],
) -> Result<Covered, VisionError> {
    let size = picture.size();
    let scale = (WIDE as f32 / size.0.max(1) as f32).min(1.0);
    let side = |v: u32| ((v as f32 * scale).round() as u32).max(1);
    let (width, height) = (side(size.0), side(size.1));
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    let (mut scaler, whole) = (Scaler::default(), picture.bounds());
    scaler.scale(picture, &Region::Box(whole), (width, height), AREA, true).push_rgb(&mut rgb);
    let mut small = Crop { width, height, rgb };
    for plate in plates {
        cover(&mut small, plate, &whole);
    }
    Ok(Covered {
        jpeg: encode_rgb(&small.rgb, width, height, QUALITY)?,
        plates: plates.len(),
        size,
        light: conditions::light(picture),
        focus: conditions::focus(picture),
    })
}

/// Makes the place of a plate in a scaled part of its picture the mean of its own colours, so that nothing is left to be
/// read. `plate` is in the picture's pixels, `part` is what `crop` shows of it.
pub(super) fn cover(crop: &mut Crop, plate: &Rect, part: &Rect) {
    let scale = crop.width as f32 / part.w;
    let grown = plate.grown(MARGIN);
    let there = Rect {
        x: (grown.x - part.x) * scale - BEYOND,
        y: (grown.y - part.y) * scale - BEYOND,
        w: grown.w * scale + 2.0 * BEYOND,
        h: grown.h * scale + 2.0 * BEYOND,
    };
    let inside = there.clipped(crop.width as f32, crop.height as f32);
    let (x0, y0) = (inside.x.floor() as usize, inside.y.floor() as usize);
    let (x1, y1) = (inside.right().ceil() as usize, inside.bottom().ceil() as usize);
    let row = crop.width as usize * 3;
    let rows = |y: usize| y * row + x0 * 3..y * row + x1 * 3;
    let n = u64::try_from(x1.saturating_sub(x0) * y1.saturating_sub(y0)).unwrap_or(u64::MAX);
    if n == 0 {
        return;
    }
    let mut sums = [0_u64; 3];
    for y in y0..y1 {
        for pixel in crop.rgb[rows(y)].chunks_exact(3) {
            sums.iter_mut().zip(pixel).for_each(|(sum, v)| *sum += u64::from(*v));
        }
    }
    let mean = sums.map(|sum| u8::try_from(sum / n).unwrap_or(u8::MAX));
    for y in y0..y1 {
        crop.rgb[rows(y)].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&mean));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};

    /// A frame full of black and white bars, as lettering is.
    fn bars(width: u32, height: u32) -> Picture {
        let pixel =
            |i: u32| if (i % width / 6).is_multiple_of(2) { [20, 20, 20] } else { [230; 3] };
        let bytes = (0..width * height).flat_map(pixel).collect();
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width, height, bytes })).unwrap();
        picture
    }

    /// Spread of the luma within a box of the small picture.
    fn spread(jpeg: &[u8], there: Rect) -> f32 {
        let small = Picture::decode(&super::super::still(Pixels::Mjpeg(jpeg.to_vec()))).unwrap();
        let plane = small.luma();
        let mut values: Vec<u8> = Vec::new();
        for y in there.y as usize..there.bottom() as usize {
            let from = y * plane.stride as usize;
            values.extend(&plane.bytes[from + there.x as usize..from + there.right() as usize]);
        }
        let most = values.iter().max().unwrap();
        f32::from(*most) - f32::from(*values.iter().min().unwrap())
    }

    #[test]
    fn nothing_is_left_of_a_plate_that_was_found_and_the_rest_is_there() {
        let picture = bars(640, 360);
        let plate = Rect { x: 200.0, y: 120.0, w: 120.0, h: 60.0 };
        let over_the_edge = Rect { x: 600.0, y: 330.0, w: 80.0, h: 60.0 };
        let shown = covered(&picture, &[plate, over_the_edge]).unwrap();
        assert_eq!((shown.plates, shown.size), (2, (640, 360)));
        let header = turbojpeg::read_header(&shown.jpeg).unwrap();
        assert_eq!((header.width, header.height), (320, 180));
        let there = Rect { x: 100.0, y: 60.0, w: 60.0, h: 30.0 };
        assert!(spread(&shown.jpeg, there) <= 3.0, "{} levels", spread(&shown.jpeg, there));
        let corner = Rect { x: 301.0, y: 166.0, w: 19.0, h: 14.0 };
        assert!(spread(&shown.jpeg, corner) <= 3.0, "{} levels", spread(&shown.jpeg, corner));
        // The control: bars that are no plate are bars.
        let elsewhere = Rect { x: 220.0, y: 60.0, w: 60.0, h: 30.0 };
        assert!(spread(&shown.jpeg, elsewhere) > 150.0);
    }

    #[test]
    fn small_frame_stays_as_it_is_and_a_large_one_becomes_small() {
        for (size, expected) in [((200, 100), (200, 100)), ((1920, 1080), (320, 180))] {
            let shown = covered(&bars(size.0, size.1), &[]).unwrap();
            let header = turbojpeg::read_header(&shown.jpeg).unwrap();
            assert_eq!((header.width, header.height), expected);
            assert!(shown.jpeg.len() < 40_000, "{} bytes", shown.jpeg.len());
        }
    }
}
