use std::error::Error;
use std::sync::Mutex;

use super::super::{FrameReader, ModelStamp};
use super::*;
use crate::camera_id::CameraId;
use crate::clock::SystemClock;
use crate::config::{KeepingConfig, ReadingConfig, Retention};
use crate::gps::{Fix, Fixes, Position};
use crate::hotlist::{self, Hotlists};
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::Pixels;
use crate::onboard::score::{TruePass, Truth};
use crate::onboard::script::{at_ms, frame_at, plate};
use crate::onboard::vision::candidate::Sighted;
use crate::plate::Plate;

/// A recording of empty frames at 30 a second, taken one by one.
struct Recording {
    camera: CameraId,
    next: u64,
    frames: u64,
}

impl FrameSource for Recording {
    fn next_frame(&mut self, _: Duration) -> Result<Option<Frame>, CaptureError> {
        if self.next == self.frames {
            return Ok(None);
        }
        let sequence = self.next;
        self.next += 1;
        let captured = at_ms(sequence * 1000 / 30);
        let pixels = Pixels::Mjpeg(vec![1]);
        Ok(Some(Frame { camera: self.camera.clone(), sequence, captured, pixels }))
    }

    fn live(&self) -> bool {
        false
    }
}

/// Sees what the script says: some plates for each frame number.
struct Script<F>(F, CameraId);

impl<F: FnMut(u64) -> Result<Sighted, &'static str> + Send> FrameReader for Script<F> {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, LookError> {
        let mut sighted = (self.0)(frame.sequence)?;
        sighted.camera = self.1.clone();
        Ok(sighted)
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        Arc::new(ModelStamp { detector: "d".into(), ocr: "o".into(), jurisdiction: None })
    }
}

type LookError = Box<dyn Error + Send + Sync>;

fn camera(
    name: &str,
    frames: u64,
    look: impl FnMut(u64) -> Result<Sighted, &'static str> + Send + 'static,
) -> CameraParts {
    let id = CameraId::new(name);
    let recording = Mutex::new(Some(Recording { camera: id.clone(), next: 0, frames }));
    CameraParts {
        id: id.clone(),
        open: Box::new(move || {
            let recording = recording.lock().unwrap().take().expect("opened once");
            Ok(Box::new(recording))
        }),
        reader: Box::new(Script(look, id)),
    }
}

fn nothing_kept() -> Ring {
    let directory = tempfile::tempdir().unwrap();
    let keeping = KeepingConfig {
        non_hit: Retention::Nothing,
        directory: directory.path().to_owned(),
        ..KeepingConfig::default()
    };
    Ring::open(&keeping, Arc::new(SystemClock), Arc::default()).unwrap()
}

fn parts(cameras: Vec<CameraParts>, listed: &str) -> Parts {
    let config = toml::from_str("name = \"stolen\"\npath = \"list.txt\"").unwrap();
    let list = hotlist::parse(listed.as_bytes(), &config, at_ms(0).wall, &jiff::tz::TimeZone::UTC);
    Parts {
        cameras,
        hotlists: Arc::new(Hotlists::of(vec![list.unwrap().0])),
        fixes: Fixes::new(Duration::from_secs(3)),
        ring: nothing_kept(),
        clock: Arc::new(SystemClock),
        health: Arc::default(),
        reading: ReadingConfig::default(),
        glances: Default::default(),
        truth: Some(Truth::default()),
    }
}

/// One car after another, each for 20 frames, then 20 frames of nothing.
fn traffic(texts: &'static [&'static str]) -> impl FnMut(u64) -> Result<Sighted, &'static str> {
    move |n| {
        let car = usize::try_from(n / 40).unwrap();
        let there = n % 40 < 20 && car < texts.len();
        let seen = there.then(|| {
            let near = (n % 40) as f32;
            plate(texts[car], 0.96, (900.0 + 4.0 * near, 600.0), 80.0 + 3.0 * near)
        });
        Ok(frame_at(n, n * 1000 / 30, seen.into_iter().collect()))
    }
}

const PATIENT: Duration = Duration::from_secs(60);

#[test]
fn drive_gives_hits_counters_and_a_score() {
    const CARS: &[&str] = &["CKSV841", "BMNT220", "AHK517", "DEPT911"];
    let parts = parts(vec![camera("front", 200, traffic(CARS))], "AHK517\n");
    for s in 0..6 {
        let fix = Fix {
            latitude: 43.0 + f64::from(s),
            longitude: -79.0,
            accuracy_m: None,
            speed_mps: None,
            heading_deg: None,
            time: None,
            three_d: true,
        };
        parts.fixes.push(Duration::from_secs(u64::from(s as u32)), Some(fix));
    }
    let (health, truth) = (parts.health.clone(), parts.truth.clone().unwrap());
    for (n, text) in (0..).zip(CARS) {
        truth.expect(&TruePass {
            plate: Plate::parse(text).unwrap(),
            camera: CameraId::new("front"),
            first: Duration::from_millis(n * 40_000 / 30),
            last: Duration::from_millis(n * 40_000 / 30 + 20_000 / 30),
            legible: true,
        });
    }
    let (onboard, hits) = spawn(parts);
    let hits: Vec<Hit> = hits.iter().collect();
    onboard.wait(PATIENT).unwrap();

    let [hit] = &hits[..] else { panic!("{} hits", hits.len()) };
    assert_eq!(hit.plate().expose(), "AHK517");
    let Position::Fixed { fix, interpolated, .. } = hit.position() else { panic!() };
    assert!(
        *interpolated && (fix.latitude - 43.0 - hit.seen().monotonic.as_secs_f64()).abs() < 1e-6
    );
    assert_eq!(hit.models().detector, "d");
    assert_eq!((health.hits.get(), health.non_hits.get()), (1, 3));
    let counts = health.camera(&CameraId::new("front"));
    assert_eq!((counts.looked.get(), counts.reads.get()), (200, 4));
    let score = truth.score();
    assert_eq!((score.passes, score.reads, score.correct, score.misread), (4, 4, 4, 0));
}

#[test]
fn misread_is_scored_as_one() {
    let parts = parts(vec![camera("front", 40, traffic(&["CKSV841"]))], "");
    let truth = parts.truth.clone().unwrap();
    truth.expect(&TruePass {
        plate: Plate::parse("CKSV847").unwrap(),
        camera: CameraId::new("front"),
        first: Duration::ZERO,
        last: Duration::from_secs(1),
        legible: true,
    });
    let (onboard, hits) = spawn(parts);
    assert_eq!(hits.iter().count(), 0);
    onboard.wait(PATIENT).unwrap();
    let score = truth.score();
    assert_eq!((score.passes, score.correct, score.misread), (1, 0, 1));
}

#[test]
fn stop_drains_what_is_on_its_way() {
    // The car never leaves: only stopping ends its track, and its vote was not sure before.
    let look = |n| Ok(frame_at(n, n * 33, vec![plate("CKSV841", 0.96, (900.0, 600.0), 80.0)]));
    let parts = parts(vec![camera("front", u64::MAX, look)], "CKSV841\n");
    let health = parts.health.clone();
    let (onboard, hits) = spawn(parts);
    assert_eq!(hits.recv().unwrap().plate().expose(), "CKSV841");
    onboard.stop(PATIENT).unwrap();
    assert_eq!(hits.iter().count(), 0, "the receiver disconnects once all have ended");
    assert_eq!(health.hits.get(), 1);
}

#[test]
fn frames_that_cannot_be_read_cost_themselves_only() {
    let mut traffic = traffic(&["CKSV841"]);
    let look = move |n| if n % 3 == 0 { Err("damaged JPEG") } else { traffic(n) };
    let parts = parts(vec![camera("front", 40, look)], "CKSV841\n");
    let health = parts.health.clone();
    let (onboard, hits) = spawn(parts);
    assert_eq!(hits.iter().count(), 1);
    onboard.wait(PATIENT).unwrap();
    let counts = health.camera(&CameraId::new("front"));
    assert_eq!((counts.looked.get(), counts.frames_bad.get()), (26, 14));
}

#[test]
fn camera_of_whose_frames_none_can_be_read_says_so_within_two_seconds_and_comes_back() {
    // At 30 frames a second, none can be read from the tenth to the hundredth.
    let states: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let seen = states.clone();
    let health: Arc<Health> = Arc::default();
    let counts = health.camera(&CameraId::new("front"));
    let look = move |n: u64| {
        seen.lock().unwrap().push(counts.unreadable());
        if (10..100).contains(&n) { Err("damaged JPEG") } else { traffic(&[])(n) }
    };
    let mut parts = parts(vec![camera("front", 110, look)], "");
    parts.health = health.clone();
    let (onboard, hits) = spawn(parts);
    assert_eq!(hits.iter().count(), 0);
    onboard.wait(PATIENT).unwrap();
    let states = states.lock().unwrap();
    let blind = states.iter().position(Option::is_some).expect("it is said");
    // It is noticed with the frame before the one that the test observes.
    assert!((10 + 45..10 + 60).contains(&blind), "after {} frames", blind - 10);
    assert_eq!(states[blind].as_deref(), Some("damaged JPEG"));
    assert!(states[blind..=100].iter().all(Option::is_some));
    assert!(states[101..].iter().all(Option::is_none), "one good frame is enough");
    let counts = health.camera(&CameraId::new("front"));
    assert_eq!((counts.looked.get(), counts.frames_bad.get()), (20, 90));
    assert!(counts.reading_beats.get() >= 110 && counts.capture_beats.get() >= 110);
}

#[test]
fn fault_in_one_cameras_reader_is_told_and_leaves_the_other_alone() {
    let faulty = |n| if n == 5 { panic!("a fault, on purpose") } else { traffic(&[])(n) };
    let cameras = vec![camera("left", 40, faulty), camera("right", 40, traffic(&["CKSV841"]))];
    let parts = parts(cameras, "CKSV841\n");
    let health = parts.health.clone();
    let (onboard, hits) = spawn(parts);
    assert_eq!(hits.iter().count(), 1);
    onboard.wait(PATIENT).unwrap();
    assert_eq!(
        health.state("reading/left"),
        Some(PartState::Down("a fault inside stopped it: restart".into()))
    );
    assert_eq!(health.state("reading/right"), None);
}

#[test]
fn same_car_at_two_cameras_alarms_once() {
    let cameras =
        vec![camera("left", 40, traffic(&["CKSV841"])), camera("right", 40, traffic(&["CKSV841"]))];
    let parts = parts(cameras, "CKSV841\n");
    let health = parts.health.clone();
    let (onboard, hits) = spawn(parts);
    assert_eq!(hits.iter().count(), 1);
    onboard.wait(PATIENT).unwrap();
    assert_eq!((health.hits.get(), health.hits_quiet.get()), (1, 1));
}
