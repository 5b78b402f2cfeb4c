//! The loop of one camera: opens it, passes its frames on, notices when they stop, opens it again.
//!
//! In: an opener. Out: frames in a [`Slot`], the state of `camera/<id>` and its counters in
//! [`Health`]. A camera that is unplugged is known at once, one that hangs after
//! [`Patience::stall`]; either way the officer can see it within two seconds, and the camera comes
//! back by itself when it can. Nothing that a camera does ends the loop; only a recording's end or
//! a closed slot does.

use std::sync::Arc;
use std::time::Duration;

use tracing::{debug, info, warn};

use super::newest::{Put, Slot};
use super::{CaptureError, FrameSource};
use crate::clock::Clock;
use crate::health::{CameraHealth, Health, PartState};
use crate::onboard::frame::{CameraId, Frame};

/// Opens a source anew each time it is called.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn FrameSource>, CaptureError> + Send>;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Longest single wait, so that stopping and stalls are noticed in time.
    pub slice: Duration,
    /// Time without a usable frame after which a running camera counts as stalled.
    pub stall: Duration,
    /// The same for a camera that was just opened and has sent none yet.
    pub first_frame: Duration,
    /// Pause after the first failure to open; doubles with every further one.
    pub retry: Duration,
    /// Longest pause.
    pub retry_at_most: Duration,
}

impl Default for Patience {
    /// A stall must be on the officer's screen within 2 s: 1.5 s and one slice are 1.6 s, which
    /// still lets the slowest rate that the configuration allows (2 frames per second) lose two
    /// frames in a row. USB cameras need up to two seconds from stream start to the first
    /// frame, more when the bus is busy. An attempt to open a camera that is not there costs a few
    /// system calls, so one each second is cheap, and a replugged camera is back that much sooner.
    fn default() -> Self {
        Self {
            slice: Duration::from_millis(100),
            stall: Duration::from_millis(1_500),
            first_frame: Duration::from_secs(4),
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

/// Why a source was given up.
enum End {
    /// The slot was closed: stop.
    Stopped,
    /// The recording is over.
    Over,
    /// To be opened again; the line is for the officer.
    Lost(String),
}

impl Capture {
    /// Prepares the loop. Frames go to `slot`; closing `slot` stops the loop, and the loop closes
    /// it when the source is at its end.
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

    /// The loop. Blocks until the slot is closed or the source is at its end.
    pub fn run(mut self) {
        let part = format!("camera/{}", self.camera);
        let counts = self.health.camera(&self.camera);
        let mut numbers = Numbering::default();
        let mut failures = 0_u32;
        let mut last_failure = String::new();
        self.health.set(&part, PartState::Starting);
        while !self.slot.is_closed() {
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
                                failures = 0;
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
                    // Said once, not with every attempt: a car may drive for weeks without it.
                    if why != last_failure {
                        warn!(camera = %self.camera, why, "camera cannot be opened, trying on");
                    }
                    self.health.set(&part, PartState::Down(why.clone()));
                    last_failure = why;
                }
            }
            if self.slot.closed_within(self.patience.pause(failures)) {
                break;
            }
            failures = failures.saturating_add(1);
        }
        debug!(camera = %self.camera, "capture stopped");
        self.health.set(&part, PartState::Down("stopped".into()));
    }

    /// Passes frames on until there is a reason not to.
    fn stream(
        &self,
        mut source: Box<dyn FrameSource>,
        part: &str,
        counts: &CameraHealth,
        numbers: &mut Numbering,
    ) -> End {
        let mut last_good = self.clock.now().monotonic;
        let mut patience = self.patience.first_frame;
        let mut last_bad = None;
        loop {
            if self.slot.is_closed() {
                return End::Stopped;
            }
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
            let now = self.clock.now().monotonic;
            match got {
                Ok(Some(mut frame)) => {
                    let (sequence, lost) = numbers.next(frame.sequence);
                    frame.sequence = sequence;
                    counts.frames.one();
                    counts.frames_lost.many(lost);
                    if patience != self.patience.stall {
                        // The first frame since opening.
                        patience = self.patience.stall;
                        info!(camera = %self.camera, frame = ?frame.pixels, "camera works");
                        self.health.set(part, PartState::Working);
                    }
                    last_good = now;
                    last_bad = None;
                    let put = if source.live() {
                        self.slot.put(frame)
                    } else {
                        let put = self.slot.put_when_free(frame);
                        // Waiting for the reader is no stall.
                        last_good = self.clock.now().monotonic;
                        put
                    };
                    match put {
                        Put::Stored => {}
                        Put::Replaced => counts.frames_skipped.one(),
                        Put::Closed => return End::Stopped,
                    }
                    continue;
                }
                Ok(None) => return End::Over,
                Err(CaptureError::Stalled { .. }) => {}
                Err(CaptureError::BadFrame { why, .. }) => {
                    counts.frames_bad.one();
                    if last_bad.as_ref() != Some(&why) {
                        warn!(camera = %self.camera, why, "broken frame skipped");
                    }
                    last_bad = Some(why);
                }
                Err(error) => return End::Lost(error.to_string()),
            }
            let waited = now.saturating_sub(last_good);
            // A camera that sends nothing but broken frames is as blind as one that sends none.
            if waited >= patience {
                return End::Lost(match last_bad {
                    Some(why) => format!("only broken frames for {waited:.1?}: {why}"),
                    None => format!("no frame for {waited:.1?}"),
                });
            }
        }
    }
}

impl Patience {
    /// The pause before the next attempt, after so many failures in a row.
    fn pause(&self, failures: u32) -> Duration {
        let doubled = self.retry.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX));
        doubled.min(self.retry_at_most)
    }
}

/// What is wrong with a frame, judged without decoding it.
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

/// Keeps a camera's frame numbers going up, whatever the driver does, and counts the gaps.
#[derive(Debug, Default)]
struct Numbering {
    /// The last number given out.
    given: Option<u64>,
    /// What the source called that frame, if it came from the source that is open now.
    from_source: Option<u64>,
}

impl Numbering {
    /// A new source counts from anywhere.
    fn source_opened(&mut self) {
        self.from_source = None;
    }

    /// Our number for a frame that the source calls `sequence`, and how many were lost before it.
    fn next(&mut self, sequence: u64) -> (u64, u64) {
        let step = match self.from_source {
            // A driver that starts over (a hub reset) or repeats itself lost an unknown number.
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
