//! Measures how light, how sharp and how tilted a plate is in its picture.
//!
//! In: the decoded picture and the plate's box, or the plate's own crop. Out: three numbers that depend on the pixels and on no
//! model. Costs some thirty passes over the box.
//!
//! *Light* is the mean luma, 0 (black) to 255: mostly that of the plate's ground, so a dark number
//! says night, shade or a dark plate. *Sharpness* is the variance of the Laplacian over the variance
//! of the luma itself, both of the box reduced to 160 pixels at most, so that neither faint nor
//! large plates count as blurred for that. Sensor noise and JPEG
//! blocks count as sharp, so it compares sharpness only among pictures of one kind. *Tilt* is the
//! slope, in whole degrees either way, along which the rows of the box differ most from one another,
//! because edges and lines of characters run along it. In a picture without such lines it is a guess.

use super::Picture;
use super::candidate::Crop;
use super::picture::Range;
use crate::geometry::Rect;

/// Width in pixels to which larger plates are reduced: what the reader gets of them.
const WIDEST: usize = 160;

/// How a plate looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conditions {
    /// Mean luma, 0 to 255.
    pub light: f32,
    /// Variance of the Laplacian over the variance of the luma.
    pub sharpness: f32,
    /// Degrees by which its lines rise or fall, 0 to 30.
    pub tilt: f32,
}

/// Steepest slope looked for, in degrees.
const STEEPEST: i32 = 30;

/// Measures a box; nothing where it holds fewer than 3x3 pixels.
pub fn measure(picture: &Picture, bbox: &Rect) -> Option<Conditions> {
    Some(of_small(&reduced(picture, bbox)?))
}

/// Degrees by which the lines in a box fall to the right, -30 to 30; nothing where it holds fewer than 3x3 pixels.
pub(super) fn slope(picture: &Picture, bbox: &Rect) -> Option<f32> {
    let small = reduced(picture, bbox)?;
    Some(steepness(&small.luma, small.columns) as f32)
}

/// Luma of a box, reduced to [`WIDEST`] pixels of width at most.
struct Reduced {
    luma: Vec<f32>,
    columns: usize,
}

fn reduced(picture: &Picture, bbox: &Rect) -> Option<Reduced> {
    let plane = picture.luma();
    let inside = bbox.clipped(plane.width as f32, plane.height as f32);
    let (x0, y0) = (inside.x.floor() as usize, inside.y.floor() as usize);
    let (w, h) = (
        (inside.right().ceil() as usize).saturating_sub(x0),
        (inside.bottom().ceil() as usize).saturating_sub(y0),
    );
    let (w, h) = (w.min(plane.width as usize - x0), h.min(plane.height as usize - y0));
    let luma = |x: usize, y: usize| {
        let v = f32::from(plane.bytes[(y0 + y) * plane.stride as usize + x0 + x]);
        full(v, picture.range())
    };
    reduce((w, h), luma)
}

/// Measures a crop, which is a box and a little of what is around it.
pub fn of_crop(crop: &Crop) -> Option<Conditions> {
    let (w, h) = (crop.width as usize, crop.height as usize);
    if crop.rgb.len() != w * h * 3 {
        return None;
    }
    let luma = |x: usize, y: usize| {
        let at = (y * w + x) * 3;
        let [r, g, b] = [0, 1, 2].map(|i| f32::from(crop.rgb[at + i]));
        0.299 * r + 0.587 * g + 0.114 * b
    };
    Some(of_small(&reduce((w, h), luma)?))
}

/// How sharp a picture is as it came from the camera, in the middle of it: the variance of the Laplacian over the
/// variance of the luma, of every pixel. For whoever turns a lens: it is highest where the lens is right, and what
/// "highest" is depends on what is in sight.
pub fn focus(picture: &Picture) -> f32 {
    let plane = picture.luma();
    let (w, h, stride) = (plane.width as usize, plane.height as usize, plane.stride as usize);
    let (x0, y0) = (w / 4, h / 4);
    let (columns, rows) = (w / 2, h / 2);
    if columns < 3 || rows < 3 {
        return 0.0;
    }
    let at = |x: usize, y: usize| f32::from(plane.bytes[(y0 + y) * stride + x0 + x]);
    let (mut edges, mut levels) = (Spread::default(), Spread::default());
    for y in 1..rows - 1 {
        for x in 1..columns - 1 {
            let here = at(x, y);
            levels.add(here);
            edges.add(at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4.0 * here);
        }
    }
    edges.variance() / levels.variance().max(1.0)
}

/// Mean luma of a picture, 0 (black) to 255.
pub fn light(picture: &Picture) -> f32 {
    let plane = picture.luma();
    let rows = plane.bytes.chunks(plane.stride.max(1) as usize).take(plane.height as usize);
    let mut levels = Spread::default();
    for row in rows {
        row.iter().take(plane.width as usize).for_each(|v| levels.add(f32::from(*v)));
    }
    full(levels.mean(), picture.range())
}

/// A level of the picture's own range, as one of 0 to 255.
fn full(v: f32, range: Range) -> f32 {
    match range {
        Range::Full => v,
        Range::Limited => ((v - 16.0) * 255.0 / 219.0).clamp(0.0, 255.0),
    }
}

/// Mean and variance of many values, without keeping them.
#[derive(Default)]
struct Spread {
    n: u32,
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, v: f32) {
        let v = f64::from(v);
        self.n += 1;
        self.sum += v;
        self.squares += v * v;
    }

    fn mean(&self) -> f32 {
        (self.sum / f64::from(self.n.max(1))) as f32
    }

    fn variance(&self) -> f32 {
        let n = f64::from(self.n.max(1));
        (self.squares / n - (self.sum / n) * (self.sum / n)).max(0.0) as f32
    }
}

fn reduce((w, h): (usize, usize), luma: impl Fn(usize, usize) -> f32) -> Option<Reduced> {
    let step = w.div_ceil(WIDEST).max(1);
    let (columns, rows) = (w / step, h / step);
    if columns < 3 || rows < 3 {
        return None;
    }
    // Means of squares, so that reducing does not alias into sharpness.
    let small = (0..rows * columns)
        .map(|i| {
            let (x, y) = ((i % columns) * step, (i / columns) * step);
            let sum: f32 = (0..step * step).map(|k| luma(x + k % step, y + k / step)).sum();
            sum / (step * step) as f32
        })
        .collect();
    Some(Reduced { luma: small, columns })
}

fn of_small(Reduced { luma: small, columns }: &Reduced) -> Conditions {
    let (columns, rows) = (*columns, small.len() / columns);
    let at = |x: usize, y: usize| small[y * columns + x];
    let laplacian: Vec<f32> = (1..rows - 1)
        .flat_map(|y| (1..columns - 1).map(move |x| (x, y)))
        .map(|(x, y)| at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4.0 * at(x, y))
        .collect();
    let (light, spread) = mean_and_variance(small);
    let (_, edges) = mean_and_variance(&laplacian);
    let tilt = steepness(small, columns).unsigned_abs() as f32;
    // One grey level of spread is rounding.
    Conditions { light, sharpness: edges / spread.max(1.0), tilt }
}

/// Whole degrees by which the lines in a small picture fall to the right; of equally good ones the flattest.
fn steepness(small: &[f32], columns: usize) -> i32 {
    let by_slope = (-STEEPEST..=STEEPEST).map(|degrees| {
        let slope = (degrees as f32).to_radians().tan();
        (contrast_of_rows(small, columns, slope), degrees)
    });
    let best = by_slope.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.abs().cmp(&a.1.abs())));
    best.map_or(0, |(_, degrees)| degrees)
}

/// How much neighbouring rows differ where rows fall by `slope`: the mean square of differences of
/// their means, over the rows that lie in the picture over their whole length.
fn contrast_of_rows(small: &[f32], columns: usize, slope: f32) -> f32 {
    let rows = small.len() / columns;
    let shift = |x: usize| (slope * (x as f32 - columns as f32 / 2.0)).round() as isize;
    let reach = shift(0).unsigned_abs().max(shift(columns - 1).unsigned_abs());
    let means: Vec<f32> = (reach..rows.saturating_sub(reach))
        .map(|y| {
            let along =
                (0..columns).map(|x| small[y.saturating_add_signed(shift(x)) * columns + x]);
            along.sum::<f32>() / columns as f32
        })
        .collect();
    // A slope at which hardly a row is whole says nothing.
    if means.len() < rows.div_ceil(3).max(3) {
        return 0.0;
    }
    let differences = means.windows(2).map(|two| (two[1] - two[0]) * (two[1] - two[0]));
    differences.sum::<f32>() / (means.len() - 1) as f32
}

fn mean_and_variance(values: &[f32]) -> (f32, f32) {
    let n = values.len().max(1) as f32;
    let mean = values.iter().sum::<f32>() / n;
    (mean, values.iter().map(|v| (v - mean) * (v - mean)).sum::<f32>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};

    fn of_luma(size: (usize, usize), luma: impl Fn(usize, usize) -> f32) -> Conditions {
        of_small(&reduce(size, luma).unwrap())
    }

    /// Black and white bars, smoothed over `blur` pixels, between two levels.
    fn bars(blur: usize, (low, high): (f32, f32)) -> Conditions {
        let bar = |x: usize| if (x / 4).is_multiple_of(2) { low } else { high };
        let luma = |x: usize, _: usize| (x..=x + blur).map(bar).sum::<f32>() / (blur + 1) as f32;
        of_luma((80, 40), luma)
    }

    #[test]
    fn blur_lowers_sharpness_and_contrast_does_not() {
        let (sharp, blurred) = (bars(0, (20.0, 220.0)), bars(3, (20.0, 220.0)));
        assert!(blurred.sharpness < sharp.sharpness / 2.0, "{sharp:?} {blurred:?}");
        let faint = bars(0, (100.0, 140.0));
        assert!((faint.sharpness - sharp.sharpness).abs() < 0.05 * sharp.sharpness);
        assert!((sharp.light - 120.0).abs() < 1.0);
    }

    #[test]
    fn plate_twice_as_large_is_as_sharp() {
        let bar = |x: usize, of: usize| if (x / of).is_multiple_of(2) { 30.0 } else { 200.0 };
        let small = of_luma((160, 60), |x, _| bar(x, 8));
        let large = of_luma((320, 120), |x, _| bar(x, 16));
        assert!((small.sharpness - large.sharpness).abs() < 1e-3, "{small:?} {large:?}");
    }

    #[test]
    fn tilt_is_that_of_the_lines() {
        for degrees in [-22_i32, -8, 0, 5] {
            let slope = (degrees as f32).to_radians().tan();
            let line = |x: usize, y: usize| {
                let v = y as f32 - slope * (x as f32 - 80.0);
                if (50.0..80.0).contains(&v) && (x / 9).is_multiple_of(2) { 30.0 } else { 210.0 }
            };
            let small = reduce((160, 130), line).unwrap();
            let (tilt, slope) = (of_small(&small).tilt, steepness(&small.luma, 160));
            assert!((tilt - degrees.abs() as f32).abs() <= 1.0, "{degrees}: {tilt}");
            assert!((slope - degrees).abs() <= 1, "{degrees}: {slope}");
        }
        assert_eq!(of_luma((60, 20), |_, _| 90.0).tilt, 0.0);
    }

    #[test]
    fn focus_is_highest_where_the_lens_is_right_and_a_crop_is_measured_as_its_box() {
        let of = |blur: usize| {
            let (w, h) = (160_u32, 96_u32);
            let bar = |x: usize| if (x / 8).is_multiple_of(2) { 40_usize } else { 200 };
            let row = |x: usize| (x..=x + blur).map(bar).sum::<usize>() / (blur + 1);
            let level = |i: u32| u8::try_from(row((i % w) as usize)).unwrap();
            let bytes = (0..w * h).map(level).collect();
            let mut picture = Picture::default();
            picture.refill(&Pixels::Grey(Raw { width: w, height: h, bytes })).unwrap();
            picture
        };
        let [sharp, soft, softer] = [0, 2, 4].map(|blur| focus(&of(blur)));
        assert!(sharp > 2.0 * soft && soft > softer, "{sharp} {soft} {softer}");
        assert!((light(&of(0)) - 120.0).abs() < 2.0);
        let picture = of(0);
        let crop = Crop { width: 160, height: 96, rgb: picture.to_rgb() };
        let (boxed, cropped) =
            (measure(&picture, &picture.bounds()).unwrap(), of_crop(&crop).unwrap());
        assert!((boxed.sharpness - cropped.sharpness).abs() < 0.02 * boxed.sharpness);
        assert!((boxed.light - cropped.light).abs() < 1.0, "{boxed:?} {cropped:?}");
        assert_eq!(of_crop(&Crop::default()), None);
    }

    #[test]
    fn box_over_the_edge_and_box_of_nothing() {
        let mut picture = Picture::default();
        let bytes = vec![77; 64 * 32];
        picture.refill(&Pixels::Grey(Raw { width: 64, height: 32, bytes })).unwrap();
        let over = Rect { x: -10.0, y: 20.0, w: 100.0, h: 40.0 };
        assert_eq!(
            measure(&picture, &over),
            Some(Conditions { light: 77.0, sharpness: 0.0, tilt: 0.0 })
        );
        assert_eq!(measure(&picture, &Rect { x: 70.0, y: 5.0, w: 9.0, h: 9.0 }), None);
        assert_eq!(measure(&picture, &Rect { x: 5.0, y: 5.0, w: 1.0, h: 1.0 }), None);
    }
}
