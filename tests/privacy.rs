//! Only hits leave the vehicle: a whole daemon drives past dozens of vehicles, and every byte that
//! a real broker, a console's reader or the disk got is searched for those that are on no list.
//! And what was alerted is there after kill -9.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::mosquitto::{Mosquitto, Setup};
use common::page::{self, Heard};
use common::running::Silent;
use common::{car, until, within};
use outrider::alert::console::PageAddress;
use outrider::camera_id::CameraId;
use outrider::clock::SystemClock;
use outrider::config::{Config, Vehicle};
use outrider::daemon::{Daemon, SeamCamera, Seams};
use outrider::health::Health;
use outrider::hits::Outbox;

/// A configuration that uses this folder, this broker, and a list of these plates.
fn config(folder: &Path, port: u16, listed: &[String], non_hit: &str) -> Config {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("list.txt"), listed.join("\n")).unwrap();
    let dir = folder.display();
    let text = format!(
        r#"
        [vehicle]
        id = "4127"
        agency = "peel"
        [gps]
        source = "off"
        [[hotlist]]
        name = "test"
        path = "{dir}/list.txt"
        [keeping]
        directory = "{dir}/state"
        non_hit = "{non_hit}"
        thumbnails = true
        disk_reserve = "0B"
        [uplink]
        broker = "mqtt://127.0.0.1:{port}"
        health_every = "5s"
        retry_most = "1s"
        [console]
        listen = "127.0.0.1:0"
        "#
    );
    Config::parse(&text, Path::new("test.toml")).unwrap()
}

fn seams(plates: &[String], pace: Duration) -> Seams {
    let (open, reader) = car::camera(plates, pace);
    Seams {
        cameras: Some(vec![SeamCamera { id: CameraId::new("front"), open, reader: Some(reader) }]),
        annunciator: Some(Box::new(Silent)),
        ..Seams::default()
    }
}

/// Takes down what the console sends from now on, once it sends.
fn listen(console: &PageAddress) -> Heard {
    let heard = Heard::default();
    page::listen(console, &heard);
    until("the console answers", || !heard.lock().unwrap().is_empty());
    heard
}

/// The disguises in which a plate might hide.
fn disguises(plate: &str) -> Vec<Vec<u8>> {
    let clear = plate.as_bytes();
    let mut all = vec![
        clear.to_vec(),
        clear.iter().rev().copied().collect(),
        plate.to_lowercase().into_bytes(),
        plate.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        plate.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        data_encoding::HEXLOWER.encode(clear).into_bytes(),
        data_encoding::HEXUPPER.encode(clear).into_bytes(),
    ];
    for skip in 0..3 {
        let whole = &clear[skip..skip + (clear.len() - skip) / 3 * 3];
        all.push(data_encoding::BASE64.encode(whole).into_bytes());
    }
    all
}

/// Which of the plates are in any of the texts, and where.
fn search(plates: &[String], texts: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let mut found = Vec::new();
    for (place, bytes) in texts {
        for plate in plates {
            let there =
                |needle: &Vec<u8>| bytes.windows(needle.len()).any(|w| w == needle.as_slice());
            if disguises(plate).iter().any(there) {
                found.push(format!("{plate} in {place}"));
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

/// Plates that passed, and everything that anything got, by where it was.
struct Collected {
    strangers: Vec<String>,
    listed: Vec<String>,
    texts: BTreeMap<String, Vec<u8>>,
}

/// Drives past 60 vehicles, 5 of them listed; returns everything that anything got.
fn drive_and_collect(non_hit: &str) -> Option<Collected> {
    let dir = tempfile::tempdir().unwrap();
    // Eight characters with a pattern that chance does not make: what is found was put there.
    let passing: Vec<String> = (0..60).map(|n| format!("ZK{n:02}QXJ{}", n % 10)).collect();
    let listed: Vec<String> = passing.iter().step_by(12).cloned().collect();
    let strangers: Vec<String> = passing.iter().filter(|p| !listed.contains(p)).cloned().collect();
    assert!(strangers.len() >= 40);

    let setup = Setup { persistent: true, ..Setup::default() };
    let mut broker = Mosquitto::start(&dir.path().join("broker"), setup)?;
    let subscriber = broker.subscriber(None);
    subscriber.ready(&broker);
    let folder = dir.path().join("car");
    let config = config(&folder, broker.port(), &listed, non_hit);
    let daemon = Daemon::start(config, seams(&passing, Duration::from_millis(1))).unwrap();
    let console = daemon.console().unwrap().clone();
    let heard = listen(&console);
    assert!(daemon.wait_for_end(Duration::from_secs(60)), "the drive ends");
    until("hits are alerted", || daemon.health().alerted.get() == 5);
    let health = daemon.health().clone();
    until("hits are delivered", || health.delivered.get() == 5);
    until("hits arrived", || subscriber.hits().len() >= 5);
    until("health arrived", || {
        subscriber.received().iter().any(|(topic, _)| topic.ends_with("/health"))
    });
    let mut texts = BTreeMap::new();
    let id = &subscriber.hits()[0];
    for path in ["/", "/console.js", &format!("/hit/{id}/plate.jpg")] {
        texts.insert(format!("console {path}"), page::get(&console, path));
    }
    let last = daemon.stop();
    assert_eq!((last.hits, last.non_hits), (5, 55), "every vehicle was read");
    texts.insert("console /events".into(), heard.lock().unwrap().clone());
    // The broker writes down what it keeps.
    broker.stop();
    for (n, (topic, payload)) in subscriber.received().into_iter().enumerate() {
        texts.insert(format!("mqtt {n} {topic}"), [topic.as_bytes(), b" ", &payload].concat());
    }
    for file in files(dir.path()) {
        // The list is where the installer put it, in clear.
        if file != folder.join("list.txt") {
            texts.insert(file.display().to_string(), std::fs::read(&file).unwrap());
        }
    }
    Some(Collected { strangers, listed, texts })
}

#[test]
fn only_hits_leave_and_nothing_else_can_be_read_from_the_disk() {
    for non_hit in ["0s", "session", "1h"] {
        let Some(Collected { strangers, listed, texts }) = drive_and_collect(non_hit) else {
            return;
        };
        let bytes: usize = texts.values().map(Vec::len).sum();
        eprintln!("non_hit = {non_hit:?}: {bytes} bytes in {} texts searched", texts.len());
        assert_eq!(search(&strangers, &texts), Vec::<String>::new(), "non_hit = {non_hit:?}");

        // The control: the same search finds every hit in what the broker got, and no hit on disk.
        let found = search(&listed, &texts);
        for plate in &listed {
            let arrived = |f: &String| f.starts_with(&format!("{plate} in mqtt"));
            assert!(found.iter().any(arrived), "{plate} is in no message: {found:?}");
        }
        let on_disk: Vec<_> = found.iter().filter(|f| f.contains("/car/")).collect();
        assert!(on_disk.is_empty(), "{on_disk:?}");

        let ring = texts.keys().filter(|place| place.contains("/car/state/ring/")).count();
        assert_eq!(ring > 0, non_hit == "1h", "files of the ring with non_hit = {non_hit:?}");
    }
}

/// The daemon that is killed. Runs only when the test below starts it.
#[test]
fn child_that_drives() {
    let Some(folder) = std::env::var_os("OUTRIDER_TEST_CHILD") else { return };
    let port = std::env::var("OUTRIDER_TEST_PORT").unwrap().parse().unwrap();
    let round: usize = std::env::var("OUTRIDER_TEST_ROUND").unwrap().parse().unwrap();
    let plates = round_plates(round);
    let config = config(Path::new(&folder), port, &plates, "1h");
    // Some fifty vehicles a second.
    let daemon = Daemon::start(config, seams(&plates, Duration::from_micros(1_200))).unwrap();
    println!("\nconsole {}", daemon.console().unwrap());
    daemon.wait_for_end(Duration::from_secs(600));
    std::thread::sleep(Duration::from_secs(600));
}

fn round_plates(round: usize) -> Vec<String> {
    (0..2_000).map(|n| format!("R{round:02}N{n:04}")).collect()
}

/// The hits that a console's reader heard of.
fn told(events: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(events);
    let ids = text.split("\"id\":\"").skip(1);
    let ulid = |id: &&str| id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    ids.filter_map(|rest| rest.get(..26)).filter(ulid).map(str::to_owned).collect()
}

#[test]
fn killed_during_a_drive_every_alerted_hit_is_there_and_arrives() {
    const ROUNDS: usize = 6;
    let dir = tempfile::tempdir().unwrap();
    let setup = Setup { persistent: true, ..Setup::default() };
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    let subscriber = broker.subscriber(Some("fleet"));
    subscriber.ready(&broker);
    let folder = dir.path().join("car");
    let mut alerted = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_drives", "--nocapture"])
            .env("OUTRIDER_TEST_CHILD", &folder)
            .env("OUTRIDER_TEST_PORT", broker.port().to_string())
            .env("OUTRIDER_TEST_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let console = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| {
                line.strip_prefix("console ").map(|a| a.parse::<PageAddress>().unwrap())
            })
            .expect("the child says where its console is");
        let heard = listen(&console);
        // What the page had told a second before the kill has to be on the disk.
        let before = told(&heard.lock().unwrap()).len();
        until("hits are told", || told(&heard.lock().unwrap()).len() > before + 10);
        let due = told(&heard.lock().unwrap());
        let then = Instant::now();
        let pause = Duration::from_millis(1_000 + 37 * round as u64);
        within(Duration::from_secs(5), "a second passes", || then.elapsed() >= pause);
        child.kill().unwrap();
        child.wait().unwrap();
        alerted.extend(due);
    }

    // A start without cameras' help: what is on the disk is delivered.
    let config = config(&folder, broker.port(), &[], "1h");
    let health = Arc::new(Health::default());
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let clock = Arc::new(SystemClock);
    let kept: BTreeSet<String> = {
        let outbox = Outbox::open(&config.keeping, &vehicle, clock, health).unwrap();
        outbox.recent(usize::MAX).unwrap().iter().map(|h| h.id.to_string()).collect()
    };
    let lost: Vec<_> = alerted.difference(&kept).collect();
    assert!(lost.is_empty(), "{} of {} lost: {lost:?}", lost.len(), alerted.len());
    let daemon = Daemon::start(config, seams(&[], Duration::ZERO)).unwrap();
    within(Duration::from_secs(60), "all arrived", || {
        let arrived: BTreeSet<String> = subscriber.hits().into_iter().collect();
        arrived == kept
    });
    daemon.stop();
    eprintln!(
        "{ROUNDS} kills: {} hits told a second before one, {} kept, {} arrivals of them",
        alerted.len(),
        kept.len(),
        subscriber.hits().len()
    );
}
