//! A real mosquitto with the agency's own files, `examples/broker/`, and everybody's certificates:
//! cars, authors, the admin, a stranger. Clients that are not ours (`mosquitto_pub`, `mosquitto_sub`)
//! publish and read.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use outrider::config::{UplinkConfig, Vehicle};

use super::spawned::{self, program};

/// The agency of `examples/broker/acl`.
pub const AGENCY: &str = "peel";

/// Who has a certificate of the agency's authority.
const CLIENTS: [&str; 8] =
    ["4127", "4128", "author-stolen", "author-amber", "workshop", "admin", "dispatch", "nobody"];

/// A running broker with the files of `examples/broker/`. Ends with its owner.
pub struct Fleet {
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Fleet {
    /// Starts one in `folder`; `None`, said loudly, where mosquitto is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        if !spawned::installed() {
            return None;
        }
        std::fs::create_dir_all(folder).unwrap();
        spawned::write_certificates(folder, &CLIENTS);
        let start = |port| {
            let mut fleet = Self { folder: folder.to_owned(), port, child: None };
            fleet.run().then_some(fleet)
        };
        Some(spawned::on_a_free_port(folder, start))
    }

    /// The agency's files, with this test's paths and port in them and nothing else changed but the
    /// user that mosquitto becomes.
    fn run(&mut self) -> bool {
        let dir = self.folder.display().to_string();
        let conf = fs_text(Path::new("examples/broker/mosquitto.conf"));
        let replaced = [
            ("listener 8883", format!("user root\nlistener {} 127.0.0.1", self.port)),
            ("/etc/mosquitto/outrider", dir.clone()),
            ("/var/lib/mosquitto/", format!("{dir}/")),
        ];
        let conf = replaced.iter().fold(conf, |conf, (from, to)| {
            assert!(conf.contains(from), "examples/broker/mosquitto.conf has no {from:?}");
            conf.replace(from, to)
        });
        std::fs::copy("examples/broker/acl", self.folder.join("acl")).unwrap();
        self.child = spawned::broker(&self.folder, &conf, self.port);
        self.child.is_some()
    }

    /// Ends it in order: it writes down what it retains.
    pub fn stop(&mut self) {
        spawned::stop(&mut self.child);
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.stop();
        assert!(self.run(), "mosquitto does not start again");
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The broker's process.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// The broker's log so far.
    pub fn log(&self) -> String {
        fs_text(&self.folder.join("log"))
    }

    /// A car of this agency.
    pub fn vehicle(&self, id: &str) -> Vehicle {
        Vehicle { id: id.into(), agency: AGENCY.into() }
    }

    /// The settings of a client that shows this certificate.
    pub fn uplink(&self, name: &str) -> UplinkConfig {
        let file = |end: &str| Some(self.folder.join(format!("{name}.{end}")));
        UplinkConfig {
            broker: Some(format!("mqtts://localhost:{}", self.port)),
            ca: Some(self.folder.join("ca.pem")),
            certificate: file("pem"),
            key: file("key"),
            retry_most: "1s".parse().unwrap(),
            keep_alive: "5s".parse().unwrap(),
            health_every: "5s".parse().unwrap(),
            ..UplinkConfig::default()
        }
    }

    fn client(&self, which: &str, name: &str) -> Command {
        let mut command = Command::new(program(which).unwrap());
        command.args(["-V", "5", "-h", "localhost", "-p", &self.port.to_string(), "-q", "1"]);
        command.arg("--cafile").arg(self.folder.join("ca.pem"));
        command.arg("--cert").arg(self.folder.join(format!("{name}.pem")));
        command.arg("--key").arg(self.folder.join(format!("{name}.key")));
        command
    }

    /// Connects with the certificate of `name` under another client's identifier.
    pub fn pose_as(&self, name: &str, identifier: &str) {
        let mut command = self.client("mosquitto_pub", name);
        command.args([
            "-i",
            identifier,
            "-t",
            &format!("alpr/v1/{AGENCY}/vehicle/{name}/status"),
            "-m",
            "x",
        ]);
        command.output().unwrap();
    }

    /// Publishes with `mosquitto_pub` as `name`. Returns what it complained of, if anything.
    pub fn publish_as(&self, name: &str, topic: &str, payload: &[u8], retain: bool) -> String {
        let file = self.folder.join("payload");
        let mut command = self.client("mosquitto_pub", name);
        command.args(["-t", topic]);
        if retain {
            command.arg("-r");
        }
        match payload {
            [] => command.arg("-n"),
            payload => {
                std::fs::write(&file, payload).unwrap();
                command.arg("-f").arg(&file)
            }
        };
        let out = command.output().unwrap();
        String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
    }

    /// Publishes a retained message with `mosquitto_pub`, which must succeed.
    pub fn retain_as(&self, name: &str, topic: &str, payload: &[u8]) {
        let said = self.publish_as(name, topic, payload, true);
        assert!(said.is_empty(), "mosquitto_pub as {name} to {topic}: {said}");
    }

    /// Listens with `mosquitto_sub` as `name`.
    pub fn listen_as(&self, name: &str, filter: &str) -> Listener {
        let mut command = self.client("mosquitto_sub", name);
        command.args(["-t", filter, "-F", "%r %t %x"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (out, sink) = (child.stdout.take().unwrap(), heard.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let mut fields = line.splitn(3, ' ');
                let (Some(kept), Some(topic)) = (fields.next(), fields.next()) else { continue };
                let hex = fields.next().unwrap_or_default();
                // A line that was cut by the end of the process is no message.
                if let Ok(payload) = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()) {
                    sink.lock().unwrap().push((topic.to_owned(), payload, kept == "1"));
                }
            }
        });
        Listener { child, heard }
    }

    /// All that the broker retains and `name` may read under a filter, with `mosquitto_sub`.
    pub fn retained_as(&self, name: &str, filter: &str) -> Vec<(String, Vec<u8>)> {
        let mut command = self.client("mosquitto_sub", name);
        command.args(["-t", filter, "-F", "%t %x", "--retained-only", "-W", "2"]);
        let out = command.output().unwrap().stdout;
        let text = String::from_utf8(out).unwrap();
        let lines = text.lines().filter_map(|line| line.split_once(' '));
        lines
            .map(|(topic, hex)| {
                let payload = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).unwrap();
                (topic.to_owned(), payload)
            })
            .collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        spawned::kill(&mut self.child);
    }
}

fn fs_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Topic, payload, and whether it was retained.
type Heard = Vec<(String, Vec<u8>, bool)>;

/// A running `mosquitto_sub`. Ends with its owner.
pub struct Listener {
    child: Child,
    heard: Arc<Mutex<Heard>>,
}

impl Listener {
    /// Topic, payload, whether the broker had kept it; in order of arrival.
    pub fn heard(&self) -> Vec<(String, Vec<u8>, bool)> {
        self.heard.lock().unwrap().clone()
    }

    /// Whether something came on a topic that ends so.
    pub fn heard_on(&self, end: &str) -> bool {
        self.heard.lock().unwrap().iter().any(|(topic, ..)| topic.ends_with(end))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
