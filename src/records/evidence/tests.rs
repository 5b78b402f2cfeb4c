use std::io::{Cursor, Read as _};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Vehicle};
use crate::hits::testing_hit;
use crate::policy::{VerifyRules, Who};
use crate::records::disposition;
use crate::records::disposition::{Compared, Judge, Word};

struct Made {
    bundle: Bundle,
    key: PublicKey,
    audit: Audit,
    _dir: tempfile::TempDir,
}

fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T08:00:00Z".parse().unwrap()));
    let keeping = KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
    let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
    let hit = testing_hit(1);
    outbox.record(&hit).unwrap();
    let request = disposition::Request {
        hit: hit.id().to_string(),
        word: Word::Confirmed,
        officer: String::new(),
        role: None,
        compared: Compared { characters: true, jurisdiction: true },
        why: None,
        dispatch: None,
    };
    let doors: (disposition::Verify, disposition::Tell) =
        (Box::new(VerifyRules::default), Box::new(|_, _| {}));
    let judge = Judge::new(outbox.clone(), audit.clone(), vehicle, clock.clone(), doors);
    let officer = crate::sessions::SignedIn::for_tests("1234", Who::Officer);
    judge.decide(&officer, &request).unwrap();
    let who = Actor::Supervisor("77".into());
    let bundle = export(&outbox, &audit, &*clock, hit.id(), &who, "26-00417").unwrap();
    let key = audit.public_key().unwrap();
    Made { bundle, key, audit, _dir: dir }
}

fn unpacked(bundle: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bundle)).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut file = zip.by_index(i).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            (file.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

#[test]
fn bundle_holds_everything_and_verifies_with_the_public_key() {
    let made = made();
    let manifest = verify(&made.bundle.bytes, &made.key).unwrap();
    assert_eq!((manifest.case.as_str(), manifest.made_by.as_str()), ("26-00417", "supervisor 77"));
    let names: Vec<_> = manifest.files.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "index.html",
            "hit.json",
            "entry.json",
            "reading.json",
            "dispositions.json",
            "audit.jsonl",
            "plate.jpg",
            "audit-checkpoint.dsse.json",
        ]
    );
    let files = unpacked(&made.bundle.bytes);
    let text = |name: &str| {
        let (_, bytes) = files.iter().find(|(n, _)| n == name).unwrap();
        String::from_utf8_lossy(bytes).into_owned()
    };
    for (file, holds) in [
        ("index.html", "HIT0001"),
        ("index.html", "CONFIRMED BY SIGHT"),
        ("entry.json", "armed and dangerous"),
        ("dispositions.json", "confirmed_by_sight"),
        ("audit.jsonl", "\"kind\":\"disposition\""),
        ("hit.json", "\"fix\": \"known\""),
    ] {
        assert!(text(file).contains(holds), "{file} holds {holds}");
    }
    let last = made.audit.recent(1).unwrap().remove(0);
    assert!(matches!(
        last.event,
        AuditEvent::EvidenceExported { sha256, .. } if sha256 == made.bundle.sha256
    ));
}

#[test]
fn first_file_that_was_changed_added_or_taken_out_is_named() {
    let made = made();
    let files = unpacked(&made.bundle.bytes);
    for i in 0..files.len() {
        let mut changed = files.clone();
        let middle = changed[i].1.len() / 2;
        changed[i].1[middle] ^= 1;
        let error = verify(&pack(&changed).unwrap(), &made.key).unwrap_err().to_string();
        assert!(error.starts_with(&files[i].0), "{}: {error}", files[i].0);
        let mut without = files.clone();
        without.remove(i);
        let error = verify(&pack(&without).unwrap(), &made.key).unwrap_err().to_string();
        assert!(error.starts_with(&files[i].0), "{}: {error}", files[i].0);
    }
    let mut more = files.clone();
    more.push(("confession.txt".into(), b"I did it".to_vec()));
    let error = verify(&pack(&more).unwrap(), &made.key).unwrap_err().to_string();
    assert!(error.starts_with("confession.txt: it was added"), "{error}");
    more.last_mut().unwrap().0 = "holds: hit 1 of vehicle 4127\n".into();
    let error = verify(&pack(&more).unwrap(), &made.key).unwrap_err().to_string();
    assert_eq!(error, "\"holds: hit 1 of vehicle 4127\\n\": it was added: nobody signed it");
}

#[test]
fn another_cars_key_and_a_file_that_is_no_bundle_are_refused() {
    let made = made();
    let stranger = crate::dsse::SigningKey::generate().unwrap().public();
    assert!(matches!(verify(&made.bundle.bytes, &stranger), Err(VerifyError::Signature(_))));
    assert!(matches!(verify(b"PK not really", &made.key), Err(VerifyError::Container(_))));
}

/// The archive taken to pieces: each file's header and bytes, each entry of the directory, the end.
struct Pieces {
    files: Vec<(Vec<u8>, Vec<u8>)>,
    entries: Vec<Vec<u8>>,
    end: Vec<u8>,
}

fn pieces(bundle: &[u8]) -> Pieces {
    let files = archive::unpack(bundle).unwrap();
    let mut at = 0;
    let mut taken = Vec::new();
    for (name, bytes) in &files {
        let header = 30 + name.len();
        taken.push((bundle[at..at + header].to_vec(), bytes.to_vec()));
        at += header + bytes.len();
    }
    let mut entries = Vec::new();
    for (name, _) in &files {
        entries.push(bundle[at..at + 46 + name.len()].to_vec());
        at += 46 + name.len();
    }
    Pieces { files: taken, entries, end: bundle[at..].to_vec() }
}

impl Pieces {
    fn joined(&self) -> Vec<u8> {
        let files = self.files.iter().flat_map(|(header, bytes)| [header.clone(), bytes.clone()]);
        let all: Vec<Vec<u8>> =
            files.chain(self.entries.iter().cloned()).chain([self.end.clone()]).collect();
        all.concat()
    }
}

#[test]
fn archive_in_any_other_bytes_is_refused_although_every_file_in_it_is_right() {
    let made = made();
    let good = &made.bundle.bytes;
    assert_eq!(pieces(good).joined(), *good);
    let altered = |change: &dyn Fn(&mut Pieces)| {
        let mut pieces = pieces(good);
        change(&mut pieces);
        pieces.joined()
    };
    let forged = || {
        let text = b"{\"forged\": true}\n".to_vec();
        let one = archive::pack([("hit.json", text.as_slice())]).unwrap();
        pieces(&one)
    };
    let directory = good.len() - 22 - pieces(good).entries.concat().len();
    let comment = |text: &[u8]| {
        let mut bundle = good.clone();
        let at = bundle.len() - 2;
        bundle[at..].copy_from_slice(&u16::try_from(text.len()).unwrap().to_le_bytes());
        bundle.extend_from_slice(text);
        bundle
    };
    let second = archive::pack([("hit.json", b"{}".as_slice())]).unwrap();
    let packed_anew = {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in unpacked(good) {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            std::io::Write::write_all(&mut zip, &bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let envelope = |change: &dyn Fn(String) -> String| {
        let mut files = unpacked(good);
        let text = String::from_utf8(files[0].1.clone()).unwrap();
        let changed = change(text.clone());
        assert_ne!(changed, text);
        files[0].1 = changed.into_bytes();
        pack(&files).unwrap()
    };
    let stranger = {
        let mut files = unpacked(good);
        let mut envelope = Envelope::parse(&files[0].1).unwrap();
        envelope.add(&crate::dsse::SigningKey::generate().unwrap());
        files[0].1 = envelope.to_json();
        pack(&files).unwrap()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (
            "a name twice, the forgery first",
            altered(&|p| p.files.insert(2, forged().files.remove(0))),
        ),
        (
            "a name twice, in the directory too",
            altered(&|p| {
                p.files.insert(2, forged().files.remove(0));
                p.entries.insert(2, forged().entries.remove(0));
            }),
        ),
        ("a file that no directory lists", altered(&|p| p.files.push(forged().files.remove(0)))),
        ("a directory that lists less", altered(&|p| _ = p.entries.pop())),
        ("bytes before", [b"#!/bin/sh\n", good.as_slice()].concat()),
        ("bytes behind", [good.as_slice(), b"\n"].concat()),
        ("bytes between files", altered(&|p| p.files[3].1.extend_from_slice(b"more"))),
        ("bytes before the directory", {
            let mut bundle = good.clone();
            bundle.splice(directory..directory, *b"more");
            bundle
        }),
        ("a comment", comment(b"released by the court")),
        ("a renamed header", altered(&|p| p.files[2].0[30] ^= 0x20)),
        ("a renamed entry", altered(&|p| p.entries[2][46] ^= 0x20)),
        ("a symbolic link", altered(&|p| p.entries[2][41] = 0xa1)),
        ("a date", altered(&|p| p.files[2].0[12] ^= 1)),
        ("a flag", altered(&|p| p.files[2].0[7] ^= 8)),
        ("another archive behind", [good.as_slice(), &second].concat()),
        ("another archive before", [second.as_slice(), good].concat()),
        ("packed anew", packed_anew),
        ("a signature more", stranger),
        ("a space in the envelope", envelope(&|t| t.replacen(':', ": ", 1))),
        ("a line end in the envelope", envelope(&|t| t + "\n")),
        ("files in another order", {
            let mut files = unpacked(good);
            files.swap(2, 3);
            pack(&files).unwrap()
        }),
    ];
    for (what, bundle) in cases {
        assert_ne!(bundle, *good, "{what}");
        assert!(verify(&bundle, &made.key).is_err(), "{what}");
    }
    assert!(verify(good, &made.key).is_ok());
}

/// The key that makes up bundles.
fn signer() -> crate::dsse::SigningKey {
    crate::dsse::SigningKey::parse(&"07".repeat(32)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Cut, copied, moved and changed by somebody who computes every checksum anew where that helps.
    #[test]
    fn whatever_holds_is_the_bundle_byte_for_byte(
        from in 0_usize..10_000, length in 0_usize..200, to in 0_usize..10_000, takes in 0_usize..3,
        puts in prop::collection::vec(any::<u8>(), 0..4), repack: bool,
    ) {
        let good = made_up(&signer());
        let mut bad = good.clone();
        let from = from % good.len();
        let copied = good[from..(from + length).min(good.len())].to_vec();
        let at = to % good.len();
        bad.splice(at..(at + takes).min(good.len()), [copied, puts].concat());
        if repack && let Ok(files) = archive::unpack(&bad) {
            bad = archive::pack(files).unwrap_or_default();
        }
        prop_assert_eq!(verify(&bad, &signer().public()).is_ok(), bad == good);
    }

    #[test]
    fn any_flipped_byte_is_found(at in 0_usize..10_000, bits in 1_u8..) {
        let mut bad = made_up(&signer());
        let at = at % bad.len();
        bad[at] ^= bits;
        prop_assert!(verify(&bad, &signer().public()).is_err());
    }
}

#[test]
fn what_cannot_be_written_down_is_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T08:00:00Z".parse().unwrap()));
    let keeping = KeepingConfig { directory: dir.path().join("state"), ..KeepingConfig::default() };
    let vehicle = Vehicle { id: "4127".into(), agency: "peel".into() };
    let outbox = Outbox::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
    let audit = Audit::open(&keeping, &vehicle, clock.clone(), Arc::default()).unwrap();
    outbox.record(&testing_hit(1)).unwrap();
    audit.fill_disk_for_tests(true);
    while audit.append(Actor::System, AuditEvent::GpsLost).is_ok() {}
    let who = Actor::Officer("1".into());
    let made = export(&outbox, &audit, &*clock, testing_hit(1).id(), &who, "26-00417");
    assert!(matches!(made, Err(EvidenceError::Unaudited(_))));
}
