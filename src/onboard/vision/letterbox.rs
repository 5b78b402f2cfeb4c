//! From planes to a network's input: scale first, then convert the small picture.
//!
//! Luma and chroma are scaled separately from the size in which the camera sent them, so a 1080p
//! frame on its way to a 640x384 network is never a full-size RGB picture. The same path cuts
//! plates for the OCR, upright or rectified by their corners. Colours are `colour`'s.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{
    CropBox, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, SrcCropping,
};

use super::colour::Small;
use super::picture::{Picture, Plane};
use crate::geometry::{Point, Quad, Rect};

/// What part of a picture to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// An upright box.
    Box(Rect),
    /// What lies between four corners, flattened.
    Corners(Quad),
}

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

/// How a region is fitted to the network's input size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fit {
    /// Width and height are scaled apart.
    Stretch,
    /// The aspect is kept; what is left over has this grey level.
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
    /// Channels before rows (`nchw`), or last (`nhwc`).
    pub(super) channels_first: bool,
    /// Bytes as they are, instead of floats.
    pub(super) bytes: bool,
    pub(super) colour: Colour,
    /// value = (pixel - mean) * scale, one mean per channel in the order of `colour`.
    pub(super) scale: f32,
    pub(super) mean: [f32; 3],
    pub(super) fit: Fit,
    pub(super) filter: ResizeAlg,
}

/// The mean of the source pixels under a target pixel, as the detectors were trained with (OpenCV's
/// INTER_AREA); bilinear where a picture has to grow. Measured on the prototype's development half:
/// reads of US frames 87.4 % folded, 84.7 % with a triangle filter, 86.5 % without antialiasing.
pub(super) const AREA: ResizeAlg = ResizeAlg::Convolution(FilterType::Box);
/// The filter with which the OCR's training crops were made.
pub(super) const LINEAR: ResizeAlg = ResizeAlg::Interpolation(FilterType::Bilinear);

/// The values that go into a network.
#[derive(Debug)]
pub(super) enum Values {
    /// As floats.
    F32(Vec<f32>),
    /// As bytes.
    U8(Vec<u8>),
}

/// Where a region came to lie in the network's input, to find the way back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    origin: Point,
    /// Picture pixels per input pixel.
    scale: Point,
    /// Padding left and above, in input pixels.
    pad: Point,
}

impl Placed {
    /// From input pixels to picture pixels.
    pub(super) fn back(&self, p: Point) -> Point {
        Point {
            x: self.origin.x + (p.x - self.pad.x) * self.scale.x,
            y: self.origin.y + (p.y - self.pad.y) * self.scale.y,
        }
    }
}

/// Scales regions of pictures; keeps its buffers.
#[derive(Default)]
pub(super) struct Scaler {
    resizer: Resizer,
    planes: [Vec<u8>; 3],
}

impl Scaler {
    /// Takes a region to `width` x `height`; with its colours only if they are wanted and there.
    pub(super) fn scale(
        &mut self,
        picture: &Picture,
        region: &Region,
        (width, height): (u32, u32),
        filter: ResizeAlg,
        coloured: bool,
    ) -> Small<'_> {
        let luma = picture.luma();
        let chroma = picture.chroma().filter(|_| coloured);
        let [y, cb, cr] = &mut self.planes;
        let mut take = |plane: &Plane<'_>, out: &mut Vec<u8>| {
            let scale = (
                plane.stride as f32 / luma.stride as f32,
                plane.rows() as f32 / luma.rows() as f32,
            );
            out.resize((width * height) as usize, 0);
            match region {
                Region::Box(r) => {
                    resize_box(&mut self.resizer, plane, r, scale, out, (width, height), filter);
                }
                Region::Corners(quad) => warp(plane, quad, scale, out, (width, height)),
            }
        };
        take(&luma, y);
        if let Some([blue, red]) = &chroma {
            take(blue, cb);
            take(red, cr);
        }
        let chroma = chroma.is_some().then_some([cb.as_slice(), cr.as_slice()]);
        Small { width, luma: y, chroma, range: picture.range() }
    }
}

fn resize_box(
    resizer: &mut Resizer,
    plane: &Plane<'_>,
    r: &Rect,
    scale: (f32, f32),
    out: &mut [u8],
    (width, height): (u32, u32),
    filter: ResizeAlg,
) {
    let (stride, rows) = (plane.stride, plane.rows());
    // At least one sample wide, and inside the plane in double precision too.
    let left = f64::from(r.x * scale.0).clamp(0.0, f64::from(plane.width) - 1.0);
    let top = f64::from(r.y * scale.1).clamp(0.0, f64::from(plane.height) - 1.0);
    let crop = CropBox {
        left,
        top,
        width: f64::from(r.w * scale.0).clamp(1.0, f64::from(stride) - left),
        height: f64::from(r.h * scale.1).clamp(1.0, f64::from(rows) - top),
    };
    let grows = crop.width < f64::from(width) || crop.height < f64::from(height);
    let filter = if filter == AREA && grows { LINEAR } else { filter };
    let options = ResizeOptions {
        algorithm: filter,
        cropping: SrcCropping::Crop(crop),
        mul_div_alpha: false,
    };
    let from =
        ImageRef::new(stride, rows, plane.bytes, PixelType::U8).expect("a plane holds whole rows");
    let mut to = Image::from_slice_u8(width, height, out, PixelType::U8)
        .expect("the buffer was sized for it");
    resizer.resize(&from, &mut to, &options).expect("the crop lies inside the plane");
}

/// Flattens a quadrilateral, bilinear.
fn warp(
    plane: &Plane<'_>,
    quad: &Quad,
    scale: (f32, f32),
    out: &mut [u8],
    (width, height): (u32, u32),
) {
    let h = from_unit_square(&quad.map(|p| Point { x: p.x * scale.0, y: p.y * scale.1 }));
    let (last_x, last_y) = ((plane.width - 1) as f32, (plane.height - 1) as f32);
    let at = |x: usize, y: usize| f32::from(plane.bytes[y * plane.stride as usize + x]);
    for (j, row) in out.chunks_exact_mut(width as usize).enumerate() {
        let v = (j as f32 + 0.5) / height as f32;
        for (i, value) in row.iter_mut().enumerate() {
            let u = (i as f32 + 0.5) / width as f32;
            let w = h[6] * u + h[7] * v + 1.0;
            let x = ((h[0] * u + h[1] * v + h[2]) / w - 0.5).clamp(0.0, last_x);
            let y = ((h[3] * u + h[4] * v + h[5]) / w - 0.5).clamp(0.0, last_y);
            let (x0, y0) = (x as usize, y as usize);
            let (fx, fy) = (x - x0 as f32, y - y0 as f32);
            let (x1, y1) =
                ((x0 + 1).min(plane.width as usize - 1), (y0 + 1).min(plane.height as usize - 1));
            let above = at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx;
            let below = at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx;
            *value = (above * (1.0 - fy) + below * fy + 0.5) as u8;
        }
    }
}

/// The projective map that takes (0,0), (1,0), (1,1), (0,1) to four corners; the ninth entry is 1.
fn from_unit_square(q: &Quad) -> [f32; 8] {
    let [a, b, c, d] = *q;
    let (sx, sy) = (a.x - b.x + c.x - d.x, a.y - b.y + c.y - d.y);
    let (dx1, dy1, dx2, dy2) = (b.x - c.x, b.y - c.y, d.x - c.x, d.y - c.y);
    let det = dx1 * dy2 - dx2 * dy1;
    let (g, h) = if det.abs() < 1e-6 {
        (0.0, 0.0)
    } else {
        ((sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det)
    };
    [
        b.x - a.x + g * b.x,
        d.x - a.x + h * d.x,
        a.x,
        b.y - a.y + g * b.y,
        d.y - a.y + h * d.y,
        a.y,
        g,
        h,
    ]
}

/// Fills a network's input with regions of pictures; keeps its buffers.
pub(super) struct Feeder {
    pub(super) spec: InputSpec,
    scaler: Scaler,
    values: Values,
    /// Size of the picture part in each place of the batch, so that padding is only painted anew
    /// when it changes.
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
        if s.channels_first { [n, c, h, w] } else { [n, h, w, c] }
    }

    /// The values of the first `n` regions.
    pub(super) fn values(&self) -> &Values {
        &self.values
    }

    /// Puts a region at place `i` of the batch. Places are filled from 0 upwards.
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
    // A hair more, so that 1280 * (640 / 1280) is not 639.
    let fit = |v: f32, most: u32| ((v * s + 1e-3) as u32).clamp(1, most);
    let size = (fit(w, spec.width), fit(h, spec.height));
    let pad = if centre { ((spec.width - size.0) / 2, (spec.height - size.1) / 2) } else { (0, 0) };
    (size, pad)
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

/// Mean width and height of a quadrilateral.
pub(super) fn sides(q: &Quad) -> (f32, f32) {
    let length = |a: Point, b: Point| (a.x - b.x).hypot(a.y - b.y);
    (
        (length(q[0], q[1]) + length(q[3], q[2])) / 2.0,
        (length(q[0], q[3]) + length(q[1], q[2])) / 2.0,
    )
}

fn paint<T: Copy>(spec: &InputSpec, out: &mut [T], value: impl Fn(u8, f32) -> T) {
    let Fit::Letterbox { fill, .. } = spec.fit else { return };
    let channels = spec.colour.channels();
    let levels: Vec<T> = spec.mean[..channels].iter().map(|m| value(fill, *m)).collect();
    if spec.channels_first {
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
    let channels = spec.colour.channels();
    let (w, plane) = (spec.width as usize, (spec.width * spec.height) as usize);
    let order: &[usize] = match spec.colour {
        Colour::Rgb => &[0, 1, 2],
        Colour::Bgr => &[2, 1, 0],
        Colour::Grey => &[0],
    };
    small.rows(spec.colour == Colour::Grey, |j, rgb| {
        let at = (j + pad.1 as usize) * w + pad.0 as usize;
        for (c, from) in order.iter().enumerate() {
            let (row, mean) = (rgb[*from], spec.mean[c]);
            if spec.channels_first {
                let to = &mut out[c * plane + at..][..row.len()];
                to.iter_mut().zip(row).for_each(|(to, v)| *to = value(*v, mean));
            } else {
                let to = out[at * channels + c..].iter_mut().step_by(channels);
                to.zip(row).for_each(|(to, v)| *to = value(*v, mean));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};

    fn spec(width: u32, height: u32, colour: Colour, fit: Fit) -> InputSpec {
        InputSpec {
            width,
            height,
            channels_first: true,
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
            channels_first: false,
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
