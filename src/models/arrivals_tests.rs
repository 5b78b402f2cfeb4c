//! What is kept of packages from the broker: over restarts, torn parts and other packages.

use jiff::Timestamp;

use super::*;
use crate::dsse::SigningKey;
use crate::models::{InParts, in_parts, pack};
use crate::trust::{TrustDocument, TrustedKey};

fn key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

/// Weights that nobody loads: so many parts, of which only the first differs from one seed to another.
fn file(seed: u8, parts: usize, version: u64) -> Vec<u8> {
    let mut onnx: Vec<u8> = (0..parts * PART_BYTES).map(|n| (n / PART_BYTES) as u8).collect();
    // The first part begins with model.toml, so that this is within it.
    onnx[100] = 200 + seed;
    let sha256 = digest(&onnx);
    let toml = format!(
        "name = \"plate-ocr-small\"\nversion = \"0.8.0\"\nkind = \"ocr\"\nfile = \"model.onnx\"\nsha256 = \"{sha256}\"\n"
    );
    pack(toml.as_bytes(), &onnx, version, Timestamp::UNIX_EPOCH, &key(7)).unwrap().1
}

fn signed(package: &InParts<'_>) -> Signed {
    Signed { statement: package.statement.clone(), signer: package.signer.clone() }
}

fn open(state: &Path) -> Arrivals {
    Arrivals::open(state, &DeviceKey::load(state).unwrap())
}

/// The names of the files of parts.
fn files(state: &Path) -> Vec<String> {
    let Ok(all) = fs::read_dir(state.join("models_in/ocr")) else { return Vec::new() };
    all.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

/// Takes a package up, and keeps all of its parts but the last ones.
fn without_last(state: &Path, package: &InParts<'_>, last: usize) -> Arrivals {
    let mut arrivals = open(state);
    arrivals.take_up(package.line, signed(package)).unwrap();
    for (part, bytes) in &package.parts[..package.parts.len() - last] {
        assert!(arrivals.keep(Kind::Ocr, part, bytes).unwrap());
    }
    arrivals
}

#[test]
fn part_that_fits_is_kept_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(1, 3, 9);
    let package = in_parts(&file).unwrap();
    assert_eq!(package.parts.len(), 4, "model.toml moves the rest");
    let mut arrivals = open(dir.path());
    assert!(arrivals.missing(Kind::Ocr).is_empty());
    let (part, bytes) = &package.parts[1];
    assert!(!arrivals.keep(Kind::Ocr, part, bytes).unwrap(), "nobody has announced it");
    arrivals.take_up(package.line, signed(&package)).unwrap();
    assert_eq!(arrivals.missing(Kind::Ocr).len(), 4);
    for wrong in [&b""[..], b"x", &bytes[1..], package.parts[0].1] {
        assert!(!arrivals.keep(Kind::Ocr, part, wrong).unwrap());
    }
    assert!(!arrivals.keep(Kind::Ocr, &digest(b"x"), b"x").unwrap(), "it is of no package");
    assert!(!arrivals.keep(Kind::Detector, part, bytes).unwrap());
    assert!(files(dir.path()).is_empty(), "no other byte reaches the disk");
    assert!(arrivals.keep(Kind::Ocr, part, bytes).unwrap());
    assert!(!arrivals.keep(Kind::Ocr, part, bytes).unwrap(), "once is enough");
    assert_eq!((files(dir.path()), arrivals.progress(Kind::Ocr)), (vec![part.clone()], (1, 4)));
    assert_eq!(arrivals.whole(Kind::Ocr).unwrap(), None);
}

#[test]
fn restart_goes_on_where_it_was_and_a_torn_part_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(1, 3, 9);
    let package = in_parts(&file).unwrap();
    drop(without_last(dir.path(), &package, 2));
    assert_eq!(open(dir.path()).progress(Kind::Ocr), (2, 4));
    // A power cut leaves a part short, and one beside it.
    let folder = dir.path().join("models_in/ocr");
    fs::write(folder.join(&package.parts[0].0), b"to").unwrap();
    fs::write(folder.join("half.new"), b"ha").unwrap();
    let mut arrivals = open(dir.path());
    assert_eq!(files(dir.path()), [package.parts[1].0.clone()]);
    for part in arrivals.missing(Kind::Ocr) {
        let (_, bytes) = package.parts.iter().find(|(of, _)| *of == part).unwrap();
        assert!(arrivals.keep(Kind::Ocr, &part, bytes).unwrap());
    }
    assert_eq!(arrivals.whole(Kind::Ocr).unwrap().unwrap(), file);
    // Damage while it waits is noticed when it is put together, and that part alone is fetched again.
    arrivals.change(Kind::Ocr, |last| last.fate = ModelFate::Waiting);
    fs::write(folder.join(&package.parts[2].0), b"other").unwrap();
    assert_eq!(arrivals.whole(Kind::Ocr).unwrap(), None);
    assert_eq!(arrivals.missing(Kind::Ocr), [package.parts[2].0.clone()]);
    assert!(arrivals.keep(Kind::Ocr, &package.parts[2].0, package.parts[2].1).unwrap());
    assert_eq!(arrivals.whole(Kind::Ocr).unwrap().unwrap(), file);
}

#[test]
fn next_package_fetches_only_what_it_does_not_share() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (file(1, 3, 9), file(2, 3, 10));
    let (first, second) = (in_parts(&first).unwrap(), in_parts(&second).unwrap());
    let mut arrivals = without_last(dir.path(), &first, 0);
    arrivals.take_up(second.line, signed(&second)).unwrap();
    assert_eq!(arrivals.missing(Kind::Ocr), [second.parts[0].0.clone()]);
    assert_eq!(files(dir.path()).len(), 3, "what only the one before needed is gone");
}

#[test]
fn what_became_of_a_package_is_remembered_and_leaves_no_file() {
    for fate in [ModelFate::Refused, ModelFate::Installed] {
        let dir = tempfile::tempdir().unwrap();
        let file = file(1, 2, 9);
        let mut arrivals = without_last(dir.path(), &in_parts(&file).unwrap(), 0);
        arrivals.begin_trial(Kind::Ocr).unwrap();
        assert_eq!(open(dir.path()).last(Kind::Ocr).unwrap().begun, 1, "before it begins");
        arrivals.change(Kind::Ocr, |last| last.fate = fate);
        let arrivals = open(dir.path());
        assert_eq!(arrivals.last(Kind::Ocr).unwrap().fate, fate);
        assert!(arrivals.missing(Kind::Ocr).is_empty() && files(dir.path()).is_empty());
    }
}

#[test]
fn version_is_remembered_for_as_long_as_its_signer_stands() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(1, 2, 9);
    let mut arrivals = without_last(dir.path(), &in_parts(&file).unwrap(), 0);
    arrivals.forget(Kind::Ocr);
    assert!(files(dir.path()).is_empty());
    let arrivals = open(dir.path());
    assert!(arrivals.last(Kind::Ocr).is_none());
    let trust = |signers: &[u8]| {
        let keys = signers.iter().map(|n| TrustedKey {
            name: format!("signer {n}"),
            public: key(*n).public(),
            roles: vec![Role::Models],
        });
        let document = TrustDocument {
            agency: "peel".into(),
            version: 1,
            issued: Timestamp::UNIX_EPOCH,
            expires: None,
            keys: keys.collect(),
            withdrawn: Vec::new(),
            retired: Vec::new(),
        };
        let root = crate::trust::Root { keys: vec![key(1).public()], needed: 1 };
        let envelope = document.sign(&[&key(1)]);
        Trust::open(&envelope, &root, "peel", 0, Timestamp::UNIX_EPOCH).unwrap()
    };
    assert_eq!(arrivals.highest(Kind::Ocr, &trust(&[7, 8])), 9);
    assert_eq!(arrivals.highest(Kind::Ocr, &trust(&[8])), 0);
    assert_eq!(arrivals.highest(Kind::Detector, &trust(&[7])), 0);
}

#[test]
fn record_that_does_not_open_begins_anew_and_its_parts_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = file(1, 2, 9);
    drop(without_last(dir.path(), &in_parts(&file).unwrap(), 1));
    fs::write(dir.path().join("models_in.sealed"), b"ORS1 something else entirely").unwrap();
    let arrivals = open(dir.path());
    assert!(arrivals.all().next().is_none() && files(dir.path()).is_empty());
}

#[test]
fn trials_of_a_package_count_when_it_was_forgotten_and_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let (file, next) = (file(1, 2, 9), file(2, 2, 10));
    let package = in_parts(&file).unwrap();
    let mut arrivals = without_last(dir.path(), &package, 0);
    arrivals.change(Kind::Ocr, |last| (last.fate, last.vain) = (ModelFate::Waiting, 3));
    arrivals.begin_trial(Kind::Ocr).unwrap();
    // The program ended, and at its next start nothing might come for a while.
    let mut arrivals = open(dir.path());
    arrivals.forget(Kind::Ocr);
    let mut arrivals = open(dir.path());
    arrivals.take_up(package.line, signed(&package)).unwrap();
    let tried = |arrivals: &Arrivals| arrivals.last(Kind::Ocr).map(|last| (last.begun, last.vain));
    assert_eq!((tried(&arrivals), tried(&open(dir.path()))), (Some((1, 3)), Some((1, 3))));
    // Another one begins without any.
    let other = in_parts(&next).unwrap();
    arrivals.forget(Kind::Ocr);
    arrivals.take_up(other.line, signed(&other)).unwrap();
    assert_eq!(tried(&arrivals), Some((0, 0)));
}
