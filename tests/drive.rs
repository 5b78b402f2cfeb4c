//! Replays drives: from the same frames, NMEA and hotlist come the same hits and counters on every run. How well each
//! drive was read is measured against the renderer's own truth.
//!
//! The floors in `tests/drives/*/drive.toml` are loose: they catch a pipeline that has gone blind,
//! not a model that is a little worse. The measured rates are printed
//! (`cargo test --test drive -- --nocapture`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use outrider::clock::{Clock, SimulatedClock};
use outrider::config::{ModelsConfig, ReadingConfig};
use outrider::demo::camera::Painter;
use outrider::demo::replay::{Drive, Replayed};
use outrider::demo::scenario::{DriveScenario, DriveSettings, Side};
use outrider::gps::Position;
use outrider::onboard::vision::Reader;
use outrider::onboard::{FrameReader, Hit, MatchKind};

#[path = "common/skips.rs"]
mod skips;
use skips::skipped;

fn drives() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/drives")
}

/// A reader on the product's own models, or why there is none here.
fn reader() -> Result<Box<dyn FrameReader>, outrider::onboard::vision::VisionError> {
    Ok(Box::new(Reader::load(&ModelsConfig::default())?))
}

/// Says loudly that a test did nothing; only a missing ONNX Runtime is a reason.
fn runtime_is_missing() -> bool {
    match reader() {
        Ok(_) => false,
        Err(outrider::onboard::vision::VisionError::Runtime(why)) => {
            skipped("a drive", &format!("ONNX Runtime cannot be loaded: {why}"));
            true
        }
        Err(e) => panic!("{e}"),
    }
}

fn play(drive: Drive) -> Replayed {
    drive
        .play(&ReadingConfig::default(), || {
            Ok::<_, outrider::demo::replay::ReplayError>(reader().expect("loaded before"))
        })
        .expect("the drive comes to its end")
}

/// Everything of a hit that is not random by design (its name is).
fn essence(hit: &Hit) -> String {
    format!(
        "{} {} {} {:?} {:.6} {} {:?} {:?} {}x{}",
        hit.camera(),
        hit.plate().expose(),
        hit.entry().plate.expose(),
        hit.match_kind(),
        hit.weakest().get(),
        hit.frames(),
        hit.seen(),
        hit.position(),
        hit.crop().width,
        hit.crop().height,
    )
}

fn measure(name: &str) -> Replayed {
    let drive = Drive::open(&drives().join(name), &ReadingConfig::default())
        .expect("the drives in the repository can be opened");
    let (expect, about) = (drive.expect, drive.about.clone());
    let replayed = play(drive);
    let score = replayed.score.expect("rendered drives know the truth");
    let rate = |part: u64, of: u64| part as f64 / of.max(1) as f64;
    let (read, misread) = (rate(score.correct, score.passes), rate(score.misread, score.reads));
    println!(
        "drive {name}: {} of {} passes read ({:.1} %), {} of {} reads misread ({:.1} %), {} hits. {about}",
        score.correct,
        score.passes,
        100.0 * read,
        score.misread,
        score.reads,
        100.0 * misread,
        replayed.hits.len(),
    );
    assert!(score.passes >= expect.passes, "{name}: {} passes", score.passes);
    assert!(read >= expect.read_rate, "{name}: read rate {read:.3} < {}", expect.read_rate);
    assert!(misread <= expect.misread_rate, "{name}: misread {misread:.3}");
    // Whatever was read is accounted for, once.
    assert_eq!(score.reads, score.correct + score.misread + score.repeated + score.beyond);
    let looked: u64 = replayed.health.cameras.values().map(|c| c.looked).sum();
    let skipped: u64 = replayed.health.cameras.values().map(|c| c.frames_skipped).sum();
    assert!(looked > 0 && skipped == 0, "{looked} frames looked at, {skipped} skipped");
    replayed
}

#[test]
fn drive_by_day_is_read_and_its_hits_say_where() {
    if runtime_is_missing() {
        return;
    }
    let replayed = measure("day");
    assert!(!replayed.hits.is_empty());
    for hit in &replayed.hits {
        assert_eq!(hit.list().name.as_ref(), "drive");
        let context = hit.context().expect("the vehicle is in the frame that decided");
        assert!(context.width >= 2 * hit.crop().width.min(150), "{} px wide", context.width);
        let Position::Fixed { fix, interpolated, .. } = hit.position() else {
            panic!("the receiver had a fix all the time");
        };
        assert!(
            (43.54..43.56).contains(&fix.latitude) && (fix.speed_mps.unwrap() - 13.9).abs() < 0.1
        );
        assert!(*interpolated || hit.seen().monotonic.subsec_nanos() == 0);
        if hit.match_kind() == MatchKind::Exact {
            assert_eq!(Some(hit.plate().key()), hit.entry().plate.key());
        }
    }
}

#[test]
fn drive_at_dusk_is_read() {
    if !runtime_is_missing() {
        measure("dusk");
    }
}

#[test]
fn plates_that_close_at_225_km_h_are_read() {
    if !runtime_is_missing() {
        measure("fast");
    }
}

#[test]
fn european_plates_on_the_right_are_read() {
    if !runtime_is_missing() {
        measure("europe");
    }
}

#[test]
fn replaying_a_drive_gives_the_same_hits_and_counters_every_time() {
    if runtime_is_missing() {
        return;
    }
    let run = || {
        let settings = DriveSettings { seed: 3, seconds: 8.0, fps: 8.0, ..Default::default() };
        let replayed = play(Drive::rendered(settings, &ReadingConfig::default()).unwrap());
        let hits: Vec<_> = replayed.hits.iter().map(essence).collect();
        let mut cameras = replayed.health.cameras;
        // Beats say that the threads go round, by the clock of this machine.
        for camera in cameras.values_mut() {
            (camera.capture_beats, camera.reading_beats) = (0, 0);
        }
        (hits, replayed.score, cameras, replayed.health.hits, replayed.health.non_hits)
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    assert!(first.1.unwrap().reads > 0, "{:?}", first.1);
}

#[test]
fn recorded_folder_with_track_and_list_is_replayed() {
    if runtime_is_missing() {
        return;
    }
    // A recording made from a rendered drive: pictures, the receiver's sentences, a list with the
    // first plate that comes by.
    let folder = tempfile::tempdir().unwrap();
    let settings = DriveSettings { seed: 3, seconds: 8.0, fps: 20.0, ..Default::default() };
    let plan = Arc::new(DriveScenario::plan(settings));
    let visits = plan.visits(Side::Left, 40.0);
    let visit = visits.iter().find(|v| v.legible_frames >= 5).expect("someone comes by");
    let frames = folder.path().join("frames");
    std::fs::create_dir(&frames).unwrap();
    let mut painter = Painter::new(plan.clone(), Side::Left).unwrap();
    for n in visit.visible.0..=visit.visible.1.min(plan.frames() - 1) {
        std::fs::write(frames.join(format!("{n:04}.jpg")), painter.jpeg(n).unwrap()).unwrap();
    }
    let plate = plan.encounters[visit.vehicle].plate;
    std::fs::write(folder.path().join("hotlist.csv"), format!("plate\n{}\n", plate.expose()))
        .unwrap();
    let route = outrider::demo::gps::Route { speed_mps: 14.0 };
    let began = SimulatedClock::starting_at("2026-03-01T12:00:00Z".parse().unwrap()).now().wall;
    std::fs::write(folder.path().join("track.nmea"), route.nmea(began, 10)).unwrap();

    let replayed = play(Drive::open(folder.path(), &ReadingConfig::default()).unwrap());
    assert_eq!(replayed.hits.len(), 1, "{:?}", replayed.health);
    let hit = &replayed.hits[0];
    assert_eq!(hit.plate().key(), plate.key());
    assert_eq!(hit.seen().wall.to_string()[..16], *"2026-03-01T12:00");
    assert!(matches!(hit.position(), Position::Fixed { .. }));
    assert!(hit.seen().monotonic < Duration::from_secs(5));
    assert!(replayed.score.is_none(), "nobody knows the truth of a recording");
}

#[test]
fn demo_adds_up_and_leaves_nothing_behind() {
    if runtime_is_missing() {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let demo = assert_cmd::Command::cargo_bin("outrider")
        .unwrap()
        .args(["demo", "--headless", "--json", "--seconds", "8", "--traffic", "50"])
        .args(["--size", "960x540", "--closing", "60"])
        .env("TMPDIR", temporary.path())
        .timeout(Duration::from_secs(120))
        .output()
        .unwrap();
    let said = String::from_utf8(demo.stdout).unwrap();
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    assert_eq!(said.lines().count(), 1, "{said}");
    let line: serde_json::Value = serde_json::from_str(&said).unwrap();
    println!("demo: {line}");
    let count = |key: &str| line[key].as_u64().unwrap_or_else(|| panic!("{key} in {line}"));
    assert!(count("passes") > 0, "{line}");
    let parts = ["correct", "misread", "repeated", "beyond"].map(count);
    assert_eq!(count("reads"), parts.iter().sum::<u64>(), "{line}");
    assert!(parts[0] <= count("passes"), "{line}");
    for stage in ["alerted", "recorded", "delivered"] {
        assert_eq!(count(stage), count("hits"), "{line}");
    }
    assert_eq!(count("non_hits_on_wire"), 0, "{line}");
    // A status and a health message at the least.
    assert!(count("bytes_on_wire") > 500, "{line}");
    // A machine that is busy with something else gives few frames and may read nobody.
    if line["fps"].as_f64().unwrap() > 8.0 {
        assert!(count("correct") > 0 && count("hits") > 0, "{line}");
    } else {
        skipped("the demo's reads", "this machine drew 8 frames a second or fewer");
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the folder is gone");
}
