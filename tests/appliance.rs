//! Starts the daemon as a car's computer does: half set up, without a camera; and asks it for its status.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]
#![allow(
    clippy::disallowed_types,
    reason = "the test is the agent, and the program that took the port"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::running::{Car, child};
use common::{page, until};
use outrider::alert::console::PageAddress;

/// The daemon's process on a scripted camera. Runs only when a test below starts it.
#[test]
fn child_that_runs() {
    child();
}

/// The built program, run as the unit runs it.
struct Real {
    folder: PathBuf,
    child: Option<Child>,
}

impl Real {
    /// A car of this configuration.
    fn new(folder: &Path, config: &str) -> Self {
        std::fs::write(folder.join("outrider.toml"), config).unwrap();
        Self { folder: folder.to_owned(), child: None }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_outrider"));
        command.args(args).arg("--config").arg(self.folder.join("outrider.toml"));
        command
    }

    /// Exit code, standard output and standard error.
    fn ends(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let output = self.command(args).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn start(&mut self) {
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let child = self.command(&["run"]).stdin(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        until("it is ready", || {
            let child = self.child.as_mut().unwrap();
            assert!(child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
            self.log().contains("ready, console")
        });
    }

    /// Stops it in order, as systemd does.
    fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success(), "{}", self.log());
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A car without a camera: a list, a page, nothing else.
fn without_a_camera(folder: &Path, more: &str) -> String {
    std::fs::write(folder.join("stolen.csv"), "plate\nZKHIT01\n").unwrap();
    let at = folder.display();
    format!(
        "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
         [keeping]\ndirectory = \"{at}/state\"\ndisk_reserve = \"0B\"\n\
         [console]\nlisten = \"127.0.0.1:0\"\n\
         [[hotlist]]\nname = \"stolen\"\npath = \"{at}/stolen.csv\"\n{more}"
    )
}

#[test]
fn car_without_a_camera_starts_says_so_large_and_serves_list_and_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut car = Real::new(dir.path(), &without_a_camera(dir.path(), ""));
    car.start();
    let log = car.log();
    assert!(log.contains("NOT READING: no camera is configured: add a [[camera]]"), "{log}");
    let address = log.lines().find_map(|l| l.split("console at ").nth(1)).unwrap();
    let address: PageAddress = address.trim().parse().unwrap();
    let heard = page::Heard::default();
    page::listen(&address, &heard);
    until("the page tells of no camera and of one list", || {
        let bytes = heard.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        text.contains("\"cameras\":[]")
            && text.contains("\"entries\":1")
            && text.contains("no camera is configured")
    });
    // Its records can be asked for.
    let (code, shown, said) = car.ends(&["audit", "show", "--json"]);
    assert!(code == Some(0) && shown.contains("\"kind\":\"started\""), "{shown} {said}");
    let (code, shown, said) = car.ends(&["status"]);
    assert!(code == Some(0), "{said}");
    assert!(shown.contains("NOT READING: no camera is configured"), "{shown}");
    car.stop();
}

#[test]
fn recording_in_place_of_a_camera_runs_the_real_daemon_and_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let pictures = dir.path().join("drive");
    std::fs::create_dir(&pictures).unwrap();
    for n in 0..4_u8 {
        let grey = image::GrayImage::from_pixel(320, 240, image::Luma([100 + n]));
        grey.save(pictures.join(format!("{n}.png"))).unwrap();
    }
    let camera = format!("[[camera]]\nname = \"front\"\nrecording = {pictures:?}\nfps = 5.0\n");
    let mut car = Real::new(dir.path(), &without_a_camera(dir.path(), &camera));
    if car.ends(&["check"]).1.contains("FAIL  onnx runtime") {
        return common::skipped("a recording in place of a camera", "ONNX Runtime is not here");
    }
    let (_, checked, _) = car.ends(&["check"]);
    let line = checked.lines().find(|line| line.contains("camera front")).unwrap();
    assert!(line.starts_with("warn") && line.contains("a recording: "), "{line}");
    car.start();
    // Four pictures at five a second, over and over.
    until("it still reads after the time that its four pictures take", || {
        let told: serde_json::Value =
            serde_json::from_str(&car.ends(&["status", "--json"]).1).unwrap_or_default();
        told["up_s"].as_u64() >= Some(3)
            // A busy machine skips frames of it.
            && ["reading", "overloaded"].contains(&told["cameras"][0]["state"].as_str().unwrap_or_default())
            && told["parts"]["recording/front"]["state"] == "impaired"
    });
    assert!(car.log().contains("front plays a recording and is no camera"), "{}", car.log());
    car.stop();
}

/// What a monitoring agent gets.
fn metrics(address: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut line = std::net::TcpStream::connect(address).unwrap();
    write!(line, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut text = String::new();
    line.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn status_and_metrics_tell_how_the_car_is_without_a_plate_or_a_covert_list() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = dir.path().join("quietly.txt");
    std::fs::write(&quiet, "ZKQUIET\n").unwrap();
    let further = format!(
        "[metrics]\nlisten = \"127.0.0.1:0\"\n\
         [[hotlist]]\nname = \"quietly\"\npath = {quiet:?}\ncovert = true\n\
         [[hotlist]]\nname = \"goneaway\"\npath = \"/nowhere/list\"\ncovert = true\n"
    );
    let mut car = Car::new(&dir.path().join("car"), "", &further, &["ZKHIT01"]);
    let refused = car.refuses(&["status"]);
    assert!(refused.contains("no daemon answers at"), "{refused}");
    car.start(&["ZKHIT01", "ZKQUIET", "ZKPASS1"]);
    car.does(&["hotplate", "add", "ZKADDED", "--reason", "left the scene", "--by", "4411"]);
    until("the status has the hit", || car.does(&["status"]).contains(" 1 hits since the start"));
    until("and the hotplate", || car.does(&["status", "--json"]).contains("\"hotplates\""));
    let (table, json) = (car.does(&["status"]), car.does(&["status", "--json"]));
    for part in ["vehicle 4127 of peel", "camera front", "list test", "storage", "gps", "link"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told["vehicle"], "4127");
    assert_eq!(told["cameras"][0]["id"], "front");
    assert!(told["lists"].as_array().unwrap().iter().any(|list| list["name"] == "test"));
    let counted = metrics(&car.told("metrics").unwrap());
    for line in
        ["HTTP/1.1 200 OK", "outrider_hits_total 1", "outrider_list_entries{list=\"test\"} 1"]
    {
        assert!(counted.lines().any(|l| l == line), "{line}: {counted}");
    }
    // Each sample is a name, words in quotes and a number.
    for line in counted.split("\r\n\r\n").nth(1).unwrap().lines() {
        let number = line.rsplit(' ').next().unwrap();
        assert!(line.starts_with("# ") || number.parse::<f64>().is_ok(), "{line}");
    }
    for said in [&table, &json, &counted] {
        for secret in ["ZKHIT01", "ZKQUIET", "ZKPASS1", "ZKADDED", "quietly", "goneaway", "4411"] {
            assert!(!said.contains(secret), "{secret}: {said}");
        }
    }
    car.stop();
}

#[test]
fn end_of_the_page_s_certificate_is_told_and_a_renewed_one_waits_for_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (pem, key) = (dir.path().join("page.pem"), dir.path().join("page.key"));
    let pair = rcgen::KeyPair::generate().unwrap();
    outrider::secret_file::create(&key, &pair.serialize_pem()).unwrap();
    // It ends at the midnight before, so that no second of this test changes its days.
    let lasts = |days: i64| {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * (days + 1));
        let end = end.to_zoned(jiff::tz::TimeZone::UTC).date();
        let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
        let [month, day] = [end.month(), end.day()].map(|n| u8::try_from(n).unwrap());
        params.not_after = rcgen::date_time_ymd(end.year().into(), month, day);
        std::fs::write(&pem, params.self_signed(&pair).unwrap().pem()).unwrap();
    };
    // The default would not warn yet.
    lasts(40);
    let listen = "listen = \"127.0.0.1:0\"\n";
    let encrypted = format!("{listen}certificate = {pem:?}\nkey = {key:?}\n");
    let warned = "[certificates]\nwarn_before = \"60d\"\n";
    let config = without_a_camera(dir.path(), warned).replace(listen, &encrypted);
    let mut car = Real::new(dir.path(), &config);
    let line = |car: &Real, command: &str| {
        let (_, shown, said) = car.ends(&[command]);
        let told = shown.split_once("page certificate").map(|(before, after)| {
            let word = before.lines().next_back().unwrap().trim().to_owned();
            (word, after.lines().take(2).collect::<Vec<_>>().join(" "))
        });
        told.unwrap_or_else(|| panic!("{command} tells of none: {shown} {said}"))
    };
    let (word, told) = line(&car, "check");
    assert!(word == "warn" && told.contains("in 40 days") && told.contains("renew it"), "{told}");
    car.start();
    until("it tells how it is", || car.ends(&["status"]).0 == Some(0));
    let (word, told) = line(&car, "status");
    assert!(word == "warn" && told.contains("in 40 days"), "{told}");
    let json: serde_json::Value = serde_json::from_str(&car.ends(&["status", "--json"]).1).unwrap();
    assert_eq!(json["page_certificate"]["days_left"], 40);
    assert_eq!(json["parts"]["page_certificate"]["state"], "impaired");
    // The page goes on being served by what was there at the start.
    lasts(300);
    let (word, told) = line(&car, "check");
    assert!(word == "warn" && told.contains("in 300 days in the file"), "{told}");
    assert!(told.contains("in 40 days") && told.contains("restart Outrider"), "{told}");
    car.stop();
    let (word, told) = line(&car, "check");
    assert!(word == "ok" && told.contains("in 300 days"), "{told}");
}

#[test]
fn car_that_is_half_set_up_ends_with_78_one_sentence_and_nothing_made() {
    let dir = tempfile::tempdir().unwrap();
    let whole = without_a_camera(dir.path(), "");
    let no_root = format!("{whole}[trust]\nroot = \"{}/root.pub.json\"\n", dir.path().display());
    let no_ceiling = format!("{whole}[policy]\nceiling = \"{}/c.toml\"\n", dir.path().display());
    let no_models = format!(
        "{whole}[models]\nonnxruntime = \"/nowhere/libonnxruntime.so\"\n[[camera]]\nname = \"front\"\ndevice = \"/dev/none\"\n"
    );
    for (config, named) in [
        (whole.replace("\"4127\"", "\"\""), "vehicle.id"),
        (whole.replace("[vehicle]", "[vehicel]"), "vehicel"),
        (no_root, "root.pub.json"),
        (no_ceiling, "c.toml"),
        (no_models, "/nowhere/libonnxruntime.so"),
        (whole.replace("[keeping]", "[keeping]\nkey = \"credential\""), "systemd passes none"),
    ] {
        let car = Real::new(dir.path(), &config);
        let (code, out, said) = car.ends(&["run"]);
        assert_eq!((code, out.as_str()), (Some(78), ""), "{named}: {said}");
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{said}");
        assert!(errors[0].starts_with("error: this car is not set up, and nothing was started: "));
        assert!(errors[0].contains(named) && errors[0].contains("systemctl restart"), "{said}");
        assert!(!dir.path().join("state/device.key").exists(), "{named}: no key is made");
    }
    std::fs::remove_file(dir.path().join("outrider.toml")).unwrap();
    let car = Real { folder: dir.path().to_owned(), child: None };
    assert_eq!(car.ends(&["run"]).0, Some(78), "no configuration at all");
}

#[test]
fn bad_luck_is_no_set_up_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = other.local_addr().unwrap().to_string();
    let config = without_a_camera(dir.path(), "").replace("127.0.0.1:0", &at);
    let (code, _, said) = Real::new(dir.path(), &config).ends(&["run"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Address already in use"), "{said}");
}
