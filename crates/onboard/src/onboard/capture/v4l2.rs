//! Cameras, through our own thin layer on the ioctls of the kernel's V4L2.
//!
//! In: a `[[camera]]` section. Out: frames with the kernel's time stamp and sequence number, rows
//! packed tightly. Opening finds the camera by its stable name, chooses format, size and rate from
//! what it offers, sets its controls and starts it; each error names the key, the value and the
//! driver's own range. Costs for a frame: one ioctl to take a buffer, one copy, one ioctl to give
//! it back.
//!
//! A lost camera is only reported here; [`super::watch`] opens it again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use super::{CaptureError, FrameSource};
use crate::camera_id::CameraId;
use crate::clock::Clock;
use crate::config::CameraConfig;
use crate::onboard::frame::{Frame, Pixels};

mod abi;
mod controls;
mod device;
mod find;
mod offer;
mod pack;
mod stamp;

pub use controls::{ControlInfo, ControlRange};
pub use find::{CameraInfo, list_cameras};
pub use offer::{FormatOffer, Offer, Rates, SizeOffer, Span};

use abi::{Buffer, buf};
use device::{Device, Stream, Waited};
use offer::{Choice, Misfit};
use pack::Layout;
use stamp::Stamps;

/// A running camera.
pub struct Camera {
    camera: CameraId,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    stream: Stream,
    layout: Layout,
    count: Count,
    stamps: Stamps,
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
            stamps: Stamps::default(),
        })
    }

    fn gone(&self, source: std::io::Error) -> CaptureError {
        CaptureError::Gone { path: self.path.clone(), source }
    }
}

/// Widens the driver's 32-bit sequence number to 64 bits.
#[derive(Debug, Default)]
struct Count(Option<(u32, u64)>);

impl Count {
    fn widen(&mut self, sequence: u32) -> u64 {
        let wide = match self.0 {
            Some((last, wide)) => match sequence.wrapping_sub(last) {
                // A step of less than half the range is forward; anything else means that the count
                // began anew.
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
        let layout = self.layout;
        let taken = taken_within(timeout, &mut self.stream, Stream::wait, |stream| {
            stream.next(|buffer, bytes| (*buffer, take(layout, buffer, bytes)))
        });
        match taken.map_err(|e| self.gone(e))? {
            None => Err(CaptureError::Stalled { camera: self.camera.to_string(), waited: timeout }),
            Some((buffer, pixels)) => {
                let sequence = self.count.widen(buffer.sequence);
                let captured = self.stamps.at(&buffer, &*self.clock, &self.camera);
                let camera = self.camera.clone();
                let bad = |why| CaptureError::BadFrame { camera: camera.to_string(), why };
                let pixels = pixels.map_err(bad)?;
                let captured = captured
                    .ok_or_else(|| bad("it may be from before the machine slept".into()))?;
                Ok(Some(Frame { camera, sequence, captured, pixels }))
            }
        }
    }
}

/// Pause after a driver reported a buffer and then had none: short compared with a frame, long
/// compared with a system call.
const NOT_READY_AFTER_ALL: Duration = Duration::from_millis(5);

/// Waits for a buffer and takes it; `Ok(None)` once the time is over, whatever the driver reports:
/// some report *ready* at once and for ever, and have nothing.
fn taken_within<S, T>(
    timeout: Duration,
    stream: &mut S,
    wait: impl Fn(&S, Duration) -> std::io::Result<Waited>,
    mut take: impl FnMut(&mut S) -> std::io::Result<Option<T>>,
) -> std::io::Result<Option<T>> {
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let waited = wait(stream, left)?;
        if waited == Waited::Nothing {
            return Ok(None);
        }
        if let Some(taken) = take(stream)? {
            return Ok(Some(taken));
        }
        if waited == Waited::Fault {
            return Err(std::io::Error::from_raw_os_error(libc::ENODEV));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(NOT_READY_AFTER_ALL.min(left));
    }
}

/// Copies the frame out of a buffer, unless the driver lost a part of it.
fn take(layout: Layout, buffer: &Buffer, bytes: &[u8]) -> Result<Pixels, String> {
    if buffer.flags & buf::ERROR != 0 {
        return Err("the driver lost a part of it".into());
    }
    layout.pack(bytes)
}

/// The error of a step that only one program can take at a time.
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

/// Requests a rate; returns the one that the driver says it has set.
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

    #[test]
    fn driver_that_is_ready_for_ever_and_has_nothing_is_a_stall() {
        let started = Instant::now();
        let mut asked = 0;
        let taken = taken_within(
            Duration::from_millis(60),
            &mut asked,
            |_, _| Ok(Waited::Ready),
            |asked| {
                *asked += 1;
                Ok(None::<()>)
            },
        );
        assert!(taken.unwrap().is_none());
        let took = started.elapsed();
        assert!((60..5_000).contains(&took.as_millis()), "{took:?}");
        assert!((1..=13).contains(&asked), "asked {asked} times in 60 ms: no busy loop");
    }

    #[test]
    fn frame_that_comes_after_a_false_alarm_is_taken() {
        let mut asked = 0;
        let taken = taken_within(
            Duration::from_secs(60),
            &mut asked,
            |_, _| Ok(Waited::Ready),
            |asked| {
                *asked += 1;
                Ok((*asked == 3).then_some("frame"))
            },
        );
        assert_eq!(taken.unwrap(), Some("frame"));
        // A device at fault without a buffer is lost, not slow.
        let fault = |_: &(), _| Ok(Waited::Fault);
        let gone = taken_within(Duration::from_secs(60), &mut (), fault, |()| Ok(None::<()>));
        assert_eq!(gone.unwrap_err().raw_os_error(), Some(libc::ENODEV));
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
