//! All other recordings, through an installed `ffmpeg`: it decodes in a process of its own and
//! outputs plain Y4M, so that a damaged film cannot crash the daemon.
//!
//! ffmpeg gets the film as a file name only (`file:` keeps it from taking the name for an address),
//! and its standard input is closed. It converts frames to limited-range 4:2:0, which loses nothing
//! that plates need.

use std::io::{self, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::super::complaints::Complaints;
use super::y4m::{Refusal, Y4m};
use super::{Flaw, Pictures};
use crate::onboard::frame::Pixels;

/// The name under which ffmpeg is searched for in the path.
pub(super) const PROGRAM: &str = "ffmpeg";

/// A film being decoded by ffmpeg.
pub(super) struct Film {
    child: Child,
    complaints: Complaints,
    video: Y4m<BufReader<ChildStdout>>,
    over: bool,
}

/// Starts ffmpeg on a film and waits for its first output. `what` describes the film for messages.
pub(super) fn open(path: &Path, what: &str, program: &str) -> Result<Film, String> {
    let mut url = std::ffi::OsString::from("file:");
    url.push(path);
    let started = Command::new(program)
        .args(["-nostdin", "-hide_banner", "-v", "error", "-i"])
        .arg(url)
        .args(["-map", "0:v:0", "-an", "-sn"])
        .args(["-vf", "scale=out_range=tv,format=yuv420p", "-f", "yuv4mpegpipe", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(format!(
                "{what}: {program}, which reads those, is not installed (apt-get install ffmpeg)"
            ));
        }
        Err(e) => return Err(format!("{program} cannot be started: {e}")),
    };
    let stdout = child.stdout.take().expect("its output was asked for");
    let stderr = child.stderr.take().expect("its errors were asked for");
    let complaints = Complaints::listen("clip-complaints", stderr, Vec::new(), |_| true);
    match Y4m::open(BufReader::with_capacity(256 << 10, stdout)) {
        Ok(video) => Ok(Film { child, complaints, video, over: false }),
        Err(refusal) => {
            let why = stop(child, complaints);
            let own = match refusal {
                Refusal::Damaged(why) => why,
                Refusal::OtherLayout(layout) => format!("{program} gave the layout {layout}"),
            };
            Err(match why {
                Some(why) => format!("{program} cannot read it: {why}"),
                None => format!("{program} gave no video: {own}"),
            })
        }
    }
}

fn stop(mut child: Child, mut complaints: Complaints) -> Option<String> {
    let _ = child.kill();
    let _ = child.wait();
    complaints.last_lines().pop()
}

impl Pictures for Film {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        if self.over {
            return Ok(None);
        }
        let next = self.video.next();
        if matches!(next, Ok(Some(_))) {
            return next;
        }
        self.over = true;
        // The output has ended, and ffmpeg ends by itself. If it is not understood, nobody reads the rest of it, and ffmpeg
        // would wait for us.
        if next.is_err() {
            let _ = self.child.kill();
        }
        let ended = self.child.wait()?;
        match self.complaints.last_lines().pop() {
            Some(why) => Err(Flaw::new(format!("ffmpeg: {why}"))),
            None if next.is_ok() && !ended.success() => {
                Err(Flaw::new(format!("ffmpeg ended early ({ended})")))
            }
            None => next,
        }
    }

    fn rate(&self) -> Option<f64> {
        self.video.rate()
    }
}

impl Drop for Film {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A program in place of ffmpeg.
    fn script(folder: &Path, body: &str) -> String {
        let path = folder.join("ffmpeg");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn film(body: &str) -> Result<Film, String> {
        let folder = tempfile::tempdir().unwrap();
        let program = script(folder.path(), body);
        open(Path::new("drive.mp4"), "a film", &program).map_err(|e| e.replace(&program, "ffmpeg"))
    }

    #[test]
    fn without_ffmpeg_the_message_says_what_to_install() {
        let told = open(Path::new("drive.avi"), "an AVI file with H264 video", "no-such-ffmpeg");
        assert_eq!(
            told.err().unwrap(),
            "an AVI file with H264 video: no-such-ffmpeg, which reads those, is not installed \
             (apt-get install ffmpeg)"
        );
    }

    #[test]
    fn frames_come_through_and_the_end_is_clean() {
        let body = r"printf 'YUV4MPEG2 W2 H2 F25:1\nFRAME\n123456FRAME\nabcdef'";
        let mut film = film(body).unwrap();
        assert_eq!(film.rate(), Some(25.0));
        let frames: Vec<_> = std::iter::from_fn(|| film.next().unwrap()).collect();
        assert_eq!(frames.len(), 2);
    }

    #[test]
    fn what_ffmpeg_complains_about_is_passed_on() {
        let told = film("echo 'moov atom not found' >&2; exit 1").err().unwrap();
        assert_eq!(told, "ffmpeg cannot read it: moov atom not found");
        let mut film =
            film(r"printf 'YUV4MPEG2 W2 H2 F25:1\nFRAME\n123456'; echo 'bad NAL' >&2; exit 1")
                .unwrap();
        assert!(matches!(film.next(), Ok(Some(_))));
        assert!(matches!(film.next(), Err(Flaw { why, .. }) if why == "ffmpeg: bad NAL"));
        assert!(matches!(film.next(), Ok(None)));
    }

    #[test]
    fn however_much_ffmpeg_has_said_before_its_last_word_names_the_cause() {
        let told = film("yes 'bad NAL' | head -n 2000 >&2; echo 'disk went away' >&2; exit 1");
        assert_eq!(told.err().unwrap(), "ffmpeg cannot read it: disk went away");
    }

    #[test]
    fn output_that_is_not_understood_ends_the_film_and_ffmpeg_with_it() {
        let began = std::time::Instant::now();
        let body = r"printf 'YUV4MPEG2 W2 H2 F25:1\nFRAME\n123456FRAMX\nabcdef'; exec sleep 60";
        let mut film = film(body).unwrap();
        assert!(matches!(film.next(), Ok(Some(_))));
        let Err(Flaw { why, .. }) = film.next() else { panic!("it was understood") };
        assert!(why.starts_with("damaged after frame 1"), "{why}");
        assert!(matches!(film.next(), Ok(None)));
        assert!(began.elapsed().as_secs() < 30, "it was waited for");
    }

    #[test]
    fn ffmpeg_that_never_ends_is_stopped_with_its_film() {
        let film = film(r"printf 'YUV4MPEG2 W2 H2 F25:1\nFRAME\n123456'; exec sleep 600").unwrap();
        let id = film.child.id();
        drop(film);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
