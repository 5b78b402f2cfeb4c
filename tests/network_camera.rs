//! Network cameras, against a real RTSP server: what comes of their frames, how they break off and come back, what is
//! told of a wrong setting, and that nobody gets to see the password.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::rtsp::{self, FILM, QUARTERS, Server};
use common::{skipped, until, within};
use outrider::camera_id::CameraId;
use outrider::clock::SystemClock;
use outrider::config::{CameraConfig, Transport};
use outrider::health::{Health, PartState};
use outrider::onboard::capture::newest::{Slot, Taken};
use outrider::onboard::capture::{self, Capture};
use outrider::onboard::frame::{Frame, Pixels};

/// A password with everything that means something in an address, a list or a shell.
const PASSWORD: &str = "p@:/ 'ss%#?";
/// The same as it stands in an address.
const ENCODED: &str = "p%40%3A%2F%20%27ss%25%23%3F";

const H264: &[&str] = &["libx264", "-preset", "ultrafast"];

fn camera(url: String) -> CameraConfig {
    CameraConfig { url: Some(url), ..CameraConfig::named("roof") }
}

/// A file with a password in it that is ours alone.
fn password_file(folder: &Path, name: &str, password: &str) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, format!("{password}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

/// The first frames of a camera.
fn frames(config: &CameraConfig, number: usize) -> Vec<Frame> {
    let mut source = capture::open(config, Arc::new(SystemClock)).unwrap();
    let limit = source.first_frame_within().unwrap();
    (0..number).map(|_| source.next_frame(limit).unwrap().unwrap()).collect()
}

/// Luma and chroma in the middle of each quarter.
fn quarters(frame: &Frame) -> [[u8; 3]; 4] {
    let Pixels::Nv12(raw) = &frame.pixels else { panic!("{:?}", frame.pixels) };
    assert_eq!((raw.width, raw.height), (FILM.0, FILM.1));
    let (width, height) = (raw.width as usize, raw.height as usize);
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| {
        let (x, y) = (width * x / 4, height * y / 4);
        let chroma = width * height + y / 2 * width + x / 2 * 2;
        [raw.bytes[y * width + x], raw.bytes[chroma], raw.bytes[chroma + 1]]
    })
}

#[test]
fn frames_of_a_network_camera_come_in_its_size_and_its_colours() {
    if !rtsp::installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let hevc: &[&str] = &["libx265", "-preset", "ultrafast", "-x265-params", "log-level=error"];
    let mjpeg: &[&str] = &["mjpeg", "-huffman", "default", "-q:v", "2", "-pix_fmt", "yuvj420p"];
    for (codec, payloader, transports) in [
        (H264, "rtph264pay", &[Transport::Tcp, Transport::Udp][..]),
        (hevc, "rtph265pay", &[Transport::Tcp]),
        (mjpeg, "rtpjpegpay", &[Transport::Tcp]),
    ] {
        let film = rtsp::film(dir.path(), codec);
        let server = Server::start(&film, payloader, &[]);
        for transport in transports {
            let config = CameraConfig { transport: Some(*transport), ..camera(server.url()) };
            let what = format!("{} over {transport}", codec[0]);
            let came = frames(&config, 12);
            for frame in &came {
                for (seen, (_, drawn)) in quarters(frame).iter().zip(QUARTERS) {
                    let near = seen.iter().zip(drawn).all(|(a, b)| a.abs_diff(b) <= 6);
                    assert!(near, "{what}: {seen:?} where {drawn:?} was drawn");
                }
            }
            let stamps: Vec<_> = came.iter().map(|frame| frame.captured).collect();
            assert!(stamps.is_sorted() && came.is_sorted_by_key(|f| f.sequence), "{what}");
            // What ffmpeg had taken to find out about the stream comes at once, the rest as it is sent.
            let took = stamps[11].monotonic - stamps[0].monotonic;
            assert!(took < Duration::from_secs(3), "{what}: 12 frames took {took:?}");
        }
    }
}

/// The capture loop of one camera, as the daemon runs it.
struct Loop {
    slot: Arc<Slot<Frame>>,
    health: Arc<Health>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Loop {
    fn start(config: CameraConfig) -> Self {
        let (slot, health) = (Arc::new(Slot::new()), Arc::new(Health::default()));
        let clock = Arc::new(SystemClock);
        let open = capture::opener(config.clone(), clock.clone());
        let capture = Capture::new(config.name, open, slot.clone(), clock, health.clone());
        let thread = Some(std::thread::spawn(move || capture.run()));
        Self { slot, health, thread }
    }

    fn works(&self) -> bool {
        self.health.state("camera/roof") == Some(PartState::Working)
    }

    /// What is said while it does not work.
    fn down(&self) -> Option<String> {
        match self.health.state("camera/roof") {
            Some(PartState::Down(why)) => Some(why),
            _ => None,
        }
    }

    fn frame(&self) -> Option<Frame> {
        match self.slot.take_for(Duration::from_secs(2)) {
            Taken::Value(frame) => Some(frame),
            _ => None,
        }
    }

    fn interruptions(&self) -> u64 {
        self.health.camera(&CameraId::new("roof")).interruptions.get()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.slot.close();
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Until this time after its last frame a camera that sends none must be told of.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

#[test]
fn network_camera_that_hangs_or_loses_its_power_is_told_within_two_seconds_and_comes_back() {
    if !rtsp::installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = rtsp::film(dir.path(), H264);
    let server = Server::start(&film, "rtph264pay", &[]);
    let port = server.port();
    let camera = Loop::start(camera(server.url()));
    until("it works", || camera.works());
    let before = camera.frame().unwrap();

    server.hang();
    within(TOLD_WITHIN, "the hanging camera is told", || camera.down().is_some());
    assert!(camera.down().unwrap().starts_with("no frame for 1."), "{:?}", camera.down());
    server.go_on();
    until("it comes back by itself", || camera.works());

    drop(server);
    within(TOLD_WITHIN, "the dead camera is told", || camera.down().is_some());
    let refused = format!("camera roof at 127.0.0.1:{port}: the connection is refused: ");
    until("it is said why", || camera.down().is_some_and(|why| why.starts_with(&refused)));
    std::thread::sleep(Duration::from_secs(3));
    assert!(camera.frame().is_none_or(|_| camera.frame().is_none()), "there is no camera");
    let server = Server::start_at(port, &film, "rtph264pay", &[]).expect("its port is free again");
    until("it comes back by itself", || camera.works());
    let after = camera.frame().unwrap();
    assert!(after.sequence > before.sequence && after.captured > before.captured);
    assert_eq!(camera.interruptions(), 2);

    // Closing does not wait for the camera, whether it sends or hangs.
    server.hang();
    let closing = Instant::now();
    drop(camera);
    assert!(closing.elapsed() < Duration::from_secs(1), "{:?}", closing.elapsed());
}

/// A car with these cameras, for the built program.
fn car(folder: &Path, cameras: &str) -> PathBuf {
    let (at, path) = (folder.display(), folder.join("outrider.toml"));
    std::fs::write(folder.join("stolen.csv"), "plate\nZKHIT01\n").unwrap();
    let config = format!(
        "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
         [keeping]\ndirectory = \"{at}/state\"\ndisk_reserve = \"0B\"\n\
         [console]\nlisten = \"127.0.0.1:0\"\n\
         [[hotlist]]\nname = \"stolen\"\npath = \"{at}/stolen.csv\"\n{cameras}"
    );
    std::fs::write(&path, config).unwrap();
    path
}

fn outrider(config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrider"));
    command.args(args).arg("--config").arg(config).stdin(Stdio::null());
    command
}

/// Everything that the program says.
fn says(config: &Path, args: &[&str]) -> String {
    let output = outrider(config, args).output().unwrap();
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[track_caller]
fn has_no_password(what: &str, text: &str) {
    for secret in [PASSWORD, ENCODED] {
        assert!(!text.contains(secret), "the password is in {what}: {text}");
    }
}

#[test]
fn check_says_what_is_wrong_with_a_network_camera_and_never_its_password() {
    if !rtsp::installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = rtsp::film(dir.path(), H264);
    let vp8 = rtsp::film(dir.path(), &["libvpx", "-deadline", "realtime", "-cpu-used", "16"]);
    let digest = Server::start(&film, "rtph264pay", &["car 1", PASSWORD, "digest"]);
    let basic = Server::start(&film, "rtph264pay", &["car 1", PASSWORD, "basic"]);
    let foreign = Server::start(&vp8, "rtpvp8pay", &[]);
    let right = password_file(dir.path(), "right", PASSWORD);
    let wrong = password_file(dir.path(), "wrong", &format!("{PASSWORD}x"));
    let open = password_file(dir.path(), "open", PASSWORD);
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let dead = format!("rtsp://127.0.0.1:{}/stream", rtsp::free_port());
    let login = |file: &Path| format!("username = \"car 1\"\npassword_file = {file:?}\n");
    let cases = [
        ("digest", digest.url(), login(&right), "ok", "Nv12(320x240"),
        ("basic", basic.url(), login(&right), "ok", "Nv12(320x240"),
        (
            "wrong",
            format!("{}?1", digest.url()),
            login(&wrong),
            "FAIL",
            "wrong user name or password: correct camera.wrong.username",
        ),
        (
            "wrong-basic",
            format!("{}?1", basic.url()),
            login(&wrong),
            "FAIL",
            "wrong user name or password: correct camera.wrong-basic.username",
        ),
        (
            "nobody",
            format!("{}?2", digest.url()),
            String::new(),
            "FAIL",
            "it wants a user name and a password",
        ),
        (
            "path",
            format!("{}ing", foreign.url()),
            String::new(),
            "FAIL",
            "it has no stream of that name: correct the path in camera.path.url",
        ),
        ("codec", foreign.url(), String::new(), "FAIL", "none of H.264, H.265 and MJPEG"),
        ("dead", dead, String::new(), "FAIL", "the connection is refused"),
        (
            "open",
            format!("{}?3", digest.url()),
            login(&open),
            "FAIL",
            "can be read by others (mode 0644)",
        ),
    ];
    let mut cameras = String::new();
    for (name, url, login, ..) in &cases {
        writeln!(cameras, "[[camera]]\nname = \"{name}\"\nurl = \"{url}\"\n{login}").unwrap();
    }
    let config = car(dir.path(), &cameras);
    let told = says(&config, &["check"]);
    for (name, _, _, level, fact) in cases {
        let line =
            told.lines().find(|l| l.contains(&format!("camera {name} "))).unwrap_or_default();
        assert!(line.starts_with(level) && line.contains(fact), "{name}, {fact}: {told}");
    }
    has_no_password("check", &told);
    has_no_password("check --json", &says(&config, &["check", "--json"]));
    // A car without ffmpeg: there is nothing on its search path.
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let told = outrider(&config, &["check"]).env("PATH", &bin).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let line = told.lines().find(|line| line.contains("camera digest ")).unwrap();
    assert!(
        line.starts_with("FAIL")
            && line.contains(
                "ffmpeg, which reads network cameras, is not installed (apt-get install ffmpeg)"
            ),
        "{told}"
    );
}

/// Ends the daemon if a test fails.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{of}/task")).into_iter().flatten().flatten();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|text| text.split_whitespace().map(|n| n.parse().unwrap()).collect::<Vec<_>>())
        .collect()
}

/// What everybody, or the same user, can read of a process.
fn shown_of(process: u32) -> String {
    ["cmdline", "comm", "environ"]
        .map(|name| std::fs::read(format!("/proc/{process}/{name}")).unwrap_or_default())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat()
}

#[test]
fn daemon_reads_a_network_camera_keeps_its_password_to_itself_and_takes_ffmpeg_with_it() {
    if !rtsp::installed() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let film = rtsp::film(dir.path(), H264);
    let server = Server::start(&film, "rtph264pay", &["car 1", PASSWORD, "basic"]);
    let port = server.port();
    let file = password_file(dir.path(), "roof.password", PASSWORD);
    let cameras = format!(
        "[[camera]]\nname = \"roof\"\nurl = \"{}\"\nusername = \"car 1\"\npassword_file = {file:?}\n",
        server.url()
    );
    let config = car(dir.path(), &cameras);
    if says(&config, &["check"]).contains("FAIL  onnx runtime") {
        return skipped("the daemon on a network camera", "ONNX Runtime is not here");
    }
    let log = || std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    let start = || {
        let to = std::fs::File::create(dir.path().join("log")).unwrap();
        let mut run = outrider(&config, &["--log", "debug", "run"]);
        Daemon(run.stdout(Stdio::null()).stderr(to).spawn().unwrap())
    };
    let status = || says(&config, &["status", "--json"]);
    let state = || {
        let told: serde_json::Value = serde_json::from_str(&status()).unwrap_or_default();
        told["cameras"][0]["state"].as_str().unwrap_or_default().to_owned()
    };
    let reads = || ["reading", "overloaded"].contains(&state().as_str());
    let mut daemon = start();
    within(Duration::from_secs(60), "the camera is read", reads);
    let ours = children(daemon.0.id());
    let [ffmpeg] = ours[..] else { panic!("{ours:?}") };
    assert!(shown_of(ffmpeg).contains("yuv4mpegpipe"), "{}", shown_of(ffmpeg));
    for process in [daemon.0.id(), ffmpeg] {
        has_no_password("a process", &shown_of(process));
    }
    let score = std::fs::read_to_string(format!("/proc/{ffmpeg}/oom_score_adj")).unwrap();
    assert_eq!(score.trim(), "1000", "ffmpeg is ended first where memory is short");

    // The password is changed at the camera.
    drop(server);
    let changed = ["car 1", "another", "basic"];
    let server = Server::start_at(port, &film, "rtph264pay", &changed).expect("its port is free");
    until("it is told", || status().contains("wrong user name or password"));
    assert!(!reads());
    has_no_password("status", &status());
    has_no_password("status", &says(&config, &["status"]));
    // And then in the car, where no restart is needed.
    std::fs::write(&file, "another\n").unwrap();
    until("it is read again", reads);

    // Killed, the daemon takes ffmpeg with it.
    let ours = children(daemon.0.id());
    let [ffmpeg] = ours[..] else { panic!("{ours:?}") };
    server.hang();
    daemon.0.kill().unwrap();
    daemon.0.wait().unwrap();
    within(Duration::from_secs(2), "ffmpeg is gone", || !shown_of(ffmpeg).contains("yuv4mpegpipe"));
    server.go_on();
    has_no_password("the log", &log());
    let mut daemon = start();
    within(Duration::from_secs(60), "the camera is read", reads);
    let ours = children(daemon.0.id());
    let pid = rustix::process::Pid::from_child(&daemon.0);
    let stopping = Instant::now();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(daemon.0.wait().unwrap().success(), "{}", log());
    assert!(stopping.elapsed() < Duration::from_secs(12), "{:?}", stopping.elapsed());
    assert!(ours.iter().all(|child| !shown_of(*child).contains("yuv4mpegpipe")));
    has_no_password("the log", &log());
}
