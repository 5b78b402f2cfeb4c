//! A real mosquitto on a free port, with or without TLS, and `mosquitto_sub` as a subscriber that
//! is not ours and writes down everything.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use outrider::config::UplinkConfig;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

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

/// Where Debian puts it, which is not in everybody's path.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

impl Mosquitto {
    /// Starts one in `folder`; `None`, said loudly, where it is not installed.
    pub fn start(folder: &Path, setup: Setup) -> Option<Self> {
        if program("mosquitto").is_none() || program("mosquitto_sub").is_none() {
            super::skipped("a test with a real broker", "mosquitto or its clients are missing");
            return None;
        }
        std::fs::create_dir_all(folder).unwrap();
        if setup.tls {
            write_certificates(folder);
        }
        // The port could be taken between here and there: then another.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut broker =
                Self { folder: folder.to_owned(), port, setup: setup.clone(), child: None };
            if broker.run() {
                return Some(broker);
            }
        }
        panic!(
            "mosquitto does not start: {}",
            std::fs::read_to_string(folder.join("log")).unwrap()
        );
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
        let path = self.folder.join("mosquitto.conf");
        std::fs::write(&path, conf).unwrap();
        let log = std::fs::File::create(self.folder.join("log")).unwrap();
        let child = Command::new(program("mosquitto").unwrap())
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            if self.child.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }

    /// Ends it; a persistent one writes down what it holds first.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            child.wait().unwrap();
        }
    }

    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
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
            assert!(sent.unwrap().success());
            self.probes() > before
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

/// An authority, the broker, car 4127, the fleet's admin; and a stranger with an authority of its
/// own.
fn write_certificates(folder: &Path) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let ours = authority("Test authority");
    let theirs = authority("Another authority");
    write("ca.pem", ours.pem());
    write("other-ca.pem", theirs.pem());
    for (name, issuer, usage) in [
        ("broker", &ours, ExtendedKeyUsagePurpose::ServerAuth),
        ("4127", &ours, ExtendedKeyUsagePurpose::ClientAuth),
        ("admin", &ours, ExtendedKeyUsagePurpose::ClientAuth),
        ("stranger", &theirs, ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let names = if name == "broker" { vec!["localhost".to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
