//! The surroundings of the road: the sky and the distant skyline, computed once; trees, lamp posts
//! and signs as upright sprites, drawn from ever smaller copies.

use image::{Rgb, RgbImage};

use super::chance::{self, Chance, mix};
use super::light::{Light, TimeOfDay};
use super::text;
use super::view::{Eye, View, p3};

/// Rows drawn below the horizon, for when the car rocks.
const SPARE_ROWS: u32 = 24;

/// Sky, clouds, hills, roofs: everything that is so far away that it does not move.
pub(super) struct Backdrop {
    image: RgbImage,
    horizon: f32,
}

impl Backdrop {
    pub(super) fn new(view: &View, light: &Light, seed: u64) -> Self {
        let horizon = view.height as f32 * view.horizon;
        let rows = (horizon as u32 + 2 * SPARE_ROWS).max(1);
        let base = horizon + SPARE_ROWS as f32;
        let image = RgbImage::from_fn(view.width, rows, |x, y| {
            // In fractions of the focal length, so that it does not depend on the picture's size.
            let u =
                (x as f32 - view.width as f32 / 2.0) / view.focal + view.yaw_deg.to_radians().tan();
            let up = (base - y as f32) / view.focal;
            let colour = far(u, up, light, seed);
            Rgb(colour.map(|c| (c * 255.0).clamp(0.0, 255.0) as u8))
        });
        Self { image, horizon: base }
    }

    pub(super) fn draw(&self, frame: &mut RgbImage, eye: &Eye) {
        let shift = (self.horizon - eye.horizon).round().max(0.0) as usize;
        let stride = frame.width() as usize * 3;
        let from = &self.image.as_raw()[(shift * stride).min(self.image.as_raw().len())..];
        let rows = (eye.horizon.max(0.0) as usize + 2).min(frame.height() as usize);
        let n = from.len().min(rows * stride);
        frame.as_mut()[..n].copy_from_slice(&from[..n]);
    }
}

fn far(u: f32, up: f32, light: &Light, seed: u64) -> [f32; 3] {
    let mix3 = |a: [f32; 3], b: [f32; 3], t: f32| -> [f32; 3] {
        std::array::from_fn(|i| a[i] + (b[i] - a[i]) * t.clamp(0.0, 1.0))
    };
    let day = light.time == TimeOfDay::Day;
    // The colours overhead and above the horizon, and two of clouds.
    let (zenith, low, clouds) = match light.time {
        TimeOfDay::Day => {
            ([0.36, 0.55, 0.80], [0.80, 0.86, 0.91], [[0.84, 0.86, 0.89], [0.97, 0.97, 0.98]])
        }
        TimeOfDay::Dusk => {
            ([0.10, 0.14, 0.27], [0.62, 0.42, 0.33], [[0.36, 0.29, 0.32], [0.20, 0.19, 0.26]])
        }
        TimeOfDay::Night => {
            ([0.01, 0.012, 0.02], [0.04, 0.035, 0.035], [[0.04, 0.035, 0.035], [0.02, 0.02, 0.024]])
        }
        TimeOfDay::Infrared => ([0.0; 3], [0.015; 3], [[0.015; 3], [0.005; 3]]),
    };
    let mut colour = mix3(low, zenith, (up / 0.20).max(0.0).powf(0.75));
    let cloud = chance::fractal(seed, u * 9.0 + 40.0, up * 34.0, 5);
    let puff = ((cloud - 0.50) * 5.0).clamp(0.0, 1.0) * (up / 0.05).clamp(0.2, 1.0);
    let along = if day { (cloud - 0.5) * 4.0 } else { (up / 0.1).min(1.0) };
    let cloud_colour = mix3(clouds[0], clouds[1], along);
    colour = mix3(colour, cloud_colour, puff * 0.85);
    // Hills, then woods, then roofs, each nearer and darker.
    let hill = 0.012 + 0.018 * chance::fractal(seed ^ 11, u * 6.0, 0.0, 3);
    if up < hill {
        colour = mix3(light.haze, scaled([0.36, 0.46, 0.46], light), 0.45);
    }
    let block = (u * 70.0).floor();
    let chosen = mix(seed ^ (block as i64 as u64));
    let tower =
        if chosen % 5 < 2 { 0.010 + 0.018 * (chosen >> 8 & 255) as f32 / 255.0 } else { 0.0 };
    if up < tower {
        let wall = 0.42 + 0.25 * (chosen >> 16 & 255) as f32 / 255.0;
        colour = mix3(light.haze, scaled([wall, wall * 0.97, wall * 0.93], light), 0.6);
        let (cx, cy) = ((u * 70.0 - block) * 6.0, up * 420.0);
        let pane = cx.fract() > 0.35 && cy.fract() > 0.4;
        let window = mix(chosen ^ (cx as u64) << 8 ^ (cy as u64));
        if pane && day {
            colour = mix3(colour, [0.42, 0.47, 0.54], 0.5);
        } else if pane && window.is_multiple_of(3) {
            colour = mix3(colour, [0.95, 0.78, 0.45], 0.75);
        }
    }
    let wood = 0.004
        + 0.010 * chance::fractal(seed ^ 23, u * 40.0, 3.0, 4)
        + 0.004 * chance::noise(seed ^ 29, u * 300.0, 1.0);
    if up < wood {
        let shade = 0.8 + 0.4 * chance::noise(seed ^ 31, u * 500.0, up * 900.0);
        let leaf = scaled([0.20 * shade, 0.30 * shade, 0.17 * shade], light);
        colour = mix3(light.haze, leaf, 0.72);
    }
    colour
}

fn scaled(colour: [f32; 3], light: &Light) -> [f32; 3] {
    std::array::from_fn(|i| colour[i] * light.flat[i])
}

/// A picture with coverage, and its smaller copies.
struct Sprite {
    levels: Vec<Level>,
    size_m: (f32, f32),
}

/// A sprite at one size.
struct Level {
    width: usize,
    height: usize,
    /// R G B (multiplied by coverage) and coverage per pixel, 0 to 1.
    pixels: Vec<[f32; 4]>,
    /// For each row, the columns outside which it is empty.
    filled: Vec<(usize, usize)>,
}

impl Level {
    fn new(width: usize, height: usize, pixels: Vec<[f32; 4]>) -> Self {
        let row = |line: &[[f32; 4]]| {
            let first = line.iter().position(|p| p[3] > 0.0).unwrap_or(width);
            (first, line.iter().rposition(|p| p[3] > 0.0).map_or(first, |last| last + 1))
        };
        let filled = pixels.chunks_exact(width).map(row).collect();
        Self { width, height, pixels, filled }
    }
}

impl Sprite {
    fn new(
        size: (usize, usize),
        size_m: (f32, f32),
        paint: impl Fn(f32, f32) -> Option<[f32; 3]>,
    ) -> Self {
        let mut first = Vec::with_capacity(size.0 * size.1);
        for y in 0..size.1 {
            for x in 0..size.0 {
                let at = |v: usize, n: usize| (v as f32 + 0.5) / n as f32;
                let colour = paint(at(x, size.0), at(y, size.1));
                first.push(colour.map_or([0.0; 4], |[r, g, b]| [r, g, b, 1.0]));
            }
        }
        let mut levels = vec![Level::new(size.0, size.1, first)];
        while let Some(last) = levels.last().filter(|l| l.width > 2 && l.height > 2) {
            let (w, h) = (last.width / 2, last.height / 2);
            let next = (0..w * h).map(|i| {
                let (x, y) = (i % w * 2, i / w * 2);
                let at = |dx: usize, dy: usize| last.pixels[(y + dy) * last.width + x + dx];
                std::array::from_fn(|c| {
                    (at(0, 0)[c] + at(1, 0)[c] + at(0, 1)[c] + at(1, 1)[c]) / 4.0
                })
            });
            levels.push(Level::new(w, h, next.collect()));
        }
        Self { levels, size_m }
    }

    /// Draws the sprite upright at a place on the ground (camera axes).
    fn stand(&self, frame: &mut RgbImage, eye: &Eye, light: &Light, foot: [f32; 2], size: f32) {
        let p = p3(foot[0], 0.0, foot[1]);
        let (x, y) = eye.project(p);
        let scale = eye.view.focal / p.z;
        let (w, h) = (self.size_m.0 * size * scale, self.size_m.1 * size * scale);
        let (left, top) = (x - w / 2.0, y - h);
        let (fw, fh) = (frame.width() as usize, frame.height() as usize);
        let inside = |v: f32, end: usize| (v.max(0.0) as usize).min(end);
        let shrink = (self.levels[0].height as f32 / h.max(1.0)).max(1.0).log2() as usize;
        let level = &self.levels[shrink.min(self.levels.len() - 1)];
        let (lw, lh) = (level.width, level.height);
        let clear = (-p.z / 700.0).exp();
        let beam = light.beam_at(p.z) * 0.5;
        let gain: [f32; 3] = std::array::from_fn(|i| (light.flat[i] + beam) * clear * 255.0);
        let haze: [f32; 3] = std::array::from_fn(|i| light.haze[i] * (1.0 - clear) * 255.0);
        let (step_x, step_y) = (lw as f32 / w, lh as f32 / h);
        let raw: &mut [u8] = frame.as_mut();
        for row in inside(top, fh)..inside(y + 1.0, fh) {
            let v = ((row as f32 + 0.5 - top) * step_y - 0.5).clamp(0.0, lh as f32 - 1.0);
            let (j, below) = (v as usize, (v as usize + 1).min(lh - 1));
            let s = v - j as f32;
            let (upper, lower) = (&level.pixels[j * lw..][..lw], &level.pixels[below * lw..][..lw]);
            let (a, b) = (level.filled[j], level.filled[below]);
            // One column of the sprite more on either side, for the soft edge.
            let from = left + (a.0.min(b.0) as f32 - 1.0) / step_x;
            let to = left + (a.1.max(b.1) as f32 + 1.0) / step_x;
            let columns = inside(from.max(left), fw)..inside(to.min(left + w) + 1.0, fw);
            if columns.is_empty() {
                continue;
            }
            let line = &mut raw[(row * fw + columns.start) * 3..(row * fw + columns.end) * 3];
            let mut u = (columns.start as f32 + 0.5 - left) * step_x - 0.5;
            for to in line.chunks_exact_mut(3) {
                let i = u.max(0.0) as usize;
                let t = u.max(0.0) - i as f32;
                u += step_x;
                let (i, k) = (i.min(lw - 1), (i + 1).min(lw - 1));
                let (a, b, c, d) = (upper[i], upper[k], lower[i], lower[k]);
                if a[3] + b[3] + c[3] + d[3] == 0.0 {
                    continue;
                }
                let at = |n: usize| {
                    let (above, below) = (a[n] + (b[n] - a[n]) * t, c[n] + (d[n] - c[n]) * t);
                    above + (below - above) * s
                };
                let cover = at(3);
                for (n, to) in to.iter_mut().enumerate() {
                    let lit = at(n) * gain[n] + haze[n] * cover;
                    // The conversion clamps to 255.
                    *to = (f32::from(*to) * (1.0 - cover) + lit) as u8;
                }
            }
        }
    }
}

/// The objects along the road and their places.
pub(super) struct Verge {
    trees: Vec<Sprite>,
    post: Sprite,
    sign: Sprite,
    seed: u64,
}

/// One object in view: its distance, its kind and its place.
pub(super) struct Standing {
    pub(super) depth: f32,
    kind: Kind,
    across: f32,
    size: f32,
}

#[derive(Clone, Copy)]
enum Kind {
    Tree(usize),
    Post,
    Sign,
}

/// How far ahead objects are drawn.
const SIGHT_M: f32 = 220.0;

impl Verge {
    pub(super) fn new(seed: u64) -> Self {
        let trees = (0..5).map(|i| tree(seed ^ mix(i))).collect();
        let board = speed_sign();
        let sign = Sprite::new((96, 384), (0.62, 2.5), |u, v| {
            let dy = v * 2.5;
            if dy < 0.78 {
                let (x, y) = ((u * 96.0) as u32, (dy / 0.78 * 120.0) as u32);
                let c = board.get_pixel(x.min(95), y.min(119)).0;
                return Some(c.map(|c| f32::from(c) / 255.0));
            }
            ((u - 0.5).abs() < 0.06).then_some([0.45, 0.46, 0.47])
        });
        let post = Sprite::new((128, 512), (2.6, 9.0), |u, v| {
            // The pole stands right of the road, and its arm reaches over it.
            let x = 2.6 - u * 2.6;
            let y = v * 9.0;
            let pole = (x - 0.35).abs() < 0.075 + 0.02 * v;
            let arm = (y - 0.25 + (x - 0.35) * 0.06).abs() < 0.05 && x > 0.35 && x < 2.2;
            let lamp = (y - 0.16).abs() < 0.09 && x > 1.9 && x < 2.55;
            if lamp && y > 0.2 {
                return Some([0.95, 0.94, 0.86]);
            }
            (pole || arm || lamp).then_some([0.50, 0.51, 0.52])
        });
        Self { trees, post, sign, seed }
    }

    /// The objects in view, unordered.
    pub(super) fn standing(&self, eye: &Eye, travelled: f64) -> Vec<Standing> {
        let mut all = Vec::new();
        // Rows of slots along the road: side, spacing, what stands there.
        for (row, (spacing, left, right)) in [
            (9.0_f64, -11.0, 9.4),
            (13.0, -19.0, 16.0),
            (17.0, -30.0, 26.0),
            (34.0, -6.9, 5.2),
            (83.0, -7.2, 5.4),
        ]
        .into_iter()
        .enumerate()
        {
            let first = (travelled / spacing).floor() as i64;
            let last = ((travelled + f64::from(SIGHT_M)) / spacing) as i64;
            for (slot, x) in (first..=last).flat_map(|s| [(s, left), (s, right)]) {
                let side = u64::from(x > 0.0);
                let mut chance =
                    Chance::new(self.seed ^ mix(slot as u64 * 16 + row as u64 * 2 + side));
                let (kind, x, size) = match row {
                    0..3 if chance.unit() < 0.55 + 0.12 * row as f32 => {
                        let kind = Kind::Tree(chance.below(self.trees.len()));
                        (kind, x + chance.between(-1.6, 1.6), chance.between(0.7, 1.25))
                    }
                    // Lamp posts on the right only, their arm over the road.
                    3 if x > 0.0 => (Kind::Post, x, 1.0),
                    4 if x > 0.0 && chance.unit() < 0.6 => (Kind::Sign, x, 1.0),
                    _ => continue,
                };
                let jitter = if row < 3 { chance.between(0.0, spacing as f32) } else { 0.0 };
                let z = (slot as f64 * spacing - travelled) as f32 + jitter;
                let p = eye.turned(p3(x, 0.0, z));
                if p.z < 2.5 {
                    continue;
                }
                let (column, _) = eye.project(p);
                let reach = eye.view.focal / p.z * 6.0;
                if column + reach > 0.0 && column - reach < eye.view.width as f32 {
                    all.push(Standing { depth: p.z, kind, across: p.x, size });
                }
            }
        }
        all
    }

    pub(super) fn draw(&self, frame: &mut RgbImage, eye: &Eye, light: &Light, one: &Standing) {
        let (sprite, foot) = match one.kind {
            Kind::Tree(i) => (&self.trees[i], one.across),
            Kind::Post => (&self.post, one.across),
            Kind::Sign => (&self.sign, one.across),
        };
        sprite.stand(frame, eye, light, [foot, one.depth], one.size);
    }
}

/// A broad-leaved tree: a trunk, and a crown of many overlapping leaf clumps lit from the upper
/// left.
fn tree(seed: u64) -> Sprite {
    let mut chance = Chance::new(seed);
    let conifer = chance.unit() < 0.3;
    let hue = chance.between(-0.05, 0.06);
    let clumps: Vec<[f32; 4]> = (0..64)
        .map(|_| {
            if conifer {
                let v = chance.unit().sqrt();
                let y = 0.03 + 0.85 * v;
                let reach = 0.05 + 0.36 * v;
                [0.5 + chance.between(-1.0, 1.0) * reach * 0.8, y, 0.05 + 0.03 * v, chance.unit()]
            } else {
                let angle = chance.between(0.0, std::f32::consts::TAU);
                let r = chance.unit().sqrt();
                let (sin, cos) = angle.sin_cos();
                [
                    0.5 + 0.36 * r * cos,
                    0.40 + 0.26 * r * sin,
                    chance.between(0.07, 0.13),
                    chance.unit(),
                ]
            }
        })
        .collect();
    Sprite::new((192, 256), (6.4, 8.6), move |u, v| {
        let ragged = chance::fractal(seed, u * 30.0, v * 40.0, 3) - 0.5;
        let mut best: Option<(f32, f32)> = None;
        for (i, [cx, cy, r, tone]) in clumps.iter().enumerate() {
            let (dx, dy) = ((u - cx) / r, (v - cy) / (r * 0.8));
            let d = (dx * dx + dy * dy).sqrt() + ragged * 1.1;
            if d < 1.0 {
                // Later clumps lie in front; each is lit from its upper left.
                let lit = 0.52 - 0.22 * dx - 0.36 * dy + 0.25 * (tone - 0.5);
                let front = i as f32;
                if best.is_none_or(|b| front > b.0) {
                    best = Some((front, lit));
                }
            }
        }
        if let Some((_, lit)) = best {
            let lit = (lit + 0.35 * (0.5 - v)).clamp(0.12, 1.0)
                * (0.75 + 0.5 * chance::noise(seed ^ 5, u * 90.0, v * 120.0));
            let (r, g, b) = if conifer { (0.17, 0.27, 0.19) } else { (0.30 + hue, 0.43, 0.17) };
            return Some([r * (0.35 + 1.0 * lit), g * (0.35 + 1.0 * lit), b * (0.4 + 0.9 * lit)]);
        }
        let trunk = 0.022 + 0.012 * (v - 0.5).max(0.0);
        (v > 0.4 && (u - 0.5 + 0.01 * (v * 20.0).sin()).abs() < trunk).then(|| {
            let bark = 0.8 + 0.5 * chance::noise(seed ^ 7, u * 160.0, v * 30.0) - (u - 0.5) * 8.0;
            [0.24 * bark, 0.20 * bark, 0.16 * bark]
        })
    })
}

/// A Canadian speed limit sign.
fn speed_sign() -> RgbImage {
    let mut board = RgbImage::from_pixel(96, 120, Rgb([240, 240, 238]));
    for (x, y, pixel) in board.enumerate_pixels_mut() {
        let edge = x.min(95 - x).min(y).min(119 - y);
        if (3..6).contains(&edge) {
            *pixel = Rgb([30, 30, 32]);
        }
    }
    let black = Rgb([24, 24, 26]);
    for (line, y, height) in [("MAXIMUM", 16.0, 13.0), ("60", 40.0, 46.0), ("km/h", 94.0, 13.0)] {
        let x = (96.0 - text::width(height, line)) / 2.0;
        text::draw(&mut board, x, y, height, black, line);
    }
    board
}
