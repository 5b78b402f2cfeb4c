//! Runs the pipeline over a drive that is recorded, or rendered from a plan, on a simulated clock: every
//! frame is read, as fast as possible, and the result is the same on every run.
//!
//! In: a folder with `drive.toml` (rendered), or with pictures or a film, `track.nmea` and
//! `hotlist.csv` (recorded), or a film alone. Out: hits and counters; the score where the truth is
//! known. Nothing is kept and nothing is sent.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use self::losses::{Flaws, Over, rows_left_out, track_of};
use super::camera::{Departure, Pace, RenderedCamera};
use super::gps::Route;
use super::listed::DemoList;
use super::scenario::{DriveScenario, DriveSettings, Visit};
use crate::camera_id::CameraId;
use crate::clock::{Clock, FrameTime, SimulatedClock};
use crate::config::{HotlistConfig, KeepingConfig, ReadingConfig};
use crate::gps::{Fixes, Report, nmea};
use crate::health::{Health, Snapshot};
use crate::hotlist::{self, Hotlist, HotlistError, Hotlists};
use crate::onboard::capture::clip::{self, ClipOptions};
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::Frame;
use crate::onboard::glance::Glances;
use crate::onboard::score::{Score, Truth};
use crate::onboard::store::{Ring, RingError};
use crate::onboard::{self, CameraParts, FrameReader, Hit, Parts};

mod losses;

/// Why a drive cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file of the drive cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `drive.toml` has an impossible value.
    #[error("{path}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The pictures.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The list.
    #[error(transparent)]
    Hotlist(#[from] HotlistError),
    /// The store that keeps nothing.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Some stage did not end.
    #[error("the replay did not end within {0:?}")]
    Endless(Duration),
}

/// `drive.toml`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DriveFile {
    /// What the drive shows, in a sentence.
    #[serde(default)]
    pub about: String,
    /// What is rendered.
    #[serde(default)]
    pub drive: DriveSettings,
    /// What a test asks of it.
    #[serde(default)]
    pub expect: Expect,
}

/// Floors for a rendered drive, as fractions; loose, because weights change.
#[derive(Debug, Clone, Copy, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Least part of the passes that are read rightly.
    pub read_rate: f64,
    /// Greatest part of the reads that are misread.
    pub misread_rate: f64,
    /// Fewest passes: a drive without traffic proves nothing.
    pub passes: u64,
}

/// A drive ready to be replayed.
pub struct Drive {
    sources: Vec<(CameraId, Box<dyn FrameSource>)>,
    clock: Arc<SimulatedClock>,
    track: Vec<(Duration, Report)>,
    list: Option<Hotlist>,
    truth: Option<Truth>,
    /// What cannot be used of its files.
    left_out: Vec<String>,
    /// What is unusual about them without changing the result.
    remarks: Vec<String>,
    /// What `drive.toml` demands of the result; nothing for a recording.
    pub expect: Expect,
    /// The description in `drive.toml`.
    pub about: String,
}

/// What came of it.
#[derive(Debug)]
pub struct Replayed {
    /// In the order of their frames.
    pub hits: Vec<Hit>,
    /// How it was read, where the truth is known.
    pub score: Option<Score>,
    /// All counters.
    pub health: Snapshot,
    /// What was not replayed and why, a line each: damaged frames, rows of the list that do not
    /// serve, a track that is not understood, an early end. Empty when all was.
    pub left_out: Vec<String>,
    /// What is unusual about the drive although nothing was left out, a line each.
    pub remarks: Vec<String>,
}

/// When rendered drives take place: a time that no test mistakes for now.
const RENDERED_AT: &str = "2026-06-01T14:00:00Z";

/// Longest replay: an hour of driving on a slow machine.
const AT_MOST: Duration = Duration::from_secs(4 * 3600);

impl Drive {
    /// Number of rows in the drive's list that are used; `None` where it has no list.
    pub fn rows_that_serve(&self) -> Option<usize> {
        self.list.as_ref().map(Hotlist::len)
    }

    /// Opens a folder or a file.
    pub fn open(path: &Path, reading: &ReadingConfig) -> Result<Self, ReplayError> {
        let file = path.join("drive.toml");
        if !file.is_file() {
            return Self::recorded(path);
        }
        let text = read(&file)?;
        let malformed = |message: String| ReplayError::Malformed { path: file.clone(), message };
        let parsed: DriveFile = toml::from_str(&text).map_err(|e| malformed(e.to_string()))?;
        parsed.drive.validate().map_err(|e| malformed(format!("drive.{e}")))?;
        let mut drive = Self::rendered(parsed.drive, reading)?;
        (drive.expect, drive.about) = (parsed.expect, parsed.about);
        Ok(drive)
    }

    /// A drive to be rendered. Its list and its track follow from its plan.
    pub fn rendered(settings: DriveSettings, reading: &ReadingConfig) -> Result<Self, ReplayError> {
        let began: Timestamp = RENDERED_AT.parse().expect("a constant timestamp");
        let clock = Arc::new(SimulatedClock::starting_at(began));
        let plan = Arc::new(DriveScenario::plan(settings));
        let s = &plan.settings;
        let visits: Vec<Visit> =
            s.cameras.iter().flat_map(|&c| plan.visits(c, reading.min_plate_width)).collect();
        let list = DemoList::of(&plan, &visits, reading.min_agreeing_frames);
        let named = "name = \"drive\"\npath = \"drive\"\nmatching = \"look_alike\"";
        let config: HotlistConfig = toml::from_str(named).expect("a constant configuration");
        let utc = jiff::tz::TimeZone::UTC;
        let (list, _) = hotlist::parse(list.csv.as_bytes(), &config, began, &utc)?;
        let route = Route { speed_mps: f64::from(s.speed_kmh) / 3.6 };
        let track = nmea::parse(route.nmea(began, s.seconds as u32 + 2));
        let truth = Truth::default();
        let departure = Departure::new(clock.clone(), {
            let (plan, truth) = (plan.clone(), truth.clone());
            let frames = reading.min_agreeing_frames;
            move |began| super::announce(&truth, &plan, &visits, frames, began)
        });
        let mut sources: Vec<(CameraId, Box<dyn FrameSource>)> = Vec::new();
        for &side in &s.cameras {
            let pace = Pace::AsFastAsTaken;
            let camera = RenderedCamera::new(plan.clone(), side, pace, departure.clone())?;
            sources.push((side.id(), Box::new(camera)));
        }
        Ok(Self {
            sources,
            clock,
            track,
            list: Some(list),
            truth: Some(truth),
            left_out: Vec::new(),
            remarks: Vec::new(),
            expect: Expect::default(),
            about: String::new(),
        })
    }

    /// A recorded drive: pictures or a film, and the track and the list beside them, if there are any.
    fn recorded(path: &Path) -> Result<Self, ReplayError> {
        let beside = |name: &str| path.is_dir().then(|| path.join(name)).filter(|p| p.is_file());
        let (mut left_out, mut remarks) = (Vec::new(), Vec::new());
        let track = match beside("track.nmea") {
            Some(file) => track_of(&file, &mut left_out, &mut remarks)?,
            None => Vec::new(),
        };
        // The drive's time is that of its receiver; without one, the clock starts at an instant
        // that is obviously not a real one.
        let time = track.iter().find_map(|(at, report)| match report {
            Report::Fix(fix) => Some(fix.time? - *at),
            _ => None,
        });
        let clock = Arc::new(SimulatedClock::starting_at(time.unwrap_or(Timestamp::UNIX_EPOCH)));
        let list = match beside("hotlist.csv").or_else(|| beside("hotlist.txt")) {
            Some(path) => {
                let entry = format!("name = \"drive\"\npath = {path:?}\nmatching = \"look_alike\"");
                let config: HotlistConfig = toml::from_str(&entry).map_err(|e| {
                    ReplayError::Malformed { path: path.clone(), message: e.to_string() }
                })?;
                let loaded = hotlist::load(&config)?;
                rows_left_out(
                    &path,
                    loaded.list.len(),
                    &loaded.skipped,
                    &mut left_out,
                    &mut remarks,
                );
                left_out.extend(
                    loaded.limits_unread().map(|why| format!("list {}: {why}", path.display())),
                );
                Some(loaded.list)
            }
            None => None,
        };
        let options = ClipOptions { pace: clip::Pace::AsFastAsRead, ..ClipOptions::default() };
        let pictures = film(path);
        let camera = CameraId::new("replay");
        let source = clip::open_path(&pictures, camera.clone(), clock.clone(), options)?;
        Ok(Self {
            sources: vec![(camera, source)],
            clock,
            track,
            list,
            truth: None,
            left_out,
            remarks,
            expect: Expect::default(),
            about: String::new(),
        })
    }

    /// Replays the drive. `readers` gives each camera its reader.
    pub fn play<E: From<ReplayError>>(
        self,
        reading: &ReadingConfig,
        mut readers: impl FnMut() -> Result<Box<dyn FrameReader>, E>,
    ) -> Result<Replayed, E> {
        let health = Arc::new(Health::default());
        // Receivers report once a second: three misses and there is no position.
        let fixes = Fixes::new(Duration::from_secs(3));
        let start = self.clock.now().monotonic;
        let mut cameras = Vec::new();
        let flaws = Arc::new(Mutex::new(Flaws::default()));
        for (id, source) in self.sources {
            let paced = OnClock {
                source,
                clock: self.clock.clone(),
                start,
                track: self.track.clone(),
                fixes: fixes.clone(),
                next_fix: 0,
                flaws: flaws.clone(),
            };
            let mut first: Option<Box<dyn FrameSource>> = Some(Box::new(paced));
            let (name, flaws) = (id.clone(), flaws.clone());
            // A recording cannot be reopened where it broke off: it is over then, and the result says so.
            let open = move || {
                Ok(first.take().unwrap_or_else(|| {
                    flaws.lock().expect("no holder panics").ended(format!("{name} was given up"));
                    Box::new(Over)
                }))
            };
            cameras.push(CameraParts { id, open: Box::new(open), reader: readers()? });
        }
        // The store keeps nothing and so never makes its folder, which must not be that of a real car.
        let directory =
            std::env::temp_dir().join(format!("outrider-replay-{}", std::process::id()));
        let keeping = KeepingConfig { directory, ..KeepingConfig::default() };
        let clock: Arc<dyn Clock> = self.clock.clone();
        let ring =
            Ring::open(&keeping, clock.clone(), health.clone()).map_err(ReplayError::from)?;
        let (running, hits) = onboard::spawn(Parts {
            cameras,
            hotlists: Arc::new(Hotlists::of(self.list.into_iter().collect())),
            fixes,
            ring,
            clock,
            health: health.clone(),
            reading: reading.clone(),
            glances: Glances::default(),
            truth: self.truth.clone(),
        });
        let mut hits: Vec<Hit> = hits.iter().collect();
        running.wait(AT_MOST).map_err(|_| ReplayError::Endless(AT_MOST))?;
        let order = |hit: &Hit| (hit.decided(), hit.camera().clone(), hit.seen());
        hits.sort_by_key(order);
        let (mut left_out, mut remarks) = (self.left_out, self.remarks);
        let health = health.snapshot();
        let flaws = std::mem::take(&mut *flaws.lock().expect("no holder panics"));
        flaws.report(&health, &mut left_out, &mut remarks);
        Ok(Replayed { hits, score: self.truth.map(|t| t.score()), health, left_out, remarks })
    }
}

/// The pictures of a recorded drive: `frames/` or a film named `frames.*` in a folder, else the
/// path itself.
fn film(path: &Path) -> PathBuf {
    let inside = path.join("frames");
    if inside.is_dir() {
        return inside;
    }
    let named = |p: &PathBuf| p.file_stem().is_some_and(|stem| stem == "frames");
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    entries.filter(named).min().unwrap_or_else(|| path.to_owned())
}

fn read(path: &Path) -> Result<String, ReplayError> {
    std::fs::read_to_string(path)
        .map_err(|source| ReplayError::Unreadable { path: path.to_owned(), source })
}

/// A source whose frames move the clock. Before each frame the receiver's reports up to a second later are taken in,
/// so that every position lies between two fixes, on every run.
struct OnClock {
    source: Box<dyn FrameSource>,
    clock: Arc<SimulatedClock>,
    start: Duration,
    track: Vec<(Duration, Report)>,
    fixes: Fixes,
    next_fix: usize,
    flaws: Arc<Mutex<Flaws>>,
}

impl OnClock {
    /// The next frame. A damaged frame is noted; a source that cannot go on has ended.
    fn noted(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let got = self.source.next_frame(timeout);
        let mut flaws = self.flaws.lock().expect("no holder panics");
        match got {
            Err(CaptureError::BadFrame { camera, why }) => {
                flaws.broken(&why);
                Err(CaptureError::BadFrame { camera, why })
            }
            Err(error) if !matches!(error, CaptureError::Stalled { .. }) => {
                flaws.ended(error.to_string());
                Ok(None)
            }
            other => other,
        }
    }
}

impl FrameSource for OnClock {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let frame = self.noted(timeout)?;
        if let Some(Frame { captured: FrameTime { monotonic, .. }, .. }) = frame {
            while let Some((at, report)) = self.track.get(self.next_fix)
                && self.start + *at <= monotonic + Duration::from_millis(1_100)
            {
                let fix = match report {
                    Report::Fix(fix) => Some(*fix),
                    _ => None,
                };
                self.fixes.push(self.start + *at, fix);
                self.next_fix += 1;
            }
            self.clock.advance_to(monotonic);
        }
        Ok(frame)
    }

    fn live(&self) -> bool {
        self.source.live()
    }
}

#[cfg(test)]
mod tests;
