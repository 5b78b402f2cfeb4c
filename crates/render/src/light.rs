//! Day, dusk, night and infrared: the light on surfaces, and how the sensor records it.

use image::RgbImage;

use super::car::{Stuff, dot, unit};
use super::chance::Chance;
use super::view::{Point3, p3};

/// When the drive takes place.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    clap::ValueEnum,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TimeOfDay {
    /// Bright, thin cloud, soft shadows.
    #[default]
    Day,
    /// After sunset: lamps on, gain up.
    Dusk,
    /// A country road without lamps: only our beam and the lamps of others.
    Night,
    /// At night, with a camera's own flash at 850 nm: grey, plates bright, everything else dark.
    /// Inks are drawn as dark as in visible light; some real ones vanish in infrared.
    Infrared,
}

impl TimeOfDay {
    /// Whether vehicles drive with their lamps on.
    pub(super) fn lamps_on(self) -> bool {
        self != Self::Day
    }

    /// Deviation of the sensor's grain in grey levels: a small sensor at base gain, with 18 dB, and with 24 dB.
    fn grain(self) -> f32 {
        match self {
            Self::Day => 2.0,
            Self::Dusk | Self::Infrared => 6.0,
            Self::Night => 10.0,
        }
    }
}

/// The light of one time of day, as fractions of what the sensor shows as white.
#[derive(Debug, Clone, Copy)]
pub(super) struct Light {
    pub(super) time: TimeOfDay,
    /// From above.
    sky: [f32; 3],
    /// From the road.
    bounce: [f32; 3],
    sun: [f32; 3],
    /// Unit vector towards the sun, in camera axes: the sun stands still in the picture.
    towards_sun: Point3,
    /// Brightness of our own headlamps on an upright surface 10 m ahead.
    beam: f32,
    /// The colour into which distant things fade.
    pub(super) haze: [f32; 3],
    /// Light on the road and the trees, whose colours are stored as if lit by 1.
    pub(super) flat: [f32; 3],
}

impl Light {
    pub(super) fn of(time: TimeOfDay) -> Self {
        match time {
            TimeOfDay::Day => Self {
                time,
                sky: [0.62, 0.66, 0.72],
                bounce: [0.30, 0.29, 0.27],
                sun: [0.52, 0.49, 0.42],
                towards_sun: unit(p3(-0.55, 0.72, -0.5)),
                beam: 0.0,
                haze: [0.76, 0.81, 0.86],
                flat: [1.0, 1.0, 1.0],
            },
            TimeOfDay::Dusk => Self {
                time,
                sky: [0.13, 0.145, 0.20],
                bounce: [0.05, 0.048, 0.05],
                sun: [0.07, 0.05, 0.035],
                towards_sun: unit(p3(0.5, 0.15, 0.9)),
                beam: 0.30,
                haze: [0.30, 0.25, 0.27],
                flat: [0.21, 0.215, 0.26],
            },
            TimeOfDay::Night => Self {
                time,
                sky: [0.018, 0.019, 0.026],
                bounce: [0.008, 0.008, 0.008],
                sun: [0.0; 3],
                towards_sun: unit(p3(0.0, 1.0, 0.0)),
                beam: 0.24,
                haze: [0.02, 0.02, 0.025],
                flat: [0.055, 0.053, 0.05],
            },
            // The flash is at the camera and no wider than the picture.
            TimeOfDay::Infrared => Self {
                time,
                sky: [0.01; 3],
                bounce: [0.005; 3],
                sun: [0.0; 3],
                towards_sun: unit(p3(0.0, 1.0, 0.0)),
                beam: 0.30,
                haze: [0.01; 3],
                flat: [0.05; 3],
            },
        }
    }

    /// Our own beam at a distance, relative to 10 m.
    pub(super) fn beam_at(&self, distance_m: f32) -> f32 {
        self.beam * (10.0 / distance_m.max(5.0)).powf(1.3).min(1.8)
    }

    /// The colour of a surface: `n` is its normal, `at` its place in camera axes.
    pub(super) fn shade(&self, stuff: Stuff, paint: [f32; 3], n: Point3, at: Point3) -> [f32; 3] {
        let distance = dot(at, at).sqrt().max(0.1);
        let look = p3(at.x / distance, (at.y - 1.3) / distance, at.z / distance);
        let facing = -dot(n, look);
        let mirrored = p3(
            look.x + 2.0 * facing * n.x,
            look.y + 2.0 * facing * n.y,
            look.z + 2.0 * facing * n.z,
        );
        let above = 0.5 + 0.5 * n.y;
        let sun = dot(n, self.towards_sun).max(0.0);
        let beam = self.beam_at(distance) * facing.max(0.0);
        let fallen: [f32; 3] = std::array::from_fn(|i| {
            self.sky[i] * above + self.bounce[i] * (1.0 - above) + self.sun[i] * sun + beam
        });
        // What the surface mirrors: sky above, a bright rim at the horizon, road below.
        let seen: [f32; 3] = std::array::from_fn(|i| {
            if mirrored.y > 0.0 {
                // Trees cover most of the bright horizon.
                let rim = (1.0 - (mirrored.y - 0.3).abs() * 5.0).max(0.0);
                let open = (mirrored.y * 3.0).min(1.0);
                self.sky[i] * (0.35 + 0.85 * open) + (self.haze[i] - self.sky[i]) * rim
            } else {
                self.bounce[i] * (1.0 + mirrored.y * 0.6).max(0.2)
            }
        });
        let glint = dot(mirrored, self.towards_sun).max(0.0).powi(24);
        let fresnel = (1.0 - facing.clamp(0.0, 1.0)).powi(3);
        let lit = |albedo: [f32; 3], gloss: f32, spot: f32| -> [f32; 3] {
            std::array::from_fn(|i| {
                albedo[i] * fallen[i] * (1.0 - gloss)
                    + seen[i] * (gloss + fresnel * gloss * 2.0)
                    + self.sun[i] * glint * spot
            })
        };
        let on = self.time.lamps_on();
        match stuff {
            Stuff::Paint => lit(paint, 0.16, 0.9),
            Stuff::Glass => lit([0.045, 0.05, 0.055], 0.26, 1.2),
            Stuff::Dull(colour) => lit(colour, 0.03, 0.05),
            Stuff::Metal => lit([0.62, 0.63, 0.65], 0.35, 0.8),
            Stuff::HeadLamp if on => [1.0, 0.98, 0.90],
            Stuff::HeadLamp => lit([0.86, 0.88, 0.90], 0.3, 1.2),
            Stuff::TailLamp if on => [0.95, 0.10, 0.06],
            Stuff::TailLamp => lit([0.60, 0.05, 0.05], 0.15, 0.9),
        }
    }

    /// The brightness of a plate's white. Plates reflect a car's beam straight back.
    pub(super) fn on_plate(&self, at: Point3, n: Point3) -> [f32; 3] {
        let distance = dot(at, at).sqrt();
        let sun = dot(n, self.towards_sun).max(0.0);
        let beam = (self.beam_at(distance) * 2.4).min(0.72);
        std::array::from_fn(|i| {
            self.sky[i] * 0.95 + self.bounce[i] * 0.5 + self.sun[i] * sun + beam
        })
    }

    /// Mixes a colour with the haze in front of it.
    pub(super) fn through_air(&self, colour: [f32; 3], distance_m: f32) -> [f32; 3] {
        let clear = (-distance_m / 700.0).exp();
        std::array::from_fn(|i| self.haze[i] + (colour[i] - self.haze[i]) * clear)
    }
}

/// The lens's fall-off towards the corners and the sensor's grain, applied to a finished picture.
///
/// 2 ns per pixel: the grain is a tile that is computed once and shifted at random for each frame.
pub(super) struct Sensor {
    grain: Vec<i8>,
    /// Fall-off in 256ths, per column and per row.
    columns: Vec<u16>,
    rows: Vec<u16>,
    grey: bool,
}

const GRAIN: usize = 1 << 16;

impl Sensor {
    pub(super) fn new(time: TimeOfDay, size: (u32, u32)) -> Self {
        let strength = time.grain();
        let mut chance = Chance::new(0x6e01);
        let grain = (0..GRAIN).map(|_| (chance.normal() * strength).clamp(-60.0, 60.0) as i8);
        let fall = |n: u32| -> Vec<u16> {
            (0..n)
                .map(|i| {
                    let t = (i as f32 + 0.5) / n as f32 * 2.0 - 1.0;
                    (256.0 * (1.0 - 0.10 * t * t)) as u16
                })
                .collect()
        };
        let grey = time == TimeOfDay::Infrared;
        Self { grain: grain.collect(), columns: fall(size.0), rows: fall(size.1), grey }
    }

    pub(super) fn expose(&self, frame: &mut RgbImage, chance: &mut Chance) {
        let width = frame.width() as usize;
        for (line, row) in frame.as_mut().chunks_exact_mut(width * 3).zip(&self.rows) {
            let start = chance.below(GRAIN - 3 * width.min(GRAIN / 4));
            let grain = self.grain[start..].chunks_exact(3);
            for ((pixel, column), grain) in line.chunks_exact_mut(3).zip(&self.columns).zip(grain) {
                let keep = (u32::from(*row) * u32::from(*column)) >> 8;
                // The grain is mostly the same in all colours, as demosaicing leaves it.
                let common = i32::from(grain[0]);
                if self.grey {
                    let mean = pixel.iter().map(|c| u32::from(*c)).sum::<u32>() / 3;
                    let value = ((mean * keep) >> 8) as i32 + common;
                    pixel.fill(value.clamp(0, 255) as u8);
                    continue;
                }
                for (c, g) in pixel.iter_mut().zip(grain) {
                    let value = ((u32::from(*c) * keep) >> 8) as i32;
                    *c = (value + (2 * common + i32::from(*g)) / 3).clamp(0, 255) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plate_shines_in_our_beam_and_fades_with_distance() {
        let dusk = Light::of(TimeOfDay::Dusk);
        let n = p3(0.0, 0.0, -1.0);
        let near = dusk.on_plate(p3(0.0, 0.5, 8.0), n)[1];
        let far = dusk.on_plate(p3(0.0, 0.5, 40.0), n)[1];
        assert!(near > 0.6 && far < 0.5 * near, "{near} {far}");
        let day = Light::of(TimeOfDay::Day).on_plate(p3(0.0, 0.5, 40.0), n)[1];
        assert!((0.7..=1.2).contains(&day), "{day}");
    }

    #[test]
    fn at_night_plates_shine_before_a_dark_road() {
        for time in [TimeOfDay::Night, TimeOfDay::Infrared] {
            let light = Light::of(time);
            let plate = light.on_plate(p3(0.0, 0.5, 15.0), p3(0.0, 0.0, -1.0))[1];
            assert!(plate > 5.0 * light.flat[1] && plate < 1.0, "{time:?}: {plate}");
        }
    }

    #[test]
    fn infrared_is_grey() {
        let mut frame = RgbImage::from_pixel(60, 40, image::Rgb([200, 40, 90]));
        Sensor::new(TimeOfDay::Infrared, (60, 40)).expose(&mut frame, &mut Chance::new(3));
        assert!(frame.pixels().all(|p| p[0] == p[1] && p[1] == p[2]));
    }

    #[test]
    fn grain_keeps_the_mean() {
        let mut frame = RgbImage::from_pixel(200, 100, image::Rgb([120, 120, 120]));
        Sensor::new(TimeOfDay::Dusk, (200, 100)).expose(&mut frame, &mut Chance::new(3));
        let mean = frame.as_raw().iter().map(|&b| f64::from(b)).sum::<f64>() / 60_000.0;
        // Fall-off takes 6.5 % on average.
        assert!((mean - 112.0).abs() < 2.0, "{mean}");
    }
}
