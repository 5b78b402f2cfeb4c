//! A car in its box: a daemon to which every file system but one folder is read-only, a broker behind a
//! tap, and what it told anyone.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrider::alert::console::PageAddress;

use crate::common::mosquitto::{Mosquitto, Setup, Subscriber};
use crate::common::page;
use crate::common::running::lines_of;
use crate::common::search::{self, Places};
use crate::common::{until, within};
use crate::disk::Disk;
use crate::planted::{LISTED, VEHICLES, is_listed, passing};

/// Passes bytes on between car and broker, and writes down those that the car sends.
fn tap(broker: u16) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let sink = heard.clone();
    std::thread::spawn(move || {
        for car in listener.incoming().map_while(Result::ok) {
            let Ok(broker) = TcpStream::connect(("127.0.0.1", broker)) else { continue };
            let (mut from_broker, mut to_car) =
                (broker.try_clone().unwrap(), car.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_broker, &mut to_car));
            let (mut car, mut broker, sink) = (car, broker, sink.clone());
            std::thread::spawn(move || {
                let mut bytes = [0; 16_384];
                while let Ok(n) = car.read(&mut bytes)
                    && n > 0
                {
                    sink.lock().unwrap().extend_from_slice(&bytes[..n]);
                    if broker.write_all(&bytes[..n]).is_err() {
                        return;
                    }
                }
                let _ = broker.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    (port, heard)
}

/// A car in its box: folders, a broker behind a tap, and the process once it runs.
pub(crate) struct Boxed {
    folder: PathBuf,
    broker: Mosquitto,
    subscriber: Subscriber,
    wire: Arc<Mutex<Vec<u8>>>,
    page: Arc<Mutex<Vec<u8>>>,
    process: Option<Child>,
    said: Arc<Mutex<Vec<String>>>,
    console: Option<PageAddress>,
    pub(crate) sealed: bool,
    pub(crate) disk: Option<Disk>,
}

impl Boxed {
    pub(crate) fn new(folder: &Path, non_hit: &str, disk: bool) -> Option<Self> {
        for sub in ["box/state", "box/tmp", "box/cwd", "outside"] {
            std::fs::create_dir_all(folder.join(sub)).unwrap();
        }
        let disk = disk.then(|| Disk::mount(folder)).flatten();
        let setup = Setup { persistent: true, ..Setup::default() };
        let broker = Mosquitto::start(&folder.join("outside/broker"), setup)?;
        let subscriber = broker.subscriber(None);
        subscriber.ready(&broker);
        let (port, wire) = tap(broker.port());
        let listed: Vec<String> = passing()
            .into_iter()
            .enumerate()
            .filter(|(n, _)| is_listed(*n))
            .map(|(_, p)| p)
            .collect();
        let outside = folder.join("outside");
        std::fs::write(outside.join("list.txt"), listed.join("\n")).unwrap();
        let config = format!(
            "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n\
             [[hotlist]]\nname = \"test\"\npath = \"{outside}/list.txt\"\n\
             [keeping]\ndirectory = \"{inside}/state\"\nnon_hit = \"{non_hit}\"\n\
             thumbnails = true\ndisk_reserve = \"0B\"\n\
             [uplink]\nbroker = \"mqtt://127.0.0.1:{port}\"\nhealth_every = \"5s\"\n\
             retry_most = \"1s\"\n[console]\nlisten = \"127.0.0.1:0\"\n",
            outside = outside.display(),
            inside = folder.join("box").display(),
        );
        std::fs::write(outside.join("outrider.toml"), config).unwrap();
        Some(Self {
            folder: folder.to_owned(),
            broker,
            subscriber,
            wire,
            page: Arc::default(),
            process: None,
            said: Arc::default(),
            console: None,
            sealed: false,
            disk,
        })
    }

    pub(crate) fn inside(&self) -> PathBuf {
        self.folder.join("box")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.inside().join("state")
    }

    /// Starts the process: everything but the box is read-only to it, and core dumps are as large
    /// as they like.
    pub(crate) fn start(&mut self, environment: &[(&str, &str)]) {
        let script = r#"
            ulimit -c unlimited
            mount --rbind "$BOX" "$BOX" && sealed=yes || sealed=no
            while read -r _ _ _ _ at _; do
              case $at in "$BOX" | "$BOX"/* | /proc | /proc/*) ;;
                *) mount -o remount,bind,ro "$at" 2>/dev/null ;;
              esac
            done </proc/self/mountinfo
            for place in / /tmp /var/tmp /dev/shm /run /var/log "$HOME" "$OUTSIDE"; do
              if (: >"$place/.outrider-probe") 2>/dev/null; then rm -f "$place/.outrider-probe"; sealed=no; fi
            done
            echo "sealed $sealed"
            cd "$BOX/cwd" && exec "$@"
        "#;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.join("outside/log"))
            .unwrap();
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "child_in_the_box", "--nocapture"])
            .env("BOX", self.inside())
            .env("OUTSIDE", self.folder.join("outside"))
            .env("TMPDIR", self.inside().join("tmp"))
            .env("OUTRIDER_TEST_CHILD", self.folder.join("outside/outrider.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        self.said = lines_of(child.stdout.take().unwrap());
        self.process = Some(child);
        let console = self.until_said("console ");
        let console: PageAddress = console.parse().unwrap();
        self.console = Some(console.clone());
        self.sealed = self.line("sealed ").as_deref() == Some("yes");
        page::listen(&console, &self.page);
    }

    pub(crate) fn line(&self, start: &str) -> Option<String> {
        let said = self.said.lock().unwrap();
        said.iter().find_map(|line| line.strip_prefix(start)).map(str::to_owned)
    }

    pub(crate) fn until_said(&mut self, start: &str) -> String {
        within(Duration::from_secs(120), &format!("the process says {start:?}"), || {
            self.line(start).is_some()
        });
        self.line(start).unwrap()
    }

    /// Waits until the drive is over, its hits are with the broker, and the reads with the ring.
    pub(crate) fn until_driven(&mut self) {
        self.until_said("driven");
        until("hits arrived", || self.subscriber.hits().len() >= VEHICLES / LISTED);
        let console = self.console.clone().unwrap();
        let id = self.subscriber.hits()[0].clone();
        for path in ["/".to_owned(), "/console.js".to_owned(), format!("/hit/{id}/plate.jpg")] {
            self.page.lock().unwrap().extend(page::get(&console, &path));
        }
        // The ring writes within a second.
        std::thread::sleep(Duration::from_millis(1_500));
    }

    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        process.stdin.take().unwrap().write_all(b"stop\n").unwrap();
        assert!(process.wait().unwrap().success());
        until("the process says what it counted", || self.line("stopped ").is_some());
        let counted = self.line("stopped ").unwrap();
        let listed = VEHICLES / LISTED;
        assert_eq!(counted, format!("{listed} {}", VEHICLES - listed), "every vehicle was read");
    }

    /// What the process can write to in its memory: what a core file would hold.
    pub(crate) fn memory(&self) -> Places {
        let proc = format!("/proc/{}", self.process.as_ref().unwrap().id());
        let maps = std::fs::read_to_string(format!("{proc}/maps")).unwrap();
        let memory = std::fs::File::open(format!("{proc}/mem")).unwrap();
        let mut places = Places::new();
        for map in maps.lines() {
            let mut columns = map.split_whitespace();
            let (range, may) = (columns.next().unwrap(), columns.next().unwrap());
            if !may.starts_with("rw") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let [from, to] = [from, to].map(|t| u64::from_str_radix(t, 16).unwrap());
            let mut bytes = vec![0; (to - from) as usize];
            // A part that went away meanwhile, or that only a device may read, is not there to be searched.
            if memory.read_exact_at(&mut bytes, from).is_ok() {
                places.insert(range.into(), bytes);
            }
        }
        places
    }

    pub(crate) fn kill(&mut self, signal: rustix::process::Signal) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let pid = rustix::process::Pid::from_child(&process);
        rustix::process::kill_process(pid, signal).unwrap();
        process.wait().unwrap()
    }

    /// Files that the process could write, all of them.
    pub(crate) fn files(&self) -> Places {
        search::files(&self.inside(), &[])
    }

    /// What it told others, by way.
    pub(crate) fn told(&self) -> Vec<(&'static str, Places)> {
        let mqtt =
            self.subscriber.received().into_iter().enumerate().map(|(n, (topic, payload))| {
                (format!("message {n} {topic}"), [topic.as_bytes(), b" ", &payload].concat())
            });
        let log = std::fs::read(self.folder.join("outside/log")).unwrap_or_default();
        let out = self.said.lock().unwrap().join("\n").into_bytes();
        vec![
            (
                "log at trace level, standard output",
                Places::from([("log".into(), log), ("out".into(), out)]),
            ),
            ("MQTT, as mosquitto_sub got it", mqtt.collect()),
            (
                "MQTT, every byte the car sent",
                Places::from([("wire".into(), self.wire.lock().unwrap().clone())]),
            ),
            ("what the broker wrote down", search::files(&self.folder.join("outside/broker"), &[])),
            ("console: page, events, picture", {
                let page = self.page.lock().unwrap().clone();
                Places::from([("letters".into(), letters(&page)), ("page".into(), page)])
            }),
        ]
    }
}

/// The officer's page gets a plate letter by letter, each with how it compares: put together again.
fn letters(page: &[u8]) -> Vec<u8> {
    let start = br#""read":""#;
    let at = page.windows(start.len()).enumerate().filter(|(_, w)| w == start).map(|(at, _)| at);
    at.filter_map(|at| page.get(at + start.len()).copied()).collect()
}

impl Drop for Boxed {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        self.broker.kill();
    }
}
