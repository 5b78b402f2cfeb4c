//! What a camera sees now, for somebody who looks: a small picture in which plates are covered, and three numbers of the
//! plates that were read last.
//!
//! In: from the reading thread the boxes of each look, the width, light and sharpness of each read, and, only while
//! somebody waits for it, the frame that was just looked at. Out: a [`Glimpse`], made on the thread of whoever looks and
//! kept by nobody; an [`Aim`], which has no plate in it. Costs the reading thread a copy of some boxes; whoever looks pays for
//! decoding. Nothing is made while nobody looks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::fit::{Aim, Needs, PlateLook};
use super::frame::{CameraId, Frame};
use super::read::PlateRead;
use super::vision::candidate::Sighted;
use super::vision::{self, Picture, VisionError, conditions};
use crate::config::ReadingConfig;
use crate::geometry::Rect;

/// Time for which a plate is covered where it was found: the detector may miss it in one look, and of a picture of
/// 3840x2160 a look sees a part.
const COVERED_FOR: Duration = Duration::from_secs(1);

/// Looks whose boxes are remembered for that: more than a second has.
const LOOKS: usize = 64;

/// Reads that are judged together: the plates of a minute or so.
const READS: usize = 20;

/// Least time between two looks at one camera, by however many pages: a decoded frame each.
const PAUSE: Duration = Duration::from_millis(200);

/// Time that somebody waits for a frame: a camera at one frame a second, and a little.
const WAIT: Duration = Duration::from_millis(1_500);

/// Why there is nothing to be seen.
#[derive(Debug, thiserror::Error)]
pub enum NoGlimpse {
    /// No camera has this name.
    #[error("no camera is called {0}")]
    NoSuchCamera(String),
    /// Nothing that could be looked at came.
    #[error("camera {0} gives no frame that can be read")]
    NoFrame(CameraId),
    /// The frame cannot be drawn.
    #[error("camera {camera}: {source}")]
    Broken {
        /// Which.
        camera: CameraId,
        /// Why.
        source: VisionError,
    },
}

/// A small picture of what a camera saw just now.
#[derive(Debug, Clone, PartialEq)]
pub struct Glimpse {
    /// 320 pixels wide at most; every plate that was found is one flat colour.
    pub jpeg: Vec<u8>,
    /// How many were covered.
    pub covered: usize,
}

/// The whole picture of a camera when somebody looked last: numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct View {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Mean luma, 0 (black) to 255.
    pub light: f32,
    /// How sharp its middle is; see [`conditions::focus`].
    pub focus: f32,
}

/// What can be seen of each camera. Clones share it.
#[derive(Clone, Default)]
pub struct Glances {
    cameras: Arc<BTreeMap<CameraId, Arc<Glance>>>,
    needs: Needs,
}

impl Glances {
    /// Of these cameras, read by these settings.
    pub fn new(cameras: impl IntoIterator<Item = CameraId>, reading: &ReadingConfig) -> Self {
        let one = |id: CameraId| (id, Arc::default());
        Self {
            cameras: Arc::new(cameras.into_iter().map(one).collect()),
            needs: Needs::of(reading),
        }
    }

    /// Waits for a camera's next frame and draws it small, its plates covered.
    pub fn look(&self, camera: &str) -> Result<Glimpse, NoGlimpse> {
        let found = self.cameras.iter().find(|(id, _)| id.as_str() == camera);
        let (id, glance) =
            found.ok_or_else(|| NoGlimpse::NoSuchCamera(camera.chars().take(64).collect()))?;
        // One at a time, and at a person's pace.
        let mut last = glance.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = *last {
            std::thread::sleep(PAUSE.saturating_sub(at.elapsed()));
        }
        let given = glance.next();
        *last = Some(Instant::now());
        let (frame, boxes) = given.ok_or_else(|| NoGlimpse::NoFrame(id.clone()))?;
        let broken = |source| NoGlimpse::Broken { camera: id.clone(), source };
        let picture = Picture::decode(&frame).map_err(broken)?;
        let small = vision::covered(&picture, &boxes).map_err(broken)?;
        let (width, height) = small.size;
        glance.inside().view = Some(View { width, height, light: small.light, focus: small.focus });
        Ok(Glimpse { jpeg: small.jpeg, covered: small.plates })
    }

    /// How each camera is aimed, as far as is known.
    pub fn aims(&self) -> BTreeMap<CameraId, Aim> {
        let aim = |glance: &Glance| {
            let inside = glance.inside();
            Aim::of(&inside.plates, inside.view, self.needs)
        };
        self.cameras.iter().map(|(id, glance)| (id.clone(), aim(glance))).collect()
    }

    /// The one of a camera, for its reading thread.
    pub(super) fn of(&self, camera: &CameraId) -> Arc<Glance> {
        self.cameras.get(camera).cloned().unwrap_or_default()
    }
}

/// What can be seen of one camera.
#[derive(Default)]
pub(super) struct Glance {
    /// Whose turn it is to look, and when somebody did last.
    turn: Mutex<Option<Instant>>,
    /// Whether somebody waits for a frame.
    wanted: AtomicBool,
    inside: Mutex<Inside>,
    came: Condvar,
}

#[derive(Default)]
struct Inside {
    /// Boxes of the latest looks, by the frame's time.
    boxes: VecDeque<(Duration, Vec<Rect>)>,
    plates: VecDeque<PlateLook>,
    view: Option<View>,
    given: Option<(Frame, Vec<Rect>)>,
}

impl Glance {
    /// Takes down where plates were found in a frame.
    pub(super) fn saw(&self, sighted: &Sighted) {
        let now = sighted.captured.monotonic;
        let mut inside = self.inside();
        inside.boxes.retain(|(at, _)| now.saturating_sub(*at) <= COVERED_FOR);
        let found: Vec<Rect> = sighted.plates().collect();
        if found.is_empty() {
            return;
        }
        if inside.boxes.len() == LOOKS {
            inside.boxes.pop_front();
        }
        inside.boxes.push_back((now, found));
    }

    /// Takes down how the plate of a read looked.
    pub(super) fn read(&self, read: &PlateRead) {
        let best = read.frame_reads.iter().find(|one| one.seen() == read.seen);
        let best = best.or(read.frame_reads.last());
        let (Some(best), Some(seen)) = (best, conditions::of_crop(&read.crop)) else { return };
        let look = PlateLook {
            width: best.width(),
            light: seen.light,
            sharpness: seen.sharpness,
            at: read.seen.wall,
        };
        let mut inside = self.inside();
        if inside.plates.len() == READS {
            inside.plates.pop_front();
        }
        inside.plates.push_back(look);
    }

    /// Whether somebody waits for a frame.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire)
    }

    /// Gives a frame that has just been looked at to whoever waits for one.
    pub(super) fn give(&self, frame: Frame) {
        if !self.wanted.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut inside = self.inside();
        let boxes = inside.boxes.iter().flat_map(|(_, found)| found).copied().collect();
        inside.given = Some((frame, boxes));
        self.came.notify_all();
    }

    /// Waits for the next frame.
    fn next(&self) -> Option<(Frame, Vec<Rect>)> {
        let mut inside = self.inside();
        inside.given = None;
        self.wanted.store(true, Ordering::Release);
        let waits = self.came.wait_timeout_while(inside, WAIT, |inside| inside.given.is_none());
        let (mut inside, _) = waits.unwrap_or_else(PoisonError::into_inner);
        self.wanted.store(false, Ordering::Release);
        // Nobody keeps it.
        inside.given.take()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};
    use crate::onboard::script::{at_ms, frame_at, plate};

    fn glances() -> (Glances, Arc<Glance>) {
        let front = CameraId::new("front");
        let glances = Glances::new([front.clone()], &ReadingConfig::default());
        let glance = glances.of(&front);
        (glances, glance)
    }

    fn frame(ms: u64) -> Frame {
        let (width, height) = (640, 360);
        let pixels = Pixels::Grey(Raw { width, height, bytes: vec![90; 640 * 360] });
        Frame { camera: CameraId::new("front"), sequence: ms, captured: at_ms(ms), pixels }
    }

    #[test]
    fn nothing_is_given_or_kept_while_nobody_looks() {
        let (glances, glance) = glances();
        assert!(!glance.is_wanted());
        glance.give(frame(0));
        assert!(glance.inside().given.is_none());
        let nobody = glances.look("rear").unwrap_err();
        assert_eq!(nobody.to_string(), "no camera is called rear");
        let none = glances.look("front").unwrap_err();
        assert_eq!(none.to_string(), "camera front gives no frame that can be read");
        assert!(!glance.is_wanted(), "who has given up waits no more");
    }

    #[test]
    fn whoever_looks_gets_the_next_frame_with_the_plates_of_the_last_second_covered() {
        let (glances, glance) = glances();
        glance.saw(&frame_at(1, 1_000, vec![plate("OLD1", 0.9, (100.0, 100.0), 80.0)]));
        glance.saw(&frame_at(2, 1_900, vec![plate("NEW1", 0.9, (300.0, 200.0), 80.0)]));
        // One that is found and not read, because there are more than are read in a frame.
        let beyond = Rect { x: 500.0, y: 100.0, w: 80.0, h: 20.0 };
        glance.saw(&Sighted { unread: vec![beyond], ..frame_at(3, 2_200, vec![]) });
        // Nothing is found in this one: what was found a moment ago stays covered.
        glance.saw(&frame_at(4, 2_500, vec![]));
        let looks = std::thread::spawn(move || (glances.look("front"), glances));
        while !glance.is_wanted() {
            std::thread::sleep(Duration::from_millis(1));
        }
        glance.give(frame(2_500));
        let (seen, glances) = looks.join().unwrap();
        let seen = seen.unwrap();
        assert_eq!(seen.covered, 2);
        assert!(!seen.jpeg.is_empty());
        assert!(glance.inside().given.is_none(), "nobody keeps the frame");
        let view = glances.aims()[&CameraId::new("front")].view.unwrap();
        assert_eq!((view.width, view.height, view.light), (640, 360, 90.0));
    }
}
