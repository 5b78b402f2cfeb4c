//! Sends policies over a real mosquitto with certificates and the access list of `examples/broker/`: the admin
//! publishes them, and the car believes or refuses, obeys and remembers them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use common::fleet::Fleet;
use common::until;
use jiff::Timestamp;
use outrider::audit::{Actor, Audit};
use outrider::clock::SystemClock;
use outrider::config::{KeepingConfig, PolicyConfig, Vehicle};
use outrider::downlink::{Door, Downlink};
use outrider::dsse::SigningKey;
use outrider::entry::{Matching, Priority};
use outrider::health::{Health, PartState};
use outrider::hotlist::{Builder, Entry, Hotlists, ListStamp};
use outrider::inbound::Topic;
use outrider::keys::DeviceKey;
use outrider::plate::ListedPlate;
use outrider::policy::{HeldPolicy, Policy, Rules};
use outrider::trust::{HeldTrust, Role, Root, TrustDocument, TrustedKey};

fn key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn trust() -> Vec<u8> {
    let trusted = |n: u8, name: &str| TrustedKey {
        name: name.into(),
        public: key(n).public(),
        roles: vec![Role::Policy],
    };
    let document = TrustDocument {
        agency: "peel".into(),
        version: 1,
        issued: Timestamp::UNIX_EPOCH,
        expires: None,
        keys: vec![trusted(1, "A. Chief"), trusted(2, "B. Commissioner")],
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    document.sign(&[&key(9)]).to_json()
}

fn policy(version: u64, rules: &str, signers: &[u8]) -> Vec<u8> {
    let rules: Rules = serde_json::from_str(rules).unwrap();
    let policy = Policy {
        agency: "peel".into(),
        version,
        issued: Timestamp::UNIX_EPOCH,
        expires: None,
        note: String::new(),
        rules,
    };
    let keys: Vec<_> = signers.iter().map(|n| key(*n)).collect();
    policy.sign(&keys.iter().collect::<Vec<_>>()).to_json()
}

/// A car's half: trust, policy and lists, with the door in.
struct Car {
    held: Arc<HeldPolicy>,
    lists: Arc<Hotlists>,
    health: Arc<Health>,
    audit: Audit,
    _door: Door,
}

impl Car {
    fn start(folder: &Path, fleet: &Fleet) -> Self {
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let keeping = KeepingConfig { directory: folder.join("state"), ..Default::default() };
        let (clock, health) = (Arc::new(SystemClock), Arc::new(Health::default()));
        let audit = Audit::open(&keeping, &vehicle, clock.clone(), health.clone()).unwrap();
        let device = DeviceKey::load(&keeping.directory).unwrap();
        let root = Root { keys: vec![key(9).public()], needed: 1 };
        let state = &keeping.directory;
        let trust = HeldTrust::open(root, "peel", state, &device, clock.clone()).unwrap();
        let trust = Arc::new(trust);
        let known = trust.clone();
        let held = HeldPolicy::open(
            &PolicyConfig::default(),
            "peel",
            state,
            &device,
            Box::new(move || known.current()),
            (clock, health.clone(), audit.clone()),
        );
        let held = Arc::new(held.unwrap());
        let lists = Arc::new(Hotlists::of(vec![list()]));
        let governed = lists.clone();
        held.on_change(move |rules| governed.govern(&rules.lists));

        let downlink = Downlink::new(&vehicle);
        let (to, documents) = sync_channel(4);
        downlink.subscribe(Topic::Trust, to);
        trust.clone().follow(documents, health.clone());
        let (to, policies) = sync_channel(4);
        downlink.subscribe(Topic::Policy, to);
        held.clone().follow(policies, move || trust.changes());
        let door = downlink.open(&fleet.uplink("4127"), health.clone()).unwrap();
        Self { held, lists, health, audit, _door: door }
    }

    fn version(&self) -> Option<u64> {
        self.held.state().policy.map(|policy| policy.version)
    }

    fn matching(&self) -> Matching {
        self.lists.lists()[0].matching()
    }
}

fn list() -> outrider::hotlist::Hotlist {
    let mut builder = Builder::default();
    let plate = ListedPlate::parse("CKS*41").unwrap();
    builder.push(1, &Entry::plain(plate, "amber", Priority::High)).unwrap();
    let stamp =
        ListStamp { name: "amber".into(), version: "1".into(), source_time: Timestamp::now() };
    let day = std::time::Duration::from_secs(86_400);
    builder.finish(stamp, Matching::Wildcard, (day, day)).0
}

const NARROW: &str = r#"{"lists":{"every":{"matching":"exact"}}}"#;
const WIDE: &str = r#"{"lists":{"every":{"matching":"wildcard"}}}"#;

#[test]
fn policy_arrives_is_obeyed_refused_and_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(dir.path()) else { return };
    let topic = "alpr/v1/peel/policy";
    // The policy is there before those who may sign it are known.
    fleet.retain_as("admin", topic, &policy(1, NARROW, &[1, 2]));
    let car = Car::start(dir.path(), &fleet);
    until("it is refused for want of keys", || car.held.state().refused.is_some());
    assert_eq!(car.matching(), Matching::LookAlike);
    fleet.retain_as("admin", "alpr/v1/peel/trust", &trust());
    until("version 1 is in force", || car.version() == Some(1));
    assert_eq!(car.matching(), Matching::Exact);

    fleet.retain_as("admin", topic, &policy(2, WIDE, &[2]));
    until("one signature is refused", || {
        let state = car.held.state();
        state.refused.is_some_and(|why| why.contains("1 of the 2 signatures"))
    });
    assert_eq!((car.version(), car.matching()), (Some(1), Matching::Exact));
    assert!(matches!(car.health.state("policy"), Some(PartState::Impaired(_))));

    fleet.retain_as("admin", topic, &policy(2, WIDE, &[2, 1]));
    until("two signatures are enough", || car.version() == Some(2));
    assert_eq!(car.matching(), Matching::Wildcard);
    assert_eq!(car.health.state("policy"), Some(PartState::Working));

    fleet.retain_as("admin", topic, &policy(1, NARROW, &[1, 2]));
    until("the way back is refused", || {
        let state = car.held.state();
        state.refused.is_some_and(|why| why.contains("version 2 was in force already"))
    });
    let mut log = Vec::new();
    car.audit.export(Actor::System, &mut log).unwrap();
    let log = String::from_utf8(log).unwrap();
    assert_eq!(log.matches("\"policy_applied\"").count(), 2, "{log}");
    assert_eq!(log.matches("\"policy_refused\"").count(), 3, "{log}");

    drop(car);
    let again = Car::start(dir.path(), &fleet);
    assert_eq!((again.version(), again.matching()), (Some(2), Matching::Wildcard));
}
