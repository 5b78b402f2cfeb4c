//! Pictures for the officer: the plate's own pixels, and the vehicle that carries it.

use super::candidate::Crop;
use super::covered::cover;
use super::picture::Picture;
use super::scale::{AREA, Region, Scaler};
use crate::geometry::Rect;

/// Widest crop in pixels: an alert shows no more, and a hit is sent over a radio link.
const WIDEST: f32 = 400.0;
/// Margin around the detection's box, as a fraction of its size: the frame of a plate shows a
/// person more about its origin than its characters do.
const MARGIN: f32 = 0.08;

/// Size of the part of the picture that shows the vehicle, in widths of its plate: a car is six American or
/// three and a half European plates wide.
const CONTEXT: (f32, f32) = (5.0, 3.75);
/// How far down the vehicle's picture its plate is, as a fraction: most plates hang low.
const PLATE_DOWN: f32 = 0.65;
/// Cuts a detection out in colour.
pub(super) fn crop(scaler: &mut Scaler, picture: &Picture, bbox: &Rect) -> Crop {
    cut(scaler, picture, bbox.grown(MARGIN)).0
}

/// Cuts out the vehicle around its plate, a few plate widths each way, so that an officer knows which of several
/// it is. Of every plate in `others` (boxes in the same picture) its place is filled with one colour, so that
/// nothing is left to be read.
pub(super) fn context(
    scaler: &mut Scaler,
    picture: &Picture,
    plate: &Rect,
    others: impl Iterator<Item = Rect>,
) -> Crop {
    let (w, h) = (plate.w * CONTEXT.0, plate.w * CONTEXT.1);
    let middle = plate.centre();
    let around = Rect { x: middle.x - w / 2.0, y: middle.y - h * PLATE_DOWN, w, h };
    let (mut crop, part) = cut(scaler, picture, around);
    for other in others {
        cover(&mut crop, &other, &part);
    }
    crop
}

/// Cuts a part of a picture out in colour, [`WIDEST`] pixels wide at most, and says which part that was once it
/// was clipped to whole pixels of the picture.
fn cut(scaler: &mut Scaler, picture: &Picture, part: Rect) -> (Crop, Rect) {
    let (w, h) = picture.size();
    let clipped = part.clipped(w as f32, h as f32);
    let (x, y) = (clipped.x.floor(), clipped.y.floor());
    let part = Rect { x, y, w: clipped.right().ceil() - x, h: clipped.bottom().ceil() - y };
    let scale = (WIDEST / part.w).min(1.0);
    let size = |v: f32| ((v * scale).round() as u32).max(1);
    let (width, height) = (size(part.w), size(part.h));
    let small = scaler.scale(picture, &Region::Box(part), (width, height), AREA, true);
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    small.push_rgb(&mut rgb);
    (Crop { width, height, rgb }, part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};

    #[test]
    fn crop_keeps_pixels_and_colours() {
        let (w, h) = (120_u32, 60_u32);
        let bytes: Vec<u8> = (0..w * h)
            .flat_map(|i| if i % w < 60 { [220, 40, 40] } else { [30, 60, 200] })
            .collect();
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width: w, height: h, bytes })).unwrap();
        let bbox = Rect { x: 10.0, y: 10.0, w: 100.0, h: 25.0 };
        let crop = crop(&mut Scaler::default(), &picture, &bbox);
        assert_eq!((crop.width, crop.height), (116, 29));
        assert_eq!(crop.rgb.len(), 116 * 29 * 3);
        for (got, want) in crop.rgb[..3].iter().zip([220_u8, 40, 40]) {
            assert!(got.abs_diff(want) < 4, "{:?}", &crop.rgb[..3]);
        }
    }

    /// Black and white columns of two pixels each: what a covered place has none of.
    fn striped(w: u32, h: u32) -> Picture {
        let bytes = (0..w * h).flat_map(|i| [if i % w % 4 < 2 { 0 } else { 255 }; 3]).collect();
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width: w, height: h, bytes })).unwrap();
        picture
    }

    fn pixel(crop: &Crop, x: u32, y: u32) -> u8 {
        crop.rgb[((y * crop.width + x) * 3) as usize]
    }

    #[test]
    fn context_is_a_few_plate_widths_around_and_stays_in_the_picture() {
        let picture = striped(640, 360);
        let plate = Rect { x: 300.0, y: 200.0, w: 60.0, h: 20.0 };
        let crop = context(&mut Scaler::default(), &picture, &plate, std::iter::empty());
        assert_eq!((crop.width, crop.height), (300, 226));
        let corner = Rect { x: 600.0, y: 330.0, w: 60.0, h: 20.0 };
        let crop = context(&mut Scaler::default(), &picture, &corner, std::iter::empty());
        assert_eq!((crop.width, crop.height), (160, 167));
        let near = Rect { x: 100.0, y: 100.0, w: 400.0, h: 120.0 };
        let crop = context(&mut Scaler::default(), &picture, &near, std::iter::empty());
        assert_eq!((crop.width, crop.height), (400, 225));
    }

    #[test]
    fn other_plates_in_the_context_are_one_colour() {
        let picture = striped(640, 360);
        let plate = Rect { x: 300.0, y: 200.0, w: 60.0, h: 20.0 };
        let other = Rect { x: 380.0, y: 190.0, w: 48.0, h: 16.0 };
        let away = Rect { x: 10.0, y: 10.0, w: 48.0, h: 16.0 };
        let crop = context(&mut Scaler::default(), &picture, &plate, [other, away].into_iter());
        // The part begins at (180, 63).
        let spread = |x: std::ops::Range<u32>, y: u32| {
            let row: Vec<u8> = x.map(|x| pixel(&crop, x, y)).collect();
            row.iter().max().unwrap() - row.iter().min().unwrap()
        };
        for y in [126, 135, 144] {
            assert_eq!(spread(192..256, y), 0, "row {y} of the other plate is readable");
        }
        assert!(spread(120..180, 147) > 200, "the vehicle's own plate is not covered");
        assert!(spread(0..60, 20) > 200, "what is no plate is not covered");
    }

    #[test]
    fn wide_plate_is_made_smaller_for_the_link() {
        let bytes = vec![90; 1000 * 300 * 3];
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width: 1000, height: 300, bytes })).unwrap();
        let bbox = Rect { x: 50.0, y: 50.0, w: 800.0, h: 160.0 };
        assert_eq!(crop(&mut Scaler::default(), &picture, &bbox).width, 400);
    }
}
