//! Plans a drive: which vehicles come along, when, in which lane, how fast, with which plate. All of it follows
//! from the settings and their seed, and is known before the first picture is drawn. So is the
//! truth: in which frames each camera could read each plate.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use crate::camera_id::CameraId;
use crate::plate::Plate;
use crate::render::car::{BODIES, Body, Car, PAINTS};
use crate::render::chance::Chance;
use crate::render::light::TimeOfDay;
use crate::render::plate::Design;
use crate::render::scene::{FARTHEST_M, Placed, plates_in_view};
use crate::render::view::View;
use crate::render::{ONCOMING_LANE_M, RIGHT_LANE_M};

/// What kind of plates come along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Mostly Ontario, some from Quebec and New York.
    #[default]
    America,
    /// German and Dutch.
    Europe,
}

/// Which way a camera looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Ahead and to the left: oncoming traffic.
    Left,
    /// Ahead and to the right: those we overtake, and the parked.
    Right,
    /// Straight ahead: our own lane and the two beside it.
    Ahead,
}

impl Side {
    /// The camera's name.
    pub fn id(self) -> CameraId {
        CameraId::new(match self {
            Self::Left => "left",
            Self::Right => "right",
            Self::Ahead => "ahead",
        })
    }
}

/// A drive's settings; every key has a default.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriveSettings {
    /// Seed of everything random.
    pub seed: u64,
    /// How long the drive lasts, in seconds.
    pub seconds: f32,
    /// Frames a second of each camera.
    pub fps: f32,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The cameras.
    pub cameras: Vec<Side>,
    /// `day`, `dusk`, `night` or `infrared`.
    pub light: TimeOfDay,
    /// Our own speed, km/h.
    pub speed_kmh: f32,
    /// Speed at which oncoming traffic and we close, km/h, slowest and fastest.
    pub closing_kmh: (f32, f32),
    /// Oncoming vehicles a minute.
    pub oncoming_per_minute: f32,
    /// Vehicles overtaken or passed parked, a minute.
    pub right_per_minute: f32,
    /// Share of those on the right that are parked, 0 to 1.
    pub parked: f32,
    /// How long the shutter is open, in microseconds.
    pub shutter_us: f32,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Kind of plates.
    pub region: Region,
}

impl Default for DriveSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            seconds: 60.0,
            fps: 15.0,
            width: 1280,
            height: 720,
            cameras: vec![Side::Left],
            light: TimeOfDay::Day,
            speed_kmh: 50.0,
            closing_kmh: (75.0, 105.0),
            oncoming_per_minute: 24.0,
            right_per_minute: 24.0,
            parked: 0.6,
            // What plate cameras use; see `docs/decisions/0050`.
            shutter_us: 500.0,
            quality: 85,
            region: Region::America,
        }
    }
}

/// Fastest closing speed that is rendered, km/h.
const FASTEST_KMH: f32 = 300.0;

impl DriveSettings {
    /// Checks every value; the message names key, value and range.
    pub fn validate(&self) -> Result<(), String> {
        let within = |key: &str, value: f32, low: f32, high: f32| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{key} = {value}: must be {low} to {high}"))
            }
        };
        within("seconds", self.seconds, 1.0, 86_400.0)?;
        within("fps", self.fps, 2.0, 120.0)?;
        within("width", self.width as f32, 320.0, 3840.0)?;
        within("height", self.height as f32, 180.0, 2160.0)?;
        within("speed_kmh", self.speed_kmh, 1.0, 200.0)?;
        within("closing_kmh", self.closing_kmh.0, self.speed_kmh, FASTEST_KMH)?;
        within("closing_kmh", self.closing_kmh.1, self.closing_kmh.0, FASTEST_KMH)?;
        within("oncoming_per_minute", self.oncoming_per_minute, 0.0, 60.0)?;
        within("right_per_minute", self.right_per_minute, 0.0, 60.0)?;
        within("parked", self.parked, 0.0, 1.0)?;
        within("shutter_us", self.shutter_us, 10.0, 20_000.0)?;
        within("quality", f32::from(self.quality), 20.0, 100.0)?;
        if self.cameras.is_empty() {
            return Err(
                "cameras = []: must name \"left\", \"right\" or \"ahead\", two at most".into()
            );
        }
        if self.cameras.len() > 2 || self.cameras.first() == self.cameras.get(1) {
            return Err("cameras: must name two at most, each once".into());
        }
        Ok(())
    }

    /// What a camera sees: turned outwards and a little down, as plate cameras are mounted.
    pub fn view(&self, side: Side) -> View {
        let yaw_deg = match side {
            Side::Left => -11.0,
            Side::Right => 11.5,
            Side::Ahead => 0.0,
        };
        // 32 degrees across: a plate 0.3 m wide leaves the picture some 85 pixels wide at 720p.
        let focal = self.width as f32 * 1.75;
        View {
            width: self.width,
            height: self.height,
            focal,
            yaw_deg,
            horizon: 0.40,
            above_m: 1.35,
        }
    }
}

/// One vehicle that comes along.
pub struct Encounter {
    /// Its shape and colour.
    pub car: Arc<Car>,
    /// What its plate looks like.
    pub design: Design,
    /// Its plate as painted, with spaces.
    pub painted: String,
    /// Its plate.
    pub plate: Plate,
    /// Metres to the right of our lane's middle.
    pub across_m: f32,
    /// Seconds into the drive at which its nearest end is beside the camera.
    pub beside_s: f64,
    /// Metres a second at which it comes closer.
    pub closing_mps: f32,
    /// Whether it comes towards us.
    pub oncoming: bool,
    /// Seed for the wear of its plate.
    pub seed: u64,
}

impl Encounter {
    /// Where it is at a time of the drive.
    pub fn at(&self, seconds: f64) -> Placed<'_> {
        Placed {
            car: &self.car,
            plate_m: self.design.size_m(),
            across_m: self.across_m,
            ahead_m: ((self.beside_s - seconds) * f64::from(self.closing_mps)) as f32,
            oncoming: self.oncoming,
            closing_mps: self.closing_mps,
        }
    }

    /// Whether it is near enough to be drawn.
    pub fn in_sight(&self, seconds: f64) -> bool {
        let ahead = self.at(seconds).ahead_m;
        ahead < FARTHEST_M && ahead + self.car.length_m > 0.0
    }
}

/// When one camera could read one vehicle's plate.
#[derive(Debug, Clone, PartialEq)]
pub struct Visit {
    /// Place of the vehicle in [`DriveScenario::encounters`].
    pub vehicle: usize,
    /// The camera.
    pub side: Side,
    /// Frames in which the plate is at least [`VISIBLE_PX`] wide, the first and the last.
    pub visible: (u64, u64),
    /// Frames in which it lies clear in the picture and is at least the asked width.
    pub legible_frames: u32,
    /// Its greatest width in pixels while it was clear.
    pub widest_px: f32,
}

/// Narrower than this, nobody could read it: no model here reads below some 35.
pub const VISIBLE_PX: f32 = 24.0;

/// A whole drive.
pub struct DriveScenario {
    /// What it was made from.
    pub settings: DriveSettings,
    /// Everyone who comes along, in the order in which they pass.
    pub encounters: Vec<Arc<Encounter>>,
}

impl DriveScenario {
    /// Plans a drive.
    pub fn plan(settings: DriveSettings) -> Self {
        let mut chance = Chance::new(settings.seed);
        let mut encounters = Vec::new();
        let mut garage = Garage::default();
        let own = settings.speed_kmh / 3.6;
        let seconds = f64::from(settings.seconds);
        if settings.oncoming_per_minute > 0.0 {
            let mean = 60.0 / settings.oncoming_per_minute;
            let mut closing = |chance: &mut Chance| {
                chance.between(settings.closing_kmh.0, settings.closing_kmh.1) / 3.6
            };
            lane(&mut encounters, &mut chance, seconds, mean, true, &mut closing, &mut garage);
        }
        if settings.right_per_minute > 0.0 {
            let mean = 60.0 / settings.right_per_minute;
            // Parked cars and slow ones come in turns of some ten seconds, as blocks of a street.
            let (mut left, mut parked) = (0, false);
            let mut closing = |chance: &mut Chance| {
                if left == 0 {
                    left = 2 + chance.below(5);
                    parked = chance.unit() < settings.parked;
                }
                left -= 1;
                if parked { own } else { own.min(chance.between(5.0, 9.0)) }
            };
            lane(&mut encounters, &mut chance, seconds, mean, false, &mut closing, &mut garage);
        }
        encounters.sort_by(|a: &Encounter, b| a.beside_s.total_cmp(&b.beside_s));
        name_plates(&mut encounters, &mut chance, settings.region);
        Self { settings, encounters: encounters.into_iter().map(Arc::new).collect() }
    }

    /// Frames that each camera takes over the drive.
    pub fn frames(&self) -> u64 {
        (self.settings.seconds * self.settings.fps) as u64
    }

    /// When frame `n` is taken, in seconds of the drive.
    pub fn frame_s(&self, n: u64) -> f64 {
        n as f64 / f64::from(self.settings.fps)
    }

    /// How far a camera's picture is shifted at a time, in pixels: the car nods on its springs.
    pub fn rock(&self, seconds: f64) -> f32 {
        let t = seconds as f32;
        let nod = 0.0011 * (t * 6.9).sin() + 0.0006 * (t * 16.0 + 1.0).sin();
        (nod * self.settings.width as f32 * 1.75).round()
    }

    /// Works out, for one camera, when each plate can be read: at least `min_width_px` wide and not
    /// covered. Geometry alone: some 10 µs per frame.
    pub fn visits(&self, side: Side, min_width_px: f32) -> Vec<Visit> {
        let view = self.settings.view(side);
        let mut visits: Vec<Visit> = Vec::new();
        let mut first_in_sight = 0;
        for n in 0..self.frames() {
            let seconds = self.frame_s(n);
            let gone = |e: &Encounter| e.at(seconds).ahead_m + e.car.length_m < 0.0;
            while self.encounters.get(first_in_sight).is_some_and(|e| gone(e)) {
                first_in_sight += 1;
            }
            let near: Vec<_> = (first_in_sight..self.encounters.len())
                .filter(|&i| self.encounters[i].in_sight(seconds))
                .collect();
            let placed: Vec<_> = near.iter().map(|&i| self.encounters[i].at(seconds)).collect();
            for seen in plates_in_view(&view, &placed, self.rock(seconds)) {
                let [a, b, ..] = seen.corners;
                let width = (b.x - a.x).hypot(b.y - a.y);
                if width < VISIBLE_PX {
                    continue;
                }
                let vehicle = near[seen.vehicle];
                let visit = match visits.iter_mut().rev().find(|v| v.vehicle == vehicle) {
                    Some(visit) => visit,
                    None => {
                        visits.push(Visit {
                            vehicle,
                            side,
                            visible: (n, n),
                            legible_frames: 0,
                            widest_px: 0.0,
                        });
                        visits.last_mut().expect("one was pushed just now")
                    }
                };
                visit.visible.1 = n;
                if seen.clear {
                    visit.widest_px = visit.widest_px.max(width);
                    visit.legible_frames += u32::from(width >= min_width_px);
                }
            }
        }
        visits
    }

    /// How long after the start frame `n` is taken.
    pub fn frame_time(&self, n: u64) -> Duration {
        Duration::from_secs_f64(self.frame_s(n))
    }
}

/// Least distance between the near ends of two vehicles of a lane, in metres.
const LEAST_GAP_M: f64 = 8.5;

/// Cars in every shape and paint, each built once: a long drive meets thousands.
#[derive(Default)]
struct Garage(Vec<(Body, usize, Arc<Car>)>);

impl Garage {
    fn any(&mut self, body: Body, chance: &mut Chance) -> Arc<Car> {
        let paint = chance.below(PAINTS.len());
        if let Some((.., car)) = self.0.iter().find(|(b, p, _)| (*b, *p) == (body, paint)) {
            return car.clone();
        }
        let car = Arc::new(Car::new(body, PAINTS[paint]));
        self.0.push((body, paint, car.clone()));
        car
    }
}

/// Fills one lane, one vehicle after another, so that none drives through another in sight.
fn lane(
    encounters: &mut Vec<Encounter>,
    chance: &mut Chance,
    seconds: f64,
    mean_s: f32,
    oncoming: bool,
    closing: &mut dyn FnMut(&mut Chance) -> f32,
    garage: &mut Garage,
) {
    let across = if oncoming { ONCOMING_LANE_M } else { RIGHT_LANE_M };
    // The first comes into view soon after the start; the last are still ahead at the end.
    let mut beside = f64::from(chance.between(1.2, 2.4));
    let mut before: Option<(f64, f32)> = None;
    while beside < seconds + 30.0 {
        let mut speed = closing(chance);
        if let Some((earlier, its_speed)) = before {
            let soonest = earlier + LEAST_GAP_M / f64::from(speed.min(its_speed));
            beside = beside.max(soonest);
            // Both lie on lines over time: apart at both ends of the time in sight, apart between.
            let appears = beside - f64::from(FARTHEST_M) / f64::from(speed);
            let gap = f64::from(FARTHEST_M) - (earlier - appears) * f64::from(its_speed);
            if gap < LEAST_GAP_M {
                speed = its_speed;
                beside = beside.max(earlier + LEAST_GAP_M / f64::from(speed));
            }
        }
        before = Some((beside, speed));
        let body = *chance.pick(&[
            BODIES[0],
            BODIES[0],
            BODIES[0],
            BODIES[1],
            BODIES[1],
            BODIES[2],
            Body::Van,
            Body::Pickup,
        ]);
        encounters.push(Encounter {
            car: garage.any(body, chance),
            design: Design::Ontario,
            painted: String::new(),
            plate: Plate::parse("0").expect("0 is a plate"),
            across_m: across + chance.normal() * 0.10,
            beside_s: beside,
            closing_mps: speed,
            oncoming,
            seed: chance.bits(),
        });
        beside += f64::from(mean_s * chance.between(0.45, 1.55));
    }
}

/// Gives everyone a plate that nobody else has, not even after folding.
fn name_plates(encounters: &mut [Encounter], chance: &mut Chance, region: Region) {
    use Design::{Dutch, German, Gold, NewYork, Ontario, Quebec};
    let designs: &[Design] = match region {
        Region::America => &[Ontario, Ontario, Ontario, Ontario, Quebec, NewYork, NewYork, Gold],
        Region::Europe => &[German, German, Dutch],
    };
    let mut taken = std::collections::HashSet::new();
    for encounter in encounters {
        encounter.design = *chance.pick(designs);
        loop {
            let painted = encounter.design.random_text(chance);
            let plate = Plate::parse(&painted).expect("every format is a plate");
            if taken.insert(plate.key()) {
                (encounter.painted, encounter.plate) = (painted, plate);
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive() -> DriveScenario {
        DriveScenario::plan(DriveSettings { seconds: 90.0, ..DriveSettings::default() })
    }

    #[test]
    fn plan_follows_from_the_seed() {
        let texts = |seed| {
            let settings = DriveSettings { seed, ..DriveSettings::default() };
            let plan = DriveScenario::plan(settings);
            plan.encounters.iter().map(|e| (e.painted.clone(), e.beside_s)).collect::<Vec<_>>()
        };
        assert_eq!(texts(4), texts(4));
        assert_ne!(texts(4), texts(5));
    }

    #[test]
    fn nobody_drives_through_anybody_in_sight() {
        let plan = drive();
        for step in 0..1800 {
            let seconds = f64::from(step) * 0.05;
            for oncoming in [true, false] {
                let mut at: Vec<_> = plan
                    .encounters
                    .iter()
                    .filter(|e| e.oncoming == oncoming && e.in_sight(seconds))
                    .map(|e| (e.at(seconds).ahead_m, e.car.length_m))
                    .collect();
                at.sort_by(|a, b| a.0.total_cmp(&b.0));
                for pair in at.windows(2) {
                    let apart = pair[1].0 - pair[0].0 - pair[0].1;
                    assert!(apart > 1.0, "{apart} m apart at {seconds} s");
                }
            }
        }
    }

    #[test]
    fn left_camera_sees_oncoming_plates_and_right_camera_the_others() {
        let plan = drive();
        for side in [Side::Left, Side::Right] {
            let visits = plan.visits(side, 40.0);
            let legible: Vec<_> = visits.iter().filter(|v| v.legible_frames >= 3).collect();
            assert!(legible.len() > 15, "{side:?}: {}", legible.len());
            for visit in legible {
                let oncoming = plan.encounters[visit.vehicle].oncoming;
                assert_eq!(oncoming, side == Side::Left);
                assert!(visit.widest_px > 60.0, "{visit:?}");
            }
        }
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let settings = DriveSettings { fps: 500.0, ..DriveSettings::default() };
        assert_eq!(settings.validate().unwrap_err(), "fps = 500: must be 2 to 120");
        assert!(toml::from_str::<DriveSettings>("sped = 5").is_err());
        DriveSettings::default().validate().unwrap();
    }
}
