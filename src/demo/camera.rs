//! A camera that draws what it sees: a [`FrameSource`] whose frames are JPEG pictures of a
//! [`DriveScenario`], at the drive's own pace or as fast as they are taken.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use image::RgbImage;

use super::scenario::{DriveScenario, Side};
use super::watch::Screen;
use crate::camera_id::CameraId;
use crate::clock::{Clock, FrameTime};
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::{Frame, Pixels};
use crate::render::chance::{Chance, mix};
use crate::render::plate::Texture;
use crate::render::scene::{Scene, Vehicle};

/// At which pace frames come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As a camera gives them: each at its time; those that cannot be drawn in time are left out,
    /// as a camera leaves them out when the bus is full.
    Real,
    /// As fast as they are taken, each stamped with its own time.
    AsFastAsTaken,
}

/// What to do at the moment of departure; it receives that moment.
type AtStart = Box<dyn FnOnce(FrameTime) + Send>;

/// The moment at which the drive begins: when the first camera is asked for its first frame. All
/// cameras, the receiver and the truth use it.
pub struct Departure {
    clock: Arc<dyn Clock>,
    at: OnceLock<FrameTime>,
    then: Mutex<Option<AtStart>>,
    over: AtomicBool,
}

impl Departure {
    /// A drive that has not begun; `then` is called once, before the first frame is handed out.
    pub fn new(clock: Arc<dyn Clock>, then: impl FnOnce(FrameTime) + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            clock,
            at: OnceLock::new(),
            then: Mutex::new(Some(Box::new(then))),
            over: AtomicBool::new(false),
        })
    }

    /// Begins the drive unless another camera has begun it; returns when it began.
    fn begin(&self) -> FrameTime {
        *self.at.get_or_init(|| {
            let now = self.clock.now();
            if let Some(then) = self.then.lock().expect("no holder panics").take() {
                then(now);
            }
            now
        })
    }

    /// When the drive began, if it has.
    pub fn at(&self) -> Option<FrameTime> {
        self.at.get().copied()
    }

    /// Seconds since the beginning; 0 before it.
    pub fn seconds(&self) -> f64 {
        let began = self.at().map_or(Duration::MAX, |t| t.monotonic);
        self.clock.now().monotonic.saturating_sub(began).as_secs_f64()
    }

    /// Ends the drive early: every camera is at its end at its next frame.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// One rendered camera. Costs some 15 to 25 ms of a core per 1280x720 frame.
pub struct RenderedCamera {
    id: CameraId,
    plan: Arc<DriveScenario>,
    pace: Pace,
    departure: Arc<Departure>,
    painter: Painter,
    next: u64,
    /// The next frame, drawn ahead of its time.
    ready: Option<(u64, Vec<u8>)>,
    /// How long drawing a frame has taken recently.
    drawing: Duration,
    screen: Option<Screen>,
}

/// How late a frame's stamp may be for what it shows: less than the truth's own tolerance.
const LATE_AT_MOST: Duration = Duration::from_millis(50);

/// How far ahead a slow machine draws at most: a camera that is silent for longer would seem lost.
const DRAWING_AT_MOST: Duration = Duration::from_millis(300);

/// Draws any frame of one camera's drive.
pub struct Painter {
    plan: Arc<DriveScenario>,
    side: Side,
    scene: Scene,
    picture: RgbImage,
    plates: HashMap<usize, Texture>,
    jpeg: turbojpeg::Compressor,
}

impl Painter {
    /// Prepares one camera's pictures.
    pub fn new(plan: Arc<DriveScenario>, side: Side) -> Result<Self, turbojpeg::Error> {
        let s = &plan.settings;
        let view = s.view(side);
        let mut jpeg = turbojpeg::Compressor::new()?;
        jpeg.set_quality(i32::from(s.quality))?;
        jpeg.set_subsamp(turbojpeg::Subsamp::Sub2x1)?;
        Ok(Self {
            side,
            scene: Scene::new(view, s.light, s.shutter_us * 1e-6, s.seed),
            picture: RgbImage::new(view.width, view.height),
            plates: HashMap::new(),
            jpeg,
            plan,
        })
    }

    /// Draws frame `n`.
    pub fn picture(&mut self, n: u64) -> &RgbImage {
        let seconds = self.plan.frame_s(n);
        let near: Vec<_> = (0..self.plan.encounters.len())
            .filter(|&i| self.plan.encounters[i].in_sight(seconds))
            .collect();
        self.plates.retain(|i, _| near.contains(i));
        for &i in &near {
            let e = &self.plan.encounters[i];
            let make = || Texture::plate(e.design, &e.painted, e.seed);
            self.plates.entry(i).or_insert_with(make);
        }
        let vehicles: Vec<_> = near
            .iter()
            .map(|&i| Vehicle {
                placed: self.plan.encounters[i].at(seconds),
                plate: &self.plates[&i],
            })
            .collect();
        let travelled = seconds * f64::from(self.plan.settings.speed_kmh) / 3.6;
        // The grain differs from frame to frame, and is the same whenever this frame is drawn.
        let mut grain = Chance::new(self.plan.settings.seed ^ mix(n * 2 + self.side as u64));
        let rock = self.plan.rock(seconds);
        self.scene.draw(&mut self.picture, &vehicles, travelled, rock, &mut grain);
        &self.picture
    }

    /// Draws frame `n` and encodes it.
    pub fn jpeg(&mut self, n: u64) -> Result<Vec<u8>, turbojpeg::Error> {
        self.picture(n);
        let image = turbojpeg::Image {
            pixels: self.picture.as_raw().as_slice(),
            width: self.picture.width() as usize,
            pitch: self.picture.width() as usize * 3,
            height: self.picture.height() as usize,
            format: turbojpeg::PixelFormat::RGB,
        };
        self.jpeg.compress_to_vec(image)
    }
}

impl RenderedCamera {
    /// A camera of the drive.
    pub fn new(
        plan: Arc<DriveScenario>,
        side: Side,
        pace: Pace,
        departure: Arc<Departure>,
    ) -> Result<Self, CaptureError> {
        let mut painter = Painter::new(plan.clone(), side).map_err(|e| broken(side, &e))?;
        // Makes the plates that are in sight from the start, before the drive begins.
        painter.picture(0);
        Ok(Self {
            id: side.id(),
            plan,
            pace,
            departure,
            painter,
            next: 0,
            ready: None,
            drawing: Duration::ZERO,
            screen: None,
        })
    }

    /// Also shows every frame on the demo's own page.
    pub fn shown_on(mut self, screen: Option<Screen>) -> Self {
        self.screen = screen;
        self
    }

    /// Draws the next frame unless it is drawn already.
    fn prepare(&mut self) -> Result<(), CaptureError> {
        if self.ready.is_none() && self.next < self.plan.frames() {
            let began = Instant::now();
            let bytes = self.painter.jpeg(self.next).map_err(|e| broken(self.painter.side, &e))?;
            self.ready = Some((self.next, bytes));
            // Follows a slower machine at once, a quicker one slowly.
            self.drawing = began.elapsed().max(self.drawing * 7 / 8).min(DRAWING_AT_MOST);
            self.next += 1;
        }
        Ok(())
    }
}

fn broken(side: Side, error: &turbojpeg::Error) -> CaptureError {
    let path = PathBuf::from(format!("rendered:{}", side.id()));
    CaptureError::Recording { path, why: format!("picture cannot be encoded: {error}") }
}

impl FrameSource for RenderedCamera {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        if self.departure.over.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let start = self.departure.begin();
        let captured = match self.pace {
            Pace::Real => {
                let departure = self.departure.clone();
                let gone = || departure.clock.now().monotonic.saturating_sub(start.monotonic);
                let fps = f64::from(self.plan.settings.fps);
                // Frames that cannot be ready in time are not drawn, and one that nobody fetched for
                // more than a period is not given.
                let first_after =
                    |t: Duration| (t.as_secs_f64() * fps - 0.5).ceil().max(0.0) as u64;
                if self.ready.as_ref().is_some_and(|r| r.0 + 1 < first_after(gone())) {
                    self.ready = None;
                }
                if self.ready.is_none() {
                    self.next = self.next.max(first_after(gone() + self.drawing));
                }
                self.prepare()?;
                let Some((n, _)) = &self.ready else { return Ok(None) };
                let at = self.plan.frame_time(*n);
                let wait = at.saturating_sub(gone());
                std::thread::sleep(wait.min(timeout));
                if wait > timeout {
                    let camera = self.id.to_string();
                    return Err(CaptureError::Stalled { camera, waited: timeout });
                }
                // It is stamped when it is ready, as the kernel does; a late frame shows the past, and
                // its stamp says so.
                let late = gone().saturating_sub(at).min(LATE_AT_MOST);
                FrameTime { monotonic: start.monotonic + at + late, wall: start.wall + (at + late) }
            }
            Pace::AsFastAsTaken => {
                self.prepare()?;
                let Some((n, _)) = &self.ready else { return Ok(None) };
                let at = self.plan.frame_time(*n);
                FrameTime { monotonic: start.monotonic + at, wall: start.wall + at }
            }
        };
        let Some((n, bytes)) = self.ready.take() else { return Ok(None) };
        if let Some(screen) = &self.screen {
            screen.show(self.painter.side, n, &bytes);
        }
        let frame =
            Frame { camera: self.id.clone(), sequence: n, captured, pixels: Pixels::Mjpeg(bytes) };
        Ok(Some(frame))
    }

    fn live(&self) -> bool {
        self.pace == Pace::Real
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{SimulatedClock, SystemClock};
    use crate::demo::scenario::DriveSettings;

    fn small() -> DriveSettings {
        DriveSettings { width: 320, height: 180, seconds: 1.0, fps: 10.0, ..Default::default() }
    }

    #[test]
    fn recording_of_a_drive_is_the_same_every_time_and_ends() {
        let take = || {
            let plan = Arc::new(DriveScenario::plan(small()));
            let clock = Arc::new(SimulatedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
            let departure = Departure::new(clock, |_| {});
            let pace = Pace::AsFastAsTaken;
            let mut camera = RenderedCamera::new(plan, Side::Left, pace, departure).unwrap();
            assert!(!camera.live());
            let mut frames = Vec::new();
            while let Some(frame) = camera.next_frame(Duration::from_secs(1)).unwrap() {
                let Pixels::Mjpeg(bytes) = frame.pixels else { panic!("not a JPEG") };
                frames.push((frame.sequence, frame.captured, bytes));
            }
            frames
        };
        let (first, second) = (take(), take());
        assert_eq!(first.len(), 10);
        assert!(first == second);
        assert!(first[0].2 != first[1].2);
    }

    #[test]
    fn live_camera_stamps_frames_in_order_and_leaves_out_the_late_ones() {
        let plan = DriveScenario::plan(DriveSettings { seconds: 60.0, ..small() });
        let plan = Arc::new(plan);
        let clock = Arc::new(SystemClock);
        let (told, start) = std::sync::mpsc::channel();
        let departure = Departure::new(clock.clone(), move |at| told.send(at).unwrap());
        assert_eq!(departure.at(), None);
        let mut camera =
            RenderedCamera::new(plan, Side::Left, Pace::Real, departure.clone()).unwrap();
        let first = camera.next_frame(Duration::from_secs(2)).unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(350));
        let second = camera.next_frame(Duration::from_secs(2)).unwrap().unwrap();
        assert!(second.sequence >= first.sequence + 3, "{} {}", first.sequence, second.sequence);
        assert!(second.captured > first.captured && second.captured <= clock.now());
        assert!(start.recv().unwrap() <= first.captured);
        departure.end();
        assert!(camera.next_frame(Duration::from_secs(2)).unwrap().is_none());
    }
}
