//! Tests that a car goes on although stores are damaged, threads panic or nobody has typed the passphrase yet; and that
//! no command panics when the reader of its output has left.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]
#![allow(clippy::disallowed_types, reason = "the test is systemd's end of the socket")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::running::{Car, program};
use common::{skipped, until, within};

const HIT: &str = "HIT0001";
const RING: &str = "non_hit = \"1h\"";

/// The daemon of the tests below.
#[test]
fn child_that_runs() {
    common::running::child();
}

/// A car that has driven: it has every store.
fn driven(folder: &Path) -> Car {
    let mut car = Car::new(folder, RING, "", &[HIT]);
    car.start(&[HIT, "OTH0001"]);
    // Counters are written once a second.
    until("every store is there", || {
        let there = ["hits.db", "audit.db", "counters.db", "hotplates.db"];
        there.iter().all(|name| car.state().join(name).exists())
    });
    std::thread::sleep(Duration::from_millis(1_500));
    car.stop();
    // Whoever closes a database last writes its journal into it.
    car.does(&["audit", "show"]);
    car.does(&["report", "--from", "2020-01-01", "--to", "2020-01-02"]);
    car
}

/// What happens to a file, by what a message calls it.
type Damage = (&'static str, fn(&Path));

/// Ways in which a card loses what was on it.
const DAMAGE: [Damage; 4] = [
    ("cut", |path| {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length / 2 / 4_096 * 4_096 + 100).unwrap();
    }),
    ("first page overwritten", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[..4_096].fill(0x5a);
        std::fs::write(path, bytes).unwrap();
    }),
    ("all but the first page overwritten", |path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[4_096..].fill(0xff);
        std::fs::write(path, bytes).unwrap();
    }),
    ("a folder in its place", |path| {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    }),
];

#[test]
fn no_damaged_store_keeps_a_car_from_alerting_and_recording() {
    let dir = tempfile::tempdir().unwrap();
    let origin = dir.path().join("origin");
    drop(driven(&origin));
    for store in ["hits.db", "audit.db", "counters.db", "hotplates.db"] {
        let mut noticed = 0;
        for (how, damage) in DAMAGE {
            let what = format!("{store}: {how}");
            let folder = dir.path().join(what.replace([' ', ':'], "-"));
            let mut car = Car::new(&folder, RING, "", &[HIT]);
            let copied =
                Command::new("cp").arg("-a").arg(origin.join("state")).arg(&folder).status();
            assert!(copied.unwrap().success());
            // What is in the journal is not lost with the pages that it holds anew.
            let journal = car.state().join(format!("{store}-wal"));
            let in_journal = std::fs::metadata(journal).is_ok_and(|m| m.len() > 0);
            damage(&car.state().join(store));
            let checked = String::from_utf8_lossy(&car.run(&["check"]).stdout).into_owned();
            car.start(&[HIT]);
            within(
                Duration::from_secs(20),
                &format!("{what}: the hit is told\n{}", car.log()),
                || car.log().contains("hit told"),
            );
            if how.starts_with("a folder") || in_journal {
                car.stop();
                continue;
            }
            let aside = || {
                let files = std::fs::read_dir(car.state()).unwrap().flatten();
                let names = files.map(|f| f.file_name().to_string_lossy().into_owned());
                names.filter(|n| n.starts_with(&format!("{store}.damaged-2"))).count()
            };
            within(Duration::from_secs(20), &format!("{what}: set aside\n{}", car.log()), || {
                aside() > 0
            });
            // Before the start and after it, whoever checks is told of it by name.
            let said = match store {
                "audit.db" => "audit log",
                store => store,
            };
            let line =
                checked.lines().find(|l| l.contains(&format!("  {said} "))).unwrap_or_default();
            assert!(!line.starts_with("ok"), "{what}: {checked}");
            let checked = String::from_utf8_lossy(&car.run(&["check"]).stdout).into_owned();
            assert!(checked.contains("set aside") && checked.contains(".damaged-2"), "{checked}");
            car.stop();
            noticed += 1;
            // And what came after is on the disk.
            if store == "hits.db" {
                assert_eq!(car.recorded("hit_recorded"), 2, "{what}");
            }
        }
        // The hotplates' journal stays open to the end, so that theirs is looked at in their own tests.
        assert!(
            noticed > 0 || store == "hotplates.db",
            "no damage of {store} was to be noticed: the test looks at nothing"
        );
    }
}

#[test]
fn damaged_bucket_of_the_ring_is_destroyed_and_the_car_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = driven(dir.path());
    let buckets = || {
        let files = std::fs::read_dir(car.state().join("ring")).unwrap().flatten();
        files
            .map(|f| f.path())
            .filter(|p| p.extension().is_some_and(|e| e == "db"))
            .collect::<Vec<_>>()
    };
    let before = buckets();
    assert!(!before.is_empty(), "{}", car.log());
    for bucket in &before {
        std::fs::write(bucket, [0x5a; 8_192]).unwrap();
    }
    car.start(&[HIT, "OTH0002"]);
    assert!(before.iter().all(|bucket| !bucket.exists()), "broken ones are gone");
    assert!(car.log().matches("hit told").count() == 2, "{}", car.log());
    car.stop();
}

/// Runs the daemon, with a panic in this thread if one is named. Returns what it said on both.
fn run_with_panic_in(folder: &Path, thread: Option<&str>) -> (std::process::ExitStatus, String) {
    let further = "[console]\nlisten = \"127.0.0.1:0\"\n[uplink]\nbroker = \"mqtt://127.0.0.1:1\"\n\
                   [gps]\nsource = \"gpsd\"\naddress = \"127.0.0.1:1\"\n";
    // Trust stands below; nobody signs in.
    let car = Car::new(folder, RING, "[policy]\n", &[HIT]);
    let text = std::fs::read_to_string(car.path("outrider.toml")).unwrap();
    let text =
        text.replace("[gps]\nsource = \"off\"\n", "").replace("[console]\nenabled = false\n", "");
    let root = car.path("root.pub.json");
    std::fs::write(&root, serde_json::to_string(&common::author::root()).unwrap()).unwrap();
    let key = common::author::key_file(folder);
    let fleet = format!(
        "[trust]\nroot = {root:?}\n[[hotlist]]\nname = \"stolen\"\nsource = \"mqtt\"\nkey = {key:?}\n"
    );
    std::fs::write(car.path("outrider.toml"), text + further + &fleet).unwrap();
    std::fs::write(car.path("ignition"), "on").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child_that_runs", "--nocapture"])
        .env("OUTRIDER_TEST_CHILD", car.path("outrider.toml"))
        .env("OUTRIDER_TEST_PASSING", format!("{HIT} OTH0001"))
        .env("OUTRIDER_TEST_THREADS", "1")
        .env("OUTRIDER_TEST_IGNITION", car.path("ignition"))
        .env("OUTRIDER_TEST_BEACON", car.path("beacon"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(thread) = thread {
        command.env("OUTRIDER_PANIC_IN", thread);
    }
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let reader = std::thread::spawn(move || child.wait_with_output().unwrap());
    let start = Instant::now();
    // It ends by itself, or is asked to.
    while !reader.is_finished()
        && start.elapsed() < Duration::from_secs(if thread.is_some() { 25 } else { 6 })
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = std::io::Write::write_all(&mut stdin, b"stop\n");
    let output = reader.join().unwrap();
    let said = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (output.status, said.join("\n"))
}

#[test]
fn panic_in_any_thread_ends_the_process_and_names_the_thread() {
    let dir = tempfile::tempdir().unwrap();
    let (status, said) = run_with_panic_in(&dir.path().join("well"), None);
    assert!(status.success(), "{said}");
    let threads = said.lines().find_map(|line| line.strip_prefix("threads ")).unwrap_or_default();
    let threads: Vec<&str> = threads.split(' ').collect();
    for expected in [
        "beacon",
        "capture-front",
        "commands",
        "downlink",
        "list-sync",
        "policy",
        "trust",
        "console",
        "control",
        "gps",
        "hits",
        "hotlists",
        "hotplates",
        "ignition",
        "keeper",
        "matcher",
        "policy",
        "reading-front",
        "records",
        "ring",
        "ring-graves",
        "sound",
        "uplink",
    ] {
        assert!(threads.contains(&expected), "{expected} is not among {threads:?}");
    }
    for thread in threads {
        let (status, said) = run_with_panic_in(&dir.path().join(thread), Some(thread));
        assert_eq!(status.signal(), Some(6), "{thread}: {status}: {said}");
        let line = said.lines().find(|line| line.contains("a fault inside ends the daemon"));
        let line = line.unwrap_or_else(|| panic!("{thread}: {said}"));
        assert!(line.contains(thread) && line.contains("threads.rs"), "{line}");
        assert!(!said.contains("PANIC841"), "the panic's own words may hold a plate: {said}");
    }
}

#[test]
fn reader_that_has_seen_enough_ends_a_command_quietly() {
    let commands: [&[&str]; 6] = [
        &["hotlist", "import", "--mappings"],
        &["hotlist", "import", "--show-mapping", "ncic-fixed"],
        &["completions", "bash"],
        &["check", "--config", "/dev/null"],
        &["--help"],
        &["hotlist", "import", "--help"],
    ];
    for args in commands {
        // A pipe that nobody reads from the start: the first word already has no reader.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(program())
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked") && !said.contains("Broken pipe"), "{args:?}: {said}");
        assert_ne!(output.status.code(), Some(101), "{args:?}: {said}");
        assert_eq!(output.status.signal(), None, "{args:?}");
    }
}

#[test]
fn car_that_waits_for_its_passphrase_is_up_for_systemd_and_feeds_its_watchdog() {
    if !Path::new("/usr/bin/script").exists() {
        return skipped("typing a passphrase", "script (bsdutils) is missing");
    }
    let dir = tempfile::tempdir().unwrap();
    let camera = "[[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n";
    let car = Car::new(dir.path(), "", camera, &[HIT]);
    let words = "five words are long enough\n";
    let line = car.command(&["provision", "device", "--passphrase"]);
    let line: Vec<_> = std::iter::once(line.get_program())
        .chain(line.get_args())
        .map(|a| a.to_string_lossy().into_owned())
        .collect();
    let mut script = Command::new("script")
        .args(["-qec", &line.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut keyboard = script.stdin.take().unwrap();
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(700));
        std::io::Write::write_all(&mut keyboard, words.as_bytes()).unwrap();
    }
    assert!(script.wait().unwrap().success());

    let socket = dir.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut daemon = car
        .command(&["run"])
        .env("NOTIFY_SOCKET", &socket)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut said, mut fed) = (String::new(), 0);
    let start = Instant::now();
    while fed < 3 && start.elapsed() < Duration::from_secs(20) {
        let mut message = [0; 4_096];
        let Ok(n) = systemd.recv(&mut message) else { break };
        let message = String::from_utf8_lossy(&message[..n]).into_owned();
        fed += message.matches("WATCHDOG=1").count();
        said += &message;
    }
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(said.contains("READY=1") && said.contains("NOT READING"), "{said}");
    assert!(fed >= 3, "fed {fed} times: {said}");
}
