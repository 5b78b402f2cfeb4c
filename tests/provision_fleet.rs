//! Makes packages for a fleet at a desk and takes them in its cars with the built program, as a person would.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "common/skips.rs"]
mod skips;

/// A desk's folder.
struct Desk(PathBuf);

const TEMPLATE: &str = "[vehicle]\nid = \"\"\nagency = \"peel\"\n\
    [[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/a\"\n\
    [[camera]]\nname = \"left\"\ndevice = \"/dev/v4l/by-path/b\"\n\
    [trust]\nroot = \"/etc/outrider/root.pub.json\"\n\
    [policy]\nceiling = \"/etc/outrider/ceiling.toml\"\n\
    [uplink]\nbroker = \"mqtts://broker.example\"\nclient_id = \"\"\n\
    [[hotlist]]\nname = \"stolen\"\nsource = \"mqtt\"\nkey = \"/etc/outrider/keys/stolen.key\"\n";

impl Desk {
    fn new(folder: &Path) -> Self {
        let desk = Self(folder.to_owned());
        fs::create_dir_all(desk.at("files/keys")).unwrap();
        fs::create_dir_all(desk.at("roles")).unwrap();
        fs::write(desk.at("template.toml"), TEMPLATE).unwrap();
        fs::write(desk.at("roles/patrol.toml"), "[keeping]\nnon_hit = \"1h\"\n").unwrap();
        fs::write(
            desk.at("cars.csv"),
            "vehicle,agency,cameras,roles\n4127,,front;left,patrol\n4128,opp,left=/dev/v4l/by-path/z,\n",
        )
        .unwrap();
        fs::write(desk.at("files/ceiling.toml"), "").unwrap();
        desk.does(&["provision", "root", "--out", "root.key", "--public", "files/root.pub.json"]);
        desk.does(&["provision", "list-key", "--out", "files/keys/stolen.key"]);
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrider"));
        command.args(args).current_dir(&self.0).output().unwrap()
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refuses(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// Packages for the cars, and the codes' file.
    #[track_caller]
    fn fleet(&self, codes: &str, further: &[&str]) -> String {
        let how = ["--template", "template.toml", "--files", "files", "--roles", "roles"];
        let to = ["--authority", "fleet-ca", "--out", "packages", "--codes", codes];
        self.does(&[&["provision", "fleet", "cars.csv"], &how[..], &to, further].concat())
    }

    /// Writes the code of a car into a file of its own, as a person carries it.
    fn carry(&self, codes: &str, vehicle: &str) {
        let all = fs::read_to_string(self.at(codes)).unwrap();
        let start = format!("{vehicle},");
        let code = all.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
        fs::write(self.at("code"), format!("{code}\n")).unwrap();
        fs::set_permissions(self.at("code"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn taking<'a>(&self, vehicle: &'a str, room: &'a str) -> [String; 7] {
        [
            "provision",
            "take",
            &format!("packages/{vehicle}.car"),
            "--code-file",
            "code",
            "--into",
            room,
        ]
        .map(str::to_owned)
    }
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn car_takes_its_package_once_and_no_other_car_s_and_no_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(dir.path());
    let made = desk.fleet("codes.csv", &[]);
    assert!(
        made.contains("packages/4127.car: ceiling.toml, keys/stolen.key, outrider.toml"),
        "{made}"
    );
    assert_eq!((mode(&desk.at("codes.csv")), mode(&desk.at("fleet-ca/ca.key"))), (0o600, 0o600));
    let package = fs::read(desk.at("packages/4127.car")).unwrap();
    assert!(!package.windows(5).any(|w| w == b"BEGIN" || w == b"4127\""), "sealed");

    // Another car's code opens nothing, and nothing is written.
    desk.carry("codes.csv", "4128");
    let take = desk.taking("4127", "room");
    let refused = desk.refuses(&strs(&take));
    assert!(refused.contains("does not open with this code"), "{refused}");
    assert!(!desk.at("room").exists() && desk.at("packages/4127.car").exists());

    desk.carry("codes.csv", "4127");
    let said = desk.does(&strs(&take));
    assert!(said.contains("vehicle 4127 of peel") && said.contains("in 36"), "{said}");
    assert!(!desk.at("packages/4127.car").exists() && !desk.at("code").exists(), "both are gone");
    for name in ["outrider.toml", "tls/vehicle.key", "keys/stolen.key", "root.pub.json"] {
        assert_eq!(mode(&desk.at("room").join(name)), 0o640, "{name}");
    }
    let config = outrider::config::Config::load(&desk.at("room/outrider.toml")).unwrap();
    assert_eq!((config.camera.len(), config.keeping.non_hit.to_string()), (2, "1h".to_owned()));
    assert_eq!(
        fs::read(desk.at("room/keys/stolen.key")).unwrap(),
        fs::read(desk.at("files/keys/stolen.key")).unwrap()
    );
    outrider::hotlist::format::ListKeys::load(&desk.at("room/keys/stolen.key")).unwrap();

    // Not this car's.
    desk.carry("codes.csv", "4128");
    let refused = desk.refuses(&strs(&desk.taking("4128", "room")));
    assert!(refused.contains("this car is vehicle 4127 of peel"), "{refused}");

    // A renewal: by the same authority, newer, with a certificate and key of its own.
    let key = fs::read(desk.at("room/tls/vehicle.key")).unwrap();
    let authority = fs::read(desk.at("fleet-ca/ca.pem")).unwrap();
    let first = desk.at("old.car");
    desk.fleet("codes-2.csv", &["--only", "4127", "--days", "100"]);
    fs::copy(desk.at("packages/4127.car"), &first).unwrap();
    desk.fleet("codes-3.csv", &["--only", "4127", "--days", "90"]);
    desk.carry("codes-3.csv", "4127");
    let said = desk.does(&strs(&take));
    assert!(said.contains("in 90 days") || said.contains("in 89 days"), "{said}");
    assert_ne!(fs::read(desk.at("room/tls/vehicle.key")).unwrap(), key);
    assert_eq!(fs::read(desk.at("room/tls/ca.pem")).unwrap(), authority);
    // An older one, kept by somebody.
    fs::copy(&first, desk.at("packages/4127.car")).unwrap();
    desk.carry("codes-2.csv", "4127");
    let refused = desk.refuses(&strs(&take));
    assert!(refused.contains("this car has taken a package made "), "{refused}");
}

#[test]
fn certificates_of_the_fleet_hold_for_openssl_too_whoever_made_the_authority() {
    if Command::new("openssl").arg("version").output().is_err() {
        return skips::skipped("the fleet's certificates", "openssl is not installed");
    }
    for by_script in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let desk = Desk::new(dir.path());
        if by_script {
            let script = fs::canonicalize("examples/broker/authority.sh").unwrap();
            let made = Command::new("sh")
                .arg(script)
                .args(["new", "fleet-ca"])
                .current_dir(dir.path())
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        desk.fleet("codes.csv", &["--only", "4128"]);
        desk.carry("codes.csv", "4128");
        desk.does(&strs(&desk.taking("4128", "room")));
        let verified = Command::new("openssl")
            .args(["verify", "-purpose", "sslclient", "-CAfile", "room/tls/ca.pem"])
            .arg("room/tls/vehicle.pem")
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
        let named = Command::new("openssl")
            .args(["x509", "-noout", "-subject", "-in", "room/tls/vehicle.pem"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        let named = String::from_utf8(named.stdout).unwrap();
        assert!(named.replace(' ', "").contains("CN=4128"), "{named}");
        assert!(!desk.at("room/tls/ca.key").exists());
    }
}

#[test]
fn table_that_does_not_fit_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let desk = Desk::new(dir.path());
    let refused = |cars: &str| {
        fs::write(desk.at("cars.csv"), cars).unwrap();
        let how = ["--template", "template.toml", "--files", "files", "--roles", "roles"];
        let to = ["--authority", "fleet-ca", "--out", "packages", "--codes", "codes.csv"];
        desk.refuses(&[&["provision", "fleet", "cars.csv"], &how[..], &to].concat())
    };
    assert!(refused("vehicle,cameras\n4127,rear\n").contains("named \"rear\""));
    assert!(refused("vehicle,roles\n4127,chief\n").contains("the role \"chief\""));
    assert!(refused("vehicle\n41/27\n").contains("vehicle.id"));
    fs::remove_file(desk.at("files/ceiling.toml")).unwrap();
    assert!(refused("vehicle\n4127\n").contains("policy.ceiling names ceiling.toml"));
    for made in ["fleet-ca", "packages", "codes.csv"] {
        assert!(!desk.at(made).exists(), "{made}");
    }
}
