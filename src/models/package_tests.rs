//! Attacks on a package by somebody who can recompute everything that needs no key.

use rstest::rstest;

use super::*;
use crate::clock::TimeSource;
use crate::models::in_parts;

fn key(n: u8) -> SigningKey {
    SigningKey::parse(&format!("{n:02x}").repeat(32)).unwrap()
}

fn now() -> Standing {
    Standing::of_machine("2026-11-30T12:00:00Z".parse().unwrap(), TimeSource::Ntp)
}

const ONNX: &[u8] = b"weights that nobody loads here";

fn toml() -> Vec<u8> {
    let digest = HEXLOWER.encode(&Sha256::digest(ONNX));
    format!(
        "name = \"plate-ocr-small\"\nversion = \"0.8.0\"\nkind = \"ocr\"\nfile = \"model.onnx\"\nsha256 = \"{digest}\"\n"
    )
    .into_bytes()
}

fn packed(version: u64) -> Vec<u8> {
    pack(&toml(), ONNX, version, now().at, &key(7)).unwrap().1
}

fn open(file: &[u8], known: u64) -> Result<Package<'_>, PackageError> {
    Package::open(file, &[key(7).public()], |_| known, &now())
}

/// A package with another statement, signed by the right key: what a signer with another program could make.
fn signed_otherwise(change: impl FnOnce(&mut Statement)) -> Vec<u8> {
    let mut statement = unverified(&packed(9)).unwrap();
    change(&mut statement);
    of(&statement, &toml(), ONNX)
}

/// A file of this statement, signed by the right key, and these bytes.
fn of(statement: &Statement, toml: &[u8], onnx: &[u8]) -> Vec<u8> {
    let payload = serde_json::to_vec(statement).unwrap();
    let mut file = Envelope::sign(MODEL_TYPE, payload, &[&key(7)]).to_json();
    file.push(b'\n');
    file.extend_from_slice(toml);
    file.extend_from_slice(onnx);
    file
}

#[test]
fn what_was_packed_is_what_is_opened() {
    let file = packed(9);
    let package = open(&file, 8).unwrap();
    assert_eq!((package.toml, package.onnx), (&toml()[..], ONNX));
    assert_eq!(package.statement.words(), "plate-ocr-small 0.8.0, version 9");
    assert_eq!(package.signer, key(7).public().id());
    assert_eq!(open(&file, 9).unwrap(), package, "the version in force may come again");
}

#[test]
fn any_altered_missing_or_appended_byte_is_refused() {
    let file = packed(9);
    for at in 0..file.len() {
        for bit in [1, 0x20, 0x80] {
            let mut bad = file.clone();
            bad[at] ^= bit;
            assert!(open(&bad, 0).is_err(), "byte {at}, bit {bit:02x}");
        }
        assert!(open(&file[..at], 0).is_err(), "cut at {at}");
    }
    for more in [&b"\n"[..], b" ", b"x"] {
        let longer = [&file[..], more].concat();
        assert!(matches!(open(&longer, 0), Err(PackageError::Length { .. })));
    }
    let again = [&file[..], &file].concat();
    assert!(matches!(open(&again, 0), Err(PackageError::Length { .. })));
}

#[test]
fn second_signature_another_type_and_another_key_are_refused() {
    let file = packed(9);
    let line = file.iter().position(|b| *b == b'\n').unwrap();
    let with = |envelope: Vec<u8>| [&envelope, &file[line..]].concat();
    let mut envelope = Envelope::parse(&file[..line]).unwrap();
    let payload = envelope.unverified_payload().to_vec();
    envelope.add(&key(9));
    let twice = with(envelope.to_json());
    let stranger = PackageError::Signature(DsseError::Stranger(key(9).public().id()));
    assert_eq!(open(&twice, 0), Err(stranger));
    let foreign = with(Envelope::sign(MODEL_TYPE, payload.clone(), &[&key(9)]).to_json());
    assert!(matches!(open(&foreign, 0), Err(PackageError::Signature(DsseError::TooFew { .. }))));
    let manifest = "application/vnd.outrider.hotlist-manifest.v1+json";
    let other = with(Envelope::sign(manifest, payload, &[&key(7)]).to_json());
    assert!(matches!(open(&other, 0), Err(PackageError::Signature(DsseError::Type { .. }))));
    let none = Package::open(&file, &[], |_| 0, &now());
    assert!(matches!(none, Err(PackageError::Signature(DsseError::TooFew { .. }))));
}

#[test]
fn older_impossible_and_future_packages_are_refused() {
    let older = open(&packed(9), 10).map(drop);
    let refused = PackageError::Rollback { kind: Kind::Ocr, found: 9, known: 10 };
    assert_eq!(older, Err(refused));
    let last = signed_otherwise(|s| s.version = u64::MAX);
    assert!(matches!(open(&last, 0), Err(PackageError::Dated(_))));
    assert!(matches!(open(&last, 41), Err(PackageError::Dated(_))));
    let ahead = signed_otherwise(|s| s.issued = "2026-11-30T12:10:01Z".parse().unwrap());
    assert!(matches!(open(&ahead, 0), Err(PackageError::Dated(DatedError::Ahead { .. }))));
    assert!(pack(&toml(), ONNX, u64::MAX, now().at, &key(7)).is_err(), "what no car takes");
}

#[rstest]
#[case(|s: &mut Statement| s.name = "../../etc/cron.d".into())]
#[case(|s: &mut Statement| s.name = String::new())]
#[case(|s: &mut Statement| s.name = "plate-ocr-large".into())]
#[case(|s: &mut Statement| s.release = "0.8.1".into())]
#[case(|s: &mut Statement| s.release = "0.8.0\u{202e}".into())]
#[case(|s: &mut Statement| s.release = " 0.8.0".into())]
#[case(|s: &mut Statement| s.kind = Kind::Detector)]
#[case(|s: &mut Statement| s.files.onnx.bytes = u64::MAX)]
#[case(|s: &mut Statement| s.files.toml.bytes = 0)]
#[case(|s: &mut Statement| s.files.toml.bytes += 1)]
#[case(|s: &mut Statement| s.files.onnx.sha256.make_ascii_uppercase())]
fn statement_that_is_not_of_these_files_is_refused(#[case] change: fn(&mut Statement)) {
    let file = signed_otherwise(change);
    assert!(open(&file, 0).is_err(), "{:?}", unverified(&file));
}

#[test]
fn digest_that_is_none_is_refused_with_the_first_line_before_anybody_is_shown_it() {
    let changes: [fn(&mut Statement); 2] = [
        |s| s.files.toml.sha256 = "\u{1b}[2J".repeat(16),
        |s| s.files.onnx.sha256 = format!("../../{}", "0".repeat(58)),
    ];
    for change in changes {
        let file = signed_otherwise(change);
        let line = &file[..file.iter().position(|b| *b == b'\n').unwrap()];
        let why = Signed::open(line, &[key(7).public()], |_| 0, &now()).unwrap_err().to_string();
        assert!(why.contains("must be 64 small hexadecimal digits"), "{why}");
        assert!(!why.contains('\u{1b}'), "{why:?}");
    }
}

#[test]
fn weights_in_another_file_are_neither_signed_nor_taken_nor_published() {
    // A graph with one tensor, which says that its values are in another file.
    let tensor =
        [&b"\x08\x04\x42\x01w\x70\x01"[..], b"\x6a\x11\x0a\x08location\x12\x05w.bin"].concat();
    let graph = [&[0x2a, tensor.len() as u8][..], &tensor].concat();
    let onnx = [&[0x3a, graph.len() as u8][..], &graph].concat();
    let text = String::from_utf8(toml()).unwrap();
    let toml = text.replace(&digest(ONNX), &digest(&onnx)).into_bytes();
    let refused = PackageError::Onnx(NotOneFile::Elsewhere("w".into()));
    assert_eq!(pack(&toml, &onnx, 9, now().at, &key(7)).unwrap_err(), refused);
    // Somebody signs it with another program.
    let mut statement = unverified(&packed(9)).unwrap();
    statement.files = Files { toml: Stated::of(&toml), onnx: Stated::of(&onnx) };
    statement.parts = [&toml[..], &onnx].concat().chunks(PART_BYTES).map(digest).collect();
    let file = of(&statement, &toml, &onnx);
    assert_eq!(open(&file, 0).unwrap_err(), refused);
    assert_eq!(in_parts(&file).unwrap_err(), refused);
}

#[test]
fn lengths_that_pass_a_byte_from_one_file_to_the_other_are_refused() {
    let moved = signed_otherwise(|s| {
        s.files.toml.bytes += 1;
        s.files.onnx.bytes -= 1;
    });
    assert!(matches!(open(&moved, 0), Err(PackageError::Digest { .. })));
}

#[test]
fn model_toml_that_names_another_file_kind_or_digest_is_not_packed() {
    let text = String::from_utf8(toml()).unwrap();
    for (from, to) in [
        ("file = \"model.onnx\"", "file = \"../model.onnx\""),
        ("kind = \"ocr\"", "kind = \"other\""),
        ("sha256 = \"", "sha256 = \"0"),
        ("plate-ocr-small", "Plate OCR"),
    ] {
        let other = text.replace(from, to);
        assert!(pack(other.as_bytes(), ONNX, 1, now().at, &key(7)).is_err(), "{to}");
    }
}

#[test]
fn part_digests_that_do_not_fit_the_length_or_the_bytes_are_refused() {
    let none = signed_otherwise(|s| s.parts.clear());
    assert!(open(&none, 0).is_ok(), "a package of an older program comes by file");
    let refused = in_parts(&none).unwrap_err().to_string();
    assert!(refused.contains("pack it again"), "{refused}");
    let file = packed(9);
    let cut = in_parts(&file).unwrap();
    assert_eq!(
        cut.parts.iter().map(|(_, bytes)| bytes.len()).sum::<usize>(),
        toml().len() + ONNX.len()
    );
    assert_eq!(cut.signer, key(7).public().id());
    let changes: [fn(&mut Statement); 4] = [
        |s| s.parts.push(s.parts[0].clone()),
        |s| s.parts[0].make_ascii_uppercase(),
        |s| s.parts[0] = "../../etc".into(),
        |s| s.parts[0] = "0".repeat(64),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        let file = signed_otherwise(change);
        assert!(open(&file, 0).is_err() && in_parts(&file).is_err(), "{n}");
    }
    assert_eq!(open(&signed_otherwise(changes[3]), 0), Err(PackageError::Part { n: 1 }));
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1;
        // The signature is the cars' to check; every other byte is checked at the desk.
        let is_signature = at < file.iter().position(|b| *b == b'\n').unwrap();
        assert!(is_signature || in_parts(&bad).is_err(), "byte {at}");
    }
}

#[test]
fn longest_package_has_a_statement_that_fits_its_line() {
    let onnx = vec![0x5a; MOST_ONNX as usize];
    let digest = HEXLOWER.encode(&Sha256::digest(&onnx));
    let mut toml = String::from_utf8(toml()).unwrap();
    let old = HEXLOWER.encode(&Sha256::digest(ONNX));
    toml = toml.replace(&old, &digest);
    toml += &format!("# {}\n", "x".repeat(MOST_TOML as usize - toml.len() - 3));
    let file = pack(toml.as_bytes(), &onnx, MOST_FIRST_VERSION, now().at, &key(7)).unwrap().1;
    let cut = in_parts(&file).unwrap();
    assert_eq!(cut.parts.len(), 513);
    assert!(cut.line.len() < 47_000 && 47_000 < MOST_LINE, "{}", cut.line.len());
    assert!(open(&file, 0).is_ok());
}

/// The highest first version.
const MOST_FIRST_VERSION: u64 = 1 << 32;
