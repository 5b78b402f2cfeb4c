//! Draws glyphs from strokes, anti-aliased at any size and weight.
//!
//! In: a glyph's paths as a short text (below), with a width and a weight. Out: coverage from 0 to
//! 1 for any point, from the signed distance to the union of the strokes. Costs: a minimum over 5
//! to 60 boxes per pixel, so callers keep the masks that they need often. Leaves to others: which
//! glyphs exist (`glyphs`) and where they are placed ([`super::text`], [`super::plate`]).
//!
//! Paths are written in the box of the stroke's *centre line*, 0 to 1 in both directions, y down:
//! whatever the weight, 0 is half a stroke inside the glyph's edge. `m x y` starts a path, `l x y`
//! is a line, `q cx cy x y` a quarter of an ellipse that leaves towards the corner `c` and arrives
//! from it, `z` closes the path.

/// The drawing style of a typeface, in units of the capitals' height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Style {
    /// Thickness of a stroke.
    pub weight: f32,
    /// Radius of the outer corners.
    pub rounding: f32,
    /// Glyph widths are multiplied by this.
    pub stretch: f32,
}

/// A stretch of a stroke: a box around its centre line.
#[derive(Debug, Clone, Copy)]
struct Piece {
    x: f32,
    y: f32,
    /// Unit vector along the stroke.
    ux: f32,
    uy: f32,
    /// Half its length, ends included.
    half: f32,
}

/// A glyph's strokes in units of the capitals' height, from which distances are computed.
#[derive(Debug, Clone)]
pub(super) struct Outline {
    pieces: Vec<Piece>,
    /// Middles of the round joints that fill sharp angles.
    joints: Vec<(f32, f32)>,
    half_weight: f32,
    rounding: f32,
    /// Left, top, right, bottom of the ink.
    ink: [f32; 4],
}

/// Lines per quarter of an ellipse: at a height of 200 pixels the error is a fifth of a pixel.
const LINES_PER_QUARTER: usize = 8;

impl Outline {
    /// Parses the paths of a glyph of this `width` (in capitals' heights).
    pub(super) fn new(paths: &str, width: f32, style: Style) -> Self {
        let t = style.weight;
        let width = (width * style.stretch).max(t);
        let place = |x: f32, y: f32| (t / 2.0 + x * (width - t), t / 2.0 + y * (1.0 - t));
        let mut outline = Self {
            pieces: Vec::new(),
            joints: Vec::new(),
            half_weight: t / 2.0,
            rounding: style.rounding.min(t / 2.0),
            ink: [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY],
        };
        for path in parse(paths) {
            let line: Vec<_> = path.line.iter().map(|&(x, y)| place(x, y)).collect();
            outline.push(&line, path.closed, path.square_start, path.square_end);
        }
        outline
    }

    /// Adds one path as a row of boxes whose ends meet in mitres.
    fn push(&mut self, line: &[(f32, f32)], closed: bool, square_start: bool, square_end: bool) {
        let h = self.half_weight;
        for &(x, y) in line {
            let i = &mut self.ink;
            *i = [i[0].min(x - h), i[1].min(y - h), i[2].max(x + h), i[3].max(y + h)];
        }
        let n = line.len() - 1;
        let direction = |i: usize| {
            let (dx, dy) = (line[i + 1].0 - line[i].0, line[i + 1].1 - line[i].1);
            let length = dx.hypot(dy).max(1e-6);
            (dx / length, dy / length, length)
        };
        // How far a box extends past a joint: to the mitre, and further by the rounding where the
        // stroke continues smoothly, so that only real corners are rounded. A sharp angle gets a
        // round joint, because a mitre would stick out.
        let r = self.rounding;
        let reach = |i: usize, j: usize| {
            let (a, b) = (direction(i), direction(j));
            let cos = (a.0 * b.0 + a.1 * b.1).clamp(-1.0, 1.0);
            let mitre = h * ((1.0 - cos) / (1.0 + cos).max(1e-3)).sqrt();
            if cos < -0.2 {
                0.0
            } else if mitre < 0.3 * h {
                mitre + r
            } else {
                mitre.min(h)
            }
        };
        for i in 0..n {
            let j = (i + 1) % n;
            let (a, b) = (direction(i), direction(j));
            if (i + 1 < n || closed) && a.0 * b.0 + a.1 * b.1 < -0.2 {
                self.joints.push(line[i + 1]);
            }
        }
        for (i, start) in line[..n].iter().enumerate() {
            let (ux, uy, length) = direction(i);
            let before = match (i, closed) {
                (0, true) => reach(n - 1, 0),
                (0, false) => f32::from(u8::from(square_start)) * h,
                _ => reach(i - 1, i),
            };
            let after = match (i + 1 == n, closed) {
                (true, true) => reach(n - 1, 0),
                (true, false) => f32::from(u8::from(square_end)) * h,
                _ => reach(i, i + 1),
            };
            let middle = (length + after - before) / 2.0;
            self.pieces.push(Piece {
                x: start.0 + ux * middle,
                y: start.1 + uy * middle,
                ux,
                uy,
                half: (length + after + before) / 2.0,
            });
        }
    }

    /// Left, top, right, bottom of the ink, in capitals' heights.
    pub(super) fn ink(&self) -> [f32; 4] {
        self.ink
    }

    /// Signed distance to the ink's edge, negative inside, in capitals' heights.
    pub(super) fn distance(&self, x: f32, y: f32) -> f32 {
        let r = self.rounding;
        let mut least = f32::INFINITY;
        for p in &self.pieces {
            let (dx, dy) = (x - p.x, y - p.y);
            let along = (dx * p.ux + dy * p.uy).abs() - p.half + r;
            let across = (dy * p.ux - dx * p.uy).abs() - self.half_weight + r;
            least = least.min(to_box(along, across));
        }
        for (jx, jy) in &self.joints {
            least = least.min((x - jx).hypot(y - jy) - self.half_weight + r);
        }
        // Slanted ends are cut at the glyph's edge, as in type.
        let [left, top, right, bottom] = self.ink;
        let along = (x - (left + right) / 2.0).abs() - (right - left) / 2.0 + r;
        let across = (y - (top + bottom) / 2.0).abs() - (bottom - top) / 2.0 + r;
        least.max(to_box(along, across)) - r
    }
}

/// Signed distance to a box, given the distances beyond its two pairs of sides.
fn to_box(a: f32, b: f32) -> f32 {
    if a > 0.0 && b > 0.0 { (a * a + b * b).sqrt() } else { a.max(b) }
}

/// One path, flattened to a line.
struct Path {
    line: Vec<(f32, f32)>,
    closed: bool,
    /// Straight ends are square and extend by half a stroke; curved ends are cut.
    square_start: bool,
    square_end: bool,
}

fn parse(text: &str) -> Vec<Path> {
    let mut paths: Vec<Path> = Vec::new();
    let mut words = text.split_ascii_whitespace();
    while let Some(word) = words.next() {
        let mut point = || {
            let mut number = || words.next()?.parse::<f32>().ok();
            number().zip(number()).expect("the glyph tables are well formed: a test reads them all")
        };
        if word == "m" {
            let start = point();
            paths.push(Path {
                line: vec![start],
                closed: false,
                square_start: false,
                square_end: false,
            });
            continue;
        }
        let path = paths.last_mut().expect("a path starts with m");
        let first = path.line.len() == 1;
        let from = *path.line.last().expect("a path has a start");
        match word {
            "l" => {
                path.line.push(point());
                path.square_end = true;
                path.square_start |= first;
            }
            "q" => {
                let (corner, to) = (point(), point());
                let middle = (from.0 + to.0 - corner.0, from.1 + to.1 - corner.1);
                for i in 1..=LINES_PER_QUARTER {
                    let angle = i as f32 / LINES_PER_QUARTER as f32 * std::f32::consts::FRAC_PI_2;
                    let (sin, cos) = angle.sin_cos();
                    let on = |from: f32, to: f32, middle: f32| {
                        middle + (from - middle) * cos + (to - middle) * sin
                    };
                    path.line.push((on(from.0, to.0, middle.0), on(from.1, to.1, middle.1)));
                }
                path.square_end = false;
            }
            "z" => {
                let start = path.line[0];
                if (start.0 - from.0).abs() + (start.1 - from.1).abs() > 1e-4 {
                    path.line.push(start);
                }
                path.closed = true;
            }
            other => unreachable!("unknown path command {other:?} in a glyph table"),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { weight: 0.2, rounding: 0.0, stretch: 1.0 };

    #[test]
    fn bar_is_as_thick_as_its_weight_and_square_at_its_ends() {
        let bar = Outline::new("m 0 0.5 l 1 0.5", 1.0, STYLE);
        assert!((bar.distance(0.5, 0.5) + 0.1).abs() < 1e-6);
        assert!((bar.distance(0.5, 0.7) - 0.1).abs() < 1e-6);
        assert!(bar.distance(0.01, 0.59) < 0.0, "the corner is inside");
        assert!((bar.distance(1.1, 0.5) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn ring_is_round_and_hollow() {
        let ring =
            Outline::new("m 0 0.5 q 0 0 0.5 0 q 1 0 1 0.5 q 1 1 0.5 1 q 0 1 0 0.5 z", 1.0, STYLE);
        assert!(ring.distance(0.5, 0.5) > 0.25);
        for degrees in (0..360).step_by(15) {
            let (sin, cos) = (degrees as f32).to_radians().sin_cos();
            for edge in [0.3, 0.5] {
                let d = ring.distance(0.5 + edge * cos, 0.5 + edge * sin);
                assert!(d.abs() < 4e-3, "{degrees} degrees, radius {edge}: {d}");
            }
            assert!(ring.distance(0.5 + 0.4 * cos, 0.5 + 0.4 * sin) < 0.0);
        }
    }

    #[test]
    fn slanted_stroke_is_cut_at_the_base_line() {
        let slash = Outline::new("m 0 1 l 1 0", 0.6, STYLE);
        let [left, top, right, bottom] = slash.ink();
        assert_eq!((left, top), (0.0, 0.0));
        assert!((right - 0.6).abs() < 1e-6 && (bottom - 1.0).abs() < 1e-6);
        assert!(slash.distance(0.05, 1.01) > 0.0);
    }
}
