//! The road and its verges, row by row: every row of the picture has one depth, so a row is a
//! straight line over the road's cross-section. Averaged copies of the cross-section (one per power
//! of two) keep distant lines from flickering. About 6 ns per pixel.

use image::RgbImage;

use super::chance::{self, Chance};
use super::light::{Light, TimeOfDay};
use super::view::{Eye, p3};

/// Metres right of our lane's middle where the neighbouring lanes' middles lie.
pub const ONCOMING_LANE_M: f32 = -3.4;
/// Middle of the lane to our right, where traffic is slower or parked.
pub const RIGHT_LANE_M: f32 = 3.2;
/// Kerb beyond the right lane.
const KERB_M: f32 = 4.75;
/// Paved edge on the far side.
const FAR_EDGE_M: f32 = -6.3;

/// Cells of the cross-section per metre.
const CELLS_PER_M: f32 = 50.0;
/// How far the cross-section reaches to either side; beyond it is grass.
const REACH_M: f32 = 64.0;
/// Length and period of a dash, as painted on Canadian roads.
const DASH_M: (f32, f32) = (3.0, 9.0);
const GRAIN_SIDE: usize = 256;
/// Keeps coordinates positive, so that truncating rounds down.
const GRAIN_SHIFT_M: f32 = 512.0;

/// A cell of the cross-section.
#[derive(Clone, Copy)]
struct Cell {
    /// Its colour between dashes.
    plain: [f32; 3],
    /// What a dash adds to it.
    paint: [f32; 3],
    /// Whether it has dashes.
    dashed: bool,
}

impl Cell {
    fn new(plain: [f32; 3], paint: [f32; 3]) -> Self {
        Self { plain, paint, dashed: paint != [0.0; 3] }
    }
}

pub(super) struct Road {
    /// The cross-section, then averaged over 2, 4, 8... cells.
    levels: Vec<Vec<Cell>>,
    grain: Vec<f32>,
}

impl Road {
    pub(super) fn new(seed: u64) -> Self {
        let cells = (2.0 * REACH_M * CELLS_PER_M) as usize;
        let first: Vec<_> = (0..cells)
            .map(|i| {
                let x = (i as f32 + 0.5) / CELLS_PER_M - REACH_M;
                let (plain, painted) = (surface(x, false), surface(x, true));
                Cell::new(plain, std::array::from_fn(|c| painted[c] - plain[c]))
            })
            .collect();
        let mut levels = vec![first];
        while let Some(last) = levels.last().filter(|l| l.len() > 8) {
            let mean = |a: [f32; 3], b: [f32; 3]| std::array::from_fn(|c| (a[c] + b[c]) / 2.0);
            let half = |pair: &[Cell]| {
                let [a, b] = [pair[0], pair[1]];
                Cell::new(mean(a.plain, b.plain), mean(a.paint, b.paint))
            };
            levels.push(last.chunks_exact(2).map(half).collect());
        }
        let mut chance = Chance::new(seed);
        let grain = (0..GRAIN_SIDE * GRAIN_SIDE).map(|_| chance.normal()).collect();
        Self { levels, grain }
    }

    /// Draws the ground below the horizon. `travelled` is the distance driven along the road.
    pub(super) fn draw(&self, frame: &mut RgbImage, eye: &Eye, light: &Light, travelled: f64) {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let focal = eye.view.focal;
        let first = (eye.horizon + 0.6).max(0.0) as usize;
        let period = f64::from(DASH_M.1) * 64.0;
        let travelled = (travelled % period) as f32;
        let raw: &mut [u8] = frame.as_mut();
        for row in first..height {
            let below = row as f32 + 0.5 - eye.horizon;
            let depth = eye.view.above_m * focal / below;
            let start = eye.unturned(p3((0.5 - eye.middle) / focal * depth, 0.0, depth));
            let next = eye.unturned(p3((1.5 - eye.middle) / focal * depth, 0.0, depth));
            let (dx, dz) = (next.x - start.x, next.z - start.z);
            let level = ((dx * CELLS_PER_M).abs().max(1.0).log2().ceil() as usize)
                .min(self.levels.len() - 1);
            let cells = &self.levels[level];
            let per_m = CELLS_PER_M / (1 << level) as f32;
            // A pixel's length along the road, and the grain that is still visible at that length.
            let long = depth * depth / (focal * eye.view.above_m);
            let (fine, blend) = octave(long.max(depth / focal));
            let (per_texel, half_level) = (1.0 / fine, 0.5 / fine);
            let clear = (-depth / 700.0).exp();
            let beam = light.beam_at(depth) * 1.3;
            let narrow = 1.0 / (9.0 + 0.16 * depth * depth);
            let air = light.haze.map(|h| h * (1.0 - clear) * 255.0);
            let seen = clear * 255.0;
            let line = &mut raw[row * width * 3..(row + 1) * width * 3];
            let (mut x, mut z) = (start.x, start.z);
            for pixel in line.chunks_exact_mut(3) {
                let at = ((x + REACH_M).max(0.0) * per_m) as usize;
                let cell = &cells[at.min(cells.len() - 1)];
                let mut colour = cell.plain;
                if cell.dashed {
                    let painted = dash(z + travelled, long);
                    for (c, add) in colour.iter_mut().zip(cell.paint) {
                        *c += add * painted;
                    }
                }
                let (u, v) = (x + GRAIN_SHIFT_M, z + travelled + GRAIN_SHIFT_M);
                let speck = self.grain_at(u * per_texel, v * per_texel) * (1.0 - blend)
                    + self.grain_at(u * half_level, v * half_level) * blend;
                let shade = (1.0 + 0.055 * speck) * seen;
                let lane = beam * (1.0 - x * x * narrow).max(0.0);
                for (i, to) in pixel.iter_mut().enumerate() {
                    // The conversion clamps to 0 and 255.
                    *to = (colour[i] * shade * (light.flat[i] + lane) + air[i]) as u8;
                }
                x += dx;
                z += dz;
            }
        }
    }

    /// The grain's value in a cell; both coordinates are positive.
    fn grain_at(&self, u: f32, v: f32) -> f32 {
        const MASK: i32 = GRAIN_SIDE as i32 - 1;
        self.grain[((v as i32 & MASK) * GRAIN_SIDE as i32 + (u as i32 & MASK)) as usize]
    }

    /// Darkens the ground under a vehicle that stands on this rectangle (metres: left, right, near,
    /// far).
    pub(super) fn shadow(&self, frame: &mut RgbImage, eye: &Eye, light: &Light, on: [f32; 4]) {
        let strength = if light.time == TimeOfDay::Day { 0.72 } else { 0.55 };
        let reach = 0.55;
        let focal = eye.view.focal;
        let corners = [(on[0], on[2]), (on[1], on[2]), (on[0], on[3]), (on[1], on[3])];
        let mut rows = (f32::INFINITY, f32::NEG_INFINITY);
        let mut columns = (f32::INFINITY, f32::NEG_INFINITY);
        for (x, z) in corners {
            for (sx, sz) in [(-reach, -reach), (reach, -reach), (-reach, reach), (reach, reach)] {
                let mut p = eye.turned(p3(x + sx, 0.0, z + sz));
                p.z = p.z.max(1.2);
                let (px, py) = eye.project(p);
                rows = (rows.0.min(py), rows.1.max(py));
                columns = (columns.0.min(px), columns.1.max(px));
            }
        }
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let inside = |v: f32, end: usize| (v.max(0.0) as usize).min(end);
        let columns = inside(columns.0, width)..inside(columns.1 + 1.0, width);
        let first = inside(rows.0.max(eye.horizon + 1.0), height);
        let raw: &mut [u8] = frame.as_mut();
        for row in first..inside(rows.1 + 1.0, height) {
            let depth = eye.view.above_m * focal / (row as f32 + 0.5 - eye.horizon);
            for column in columns.clone() {
                let across = (column as f32 + 0.5 - eye.middle) / focal * depth;
                let p = eye.unturned(p3(across, 0.0, depth));
                let out_x = (on[0] - p.x).max(p.x - on[1]).max(-0.4);
                let out_z = (on[2] - p.z).max(p.z - on[3]).max(-0.4);
                let (ax, az) = (out_x.max(0.0), out_z.max(0.0));
                let far = ((ax * ax + az * az).sqrt() + out_x.max(out_z).min(0.0)) / reach;
                let dark = strength * (0.62 - far).clamp(0.0, 1.0);
                if dark > 0.0 {
                    for c in &mut raw[(row * width + column) * 3..][..3] {
                        *c = (f32::from(*c) * (1.0 - dark)) as u8;
                    }
                }
            }
        }
    }
}

/// The grain's cell size for a pixel of this length, and the fraction of the way to the next size.
fn octave(pixel_m: f32) -> (f32, f32) {
    let steps = (pixel_m / 0.02).max(1.0).log2();
    (0.02 * steps.floor().exp2(), steps.fract())
}

/// How much of a stretch of road `long` metres long around `z` is painted with dashes.
fn dash(z: f32, long: f32) -> f32 {
    let (paint, period) = DASH_M;
    let half = (long / 2.0).max(0.01);
    if half * 2.0 > period {
        return paint / period;
    }
    let within = (z + half).rem_euclid(period);
    let (from, to) = (within - 2.0 * half, within);
    let covered = (to.min(paint) - from.max(0.0)).max(0.0)
        + (to.min(paint - period) - (from).max(-period)).max(0.0);
    (covered / (2.0 * half)).min(1.0)
}

/// The colour of the ground at a place across the road.
fn surface(x: f32, dashed: bool) -> [f32; 3] {
    let grey = |v: f32| [v, v * 1.0, v * 1.015];
    let line = |at: f32, half: f32| (x - at).abs() < half;
    let yellow = [0.80, 0.62, 0.16];
    let white = [0.84, 0.84, 0.82];
    if line(-1.87, 0.05) || line(-1.65, 0.05) {
        return yellow;
    }
    if line(1.62, 0.055) && dashed {
        return white;
    }
    if line(-5.5, 0.06) {
        return white;
    }
    if (KERB_M..KERB_M + 0.16).contains(&x) {
        return grey(0.66);
    }
    if (KERB_M + 0.16..KERB_M + 0.9).contains(&x) {
        return grass(x);
    }
    if (KERB_M + 0.9..KERB_M + 2.5).contains(&x) {
        return [0.63, 0.62, 0.60];
    }
    if (FAR_EDGE_M..KERB_M).contains(&x) {
        // Tyres polish two tracks in each lane; oil darkens between them.
        let track = |lane: f32| {
            let off = ((x - lane).abs() - 0.78) / 0.32;
            0.03 * (-off * off).exp() - 0.025 * (-((x - lane) / 0.3).powi(2)).exp()
        };
        let wear = track(0.0) + track(ONCOMING_LANE_M) + track(RIGHT_LANE_M);
        let patch = 0.03 * (chance::noise(5, x * 1.7, 0.0) - 0.5);
        return grey(0.40 + wear + patch);
    }
    if x > FAR_EDGE_M - 0.8 && x < FAR_EDGE_M {
        return [0.50, 0.47, 0.42];
    }
    grass(x)
}

fn grass(x: f32) -> [f32; 3] {
    let v = chance::fractal(9, x * 2.3, 4.0, 3);
    [0.27 + 0.10 * v, 0.38 + 0.10 * v, 0.17 + 0.05 * v]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_a_third_at_any_scale() {
        for long in [0.05, 1.0, 4.0, 20.0] {
            let mean = (0..9000).map(|i| dash(i as f32 * 0.01, long)).sum::<f32>() / 9000.0;
            assert!((mean - 1.0 / 3.0).abs() < 0.02, "{long}: {mean}");
        }
        assert_eq!((dash(1.5, 0.1), dash(6.0, 0.1)), (1.0, 0.0));
    }

    #[test]
    fn lanes_are_asphalt_and_verges_are_green() {
        for lane in [0.0, ONCOMING_LANE_M, RIGHT_LANE_M] {
            let [r, g, _] = surface(lane, false);
            assert!((r - g).abs() < 0.02);
        }
        let [r, g, b] = surface(20.0, false);
        assert!(g > r && g > b);
    }
}
