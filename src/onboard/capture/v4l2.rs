//! Cameras, through the kernel's V4L2: our own thin layer on ioctls.
//!
//! In: a `[[camera]]` section. Out: frames with the kernel's time stamp and sequence number, rows
//! packed tightly. Opening finds the camera by its stable name, picks format, size and rate from
//! what it offers, sets its controls and starts it; each refusal names the key, the value and the
//! driver's own range. One ioctl to take a buffer, one copy, one ioctl to give it back.
//!
//! When a camera is gone, this says so and no more; [`super::watch`] opens it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::{CaptureError, FrameSource};
use crate::clock::{Clock, FrameTime};
use crate::config::CameraConfig;
use crate::onboard::frame::{CameraId, Frame, Pixels};

mod abi;
mod controls;
mod device;
mod find;
mod offer;
mod pack;

pub use controls::{ControlInfo, ControlRange};
pub use find::{CameraInfo, list_cameras};
pub use offer::{FormatOffer, Offer, Rates, SizeOffer, Span};

use abi::{Buffer, buf};
use device::{Device, Stream, Waited};
use offer::{Choice, Misfit};
use pack::Layout;

/// How far in the future a stamp may lie: vivid's are ahead by up to one frame period.
const FUTURE: Duration = Duration::from_secs(1);

/// A running camera.
pub struct Camera {
    camera: CameraId,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    stream: Stream,
    layout: Layout,
    count: Count,
    warned_about_stamps: bool,
}

impl Camera {
    /// Finds, sets up and starts the camera that a section describes.
    pub fn open(config: &CameraConfig, clock: Arc<dyn Clock>) -> Result<Self, CaptureError> {
        let path = find::resolve(config)?;
        let (device, names) = find::open_camera(&path)?;
        let setting = |field: &str, value: String, range: String| CaptureError::Setting {
            key: config.key(field),
            value,
            range,
            card: names.card.clone(),
        };
        let failed = |step, source| CaptureError::Driver { path: path.clone(), step, source };
        let choice = offer::choose(&offer::Offer::ask(&device), config).map_err(|m| match m {
            Misfit::Format { wanted, offered } => {
                CaptureError::NoFormat { path: path.clone(), wanted, offered }
            }
            Misfit::Setting { field, value, range } => setting(field, value, range),
        })?;
        let layout =
            set_format(&device, choice).map_err(|e| in_use(&path, "setting the format", e))?;
        if config.width.is_some() && (layout.width, layout.height) != (choice.width, choice.height)
        {
            return Err(setting(
                "width, height",
                format!("{}x{}", choice.width, choice.height),
                format!("{}x{}", layout.width, layout.height),
            ));
        }
        let fps = set_rate(&device, choice.fps);
        if let (Some(wanted), Some(real)) = (config.fps, fps)
            && (real - wanted).abs() > wanted * 0.02
        {
            return Err(setting("fps", wanted.to_string(), format!("{real:.2}")));
        }
        controls::apply(&device, config).map_err(|refusal| match refusal {
            controls::Refusal::Range(key, value, range) => setting(key, value, range),
            controls::Refusal::Driver("exposure", e) => failed("setting the exposure", e),
            controls::Refusal::Driver("gain", e) => failed("setting the gain", e),
            controls::Refusal::Driver(_, e) => failed("setting the focus", e),
        })?;
        let stream = Stream::start(device).map_err(|(step, source)| in_use(&path, step, source))?;
        debug!(
            camera = %config.name, path = %path.display(), card = names.card, format = %layout.format,
            width = layout.width, height = layout.height, fps, "camera started"
        );
        Ok(Self {
            camera: config.name.clone(),
            path,
            clock,
            stream,
            layout,
            count: Count::default(),
            warned_about_stamps: false,
        })
    }

    fn gone(&self, source: std::io::Error) -> CaptureError {
        CaptureError::Gone { path: self.path.clone(), source }
    }

    /// The time of a buffer on both clocks.
    fn stamp(&mut self, buffer: &Buffer) -> FrameTime {
        let now = self.clock.now();
        match monotonic(buffer).filter(|t| *t <= now.monotonic + FUTURE) {
            Some(stamp) => self.clock.at(stamp),
            None => {
                if !self.warned_about_stamps {
                    self.warned_about_stamps = true;
                    warn!(camera = %self.camera, "driver stamps no time, taking that of arrival");
                }
                now
            }
        }
    }
}

/// The driver's sequence number, 32 bits wide, widened to 64.
#[derive(Debug, Default)]
struct Count(Option<(u32, u64)>);

impl Count {
    fn widen(&mut self, sequence: u32) -> u64 {
        let wide = match self.0 {
            Some((last, wide)) => match sequence.wrapping_sub(last) {
                // Less than half way round forward; anything else is a count that began anew.
                step @ 1..0x8000_0000 => wide + u64::from(step),
                _ => u64::from(sequence),
            },
            None => u64::from(sequence),
        };
        self.0 = Some((sequence, wide));
        wide
    }
}

impl FrameSource for Camera {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let until = Instant::now() + timeout;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let waited = self.stream.wait(left).map_err(|e| self.gone(e))?;
            if waited == Waited::Nothing {
                return Err(CaptureError::Stalled {
                    camera: self.camera.to_string(),
                    waited: timeout,
                });
            }
            let layout = self.layout;
            let taken = self.stream.next(|buffer, bytes| (*buffer, take(layout, buffer, bytes)));
            match taken.map_err(|e| self.gone(e))? {
                Some((buffer, pixels)) => {
                    let sequence = self.count.widen(buffer.sequence);
                    let captured = self.stamp(&buffer);
                    let camera = self.camera.clone();
                    return match pixels {
                        Ok(pixels) => Ok(Some(Frame { camera, sequence, captured, pixels })),
                        Err(why) => Err(CaptureError::BadFrame { camera: camera.to_string(), why }),
                    };
                }
                None if waited == Waited::Fault => {
                    return Err(self.gone(std::io::Error::from_raw_os_error(libc::ENODEV)));
                }
                None => {}
            }
        }
    }
}

/// Takes the frame out of a buffer, unless the driver lost a part of it.
fn take(layout: Layout, buffer: &Buffer, bytes: &[u8]) -> Result<Pixels, String> {
    if buffer.flags & buf::ERROR != 0 {
        return Err("the driver lost a part of it".into());
    }
    layout.pack(bytes)
}

/// The boot-clock time of a buffer, if the driver stamps with that clock.
fn monotonic(buffer: &Buffer) -> Option<Duration> {
    let by_boot_clock = buffer.flags & buf::TIMESTAMP_MASK == buf::TIMESTAMP_MONOTONIC;
    let seconds = u64::try_from(buffer.seconds).ok()?;
    let micros = u32::try_from(buffer.microseconds).ok().filter(|m| *m < 1_000_000)?;
    let stamp = Duration::new(seconds, micros * 1_000);
    (by_boot_clock && !stamp.is_zero()).then_some(stamp)
}

/// The error of a step that only one program at a time may take.
fn in_use(path: &Path, step: &'static str, source: std::io::Error) -> CaptureError {
    let path = path.to_owned();
    match source.raw_os_error() {
        Some(libc::EBUSY) => CaptureError::Open { path, source },
        _ => CaptureError::Driver { path, step, source },
    }
}

fn set_format(device: &Device, choice: Choice) -> std::io::Result<Layout> {
    let mut asked = abi::Format {
        kind: abi::CAPTURE,
        width: choice.width,
        height: choice.height,
        fourcc: choice.code,
        field: abi::PROGRESSIVE,
        ..Default::default()
    };
    device.call(&abi::S_FMT, &mut asked)?;
    if asked.fourcc != choice.code {
        let got = String::from_utf8_lossy(&asked.fourcc).into_owned();
        return Err(std::io::Error::other(format!("the driver set {got} instead")));
    }
    Ok(Layout {
        format: choice.format,
        width: asked.width,
        height: asked.height,
        stride: asked.bytes_per_line,
    })
}

/// Asks for a rate; gives the one that the driver says it took.
fn set_rate(device: &Device, fps: Option<f64>) -> Option<f64> {
    let mut asked = abi::StreamParameters {
        kind: abi::CAPTURE,
        interval: offer::interval(fps?),
        ..Default::default()
    };
    device.call(&abi::S_PARM, &mut asked).ok()?;
    if asked.capability & abi::TIME_PER_FRAME == 0 {
        return None;
    }
    offer::per_second(asked.interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PixelFormat;

    fn stamped(flags: u32, seconds: i64, microseconds: i64) -> Option<Duration> {
        monotonic(&Buffer { flags, seconds, microseconds, ..Default::default() })
    }

    #[test]
    fn only_stamps_of_the_boot_clock_are_believed() {
        let by_boot_clock = buf::TIMESTAMP_MONOTONIC;
        assert_eq!(stamped(by_boot_clock, 12, 345_678), Some(Duration::new(12, 345_678_000)));
        // v4l2loopback copies what its feeder wrote; old drivers leave zeros.
        assert_eq!(stamped(0x4000, 12, 0), None);
        assert_eq!(stamped(by_boot_clock, 0, 0), None);
        assert_eq!(stamped(by_boot_clock, -1, 0), None);
        assert_eq!(stamped(by_boot_clock, 12, 1_000_000), None);
    }

    #[test]
    fn frame_that_the_driver_marks_is_broken() {
        let grey = Layout { format: PixelFormat::Grey, width: 2, height: 1, stride: 2 };
        let buffer = Buffer { flags: buf::ERROR, ..Default::default() };
        assert_eq!(take(grey, &buffer, b"ab").unwrap_err(), "the driver lost a part of it");
        assert_eq!(take(grey, &Buffer::default(), b"ab").unwrap().bytes(), b"ab");
    }

    #[test]
    fn count_goes_past_32_bits_and_may_begin_anew() {
        let mut count = Count::default();
        let got = [u32::MAX - 1, u32::MAX, 1, 5, 0].map(|n| count.widen(n));
        let top = u64::from(u32::MAX);
        assert_eq!(got, [top - 1, top, top + 2, top + 6, 0]);
    }
}
