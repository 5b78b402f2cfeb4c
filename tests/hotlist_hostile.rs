//! A broker that sends anything in any order, and a clock that goes on: the list that serves is always
//! a whole one. No sockets: the test plays the broker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use outrider::clock::{Clock, SimulatedClock};
use outrider::config::Vehicle;
use outrider::downlink::{Downlink, Topic};
use outrider::dsse::SigningKey;
use outrider::health::Health;
use outrider::hotlist::format::Address;
use outrider::hotlist::sync::made_up::MadeUp;
use outrider::hotlist::sync::{Parts, Sync};
use outrider::hotlist::{Freshness, Hotlists};
use outrider::keys::DeviceKey;
use outrider::plate::Plate;
use outrider::trust::{HeldTrust, Role, Root, TrustDocument, TrustedKey};
use proptest::prelude::*;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const ENTRIES: u64 = 100;

fn signing_key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn trust(state: &Path, device: &DeviceKey, clock: Arc<dyn Clock>) -> Arc<HeldTrust> {
    let root = Root { keys: vec![signing_key(1).public()], needed: 1 };
    let trust = HeldTrust::open(root, "peel", state, device, clock).unwrap();
    let author = TrustedKey {
        name: "author".into(),
        public: signing_key(2).public(),
        roles: vec![Role::ListAuthor("stolen".into())],
    };
    let document = TrustDocument {
        agency: "peel".into(),
        version: 1,
        issued: Timestamp::UNIX_EPOCH,
        expires: None,
        keys: vec![author],
        withdrawn: Vec::new(),
    };
    trust.offer(&document.sign(&[&signing_key(1)]).to_json()).unwrap();
    Arc::new(trust)
}

/// A car whose broker is the test.
struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    service: Arc<Hotlists>,
    health: Arc<Health>,
    downlink: Downlink,
    sync: Sync,
}

impl Car {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key");
        outrider::secret_file::create(&key, KEY).unwrap();
        Self::on(dir, Arc::new(SimulatedClock::starting_at(Timestamp::now())))
    }

    fn on(dir: tempfile::TempDir, clock: Arc<SimulatedClock>) -> Self {
        let state = dir.path().join("state");
        let config = format!(
            "name = \"stolen\"\nsource = \"mqtt\"\nkey = {:?}",
            dir.path().join("key").display().to_string()
        );
        let device = DeviceKey::load(&state).unwrap();
        let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
        let (service, health) = (Arc::new(Hotlists::default()), Arc::new(Health::default()));
        let downlink = Downlink::new(&vehicle);
        let sync = Sync::open(Parts {
            lists: &[toml::from_str(&config).unwrap()],
            agency: "peel",
            state: &state,
            device: &device,
            trust: trust(&state, &device, clock.clone()),
            service: service.clone(),
            downlink: downlink.clone(),
            audit: None,
            clock: clock.clone(),
            health: health.clone(),
        });
        Self { dir, clock, service, health, downlink, sync }
    }

    fn restarted(self) -> Self {
        let Self { dir, clock, .. } = self;
        Self::on(dir, clock)
    }

    fn send_manifest(&mut self, message: &[u8]) {
        self.downlink.deliver_for_tests(&Topic::Manifest("stolen".into()), message, true);
        self.sync.turn(Duration::ZERO);
    }

    /// What is asked for now.
    fn asked(&self) -> Vec<Address> {
        let wanted = self.downlink.wanted_for_tests();
        let chunk = |topic: &Topic| match topic {
            Topic::Chunk(_, address) => Address::parse(address),
            _ => None,
        };
        wanted.iter().filter_map(chunk).collect()
    }

    fn send_chunk(&mut self, address: Address, bytes: &[u8]) {
        let topic = Topic::Chunk("stolen".into(), address.to_string().into());
        self.downlink.deliver_for_tests(&topic, bytes, true);
        self.sync.turn(Duration::ZERO);
    }

    /// Sends everything that is asked for, until nothing is.
    fn send_all(&mut self, list: &MadeUp) {
        for _ in 0..10 {
            for address in self.asked() {
                if let Some(bytes) = list.messages.get(&address) {
                    self.send_chunk(address, &bytes.clone());
                }
            }
        }
    }

    fn version(&self) -> Option<u64> {
        self.service.lists().first().map(|list| list.stamp().version.parse().unwrap())
    }

    fn reason(&self, plate: &str) -> Option<String> {
        let now = self.clock.now().wall;
        let key = Plate::parse(plate).unwrap().key();
        let lists = self.service.lists();
        lists.first()?.look_up(key, now).next().map(|entry| entry.reason)
    }

    fn says(&self) -> String {
        format!("{:?}", self.health.state("hotlist/stolen"))
    }

    /// Entries are there, and with the text of the version that the list says it is: of ten that
    /// follow each other, version 2 has changed one.
    fn whole(&self, first: &MadeUp) {
        let version = self.version().expect("a list serves");
        assert_eq!(self.service.lists()[0].len() as u64, ENTRIES);
        let changed = (0..10).filter(|n| {
            let reason = self.reason(&first.plate(*n)).expect("every plate is listed");
            reason.ends_with("seen since")
        });
        assert_eq!(changed.count() as u64, version - 1, "version {version}");
    }
}

/// Versions 1 and 2.
fn versions() -> (MadeUp, MadeUp) {
    let first = MadeUp::new("peel", "stolen", KEY, ENTRIES);
    let mut second = MadeUp::new("peel", "stolen", KEY, ENTRIES);
    second.change(ENTRIES / 10);
    (first, second)
}

#[test]
fn list_expires_on_its_day_and_a_newer_one_serves_again() {
    let (first, mut second) = versions();
    let mut car = Car::new();
    assert!(car.says().contains("nothing has come"), "{}", car.says());
    car.send_manifest(&first.signed(&signing_key(2)));
    car.send_all(&first);
    car.whole(&first);
    assert_eq!(car.says(), "Some(Working)");
    car.clock.advance(Duration::from_secs(25 * 3_600));
    car.sync.turn(Duration::ZERO);
    assert!(car.says().contains("the list is old"), "{}", car.says());
    assert_ne!(car.service.lists()[0].freshness(car.clock.now().wall), Freshness::Fresh);
    car.clock.advance(Duration::from_secs(8 * 86_400));
    car.sync.turn(Duration::ZERO);
    assert_eq!(car.version(), None);
    assert!(car.says().contains("version 1 expired at"), "{}", car.says());
    second.manifest.issued = car.clock.now().wall;
    second.manifest.source_time = car.clock.now().wall;
    second.manifest.expires = car.clock.now().wall + jiff::SignedDuration::from_hours(48);
    car.send_manifest(&second.signed(&signing_key(2)));
    car.send_all(&second);
    car.whole(&first);
    assert_eq!((car.version(), car.says()), (Some(2), "Some(Working)".into()));
}

#[test]
fn chunks_that_do_not_come_are_said() {
    let (first, second) = versions();
    let mut car = Car::new();
    car.send_manifest(&first.signed(&signing_key(2)));
    car.send_all(&first);
    car.send_manifest(&second.signed(&signing_key(2)));
    assert_eq!(car.says(), "Some(Working)");
    car.clock.advance(Duration::from_secs(61));
    car.sync.turn(Duration::ZERO);
    assert!(car.says().contains("version 2 is not whole: chunks that do not come: 1"));
    assert!(car.says().contains("version 1 of"), "{}", car.says());
    // Over a restart what was begun is gone on with.
    let mut car = car.restarted();
    car.whole(&first);
    assert_eq!((car.version(), car.asked().len()), (Some(1), 0));
    car.sync.turn(Duration::ZERO);
    assert_eq!(car.asked().len(), 1);
    car.send_all(&second);
    car.whole(&first);
    assert_eq!(car.version(), Some(2));
}

#[test]
fn damaged_cache_is_fetched_again() {
    let (first, _) = versions();
    let mut car = Car::new();
    car.send_manifest(&first.signed(&signing_key(2)));
    car.send_all(&first);
    let chunks = car.dir.path().join("state/lists/stolen/chunks");
    let largest = std::fs::read_dir(&chunks).unwrap().map(|e| e.unwrap());
    let largest = largest.max_by_key(|e| e.metadata().unwrap().len()).unwrap().path();
    let mut bytes = std::fs::read(&largest).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&largest, bytes).unwrap();
    let mut car = car.restarted();
    assert_eq!(car.version(), None);
    car.sync.turn(Duration::ZERO);
    assert_eq!(car.asked().len(), 1);
    car.send_all(&first);
    car.whole(&first);
}

/// Something that a hostile or broken broker does.
#[derive(Debug, Clone)]
enum Sent {
    Second,
    First,
    Garbage(Vec<u8>),
    FlippedManifest(prop::sample::Index, u8),
    GoodChunk(prop::sample::Index),
    FlippedChunk(prop::sample::Index, prop::sample::Index, u8),
    SwappedChunk(prop::sample::Index, prop::sample::Index),
    Restart,
    Later(u64),
}

fn sent() -> impl Strategy<Value = Sent> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        3 => Just(Sent::Second),
        1 => Just(Sent::First),
        1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Sent::Garbage),
        2 => (index(), 1..=255_u8).prop_map(|(at, by)| Sent::FlippedManifest(at, by)),
        3 => index().prop_map(Sent::GoodChunk),
        3 => (index(), index(), 1..=255_u8).prop_map(|(n, at, by)| Sent::FlippedChunk(n, at, by)),
        2 => (index(), index()).prop_map(|(n, other)| Sent::SwappedChunk(n, other)),
        1 => Just(Sent::Restart),
        1 => (0..100_u64).prop_map(Sent::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_sent_a_whole_list_serves(sent in prop::collection::vec(sent(), 1..16)) {
        let (first, second) = versions();
        let mut all: Vec<_> = second.messages.iter().map(|(a, b)| (*a, b.clone())).collect();
        all.sort_by_key(|(address, _)| *address);
        let manifest = second.signed(&signing_key(2));
        let mut car = Car::new();
        car.send_manifest(&first.signed(&signing_key(2)));
        car.send_all(&first);
        for sent in sent {
            let asked = car.asked();
            let pick = |n: &prop::sample::Index| {
                if asked.is_empty() { all[n.index(all.len())].0 } else { *n.get(&asked) }
            };
            match sent {
                Sent::Second => car.send_manifest(&manifest),
                Sent::First => car.send_manifest(&first.signed(&signing_key(2))),
                Sent::Garbage(bytes) => car.send_manifest(&bytes),
                Sent::FlippedManifest(at, by) => {
                    let mut bytes = manifest.clone();
                    let at = at.index(bytes.len());
                    bytes[at] ^= by;
                    car.send_manifest(&bytes);
                }
                Sent::GoodChunk(n) => {
                    let address = pick(&n);
                    car.send_chunk(address, &second.messages[&address].clone());
                }
                Sent::FlippedChunk(n, at, by) => {
                    let address = pick(&n);
                    let mut bytes = second.messages[&address].to_vec();
                    let at = at.index(bytes.len());
                    bytes[at] ^= by;
                    car.send_chunk(address, &bytes);
                }
                Sent::SwappedChunk(n, other) => {
                    let address = pick(&n);
                    let (_, bytes) = other.get(&all).clone();
                    car.send_chunk(address, &bytes);
                }
                Sent::Restart => car = car.restarted(),
                Sent::Later(seconds) => {
                    car.clock.advance(Duration::from_secs(seconds));
                    car.sync.turn(Duration::ZERO);
                }
            }
            car.whole(&first);
        }
        car.send_manifest(&manifest);
        car.send_all(&second);
        car.whole(&first);
        prop_assert_eq!(car.version(), Some(2));
    }
}
