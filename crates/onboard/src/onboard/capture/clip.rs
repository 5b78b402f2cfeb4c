//! Sources of frames for work without a camera: recordings.
//!
//! In: a path. Out: a [`FrameSource`] that runs at the recording's own rate, as a camera would, or
//! as fast as it is read. [`open_path`] chooses by the content: a folder of pictures, one picture,
//! MJPEG in AVI, a bare stream of JPEGs, Y4M, and for everything else an installed `ffmpeg`.
//!
//! A frame is stamped with the time of the first frame plus the recording's own time, on both
//! clocks, so that a replay gives the same times however fast it runs.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::{CaptureError, FrameSource};
use crate::camera_id::CameraId;
use crate::clock::{Clock, FrameTime};
use crate::onboard::frame::{Frame, Pixels};

mod avi;
mod ffmpeg;
mod folder;
mod mjpeg;
pub(super) mod y4m;

/// How fast a recording runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// At its own rate, like a camera: a slow reader misses frames.
    #[default]
    RealTime,
    /// As fast as frames are taken: none is missed.
    AsFastAsRead,
}

/// How a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClipOptions {
    /// How fast it runs.
    pub pace: Pace,
    /// Whether it begins again at its end.
    pub repeat: bool,
    /// Frames per second, in place of the recording's own rate (or of [`DEFAULT_RATE`] where it has
    /// none).
    pub fps: Option<f64>,
}

/// Frames per second of recordings without a rate: pictures in a folder, bare JPEG streams.
pub const DEFAULT_RATE: f64 = 30.0;

/// Slowest and fastest rate of a recording. Below 1 it would look like a stalled camera, and a
/// damaged header can contain anything.
const RATES: std::ops::RangeInclusive<f64> = 1.0..=1_000.0;

/// Largest frame, in bytes; anything larger is damage: 8K as RGB is 100 MB, as JPEG a tenth.
const LARGEST_FRAME: usize = 128 << 20;

/// The pictures of a recording, in order.
pub(super) trait Pictures: Send {
    /// The next picture and its number: missing numbers are frames that the recording marks as
    /// dropped. `Ok(None)` at the end.
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw>;

    /// Frames per second, if the recording has a rate.
    fn rate(&self) -> Option<f64>;
}

/// A fault inside a recording.
#[derive(Debug)]
pub(super) struct Flaw {
    why: String,
    /// Whether the recording continues after it, even if only to report its end.
    goes_on: bool,
}

impl Flaw {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), goes_on: true }
    }
}

impl From<io::Error> for Flaw {
    /// After a read error the file is over: another attempt would give the same error for ever.
    fn from(error: io::Error) -> Self {
        Self { why: format!("cannot be read any further: {error}"), goes_on: false }
    }
}

/// Opens a folder of pictures, a picture, or a recording of any kind that can be read here.
pub fn open_path(
    path: &Path,
    camera: CameraId,
    clock: Arc<dyn Clock>,
    options: ClipOptions,
) -> Result<Box<dyn FrameSource>, CaptureError> {
    let pictures = pictures(path)?;
    let rate = options.fps.or_else(|| pictures.rate()).unwrap_or(DEFAULT_RATE);
    let rate = if rate.is_finite() { rate } else { DEFAULT_RATE };
    let interval = Duration::from_secs_f64(1.0 / rate.clamp(*RATES.start(), *RATES.end()));
    Ok(Box::new(Clip {
        path: path.to_owned(),
        camera,
        clock,
        options,
        interval,
        pictures,
        began: None,
        rounds_before: 0,
        in_this_round: 0,
        due: None,
        over: false,
    }))
}

/// Chooses by the content of the path, not by its name.
fn pictures(path: &Path) -> Result<Box<dyn Pictures>, CaptureError> {
    let refuse = |why: String| CaptureError::Recording { path: path.to_owned(), why };
    if path.is_dir() {
        return Ok(Box::new(folder::Folder::open(path).map_err(|f| refuse(f.why))?));
    }
    let mut head = [0; 16];
    let n = File::open(path).and_then(|f| fill(f, &mut head)).map_err(|e| refuse(e.to_string()))?;
    let head = &head[..n];
    let reader = || {
        File::open(path)
            .map(|f| BufReader::with_capacity(256 << 10, f))
            .map_err(|e| refuse(e.to_string()))
    };
    if head.is_empty() {
        return Err(refuse("the file is empty".into()));
    }
    let what = if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ") {
        match avi::Avi::open(reader()?) {
            Ok(avi) => return Ok(Box::new(avi)),
            Err(avi::Refusal::Damaged(why)) => return Err(refuse(why)),
            Err(avi::Refusal::OtherCodec(code)) => format!("an AVI file with {code} video"),
        }
    } else if head.starts_with(b"YUV4MPEG2") {
        match y4m::Y4m::open(reader()?) {
            Ok(y4m) => return Ok(Box::new(y4m)),
            Err(y4m::Refusal::Damaged(why)) => return Err(refuse(why)),
            Err(y4m::Refusal::OtherLayout(layout)) => format!("a Y4M stream in layout {layout}"),
        }
    } else if head.starts_with(&[0xff, 0xd8]) {
        let mut stream = mjpeg::JpegStream::new(reader()?);
        // A single JPEG is a picture; several, or remains of several, are a stream.
        let first = stream.next();
        if first.is_err() || !matches!(stream.next(), Ok(None)) {
            return Ok(Box::new(mjpeg::JpegStream::new(reader()?)));
        }
        return Ok(Box::new(folder::Folder::of_one(path)));
    } else if image::guess_format(head).is_ok() {
        return Ok(Box::new(folder::Folder::of_one(path)));
    } else {
        "a file of unknown kind".to_owned()
    };
    ffmpeg::open(path, &what, ffmpeg::PROGRAM)
        .map(|p| Box::new(p) as Box<dyn Pictures>)
        .map_err(refuse)
}

/// Reads until the buffer is full or the file ends.
fn fill(mut from: impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match from.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// A recording being played.
struct Clip {
    path: PathBuf,
    camera: CameraId,
    clock: Arc<dyn Clock>,
    options: ClipOptions,
    interval: Duration,
    pictures: Box<dyn Pictures>,
    /// When the first frame was requested: real time for the pace, both clocks for the stamps.
    began: Option<(Instant, FrameTime)>,
    /// Frames of the previous rounds.
    rounds_before: u64,
    /// Frames of this round so far, dropped ones included.
    in_this_round: u64,
    /// A picture whose time has not come yet.
    due: Option<(u64, Pixels)>,
    /// Whether the file cannot be read any further.
    over: bool,
}

impl Clip {
    /// The next picture, with its number counted over all rounds.
    fn advance(&mut self) -> Result<Option<(u64, Pixels)>, CaptureError> {
        if self.over {
            return Ok(None);
        }
        loop {
            match self.pictures.next() {
                Ok(Some((number, pixels))) => {
                    self.in_this_round = self.in_this_round.max(number.saturating_add(1));
                    return Ok(Some((self.rounds_before.saturating_add(number), pixels)));
                }
                // A recording without any picture would repeat for ever.
                Ok(None) if self.options.repeat && self.in_this_round > 0 => {
                    self.pictures = pictures(&self.path)?;
                    self.rounds_before = self.rounds_before.saturating_add(self.in_this_round);
                    self.in_this_round = 0;
                }
                Ok(None) => return Ok(None),
                Err(Flaw { why, goes_on }) => {
                    self.over = !goes_on;
                    return Err(CaptureError::BadFrame { camera: self.name(), why });
                }
            }
        }
    }

    fn name(&self) -> String {
        format!("{} ({})", self.camera, self.path.display())
    }
}

impl FrameSource for Clip {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let deadline = Instant::now() + timeout;
        let (number, pixels) = match self.due.take() {
            Some(due) => due,
            None => match self.advance()? {
                Some(next) => next,
                None => return Ok(None),
            },
        };
        let (started, first) =
            *self.began.get_or_insert_with(|| (Instant::now(), self.clock.now()));
        let offset = Duration::try_from_secs_f64(self.interval.as_secs_f64() * number as f64)
            .unwrap_or(Duration::MAX / 4);
        if self.options.pace == Pace::RealTime {
            let due = started.checked_add(offset);
            let wait = due.map_or(timeout, |due| due.saturating_duration_since(Instant::now()));
            let left = deadline.saturating_duration_since(Instant::now());
            thread::sleep(wait.min(left));
            if wait > left {
                self.due = Some((number, pixels));
                return Err(CaptureError::Stalled { camera: self.name(), waited: timeout });
            }
        }
        let captured = FrameTime {
            monotonic: first.monotonic.saturating_add(offset),
            wall: first.wall.saturating_add(offset).unwrap_or(first.wall),
        };
        Ok(Some(Frame { camera: self.camera.clone(), sequence: number, captured, pixels }))
    }

    fn live(&self) -> bool {
        self.options.pace == Pace::RealTime
    }
}

#[cfg(test)]
mod tests;
