//! The plate's own pixels for the officer's eye.

use super::candidate::Crop;
use super::picture::Picture;
use super::scale::{AREA, Region, Scaler};
use crate::geometry::Rect;

/// Widest crop in pixels: an alert shows no more, and a hit is sent over a radio link.
const WIDEST: f32 = 400.0;
/// Margin around the detection's box, as a fraction of its size: the frame of the plate tells a
/// person more about where it is from than its characters do.
const MARGIN: f32 = 0.08;

/// Cuts a detection out in colour.
pub(super) fn crop(scaler: &mut Scaler, picture: &Picture, bbox: &Rect) -> Crop {
    let (w, h) = picture.size();
    let grown = bbox.grown(MARGIN).clipped(w as f32, h as f32);
    let (x, y) = (grown.x.floor(), grown.y.floor());
    let part = Rect { x, y, w: grown.right().ceil() - x, h: grown.bottom().ceil() - y };
    let scale = (WIDEST / part.w).min(1.0);
    let size = |v: f32| ((v * scale).round() as u32).max(1);
    let (width, height) = (size(part.w), size(part.h));
    let small = scaler.scale(picture, &Region::Box(part), (width, height), AREA, true);
    let mut rgb = Vec::with_capacity((width * height * 3) as usize);
    small.push_rgb(&mut rgb);
    Crop { width, height, rgb }
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

    #[test]
    fn wide_plate_is_made_smaller_for_the_link() {
        let bytes = vec![90; 1000 * 300 * 3];
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width: 1000, height: 300, bytes })).unwrap();
        let bbox = Rect { x: 50.0, y: 50.0, w: 800.0, h: 160.0 };
        assert_eq!(crop(&mut Scaler::default(), &picture, &bbox).width, 400);
    }
}
