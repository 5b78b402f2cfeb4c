//! Sends a car anything in any order while its clock runs: the list in service is always a
//! complete one. There are no sockets, because the test plays the broker.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use outrider::clock::{Clock, SimulatedClock};
use outrider::config::Vehicle;
use outrider::dated::MOST_STEP;
use outrider::downlink::Downlink;
use outrider::dsse::SigningKey;
use outrider::health::Health;
use outrider::hotlist::format::Address;
use outrider::hotlist::sync::made_up::MadeUp;
use outrider::hotlist::sync::{Parts, Sync};
use outrider::hotlist::{Freshness, Hotlists};
use outrider::inbound::Topic;
use outrider::keys::DeviceKey;
use outrider::plate::Plate;
use outrider::trust::{HeldTrust, Role, Root, TrustDocument, TrustError, TrustedKey};
use proptest::prelude::*;

const KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
const ENTRIES: u64 = 100;

fn signing_key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn trust(state: &Path, device: &DeviceKey, clock: Arc<dyn Clock>) -> Arc<HeldTrust> {
    let root = Root { keys: vec![signing_key(1).public()], needed: 1 };
    let trust = HeldTrust::open(root, "peel", state, device, clock).unwrap();
    match trust.offer(&authors(1, &[2, 3])) {
        // Restarted after a newer one.
        Ok(_) | Err(TrustError::Rollback { .. }) => Arc::new(trust),
        Err(e) => panic!("{e}"),
    }
}

/// The trust document in which these keys may author the list.
fn authors(version: u64, keys: &[u8]) -> Vec<u8> {
    let author = |n: &u8| TrustedKey {
        name: format!("author {n}"),
        public: signing_key(*n).public(),
        roles: vec![Role::ListAuthor("stolen".into())],
    };
    let document = TrustDocument {
        agency: "peel".into(),
        version,
        issued: Timestamp::UNIX_EPOCH,
        expires: None,
        keys: keys.iter().map(author).collect(),
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    document.sign(&[&signing_key(1)]).to_json()
}

/// A car whose broker is the test.
struct Car {
    dir: tempfile::TempDir,
    clock: Arc<SimulatedClock>,
    service: Arc<Hotlists>,
    health: Arc<Health>,
    downlink: Downlink,
    trust: Arc<HeldTrust>,
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
        let trust = trust(&state, &device, clock.clone());
        let sync = Sync::open(Parts {
            lists: &[toml::from_str(&config).unwrap()],
            agency: "peel",
            state: &state,
            device: &device,
            trust: trust.clone(),
            service: service.clone(),
            downlink: downlink.clone(),
            audit: None,
            clock: clock.clone(),
            health: health.clone(),
        });
        Self { dir, clock, service, health, downlink, trust, sync }
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
    assert!(car.says().contains("nothing has arrived from the broker"), "{}", car.says());
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
fn withdrawing_a_stolen_key_takes_out_what_it_planted_and_the_versions_that_it_used_up() {
    let (first, second) = versions();
    let (_, mut planted) = versions();
    let mut car = Car::new();
    car.send_manifest(&first.signed(&signing_key(3)));
    car.send_all(&first);
    car.whole(&first);
    // As high as a stolen key gets, and it is in service, with a revocation of its own.
    planted.manifest.version = 1 + MOST_STEP;
    car.send_manifest(&planted.signed(&signing_key(2)));
    car.send_all(&planted);
    assert_eq!(car.version(), Some(1 + MOST_STEP));
    assert_eq!(car.trust.offer(&authors(2, &[3])), Ok(true));
    car.sync.turn(Duration::ZERO);
    assert_eq!(car.version(), None, "{}", car.says());
    assert!(car.says().contains("its author's key is withdrawn"), "{}", car.says());
    let mut car = car.restarted();
    assert_eq!(car.version(), None, "{}", car.says());
    // The next author's next version is far below the thief's, and is taken.
    car.send_manifest(&first.signed(&signing_key(2)));
    assert!(car.says().contains("signed by 0 of the keys"), "{}", car.says());
    car.send_manifest(&second.signed(&signing_key(3)));
    car.send_all(&second);
    car.whole(&first);
    assert_eq!((car.version(), car.says()), (Some(2), "Some(Working)".into()));
    // And what was known of honest authors is not forgotten with the thief's.
    car.send_manifest(&first.signed(&signing_key(3)));
    assert!(car.says().contains("version 2 is known already"), "{}", car.says());
}

#[test]
fn last_version_and_lists_of_the_future_are_refused_and_the_list_serves_on() {
    let (first, second) = versions();
    let mut car = Car::new();
    car.send_manifest(&first.signed(&signing_key(2)));
    car.send_all(&first);
    let (mut last, mut to_come) = (second.manifest.clone(), second.manifest.clone());
    last.version = u64::MAX;
    to_come.issued = "2099-01-01T00:00:00Z".parse().unwrap();
    to_come.source_time = to_come.issued;
    to_come.expires = "2099-01-08T00:00:00Z".parse().unwrap();
    for (manifest, says) in [
        (last, "a version goes up by 16777216 at most"),
        (to_come, "says that it was issued at 2099-01-01"),
    ] {
        car.send_manifest(&manifest.sign(&signing_key(2)).to_json());
        assert!(car.says().contains(says), "{}", car.says());
        assert_eq!(car.version(), Some(1));
    }
    car.send_manifest(&second.signed(&signing_key(2)));
    car.send_all(&second);
    assert_eq!(car.version(), Some(2));
}

#[test]
fn list_removed_from_the_disk_is_said_and_none_older_is_taken() {
    let (first, second) = versions();
    let mut car = Car::new();
    car.send_manifest(&second.signed(&signing_key(2)));
    car.send_all(&second);
    assert_eq!(car.version(), Some(2));
    std::fs::remove_dir_all(car.dir.path().join("state/lists")).unwrap();
    let mut car = car.restarted();
    assert!(
        car.says().contains("version 2 was in force and is missing from the disk"),
        "{}",
        car.says()
    );
    car.send_manifest(&first.signed(&signing_key(2)));
    assert!(car.says().contains("version 2 is known already"), "{}", car.says());
    car.send_manifest(&second.signed(&signing_key(2)));
    car.send_all(&second);
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
    assert!(car.says().contains("version 2 is not complete: chunks that do not arrive: 1"));
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

/// Version `n` of a list that shares no chunk with the others.
fn version(n: u64) -> MadeUp {
    let mut list = MadeUp::new("peel", "stolen", KEY, ENTRIES + n);
    list.manifest.version = n;
    list
}

/// The version that serves, if any does.
fn serves(car: &Car) -> Option<String> {
    car.service.lists().first().map(|list| list.stamp().version.to_string())
}

#[test]
fn chunk_that_the_disk_refuses_leaves_the_version_before_on_the_disk() {
    let mut car = Car::new();
    let (first, second) = (version(1), version(2));
    car.send_manifest(&first.signed(&signing_key(2)));
    car.send_all(&first);
    assert_eq!(serves(&car).as_deref(), Some("1"));

    // The disk takes everything but one chunk: a folder stands where it would be written.
    let address = second.messages.keys().next().unwrap();
    let chunks = car.dir.path().join("state/lists/stolen/chunks");
    let in_the_way = chunks.join(address.to_string()).with_extension("new");
    std::fs::create_dir(&in_the_way).unwrap();
    car.send_manifest(&second.signed(&signing_key(2)));
    car.send_all(&second);
    assert_eq!(serves(&car).as_deref(), Some("2"), "memory needs no disk");
    let said = format!("{:?}", car.health.state("hotlist/stolen"));
    assert!(said.contains("the list cannot be written to the disk"), "{said}");

    // Without any network: all of the one before, rather than none at all.
    let mut car = car.restarted();
    assert_eq!(serves(&car).as_deref(), Some("1"), "{:?}", car.health.state("hotlist/stolen"));

    // The disk is well again: the chunk is asked for once more, and then the version before may go.
    car.sync.turn(Duration::ZERO);
    car.send_all(&second);
    assert_eq!(serves(&car).as_deref(), Some("2"));
    std::fs::remove_dir(&in_the_way).unwrap();
    assert!(car.asked().is_empty(), "not again at once");
    car.clock.advance(Duration::from_secs(6));
    car.sync.turn(Duration::ZERO);
    assert_eq!(car.asked(), [*address]);
    car.send_all(&second);
    // That all its plates are others is said, and nothing of the disk any more.
    let said = format!("{:?}", car.health.state("hotlist/stolen"));
    assert!(said.contains("other entries at once") && !said.contains("disk"), "{said}");
    let car = car.restarted();
    assert_eq!(serves(&car).as_deref(), Some("2"));
    let left = std::fs::read_dir(&chunks).unwrap().count();
    assert_eq!(left, second.messages.len(), "what no version names is swept up");
}

#[test]
fn list_expires_by_the_clock_while_a_stranger_sends_junk_without_a_pause() {
    let mut car = Car::new();
    let list = version(1);
    car.send_manifest(&list.signed(&signing_key(2)));
    car.send_all(&list);
    assert_eq!(serves(&car).as_deref(), Some("1"));
    car.clock.advance(Duration::from_secs(8 * 24 * 3_600));
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        let topic = Topic::Manifest("stolen".into());
        car.downlink.deliver_for_tests(&topic, b"junk", false);
        car.sync.turn(Duration::from_millis(400));
    }
    assert_eq!(serves(&car), None, "{:?}", car.health.state("hotlist/stolen"));
}
