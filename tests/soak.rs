//! A long time in one process: a car whose clock runs many times too fast passes vehicles for days, and neither its
//! memory, nor its descriptors, nor its threads, nor its folder grow, no hit is lost or doubled, and the audit log holds.
//!
//! In every test run three hours of the clock pass in half a minute. `make soak` runs 72 hours of it in half an hour;
//! `make soak HOURS=2 FACTOR=1` is two real hours. What a minute was like is printed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]
#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use common::mosquitto::{Mosquitto, Setup};
use common::running::{Car, Silent};
use common::{car, page, within};
use outrider::camera_id::CameraId;
use outrider::clock::{Clock, FrameTime, SystemClock, TimeSource};
use outrider::config::Config;
use outrider::daemon::{Daemon, SeamCamera, Seams};
use outrider::onboard::capture::{CaptureError, FrameSource};
use outrider::onboard::frame::Frame;

/// Time of the fast clock between two vehicles.
const BETWEEN: Duration = Duration::from_secs(30);

/// Every so many vehicles one is listed.
const LISTED_EVERY: u64 = 10;

/// Measurements of the whole time.
const LOOKS: u32 = 40;

/// What the car keeps of vehicles on no list: until so much time has passed, its folder fills.
const KEPT: Duration = Duration::from_secs(3_600);

/// Growth of memory from the first third of the settled time to the last that is taken for noise of the allocator, in KiB.
const MEMORY_NOISE: u64 = 8 * 1024;

/// The same of descriptors and threads: one connection may be between two states.
const COUNT_NOISE: u64 = 3;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} = {text}: a number"))
    })
}

/// Hours of the fast clock.
fn hours() -> u64 {
    setting("OUTRIDER_SOAK_HOURS", 3)
}

/// How many times too fast the clock runs.
fn factor() -> u32 {
    u32::try_from(setting("OUTRIDER_SOAK_FACTOR", 360)).unwrap()
}

fn vehicles() -> u64 {
    hours() * 3_600 / BETWEEN.as_secs()
}

/// The plate of a vehicle by its number.
fn plate(vehicle: u64) -> String {
    let is_listed = vehicle.is_multiple_of(LISTED_EVERY);
    format!("{}{vehicle:05}", if is_listed { "H" } else { "Q" })
}

/// A clock that runs too fast, and is vouched for.
struct FastClock {
    start: FrameTime,
    factor: u32,
}

impl Clock for FastClock {
    fn now(&self) -> FrameTime {
        let passed = (SystemClock.now().monotonic - self.start.monotonic) * self.factor;
        FrameTime { monotonic: self.start.monotonic + passed, wall: self.start.wall + passed }
    }

    fn source(&self) -> TimeSource {
        TimeSource::Ntp
    }
}

/// The script's camera at the pace of the fast clock: a vehicle every [`BETWEEN`].
struct Sparse {
    source: Box<dyn FrameSource>,
    clock: std::sync::Arc<FastClock>,
    began: FrameTime,
}

impl FrameSource for Sparse {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let Some(mut frame) = self.source.next_frame(timeout)? else { return Ok(None) };
        let (vehicle, step) = (frame.sequence / car::PERIOD, frame.sequence % car::PERIOD);
        if step == 0 {
            let due = self.clock.start.monotonic + BETWEEN * u32::try_from(vehicle).unwrap();
            let early = due.saturating_sub(self.clock.now().monotonic) / self.clock.factor;
            std::thread::sleep(early);
            self.began = self.clock.now();
        }
        let since = Duration::from_millis(33) * u32::try_from(step).unwrap();
        frame.captured =
            FrameTime { monotonic: self.began.monotonic + since, wall: self.began.wall + since };
        Ok(Some(frame))
    }

    fn live(&self) -> bool {
        false
    }
}

/// The daemon of the test below.
#[test]
fn child_that_runs() {
    let Some(config) = std::env::var_os("OUTRIDER_TEST_CHILD") else { return };
    tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr).init();
    outrider::daemon::end_on_panic();
    let config = Config::load(Path::new(&config)).unwrap();
    let plates: Vec<_> = (0..vehicles()).map(plate).collect();
    let (mut open, reader) = car::camera(&plates, Duration::ZERO);
    let clock = std::sync::Arc::new(FastClock { start: SystemClock.now(), factor: factor() });
    let paced = clock.clone();
    let open = move || {
        let source: Box<dyn FrameSource> =
            Box::new(Sparse { source: open()?, clock: paced.clone(), began: paced.now() });
        Ok(source)
    };
    let daemon = Daemon::start(
        config,
        Seams {
            clock,
            cameras: Some(vec![SeamCamera {
                id: CameraId::new("front"),
                open: Box::new(open),
                reader: Some(reader),
            }]),
            annunciator: Some(Box::new(Silent)),
            ..Seams::default()
        },
    )
    .unwrap();
    println!("\npid {}\nconsole {}\ndriven", std::process::id(), daemon.console().unwrap());
    let time = Duration::from_secs(hours() * 3_600) / factor();
    assert!(daemon.wait_for_end(time + Duration::from_secs(120)), "the drive does not end");
    assert!(daemon.wait_for_delivery(Duration::from_secs(60)), "hits wait for the broker");
    println!("soaked");
    std::io::stdin().lines().next();
    let counts = daemon.stop();
    println!("alerted {}", counts.alerted);
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Look {
    memory_kib: u64,
    descriptors: u64,
    threads: u64,
    state_files: u64,
}

impl Look {
    fn at(pid: &str, state: &Path) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let count = |folder: &Path| std::fs::read_dir(folder).map_or(0, |all| all.count() as u64);
        Self {
            memory_kib: number("VmRSS:"),
            descriptors: count(Path::new(&format!("/proc/{pid}/fd"))),
            threads: number("Threads:"),
            state_files: files_below(state),
        }
    }
}

fn files_below(folder: &Path) -> u64 {
    let Ok(all) = std::fs::read_dir(folder) else { return 0 };
    all.flatten()
        .map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 })
        .sum()
}

/// The number of the first look at which a drive of so many hours is settled: a quarter of it is over, and what is kept
/// of other vehicles is complete, with a tenth of that time for a bucket that was begun before.
fn settled(hours: u64) -> usize {
    let looks = u64::from(LOOKS);
    let full = (KEPT.as_secs() * 11 / 10 * looks).div_ceil(hours * 3_600);
    let begin = full.max(looks / 4);
    assert!(
        begin + 6 <= looks,
        "{hours} hours are too short to see whether anything grows: 2 at least"
    );
    usize::try_from(begin).unwrap()
}

#[test]
fn growth_is_looked_for_once_the_folder_is_full() {
    assert_eq!([2, 3, 72].map(settled), [22, 15, 10]);
}

/// The middle one of some numbers.
fn median(mut numbers: Vec<u64>) -> u64 {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[test]
fn days_of_driving_cost_no_memory_no_descriptor_and_no_hit() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), Setup::default()) else {
        return;
    };
    let subscriber = broker.subscriber(None);
    subscriber.ready(&broker);
    let listed: Vec<_> = (0..vehicles()).step_by(LISTED_EVERY as usize).map(plate).collect();
    let listed: Vec<_> = listed.iter().map(String::as_str).collect();
    let further = format!(
        "[trust]\n[console]\nlisten = \"127.0.0.1:0\"\n[uplink]\nbroker = \"mqtt://127.0.0.1:{}\"\n",
        broker.port()
    );
    let keeping = format!("non_hit = \"{}s\"", KEPT.as_secs());
    let mut car = Car::new(&dir.path().join("car"), &keeping, &further, &listed);
    car.start(&[]);
    let pid = car.told("pid ").unwrap();
    let heard = page::Heard::default();
    page::listen(&car.told("console ").unwrap().parse().unwrap(), &heard);

    let whole = Duration::from_secs(hours() * 3_600) / factor();
    let (start, mut looks) = (Instant::now(), Vec::new());
    for n in 1..=LOOKS {
        std::thread::sleep((whole / LOOKS * n).saturating_sub(start.elapsed()));
        let look = Look::at(&pid, &car.state());
        println!("{:5.1} h: {look:?}", hours() as f64 * f64::from(n) / f64::from(LOOKS));
        looks.push(look);
        // What a page is sent is not kept for days here either.
        heard.lock().unwrap().clear();
    }
    within(Duration::from_secs(240), "the drive ends", || car.told("soaked").is_some());
    let begin = settled(hours());
    let third = (looks.len() - begin) / 3;
    let middle = |range: std::ops::Range<usize>, of: fn(&Look) -> u64| {
        median(looks[range].iter().map(of).collect())
    };
    let grown = |of: fn(&Look) -> u64| {
        let before = middle(begin..begin + third, of);
        middle(looks.len() - third..looks.len(), of).saturating_sub(before)
    };
    assert!(grown(|look| look.memory_kib) <= MEMORY_NOISE, "memory grows: {looks:#?}");
    assert!(grown(|look| look.descriptors) <= COUNT_NOISE, "descriptors grow: {looks:#?}");
    assert!(grown(|look| look.threads) <= COUNT_NOISE, "threads grow: {looks:#?}");
    assert!(grown(|look| look.state_files) <= COUNT_NOISE, "the folder grows: {looks:#?}");

    within(Duration::from_secs(60), "every hit arrives", || {
        subscriber.hits().len() >= listed.len()
    });
    car.stop();
    let arrived = subscriber.hits();
    let once: BTreeSet<_> = arrived.iter().collect();
    assert_eq!((once.len(), arrived.len()), (listed.len(), listed.len()), "each hit once");
    let said = car.does(&["audit", "verify"]);
    assert!(said.starts_with("consistent: "), "{said}");
}
