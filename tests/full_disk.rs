//! Runs on a disk that is full, read-only or fails: alerts go on, hits are kept first, health says what is
//! lost, and the daemon recovers by itself when the disk works again.
//!
//! The tests use real file systems of a few megabytes: a tmpfs, and ext4 on a loop device whose own storage
//! runs out, which the file system sees as an input/output error. They need root, and say so where they are skipped.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::mosquitto::{Mosquitto, Setup, Subscriber};
use common::{car, skipped, within};
use outrider::clock::SystemClock;
use outrider::config::{KeepingConfig, Retention, UplinkConfig, Vehicle};
use outrider::health::{Health, PartState};
use outrider::hits::Outbox;
use outrider::uplink::{Notices, Parts, Uplink, spawn};
use outrider::wire::Names;

/// A mounted file system; gone with its owner.
struct Mounted(PathBuf);

impl Mounted {
    fn tmpfs(at: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=700"), "tmpfs"], at)
    }

    fn remount(&self, how: &str) {
        assert!(run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.0)));
    }

    /// Fills it to the last byte.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        let mut block = vec![0x55; 1 << 16];
        while !block.is_empty() {
            if std::io::Write::write_all(&mut file, &block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
        filler
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

fn mount(args: &[&str], at: &Path) -> Option<Mounted> {
    if run(Command::new("mount").args(args).arg(at)) {
        return Some(Mounted(at.to_owned()));
    }
    skipped("a bad disk", "no file system can be mounted here: run as root");
    None
}

/// Storage and pipeline of a car.
struct Car {
    keeping: KeepingConfig,
    health: Arc<Health>,
    outbox: Outbox,
    uplink: Option<Uplink>,
    alerted: BTreeSet<String>,
}

impl Car {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &UplinkConfig::default())
    }

    fn start_with(folder: &Path, broker: &UplinkConfig) -> Self {
        let keeping = KeepingConfig {
            thumbnails: true,
            disk_reserve: "4MiB".parse().unwrap(),
            ..car::keeping(folder, Retention::For(Duration::from_secs(3_600)))
        };
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let health = Arc::new(Health::default());
        let clock = Arc::new(SystemClock);
        let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), health.clone()).unwrap();
        let parts = Parts {
            outbox: outbox.clone(),
            vehicle,
            non_hit: keeping.non_hit,
            notices: Notices::default(),
            names: Names::default(),
            hotlists: Arc::default(),
            clock,
            health: health.clone(),
        };
        let uplink = Some(spawn(broker, parts).unwrap());
        Self { keeping, health, outbox, uplink, alerted: BTreeSet::new() }
    }

    /// Drives past so many vehicles, every third listed, with the ring as it is; every hit comes out,
    /// whatever the disk does. Then the ring is closed.
    fn drive(&mut self, from: usize, vehicles: usize) {
        let plates: Vec<String> = (from..from + vehicles).map(|n| format!("DSK{n:04}")).collect();
        let listed: Vec<String> = plates.iter().step_by(3).cloned().collect();
        let (onboard, hits) = car::drive(&plates, &listed, &self.keeping, &self.health);
        let mut told = 0;
        for hit in hits {
            self.alerted.insert(hit.id().to_string());
            told += 1;
            let _ = self.outbox.record(&hit);
        }
        onboard.stop(Duration::from_secs(30)).unwrap();
        assert_eq!(told, listed.len(), "every alert goes out");
    }

    fn kept(&self) -> BTreeSet<String> {
        let recent = self.outbox.recent(usize::MAX).unwrap();
        recent.iter().map(|h| h.id.to_string()).collect()
    }

    fn said(&self, part: &str) -> String {
        match self.health.state(part) {
            Some(PartState::Down(why) | PartState::Impaired(why)) => why,
            other => format!("{other:?}"),
        }
    }

    /// Without anybody's help.
    fn until_all_is_kept(&self) {
        within(Duration::from_secs(30), "every alerted hit is on the disk", || {
            self.outbox.queue().is_ok_and(|q| q.not_on_disk == 0) && self.kept() == self.alerted
        });
        within(Duration::from_secs(30), "health says that hits are well", || {
            self.health.state("hits") == Some(PartState::Working)
        });
        assert_eq!(self.health.hits_lost.get(), 0);
    }
}

impl Drop for Car {
    fn drop(&mut self) {
        if let Some(uplink) = self.uplink.take() {
            uplink.stop(Duration::from_secs(10));
        }
    }
}

#[test]
fn full_disk_keeps_hits_first_and_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::tmpfs(&dir.path().join("disk"), 24) else { return };
    let mut car = Car::start(&disk.0);
    car.drive(0, 30);
    assert_eq!(car.health.state("ring"), Some(PartState::Working));
    assert!(car.health.ring_written.get() > 0);
    let filler = disk.fill();
    let before = car.kept().len();

    // There is room for some hits that nothing else can take.
    car.drive(100, 60);
    assert_eq!(
        car.kept(),
        car.alerted,
        "all on the disk although it is full: {}",
        car.said("hits")
    );
    assert!(car.said("ring").contains("disk nearly full"), "{}", car.said("ring"));
    assert!(car.health.ring_dropped.get() > 0, "what the ring did not take is counted");
    within(Duration::from_secs(5), "health says that the disk is full", || {
        car.said("hits").contains("disk full: hits go into the room kept for them")
    });

    // Until that is used up, too: then hits wait in memory, and health says how many.
    let mut at = 1_000;
    while car.outbox.queue().unwrap().not_on_disk == 0 {
        car.drive(at, 150);
        at += 150;
        assert!(at < 20_000, "the disk never fills");
    }
    let waiting = car.outbox.queue().unwrap().not_on_disk;
    assert!(car.said("hits").contains(&format!("{waiting} hit")), "{}", car.said("hits"));
    assert!(
        car.said("hits").contains("in memory only: no room on the disk"),
        "{}",
        car.said("hits")
    );
    let on_disk = car.kept().len() - before;
    assert!(on_disk >= 40, "{on_disk} hits fitted on the full disk");

    std::fs::remove_file(filler).unwrap();
    car.until_all_is_kept();
    car.drive(30_000, 9);
    assert_eq!(car.health.state("ring"), Some(PartState::Working));
    eprintln!(
        "full disk: {on_disk} hits fitted, {waiting} waited in memory, all {} are on the disk",
        car.kept().len()
    );
}

#[test]
fn read_only_disk_is_no_reason_not_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::tmpfs(&dir.path().join("disk"), 24) else { return };
    // A car that has been driven before, and one that has not.
    for before in [true, false] {
        let folder = disk.0.join(before.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        if before {
            Car::start(&folder).drive(0, 6);
        }
        disk.remount("ro");
        let mut car = Car::start(&folder);
        car.drive(100, 12);
        assert!(car.said("hits").starts_with("4 hits are in memory only"), "{}", car.said("hits"));
        assert!(car.said("ring").contains("not kept"), "{}", car.said("ring"));
        let earlier: BTreeSet<String> = match before {
            true => BTreeSet::from_iter(car.kept_once(&disk)),
            false => {
                disk.remount("rw");
                BTreeSet::new()
            }
        };
        car.alerted.extend(earlier);
        car.until_all_is_kept();
        car.drive(200, 6);
        assert_eq!(car.health.state("ring"), Some(PartState::Working));
    }
}

impl Car {
    /// Makes the disk writable, waits for the hits to open, and takes down what was there before.
    fn kept_once(&self, disk: &Mounted) -> Vec<String> {
        disk.remount("rw");
        within(Duration::from_secs(30), "hits.db opens", || self.outbox.recent(1).is_ok());
        self.kept().into_iter().filter(|id| !self.alerted.contains(id)).collect()
    }
}

#[test]
fn disk_with_errors_is_said_and_used_again_once_it_works() {
    let dir = tempfile::tempdir().unwrap();
    // The disk's own storage is smaller than it says.
    let Some(storage) = Mounted::tmpfs(&dir.path().join("storage"), 12) else { return };
    let image = storage.0.join("image");
    std::fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    // Without a journal: one that fails makes the whole file system read-only, which is another test.
    let made = Command::new("/sbin/mke2fs")
        .args(["-q", "-F", "-t", "ext4", "-O", "^has_journal"])
        .arg(&image)
        .status();
    if !made.is_ok_and(|s| s.success()) {
        return skipped("a disk with errors", "mke2fs is missing");
    }
    let at = dir.path().join("disk");
    std::fs::create_dir_all(&at).unwrap();
    let Some(disk) = mount(&["-o", "loop", &image.display().to_string()], &at) else { return };
    let mut car = Car::start(&disk.0);
    car.drive(0, 30);
    assert_eq!(car.kept(), car.alerted);
    let filler = storage.fill();

    let mut from = 1_000;
    while !car.said("hits").contains("in memory only") {
        car.drive(from, 60);
        from += 60;
        assert!(from < 20_000, "the disk never fails: {}", car.said("hits"));
    }
    eprintln!("disk with errors: {}", car.said("hits"));
    std::fs::remove_file(filler).unwrap();
    car.until_all_is_kept();
    car.outbox.verify().unwrap();
    let keeping = car.keeping.clone();
    let alerted = car.alerted.clone();
    drop(car);
    // And all of it is really there: another process would see it.
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let again = Outbox::open(&keeping, &vehicle, Arc::new(SystemClock), Arc::default()).unwrap();
    let kept: BTreeSet<String> =
        again.recent(usize::MAX).unwrap().iter().map(|h| h.id.to_string()).collect();
    assert_eq!(kept, alerted);
}

/// Messages about hits that a broker's subscriber got, each topic with how often.
fn times(subscriber: &Subscriber) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for (topic, _) in subscriber.received() {
        if topic.contains("/hit/") {
            *times.entry(topic).or_default() += 1;
        }
    }
    times
}

#[test]
fn waiting_hit_on_a_full_disk_is_sent_once_and_delivered_for_good_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = Mounted::tmpfs(&dir.path().join("disk"), 24) else { return };
    let setup = Setup { persistent: true, ..Setup::default() };
    let Some(mut broker) = Mosquitto::start(&dir.path().join("broker"), setup) else { return };
    // It keeps for the subscriber what comes while that is away.
    let subscriber = broker.subscriber(Some("watch"));
    subscriber.ready(&broker);
    let uplink = broker.uplink();
    // Hits wait: the broker is away. Then the disk is full, and the broker is back.
    broker.stop();
    drop(subscriber);
    let mut car = Car::start_with(&disk.0, &uplink);
    car.drive(0, 9);
    assert_eq!(car.outbox.queue().unwrap().hits, 3);
    let filler = disk.fill();
    // The room that is kept for hits is gone, too.
    let _ = std::fs::remove_file(disk.0.join("state/hits.reserve"));
    let rest = disk.0.join("rest");
    let mut file = std::fs::File::create(&rest).unwrap();
    let mut block = vec![0x55; 4_096];
    while !block.is_empty() {
        if std::io::Write::write_all(&mut file, &block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
    drop(file);
    broker.restart();
    let subscriber = broker.subscriber(Some("watch"));
    let all = "three hits with their pictures";
    within(Duration::from_secs(30), all, || times(&subscriber).len() == 6);
    std::thread::sleep(Duration::from_secs(3));
    let sent = times(&subscriber);
    assert!(sent.values().all(|n| *n == 1), "{sent:?}");
    assert_ne!(car.health.state("hits"), Some(PartState::Working), "health tells");
    std::fs::remove_file(filler).unwrap();
    std::fs::remove_file(rest).unwrap();
    within(Duration::from_secs(30), "it is written down that all were delivered", || {
        car.outbox.queue().is_ok_and(|q| q.hits + q.images == 0)
    });
    within(Duration::from_secs(30), "health says that hits are well", || {
        car.health.state("hits") == Some(PartState::Working)
    });
    assert_eq!(car.health.delivered.get(), 3);
    assert!(times(&subscriber).values().all(|n| *n == 1), "{:?}", times(&subscriber));
}
