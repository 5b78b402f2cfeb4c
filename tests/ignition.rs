//! A car whose ignition goes off: what it says meanwhile, the ordered stop after the grace, and the word that root finds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::path::Path;
use std::time::{Duration, Instant};

use common::running::{self, Car};
use common::{page, within};

#[test]
fn child_that_runs() {
    running::child();
}

/// A grace of five seconds, and a page.
const FURTHER: &str = "[power]\ngrace = \"5s\"\n[console]\nlisten = \"127.0.0.1:0\"\n";

const GRACE: Duration = Duration::from_secs(5);

/// A car with a line that is on, and a grace of five seconds.
fn car(folder: &Path) -> Car {
    let mut car = Car::new(folder, "", FURTHER, &["CKSV841"]);
    std::fs::write(car.path("ignition"), "on").unwrap();
    car.ignition = Some(car.path("ignition"));
    car
}

fn turn(car: &Car, to: &str) {
    std::fs::write(car.path("ignition"), to).unwrap();
}

/// The line of `outrider status` that tells of the ignition; nothing where all is well with it.
fn status(car: &Car) -> String {
    let said = String::from_utf8(car.run(&["status"]).stdout).unwrap();
    said.lines().find(|line| line.contains("ignition")).unwrap_or_default().to_owned()
}

#[track_caller]
fn until_status(car: &Car, what: &str) {
    within(Duration::from_secs(60), &format!("status says {what:?}: {}", car.log()), || {
        status(car).contains(what)
    });
}

/// Waits until the daemon answers and has nothing to say of the ignition: it is on. Status is half a second old.
#[track_caller]
fn until_well(car: &Car) {
    within(Duration::from_secs(60), &format!("the ignition is well: {}", car.log()), || {
        let said = String::from_utf8(car.run(&["status"]).stdout).unwrap();
        !said.is_empty() && !said.contains("ignition")
    });
}

#[test]
fn ignition_off_is_told_then_everything_is_flushed_and_root_finds_the_word() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(&dir.path().join("car"));
    let marker = car.path("runtime").join(outrider::daemon::POWER_OFF);
    car.start(&["CKSV841", "BXRT472"]);
    until_well(&car);
    let page = page::Heard::default();
    page::listen(&car.told("console ").unwrap().parse().unwrap(), &page);
    let off = Instant::now();
    turn(&car, "off");
    until_status(&car, "ignition is off: the car powers off in ");
    within(Duration::from_secs(10), "the page says it too", || {
        let heard = page.lock().unwrap();
        String::from_utf8_lossy(&heard).contains("ignition is off: the car powers off in ")
    });
    assert!(!marker.exists());
    car.until_said("stopped for the ignition");
    assert!(off.elapsed() >= GRACE, "{:?}", off.elapsed());
    within(Duration::from_secs(20), "the process ends", || car.has_ended());
    assert!(marker.exists());
    let log = car.log();
    for said in ["ignition is off; the car powers off in ", "ignition was off for the whole grace"]
    {
        assert!(log.contains(said), "{said}: {log}");
    }
    // The hit is on the disk, and the audit log ends with the stop, as after a signal.
    turn(&car, "on");
    car.start(&[]);
    assert!(!marker.exists(), "a new life begins without the word");
    assert_eq!(car.recorded("hit_recorded"), 1);
    assert_eq!(car.recorded("stopped"), 1);
    car.stop();
}

#[test]
fn ignition_that_comes_back_or_cannot_be_seen_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(&dir.path().join("car"));
    let marker = car.path("runtime").join(outrider::daemon::POWER_OFF);
    car.start(&[]);
    // A line that was never seen on powers nothing off.
    until_well(&car);
    turn(&car, "off");
    until_status(&car, "ignition is off: the car powers off in ");
    turn(&car, "on");
    until_well(&car);
    assert!(car.log().contains("ignition is on again; the car stays on"), "{}", car.log());
    // The chip goes while the ignition is off, for longer than the grace.
    turn(&car, "off");
    until_status(&car, "ignition is off: the car powers off in ");
    std::fs::remove_file(car.path("ignition")).unwrap();
    until_status(&car, "lost line 17 of ");
    let lost = Instant::now();
    while lost.elapsed() < GRACE + Duration::from_secs(2) {
        assert!(!car.has_ended() && !marker.exists(), "{}", car.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(status(&car).starts_with("FAIL"), "{}", status(&car));
    turn(&car, "on");
    until_well(&car);
    car.stop();
    assert!(!marker.exists());
}
