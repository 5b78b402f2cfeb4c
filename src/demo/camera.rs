//! A camera that draws what it sees: a [`FrameSource`] whose frames are JPEG pictures of a
//! [`DriveScenario`], at the drive's own pace or as fast as they are taken.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use image::RgbImage;

use super::scenario::{DriveScenario, Side};
use crate::clock::{Clock, FrameTime, SimulatedClock};
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::{CameraId, Frame, Pixels};
use crate::render::chance::{Chance, mix};
use crate::render::plate::Texture;
use crate::render::scene::{Scene, Vehicle};

/// When frames are due.
#[derive(Clone)]
pub enum Pace {
    /// As a camera gives them: frame `n` at `start` plus `n` periods; those that cannot be drawn in
    /// time are left out, as a camera leaves them out when the bus is full.
    Real {
        /// The machine's clock.
        clock: Arc<dyn Clock>,
        /// Boot-clock time of the drive's start.
        start: Duration,
    },
    /// As fast as they are taken; the clock is moved to each frame's time, never back.
    Simulated {
        /// The clock that everyone else looks at.
        clock: Arc<SimulatedClock>,
        /// Its time at the drive's start.
        start: FrameTime,
    },
}

/// One rendered camera. Costs some 15 to 25 ms of a core per 1280x720 frame.
pub struct RenderedCamera {
    id: CameraId,
    plan: Arc<DriveScenario>,
    pace: Pace,
    painter: Painter,
    next: u64,
    /// The next frame, drawn ahead of its time.
    ready: Option<(u64, Vec<u8>)>,
}

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
    pub fn new(plan: Arc<DriveScenario>, side: Side, pace: Pace) -> Result<Self, CaptureError> {
        let painter = Painter::new(plan.clone(), side).map_err(|e| broken(side, &e))?;
        Ok(Self { id: side.id(), plan, pace, painter, next: 0, ready: None })
    }

    /// Draws the next frame unless that is done.
    fn prepare(&mut self) -> Result<(), CaptureError> {
        if self.ready.is_none() && self.next < self.plan.frames() {
            let bytes = self.painter.jpeg(self.next).map_err(|e| broken(self.painter.side, &e))?;
            self.ready = Some((self.next, bytes));
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
        let period = Duration::from_secs_f32(1.0 / self.plan.settings.fps);
        let captured = match &self.pace {
            Pace::Real { clock, start } => {
                let (clock, start) = (clock.clone(), *start);
                // Frames whose time is gone are not drawn.
                let late = clock.now().monotonic.saturating_sub(start + period / 2);
                let due = (late.as_secs_f64() * f64::from(self.plan.settings.fps)).ceil() as u64;
                if self.ready.as_ref().is_some_and(|r| r.0 < due) {
                    self.ready = None;
                }
                self.next = self.next.max(due);
                self.prepare()?;
                let Some((n, _)) = &self.ready else { return Ok(None) };
                let wait = (start + self.plan.frame_time(*n)).saturating_sub(clock.now().monotonic);
                if wait > timeout {
                    std::thread::sleep(timeout);
                    return Err(CaptureError::Stalled {
                        camera: self.id.to_string(),
                        waited: timeout,
                    });
                }
                std::thread::sleep(wait);
                clock.now()
            }
            Pace::Simulated { clock, start } => {
                let (clock, start) = (clock.clone(), *start);
                self.prepare()?;
                let Some((n, _)) = &self.ready else { return Ok(None) };
                let at = self.plan.frame_time(*n);
                let time = FrameTime { monotonic: start.monotonic + at, wall: start.wall + at };
                clock.advance(time.monotonic.saturating_sub(clock.now().monotonic));
                time
            }
        };
        let Some((n, bytes)) = self.ready.take() else { return Ok(None) };
        let frame =
            Frame { camera: self.id.clone(), sequence: n, captured, pixels: Pixels::Mjpeg(bytes) };
        Ok(Some(frame))
    }

    fn live(&self) -> bool {
        matches!(self.pace, Pace::Real { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::demo::scenario::DriveSettings;

    fn small() -> DriveSettings {
        DriveSettings { width: 320, height: 180, seconds: 1.0, fps: 10.0, ..Default::default() }
    }

    #[test]
    fn recording_of_a_drive_is_the_same_every_time_and_ends() {
        let take = || {
            let plan = Arc::new(DriveScenario::plan(small()));
            let clock = Arc::new(SimulatedClock::starting_at(jiff::Timestamp::UNIX_EPOCH));
            let pace = Pace::Simulated { start: clock.now(), clock: clock.clone() };
            let mut camera = RenderedCamera::new(plan, Side::Left, pace).unwrap();
            assert!(!camera.live());
            let mut frames = Vec::new();
            while let Some(frame) = camera.next_frame(Duration::from_secs(1)).unwrap() {
                let Pixels::Mjpeg(bytes) = frame.pixels else { panic!("not a JPEG") };
                frames.push((frame.sequence, frame.captured, bytes));
            }
            assert_eq!(clock.now().monotonic, frames.last().unwrap().1.monotonic);
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
        let pace = Pace::Real { start: clock.now().monotonic, clock: clock.clone() };
        let mut camera = RenderedCamera::new(plan, Side::Left, pace).unwrap();
        let first = camera.next_frame(Duration::from_secs(2)).unwrap().unwrap();
        std::thread::sleep(Duration::from_millis(350));
        let second = camera.next_frame(Duration::from_secs(2)).unwrap().unwrap();
        assert!(second.sequence >= first.sequence + 3, "{} {}", first.sequence, second.sequence);
        assert!(second.captured > first.captured && second.captured <= clock.now());
    }
}
