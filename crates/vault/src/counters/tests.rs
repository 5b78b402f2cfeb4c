use std::time::Duration;

use ulid::Ulid;

use super::report::Report;
use super::*;
use crate::audit::{Actor, AuditEvent};
use crate::camera_id::CameraId;
use crate::clock::{Clock as _, SimulatedClock};
use crate::config::Vehicle;
use crate::health::Health;

struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
}

impl Car {
    fn new() -> Self {
        let clock = SimulatedClock::starting_at("2026-11-23T23:59:00Z".parse().unwrap());
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(clock) }
    }
    fn keeping(&self) -> KeepingConfig {
        KeepingConfig { directory: self.dir.path().join("state"), ..KeepingConfig::default() }
    }
    fn counters(&self) -> Counters {
        Counters::open(&self.keeping()).unwrap()
    }
    fn audit(&self) -> Audit {
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        Audit::open(&self.keeping(), &vehicle, self.clock.clone(), Arc::default()).unwrap()
    }
    fn hit(&self, n: u128) -> Ulid {
        Ulid::from_parts(self.clock.now().wall.as_millisecond() as u64, n)
    }
    fn recorded(&self, hit: Ulid, category: &str) -> AuditEvent {
        AuditEvent::HitRecorded {
            hit,
            camera: "front".into(),
            list: "cpic".into(),
            list_version: "7".into(),
            list_age_s: 50_000,
            category: category.into(),
            exact: true,
            covert: false,
        }
    }
}

fn all(counters: &Counters) -> Vec<DayReport> {
    counters.days("2020-01-01".parse().unwrap(), "2040-01-01".parse().unwrap()).unwrap()
}

#[test]
fn what_cameras_saw_is_added_once_and_on_its_day() {
    let car = Car::new();
    let (counters, health) = (car.counters(), Health::default());
    let front = health.camera(&CameraId::new("front"));
    front.reads.many(3);
    let live = |counters: &Counters| {
        counters.live(car.clock.now().wall, &health.snapshot(), &[]).unwrap();
    };
    live(&counters);
    live(&counters);
    car.clock.advance(Duration::from_secs(120));
    front.reads.many(2);
    live(&counters);
    let days = all(&counters);
    let reads: Vec<_> =
        days.iter().map(|d| (d.day.to_string(), d.cameras["front"]["reads"])).collect();
    assert_eq!(reads, [("2026-11-23".to_owned(), 3), ("2026-11-24".to_owned(), 2)]);
    assert_eq!(days[0].revision, 1, "nothing new is no change");
}

#[test]
fn decision_of_the_next_day_counts_with_its_hit_and_a_changed_one_moves() {
    let car = Car::new();
    let (counters, audit) = (car.counters(), car.audit());
    let (a, b) = (car.hit(1), car.hit(2));
    for hit in [a, b] {
        audit.append(Actor::System, car.recorded(hit, "stolen_vehicle")).unwrap();
    }
    car.clock.advance(Duration::from_secs(3_600));
    let decided = |hit, old: &str, new: &str| {
        let event = AuditEvent::Disposition {
            hit,
            old: old.into(),
            new: new.into(),
            why: None,
            operator: None,
        };
        audit.append(Actor::Officer("1".into()), event).unwrap();
    };
    decided(a, "unverified", "confirmed");
    decided(b, "unverified", "confirmed");
    decided(b, "confirmed", "misread");
    assert_eq!(counters.count(&audit).unwrap(), 5);
    assert_eq!(counters.count(&audit).unwrap(), 0);
    let days = all(&counters);
    assert_eq!(days.len(), 1);
    let (front, whole) = (&days[0].cameras["front"], &days[0].car);
    assert_eq!((front["hits"], front["hits/stolen_vehicle"], front["hits_exact"]), (2, 2, 2));
    assert_eq!(front["list_age_at_hit/12h_to_24h"], 2);
    assert_eq!((whole["disposition/confirmed"], whole["disposition/misread"]), (1, 1));
}

#[test]
fn day_is_sent_when_it_is_over_and_again_when_it_changes() {
    let car = Car::new();
    let (counters, audit) = (car.counters(), car.audit());
    let hit = car.hit(1);
    audit.append(Actor::System, car.recorded(hit, "amber")).unwrap();
    counters.count(&audit).unwrap();
    assert!(counters.unsent(car.clock.now().wall, 10).unwrap().is_empty());
    car.clock.advance(Duration::from_secs(3_600));
    let due = counters.unsent(car.clock.now().wall, 10).unwrap();
    assert_eq!(due.len(), 1);
    counters.acknowledged(due[0].day, due[0].revision).unwrap();
    assert!(counters.unsent(car.clock.now().wall, 10).unwrap().is_empty());
    let event = AuditEvent::Outcome { hit, old: String::new(), new: "arrest".into() };
    audit.append(Actor::Officer("1".into()), event).unwrap();
    counters.count(&audit).unwrap();
    assert_eq!(counters.unsent(car.clock.now().wall, 10).unwrap()[0].car["outcome/arrest"], 1);
}

#[test]
fn log_begun_anew_is_counted_from_its_beginning() {
    let car = Car::new();
    let counters = car.counters();
    {
        let audit = car.audit();
        audit.append(Actor::System, AuditEvent::GpsLost).unwrap();
        assert_eq!(counters.count(&audit).unwrap(), 1);
    }
    for file in ["audit.db", "audit.db-wal", "audit.db-shm"] {
        let _ = std::fs::remove_file(car.keeping().directory.join(file));
    }
    car.clock.advance(Duration::from_secs(1));
    let audit = car.audit();
    audit.append(Actor::System, AuditEvent::GpsLost).unwrap();
    assert_eq!(counters.count(&audit).unwrap(), 1);
    assert_eq!(all(&counters)[0].car["gps_losses"], 2);
}

/// Four cameras, every day for a year; five are five times as much.
#[test]
fn older_log_put_back_is_noticed_by_what_was_counted() {
    let car = Car::new();
    let counters = car.counters();
    let write = |n: u128| {
        let audit = car.audit();
        audit.append(Actor::System, car.recorded(car.hit(n), "stolen_vehicle")).unwrap();
        counters.count(&audit)
    };
    write(1).unwrap();
    let (log, aside) = (car.keeping().directory.join("audit.db"), car.dir.path().join("aside"));
    std::fs::copy(&log, &aside).unwrap();
    write(2).unwrap();
    write(3).unwrap();
    for wal in ["audit.db-wal", "audit.db-shm"] {
        let _ = std::fs::remove_file(car.keeping().directory.join(wal));
    }
    std::fs::copy(&aside, &log).unwrap();
    let error = counters.count(&car.audit()).unwrap_err();
    assert!(matches!(error, CountersError::Cut { counted: 3, last: 1 }), "{error}");
}

#[test]
fn five_years_fit_into_a_few_megabytes() {
    let car = Car::new();
    let counters = car.counters();
    let mut adds = Vec::new();
    for day in 20_000..20_000 + 366 {
        for camera in ["front", "left", "right", "rear"] {
            for what in [
                "reads",
                "reads_revised",
                "unread_small",
                "unread_illegible",
                "unread_blurred",
                "unread_dark",
                "unread_covered",
                "unread_glare",
                "unread_implausible",
                "unread_unsure",
                "unread_brief",
                "interruptions",
                "hits",
                "hits_exact",
                "hits/stolen_vehicle",
                "hits/stolen_plate",
                "list_age_at_hit/under_12h",
            ] {
                adds.push(Add { day, camera: camera.into(), what: what.into(), n: 1_000 + day });
            }
        }
        for what in [
            "non_hits",
            "starts",
            "stops",
            "lists_served",
            "purged_buckets",
            "purged_reads",
            "disposition/confirmed",
            "disposition/misread",
            "outcome/arrest",
            "queries",
            "queries/stolen_vehicle",
            "hotplates_added",
            "seconds_on",
            "seconds_not_reading",
        ] {
            adds.push(Add { day, camera: String::new(), what: what.into(), n: day });
        }
    }
    {
        let mut state = counters.lock();
        counters.transact(&mut state, |tx| add(tx, &adds)).unwrap();
    }
    let path = counters.path().to_owned();
    drop(counters);
    let bytes = std::fs::metadata(path).unwrap().len();
    eprintln!("a year of {} counts takes {} KiB", adds.len(), bytes / 1024);
    assert!(5 * bytes < 4 << 20, "{bytes} bytes a year");
}

fn day(date: &str, hits: u64, reads: u64) -> DayReport {
    let mut report = DayReport { day: date.parse().unwrap(), revision: 1, ..DayReport::default() };
    let front = report.cameras.entry("front".into()).or_default();
    front.insert("reads".into(), reads);
    front.insert("hits".into(), hits);
    front.insert("hits/stolen_vehicle".into(), hits);
    report.car.insert("disposition/misread".into(), 1);
    report.car.insert("outcome/arrest".into(), 1);
    report.car.insert("queries".into(), 2);
    report.car.insert("queries/investigation".into(), 2);
    report.car.insert("hotplates_added".into(), 1);
    report
}

fn sample() -> Report {
    let days = [
        ("4127", day("2025-11-02", 10, 20_000)),
        ("4127", day("2026-11-02", 15, 30_000)),
        ("4128", day("2026-11-03", 5, 10_000)),
        ("4127", day("2026-10-09", 8, 9_000)),
    ];
    let days = days.into_iter().map(|(v, d)| (v.to_owned(), d)).collect();
    Report::of("peel", "2026-10-01".parse().unwrap(), "2026-11-30".parse().unwrap(), days)
}

#[test]
fn report_has_the_seven_and_compares_with_the_year_before() {
    let report = sample();
    assert_eq!(report.vehicles, 2);
    assert_eq!(report.total.hotplate_hits, 28);
    assert_eq!(report.total.dispositions["unreviewed"], 25);
    assert_eq!(report.months[1].hits_change_percent, Some(100.0));
    assert_eq!(report.months[0].hits_change_percent, None);
    insta::assert_snapshot!("report_json", report.json());
    insta::assert_snapshot!("report_csv", report.csv());
}

#[test]
fn same_day_sent_twice_counts_once_in_its_latest_state() {
    let (old, mut new) = (day("2026-11-02", 1, 10), day("2026-11-02", 2, 20));
    new.revision = 2;
    let days = vec![("4127".to_owned(), new), ("4127".to_owned(), old)];
    let date = "2026-11-02".parse().unwrap();
    let report = Report::of("peel", date, date, days);
    assert_eq!((report.total.hotplate_hits, report.total.detections), (2, 20));
}

#[test]
fn page_needs_nothing_from_elsewhere_and_escapes_what_lists_say() {
    let mut bad = day("2026-11-02", 1, 1);
    bad.cameras.entry("front".into()).or_default().insert("hits/<script>".into(), 1);
    let date = "2026-11-02".parse().unwrap();
    let page = Report::of("a<b", date, date, vec![("1".into(), bad)]).html();
    assert!(
        !page.contains("<script") && page.contains("&lt;script&gt;") && page.contains("a&lt;b")
    );
    for fetches in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(fetches), "{fetches}");
    }
}

#[test]
fn covert_hits_are_counted_apart_and_no_report_in_the_car_tells_of_them() {
    let car = Car::new();
    let (counters, audit, health) = (car.counters(), car.audit(), Health::default());
    for n in 0..3 {
        let mut event = car.recorded(car.hit(n), "watched_person");
        if let AuditEvent::HitRecorded { covert, list, .. } = &mut event {
            (*covert, *list) = (n > 0, "quietly".into());
        }
        audit.note(Actor::System, event);
    }
    let front = health.camera(&CameraId::new("front"));
    front.reads.many(10);
    health.non_hits.many(7);
    counters.live(car.clock.now().wall, &health.snapshot(), &[]).unwrap();
    counters.count(&audit).unwrap();
    let days = all(&counters);
    assert_eq!(days[0].cameras["front"]["hits_covert"], 2, "the fleet is told");
    assert_eq!(days[0].cameras["front"]["hits"], 1);
    let shown: Vec<_> = days.into_iter().map(|day| ("4127".to_owned(), day.shown())).collect();
    assert!(!format!("{shown:?}").contains("covert") && !format!("{shown:?}").contains("non_hits"));
    let (from, to) = ("2020-01-01".parse().unwrap(), "2040-01-01".parse().unwrap());
    let report = Report::of("peel", from, to, shown);
    assert_eq!(report.total.hotplate_hits, 1);
    assert_eq!(report.total.hits_by_type, [("watched_person".to_owned(), 1)].into());
}
