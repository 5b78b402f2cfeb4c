//! Tries models before they are used: on the golden set, and on this machine's own speed.
//!
//! In: two readers, the one with the models in force and the one with the new model. Out: what each read, how long each
//! took, and whether the new one may be used. Both are measured in the same run, picture by picture in turn, so that
//! whatever else the machine does meanwhile slows both. Time is that of the processor, as the reader counts it. Costs:
//! some seconds of one core. Leaves to others: whose the package is (`package.rs`).

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::golden::{self, Golden};
use super::package::Kind;
use crate::config::{CameraConfig, ReadingConfig};
use crate::onboard::frame::{Frame, Pixels};
use crate::onboard::vision::candidate::Candidate;
use crate::onboard::vision::{Interrupt, Reader, Spent, VisionError, jpeg, still};
use crate::plate::{Jurisdiction, fold};

/// Confidence in the weakest character from which a text counts as read with certainty: so sure, and wrong, is a misread.
const SURE: f32 = 0.5;

/// By how much longer than the models in force new ones may take.
const MOST_SLOWER: f64 = 1.5;

/// What two equal models may differ by from one run to the next.
const NOISE: f64 = 1.05;

/// Pictures of a camera's size on which the time is measured, and how often each is looked at; the median counts.
const TIMED: usize = 4;
const ROUNDS: usize = 6;

/// What a camera's settings mean where they are left out (`config/camera.rs`).
const USUAL_SIZE: (u32, u32) = (1920, 1080);
const USUAL_RATE: f64 = 30.0;

/// Longest trial, within the time that the control socket waits for an answer.
pub(super) const LONGEST: Duration = Duration::from_secs(45);

/// How often it is looked whether a trial's time is over, or the daemon stops.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a trial gave no result.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// A model failed at a picture.
    #[error("the trial failed at a picture: {0}")]
    Vision(#[from] VisionError),
    /// A picture could not be made larger.
    #[error("a picture of the trial cannot be drawn at {width}x{height}: {why}")]
    Picture {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Why.
        why: String,
    },
    /// It takes too long.
    #[error("the trial was given up after {} s: this machine is too slow for it, or these models are", LONGEST.as_secs())]
    TooLong,
}

/// What a reader makes of one picture.
pub(super) struct Seen {
    /// The text, and whether it counts as certain.
    pub(super) texts: Vec<(String, bool)>,
    /// The issuers that were told.
    pub(super) issuers: Vec<Jurisdiction>,
}

/// A reader on trial: by ONNX models, or by a script.
pub(super) trait Contestant {
    /// Reads a picture of the golden set.
    fn read(&mut self, frame: &Frame, least: f32) -> Result<Seen, VisionError>;
    /// Reads the next frame of a camera, and tells how long it took.
    fn time(&mut self, frame: &Frame) -> Result<Duration, VisionError>;
}

impl Contestant for Reader {
    fn read(&mut self, frame: &Frame, least: f32) -> Result<Seen, VisionError> {
        let seen = self.read_whole(frame)?.candidates;
        let sure = |c: &Candidate| c.weakest().get() >= SURE && c.plausibility() >= least;
        Ok(Seen {
            texts: seen.iter().map(|c| (c.text().to_string(), sure(c))).collect(),
            issuers: seen.iter().filter_map(|c| Some(c.jurisdiction()?.jurisdiction())).collect(),
        })
    }

    fn time(&mut self, frame: &Frame) -> Result<Duration, VisionError> {
        self.read_next(frame)?;
        let Spent { decode, detect, ocr, issuer, crops } = self.spent();
        Ok(decode + detect + ocr + issuer + crops)
    }
}

/// What was read of the golden set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Plates whose text was read right; letters that lists cannot keep apart count as one.
    pub right: u32,
    /// Plates that there are.
    pub plates: u32,
    /// Texts that were read with certainty and are wrong, on a plate or beside one.
    pub wrong: u32,
    /// Issuers that were told and are right.
    pub issuers_right: u32,
    /// Issuers that were told and are wrong.
    pub issuers_wrong: u32,
}

impl Score {
    fn count(&mut self, golden: &Golden, seen: &Seen) {
        let folded = |text: &str| text.bytes().map(fold).collect::<Vec<_>>();
        let (issuer, text) = match golden.plate {
            Some((issuer, text)) => (Some(issuer), Some(folded(text))),
            None => (None, None),
        };
        let is_right = |read: &str| text.as_ref().is_some_and(|text| folded(read) == *text);
        self.plates += u32::from(text.is_some());
        self.right += u32::from(seen.texts.iter().any(|(read, _)| is_right(read)));
        for (_, sure) in seen.texts.iter().filter(|(read, _)| !is_right(read)) {
            self.wrong += u32::from(*sure);
        }
        for told in &seen.issuers {
            match issuer.is_some_and(|issuer| told.may_be(&issuer)) {
                true => self.issuers_right += 1,
                false => self.issuers_wrong += 1,
            }
        }
    }
}

/// How fast a camera is read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// Size of its picture.
    pub width: u32,
    /// Size of its picture.
    pub height: u32,
    /// Frames a second that it is set to.
    pub camera_fps: f64,
    /// Time that a frame takes, in milliseconds of one core.
    pub frame_ms: f64,
    /// Frames a second that can be read.
    pub most_fps: f64,
}

/// What was measured of one reader.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// What it read.
    pub score: Score,
    /// How fast it is, by camera.
    pub speed: BTreeMap<String, Speed>,
}

/// What was measured of both.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// The models in force.
    pub before: Measured,
    /// With the new one.
    pub after: Measured,
}

impl Comparison {
    /// In one line.
    pub fn words(&self) -> String {
        let Self { before, after } = self;
        let (was, is) = (&before.score, &after.score);
        let mut line = format!(
            "right {} of {} (in force {}), wrong {} ({})",
            is.right, is.plates, was.right, is.wrong, was.wrong
        );
        if is.issuers_right + is.issuers_wrong + was.issuers_right + was.issuers_wrong > 0 {
            line += &format!(
                ", issuers right {} ({}), wrong {} ({})",
                is.issuers_right, was.issuers_right, is.issuers_wrong, was.issuers_wrong
            );
        }
        for (camera, speed) in &after.speed {
            let before = before.speed.get(camera).map_or(0.0, |speed| speed.frame_ms);
            line += &format!(", camera {camera} {:.1} ms a frame ({before:.1})", speed.frame_ms);
        }
        line
    }

    /// Why the new model may not be used, if it may not.
    pub fn objection(&self, kind: Kind) -> Option<String> {
        let (was, is) = (&self.before.score, &self.after.score);
        let worse = |what: &str, now: u32, before: u32| {
            Some(format!("it reads worse than the models in force: {what} {now}, before {before}"))
        };
        if was.right == 0 {
            let why = "the models in force read none of the golden set's plates, so that nothing can be compared: \
                       roll back to shipped ones first";
            return Some(why.into());
        }
        if is.right < was.right {
            return worse(&format!("plates read right of {}", is.plates), is.right, was.right);
        }
        if is.wrong > was.wrong {
            return worse("texts read with certainty and wrong", is.wrong, was.wrong);
        }
        if kind == Kind::Jurisdiction && is.issuers_right < was.issuers_right {
            return worse("issuers told and right", is.issuers_right, was.issuers_right);
        }
        if is.issuers_wrong > was.issuers_wrong {
            return worse("issuers told and wrong", is.issuers_wrong, was.issuers_wrong);
        }
        self.after.speed.iter().find_map(|(camera, now)| {
            let before = self.before.speed.get(camera)?;
            let Speed { width, height, camera_fps, frame_ms, most_fps } = now;
            if *frame_ms > before.frame_ms * MOST_SLOWER {
                return Some(format!(
                    "it is too slow: {frame_ms:.1} ms for a frame of {width}x{height}, before {:.1} ms, and at most \
                     {MOST_SLOWER} times that is taken",
                    before.frame_ms
                ));
            }
            // Where the models in force do not keep up either, a new one that is no slower makes nothing worse.
            let is_slower = *frame_ms > before.frame_ms * NOISE;
            (most_fps < camera_fps && is_slower).then(|| {
                format!(
                    "it is too slow for camera {camera}: {frame_ms:.1} ms for a frame of {width}x{height} are \
                     {most_fps:.1} frames a second, and the camera sends {camera_fps}"
                )
            })
        })
    }
}

/// Compares two readers.
///
/// # Errors
///
/// A model that fails at a picture; a trial that takes longer than `LONGEST` by `elapsed`.
pub(super) fn compare<C: Contestant>(
    before: &mut C,
    after: &mut C,
    (cameras, reading): (&[CameraConfig], &ReadingConfig),
    elapsed: impl Fn() -> Duration,
) -> Result<Comparison, TrialError> {
    let mut both = Comparison::default();
    let set = golden::set();
    for golden in &set {
        let frame = still(Pixels::Mjpeg(golden.jpeg.to_vec()));
        both.before.score.count(golden, &before.read(&frame, reading.min_plausibility)?);
        both.after.score.count(golden, &after.read(&frame, reading.min_plausibility)?);
        if elapsed() > LONGEST {
            return Err(TrialError::TooLong);
        }
    }
    let mut by_size: BTreeMap<(u32, u32), (f64, f64)> = BTreeMap::new();
    for camera in cameras {
        let size = camera.width.zip(camera.height).unwrap_or(USUAL_SIZE);
        let times = match by_size.get(&size) {
            Some(times) => *times,
            None => *by_size.entry(size).or_insert(timed(before, after, &set, size, &elapsed)?),
        };
        let speed = |frame_ms: f64| Speed {
            width: size.0,
            height: size.1,
            camera_fps: camera.fps.unwrap_or(USUAL_RATE),
            frame_ms,
            most_fps: 1000.0 / frame_ms.max(0.001),
        };
        both.before.speed.insert(camera.name.to_string(), speed(times.0));
        both.after.speed.insert(camera.name.to_string(), speed(times.1));
    }
    Ok(both)
}

/// Runs a trial, and ends its models when its time is over: between two pictures [`compare`] looks itself, and weights
/// that compute for ever come to no next picture, nor to the end of their loading. What the trial returns then is an
/// error of theirs.
pub(super) fn ending_in_time<T>(
    elapsed: &(impl Fn() -> Duration + Sync),
    interrupt: &Interrupt,
    trial: impl FnOnce() -> T,
) -> T {
    std::thread::scope(|scope| {
        let (done, ended) = channel::<()>();
        scope.spawn(move || {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if elapsed() > LONGEST {
                    interrupt.interrupt();
                }
            }
        });
        let result = trial();
        drop(done);
        result
    })
}

/// The median time of a frame of this size, in milliseconds, of both.
fn timed<C: Contestant>(
    before: &mut C,
    after: &mut C,
    set: &[Golden],
    size: (u32, u32),
    elapsed: &impl Fn() -> Duration,
) -> Result<(f64, f64), TrialError> {
    let plates = set.iter().filter(|golden| golden.plate.is_some());
    let frames = plates.step_by(7).take(TIMED).map(|golden| enlarged(golden.jpeg, size));
    let frames: Vec<Frame> = frames.collect::<Result<_, _>>()?;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for frame in &frames {
            let (was, is) = (before.time(frame)?, after.time(frame)?);
            // In the first round memory is allocated that later ones use again.
            if round > 0 {
                first.push(was);
                second.push(is);
            }
            if elapsed() > LONGEST {
                return Err(TrialError::TooLong);
            }
        }
    }
    Ok((median_ms(first), median_ms(second)))
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

/// A picture as a camera of this size would send it.
fn enlarged(jpeg: &[u8], (width, height): (u32, u32)) -> Result<Frame, TrialError> {
    let refuse = |why: String| TrialError::Picture { width, height, why };
    let picture = image::load_from_memory(jpeg).map_err(|e| refuse(e.to_string()))?;
    let filter = image::imageops::FilterType::Triangle;
    let large = image::imageops::resize(&picture.to_rgb8(), width, height, filter);
    let bytes =
        jpeg::encode_rgb(large.as_raw(), width, height, 85).map_err(|e| refuse(e.to_string()))?;
    Ok(still(Pixels::Mjpeg(bytes)))
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
