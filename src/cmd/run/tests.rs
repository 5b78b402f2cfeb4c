//! The daemon whole, on scripted cameras: everything else is real.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Daemon, SeamCamera, Seams};
use crate::alert::Recorder;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::geometry::Rect;
use crate::health::PartState;
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::{CameraId, Frame, Pixels, Raw};
use crate::onboard::vision::candidate::{
    Candidate, Confidence, Crop, Detection, Sighted, Slot, Slots,
};
use crate::onboard::{Look, ModelStamp};
use crate::plate::symbol_index;

/// A camera of 100 frames a second that sees nothing by itself.
struct Camera(u64);

impl FrameSource for Camera {
    fn next_frame(&mut self, _timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        std::thread::sleep(Duration::from_millis(10));
        self.0 += 1;
        Ok(Some(Frame {
            camera: CameraId::new("front"),
            sequence: self.0,
            captured: SystemClock.now(),
            pixels: Pixels::Grey(Raw { width: 2, height: 2, bytes: vec![0; 4] }),
        }))
    }
}

/// Sees CKSV841 in frames 5 to 24 and NOTHING in frames 30 to 49; from frame `hangs` on, never
/// comes back.
struct Script {
    hangs: u64,
}

impl Look for Script {
    fn look(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        if frame.sequence >= self.hangs {
            loop {
                std::thread::park();
            }
        }
        let candidates = match frame.sequence {
            n @ 5..25 => vec![plate("CKSV841", n - 5)],
            n @ 30..50 => vec![plate("NOTHING", n - 30)],
            _ => vec![],
        };
        Ok(Sighted {
            camera: frame.camera.clone(),
            sequence: frame.sequence,
            captured: frame.captured,
            size: (1920, 1080),
            candidates,
        })
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        Arc::default()
    }
}

fn plate(text: &str, step: u64) -> Candidate {
    let slots: Slots = text
        .bytes()
        .map(|c| {
            let mut slot = Slot([0.0; 36]);
            slot.0[usize::from(symbol_index(c))] = 0.99;
            slot
        })
        .collect();
    Candidate {
        detection: Detection {
            bbox: Rect { x: 600.0 + 5.0 * step as f32, y: 500.0, w: 140.0, h: 70.0 },
            corners: None,
            score: Confidence::new(0.95),
        },
        slots,
        crop: Crop { width: 32, height: 16, rgb: vec![127; 32 * 16 * 3] },
    }
}

fn config(dir: &Path, more: &str) -> Config {
    std::fs::write(
        dir.join("stolen.csv"),
        "plate,category,priority\nCKSV841,stolen_vehicle,high\n",
    )
    .unwrap();
    let dir = dir.display();
    let text = format!(
        "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
         [keeping]\ndirectory = \"{dir}/state\"\n\
         [[hotlist]]\nname = \"stolen\"\npath = \"{dir}/stolen.csv\"\n{more}"
    );
    Config::parse(&text, Path::new("test.toml")).unwrap_or_else(|e| panic!("{e}"))
}

const CONSOLE: &str = "[console]\nlisten = \"127.0.0.1:0\"\n";

fn seams(recorder: &Recorder, hangs: u64) -> Seams {
    Seams {
        cameras: Some(vec![SeamCamera {
            id: CameraId::new("front"),
            open: Box::new(|| Ok(Box::new(Camera(0)))),
            reader: Some(Box::new(Script { hangs })),
        }]),
        annunciator: Some(Box::new(recorder.clone())),
        ..Seams::default()
    }
}

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What the page gets in the first moments after connecting, until `wanted` is among it.
fn events(address: SocketAddr, wanted: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece).unwrap();
        got.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&got).into_owned();
        if text.contains(wanted) {
            return text;
        }
        assert!(n > 0, "the stream ended without {wanted:?}: {text}");
    }
}

#[test]
fn hit_is_told_recorded_and_still_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let recorder = Recorder::default();
    let daemon = Daemon::start(config(dir.path(), CONSOLE), seams(&recorder, u64::MAX)).unwrap();
    let health = daemon.health().clone();
    until("both vehicles", || health.hits.get() == 1 && health.non_hits.get() == 1);
    until("the hit on the disk", || health.recorded.get() == 1);
    until("the high tone", || recorder.played() == [57_600]);
    assert_eq!(health.alerted.get(), 1);
    let page = events(daemon.console().unwrap(), "event: earlier");
    assert!(page.contains("stolen_vehicle") && page.contains("\"kept\":\"not kept\""), "{page}");
    assert!(!page.contains("NOTHING"), "a plate on no list is on the page: {page}");
    let last = daemon.stop();
    assert_eq!((last.hits, last.recorded, last.delivered), (1, 1, 0));

    let daemon = Daemon::start(config(dir.path(), CONSOLE), seams(&recorder, 1)).unwrap();
    let page = events(daemon.console().unwrap(), "event: earlier");
    assert!(page.contains("stolen_vehicle") && page.contains("\"plate_px\":32"), "{page}");
    daemon.stop();
}

#[test]
fn stopping_ends_although_a_model_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let daemon =
        Daemon::start(config(dir.path(), CONSOLE), seams(&Recorder::default(), 20)).unwrap();
    let health = daemon.health().clone();
    until("the hang", || health.frames_looked_at() >= 15);
    let start = Instant::now();
    daemon.stop();
    assert!(start.elapsed() < super::DEADLINE, "{:?}", start.elapsed());
}

#[test]
fn missing_loudspeaker_does_not_stop_the_daemon_and_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(
        dir.path(),
        "[console]\nenabled = false\n[alert]\ndevice = \"plughw:CARD=Nowhere,DEV=0\"\n",
    );
    let seams = Seams { annunciator: None, ..seams(&Recorder::default(), u64::MAX) };
    let daemon = Daemon::start(config, seams).unwrap();
    let health = daemon.health().clone();
    until(
        "the missing device in health",
        || matches!(health.state("sound"), Some(PartState::Down(why)) if why.contains("plughw:CARD=Nowhere")),
    );
    until("the hit on the disk", || health.recorded.get() == 1);
    assert_eq!(daemon.console(), None);
    daemon.stop();
}

fn refusal(config: Config, seams: Seams) -> String {
    match Daemon::start(config, seams) {
        Ok(_) => panic!("the daemon started"),
        Err(e) => crate::cmd::one_line(&e),
    }
}

#[test]
fn console_port_taken_is_one_line_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap();
    let config = config(dir.path(), &format!("[console]\nlisten = \"{at}\"\n"));
    let error = refusal(config, seams(&Recorder::default(), u64::MAX));
    assert_eq!(
        error,
        format!(
            "console.listen = \"{at}\": Address already in use (os error 98): choose another port, \
             or stop the program that `ss -ltnp 'sport = :{}'` shows",
            at.port()
        )
    );
}

#[test]
fn car_without_a_camera_is_told_what_to_add() {
    let dir = tempfile::tempdir().unwrap();
    let error = refusal(config(dir.path(), CONSOLE), Seams::default());
    assert_eq!(
        error,
        "no camera is configured: add a [[camera]] section; `outrider check` lists what is plugged in"
    );
}

#[test]
fn hotlist_changed_while_running_serves_after_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let daemon =
        Daemon::start(config(dir.path(), CONSOLE), seams(&Recorder::default(), u64::MAX)).unwrap();
    let address = daemon.console().unwrap();
    events(address, "\"entries\":1");
    std::fs::write(dir.path().join("stolen.csv"), "plate\nAAA111\nBBB222\nCCC333\n").unwrap();
    daemon.reload_hotlists();
    events(address, "\"entries\":3");
    daemon.stop();
}
