//! Writes labels into pictures: annotated frames, test cards, the small lettering of plates.

use image::{Rgb, RgbImage};

use super::glyphs;
use super::stroke::Style;

/// The style of labels: lighter than a plate's, with small round corners.
pub const LABEL: Style = Style { weight: 0.13, rounding: 0.03, stretch: 1.0 };

/// Space between two characters of a label, in capitals' heights.
const GAP: f32 = 0.16;

/// Writes a line of text with its capitals' top left corner at (`x`, `y`) and capitals `height`
/// pixels high; what lies outside the picture is cut. Returns the width in pixels.
///
/// Costs some 30 ns per pixel of the text's box: for labels, not for whole pages.
pub fn draw(image: &mut RgbImage, x: f32, y: f32, height: f32, colour: Rgb<u8>, text: &str) -> f32 {
    draw_styled(image, x, y, height, colour, text, LABEL, GAP)
}

/// The width in pixels of this text at this height, as [`draw`] returns it.
pub fn width(height: f32, text: &str) -> f32 {
    width_styled(height, text, LABEL, GAP)
}

pub(super) fn width_styled(height: f32, text: &str, style: Style, gap: f32) -> f32 {
    let cells: f32 = text.chars().map(|c| glyphs::width(c, style) + gap).sum();
    (cells - gap).max(0.0) * height
}

#[expect(clippy::too_many_arguments, reason = "a place, a size, a look and the text: all plain")]
pub(super) fn draw_styled(
    image: &mut RgbImage,
    x: f32,
    y: f32,
    height: f32,
    colour: Rgb<u8>,
    text: &str,
    style: Style,
    gap: f32,
) -> f32 {
    let mut pen = x;
    for c in text.chars() {
        if c != ' ' {
            glyph(image, pen, y, height, colour, c, style);
        }
        pen += (glyphs::width(c, style) + gap) * height;
    }
    (pen - x - gap * height).max(0.0)
}

fn glyph(
    image: &mut RgbImage,
    x: f32,
    y: f32,
    height: f32,
    colour: Rgb<u8>,
    c: char,
    style: Style,
) {
    let outline = glyphs::outline(c, style);
    let [left, top, right, bottom] = outline.ink();
    // One pixel more on every side, for the soft edge.
    let inside = |v: f32, end: u32| (v.max(0.0) as u32).min(end);
    let columns = inside(x + left * height - 1.0, image.width())
        ..inside(x + right * height + 2.0, image.width());
    for py in inside(y + top * height - 1.0, image.height())
        ..inside(y + bottom * height + 2.0, image.height())
    {
        for px in columns.clone() {
            let (u, v) = ((px as f32 + 0.5 - x) / height, (py as f32 + 0.5 - y) / height);
            let cover = (0.5 - outline.distance(u, v) * height).clamp(0.0, 1.0);
            if cover > 0.0 {
                let pixel = image.get_pixel_mut(px, py);
                for (old, new) in pixel.0.iter_mut().zip(colour.0) {
                    let (from, to) = (f32::from(*old), f32::from(new));
                    *old = (from + (to - from) * cover + 0.5) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_over_the_picture_edge_is_cut() {
        let mut image = RgbImage::new(20, 10);
        let w = draw(&mut image, -8.0, -3.0, 14.0, Rgb([255, 255, 255]), "Wide label");
        assert!((w - width(14.0, "Wide label")).abs() < 1e-3 && w > 60.0);
        assert!(image.pixels().any(|p| p.0 == [255, 255, 255]));
        draw(&mut image, 500.0, 500.0, 14.0, Rgb([255, 0, 0]), "far outside");
        assert!(image.pixels().all(|p| p.0 != [255, 0, 0]));
    }

    #[test]
    fn ink_is_where_the_bar_of_an_l_is() {
        let mut image = RgbImage::new(40, 40);
        draw(&mut image, 4.0, 4.0, 32.0, Rgb([200, 100, 50]), "L");
        assert_eq!(image.get_pixel(6, 20).0, [200, 100, 50]);
        assert_eq!(image.get_pixel(14, 34).0, [200, 100, 50]);
        assert_eq!(image.get_pixel(14, 12).0, [0, 0, 0]);
    }
}
