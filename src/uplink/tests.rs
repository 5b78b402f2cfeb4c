//! The uplink as a whole: outbox, loop and wire, against the broker in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant as StdInstant;

use jiff::Timestamp;

use super::memory::MemoryBroker;
use super::*;
use crate::audit::{Actor, Audit, AuditEvent};
use crate::camera_id::CameraId;
use crate::clock::{ClockReport, SimulatedClock, SystemClock, TimeSource};
use crate::config::KeepingConfig;
use crate::health::{ModelFate, Snapshot};
use crate::hits::{Delivery, testing_deliver};
use crate::keys::Protection;
use crate::wire::{self, HealthReport, HitReport, QueueReport, StateWord};

pub(crate) fn vehicle() -> Vehicle {
    Vehicle { id: "4127".into(), agency: "peel".into() }
}

pub(crate) use crate::hits::testing_hit as hit;

fn keeping(dir: &Path) -> KeepingConfig {
    KeepingConfig { directory: dir.join("state"), ..KeepingConfig::default() }
}

fn outbox(dir: &Path, health: &Arc<Health>) -> Outbox {
    Outbox::open(&keeping(dir), &vehicle(), Arc::new(SystemClock), health.clone()).unwrap()
}

fn parts(outbox: &Outbox, health: &Arc<Health>) -> Parts {
    Parts {
        outbox: outbox.clone(),
        vehicle: vehicle(),
        non_hit: Retention::Nothing,
        notices: Notices::default(),
        names: Names { cameras: vec![CameraId::new("front")], key_protection: None },
        hotlists: Arc::default(),
        clock: Arc::new(SystemClock),
        health: health.clone(),
    }
}

#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = StdInstant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Topics of what the broker accepted about hits, without their common beginning.
fn hit_topics(broker: &MemoryBroker) -> Vec<String> {
    let messages = broker.received();
    let topics = messages.iter().map(|m| m.topic().to_owned());
    topics.filter_map(|t| t.split_once("/hit/").map(|(_, rest)| rest.to_owned())).collect()
}

#[test]
fn hits_delivered_before_go_in_time_where_no_broker_is_configured_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap()));
    clock.advance(Duration::from_secs(60));
    let keeping = keeping(dir.path());
    let outbox = Outbox::open(&keeping, &vehicle(), clock.clone(), Arc::default()).unwrap();
    outbox.record(&hit(1)).unwrap();
    assert_eq!(testing_deliver(&outbox).len(), 2, "the text and the plate's picture");
    clock.advance(keeping.hits.get() + Duration::from_secs(1));
    let health = Arc::default();
    let uplink = spawn(&UplinkConfig::default(), parts(&outbox, &health)).unwrap();
    until("the hit is deleted", || outbox.recent(9).unwrap().is_empty());
    assert!(uplink.stop(Duration::from_secs(10)));
}

#[test]
fn every_field_of_a_disposition_that_leaves() {
    let at = "2026-11-23T07:00:00Z".parse().unwrap();
    let (step, outcome) = (wire::DispositionStep::Outcome, Some(wire::StopOutcome::NoStop));
    let mut report = wire::DispositionReport::new(
        &vehicle(),
        hit(1).id(),
        at,
        &crate::sessions::SignedIn::for_tests("badge 881", crate::policy::Who::Officer),
        step,
        outcome,
    );
    // No one step has both; the snapshot shows every field.
    report.why = Some(wire::TakenBackWhy::LookedAgain);
    report.dispatch = Some(wire::DispatchReport { operator: "27".into(), at });
    let text = wire::DispositionText::of(&report);
    let message = Message::new(&vehicle(), Outbound::Disposition(text));
    let topic = format!("alpr/v1/peel/vehicle/4127/hit/{}/disposition", hit(1).id());
    assert_eq!((message.topic(), message.retained()), (topic.as_str(), false));
    let mut json: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    assert_eq!(json["id"], report.ulid().to_string());
    json["id"] = "drawn anew each time".into();
    insta::assert_snapshot!("disposition", serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn every_field_of_a_head_of_the_audit_log_that_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap());
    let audit =
        Audit::open(&keeping(dir.path()), &vehicle(), Arc::new(clock), Arc::default()).unwrap();
    audit.append(Actor::Officer("badge 881".into()), AuditEvent::GpsLost).unwrap();
    let sealed = audit.checkpoint().unwrap().unwrap();
    let message = Message::new(&vehicle(), Outbound::Checkpoint(sealed));
    assert_eq!(message.topic(), "alpr/v1/peel/vehicle/4127/audit/checkpoint");
    assert!(message.retained());
    let envelope: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    let parts: Vec<&String> = envelope.as_object().unwrap().keys().collect();
    assert_eq!(parts, ["payload", "payloadType", "signatures"]);
    let envelope = crate::dsse::Envelope::parse(message.payload()).unwrap();
    let mut json: serde_json::Value =
        serde_json::from_slice(envelope.unverified_payload()).unwrap();
    for digest in ["chain", "head"] {
        assert_eq!(json[digest].as_str().map(str::len), Some(64), "{digest}");
        json[digest] = "a SHA-256".into();
    }
    let text = serde_json::to_string_pretty(&json).unwrap();
    assert!(!text.contains("881"), "no record leaves: {text}");
    insta::assert_snapshot!("checkpoint", text);
}

#[test]
fn every_field_of_a_hit_that_leaves() {
    let report = HitReport::of(&hit(1), &vehicle(), Protection::KeyFile, b"jpeg bytes");
    let message = Message::new(&vehicle(), Outbound::Hit(wire::HitText::of(&report)));
    assert_eq!(message.topic(), format!("alpr/v1/peel/vehicle/4127/hit/{}", hit(1).id()));
    assert!(!message.retained());
    let json: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    insta::assert_snapshot!("hit", serde_json::to_string_pretty(&json).unwrap());
    let text = String::from_utf8(message.payload().to_vec()).unwrap();
    for stays in ["armed and dangerous", "silver Honda", "13.9"] {
        assert!(!text.contains(stays), "{stays} stays in the car");
    }
}

#[test]
fn no_fix_is_said() {
    let report = HitReport::of(&hit(1), &vehicle(), Protection::KeyFile, b"");
    let json = serde_json::to_value(HitReport { position: wire::PositionReport::None, ..report });
    let json = json.unwrap();
    assert_eq!(json["position"], serde_json::json!({"fix": "none"}));
    assert_eq!(json["images"], serde_json::json!([]));
}

#[test]
fn every_field_of_the_status_and_the_last_will() {
    let promise = Promise { non_hit: Retention::Session, protection: Protection::KeyFile };
    let since = "2026-11-23T07:00:00Z".parse().unwrap();
    let came = Some((29, ModelFate::Refused));
    let standing = ModelStanding { kind: "ocr", in_force: Some(23), came };
    let report = StatusReport {
        software: "1.2.3",
        models: vec![standing.into()],
        ..StatusReport::new(true, since, &promise, acks())
    };
    let message = Message::new(&vehicle(), Outbound::Status(report));
    assert_eq!(message.topic(), "alpr/v1/peel/vehicle/4127/status");
    assert!(message.retained());
    let json: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    insta::assert_snapshot!("status", serde_json::to_string_pretty(&json).unwrap());
}

#[test]
fn head_of_the_audit_log_goes_out_retained_and_again_after_every_loss() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let parts = parts(&outbox(dir.path(), &health), &health);
    let notices = parts.notices.clone();
    let audit = crate::audit::Audit::open(
        &keeping(dir.path()),
        &vehicle(),
        Arc::new(SystemClock),
        health.clone(),
    )
    .unwrap();
    let event = || crate::audit::AuditEvent::GpsLost;
    audit.append(crate::audit::Actor::System, event()).unwrap();
    notices.checkpoint(audit.checkpoint().unwrap().unwrap());
    let broker = MemoryBroker::default();
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts);
    let heads = || {
        let received = broker.received();
        let heads = received.into_iter().filter(|m| m.topic().ends_with("/audit/checkpoint"));
        heads.collect::<Vec<_>>()
    };
    until("the head is there", || heads().len() == 1);
    let first = heads().remove(0);
    assert!(first.retained());
    assert_eq!(first.topic(), "alpr/v1/peel/vehicle/4127/audit/checkpoint");
    let envelope = crate::dsse::Envelope::parse(first.payload()).unwrap();
    let key = audit.public_key().unwrap();
    let head = crate::audit::Checkpoint::open(&envelope, &[key]).unwrap();
    assert_eq!((head.seq, head.vehicle.as_str()), (1, "4127"));
    audit.append(crate::audit::Actor::System, event()).unwrap();
    notices.checkpoint(audit.checkpoint().unwrap().unwrap());
    until("the next head follows", || heads().len() == 2);
    broker.behave(|b| b.reachable = false);
    until("it is noticed", || matches!(health.state("broker"), Some(PartState::Down(_))));
    broker.behave(|b| b.reachable = true);
    until("a new connection hears it again", || heads().len() == 3);
    assert!(uplink.stop(Duration::from_secs(5)));
}

/// Messages about hits that the broker got, each topic with how often.
fn times(broker: &MemoryBroker) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    hit_topics(broker).into_iter().for_each(|topic| *times.entry(topic).or_default() += 1);
    times
}

#[test]
fn acknowledgement_that_the_disk_does_not_take_sends_nothing_again() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    for n in 0..3 {
        outbox.record(&hit(n)).unwrap();
    }
    outbox.refuse_for_tests(true);
    let broker = MemoryBroker::default();
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    // Three texts, and their pictures after them, although the disk has not heard of the texts.
    until("all six arrive", || times(&broker).len() == 6);
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(times(&broker).values().all(|n| *n == 1), "{:?}", times(&broker));
    until("health tells", || !matches!(health.state("hits"), Some(PartState::Working)));
    // A new connection is no reason to send what was acknowledged on the last one.
    broker.behave(|b| b.reachable = false);
    until("it is noticed", || matches!(health.state("broker"), Some(PartState::Down(_))));
    broker.behave(|b| b.reachable = true);
    until("it is back", || broker.connections() == 2);
    std::thread::sleep(Duration::from_millis(500));
    assert!(times(&broker).values().all(|n| *n == 1), "{:?}", times(&broker));
    // Once the disk takes it, it is written down, and counted once.
    outbox.refuse_for_tests(false);
    until("all is written down", || outbox.queue().unwrap() == QueueReport::default());
    until("health is well", || health.state("hits") == Some(PartState::Working));
    assert_eq!(health.delivered.get(), 3);
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn what_was_under_way_when_the_line_broke_is_sent_again_though_the_disk_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    outbox.record(&hit(1)).unwrap();
    let broker = MemoryBroker::default();
    broker.behave(|b| b.acknowledges = false);
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    // The disk knows that the text was sent, and refuses from here on.
    until("the text is under way", || {
        outbox.recent(1).unwrap().first().is_some_and(|kept| kept.delivery == Delivery::Sent)
    });
    outbox.refuse_for_tests(true);
    broker.behave(|b| (b.reachable, b.acknowledges) = (false, true));
    until("it is noticed", || matches!(health.state("broker"), Some(PartState::Down(_))));
    broker.behave(|b| b.reachable = true);
    let text = hit(1).id().to_string();
    until("it is sent again", || times(&broker).get(&text) == Some(&2));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(times(&broker).get(&text), Some(&2), "and not more often");
    outbox.refuse_for_tests(false);
    until("all is written down", || outbox.queue().unwrap() == QueueReport::default());
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn every_field_of_a_days_counts_and_sent_until_acknowledged() {
    let mut day = crate::counters::DayReport {
        day: "2026-11-23".parse().unwrap(),
        revision: 3,
        ..crate::counters::DayReport::default()
    };
    day.car.insert("disposition/confirmed".into(), 2);
    day.cameras.entry("front".into()).or_default().insert("reads".into(), 1_204);
    let report = wire::StatsReport::of(&vehicle(), day);
    let message = Message::new(&vehicle(), Outbound::Stats(Box::new(report.clone())));
    assert_eq!(message.topic(), "alpr/v1/peel/vehicle/4127/stats/2026-11-23");
    assert!(!message.retained());
    let json: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    insta::assert_snapshot!("stats", serde_json::to_string_pretty(&json).unwrap());

    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let parts = parts(&outbox(dir.path(), &health), &health);
    let notices = parts.notices.clone();
    notices.stats(report);
    let broker = MemoryBroker::default();
    broker.behave(|b| b.acknowledges = false);
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts);
    let sent = || broker.received().iter().filter(|m| m.topic().contains("/stats/")).count();
    until("it is sent", || sent() == 1);
    assert!(notices.take_acknowledged().is_empty());
    broker.behave(|b| b.reachable = false);
    until("it is noticed", || matches!(health.state("broker"), Some(PartState::Down(_))));
    broker.behave(|b| (b.reachable, b.acknowledges) = (true, true));
    until("it is sent again and acknowledged", || {
        notices.take_acknowledged() == [("2026-11-23".parse().unwrap(), 3)]
    });
    assert_eq!(sent(), 2);
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn wiped_car_says_so_in_its_last_message() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let parts = parts(&outbox(dir.path(), &health), &health);
    let notices = parts.notices.clone();
    let broker = MemoryBroker::default();
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts);
    until("it is there", || broker.received().iter().any(|m| m.topic().ends_with("/status")));
    notices.wipe("2026-11-23T07:00:00Z".parse().unwrap());
    assert!(uplink.stop(Duration::from_secs(5)));
    let last = broker.received().pop().unwrap();
    let json: serde_json::Value = serde_json::from_slice(last.payload()).unwrap();
    assert_eq!((&json["online"], &json["wiped"]), (&false.into(), &"2026-11-23T07:00:00Z".into()));
    assert!(last.retained());
}

fn health_report(health: &Snapshot) -> HealthReport {
    let names = Names {
        cameras: vec![CameraId::new("front"), CameraId::new("rear")],
        key_protection: Some(Protection::KeyFile),
    };
    let queue = QueueReport { hits: 3, images: 4, dispositions: 5, set_aside: 1, not_on_disk: 2 };
    let at = "2026-11-23T07:00:00Z".parse().unwrap();
    HealthReport::of(health, &names, at, 3_600, LinkState::Live, queue, acks())
}

fn acks() -> Vec<HotlistAck> {
    let source_time = "2026-11-23T05:00:00Z".parse().unwrap();
    vec![HotlistAck { list: "cpic".into(), version: "17".into(), entries: 1_000, source_time }]
}

#[test]
fn every_field_of_health() {
    let health = Health::default();
    health.set("gps", PartState::Working);
    health.set("ring", PartState::Impaired("disk nearly full".into()));
    health.set("camera/front", PartState::Down("unplugged".into()));
    health.set("hotlist/cpic", PartState::Impaired("old".into()));
    let front = health.camera(&CameraId::new("front"));
    front.frames.many(9_000);
    front.unread_blurred.many(11);
    front.unread_dark.many(12);
    front.unread_covered.many(13);
    front.unread_glare.many(14);
    health.hits.one();
    health.set_page_certificate_days(Some(23));
    let report = health_report(&health.snapshot());
    let message = Message::new(&vehicle(), Outbound::Health(Box::new(report)));
    assert_eq!(message.topic(), "alpr/v1/peel/vehicle/4127/health");
    let json: serde_json::Value = serde_json::from_slice(message.payload()).unwrap();
    insta::assert_snapshot!("health", serde_json::to_string_pretty(&json).unwrap());
}

/// The types a field of health may have: none of them can hold text that a camera has seen.
/// A new field that does not fit breaks the compilation of this test.
#[test]
fn health_has_no_place_for_a_plate() {
    fn number<T: Copy + Into<u64>>(_: T) {}
    fn word(_: StateWord) {}
    let HealthReport {
        v,
        at,
        uptime_s,
        link,
        queue: QueueReport { hits: queued, images, dispositions, set_aside, not_on_disk },
        parts,
        hotlists_down,
        other_parts_down,
        hotlists,
        policy_version,
        clock,
        key_protection,
        page_certificate_days,
        cameras,
        hits,
        hits_quiet,
        hits_covert,
        non_hits,
        ring_written,
        ring_dropped,
        ring_purged,
        alerted,
        recorded,
        hits_lost,
        delivered,
    } = health_report(&Health::default().snapshot());
    let _: (u8, Timestamp, LinkState) = (v, at, link);
    let _: ([usize; 2], Option<u64>) = ([hotlists_down, other_parts_down], policy_version);
    let _: (Option<Protection>, Option<i64>) = (key_protection, page_certificate_days);
    let _: Option<(TimeSource, bool, Option<i64>)> =
        clock.map(|ClockReport { source, disputed, offset_ms }| (source, disputed, offset_ms));
    for n in
        [uptime_s, hits, hits_quiet, hits_covert, non_hits, ring_written, ring_dropped, ring_purged]
    {
        number(n);
    }
    for n in [alerted, recorded, hits_lost, delivered] {
        number(n);
    }
    for n in [queued, images, dispositions, set_aside, not_on_disk] {
        number(n);
    }
    for wire::PartReport { part, state } in parts {
        let _: &'static str = part;
        word(state);
    }
    // A list's name is the configuration's; its version is of the list, not of a read.
    for HotlistAck { list, version, entries, source_time } in hotlists {
        let _: (String, String, Timestamp) = (list, version, source_time);
        number(entries);
    }
    // A camera's name is the configuration's: the next test tries another.
    for camera in cameras {
        word(camera.state);
    }
}

#[test]
fn plates_smuggled_into_health_stay_behind() {
    let health = Health::default();
    for part in ["gps", "ring", "XPLATE1", "camera/XPLATE1", "camera/front"] {
        health.set(part, PartState::Impaired("saw XPLATE1".into()));
    }
    health.camera(&CameraId::new("XPLATE1")).frames.one();
    health.camera(&CameraId::new("front")).frames.one();
    let report = health_report(&health.snapshot());
    assert_eq!(report.other_parts_down, 2);
    let message = Message::new(&vehicle(), Outbound::Health(Box::new(report)));
    let text = String::from_utf8(message.payload().to_vec()).unwrap();
    assert!(text.contains("front") && !text.contains("XPLATE1"), "{text}");
}

#[test]
fn debug_of_what_leaves_shows_no_plate() {
    let report = HitReport::of(&hit(1), &vehicle(), Protection::KeyFile, b"");
    let text = wire::HitText::of(&report);
    let out = Outbound::Hit(text.clone());
    let message = Message::new(&vehicle(), out.clone());
    let shown = format!("{report:?} {text:?} {out:?} {message:?}");
    assert!(!shown.contains("HIT0001"), "{shown}");
}

#[test]
fn hit_recorded_twice_is_recorded_once_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let first = outbox(dir.path(), &health);
    let recorded = first.record(&hit(1)).unwrap();
    first.record(&hit(2)).unwrap();
    assert_eq!(first.record(&hit(1)).unwrap(), recorded);
    drop(first);

    let again = outbox(dir.path(), &health);
    let recent = again.recent(10).unwrap();
    let plates: Vec<_> = recent.iter().map(|h| h.report.read.plate.as_str()).collect();
    assert_eq!(plates, ["HIT0002", "HIT0001"]);
    assert_eq!(recent[0].detail.reason, "armed and dangerous");
    assert_eq!(recent[0].delivery, Delivery::Waiting);
    assert_eq!(health.recorded.get(), 2);
    let jpeg = again.plate_jpeg(hit(1).id()).unwrap().unwrap();
    assert_eq!(jpeg.len(), recent[1].report.images[0].bytes);
    assert_eq!(again.plate_jpeg(hit(9).id()).unwrap(), None);
}

#[test]
fn hits_are_delivered_with_their_pictures_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    let broker = MemoryBroker::default();
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    for n in 0..5 {
        outbox.record(&hit(n)).unwrap();
    }
    until("all acknowledged", || outbox.queue().unwrap() == QueueReport::default());
    let sent = hit_topics(&broker);
    for n in 0..5 {
        let id = hit(n).id().to_string();
        let at = |topic: String| sent.iter().position(|t| *t == topic).expect("delivered");
        assert!(at(id.clone()) < at(format!("{id}/plate.jpg")), "text before picture");
    }
    let texts: Vec<_> = sent.iter().filter(|t| !t.contains('/')).cloned().collect();
    assert_eq!(texts, (0..5).map(|n| hit(n).id().to_string()).collect::<Vec<_>>());
    assert_eq!(health.delivered.get(), 5);
    assert_eq!(health.state("broker"), Some(PartState::Working));
    assert_eq!(outbox.recent(1).unwrap()[0].delivery, Delivery::Acknowledged);
    // What arrived is what was recorded, and the picture is the one whose digest the hit names.
    let received = broker.received();
    let payload = |end: String| {
        received.iter().find(|m| m.topic().ends_with(&end)).unwrap().payload().to_vec()
    };
    let report = HitReport::parse(&payload(format!("/hit/{}", hit(3).id()))).unwrap();
    let jpeg = payload(format!("{}/plate.jpg", hit(3).id()));
    let digest: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &jpeg,
    ))
    .into();
    assert_eq!(report.images[0].sha256, data_encoding::HEXLOWER.encode(&digest));
    assert!(uplink.stop(Duration::from_secs(5)));
    let last = broker.received().pop().unwrap();
    assert!(last.topic().ends_with("/status"));
    assert!(String::from_utf8(last.payload().to_vec()).unwrap().contains("\"online\":false"));
}

#[test]
fn days_offline_then_everything_arrives_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    let broker = MemoryBroker::default();
    broker.behave(|b| b.reachable = false);
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    for n in 0..300 {
        outbox.record(&hit(n)).unwrap();
    }
    until(
        "the loss is said",
        || matches!(health.state("broker"), Some(PartState::Down(why)) if why.contains("unreachable")),
    );
    assert_eq!(outbox.queue().unwrap().hits, 300);
    assert_eq!(health.delivered.get(), 0);
    broker.behave(|b| b.reachable = true);
    until("all acknowledged", || outbox.queue().unwrap() == QueueReport::default());
    let sent = hit_topics(&broker);
    let texts: Vec<_> = sent.iter().filter(|t| !t.contains('/')).cloned().collect();
    assert_eq!(texts, (0..300).map(|n| hit(n).id().to_string()).collect::<Vec<_>>());
    assert_eq!(sent.len(), 600);
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn unacknowledged_messages_are_sent_again_after_a_loss() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    let broker = MemoryBroker::default();
    broker.behave(|b| b.acknowledges = false);
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    outbox.record(&hit(1)).unwrap();
    until("sent", || hit_topics(&broker).len() == 2);
    assert_eq!(outbox.recent(1).unwrap()[0].delivery, Delivery::Sent);
    broker.behave(|b| b.reachable = false);
    broker.behave(|b| b.acknowledges = true);
    until("the loss is noticed", || matches!(health.state("broker"), Some(PartState::Down(_))));
    broker.behave(|b| b.reachable = true);
    until("acknowledged", || outbox.queue().unwrap() == QueueReport::default());
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for topic in hit_topics(&broker) {
        *times.entry(topic).or_default() += 1;
    }
    assert_eq!(times.into_values().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(health.delivered.get(), 1, "delivered once, however often sent");
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn picture_too_large_for_the_broker_is_set_aside_until_one_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    let broker = MemoryBroker::default();
    let report = HitReport::of(&hit(1), &vehicle(), Protection::KeyFile, &[0; 2_000]);
    let text = Message::new(&vehicle(), Outbound::Hit(wire::HitText::of(&report))).size();
    broker.behave(|b| b.largest = text + 100);
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    outbox.record(&hit(1)).unwrap();
    outbox.record(&hit(2)).unwrap();
    until("both texts, no picture", || {
        let queue = outbox.queue().unwrap();
        (queue.hits, queue.images, queue.set_aside) == (0, 0, 2)
    });
    assert_eq!(broker.connections(), 1, "no poison pill");
    broker.behave(|b| b.reachable = false);
    until("the loss is noticed", || matches!(health.state("broker"), Some(PartState::Down(_))));
    broker.behave(|b| {
        b.reachable = true;
        b.largest = 1 << 20;
    });
    until("pictures follow", || outbox.queue().unwrap() == QueueReport::default());
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn message_that_the_broker_hangs_up_over_does_not_hold_up_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    let broker = MemoryBroker::default();
    let poison = hit(3).id().to_string();
    broker.behave(|b| b.hangs_up_over = Some(format!("hit/{poison}")));
    for n in 0..8 {
        outbox.record(&hit(n)).unwrap();
    }
    let config = UplinkConfig {
        retry_most: crate::config::HumanDuration::from_millis(20),
        ..UplinkConfig::default()
    };
    let uplink = spawn_with(broker.clone(), &config, parts(&outbox, &health));
    until("seven others delivered, one set aside", || {
        let queue = outbox.queue().unwrap();
        (queue.hits, queue.set_aside) == (0, 1)
    });
    assert_eq!(health.delivered.get(), 7);
    let set_aside = outbox.recent(8).unwrap().into_iter().find(|h| h.id == hit(3).id()).unwrap();
    let Delivery::SetAside(why) = set_aside.delivery else { panic!("{:?}", set_aside.delivery) };
    assert!(why.contains("hung up 3 times over this message alone"), "{why}");
    // The next start tries again.
    assert!(uplink.stop(Duration::from_secs(5)));
    drop(outbox);
    broker.behave(|b| b.hangs_up_over = None);
    let outbox = self::outbox(dir.path(), &health);
    let uplink = spawn_with(broker.clone(), &config, parts(&outbox, &health));
    until("delivered after all", || outbox.queue().unwrap() == QueueReport::default());
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn refused_message_is_said_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    let broker = MemoryBroker::default();
    broker.behave(|b| b.refuses = Some("plate.jpg".into()));
    let uplink = spawn_with(broker.clone(), &UplinkConfig::default(), parts(&outbox, &health));
    outbox.record(&hit(1)).unwrap();
    until("refused and said", || {
        health.state("broker") == Some(PartState::Impaired("refused".into()))
    });
    until("the text is delivered", || outbox.queue().unwrap().hits == 0);
    assert_eq!(outbox.queue().unwrap().images, 1, "the picture waits");
    assert_eq!(broker.connections(), 1);
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn full_disk_is_said_and_its_hits_are_written_once_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let outbox = outbox(dir.path(), &health);
    outbox.record(&hit(1)).unwrap();
    outbox.limit_pages_for_tests(Some(1));
    let mut n = 1;
    let error = loop {
        n += 1;
        if let Err(e) = outbox.record(&hit(n)) {
            break e.to_string();
        }
        assert!(n < 50, "the disk never fills");
    };
    assert!(error.contains("no room on the disk for") && error.contains("hits.db"), "{error}");
    let Some(PartState::Down(why)) = health.state("hits") else { panic!("said nothing") };
    assert!(why.starts_with("1 hit is in memory only: no room on the disk"), "{why}");
    outbox.record(&hit(n + 1)).unwrap_err();
    assert_eq!(outbox.queue().unwrap().not_on_disk, 2);

    outbox.limit_pages_for_tests(None);
    outbox.retry_refused();
    assert_eq!(health.state("hits"), Some(PartState::Working));
    let ids: Vec<_> = outbox.recent(100).unwrap().iter().map(|h| h.id).collect();
    assert_eq!(ids, (1..=n + 1).rev().map(|n| hit(n).id()).collect::<Vec<_>>());
    assert_eq!(health.recorded.get(), u64::from(n) + 1);
}

#[test]
fn delivered_hits_go_after_their_retention_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap()));
    let outbox =
        Outbox::open(&keeping(dir.path()), &vehicle(), clock.clone(), health.clone()).unwrap();
    outbox.record(&hit(1)).unwrap();
    outbox.record(&hit(2)).unwrap();
    let due = outbox.due(10, true, &|_| false).unwrap();
    outbox.progress(&[(due[0].seq, News::Sent)]).unwrap();
    let picture = outbox.due(10, false, &|_| false).unwrap().remove(0);
    outbox
        .progress(&[(due[0].seq, News::Acknowledged), (picture.seq, News::Acknowledged)])
        .unwrap();
    clock.advance(Duration::from_secs(29 * 86_400));
    assert_eq!(outbox.forget_old().unwrap().hits, 0);
    clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(outbox.forget_old().unwrap().hits, 1);
    assert_eq!(outbox.recent(10).unwrap().len(), 1, "the one not delivered stays");
    assert_eq!(outbox.plate_jpeg(hit(1).id()).unwrap(), None);
    assert!(outbox.plate_jpeg(hit(2).id()).unwrap().is_some());
}

/// What health says of a broker that behaves this way, once it says this.
#[track_caller]
fn until_broker_says(way: fake_broker::Way, what: &str) {
    let dir = tempfile::tempdir().unwrap();
    let health = Arc::new(Health::default());
    let broker = fake_broker::FakeBroker::start(way);
    let uplink = spawn(&broker.uplink(), parts(&outbox(dir.path(), &health), &health)).unwrap();
    until(&format!("{way:?}: {what}"), || match health.state("broker") {
        Some(PartState::Down(why)) => why.contains(what),
        _ => false,
    });
    assert!(uplink.stop(Duration::from_secs(5)));
}

#[test]
fn broker_that_does_not_speak_mqtt_5_is_told_apart_from_one_that_is_away() {
    for way in [fake_broker::Way::Old, fake_broker::Way::OldAndMute] {
        until_broker_says(way, "does not speak MQTT 5");
        let broker = fake_broker::FakeBroker::start(way);
        let said = probe(&broker.uplink(), &vehicle(), Duration::from_secs(5)).unwrap_err();
        assert!(said.to_string().contains("does not speak MQTT 5"), "{way:?}: {said}");
    }
}

#[test]
fn two_clients_with_one_identifier_are_told_by_it() {
    until_broker_says(fake_broker::Way::TakenOver, "two cars with one vehicle.id");
    until_broker_says(fake_broker::Way::ThrowsOut, "use the identifier \"outrider-peel-4127\"");
}

#[test]
fn no_subscription_has_more_than_eight_filters() {
    let broker = fake_broker::FakeBroker::start(fake_broker::Way::Eight);
    let downlink = crate::downlink::Downlink::new(&vehicle());
    let (to, _inbound) = std::sync::mpsc::sync_channel(64);
    for n in 0..50 {
        let topic = crate::inbound::Topic::Chunk("stolen".into(), format!("{n:02}").into());
        downlink.subscribe(topic, to.clone());
    }
    let door = downlink.open(&broker.uplink(), Arc::default()).unwrap();
    until("all are asked for", || broker.filters.lock().unwrap().iter().sum::<usize>() >= 50);
    let filters = broker.filters.lock().unwrap().clone();
    assert!(filters.iter().all(|n| *n <= 8), "{filters:?}");
    assert!(door.stop(Duration::from_secs(5)));
}
