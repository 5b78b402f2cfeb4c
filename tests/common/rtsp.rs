//! A network camera for tests: a real RTSP server with a film of our own. It is stopped, killed and started again like
//! a camera whose power fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Width, height, frames per second, frames.
pub const FILM: (u32, u32, u32, u32) = (320, 240, 10, 900);

/// What each quarter of the film shows as RGB, and what that is as limited-range BT.601: top left, top right, bottom left, bottom right.
pub const QUARTERS: [([u8; 3], [u8; 3]); 4] = [
    ([255, 0, 0], [81, 90, 240]),
    ([0, 255, 0], [145, 54, 34]),
    ([0, 0, 255], [41, 240, 110]),
    ([128, 128, 128], [126, 128, 128]),
];

/// Whether server and ffmpeg are installed; says loudly if not.
pub fn installed() -> bool {
    let server = Command::new("/usr/bin/python3")
        .args(["-c", "import gi; gi.require_version('GstRtspServer', '1.0')"])
        .stderr(Stdio::null())
        .status();
    let here = server.is_ok_and(|status| status.success());
    let ffmpeg = Command::new("ffmpeg").arg("-version").stdout(Stdio::null()).status().is_ok();
    if !here || !ffmpeg {
        super::skipped("network cameras", "ffmpeg or GStreamer's RTSP server is missing");
    }
    here && ffmpeg
}

/// Draws the film and has ffmpeg write it with these arguments: four quarters, with a bar that moves, so that no two
/// frames are alike.
pub fn film(folder: &Path, codec: &[&str]) -> PathBuf {
    let (width, height, rate, frames) = FILM;
    let path = folder.join(format!("{}.mkv", codec[0]));
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"])
        .args(["-s", &format!("{width}x{height}"), "-r", &rate.to_string(), "-i", "-"])
        .args(["-pix_fmt", "yuv420p", "-g", &rate.to_string(), "-bf", "0", "-c:v"])
        .args(codec)
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = ffmpeg.stdin.take().unwrap();
    let mut quarters = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let quarter = usize::from(x >= width / 2) + 2 * usize::from(y >= height / 2);
            quarters.extend(QUARTERS[quarter].0);
        }
    }
    for n in 0..frames {
        let mut frame = quarters.clone();
        let (row, left) = (width as usize * 3, (n % (width / 16)) as usize * 16 * 3);
        for line in frame.chunks_exact_mut(row).take(16) {
            line[left..left + 16 * 3].fill(255);
        }
        to.write_all(&frame).unwrap();
    }
    drop(to);
    assert!(ffmpeg.wait().unwrap().success());
    path
}

/// A free port.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A running server.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts one on a port that is free.
    pub fn start(film: &Path, payloader: &str, login: &[&str]) -> Self {
        // Another program could take the port meanwhile.
        (0..5)
            .find_map(|_| Self::start_at(free_port(), film, payloader, login))
            .expect("the RTSP server starts")
    }

    /// Starts one on this port; `None` if it is taken.
    pub fn start_at(port: u16, film: &Path, payloader: &str, login: &[&str]) -> Option<Self> {
        let mut child = Command::new("/usr/bin/python3")
            .arg("tests/network_camera/server.py")
            .arg(port.to_string())
            .arg(film)
            .arg(payloader)
            .args(login)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let started = Self { child, port };
        (line == "listening\n").then_some(started)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of its film.
    pub fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/stream", self.port)
    }

    /// Makes it hang: it keeps its connections and sends nothing.
    pub fn hang(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
