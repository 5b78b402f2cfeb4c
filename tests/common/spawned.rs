//! What every real mosquitto of the tests needs: its programs, a free port, certificates, a start that
//! waits until it listens, an end in order.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

/// Where Debian puts it, which is not in everybody's path.
pub fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|path| path.exists())
}

/// Whether broker and clients are installed; says loudly if not.
pub fn installed() -> bool {
    let all = ["mosquitto", "mosquitto_pub", "mosquitto_sub"].iter().all(|p| program(p).is_some());
    if !all {
        super::skipped("a test with a real broker", "mosquitto or its clients are missing");
    }
    all
}

/// Tries ports until a broker runs on one: another program could take it meanwhile.
pub fn on_a_free_port<T>(folder: &Path, mut start: impl FnMut(u16) -> Option<T>) -> T {
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if let Some(started) = start(port) {
            return started;
        }
    }
    let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
    panic!("mosquitto does not start: {log}");
}

/// Starts mosquitto with this configuration, its log in the folder, and waits until it listens; `None`
/// if it ends instead.
pub fn broker(folder: &Path, conf: &str, port: u16) -> Option<Child> {
    let path = folder.join("mosquitto.conf");
    std::fs::write(&path, conf).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let mut child = Command::new(program("mosquitto").unwrap())
        .arg("-c")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    for _ in 0..500 {
        if listens(&child, port) {
            return Some(child);
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(&mut Some(child));
    None
}

/// Whether it is this process that listens at the port: what answers there may be another test's broker, which took
/// it meanwhile.
fn listens(child: &Child, port: u16) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let at_port = format!(":{port:04X}");
    let sockets = table.lines().filter_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = columns[..] else { return None };
        (local.ends_with(&at_port) && state == "0A").then(|| format!("socket:[{inode}]"))
    });
    let sockets: Vec<String> = sockets.collect();
    let Ok(open) = std::fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    open.flatten().any(|file| {
        std::fs::read_link(file.path())
            .is_ok_and(|to| sockets.iter().any(|s| to.as_os_str() == s.as_str()))
    })
}

/// Ends it in order: a persistent one writes down what it holds.
pub fn stop(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let pid = rustix::process::Pid::from_child(&child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        child.wait().unwrap();
    }
}

/// kill -9.
pub fn kill(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Certificates in a folder: an authority, the broker, these clients; and a stranger with an authority
/// of its own.
pub fn write_certificates(folder: &Path, clients: &[&str]) {
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        if name.ends_with(".key") {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
    };
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
    let clients = clients.iter().map(|name| (*name, &ours, ExtendedKeyUsagePurpose::ClientAuth));
    let others = [
        ("broker", &ours, ExtendedKeyUsagePurpose::ServerAuth),
        ("stranger", &theirs, ExtendedKeyUsagePurpose::ClientAuth),
    ];
    for (name, issuer, usage) in clients.chain(others) {
        let names = if name == "broker" { vec!["localhost".to_owned()] } else { Vec::new() };
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        write(&format!("{name}.pem"), params.signed_by(&key, issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}
