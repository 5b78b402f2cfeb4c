//! Converts planes to a network's input: they are scaled first ([`Scaler`]), then the small picture
//! is converted.
//!
//! The same code makes the detector's letterboxed input from a whole frame, and cuts out plates for
//! the OCR. Colours are converted by `colour`.

use fast_image_resize::ResizeAlg;

use super::colour::Small;
use super::picture::Picture;
use super::scale::{Region, Scaler, sides};
use crate::geometry::{Point, Rect};

/// Order of the colour values of a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colour {
    Rgb,
    Bgr,
    Grey,
}

impl Colour {
    pub(super) fn channels(self) -> usize {
        if self == Self::Grey { 1 } else { 3 }
    }
}

/// Order of the values of a network's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Channels before rows: `[n, c, h, w]`.
    ChannelsFirst,
    /// Channels last: `[n, h, w, c]`.
    ChannelsLast,
    /// Blocks of 2x2 pixels, row by row with their channels: `[n, h/2, w/2, 4c]`. Our detector's first
    /// convolution takes half the time on them (`docs/decisions/0034-blocks-of-pixels.md`).
    Blocks,
}

impl Layout {
    /// Which dimensions of an input's shape are the height and the width.
    pub(super) fn sides(self) -> std::ops::Range<usize> {
        if self == Self::ChannelsFirst { 2..4 } else { 1..3 }
    }
}

/// How a region is fitted to the network's input size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fit {
    /// Width and height are scaled independently.
    Stretch,
    /// The aspect ratio is kept; the rest has this grey level.
    Letterbox {
        /// Whether the picture sits in the middle instead of in the top left corner.
        centre: bool,
        /// Level of the padding, 0 to 255.
        fill: u8,
    },
}

/// A network's input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InputSpec {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) layout: Layout,
    /// Bytes as they are, and not floats.
    pub(super) bytes: bool,
    pub(super) colour: Colour,
    /// value = (pixel - mean) * scale, one mean per channel in the order of `colour`.
    pub(super) scale: f32,
    pub(super) mean: [f32; 3],
    pub(super) fit: Fit,
    pub(super) filter: ResizeAlg,
}

/// The values that go into a network.
#[derive(Debug)]
pub(super) enum Values {
    /// As floats.
    F32(Vec<f32>),
    /// As bytes.
    U8(Vec<u8>),
}

/// Where a region is in the network's input, to map points back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    origin: Point,
    /// Picture pixels per input pixel.
    scale: Point,
    /// Padding left and above, in input pixels.
    pad: Point,
}

impl Placed {
    /// Converts input pixels to picture pixels.
    pub(super) fn back(&self, p: Point) -> Point {
        Point {
            x: self.origin.x + (p.x - self.pad.x) * self.scale.x,
            y: self.origin.y + (p.y - self.pad.y) * self.scale.y,
        }
    }

    /// Number of picture pixels, side by side, that one input pixel covers.
    pub(super) fn pixels_per_input_pixel(&self) -> f32 {
        self.scale.x
    }
}

/// Fills a network's input with regions of pictures; keeps its buffers.
pub(super) struct Feeder {
    pub(super) spec: InputSpec,
    scaler: Scaler,
    values: Values,
    /// Size of the picture part at each position of the batch, so that padding is painted only when
    /// it changes.
    painted: Vec<(u32, u32)>,
}

impl Feeder {
    pub(super) fn new(spec: InputSpec) -> Self {
        let values = if spec.bytes { Values::U8(Vec::new()) } else { Values::F32(Vec::new()) };
        Self { spec, scaler: Scaler::default(), values, painted: Vec::new() }
    }

    /// Shape of the input for `n` regions.
    pub(super) fn shape(&self, n: usize) -> [usize; 4] {
        let s = &self.spec;
        let (w, h, c) = (s.width as usize, s.height as usize, s.colour.channels());
        match s.layout {
            Layout::ChannelsFirst => [n, c, h, w],
            Layout::ChannelsLast => [n, h, w, c],
            Layout::Blocks => [n, h / 2, w / 2, 4 * c],
        }
    }

    /// The values of the first `n` regions.
    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// Puts a region at position `i` of the batch. Positions are filled from 0 upwards.
    pub(super) fn put(&mut self, i: usize, picture: &Picture, region: &Region) -> Placed {
        let spec = &self.spec;
        let (size, pad) = fitted(spec, region);
        let place = self.shape(1).iter().product::<usize>();
        let spec = &self.spec;
        match &mut self.values {
            Values::F32(v) if v.len() < (i + 1) * place => v.resize((i + 1) * place, 0.0),
            Values::U8(v) if v.len() < (i + 1) * place => v.resize((i + 1) * place, 0),
            _ => {}
        }
        if self.painted.len() <= i {
            self.painted.resize(i + 1, (0, 0));
        }
        let repaint = self.painted[i] != size;
        self.painted[i] = size;
        let grey = spec.colour == Colour::Grey;
        let small = self.scaler.scale(picture, region, size, spec.filter, !grey);
        let range = i * place..(i + 1) * place;
        match &mut self.values {
            Values::F32(v) => {
                let out = &mut v[range];
                if repaint {
                    paint(spec, out, |level, mean| (f32::from(level) - mean) * spec.scale);
                }
                write(spec, &small, pad, out, |level, mean| (f32::from(level) - mean) * spec.scale);
            }
            Values::U8(v) => {
                let out = &mut v[range];
                if repaint {
                    paint(spec, out, |level, _| level);
                }
                write(spec, &small, pad, out, |level, _| level);
            }
        }
        placed(region, size, pad)
    }
}

/// Size of the picture part and the padding left and above it.
fn fitted(spec: &InputSpec, region: &Region) -> ((u32, u32), (u32, u32)) {
    let Fit::Letterbox { centre, .. } = spec.fit else {
        return ((spec.width, spec.height), (0, 0));
    };
    let (w, h) = match region {
        Region::Box(r) => (r.w, r.h),
        Region::Corners(q) => sides(q),
    };
    let s = (spec.width as f32 / w.max(1.0)).min(spec.height as f32 / h.max(1.0));
    // A little is added, so that 1280 * (640 / 1280) is not 639.
    let fit = |v: f32, most: u32| ((v * s + 1e-3) as u32).clamp(1, most);
    let size = (fit(w, spec.width), fit(h, spec.height));
    let half = |room: u32| match spec.layout {
        _ if !centre => 0,
        Layout::Blocks => room / 4 * 2, // even, so that a row begins with a block
        Layout::ChannelsFirst | Layout::ChannelsLast => room / 2,
    };
    (size, (half(spec.width - size.0), half(spec.height - size.1)))
}

fn placed(region: &Region, size: (u32, u32), pad: (u32, u32)) -> Placed {
    let bounds = match region {
        Region::Box(r) => *r,
        Region::Corners(q) => Rect::around(q),
    };
    Placed {
        origin: Point { x: bounds.x, y: bounds.y },
        scale: Point { x: bounds.w / size.0 as f32, y: bounds.h / size.1 as f32 },
        pad: Point { x: pad.0 as f32, y: pad.1 as f32 },
    }
}

fn paint<T: Copy>(spec: &InputSpec, out: &mut [T], value: impl Fn(u8, f32) -> T) {
    let Fit::Letterbox { fill, .. } = spec.fit else { return };
    let channels = spec.colour.channels();
    let levels: Vec<T> = spec.mean[..channels].iter().map(|m| value(fill, *m)).collect();
    if spec.layout == Layout::ChannelsFirst {
        let plane = out.len() / channels;
        for (channel, level) in out.chunks_exact_mut(plane).zip(levels) {
            channel.fill(level);
        }
    } else {
        out.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(&levels));
    }
}

fn write<T: Copy>(
    spec: &InputSpec,
    small: &Small<'_>,
    pad: (u32, u32),
    out: &mut [T],
    value: impl Fn(u8, f32) -> T,
) {
    let pad = (pad.0 as usize, pad.1 as usize);
    small.rows(spec.colour == Colour::Grey, |j, [r, g, b]| {
        let y = j + pad.1;
        match spec.colour {
            Colour::Rgb => write_row(spec, [r, g, b], (pad.0, y), out, &value),
            Colour::Bgr => write_row(spec, [b, g, r], (pad.0, y), out, &value),
            Colour::Grey => write_row(spec, [r], (pad.0, y), out, &value),
        }
    });
}

/// One row of C channels, from pixel (x, y) of the input.
fn write_row<T: Copy, const C: usize>(
    spec: &InputSpec,
    row: [&[u8]; C],
    (x, y): (usize, usize),
    out: &mut [T],
    value: impl Fn(u8, f32) -> T,
) {
    let (w, h) = (spec.width as usize, spec.height as usize);
    match spec.layout {
        Layout::ChannelsFirst => {
            for (c, (row, mean)) in row.iter().zip(spec.mean).enumerate() {
                let to = &mut out[(c * h + y) * w + x..][..row.len()];
                to.iter_mut().zip(*row).for_each(|(to, v)| *to = value(*v, mean));
            }
        }
        Layout::ChannelsLast => {
            let pixels = out[(y * w + x) * C..].chunks_exact_mut(C).take(row[0].len());
            for (i, to) in pixels.enumerate() {
                for (c, to) in to.iter_mut().enumerate() {
                    *to = value(row[c][i], spec.mean[c]);
                }
            }
        }
        Layout::Blocks => {
            // Two pixels of the row are adjacent in every block; x is even.
            let blocks = &mut out[((y & !1) * w + 2 * x + y % 2 * 2) * C..];
            let pairs = row.map(|channel| channel.as_chunks::<2>());
            for (i, to) in blocks.chunks_mut(4 * C).take(pairs[0].0.len()).enumerate() {
                for c in 0..C {
                    let [left, right] = pairs[c].0[i];
                    (to[c], to[C + c]) = (value(left, spec.mean[c]), value(right, spec.mean[c]));
                }
            }
            let last = pairs[0].0.len() * 4 * C;
            for c in 0..C {
                if let [odd] = pairs[c].1 {
                    blocks[last + c] = value(*odd, spec.mean[c]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scale::{AREA, LINEAR};
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};

    fn spec(width: u32, height: u32, colour: Colour, fit: Fit) -> InputSpec {
        InputSpec {
            width,
            height,
            layout: Layout::ChannelsFirst,
            bytes: false,
            colour,
            scale: 1.0,
            mean: [0.0; 3],
            fit,
            filter: AREA,
        }
    }

    /// Left half one colour, right half another.
    fn two_colours(w: u32, h: u32, left: [u8; 3], right: [u8; 3]) -> Picture {
        let mut bytes = Vec::new();
        for _ in 0..h {
            (0..w).for_each(|x| bytes.extend(if x < w / 2 { left } else { right }));
        }
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width: w, height: h, bytes })).unwrap();
        picture
    }

    fn floats(feeder: &Feeder) -> &[f32] {
        let Values::F32(v) = feeder.values() else { panic!("float input") };
        v
    }

    #[test]
    fn colours_arrive_in_the_order_asked_for() {
        let picture = two_colours(64, 32, [200, 100, 50], [10, 20, 30]);
        for (colour, expected) in
            [(Colour::Rgb, [200., 100., 50.]), (Colour::Bgr, [50., 100., 200.])]
        {
            let mut feeder = Feeder::new(spec(16, 8, colour, Fit::Stretch));
            feeder.put(0, &picture, &Region::Box(picture.bounds()));
            for (c, want) in expected.iter().enumerate() {
                let got = floats(&feeder)[c * 128];
                assert!((got - want).abs() < 2.5, "{colour:?} channel {c}: {got}, not {want}");
            }
        }
    }

    #[test]
    fn channels_last_and_bytes() {
        let picture = two_colours(64, 32, [200, 100, 50], [10, 20, 30]);
        let mut feeder = Feeder::new(InputSpec {
            layout: Layout::ChannelsLast,
            bytes: true,
            ..spec(16, 8, Colour::Rgb, Fit::Stretch)
        });
        feeder.put(0, &picture, &Region::Box(picture.bounds()));
        let Values::U8(v) = feeder.values() else { panic!("byte input") };
        for (got, want) in v[..3].iter().zip([200_u8, 100, 50]) {
            assert!(got.abs_diff(want) < 3);
        }
        assert_eq!(feeder.shape(4), [4, 8, 16, 3]);
    }

    #[test]
    fn blocks_hold_the_pixels_of_two_rows() {
        let mut bytes = Vec::new();
        (0..16 * 12_u8).for_each(|i| bytes.extend([i, i / 2, 200]));
        let mut picture = Picture::default();
        picture.refill(&Pixels::Rgb(Raw { width: 16, height: 12, bytes })).unwrap();
        let odd = Rect { x: 0.0, y: 0.0, w: 5.5, h: 12.0 }; // 11 pixels wide in the input
        let centre = Fit::Letterbox { centre: true, fill: 114 };
        let whole = picture.bounds();
        for (fit, part) in [(Fit::Stretch, whole), (centre, whole), (centre, odd)] {
            let input = |layout| {
                let mut feeder =
                    Feeder::new(InputSpec { layout, ..spec(16, 24, Colour::Bgr, fit) });
                feeder.put(0, &picture, &Region::Box(part));
                (feeder.shape(1), floats(&feeder).to_vec())
            };
            let (shape, pixels) = input(Layout::ChannelsLast);
            assert_eq!(shape, [1, 24, 16, 3]);
            let (shape, blocks) = input(Layout::Blocks);
            assert_eq!(shape, [1, 12, 8, 12]);
            for y in 0..24 {
                for x in 0..16 {
                    let block = &blocks[(y / 2 * 8 + x / 2) * 12..][..12];
                    let pixel = &block[(y % 2 * 2 + x % 2) * 3..][..3];
                    assert_eq!(pixel, &pixels[(y * 16 + x) * 3..][..3], "{fit:?}: ({x}, {y})");
                }
            }
        }
    }

    #[test]
    fn letterbox_pads_and_points_find_their_way_back() {
        let picture = two_colours(640, 320, [200, 200, 200], [10, 10, 10]);
        for (centre, above) in [(false, 0.0), (true, 8.0)] {
            let fit = Fit::Letterbox { centre, fill: 114 };
            let mut feeder = Feeder::new(spec(64, 48, Colour::Grey, fit));
            let placed = feeder.put(0, &picture, &Region::Box(picture.bounds()));
            let v = floats(&feeder);
            assert_eq!(v[47 * 64], 114.0, "below the picture");
            assert_eq!(v[20 * 64], 200.0, "inside the picture");
            let p = placed.back(Point { x: 32.0, y: above + 16.0 });
            assert_eq!((p.x, p.y), (320.0, 160.0));
        }
    }

    #[test]
    fn padding_is_painted_again_when_the_aspect_changes() {
        let fit = Fit::Letterbox { centre: false, fill: 114 };
        let mut feeder = Feeder::new(spec(64, 64, Colour::Grey, fit));
        let wide = two_colours(640, 320, [200; 3], [200; 3]);
        let tall = two_colours(320, 640, [200; 3], [200; 3]);
        feeder.put(0, &tall, &Region::Box(tall.bounds()));
        assert_eq!(floats(&feeder)[63 * 64], 200.0);
        feeder.put(0, &wide, &Region::Box(wide.bounds()));
        assert_eq!(floats(&feeder)[63 * 64], 114.0);
    }

    #[test]
    fn corners_of_an_upright_box_give_the_same_as_the_box() {
        let picture = two_colours(200, 100, [255; 3], [0; 3]);
        let r = Rect { x: 50.0, y: 20.0, w: 100.0, h: 40.0 };
        let corner = |x, y| Point { x, y };
        let quad =
            [corner(50.0, 20.0), corner(150.0, 20.0), corner(150.0, 60.0), corner(50.0, 60.0)];
        let mut a = Feeder::new(spec(50, 20, Colour::Grey, Fit::Stretch));
        let mut b = Feeder::new(InputSpec { filter: LINEAR, ..a.spec.clone() });
        a.put(0, &picture, &Region::Corners(quad));
        b.put(0, &picture, &Region::Box(r));
        let worst =
            floats(&a).iter().zip(floats(&b)).map(|(a, b)| (a - b).abs()).fold(0., f32::max);
        assert!(worst <= 1.0, "{worst}");
    }

    #[test]
    fn region_at_or_past_the_edge_does_not_panic() {
        let picture = two_colours(101, 53, [255; 3], [0; 3]);
        let mut feeder = Feeder::new(spec(32, 16, Colour::Rgb, Fit::Stretch));
        for r in [
            Rect { x: 100.5, y: 52.5, w: 0.5, h: 0.5 },
            Rect { x: -10.0, y: -10.0, w: 300.0, h: 300.0 },
            Rect { x: 500.0, y: 500.0, w: 10.0, h: 10.0 },
            Rect { x: 10.0, y: 10.0, w: 0.0, h: 0.0 },
        ] {
            feeder.put(0, &picture, &Region::Box(r));
        }
    }

    #[test]
    fn limited_range_black_and_white_become_full() {
        let mut picture = Picture::default();
        let bytes = [[16_u8, 128, 235, 128]; 8 * 16].concat();
        picture.refill(&Pixels::Yuyv(Raw { width: 16, height: 16, bytes })).unwrap();
        let mut feeder = Feeder::new(spec(16, 16, Colour::Rgb, Fit::Stretch));
        feeder.put(0, &picture, &Region::Box(picture.bounds()));
        assert_eq!(floats(&feeder)[..2], [0.0, 255.0]);
    }
}
