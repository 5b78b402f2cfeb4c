//! The daemon whole, on scripted cameras: everything else is real.

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Daemon, SeamCamera, Seams};
use crate::alert::Recorder;
use crate::alert::console::PageAddress;
use crate::camera_id::CameraId;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Retention};
use crate::geometry::Rect;
use crate::health::PartState;
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::{Frame, Pixels, Raw};
use crate::onboard::vision::candidate::{
    Candidate, Confidence, Crop, Detection, Sighted, Slot, Slots,
};
use crate::onboard::{FrameReader, ModelStamp};
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

impl FrameReader for Script {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
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
            unread: Vec::new(),
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
        issuer: None,
        legibility: None,
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

/// What the page gets in the first moments after connecting, until the event `wanted` is among it to its end.
fn events(page: &PageAddress, wanted: &str) -> String {
    let (address, cookie) = (page.address, page.cookie());
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\n\r\n").unwrap();
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    let began = Instant::now();
    loop {
        assert!(began.elapsed() < Duration::from_secs(30), "no {wanted:?} within 30 s");
        let n = stream.read(&mut piece).unwrap();
        got.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&got).into_owned();
        if text.find(wanted).is_some_and(|at| text[at..].contains("\n\n")) {
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
    until("the high tone", || recorder.played().first() == Some(&27_840));
    assert_eq!(health.alerted.get(), 1);
    // Nobody has judged it: a page that opens now raises it.
    let page = events(daemon.console().unwrap(), "event: again");
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
fn car_without_a_camera_starts_says_so_and_serves_its_lists() {
    let dir = tempfile::tempdir().unwrap();
    let seams = Seams { annunciator: Some(Box::new(Recorder::default())), ..Seams::default() };
    let daemon = Daemon::start(config(dir.path(), CONSOLE), seams).unwrap();
    let Some(PartState::Down(why)) = daemon.health().state("cameras") else { panic!("not said") };
    assert_eq!(
        why,
        "no camera is configured: add a [[camera]] section and restart; `outrider check` lists what is plugged in"
    );
    // The page tells of the list, and has no camera.
    events(daemon.console().unwrap(), "\"entries\":1");
    let mut heartbeat = super::Heartbeat::default();
    let snapshot = daemon.health().snapshot();
    assert!(heartbeat.step(daemon.clock().awake(), &snapshot).is_ok(), "no thread hangs");
    assert_eq!(
        super::status_line(&daemon.health().shown()).split(';').next().unwrap(),
        "NOT READING: no camera is configured, 0 hits since the start"
    );
    daemon.stop();
}

#[test]
fn car_that_was_never_started_and_is_not_set_up_makes_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let more = "[trust]\nroot = \"/nowhere/root.pub.json\"\n";
    let config = config(dir.path(), more);
    let state = config.keeping.directory.clone();
    let error = refusal(config, Seams::default());
    assert!(error.contains("/nowhere/root.pub.json"), "{error}");
    assert!(!state.exists(), "nothing is made");
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

#[test]
fn state_folder_that_others_can_change_stops_the_start_and_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "");
    let state = config.keeping.directory.clone();
    std::fs::create_dir_all(&state).unwrap();
    std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
    let message = refusal(config, seams(&Recorder::default(), 0));
    assert!(message.contains("keeping.directory cannot be relied on"), "{message}");
    assert!(message.contains("can be changed by others (mode 0777)"), "{message}");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "nothing was put into it");
}

#[test]
fn what_expired_while_the_car_was_off_is_gone_before_the_first_camera_opens() {
    let dir = tempfile::tempdir().unwrap();
    let keeping = |age| {
        let mut config = config(dir.path(), CONSOLE);
        config.keeping.non_hit = Retention::For(age);
        config
    };
    let ring = dir.path().join("state/ring");
    let keys = move || -> Vec<PathBuf> {
        let files = std::fs::read_dir(&ring).into_iter().flatten().map(|e| e.unwrap().path());
        files.filter(|file| file.extension().is_some_and(|e| e == "key")).collect()
    };
    let hour = Duration::from_secs(3_600);
    let daemon = Daemon::start(keeping(hour), seams(&Recorder::default(), u64::MAX)).unwrap();
    until("a read is kept", || daemon.health().ring_written.get() > 0);
    daemon.stop();
    let old = keys();
    assert!(!old.is_empty(), "the control: within its hour it is there");

    // A retention of a second is over when the car starts again.
    std::thread::sleep(Duration::from_millis(1_500));
    let at_opening: Arc<Mutex<Option<Vec<PathBuf>>>> = Arc::default();
    let sink = at_opening.clone();
    let mut seams = seams(&Recorder::default(), u64::MAX);
    let camera = &mut seams.cameras.as_mut().unwrap()[0];
    let there = keys.clone();
    camera.open = Box::new(move || {
        sink.lock().unwrap().get_or_insert_with(&there);
        Ok(Box::new(Camera(0)))
    });
    let daemon = Daemon::start(keeping(Duration::from_secs(1)), seams).unwrap();
    until("the camera opens", || at_opening.lock().unwrap().is_some());
    daemon.stop();
    let left = at_opening.lock().unwrap().take().unwrap();
    assert!(left.iter().all(|key| !old.contains(key)), "{left:?} were there when a camera opened");
}
