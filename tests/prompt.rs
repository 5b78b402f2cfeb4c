//! Types a passphrase at a real terminal, and gives up in the middle.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

#[path = "common/skips.rs"]
mod skips;
use skips::skipped;

#[test]
fn ctrl_c_at_the_passphrase_ends_the_program_and_the_terminal_echoes() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("outrider.toml");
    let state = dir.path().join("state").display().to_string();
    let text = format!(
        "[vehicle]\nid = \"4127\"\nagency = \"peel\"\n[gps]\nsource = \"off\"\n[console]\nenabled = false\n\
         [keeping]\ndirectory = {state:?}\n[[camera]]\nname = \"front\"\ndevice = \"/dev/v4l/by-path/none\"\n"
    );
    std::fs::write(&config, text).unwrap();

    let person: OwnedFd = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&person).unwrap();
    unlockpt(&person).unwrap();
    let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || {
        let open = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
        rustix::fs::open(&*name, open, rustix::fs::Mode::empty()).unwrap()
    };
    let ours = terminal();
    let echoes = || tcgetattr(&ours).unwrap().local_modes.contains(LocalModes::ECHO);
    assert!(echoes());

    // A session of its own, so that this is the terminal that it controls.
    let started = Command::new("setsid")
        .arg("--ctty")
        .arg(env!("CARGO_BIN_EXE_outrider"))
        .args(["provision", "device", "--passphrase", "--config"])
        .arg(&config)
        .stdin(terminal())
        .stdout(terminal())
        .stderr(terminal())
        .spawn();
    let Ok(mut program) = started else {
        return skipped("Ctrl-C at a passphrase", "setsid (util-linux) is missing");
    };
    let mut person = File::from(person);
    let mut said = String::new();
    while !said.contains("New passphrase") {
        let mut bytes = [0; 1_024];
        let read = person.read(&mut bytes).unwrap();
        said.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    while echoes() {
        std::thread::yield_now();
    }
    person.write_all(b"half a pass\x03").unwrap();
    let ended = program.wait().unwrap();
    assert!(echoes(), "the terminal is left silent");
    // Whoever starts the tests in the background has it ignore the signal: then it fails in words.
    assert!(ended.signal() == Some(2) || ended.code() == Some(1), "{ended:?}: {said}");
    assert!(OpenOptions::new().read(true).open(dir.path().join("state/device.key")).is_err());
}
