//! What ffmpeg says while it reads a camera: complaints, and how far it is.
//!
//! In: the lines of its standard error; every half second a report in the form `key=value` is among them. Out: the last
//! complaints, and whether the pictures fall behind. Leaves to others: reading the lines, and keeping the camera's
//! password out of them ([`Complaints`]).

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::super::complaints::Complaints;
use super::lag::Lag;

/// What the keys of a report begin with.
const REPORTED: [&str; 11] = [
    "frame=",
    "fps=",
    "stream_",
    "bitrate=",
    "total_size=",
    "out_time",
    "dup_frames=",
    "drop_frames=",
    "speed=",
    "progress=",
    "Last message repeated",
];

/// What ffmpeg has said so far.
pub(super) struct Heard {
    complaints: Complaints,
    /// Locked to take note of a report, or to look.
    progress: Arc<Mutex<Progress>>,
    /// Whether frames have come: what was complained about before them is of no interest then.
    works: AtomicBool,
}

#[derive(Default)]
struct Progress {
    lag: Lag,
    behind: Option<Duration>,
}

impl Heard {
    /// Begins to read. A line with one of `secrets` in it is dropped.
    pub(super) fn listen(
        from: impl Read + Send + 'static,
        secrets: Vec<Zeroizing<String>>,
    ) -> Self {
        let progress = Arc::new(Mutex::new(Progress::default()));
        let (shared, began) = (progress.clone(), Instant::now());
        let complaints = Complaints::listen("stream-words", from, secrets, move |line| {
            shared.lock().expect("no holder panics").take(line, began.elapsed());
            !REPORTED.iter().any(|key| line.starts_with(key))
        });
        Self { complaints, progress, works: AtomicBool::new(false) }
    }

    /// How far the pictures are behind, if that is too far.
    pub(super) fn behind(&self) -> Option<Duration> {
        self.progress.lock().expect("no holder panics").behind
    }

    /// Takes note that frames come.
    pub(super) fn works(&self) {
        if !self.works.swap(true, Ordering::Relaxed) {
            self.complaints.forget();
        }
    }

    /// The last lines, once the process has ended. Of a stream that worked, only what was said in
    /// the end.
    pub(super) fn last_lines(&mut self) -> Vec<String> {
        self.complaints.last_lines()
    }
}

impl Progress {
    fn take(&mut self, line: &str, at: Duration) {
        if let Some(shown) = line.strip_prefix("out_time_us=") {
            // It is N/A before the first picture.
            if let Ok(shown) = shown.parse() {
                self.behind = self.lag.note(at, Duration::from_micros(shown)).or(self.behind);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_no_complaints_and_a_password_is_not_kept() {
        let said = b"frame=12\nout_time_us=N/A\nout_time_us=5000\nspeed=1x\nprogress=continue\n\
                     Impossible to open 'rtsp://car:hunter2@roof/1'\n401 Unauthorized\n\n";
        let secrets = vec![Zeroizing::new("hunter2".to_owned())];
        let mut heard = Heard::listen(std::io::Cursor::new(said.to_vec()), secrets);
        assert_eq!(heard.last_lines(), ["401 Unauthorized"]);
    }

    #[test]
    fn pictures_that_fall_behind_are_noticed() {
        let mut progress = Progress::default();
        for n in 0..40_u64 {
            progress.take(&format!("out_time_us={}", n * 250_000), Duration::from_millis(n * 500));
        }
        assert!(progress.behind.is_some_and(|behind| behind > Duration::from_secs(1)));
    }
}
