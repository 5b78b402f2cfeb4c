//! A list's author, the agency's root, and a car that follows the list, for tests of the way between
//! them. Made of the formats alone: what `outrider hotlist publish` does is tested elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};
use outrider::clock::{Clock, SystemClock};
use outrider::config::{HotlistConfig, UplinkConfig, Vehicle};
use outrider::downlink::{Door, Downlink};
use outrider::dsse::SigningKey;
use outrider::entry::{Matching, Priority};
use outrider::health::{Health, PartState};
use outrider::hotlist::format::{
    Address, ChunkRef, ChunkWriter, Counts, Layer, ListKey, Manifest, PageRef, Record, merged,
    paged,
};
use outrider::hotlist::sync::{self, Sync, SyncHandle};
use outrider::hotlist::{Entry, Hotlists};
use outrider::inbound::Topic;
use outrider::keys::DeviceKey;
use outrider::plate::{Jurisdiction, ListedPlate, Plate};
use outrider::policy::ListsRules;
use outrider::trust::{HeldTrust, Role, Root, TrustDocument, TrustedKey};

use super::fleet::{AGENCY, Fleet};

/// The list's key, as its file has it.
pub const LIST_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";

/// A signing key out of a number.
pub fn signing_key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

/// The agency's root.
pub fn root() -> Root {
    Root { keys: vec![signing_key(1).public()], needed: 1 }
}

/// Which keys may author the list `stolen`, signed by the root.
pub fn trust(version: u64, authors: &[&SigningKey]) -> Vec<u8> {
    let keys = authors.iter().map(|key| TrustedKey {
        name: "author".into(),
        public: key.public(),
        roles: vec![Role::ListAuthor("stolen".into())],
    });
    let document = TrustDocument {
        agency: AGENCY.into(),
        version,
        issued: Timestamp::now(),
        expires: None,
        keys: keys.collect(),
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    document.sign(&[&signing_key(1)]).to_json()
}

/// An entry of CA-ON.
pub fn entry(plate: &str) -> Entry {
    let plate = ListedPlate::parse(plate).unwrap();
    let mut entry = Entry::plain(plate, "stolen_vehicle", Priority::High);
    entry.jurisdiction = Jurisdiction::parse("CA-ON").unwrap();
    entry.reason = "reported stolen".into();
    entry
}

/// Plates `A0000`, `A0001`, ...
pub fn plates(letter: char, n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{letter}{i:05}")).collect()
}

/// Who makes the list `stolen`.
pub struct Author {
    /// Signs.
    pub key: SigningKey,
    list_key: ListKey,
    layers: Vec<(Layer, Vec<Entry>)>,
    /// Every page and chunk made so far, as published.
    pub messages: BTreeMap<Address, Vec<u8>>,
    bytes: u64,
    /// The version made last.
    pub version: u64,
}

impl Author {
    /// One with nothing listed.
    pub fn new() -> Self {
        Self {
            key: signing_key(2),
            list_key: ListKey::parse(LIST_KEY).unwrap(),
            layers: Vec::new(),
            messages: BTreeMap::new(),
            bytes: 0,
            version: 0,
        }
    }

    /// Lists these and nothing else.
    pub fn base<S: AsRef<str>>(&mut self, plates: &[S]) -> &mut Self {
        self.layers.clear();
        self.bytes = 0;
        self.add(plates.iter().map(|p| entry(p.as_ref())).collect(), &[]);
        self
    }

    /// A layer: these are listed too, those no more.
    pub fn add(&mut self, mut entries: Vec<Entry>, gone: &[&str]) -> &mut Self {
        entries.sort_by_key(|e| Record::of(e).key());
        let mut records: Vec<_> = entries.iter().map(Record::of).collect();
        let on = Jurisdiction::parse("CA-ON").unwrap();
        let gone: Vec<_> = gone.iter().map(|p| ListedPlate::parse(p).unwrap()).collect();
        records.extend(gone.iter().map(|plate| Record::removal(*plate, on)));
        records.sort_by_key(Record::key);
        let mut writer = ChunkWriter::new(&self.list_key);
        let mut chunks = Vec::new();
        for record in &records {
            chunks.extend(writer.push(record).unwrap());
        }
        chunks.extend(writer.finish());
        let refs: Vec<_> = chunks.iter().map(ChunkRef::of).collect();
        let pages = paged(&self.list_key, &refs);
        let page_refs = pages.iter().map(|page| PageRef {
            address: page.address,
            bytes: page.bytes.len() as u32,
            chunks: page.entries,
        });
        let layer = Layer { pages: page_refs.collect(), records: records.len() as u64 };
        let removed = gone.iter().map(|plate| {
            let mut entry = entry("XX");
            entry.plate = *plate;
            entry.category = "removed".into();
            entry
        });
        let mut all = entries.clone();
        all.extend(removed);
        self.layers.push((layer, all));
        for sealed in chunks.into_iter().chain(pages) {
            self.bytes += sealed.bytes.len() as u64;
            self.messages.insert(sealed.address, sealed.bytes);
        }
        self
    }

    fn entries(&self) -> u64 {
        let on = Jurisdiction::parse("CA-ON").unwrap();
        let layers = self.layers.iter().map(|(_, entries)| {
            let mut records: Vec<_> = entries
                .iter()
                .map(|e| match &*e.category {
                    "removed" => Record::removal(e.plate, on),
                    _ => Record::of(e),
                })
                .collect();
            records.sort_by_key(Record::key);
            records.into_iter()
        });
        merged(layers.collect()).count() as u64
    }

    /// The next version's manifest, unsigned.
    pub fn manifest(&mut self) -> Manifest {
        self.version += 1;
        let now = Timestamp::now();
        let chunks = self.layers.iter().flat_map(|(layer, _)| &layer.pages);
        Manifest {
            agency: AGENCY.into(),
            category: "stolen_vehicle".into(),
            counts: Counts {
                bytes: self.bytes,
                chunks: chunks.map(|page| u64::from(page.chunks)).sum(),
                entries: self.entries(),
            },
            expires: now + (24 * 7).hours(),
            issued: now,
            key: self.list_key.id(),
            layers: self.layers.iter().map(|(layer, _)| layer.clone()).collect(),
            list: "stolen".into(),
            matching: Matching::Exact,
            resized: false,
            revoked: Vec::new(),
            source_time: now - 1.hours(),
            v: 1,
            version: self.version,
        }
    }

    /// Adds revocations to a manifest.
    pub fn revoke(&self, manifest: &mut Manifest, plates: &[&str]) {
        let on = Jurisdiction::parse("CA-ON").unwrap();
        let tag = |p: &&str| {
            let plate = ListedPlate::parse(p).unwrap();
            outrider::hotlist::format::revocation_tag(&self.list_key, plate, on)
        };
        manifest.revoked = plates.iter().map(tag).collect();
        manifest.revoked.sort_unstable();
    }

    /// Signs a manifest.
    pub fn sign(&self, manifest: &Manifest) -> Vec<u8> {
        manifest.sign(&self.key).to_json()
    }

    /// Publishes every page and chunk.
    pub fn publish_chunks(&self, fleet: &Fleet) {
        for (address, bytes) in &self.messages {
            fleet.retain_as("author-stolen", &chunk_topic(address), bytes);
        }
    }

    /// Publishes the next version as it should be. Returns it.
    pub fn publish(&mut self, fleet: &Fleet) -> u64 {
        let manifest = self.manifest();
        self.publish_chunks(fleet);
        fleet.retain_as("author-stolen", &manifest_topic(), &self.sign(&manifest));
        self.version
    }
}

/// Where the manifest is.
pub fn manifest_topic() -> String {
    format!("alpr/v1/{AGENCY}/hotlist/stolen/manifest")
}

/// Where a chunk is.
pub fn chunk_topic(address: &Address) -> String {
    format!("alpr/v1/{AGENCY}/hotlist/stolen/chunk/{address}")
}

/// A car that follows the list `stolen`.
pub struct Car {
    /// Lists in service.
    pub service: Arc<Hotlists>,
    /// How its parts are.
    pub health: Arc<Health>,
    /// What came in.
    pub downlink: Downlink,
    door: Option<Door>,
    _sync: SyncHandle,
}

impl Car {
    /// Starts one on a state folder; without a broker it has what it had.
    pub fn start(folder: &Path, broker: Option<&UplinkConfig>) -> Self {
        Self::start_with(folder, broker, "")
    }

    /// Starts one with further settings of the list.
    pub fn start_with(folder: &Path, broker: Option<&UplinkConfig>, settings: &str) -> Self {
        Self::start_under(folder, broker, settings, &ListsRules::default())
    }

    /// Starts one that is held to rules before it looks at any list.
    pub fn start_under(
        folder: &Path,
        broker: Option<&UplinkConfig>,
        settings: &str,
        rules: &ListsRules,
    ) -> Self {
        let state = folder.join("state");
        let key = key_file(folder);
        let config: HotlistConfig = toml::from_str(&format!(
            "name = \"stolen\"\nsource = \"mqtt\"\nkey = {:?}\n{settings}",
            key.display().to_string()
        ))
        .unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let device = DeviceKey::load(&state).unwrap();
        let trust = HeldTrust::open(root(), AGENCY, &state, &device, clock.clone()).unwrap();
        let trust = Arc::new(trust);
        let health = Arc::new(Health::default());
        let vehicle = Vehicle { id: "4127".into(), agency: AGENCY.into() };
        let downlink = Downlink::new(&vehicle);
        let (to, documents) = sync_channel(4);
        downlink.subscribe(Topic::Trust, to);
        trust.clone().follow(documents, health.clone());
        let service = Arc::new(Hotlists::default());
        service.govern(rules);
        let sync = Sync::open(sync::Parts {
            lists: &[config],
            agency: AGENCY,
            state: &state,
            device: &device,
            trust,
            service: service.clone(),
            downlink: downlink.clone(),
            audit: None,
            clock,
            health: health.clone(),
        });
        let door = broker.map(|broker| downlink.open(broker, health.clone()).unwrap());
        Self { service, health, downlink, door, _sync: sync.spawn() }
    }

    /// The version that serves.
    pub fn version(&self) -> Option<u64> {
        self.service.lists().first().map(|list| list.stamp().version.parse().unwrap())
    }

    /// Whether a plate is listed.
    pub fn lists(&self, plate: &str) -> bool {
        let key = Plate::parse(plate).unwrap().key();
        let now = Timestamp::now();
        self.service.lists().iter().any(|list| list.look_up(key, now).next().is_some())
    }

    /// Whether all of these are listed, or none of them is; panics if some are. Asks for 24 of them,
    /// the first and the last among them: a hit opens a chunk, which unoptimised takes its time.
    pub fn lists_all<S: AsRef<str>>(&self, plates: &[S]) -> bool {
        let apart = (plates.len() / 23).max(1);
        let mut asked: Vec<_> = plates.iter().step_by(apart).collect();
        asked.extend(plates.last());
        let n = asked.iter().filter(|plate| self.lists(plate.as_ref())).count();
        assert!(n == 0 || n == asked.len(), "{n} of {} plates are listed", asked.len());
        n > 0
    }

    /// What health says of the list.
    pub fn says(&self) -> String {
        match self.health.state("hotlist/stolen") {
            Some(PartState::Impaired(why)) => format!("impaired: {why}"),
            Some(PartState::Down(why)) => format!("down: {why}"),
            state => format!("{state:?}"),
        }
    }

    /// Waits until a version serves.
    #[track_caller]
    pub fn until_version(&self, version: u64) {
        let start = std::time::Instant::now();
        while self.version() != Some(version) {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "version {version} does not serve but {:?}: {}",
                self.version(),
                self.says()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until health says something of the list.
    #[track_caller]
    pub fn until_says(&self, text: &str) {
        let start = std::time::Instant::now();
        while !self.says().contains(text) {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{text:?} is not said but {}",
                self.says()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Car {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.stop(Duration::from_secs(3));
        }
    }
}

/// The list's key in a file.
pub fn key_file(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("stolen.key");
    if !path.exists() {
        std::fs::write(&path, format!("{LIST_KEY}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    path
}
