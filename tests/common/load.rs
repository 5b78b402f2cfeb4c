//! A car that writes as fast as it can, to be killed at it; and a look at what it left.
//!
//! Hits, their dispositions, acknowledgements, pictures that expire, reads into a ring whose
//! buckets live for seconds, a hotlist file that is swapped all the time.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outrider::audit::{Actor, Audit, AuditEvent, Record};
use outrider::clock::{Clock, SystemClock};
use outrider::config::{
    HotlistConfig, HumanDuration, KeepingConfig, Retention, UplinkConfig, Vehicle,
};
use outrider::counters::Counters;
use outrider::health::Health;
use outrider::hits::Outbox;
use outrider::hotlist::Watch;
use outrider::onboard::store::Ring;
use outrider::uplink::memory::MemoryBroker;
use outrider::uplink::{Notices, Parts, Uplink, spawn_with};
use outrider::wire::{DispositionReport, DispositionStep, Names};

use super::car;

/// How long the ring keeps a read here. No configuration allows so little.
pub const RETENTION: Duration = Duration::from_secs(3);

pub fn vehicle() -> Vehicle {
    Vehicle { id: "4127".into(), agency: "peel".into() }
}

pub fn keeping(folder: &Path) -> KeepingConfig {
    KeepingConfig {
        thumbnails: true,
        hit_images: HumanDuration::from_millis(200),
        ..car::keeping(folder, Retention::For(RETENTION))
    }
}

fn outbox(folder: &Path) -> (Outbox, Arc<Health>) {
    let health = Arc::new(Health::default());
    let clock = Arc::new(SystemClock);
    let outbox = Outbox::open(&keeping(folder), &vehicle(), clock, health.clone()).unwrap();
    (outbox, health)
}

fn audit(folder: &Path) -> Audit {
    let clock = Arc::new(SystemClock);
    Audit::open(&keeping(folder), &vehicle(), clock, Arc::default()).unwrap()
}

fn uplink(outbox: &Outbox, health: &Arc<Health>, broker: MemoryBroker) -> Uplink {
    let parts = Parts {
        outbox: outbox.clone(),
        vehicle: vehicle(),
        non_hit: Retention::For(RETENTION),
        notices: Notices::default(),
        names: Names::default(),
        hotlists: Arc::default(),
        clock: Arc::new(SystemClock),
        health: health.clone(),
    };
    spawn_with(broker, &UplinkConfig::default(), parts)
}

/// Works until it is killed. Says `recorded ULID` once a hit is promised to be on the disk,
/// `decided ULID ULID` for a disposition, `audited N` for a record of the audit log. `pause` between hits spares a slow machine.
pub fn work(folder: &Path, seed: u64, pause: Duration) -> ! {
    let (outbox, health) = outbox(folder);
    let uplink = uplink(&outbox, &health, MemoryBroker::default());
    let audit = audit(folder);
    let (counters, counted) = (Counters::open(&keeping(folder)).unwrap(), audit.clone());
    std::thread::spawn(move || {
        loop {
            counters.count(&counted).unwrap();
            std::thread::sleep(Duration::from_millis(3));
        }
    });
    let swapped = folder.to_owned();
    std::thread::spawn(move || swap_lists(&swapped));
    let tidied = outbox.clone();
    std::thread::spawn(move || {
        loop {
            tidied.forget_old().unwrap();
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    println!("\nup");
    for drive in 0.. {
        // Every other vehicle is listed; the rest goes into the ring.
        let plates: Vec<String> =
            (0..1_000).map(|n| format!("{:03}{:01}N{n:03}", seed % 1_000, drive % 10)).collect();
        let listed: Vec<String> = plates.iter().step_by(2).cloned().collect();
        let (onboard, hits) = car::drive(&plates, &listed, &keeping(folder), &health);
        for (n, hit) in hits.iter().enumerate() {
            let id = outbox.record(&hit).unwrap().id;
            println!("recorded {id}");
            let event = AuditEvent::HitRecorded {
                hit: id,
                camera: "front".into(),
                list: "swapped".into(),
                list_version: "1".into(),
                list_age_s: 60,
                category: "stolen_vehicle".into(),
                exact: true,
                covert: false,
            };
            println!("audited {}", audit.append(Actor::System, event).unwrap());
            if n % 8 == 0 {
                audit.checkpoint().unwrap();
            }
            if n % 3 == 0 {
                let step = DispositionStep::ConfirmedBySight;
                let at = SystemClock.now().wall;
                let report = DispositionReport::new(
                    &vehicle(),
                    id,
                    at,
                    &outrider::sessions::SignedIn::for_tests(
                        "badge 881",
                        outrider::policy::Who::Officer,
                    ),
                    step,
                    None,
                );
                outbox.decide(&report).unwrap();
                println!("decided {id} {}", report.id);
            }
            std::thread::sleep(pause);
        }
        onboard.stop(Duration::from_secs(10)).unwrap();
    }
    uplink.stop(Duration::from_secs(1));
    std::process::exit(0)
}

/// Replaces a list file and has it read, over and over.
fn swap_lists(folder: &Path) {
    let path = folder.join("list.txt");
    let text =
        |n: u32| (0..200).map(|i| format!("LST{:04}\n", (n + i) % 9_999)).collect::<String>();
    std::fs::write(&path, text(0)).unwrap();
    let config: HotlistConfig =
        toml::from_str(&format!("name = \"swapped\"\npath = {:?}", path.display().to_string()))
            .unwrap();
    let health = Arc::new(Health::default());
    let mut watch = Watch::new(vec![config], Arc::new(SystemClock), health);
    let service = watch.service();
    for n in 1.. {
        let aside = folder.join("list.new");
        std::fs::write(&aside, text(n)).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        watch.step();
        watch.step();
        assert!(service.lists().iter().all(|list| !list.is_empty()));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What is on the disk after a death.
pub struct Left {
    pub hits: BTreeSet<String>,
    pub decided: BTreeSet<String>,
    /// Number of the audit's last record.
    pub audited: u64,
}

/// Opens every store as a start does, and looks whether each promise was kept. What is wrong is an
/// error in words.
pub fn look(folder: &Path, thoroughly: bool) -> Result<Left, String> {
    let health = Arc::new(Health::default());
    let keeping = keeping(folder);
    let ring = Ring::open(&keeping, Arc::new(SystemClock), health.clone())
        .map_err(|e| format!("the ring does not open: {e}"))?;
    if let Some(state) = health.state("ring")
        && state != outrider::health::PartState::Working
    {
        return Err(format!("the ring is {state:?}"));
    }
    overdue(&keeping.directory.join("ring"))?;
    drop(ring);
    let (outbox, health) = outbox(folder);
    if health.state("hits") != Some(outrider::health::PartState::Working) {
        return Err(format!("hits are {:?}", health.state("hits")));
    }
    if thoroughly {
        outbox.verify().map_err(|e| e.to_string())?;
    }
    let recent = outbox.recent(usize::MAX).map_err(|e| e.to_string())?;
    let hits: BTreeSet<String> = recent.iter().map(|h| h.id.to_string()).collect();
    if hits.len() != recent.len() {
        return Err(format!("{} hits under {} names", recent.len(), hits.len()));
    }
    let mut decided = BTreeSet::new();
    for hit in &recent {
        let reports = outbox.dispositions(hit.id).map_err(|e| e.to_string())?;
        decided.extend(reports.into_iter().map(|r| r.id));
    }
    // A log that nobody has written into yet has no chain to verify.
    let audit = audit(folder);
    let audited = match audit.recent(1).map_err(|e| e.to_string())?.is_empty() {
        true => 0,
        false => audit.verify(None).map_err(|e| e.to_string())?.records,
    };
    counted(&keeping, &audit)?;
    Ok(Left { hits, decided, audited })
}

/// Whether what is counted is what the audit log holds, nothing twice and nothing left out.
fn counted(keeping: &KeepingConfig, audit: &Audit) -> Result<(), String> {
    let records = audit.since(0, i64::MAX as u64).map_err(|e| e.to_string())?;
    let hits = |r: &&Record| matches!(r.event, AuditEvent::HitRecorded { .. });
    let due = records.iter().filter(hits).count() as u64;
    let counters = Counters::open(keeping).map_err(|e| e.to_string())?;
    counters.count(audit).map_err(|e| e.to_string())?;
    let (from, to) = ("2020-01-01".parse().unwrap(), "2100-01-01".parse().unwrap());
    let days = counters.days(from, to).map_err(|e| e.to_string())?;
    let front = days.iter().filter_map(|d| d.cameras.get("front")?.get("hits"));
    match front.sum::<u64>() {
        n if n == due => Ok(()),
        n => Err(format!("{n} hits counted, {due} in the audit log")),
    }
}

/// A bucket whose key was made longer ago than its retention is one too many.
fn overdue(ring: &Path) -> Result<(), String> {
    let Ok(files) = std::fs::read_dir(ring) else { return Ok(()) };
    for file in files.map_while(Result::ok) {
        let made = file.metadata().and_then(|m| m.modified());
        let age = made.ok().and_then(|m| SystemTime::now().duration_since(m).ok());
        let key = file.path().extension().is_some_and(|e| e == "key");
        if let Some(age) = age
            && key
            && age > RETENTION
        {
            return Err(format!("{} is {age:?} old after a start", file.path().display()));
        }
    }
    Ok(())
}

/// Delivers what waits, and looks whether each hit has arrived or had been acknowledged before,
/// always with the same bytes.
pub fn deliver(folder: &Path) -> Result<usize, String> {
    let (outbox, health) = outbox(folder);
    let waiting: BTreeSet<String> = outbox
        .recent(usize::MAX)
        .map_err(|e| e.to_string())?
        .iter()
        .filter(|h| h.delivery != outrider::hits::Delivery::Acknowledged)
        .map(|h| h.id.to_string())
        .collect();
    let broker = MemoryBroker::default();
    let uplink = uplink(&outbox, &health, broker.clone());
    super::until("everything is acknowledged", || {
        let queue = outbox.queue().unwrap();
        queue.hits + queue.images + queue.dispositions == 0
    });
    uplink.stop(Duration::from_secs(5));
    let arrived: BTreeSet<String> =
        broker.received().iter().filter_map(|m| super::mosquitto::hit_of(m.topic())).collect();
    match waiting.difference(&arrived).next() {
        None => Ok(arrived.len()),
        Some(lost) => Err(format!("hit {lost} waited and never arrived")),
    }
}
