//! What a child process says on its standard error: read by a thread, so that the child never waits for us.
//!
//! In: its lines. Out: the last of them that are complaints. Costs: some forty short lines of memory, whatever is said. A
//! line with a secret in it is not kept. Leaves to others: which lines are complaints, and what they mean.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use zeroize::Zeroizing;

/// How many lines are kept.
const MOST_LINES: usize = 40;

/// How much of a line is kept, in bytes.
const MOST_OF_A_LINE: usize = 400;

/// The last complaints of a child.
pub(super) struct Complaints {
    /// Locked to add a line, or to take or drop all of them.
    kept: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Complaints {
    /// Begins to read, on a thread of this name. A line with one of `secrets` in it is dropped unseen; of the others those
    /// are kept that `is_complaint`.
    pub(super) fn listen(
        thread: &str,
        from: impl Read + Send + 'static,
        secrets: Vec<Zeroizing<String>>,
        mut is_complaint: impl FnMut(&str) -> bool + Send + 'static,
    ) -> Self {
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let shared = kept.clone();
        // A secret that begins within what is kept of a line is looked for to its end.
        let longest = secrets.iter().map(|secret| secret.len()).max().unwrap_or(0);
        let reader = crate::threads::spawn(thread, move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(read_line(&mut from, MOST_OF_A_LINE + longest, &mut line), Ok(true)) {
                let text = String::from_utf8_lossy(&line);
                if secrets.iter().any(|secret| text.contains(secret.as_str())) {
                    continue;
                }
                let text = beginning(&text).trim();
                if !text.is_empty() && is_complaint(text) {
                    add(&mut shared.lock().expect("no holder panics"), text);
                }
            }
        });
        // Without a thread the messages are lost, and the child may wait for us: its end is told without them.
        Self { kept, reader: reader.ok() }
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.kept.lock().expect("no holder panics")
    }

    /// Drops what was said so far.
    pub(super) fn forget(&self) {
        self.kept().clear();
    }

    /// The last lines, once the process has ended.
    pub(super) fn last_lines(&mut self) -> Vec<String> {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        std::mem::take(&mut *self.kept()).into()
    }
}

fn add(kept: &mut VecDeque<String>, line: &str) {
    if kept.len() == MOST_LINES {
        kept.pop_front();
    }
    kept.push_back(line.to_owned());
}

/// What is kept of a line.
fn beginning(line: &str) -> &str {
    let end = (0..=MOST_OF_A_LINE.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    &line[..end.unwrap_or(0)]
}

/// Reads a line to its end, and keeps at most so many bytes of it. Returns whether there was one.
fn read_line(from: &mut impl BufRead, most: usize, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let part = match from.fill_buf() {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if part.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = part.iter().position(|byte| *byte == b'\n');
        let said = &part[..end.unwrap_or(part.len())];
        line.extend_from_slice(&said[..said.len().min(most - line.len())]);
        let used = said.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: &[u8], secrets: &[&str]) -> Vec<String> {
        let secrets = secrets.iter().map(|secret| Zeroizing::new((*secret).to_owned())).collect();
        let said = io::Cursor::new(said.to_vec());
        Complaints::listen("words", said, secrets, |_| true).last_lines()
    }

    #[test]
    fn however_much_is_said_little_is_kept() {
        let mut said = Vec::new();
        for n in 0..10_000 {
            said.extend(format!("  complaint {n}\n\n").into_bytes());
        }
        let lines = heard(&said, &[]);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (40, "complaint 9999"));
        // A line without an end, and one of letters that no cut may go through.
        assert_eq!(heard(&[b'x'; 1 << 20], &[]), ["x".repeat(400)]);
        assert_eq!(heard("x\u{e9}".repeat(1_000).as_bytes(), &[]), ["x\u{e9}".repeat(133) + "x"]);
        assert_eq!(heard(&[0xff; 1_000], &[]), ["\u{fffd}".repeat(133)]);
    }

    #[test]
    fn line_with_a_secret_is_dropped_wherever_the_secret_stands_in_it() {
        let good = b"401 Unauthorized\n";
        for before in 0..450 {
            let blanks = " ".repeat(before / 2);
            let words = "x".repeat(before - before / 2);
            let line = format!("{blanks}{words}hunter2{}\n", "y".repeat(1_000));
            let lines = heard(&[line.as_bytes(), good].concat(), &["hunter2", "longer-than-that"]);
            let told = lines.concat();
            // Of one that stands behind what is kept of its line nothing is kept, not even how it begins.
            assert!((2..8).all(|n| !told.contains(&"hunter2"[..n])), "{before}: {told}");
            assert!(!told.contains('y'), "{before}: {told}");
            assert_eq!(lines.last().unwrap(), "401 Unauthorized");
        }
    }

    #[test]
    fn what_is_no_complaint_is_seen_and_not_kept() {
        let said = io::Cursor::new(b"frame=1\nbad NAL\nframe=2\n");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let saw = seen.clone();
        let mut complaints = Complaints::listen("words", said, Vec::new(), move |line| {
            saw.lock().unwrap().push(line.to_owned());
            !line.starts_with("frame=")
        });
        assert_eq!(complaints.last_lines(), ["bad NAL"]);
        assert_eq!(*seen.lock().unwrap(), ["frame=1", "bad NAL", "frame=2"]);
    }
}
