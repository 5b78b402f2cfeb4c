//! A car with a beacon: on from a high hit until somebody acknowledges it, off at every stop, told while its chip is gone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::running::{self, Car};
use common::{page, within};
use outrider::alert::console::PageAddress;

#[test]
fn child_that_runs() {
    running::child();
}

/// A car whose list has a medium and two high entries, and the file that is its beacon.
fn car(folder: &Path) -> Car {
    let list = folder.join("priorities.csv");
    let further = format!(
        "[console]\nlisten = \"127.0.0.1:0\"\n[[hotlist]]\nname = \"priorities\"\npath = {list:?}\n"
    );
    let mut car = Car::new(folder, "", &further, &[]);
    let rows = "plate,jurisdiction,category,priority\nBXRT472,CA-ON,suspended_driver,medium\n\
                CKSV841,CA-ON,stolen_vehicle,high\nEKLM332,CA-ON,stolen_vehicle,high\nDMTA155,CA-ON,stolen_vehicle,high\n";
    std::fs::write(list, rows).unwrap();
    std::fs::create_dir(car.path("chip")).unwrap();
    car.beacon = Some(car.path("chip/27"));
    car
}

fn beacon(car: &Car) -> String {
    std::fs::read_to_string(car.path("chip/27")).unwrap_or_default()
}

#[track_caller]
fn until_beacon(car: &Car, is: &str) {
    within(Duration::from_secs(30), &format!("the beacon is {is}: {}", car.log()), || {
        beacon(car) == is
    });
}

/// What `outrider status` says of the beacon; nothing where all is well with it.
fn status(car: &Car) -> String {
    let said = String::from_utf8(car.run(&["status"]).stdout).unwrap();
    said.lines().find(|line| line.contains("beacon")).unwrap_or_default().to_owned()
}

/// The hit whose tone comes again until it is acknowledged, as the page is told.
fn sounding(heard: &page::Heard) -> Option<String> {
    let heard = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    let told = heard.rsplit("\"sounding\":[").next()?;
    told.strip_prefix('"').and_then(|rest| rest.split('"').next()).map(str::to_owned)
}

#[test]
fn beacon_is_on_from_a_high_hit_until_it_is_acknowledged_and_off_after_every_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(&dir.path().join("car"));
    // A medium hit is no reason.
    car.start(&["BXRT472"]);
    until_beacon(&car, "off");
    within(Duration::from_secs(30), "the medium hit is told", || car.log().contains("hit told"));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(beacon(&car), "off");
    car.stop();
    // A high one is, until somebody has seen it.
    car.start(&["CKSV841"]);
    until_beacon(&car, "on");
    let console: PageAddress = car.told("console ").unwrap().parse().unwrap();
    let heard = page::Heard::default();
    page::listen(&console, &heard);
    within(Duration::from_secs(20), "the page tells which hit sounds", || {
        sounding(&heard).is_some()
    });
    assert_eq!(beacon(&car), "on");
    let body = format!(r#"{{"hit":"{}"}}"#, sounding(&heard).unwrap());
    let answer = page::send(&console, &page::nobody(&console), "/hits/answer", &body);
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    until_beacon(&car, "off");
    car.stop();
    assert_eq!(beacon(&car), "off");
    // Nobody has acknowledged it when the daemon stops.
    car.start(&["DMTA155"]);
    until_beacon(&car, "on");
    car.stop();
    assert_eq!(beacon(&car), "off", "a stop leaves nothing on");
    // After a crash the chip may hold its level: the next life, which systemd starts a second later, begins with it off.
    car.start(&["EKLM332"]);
    until_beacon(&car, "on");
    car.crash();
    assert_eq!(beacon(&car), "on");
    car.start(&[]);
    until_beacon(&car, "off");
    car.stop();
}

#[test]
fn beacon_whose_chip_is_gone_is_told_and_comes_back_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(&dir.path().join("car"));
    std::fs::remove_dir(car.path("chip")).unwrap();
    car.start(&["CKSV841"]);
    within(Duration::from_secs(30), "status tells of the beacon", || {
        status(&car).contains("lost line 27 of ")
    });
    let said = status(&car);
    assert!(said.starts_with("FAIL") && said.contains("without it meanwhile"), "{said}");
    let heard = page::Heard::default();
    page::listen(&car.told("console ").unwrap().parse().unwrap(), &heard);
    within(Duration::from_secs(20), "the page says it too", || {
        String::from_utf8_lossy(&heard.lock().unwrap()).contains("lost line 27 of ")
    });
    std::fs::create_dir(car.path("chip")).unwrap();
    // The hit of before still waits.
    until_beacon(&car, "on");
    within(Duration::from_secs(30), "the beacon is well", || status(&car).is_empty());
    car.stop();
    assert_eq!(beacon(&car), "off");
}
