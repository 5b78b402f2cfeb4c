//! Large lists of made-up plates, as an author would publish them: for benches and load tests.
//!
//! Plates are generated in the order of a list, without sorting, so that five million need no
//! memory but that of the sealed chunks.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{Timestamp, ToSpan as _};

use crate::dsse::SigningKey;
use crate::entry::{Matching, Priority};
use crate::hotlist::blocks::{Blocks, MemorySeal};
use crate::hotlist::chunked;
use crate::hotlist::format::{
    Address, ChunkRef, ChunkWriter, Counts, Layer, ListKey, ListKeys, Manifest, PageRef, Record,
    Sealed, open_chunk, paged,
};
use crate::hotlist::{Hotlist, ListStamp};
use crate::plate::{Jurisdiction, ListedPlate};

/// Letters that folding does not change.
const LETTERS: &[u8; 23] = b"ABCDEFGHJKLMNPRSTUVWXYZ";

/// Plates of Ontario's pattern, four letters and three digits.
const PLATES: u64 = 23 * 23 * 23 * 23 * 1_000;

/// A list of made-up plates.
pub struct MadeUp {
    keys: Arc<ListKeys>,
    entries: u64,
    refs: Vec<Vec<ChunkRef>>,
    layers: Vec<Layer>,
    bytes: u64,
    /// Every page and chunk, as published.
    pub messages: HashMap<Address, Arc<[u8]>>,
    /// The manifest of the newest version.
    pub manifest: Manifest,
}

fn mixed(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn text(mut n: u64) -> String {
    let mut out = [0_u8; 7];
    for place in (4..7).rev() {
        out[place] = b'0' + (n % 10) as u8;
        n /= 10;
    }
    for place in (0..4).rev() {
        out[place] = LETTERS[(n % 23) as usize];
        n /= 23;
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl MadeUp {
    /// Version 1 of a list with this many entries.
    pub fn new(agency: &str, list: &str, key: &str, entries: u64) -> Self {
        let keys = Arc::new(ListKeys::one(ListKey::parse(key).expect("a list key")));
        let now = Timestamp::now();
        let manifest = Manifest {
            agency: agency.into(),
            category: "stolen_vehicle".into(),
            counts: Counts::default(),
            expires: now + (24 * 7).hours(),
            issued: now,
            key: keys.newest().id(),
            layers: Vec::new(),
            list: list.into(),
            matching: Matching::LookAlike,
            resized: false,
            revoked: Vec::new(),
            source_time: now,
            v: 1,
            version: 0,
        };
        let mut made = Self {
            keys,
            entries,
            refs: Vec::new(),
            layers: Vec::new(),
            bytes: 0,
            messages: HashMap::new(),
            manifest,
        };
        made.layer((0..entries).map(|n| (n, false)));
        made
    }

    /// The n-th plate of the base: spread evenly over all plates, in order.
    pub fn plate(&self, n: u64) -> String {
        let step = PLATES / self.entries;
        text(n * step + mixed(n) % step)
    }

    /// Makes the next version, in which this many entries, scattered over the list, have another
    /// text.
    pub fn change(&mut self, entries: u64) {
        let apart = self.entries / entries;
        let version = self.manifest.version;
        self.layer((0..entries).map(|n| (n * apart + mixed(n ^ version) % apart, true)));
    }

    fn layer(&mut self, which: impl Iterator<Item = (u64, bool)>) {
        const MAKES: [&str; 6] = ["HONDA", "TOYOTA", "FORD", "DODGE", "LEXUS", "CHEVROLET"];
        const MODELS: [&str; 6] = ["CIVIC", "RAV4", "F150", "RAM 1500", "RX350", "SILVERADO"];
        const COLOURS: [&str; 5] = ["BLK", "WHI", "GRY", "SIL", "BLU"];
        let keys = self.keys.clone();
        let mut writer = ChunkWriter::new(keys.newest());
        let (mut refs, mut records) = (Vec::new(), 0);
        let on = Jurisdiction::parse("CA-ON").expect("a code");
        for (n, changed) in which {
            let chance = mixed(n ^ 0xa5a5) as usize;
            let plate = ListedPlate::parse(&self.plate(n)).expect("a plate");
            let case = format!("26-{:06}", mixed(n) % 1_000_000);
            let record = Record {
                priority: Priority::High,
                reason: if changed { "reported stolen, seen since" } else { "reported stolen" },
                source: "Peel Regional Police",
                case: &case,
                make: MAKES[chance % 6],
                model: MODELS[chance % 6],
                colour: COLOURS[chance / 7 % 5],
                year: Some(2005 + (chance / 64 % 20) as u16),
                last_confirmed: Timestamp::from_second(1_780_000_000 + (chance % 86_400) as i64)
                    .ok(),
                ..Record::bare(plate, on, "stolen_vehicle")
            };
            records += 1;
            for sealed in writer.push(&record).expect("records in order") {
                refs.push(self.keep(sealed));
            }
        }
        for sealed in writer.finish() {
            refs.push(self.keep(sealed));
        }
        let pages = paged(keys.newest(), &refs).into_iter().map(|page| {
            let chunks = page.entries;
            let kept = self.keep(page);
            PageRef { address: kept.address, bytes: kept.bytes, chunks }
        });
        let layer = Layer { pages: pages.collect(), records };
        self.layers.push(layer);
        self.refs.push(refs);
        let counts = Counts {
            bytes: self.bytes,
            chunks: self.refs.iter().map(|refs| refs.len() as u64).sum(),
            entries: self.entries,
        };
        self.manifest.counts = counts;
        self.manifest.layers = self.layers.clone();
        self.manifest.version += 1;
    }

    fn keep(&mut self, sealed: Sealed) -> ChunkRef {
        let kept = ChunkRef::of(&sealed);
        self.bytes += u64::from(kept.bytes);
        self.messages.insert(sealed.address, sealed.bytes.into());
        kept
    }

    /// The manifest, signed.
    pub fn signed(&self, author: &SigningKey) -> Vec<u8> {
        self.manifest.sign(author).to_json()
    }

    /// The list as a car builds it.
    pub fn hotlist(&self) -> Hotlist {
        let seal = MemorySeal::new().expect("random bytes");
        let chunk = |r: &ChunkRef| {
            let opened = open_chunk(self.keys.newest(), r.address, &self.messages[&r.address]);
            (r.address, Arc::new(Blocks::of(&opened.expect("sealed above"), &seal)))
        };
        let chunks = self.refs.iter().flatten().map(chunk).collect();
        let layers: Vec<Vec<_>> =
            self.refs.iter().map(|refs| refs.iter().copied().map(Some).collect()).collect();
        let built = chunked::build(&self.manifest, &layers, &chunks);
        let day = Duration::from_secs(86_400);
        let stamp = ListStamp {
            name: self.manifest.list.as_str().into(),
            version: self.manifest.version.to_string().into(),
            source_time: self.manifest.source_time,
        };
        let built = built.expect("a whole list");
        Hotlist::chunked(stamp, Matching::LookAlike, (day, day), built, None)
    }
}
