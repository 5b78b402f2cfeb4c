//! Finds planted plates and pictures in any bytes, in every disguise that bytes could carry them in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// What is looked for, and what it was in clear.
pub struct Search {
    /// Needles by their first four bytes.
    needles: HashMap<[u8; 4], Vec<Needle>>,
    /// One bit for each possible hash of four bytes: most places are passed over by it.
    filter: Vec<u64>,
    count: usize,
}

struct Needle {
    bytes: Vec<u8>,
    what: usize,
    how: &'static str,
}

/// One find.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Find {
    /// Which of the things looked for, by number.
    pub what: usize,
    /// Its disguise.
    pub how: &'static str,
}

fn hash(four: [u8; 4]) -> usize {
    (u32::from_le_bytes(four).wrapping_mul(2_654_435_761) >> 12) as usize
}

impl Search {
    /// Looks for each of these under its number: texts as text, the pictures that belong to them as
    /// bytes.
    pub fn new(texts: &[String], pictures: &[Vec<Vec<u8>>]) -> Self {
        let mut search =
            Self { needles: HashMap::new(), filter: vec![0; (1 << 20) / 64], count: 0 };
        for (what, text) in texts.iter().enumerate() {
            disguises(text).into_iter().for_each(|(how, bytes)| search.add(what, how, bytes));
        }
        for (what, picture) in
            pictures.iter().enumerate().flat_map(|(what, all)| all.iter().map(move |p| (what, p)))
        {
            picture_disguises(picture)
                .into_iter()
                .for_each(|(how, bytes)| search.add(what, how, bytes));
        }
        search
    }

    fn add(&mut self, what: usize, how: &'static str, bytes: Vec<u8>) {
        assert!(bytes.len() >= 5, "{how} of {what} is found everywhere by chance");
        let start: [u8; 4] = bytes[..4].try_into().unwrap();
        let bit = hash(start);
        self.filter[bit / 64] |= 1 << (bit % 64);
        self.needles.entry(start).or_default().push(Needle { bytes, what, how });
        self.count += 1;
    }

    /// How many needles there are.
    pub fn needles(&self) -> usize {
        self.count
    }

    /// Everything that is found.
    pub fn look(&self, bytes: &[u8]) -> BTreeSet<Find> {
        let mut found = BTreeSet::new();
        for at in 0..bytes.len().saturating_sub(3) {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            let bit = hash(four);
            if self.filter[bit / 64] >> (bit % 64) & 1 == 0 {
                continue;
            }
            for needle in self.needles.get(&four).into_iter().flatten() {
                if bytes[at..].starts_with(&needle.bytes) {
                    found.insert(Find { what: needle.what, how: needle.how });
                }
            }
        }
        found
    }

    /// Everything that is found in a set of places, by place.
    pub fn look_all(&self, places: &Places) -> BTreeMap<String, BTreeSet<Find>> {
        let found = places.iter().map(|(name, bytes)| (name.clone(), self.look(bytes)));
        found.filter(|(_, finds)| !finds.is_empty()).collect()
    }
}

/// Bytes by where they were.
pub type Places = BTreeMap<String, Vec<u8>>;

/// Every file below a folder; `but` are left out.
pub fn files(folder: &Path, but: &[PathBuf]) -> Places {
    let mut all = Places::new();
    collect(folder, but, &mut all);
    all
}

fn collect(folder: &Path, but: &[PathBuf], all: &mut Places) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map_while(Result::ok).map(|e| e.path()) {
        // A name can carry a plate as well as a content.
        let name = path.display().to_string();
        if path.is_dir() && !path.is_symlink() {
            collect(&path, but, all);
        } else if !but.contains(&path)
            && let Ok(bytes) = std::fs::read(&path)
        {
            all.insert(name.clone(), [name.as_bytes(), b"\n", &bytes].concat());
        }
    }
}

/// All the ways in which a text may lie in bytes.
pub fn disguises(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let clear = text.as_bytes().to_vec();
    let lower = text.to_lowercase().into_bytes();
    let reversed: Vec<u8> = clear.iter().rev().copied().collect();
    let utf16 = |text: &[u8], big: bool| -> Vec<u8> {
        text.iter().flat_map(|&b| if big { [0, b] } else { [b, 0] }).collect()
    };
    let mut all = vec![
        ("utf-16 le", utf16(&clear, false)),
        ("utf-16 be", utf16(&clear, true)),
        ("utf-16 reversed", utf16(&reversed, false)),
        ("hex", data_encoding::HEXLOWER.encode(&clear).into_bytes()),
        ("HEX", data_encoding::HEXUPPER.encode(&clear).into_bytes()),
        ("hex reversed", data_encoding::HEXLOWER.encode(&reversed).into_bytes()),
        ("hex lower case", data_encoding::HEXLOWER.encode(&lower).into_bytes()),
    ];
    for (how, bytes) in [("base64", &clear), ("base64 reversed", &reversed)] {
        base64(bytes).into_iter().for_each(|coded| all.push((how, coded)));
    }
    all.extend([("clear", clear), ("lower case", lower), ("reversed", reversed)]);
    all
}

/// The ways in which a picture may lie in bytes: some bytes of its own from the middle, where no
/// table stands that other pictures share.
pub fn picture_disguises(picture: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let middle = picture.len() * 3 / 5;
    let own = &picture[middle..middle + 18];
    let mut all = vec![
        ("picture", own.to_vec()),
        ("picture, hex", data_encoding::HEXLOWER.encode(own).into_bytes()),
        ("picture, HEX", data_encoding::HEXUPPER.encode(own).into_bytes()),
    ];
    base64(own).into_iter().for_each(|coded| all.push(("picture, base64", coded)));
    all
}

/// Base64 of bytes that begin somewhere inside longer ones: three ways to be aligned. Whole groups
/// of four characters depend on these bytes alone.
fn base64(bytes: &[u8]) -> Vec<Vec<u8>> {
    (0..3)
        .map(|skip| {
            let inner = &bytes[skip..];
            let whole = &inner[..inner.len() / 3 * 3];
            data_encoding::BASE64.encode(whole).into_bytes()
        })
        .collect()
}
