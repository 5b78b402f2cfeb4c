//! Converts luma and colour difference to the values of a network's input.
//!
//! A small picture's planes come in, its rows go out, as grey or as red, green and blue. All
//! arithmetic is 16-bit, which every supported processor does for eight pixels at a time: it costs
//! a tenth of floats and is at most one level away from them.

use super::picture::Range;

/// A small picture: planes of equal size without padding.
pub(super) struct Small<'a> {
    pub(super) width: u32,
    pub(super) luma: &'a [u8],
    /// Blue and red difference; `None` for a grey picture.
    pub(super) chroma: Option<[&'a [u8]; 2]>,
    pub(super) range: Range,
}

impl Small<'_> {
    /// Appends R G B per pixel.
    pub(super) fn push_rgb(&self, out: &mut Vec<u8>) {
        self.rows(false, |_, [r, g, b]| {
            for ((r, g), b) in r.iter().zip(g).zip(b) {
                out.extend([r, g, b]);
            }
        });
    }

    /// Calls `take` with each row's number and its channels: R, G, B, or the same grey three times.
    pub(super) fn rows(&self, grey: bool, mut take: impl FnMut(usize, [&[u8]; 3])) {
        let w = self.width as usize;
        let matrix = Matrix::of(self.range);
        let (mut r, mut g, mut b) = (vec![0; w], vec![0; w], vec![0; w]);
        for (j, luma) in self.luma.chunks_exact(w).enumerate() {
            let Some([cb, cr]) = self.chroma.filter(|_| !grey) else {
                g.iter_mut().zip(luma).for_each(|(g, y)| *g = level(matrix.luma(*y)));
                take(j, [&g, &g, &g]);
                continue;
            };
            let (cb, cr) = (&cb[j * w..(j + 1) * w], &cr[j * w..(j + 1) * w]);
            let colours = r.iter_mut().zip(&mut g).zip(&mut b);
            for ((((r, g), b), y), (cb, cr)) in colours.zip(luma).zip(cb.iter().zip(cr)) {
                [*r, *g, *b] = matrix.rgb(*y, *cb, *cr);
            }
            take(j, [&r, &g, &b]);
        }
    }
}

/// Fractional bits of a level in [`Matrix`].
const FRACTION: u32 = 5;

/// Factors from Y Cb Cr to R G B (JFIF, ITU-R BT.601).
struct Matrix {
    black: i16,
    /// By how much luma is stretched beyond 1.
    luma: i16,
    red: i16,
    green: [i16; 2],
    blue: i16,
}

impl Matrix {
    fn of(range: Range) -> Self {
        let (black, luma, chroma) = match range {
            Range::Full => (0, 1.0, 1.0),
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
        };
        // `luma` and `rgb` multiply by these, take the upper 16 bits, and have FRACTION bits left.
        let (of_luma, of_chroma) = (f32::from(1_u16 << 14), f32::from(1_u16 << 13));
        let fixed = |factor: f32, one: f32| (factor * one).round() as i16;
        Self {
            black,
            luma: fixed(luma - 1.0, of_luma),
            red: fixed(1.402 * chroma, of_chroma),
            green: [0.344_136, 0.714_136].map(|f| fixed(f * chroma, of_chroma)),
            blue: fixed(1.772 * chroma, of_chroma),
        }
    }

    fn luma(&self, y: u8) -> i16 {
        let y = i16::from(y) - self.black;
        (y << FRACTION) + product(y << 7, self.luma)
    }

    fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        let y = self.luma(y);
        let [cb, cr] = [cb, cr].map(|c| (i16::from(c) - 128) << 8);
        [
            y + product(cr, self.red),
            y - product(cb, self.green[0]) - product(cr, self.green[1]),
            y + product(cb, self.blue),
        ]
        .map(level)
    }
}

/// The upper half of a product.
fn product(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// Rounds to a level from 0 to 255.
fn level(value: i16) -> u8 {
    ((value + (1 << (FRACTION - 1))) >> FRACTION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_is_within_a_level_of_the_formula() {
        for range in [Range::Full, Range::Limited] {
            let matrix = Matrix::of(range);
            let (black, luma, chroma) = match range {
                Range::Full => (0.0, 1.0, 1.0),
                Range::Limited => (16.0, 255.0 / 219.0, 255.0 / 224.0),
            };
            // Steps that divide 255 but do not hit the ends only.
            for (y, cb, cr) in (0..=255_u8).step_by(5).flat_map(|y| {
                (0..=255_u8)
                    .step_by(15)
                    .flat_map(move |b| (0..=255_u8).step_by(15).map(move |r| (y, b, r)))
            }) {
                let [v, b, r] = [y, cb, cr].map(f32::from);
                let (v, b, r) = ((v - black) * luma, (b - 128.0) * chroma, (r - 128.0) * chroma);
                let expected = [v + 1.402 * r, v - 0.344_136 * b - 0.714_136 * r, v + 1.772 * b];
                for (got, expected) in matrix.rgb(y, cb, cr).into_iter().zip(expected) {
                    let off = f32::from(got) - expected.clamp(0.0, 255.0);
                    assert!(off.abs() <= 1.0, "{range:?} {y} {cb} {cr}: {got}, not {expected}");
                }
            }
        }
    }

    #[test]
    fn black_and_white_stay_black_and_white() {
        for (range, black, white) in [(Range::Full, 0, 255), (Range::Limited, 16, 235)] {
            let luma = [black, white];
            let small =
                Small { width: 2, luma: &luma, chroma: Some([&[128; 2], &[128; 2]]), range };
            let mut rgb = Vec::new();
            small.push_rgb(&mut rgb);
            assert_eq!(rgb, [0, 0, 0, 255, 255, 255], "{range:?}");
        }
    }
}
