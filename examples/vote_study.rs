//! What the vote is worth: rendered vehicles pass at several closing speeds and in several kinds of light, and each
//! pass is read by its single best frame and by the vote, at 30 frames a second and at 15.
//!
//! ```text
//! cargo run --release --features testing --example vote_study -- [PASSES] [SEED]
//! ```
//! Prints Markdown tables; `docs/evaluation/voting.sh` puts it into the documents. The passes at 15 frames
//! a second are those at 30 with every second frame left out, so the columns compare the same vehicles.
//! Costs one look at each frame in which a plate is to be seen, some 10,000 of them for 100 passes.
//!
//! A *pass* is a vehicle whose plate is wide enough for the vote, whole and uncovered in at least one frame
//! at 30 frames a second, and gone before the end. The *single best frame* is the one whose least certain
//! character times width is greatest, as the vote chooses its picture; it is a read where that character
//! reaches the vote's own threshold and the text is plausible. A *misread* is a read that is not what
//! the plate says (letters that lists cannot keep apart counting as one), whatever else was read.

#![allow(clippy::unwrap_used, reason = "a measuring tool")]

use std::collections::HashMap;
use std::sync::Arc;

use indicatif::ProgressBar;
use outrider::config::{ModelsConfig, ReadingConfig};
use outrider::demo::camera::Painter;
use outrider::demo::scenario::{DriveScenario, DriveSettings, Encounter, Side, Visit};
use outrider::geometry::Rect;
use outrider::onboard::testing::{JoinAndVote, VotedRead};
use outrider::onboard::vision::Reader;
use outrider::onboard::vision::candidate::Sighted;
use outrider::plate::Plate;
use outrider::render::light::TimeOfDay;
use outrider::render::scene::plates_in_view;

mod study;

use study::{Outcome, percent};

/// Closing speeds in km/h; the first is a vehicle that keeps its distance.
const SPEEDS: [f32; 5] = [0.0, 50.0, 100.0, 150.0, 225.0];
/// The light of the second table, how long the shutter is open in it (microseconds), and what that is; the first is
/// that of the table by speed, whose passes at `LIGHTS_AT` it shows again.
const LIGHTS: [(TimeOfDay, f32, &str); 4] = [
    (TimeOfDay::Day, 250.0, "day"),
    (TimeOfDay::Dusk, 1000.0, "dusk"),
    (TimeOfDay::Night, 2000.0, "night, our own beam"),
    (TimeOfDay::Infrared, 500.0, "night, infrared flash"),
];
/// The closing speed of the second table, one of `SPEEDS`.
const LIGHTS_AT: f32 = 100.0;
const FPS: f32 = 30.0;

/// What came of one pass: read rightly, and misread, by the vote and by the single best frame; at
/// 30 frames a second, and at 15.
#[derive(Default, Clone, Copy)]
struct Pass {
    vote: [Outcome; 2],
    single: [Outcome; 2],
}

/// The best frame of one vehicle so far.
#[derive(Default, Clone)]
struct Best {
    quality: f32,
    text: String,
    is_read: bool,
}

struct Study {
    reader: Reader,
    reading: ReadingConfig,
    light: TimeOfDay,
    shutter_us: f32,
    bar: ProgressBar,
}

fn main() {
    let mut args =
        std::env::args().skip(1).map(|a| a.parse::<u64>().expect("PASSES and SEED are numbers"));
    let passes = usize::try_from(args.next().unwrap_or(100)).unwrap();
    let seed = args.next().unwrap_or(1);
    let bar = study::bar(passes * (SPEEDS.len() + LIGHTS.len() - 1), "passes");
    let reader = Reader::load(&ModelsConfig::default()).expect("the default models");
    let [detector, ocr] = reader.weights().map(|w| format!("{} {}", w.name, w.version));
    let (light, shutter_us, by_day) = LIGHTS[0];
    let mut study = Study { reader, reading: ReadingConfig::default(), light, shutter_us, bar };
    println!("{detector}, {ocr}; 1280x720, seed {seed}; % of passes (95 % Wilson).\n");
    println!("## By closing speed\n\nBy day, shutter {shutter_us} µs.\n");
    heading("closing, km/h");
    let mut day = Vec::new();
    for speed in SPEEDS {
        study.bar.set_message(format!("{speed} km/h"));
        let found = study.passes_at(speed, passes, seed);
        rows(&speed.to_string(), &found);
        if speed == LIGHTS_AT {
            day = found;
        }
    }
    println!("\n## By light\n\nClosing at {LIGHTS_AT} km/h.\n");
    heading("light, shutter");
    rows(&format!("{by_day}, {shutter_us} µs"), &day);
    for (light, shutter_us, name) in LIGHTS.into_iter().skip(1) {
        study.bar.set_message(name);
        (study.light, study.shutter_us) = (light, shutter_us);
        rows(&format!("{name}, {shutter_us} µs"), &study.passes_at(LIGHTS_AT, passes, seed));
    }
    study.bar.finish_and_clear();
}

fn heading(first: &str) {
    println!(
        "| {first} | frames a second | passes | read, single best frame | read, vote | misread, single best frame | misread, vote |"
    );
    println!("|---|---|---|---|---|---|---|");
}

/// One row for each frame rate.
fn rows(first: &str, found: &[Pass]) {
    for (i, fps) in [FPS, FPS / 2.0].into_iter().enumerate() {
        let rate = |hit: &dyn Fn(&Pass) -> bool| {
            percent(found.iter().filter(|p| hit(p)).count(), found.len())
        };
        println!(
            "| {first} | {fps} | {} | {} | {} | {} | {} |",
            found.len(),
            rate(&|p| p.single[i].read),
            rate(&|p| p.vote[i].read),
            rate(&|p| p.single[i].misread),
            rate(&|p| p.vote[i].misread),
        );
    }
}

impl Study {
    /// Drives until there are enough passes.
    fn passes_at(&mut self, speed: f32, passes: usize, seed: u64) -> Vec<Pass> {
        let mut found = Vec::new();
        for part in 0.. {
            let missing = passes - found.len();
            if missing == 0 || part == 50 {
                break;
            }
            let seed = seed.wrapping_mul(1_000) + part * 10 + speed as u64 * 100_000;
            let mut more = if speed == 0.0 {
                self.following(missing, seed)
            } else {
                self.drive(&self.oncoming(speed, missing, seed))
            };
            more.truncate(missing);
            self.bar.inc(more.len() as u64);
            found.append(&mut more);
        }
        found
    }

    /// Vehicles that keep their distance for a second and a half, each alone.
    fn following(&mut self, passes: usize, seed: u64) -> Vec<Pass> {
        let plan = self.oncoming(50.0, passes, seed);
        let mut found = Vec::new();
        for (i, e) in plan.encounters.iter().take(passes).enumerate() {
            // From 42 to 80 pixels wide, where every plate is whole in the picture.
            let width = 42.0 + 38.0 * ((i * 7) % passes.max(1)) as f32 / passes.max(1) as f32;
            let ahead = f64::from(e.at(0.0).plate_m.0 * 1280.0 * 1.75 / width);
            let crawling = 0.01;
            let one = Encounter {
                car: e.car.clone(),
                design: e.design,
                painted: e.painted.clone(),
                plate: e.plate,
                across_m: e.across_m,
                beside_s: ahead / crawling,
                closing_mps: crawling as f32,
                oncoming: true,
                seed: e.seed,
            };
            let settings = DriveSettings { seconds: 1.5, ..plan.settings.clone() };
            found.extend(self.drive(&DriveScenario { settings, encounters: vec![Arc::new(one)] }));
        }
        found
    }

    /// Oncoming traffic at one closing speed, about as many vehicles as are asked for.
    fn oncoming(&self, speed: f32, passes: usize, seed: u64) -> DriveScenario {
        DriveScenario::plan(DriveSettings {
            seed,
            seconds: passes as f32 + 5.0,
            fps: FPS,
            speed_kmh: (speed / 2.0).max(1.0),
            closing_kmh: (speed, speed),
            oncoming_per_minute: 60.0,
            right_per_minute: 0.0,
            shutter_us: self.shutter_us,
            light: self.light,
            ..DriveSettings::default()
        })
    }

    /// One drive, every frame with a plate in it looked at once.
    fn drive(&mut self, plan: &DriveScenario) -> Vec<Pass> {
        let side = Side::Left;
        let mut visits = plan.visits(side, self.reading.min_plate_width);
        let last = plan.frames().saturating_sub(1);
        let stays = plan.encounters.len() == 1;
        visits.retain(|v| v.legible_frames > 0 && (stays || v.visible.1 < last));
        let shared = Arc::new(DriveScenario {
            settings: plan.settings.clone(),
            encounters: plan.encounters.clone(),
        });
        let mut painter = Painter::new(shared, side).unwrap();
        let mut votes = [JoinAndVote::default(), JoinAndVote::default()];
        let mut reads: [Vec<VotedRead>; 2] = Default::default();
        let mut best: [HashMap<usize, Best>; 2] = Default::default();
        for n in 0..plan.frames() {
            if !visits.iter().any(|v| (v.visible.0..=v.visible.1).contains(&n)) {
                continue;
            }
            let sighted = self.look(plan, side, n, painter.jpeg(n).unwrap());
            for (i, every) in [1, 2].into_iter().enumerate() {
                if n % every == 0 {
                    self.best_frames(plan, side, n, &sighted, &mut best[i]);
                    reads[i].extend(votes[i].reads(sighted.clone()));
                }
            }
        }
        for (i, vote) in votes.iter_mut().enumerate() {
            reads[i].extend(vote.finish());
        }
        visits.iter().map(|v| judge(plan, v, &reads, &best)).collect()
    }

    fn look(&mut self, plan: &DriveScenario, side: Side, n: u64, jpeg: Vec<u8>) -> Sighted {
        let frame = study::frame(plan, side, n, jpeg);
        self.reader.read_whole(&frame).unwrap()
    }

    /// Keeps each vehicle's best frame, found by where its plate lies.
    fn best_frames(
        &self,
        plan: &DriveScenario,
        side: Side,
        n: u64,
        sighted: &Sighted,
        best: &mut HashMap<usize, Best>,
    ) {
        let seconds = plan.frame_s(n);
        let near: Vec<_> =
            (0..plan.encounters.len()).filter(|&i| plan.encounters[i].in_sight(seconds)).collect();
        let placed: Vec<_> = near.iter().map(|&i| plan.encounters[i].at(seconds)).collect();
        let view = plan.settings.view(side);
        for seen in plates_in_view(&view, &placed, plan.rock(seconds)).iter().filter(|s| s.clear) {
            let bbox = Rect::around(&seen.corners);
            let overlap =
                |c: &&outrider::onboard::vision::candidate::Candidate| c.detection.bbox.iou(&bbox);
            let own = sighted
                .candidates
                .iter()
                .filter(|c| overlap(c) > 0.1 && c.detection.bbox.w >= self.reading.min_plate_width)
                .max_by(|a, b| overlap(a).total_cmp(&overlap(b)));
            let Some(own) = own else { continue };
            let weakest = own.weakest().get();
            let entry = best.entry(near[seen.vehicle]).or_default();
            if weakest * own.detection.bbox.w > entry.quality {
                let plausible = own.plausibility() >= self.reading.min_plausibility;
                *entry = Best {
                    quality: weakest * own.detection.bbox.w,
                    text: own.text().to_string(),
                    is_read: weakest >= self.reading.min_confidence && plausible,
                };
            }
        }
    }
}

/// What came of one vehicle's pass.
fn judge(
    plan: &DriveScenario,
    visit: &Visit,
    reads: &[Vec<VotedRead>; 2],
    best: &[HashMap<usize, Best>; 2],
) -> Pass {
    let truth = plan.encounters[visit.vehicle].plate.key();
    let mut pass = Pass::default();
    for i in 0..2 {
        pass.vote[i] = study::judge(plan, visit, &reads[i]);
        if let Some(best) = best[i].get(&visit.vehicle).filter(|b| b.is_read) {
            let right = Plate::parse(&best.text).is_ok_and(|p| p.key() == truth);
            (pass.single[i].read, pass.single[i].misread) = (right, !right);
        }
    }
    pass
}
