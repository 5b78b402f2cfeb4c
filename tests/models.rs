//! Sends packages of models to a car: a maintainer installs them through the running daemon, with the built `outrider`,
//! ONNX Runtime, and the models that are shipped; and somebody attacks who may recompute everything that needs no key.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use common::author::signing_key;
use common::packages::{AUTHOR, SECOND, SIGNER, car, good, packed, root, trust, variant};
use common::people;
use common::running::Car;
use common::runtime::onnxruntime;
use common::skipped;
use jiff::Timestamp;
use outrider::audit::{Actor, Audit};
use outrider::camera_id::CameraId;
use outrider::clock::{Clock, SimulatedClock, SystemClock};
use outrider::config::Config;
use outrider::health::{Health, PartState};
use outrider::keys::DeviceKey;
use outrider::models::{Kind, Models, Outcome, Parts};
use outrider::onboard::FrameReader;
use outrider::onboard::frame::{Frame, Pixels};
use outrider::onboard::vision::{Reader, still};
use outrider::trust::{HeldTrust, Root};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn child_that_runs() {
    common::running::child();
}

/// Who maintains the car.
const MAINTAINER: &str = "700";

fn runtime() -> Option<PathBuf> {
    onnxruntime("packages of models")
}

fn sign_in(car: &Car) {
    let output = car.login(MAINTAINER, people::PIN);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A car whose daemon runs and whose maintainer has signed in.
fn signed_in(runtime: &Path) -> (TempDir, Car) {
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(dir.path(), runtime);
    car.start(&[]);
    sign_in(&car);
    (dir, car)
}

/// `outrider models install` as this person; its outcome, and whether it succeeded.
fn install_as(car: &Car, who: &str, package: &[u8]) -> (bool, Value, String) {
    std::fs::write(car.path("a.model"), package).unwrap();
    let file = car.path("a.model");
    let output = car
        .command_as(who, &["models", "install", file.to_str().unwrap(), "--json"])
        .output()
        .unwrap();
    let outcome = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.success(), outcome, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn install(car: &Car, package: &[u8]) -> (bool, Value, String) {
    install_as(car, MAINTAINER, package)
}

/// Installs what must be refused; returns why.
#[track_caller]
fn refused(car: &Car, package: &[u8]) -> String {
    let before = list(car);
    let (ok, outcome, said) = install(car, package);
    assert!(!ok, "{outcome}");
    let after = list(car);
    assert_eq!(before["models"], after["models"], "nothing changes");
    let why = outcome["refused"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned();
    assert!(said.contains("nothing has changed"), "{said}");
    why
}

#[track_caller]
fn installs(car: &Car, package: &[u8]) -> Value {
    let (ok, outcome, said) = install(car, package);
    assert!(ok, "{said} {outcome}");
    outcome
}

fn list(car: &Car) -> Value {
    serde_json::from_str(&car.does(&["models", "list", "--json"])).unwrap()
}

/// The version of the OCR that is in force; `None` for the shipped one.
fn in_force(car: &Car) -> Option<u64> {
    let told = list(car);
    let models = told["models"].as_array().unwrap().clone();
    models.iter().find(|m| m["kind"] == "ocr").unwrap()["in_force"]["version"].as_u64()
}

fn folders(car: &Car) -> Vec<String> {
    let Ok(all) = std::fs::read_dir(car.state().join("models")) else { return Vec::new() };
    let mut names: Vec<_> = all.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn package_is_tried_comes_into_force_and_is_given_up_again_on_record() {
    let Some(runtime) = runtime() else { return };
    let (_dir, mut car) = signed_in(&runtime);
    assert!(car.does(&["status"]).contains("as shipped"));
    let outcome = installs(&car, &good(2));
    let (before, after) = (&outcome["trial"]["before"], &outcome["trial"]["after"]);
    assert_eq!(before["score"], after["score"], "the same weights read the same");
    assert!(after["score"]["right"].as_u64().unwrap() >= 20, "{after}");
    assert!(after["speed"]["front"]["frame_ms"].as_f64().unwrap() > 0.5, "{after}");
    assert_eq!(in_force(&car), Some(2));
    installs(&car, &good(3));
    assert_eq!(folders(&car).len(), 2, "the one in force and the one before");
    let told = list(&car);
    assert_eq!(told["on_probation"], "ocr");
    let key = signing_key(SIGNER).public().id().to_string();
    let status = car.does(&["status"]);
    assert!(status.contains(&format!("version 3, signed by key {key}")), "{status}");
    let words = car.does(&["models", "list"]);
    assert!(words.contains("plate-ocr-small 0.8.2"), "{words}");
    // Back to the package before, then to the shipped model.
    let back = |words: &str| {
        let output = car.command_as(MAINTAINER, &["models", "rollback"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(words), "{said}{}", String::from_utf8_lossy(&output.stderr));
    };
    back("plate-ocr-small 0.8.2, version 2 is in force");
    assert_eq!(list(&car)["on_probation"], "ocr", "its own minute was cut short");
    back("the shipped model is in force");
    assert!(list(&car)["on_probation"].is_null());
    assert_eq!((in_force(&car), folders(&car)), (None, Vec::new()));
    let output = car.command_as(MAINTAINER, &["models", "rollback"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing to go back from"));
    assert_eq!((car.recorded("model_installed"), car.recorded("model_rolled_back")), (2, 2));
    let record = car.audit().into_iter().find(|r| r["event"]["kind"] == "model_installed").unwrap();
    assert_eq!((&record["event"]["signer"], &record["event"]["version"]), (&key.into(), &2.into()));
    // A version that was in force may come again, an older one may not.
    assert!(refused(&car, &good(2)).contains("version 3 was in force already"));
    installs(&car, &good(3));
    car.stop();
    // Without a daemon the same is told from the disk.
    assert_eq!(in_force(&car), Some(3));
    car.start(&[]);
    assert_eq!(in_force(&car), Some(3));
    car.stop();
    assert_eq!(in_force(&car), Some(3), "starts that end in order count against nobody");
}

#[test]
fn model_that_reads_worse_is_refused_with_the_figures() {
    let Some(runtime) = runtime() else { return };
    let (_dir, car) = signed_in(&runtime);
    let key = signing_key(SIGNER);
    let swapped = variant("plate-ocr-small", "0.9.0", |toml, _| {
        *toml = toml.replace("0123456789ABCDEF", "0123456798ABDCEF");
    });
    let why = refused(&car, &packed(&swapped, 2, &key));
    assert!(
        why.starts_with("it reads worse than the models in force: plates read right of 30"),
        "{why}"
    );
    // Weights with a stretch of zeros, as a bad block leaves them.
    let damaged = variant("plate-ocr-small", "0.9.1", |_, onnx| {
        let middle = onnx.len() / 2;
        onnx[middle..middle + 400_000].fill(0);
    });
    let why = refused(&car, &packed(&damaged, 2, &key));
    assert!(
        why.contains("worse") || why.contains("does not load") || why.contains("failed"),
        "{why}"
    );
    let nonsense = variant("plate-detector-small", "0.9.2", |_, onnx| {
        onnx.clear();
        onnx.extend_from_slice(b"this is an HTML error page of a download");
    });
    let why = refused(&car, &packed(&nonsense, 2, &key));
    assert!(why.starts_with("it does not load: "), "{why}");
    let issuer = variant("plate-jurisdiction-small", "0.9.3", |_, _| {});
    assert!(refused(&car, &packed(&issuer, 2, &key)).contains("reads no jurisdiction"));
    assert_eq!((in_force(&car), folders(&car)), (None, Vec::new()));
    assert_eq!(car.recorded("model_refused"), 4);
    let told = list(&car)["refused"]["what"].as_str().unwrap().to_owned();
    assert!(told.contains("reads no jurisdiction"), "{told}");
    assert!(car.does(&["status"]).contains("refused since the start"));
}

#[test]
fn nobody_installs_who_may_not_and_nothing_that_may_not_be_installed() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(dir.path(), &runtime);
    car.start(&[]);
    // Nobody is signed in, and then an officer is.
    let (ok, _, said) = install_as(&car, "nobody", &good(2));
    assert!(!ok && said.contains("sign"), "{said}");
    assert!(car.login("1234", people::PIN).status.success());
    let (ok, _, said) = install_as(&car, "1234", &good(2));
    assert!(!ok && said.contains("maintainer"), "{said}");
    let output = car.command_as("1234", &["models", "rollback"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("maintainer"));
    assert!(car.recorded("entry_refused") >= 2);
    sign_in(&car);
    let files = variant("plate-ocr-small", "0.9.0", |_, _| {});
    // An author of lists, somebody whom the root knows for nothing, and who was not granted models yet.
    for n in [AUTHOR, 5, SECOND, 99] {
        let why = refused(&car, &packed(&files, 2, &signing_key(n)));
        assert!(why.contains("signed by 0 of the keys that may sign this"), "{n}: {why}");
    }
    let mut longer = good(2);
    longer.push(b'\n');
    assert!(refused(&car, &longer).contains("it was cut or added to"));
    let mut altered = good(2);
    *altered.last_mut().unwrap() ^= 1;
    assert!(refused(&car, &altered).contains("not the file that was signed"));
    assert!(refused(&car, b"").contains("no model package"));
    assert!(refused(&car, &vec![b'x'; 1 << 20]).contains("no model package"));
    installs(&car, &good(7));
    assert!(refused(&car, &good(7)).contains("is in force already"));
    let other = packed(&files, 7, &signing_key(SIGNER));
    assert!(refused(&car, &other).contains("another package of the ocr was in force as version 7"));
    assert!(refused(&car, &good(6)).contains("version 7 was in force already"));
}

#[test]
fn withdrawn_signers_package_is_given_up_and_its_versions_do_not_count() {
    let Some(runtime) = runtime() else { return };
    let (_dir, mut car) = signed_in(&runtime);
    installs(&car, &good(7));
    car.stop();
    std::fs::write(car.path("people/trust.json"), trust(2, &[SECOND])).unwrap();
    car.start(&[]);
    assert_eq!(in_force(&car), None);
    let told = list(&car)["rolled_back"]["what"].as_str().unwrap().to_owned();
    assert!(told.contains("may sign no models any more"), "{told}");
    assert!(car.does(&["status"]).contains("may sign no models any more"), "the part says so");
    sign_in(&car);
    assert!(refused(&car, &good(8)).contains("signed by 0 of the keys"));
    let files = variant("plate-ocr-small", "0.7.9", |_, _| {});
    installs(&car, &packed(&files, 1, &signing_key(SECOND)));
    assert_eq!((in_force(&car), list(&car)["rolled_back"].is_null()), (Some(1), true));
}

#[test]
fn package_whose_program_ends_twice_in_its_first_minute_is_given_up() {
    let Some(runtime) = runtime() else { return };
    let (_dir, mut car) = signed_in(&runtime);
    installs(&car, &good(2));
    car.crash();
    car.start(&[]);
    assert_eq!(in_force(&car), Some(2), "once may be a power cut");
    car.crash();
    car.start(&[]);
    assert_eq!(in_force(&car), None);
    assert!(car.log().contains("model package rolled back"), "{}", car.log());
    let told = list(&car)["rolled_back"]["what"].as_str().unwrap().to_owned();
    assert!(told.contains("ended 2 times before the package's first minute was over"), "{told}");
    assert!(car.does(&["status"]).contains("first minute"), "the part says so");
    assert_eq!(car.recorded("model_rolled_back"), 1);
    // It is told until a maintainer has seen it, over restarts too.
    car.stop();
    car.start(&[]);
    assert!(!list(&car)["rolled_back"].is_null());
    sign_in(&car);
    let output = car.command_as(MAINTAINER, &["models", "seen"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(list(&car)["rolled_back"].is_null());
}

#[test]
fn crashes_take_every_package_out_of_force_that_has_not_survived_a_minute() {
    let Some(runtime) = runtime() else { return };
    let (_dir, mut car) = signed_in(&runtime);
    // One after the other, as a maintainer does where several wait. Each cuts the minute of the one before short, and any of
    // them may be the one that ends the program.
    let detector =
        packed(&variant("plate-detector-small", "0.9.0", |_, _| {}), 1, &signing_key(SIGNER));
    for package in [&detector, &good(2), &good(3)] {
        installs(&car, package);
    }
    for _ in 0..2 {
        car.crash();
        car.start(&[]);
    }
    let told = list(&car);
    let models = told["models"].as_array().unwrap();
    assert!(models.iter().all(|of| of["in_force"]["version"].is_null()), "{told}");
    let what = told["rolled_back"]["what"].as_str().unwrap();
    for gone in
        ["detector plate-detector-small 0.9.0, version 1", "0.8.3, version 3", "0.8.2, version 2"]
    {
        assert!(what.contains(gone), "{what}");
    }
    assert!(told["on_probation"].is_null(), "{told}");
    assert_eq!(car.recorded("model_rolled_back"), 3);
}

#[test]
fn second_daemon_in_a_state_folder_ends_before_it_touches_anything() {
    let Some(runtime) = runtime() else { return };
    let (_dir, mut car) = signed_in(&runtime);
    installs(&car, &good(2));
    // More than the starts that a new package may have.
    for _ in 0..2 {
        let output = car.run(&["run"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("another outrider answers at"), "{said}");
    }
    assert_eq!((car.recorded("started"), car.recorded("model_rolled_back")), (1, 0));
    car.crash();
    car.start(&[]);
    assert_eq!(in_force(&car), Some(2), "they did not count against the package");
}

#[test]
fn package_that_was_changed_on_the_disk_or_whose_record_is_gone_is_not_used() {
    let Some(runtime) = runtime() else { return };
    let (_dir, mut car) = signed_in(&runtime);
    installs(&car, &good(2));
    car.stop();
    // Somebody sets another threshold: every digest that needs no key can be computed anew, the seal cannot.
    let folder = car.state().join("models").join(&folders(&car)[0]);
    let toml = std::fs::read_to_string(folder.join("model.toml")).unwrap();
    std::fs::write(folder.join("model.toml"), toml.replace("temperature = ", "temperature = 1"))
        .unwrap();
    car.start(&[]);
    assert_eq!(in_force(&car), None);
    let told = list(&car)["rolled_back"]["what"].as_str().unwrap().to_owned();
    assert!(told.contains("model.toml is not the file that was signed"), "{told}");
    car.stop();
    std::fs::remove_file(car.state().join("models.sealed")).unwrap();
    car.start(&[]);
    let told = list(&car)["trouble"].as_str().unwrap().to_owned();
    assert!(told.contains("record of installed models is gone"), "{told}");
    sign_in(&car);
    assert!(refused(&car, &good(1)).contains("version 2 was in force already"), "the memory holds");
}

/// The version of the OCR that these are in force with.
fn version(models: &Models) -> Option<u64> {
    let told = models.state();
    told.models.into_iter().find(|of| of.kind == Kind::Ocr)?.in_force?.version
}

#[test]
fn record_that_the_disk_does_not_take_or_give_costs_no_package_and_no_endless_starts() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &runtime);
    let config = Config::load(&car.path("outrider.toml")).unwrap();
    let clock = || Arc::new(SystemClock);
    assert_eq!(bare(&config, clock()).models.install(Actor::System, &good(2)).refused, None);
    // A start that cannot be counted: a package that ends the program would be started for ever.
    let beside = car.state().join("models.sealed.new");
    std::fs::create_dir(&beside).unwrap();
    let Bare { models, health, .. } = bare(&config, clock());
    assert_eq!(version(&models), None);
    let Some(PartState::Impaired(why)) = health.state("models") else { panic!("not told") };
    assert!(why.contains("the disk does not take the record of its start"), "{why}");
    drop(models);
    std::fs::remove_dir(&beside).unwrap();
    let Bare { models, .. } = bare(&config, clock());
    assert_eq!(version(&models), Some(2), "the disk takes it again");
    models.stopping();
    drop(models);
    // A record that cannot be read says nothing of which folders count: a refusal must not remove any.
    let record = car.state().join("models.sealed");
    let sealed = std::fs::read(&record).unwrap();
    std::fs::write(&record, b"ORS1 something else entirely").unwrap();
    let Bare { models, .. } = bare(&config, clock());
    let swapped = variant("plate-ocr-small", "0.9.0", |toml, _| {
        *toml = toml.replace("0123456789ABCDEF", "0123456798ABDCEF");
    });
    let outcome = models.install(Actor::System, &packed(&swapped, 3, &signing_key(SIGNER)));
    assert!(outcome.refused.unwrap().contains("reads worse"));
    drop(models);
    std::fs::write(&record, sealed).unwrap();
    assert_eq!(version(&bare(&config, clock()).models), Some(2), "the record is there again");
}

#[test]
fn shipped_model_with_weights_in_another_file_is_not_loaded() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &runtime);
    let (toml, onnx) = variant("plate-ocr-small", "0.9.0", |_, onnx| {
        // A graph with a tensor that says so.
        *onnx = b"\x3a\x09\x2a\x07\x42\x03way\x70\x01".to_vec();
    });
    let folder = dir.path().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("model.toml"), toml).unwrap();
    std::fs::write(folder.join("model.onnx"), onnx).unwrap();
    let mut models = Config::load(&car.path("outrider.toml")).unwrap().models;
    models.ocr = folder.display().to_string();
    let why = Reader::load(&models).err().unwrap().to_string();
    assert!(why.contains("the values of its tensor \"way\" are in another file"), "{why}");
}

#[test]
fn full_disk_refuses_a_package_and_changes_nothing() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut car = car(dir.path(), &runtime);
    std::fs::create_dir_all(car.state()).unwrap();
    let tmpfs = ["-t", "tmpfs", "-o", "size=24m,mode=700", "tmpfs"];
    let mounted = Command::new("mount").args(tmpfs).arg(car.state()).stderr(Stdio::null()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        skipped("a full disk", "no file system can be mounted here: run as root");
        return;
    }
    let _mounted = Mounted(car.state());
    car.start(&[]);
    sign_in(&car);
    installs(&car, &good(2));
    // Two more megabytes are fewer than a package has.
    let mut left: usize = 24 << 20;
    let filler = car.state().join("filler");
    while left > 0 {
        std::fs::write(&filler, vec![0x55_u8; left]).unwrap_or_default();
        let stat = rustix::fs::statvfs(car.state()).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        if free > 1 << 20 && free < 3 << 20 {
            break;
        }
        left -= 1 << 20;
    }
    let why = refused(&car, &good(3));
    assert!(why.contains("cannot be kept") && why.contains("No space left"), "{why}");
    assert_eq!((in_force(&car), folders(&car).len()), (Some(2), 1));
    std::fs::remove_file(&filler).unwrap();
    installs(&car, &good(3));
    car.stop();
}

/// A mounted file system; gone with its owner.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The models of a car without the daemon around them, and what is around them.
struct Bare {
    models: Arc<Models>,
    health: Arc<Health>,
    trust: Arc<HeldTrust>,
}

fn bare(config: &Config, clock: Arc<dyn Clock>) -> Bare {
    let state = &config.keeping.directory;
    let (device, health) = (DeviceKey::load(state).unwrap(), Arc::new(Health::default()));
    let root = Root { keys: vec![signing_key(1).public()], needed: 1 };
    let held = HeldTrust::open(root, "peel", state, &device, clock.clone()).unwrap();
    held.offer(&trust(1, &[SIGNER])).unwrap();
    let audit =
        Audit::open(&config.keeping, &config.vehicle, clock.clone(), health.clone()).unwrap();
    let held = Arc::new(held);
    let models = Models::open(Parts {
        config,
        device: &device,
        trust: Some(held.clone()),
        audit,
        clock,
        health: health.clone(),
    });
    Bare { models, health, trust: held }
}

/// A picture with one plate.
fn frame() -> Frame {
    still(Pixels::Mjpeg(std::fs::read(root().join("src/models/golden/00.jpg")).unwrap()))
}

/// The digest of the OCR that reads the next frame.
fn next(reader: &mut Box<dyn FrameReader>) -> String {
    assert!(!reader.read_frame(&frame()).unwrap().candidates.is_empty());
    reader.stamp().ocr.clone()
}

#[test]
fn cameras_read_with_the_new_model_at_once_and_with_the_shipped_one_where_it_does_not_load() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &runtime);
    let config = Config::load(&car.path("outrider.toml")).unwrap();
    let shipped = {
        let Bare { models, health, .. } = bare(&config, Arc::new(SystemClock));
        let mut reader = models.reader().unwrap();
        let shipped = next(&mut reader);
        assert_eq!(models.install(Actor::System, &good(2)).refused, None);
        assert_ne!(next(&mut reader), shipped, "the very next frame");
        models.roll_back(Actor::System, Some(Kind::Ocr)).unwrap();
        assert_eq!(next(&mut reader), shipped);
        assert_eq!(models.install(Actor::System, &good(2)).refused, None);
        assert_eq!(health.state("models"), Some(PartState::Working));
        shipped
    };
    let Bare { models, health, .. } = bare(&config, Arc::new(SystemClock));
    let [folder] = &folders(&car)[..] else { panic!("one package is kept") };
    let mut first = models.reader().unwrap();
    assert_ne!(next(&mut first), shipped);
    // The file is gone between the check of the digests and the reading for the second camera.
    std::fs::remove_file(car.state().join("models").join(folder).join("model.onnx")).unwrap();
    let mut reader = models.reader().unwrap();
    assert_eq!(next(&mut reader), shipped);
    assert_eq!(next(&mut first), shipped, "both cameras read with the same");
    let Some(PartState::Impaired(why)) = health.state("models") else { panic!("not told") };
    assert!(
        why.contains("does not load") && why.contains("in force now: the shipped model"),
        "{why}"
    );
}

#[test]
fn first_minute_ends_a_model_that_is_slower_than_its_trial_and_proves_one_that_is_not() {
    let Some(runtime) = runtime() else { return };
    for (looked, stays) in [(300, false), (1_700, true)] {
        let dir = tempfile::tempdir().unwrap();
        let car = car(dir.path(), &runtime);
        let config = Config::load(&car.path("outrider.toml")).unwrap();
        let clock = Arc::new(SimulatedClock::starting_at(Timestamp::now()));
        let Bare { models, health, .. } = bare(&config, clock.clone());
        let mut reader = models.reader().unwrap();
        let shipped = next(&mut reader);
        assert_eq!(models.install(Actor::System, &good(2)).refused, None);
        let watching = models.watch();
        assert_eq!(models.state().on_probation, Some(Kind::Ocr));
        let camera = health.camera(&CameraId::new("front"));
        camera.frames.many(1_800);
        camera.looked.many(looked);
        clock.advance(Duration::from_secs(60));
        common::until("the minute is judged", || models.state().on_probation.is_none());
        common::until("health says so", || {
            matches!(health.state("models"), Some(PartState::Impaired(_))) != stays
        });
        assert_eq!(next(&mut reader) == shipped, !stays, "without a restart");
        if !stays {
            let told = models.state().rolled_back.unwrap().what;
            assert!(told.contains("camera front: 5.0 frames a second were read"), "{told}");
        }
        drop(watching);
    }
}

#[test]
fn signer_who_is_withdrawn_while_the_car_runs_ends_the_model_at_once() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &runtime);
    let config = Config::load(&car.path("outrider.toml")).unwrap();
    let Bare { models, health, trust: held } = bare(&config, Arc::new(SystemClock));
    let mut reader = models.reader().unwrap();
    let shipped = next(&mut reader);
    assert_eq!(models.install(Actor::System, &good(2)).refused, None);
    let watching = models.watch();
    assert!(held.offer(&trust(2, &[SECOND])).unwrap());
    common::until("health says so", || {
        matches!(health.state("models"), Some(PartState::Impaired(_)))
    });
    assert_eq!(next(&mut reader), shipped);
    drop(watching);
}

/// What is appended to an ONNX file so that it never comes to an end: a graph that joins the file's own, with a loop of
/// 2^63 - 1 rounds, and an output that waits for it.
fn endless() -> Vec<u8> {
    let holds = |field: u8, inner: &[u8]| {
        let length = u8::try_from(inner.len()).unwrap();
        // A length from 128 on takes two bytes.
        let length = if length < 128 { vec![length] } else { vec![length, 1] };
        [vec![(field << 3) | 2], length, inner.to_vec()].concat()
    };
    let number = |field: u8, n: u8| vec![field << 3, n];
    let named = |name: &str, kind: u8| {
        let tensor = [number(1, kind), holds(2, b"")].concat();
        [holds(1, name.as_bytes()), holds(2, &holds(1, &tensor))].concat()
    };
    let node = |takes: &[&str], gives: &str, operator: &str| {
        let takes: Vec<u8> = takes.iter().flat_map(|name| holds(1, name.as_bytes())).collect();
        [takes, holds(2, gives.as_bytes()), holds(4, operator.as_bytes())].concat()
    };
    let value = |name: &str, kind: u8, bytes: &[u8]| {
        [number(2, kind), holds(8, name.as_bytes()), holds(9, bytes)].concat()
    };
    let (float, integer, truth) = (1, 7, 9);
    let body = [
        holds(1, &node(&["on"], "on_", "Identity")),
        holds(1, &node(&["x", "x"], "x_", "Add")),
        holds(2, b"b"),
        holds(11, &named("round", integer)),
        holds(11, &named("on", truth)),
        holds(11, &named("x", float)),
        holds(12, &named("on_", truth)),
        holds(12, &named("x_", float)),
    ]
    .concat();
    let body = [holds(1, b"body"), holds(6, &body), vec![0xa0, 1, 5]].concat();
    let rounds = [node(&["most", "go", "begin"], "never", "Loop"), holds(5, &body)].concat();
    let graph = [
        holds(1, &rounds),
        holds(5, &value("most", integer, &i64::MAX.to_le_bytes())),
        holds(5, &value("go", truth, &[1])),
        holds(5, &value("begin", float, &1_f32.to_le_bytes())),
        holds(12, &named("never", float)),
    ]
    .concat();
    holds(7, &graph)
}

#[test]
fn weights_that_compute_for_ever_hold_a_trial_no_longer_than_others() {
    let Some(runtime) = runtime() else { return };
    let dir = tempfile::tempdir().unwrap();
    let car = car(dir.path(), &runtime);
    let config = Config::load(&car.path("outrider.toml")).unwrap();
    let clock = Arc::new(SimulatedClock::starting_at(Timestamp::now()));
    let Bare { models, .. } = bare(&config, clock.clone());
    let weights = variant("plate-ocr-small", "0.9.0", |_, onnx| onnx.extend(endless()));
    let package = packed(&weights, 2, &signing_key(SIGNER));
    let installs = || {
        let (models, package) = (models.clone(), package.clone());
        let thread = std::thread::spawn(move || models.install(Actor::System, &package));
        common::until("its files are written", || !folders(&car).is_empty());
        // A trial of weights that end takes no longer in a test build.
        std::thread::sleep(Duration::from_secs(8));
        assert!(!thread.is_finished(), "{:?}", thread.join());
        thread
    };
    let why = |thread: std::thread::JoinHandle<Outcome>| {
        common::until("the trial ends", || thread.is_finished());
        thread.join().unwrap().refused.unwrap()
    };
    let thread = installs();
    clock.advance(Duration::from_secs(46));
    assert!(why(thread).starts_with("the trial was given up after 45 s"));
    assert_eq!(folders(&car), Vec::<String>::new());
    // A daemon that stops waits for it no longer.
    let thread = installs();
    models.end_trials();
    assert!(why(thread).contains("stop"));
}
