//! What is left of models after power cuts, damage and a new device key.

use super::*;
use crate::clock::Standing;
use crate::dsse::SigningKey;
use crate::keys::rotation::Rotation;
use crate::models::package::pack;

fn key() -> SigningKey {
    SigningKey::parse(&"07".repeat(32)).unwrap()
}

fn packed(version: u64, onnx: &[u8]) -> Vec<u8> {
    use sha2::Digest as _;
    let digest = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(onnx));
    let toml = format!(
        "name = \"m\"\nversion = \"1\"\nkind = \"ocr\"\nfile = \"model.onnx\"\nsha256 = \"{digest}\"\n"
    );
    pack(toml.as_bytes(), onnx, version, Timestamp::UNIX_EPOCH, &key()).unwrap().1
}

fn opened(file: &[u8]) -> Package<'_> {
    Package::open(file, &[key().public()], |_| 0, &Standing::from(Timestamp::now())).unwrap()
}

fn kept(state: &Path) -> Kept {
    Kept::new(state, &DeviceKey::load(state).unwrap())
}

fn installed(package: &Package<'_>) -> Installed {
    let (statement, signer) = (package.statement.clone(), package.signer.clone());
    Installed { statement, signer, at: Timestamp::UNIX_EPOCH }
}

fn record_of(installed: &Installed) -> Record {
    let slot = Slot { in_force: Some(installed.clone()), ..Slot::default() };
    Record { slots: BTreeMap::from([(Kind::Ocr, slot)]), ..Record::default() }
}

fn names(state: &Path) -> Vec<String> {
    let all = fs::read_dir(state.join(FOLDER)).unwrap();
    let mut names: Vec<_> =
        all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn power_cut_between_files_and_record_leaves_what_was_and_no_remains() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let first = packed(1, b"first");
    let (kept, first) = (kept(state), opened(&first));
    let before = installed(&first);
    kept.write_new(&first).unwrap();
    kept.put_in_place(&before).unwrap();
    kept.write(&record_of(&before)).unwrap();
    let second = packed(2, b"second");
    let second = opened(&second);
    // The power goes while the files are written, and then once they are in place.
    kept.write_new(&second).unwrap();
    for in_place in [false, true] {
        if in_place {
            kept.write_new(&second).unwrap();
            kept.put_in_place(&installed(&second)).unwrap();
        }
        let again = Kept::new(state, &DeviceKey::load(state).unwrap());
        let record = again.read().unwrap().unwrap();
        assert_eq!(record, record_of(&before));
        again.sweep(&record);
        assert_eq!(names(state), [before.folder()]);
        again.check(&before).unwrap();
    }
}

#[test]
fn file_that_was_changed_or_is_gone_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let file = packed(1, b"weights");
    let (kept, package) = (kept(state), opened(&file));
    let installed = installed(&package);
    kept.write_new(&package).unwrap();
    kept.put_in_place(&installed).unwrap();
    let folder = kept.path(&installed);
    for (name, bytes) in [("model.toml", package.toml), ("model.onnx", package.onnx)] {
        fs::write(folder.join(name), [bytes, b" "].concat()).unwrap();
        assert!(kept.check(&installed).is_err(), "{name} is longer");
        let mut other = bytes.to_vec();
        other[0] ^= 1;
        fs::write(folder.join(name), other).unwrap();
        assert!(kept.check(&installed).is_err(), "{name} differs");
        fs::remove_file(folder.join(name)).unwrap();
        assert!(kept.check(&installed).is_err(), "{name} is gone");
        fs::write(folder.join(name), bytes).unwrap();
        kept.check(&installed).unwrap();
    }
}

#[test]
fn record_of_another_car_or_a_damaged_one_is_no_record_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
    let file = packed(1, b"weights");
    let record = record_of(&installed(&opened(&file)));
    assert!(kept(&ours).read().unwrap().is_none());
    kept(&ours).write(&record).unwrap();
    kept(&theirs).write(&record).unwrap();
    fs::copy(theirs.join(RECORD), ours.join(RECORD)).unwrap();
    assert!(matches!(kept(&ours).read(), Err(KeptError::Record { .. })));
    fs::write(ours.join(RECORD), b"ORS1 something else entirely").unwrap();
    let told = kept(&ours).read().unwrap_err().to_string();
    assert!(told.ends_with("shipped models are in force"), "{told}");
}

#[test]
fn record_outlives_a_new_device_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = packed(1, b"weights");
    let record = record_of(&installed(&opened(&file)));
    kept(dir.path()).write(&record).unwrap();
    Rotation::begin(dir.path(), false).unwrap().finish(None).unwrap();
    assert_eq!(kept(dir.path()).read().unwrap(), Some(record));
}

#[test]
fn same_package_again_is_put_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = packed(1, b"weights");
    let (kept, package) = (kept(dir.path()), opened(&file));
    let installed = installed(&package);
    for _ in 0..2 {
        kept.write_new(&package).unwrap();
        kept.put_in_place(&installed).unwrap();
        assert_eq!(names(dir.path()), [installed.folder()]);
        kept.check(&installed).unwrap();
    }
}
