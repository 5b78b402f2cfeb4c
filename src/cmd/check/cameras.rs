//! Checks the cameras: each is opened as the daemon opens it, and its first frames are
//! decoded. A camera that sends frames of which none can be decoded fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Finding, Level};
use crate::clock::{Clock, SystemClock};
use crate::config::{CameraConfig, Config};
use crate::onboard::capture::{self, CaptureError, FrameSource};
use crate::onboard::frame::Pixels;
use crate::onboard::vision::Picture;

/// Time for a camera's first frame; USB cameras take up to two seconds.
const FIRST_FRAME: Duration = Duration::from_secs(4);

/// Number of frames that are decoded: enough to distinguish a bad cable from a bad frame.
const FRAMES: u32 = 10;

/// What to do about a network camera.
const NETWORK: &str = "correct its [[camera]] section; see that the camera has power, and that this computer reaches it";

/// Checks each configured camera.
pub(super) fn all(config: &Config, findings: &mut Vec<Finding>) {
    if config.camera.is_empty() {
        let (plugged, _) = capture::list_cameras();
        let names: Vec<_> =
            plugged.iter().map(|c| format!("{} ({})", c.stable_name().display(), c.card)).collect();
        let fact = match names.as_slice() {
            [] => "none is configured, and none is plugged in".to_owned(),
            names => format!("none is configured; plugged in: {}", names.join(", ")),
        };
        findings.push(Finding::fail("cameras", fact, "add a [[camera]] section for each"));
    }
    findings.extend(config.camera.iter().map(camera));
}

fn camera(config: &CameraConfig) -> Finding {
    let part = format!("camera {}", config.name);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    match capture::open(config, clock) {
        Ok(mut source) => match (&config.recording, frames(&part, &mut *source)) {
            (Some(recording), found) if found.level == Level::Ok => Finding::warn(
                &part,
                format!("a recording: {}, {}", recording.display(), found.fact),
                "set camera.device in place of camera.recording before duty",
            ),
            (_, found) => found,
        },
        Err(e) if config.url.is_some() => Finding::fail(&part, e, NETWORK),
        Err(e) => Finding::fail(
            &part,
            e,
            "plug it in, or correct its [[camera]] section; a running daemon has the camera open, so stop it first",
        ),
    }
}

/// Decodes a camera's first frames as the daemon would.
fn frames(part: &str, source: &mut dyn FrameSource) -> Finding {
    let start = Instant::now();
    let first = source.first_frame_within().unwrap_or(FIRST_FRAME);
    let mut picture = Picture::default();
    let (mut good, mut bad) = (None, None);
    let (mut came, mut unread) = (0, 0);
    while came < FRAMES {
        let left = first.saturating_sub(start.elapsed());
        let why = match source.next_frame(left) {
            Ok(Some(frame)) => match picture.refill(&frame.pixels) {
                Ok(()) => {
                    good.get_or_insert_with(|| {
                        let (width, height) = picture.size();
                        let took = start.elapsed().as_millis();
                        let kind = match &frame.pixels {
                            Pixels::Mjpeg(_) => format!("{width}x{height} mjpeg"),
                            other => format!("{other:?}"),
                        };
                        format!("{kind}, first frame after {took} ms")
                    });
                    came += 1;
                    continue;
                }
                Err(e) => e.to_string(),
            },
            Ok(None) if came == 0 => {
                return Finding::fail(
                    part,
                    "opened, but it is at its end",
                    "check which file or device camera.device names",
                );
            }
            Ok(None) => break,
            Err(CaptureError::BadFrame { why, .. }) => why,
            // A slow camera need not send all of them.
            Err(CaptureError::Stalled { .. }) if came > 0 => break,
            Err(e @ CaptureError::Network { .. }) => return Finding::fail(part, e, NETWORK),
            Err(e) => {
                return Finding::fail(part, e, "try another cable or port, or a lower resolution");
            }
        };
        (came, unread) = (came + 1, unread + 1);
        bad = Some(why);
    }
    match (good, bad) {
        (Some(good), None) => Finding::ok(part, good),
        (Some(good), Some(why)) => Finding::warn(
            part,
            format!("{good}; {unread} of {came} frames cannot be read: {why}"),
            "try another cable or port; the frames in between are read",
        ),
        (None, why) => Finding::fail(
            part,
            format!("{came} frames came and none can be read: {}", why.unwrap_or_default()),
            "try another cable, another port, another format or a lower resolution",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera_id::CameraId;
    use crate::cmd::check::Level;
    use crate::onboard::capture::{ClipOptions, Pace, open_path};
    use crate::onboard::vision::jpeg::encode_rgb;

    /// What the check finds of a camera that sends these frames.
    fn of(frames_sent: &[&[u8]]) -> Finding {
        let folder = tempfile::tempdir().unwrap();
        for (n, frame) in frames_sent.iter().enumerate() {
            std::fs::write(folder.path().join(format!("{n}.jpg")), frame).unwrap();
        }
        let options = ClipOptions { pace: Pace::AsFastAsRead, ..ClipOptions::default() };
        let id = CameraId::new("front");
        let mut source = open_path(folder.path(), id, Arc::new(SystemClock), options).unwrap();
        frames("camera front", &mut *source)
    }

    #[test]
    fn camera_of_whose_frames_none_can_be_read_is_not_ok() {
        let good = encode_rgb(&[128; 64 * 48 * 3], 64, 48, 80).unwrap();
        let cut = &good[..good.len() / 2 + 200];
        let found = of(&[&good, &good]);
        assert_eq!(found.level, Level::Ok, "{}", found.fact);
        assert!(found.fact.starts_with("64x48 mjpeg, first frame after"), "{}", found.fact);
        let found = of(&[cut, cut, cut]);
        assert_eq!(found.level, Level::Fail, "{}", found.fact);
        assert!(found.fact.starts_with("3 frames came and none can be read: "), "{}", found.fact);
        let found = of(&[&good, cut, &good]);
        assert_eq!(found.level, Level::Warn);
        assert!(found.fact.contains("; 1 of 3 frames cannot be read: "), "{}", found.fact);
    }
}
