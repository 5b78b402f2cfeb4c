//! A car whose camera and models follow a script, with everything behind them real: tracker, vote,
//! matcher, ring. The one way for a test outside the fence to come by a hit.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use jiff::Timestamp;
use outrider::camera_id::CameraId;
use outrider::clock::{Clock, FrameTime, SystemClock};
use outrider::config::{KeepingConfig, ReadingConfig, Retention};
use outrider::entry::{Matching, Priority};
use outrider::geometry::Rect;
use outrider::gps::Fixes;
use outrider::health::Health;
use outrider::hotlist::{Builder, Entry, Hotlists, ListStamp};
use outrider::onboard::capture::{CaptureError, FrameSource, Opener};
use outrider::onboard::frame::{Frame, Pixels, Raw};
use outrider::onboard::glance::Glances;
use outrider::onboard::store::Ring;
use outrider::onboard::vision::candidate::{Candidate, Confidence, Crop, Detection, Sighted, Slot};
use outrider::onboard::{CameraParts, FrameReader, Hit, ModelStamp, Onboard, Parts, spawn};
use outrider::plate::{Plate, symbol_index};

/// Frames in which a vehicle is seen, and then none is until its track has closed.
pub const SEEN: u64 = 5;
pub const PERIOD: u64 = SEEN + 12;

/// The plates that pass, one after the other.
pub type Passing = Arc<Vec<String>>;

/// Drives past `plates`; those in `listed` are on a list. Hits come out; the drive ends by itself.
pub fn drive(
    plates: &[String],
    listed: &[String],
    keeping: &KeepingConfig,
    health: &Arc<Health>,
) -> (Onboard, Receiver<Hit>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (open, reader) = camera(plates, Duration::ZERO);
    let mut list = Builder::default();
    for (line, plate) in (1..).zip(listed) {
        let entry = Entry::plain(Plate::parse(plate).unwrap(), "stolen_vehicle", Priority::High);
        list.push(line, &entry).unwrap();
    }
    let stamp =
        ListStamp { name: "test".into(), version: "1".into(), source_time: Timestamp::now() };
    let day = Duration::from_secs(86_400);
    let (list, _) = list.finish(stamp, Matching::Exact, (day, day));
    spawn(Parts {
        cameras: vec![CameraParts { id: CameraId::new("front"), open, reader }],
        hotlists: Arc::new(Hotlists::of(vec![list])),
        fixes: Fixes::new(Duration::from_secs(3)),
        ring: Ring::open(keeping, clock.clone(), health.clone()).unwrap(),
        clock,
        health: health.clone(),
        reading: ReadingConfig::default(),
        glances: Glances::default(),
        truth: None,
    })
}

/// A camera that sees these plates pass, and what reads them; a frame every `pace`.
pub fn camera(plates: &[String], pace: Duration) -> (Opener, Box<dyn FrameReader>) {
    let passing: Passing = Arc::new(plates.to_vec());
    let script = Script { passing: passing.clone(), next: 0, start: SystemClock.now(), pace };
    let mut script = Some(script);
    let open = move || {
        let source: Box<dyn FrameSource> = Box::new(script.take().unwrap());
        Ok(source)
    };
    (Box::new(open), Box::new(Scripted(passing)))
}

/// Settings under a folder, with room on any disk.
pub fn keeping(folder: &Path, non_hit: Retention) -> KeepingConfig {
    KeepingConfig {
        directory: folder.join("state"),
        non_hit,
        disk_reserve: "0B".parse().unwrap(),
        ..KeepingConfig::default()
    }
}

struct Script {
    passing: Passing,
    next: u64,
    start: FrameTime,
    pace: Duration,
}

impl FrameSource for Script {
    fn next_frame(&mut self, _: Duration) -> Result<Option<Frame>, CaptureError> {
        if self.next >= PERIOD * self.passing.len() as u64 {
            return Ok(None);
        }
        std::thread::sleep(self.pace);
        let since = Duration::from_millis(33 * self.next);
        let frame = Frame {
            camera: CameraId::new("front"),
            sequence: self.next,
            captured: FrameTime {
                monotonic: self.start.monotonic + since,
                wall: self.start.wall + since,
            },
            pixels: Pixels::Grey(Raw { width: 1, height: 1, bytes: vec![0] }),
        };
        self.next += 1;
        Ok(Some(frame))
    }

    fn live(&self) -> bool {
        // A recording: every frame is looked at.
        false
    }
}

struct Scripted(Passing);

impl FrameReader for Scripted {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        let (vehicle, step) = (frame.sequence / PERIOD, frame.sequence % PERIOD);
        let seen = (step < SEEN).then(|| {
            let plate = &self.0[vehicle as usize];
            let at = 400.0 + 20.0 * step as f32;
            Candidate {
                detection: Detection {
                    bbox: Rect { x: at, y: 500.0, w: 120.0, h: 60.0 },
                    corners: None,
                    score: Confidence::new(0.9),
                },
                slots: plate.bytes().map(slot).collect(),
                issuer: None,
                legibility: None,
                crop: crop(vehicle),
            }
        });
        Ok(Sighted {
            camera: frame.camera.clone(),
            sequence: frame.sequence,
            captured: frame.captured,
            size: (1920, 1080),
            candidates: seen.into_iter().collect(),
            unread: Vec::new(),
        })
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        Arc::default()
    }
}

fn slot(symbol: u8) -> Slot {
    let mut slot = Slot([0.0005; 36]);
    slot.0[usize::from(symbol_index(symbol))] = 0.98;
    slot
}

/// A picture that is this vehicle's alone.
pub fn crop(vehicle: u64) -> Crop {
    let mut seed = vehicle.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99);
    let rgb = (0..96 * 48 * 3).map(|_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 58) as u8 * 4
    });
    Crop { width: 96, height: 48, rgb: rgb.collect() }
}
