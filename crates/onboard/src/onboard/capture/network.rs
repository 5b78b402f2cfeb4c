//! Network cameras: an `ffmpeg` of its own for each takes the camera's RTSP stream and decodes it.
//!
//! In: a `[[camera]]` section with `url`. Out: frames, stamped with the moment at which they
//! arrived here; when the picture was taken is not known. What a stranger on the car's network
//! sends is parsed and decoded in a process of its own, which ends with the source, with the
//! thread that opened it, and with the daemon. Costs for a frame: its decoding (in that process),
//! and two copies. Leaves to others: opening a camera again ([`super::watch`]).
//!
//! | file | what |
//! |---|---|
//! | `program` | ffmpeg's arguments, its list of what to open, its start |
//! | `heard` | what ffmpeg says: complaints, and how far it is |
//! | `words` | what a complaint means and what to do about it |
//! | `lag` | whether the pictures fall behind |

use std::io::BufReader;
use std::process::{Child, ChildStdout};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::clip::Pictures as _;
use super::clip::y4m::{Refusal, Y4m};
use super::newest::{Slot, Taken};
use super::{CaptureError, FrameSource};
use crate::camera_id::CameraId;
use crate::clock::{Clock, Sleeps};
use crate::config::{CameraAddress, CameraConfig};
use crate::onboard::frame::Frame;

mod heard;
mod lag;
mod program;
mod words;

use heard::Heard;
use program::Login;

/// Time for the first frame: five seconds for an answer, and then a camera sends a whole picture
/// only every so often; some save room by doing it every four seconds.
const FIRST_FRAME: Duration = Duration::from_secs(12);

/// Time that ffmpeg gets to end by itself once it sends no more pictures.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// A running network camera.
pub struct NetworkCamera {
    camera: CameraId,
    /// Host and port, for messages.
    host: String,
    told: words::Keys,
    frames: Arc<Slot<Frame>>,
    child: Child,
    heard: Heard,
    /// Gives the reason if it was not ffmpeg that ended the stream.
    reader: Option<JoinHandle<Option<String>>>,
}

impl NetworkCamera {
    /// Starts to take the stream of the camera that a section describes. Whether there is one
    /// shows when its first frame is waited for, so that this does not block.
    pub fn open(config: &CameraConfig, clock: Arc<dyn Clock>) -> Result<Self, CaptureError> {
        Self::open_with(config, clock, program::FFMPEG)
    }

    fn open_with(
        config: &CameraConfig,
        clock: Arc<dyn Clock>,
        ffmpeg: &str,
    ) -> Result<Self, CaptureError> {
        let address = config.url.as_deref().and_then(CameraAddress::parse);
        let host = address.map(|address| address.host.to_owned()).unwrap_or_default();
        let refuse = |why| CaptureError::Network {
            camera: config.name.to_string(),
            host: host.clone(),
            why,
        };
        let address = address.ok_or_else(|| refuse("its address is none".into()))?;
        let login = Login::of(config).map_err(refuse)?;
        let list = program::list(address, login.as_ref(), config.transport.unwrap_or_default());
        let program::Started { child, pictures, complaints } =
            program::start(ffmpeg, &list).map_err(refuse)?;
        let mut source = Self {
            camera: config.name.clone(),
            told: words::Keys::of(config),
            frames: Arc::new(Slot::new()),
            child,
            heard: Heard::listen(complaints, login.map(Login::secrets).unwrap_or_default()),
            reader: None,
            host: host.clone(),
        };
        // From here on dropping the source ends ffmpeg.
        let (camera, frames) = (config.name.clone(), source.frames.clone());
        let reader = crate::threads::spawn(&format!("stream-{camera}"), move || {
            let why = read(pictures, &camera, &*clock, &frames);
            frames.close();
            why
        });
        source.reader = Some(reader.map_err(|e| refuse(format!("a thread cannot start: {e}")))?);
        Ok(source)
    }

    fn fault(&self, why: String) -> CaptureError {
        CaptureError::Network { camera: self.camera.to_string(), host: self.host.clone(), why }
    }

    /// Ends ffmpeg and says why there are no more frames.
    fn ended(&mut self) -> String {
        let until = Instant::now() + LAST_WORDS;
        while let Ok(None) = self.child.try_wait()
            && Instant::now() < until
        {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let status = self.child.wait();
        let lines = self.heard.last_lines();
        let own = self.reader.take().and_then(|reader| reader.join().ok()).flatten();
        match own {
            Some(own) if lines.is_empty() => own,
            _ => words::reason(&lines, status.is_ok_and(|s| s.success()), &self.told),
        }
    }
}

/// Hands frames on until there are no more; the reason, where it is not ffmpeg's.
fn read(
    from: ChildStdout,
    camera: &CameraId,
    clock: &dyn Clock,
    frames: &Slot<Frame>,
) -> Option<String> {
    let mut sleeps = Sleeps::default();
    sleeps.since_last(clock);
    let mut video = match Y4m::open(BufReader::with_capacity(256 << 10, from)) {
        Ok(video) => video,
        Err(Refusal::Damaged(_)) => return None,
        Err(Refusal::OtherLayout(layout)) => {
            return Some(format!("ffmpeg gave pictures in layout {layout}"));
        }
    };
    while let Ok(Some((sequence, pixels))) = video.next() {
        let captured = clock.now();
        // What was under way during the sleep was seen before it.
        if sleeps.since_last(clock).is_some() {
            return Some("the machine slept".into());
        }
        frames.put(Frame { camera: camera.clone(), sequence, captured, pixels });
        if frames.is_closed() {
            break;
        }
    }
    None
}

impl FrameSource for NetworkCamera {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        if let Some(behind) = self.heard.behind() {
            return Err(self.fault(words::too_slow(behind)));
        }
        match self.frames.take_for(timeout) {
            Taken::Value(frame) => {
                self.heard.works();
                Ok(Some(frame))
            }
            Taken::Nothing => {
                Err(CaptureError::Stalled { camera: self.camera.to_string(), waited: timeout })
            }
            Taken::Closed => {
                let why = self.ended();
                Err(self.fault(why))
            }
        }
    }

    fn first_frame_within(&self) -> Option<Duration> {
        Some(FIRST_FRAME)
    }
}

impl Drop for NetworkCamera {
    fn drop(&mut self) {
        self.frames.close();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn without_ffmpeg_the_refusal_names_the_camera_and_its_host_but_not_its_path() {
        let config = CameraConfig {
            url: Some("rtsp://roof:8554/user=car&password=hunter2".into()),
            ..CameraConfig::named("roof")
        };
        let told = NetworkCamera::open_with(&config, Arc::new(SystemClock), "no-such-ffmpeg").err();
        assert_eq!(
            told.unwrap().to_string(),
            "camera roof at roof:8554: no-such-ffmpeg, which reads network cameras, is not \
             installed (apt-get install ffmpeg)"
        );
    }
}
