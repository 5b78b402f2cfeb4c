//! Tests that this code writes and reads the vectors of `docs/formats.md`.
//!
//! `OUTRIDER_BLESS=1 cargo test vectors` rewrites them after a change of format.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::*;
use crate::dsse::{Envelope, SigningKey};
use crate::entry::{Matching, Priority};
use crate::plate::{Jurisdiction, ListedPlate};
use crate::trust::{Role, Root, Trust, TrustDocument, TrustedKey};

const BEGIN: &str = "```vectors\n";

fn page_of_the_docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/formats.md")
}

fn list_key() -> ListKey {
    ListKey::parse(&"07".repeat(32)).unwrap()
}

fn seed(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn record() -> Record<'static> {
    let plate = ListedPlate::parse("ABC123").unwrap();
    let jurisdiction = Jurisdiction::parse("CA-ON").unwrap();
    Record {
        priority: Priority::High,
        case: "26-1234",
        ..Record::bare(plate, jurisdiction, "stolen_vehicle")
    }
}

fn made() -> Vec<(&'static str, String)> {
    let key = list_key();
    let mut bytes = Vec::new();
    record().encode(&mut bytes).unwrap();
    let chunk = seal_chunk(&key, &[record()]).unwrap().unwrap();
    let page = paged(&key, &[ChunkRef::of(&chunk)]).remove(0);
    let tag = revocation_tag(&key, record().plate, record().jurisdiction);
    let time = |text: &str| text.parse().unwrap();
    let manifest = Manifest {
        agency: "opp".into(),
        category: "stolen_vehicle".into(),
        counts: Counts {
            bytes: (chunk.bytes.len() + page.bytes.len()) as u64,
            chunks: 1,
            entries: 1,
        },
        expires: time("2026-12-01T06:00:00Z"),
        issued: time("2026-11-24T06:00:00Z"),
        key: key.id(),
        layers: vec![Layer {
            pages: vec![PageRef {
                address: page.address,
                bytes: page.bytes.len() as u32,
                chunks: 1,
            }],
            records: 1,
        }],
        list: "stolen".into(),
        matching: Matching::Exact,
        resized: false,
        revoked: vec![tag],
        source_time: time("2026-11-24T05:00:00Z"),
        v: 1,
        version: 1,
    };
    let trust = TrustDocument {
        agency: "opp".into(),
        version: 1,
        issued: time("2026-11-24T06:00:00Z"),
        expires: None,
        keys: vec![TrustedKey {
            name: "desk".into(),
            public: seed(1).public(),
            roles: vec![Role::ListAuthor("stolen".into())],
        }],
        withdrawn: Vec::new(),
        retired: Vec::new(),
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    vec![
        ("list key", "07".repeat(32)),
        ("list key name", key.id().to_string()),
        ("plate key", record().plate.order().1.to_string()),
        ("record", HEXLOWER.encode(&bytes)),
        ("chunk address", chunk.address.to_string()),
        ("chunk message", HEXLOWER.encode(&chunk.bytes)),
        ("page address", page.address.to_string()),
        ("page message", HEXLOWER.encode(&page.bytes)),
        ("revocation tag", tag.to_string()),
        ("author's public key", seed(1).public().to_string()),
        ("root's public key", seed(2).public().to_string()),
        ("manifest payload", text(manifest.canonical())),
        ("manifest message", text(manifest.sign(&seed(1)).to_json())),
        ("trust message", text(trust.sign(&[&seed(2)]).to_json())),
    ]
}

fn written() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(page_of_the_docs()).unwrap();
    let (_, rest) = page.split_once(BEGIN).expect("docs/formats.md has its vectors");
    let (block, _) = rest.split_once("```").unwrap();
    let lines = block.lines().filter_map(|line| line.split_once(" = "));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn vectors_of_the_docs_are_what_is_made() {
    if std::env::var_os("OUTRIDER_BLESS").is_some() {
        let page = std::fs::read_to_string(page_of_the_docs()).unwrap();
        let (before, rest) = page.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once("```").unwrap();
        let block: String = made().iter().map(|(n, v)| format!("{n} = {v}\n")).collect();
        std::fs::write(page_of_the_docs(), format!("{before}{BEGIN}{block}```{after}")).unwrap();
    }
    let written = written();
    for (name, value) in made() {
        // Another zstd compresses differently; the content is checked below.
        if !name.ends_with("message") && name != "manifest payload" {
            assert_eq!(written.get(name), Some(&value), "{name}");
        }
    }
}

#[test]
fn vectors_of_the_docs_are_taken() {
    let written = written();
    let key = list_key();
    let bytes = |name: &str| HEXLOWER.decode(written[name].as_bytes()).unwrap();
    let address = |name: &str| Address::parse(&written[name]).unwrap();
    let chunk = open_chunk(&key, address("chunk address"), &bytes("chunk message")).unwrap();
    assert_eq!(chunk.records().map(|(_, r)| r).collect::<Vec<_>>(), [record()]);
    let page = open_page(&key, address("page address"), &bytes("page message")).unwrap();
    assert_eq!(page[0].address, chunk.address());
    assert_eq!(page[0].bytes as usize, bytes("chunk message").len());

    let now = "2026-11-25T00:00:00Z".parse().unwrap();
    let root = Root { keys: vec![seed(2).public()], needed: 1 };
    let trust = Envelope::parse(written["trust message"].as_bytes()).unwrap();
    let trust = Trust::open(&trust, &root, "opp", 0, now).unwrap();
    let authors = trust.keys_for(&Role::ListAuthor("stolen".into()));
    let expected =
        Expected { authors: &authors, agency: "opp", list: "stolen", known_version: 0, now };
    let (manifest, _) = Manifest::open(written["manifest message"].as_bytes(), &expected).unwrap();
    assert_eq!(manifest.canonical(), written["manifest payload"].as_bytes());
    assert_eq!(manifest.pages().next().unwrap().address, address("page address"));
    assert!(manifest.revokes(&RevocationTag::parse(&written["revocation tag"]).unwrap()));
}
