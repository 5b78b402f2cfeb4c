//! What a 4K camera reads of a drive, and how far away, against a camera of 1920x1080 with the same lens on the same
//! drive: three lanes, several closing speeds, 30 frames a second and 15.
//!
//! ```text
//! cargo run --release --features testing --example drives_4k -- [PASSES] [SEED] [KEEP]
//! ```
//! Prints Markdown tables; `docs/evaluation/drives-4k.sh` puts them into the documents. KEEP is a folder in which the drawn
//! frames are kept (some gigabytes) and from which they are taken the next time, so that two builds can be compared without
//! drawing again. Costs some 0.4 s of a core for each frame at 30 frames a second, most of it drawing.
//!
//! The camera looks straight ahead, 32 degrees across. In the lane to the left others come towards us, in the lane to the
//! right they stand or go before us, and both close at the row's speed; in our own lane somebody comes closer at walking
//! pace. At 0 km/h there is one vehicle in each lane, at distances that nobody chose, and all of them keep their distance for a
//! second and a fifth; scene follows scene, so plates appear out of nothing. The frames at 15 a second are every second
//! one of those at 30.
//!
//! A *pass* is a vehicle whose plate is wide enough for the vote, whole and uncovered in at least one frame of the 4K
//! camera. Where it was *first read* is the distance of its plate in the frame after which the vote let the read out. Its first
//! *three frames* are those from the first on in which the 4K camera shows its plate wide enough, whole and uncovered; in
//! each of them the surrounding 1920x1080 pixels of the 4K picture are also searched, as a picture of their own.

#![allow(clippy::unwrap_used, reason = "a measuring tool")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use outrider::config::{ModelsConfig, ReadingConfig};
use outrider::demo::camera::Painter;
use outrider::demo::scenario::{DriveScenario, DriveSettings, Encounter, Side, Visit};
use outrider::geometry::Rect;
use outrider::onboard::frame::{Frame, Pixels, Raw};
use outrider::onboard::testing::{JoinAndVote, VotedRead};
use outrider::onboard::vision::candidate::Sighted;
use outrider::onboard::vision::{Picture, Reader, still};
use outrider::render::light::TimeOfDay;
use outrider::render::scene::plates_in_view;
use outrider::render::{ONCOMING_LANE_M, RIGHT_LANE_M};

mod study;
#[path = "drives_4k/tables.rs"]
mod tables;

use study::Outcome;

/// Closing speeds in km/h; the first is of vehicles that keep their distance.
const SPEEDS: [f32; 5] = [0.0, 50.0, 100.0, 150.0, 225.0];
const FPS: f32 = 30.0;
/// Frames a second, and which of those at `FPS` are taken.
const RATES: [(f32, u64); 2] = [(FPS, 1), (FPS / 2.0, 2)];
/// The two cameras' pictures; the second is the one whose passes are counted.
const SIZES: [(u32, u32); 2] = [(1920, 1080), (3840, 2160)];
const LARGE: usize = 1;
const SHUTTER_US: f32 = 250.0;
const SIDE: Side = Side::Ahead;
/// Where the first vehicles are at the start: the 4K camera shows their plates 25 pixels wide, too few to be read.
const FIRST_M: f32 = 80.0;
/// Mean distance between two vehicles of a lane: so far apart that they cover each other's plates only where these are
/// too small to be read.
const APART_M: f32 = 30.0;
/// Distances at which vehicles keep away, from where plates leave the picture to where 4K shows them 40 pixels wide.
const KEPT_M: (f32, f32) = (13.0, 50.0);
/// How long they do.
const KEPT_S: f32 = 1.2;
/// Overlap with a plate's place from which on a candidate is that plate.
const OVERLAP: f32 = 0.1;
/// Frames within which a plate should be found.
const SOON: usize = 3;
const LANES: [&str; 3] = ["left, oncoming", "own", "right"];

/// One vehicle's pass; of everything there are two, at 30 frames a second and at 15.
struct Pass {
    lane: usize,
    /// For each picture size.
    seen: [[Seen; 2]; 2],
    /// Whether the 4K camera found its plate within its first three frames, and whether it was found in their crops of
    /// 1920x1080; `None` if it had fewer.
    soon: [Option<(bool, bool)>; 2],
}

#[derive(Default, Clone, Copy)]
struct Seen {
    outcome: Outcome,
    /// How far away the vehicle was when its plate was first read.
    first_read_m: Option<f32>,
}

/// The first frames at one rate in which the 4K camera shows a plate wide enough, whole and uncovered.
#[derive(Default, Clone, Copy)]
struct First {
    /// How many such frames there were, the later ones too.
    frames: usize,
    /// Whether it was found in one of the first.
    found: bool,
    /// Whether it was found in the crop of one of the first.
    in_crop: bool,
}

/// What looking cost.
#[derive(Default, Clone, Copy)]
struct Cost {
    frames: u32,
    decode: Duration,
    find: Duration,
    read: Duration,
}

/// All of one closing speed: passes, and costs by frame rate and picture size.
#[derive(Default)]
struct Row {
    passes: Vec<Pass>,
    costs: [[Cost; 2]; 2],
}

/// One frame rate's camera of one size: its reader and its vote.
struct Eye {
    reader: Reader,
    vote: JoinAndVote,
    /// What was read, and in which frame the vote let it out.
    reads: Vec<(VotedRead, u64)>,
    cost: Cost,
}

struct Study {
    reading: ReadingConfig,
    seed: u64,
    keep: Option<PathBuf>,
    /// Looks at crops.
    crops: Reader,
    bar: ProgressBar,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |otherwise| {
        args.next().map_or(otherwise, |a| a.parse::<u64>().expect("PASSES and SEED are numbers"))
    };
    let passes = usize::try_from(number(12)).unwrap();
    let seed = number(1);
    let keep = args.next().map(PathBuf::from);
    let crops = load();
    let [detector, ocr] = crops.weights().map(|w| format!("{} {}", w.name, w.version));
    let frames =
        SPEEDS.iter().map(|s| plans(*s, passes, seed).iter().map(|p| p.frames()).sum::<u64>());
    let bar = study::bar(usize::try_from(frames.sum::<u64>()).unwrap(), "frames");
    let mut study = Study { reading: ReadingConfig::default(), seed, keep, crops, bar };
    let rows: Vec<_> = SPEEDS.iter().map(|speed| study.row(*speed, passes)).collect();
    study.bar.finish_and_clear();
    println!("{detector}, {ocr}; by day, shutter {SHUTTER_US} µs, seed {seed}; % (95 % Wilson).\n");
    tables::print(&rows);
}

fn load() -> Reader {
    Reader::load(&ModelsConfig::default()).expect("the default models")
}

/// The drives of one closing speed, seen by the 4K camera.
fn plans(speed: f32, passes: usize, seed: u64) -> Vec<DriveScenario> {
    let mut chance = outrider::render::chance::Chance::new(seed ^ speed.to_bits() as u64);
    let settings = DriveSettings {
        seed: seed * 1_000 + speed as u64,
        seconds: passes as f32 + 20.0,
        fps: FPS,
        width: SIZES[LARGE].0,
        height: SIZES[LARGE].1,
        cameras: vec![SIDE],
        light: TimeOfDay::Day,
        speed_kmh: speed.max(1.0),
        oncoming_per_minute: 60.0,
        right_per_minute: 0.0,
        shutter_us: SHUTTER_US,
        ..DriveSettings::default()
    };
    // Cars and plates; where they go is decided below.
    let drawn = DriveScenario::plan(settings.clone()).encounters;
    let mut drawn = drawn.iter();
    let mut vehicle = |lane: usize, ahead_m: f32, closing_mps: f32| {
        let e = drawn.next().expect("more vehicles were planned than are asked for");
        Arc::new(Encounter {
            car: e.car.clone(),
            design: e.design,
            painted: e.painted.clone(),
            plate: e.plate,
            across_m: [ONCOMING_LANE_M, 0.0, RIGHT_LANE_M][lane],
            beside_s: f64::from(ahead_m) / f64::from(closing_mps),
            closing_mps,
            oncoming: lane == 0,
            seed: e.seed,
        })
    };
    if speed == 0.0 {
        let crawling = 0.01;
        let scene = |_| {
            let mut encounters: Vec<_> = (0..LANES.len())
                .map(|lane| vehicle(lane, chance.between(KEPT_M.0, KEPT_M.1), crawling))
                .collect();
            encounters.sort_by(|a, b| a.beside_s.total_cmp(&b.beside_s));
            DriveScenario {
                settings: DriveSettings { seconds: KEPT_S, ..settings.clone() },
                encounters,
            }
        };
        return (0..passes.div_ceil(LANES.len())).map(scene).collect();
    }
    let mps = speed / 3.6;
    let mut encounters = Vec::new();
    let mut last = 0.0_f32;
    for lane in [0, 2] {
        let mut ahead = FIRST_M;
        for _ in 0..passes / 2 {
            encounters.push(vehicle(lane, ahead, mps));
            last = last.max(ahead);
            ahead += APART_M * chance.between(0.7, 1.3);
        }
    }
    encounters.push(vehicle(1, KEPT_M.1, 1.4));
    encounters.sort_by(|a, b| a.beside_s.total_cmp(&b.beside_s));
    // The drive ends where the last one is beside the camera: its plate left the picture before.
    let seconds = last / mps;
    vec![DriveScenario { settings: DriveSettings { seconds, ..settings }, encounters }]
}

impl Study {
    fn row(&mut self, speed: f32, passes: usize) -> Row {
        let mut row = Row::default();
        // A camera's reader stays the same from scene to scene.
        let eye = || Eye {
            reader: load(),
            vote: JoinAndVote::default(),
            reads: Vec::new(),
            cost: Cost::default(),
        };
        let mut eyes = [[eye(), eye()], [eye(), eye()]];
        for (part, plan) in plans(speed, passes, self.seed).into_iter().enumerate() {
            eprintln!("{speed} km/h, drive {}: {} frames", part + 1, plan.frames());
            row.passes.extend(self.drive(
                &plan,
                &mut eyes,
                &format!("{}-{speed}-{part}", self.seed),
            ));
        }
        for (rate, eyes) in eyes.iter().enumerate() {
            for (size, eye) in eyes.iter().enumerate() {
                row.costs[rate][size] = eye.cost;
            }
        }
        row
    }

    /// One drive, every frame of each camera looked at.
    fn drive(&mut self, large: &DriveScenario, eyes: &mut [[Eye; 2]; 2], name: &str) -> Vec<Pass> {
        let mut visits = large.visits(SIDE, self.reading.min_plate_width);
        visits.retain(|v| v.legible_frames > 0);
        let mut painters = SIZES.map(|(width, height)| {
            let settings = DriveSettings { width, height, ..large.settings.clone() };
            let plan = DriveScenario { settings, encounters: large.encounters.clone() };
            Painter::new(Arc::new(plan), SIDE).unwrap()
        });
        for eye in eyes.iter_mut().flatten() {
            (eye.vote, eye.reads) = (JoinAndVote::default(), Vec::new());
        }
        let mut first = vec![[First::default(); 2]; visits.len()];
        for n in 0..large.frames() {
            let frames = [0, 1].map(|size| {
                let jpeg = self.jpeg(&mut painters[size], n, &format!("{name}-{}", SIZES[size].0));
                study::frame(large, SIDE, n, jpeg)
            });
            let mut looks = Vec::new();
            for rate in (0..RATES.len()).filter(|rate| n % RATES[*rate].1 == 0) {
                let [_, in_large] = [0, 1].map(|size| eyes[rate][size].look(&frames[size], n));
                looks.push((rate, in_large));
            }
            let wide = self.wide_enough(large, n);
            for (visit, first) in visits.iter().zip(&mut first) {
                if let Some((_, bbox)) = wide.iter().find(|(i, _)| *i == visit.vehicle) {
                    self.note_found_soon(bbox, &looks, eyes, first);
                }
            }
            self.bar.inc(1);
        }
        for eye in eyes.iter_mut().flatten() {
            let late = eye.vote.finish().into_iter().map(|read| (read, large.frames()));
            eye.reads.extend(late);
        }
        let pass = |(visit, first): (&Visit, [First; 2])| Pass {
            lane: lane_of(&large.encounters[visit.vehicle]),
            seen: [0, 1].map(|rate| [0, 1].map(|size| eyes[rate][size].seen(large, visit))),
            soon: first.map(|f| (f.frames >= SOON).then_some((f.found, f.in_crop))),
        };
        visits.iter().zip(first).map(pass).collect()
    }

    /// Notes of a plate that a frame shows wide enough whether those who looked at it found it, and whether it is found
    /// in its crop, as long as the frame is one of its first.
    fn note_found_soon(
        &mut self,
        bbox: &Rect,
        looks: &[(usize, Sighted)],
        eyes: &[[Eye; 2]; 2],
        first: &mut [First; 2],
    ) {
        // One search serves both frame rates, which see the same picture.
        let mut in_crop = None;
        for (rate, sighted) in looks {
            let first = &mut first[*rate];
            first.frames += 1;
            if first.frames > SOON {
                continue;
            }
            first.found |= is_there(sighted, bbox);
            let picture = eyes[*rate][LARGE].reader.picture();
            first.in_crop |= *in_crop.get_or_insert_with(|| self.found_in_crop(picture, bbox));
        }
    }

    /// Draws a frame, or takes the one that was kept.
    fn jpeg(&self, painter: &mut Painter, n: u64, name: &str) -> Vec<u8> {
        let Some(keep) = &self.keep else { return painter.jpeg(n).unwrap() };
        let path = keep.join(name).join(format!("{n}.jpg"));
        if let Ok(jpeg) = std::fs::read(&path) {
            return jpeg;
        }
        let jpeg = painter.jpeg(n).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        // Another process may take frames from the same folder.
        let written = path.with_extension("new");
        std::fs::write(&written, &jpeg).unwrap();
        std::fs::rename(&written, &path).unwrap();
        jpeg
    }

    /// The vehicles whose plates the 4K camera shows wide enough, whole and uncovered, and where.
    fn wide_enough(&self, plan: &DriveScenario, n: u64) -> Vec<(usize, Rect)> {
        let seconds = plan.frame_s(n);
        let near: Vec<_> =
            (0..plan.encounters.len()).filter(|&i| plan.encounters[i].in_sight(seconds)).collect();
        let placed: Vec<_> = near.iter().map(|&i| plan.encounters[i].at(seconds)).collect();
        let view = plan.settings.view(SIDE);
        let seen = plates_in_view(&view, &placed, plan.rock(seconds));
        let wide =
            seen.iter().filter(|s| s.clear).map(|s| (near[s.vehicle], Rect::around(&s.corners)));
        wide.filter(|(_, bbox)| bbox.w >= self.reading.min_plate_width).collect()
    }

    /// Whether a plate is found in the 1920x1080 pixels around it, searched as a single picture.
    fn found_in_crop(&mut self, picture: &Picture, bbox: &Rect) -> bool {
        let ((w, h), (width, height)) = (SIZES[0], picture.size());
        let centre = bbox.centre();
        let start =
            |at: f32, part: u32, whole: u32| (at as u32).saturating_sub(part / 2).min(whole - part);
        let (x, y) = (start(centre.x, w, width), start(centre.y, h, height));
        // As the decoder gave it: a crop that was encoded anew would be another picture.
        let rgb = image::RgbImage::from_raw(width, height, picture.to_rgb()).unwrap();
        let crop = image::imageops::crop_imm(&rgb, x, y, w, h).to_image();
        let pixels = Pixels::Rgb(Raw { width: w, height: h, bytes: crop.into_raw() });
        let sighted = self.crops.read_whole(&still(pixels)).unwrap();
        is_there(&sighted, &Rect { x: bbox.x - x as f32, y: bbox.y - y as f32, ..*bbox })
    }
}

impl Eye {
    fn look(&mut self, frame: &Frame, n: u64) -> Sighted {
        let sighted = self.reader.read_next(frame).unwrap();
        let spent = self.reader.spent();
        self.cost.frames += 1;
        self.cost.decode += spent.decode;
        self.cost.find += spent.detect;
        self.cost.read += spent.ocr + spent.issuer + spent.crops;
        self.reads.extend(self.vote.reads(sighted.clone()).into_iter().map(|read| (read, n)));
        sighted
    }

    fn seen(&self, plan: &DriveScenario, visit: &Visit) -> Seen {
        let encounter = &plan.encounters[visit.vehicle];
        let reads: Vec<_> = self.reads.iter().map(|(read, _)| read.clone()).collect();
        let first = self.reads.iter().find(|(read, _)| read.plate.key() == encounter.plate.key());
        Seen {
            outcome: study::judge(plan, visit, &reads),
            first_read_m: first.map(|(_, n)| encounter.at(plan.frame_s(*n)).ahead_m),
        }
    }
}

fn lane_of(encounter: &Encounter) -> usize {
    match encounter.across_m {
        ONCOMING_LANE_M => 0,
        RIGHT_LANE_M => 2,
        _ => 1,
    }
}

fn is_there(sighted: &Sighted, bbox: &Rect) -> bool {
    sighted.candidates.iter().any(|c| c.detection.bbox.iou(bbox) > OVERLAP)
}
