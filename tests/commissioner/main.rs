//! The commissioner's test (`make privacy-test`): a drive past planted plates in each mode of
//! retention, and then a search for them in everything that the process could write or say.
//!
//! The daemon is a process of its own in a box: every file system but one folder is read-only to
//! it, so what that folder holds is all that it can have written. Everything behind the camera is
//! real; camera and models follow a script, so that it is known what passed. Searched are its files
//! (state, temporary files, working directory), what it logged at the most talkative level, a core
//! dump forced by SIGABRT, every byte between car and broker, what the broker's reader got, what
//! the officer's page got, and what every database gives away to somebody who has the disk and
//! every key on it. Each place has a control that shows that the search finds.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

#[path = "../common/mod.rs"]
mod common;

mod boxed;
mod disk;
mod modes;
mod planted;
mod report;

use std::path::Path;
use std::time::{Duration, Instant};

use common::car;
use common::running::Silent;
use common::search::{self, Places};
use common::skipped;
use modes::{mode_0s, mode_minute, mode_off, mode_session};
use outrider::camera_id::CameraId;
use outrider::config::Config;
use outrider::daemon::{Daemon, SeamCamera, Seams, keep_memory_private};
use planted::{Needles, is_listed, passing, pictures, search_for};
use report::{Expect, Report, print};

/// The daemon's process. Runs only when the test below starts it, inside its box.
#[test]
fn child_in_the_box() {
    let Some(config) = std::env::var_os("OUTRIDER_TEST_CHILD") else { return };
    // As `outrider run` begins, unless the control wants to see what would be without it.
    if std::env::var_os("OUTRIDER_TEST_DUMPS").is_none() {
        keep_memory_private();
    }
    tracing_subscriber::fmt()
        .with_env_filter("trace")
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let config = Config::load(Path::new(&config)).unwrap();
    let plates = match std::env::var_os("OUTRIDER_TEST_PARKED") {
        Some(_) => Vec::new(),
        None => passing(),
    };
    let (open, reader) = car::camera(&plates, Duration::from_millis(1));
    let seams = Seams {
        cameras: Some(vec![SeamCamera { id: CameraId::new("front"), open, reader: Some(reader) }]),
        annunciator: Some(Box::new(Silent)),
        ..Seams::default()
    };
    let daemon = Daemon::start(config, seams).unwrap();
    println!("\nconsole {}", daemon.console().unwrap());
    assert!(daemon.wait_for_end(Duration::from_secs(120)));
    println!("driven");
    // Until it is told to stop, or killed.
    std::io::stdin().lines().next();
    let last = daemon.stop();
    println!("stopped {} {}", last.hits, last.non_hits);
}

/// Each disguise of a plate and a picture in a file of its own: the search finds every one.
fn controls(report: &mut Report, needles: &Needles) {
    let (plate, picture) = (&passing()[1], &pictures(1)[0]);
    let mut all = search::disguises(plate);
    all.extend(search::picture_disguises(picture));
    let places: Places = all
        .iter()
        .enumerate()
        .map(|(n, (how, bytes))| {
            (format!("{how} {n}"), [b"...".as_slice(), bytes, b"..."].concat())
        })
        .collect();
    let found = needles.strangers.look_all(&places);
    report.claim(
        "control",
        "planted by hand",
        &format!("all {} disguises are found", places.len()),
        found.len() == places.len(),
    );
    let clean = Places::from([(
        "noise".into(),
        (0..4_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
    )]);
    report.look(
        "control",
        "planted by hand",
        "noise without any",
        &clean,
        &needles.strangers,
        Expect::None,
    );
}

type Mode = fn(&Path, &Needles) -> Option<Report>;

#[test]
fn planted_plates_are_nowhere_when_they_should_be_gone() {
    let enough = rustix::process::geteuid().is_root() && Path::new("/usr/bin/unshare").exists();
    if !enough {
        return skipped(
            "the commissioner's test",
            "it takes root to make a box that the kernel guards",
        );
    }
    let start = Instant::now();
    let needles =
        Needles { strangers: search_for(|n| !is_listed(n)), listed: search_for(is_listed) };
    let mut report = Report::default();
    controls(&mut report, &needles);
    let mut modes: Vec<(&str, Mode)> = vec![("0s", mode_0s), ("session", mode_session)];
    // What has to expire takes its minute: not with every run of the tests.
    if std::env::var_os("OUTRIDER_PRIVACY_FULL").is_some() {
        modes.extend([("minute", mode_minute as Mode), ("off", mode_off)]);
    } else {
        skipped("the modes with a duration", "they take two minutes: run make privacy-test");
    }
    let dir = tempfile::tempdir().unwrap();
    let reports: Vec<Option<Report>> = std::thread::scope(|scope| {
        let started: Vec<_> = modes
            .iter()
            .map(|(name, mode)| {
                let (folder, needles) = (dir.path().join(name), &needles);
                scope.spawn(move || mode(&folder, needles))
            })
            .collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    if reports.iter().any(Option::is_none) {
        return;
    }
    for other in reports.into_iter().flatten() {
        report.rows.extend(other.rows);
        report.broken.extend(other.broken);
    }
    print(&report, &needles, start.elapsed());
    assert!(report.broken.is_empty(), "{:#?}", report.broken);
}
