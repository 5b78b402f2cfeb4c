//! The keys of a car: they are made, changed, changed by a process that is killed meanwhile, and destroyed, as an
//! installer would; and they are in no argument and no environment of a daemon that uses them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

#[path = "common/skips.rs"]
mod skips;
use skips::skipped;

struct Car {
    dir: tempfile::TempDir,
}

impl Car {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let config = format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
             [console]\nenabled = false\n[keeping]\ndirectory = {:?}\n\
             [[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n",
            state.display().to_string()
        );
        std::fs::write(dir.path().join("outrider.toml"), config).unwrap();
        Self { dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrider"));
        command.args(args).arg("--config").arg(self.dir.path().join("outrider.toml"));
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    #[track_caller]
    fn does(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[track_caller]
    fn export_holds(&self, key: &str) {
        let path = self.dir.path().join("export.jsonl");
        self.does(&["audit", "export", "-o", path.to_str().unwrap()]);
        let verified = Command::new(env!("CARGO_BIN_EXE_outrider"))
            .args(["audit", "verify", path.to_str().unwrap(), "--key", key])
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

#[test]
fn first_public_key_verifies_the_log_through_every_change_of_key() {
    let car = Car::new();
    let first = car.does(&["provision", "device"]);
    assert_eq!(first.len(), 64);
    assert!(!car.run(&["provision", "device"]).status.success(), "there is one already");
    car.export_holds(&first);
    let mut keys = vec![first.clone()];
    for _ in 0..3 {
        keys.push(car.does(&["provision", "rotate"]));
        car.export_holds(&first);
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 4, "every one is new");
    let stranger = "00".repeat(31) + "01";
    assert!(!car.run(&["audit", "verify", "--key", &stranger]).status.success());
}

#[test]
fn kill_at_any_moment_of_a_change_leaves_one_key_that_works() {
    let car = Car::new();
    let first = car.does(&["provision", "device"]);
    let start = Instant::now();
    car.does(&["provision", "rotate"]);
    let whole = start.elapsed();
    for round in 0..12 {
        let mut child = car
            .command(&["provision", "rotate"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * round / 12);
        child.kill().unwrap();
        child.wait().unwrap();
        car.does(&["audit", "key"]);
        car.export_holds(&first);
        let left: Vec<_> =
            files(&car.state()).into_iter().filter(|f| f.ends_with(".next")).collect();
        assert!(left.is_empty(), "round {round}: {left:?}");
    }
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => files(&path),
                false => vec![path.display().to_string()],
            }
        })
        .collect()
}

#[test]
fn wipe_asks_twice_leaves_nothing_but_the_word_of_it_and_lasts_until_provisioning() {
    let car = Car::new();
    car.does(&["provision", "device"]);
    assert!(!car.run(&["provision", "wipe", "--reason", "sold"]).status.success(), "without --yes");
    assert!(!files(&car.state()).is_empty());
    car.does(&["provision", "wipe", "--reason", "sold", "--yes"]);
    assert_eq!(files(&car.state()), [car.state().join("WIPED").display().to_string()]);
    assert!(!car.run(&["audit", "show"]).status.success());
    // It stays wiped until a person provisions it.
    let refused = car.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("this car was wiped"), "{said}");
    assert_eq!(files(&car.state()).len(), 1, "no key");
    car.does(&["provision", "device"]);
    assert!(!files(&car.state()).iter().any(|file| file.ends_with("WIPED")));
}

#[test]
fn looking_makes_no_key() {
    let car = Car::new();
    for args in
        [&["audit", "show"][..], &["audit", "verify"], &["report"], &["provision", "rotate"]]
    {
        assert!(!car.run(args).status.success(), "{args:?}");
    }
    assert!(!files(&car.state()).iter().any(|f| f.contains("device.key")));
}

#[test]
fn running_daemon_has_no_secret_among_arguments_and_environment() {
    let car = Car::new();
    car.does(&["provision", "device"]);
    let key = std::fs::read(car.state().join("device.key")).unwrap();
    let hex: String = key.iter().map(|b| format!("{b:02x}")).collect();
    let mut daemon =
        car.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Until it answers, or cannot start here for want of models: its arguments are the same.
    let until = Instant::now() + Duration::from_secs(10);
    while Instant::now() < until
        && !car.state().join("control.sock").exists()
        && daemon.try_wait().unwrap().is_none()
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let proc = PathBuf::from(format!("/proc/{}", daemon.id()));
    let mut seen = 0;
    for file in ["cmdline", "environ"] {
        let Ok(bytes) = std::fs::read(proc.join(file)) else { continue };
        seen += bytes.len();
        assert!(!bytes.windows(key.len()).any(|w| w == key), "{file}");
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains(&hex), "{file}");
    }
    if seen == 0 {
        skipped("what /proc shows of the daemon", "it shows nothing here");
    }
    let _ = daemon.kill();
    daemon.wait().unwrap();
}

#[test]
fn car_goes_by_the_root_that_it_was_provisioned_for_and_by_no_other() {
    let car = Car::new();
    let root = |name: &str| {
        let made = Command::new(env!("CARGO_BIN_EXE_outrider"))
            .args(["provision", "root", "--out", &format!("{name}.key"), "--public", name])
            .current_dir(car.dir.path())
            .output()
            .unwrap();
        assert!(made.status.success());
        car.dir.path().join(name)
    };
    let (ours, theirs, used) = (root("ours"), root("theirs"), car.dir.path().join("root.pub.json"));
    std::fs::copy(&ours, &used).unwrap();
    let config = car.dir.path().join("outrider.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}[trust]\nroot = {:?}\n", used.display().to_string()))
        .unwrap();
    car.does(&["provision", "device"]);
    std::fs::copy(&theirs, &used).unwrap();
    let refused = car.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("was provisioned for root"), "{said}");
    assert!(said.contains("outrider provision pin-root"), "{said}");
    let check = || -> String {
        let found = car.run(&["check", "--json"]).stdout;
        let found: Vec<serde_json::Value> = serde_json::from_slice(&found).unwrap();
        let root = found.iter().find(|f| f["part"] == "root of trust").unwrap();
        format!("{} {}", root["level"].as_str().unwrap(), root["fact"].as_str().unwrap())
    };
    assert!(check().starts_with("fail trust.root is root"), "{}", check());
    // Without its pin as well: the car remembers, and says that the pin is gone.
    let pin = car.state().join("root.sealed");
    std::fs::remove_file(&pin).unwrap();
    assert!(check().starts_with("fail trust.root is root"), "{}", check());
    let refused = car.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("was provisioned for root"), "{said}");
    std::fs::copy(&ours, &used).unwrap();
    assert!(check().contains("(root.sealed) is gone"), "{}", check());
    // Without any memory of it: the log says what it was pinned to.
    std::fs::remove_file(car.state().join("in_force.sealed")).unwrap();
    std::fs::copy(&theirs, &used).unwrap();
    let refused = car.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("was provisioned for root"), "{said}");
    car.does(&["provision", "pin-root"]);
    assert!(check().starts_with("ok ") && check().ends_with("as provisioned"), "{}", check());
    let log = car.does(&["audit", "show", "--json"]);
    assert_eq!(log.matches("\"field\":\"trust.root\"").count(), 2, "{log}");
}

/// A car whose key `systemd-creds` seals, and what systemd would hand to its service.
struct Sealed {
    car: Car,
}

impl Sealed {
    /// `None`, said loudly, where there is no systemd-creds that seals.
    fn new() -> Option<Self> {
        let car = Car::new();
        let config = car.dir.path().join("outrider.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(&config, text.replace("[keeping]\n", "[keeping]\nkey = \"credential\"\n"))
            .unwrap();
        let sealed = Self { car };
        let mut tried = sealed.creds(&["encrypt", "--with-key=host", "-", "-"]);
        let tried = tried.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !tried.is_ok_and(|status| status.success()) {
            skipped("keys that systemd seals", "systemd-creds does not seal here");
            return None;
        }
        Some(sealed)
    }

    fn file(&self) -> PathBuf {
        self.car.dir.path().join("credstore/outrider-device-key")
    }

    /// The host's own secret is this test's.
    fn creds(&self, args: &[&str]) -> Command {
        let mut command = Command::new("systemd-creds");
        command.args(args).env("SYSTEMD_CREDENTIAL_SECRET", self.car.dir.path().join("secret"));
        command
    }

    fn provision(&self, what: &str) -> Command {
        let mut command = self.car.command(&["provision", what, "--with-key", "host"]);
        command
            .arg("--credential")
            .arg(self.file())
            .env("SYSTEMD_CREDENTIAL_SECRET", self.car.dir.path().join("secret"));
        command
    }

    #[track_caller]
    fn provisioned(&self, what: &str) -> String {
        let output = self.provision(what).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The log holds from this key on, for whoever is passed the credential; returns the key now.
    #[track_caller]
    fn holds_from(&self, first: &str) -> String {
        let passed = self.car.dir.path().join("passed");
        std::fs::create_dir_all(&passed).unwrap();
        let to = passed.join("outrider-device-key");
        let _ = std::fs::remove_file(&to);
        let name = "--name=outrider-device-key";
        let mut unseal = self.creds(&["decrypt", name]);
        let done = unseal.arg(self.file()).arg(&to).stderr(Stdio::null()).status();
        assert!(done.unwrap().success());
        let as_service = |args: &[&str]| {
            let output =
                self.car.command(args).env("CREDENTIALS_DIRECTORY", &passed).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{args:?}: {said}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert!(as_service(&["audit", "verify", "--key", first]).starts_with("holds: "));
        let left: Vec<_> = files(&self.car.state())
            .into_iter()
            .filter(|f| f.ends_with(".next") || f.contains("rotation") || f.contains("device.key"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
        as_service(&["audit", "key"])
    }
}

#[test]
fn key_that_systemd_seals_is_made_changed_and_killed_while_changing() {
    let Some(sealed) = Sealed::new() else { return };
    // Until there is one, nothing starts, and no key file is made.
    let refused = sealed.car.run(&["run"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    assert!(said.contains("keeping.key = \"credential\", and systemd passes none"), "{said}");
    assert!(!sealed.car.state().join("device.key").exists());

    let first = sealed.provisioned("device");
    assert_eq!(sealed.holds_from(&first), first);
    assert!(!sealed.provision("device").output().unwrap().status.success(), "there is one");
    let start = Instant::now();
    let second = sealed.provisioned("rotate");
    let whole = start.elapsed();
    assert_ne!(second, first);
    assert_eq!(sealed.holds_from(&first), second);
    for round in 0..8 {
        let mut child =
            sealed.provision("rotate").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(whole * round / 8);
        child.kill().unwrap();
        child.wait().unwrap();
        sealed.holds_from(&first);
    }
    let last = sealed.provisioned("rotate");
    assert_eq!(sealed.holds_from(&first), last);
}

/// Only root has systemd seal, and the state folder is the daemon's.
#[test]
fn what_root_makes_in_the_daemons_folder_belongs_to_the_daemon() {
    let Some(sealed) = Sealed::new() else { return };
    let state = sealed.car.state();
    std::fs::create_dir_all(&state).unwrap();
    if std::os::unix::fs::chown(&state, Some(65_534), Some(65_534)).is_err() {
        return skipped("whose files root makes", "giving a folder to another user takes root");
    }
    for what in ["device", "rotate"] {
        sealed.provisioned(what);
        let made: Vec<_> = std::fs::read_dir(&state).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(made.iter().any(|f| f.ends_with("audit.db")), "{made:?}");
        for file in made {
            let about = std::fs::symlink_metadata(&file).unwrap();
            assert_eq!((about.uid(), about.gid()), (65_534, 65_534), "{}", file.display());
        }
    }
}

#[test]
fn car_configured_for_a_passphrase_makes_no_key_file_at_its_first_start() {
    let car = Car::new();
    let config = car.dir.path().join("outrider.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("[keeping]\n", "[keeping]\nkey = \"passphrase\"\n"))
        .unwrap();
    for args in [&["run"][..], &["audit", "show"], &["hold", "--list"], &["report"]] {
        let refused = car.run(args);
        assert!(!refused.status.success(), "{args:?}");
    }
    let said = String::from_utf8_lossy(&car.run(&["run"]).stderr).into_owned();
    assert!(said.contains("has no device key yet: run outrider provision device"), "{said}");
    let check = String::from_utf8_lossy(&car.run(&["check", "--json"]).stdout).into_owned();
    assert!(check.contains("run outrider provision device"), "{check}");
    assert!(!files(&car.state()).iter().any(|f| f.contains("device.key")));
}
