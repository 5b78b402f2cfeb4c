use std::sync::Arc;

use super::*;
use crate::clock::SimulatedClock;
use crate::config::{KeepingConfig, Vehicle};
use crate::disposition::{self, Word};
use crate::policy::Who;
use crate::uplink::testing_hit;

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
        officer: "1234".into(),
        role: Who::Officer,
    };
    disposition::decide(&outbox, &audit, &vehicle, &*clock, &request).unwrap();
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
}

#[test]
fn another_cars_key_and_a_file_that_is_no_bundle_are_refused() {
    let made = made();
    let stranger = crate::dsse::SigningKey::generate().unwrap().public();
    assert!(matches!(verify(&made.bundle.bytes, &stranger), Err(VerifyError::Signature(_))));
    assert!(matches!(verify(b"PK not really", &made.key), Err(VerifyError::Container(_))));
    // Bytes of the container between its files are no evidence; a flip in one is noticed or harmless.
    let whole = verify(&made.bundle.bytes, &made.key).unwrap();
    for at in (0..made.bundle.bytes.len()).step_by(97) {
        let mut flipped = made.bundle.bytes.clone();
        flipped[at] ^= 4;
        if let Ok(manifest) = verify(&flipped, &made.key) {
            assert_eq!(manifest, whole);
        }
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
