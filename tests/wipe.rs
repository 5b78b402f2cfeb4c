//! Wipes a lost car from afar: `outrider provision` makes keys and trust, a real mosquitto has certificates and the
//! access list of `examples/broker/`, the daemon has kept hits and reads; then the test looks for what a thief would
//! find on its disk.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::desk::Desk;
use common::fleet::Fleet;
use common::running::{Car, child};
use common::{forensic, people, search, until};

/// The daemon's process. Runs only when the test below starts it.
#[test]
fn child_that_runs() {
    child();
}

const TOPIC: &str = "alpr/v1/peel/vehicle/4127/cmd";

/// A signed order to wipe a vehicle that has this key.
fn order(desk: &Desk, name: &str, signer: &str, vehicle: &str, car_key: &str) -> Vec<u8> {
    let whom = ["--agency", "peel", "--vehicle", vehicle, "--car-key", car_key];
    let how = ["--key", signer, "--reason", "stolen with the car", "-o", name];
    desk.does(&[&["provision", "wipe-command"], &whom[..], &how[..]].concat());
    std::fs::read(desk.0.join(name)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &place),
            // Sockets are no files.
            false => _ = std::fs::copy(&path, &place),
        }
    }
}

/// A car's further configuration: this root, and this broker with the car's certificate.
fn trusting(fleet: &Fleet, desk: &Desk, certificates: &Path) -> String {
    format!(
        "[trust]\nroot = \"{desk}/root.pub.json\"\n[uplink]\nbroker = \"{broker}\"\n\
         ca = \"{tls}/ca.pem\"\ncertificate = \"{tls}/4127.pem\"\nkey = \"{tls}/4127.key\"\n\
         retry_most = \"1s\"\nhealth_every = \"5s\"\n",
        desk = desk.0.display(),
        broker = fleet.uplink("4127").broker.unwrap(),
        tls = certificates.display(),
    )
}

#[test]
fn lost_car_is_unreadable_after_one_signed_message_and_after_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    let desk = Desk::new(&dir.path().join("desk"));
    desk.grant("commander", "--command");
    desk.key("stranger");
    let certificates = dir.path().join("broker");
    let further = trusting(&fleet, &desk, &certificates);
    let listed = ["ZKHIT01", "ZKHIT02"];
    let mut car = Car::new(&dir.path().join("car"), "non_hit = \"1h\"", &further, &listed);
    let fleet_sees = fleet.listen_as("dispatch", "alpr/v1/peel/vehicle/#");
    fleet.retain_as(
        "admin",
        "alpr/v1/peel/trust",
        &std::fs::read(desk.0.join("trust.json")).unwrap(),
    );
    car.start(&["ZKHIT01", "ZKPASS1", "ZKHIT02"]);
    until("the ring has written", || {
        search::files(&car.state().join("ring"), &[]).keys().any(|path| path.ends_with(".key"))
    });
    until("the fleet hears of the hits", || fleet_sees.heard_on("/plate.jpg"));
    let key = car.does(&["audit", "key"]);
    let before = forensic::open_all(&car.state());
    assert!(before.databases >= 4, "the control opens {} databases", before.databases);

    // By whom nobody granted it; for another car; for a key that this car does not have.
    let other_key = format!("{}01", "00".repeat(31));
    let bad = [
        (order(&desk, "a.json", "stranger.key", "4127", &key), "signed by 0 of the keys"),
        (order(&desk, "b.json", "commander.key", "4128", &key), "is for vehicle peel/4128"),
        (
            order(&desk, "c.json", "commander.key", "4127", &other_key),
            "was wiped or given a new key",
        ),
        (b"{}".to_vec(), "command:"),
    ];
    let refusals = |car: &Car| -> Vec<String> {
        let records = car.audit();
        let refused = records.iter().filter(|r| r["event"]["kind"] == "command_refused");
        refused.map(|r| r["event"]["why"].as_str().unwrap().to_owned()).collect()
    };
    for (n, (command, why)) in (1..).zip(&bad) {
        fleet.retain_as("admin", TOPIC, command);
        until(&format!("refusal {n} is on record"), || refusals(&car).len() == n);
        let last = refusals(&car).pop().unwrap();
        assert!(last.contains(why), "{last}");
    }
    // A broker that comes back sends the last one again: on record once.
    assert!(!car.has_ended());
    assert_eq!(
        forensic::open_all(&car.state()).databases,
        before.databases,
        "nothing is destroyed"
    );

    let certificate_key = std::fs::read(certificates.join("4127.key")).unwrap();
    // What a thief may have undeleted: every file but the keys, as it was a moment before.
    let thief = dir.path().join("thief");
    copy(&car.state(), &thief);
    std::fs::remove_file(thief.join("device.key")).unwrap();
    for path in search::files(&thief.join("ring"), &[]).into_keys() {
        if path.ends_with(".key") {
            std::fs::remove_file(path).unwrap();
        }
    }

    order(&desk, "wipe.json", "commander.key", "4127", &key);
    let said = {
        let tls = |name: &str| certificates.join(name).display().to_string();
        let broker = fleet.uplink("admin").broker.unwrap();
        desk.does(&[
            "provision",
            "send-command",
            "wipe.json",
            "--broker",
            &broker,
            "--ca",
            &tls("ca.pem"),
            "--certificate",
            &tls("admin.pem"),
            "--key",
            &tls("admin.key"),
        ])
    };
    assert_eq!(said.trim_end(), "command for vehicle 4127 of peel published");
    car.until_said("wiped");
    until("the process ends", || car.has_ended());

    // The last message of the car says so, and stays at the broker.
    let statuses = || -> Vec<serde_json::Value> {
        let heard = fleet_sees.heard().into_iter();
        let statuses = heard.filter(|(topic, ..)| topic.ends_with("/status"));
        statuses.map(|(_, payload, _)| serde_json::from_slice(&payload).unwrap()).collect()
    };
    until("the fleet hears that it is wiped", || {
        statuses().last().is_some_and(|last| !last["wiped"].is_null() && last["online"] == false)
    });
    let kept = fleet.retained_as("admin", "alpr/v1/peel/vehicle/4127/status");
    let kept: serde_json::Value = serde_json::from_slice(&kept[0].1).unwrap();
    assert!(kept["wiped"].is_string() && kept["key_protection"] == "key_file", "{kept}");

    // Nothing is left but the word that it was wiped, the key of its certificate neither, and what was there opens with no key that still is anywhere.
    let left = search::files(&car.state(), &[]);
    assert!(left.len() == 1 && left.keys().all(|path| path.ends_with("WIPED")), "{left:?}");
    assert!(!certificates.join("4127.key").exists(), "the key of the car's certificate");
    copy(&car.state(), &thief);
    let after = forensic::open_all(&thief);
    assert_eq!((after.databases, after.shut > 3), (0, true), "{} stay shut", after.shut);

    // It stays wiped.
    let refused = car.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("this car was wiped"), "{said}");
    // Provisioned anew it is another car: the command that the broker still has is not for it.
    let key_again = certificates.join("4127.key");
    std::fs::write(&key_again, certificate_key).unwrap();
    std::fs::set_permissions(&key_again, std::fs::Permissions::from_mode(0o600)).unwrap();
    car.does(&["provision", "device"]);
    car.start(&["ZKHIT01"]);
    // It may come before the document that says who may command, and is then looked at again.
    let replayed = |car: &Car| {
        let why = refusals(car);
        why.iter().filter(|why| why.contains("wiped or given a new key")).count()
    };
    until("the replayed command is refused", || replayed(&car) == 1);
    assert_ne!(car.does(&["audit", "key"]), key);
    assert_eq!(car.recorded("hit_recorded"), 1);
    let began = car.audit().remove(0);
    assert_eq!(began["event"]["kind"], "key_created");
    // Nor does it wipe by the same after a restart.
    car.stop();
    car.start(&[]);
    until("it is refused again", || replayed(&car) == 2);
    assert_eq!(car.recorded("hit_recorded"), 1);
    car.stop();
}

/// Whoever holds one key of command destroys no evidence that a court asked for.
#[test]
fn car_with_a_hit_under_legal_hold_is_wiped_by_two_people_and_not_by_one() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    let desk = Desk::new(&dir.path().join("desk"));
    desk.grant("commander", "--command");
    desk.grant("deputy", "--command");
    let policy = people::signed_at(&desk);
    let further = trusting(&fleet, &desk, &dir.path().join("broker"));
    let mut car = Car::new(&dir.path().join("car"), "", &further, &["ZKHIT01"]);
    let document = std::fs::read(desk.0.join("trust.json")).unwrap();
    fleet.retain_as("admin", "alpr/v1/peel/trust", &document);
    fleet.retain_as("admin", "alpr/v1/peel/policy", &policy);
    car.start(&["ZKHIT01"]);
    until("somebody may sign in", || car.login("501", people::PIN).status.success());
    until("the hit is on record", || car.recorded("hit_recorded") == 1);
    let records = car.audit();
    let recorded = records.iter().find(|r| r["event"]["kind"] == "hit_recorded").unwrap();
    let hit = recorded["event"]["hit"].as_str().unwrap().to_owned();
    let why = ["--reason", "court order 26-118", "--author", "Sgt. Okafor"];
    car.does(&[&["hold", &hit], &why[..], &["--until", "2027-06-01"]].concat());
    let key = car.does(&["audit", "key"]);

    let one = order(&desk, "one.json", "commander.key", "4127", &key);
    fleet.retain_as("admin", TOPIC, &one);
    let refused = |car: &Car| -> Vec<String> {
        let records = car.audit();
        let refused = records.iter().filter(|r| r["event"]["kind"] == "command_refused");
        refused.map(|r| r["event"]["why"].as_str().unwrap().to_owned()).collect()
    };
    until("one person's order is refused", || refused(&car).len() == 1);
    let said = refused(&car).pop().unwrap();
    assert!(said.contains("a hit that a legal hold keeps"), "{said}");
    assert!(said.contains("signed by 1 of the 2 people"), "{said}");
    assert!(!car.has_ended() && car.state().join("hits.db").exists());

    // One person with the same key twice is one person.
    let whom = ["--agency", "peel", "--vehicle", "4127", "--car-key", &key];
    let how = ["--reason", "stolen with the car", "-o", "two.json"];
    let by = |second: &str| {
        let keys = ["--key", "commander.key", "--key", second];
        desk.does(&[&["provision", "wipe-command"], &whom[..], &keys, &how].concat());
        std::fs::read(desk.0.join("two.json")).unwrap()
    };
    fleet.retain_as("admin", TOPIC, &by("commander.key"));
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!car.has_ended() && car.state().join("hits.db").exists());

    fleet.retain_as("admin", TOPIC, &by("deputy.key"));
    car.until_said("wiped");
    until("the process ends", || car.has_ended());
    assert!(!car.state().join("hits.db").exists());
}
