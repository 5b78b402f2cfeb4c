use rusqlite::Connection;

use super::*;
use crate::sqlcipher::{self, Durability};

const SCHEMA: &str = "CREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL)";

struct Car(tempfile::TempDir);

impl Car {
    fn new() -> Self {
        let car = Self(tempfile::tempdir().unwrap());
        let device = DeviceKey::load(car.state()).unwrap();
        for (name, purpose) in DATABASES {
            let db = car.open(&device, name, purpose).unwrap();
            db.execute("INSERT INTO note (text) VALUES (?1)", [name]).unwrap();
        }
        let sealed = SealedFiles::new(&device);
        sealed.write(&car.state().join("trust"), b"trust", b"who may sign").unwrap();
        fs::create_dir_all(car.state().join("lists/cpic")).unwrap();
        let state = car.state().join("lists/cpic/state");
        sealed.write(&state, b"lists/cpic/state", b"version 7").unwrap();
        fs::create_dir(car.state().join("ring")).unwrap();
        fs::write(car.state().join("ring/00.db"), "noise").unwrap();
        car
    }

    fn state(&self) -> &Path {
        self.0.path()
    }

    fn open(&self, device: &DeviceKey, name: &str, purpose: Purpose) -> Option<Connection> {
        let key = device.derive(purpose);
        sqlcipher::open(&self.state().join(name), &key, Durability::Full, SCHEMA, 1).ok()
    }

    /// Checks that everything opens with the key of the folder and holds what it held.
    #[track_caller]
    fn is_whole(&self) -> [u8; 32] {
        let device = DeviceKey::load(self.state()).unwrap();
        for (name, purpose) in DATABASES {
            let db = self.open(&device, name, purpose).unwrap_or_else(|| panic!("{name}"));
            let text: String = db.query_row("SELECT text FROM note", (), |r| r.get(0)).unwrap();
            assert_eq!(text, name);
            let version: u32 = db.query_row("PRAGMA user_version", (), |r| r.get(0)).unwrap();
            assert_eq!(version, 1);
        }
        let sealed = SealedFiles::new(&device);
        for (name, held) in [("trust", "who may sign"), ("lists/cpic/state", "version 7")] {
            let opened = sealed.read(&self.state().join(name), &[name.into()]).unwrap();
            assert_eq!(opened.unwrap().1.as_slice(), held.as_bytes());
        }
        files(self.state(), &mut |path| {
            assert!(path.extension().is_none_or(|e| e != NEXT), "{}", path.display());
        })
        .unwrap();
        *device.secret.expose()
    }
}

#[test]
fn everything_opens_with_the_new_key_and_nothing_with_the_old() {
    let car = Car::new();
    let old = DeviceKey::load(car.state()).unwrap();
    let before = car.is_whole();
    Rotation::begin(car.state(), false).unwrap().finish(None).unwrap();
    assert_ne!(car.is_whole(), before);
    for (name, purpose) in DATABASES {
        assert!(car.open(&old, name, purpose).is_none(), "{name}");
    }
    assert!(!car.state().join("ring").exists(), "what it kept is forgotten");
}

#[test]
fn interrupted_before_the_key_is_in_force_nothing_has_changed() {
    let car = Car::new();
    let before = car.is_whole();
    let rotation = Rotation::begin(car.state(), false).unwrap();
    rotation.prepare(None).unwrap();
    drop(rotation);
    assert_eq!(car.is_whole(), before);
    assert!(car.state().join("ring/00.db").exists());
}

#[test]
fn interrupted_between_the_copies_nothing_has_changed() {
    for copies in 0..DATABASES.len() {
        let car = Car::new();
        let before = car.is_whole();
        let rotation = Rotation::begin(car.state(), false).unwrap();
        rotation.prepare(None).unwrap();
        for (name, _) in DATABASES.iter().skip(copies) {
            fs::remove_file(next(&car.state().join(name))).unwrap();
        }
        drop(rotation);
        assert_eq!(car.is_whole(), before, "{copies} copies were made");
    }
}

#[test]
fn interrupted_at_any_step_after_it_the_next_start_finishes() {
    for done in 0..=DATABASES.len() {
        let car = Car::new();
        let before = car.is_whole();
        let rotation = Rotation::begin(car.state(), false).unwrap();
        rotation.prepare(None).unwrap();
        let key = rotation.key_path();
        fs::rename(next(&key), &key).unwrap();
        for (name, _) in DATABASES.iter().take(done) {
            let path = car.state().join(name);
            fs::rename(next(&path), &path).unwrap();
        }
        drop(rotation);
        assert_ne!(car.is_whole(), before, "{done} databases in place");
    }
}

#[test]
fn second_rotation_waits_its_turn_and_a_look_from_beside_clears_nothing_up() {
    let car = Car::new();
    let rotation = Rotation::begin(car.state(), false).unwrap();
    rotation.prepare(None).unwrap();
    assert!(matches!(Rotation::begin(car.state(), false), Err(RotateError::Busy(_))));
    DeviceKey::load(car.state()).unwrap();
    rotation.commit().unwrap();
    car.is_whole();
}

#[test]
fn wiped_car_has_nothing_left() {
    let car = Car::new();
    assert!(wipe(car.state()).unwrap() >= 5);
    let left: Vec<_> = fs::read_dir(car.state()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, [WIPED], "the word that it was wiped");
}

#[test]
fn wiped_car_makes_no_key_by_itself_and_provisioning_ends_that() {
    for words in [None, Some("five words are long enough")] {
        let car = Car::new();
        wipe(car.state()).unwrap();
        for refused in [
            DeviceKey::load(car.state()).unwrap_err(),
            DeviceKey::existing(car.state()).unwrap_err(),
            Rotation::begin(car.state(), false).err().map(|e| e.to_string()).map_or_else(
                || panic!("a wiped car has no key to change"),
                |_| DeviceKey::load(car.state()).unwrap_err(),
            ),
        ] {
            assert!(matches!(refused, KeyError::Wiped { .. }), "{refused}");
            assert!(refused.to_string().contains("outrider provision device"), "{refused}");
        }
        // A second wipe of a car that has nothing left leaves it wiped.
        wipe(car.state()).unwrap();
        assert!(matches!(DeviceKey::load(car.state()), Err(KeyError::Wiped { .. })));
        DeviceKey::create(car.state(), words).unwrap();
        DeviceKey::load(car.state()).unwrap();
    }
}

#[test]
fn secrets_elsewhere_go_with_a_wipe_and_those_that_cannot_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let [key, gone] = ["4127.key", "gone.key"].map(|name| dir.path().join(name));
    fs::write(&key, b"secret").unwrap();
    assert!(destroy_secrets(&[key.clone(), gone]).is_empty());
    assert!(!key.exists());
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    assert_eq!(destroy_secrets(std::slice::from_ref(&folder))[0].0, folder);
}

#[test]
fn key_file_goes_behind_a_passphrase_in_one_step() {
    let words = "five words are long enough";
    for interrupted in [false, true] {
        let car = Car::new();
        let before = car.is_whole();
        let rotation = Rotation::begin(car.state(), true).unwrap();
        rotation.prepare(Some(words)).unwrap();
        if interrupted {
            let key = rotation.key_path();
            fs::rename(next(&key), &key).unwrap();
            drop(rotation);
            let locked = DeviceKey::load(car.state()).unwrap_err();
            assert!(matches!(locked, KeyError::Locked { .. }), "{locked}");
        } else {
            rotation.commit().unwrap();
        }
        assert!(!car.state().join(KEY_FILE).exists(), "interrupted: {interrupted}");
        passphrase::unlock(car.state(), words).unwrap();
        assert_ne!(car.is_whole(), before);
    }
    // If it is undone, the file is in force.
    let car = Car::new();
    let before = car.is_whole();
    Rotation::begin(car.state(), true).unwrap().prepare(Some(words)).unwrap();
    assert_eq!(car.is_whole(), before);
}

/// A car whose key systemd passes, with a sealed file in its place that counts as unsealed already.
fn passed(car: &Car) -> DeviceKey {
    let old = DeviceKey::load(car.state()).unwrap();
    fs::remove_file(car.state().join(KEY_FILE)).unwrap();
    let of = DeviceKey {
        secret: SecretKey::from_bytes(old.secret.expose()),
        protection: Protection::SystemdCredential,
    };
    Sealed::at(Path::new("unused"), None).hold(car.state(), &of.secret);
    of
}

/// What `prepare` writes for a credential, without the program that seals it.
fn prepared(car: &Car, old: DeviceKey) -> DeviceKey {
    let secret = SecretKey::random().unwrap();
    let new = DeviceKey { secret, protection: Protection::KeyFile };
    let rotation = Rotation {
        state: car.state().to_owned(),
        old,
        new,
        sealed: None,
        _lock: Rotation::lock(car.state()).unwrap(),
    };
    rotation.prepare(None).unwrap();
    fs::remove_file(next(&rotation.key_path())).unwrap();
    fs::write(car.state().join(NOTE), rotation.new.name()).unwrap();
    DeviceKey { protection: Protection::SystemdCredential, ..rotation.new }
}

#[test]
fn credential_that_systemd_passes_decides_whether_the_change_is_finished_or_undone() {
    for in_force in [false, true] {
        let car = Car::new();
        let before = car.is_whole();
        let old = passed(&car);
        let new = prepared(&car, old);
        if in_force {
            Sealed::at(Path::new("unused"), None).hold(car.state(), &new.secret);
        }
        assert_eq!(car.is_whole() == before, !in_force);
        assert!(!car.state().join(NOTE).exists() && !car.state().join(LOCK).exists());
        assert!(!car.state().join(KEY_FILE).exists(), "no key file beside a credential");
    }
}

#[test]
fn who_has_not_the_credential_touches_nothing_of_a_change_under_way() {
    let car = Car::new();
    let old = passed(&car);
    prepared(&car, old);
    let count = || {
        let mut n = 0;
        files(car.state(), &mut |_| n += 1).unwrap();
        n
    };
    let before = count();
    recover(car.state(), None).unwrap();
    assert_eq!(count(), before);
}
