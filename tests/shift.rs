//! A shift in one car, with the whole daemon and a real mosquitto: hotplates that officers add by
//! command and on the page, policy that revokes them, and covert lists, of which nothing in the car shows anything.

#![allow(clippy::disallowed_types, reason = "the test is the other end of the socket")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

#[allow(dead_code, reason = "a part of it is used here")]
mod browser;
mod common;

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use browser::Browser;
use common::fleet::{AGENCY, Fleet};
use common::mosquitto::{Mosquitto, Setup};
use common::skips;
use common::{car, page, people, until};
use outrider::alert::console::PageAddress;
use outrider::alert::{Annunciator, SoundError};
use outrider::camera_id::CameraId;
use outrider::config::Config;
use outrider::daemon::{Daemon, SeamCamera, Seams};
use outrider::policy::Rules;
use serde_json::{Value, json};

/// Counts tones.
#[derive(Clone, Default)]
struct Tones(Arc<AtomicUsize>);

impl Annunciator for Tones {
    fn ready(&mut self) -> Result<(), SoundError> {
        Ok(())
    }
    fn play(&mut self, _: &[i16], _: &dyn Fn() -> bool) -> Result<(), SoundError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// What the daemon logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads the console's events for as long as they come.
fn listen(console: &PageAddress) -> Log {
    let heard = Log::default();
    let mut sink = heard.clone();
    let mut line = TcpStream::connect(console.address).unwrap();
    write!(
        line,
        "GET /events HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\n\r\n",
        console.address,
        console.cookie()
    )
    .unwrap();
    std::thread::spawn(move || std::io::copy(&mut line, &mut sink));
    until("the console answers", || !heard.text().is_empty());
    heard
}

/// Sends JSON as the page does. The status and what was answered.
fn post(console: &PageAddress, who: &page::Session, path: &str, body: &Value) -> (u16, String) {
    let answer = page::send(console, who, path, &body.to_string());
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// The program, asked about the daemon of this state folder.
///
/// Whoever it states is signed in first.
fn ask(folder: &Path, args: &[&str]) -> Result<String, String> {
    let stated = |flag: &str| args.iter().skip_while(|arg| **arg != flag).nth(1);
    let stated = ["--officer", "--by"].into_iter().find_map(stated).copied();
    let account = folder.join("run").join(stated.unwrap_or("nobody"));
    if let Some(number) = stated.filter(|_| !account.exists()) {
        let mut login = Command::new(env!("CARGO_BIN_EXE_outrider"))
            .args(["login", "--number", number, "--pin-from-stdin", "--state"])
            .arg(folder.join("state"))
            .env("XDG_RUNTIME_DIR", &account)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let _ = writeln!(login.stdin.take().unwrap(), "{}", people::PIN);
        login.wait().unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_outrider"));
    command.args(args).env("XDG_RUNTIME_DIR", &account);
    match args[0] {
        "query" | "status" => command.arg("--config").arg(folder.join("outrider.toml")),
        _ => command.arg("--state").arg(folder.join("state")),
    };
    let out = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
}

/// A car with one list and one covert list; its log goes into `log`.
fn config(folder: &Path, broker: &str, more: &str) -> Config {
    std::fs::create_dir_all(folder).unwrap();
    let dir = folder.display();
    let text = format!(
        r#"
        [vehicle]
        id = "4127"
        agency = "peel"
        [gps]
        source = "off"
        [keeping]
        directory = "{dir}/state"
        disk_reserve = "0B"
        [models]
        folder = "{models}"
        [console]
        listen = "127.0.0.1:0"
        [uplink]
        {broker}
        health_every = "5s"
        retry_most = "1s"
        {more}
        "#,
        models = std::env::current_dir().unwrap().join("models").display(),
    );
    std::fs::write(folder.join("outrider.toml"), &text).unwrap();
    Config::parse(&text, Path::new("test.toml")).unwrap()
}

#[test]
fn covert_hit_reaches_the_fleet_and_nothing_in_the_car_tells_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Mosquitto::start(&dir.path().join("broker"), Setup::default()) else {
        return;
    };
    let subscriber = broker.subscriber(None);
    subscriber.ready(&broker);
    let (open, covert, hotplate) = ("ZKOPEN41", "ZKCVRT42", "ZKHTPL43");
    let folder = dir.path().join("car");
    let (one, two) = (folder.join("one.txt"), folder.join("two.txt"));
    let lists = format!(
        "[[hotlist]]\nname = \"cpic\"\npath = {one:?}\n\
         [[hotlist]]\nname = \"undercover\"\npath = {two:?}\ncovert = true\n{}",
        people::provision(&folder.join("people"), AGENCY)
    );
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(&one, open).unwrap();
    std::fs::write(&two, covert).unwrap();
    let uplink = format!("broker = \"mqtt://127.0.0.1:{}\"", broker.port());
    let config = config(&folder, &uplink, &lists);

    // One listed, one covert, a few of no interest, and one that becomes a hotplate meanwhile.
    let mut passing = vec![covert.to_owned(), open.to_owned()];
    passing.extend((0..30).map(|n| format!("ZKPASS{n:02}")));
    passing.push(hotplate.to_owned());
    passing.push(covert.to_owned());
    let (source, reader) = car::camera(&passing, Duration::from_millis(10));
    let (tones, log) = (Tones::default(), Log::default());
    let written = log.clone();
    let subscribed = tracing_subscriber::fmt().with_writer(move || written.clone()).try_init();
    assert!(subscribed.is_ok(), "nobody else takes the log of this process");
    let id = CameraId::new("front");
    let seams = Seams {
        cameras: Some(vec![SeamCamera { id, open: source, reader: Some(reader) }]),
        annunciator: Some(Box::new(tones.clone())),
        ..Seams::default()
    };
    let daemon = Daemon::start(config, seams).unwrap();
    let console = daemon.console().unwrap();
    let heard = listen(console);

    let wanted = json!({
        "plate": "zkht pl43", "jurisdiction": "", "reason": "left the scene, Main St", "case": "",
        "priority": "high", "lasts": "1h",
    });
    let (status, told) = post(console, &page::nobody(console), "/hotplates/add", &wanted);
    assert!(status == 401 && told.contains("nobody is signed in"), "{told}");
    let officer = page::sign_in(console, "4411", people::PIN);
    let (status, told) = post(console, &officer, "/hotplates/add", &wanted);
    assert!(status == 422 && told.contains("the shift is not begun"), "{told}");
    page::begin_shift(console, &officer);
    let (status, told) = post(console, &officer, "/hotplates/add", &wanted);
    assert_eq!(status, 200, "{told}");
    assert!(daemon.wait_for_end(Duration::from_secs(60)), "the drive ends");
    until("what is told is told", || daemon.health().alerted.get() == 2);
    until("every hit is with the broker", || daemon.health().delivered.get() == 3);
    until("they arrived", || subscriber.hits().len() >= 3);

    let hits = subscriber.received();
    let hits = hits.iter().filter(|(topic, _)| common::mosquitto::hit_of(topic).is_some());
    let hits: Vec<(String, Value)> = hits
        .map(|(topic, payload)| {
            let envelope: Value = serde_json::from_slice(payload).unwrap();
            let hit = match envelope["payload"].as_str() {
                Some(text) => {
                    serde_json::from_slice(&data_encoding::BASE64.decode(text.as_bytes()).unwrap())
                        .unwrap()
                }
                None => envelope,
            };
            (common::mosquitto::hit_of(topic).unwrap(), hit)
        })
        .collect();
    let of = |plate: &str| hits.iter().find(|(_, hit)| hit["read"]["plate"] == plate).unwrap();
    assert_eq!(of(covert).1["covert"], true);
    assert_eq!(of(open).1["covert"], false);
    assert_eq!(of(hotplate).1["entry"]["list"], "hotplates");

    let grounds = [
        "--reason",
        "hit_and_run",
        "--case",
        "26-00417",
        "--officer",
        "97",
        "--role",
        "supervisor",
    ];
    let query = |plate: &str| {
        let args = [&["query", plate, "--json"][..], &grounds].concat();
        let found: Value = serde_json::from_str(&ask(&folder, &args).unwrap()).unwrap();
        found["hits"].as_array().unwrap().len()
    };
    assert_eq!((query(open), query(covert)), (1, 0), "a look-up tells no covert hit");
    let plates = ask(&folder, &["hotplate", "list", "--json"]).unwrap();
    assert!(plates.contains(hotplate) && plates.contains("left the scene"), "{plates}");

    let covert_id = of(covert).0.clone();
    daemon.stop();
    assert_eq!(tones.0.load(Ordering::Relaxed), 2, "one for the list, one for the hotplate");
    for (place, text) in [("the page", heard.text()), ("the log", log.text())] {
        for cue in [covert, covert_id.as_str()] {
            assert!(!text.contains(cue), "{place} tells of the covert hit: {cue}");
        }
    }
    // The control. A card has its plate character by character: it is known by its hit.
    assert!(heard.text().contains(&of(open).0) && heard.text().contains(&of(hotplate).0));
    assert!(heard.text().contains(hotplate), "as a hotplate that runs");
    assert!(!heard.text().contains("undercover"), "the page names no covert list");
    assert!(log.text().contains(&of(open).0), "the control");
}

/// `outrider run` itself, without a camera.
struct Running {
    folder: PathBuf,
    child: Child,
}

impl Running {
    fn start(folder: &Path, fleet: &Fleet) -> Self {
        let uplink = fleet.uplink("4127");
        let path = |path: &Option<PathBuf>| path.as_ref().unwrap().display().to_string();
        let broker = format!(
            "broker = {:?}\nca = {:?}\ncertificate = {:?}\nkey = {:?}",
            uplink.broker.as_ref().unwrap(),
            path(&uplink.ca),
            path(&uplink.certificate),
            path(&uplink.key)
        );
        std::fs::create_dir_all(folder).unwrap();
        let root = folder.join("root.pub.json");
        std::fs::write(&root, serde_json::to_string(&common::author::root()).unwrap()).unwrap();
        let more = format!(
            "[trust]\nroot = {root:?}\n[[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n"
        );
        config(folder, &broker, &more);
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_outrider"))
            .args(["run", "--config"])
            .arg(folder.join("outrider.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut running = Self { folder: folder.to_owned(), child };
        let state = folder.join("state");
        until("the daemon answers", || {
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "outrider run ended: {}", running.log());
            outrider::control::answers(&state)
        });
        running
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn ask(&self, args: &[&str]) -> Result<String, String> {
        ask(&self.folder, args)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A policy that two people have signed, with everybody as users.
fn policy(version: u64, rules: &str) -> Vec<u8> {
    let mut rules: Rules = serde_json::from_str(rules).unwrap();
    rules.users = people::users();
    people::policy(AGENCY, version, rules)
}

#[test]
fn commands_ask_the_running_daemon_and_policy_over_the_broker_decides() {
    let dir = tempfile::tempdir().unwrap();
    let Some(fleet) = Fleet::start(&dir.path().join("broker")) else { return };
    fleet.retain_as("admin", "alpr/v1/peel/trust", &people::trust(AGENCY));
    let car = Running::start(&dir.path().join("car"), &fleet);
    assert!(car.ask(&["policy", "show"]).unwrap().starts_with("No policy"));

    let add = |plate: &str| {
        let who = ["--reason", "left the scene, Main St", "--by", "4411", "--for", "2h"];
        car.ask(&[&["hotplate", "add", plate][..], &who].concat())
    };
    // No users: nobody signs in, nothing is entered, and it is said what to do.
    let why = add("CKSV 841").unwrap_err();
    assert!(why.contains("no policy with users is in force"), "{why}");
    fleet.retain_as("admin", "alpr/v1/peel/policy", &policy(1, "{}"));
    until("policy is in force", || {
        car.ask(&["policy", "show"]).is_ok_and(|said| said.starts_with("Policy 1 of peel"))
    });
    let said = add("CKSV 841").unwrap();
    let first = said.split(' ').next().unwrap().to_owned();
    assert!(said.contains(" until "), "{said}");
    assert!(add("CKSV841").unwrap_err().contains("is a hotplate already"));
    let second = add("BMNT220").unwrap().split(' ').next().unwrap().to_owned();
    let list = car.ask(&["hotplate", "list"]).unwrap();
    for part in ["CKSV841", "BMNT220", "officer 4411", "left the scene", &first] {
        assert!(list.contains(part), "{part} is missing: {list}");
    }
    let gone = ["hotplate", "remove", &second, "--by", "97", "--role", "supervisor"];
    let why = car.ask(&[&gone[..], &["--why", "x"]].concat()).unwrap_err();
    assert!(why.contains("give a reason"), "{why}");
    car.ask(&[&gone[..], &["--why", "found by unit 12"]].concat()).unwrap();

    // Policy revokes one wherever it is, and lets officers add no more.
    let rules =
        format!(r#"{{"hotplates":{{"revoked":[{first:?}]}},"roles":{{"officer":["look_up"]}}}}"#);
    fleet.retain_as("admin", "alpr/v1/peel/policy", &policy(7, &rules));
    until("policy is in force", || {
        car.ask(&["policy", "show"]).is_ok_and(|said| said.starts_with("Policy 7 of peel"))
    });
    until("its hotplate is gone", || car.ask(&["hotplate", "list"]).unwrap() == "no hotplates");
    let why = add("DLRS155").unwrap_err();
    assert!(why.contains("officers may not add hotplates by the policy in force"), "{why}");

    // The fleet sees which policy it is.
    let status = || {
        let retained = fleet.retained_as("admin", "alpr/v1/peel/vehicle/4127/status");
        retained.iter().any(|(_, payload)| {
            serde_json::from_slice::<Value>(payload).is_ok_and(|s| s["policy_version"] == 7)
        })
    };
    until("status names the policy", status);

    // All of it is on record, without a plate.
    let out = dir.path().join("audit.jsonl");
    let exported = Command::new(env!("CARGO_BIN_EXE_outrider"))
        .args(["audit", "export", "--config"])
        .arg(dir.path().join("car/outrider.toml"))
        .arg("-o")
        .arg(&out)
        .output()
        .unwrap();
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let log = std::fs::read_to_string(&out).unwrap();
    for (event, times) in [("\"hotplate_added\"", 2), ("\"hotplate_removed\"", 2)] {
        assert_eq!(log.matches(event).count(), times, "{event} in {log}");
    }
    assert!(log.contains("\"entry_refused\"") && log.contains("no policy with users"), "{log}");
    assert!(log.contains("found by unit 12") && log.contains("revoked by policy"), "{log}");
    for plate in ["CKSV841", "BMNT220"] {
        assert!(!log.contains(plate), "the audit has no place for a plate");
    }
}

#[test]
fn officer_adds_and_removes_a_hotplate_on_the_page() {
    let Some(browser) = Browser::start() else { return };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("car");
    let config = config(&folder, "", &people::provision(&folder.join("people"), AGENCY));
    let (open, reader) = car::camera(&["AHK512".to_owned()], Duration::from_millis(10));
    let id = CameraId::new("front");
    let seams = Seams {
        cameras: Some(vec![SeamCamera { id, open, reader: Some(reader) }]),
        annunciator: Some(Box::new(Tones::default())),
        ..Seams::default()
    };
    let daemon = Daemon::start(config, seams).unwrap();
    browser.size(1280, 800);
    browser.go(&daemon.console().unwrap().to_string());
    browser.until("!document.getElementById('add-hotplate').hidden");
    // Nobody is signed in: the form asks for that first.
    browser.press("h");
    browser.until("!document.getElementById('sign-in').hidden");
    browser.ask(&format!(
        "const f = document.getElementById('sign-in-form'); f.elements.number.value = '4411'; \
         f.elements.pin.value = '{}'; f.requestSubmit()",
        people::PIN
    ));
    // The officer's shift begins with a look at the car.
    browser.until(
        "!document.getElementById('shift').hidden && !document.getElementById('tone').hidden",
    );
    browser.until("document.querySelectorAll('#shift-lines li').length > 4");
    browser.keep_picture("shift-of-a-daemon-dark-1280x800");
    browser.ask("document.getElementById('tone').click()");
    browser.until("!document.getElementById('heard').disabled");
    browser.ask("document.getElementById('heard').click()");
    browser.ask("document.getElementById('begin').click()");
    browser.until("document.getElementById('who').textContent === '4411 officer'");
    let status = ask(&folder, &["status"]).unwrap();
    assert!(status.contains("ago by officer 4411, "), "{status}");
    browser.press("h");
    browser.until("!document.getElementById('form').hidden");
    let fill = |form: &str, name: &str, value: &str| {
        let script = format!("document.getElementById('{form}').elements.{name}.value = {value:?}");
        browser.ask(&script);
    };
    let submit = |form: &str| {
        browser.ask(&format!("document.getElementById('{form}').requestSubmit()"));
    };
    fill("add-form", "plate", "cksv 841");
    fill("add-form", "jurisdiction", "ca-on");
    fill("add-form", "reason", "hurt");
    submit("add-form");
    // The daemon says what is wrong, and what was typed is still there.
    browser.until("document.getElementById('form-says').textContent.startsWith('give a reason')");
    browser.keep_picture("hotplate-refused-dark-1280x800");
    fill("add-form", "reason", "Left the scene of a collision, Main St");
    for (w, h) in [(1280, 800), (1024, 600), (390, 844)] {
        browser.size(w, h);
        browser.keep_picture(&format!("hotplate-form-dark-{w}x{h}"));
        let wide = browser.ask("return document.documentElement.scrollWidth - innerWidth");
        assert!(wide.as_i64().unwrap() <= 0, "{w}x{h}: the page is {wide} px too wide");
    }
    browser.size(1280, 800);
    submit("add-form");
    browser.until("document.querySelectorAll('.plate-row').length === 1");
    assert!(browser.ask("return document.getElementById('form').hidden").as_bool().unwrap());
    let row = browser.text("hotplates");
    for part in ["CKSV841 CA-ON", "Left the scene of a collision", "officer 4411", "until "] {
        assert!(row.contains(part), "{part:?} is missing: {row}");
    }
    browser.keep_picture("hotplate-dark-1280x800");
    let list = ask(&folder, &["hotplate", "list"]).unwrap();
    assert!(list.contains("CKSV841") && list.contains("officer 4411"), "{list}");

    browser.ask("document.querySelector('.plate-row').click()");
    browser
        .until("document.getElementById('form-title').textContent === 'Remove hotplate CKSV841'");
    browser.keep_picture("hotplate-remove-dark-1280x800");
    fill("remove-form", "why", "Found by unit 12");
    submit("remove-form");
    browser.until("document.querySelectorAll('.plate-row').length === 0");
    assert_eq!(ask(&folder, &["hotplate", "list"]).unwrap(), "no hotplates");
    daemon.stop();
}
