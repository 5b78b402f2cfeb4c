use std::sync::atomic::{AtomicBool, Ordering};

use super::past::*;
use super::*;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Retention, Vehicle};
use crate::entry::{HOTPLATES, Matching, Priority};
use crate::health::Health;
use crate::hotlist::{Builder, Entry, Hotlists, ListStamp};
use crate::policy::Rules;

const HOUR: Duration = Duration::from_secs(3_600);

struct Car {
    _dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    hotlists: Arc<Hotlists>,
    audit: Audit,
    past: PastReads,
    searched: Arc<Mutex<Vec<usize>>>,
    busy: Arc<AtomicBool>,
}

/// A car whose ring has one read of every plate, an hour old by half.
fn car() -> Car {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T08:00:00Z".parse().unwrap()));
    let keeping = KeepingConfig {
        directory: dir.path().join("state"),
        non_hit: Retention::For(HOUR),
        ..KeepingConfig::default()
    };
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let health = Arc::new(Health::default());
    let audit = Audit::open(&keeping, &vehicle, clock.clone(), health).unwrap();
    let hotlists = Arc::new(Hotlists::default());
    let (searched, busy): (Arc<Mutex<Vec<usize>>>, Arc<AtomicBool>) = Default::default();
    let (asked, refuses) = (searched.clone(), busy.clone());
    let seen = clock.now().wall - SignedDuration::from_mins(30);
    let search: SearchMany = Arc::new(move |permit: &Permit| {
        let keys = permit.keys();
        if refuses.load(Ordering::Relaxed) {
            return Err("the ring is busy".into());
        }
        asked.lock().unwrap().push(keys.len());
        let sighting =
            || Sighting::new(ulid::Ulid(1), seen, "left".into(), 0.97, Some((43.7, -79.6)));
        Ok(keys.iter().map(|key| (*key, sighting())).collect())
    });
    let version = Box::new(|| Some(7));
    let past =
        PastReads::new(hotlists.clone(), search, audit.clone(), clock.clone(), keeping, version);
    Car { _dir: dir, clock, hotlists, audit, past, searched, busy }
}

fn granted() -> Rules {
    serde_json::from_str(r#"{"lookups":{"past_reads":true}}"#).unwrap()
}

impl Car {
    fn serve(&self, list: &str, version: u32, plates: &[String]) {
        self.serve_as(list, version, plates, |entry| entry);
    }

    fn serve_as(&self, list: &str, version: u32, plates: &[String], as_: fn(Entry) -> Entry) {
        let mut builder = Builder::default();
        for (line, plate) in (1..).zip(plates) {
            let entry =
                Entry::plain(Plate::parse(plate).unwrap(), "stolen_vehicle", Priority::High);
            builder.push(line, &as_(entry)).unwrap();
        }
        let version = version.to_string().into();
        let stamp = ListStamp { name: list.into(), version, source_time: self.clock.now().wall };
        let (list, _) = builder.finish(stamp, Matching::Exact, (HOUR, HOUR));
        self.hotlists.put(list);
    }

    fn records(&self) -> Vec<AuditEvent> {
        self.audit.recent(1_000).unwrap().into_iter().map(|record| record.event).collect()
    }
}

fn plates(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("NEW{n:04}")).collect()
}

#[test]
fn nothing_is_compared_unless_a_policy_says_so() {
    let car = car();
    car.serve("stolen", 1, &plates(1));
    for rules in [None, Some(Rules::default())] {
        if let Some(rules) = rules {
            car.past.obey(&rules);
        }
        car.past.step();
        car.serve("stolen", 2, &plates(2));
        car.past.step();
    }
    assert!(car.records().is_empty() && car.past.found().is_empty());
    assert!(car.searched.lock().unwrap().is_empty());
}

#[test]
fn new_entry_is_looked_up_once_on_record_and_told_with_its_age() {
    let car = car();
    car.past.obey(&granted());
    car.serve("stolen", 1, &plates(3));
    car.past.step();
    assert!(car.records().is_empty(), "what serves when the grant comes is no news");
    car.serve("stolen", 2, &plates(4));
    (0..3).for_each(|_| car.past.step());
    // The same again, and one less.
    car.serve("stolen", 3, &plates(4));
    car.past.step();
    car.serve("stolen", 4, &plates(2));
    car.past.step();
    let [AuditEvent::LookUp { target, reason, case, scope, results: 1 }] = &car.records()[..]
    else {
        panic!("{:?}", car.records());
    };
    assert_eq!((target.len(), reason.as_str()), (16, REASON));
    assert_eq!(case, "policy version 7");
    assert_eq!(scope, "new entry of list stolen version 2");
    assert_eq!(car.audit.recent(1).unwrap()[0].who, crate::audit::Actor::System);
    let found = car.past.found();
    assert_eq!((found.len(), found[0].plate.as_str()), (1, "NEW0003"));
    assert_eq!(car.clock.now().wall.duration_since(found[0].seen), SignedDuration::from_mins(30));
    assert!(!format!("{found:?}").contains("NEW0003"));
}

#[test]
fn finding_goes_when_the_read_goes_and_when_the_grant_goes() {
    let car = car();
    let find = |n: usize| {
        car.serve("stolen", n as u32, &plates(n));
        car.past.step();
    };
    car.past.obey(&granted());
    find(1);
    find(2);
    assert_eq!(car.past.found().len(), 1);
    car.past.obey(&Rules::default());
    assert!(car.past.found().is_empty());
    find(3);
    car.past.obey(&granted());
    find(4);
    assert_eq!((car.past.found().len(), car.records().len()), (1, 2), "since the grant came anew");
    // The read was half an hour old, and one hour is what it may get.
    car.clock.advance(HOUR / 2 - Duration::from_secs(1));
    assert_eq!(car.past.found().len(), 1);
    car.clock.advance(Duration::from_secs(1));
    assert!(car.past.found().is_empty());
}

#[test]
fn narrower_retention_ends_comparing() {
    let car = car();
    car.past.obey(&granted());
    car.serve("stolen", 1, &plates(1));
    car.past.step();
    let nothing = r#"{"keeping":{"non_hit":"0s"},"lookups":{"past_reads":true}}"#;
    car.past.obey(&serde_json::from_str(nothing).unwrap());
    car.serve("stolen", 2, &plates(2));
    car.past.step();
    assert!(car.records().is_empty());
}

#[test]
fn crowd_is_compared_up_to_a_limit_and_what_is_left_out_is_on_record() {
    let car = car();
    car.past.obey(&granted());
    car.serve("stolen", 1, &plates(1));
    car.past.step();
    car.serve("stolen", 2, &plates(31));
    car.past.step();
    let count = |car: &Car| {
        let records = car.records();
        let refused = records.iter().filter(|e| matches!(e, AuditEvent::LookUpRefused { .. }));
        (records.iter().filter(|e| matches!(e, AuditEvent::LookUp { .. })).count(), refused.count())
    };
    assert_eq!(count(&car), (16, 1));
    assert_eq!(*car.searched.lock().unwrap(), [16], "in one pass");
    let AuditEvent::LookUpRefused { why, .. } = &car.records()[0] else { panic!("first") };
    assert_eq!(why, "14 new entries are too many: at most 16 are compared in ten minutes");
    car.serve("stolen", 3, &plates(32));
    car.past.step();
    assert_eq!(count(&car), (16, 2), "none is left for these ten minutes");
    car.clock.advance(Duration::from_secs(600));
    car.serve("stolen", 4, &plates(33));
    car.past.step();
    assert_eq!(count(&car), (17, 2));
    car.serve("stolen", 5, &plates(1_100));
    car.past.step();
    assert_eq!(count(&car), (17, 3), "an update of the source is no news of a plate");
}

#[test]
fn covert_entries_first_versions_and_hotplates_are_not_compared() {
    let car = car();
    car.past.obey(&granted());
    car.serve("stolen", 1, &plates(1));
    car.past.step();
    car.serve("amber", 1, &plates(5));
    car.past.step();
    car.serve_as("amber", 2, &plates(6), |entry| Entry { covert: true, ..entry });
    car.past.step();
    assert!(car.records().is_empty());
    // Adding a hotplate is no look-up, the first as little as one beside others.
    for n in 1..5 {
        car.serve(HOTPLATES, n, &plates(n as usize));
        car.past.step();
    }
    assert!(car.records().is_empty() && car.past.found().is_empty());
    assert!(car.searched.lock().unwrap().is_empty(), "the ring was searched");
    // And the guard itself gives none for them.
    let grant = super::permit::Grant::of(&granted()).unwrap();
    let key = Plate::parse("NEW0001").unwrap().key();
    let permit = grant.permit([(HOTPLATES, key), ("stolen", key)].into_iter().take(1));
    assert!(permit.keys().is_empty());
}

#[test]
fn what_cannot_be_searched_or_written_down_is_not_shown() {
    let car = car();
    car.past.obey(&granted());
    car.serve("stolen", 1, &plates(1));
    car.past.step();
    car.busy.store(true, Ordering::Relaxed);
    car.serve("stolen", 2, &plates(2));
    car.past.step();
    assert!(
        matches!(&car.records()[..], [AuditEvent::LookUpRefused { why, .. }] if why.contains("busy"))
    );
    car.busy.store(false, Ordering::Relaxed);
    car.audit.fill_disk_for_tests(true);
    let mut shown = 0;
    for n in 3..40 {
        car.clock.advance(Duration::from_secs(60));
        car.serve("stolen", n, &plates(n as usize));
        car.past.step();
        shown = car.past.found().len();
    }
    car.audit.fill_disk_for_tests(false);
    let recorded = car.records().iter().filter(|e| matches!(e, AuditEvent::LookUp { .. })).count();
    assert!(recorded < 37 && shown <= recorded, "{shown} shown, {recorded} on record");
}
