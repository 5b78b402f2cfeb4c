//! Each mode of retention, and when what is searched.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::boxed::Boxed;
use crate::common::search::{self, Places, Search};
use crate::common::{forensic, skipped, within};
use crate::planted::{HITS, Needles, STRANGERS};
use crate::report::{Expect, Report};

pub(crate) fn mode_0s(folder: &Path, needles: &Needles) -> Option<Report> {
    let (mut report, mode) = (Report::default(), "0s");
    let mut car = Boxed::new(folder, "0s", false)?;
    car.start(&[]);
    car.until_driven();
    report.claim(mode, "running", "the kernel refuses every file outside the box", car.sealed);
    report.all_quiet(mode, "running", &car, needles);
    report.claim(mode, "running", "no ring was ever made", !car.state().join("ring").exists());
    // The controls: hits are where they belong, so strangers would be found there too.
    for (place, places) in car.told() {
        if place.starts_with("MQTT") || place.starts_with("console") {
            report.look(mode, "running", place, &places, &needles.listed, Expect::All(HITS));
        }
    }
    report.open(mode, "running", &car.state(), &needles.listed, Expect::All(HITS));
    report.look(
        mode,
        "running",
        "files it could write",
        &car.files(),
        &needles.listed,
        Expect::None,
    );
    core_dump(&mut report, mode, &mut car, needles);
    Some(report)
}

/// Forces a core dump; then again without our precautions, to see that there would be one.
fn core_dump(report: &mut Report, mode: &str, car: &mut Boxed, needles: &Needles) {
    let cores = |car: &Boxed| -> Places {
        let mut all = search::files(&car.inside().join("cwd"), &[]);
        all.extend(search::files(&car.inside().join("tmp"), &[]));
        all
    };
    let died = car.kill(rustix::process::Signal::ABORT);
    report.claim(
        mode,
        "SIGABRT",
        "it died of it and dumped no core",
        died.signal() == Some(6) && !died.core_dumped(),
    );
    report.claim(mode, "SIGABRT", "no core file in its folders", cores(car).is_empty());
    report.look(
        mode,
        "SIGABRT",
        "files it could write",
        &car.files(),
        &needles.strangers,
        Expect::None,
    );

    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    car.start(&[("OUTRIDER_TEST_DUMPS", "1")]);
    car.until_said("driven");
    std::thread::sleep(Duration::from_millis(500));
    let memory = car.memory();
    let died = car.kill(rustix::process::Signal::ABORT);
    let places = cores(car);
    // Not every plate is still in memory when it dies; some are. The memory that a core file would hold is
    // searched wherever this runs; the file itself only where the kernel puts it into our folder.
    report.look(
        mode,
        "SIGABRT, dumps left on",
        "memory before it dies",
        &memory,
        &needles.strangers,
        Expect::All(1),
    );
    if !died.core_dumped() || places.is_empty() {
        let why = format!(
            "core_pattern is {:?}: no core file comes to where it can be searched",
            pattern.trim()
        );
        skipped("the control that a core file is written", &why);
        report.row(mode, "SIGABRT, dumps left on", "core file", 0, 0, "SKIPPED");
        return;
    }
    report.look(
        mode,
        "SIGABRT, dumps left on",
        "core file",
        &places,
        &needles.strangers,
        Expect::All(1),
    );
    places.keys().for_each(|path| _ = std::fs::remove_file(path));
}

pub(crate) fn mode_session(folder: &Path, needles: &Needles) -> Option<Report> {
    let (mut report, mode) = (Report::default(), "session");
    let mut car = Boxed::new(folder, "session", false)?;
    car.start(&[]);
    car.until_driven();
    let ring = car.state().join("ring");
    let files =
        |what: &str| search::files(&ring, &[]).into_keys().filter(|p| p.ends_with(what)).count();
    report.claim(
        mode,
        "running",
        "the ring is there and has no key file",
        files(".db") > 0 && files(".key") == 0,
    );
    report.all_quiet(mode, "running", &car, needles);
    // The worst end: no chance to clean up. What is then on the disk is all that there is.
    car.kill(rustix::process::Signal::KILL);
    report.claim(
        mode,
        "kill -9",
        "ring files are left, without a key",
        files(".db") > 0 && files(".key") == 0,
    );
    report.all_quiet(mode, "kill -9", &car, needles);
    car.start(&[("OUTRIDER_TEST_PARKED", "1")]);
    report.claim(mode, "next start", "nothing is left of the ring", files("") == 0);
    report.all_quiet(mode, "next start", &car, needles);
    Some(report)
}

pub(crate) fn mode_minute(folder: &Path, needles: &Needles) -> Option<Report> {
    let (mut report, mode) = (Report::default(), "1m");
    let mut car = Boxed::new(folder, "1m", true)?;
    car.start(&[]);
    car.until_driven();
    let ended = Instant::now();
    report.look(
        mode,
        "within 1m",
        "files it could write",
        &car.files(),
        &needles.strangers,
        Expect::None,
    );
    // The control: with every key on the disk, the reads are there, each of them.
    report.open(mode, "within 1m", &car.state(), &needles.strangers, Expect::All(STRANGERS));
    let sealed = forensic::sealed_keys(&car.state());
    report.claim(mode, "within 1m", "the ring has sealed keys", !sealed.is_empty());
    let keys = Search::new(&[], &sealed.values().map(|key| vec![key.clone()]).collect::<Vec<_>>());
    let raw =
        |car: &Boxed| car.disk.as_ref().map(|d| Places::from([("disk.img".into(), d.bytes())]));
    if let Some(raw) = raw(&car) {
        report.look(
            mode,
            "within 1m",
            "raw disk: sealed keys",
            &raw,
            &keys,
            Expect::All(sealed.len()),
        );
    }
    let ring = car.state().join("ring");
    let left = || search::files(&ring, &[]).len();
    within(Duration::from_secs(75), "the ring is empty after its minute", || left() == 0);
    let took = ended.elapsed().as_secs();
    report.claim(
        mode,
        "expired",
        &format!("the ring is empty {took} s after the drive"),
        took <= 60,
    );
    report.all_quiet(mode, "expired", &car, needles);
    report.open(mode, "expired", &car.state(), &needles.listed, Expect::All(HITS));
    if let Some(raw) = raw(&car) {
        report.look(mode, "expired", "raw disk: sealed keys", &raw, &keys, Expect::None);
        report.look(
            mode,
            "expired",
            "raw disk: plates, pictures",
            &raw,
            &needles.strangers,
            Expect::None,
        );
    }
    car.stop();
    report.all_quiet(mode, "stopped", &car, needles);
    Some(report)
}

/// Expired while switched off: gone before the first camera opens.
pub(crate) fn mode_off(folder: &Path, needles: &Needles) -> Option<Report> {
    let (mut report, mode) = (Report::default(), "1m, off");
    let mut car = Boxed::new(folder, "1m", false)?;
    car.start(&[]);
    car.until_driven();
    car.stop();
    report.open(mode, "stopped", &car.state(), &needles.strangers, Expect::All(STRANGERS));
    std::thread::sleep(Duration::from_secs(61));
    report.open(mode, "off for 1m", &car.state(), &needles.strangers, Expect::All(STRANGERS));
    car.start(&[("OUTRIDER_TEST_PARKED", "1")]);
    report.all_quiet(mode, "next start", &car, needles);
    Some(report)
}
