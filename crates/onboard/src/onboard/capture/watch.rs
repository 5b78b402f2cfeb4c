//! The loop of one camera: opens it, passes its frames on, detects when they stop, opens it again.
//!
//! In: an opener. Out: frames in a [`Slot`], the state of `camera/<id>` and its counters in
//! [`Health`]. An unplugged camera is detected at once, one that hangs after [`Patience::stall`];
//! in both cases the officer sees it within two seconds, and the camera is opened again when that
//! is possible. No fault of a camera ends the loop; only the end of a recording or a closed slot
//! does.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::newest::{Put, Slot};
use super::{CaptureError, FrameSource};
use crate::backoff::Backoff;
use crate::camera_id::CameraId;
use crate::clock::Clock;
use crate::health::{CameraHealth, Health, PartState};
use crate::onboard::frame::Frame;

/// Opens a source anew at each call.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, CaptureError> + Send>;

/// The waiting times of the loop.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Longest single wait, so that stops and stalls are noticed in time.
    pub slice: Duration,
    /// Time without a usable frame after which a running camera counts as stalled.
    pub stall: Duration,
    /// The same for a camera that was just opened and has sent none yet.
    pub first_frame: Duration,
    /// Time after opening from which on a camera is opened again if none of its frames can be
    /// decoded.
    pub unreadable: Duration,
    /// Pause after the first failure to open; it doubles with every further one.
    pub retry: Duration,
    /// Longest pause.
    pub retry_at_most: Duration,
}

impl Default for Patience {
    /// A stall must be on the officer's screen within 2 s: 1.5 s and one slice are 1.6 s, so that
    /// at the slowest rate that the configuration allows (2 frames per second) two frames in a row
    /// may still be lost. USB cameras need up to two seconds from the start of the stream to the
    /// first frame, more when the bus is busy. Restarting a stream takes as long, so a camera whose
    /// frames cannot be decoded gets ten seconds first. An attempt to open a missing camera costs a
    /// few system calls, so one each second is cheap, and a camera that is plugged in again is back
    /// soon.
    fn default() -> Self {
        Self {
            slice: Duration::from_millis(100),
            stall: Duration::from_millis(1_500),
            first_frame: Duration::from_secs(4),
            unreadable: Duration::from_secs(10),
            retry: Duration::from_millis(250),
            retry_at_most: Duration::from_secs(1),
        }
    }
}

/// One camera's capture thread.
pub struct Capture {
    camera: CameraId,
    open: Opener,
    slot: Arc<Slot<Frame>>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    patience: Patience,
}

/// Why reading from a source ended.
enum End {
    /// The slot was closed: the loop stops.
    Stopped,
    /// The recording has ended.
    Over,
    /// The source must be opened again; the line is for the officer.
    Lost(String),
}

impl Capture {
    /// Prepares the loop. Frames go to `slot`. Closing `slot` stops the loop; the loop closes it
    /// when the source has ended.
    pub fn new(
        camera: CameraId,
        open: Opener,
        slot: Arc<Slot<Frame>>,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> Self {
        Self { camera, open, slot, clock, health, patience: Patience::default() }
    }

    /// Replaces the waiting times.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Runs the loop. Returns when the slot is closed or the source has ended.
    pub fn run(mut self) {
        let part = format!("camera/{}", self.camera);
        let counts = self.health.camera(&self.camera);
        let mut numbers = Numbering::default();
        let mut pauses = Backoff::new(self.patience.retry, self.patience.retry_at_most);
        let mut last_failure = String::new();
        self.health.set(&part, PartState::Starting);
        while !self.slot.is_closed() {
            counts.capture_beats.one();
            match (self.open)() {
                Ok(source) => {
                    debug!(camera = %self.camera, "camera opened");
                    numbers.source_opened();
                    let frames = counts.frames.get();
                    let end = self.stream(source, &part, &counts, &mut numbers);
                    let worked = counts.frames.get() > frames;
                    match end {
                        End::Stopped => break,
                        End::Over => {
                            info!(camera = %self.camera, "recording ended");
                            self.health
                                .set(&part, PartState::Down("the recording has ended".into()));
                            self.slot.close();
                            return;
                        }
                        End::Lost(why) => {
                            if worked {
                                counts.interruptions.one();
                                pauses.worked();
                            }
                            if worked || why != last_failure {
                                warn!(camera = %self.camera, why, "camera lost, opening it again");
                            }
                            self.health.set(&part, PartState::Down(why.clone()));
                            last_failure = why;
                        }
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    // It is logged once and not with every attempt: a car may drive for weeks
                    // without this camera.
                    if why != last_failure {
                        warn!(camera = %self.camera, why, "camera cannot be opened, trying on");
                    }
                    self.health.set(&part, PartState::Down(why.clone()));
                    last_failure = why;
                }
            }
            if self.slot.closed_within(pauses.failed()) {
                break;
            }
        }
        debug!(camera = %self.camera, "capture stopped");
        self.health.set(&part, PartState::Down("stopped".into()));
    }

    /// Passes frames on until the source ends or is lost.
    fn stream(
        &self,
        mut source: Box<dyn FrameSource>,
        part: &str,
        counts: &CameraHealth,
        numbers: &mut Numbering,
    ) -> End {
        // The awake clock is used, so that sleep of the machine does not look like a stall.
        let mut last_good = self.clock.awake();
        let mut patience = source.first_frame_within().unwrap_or(self.patience.first_frame);
        let mut last_bad = None;
        let (opened, mut works) = (last_good, false);
        loop {
            if self.slot.is_closed() {
                return End::Stopped;
            }
            counts.capture_beats.one();
            let got = source.next_frame(self.patience.slice);
            let got = match got {
                Ok(Some(frame)) => match flaw(&frame) {
                    None => Ok(Some(frame)),
                    Some(why) => {
                        Err(CaptureError::BadFrame { camera: self.camera.to_string(), why })
                    }
                },
                other => other,
            };
            let now = self.clock.awake();
            match got {
                Ok(Some(mut frame)) => {
                    let (sequence, lost) = numbers.next(frame.sequence);
                    frame.sequence = sequence;
                    counts.frames.one();
                    counts.frames_lost.many(lost);
                    patience = self.patience.stall;
                    if !works {
                        // This is the first frame since opening.
                        works = true;
                        info!(camera = %self.camera, frame = ?frame.pixels, "camera works");
                        self.health.set(part, PartState::Working);
                    }
                    last_good = now;
                    last_bad = None;
                    let put = if source.live() {
                        self.slot.put(frame)
                    } else {
                        let put = self.slot.put_when_free(frame);
                        // Waiting for the reader is not a stall.
                        last_good = self.clock.awake();
                        put
                    };
                    match put {
                        Put::Stored => {}
                        Put::Replaced => counts.frames_skipped.one(),
                        Put::Closed => return End::Stopped,
                    }
                    // Frames come and none can be decoded: some cameras and hubs recover when the
                    // stream is restarted.
                    if source.live()
                        && now.since(opened) >= self.patience.unreadable
                        && let Some(why) = counts.unreadable()
                    {
                        return End::Lost(format!("none of its frames can be read: {why}"));
                    }
                    continue;
                }
                Ok(None) => return End::Over,
                Err(CaptureError::Stalled { .. }) => {}
                Err(CaptureError::BadFrame { why, .. }) => {
                    counts.frames_bad.one();
                    if patience != self.patience.stall {
                        // It has had its time to start: it sends frames, but only broken ones.
                        (patience, last_good) = (self.patience.stall, now);
                    }
                    if last_bad.as_ref() != Some(&why) {
                        warn!(camera = %self.camera, why, "broken frame skipped");
                    }
                    last_bad = Some(why);
                }
                Err(error) => return End::Lost(error.to_string()),
            }
            let waited = now.since(last_good);
            // A camera that sends only broken frames is as blind as one that sends none.
            if waited >= patience {
                return End::Lost(match last_bad {
                    Some(why) => format!("only broken frames for {waited:.1?}: {why}"),
                    None => format!("no frame for {waited:.1?}"),
                });
            }
        }
    }
}

/// What is wrong with a frame, as far as can be seen without decoding it.
fn flaw(frame: &Frame) -> Option<String> {
    let bytes = frame.pixels.bytes();
    if bytes.is_empty() {
        return Some("0 bytes".into());
    }
    match frame.pixels.bytes_expected() {
        Some(expected) if expected != bytes.len() as u64 => {
            Some(format!("{} bytes, {expected} expected", bytes.len()))
        }
        _ => None,
    }
}

/// Keeps a camera's frame numbers growing, whatever the driver does, and counts the gaps.
#[derive(Debug, Default)]
struct Numbering {
    /// The last number that was assigned.
    given: Option<u64>,
    /// The source's own number of that frame, if the source has not been reopened since.
    from_source: Option<u64>,
}

impl Numbering {
    /// Notes that a new source was opened, which may count from any number.
    fn source_opened(&mut self) {
        self.from_source = None;
    }

    /// Our number for the source's frame `sequence`, and how many frames were lost before it.
    fn next(&mut self, sequence: u64) -> (u64, u64) {
        let step = match self.from_source {
            // A driver that starts over (after a hub reset) or repeats itself has lost an unknown
            // number of frames.
            Some(last) if sequence > last => sequence - last,
            _ => 1,
        };
        let number = match self.given {
            Some(given) => given + step,
            None => sequence,
        };
        self.given = Some(number);
        self.from_source = Some(sequence);
        (number, step - 1)
    }
}

#[cfg(test)]
mod tests;
