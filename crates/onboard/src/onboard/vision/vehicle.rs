//! What colour is the vehicle around a plate? Measured by `outrider eval --vehicles`; the daemon does not ask
//! (docs/decisions/0139).
//!
//! In: the decoded picture and the plate's box. Out: [`Looks`], the likeliest colour and how clearly it was seen, or
//! [`Unseen`], why nothing can be said. The paint is looked for above the plate and left and right of it. The plate's own light
//! ground is the grey card: luma counts relative to it, and where it is neutral, its cast is taken off the paint. A vivid
//! colour is said where more than half of that paint has it; white, where the paint is lighter than a white plate beside it. Grey
//! and black are guessed and never said: which of them it is depends on the light more than on the paint. Costs some
//! 2,000 samples a plate.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Picture;
use super::picture::{Plane, Range};
use crate::geometry::Rect;

/// The colours that lists and witnesses tell apart. Silver is grey; gold and beige are yellow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Colour {
    /// White.
    White,
    /// Grey or silver.
    Grey,
    /// Black.
    Black,
    /// Blue.
    Blue,
    /// Red.
    Red,
    /// Green.
    Green,
    /// Yellow, gold or beige.
    Yellow,
    /// Brown.
    Brown,
    /// Orange.
    Orange,
    /// Purple.
    Purple,
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::White => "white",
            Self::Grey => "grey",
            Self::Black => "black",
            Self::Blue => "blue",
            Self::Red => "red",
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Brown => "brown",
            Self::Orange => "orange",
            Self::Purple => "purple",
        })
    }
}

/// The likeliest colour of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Looks {
    /// The colour, a guess where `strength` is less than 1.
    pub colour: Colour,
    /// How clearly it was seen, as a multiple of what is needed to say it.
    pub strength: f32,
}

impl Looks {
    /// The colour, where it was seen clearly enough to be said.
    pub fn said(&self) -> Option<Colour> {
        (self.strength >= 1.0).then_some(self.colour)
    }
}

/// Why nothing can be said of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unseen {
    /// A grey picture, from a grey or infrared camera, or one in colour format that shows none.
    NoColour,
    /// Everything has the same tint: infrared that passes into a colour camera, sodium light.
    Cast,
    /// The picture ends too close to the plate.
    CutOff,
}

/// Share of the paint, above the plate and on the whole, that must have a vivid colour for it to be said.
///
/// This and the other limits were chosen on the labels of both packs' `train` half, of which 23 of 235 plates are said with them, one
/// wrongly; with nine tenths of each it would be 33, of which 7 wrongly. On `dev`, which chose nothing, it is 20 of 202, of which 3 wrongly
/// (docs/evaluation/vehicles.md).
const SHARE: f32 = 0.55;

/// Chroma in levels below which a sample counts as neutral: sky in black paint has as much.
const NEUTRAL: f32 = 15.0;

/// Vivid colours as sectors of the angle of (blue difference, red difference) in degrees, counted from blue over red, and the median chroma from which
/// each is said. A sector may pass through 0.
const VIVID: [(Colour, f32, f32, f32); 6] = [
    (Colour::Purple, 20.0, 60.0, 30.0),
    (Colour::Red, 60.0, 124.0, 25.0),
    (Colour::Orange, 124.0, 146.0, 40.0),
    (Colour::Yellow, 146.0, 190.0, 35.0),
    (Colour::Green, 190.0, 285.0, 30.0),
    (Colour::Blue, 285.0, 20.0, 30.0),
];

/// Luma of white paint as a multiple of that of a white plate's ground: the median above the plate, and the lower quartile of
/// all, so that lamps and windows do not make a car white.
const WHITE: (f32, f32) = (1.05, 0.55);

/// Median chroma from which paint is not white, in levels.
const TINTED: f32 = 12.0;

/// Luma of a white plate below which the picture is too dark to tell white.
const LIT: f32 = 100.0;

/// Chroma of a ground, as a fraction of its luma, up to which the plate counts as white.
const WHITE_PLATE: f32 = 0.12;

/// A sample: luma from 0 to 255, blue and red difference around 0.
type Sample = [f32; 3];

/// Looks at the vehicle around `plate`.
pub fn look(picture: &Picture, plate: &Rect) -> Result<Looks, Unseen> {
    let planes = Planes::of(picture).ok_or(Unseen::NoColour)?;
    let unit = plate.w.max(1.5 * plate.h);
    let middle = plate.centre();
    let span = |from: f32, to: f32| (middle.x + from * unit, middle.x + to * unit);
    let beside = (middle.y - 0.35 * unit, middle.y + 0.15 * unit);
    let above = (plate.y - 0.75 * unit, plate.y - 0.12 * unit);
    let mut paint = planes.grid(span(-0.9, 0.9), above, (28, 14));
    let n_above = paint.len();
    paint.extend(planes.grid(span(-1.35, -0.65), beside, (12, 8)));
    paint.extend(planes.grid(span(0.65, 1.35), beside, (12, 8)));
    let inner = plate.grown(-0.1);
    let ground = ground(planes.grid((inner.x, inner.right()), (inner.y, inner.bottom()), (28, 12)));
    // Half of the samples above: what is left of the picture there is the vehicle still.
    let (Some(ground), true) = (ground, n_above >= 200) else { return Err(Unseen::CutOff) };
    planes.check_light(ground)?;
    Ok(judge(&mut paint, n_above, ground))
}

/// What the samples of paint say, relative to the plate's light ground.
fn judge(paint: &mut [Sample], n_above: usize, ground: Sample) -> Looks {
    let white_plate = chroma(&ground) < WHITE_PLATE * ground[0];
    if white_plate {
        for sample in paint.iter_mut() {
            let part = (sample[0] / ground[0]).min(1.0);
            (sample[1], sample[2]) = (sample[1] - ground[1] * part, sample[2] - ground[2] * part);
        }
    }
    let polar: Vec<(f32, f32)> = paint.iter().map(|s| (chroma(s), angle(s))).collect();
    let vivid = VIVID.map(|(colour, from, to, least)| {
        let own = |(chroma, angle): &&(f32, f32)| *chroma > NEUTRAL && within(*angle, from, to);
        let all: Vec<f32> = polar.iter().filter(own).map(|(chroma, _)| *chroma).collect();
        let above = polar[..n_above].iter().filter(own).count() as f32 / n_above as f32;
        let share = above.min(all.len() as f32 / polar.len() as f32);
        let strength = (share / SHARE).min(quantile(all, 0.5) / least);
        (share, Looks { colour, strength })
    });
    let (share, vivid) =
        vivid.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).expect("there are vivid colours");
    let luma = |of: &[Sample], q| quantile(of.iter().map(|s| s[0]).collect(), q) / ground[0];
    let (middle, lower) = (luma(&paint[..n_above], 0.5), luma(paint, 0.25));
    let plain = quantile(polar.iter().map(|(chroma, _)| *chroma).collect(), 0.5) < TINTED;
    let white = if white_plate && plain && ground[0] >= LIT {
        (middle / WHITE.0).min(lower / WHITE.1)
    } else {
        0.0
    };
    if white >= 1.0 && vivid.strength < 1.0 {
        return Looks { colour: Colour::White, strength: white };
    }
    // Guesses, for the curve of an evaluation: none is ever said.
    match middle {
        _ if share >= 0.35 => vivid,
        m if m < 0.4 => Looks { colour: Colour::Black, strength: 0.3 },
        m if m < 0.85 => Looks { colour: Colour::Grey, strength: 0.3 },
        _ => Looks { colour: Colour::White, strength: white.max(0.3) },
    }
}

/// The light ground of a plate, each value the median of its lightest quarter; none where the plate is hardly in the picture.
fn ground(plate: Vec<Sample>) -> Option<Sample> {
    let from = quantile(plate.iter().map(|s| s[0]).collect(), 0.75);
    let light: Vec<Sample> = plate.into_iter().filter(|s| s[0] >= from).collect();
    let [y, b, r] = [0, 1, 2].map(|i| quantile(light.iter().map(|s| s[i]).collect(), 0.5));
    (light.len() >= 20).then_some([y.max(30.0), b, r])
}

fn chroma(s: &Sample) -> f32 {
    s[1].hypot(s[2])
}

fn angle(s: &Sample) -> f32 {
    s[2].atan2(s[1]).to_degrees().rem_euclid(360.0)
}

fn within(angle: f32, from: f32, to: f32) -> bool {
    if from < to { (from..to).contains(&angle) } else { angle >= from || angle < to }
}

/// The value below which a fraction `q` of the others lies; 0 of none.
fn quantile(mut values: Vec<f32>, q: f32) -> f32 {
    let at = (values.len().saturating_sub(1) as f32 * q).round() as usize;
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(at, f32::total_cmp).1
}

/// The planes of a picture in colour.
struct Planes<'a> {
    luma: Plane<'a>,
    chroma: [Plane<'a>; 2],
    range: Range,
}

impl<'a> Planes<'a> {
    fn of(picture: &'a Picture) -> Option<Self> {
        let chroma = picture.chroma()?;
        Some(Self { luma: picture.luma(), chroma, range: picture.range() })
    }

    /// Samples in the middles of `n` columns and rows of a box, as far as it lies in the picture.
    fn grid(&self, x: (f32, f32), y: (f32, f32), n: (u32, u32)) -> Vec<Sample> {
        let middle = |(from, to): (f32, f32), i: u32, n: u32| {
            from + (i as f32 + 0.5) * (to - from) / n as f32
        };
        let columns: Vec<f32> = (0..n.0).map(|i| middle(x, i, n.0)).collect();
        let rows = (0..n.1).map(|j| middle(y, j, n.1));
        rows.flat_map(|y| columns.iter().filter_map(move |x| self.at(*x, y))).collect()
    }

    fn at(&self, x: f32, y: f32) -> Option<Sample> {
        let inside = x >= 0.0 && y >= 0.0;
        let (x, y) = (x as u32, y as u32);
        if !inside || x >= self.luma.width || y >= self.luma.height {
            return None;
        }
        let value = |plane: &Plane<'_>, x, y| {
            f32::from(plane.bytes[y as usize * plane.stride as usize + x as usize])
        };
        let [b, r] = self.chroma.map(|plane| {
            let scaled = |v: u32, of: u32, to: u32| (v * of / to).min(of - 1);
            let x = scaled(x, plane.width, self.luma.width);
            value(&plane, x, scaled(y, plane.height, self.luma.height)) - 128.0
        });
        let luma = value(&self.luma, x, y);
        Some(match self.range {
            Range::Full => [luma, b, r],
            Range::Limited => [(luma - 16.0) * 255.0 / 219.0, b * 255.0 / 224.0, r * 255.0 / 224.0],
        })
    }

    /// Refuses pictures without colour, and those in which everything has one tint, the plate included.
    fn check_light(&self, ground: Sample) -> Result<(), Unseen> {
        let (w, h) = (self.luma.width as f32, self.luma.height as f32);
        let all = self.grid((0.0, w), (0.0, h), (48, 27));
        let mean = |of: &dyn Fn(&Sample) -> f32| all.iter().map(of).sum::<f32>() / all.len() as f32;
        let (b, r) = (mean(&|s| s[1]), mean(&|s| s[2]));
        let spread = mean(&|s| (s[1] - b).hypot(s[2] - r));
        let tint = b.hypot(r);
        // A plate that is pink is no plate's colour; a yellow one is.
        let pink = chroma(&ground) > 0.1 * ground[0]
            && ground[1] > -WHITE_PLATE * ground[0]
            && ground[2] > 0.07 * ground[0];
        match () {
            () if pink || (tint > 8.0 && tint > 1.6 * spread) => Err(Unseen::Cast),
            () if spread < 2.0 => Err(Unseen::NoColour),
            () => Ok(()),
        }
    }
}

#[cfg(test)]
#[path = "vehicle_tests.rs"]
mod tests;
