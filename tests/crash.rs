//! Kills a daemon at random moments under load, or cuts its power, and checks every promise about what is on the
//! disk: no recorded hit or disposition is lost or doubled, every database opens and is
//! intact, nothing is there past its retention.
//!
//! `make crash-test` kills a process 1,000 times; `make power-cut-test` kills a virtual machine
//! with a disk of its own 50 times. By default a short version of the first test runs.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{load, skipped};

/// Kills by default; `OUTRIDER_CRASH_ROUNDS` for more.
const ROUNDS: usize = 30;

/// Rounds after which a car starts with an empty disk: a hit more makes each look dearer.
const ROUNDS_PER_CAR: usize = 50;

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The process that is killed. Runs only when a test below, or a virtual machine, starts it.
#[test]
fn child_under_load() {
    let Some(folder) = std::env::var_os("OUTRIDER_TEST_CHILD") else { return };
    let folder = PathBuf::from(folder);
    let seed = number("OUTRIDER_TEST_ROUND").unwrap_or(0) as u64;
    if std::env::var_os("OUTRIDER_TEST_GUEST").is_some() {
        // In a virtual machine nobody else can look at the disk.
        println!();
        match load::look(&folder, true) {
            Ok(left) => {
                left.hits.iter().for_each(|id| println!("kept {id}"));
                left.decided.iter().for_each(|id| println!("known {id}"));
                println!("looked ok {} {}", left.hits.len(), left.audited);
            }
            Err(e) => println!("looked bad {e}"),
        }
    }
    load::work(
        &folder,
        seed,
        Duration::from_millis(number("OUTRIDER_TEST_PAUSE").unwrap_or(0) as u64),
    )
}

/// What a child has promised, by the lines it wrote.
#[derive(Default)]
struct Promised {
    up: bool,
    hits: BTreeSet<String>,
    decided: BTreeSet<String>,
    audited: u64,
}

impl Promised {
    fn take(&mut self, line: &str) {
        match line.split(' ').collect::<Vec<_>>()[..] {
            // A line that the death cut short is no promise.
            ["up"] => self.up = true,
            ["recorded", id] if id.len() == 26 => _ = self.hits.insert(id.into()),
            ["decided", _, id] if id.len() == 26 => _ = self.decided.insert(id.into()),
            ["audited", n] if !n.is_empty() => {
                self.audited = self.audited.max(n.parse().unwrap_or(0));
            }
            _ => {}
        }
    }
}

/// Random numbers that are the same on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn lost<'a>(promised: &'a BTreeSet<String>, left: &'a BTreeSet<String>) -> Vec<&'a String> {
    promised.difference(left).collect()
}

#[test]
fn killed_at_random_moments_under_load_every_promise_is_kept() {
    let rounds = number("OUTRIDER_CRASH_ROUNDS").unwrap_or(ROUNDS);
    let start = Instant::now();
    let mut chance = Chance(20_261_124);
    let (mut hits, mut decided, mut starts, mut delivered, mut audited) = (0, 0, 0, 0, 0);
    let dir = tempfile::tempdir().unwrap();
    let mut promised = Promised::default();
    for round in 0..rounds {
        let folder = dir.path().join((round / ROUNDS_PER_CAR).to_string());
        if round % ROUNDS_PER_CAR == 0 {
            std::fs::create_dir_all(&folder).unwrap();
            promised = Promised::default();
        }
        // Every fifth dies while it opens its stores, the others some time after.
        let while_starting = round % 5 == 4;
        starts += usize::from(while_starting);
        kill_one(&folder, round, while_starting, &mut chance, &mut promised);

        let last = (round + 1) % ROUNDS_PER_CAR == 0 || round + 1 == rounds;
        let left = load::look(&folder, last || round % 10 == 0)
            .unwrap_or_else(|e| panic!("after kill {}: {e}", round + 1));
        let (h, d) = (lost(&promised.hits, &left.hits), lost(&promised.decided, &left.decided));
        assert!(h.is_empty() && d.is_empty(), "after kill {}: lost {h:?} {d:?}", round + 1);
        let (due, there) = (promised.audited, left.audited);
        assert!(
            there >= due,
            "after kill {}: audit ends at {there}, {due} was promised",
            round + 1
        );
        if last {
            audited += promised.audited;
            (hits, decided) = (hits + promised.hits.len(), decided + promised.decided.len());
            delivered += load::deliver(&folder).unwrap();
            std::thread::sleep(load::RETENTION);
            load::look(&folder, false).unwrap();
            std::fs::remove_dir_all(&folder).unwrap();
        }
        if (round + 1) % 100 == 0 {
            eprintln!("{} kills, {:.0} s", round + 1, start.elapsed().as_secs_f32());
        }
    }
    eprintln!(
        "{rounds} kills ({starts} of them while starting) in {:.0} s: {hits} hits, {decided} \
         dispositions and {audited} audit records promised, all kept once and in an unbroken chain; \
         {delivered} hits still waiting at the end, all arrived",
        start.elapsed().as_secs_f32()
    );
}

/// Starts a child, lets it work for a random time, kills it; takes down what it promised.
fn kill_one(
    folder: &Path,
    round: usize,
    while_starting: bool,
    chance: &mut Chance,
    promised: &mut Promised,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_under_load", "--nocapture"])
        .env("OUTRIDER_TEST_CHILD", folder)
        .env("OUTRIDER_TEST_ROUND", round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(Promised::default()));
    let (out, sink) = (child.stdout.take().unwrap(), said.clone());
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            sink.lock().unwrap().take(&line);
        }
    });
    if while_starting {
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
    } else {
        // After another number of promises each time, wherever it then is.
        let (promises, start) = (chance.below(25), Instant::now());
        while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(20) {
            let said = said.lock().unwrap();
            if said.up && said.audited.saturating_sub(promised.audited) >= promises {
                break;
            }
            drop(said);
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(chance.below(30_000)));
    }
    if let Some(status) = child.try_wait().unwrap() {
        let mut why = String::new();
        let _ = std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut why);
        panic!("the child of round {round} ended by itself: {status} {why}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    let said = said.lock().unwrap();
    promised.hits.extend(said.hits.iter().cloned());
    promised.decided.extend(said.decided.iter().cloned());
    promised.audited = promised.audited.max(said.audited);
}

/// Cuts the power of a virtual machine: `make power-cut-test` builds its kernel and disk first.
#[test]
fn power_cut_at_random_moments_every_promise_is_kept() {
    let (Some(cuts), Some(vm)) = (number("OUTRIDER_POWER_CUTS"), std::env::var_os("OUTRIDER_VM"))
    else {
        return skipped("power cuts", "OUTRIDER_VM is not set: run make power-cut-test");
    };
    let vm = PathBuf::from(vm);
    let start = Instant::now();
    let mut chance = Chance(7);
    let (mut hits, mut decided, mut audited) = (BTreeSet::new(), BTreeSet::new(), 0);
    let mut looks = 0;
    for cut in 0..=cuts {
        let mut machine = Command::new(vm.join("boot.sh"))
            .arg(cut.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut promised = Promised::default();
        let (mut kept, mut known) = (BTreeSet::new(), BTreeSet::new());
        let (send, lines) = std::sync::mpsc::channel();
        let out = machine.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut log = Vec::new();
        let mut cut_at: Option<Instant> = None;
        let promises = chance.below(30);
        let deadline = Instant::now() + Duration::from_secs(600);
        let mut looked = false;
        loop {
            let now = Instant::now();
            if cut_at.is_some_and(|at| now >= at) || (cut == cuts && looked) {
                break;
            }
            assert!(now < deadline, "cut {cut}: the machine does not come up: {log:#?}");
            let until = cut_at.unwrap_or(deadline).saturating_duration_since(now);
            let Ok(line) = lines.recv_timeout(until.min(Duration::from_millis(200))) else {
                assert!(
                    machine.try_wait().unwrap().is_none(),
                    "cut {cut}: the machine ended by itself: {log:#?}"
                );
                continue;
            };
            match line.split_once(' ') {
                Some(("kept", id)) => _ = kept.insert(id.to_owned()),
                Some(("known", id)) => _ = known.insert(id.to_owned()),
                Some(("looked", verdict)) => {
                    assert!(verdict.starts_with("ok "), "cut {cut}: {verdict}");
                    let records: u64 = verdict.rsplit(' ').next().unwrap().parse().unwrap();
                    assert!(
                        records >= audited,
                        "cut {cut}: audit ends at {records}, not {audited}"
                    );
                    looked = true;
                }
                _ => promised.take(&line),
            }
            log.push(line);
            let worked = promised.audited.saturating_sub(audited) >= promises;
            if promised.up && worked && cut_at.is_none() {
                cut_at = Some(Instant::now() + Duration::from_millis(chance.below(400)));
            }
        }
        // The plug.
        machine.kill().unwrap();
        machine.wait().unwrap();
        for line in lines.try_iter() {
            promised.take(&line);
        }
        drop(lines);
        reader.join().unwrap();
        // What the machine found of all that earlier lives had promised.
        looks += usize::from(looked);
        assert!(looked, "cut {cut}: nobody looked at the disk: {log:#?}");
        let (h, d) = (lost(&hits, &kept), lost(&decided, &known));
        assert!(h.is_empty() && d.is_empty(), "after cut {cut}: lost {h:?} {d:?}");
        hits.extend(promised.hits);
        decided.extend(promised.decided);
        audited = audited.max(promised.audited);
        eprintln!(
            "cut {} of {cuts}: {} hits promised so far, {} kept, {:.0} s",
            cut + 1,
            hits.len(),
            kept.len(),
            start.elapsed().as_secs_f32()
        );
    }
    eprintln!(
        "{cuts} power cuts in {:.0} s: {} hits, {} dispositions, {audited} audit records promised, \
         all there and the chain unbroken at each of {looks} looks",
        start.elapsed().as_secs_f32(),
        hits.len(),
        decided.len()
    );
}
