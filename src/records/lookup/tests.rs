use std::collections::BTreeSet;

use ulid::Ulid;

use super::*;
use crate::audit::Actor;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Vehicle};
use crate::health::Health;
use crate::hits::testing_hit as hit;
use crate::plate::PlateKey;

struct Car {
    _dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    lookups: LookUps,
    searches: Arc<Mutex<Vec<PlateKey>>>,
}

fn car(keeps: bool) -> Car {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T08:00:00Z".parse().unwrap()));
    let keeping = KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let health = Arc::new(Health::default());
    let audit = Audit::open(&keeping, &vehicle, clock.clone(), health.clone()).unwrap();
    let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), health).unwrap();
    let searches = Arc::new(Mutex::new(Vec::new()));
    let asked = searches.clone();
    let reads: SearchReads = Arc::new(move |permit| {
        asked.lock().unwrap().extend(permit.keys());
        Ok(vec![Sighting::new(Ulid(1), permit.since(), "left".into(), 0.97, Some((43.7, -79.6)))])
    });
    let lookups = LookUps {
        audit,
        outbox,
        reads: keeps.then_some(reads),
        permissions: Arc::new(|who: Who| who.usual()),
        clock: clock.clone(),
        recent: Recent::default(),
    };
    Car { _dir: dir, clock, lookups, searches }
}

fn officer() -> SignedIn {
    SignedIn::for_tests("1234", Who::Officer)
}

fn request() -> Request {
    Request {
        plate: "HIT 0001".into(),
        officer: String::new(),
        role: None,
        reason: "stolen_vehicle".into(),
        case: "26-00417".into(),
        since: None,
    }
}

impl Car {
    fn last(&self) -> crate::audit::Record {
        self.lookups.audit.recent(1).unwrap().remove(0)
    }
}

#[test]
fn hits_and_kept_reads_are_found_and_the_record_holds_no_plate() {
    let car = car(true);
    car.lookups.outbox.record(&hit(1)).unwrap();
    car.lookups.outbox.record(&hit(2)).unwrap();
    let found = car.lookups.ask(&officer(), &request()).unwrap();
    assert_eq!((found.hits.len(), found.reads.len()), (1, 1));
    assert_eq!(found.hits[0].hit, hit(1).id().to_string());
    let record = car.last();
    assert_eq!(record.who, Actor::Officer("1234".into()));
    assert!(
        matches!(&record.event, AuditEvent::LookUp { results: 2, target, .. } if target.len() == 16)
    );
    assert!(!serde_json::to_string(&record).unwrap().contains("HIT"));
}

#[test]
fn car_that_keeps_nothing_says_that_there_is_nothing_to_search() {
    let found = car(false).lookups.ask(&officer(), &request()).unwrap();
    assert!(found.reads.is_empty() && found.searched.contains("nothing to search"));
}

#[test]
fn nothing_is_searched_for_who_gives_no_grounds_and_the_attempt_is_on_record() {
    let car = car(true);
    let bad: [(&str, Request); 5] = [
        ("reason", Request { reason: "curious".into(), ..request() }),
        ("case", Request { case: "n/a".into(), ..request() }),
        ("case that is the plate", Request { case: "HIT-0001".into(), ..request() }),
        ("part of a plate", Request { plate: "HIT*".into(), ..request() }),
        ("nothing", Request { plate: "".into(), ..request() }),
    ];
    for (what, request) in bad {
        car.lookups.ask(&officer(), &request).unwrap_err();
        assert!(matches!(car.last().event, AuditEvent::LookUpRefused { .. }), "{what}");
    }
    assert!(car.searches.lock().unwrap().is_empty());
}

#[test]
fn across_days_takes_a_supervisor() {
    let car = car(true);
    let since = Some(car.clock.now().wall - SignedDuration::from_hours(48));
    let error = car.lookups.ask(&officer(), &Request { since, ..request() }).unwrap_err();
    assert!(error.to_string().contains("officer may not look plates up across days"), "{error}");
    let supervisor = SignedIn::for_tests("1234", Who::Supervisor);
    let request = Request { since, ..request() };
    assert_eq!(car.lookups.ask(&supervisor, &request).unwrap().reads.len(), 1);
    assert_eq!(car.last().who, Actor::Supervisor("1234".into()));
}

#[test]
fn seventh_look_up_within_ten_minutes_is_refused_and_setting_the_clock_does_not_help() {
    let car = car(true);
    for _ in 0..MOST_PER_PERSON {
        car.lookups.ask(&officer(), &request()).unwrap();
    }
    car.clock.set_wall("2026-11-24T08:00:00Z".parse().unwrap());
    assert!(matches!(car.lookups.ask(&officer(), &request()), Err(LookUpError::Rate { .. })));
    car.clock.advance(PER);
    car.lookups.ask(&officer(), &request()).unwrap();
}

#[test]
fn what_cannot_be_written_down_is_not_shown() {
    let car = car(true);
    car.lookups.audit.fill_disk_for_tests(true);
    let mut unaudited = 0;
    for n in 0..60 {
        car.clock.advance(PER);
        let who = SignedIn::for_tests(&format!("{}", 5_000 + n), Who::Officer);
        match car.lookups.ask(&who, &request()) {
            Err(LookUpError::Unaudited(_)) => unaudited += 1,
            Err(e) => panic!("{e}"),
            Ok(_) => assert_eq!(unaudited, 0, "shown without a record"),
        }
    }
    assert!(unaudited > 0);
    car.lookups.audit.fill_disk_for_tests(false);
    car.clock.advance(PER);
    car.lookups.ask(&officer(), &request()).unwrap();
}

#[test]
fn policy_that_takes_look_ups_away_is_obeyed() {
    let mut car = car(true);
    car.lookups.permissions = Arc::new(|_| BTreeSet::new());
    assert!(matches!(car.lookups.ask(&officer(), &request()), Err(LookUpError::Role { .. })));
}

#[test]
fn what_is_no_code_and_no_case_is_not_on_record_either() {
    let car = car(true);
    for request in [
        Request { reason: "CKSV841".into(), ..request() },
        Request { case: "CKSV841".into(), ..request() },
        Request { case: "John Smith 26-00417".into(), ..request() },
    ] {
        car.lookups.ask(&officer(), &request).unwrap_err();
        let record = car.last();
        let AuditEvent::LookUpRefused { reason, case, why, .. } = &record.event else {
            panic!("{record:?}")
        };
        for text in [reason, case, why] {
            assert!(!text.contains("CKSV841") && !text.contains("Smith"), "{record:?}");
        }
    }
}
