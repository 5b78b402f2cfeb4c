//! A real mosquitto on a free port, with or without TLS, and `mosquitto_sub` as a subscriber that
//! is not ours and writes down everything.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use outrider::config::UplinkConfig;

use super::spawned::{self, program};

/// How a broker is set up.
#[derive(Clone, Default)]
pub struct Setup {
    /// TLS, client certificates required, the certificate's name is the user name.
    pub tls: bool,
    /// Keeps sessions and queued messages over a restart.
    pub persistent: bool,
    /// Further lines of `mosquitto.conf`.
    pub extra: String,
    /// An access list, in mosquitto's own form.
    pub acl: Option<String>,
    /// User name and password, instead of letting anyone in.
    pub login: Option<(String, String)>,
}

/// A running broker. Ends with its owner.
pub struct Mosquitto {
    folder: PathBuf,
    port: u16,
    setup: Setup,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts one in `folder`; `None`, said loudly, where it is not installed.
    pub fn start(folder: &Path, setup: Setup) -> Option<Self> {
        if !spawned::installed() {
            return None;
        }
        std::fs::create_dir_all(folder).unwrap();
        if setup.tls {
            spawned::write_certificates(folder, &["4127", "admin"]);
        }
        let start = |port| {
            let mut broker =
                Self { folder: folder.to_owned(), port, setup: setup.clone(), child: None };
            broker.run().then_some(broker)
        };
        Some(spawned::on_a_free_port(folder, start))
    }

    fn run(&mut self) -> bool {
        let dir = self.folder.display();
        let mut conf = format!("user root\nlistener {} 127.0.0.1\n", self.port);
        if self.setup.tls {
            conf += &format!(
                "cafile {dir}/ca.pem\ncertfile {dir}/broker.pem\nkeyfile {dir}/broker.key\n\
                 require_certificate true\nuse_identity_as_username true\n"
            );
        }
        match &self.setup.login {
            Some((name, password)) => {
                let file = self.folder.join("passwords");
                if !file.exists() {
                    let made = Command::new(program("mosquitto_passwd").unwrap())
                        .args(["-b", "-c"])
                        .arg(&file)
                        .args([name, password])
                        .status();
                    assert!(made.unwrap().success());
                }
                conf += &format!("allow_anonymous false\npassword_file {}\n", file.display());
            }
            None => conf += "allow_anonymous true\n",
        }
        if let Some(acl) = &self.setup.acl {
            std::fs::write(self.folder.join("acl"), acl).unwrap();
            conf += &format!("acl_file {dir}/acl\n");
        }
        if self.setup.persistent {
            conf += &format!("persistence true\npersistence_location {dir}/\n");
        }
        // Not 0, which means no limit: mosquitto 2.0.11 then hangs up where it should refuse a message.
        conf += "max_queued_messages 100000\nmax_inflight_messages 20\n";
        conf += &self.setup.extra;
        self.child = spawned::broker(&self.folder, &conf, self.port);
        self.child.is_some()
    }

    /// Ends it; a persistent one writes down what it holds first.
    pub fn stop(&mut self) {
        spawned::stop(&mut self.child);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        spawned::kill(&mut self.child);
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

    /// The settings of a car that may use this broker.
    pub fn uplink(&self) -> UplinkConfig {
        let file = |name: &str| Some(self.folder.join(name));
        let base = UplinkConfig {
            retry_most: "1s".parse().unwrap(),
            keep_alive: "5s".parse().unwrap(),
            health_every: "5s".parse().unwrap(),
            ..UplinkConfig::default()
        };
        match self.setup.tls {
            true => UplinkConfig {
                broker: Some(format!("mqtts://localhost:{}", self.port)),
                ca: file("ca.pem"),
                certificate: file("4127.pem"),
                key: file("4127.key"),
                ..base
            },
            false => {
                UplinkConfig { broker: Some(format!("mqtt://127.0.0.1:{}", self.port)), ..base }
            }
        }
    }

    /// A subscriber to everything, from now on. One with a session gets what it missed while it
    /// or the broker was away.
    pub fn subscriber(&self, session: Option<&str>) -> Subscriber {
        let mut command = Command::new(program("mosquitto_sub").unwrap());
        command.args(["-V", "5", "-q", "1", "-t", "#", "-F", "%t %x", "-p"]);
        command.arg(self.port.to_string());
        if let Some(id) = session {
            command.args(["-c", "-i", id, "-x", "3600"]);
        }
        if self.setup.tls {
            for (flag, file) in
                [("--cafile", "ca.pem"), ("--cert", "admin.pem"), ("--key", "admin.key")]
            {
                command.arg(flag).arg(self.folder.join(file));
            }
            command.args(["-h", "localhost"]);
        } else {
            command.args(["-h", "127.0.0.1"]);
        }
        if let Some((name, password)) = &self.setup.login {
            command.args(["-u", name, "-P", password]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (out, sink) = (child.stdout.take().unwrap(), received.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let (topic, hex) = line.split_once(' ').unwrap_or((&line, ""));
                // A line that was cut by the end of the process is no message.
                if let Ok(payload) = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()) {
                    sink.lock().unwrap().push((topic.to_owned(), payload));
                }
            }
        });
        Subscriber { child, received }
    }

    /// Waits until the broker's log says this; for what no client can see.
    pub fn until_logged(&self, text: &str) {
        super::until(&format!("mosquitto logs {text:?}"), || self.log().contains(text));
    }

    /// The broker's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Topics and payloads.
pub type Received = Vec<(String, Vec<u8>)>;

/// A running `mosquitto_sub`. Ends with its owner.
pub struct Subscriber {
    child: Child,
    received: Arc<Mutex<Received>>,
}

impl Subscriber {
    /// Topic and payload of everything so far, in order of arrival.
    pub fn received(&self) -> Received {
        self.received.lock().unwrap().clone()
    }

    /// ULIDs of the hits' texts so far, in order of arrival, repeats included.
    pub fn hits(&self) -> Vec<String> {
        self.received().into_iter().filter_map(|(topic, _)| hit_of(&topic)).collect()
    }

    /// Waits until the broker has taken the subscription: a message of ours comes back.
    pub fn ready(&self, broker: &Mosquitto) {
        assert!(broker.setup.login.is_none() && !broker.setup.tls, "probing is for open brokers");
        let before = self.probes();
        super::until("the subscription is there", || {
            let sent = Command::new(program("mosquitto_pub").unwrap())
                .args(["-V", "5", "-h", "127.0.0.1", "-p", &broker.port.to_string()])
                .args(["-t", "probe", "-m", "probe"])
                .status();
            sent.unwrap().success() && self.probes() > before
        });
    }

    fn probes(&self) -> usize {
        self.received().iter().filter(|(topic, _)| topic == "probe").count()
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The ULID in the topic of a hit's text.
pub fn hit_of(topic: &str) -> Option<String> {
    let (_, id) = topic.split_once("/hit/")?;
    (!id.contains('/')).then(|| id.to_owned())
}
