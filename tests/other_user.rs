//! Checks that another user of the machine reaches no file, no socket and no memory of a running daemon, not even where
//! somebody has opened the state folder to everybody.
//!
//! The second user is a real one, so the tests need root to become that user.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, helpers included")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::running::{Car, child};
use common::skipped;

/// The daemon's process. Runs only when the test below starts it.
#[test]
fn child_that_runs() {
    child();
}

/// Runs a line of shell as a user who is nobody here.
fn as_nobody(script: &str, argument: &Path) -> Option<Output> {
    let ids = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let run =
        Command::new("setpriv").args(ids).args(["sh", "-c", script, "sh"]).arg(argument).output();
    run.ok()
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        }
        found.push(path);
    }
}

#[test]
fn another_user_reaches_no_file_and_no_socket_of_a_running_car() {
    let dir = tempfile::tempdir().unwrap();
    // What keeps others out has to be the car's own folder, not the test's.
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let folder = dir.path().join("car");
    let mut car = Car::new(&folder, "non_hit = \"1h\"", "", &["CKSV841"]);
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    let control = as_nobody("cat \"$1\"", &car.path("outrider.toml"));
    if !control.is_some_and(|read| read.status.success() && !read.stdout.is_empty()) {
        return skipped("what another user reads", "becoming another user takes root and setpriv");
    }
    car.start(&["CKSV841", "BXWL222", "AAAA111"]);
    let mut files = Vec::new();
    below(&car.state(), &mut files);
    let named = |end: &str| files.iter().any(|f| f.to_string_lossy().ends_with(end));
    for there in ["device.key", "hits.db", "audit.db", "control.sock"] {
        assert!(named(there), "{there} is not among {files:?}");
    }
    assert!(files.iter().any(|f| f.starts_with(car.state().join("ring"))), "{files:?}");
    let refused = |script: &str, file: &Path| {
        let tried = as_nobody(script, file).unwrap();
        assert!(!tried.status.success(), "{script} {}: {tried:?}", file.display());
        assert!(tried.stdout.is_empty(), "{script} {}: {tried:?}", file.display());
    };
    for file in &files {
        refused("cat \"$1\" || ls \"$1\" || : >>\"$1\"", file);
    }
    // Where somebody has opened the folders to everybody, each file's own mode holds.
    let shut: Vec<&PathBuf> = files.iter().filter(|f| !f.is_dir()).collect();
    for open in files.iter().filter(|f| f.is_dir()).chain([&car.state()]) {
        std::fs::set_permissions(open, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for file in shut.into_iter().filter(|f| f.exists()) {
        assert!(as_nobody("ls \"$1\"", file).unwrap().status.success(), "the way is open");
        refused("cat \"$1\"", file);
        refused(": >>\"$1\"", file);
    }
    let connects = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
    let to = car.state().join("control.sock");
    refused(&format!("python3 -c '{connects}' \"$1\""), &to);
    let ours = Command::new("python3").args(["-c", connects]).arg(&to).status();
    assert!(ours.is_ok_and(|status| status.success()), "the control: who may connect does");
    for open in [car.state(), car.state().join("ring")] {
        std::fs::set_permissions(open, PermissionsExt::from_mode(0o700)).unwrap();
    }
    car.stop();
}

/// A process as `outrider run` begins. Runs only when the test below starts it.
#[test]
fn child_that_keeps_its_memory_private() {
    let Some(private) = std::env::var_os("OUTRIDER_TEST_PRIVATE") else { return };
    if private == "yes" {
        outrider::daemon::keep_memory_private();
    }
    println!("\nready");
    std::io::stdin().lines().next();
}

/// What this user reads of the environment of such a process, which is in its memory.
fn read_by(user: &[&str], program: &Path, private: &str) -> Output {
    let child = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(["--exact", "child_that_keeps_its_memory_private", "--nocapture"])
        .env("OUTRIDER_TEST_PRIVATE", private)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "ready"), "the child is there");
    let memory = format!("/proc/{}/environ", child.id());
    let read = Command::new("setpriv").args(user).args(["cat", &memory]).output().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    read
}

#[test]
fn memory_is_closed_to_every_user_but_root() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    // Where the other user can run it, wherever the tests were built.
    let program = dir.path().join("program");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    if !as_nobody("test -x \"$1\"", &program).is_some_and(|can| can.status.success()) {
        return skipped("whose memory another user reads", "it takes root and setpriv");
    }
    let same = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let other = ["--reuid=65533", "--regid=65533", "--clear-groups"];
    // The control: without our precaution the same user, and so any program of this user's, reads it.
    let read = read_by(&same, &program, "no");
    assert!(String::from_utf8_lossy(&read.stdout).contains("OUTRIDER_TEST_PRIVATE=no"), "{read:?}");
    for user in [same, other] {
        let read = read_by(&user, &program, "yes");
        assert!(!read.status.success() && read.stdout.is_empty(), "{user:?}: {read:?}");
    }
}
