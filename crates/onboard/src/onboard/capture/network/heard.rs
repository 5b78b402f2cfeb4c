//! Reads what ffmpeg says on its standard error, so that it never waits for us.
//!
//! In: its lines: complaints, and every half second a report in the form `key=value`. Out: the last
//! complaints, and whether the pictures fall behind. Costs: some forty short lines of memory,
//! whatever is said. A line with the camera's password in it is not kept.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::lag::Lag;

/// How many lines are kept.
const MOST_LINES: usize = 40;

/// How much of a line is kept, in bytes.
const MOST_OF_A_LINE: u64 = 400;

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
    kept: Arc<Mutex<Kept>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<String>,
    lag: Lag,
    behind: Option<Duration>,
    /// Whether frames have come: what was complained about before them is of no interest then.
    works: bool,
}

impl Heard {
    /// Begins to read. A line with one of `secrets` in it is dropped.
    pub(super) fn listen(
        from: impl Read + Send + 'static,
        secrets: Vec<Zeroizing<String>>,
    ) -> Self {
        let kept = Arc::new(Mutex::new(Kept::default()));
        let shared = kept.clone();
        let began = Instant::now();
        let reader = crate::threads::spawn("stream-words", move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            loop {
                line.clear();
                match from.by_ref().take(MOST_OF_A_LINE).read_until(b'\n', &mut line) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
                let text = String::from_utf8_lossy(&line);
                let text = text.trim();
                if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                    continue;
                }
                shared.lock().expect("no holder panics").take(text, began.elapsed());
            }
        });
        // Without a thread ffmpeg could wait for us; then no frame comes, and it is opened again.
        Self { kept, reader: reader.ok() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }

    /// How far the pictures are behind, if that is too far.
    pub(super) fn behind(&self) -> Option<Duration> {
        self.kept().behind
    }

    /// Takes note that frames come.
    pub(super) fn works(&self) {
        let mut kept = self.kept();
        if !kept.works {
            kept.works = true;
            kept.lines.clear();
        }
    }

    /// The last lines, once the process has ended. Of a stream that worked, only what was said in
    /// the end.
    pub(super) fn last_lines(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut self.kept().lines).into()
    }
}

impl Kept {
    fn take(&mut self, line: &str, at: Duration) {
        if let Some(shown) = line.strip_prefix("out_time_us=") {
            // It is N/A before the first picture.
            if let Ok(shown) = shown.parse() {
                self.behind = self.lag.note(at, Duration::from_micros(shown)).or(self.behind);
            }
        }
        if line.is_empty() || REPORTED.iter().any(|key| line.starts_with(key)) {
            return;
        }
        if self.lines.len() == MOST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &[u8], secrets: &[&str]) -> Vec<String> {
        let secrets = secrets.iter().map(|secret| Zeroizing::new((*secret).to_owned())).collect();
        Heard::listen(std::io::Cursor::new(said.to_vec()), secrets).last_lines()
    }

    #[test]
    fn reports_are_no_complaints_and_a_password_is_not_kept() {
        let said = b"frame=12\nout_time_us=N/A\nout_time_us=5000\nspeed=1x\nprogress=continue\n\
                     Impossible to open 'rtsp://car:hunter2@roof/1'\n401 Unauthorized\n\n";
        assert_eq!(heard(said, &["hunter2"]), ["401 Unauthorized"]);
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let mut said = Vec::new();
        for n in 0..10_000 {
            said.extend(format!("complaint {n}\n").into_bytes());
        }
        let lines = heard(&said, &[]);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (40, "complaint 9999"));
        let lines = heard(&[b'x'; 1 << 20], &[]);
        assert_eq!(lines.len(), 40);
        assert!(lines.iter().all(|line| line.len() <= 400));
    }

    #[test]
    fn pictures_that_fall_behind_are_noticed() {
        let mut kept = Kept::default();
        for n in 0..40_u64 {
            kept.take(&format!("out_time_us={}", n * 250_000), Duration::from_millis(n * 500));
        }
        assert!(kept.behind.is_some_and(|behind| behind > Duration::from_secs(1)));
    }
}
