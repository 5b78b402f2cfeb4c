//! Tests with the real gpsd, fed with NMEA through a pseudo-terminal and by UDP: start, fix, loss of the fix, restart of
//! gpsd, no receiver.
#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use outrider::clock::{Clock, SystemClock};
use outrider::config::{GpsConfig, GpsSource};
use outrider::gps::{Gps, Position};
use outrider::health::{Health, PartState};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

#[path = "common/skips.rs"]
mod skips;
use skips::skipped;

/// A receiver, on a pseudo-terminal or on the network: five reports a second.
struct Receiver {
    path: String,
    has_fix: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn plug_in() -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let path = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        // gpsd drops root's rights and must still be able to open it.
        let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o666));
        let line = File::options().read(true).write(true).open(&path).unwrap();
        let mut mode = tcgetattr(&line).unwrap();
        mode.make_raw();
        tcsetattr(&line, OptionalActions::Now, &mode).unwrap();

        rustix::io::ioctl_fionbio(&terminal, true).unwrap();
        let mut out = File::from(terminal);
        Self::talking(path, move |sentence| {
            // `line` stays open, or gpsd's leaving would hang the terminal up.
            let _open = &line;
            // While gpsd is away nobody reads, and the terminal fills: what does not fit is lost,
            // as it would be on a wire.
            let _ = out.write_all(sentence);
        })
    }

    /// As a car's router: a datagram for each sentence.
    fn on_the_network() -> Self {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = format!("127.0.0.1:{port}");
        Self::talking(format!("udp://{to}"), move |sentence| {
            let _ = socket.send_to(sentence, &to);
        })
    }

    /// `path` is where gpsd finds it.
    fn talking(path: String, mut say: impl FnMut(&[u8]) + Send + 'static) -> Self {
        let has_fix = Arc::new(AtomicBool::new(true));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (has_fix, stop) = (has_fix.clone(), stop.clone());
            move || talk(&mut say, &has_fix, &stop)
        });
        Self { path, has_fix, stop, thread: Some(thread) }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn talk(say: &mut dyn FnMut(&[u8]), has_fix: &AtomicBool, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let now = jiff::Timestamp::now().to_zoned(TimeZone::UTC);
        let hms = now.strftime("%H%M%S.%2f");
        let dmy = now.strftime("%d%m%y");
        let bodies = if has_fix.load(Ordering::Relaxed) {
            [
                format!("GPRMC,{hms},A,4335.4000,N,07938.4000,W,27.0,271.5,{dmy},,,A"),
                format!("GPGGA,{hms},4335.4000,N,07938.4000,W,1,08,1.1,110.0,M,-36.0,M,,"),
                "GPGSA,A,3,04,05,07,09,12,17,24,29,,,,,2.0,1.1,1.7".to_owned(),
            ]
        } else {
            [
                format!("GPRMC,{hms},V,,,,,,,{dmy},,,N"),
                format!("GPGGA,{hms},,,,,0,00,,,M,,M,,"),
                "GPGSA,A,1,,,,,,,,,,,,,,,".to_owned(),
            ]
        };
        for body in bodies {
            let sum = body.bytes().fold(0, |x, b| x ^ b);
            say(format!("${body}*{sum:02X}\r\n").as_bytes());
        }
        thread::park_timeout(Duration::from_millis(200));
    }
}

/// gpsd, and the folder with its control socket, without which it does not start deviceless.
struct Gpsd(Child, #[expect(dead_code, reason = "removed when dropped")] tempfile::TempDir);

impl Gpsd {
    fn start(port: u16, device: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new("gpsd")
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
            // In the foreground, not waiting for clients, writing nothing to the receiver.
            .args(["-N", "-n", "-b", "-S", &port.to_string()])
            .arg("-F")
            .arg(folder.path().join("control"))
            .args(device)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match child {
            Ok(child) => Some(Self(child, folder)),
            Err(e) => {
                skipped("a test with the real gpsd", &format!("it cannot be started: {e}"));
                None
            }
        }
    }
}

impl Drop for Gpsd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn start(port: u16) -> (Gps, Arc<Health>) {
    let config = GpsConfig {
        source: GpsSource::Gpsd,
        address: format!("127.0.0.1:{port}"),
        ..GpsConfig::default()
    };
    let health = Arc::new(Health::default());
    (Gps::start(&config, Arc::new(SystemClock), health.clone()), health)
}

fn wait_for(health: &Health, what: impl Fn(&PartState) -> bool) -> PartState {
    let since = Instant::now();
    loop {
        let state = health.state("gps");
        if let Some(state) = state.as_ref().filter(|state| what(state)) {
            return state.clone();
        }
        assert!(since.elapsed() < Duration::from_secs(60), "gps stayed {state:?}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn fix_found_lost_and_found_again_and_gpsd_restarted() {
    let port = free_port();
    let receiver = Receiver::plug_in();

    // The daemon is there before gpsd is, as at boot.
    let (gps, health) = start(port);
    let down = wait_for(&health, |s| matches!(s, PartState::Down(_)));
    let PartState::Down(why) = down else { unreachable!() };
    assert!(why.starts_with(&format!("cannot reach gpsd at 127.0.0.1:{port}: ")), "{why}");
    let now = || SystemClock.now().monotonic;
    assert_eq!(gps.fixes().at(now()), Position::NoFix);

    let Some(gpsd) = Gpsd::start(port, Some(&receiver.path)) else { return };
    wait_for(&health, |s| *s == PartState::Working);
    let Position::Fixed { fix, age, .. } = gps.fixes().at(now()) else { panic!("no fix") };
    assert!((fix.latitude - 43.59).abs() < 1e-6, "{fix:?}");
    assert!((fix.longitude + 79.64).abs() < 1e-6, "{fix:?}");
    assert!((fix.speed_mps.unwrap() - 13.89).abs() < 0.1, "{fix:?}");
    assert!(age < Duration::from_secs(3) && fix.time.is_some(), "{fix:?}");

    receiver.has_fix.store(false, Ordering::Relaxed);
    wait_for(&health, |s| *s == PartState::Impaired("the receiver has no fix".into()));
    assert_eq!(gps.fixes().at(now()), Position::NoFix, "a lost fix is not a position");
    receiver.has_fix.store(true, Ordering::Relaxed);
    wait_for(&health, |s| *s == PartState::Working);

    drop(gpsd);
    wait_for(&health, |s| matches!(s, PartState::Down(_)));
    let Some(_gpsd) = Gpsd::start(port, Some(&receiver.path)) else { return };
    wait_for(&health, |s| *s == PartState::Working);
    assert!(matches!(gps.fixes().at(now()), Position::Fixed { .. }));
}

#[test]
fn position_that_a_router_sends_by_udp_comes_through_gpsd() {
    let port = free_port();
    let router = Receiver::on_the_network();
    let Some(_gpsd) = Gpsd::start(port, Some(&router.path)) else { return };
    let (gps, health) = start(port);
    wait_for(&health, |s| *s == PartState::Working);
    let Position::Fixed { fix, .. } = gps.fixes().at(SystemClock.now().monotonic) else {
        panic!("no fix")
    };
    assert!((fix.latitude - 43.59).abs() < 1e-6, "{fix:?}");
    router.has_fix.store(false, Ordering::Relaxed);
    wait_for(&health, |s| *s == PartState::Impaired("the receiver has no fix".into()));
}

#[test]
fn gpsd_without_a_receiver_says_so() {
    let port = free_port();
    let Some(_gpsd) = Gpsd::start(port, None) else { return };
    let (_gps, health) = start(port);
    wait_for(
        &health,
        |s| matches!(s, PartState::Impaired(why) if why.starts_with("gpsd runs and has no receiver")),
    );
}
