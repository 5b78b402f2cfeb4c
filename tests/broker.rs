//! Starts a broker with exactly the files of `examples/broker/`, and tests what each client may do and what is
//! refused. The clients are mosquitto's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use common::fleet::Fleet;
use common::until;
use outrider::config::UplinkConfig;
use outrider::downlink::Downlink;
use outrider::health::{Health, PartState};
use outrider::inbound::Topic;

const BASE: &str = "alpr/v1/peel";

fn topic(rest: &str) -> String {
    format!("{BASE}/{rest}")
}

/// Publishes as `name` and tells whether someone who may read everything of cars, or the lists, heard
/// of it.
#[track_caller]
fn refused(fleet: &Fleet, name: &str, rest: &str) {
    let said = fleet.publish_as(name, &topic(rest), b"forged", true);
    assert!(said.contains("Not authorized"), "{name} could write {rest}: {said:?}");
    let kept = fleet.retained_as("dispatch", &topic("#"));
    assert!(kept.iter().all(|(_, payload)| payload != b"forged"), "{name} wrote {rest}");
}

#[track_caller]
fn granted(fleet: &Fleet, name: &str, rest: &str) {
    fleet.retain_as(name, &topic(rest), b"fine");
}

#[test]
fn every_refusal_of_the_access_list() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(dir.path()) else { return };

    // A car reports for itself, and for no other.
    granted(&fleet, "4127", "vehicle/4127/status");
    refused(&fleet, "4127", "vehicle/4128/status");
    refused(&fleet, "4127", "vehicle/4128/hit/01J00000000000000000000000");
    refused(&fleet, "4127", "vehicle/4127/cmd");
    // A car publishes no list, no policy, no trust.
    for rest in ["hotlist/stolen/manifest", "hotlist/stolen/chunk/0f", "policy", "trust"] {
        refused(&fleet, "4127", rest);
    }
    // An author writes its own list and nothing else.
    granted(&fleet, "author-stolen", "hotlist/stolen/manifest");
    granted(&fleet, "author-stolen", "hotlist/stolen/chunk/0f");
    for rest in ["hotlist/amber/manifest", "policy", "trust", "vehicle/4127/cmd"] {
        refused(&fleet, "author-stolen", rest);
    }
    // The admin: trust, policy, commands; no list.
    for rest in ["trust", "policy", "vehicle/4127/cmd"] {
        granted(&fleet, "admin", rest);
    }
    refused(&fleet, "admin", "hotlist/stolen/manifest");
    // Who receives hits writes nothing, and neither does someone whom the list does not name.
    refused(&fleet, "dispatch", "vehicle/4127/cmd");
    refused(&fleet, "nobody", "policy");

    // Reading: no car hears of another's hits or commands, nor does an author or the admin of hits.
    let curious = ["4128", "author-stolen", "nobody", "admin"]
        .map(|name| fleet.listen_as(name, &topic("vehicle/4127/#")));
    let dispatch = fleet.listen_as("dispatch", &topic("vehicle/#"));
    until("dispatch has subscribed", || dispatch.heard_on("vehicle/4127/status"));
    until("the admin has subscribed", || curious[3].heard_on("vehicle/4127/cmd"));
    fleet.publish_as("4127", &topic("vehicle/4127/hit/01J0"), b"a hit", false);
    until("dispatch gets the hit", || dispatch.heard_on("/hit/01J0"));
    std::thread::sleep(Duration::from_millis(500));
    for (who, curious) in ["4128", "author-stolen", "nobody", "admin"].iter().zip(&curious) {
        assert!(!curious.heard_on("/hit/01J0"), "{who} heard of a hit of 4127");
    }
    assert!(curious[0].heard().is_empty(), "4128 heard of 4127: {:?}", curious[0].heard());

    // No certificate of ours, no connection.
    let said = fleet.publish_as("stranger", &topic("vehicle/stranger/status"), b"x", true);
    assert!(!said.is_empty(), "the stranger got in");
}

#[test]
fn car_hears_what_is_retained_on_both_sides_of_a_restart_and_asks_for_one_chunk() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut fleet) = Fleet::start(dir.path()) else { return };
    fleet.retain_as("admin", &topic("policy"), b"policy 1");
    for address in ["0a", "0b"] {
        let chunk = topic(&format!("hotlist/stolen/chunk/{address}"));
        fleet.retain_as("author-stolen", &chunk, address.as_bytes());
    }
    let (downlink, health) = (Downlink::new(&fleet.vehicle("4127")), Arc::new(Health::default()));
    let (to, inbound) = sync_channel(16);
    downlink.subscribe(Topic::Policy, to.clone());
    let door = downlink.open(&fleet.uplink("4127"), health.clone()).unwrap();
    let next = || inbound.recv_timeout(Duration::from_secs(20)).unwrap();
    let policy = next();
    assert_eq!((policy.payload.as_slice(), policy.retained), (&b"policy 1"[..], true));

    let chunk = Topic::Chunk("stolen".into(), "0b".into());
    downlink.subscribe(chunk.clone(), to.clone());
    assert_eq!(next().payload, b"0b", "a chunk that is there comes at once");
    downlink.unsubscribe(&chunk);
    let late = Topic::Chunk("stolen".into(), "0c".into());
    downlink.subscribe(late.clone(), to);
    fleet.retain_as("author-stolen", &topic("hotlist/stolen/chunk/0c"), b"0c");
    assert_eq!(next().payload, b"0c", "one that is published later comes then");
    downlink.unsubscribe(&late);
    assert_eq!(health.state("downlink"), Some(PartState::Working));

    fleet.stop();
    until("the loss is told", || matches!(health.state("downlink"), Some(PartState::Down(_))));
    fleet.restart();
    assert_eq!(next().payload, b"policy 1", "a new connection brings it again");
    fleet.retain_as("admin", &topic("policy"), b"policy 2");
    assert_eq!(next().payload, b"policy 2");
    assert!(inbound.try_recv().is_err(), "chunks that were left do not come again");
    assert!(door.stop(Duration::from_secs(5)));
}

#[test]
fn message_longer_than_its_kind_may_be_is_dropped_and_the_line_stays() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(dir.path()) else { return };
    fleet.retain_as("author-stolen", &topic("hotlist/stolen/chunk/0a"), &vec![7; 200_000]);
    fleet.retain_as("author-stolen", &topic("hotlist/stolen/manifest"), b"manifest");
    let (downlink, health) = (Downlink::new(&fleet.vehicle("4127")), Arc::new(Health::default()));
    let (to, inbound) = sync_channel(16);
    downlink.subscribe(Topic::Chunk("stolen".into(), "0a".into()), to.clone());
    let door = downlink.open(&fleet.uplink("4127"), health.clone()).unwrap();
    until("it is dropped", || downlink.received().too_long == 1);
    downlink.subscribe(Topic::Manifest("stolen".into()), to);
    let manifest = inbound.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(manifest.payload, b"manifest");
    assert_eq!(health.state("downlink"), Some(PartState::Working));
    drop(door);
}

/// Any client with a certificate can take another's identifier, and the broker then throws the other out. One
/// that sends none gets an identifier that nobody knows.
#[test]
fn car_without_an_identifier_is_not_thrown_out_by_whoever_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(dir.path()) else { return };
    for (client_id, thrown_out) in [(Some(String::new()), false), (None, true)] {
        let config = UplinkConfig { client_id, ..fleet.uplink("4127") };
        let (downlink, health) =
            (Downlink::new(&fleet.vehicle("4127")), Arc::new(Health::default()));
        let door = downlink.open(&config, health.clone()).unwrap();
        let (to, _inbound) = sync_channel(16);
        downlink.subscribe(Topic::Policy, to);
        until("it is connected", || downlink.connected());
        let (lost, over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    lost.fetch_or(!downlink.connected(), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            for identifier in ["outrider-peel-4127-in", "-in"] {
                fleet.pose_as("4128", identifier);
            }
            std::thread::sleep(Duration::from_secs(3));
            over.store(true, Ordering::Relaxed);
        });
        // The control: whoever takes an identifier that is known throws the car out.
        assert_eq!(lost.load(Ordering::Relaxed), thrown_out);
        assert!(door.stop(Duration::from_secs(5)));
    }
}
